//! `nelumbo manual`: the manual pages.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};

use crate::arguments::Arguments;
use crate::failure::{Answer, Failure};

/// Writes the manual pages, one for each command, into a folder
///
/// For packages: /usr/share/man/man1.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo manual man && man man/nelumbo-node-init.1")]
pub(crate) struct Manual {
    /// The folder, which is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Manual {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let cannot = |error: std::io::Error| {
            let problem = format_args!("cannot write to {}: {error}", self.folder.display());
            Failure::input(problem, "choose a folder that is yours to write")
        };
        fs::create_dir_all(&self.folder).map_err(cannot)?;
        let mut command = Arguments::command();
        command.build();
        write(&self.folder, &command, "nelumbo").map_err(cannot)?;
        Ok(Answer::Yes)
    }
}

fn write(folder: &Path, command: &Command, name: &str) -> std::io::Result<()> {
    let mut page = Vec::new();
    // A command's name is one for good; the program ends when the pages are written.
    let named: &'static str = name.to_owned().leak();
    let titled = command.clone().name(named).bin_name(name.replace('-', " "));
    clap_mangen::Man::new(titled).render(&mut page)?;
    fs::write(folder.join(format!("{name}.1")), page)?;
    let is_ours = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    command
        .get_subcommands()
        .filter(is_ours)
        .try_for_each(|inner| write(folder, inner, &format!("{name}-{}", inner.get_name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().expect("a folder");
        Manual { folder: folder.path().to_owned() }.run().expect("it can be written");
        for name in ["nelumbo", "nelumbo-node", "nelumbo-node-init", "nelumbo-key-passphrase", "nelumbo-doctor"] {
            let page = fs::read_to_string(folder.path().join(format!("{name}.1"))).expect(name);
            assert!(page.contains(".TH") && page.contains("SYNOPSIS"), "{name}: {page}");
        }
        assert!(!folder.path().join("nelumbo-demo-node.1").exists(), "what is hidden has none");
    }
}
