//! The daemon. Not built yet: the pipeline exists, what would feed it from a NIC does not.

use std::process::ExitCode;

use clap::Parser;

/// Forwards packets of a cloud host: bridges and distributed routers in one process. Not built yet.
#[derive(Parser)]
#[command(name = "dvrd", version)]
struct Args {}

fn main() -> ExitCode {
    let Args {} = Args::parse();
    eprintln!("dvrd: not built yet: ports on NICs (AF_XDP) and the configuration file come later.");
    eprintln!("dvrd: the pipeline itself runs without a NIC: try `dvrctl demo`, `dvrctl replay`, `dvrctl trace`.");
    ExitCode::from(2)
}
