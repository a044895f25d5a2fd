//! `headwater completions`: scripts for shells.

use clap::Args;
use clap_complete::Shell;

use super::{Context, Failure, command_line};

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  headwater completions bash > ~/.local/share/bash-completion/completions/headwater
  headwater completions zsh > ~/.zfunc/_headwater
  headwater completions fish > ~/.config/fish/completions/headwater.fish")]
pub(super) struct Typed {
    /// Which shell
    shell: Shell,
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command_line(), "headwater", &mut script);
        context.output.result(&String::from_utf8_lossy(&script))
    }
}
