//! `nelumbo completions`: a script that lets a shell complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo completions bash > ~/.local/share/bash-completion/completions/nelumbo
  nelumbo completions fish > ~/.config/fish/completions/nelumbo.fish
  nelumbo completions zsh > ~/.zfunc/_nelumbo";

/// Prints a script that lets a shell complete nelumbo's commands
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        // Into memory first: the generator panics when its writer fails.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "nelumbo", &mut script);
        output::raw(&script)?;
        Ok(Answer::Yes)
    }
}
