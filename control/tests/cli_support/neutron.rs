//! The dumps of `tests/data/neutron`.
#![allow(dead_code, reason = "each test file uses a part of it")]

use super::{Dir, Ran, dvrctl};
use serde_json::Value;
use std::path::{Path, PathBuf};

pub const HOSTS: [&str; 3] = ["compute1", "compute2", "network1"];
/// Neutron's own lists, each as `GET /v2.0/..` answered it.
pub const LISTS: [&str; 7] = ["networks", "subnets", "ports", "routers", "floatingips", "security-groups", "agents"];

pub fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/neutron").join(file)
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn dump(list: &str) -> Value {
    serde_json::from_str(&read(&data(&format!("{list}.json")))).unwrap()
}

pub fn import<S: AsRef<str>>(files: impl IntoIterator<Item = S>) -> Ran {
    let files = files.into_iter().map(|f| f.as_ref().to_owned());
    dvrctl(["import-neutron".to_owned()].into_iter().chain(files))
}

/// The cloud file of all dumps.
pub fn imported(dir: &Dir) -> String {
    let file = dir.text("cloud.json");
    let ran = import([&data("").display().to_string(), "--out", &file]).ends(0);
    assert_eq!(
        ran.out,
        format!("{file}: hosts 3, networks 4, subnets 4, ports 17, routers 1, floatingips 2, security_groups 3\n")
    );
    file
}
