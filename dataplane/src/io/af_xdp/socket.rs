//! One AF_XDP socket: bound to a queue of an interface, its four rings mapped.
#![allow(unsafe_code)]

use super::Setup;
use super::ring::{Consumer, Producer};
use crate::umem::{FRAME_SIZE, Region};
use crate::worker::in_kernel;
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_socket_send_buffer_size_force, set_xdp_rx_ring_size, set_xdp_tx_ring_size, set_xdp_umem_completion_ring_size,
    set_xdp_umem_fill_ring_size, set_xdp_umem_reg, xdp_mmap_offsets, xdp_options, xdp_statistics,
};
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags as Bind, SocketAddrXdpWithSharedUmem, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING,
    XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpDesc, XdpOptionsFlags, XdpStatistics, XdpUmemReg,
    XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A queue that another socket has is tried again after so long: the kernel gives that of a closed one free a moment later.
const AGAIN: Duration = Duration::from_millis(10);
/// `XDP_MAX_TX_SKB_BUDGET` (linux/if_xdp.h): frames one `sendto` sends in copy mode; 32 by default.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
/// The kernel refuses a budget below.
const LEAST_BUDGET: u32 = 32;
/// Bytes of a frame under way in copy mode, its sk_buff included, generously.
const SKB: usize = 4096;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub fill: Producer<u64>,
    pub rx: Consumer<XdpDesc>,
    pub tx: Producer<XdpDesc>,
    pub completion: Consumer<u64>,
    fd: OwnedFd,
    zero_copy: bool,
    multi_buffer: bool,
}

impl Socket {
    /// Binds to queue `number` of an interface of the calling thread's network namespace. The first socket of a device
    /// registers `region` with it, the others share that (`first`).
    pub fn open(region: &Region<'_>, number: u32, setup: &Setup, first: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        let sizes = setup.rings;
        let fd = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        if first.is_none() {
            set_xdp_umem_reg(&fd, registration(region))?;
        }
        set_xdp_umem_fill_ring_size(&fd, sizes.rx)?;
        set_xdp_umem_completion_ring_size(&fd, sizes.tx)?;
        set_xdp_rx_ring_size(&fd, sizes.rx)?;
        set_xdp_tx_ring_size(&fd, sizes.tx)?;
        let at = xdp_mmap_offsets(&fd)?;
        let fill = Producer::map(&fd, XDP_UMEM_PGOFF_FILL_RING, &at.fr, sizes.rx)?;
        let completion = Consumer::map(&fd, XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr, sizes.tx)?;
        let rx = Consumer::map(&fd, XDP_PGOFF_RX_RING, &at.rx, sizes.rx)?;
        let tx = Producer::map(&fd, XDP_PGOFF_TX_RING, &at.tx, sizes.tx)?;
        // A frame copied into an sk_buff counts against the socket's send buffer until it has been received: let the
        // TX ring be the bound.
        set_socket_send_buffer_size_force(&fd, sizes.tx as usize * SKB)?;
        set_budget(&fd, sizes.tx.max(LEAST_BUDGET));
        let multi_buffer = bind_to(&fd, number, setup, first)?;
        let zero_copy = xdp_options(&fd)?.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY);
        Ok(Socket { fill, rx, tx, completion, fd, zero_copy, multi_buffer })
    }

    /// The driver reads and writes our memory; otherwise the kernel copies each frame.
    pub fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Frames may be in several chunks.
    pub fn is_multi_buffer(&self) -> bool {
        self.multi_buffer
    }

    /// What the kernel counted; zeroes if it does not say.
    pub fn statistics(&self) -> XdpStatistics {
        let none = XdpStatistics {
            rx_dropped: 0,
            rx_invalid_descs: 0,
            tx_invalid_descs: 0,
            rx_ring_full: None,
            rx_fill_ring_empty_descs: None,
            tx_ring_empty_descs: None,
        };
        in_kernel(|| xdp_statistics(&self.fd)).unwrap_or(none)
    }

    /// The kernel looks at the TX ring. `WouldBlock` and `Busy`: not at all of it, call again.
    #[inline]
    pub fn kick_tx(&self) -> Result<(), Errno> {
        in_kernel(|| send(&self.fd, &[], SendFlags::DONTWAIT)).map(|_| ())
    }

    /// The driver looks at the fill ring.
    #[inline]
    pub fn kick_rx(&self) {
        // Whatever it answers: it looked, or there is nothing we can do.
        let _ = in_kernel(|| recv(&self.fd, &mut [0; 0], RecvFlags::DONTWAIT));
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn registration(region: &Region<'_>) -> XdpUmemReg {
    XdpUmemReg {
        addr: region.address() as u64,
        len: region.bytes() as u64,
        chunk_size: FRAME_SIZE as u32,
        headroom: 0, // the kernel leaves XDP_PACKET_HEADROOM free whatever is asked for
        flags: XdpUmemRegFlags::empty(),
        tx_metadata_len: 0,
    }
}

/// Kernels before 6.16 do not know it and send 32 frames a call: slower, and no less correct.
fn set_budget(fd: &OwnedFd, frames: u32) {
    let value = std::ptr::from_ref(&frames).cast();
    // SAFETY: the option's value is a 32-bit number, read during the call.
    let _ = unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, value, 4) };
}

/// Says whether frames may be in several chunks.
fn bind_to(fd: &OwnedFd, number: u32, setup: &Setup, first: Option<BorrowedFd<'_>>) -> io::Result<bool> {
    let patiently = |bind: &dyn Fn() -> rustix::io::Result<()>| patiently(setup.patience, bind);
    let address = |flags: Bind| SocketAddrXdp::new(flags, setup.ifindex, number);
    if let Some(shared_umem_fd) = first {
        // The first socket's way (copied or not, chunks) is the others': the kernel refuses other flags.
        let addr = SocketAddrXdpWithSharedUmem { addr: address(Bind::XDP_SHARED_UMEM), shared_umem_fd };
        return patiently(&|| bind(fd, &addr)).map(|()| setup.multi_buffer);
    }
    let mut last = Err(io::ErrorKind::Unsupported.into());
    for (copying, several) in ways(setup) {
        let flags = if several { copying | Bind::XDP_USE_SG } else { copying };
        let addr = address(flags | Bind::XDP_USE_NEED_WAKEUP);
        last = match patiently(&|| bind(fd, &addr)) {
            Ok(()) => return Ok(several),
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => return Err(e),
            // It cannot, or not with this memory; the last way, copying, says what else is wrong.
            Err(e) => Err(e),
        };
    }
    last
}

/// Best first: whole frames before frames that are not copied.
fn ways(setup: &Setup) -> impl Iterator<Item = (Bind, bool)> {
    let several = [true, false].into_iter().filter(|several| !several || setup.multi_buffer);
    several.flat_map(|several| {
        let copying = [Bind::XDP_ZEROCOPY, Bind::XDP_COPY].into_iter();
        copying.filter(|way| *way == Bind::XDP_COPY || setup.zero_copy).map(move |way| (way, several))
    })
}

fn patiently(patience: Duration, bind: &dyn Fn() -> rustix::io::Result<()>) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match bind() {
            Err(Errno::BUSY) if start.elapsed() < patience => std::thread::sleep(AGAIN),
            other => return Ok(other?),
        }
    }
}
