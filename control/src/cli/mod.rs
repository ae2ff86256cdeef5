//! `dvrctl`: the command line. Each command is a file; what they do is in the library.

mod check;
mod demo;
mod doctor;
mod explain;
mod import_neutron;
mod input;
mod lab;
mod replay;
mod show;
mod trace;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::model::Problems;

/// Everything went well.
const DONE: u8 = 0;
/// The work was done, but part of the input could not be read.
const PARTIAL: u8 = 1;
/// Nothing was done: wrong usage or bad input.
const BAD_INPUT: u8 = 2;
/// The work was done, but lines of the events file were refused.
const REFUSED: u8 = 3;

#[derive(Parser)]
#[command(
    name = "dvrctl",
    version,
    about = "Runs, explains and checks dvrd's distributed virtual router without a NIC; as root examines a host and makes labs",
    after_help = "Exit status:
  0  done
  1  done, but part of an input could not be read, or is missing
  2  wrong usage or bad input; nothing was done
  3  done, but lines of the events file were refused
doctor has its own: dvrctl help doctor

Start with:  dvrctl demo, or as root  dvrctl lab up"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Replay(replay::Args),
    Trace(trace::Args),
    Check(check::Args),
    Show(show::Args),
    ImportNeutron(import_neutron::Args),
    Explain(explain::Args),
    Demo(demo::Args),
    Doctor(doctor::Args),
    Lab(lab::Args),
}

/// What a command has to say.
#[derive(Default)]
struct Answer {
    /// For standard output.
    out: String,
    /// For standard error, a line each.
    warnings: Vec<String>,
    /// Exit status.
    status: u8,
}

/// Why a command did nothing, in lines for standard error.
#[derive(Debug)]
struct Failure(Vec<String>);

impl Failure {
    fn new(line: impl Into<String>) -> Self {
        Failure(vec![line.into()])
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let count = problems.as_slice().len();
        let last = match count {
            1 => "1 problem; nothing was done".to_owned(),
            n => format!("{n} problems; nothing was done"),
        };
        Failure(problems.iter().map(ToString::to_string).chain([last]).collect())
    }
}

/// Runs `dvrctl` with the arguments of the process.
pub fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Replay(args) => replay::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Show(args) => show::run(&args),
        Command::ImportNeutron(args) => import_neutron::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Lab(args) => lab::run(&args),
    };
    let answer =
        result.unwrap_or_else(|Failure(lines)| Answer { out: String::new(), warnings: lines, status: BAD_INPUT });
    // Somebody who closes the pipe has read enough: not an error.
    let _ = std::io::stdout().write_all(answer.out.as_bytes()).and_then(|()| std::io::stdout().flush());
    let mut stderr = std::io::stderr().lock();
    for line in &answer.warnings {
        let _ = writeln!(stderr, "dvrctl: {line}");
    }
    ExitCode::from(answer.status)
}
