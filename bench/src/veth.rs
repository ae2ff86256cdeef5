//! Interfaces for benches on real sockets: a source and a sink at the ends of a forwarder, each in a namespace of its own.

use control::daemon::config::Interface;
use std::io::{Error, Result};
use std::process::Command;

/// Two veth pairs: `a` (from the source's `g`) and `b` (to the sink's `s`), `lanes` of them. Removed when dropped.
#[derive(Debug)]
pub struct Lanes {
    name: String,
}

impl Lanes {
    /// Makes them; needs root and iproute2.
    pub fn new(lanes: usize) -> Result<Lanes> {
        let made = Lanes { name: format!("dvrd-{}", std::process::id()) };
        for part in ["source", "dvrd", "sink"] {
            ip(&format!("netns add {}-{part}", made.name))?;
        }
        for n in 0..lanes {
            made.pair(&format!("g{n}"), "source", &format!("a{n}"))?;
            made.pair(&format!("s{n}"), "sink", &format!("b{n}"))?;
        }
        Ok(made)
    }

    fn pair(&self, far: &str, part: &str, near: &str) -> Result<()> {
        let name = &self.name;
        ip(&format!("-n {name}-{part} link add {far} type veth peer name {near} netns {name}-dvrd"))?;
        for (part, link) in [(part, far), ("dvrd", near)] {
            let sysctl = format!("net.ipv6.conf.{link}.disable_ipv6=1");
            let quiet = Command::new("ip")
                .args(["netns", "exec", &format!("{name}-{part}"), "sysctl", "-qw", &sysctl])
                .status()?;
            if !quiet.success() {
                return Err(Error::other(sysctl));
            }
            ip(&format!("-n {name}-{part} link set {link} up"))?;
        }
        Ok(())
    }

    /// One of them: `interface("source", "g0")`.
    pub fn interface(&self, part: &str, name: &str) -> Interface {
        Interface { name: name.to_owned(), netns: Some(format!("{}-{part}", self.name)) }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        for part in ["source", "dvrd", "sink"] {
            let _ = ip(&format!("netns del {}-{part}", self.name));
        }
    }
}

fn ip(args: &str) -> Result<()> {
    let done = Command::new("ip").args(args.split_whitespace()).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(Error::other(format!("ip {args}: {}", String::from_utf8_lossy(&done.stderr).trim())))
}
