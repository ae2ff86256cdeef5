//! `dvrctl import-neutron`.

use std::path::{Path, PathBuf};

use super::{Answer, DONE, Failure, PARTIAL};
use crate::import;
use crate::model::Problems;

const EXAMPLES: &str = "Examples:
  for list in networks subnets ports routers floatingips security-groups agents; do
    curl -sH \"X-Auth-Token: $TOKEN\" $NEUTRON/v2.0/$list > dumps/$list.json
  done
  dvrctl import-neutron --out cloud.json dumps/ dvr-macs.json

Each file holds one or more lists as Neutron's API answers them to an admin, {\"networks\": [..]}. Besides:
  [{\"host\": .., \"mac_address\": ..}]   the DVR MACs, as Neutron's RPC get_dvr_mac_address_list answers them:
                                       mysql -N neutron -e \"select json_arrayagg(json_object(
                                         'host', host, 'mac_address', mac_address)) from dvr_host_macs\"
  {\"hosts\": [{\"name\": .., ..}]}         what the agents do not say or say otherwise (vtep, vtep_mac, underlay_mtu, ..)
  {\"settings\": {..}, \"neighbors\": [..]} as in a cloud file

Exit status 1: done, but something a host needs is not in the dumps; standard error says what and how to give it.";

/// Make a cloud file of dumps of Neutron's API lists: networks, subnets, ports, routers, floatingips, agents
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where to write the cloud file; standard output if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Dumps: JSON files, or folders whose .json files are read
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    let import = import::import(&files(&args.paths)?)?;
    let status = if import.missing.is_empty() { DONE } else { PARTIAL };
    let mut answer = Answer { status, ..Answer::default() };
    answer.warnings.extend(import.missing.iter().map(|m| format!("missing: {m}")));
    answer.warnings.extend(import.notes.iter().map(|n| format!("note: {n}")));
    let Some(out) = &args.out else {
        answer.out = import.document;
        return Ok(answer);
    };
    std::fs::write(out, &import.document).map_err(|e| Failure::new(format!("--out {}: {e}", out.display())))?;
    let c = &import.cloud;
    let counts = [
        (c.hosts.len(), "hosts"),
        (c.networks.len(), "networks"),
        (c.subnets.len(), "subnets"),
        (c.ports.len(), "ports"),
        (c.routers.len(), "routers"),
        (c.floatingips.len(), "floatingips"),
        (c.security_groups.len(), "security_groups"),
    ];
    let counts: Vec<String> = counts.iter().map(|(n, what)| format!("{what} {n}")).collect();
    answer.out = format!("{}: {}\n", out.display(), counts.join(", "));
    Ok(answer)
}

/// Names and texts of all files; those of folders in the order of their names.
fn files(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            all.extend(in_folder(path)?);
        } else {
            all.push(path.clone());
        }
    }
    all.iter()
        .map(|path| Ok((path.display().to_string(), crate::model::read_text(path)?)))
        .collect::<Result<_, Problems>>()
        .map_err(Failure::from)
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("{}: {e}", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            found.push(path);
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(Failure::new(format!("{}: no .json file in this folder", folder.display()))),
        false => Ok(found),
    }
}
