//! The process and its machine.

use dataplane::umem::FRAME_SIZE;
use rustix::thread::CapabilitySet;

use crate::daemon::doctor::facts::ProcessFacts;
use crate::daemon::doctor::{Finding, Needs};
use crate::report::count;

/// What does without backports: `BPF_F_XDP_HAS_FRAGS`.
const KERNEL: (u32, u32) = (5, 18);
/// From here on one system call sends more than 32 copied frames (`XDP_MAX_TX_SKB_BUDGET`).
const KERNEL_BUDGET: (u32, u32) = (6, 16);
/// Open files of a port, about; and of the rest.
const FILES: (u64, u64) = (5, 128);
const STARTS_NOT: &str = "dvrd does not start";

/// All findings on the process.
pub fn process(facts: &ProcessFacts, needs: &Needs) -> Vec<Finding> {
    vec![
        kernel(facts),
        capabilities(facts, needs),
        filters(facts),
        memory(facts, needs),
        locked(facts, needs),
        files(facts, needs),
        huge_pages(facts),
        cores(facts, needs),
    ]
}

/// Never stops by itself: distributions bring newer parts to older kernels, and the filters are tried.
fn kernel(facts: &ProcessFacts) -> Finding {
    const CHECK: &str = "kernel";
    let release = &facts.kernel;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (major, minor) = KERNEL;
    match version {
        v if v < KERNEL => Finding::warning(
            CHECK,
            format!("Linux {release} is older than {major}.{minor}"),
            "XDP filters may not load, or not on interfaces with a large MTU",
            format!("Linux {major}.{minor} or newer"),
        ),
        v if v < KERNEL_BUDGET => {
            let (major, minor) = KERNEL_BUDGET;
            Finding::ok(CHECK, format!("Linux {release}; from {major}.{minor} on copying takes fewer system calls"))
        }
        _ => Finding::ok(CHECK, format!("Linux {release}")),
    }
}

fn capabilities(facts: &ProcessFacts, needs: &Needs) -> Finding {
    const CHECK: &str = "capabilities";
    let has = facts.capabilities;
    let mut needed = vec![
        (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        (CapabilitySet::NET_RAW, "CAP_NET_RAW"),
        (CapabilitySet::BPF | CapabilitySet::SYS_ADMIN, "CAP_BPF"),
        // Without, the verifier lets no program add a number of the packet to an address in it.
        (CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN, "CAP_PERFMON"),
    ];
    if needs.namespaces {
        needed.push((CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"));
    }
    let missing: Vec<&str> = needed.iter().filter(|(any, _)| !has.intersects(*any)).map(|(_, name)| *name).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let mend = format!("run as root, or with {missing} (systemd: AmbientCapabilities=)");
        return Finding::stop(CHECK, format!("without {missing}"), STARTS_NOT, mend);
    }
    if !has.contains(CapabilitySet::SYS_ADMIN) {
        return Finding::warning(
            CHECK,
            "without CAP_SYS_ADMIN",
            "a veth whose other end is in another namespace cannot be a port: its offloads cannot be turned off",
            "run as root, or with CAP_SYS_ADMIN too; nothing, if there are no such ports",
        );
    }
    let names: Vec<&str> = needed.iter().map(|(_, name)| *name).collect();
    Finding::ok(CHECK, names.join(", "))
}

fn filters(facts: &ProcessFacts) -> Finding {
    match &facts.filters {
        None => Finding::ok("bpf", "the XDP filters load, as tried"),
        Some(why) => {
            let (what, mend) =
                why.split_once("; ").unwrap_or((why, "a kernel with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS"));
            Finding::stop("bpf", what, STARTS_NOT, mend)
        }
    }
}

/// Bytes of packet memory.
fn packet_memory(needs: &Needs) -> u64 {
    u64::from(needs.workers.count) * u64::from(needs.workers.frames) * FRAME_SIZE as u64
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

fn memory(facts: &ProcessFacts, needs: &Needs) -> Finding {
    const CHECK: &str = "memory";
    let bytes = packet_memory(needs);
    let of = format!("{} for {}", mib(bytes), count(needs.workers.count.into(), "worker"));
    match facts.available {
        Some(available) if available < bytes => Finding::stop(
            CHECK,
            format!("packet memory takes {of}, and {} are available", mib(available)),
            "dvrd does not start, or the kernel ends it or something else",
            format!("workers.frames = {}, or more memory", frames(available / 2, needs)),
        ),
        Some(available) => Finding::ok(CHECK, format!("packet memory takes {of}, of {} available", mib(available))),
        None => Finding::ok(CHECK, format!("packet memory takes {of}")),
    }
}

/// `workers.frames` that takes at most so many bytes.
fn frames(bytes: u64, needs: &Needs) -> u64 {
    let frames = bytes / FRAME_SIZE as u64 / u64::from(needs.workers.count.max(1));
    frames.max((*crate::daemon::config::Workers::FRAMES.start()).into())
}

/// Each interface's registration of packet memory counts by itself (`xdp_umem_account_pages`).
fn locked(facts: &ProcessFacts, needs: &Needs) -> Finding {
    const CHECK: &str = "memlock";
    let bytes = packet_memory(needs) * needs.interfaces as u64;
    let of_nics = packet_memory(needs) * needs.interfaces.saturating_sub(needs.ports) as u64;
    let of = count(needs.interfaces as u64, "interface");
    if facts.capabilities.contains(CapabilitySet::IPC_LOCK) {
        return Finding::ok(CHECK, "CAP_IPC_LOCK: no limit on locked memory");
    }
    let limit = match facts.memlock {
        None => return Finding::ok(CHECK, "RLIMIT_MEMLOCK is unlimited"),
        Some(limit) if limit >= bytes => {
            let what = format!("RLIMIT_MEMLOCK is {}, {} are locked for {of}", mib(limit), mib(bytes));
            return Finding::ok(CHECK, what);
        }
        Some(limit) => limit,
    };
    let what =
        format!("without CAP_IPC_LOCK, RLIMIT_MEMLOCK is {}, and {} are locked for {of}", mib(limit), mib(bytes));
    let mend = format!("CAP_IPC_LOCK; or `ulimit -l {}`, LimitMEMLOCK={bytes}", bytes.div_ceil(1024));
    match limit < of_nics {
        true => Finding::stop(CHECK, what, STARTS_NOT, mend),
        false => Finding::problem(CHECK, what, "ports that come last are not taken", mend),
    }
}

fn files(facts: &ProcessFacts, needs: &Needs) -> Finding {
    const CHECK: &str = "open files";
    let (each, rest) = FILES;
    let wanted = rest + each * needs.ports as u64;
    let of = count(needs.ports as u64, "port");
    match facts.files {
        Some(limit) if limit < wanted => Finding::problem(
            CHECK,
            format!("the hard limit is {limit}, and {of} need about {wanted}"),
            "ports that come last are not taken",
            format!("LimitNOFILE={wanted}, or `ulimit -Hn {wanted}` before"),
        ),
        Some(limit) => Finding::ok(CHECK, format!("the hard limit is {limit}, {of} need about {wanted}")),
        None => Finding::ok(CHECK, "no limit"),
    }
}

fn huge_pages(facts: &ProcessFacts) -> Finding {
    const CHECK: &str = "huge pages";
    match facts.huge_pages.as_deref() {
        Some(word @ ("always" | "madvise")) => Finding::ok(CHECK, format!("transparent_hugepage is {word}")),
        word => Finding::warning(
            CHECK,
            match word {
                Some(word) => format!("transparent_hugepage is {word}"),
                None => "this kernel has no transparent huge pages".to_owned(),
            },
            "large tables are in small pages: with a million rows a routed packet took a quarter more time (bench/LOG.md)",
            match word {
                Some(_) => "`echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`",
                None => "a kernel with CONFIG_TRANSPARENT_HUGEPAGE; nothing, if tables are small",
            },
        ),
    }
}

fn cores(facts: &ProcessFacts, needs: &Needs) -> Finding {
    const CHECK: &str = "cores";
    let list = |cores: &[usize]| cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let workers = usize::from(needs.workers.count);
    let Some(pinned) = needs.workers.cores.as_deref() else {
        return match facts.cores.len() {
            0 => Finding::ok(CHECK, "workers are not pinned"),
            n if n < workers => Finding::warning(
                CHECK,
                format!("{} on {}", count(workers as u64, "worker"), count(n as u64, "core")),
                "workers wait for each other's time slices",
                format!("workers.count = {n}"),
            ),
            n => Finding::ok(CHECK, format!("workers are not pinned; {} for them", count(n as u64, "core"))),
        };
    };
    let twins = facts.siblings.iter().map(|set| pinned.iter().copied().filter(|c| set.contains(c)).collect::<Vec<_>>());
    if let Some(twins) = twins.into_iter().find(|twins| twins.len() > 1) {
        return Finding::warning(
            CHECK,
            format!("the cores {} are threads of one core", list(&twins)),
            "their workers share its caches and units: less than two cores' work",
            "workers.cores on cores of their own (`lscpu -e` shows which belong together)",
        );
    }
    let shared: Vec<usize> = pinned.iter().copied().filter(|c| !facts.isolated.contains(c)).collect();
    if shared.is_empty() {
        return Finding::ok(CHECK, format!("pinned to {}, isolated", list(pinned)));
    }
    Finding::warning(
        CHECK,
        format!("pinned to {}, and the scheduler gives {} to other programs too", list(pinned), list(&shared)),
        "packets wait while another program has the core",
        format!(
            "isolcpus={0} nohz_full={0} on the kernel's command line, or other services kept off (AllowedCPUs=)",
            list(&shared).replace(", ", ",")
        ),
    )
}
