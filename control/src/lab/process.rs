//! A process by its id and the time it started, so that an id the kernel has given to another is not mistaken for it.

use super::command::Res;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A process that runs or ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it started, clock ticks since boot: field 22 of `/proc/PID/stat` (proc_pid_stat(5)).
    pub start: u64,
}

impl Process {
    /// The process with this id now.
    pub fn running(pid: u32) -> Res<Process> {
        let start = started(pid).ok_or_else(|| format!("process {pid} has ended"))?;
        Ok(Process { pid, start })
    }

    /// This process.
    pub fn this() -> Res<Process> {
        Process::running(std::process::id())
    }

    /// Whether it still runs.
    pub fn lives(&self) -> bool {
        started(self.pid) == Some(self.start)
    }

    /// A handle on it: nobody else can come to have it; none if it has ended.
    fn open(&self) -> Res<Option<OwnedFd>> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or("process id out of range")?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Looked at after it was opened: what the handle stands for is what was looked at.
            Ok(fd) => Ok(self.lives().then_some(fd)),
            Err(Errno::SRCH) => Ok(None),
            Err(e) => Err(format!("process {}: {e}", self.pid)),
        }
    }

    /// Sends it a signal. False: it has ended.
    pub fn signal(&self, signal: Signal) -> Res<bool> {
        let Some(fd) = self.open()? else { return Ok(false) };
        match pidfd_send_signal(fd, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(e) => Err(format!("process {}: {e}", self.pid)),
        }
    }

    /// Sends it SIGTERM, and SIGKILL if it has not ended within `limit`.
    pub fn end(&self, limit: Duration) -> Res<End> {
        let Some(fd) = self.open()? else { return Ok(End::Before) };
        for (signal, end, limit) in
            [(Signal::TERM, End::Asked, limit), (Signal::KILL, End::Killed, Duration::from_secs(5))]
        {
            match pidfd_send_signal(&fd, signal) {
                Ok(()) | Err(Errno::SRCH) => (),
                Err(e) => return Err(format!("process {}: {e}", self.pid)),
            }
            if ended(&fd, limit)? {
                return Ok(end);
            }
        }
        Err(format!("process {} does not end, not even by SIGKILL", self.pid))
    }
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was there no more.
    Before,
    /// By SIGTERM.
    Asked,
    /// By SIGKILL.
    Killed,
}

/// Waits for the end; false: it takes longer. A pidfd becomes readable with the end, whether or not somebody has waited for it.
fn ended(fd: &OwnedFd, limit: Duration) -> Res<bool> {
    let end = std::time::Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now());
        let left = Timespec::try_from(left).map_err(|e| e.to_string())?;
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&left)) {
            Ok(n) => return Ok(n > 0),
            Err(Errno::INTR) => (),
            Err(e) => return Err(format!("poll: {e}")),
        }
    }
}

/// When a process started; none: there is none, or only what its parent has not asked for yet (a zombie).
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, and may have anything in it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn ends_the_process_it_was_made_of() {
        let mut child = sleeper();
        let process = Process::running(child.id()).unwrap();
        assert!(process.lives());
        assert_eq!(process.end(Duration::from_secs(5)), Ok(End::Asked));
        // Not waited for yet: a zombie, with the same id and start.
        assert!(!process.lives());
        assert_eq!(process.end(Duration::from_secs(5)), Ok(End::Before));
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn leaves_another_with_the_same_id_alone() {
        let mut child = sleeper();
        let mut other = Process::running(child.id()).unwrap();
        other.start -= 1;
        assert!(!other.lives());
        assert_eq!(other.signal(Signal::KILL), Ok(false));
        assert_eq!(other.end(Duration::from_secs(5)), Ok(End::Before));
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn kills_what_does_not_listen() {
        let mut sh = Command::new("sh");
        sh.args(["-c", "trap '' TERM; echo; while :; do sleep 0.1; done"]).stdout(std::process::Stdio::piped());
        let mut child = sh.spawn().unwrap();
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let process = Process::running(child.id()).unwrap();
        assert_eq!(process.end(Duration::from_millis(200)), Ok(End::Killed));
        child.wait().unwrap();
    }
}
