//! Child processes with a limit on their time; none outlives the value that stands for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Why a step of the lab could not be done, in words.
pub type Res<T> = Result<T, String>;

/// What a process left.
pub struct Done {
    /// Its command line, for messages.
    pub words: String,
    /// The exit status; `None`: ended by a signal.
    pub status: Option<i32>,
    pub out: String,
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
}

impl Proc {
    /// Starts a command; its output goes to files in `dir`.
    pub fn start(dir: &Path, argv: &[String]) -> Res<Proc> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (dir.join(format!("{n}.out")), dir.join(format!("{n}.err")));
        let words = argv.join(" ");
        let file = |path: &Path| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
        let [program, args @ ..] = argv else { return Err("an empty command".to_owned()) };
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(file(&out)?).stderr(file(&err)?).env("LC_ALL", "C");
        let child = command.spawn().map_err(|e| format!("`{words}`: {e}"))?;
        Ok(Proc { child, words, out, err })
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
        read(&self.out) + &read(&self.err)
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
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
