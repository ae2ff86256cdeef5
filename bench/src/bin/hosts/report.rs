//! What was measured, as a table and as JSON.

use crate::world::Way;
use serde::Serialize;
use std::fmt::Write;

/// Who forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nobody: source and sink at one veth pair.
    Wire,
    /// `dvrd`.
    Dvrd,
    /// The kernel.
    Kernel,
}

/// One run of small packets.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Packets {
    /// Packets a second.
    pub rate: u32,
    /// Packets.
    pub sent: u64,
    /// Of them.
    pub received: u64,
    /// CPU time a received packet, ns.
    pub ns: f64,
    /// Of that, what is above the wire's.
    pub over_wire: f64,
}

/// One run of TCP.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bulk {
    /// Received, Mbit/s.
    pub mbit: f64,
    /// CPU time, s, of 10^9 bytes received.
    pub seconds_per_gb: f64,
}

/// All runs on one way.
#[derive(Debug)]
pub struct Row {
    /// The way.
    pub way: Way,
    packets: [Vec<Packets>; 3],
    bulk: [Vec<Bulk>; 3],
}

/// What is wanted, times the kernel's cost: of a routed packet, and of a bridged one at least.
const ROUTED: f64 = 2.0;
const BRIDGED: f64 = 1.0 / 1.5;

impl Row {
    /// Nothing measured yet.
    pub fn of(way: Way) -> Row {
        Row { way, packets: Default::default(), bulk: Default::default() }
    }

    /// One more run.
    pub fn packets(&mut self, side: Side, run: Packets) {
        self.packets[side as usize].push(run);
    }

    /// The same.
    pub fn bulk(&mut self, side: Side, run: Bulk) {
        self.bulk[side as usize].push(run);
    }

    fn over_wire(&self, side: Side) -> f64 {
        median(self.packets[side as usize].iter().map(|p| p.over_wire))
    }

    fn mbit(&self, side: Side) -> f64 {
        median(self.bulk[side as usize].iter().map(|b| b.mbit))
    }

    fn per_gb(&self, side: Side) -> f64 {
        median(self.bulk[side as usize].iter().map(|b| b.seconds_per_gb))
    }

    fn rate(&self) -> u32 {
        self.packets[0].first().map_or(0, |p| p.rate)
    }

    fn lost(&self, side: Side) -> f64 {
        let (sent, received) =
            self.packets[side as usize].iter().fold((0, 0), |(s, r), p| (s + p.sent, r + p.received));
        100.0 * sent.saturating_sub(received) as f64 / (sent.max(1)) as f64
    }

    /// Times the kernel's cost of a packet is ours, and whether that is what is wanted.
    fn ahead(&self) -> (f64, bool) {
        let times = self.over_wire(Side::Kernel) / self.over_wire(Side::Dvrd).max(1.0);
        (times, times >= if self.way.bridged { BRIDGED } else { ROUTED })
    }

    /// The same of throughput.
    fn bulk_ahead(&self) -> (f64, bool) {
        let times = self.mbit(Side::Dvrd) / self.mbit(Side::Kernel).max(1.0);
        (times, times >= 1.0)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    match all.len() {
        0 => 0.0,
        n if n % 2 == 1 => all[n / 2],
        n => (all[n / 2 - 1] + all[n / 2]) / 2.0,
    }
}

/// All of it.
#[derive(Debug)]
pub struct Report {
    /// By way.
    pub rows: Vec<Row>,
    /// CPU time of `dvrd` while nothing happens, share of a core.
    pub idle: f64,
    /// What `dvrd` says of its interfaces.
    pub banner: Vec<String>,
    /// How this was called.
    pub command: String,
    /// By what `dvrd` took the instances' interfaces.
    pub port_io: &'static str,
}

/// `met` or not.
fn verdict(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}

impl Report {
    /// Two tables, with machine and command.
    pub fn markdown(&self) -> String {
        let mut s = format!("{}; `{}`, ports by `{}`.\n\n", machine(), self.command, self.port_io);
        s += "| small packets, UDP, 64-byte frames | packets/s | dvrd, ns | kernel, ns | kernel / dvrd | wanted | met |\n";
        s += "|---|---|---|---|---|---|---|\n";
        for row in &self.rows {
            let (times, met) = row.ahead();
            let wanted = if row.way.bridged { "0.67" } else { "2.0" };
            let (dvrd, kernel) = (row.over_wire(Side::Dvrd), row.over_wire(Side::Kernel));
            let _ = writeln!(
                s,
                "| {} | {} | {dvrd:.0} | {kernel:.0} | **{times:.2}** | {wanted} | {} |",
                row.way.name,
                row.rate(),
                verdict(met)
            );
        }
        s += "\n| one TCP stream | dvrd, Mbit/s | kernel, Mbit/s | dvrd / kernel | wanted | met | dvrd, CPU s/GB | kernel, CPU s/GB |\n";
        s += "|---|---|---|---|---|---|---|---|\n";
        for row in &self.rows {
            let (times, met) = row.bulk_ahead();
            let _ = writeln!(
                s,
                "| {} | {:.0} | {:.0} | **{times:.2}** | 1.0 | {} | {:.2} | {:.2} |",
                row.way.name,
                row.mbit(Side::Dvrd),
                row.mbit(Side::Kernel),
                verdict(met),
                row.per_gb(Side::Dvrd),
                row.per_gb(Side::Kernel)
            );
        }
        let lost = |side| self.rows.iter().map(|r| r.lost(side)).fold(0.0, f64::max);
        let wire = median(self.rows.iter().flat_map(|r| &r.packets[0]).map(|p| p.ns));
        let bulk = median(self.rows.iter().map(|r| r.mbit(Side::Wire)));
        let per_gb = median(self.rows.iter().map(|r| r.per_gb(Side::Wire)));
        let _ = writeln!(
            s,
            "\nSource and sink at one veth pair: {wire:.0} ns a packet, {bulk:.0} Mbit/s, {per_gb:.2} CPU s/GB. Lost at most {:.2} % by dvrd, \
             {:.2} % by the kernel. Idle, the three dvrd take {:.1} % of a core.",
            lost(Side::Dvrd),
            lost(Side::Kernel),
            100.0 * self.idle
        );
        s
    }

    /// Every run.
    pub fn json(&self) -> String {
        let sides = |f: &dyn Fn(Side) -> serde_json::Value| serde_json::json!({"wire": f(Side::Wire), "dvrd": f(Side::Dvrd), "kernel": f(Side::Kernel)});
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let (packets, bulk) = (row.ahead(), row.bulk_ahead());
                serde_json::json!({
                    "way": row.way.name, "bridged": row.way.bridged,
                    "packets": sides(&|side| serde_json::json!(row.packets[side as usize])),
                    "bulk": sides(&|side| serde_json::json!(row.bulk[side as usize])),
                    "kernel_by_dvrd_ns": packets.0, "packets_met": packets.1,
                    "dvrd_by_kernel_mbit": bulk.0, "bulk_met": bulk.1,
                })
            })
            .collect();
        let all = serde_json::json!({
            "machine": machine(), "command": self.command, "port_io": self.port_io, "dvrd_says": self.banner,
            "idle_share_of_a_core": self.idle, "ways": rows,
        });
        serde_json::to_string_pretty(&all).unwrap_or_default()
    }
}

/// CPU, number of them, kernel, commit.
fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = info.lines().find(|l| l.starts_with(name)).and_then(|l| l.split_once(':'));
        line.map_or("?", |(_, v)| v.trim()).to_owned()
    };
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let git = |words: &[&str]| {
        let done = std::process::Command::new("git").args(words).output().ok().filter(|d| d.status.success());
        done.map(|d| String::from_utf8_lossy(&d.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or("unknown".to_owned());
    let changed = if git(&["status", "--porcelain", "-uno"]).is_none_or(|s| s.is_empty()) { "" } else { ", changed" };
    format!(
        "{}, family {} model {}, {cpus} CPUs, shared; kernel {}; commit {commit}{changed}",
        field("model name"),
        field("cpu family"),
        field("model\t\t"),
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::WAYS;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median([].into_iter()), 0.0);
    }

    /// Rows in which dvrd takes this, the kernel that for a packet.
    fn met(way: usize, dvrd: f64, kernel: f64) -> (f64, bool) {
        let mut row = Row::of(WAYS[way]);
        for (side, ns) in [(Side::Dvrd, dvrd), (Side::Kernel, kernel)] {
            row.packets(side, Packets { rate: 1, sent: 1, received: 1, ns: ns + 500.0, over_wire: ns });
        }
        row.ahead()
    }

    #[test]
    fn a_routed_packet_has_to_be_twice_ahead_and_a_bridged_one_within_one_and_a_half() {
        assert_eq!(met(2, 1000.0, 2000.0), (2.0, true));
        assert!(!met(2, 1000.0, 1999.0).1);
        assert!(met(0, 1500.0, 1001.0).1 && !met(0, 1500.0, 999.0).1);
    }
}
