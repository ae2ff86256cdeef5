//! [`Withheld`]: an interface whose frames go no further than its packet sockets.

use super::asm::{Asm, Reg};
use super::bpf;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// `enum tcx_action_base` of include/uapi/linux/bpf.h: the frame ends here.
const TCX_DROP: i32 = 2;

/// While it lives, what an interface receives is seen by packet sockets and then dropped, before the host's stack: what a VM
/// sends is dvrd's alone. By a BPF link on tcx, which is behind packet sockets; it dies with the process.
#[derive(Debug)]
pub struct Withheld {
    _link: OwnedFd,
    _program: OwnedFd,
}

impl Withheld {
    /// Of interface `ifindex` in the calling thread's network namespace. Needs CAP_BPF and CAP_NET_ADMIN, and Linux 6.6
    /// (EINVAL).
    pub fn new(ifindex: u32) -> io::Result<Withheld> {
        let mut a = Asm::default();
        // return TCX_DROP;
        a.set(Reg::R0, TCX_DROP).exit();
        let program = bpf::classifier_load(&a.finish().map_err(io::Error::other)?).map_err(|(e, _)| e)?;
        let link = bpf::tcx_link(program.as_fd(), ifindex)?;
        Ok(Withheld { _link: link, _program: program })
    }

    /// The program of somebody who withholds what interface `ifindex` of the calling thread's network namespace receives;
    /// none: nobody, or the kernel does not tell.
    pub fn by(ifindex: u32) -> Option<u32> {
        let programs = bpf::tcx_programs(ifindex).ok()?;
        programs.into_iter().find(|id| bpf::prog_name(*id).is_ok_and(|name| name.as_bytes() == bpf::WITHHOLD))
    }
}
