//! `headwater man`: manual pages.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::failure::Exit;
use super::{Context, Failure, command_line};

/// Print the manual page, or write one for every command
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  headwater man | man -l -
  headwater man ~/.local/share/man/man1")]
pub(super) struct Typed {
    /// Write headwater.1 and a page for every command into this folder, which is created
    directory: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write manual pages to `{directory}`")]
struct ManError {
    directory: PathBuf,
    source: io::Error,
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self.directory {
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command_line())
                    .render(&mut page)
                    .map_err(|error| Failure::new(Exit::Failed, error))?;
                context.output.result(&String::from_utf8_lossy(&page))
            }
            Some(directory) => {
                let write = || {
                    std::fs::create_dir_all(&directory)?;
                    clap_mangen::generate_to(command_line(), &directory)
                };
                write().map_err(|source| Failure::new(Exit::Failed, ManError { directory, source }))
            }
        }
    }
}
