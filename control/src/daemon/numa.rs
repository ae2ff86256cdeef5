//! NUMA nodes: a core reaches the memory and the devices of its own node without crossing to another.
//!
//! By `/sys`, which knows nodes of cores and of devices on buses. A NIC is looked for by its bus address, because
//! `/sys/class/net` has the interfaces of one network namespace only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::doctor::process::cpu_list;

const NODES: &str = "/sys/devices/system/node";
const BUSES: &str = "/sys/bus";

/// Number of a node.
pub type Node = u32;

/// The cores of each node that has some.
pub fn cores() -> BTreeMap<Node, BTreeSet<usize>> {
    cores_in(Path::new(NODES))
}

fn cores_in(nodes: &Path) -> BTreeMap<Node, BTreeSet<usize>> {
    let entries = std::fs::read_dir(nodes).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        let node = entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
        let cores = cpu_list(std::fs::read_to_string(entry.path().join("cpulist")).ok()?.trim());
        (!cores.is_empty()).then_some((node, cores))
    };
    entries.filter_map(of).collect()
}

/// The node of the device with this address on a bus; none: it is on no bus, or the machine does not say (-1).
pub fn of_device(bus: &str) -> Option<Node> {
    of_device_in(Path::new(BUSES), bus)
}

fn of_device_in(buses: &Path, bus: &str) -> Option<Node> {
    if bus.is_empty() || bus.contains('/') || bus.starts_with('.') {
        return None;
    }
    let kinds = std::fs::read_dir(buses).ok()?.flatten();
    let node = |kind: std::fs::DirEntry| {
        let text = std::fs::read_to_string(kind.path().join("devices").join(bus).join("numa_node")).ok()?;
        text.trim().parse().ok() // -1 is no number of a node
    };
    kinds.into_iter().find_map(node)
}

/// Runs `f` on a core, if one is given: what it is the first to touch is in the memory of that core's node. Not pinned where
/// that is refused, which the worker that is to run there says.
pub fn on_core<R: Send>(core: Option<usize>, f: impl FnOnce() -> R + Send) -> R {
    let Some(id) = core else { return f() };
    let there = || {
        core_affinity::set_for_current(core_affinity::CoreId { id });
        f()
    };
    let ran = std::thread::scope(|scope| scope.spawn(there).join());
    ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files, removed with the value.
    struct Files(std::path::PathBuf);

    impl Files {
        fn new(name: &str, files: &[(&str, &str)]) -> Files {
            let dir = std::env::temp_dir().join(format!("dvrd-numa-{}-{name}", std::process::id()));
            for (path, text) in files {
                let path = dir.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Files(dir)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// As Linux writes them: Documentation/ABI/stable/sysfs-devices-node, testing/sysfs-bus-pci.
    #[test]
    fn nodes_are_read_as_the_kernel_writes_them() {
        let files = [
            ("node0/cpulist", "0-3,8\n"),
            ("node1/cpulist", "4-7\n"),
            ("node2/cpulist", "\n"),
            ("online", "0-2\n"),
            ("pci/devices/0000:3b:00.0/numa_node", "1\n"),
            ("pci/devices/0000:00:03.0/numa_node", "-1\n"),
            ("platform/devices/eth-soc/driver", ""),
        ];
        let dir = Files::new("sys", &files);
        assert_eq!(cores_in(&dir.0), [(0, [0, 1, 2, 3, 8].into()), (1, [4, 5, 6, 7].into())].into());
        let of = |bus| of_device_in(&dir.0, bus);
        assert_eq!([of("0000:3b:00.0"), of("0000:00:03.0")], [Some(1), None]);
        for none in ["", "N/A", "tap", "eth-soc", "..", "0000:3b:00.0/.."] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    /// Every core is of one node, as `lscpu -p` prints them too.
    #[test]
    fn the_nodes_of_this_machine_have_all_its_cores() {
        let all: BTreeSet<usize> = cores().into_values().flatten().collect();
        let here = super::super::config::available_cores();
        assert!(all.is_empty() || here.is_subset(&all), "{all:?} {here:?}");
    }

    #[test]
    fn what_runs_on_a_core_runs_there() {
        let core = super::super::config::available_cores().last().copied();
        let allowed = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).unwrap();
            cpu_list(line.trim())
        };
        let before = allowed();
        assert_eq!(on_core(core, allowed), core.into_iter().collect());
        assert_eq!((on_core(None, allowed), allowed()), (before.clone(), before));
    }
}
