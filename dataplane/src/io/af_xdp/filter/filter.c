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

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_redirect_map)(void *map, u64 key, u64 flags) = (void *)51;

#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_XSKMAP 17
#define inline inline __attribute__((always_inline))
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

/* VLAN id (0: no tag) to flags. */
struct {
	int (*type)[BPF_MAP_TYPE_ARRAY];
	int (*max_entries)[4096];
	u32 *key;
	u32 *value;
} vlans SEC(".maps");

enum { SERVED = 1, GROUP = 2, ANNOUNCED = 4, UNKNOWN = 8 };

struct mac_key {
	u8 mac[6];
	u16 vid;
};

/* MAC on a VLAN, and target address of ARP on a VLAN, to whose it is. */
struct {
	int (*type)[BPF_MAP_TYPE_HASH];
	int (*max_entries)[16384];
	struct mac_key *key;
	u32 *value;
} macs SEC(".maps");

struct address_key {
	u32 address;
	u32 vid;
};

struct {
	int (*type)[BPF_MAP_TYPE_HASH];
	int (*max_entries)[16384];
	struct address_key *key;
	u32 *value;
} addresses SEC(".maps");

enum { DVRD = 1, KERNEL = 2 };

struct ethernet {
	u8 destination[6];
	u8 source[6];
	u16 type;
};

struct tag {
	u16 control;
	u16 type;
};

struct arp {
	u16 hardware;
	u16 protocol;
	u8 hardware_length;
	u8 protocol_length;
	u16 operation;
	u8 sender_mac[6];
	u8 sender[4];
	u8 target_mac[6];
	u8 target[4];
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
 * Is it VXLAN for this host: unfragmented IPv4 UDP to PORT of VTEP? Checksums, lengths inside the
 * frame and the Ethernet destination are left to the pipeline (T0).
 */
static inline int vxlan(struct xdp_md *ctx)
{
	void *data = (void *)(u64)ctx->data;
	void *end = (void *)(u64)ctx->data_end;

	/* A tag moves the type: a tagged frame is none. */
	struct ethernet *eth = data;
	struct ipv4 *ip = data + sizeof(*eth);
	if ((void *)(ip + 1) > end)
		return 0;
	if (eth->type != htons(0x0800))
		return 0;
	if (ip->destination != htonl(VTEP))
		return 0;
	if (ip->protocol != 17)
		return 0;

	/* More fragments, or an offset; "don't fragment" is fine. The kernel reassembles. */
	if (ip->flags_fragment & htons(0x3fff))
		return 0;

	/* Options may stand between the headers. */
	u64 ihl = ip->version_ihl;
	if ((ihl & 0xf0) != 0x40)
		return 0;
	ihl &= 0x0f;
	if (ihl < 5)
		return 0;
	struct udp *udp = (void *)ip + ihl * 4;
	if ((void *)(udp + 1) > end)
		return 0;
	return udp->destination == htons(PORT);
}

/*
 * What of a physical network's frames is dvrd's: of the VLANs it serves, what is for a MAC of its
 * own, ARP that asks for an address of its own, and what else the flags of the VLAN say. Who has
 * filled the maps knows why.
 */
static inline int physical(struct xdp_md *ctx)
{
	void *data = (void *)(u64)ctx->data;
	void *end = (void *)(u64)ctx->data_end;

	/* The outer tag is the network's; one behind it is payload. */
	struct ethernet *eth = data;
	void *l3 = eth + 1;
	if (l3 > end)
		return 0;
	u32 vid = 0;
	u16 type = eth->type;
	if (type == htons(0x8100) || type == htons(0x88a8)) {
		struct tag *tag = l3;
		l3 += sizeof(*tag);
		if (l3 > end)
			return 0;
		vid = htons(tag->control) & 0xfff;
		type = tag->type;
	}
	u32 *vlan = bpf_map_lookup_elem(&vlans, &vid);
	if (!vlan)
		return 0;
	u32 flags = *vlan;
	if (!flags)
		return 0;

	if (!(eth->destination[0] & 1)) {
		struct mac_key key = { .vid = vid };
		__builtin_memcpy(key.mac, eth->destination, sizeof(key.mac));
		u32 *owner = bpf_map_lookup_elem(&macs, &key);
		if (owner)
			return *owner == DVRD;
		return flags & UNKNOWN;
	}

	/* What no bridge forwards (IEEE 802.1Q, 8.6.3): LLDP, LACP, STP. */
	u8 *to = eth->destination;
	if (to[0] == 0x01 && to[1] == 0x80 && to[2] == 0xc2 && !to[3] && !to[4] && to[5] < 0x10)
		return 0;

	struct arp *arp = l3;
	if (type == htons(0x0806) && (void *)(arp + 1) <= end) {
		struct address_key key = { .vid = vid };
		__builtin_memcpy(&key.address, arp->target, sizeof(key.address));
		u32 *owner = bpf_map_lookup_elem(&addresses, &key);
		if (owner)
			return *owner == DVRD;
		u32 sender, target;
		__builtin_memcpy(&sender, arp->sender, sizeof(sender));
		__builtin_memcpy(&target, arp->target, sizeof(target));
		if (sender == target && (flags & ANNOUNCED))
			return 1;
	}
	return flags & GROUP;
}

static inline long give(struct xdp_md *ctx, long otherwise)
{
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, otherwise);
}

/* The underlay: VXLAN to the socket of its queue, if there is one; all else to the kernel. */
SEC("xdp.frags")
int on_underlay(struct xdp_md *ctx)
{
	return vxlan(ctx) ? give(ctx, XDP_PASS) : XDP_PASS;
}

/* A physical network's NIC. */
SEC("xdp.frags")
int on_physical(struct xdp_md *ctx)
{
	return physical(ctx) ? give(ctx, XDP_PASS) : XDP_PASS;
}

/* One NIC for both. */
SEC("xdp.frags")
int on_both(struct xdp_md *ctx)
{
	return vxlan(ctx) || physical(ctx) ? give(ctx, XDP_PASS) : XDP_PASS;
}

/*
 * A VM's interface: everything to the socket of its queue. Where there is none it is dropped: a
 * VM's frame never enters the host's stack.
 */
SEC("xdp.frags")
int on_everything(struct xdp_md *ctx)
{
	return give(ctx, XDP_DROP);
}

char filter_license[] SEC("license") = "Apache-2.0";
