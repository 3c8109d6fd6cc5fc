//! The program `relfisher`.

use std::process::ExitCode;

fn main() -> ExitCode {
    relfisher::cli::run()
}
