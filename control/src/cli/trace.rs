//! `dvrctl trace`.

use std::path::PathBuf;

use dataplane::umem::Umem;

use super::input::{HostArgs, capture};
use super::{Answer, DONE, Failure, PARTIAL};
use crate::capture::MAX_FRAME;
use crate::explain;
use crate::host::Host;
use crate::replay::{Events, ReplayError, buffers, port_name};

const EXAMPLES: &str = "Examples:
  dvrctl trace --cloud cloud.json --host compute1 --in vm1 --pcap vm1.pcap --frame 3
  dvrctl trace --cloud cloud.json --host compute2 --in tunnel --hex 'ffffffffffff fa163e0a0011 0806 ..'

PORT is a Neutron port's id or unique name, \"tunnel\" (the underlay NIC), or a physical network.
The frame meets freshly derived rows: nothing has been learned before it.";

/// Explain what one host does with one frame: every stage, what it matched and changed, and the outcome
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    host: HostArgs,
    /// The port it is received on
    #[arg(long = "in", value_name = "PORT")]
    port: String,
    #[command(flatten)]
    source: Source,
    /// Number of the frame in the capture, from 1
    #[arg(long, value_name = "N", default_value_t = 1, requires = "pcap", value_parser = clap::value_parser!(u32).range(1..))]
    frame: u32,
    /// Print steps and outcome as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// Capture that holds the frame: pcap or pcapng, gzipped or not
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// The frame as hexadecimal digits; blanks and colons do not matter
    #[arg(long, value_name = "HEX")]
    hex: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    let cloud = args.host.load()?;
    let mut answer = Answer::default();
    let (frame, time) = frame(args, &mut answer.warnings)?;
    let mut umem = Umem::new(buffers(&cloud, 1));
    let mut host = Host::new(cloud, &args.host.host, &mut umem).map_err(|e| Failure::new(e.to_string()))?;
    let port =
        port_name(&host, &args.port, &Events::default()).map_err(|e| Failure::new(ReplayError::Port(e).to_string()))?;
    let (explanation, _) = explain::trace(&mut host, &args.host.host, &port, &frame, time);
    answer.status = if answer.warnings.is_empty() { DONE } else { PARTIAL };
    answer.out = match args.json {
        true => serde_json::to_string_pretty(&explanation).map_err(|e| Failure::new(e.to_string()))? + "\n",
        false => explanation.text(),
    };
    Ok(answer)
}

/// The frame and its time.
fn frame(args: &Args, warnings: &mut Vec<String>) -> Result<(Vec<u8>, u64), Failure> {
    if let Some(text) = &args.source.hex {
        return parse_hex(text).map(|bytes| (bytes, 0)).map_err(|e| Failure::new(format!("--hex: {e}")));
    }
    let path = args.source.pcap.as_deref().unwrap_or(std::path::Path::new(""));
    let mut faults = Vec::new();
    let capture = capture(path, &mut faults)?;
    match capture.frames().find(|f| f.number == args.frame) {
        Some(frame) => {
            // What is wrong elsewhere in the file does not concern this frame.
            Ok((frame.bytes.to_vec(), frame.time))
        }
        None => {
            warnings.append(&mut faults);
            let why = format!("{} has no whole frame {}; it has {}", path.display(), args.frame, capture.len());
            warnings.push(why);
            Err(Failure(std::mem::take(warnings)))
        }
    }
}

/// Bytes of hexadecimal digits, two each; blanks, colons and a leading 0x do not count.
fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let mut digits = Vec::new();
    for (n, c) in text.chars().enumerate().filter(|(_, c)| !c.is_whitespace() && *c != ':') {
        digits.push(c.to_digit(16).ok_or_else(|| format!("{c:?} at place {} is no hexadecimal digit", n + 1))? as u8);
    }
    if digits.len() % 2 != 0 {
        return Err(format!("{} digits make no whole bytes; one is missing", digits.len()));
    }
    if digits.len() / 2 > MAX_FRAME {
        return Err(format!("{} bytes are more than a frame has; at most {MAX_FRAME}", digits.len() / 2));
    }
    Ok(digits.chunks_exact(2).map(|d| d.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex() {
        assert_eq!(parse_hex("0xfa16 3e:0A\n00").unwrap(), [0xfa, 0x16, 0x3e, 0x0a, 0]);
        assert!(parse_hex("fa1").unwrap_err().contains("one is missing"));
        assert!(parse_hex("fa xy").unwrap_err().contains("'x' at place 4"));
        assert!(parse_hex("").unwrap().is_empty());
    }
}
