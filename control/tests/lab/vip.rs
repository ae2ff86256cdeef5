//! A virtual address that `keepalived` moves between two instances on two hosts.

use crate::base;
use crate::checks::Checks;
use crate::cloud::Name;
use crate::cloud::outside::VIP;
use crate::command::{Proc, Res, words};
use crate::floating::{OTHERS, SNAT_HOST, first, start, stop};
use crate::topology::Lab;
use std::time::{Duration, Instant};

/// The instances that share it.
const HOLDERS: [&str; 2] = ["A1", "A2"];
/// Seconds between two advertisements of the master.
const ADVERTISE: f64 = 0.1;
/// Without any, a backup of priority 100 takes over after 3 intervals and (256 - 100) / 256 of one (RFC 9568, 6.1).
const DOWN: f64 = ADVERTISE * (3.0 + 156.0 / 256.0);
/// Milliseconds between two pings.
const BEAT: u64 = 5;
/// Moves by a master that says goodbye, and by one that does not.
const MOVES: [bool; 6] = [true, true, true, true, false, false];

pub fn vip_moves(checks: &mut Checks) -> Res<()> {
    let lab = Lab::with_outside(base()?, 1, &["A1", "A2", "B1"], &[])?;
    let all = start(checks, &lab, 1)?;
    first(checks, "A1 > A2", lab.vm("A1"), &Name("A2").address())?;
    let mut keepers = HOLDERS.map(|name| keeper(&lab, name)).into_iter().collect::<Res<Vec<_>>>()?;
    let mut master = wait_for_master(&lab, None)?;
    first(checks, &format!("B1 > {VIP}"), lab.vm("B1"), VIP)?;
    checks.check(format!("{VIP} is answered"), format!("by {}", HOLDERS[master]), true);
    let mut gaps = [Vec::new(), Vec::new()];
    for (n, goodbye) in MOVES.into_iter().enumerate() {
        // Routed: R1 of B1's host has to know who has it now.
        let line = format!("ping -n -D -i {} -W 1 -c {} {VIP}", BEAT as f64 / 1e3, 3000 / BEAT);
        let pings = lab.vm("B1").start(&words(&line))?;
        std::thread::sleep(Duration::from_millis(500));
        match goodbye {
            true => keepers[master].signal("TERM")?,
            false => dies(&lab, &mut keepers[master], HOLDERS[master])?,
        }
        let next = wait_for_master(&lab, Some(master))?;
        let done = pings.wait(Duration::from_secs(20))?;
        let gap = longest_gap(&done.out).ok_or_else(|| format!("no answers: {}", done.out))?;
        let own = if goodbye { ADVERTISE } else { DOWN };
        let how = if goodbye { "says goodbye" } else { "dies" };
        let way = format!("move {}, {} {how}", n + 1, HOLDERS[master]);
        checks.check(way, format!("{:.0} ms without an answer", gap * 1e3), gap < own + 1.0);
        gaps[usize::from(!goodbye)].push(gap);
        lab.vm(HOLDERS[master]).ip("addr flush dev eth0 to 10.1.0.100/32")?;
        keepers[master] = keeper(&lab, HOLDERS[master])?;
        master = next;
        std::thread::sleep(Duration::from_millis(500)); // it becomes a backup
    }
    for (mut gaps, (how, own)) in gaps.into_iter().zip([("goodbye", ADVERTISE * 156.0 / 256.0), ("death", DOWN)]) {
        gaps.sort_by(f64::total_cmp);
        let seen = format!("{:.0} ms, of which keepalived waits {:.0}", gaps[gaps.len() / 2] * 1e3, own * 1e3);
        checks.note(format!("median gap after a {how}, {} moves", gaps.len()), seen);
    }
    drop(keepers);
    stop(checks, all, &[OTHERS, SNAT_HOST])?;
    Ok(())
}

/// Runs on an instance; both begin as backup, and none takes the address from the other.
fn keeper(lab: &Lab, name: &'static str) -> Res<Proc> {
    let file = |what: &str| lab.path(&format!("keepalived-{name}.{what}")).display().to_string();
    let text = format!(
        "global_defs {{\n  vrrp_version 3\n  router_id {name}\n}}\nvrrp_instance vip {{\n  state BACKUP\n  nopreempt\n  \
         interface eth0\n  virtual_router_id 51\n  priority 100\n  advert_int {ADVERTISE}\n  \
         virtual_ipaddress {{\n    {VIP}/32\n  }}\n}}\n"
    );
    let conf = file("conf");
    std::fs::write(&conf, text).map_err(|e| format!("{conf}: {e}"))?;
    let line = format!("keepalived -n -l -P -f {conf} -p {} -r {}", file("pid"), file("vrrp.pid"));
    lab.vm(name).start(&words(&line))
}

/// The instance that has the address, if not `before`.
fn wait_for_master(lab: &Lab, before: Option<usize>) -> Res<usize> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        for (n, name) in HOLDERS.iter().enumerate().filter(|(n, _)| Some(*n) != before) {
            if lab.vm(name).ip("-o addr show dev eth0")?.contains(&format!("inet {VIP}/")) {
                return Ok(n);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(format!("nobody else has taken {VIP} in 10 s"))
}

/// The machine is gone without a word: keepalived, and the address with it.
fn dies(lab: &Lab, keeper: &mut Proc, name: &str) -> Res<()> {
    let vrrp = std::fs::read_to_string(lab.path(&format!("keepalived-{name}.vrrp.pid"))).map_err(|e| e.to_string())?;
    keeper.signal("STOP")?; // else it starts the other again
    let line = format!("kill -9 {}", vrrp.trim());
    lab.vm(name).exec(&line, Duration::from_secs(5))?.good()?;
    lab.vm(name).ip(&format!("addr del {VIP}/32 dev eth0"))?;
    keeper.signal("KILL")
}

/// Seconds between two answers, the longest: ping -D prints when each came.
fn longest_gap(out: &str) -> Option<f64> {
    let time = |l: &str| l.strip_prefix('[')?.split_once(']')?.0.parse::<f64>().ok();
    let times: Vec<f64> = out.lines().filter(|l| l.contains("bytes from")).filter_map(time).collect();
    times.windows(2).map(|w| w[1] - w[0]).max_by(f64::total_cmp)
}
