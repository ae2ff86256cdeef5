//! Child processes with a limit on their time; none outlives the value that stands for it, unless it is let go.

use super::process::Process;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Why a step of the lab could not be done, in words.
pub type Res<T> = Result<T, String>;

/// Set by a signal that asks to end.
static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on Ctrl-C, SIGTERM and SIGHUP end no more than the step that is being done, so that what was made is unmade.
pub fn end_by_signal() -> Res<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let flag = STOP.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, flag.clone()).map_err(|e| format!("signal {signal}: {e}"))?;
    }
    Ok(())
}

/// An error once a signal has asked to end.
pub fn go_on() -> Res<()> {
    let stop = STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed));
    if stop { Err("interrupted".to_owned()) } else { Ok(()) }
}

/// What a process left.
pub struct Done {
    /// Its command line, for messages.
    pub words: String,
    /// The exit status; `None`: ended by a signal.
    pub status: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Done {
    /// The standard output of a process that ended well.
    pub fn good(self) -> Res<String> {
        if self.status == Some(0) { Ok(self.out) } else { Err(self.to_string()) }
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.status.map_or("ended by a signal".to_owned(), |s| format!("exit status {s}"));
        write!(f, "`{}`: {status}\n{}{}", self.words, self.out, self.err)
    }
}

/// A running process, killed with the value. Its output goes to files, so that it never waits for a reader.
pub struct Proc {
    child: Child,
    words: String,
    out: PathBuf,
    err: PathBuf,
    /// Killed with the value, and its files removed.
    ours: bool,
}

impl Proc {
    /// Starts a command; its output goes to files in `dir`.
    pub fn start(dir: &Path, argv: &[String]) -> Res<Proc> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (dir.join(format!("{n}.out")), dir.join(format!("{n}.err")));
        let file = |path: &Path| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
        let files = (file(&out)?, file(&err)?);
        Self::spawn(argv, (out, err), files, |_| ())
    }

    /// Starts a command that may be let go ([`Proc::let_go`]): all of its output goes to one file, and a Ctrl-C at the
    /// terminal does not reach it.
    pub fn daemon(log: &Path, argv: &[String]) -> Res<Proc> {
        let file =
            || File::options().create(true).append(true).open(log).map_err(|e| format!("{}: {e}", log.display()));
        let files = (file()?, file()?);
        Self::spawn(argv, (log.to_owned(), log.to_owned()), files, |command| {
            command.process_group(0).current_dir("/");
        })
    }

    fn spawn(
        argv: &[String],
        (out, err): (PathBuf, PathBuf),
        files: (File, File),
        more: impl Fn(&mut Command),
    ) -> Res<Proc> {
        let words = argv.join(" ");
        go_on()?;
        let [program, args @ ..] = argv else { return Err("an empty command".to_owned()) };
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(files.0).stderr(files.1).env("LC_ALL", "C");
        more(&mut command);
        let child = command.spawn().map_err(|e| format!("`{words}`: {e}"))?;
        Ok(Proc { child, words, out, err, ours: true })
    }

    /// Its identity, for whoever comes later.
    pub fn process(&self) -> Res<Process> {
        Process::running(self.child.id())
    }

    /// From now on it lives on when the value goes.
    pub fn let_go(&mut self) {
        self.ours = false;
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        read(&self.out)
    }

    /// What it has said so far on standard error.
    pub fn logged(&self) -> String {
        read(&self.err)
    }

    /// Waits for a line with these words on its standard output. An error if it ends before, or says nothing in time.
    pub fn until(&mut self, line: &str, limit: Duration) -> Res<()> {
        let end = Instant::now() + limit;
        loop {
            let over = self.ended()?;
            if self.printed().lines().any(|l| l.contains(line)) {
                return Ok(());
            }
            if over || Instant::now() > end {
                let why = if over { "ended" } else { "took too long" };
                return Err(format!("`{}`: {why} without a line \"{line}\"\n{}", self.words, self.texts()));
            }
            go_on()?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Res<bool> {
        self.child.try_wait().map(|s| s.is_some()).map_err(|e| format!("`{}`: {e}", self.words))
    }

    /// Waits for its end; past the limit it is killed, which is an error.
    pub fn wait(mut self, limit: Duration) -> Res<Done> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().map_err(|e| format!("`{}`: {e}", self.words))? {
                let (words, out, err) = (self.words.clone(), read(&self.out), read(&self.err));
                return Ok(Done { words, status: status.code(), out, err });
            }
            if Instant::now() > end {
                return Err(format!("`{}`: killed after {limit:?}\n{}", self.words, self.texts()));
            }
            go_on()?;
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal by name. Needs no `unsafe`, unlike kill(2).
    pub fn signal(&self, name: &str) -> Res<()> {
        let pid = self.child.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status();
        if status.is_ok_and(|s| s.success()) { Ok(()) } else { Err(format!("cannot send {name} to `{}`", self.words)) }
    }

    fn texts(&self) -> String {
        if self.out == self.err { read(&self.out) } else { read(&self.out) + &read(&self.err) }
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        if !self.ours {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.out);
        let _ = std::fs::remove_file(&self.err);
    }
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// The words of a command line without quotes.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
