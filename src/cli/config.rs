//! `headwater config`: looks at a configuration without using it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Context, Failure};
use crate::config::{ConfigError, Flags, Problem, Resolved};

/// Check or show a configuration
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  headwater config check /etc/headwater/origin.toml
  headwater config show /etc/headwater/origin.toml")]
pub(super) struct Typed {
    #[command(subcommand)]
    question: Question,
}

#[derive(Subcommand, Debug)]
enum Question {
    /// Report everything that is wrong with a file
    #[command(after_help = "\
Ends with exit code 2 when anything is wrong. Looks at the file alone, so that the answer is the same on every machine: \
a store that it leaves open (\"\") is named, and no fault; the file of `server.origin_secrets_path` is not read.

Examples:
  headwater config check config/origin.toml")]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print what `serve --config FILE` would use here, and where each value comes from
    #[command(after_help = "\
Environment variables override the file, as they do for `serve`. Secrets are hidden.

Examples:
  headwater config show config/origin.toml
  HEADWATER_LISTEN=0.0.0.0:80 headwater config show config/origin.toml
  headwater config show                                    without a file: defaults and environment")]
    Show {
        /// The file
        file: Option<PathBuf>,
    },
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self.question {
            Question::Check { file } => {
                let open = check(&file)?;
                let open = open.into_iter().map(|problem| format!("  {problem}\n"));
                let path = file.display();
                context
                    .output
                    .result(&format!("`{path}` is valid\n{}", open.collect::<String>()))
            }
            Question::Show { file } => {
                let resolved = context.load(file.as_deref(), &Flags::default())?;
                context.output.result(&resolved.to_toml())
            }
        }
    }
}

/// What a valid file leaves to the environment.
fn check(file: &Path) -> Result<Vec<Problem>, ConfigError> {
    let nothing = BTreeMap::new();
    match Resolved::load(Some(file), &nothing, &Flags::default()) {
        Ok(_) => Ok(Vec::new()),
        Err(ConfigError::Invalid { problems }) if problems.iter().all(Problem::is_left_open) => {
            Ok(problems)
        }
        Err(error) => Err(error),
    }
}
