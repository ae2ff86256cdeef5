//! The programs a lab runs, and the Debian packages they are in.

use std::process::{Command, Stdio};

/// A program, how it is asked for its version, and its package.
type Tool = (&'static str, &'static str, &'static str);

/// What a lab is made with.
pub const MAKING: [Tool; 1] = [("ip", "-V", "iproute2")];

/// What its traffic is made and watched with.
pub const TRAFFIC: [Tool; 7] = [
    ("nstat", "-V", "iproute2"),
    ("ss", "-V", "iproute2"),
    ("ping", "-V", "iputils-ping"),
    ("iperf3", "-v", "iperf3"),
    ("arping", "-V", "iputils-arping"),
    ("traceroute", "-V", "traceroute"),
    ("tcpdump", "--version", "tcpdump"),
];

/// Which of these are not installed, and what would install them; none: all are.
pub fn missing(tools: &[Tool]) -> Option<String> {
    let there = |tool: &str, arg: &str| {
        Command::new(tool).arg(arg).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).status().is_ok()
    };
    let absent: Vec<&Tool> = tools.iter().filter(|(tool, arg, _)| !there(tool, arg)).collect();
    let list = |all: &mut Vec<&str>| {
        all.dedup();
        all.join(" ")
    };
    let (mut names, mut packages): (Vec<&str>, Vec<&str>) = absent.iter().map(|(tool, _, p)| (*tool, *p)).unzip();
    let verb = if names.len() == 1 { "is" } else { "are" };
    (!absent.is_empty())
        .then(|| format!("{} {verb} not installed (Debian: apt-get install {})", list(&mut names), list(&mut packages)))
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn names_what_is_not_there_and_its_package() {
        assert_eq!(missing(&[("true", "", "coreutils")]), None);
        let some = [("no-such-tool", "-V", "one"), ("true", "", "coreutils"), ("nor-this", "-V", "one")];
        let said = "no-such-tool nor-this are not installed (Debian: apt-get install one)";
        assert_eq!(missing(&some).as_deref(), Some(said));
    }
}
