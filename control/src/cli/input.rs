//! Files a command reads.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::capture::{Capture, CaptureError};
use crate::model::Cloud;

/// `--cloud` and `--host`.
#[derive(clap::Args)]
pub(super) struct HostArgs {
    /// The cloud: TOML if the file ends in .toml, otherwise JSON
    #[arg(long, value_name = "FILE")]
    pub cloud: PathBuf,
    /// Name of the host whose pipeline runs
    #[arg(long, value_name = "NAME")]
    pub host: String,
}

impl HostArgs {
    /// The cloud, in which there is such a host.
    pub(super) fn load(&self) -> Result<Cloud, Failure> {
        let cloud = Cloud::load(&self.cloud)?;
        known_host(&cloud, &self.host, &self.cloud)?;
        Ok(cloud)
    }
}

/// There is such a host, or an error that lists those there are.
pub(super) fn known_host(cloud: &Cloud, name: &str, file: &Path) -> Result<(), Failure> {
    let missing = |e: &dyn std::fmt::Display| {
        let hosts: Vec<&str> = cloud.hosts.keys().map(String::as_str).collect();
        Failure::new(format!("--host: {e}; {} has {}", file.display(), hosts.join(", ")))
    };
    cloud.host_by_name(name).map(|_| ()).map_err(|e| missing(&e))
}

/// Reads a capture; its faults become warnings.
pub(super) fn capture(path: &Path, warnings: &mut Vec<String>) -> Result<Capture, Failure> {
    let capture = Capture::load(path).map_err(|e: CaptureError| Failure::new(e.to_string()))?;
    let faults = capture.faults();
    warnings.extend(faults.first().iter().map(|f| format!("{}: {f}", path.display())));
    let more = faults.count().saturating_sub(faults.first().len());
    if more > 0 {
        warnings.push(format!("{}: {more} more packets are left out", path.display()));
    }
    Ok(capture)
}
