//! Instructions per packet of the bench cases, counted by valgrind and compared with
//! `bench/instructions.toml`. Unlike times, counts do not depend on what else the machine does.
//!
//! `icount` compares, `icount --store` writes the file. Both run `icount run CASE` under callgrind,
//! which counts only inside [`counted_poll`]: feeding, emptying and warming up are not in it.

use bench::callgrind::{self, Profile};
use bench::frames::{Case, FLOWS, LEN, sources};
use bench::host::{Host, Setup};
use bench::instructions::{AGAIN, STORE, Stored};
use bench::load::Feed;
use dataplane::burst::{BURST, Door};
use dataplane::umem::Umem;
use dataplane::worker::Worker;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Bursts before counting starts.
const WARM_UP: usize = 200;
/// Bursts counted: ten rounds over the 100 VMs.
const COUNTED: usize = 1000;
/// A case may take this much more than stored.
const TOLERANCE: f64 = 0.03;

/// A count against the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    More,
    Less,
}

fn verdict(stored: f64, now: f64) -> Verdict {
    match now {
        _ if now > stored * (1.0 + TOLERANCE) => Verdict::More,
        _ if now < stored * (1.0 - TOLERANCE) => Verdict::Less,
        _ => Verdict::Same,
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(),
        ["--store"] => store(),
        ["run", case] => run(case).map(|()| true),
        _ => Err("usage: icount [--store]".to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("icount: {what}");
            ExitCode::FAILURE
        }
    }
}

/// What callgrind counts. Never inlined: it is found by its name.
#[inline(never)]
fn counted_poll(worker: &mut Worker<'_>, door: Door) -> usize {
    worker.poll(door, BURST)
}

/// The work under callgrind. Every frame must be forwarded: fewer instructions by dropping are no gain.
fn run(name: &str) -> Result<(), String> {
    let case = Case::ALL.into_iter().find(|c| c.name() == name).ok_or(format!("no case is named `{name}`"))?;
    let host = Host::new(Setup { as_dvrd: false, ..Setup::default() })?;
    let mut umem = Umem::new(4096);
    let mut worker = host.worker(umem.pools(1).pop().ok_or("no frames")?);
    let mut feed = Feed::new(sources(case, FLOWS, LEN), case.outs());
    for i in 0..WARM_UP + COUNTED {
        feed.turn(&mut worker, BURST, &mut |worker, door| {
            if i < WARM_UP {
                worker.poll(door, BURST)
            } else {
                counted_poll(worker, door)
            };
        });
    }
    let (n, all) = (worker.counters(), ((WARM_UP + COUNTED) * BURST) as u64);
    if (n.received.get(), n.sent.get(), worker.learn_queue().len()) != (all, all, 0) {
        return Err(format!("{name}: all of {all} frames must be forwarded, none learned from: {:?}", n.snapshot()));
    }
    Ok(())
}

/// One case under callgrind.
fn count(case: Case, dir: &Path) -> Result<Profile, String> {
    let out = dir.join(format!("icount-{}-{}.callgrind", case.name(), std::process::id()));
    let me = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=icount::counted_poll", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(me)
        .args(["run", case.name()])
        .output();
    let valgrind = valgrind.map_err(|e| format!("valgrind: {e}"))?;
    if !valgrind.status.success() {
        return Err(format!("{} under valgrind: {}", case.name(), String::from_utf8_lossy(&valgrind.stderr)));
    }
    let text = std::fs::read_to_string(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    // A file left behind in the temporary directory is no reason to fail.
    let _ = std::fs::remove_file(&out);
    callgrind::parse(&text).map_err(|e| format!("{} by callgrind: {e}", case.name()))
}

fn count_all() -> Result<Vec<(Case, Profile)>, String> {
    let dir = std::env::temp_dir();
    let profiles: Result<Vec<_>, String> = Case::ALL.into_iter().map(|c| Ok((c, count(c, &dir)?))).collect();
    let profiles = profiles?;
    print_stages(&profiles);
    Ok(profiles)
}

fn per_packet(instructions: u64) -> f64 {
    instructions as f64 / (COUNTED * BURST) as f64
}

/// Instructions per packet of each stage, its callees included.
fn print_stages(profiles: &[(Case, Profile)]) {
    let cell = |n: u64| if n == 0 { format!("{:>9}", "-") } else { format!("{:>9.1}", per_packet(n)) };
    let row = |name: &str, of: &dyn Fn(&Profile) -> u64| {
        println!("{name:<18}{}", profiles.iter().map(|(_, p)| cell(of(p))).collect::<String>());
    };
    println!("{:<18}{}", "stage", profiles.iter().map(|(c, _)| format!("{:>9}", c.name())).collect::<String>());
    for stage in profiles.iter().flat_map(|(_, p)| p.stages.keys()).collect::<BTreeSet<_>>() {
        row(stage, &|p| p.stages.get(stage).copied().unwrap_or(0));
    }
    row("receive and rest", &|p| p.total - p.stages.values().sum::<u64>());
    row("whole poll", &|p| p.total);
    println!();
}

/// Why this build or machine cannot be compared with `stored`.
fn not_comparable(stored: Option<&Stored>) -> Result<Option<String>, String> {
    if cfg!(debug_assertions) {
        return Err(format!("this is a debug build; use --release: {}", AGAIN.trim_end_matches(" -- --store")));
    }
    if cfg!(any(target_feature = "sse3", target_feature = "avx2")) {
        return Ok(Some("built for more than the baseline of x86-64 (target-cpu or target-feature)".to_owned()));
    }
    if valgrind().is_none() {
        let why = "no valgrind here; apt-get install valgrind";
        // CI must have it.
        return if std::env::var_os("CI_COMPONENTS").is_some() {
            Err(why.to_owned())
        } else {
            Ok(Some(why.to_owned()))
        };
    }
    let (rustc, host) = rustc()?;
    Ok(stored.filter(|s| (&s.rustc, &s.host) != (&rustc, &host)).map(|s| {
        format!(
            "stored for rustc {} on {}, this is rustc {rustc} on {host}; the stored rustc compares",
            s.rustc, s.host
        )
    }))
}

/// Version and host of the compiler in use: cargo names it to what it runs.
fn rustc() -> Result<(String, String), String> {
    let out = Command::new("rustc").arg("-vV").output().map_err(|e| format!("rustc -vV: {e}"))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let field = |name: &str| {
        let found = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
        found.map(str::to_owned).ok_or(format!("rustc -vV says no `{name}`"))
    };
    Ok((field("release")?, field("host")?))
}

/// Valgrind's version, if there is one.
fn valgrind() -> Option<String> {
    let out = Command::new("valgrind").arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&out.stdout).trim().trim_start_matches("valgrind-").to_owned())
}

/// Counts and writes the file.
fn store() -> Result<bool, String> {
    if let Some(why) = not_comparable(None)? {
        return Err(format!("cannot count here: {why}"));
    }
    let ((rustc, host), valgrind) = (rustc()?, valgrind().unwrap_or_default());
    let tenth = |p: &Profile| (per_packet(p.total) * 10.0).round() / 10.0;
    let counts = count_all()?.iter().map(|(c, p)| (c.name().to_owned(), tenth(p))).collect();
    let stored = Stored { rustc, host, valgrind, instructions_per_packet: counts };
    let text = toml::to_string(&stored).map_err(|e| e.to_string())?;
    let text = format!("# Instructions per packet, see docs/testing.md. Written by:\n# {AGAIN}\n{text}");
    std::fs::write(STORE, &text).map_err(|e| format!("{STORE}: {e}"))?;
    print!("{text}");
    Ok(true)
}

/// Counts and compares; `false` if a case takes more than it may.
fn compare() -> Result<bool, String> {
    let stored = Stored::read()?;
    if let Some(why) = not_comparable(Some(&stored))? {
        println!("SKIPPED instructions per packet: {why}");
        return Ok(true);
    }
    let profiles = count_all()?;
    let mut verdicts = Vec::new();
    println!("{:<18}{:>9}{:>9}{:>9}", "case", "stored", "now", "change");
    for (case, profile) in &profiles {
        let now = per_packet(profile.total);
        let old = stored.of(case.name())?;
        let (word, change) = (verdict(old, now), (now / old - 1.0) * 100.0);
        println!("{:<18}{old:>9.1}{now:>9.1}{change:>+8.1}%  {word:?}", case.name());
        verdicts.push(word);
    }
    let valgrind = valgrind().unwrap_or_default();
    if valgrind != stored.valgrind {
        println!("Stored with valgrind {}, counted with {valgrind}.", stored.valgrind);
    }
    advise(&verdicts);
    Ok(!verdicts.contains(&Verdict::More))
}

fn advise(verdicts: &[Verdict]) {
    if verdicts.contains(&Verdict::More) {
        println!(
            "\nAt least one case takes over 3 % more instructions than stored. The table of stages above, beside that"
        );
        println!(
            "of the commit before, shows where. If the cost is wanted, store it in the commit that causes it:\n  {AGAIN}"
        );
    } else if verdicts.contains(&Verdict::Less) {
        println!("\nBetter than stored: store it, so that it stays.\n  {AGAIN}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_percent_either_way_is_the_same() {
        assert_eq!(verdict(500.0, 515.0), Verdict::Same);
        assert_eq!(verdict(500.0, 485.0), Verdict::Same);
        assert_eq!(verdict(500.0, 515.1), Verdict::More);
        assert_eq!(verdict(500.0, 484.9), Verdict::Less);
    }

    #[test]
    fn a_case_forwards_every_frame() {
        for case in Case::ALL {
            assert_eq!(run(case.name()), Ok(()));
        }
        assert!(run("nothing").is_err());
    }
}
