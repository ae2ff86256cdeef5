//! `dvrctl check`.

use std::fmt::Write;
use std::path::PathBuf;

use dataplane::umem::Umem;

use super::input::known_host;
use super::{Answer, DONE, Failure};
use crate::host::Host;
use crate::model::{Cloud, DhcpMode};
use crate::replay::buffers;

const EXAMPLES: &str = "Examples:
  dvrctl check --cloud cloud.toml
  dvrctl check --cloud cloud.json --host compute1";

/// Validate a cloud file and, for one host, show its rows against the tables' limits
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The cloud: TOML if the file ends in .toml, otherwise JSON
    #[arg(long, value_name = "FILE")]
    cloud: PathBuf,
    /// Also derive the rows of this host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    let cloud = Cloud::load(&args.cloud)?;
    let mut s = format!("{}: no problems\n", args.cloud.display());
    resources(&mut s, &cloud);
    notes(&mut s, &cloud);
    if let Some(name) = &args.host {
        known_host(&cloud, name, &args.cloud)?;
        of_host(&mut s, cloud, name)?;
    }
    Ok(Answer { out: s, warnings: Vec::new(), status: DONE })
}

fn resources(s: &mut String, cloud: &Cloud) {
    let counts = [
        ("hosts", cloud.hosts.len()),
        ("networks", cloud.networks.len()),
        ("subnets", cloud.subnets.len()),
        ("ports", cloud.ports.len()),
        ("routers", cloud.routers.len()),
        ("floatingips", cloud.floatingips.len()),
        ("security_groups", cloud.security_groups.len()),
        ("neighbors", cloud.neighbors.len()),
    ];
    s.push_str("\nResources\n");
    for (name, n) in counts {
        let _ = writeln!(s, "  {n:>8}  {name}");
    }
}

/// What of this cloud dvrd does not do yet. Silence would be read as support.
fn notes(s: &mut String, cloud: &Cloud) {
    let mut notes = Vec::new();
    if !cloud.security_groups.is_empty() {
        notes.push("security groups are not enforced: everything passes to and from an active port".to_owned());
    }
    let fips = cloud.floatingips.len();
    if fips > 0 {
        notes.push(format!("floating IPs are not built: traffic of these {fips} is dropped as not_built"));
    }
    let local: Vec<&str> =
        cloud.networks.values().filter(|n| cloud.dhcp(n) == DhcpMode::Local).map(|n| n.id.as_str()).collect();
    if !local.is_empty() {
        notes.push(format!("dhcp = \"local\" behaves as \"off\" on {}", local.join(", ")));
    }
    let on_nics = cloud.networks.values().filter(|n| n.provider_physical_network.is_some()).count();
    if on_nics > 0 {
        notes.push(format!("VLAN and flat networks do not leave the host yet; this cloud has {on_nics}"));
    }
    if cloud.subnets.values().any(|subnet| subnet.ip_version == 6) {
        notes.push("IPv6 is bridged, but not routed".to_owned());
    }
    if !notes.is_empty() {
        s.push_str("\nNot built yet\n");
        notes.iter().for_each(|note| super::input::bullet(s, note));
    }
}

fn of_host(s: &mut String, cloud: Cloud, name: &str) -> Result<(), Failure> {
    let mut umem = Umem::new(buffers(&cloud).min(256));
    let host = Host::new(cloud, name, &mut umem).map_err(|e| Failure::new(e.to_string()))?;
    let _ = writeln!(s, "\nRows on host {name}               rows      limit");
    for table in host.tables() {
        let _ = writeln!(s, "  {:<28}{:>9}  {:>9}", table.name, table.rows, table.limit);
    }
    Ok(())
}
