//! What a process has of the machine: memory, descriptors, threads, CPU time.

use super::command::Res;
use super::process::Process;
use std::time::Duration;

/// At one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Open file descriptors.
    pub fds: usize,
    /// Threads.
    pub threads: usize,
    /// Memory of its own, KiB (`RssAnon` of proc_pid_status(5)): without packet memory, which is a memfd's.
    pub anon_kib: u64,
    /// CPU time of its threads so far; of those that have ended, nothing.
    pub cpu: Duration,
}

impl Usage {
    /// Of a process now.
    pub fn of(process: &Process) -> Res<Usage> {
        let path = |what: &str| format!("/proc/{}/{what}", process.pid);
        let read = |path: String| std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"));
        let names = |path: String| -> Res<Vec<String>> {
            let entries = std::fs::read_dir(&path).map_err(|e| format!("{path}: {e}"))?;
            Ok(entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect())
        };
        let status = read(path("status"))?;
        let anon = status.lines().find_map(|l| l.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok());
        let tasks = names(path("task"))?;
        // ns on a CPU come first (Documentation/scheduler/sched-stats.rst); a thread may end meanwhile.
        let ran =
            |task: &String| read(path(&format!("task/{task}/schedstat"))).ok()?.split(' ').next()?.parse::<u64>().ok();
        Ok(Usage {
            fds: names(path("fd"))?.len(),
            threads: tasks.len(),
            anon_kib: anon.ok_or_else(|| format!("no RssAnon in {status}"))?,
            cpu: Duration::from_nanos(tasks.iter().filter_map(ran).sum()),
        })
    }
}

/// The slope of a line through points (time, value) that few of them can bend: the median of the slopes between any two
/// (Theil and Sen). None of fewer than two times.
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let pairs = points.iter().enumerate().flat_map(|(n, a)| points.iter().skip(n + 1).map(move |b| (a, b)));
    let mut slopes: Vec<f64> = pairs.filter(|(a, b)| a.0 != b.0).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
    slopes.sort_by(f64::total_cmp);
    median(&slopes)
}

/// The middle of sorted numbers; none of none.
pub fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    /// A shell with three more descriptors and a string of a mebibyte, after a loop, while it waits for a word.
    #[test]
    fn a_process_uses_what_it_takes() {
        const TAKES: &str = "read x; exec 3</dev/null 4</dev/null 5</dev/null; s=x; n=0; \
            while [ $n -lt 20 ]; do s=$s$s; n=$((n+1)); done; n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; \
            echo done; read x";
        let mut shell = Command::new("sh");
        let mut shell = shell.args(["-c", TAKES]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut words, answers) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let process = Process::running(shell.id()).unwrap();
        let before = Usage::of(&process).unwrap();
        writeln!(words, "go").unwrap();
        let mut answer = String::new();
        BufReader::new(answers).read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n");
        let after = Usage::of(&process).unwrap();
        assert_eq!((after.fds, after.threads), (before.fds + 3, 1), "{before:?} {after:?}");
        assert!(after.anon_kib >= before.anon_kib + 1024, "{before:?} {after:?}");
        assert!(after.cpu >= before.cpu + Duration::from_millis(20), "{before:?} {after:?}");
        drop(words);
        shell.wait().unwrap();
    }

    #[test]
    fn a_slope_is_that_of_most_points() {
        let line = |f: &dyn Fn(usize) -> f64| (0..30).map(|n| (n as f64, f(n))).collect::<Vec<_>>();
        let leaks = slope(&line(&|n| 1000.0 + 3.0 * n as f64 + if n % 7 == 0 { 500.0 } else { 0.0 })).unwrap();
        assert!((2.0..4.0).contains(&leaks), "{leaks}");
        let holds = slope(&line(&|n| if n % 5 == 0 { 1400.0 } else { 1000.0 })).unwrap();
        assert_eq!(holds, 0.0);
        assert_eq!((slope(&[]), slope(&[(1.0, 2.0)]), slope(&[(1.0, 2.0), (1.0, 5.0)])), (None, None, None));
    }
}
