//! Where the frames come from: the baseline's captures, or for cases it has not, the same builder in Rust.

use crate::Options;
use bench::frames::{Case, LEN, Plan, scattered};
use bench::host::{Host, port_ix};
use bench::load::{Source, read_pcap};
use bench::topo::{LOCAL, NETS, lvm_mac};
use control::host::Workers;
use dataplane::burst::Door;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

type Frames = Vec<(Door, Vec<u8>)>;

/// What gen_pcap.py mixes, with FCS.
const IMIX: [usize; 12] = [64, 576, 64, 64, 576, 64, 1468, 64, 576, 64, 64, 576];
/// gen_pcap.py repeats the flows until there are so many frames.
const LEAST: u32 = 1020;

/// The frames of the case in their order, with the doors they come in by.
pub fn load(o: &Options, plan: Plan) -> Result<Frames, String> {
    if plan.more != 0 || Case::OURS.contains(&plan.case) {
        return made(o, plan);
    }
    if let Some(dir) = &o.dir {
        return captures(dir, plan.case);
    }
    let dir = std::env::temp_dir().join(format!("pktbench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let frames = generate(o, plan.case, &dir).and_then(|()| captures(&dir, plan.case));
    std::fs::remove_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    frames
}

fn generate(o: &Options, case: Case, dir: &Path) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline/gen_pcap.py");
    let run = Command::new("python3")
        .arg(&script)
        .args(["--case", case.name(), "--flows", &o.flows.to_string(), "--size", &o.size, "--out"])
        .arg(dir.join(case.name()))
        .output()
        .map_err(|e| format!("python3 {}: {e}; or give captures with --dir", script.display()))?;
    if run.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&run.stderr).into_owned()) }
}

/// One capture for each port of the baseline, `CASE.p<N>.pcap`; there a network's VMs share a port, here each has its own,
/// so that port security knows who sends.
fn captures(dir: &Path, case: Case) -> Result<Frames, String> {
    let mut paths: Vec<PathBuf> =
        (0..NETS).map(|n| dir.join(format!("{}.p{n}.pcap", case.name()))).filter(|p| p.exists()).collect();
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{}: no {}.p<N>.pcap; gen_pcap.py writes them", dir.display(), case.name()));
    }
    let vms: HashMap<[u8; 6], Door> =
        (0..NETS).flat_map(|n| (0..LOCAL).map(move |j| (lvm_mac(n, j).octets(), Door::Port(port_ix(n, j))))).collect();
    let door = |frame: &[u8]| match case {
        Case::L2In | Case::Decap => Some(Door::Tunnel),
        Case::FipIn => Some(Door::Phys(0)),
        _ => vms.get(frame.get(6..12)?).copied(),
    };
    let mut frames = Vec::new();
    for path in &paths {
        for frame in read_pcap(path).map_err(|e| format!("{}: {e}", path.display()))? {
            let from = door(&frame).ok_or_else(|| format!("{}: a frame of no VM", path.display()))?;
            frames.push((from, frame));
        }
    }
    Ok(frames)
}

fn made(o: &Options, plan: Plan) -> Result<Frames, String> {
    let rounds = LEAST.div_ceil(o.flows.max(1)).max(1);
    let all = (0..rounds).flat_map(|_| scattered(plan, o.flows, LEN));
    if o.size != "imix" {
        let len = o.size.parse::<usize>().ok().filter(|len| (64..=1468).contains(len));
        let len = len.ok_or("--size is 64 to 1468, or imix")? - 4;
        return Ok((0..rounds).flat_map(|_| scattered(plan, o.flows, len)).collect());
    }
    // The same flows, each frame as long as its turn says.
    let sized = all.enumerate().map(|(seq, _)| {
        let i = (seq as u64 * 7919 % u64::from(o.flows)) as u32;
        plan.input(i, IMIX[seq % IMIX.len()] - 4)
    });
    Ok(sized.collect())
}

/// The sources of each worker: a VM's frames come in at the worker that owns its port, those of a NIC by the queue that
/// a hash of the flow names.
pub fn share(frames: Frames, host: &Host, workers: usize) -> Vec<Vec<Source>> {
    let rss = Workers { count: workers, seed: 1 };
    let mut of: Vec<Vec<(Door, Vec<u8>)>> = vec![Vec::new(); workers];
    for (door, frame) in frames {
        let worker = match door {
            Door::Port(ix) => usize::from(host.owner(ix).0),
            _ => rss.queue(&frame),
        };
        of[worker].push((door, frame));
    }
    of.into_iter().map(|frames| bench::load::by_door(frames.into_iter())).collect()
}
