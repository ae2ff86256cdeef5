//! `--drops FILE`: dropped frames with their reasons.

use std::fs;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::super::Failure;
use crate::capture::PcapNgWriter;
use crate::explain::reasons::comment;
use crate::replay::Outcome;

/// What the file says of itself.
const ABOUT: &str = "Frames dvrd dropped, as received, each on the interface of the port it came in by. The comment of a packet \
                     says why; `dvrctl explain NAME` says more. See docs/drops.md.";

/// The file can be written without harm to one that is `read`, or to the captures of `out`; or why not.
pub(super) fn check(file: &Path, read: &[&Path], out: &Path) -> Result<(), Failure> {
    let fail = |what: &str| Err(Failure::new(format!("--drops {}: {what}", file.display())));
    if file.is_dir() || file.file_name().is_none() {
        return fail("is a folder; give the name of a file");
    }
    let folder = folder(file);
    if !folder.is_dir() {
        return fail(&format!("the folder {} is not there; make it first", folder.display()));
    }
    let real = file.canonicalize().ok();
    if real.is_some() && read.iter().any(|p| p.canonicalize().ok() == real) {
        return fail("would be overwritten, but it is an input; choose another name");
    }
    let beside = out.canonicalize().is_ok_and(|out| folder.canonicalize().is_ok_and(|f| f == out));
    if beside && file.extension().is_some_and(|e| e == "pcap") {
        return fail("could be taken for what a port sent; call it .pcapng, or put it elsewhere than into --out");
    }
    Ok(())
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(p) if p != Path::new("") => p.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Writes the file whole, or leaves what was there.
pub(super) fn write(file: &Path, outcome: &Outcome) -> Result<(), Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let part = folder(file).join(format!(".{name}.{}.part", std::process::id()));
    let written = fs::File::create_new(&part)
        .and_then(|f| frames(BufWriter::new(f), outcome))
        .and_then(|()| fs::rename(&part, file));
    written.map_err(|e| {
        let _ = fs::remove_file(&part);
        Failure::new(format!("--drops {}: cannot be written: {e}", file.display()))
    })
}

fn frames(out: impl io::Write, outcome: &Outcome) -> io::Result<()> {
    let received = outcome.totals.ports.iter().filter(|(_, n)| n.rx > 0).map(|(name, _)| name.as_str());
    let mut w = PcapNgWriter::new(out, ABOUT, received)?;
    for d in &outcome.dropped {
        w.frame(&d.port, d.time, d.len, &d.bytes, &comment(d.stage, d.reason))?;
    }
    w.finish().map(drop)
}
