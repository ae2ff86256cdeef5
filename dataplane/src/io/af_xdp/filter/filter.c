// SPDX-License-Identifier: Apache-2.0
/*
 * The XDP filter in C, to read and to test against: dvrd loads what filter.rs assembles, not this.
 * Line by line the same; a test compiles it and asks both for their verdicts:
 *
 *     clang -O2 -g -target bpf -D VTEP=0x0a000001 -D PORT=4789 -c filter.c -o filter.o
 *
 * It includes nothing, so it needs no header. What follows is from include/uapi/linux/bpf.h.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

enum xdp_action { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };

static long (*const bpf_redirect_map)(void *map, u64 key, u64 flags) = (void *)51;

#define BPF_MAP_TYPE_XSKMAP 17
#define SEC(name) __attribute__((section(name), used))
#define htons __builtin_bswap16
#define htonl __builtin_bswap32

/* Queue to AF_XDP socket. */
struct {
	int (*type)[BPF_MAP_TYPE_XSKMAP];
	int (*max_entries)[64];
	u32 *key;
	u32 *value;
} xsks SEC(".maps");

struct ethernet {
	u8 destination[6];
	u8 source[6];
	u16 type;
};

struct ipv4 {
	u8 version_ihl;
	u8 tos;
	u16 total_length;
	u16 id;
	u16 flags_fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
};

struct udp {
	u16 source;
	u16 destination;
	u16 length;
	u16 checksum;
};

/*
 * The underlay: unfragmented IPv4 UDP to PORT of VTEP goes to the socket of its queue, if there is
 * one; all else to the kernel. Checksums, lengths inside the frame and the Ethernet destination
 * are left to the pipeline (T0).
 */
SEC("xdp.frags")
int underlay(struct xdp_md *ctx)
{
	void *data = (void *)(u64)ctx->data;
	void *end = (void *)(u64)ctx->data_end;

	/* A tag moves the type: a tagged frame is the kernel's. */
	struct ethernet *eth = data;
	struct ipv4 *ip = data + sizeof(*eth);
	if ((void *)(ip + 1) > end)
		goto pass;
	if (eth->type != htons(0x0800))
		goto pass;
	if (ip->destination != htonl(VTEP))
		goto pass;
	if (ip->protocol != 17)
		goto pass;

	/* More fragments, or an offset; "don't fragment" is fine. The kernel reassembles. */
	if (ip->flags_fragment & htons(0x3fff))
		goto pass;

	/* Options may stand between the headers. */
	u64 ihl = ip->version_ihl;
	if ((ihl & 0xf0) != 0x40)
		goto pass;
	ihl &= 0x0f;
	if (ihl < 5)
		goto pass;
	struct udp *udp = (void *)ip + ihl * 4;
	if ((void *)(udp + 1) > end)
		goto pass;
	if (udp->destination != htons(PORT))
		goto pass;

	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
pass:
	return XDP_PASS;
}

/*
 * A VM's interface: everything to the socket of its queue. Where there is none it is dropped: a
 * VM's frame never enters the host's stack.
 */
SEC("xdp.frags")
int everything(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);
}

char filter_license[] SEC("license") = "Apache-2.0";
