//! `dvrctl replay`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::input::{HostArgs, capture};
use super::{Answer, DONE, Failure, PARTIAL, REFUSED};
use crate::capture::Capture;
use crate::host::Workers;
use crate::replay::{Events, Input, Options, Outcome, run as replay};
use crate::report;

mod drops;

const EXAMPLES: &str = "Examples:
  dvrctl replay --cloud cloud.json --host compute1 --in vm1=vm1.pcap --out out
  dvrctl replay --cloud cloud.toml --host compute1 --in vm1=vm1.pcap --in tunnel=eth1.pcapng.gz \\
                --events changes.jsonl --out out --json
  dvrctl replay --cloud cloud.json --host compute1 --in tunnel=eth1.pcap --out out --drops drops.pcapng

PORT is a Neutron port's id or unique name, \"tunnel\" (the underlay NIC), or a physical network.
Captures are pcap or pcapng, gzipped or not; they are merged by time, and their clock drives everything.

A line of the events file: {\"at\": 1.5, \"set\": {\"ports\": [{..}]}, \"delete\": {\"routers\": [\"R1\"]}}
with \"at\" in seconds since the first frame and whole resources in the form of the cloud file.";

/// Run captures through one host's pipeline and write what it sends
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    host: HostArgs,
    /// Frames received on a port; may be given several times
    #[arg(long = "in", value_name = "PORT=FILE", required = true, value_parser = parse_input)]
    inputs: Vec<(String, PathBuf)>,
    /// Changes of the cloud while the captures run, one JSON object a line
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Folder for PORT.pcap of each port that sent something; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also write every dropped frame, with the reason as packet comment, to this pcapng file
    #[arg(long, value_name = "FILE")]
    drops: Option<PathBuf>,
    /// Workers that share the ports and queues, 1 to 16; the result is the same for each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    workers: u8,
    /// Frames taken at a time, 1 to 64; the result is the same for each
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u8).range(1..=64))]
    burst: u8,
    /// Print every count as one JSON object
    #[arg(long)]
    json: bool,
}

fn parse_input(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((port, file)) if !port.is_empty() && !file.is_empty() => Ok((port.to_owned(), file.into())),
        _ => Err("expected PORT=FILE, such as vm1=vm1.pcap".to_owned()),
    }
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    let cloud = args.host.load()?;
    let mut answer = Answer::default();
    let events = events(args.events.as_deref())?;
    not_twice(&args.inputs)?;
    let mut inputs = Vec::new();
    for (port, path) in &args.inputs {
        let capture = capture(path, &mut answer.warnings).map_err(|Failure(lines)| {
            Failure(lines.into_iter().map(|line| format!("--in {port}: {line}")).collect())
        })?;
        inputs.push(Input { port: port.clone(), capture });
    }
    let partial = !answer.warnings.is_empty();
    let read = [args.host.cloud.as_path()].into_iter().chain(args.events.as_deref());
    let read: Vec<&Path> = read.chain(args.inputs.iter().map(|(_, p)| p.as_path())).collect();
    if let Some(file) = &args.drops {
        drops::check(file, &read, &args.out)?;
    }
    make_dir(&args.out)?;
    let workers = Workers { count: args.workers.into(), seed: 0 };
    let (host, drops) = (args.host.host.clone(), args.drops.is_some());
    let options = Options { cloud, host, burst: args.burst.into(), workers, drops };
    let outcome = replay(&options, &inputs, &events).map_err(|e| Failure::new(e.to_string()))?;
    let mut written = write(&args.out, &outcome.sent, &args.inputs)?;
    if let Some(file) = &args.drops {
        drops::write(file, &outcome)?;
        written.push((file.clone(), outcome.dropped.len()));
    }
    leftovers(&args.out, &written, &mut answer.warnings);
    for refused in &outcome.refused {
        let head = format!("refused line {} of the events, which changes nothing: ", refused.line);
        answer.warnings.extend(refused.errors.iter().map(|e| format!("{head}{e}")));
    }
    answer.status = match (outcome.refused.is_empty(), partial) {
        (false, _) => REFUSED,
        (true, true) => PARTIAL,
        (true, false) => DONE,
    };
    answer.out = if args.json { report::json(&outcome) } else { text(&args.host.host, &outcome, &written) };
    Ok(answer)
}

fn events(path: Option<&Path>) -> Result<Events, Failure> {
    let Some(path) = path else { return Ok(Events::default()) };
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|e| Failure::new(format!("--events {name}: cannot be read: {e}")))?;
    Ok(Events::parse(&text, &name))
}

/// Each file once at a port: given twice it is a slip of the pen that doubles traffic.
fn not_twice(inputs: &[(String, PathBuf)]) -> Result<(), Failure> {
    let mut seen: BTreeSet<(&str, PathBuf)> = BTreeSet::new();
    for (port, path) in inputs {
        // One that cannot be resolved fails when it is read.
        let Ok(real) = path.canonicalize() else { continue };
        if !seen.insert((port, real)) {
            let file = path.display();
            return Err(Failure::new(format!(
                "--in {port}={file}: this file is already an input of that port; give it once"
            )));
        }
    }
    Ok(())
}

fn make_dir(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|e| Failure::new(format!("--out {}: cannot be made: {e}", dir.display())))
}

/// The file of a port, unless its name would lead out of the folder.
fn file_name(port: &str) -> Result<String, Failure> {
    let outside =
        port.is_empty() || port.starts_with('.') || port.chars().any(|c| matches!(c, '/' | '\\') || c.is_control());
    if outside || port.len() > 250 {
        let why = "it must be a plain name of at most 250 bytes that does not begin with a dot";
        return Err(Failure::new(format!("port {port:?} sent frames, but no file can be named after it: {why}")));
    }
    Ok(format!("{port}.pcap"))
}

/// Writes every capture, or none; returns the files.
fn write(
    dir: &Path,
    sent: &BTreeMap<String, Capture>,
    inputs: &[(String, PathBuf)],
) -> Result<Vec<(PathBuf, usize)>, Failure> {
    let read: Vec<PathBuf> = inputs.iter().filter_map(|(_, p)| p.canonicalize().ok()).collect();
    let mut files = Vec::new();
    for (port, capture) in sent {
        let path = dir.join(file_name(port)?);
        if path.canonicalize().is_ok_and(|p| read.contains(&p)) {
            let what = "would be overwritten, but it is an input; choose another --out";
            return Err(Failure::new(format!("{}: {what}", path.display())));
        }
        files.push((path, capture));
    }
    for (path, capture) in &files {
        let failed = |e| Failure::new(format!("{}: cannot be written: {e}", path.display()));
        fs::File::create(path).and_then(|file| capture.write_pcap(BufWriter::new(file))).map_err(failed)?;
    }
    Ok(files.into_iter().map(|(path, capture)| (path, capture.len())).collect())
}

/// Captures of earlier runs look like results of this one.
fn leftovers(dir: &Path, written: &[(PathBuf, usize)], warnings: &mut Vec<String>) {
    let mut old: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "pcap") && !written.iter().any(|(w, _)| w == path))
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    old.sort();
    if !old.is_empty() {
        warnings.push(format!("{}: not from this run: {}", dir.display(), old.join(", ")));
    }
}

fn text(host: &str, outcome: &Outcome, written: &[(PathBuf, usize)]) -> String {
    let mut s = report::text(host, outcome);
    s.push_str(if written.is_empty() { "\nNothing was sent, so no capture was written.\n" } else { "\nWritten\n" });
    for (path, frames) in written {
        s.push_str(&format!("  {}: {}\n", path.display(), report::count(*frames as u64, "frame")));
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_leaves_the_folder() {
        for bad in ["", ".", "..", "../x", "a/b", "/etc/x", "a\\b", "a\nb", ".hidden"] {
            assert!(file_name(bad).is_err(), "{bad:?}");
        }
        assert!(file_name(&"x".repeat(251)).is_err());
        assert_eq!(file_name("physnet1").unwrap(), "physnet1.pcap");
    }

    #[test]
    fn inputs_are_split_at_the_first_equals_sign() {
        assert_eq!(parse_input("a=b=c").unwrap(), ("a".to_owned(), PathBuf::from("b=c")));
        assert!(["a", "=b", "a="].iter().all(|t| parse_input(t).is_err()));
    }
}
