//! `iptables-save` as dumped: chains in the order of the kernel's hooks.

use crate::ip::Ip4;
use std::collections::BTreeMap;

type Res<T> = Result<T, String>;

#[derive(Clone, Debug, PartialEq)]
enum Match {
    In(String),
    Out(String),
    NotOut(String),
    Src(u32, u32),
    Dst(u32, u32),
    Proto(u8),
    Dport(u16),
    Mark {
        not: bool,
        conn: bool,
        value: u32,
        mask: u32,
    },
    /// `--ctstate DNAT`
    Dnat {
        not: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Jump(String),
    Accept,
    Drop,
    /// `--set-xmark value/mask`
    SetMark(u32, u32),
    SaveMark(u32, u32),
    RestoreMark(u32, u32),
    Dnat(u32),
    Snat(u32),
    Redirect,
    NoTrack,
}

#[derive(Clone, Debug)]
struct Rule {
    matches: Vec<Match>,
    target: Target,
}

/// By table and chain.
#[derive(Clone, Debug, Default)]
pub struct Chains(BTreeMap<(String, String), Vec<Rule>>);

/// What goes along with a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    mark: u32,
    connmark: u32,
    pub dnat: bool,
    pub snat: bool,
    pub redirected: bool,
    untracked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Accept,
    Drop,
    /// End of the chain.
    Return,
}

/// Tables in the order in which a hook asks them.
fn tables(hook: &str) -> &'static [&'static str] {
    match hook {
        "PREROUTING" => &["raw", "mangle", "nat"],
        "FORWARD" => &["mangle", "filter"],
        _ => &["mangle", "nat"],
    }
}

impl Chains {
    /// Reads one line of `iptables-save`; `table` is the one it stands in.
    pub fn line(&mut self, table: &mut String, line: &str) -> Res<()> {
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(table);
        } else if let Some(rest) = line.strip_prefix("-A ") {
            let (chain, rule) = rest.split_once(' ').ok_or("a rule without words")?;
            let rule = rule_of(rule).map_err(|e| format!("{e}: {line}"))?;
            self.0.entry((table.clone(), chain.to_owned())).or_default().push(rule);
        } else if !line.starts_with(':') && line != "COMMIT" {
            return Err(format!("not a line of iptables-save that is known here: {line}"));
        } else if line.starts_with(':') && !line.contains(" ACCEPT ") && !line.contains(" - ") {
            return Err(format!("a policy that is unknown here: {line}"));
        }
        Ok(())
    }

    /// A packet at a hook; `devs`: by which interface it came, by which it goes.
    pub fn hook(&self, hook: &str, devs: (&str, &str), ip: &mut Ip4, payload: &[u8], mark: &mut Mark) -> Verdict {
        for table in tables(hook) {
            if *table == "nat" && mark.untracked {
                continue;
            }
            if self.chain(table, hook, devs, ip, payload, mark) == Verdict::Drop {
                return Verdict::Drop;
            }
        }
        Verdict::Accept
    }

    fn chain(
        &self,
        table: &str,
        chain: &str,
        devs: (&str, &str),
        ip: &mut Ip4,
        payload: &[u8],
        m: &mut Mark,
    ) -> Verdict {
        let rules = self.0.get(&(table.to_owned(), chain.to_owned()));
        for rule in rules.into_iter().flatten() {
            if !rule.matches.iter().all(|x| x.holds(devs, ip, payload, m)) {
                continue;
            }
            match &rule.target {
                Target::Jump(to) => match self.chain(table, to, devs, ip, payload, m) {
                    Verdict::Return => {}
                    verdict => return verdict,
                },
                Target::Accept => return Verdict::Accept,
                Target::Drop => return Verdict::Drop,
                Target::SetMark(value, mask) => m.mark = m.mark & !mask ^ value,
                Target::SaveMark(nf, ct) => m.connmark = m.connmark & !ct ^ m.mark & nf,
                Target::RestoreMark(nf, ct) => m.mark = m.mark & !nf ^ m.connmark & ct,
                Target::NoTrack => m.untracked = true,
                Target::Dnat(to) => {
                    (ip.dst, m.dnat) = (*to, true);
                    return Verdict::Accept;
                }
                Target::Snat(to) => {
                    (ip.src, m.snat) = (*to, true);
                    return Verdict::Accept;
                }
                Target::Redirect => {
                    m.redirected = true;
                    return Verdict::Accept;
                }
            }
        }
        Verdict::Return
    }
}

impl Match {
    fn holds(&self, (dev_in, dev_out): (&str, &str), ip: &Ip4, payload: &[u8], m: &Mark) -> bool {
        let named = |dev: &str, pattern: &String| match pattern.strip_suffix('+') {
            Some(start) => dev.starts_with(start),
            None => dev == pattern,
        };
        let within = |ip: u32, net: u32, len: u32| (ip ^ net) & super::mask(len) == 0;
        match self {
            Match::In(dev) => named(dev_in, dev),
            Match::Out(dev) => named(dev_out, dev),
            Match::NotOut(dev) => !named(dev_out, dev),
            Match::Src(net, len) => within(ip.src, *net, *len),
            Match::Dst(net, len) => within(ip.dst, *net, *len),
            Match::Proto(proto) => ip.proto == *proto,
            Match::Dport(port) => payload.get(2..4) == Some(&port.to_be_bytes()) && ip.frag & 0x1fff == 0,
            Match::Mark { not, conn, value, mask } => {
                let mark = if *conn { m.connmark } else { m.mark };
                (mark & mask == *value) != *not
            }
            Match::Dnat { not } => m.dnat != *not,
        }
    }
}

fn net(word: &str) -> Res<(u32, u32)> {
    super::read::prefix(word)
}

fn hex(word: &str) -> Res<u32> {
    u32::from_str_radix(word.trim_start_matches("0x"), 16).map_err(|_| format!("{word} is no number"))
}

fn marks(word: &str) -> Res<(u32, u32)> {
    let (value, mask) = word.split_once('/').ok_or("a mark without a mask")?;
    Ok((hex(value)?, hex(mask)?))
}

/// The words behind `-A CHAIN`.
fn rule_of(text: &str) -> Res<Rule> {
    let words = words(text);
    let mut at = words.iter().map(String::as_str).peekable();
    let (mut matches, mut target, mut not, mut module) = (Vec::new(), None, false, String::new());
    while let Some(word) = at.next() {
        let mut value = || at.next().ok_or(format!("{word} without a value"));
        let was_not = std::mem::take(&mut not);
        match word {
            "!" => not = true,
            "-m" => {
                value()?.clone_into(&mut module);
                not = was_not;
                if !["comment", "connmark", "conntrack", "mark", "tcp"].contains(&module.as_str()) {
                    return Err(format!("module {module} is unknown"));
                }
            }
            "--comment" => drop(value()?),
            "-i" if !was_not => matches.push(Match::In(value()?.to_owned())),
            "-o" if was_not => matches.push(Match::NotOut(value()?.to_owned())),
            "-o" => matches.push(Match::Out(value()?.to_owned())),
            "-s" if !was_not => matches.push(net(value()?).map(|(n, l)| Match::Src(n, l))?),
            "-d" if !was_not => matches.push(net(value()?).map(|(n, l)| Match::Dst(n, l))?),
            "-p" if !was_not => matches.push(match value()? {
                "tcp" => Match::Proto(6),
                other => return Err(format!("-p {other} is unknown")),
            }),
            "--dport" if !was_not => {
                matches.push(Match::Dport(value()?.parse().map_err(|_| "--dport")?));
            }
            "--mark" => {
                let (value, mask) = marks(value()?)?;
                matches.push(Match::Mark { not: was_not, conn: module == "connmark", value, mask });
            }
            "--ctstate" => match value()? {
                "DNAT" => matches.push(Match::Dnat { not: was_not }),
                other => return Err(format!("--ctstate {other} is unknown")),
            },
            "-j" => {
                let name = value()?.to_owned();
                let rest: Vec<&str> = at.by_ref().collect();
                target = Some(target_of(&name, &rest)?);
            }
            _ => return Err(format!("{word} is unknown")),
        }
    }
    Ok(Rule { matches, target: target.ok_or("no -j")? })
}

fn target_of(name: &str, rest: &[&str]) -> Res<Target> {
    let ip = |word: &str| word.parse::<std::net::Ipv4Addr>().map(u32::from).map_err(|_| format!("{word}: no address"));
    Ok(match (name, rest) {
        ("ACCEPT", []) => Target::Accept,
        ("DROP", []) => Target::Drop,
        ("MARK", ["--set-xmark", mark]) => marks(mark).map(|(v, m)| Target::SetMark(v, m))?,
        ("CONNMARK", ["--save-mark", "--nfmask", nf, "--ctmask", ct]) => Target::SaveMark(hex(nf)?, hex(ct)?),
        ("CONNMARK", ["--restore-mark", "--nfmask", nf, "--ctmask", ct]) => Target::RestoreMark(hex(nf)?, hex(ct)?),
        ("DNAT", ["--to-destination", to]) => Target::Dnat(ip(to)?),
        // which port it leaves with is free in the kernel; here it keeps its own (D6)
        ("SNAT", ["--to-source", to, "--random-fully"]) => Target::Snat(ip(to)?),
        ("REDIRECT", ["--to-ports", _]) => Target::Redirect,
        ("CT", ["--notrack"]) => Target::NoTrack,
        (chain, []) if chain.starts_with("neutron-") => Target::Jump(chain.to_owned()),
        _ => return Err(format!("-j {name} {} is unknown", rest.join(" "))),
    })
}

/// Words; a text in quotes is one.
fn words(text: &str) -> Vec<String> {
    let parts = text.split('"').enumerate();
    parts
        .flat_map(|(n, part)| match n % 2 {
            1 => vec![part.to_owned()],
            _ => part.split_whitespace().map(str::to_owned).collect(),
        })
        .collect()
}
