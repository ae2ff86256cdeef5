//! The XDP program: which frames of an interface reach our sockets.
//!
//! Assembled here, so that no compiler and no binary is needed; `filter/filter.c` is the same in C,
//! and a test holds the two together. Attached by a BPF link, which dies with the process: whatever
//! ends dvrd, the interface is the kernel's again.
//!
//! **Frames in several buffers** (MTU above what one buffer holds, or a local sender's TSO). The program
//! says it can take them (`BPF_F_XDP_HAS_FRAGS`), since otherwise an interface with a large MTU
//! refuses native mode. It reads headers, which are in the first buffer, and redirects as ever. A
//! socket bound without `XDP_USE_SG` gets them in one chunk if they fit; a longer one the kernel
//! drops and counts in `rx_dropped` of the socket's XDP_STATISTICS. So it is lost where it is
//! counted, not passed to a stack that has no use for it.
//!
//! **VLAN tags** are seen only where they are in the frame. One that travels beside it (NIC:
//! `rx-vlan-offload` on; veth: the peer's `tx-vlan-offload` on) is not, and the frame passes as
//! untagged; [`set_tx_vlan`](super::ethtool::set_tx_vlan) on a veth's peer makes its tags seen.
//!
//! **A physical network's NIC** stays the kernel's too, but for what a [`Gate`] says.
//!
//! **The Ethernet destination** of VXLAN is not asked for: a flooded frame for another machine reaches the pipeline, where
//! it is `not_ours` (T0), as it would end in the kernel.
//!
//! Each queue needs a socket of its own: a socket gets nothing of other queues.

mod asm;
mod bpf;
mod error;
mod physical;
#[cfg(test)]
mod tests;
mod withhold;

pub use error::AttachError;
pub use physical::{FILTER_ADDRESSES, FILTER_MACS, Gate, Owner, Vlan};
pub use withhold::Withheld;

use asm::{Asm, AsmError, If, Insn, Reg, Size};
use error::Step;
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An interface that has another program is tried again after so long: the kernel takes a moment to let go of a dead
/// process's link.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

// XDP_FLAGS_* of include/uapi/linux/if_link.h
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Which frames go to the sockets. An interface without sockets stays the kernel's, and is silent under
/// `Everything`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The underlay: unfragmented IPv4 UDP to `port` of `vtep` goes to the socket, all else to the
    /// kernel. So does a frame of a queue without socket, and one with a VLAN tag.
    Underlay {
        /// This host's tunnel address.
        vtep: Ipv4Addr,
        /// The VXLAN port, 4789.
        port: u16,
    },
    /// The NIC of physical networks: what its [`Gate`] says goes to the socket, all else to the kernel. So does a frame of a
    /// queue without socket.
    Physical,
    /// Both of them on one NIC: VXLAN first.
    Both {
        /// This host's tunnel address.
        vtep: Ipv4Addr,
        /// The VXLAN port, 4789.
        port: u16,
    },
    /// A VM's interface: everything goes to the socket. Of a queue without socket it is dropped: a
    /// VM's frame never enters the host's stack.
    Everything,
}

/// Where in the kernel the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel makes a packet of the frame.
    Native,
    /// After, for drivers that know no XDP.
    Skb,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mode::Native => "native",
            Mode::Skb => "skb",
        })
    }
}

/// A filter on an interface. Dropping it detaches; so does the end of the process.
#[derive(Debug)]
pub struct Attached {
    _link: OwnedFd,
    _program: OwnedFd,
    maps: Maps,
    mode: Mode,
    why_not_native: Option<io::Error>,
}

/// What a program looks into.
#[derive(Debug)]
struct Maps {
    /// Queue to socket.
    sockets: OwnedFd,
    /// Of a physical network's NIC.
    gate: Option<Arc<Gate>>,
}

impl Maps {
    fn new(filter: Filter, queues: u32) -> io::Result<Maps> {
        let gate = if filter.has_gate() { Some(Arc::new(Gate::new()?)) } else { None };
        Ok(Maps { sockets: bpf::xskmap(queues)?, gate })
    }
}

impl Attached {
    /// Attaches a filter to interface `ifindex` of the calling thread's network namespace: in the
    /// driver where that is possible, otherwise in SKB mode. `queues`: how many queues may get a socket.
    /// `patience`: how long to wait if another program is there. Needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and Linux 5.18.
    pub fn new(ifindex: u32, filter: Filter, queues: u32, patience: Duration) -> Result<Attached, AttachError> {
        let interface = interface_name(ifindex)?;
        let (maps, program) = load(filter, queues)?;
        let until = Instant::now() + patience;
        loop {
            match attach(program.as_fd(), ifindex, &interface) {
                Ok((link, mode, why_not_native)) => {
                    return Ok(Attached { _link: link, _program: program, maps, mode, why_not_native });
                }
                Err(AttachError::Busy { .. }) if Instant::now() < until => std::thread::sleep(BUSY_PAUSE),
                Err(e) => return Err(e),
            }
        }
    }

    /// Where the program runs.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What the driver answered when asked for native mode, if it runs in SKB mode. EOPNOTSUPP:
    /// it knows no XDP. ERANGE: its MTU is too large. Others are the driver's own.
    pub fn why_not_native(&self) -> Option<&io::Error> {
        self.why_not_native.as_ref()
    }

    /// Frames of `queue` go to `socket` from now on, an AF_XDP socket with a receive ring. It gets
    /// them only if it is bound to this interface and queue. It leaves the map when it is closed.
    ///
    /// Errors: E2BIG if there is no such queue in the map, EOPNOTSUPP if the socket has no receive ring.
    pub fn insert(&self, queue: u32, socket: impl AsFd) -> io::Result<()> {
        bpf::map_update(self.maps.sockets.as_fd(), queue, socket.as_fd())
    }

    /// Of [`Filter::Physical`] and [`Filter::Both`]: which frames are dvrd's; none until it is told. It lives on without the
    /// filter, and then means nothing.
    pub fn gate(&self) -> Option<&Arc<Gate>> {
        self.maps.gate.as_ref()
    }
}

/// Does this kernel take the filters, from us? They are loaded, attached nowhere, and gone again.
pub fn loads() -> Result<(), AttachError> {
    let both = Filter::Both { vtep: Ipv4Addr::UNSPECIFIED, port: 0 };
    [Filter::NONE, both, Filter::Everything].into_iter().try_for_each(|filter| load(filter, 1).map(drop))
}

/// The name of a loaded BPF program, by its id. Fails without CAP_SYS_ADMIN, and if there is none.
pub fn program_name(id: u32) -> io::Result<String> {
    bpf::prog_name(id)
}

/// The maps and the program.
fn load(filter: Filter, queues: u32) -> Result<(Maps, OwnedFd), AttachError> {
    let maps = Maps::new(filter, queues).map_err(|e| AttachError::prepare(Step::Map, e, String::new()))?;
    let insns =
        filter.assemble(&maps).map_err(|e| AttachError::prepare(Step::Program, io::Error::other(e), String::new()))?;
    let program = bpf::prog_load(&insns).map_err(|(e, log)| AttachError::prepare(Step::Program, e, log))?;
    Ok((maps, program))
}

fn interface_name(ifindex: u32) -> Result<String, AttachError> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
    let name = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .and_then(|any| netdevice::index_to_name(any, ifindex));
    name.map_err(|e| match e {
        Errno::NODEV | Errno::NXIO => AttachError::NoInterface { ifindex },
        e => AttachError::prepare(Step::Interface, e.into(), String::new()),
    })
}

/// Native mode or, if the driver will not, SKB mode and the driver's answer.
fn attach(
    program: BorrowedFd<'_>,
    ifindex: u32,
    interface: &str,
) -> Result<(OwnedFd, Mode, Option<io::Error>), AttachError> {
    let native = match bpf::link_create(program, ifindex, XDP_FLAGS_DRV_MODE) {
        Ok(link) => return Ok((link, Mode::Native, None)),
        Err(e) => e,
    };
    if error::is_busy(&native) || error::is_denied(&native) {
        return Err(AttachError::attach(interface, native, None));
    }
    match bpf::link_create(program, ifindex, XDP_FLAGS_SKB_MODE) {
        Ok(link) => Ok((link, Mode::Skb, Some(native))),
        Err(skb) => Err(AttachError::attach(interface, native, Some(skb))),
    }
}

// enum xdp_action of include/uapi/linux/bpf.h
const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
/// enum bpf_func_id
const BPF_REDIRECT_MAP: i32 = 51;
// struct xdp_md
const MD_DATA: i16 = 0;
const MD_DATA_END: i16 = 4;
const MD_RX_QUEUE_INDEX: i16 = 16;
// Lengths and offsets of Ethernet, IPv4 and UDP
const ETH: i32 = 14;
const IPV4: i32 = 20;
const UDP: i32 = 8;
const ETH_TYPE: i16 = 12;
const IP: i16 = 14;
const IP_VERSION_IHL: i16 = IP;
const IP_FLAGS_FRAGMENT: i16 = IP + 6;
const IP_PROTOCOL: i16 = IP + 9;
const IP_DESTINATION: i16 = IP + 16;
const UDP_DESTINATION: i16 = 2;
/// IPPROTO_UDP
const PROTOCOL_UDP: i32 = 17;

/// A 16-bit number of the wire as a load reads it.
fn htons(x: u16) -> i32 {
    i32::from(x.to_be())
}

impl Filter {
    /// Leaves everything to the kernel: no packet on a wire is for port 0 of 0.0.0.0 (RFC 1122 section 3.2.1.3). To try out an
    /// interface that is in use.
    pub const NONE: Filter = Filter::Underlay { vtep: Ipv4Addr::UNSPECIFIED, port: 0 };

    fn has_gate(self) -> bool {
        matches!(self, Filter::Physical | Filter::Both { .. })
    }

    /// The program. A C line above the instructions that do it; `filter/filter.c` is the whole.
    fn assemble(self, maps: &Maps) -> Result<Vec<Insn>, AsmError> {
        const ARGUMENT: Reg = Reg::R1; // on entry
        const CTX: Reg = Reg::R6;
        let mut a = Asm::default();
        a.copy(CTX, ARGUMENT);
        let otherwise = match self {
            Filter::Everything => XDP_DROP,
            _ => XDP_PASS,
        };
        match self {
            Filter::Underlay { vtep, port } => underlay(&mut a, CTX, (vtep, port), "pass"),
            Filter::Both { vtep, port } => {
                underlay(&mut a, CTX, (vtep, port), "physical");
                a.goto("ours").label("physical");
            }
            Filter::Physical | Filter::Everything => {}
        }
        if let Some(gate) = &maps.gate {
            physical::physical(&mut a, CTX, gate);
        }
        redirect(a.label("ours"), CTX, maps.sockets.as_fd(), otherwise);
        if otherwise == XDP_PASS {
            // pass: return XDP_PASS;
            a.label("pass").set(Reg::R0, XDP_PASS).exit();
        }
        a.finish()
    }
}

/// Goes to `otherwise` unless the frame is unfragmented IPv4 UDP to this port of this VTEP.
fn underlay(a: &mut Asm, ctx: Reg, (vtep, port): (Ipv4Addr, u16), otherwise: &'static str) {
    use If::{Greater, Less, NotEqual};
    const DATA: Reg = Reg::R2;
    const END: Reg = Reg::R3;
    const AT: Reg = Reg::R4;
    const X: Reg = Reg::R5;
    let vtep = u32::from_ne_bytes(vtep.octets()); // as a load reads it

    // void *data = ctx->data, *end = ctx->data_end;
    a.load(Size::Word, DATA, ctx, MD_DATA).load(Size::Word, END, ctx, MD_DATA_END);
    // if (ip + 1 > end) goto otherwise;
    a.copy(AT, DATA).add(AT, ETH + IPV4).goto_if_reg(AT, Greater, END, otherwise);
    // if (eth->type != htons(0x0800)) goto otherwise;
    a.load(Size::Half, X, DATA, ETH_TYPE).goto_if(X, NotEqual, htons(0x0800), otherwise);
    // if (ip->destination != htonl(VTEP)) goto otherwise;
    a.load(Size::Word, X, DATA, IP_DESTINATION).goto_if_not_equal32(X, vtep, otherwise);
    // if (ip->protocol != 17) goto otherwise;
    a.load(Size::Byte, X, DATA, IP_PROTOCOL).goto_if(X, NotEqual, PROTOCOL_UDP, otherwise);
    // if (ip->flags_fragment & htons(0x3fff)) goto otherwise;
    a.load(Size::Half, X, DATA, IP_FLAGS_FRAGMENT).and(X, htons(0x3fff)).goto_if(X, NotEqual, 0, otherwise);
    // ihl = ip->version_ihl; if ((ihl & 0xf0) != 0x40) goto otherwise;
    a.load(Size::Byte, AT, DATA, IP_VERSION_IHL);
    a.copy(X, AT).and(X, 0xf0).goto_if(X, NotEqual, 0x40, otherwise);
    // ihl &= 0x0f; if (ihl < 5) goto otherwise;
    a.and(AT, 0x0f).goto_if(AT, Less, 5, otherwise);
    // udp = (void *)ip + ihl * 4; if (udp + 1 > end) goto otherwise;
    a.shift_left(AT, 2).add_reg(AT, DATA).add(AT, ETH);
    a.copy(X, AT).add(X, UDP).goto_if_reg(X, Greater, END, otherwise);
    // if (udp->destination != htons(PORT)) goto otherwise;
    a.load(Size::Half, X, AT, UDP_DESTINATION).goto_if(X, NotEqual, htons(port), otherwise);
}

/// To the socket of the frame's queue; `otherwise`, if there is none.
fn redirect(a: &mut Asm, ctx: Reg, map: BorrowedFd<'_>, otherwise: i32) {
    // return bpf_redirect_map(&xsks, ctx->rx_queue_index, otherwise);
    a.load(Size::Word, Reg::R2, ctx, MD_RX_QUEUE_INDEX);
    a.load_map(Reg::R1, map.as_raw_fd()).set(Reg::R3, otherwise).call(BPF_REDIRECT_MAP).exit();
}
