//! Facts on this process and its machine.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use rustix::thread::CapabilitySet;

use super::facts::ProcessFacts;
use crate::daemon::config::available_cores;
use dataplane::io::af_xdp::filter;

const CPUS: &str = "/sys/devices/system/cpu";

/// All of them, now.
pub fn facts() -> ProcessFacts {
    let none = CapabilitySet::empty();
    ProcessFacts {
        kernel: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
        capabilities: rustix::thread::capabilities(None).map_or(none, |sets| sets.effective),
        filters: filter::loads().err().map(|e| e.to_string()),
        memlock: getrlimit(Resource::Memlock).current,
        available: read("/proc/meminfo").and_then(|text| mem_available(&text)),
        files: getrlimit(Resource::Nofile).maximum,
        huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text)),
        cores: available_cores(),
        isolated: read(format!("{CPUS}/isolated")).map(|text| cpu_list(&text)).unwrap_or_default(),
        siblings: siblings(),
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn siblings() -> BTreeSet<BTreeSet<usize>> {
    let of = |core: usize| read(format!("{CPUS}/cpu{core}/topology/thread_siblings_list")).map(|text| cpu_list(&text));
    available_cores().into_iter().filter_map(of).filter(|set| set.len() > 1).collect()
}

/// `MemAvailable:    8123 kB`, in bytes.
pub(super) fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// `always [madvise] never`: the one in brackets.
pub(super) fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

/// `0-3,8`: the kernel's lists of cores. What is no number is left out.
pub(in crate::daemon) fn cpu_list(text: &str) -> BTreeSet<usize> {
    let ranges = text.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?)
    });
    ranges.flatten().collect()
}
