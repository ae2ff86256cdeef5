//! The daemon; see `control::daemon`.

fn main() -> std::process::ExitCode {
    control::daemon::main()
}
