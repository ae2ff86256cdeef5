//! The command line of dvrd; see `control::cli`.

fn main() -> std::process::ExitCode {
    control::cli::main()
}
