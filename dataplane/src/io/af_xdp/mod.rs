//! AF_XDP: ports on network interfaces that stay the kernel's.

pub mod ethtool;
pub mod filter;
