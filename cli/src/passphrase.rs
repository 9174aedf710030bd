//! Passphrases: where they come from.
//!
//! Owns the three sources and their order. Invariants: no argument is a passphrase, because others can read the list of
//! processes; a file that others can read is refused; a passphrase is wiped when it is no longer needed, and never
//! printed. Commands that open or make a sealed key drive it.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::private_file;

/// The environment variable that holds a passphrase.
const VARIABLE: &str = "NELUMBO_PASSPHRASE";
const MAX_SIZE: usize = 4096;
const REMEDY: &str = "give --passphrase-file or set NELUMBO_PASSPHRASE, or run it in a terminal to be asked";

/// Where the passphrase comes from.
#[derive(Args, Debug)]
pub(crate) struct PassphraseSource {
    /// Takes the passphrase from the first line of this file, which nobody else may read; without it from the
    /// environment variable NELUMBO_PASSPHRASE, and without both it is asked for
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Whether the environment holds another one, that of what is there already.
    #[arg(skip)]
    is_other: bool,
}

/// A secret that a person knows.
pub(crate) struct Passphrase(Zeroizing<String>);

impl Passphrase {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

impl PassphraseSource {
    /// Of this file, or of whoever is asked.
    pub(crate) fn of_file_or_asked(passphrase_file: Option<PathBuf>) -> Self {
        Self { passphrase_file, is_other: true }
    }

    /// Whether a file was named.
    pub(crate) fn is_file(&self) -> bool {
        self.passphrase_file.is_some()
    }

    /// The passphrase of something that is sealed already.
    pub(crate) fn known(&self, of: impl fmt::Display) -> Result<Passphrase, Failure> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None => ask(&format!("Passphrase of {of}: ")),
        }
    }

    /// A passphrase for something new. A person types it twice, because a slip would cost the key.
    pub(crate) fn chosen(&self) -> Result<Passphrase, Failure> {
        if let Some(passphrase) = self.given()? {
            return Ok(passphrase);
        }
        let chosen = ask("New passphrase: ")?;
        if ask("The same again: ")?.0 != chosen.0 {
            return Err(Failure::input("the two passphrases differ", "try again"));
        }
        Ok(chosen)
    }

    fn given(&self) -> Result<Option<Passphrase>, Failure> {
        let given = match &self.passphrase_file {
            Some(path) => Some(read(path)?),
            None if self.is_other => None,
            None => env::var_os(VARIABLE)
                .map(|value| value.into_string().map(Zeroizing::new))
                .transpose()
                .map_err(|_| Failure::input(format_args!("{VARIABLE} is not valid Unicode"), REMEDY))?,
        };
        given.map(checked).transpose()
    }
}

fn checked(passphrase: Zeroizing<String>) -> Result<Passphrase, Failure> {
    if passphrase.is_empty() {
        return Err(Failure::input("the passphrase is empty", "choose one that nobody guesses"));
    }
    Ok(Passphrase(passphrase))
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unusable = |problem: &dyn fmt::Display| {
        Failure::input(format_args!("cannot take a passphrase from {}: {problem}", path.display()), REMEDY)
    };
    let (file, metadata) = File::open(path)
        .and_then(|file| file.metadata().map(|metadata| (file, metadata)))
        .map_err(|error| unusable(&error))?;
    // A pipe is of whoever wrote the command.
    if metadata.is_file()
        && let Some(mode) = private_file::open_to_others(&metadata)
    {
        return Err(Failure::input(
            format_args!("others may read the passphrase in {} (mode {mode:o})", path.display()),
            format_args!("run `chmod 600 {}`, and if others have read it, change it", path.display()),
        ));
    }
    // In one piece from the start, so that growing leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SIZE + 1));
    file.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes).map_err(|error| unusable(&error))?;
    if bytes.len() > MAX_SIZE {
        return Err(unusable(&"it is too large"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| unusable(&"it is not text"))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn ask(prompt: &str) -> Result<Passphrase, Failure> {
    let typed = rpassword::prompt_password(prompt)
        .map_err(|error| Failure::input(format_args!("cannot ask for the passphrase: {error}"), REMEDY))?;
    checked(Zeroizing::new(typed))
}
