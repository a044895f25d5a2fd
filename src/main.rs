//! Turns arguments into an exit code; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(headwater::cli::run(std::env::args_os()))
}
