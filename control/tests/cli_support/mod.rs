//! Running the built `dvrctl`.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod neutron;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run of `dvrctl` left.
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out, self.err))
    }

    /// Panics unless the status is this one.
    #[track_caller]
    pub fn ends(self, status: i32) -> Ran {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

/// Runs `dvrctl`.
pub fn dvrctl<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_dvrctl")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A path in `pcap-fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-fixtures").join(path)
}

/// The cloud of the fixtures.
pub fn cloud() -> String {
    fixture("T/cloud.json").display().to_string()
}

/// An empty folder, removed with the value.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("dvrd-test-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    pub fn text(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }

    /// Writes a file and returns its path.
    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(file), bytes).unwrap();
        self.text(file)
    }

    pub fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `dvrctl replay` at H1 with these inputs and further arguments; `dir` gets the output under `out`.
pub fn replay(dir: &Dir, host: &str, inputs: &[(&str, &str)], more: &[&str]) -> Ran {
    let mut args: Vec<String> =
        ["replay", "--cloud", &cloud(), "--host", host, "--out", &dir.text("out")].map(str::to_owned).into();
    for (port, file) in inputs {
        args.push("--in".to_owned());
        args.push(format!("{port}={file}"));
    }
    args.extend(more.iter().map(|s| (*s).to_owned()));
    dvrctl(args)
}
