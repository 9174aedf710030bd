//! Why a command did not do what it was asked.
//!
//! Owns the ways to fail and the one line in which each is told. Invariant: that line says what is wrong and, after
//! a semicolon, what to do about it. Commands make failures, `output` prints them.

use std::fmt;

use clap::error::ErrorKind;
use nelumbo_core::wire::Harmless;

/// What a command has found out, when nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done; exit status 0.
    Yes,
    /// The question was sound and the answer is no; exit status 1.
    No,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Input,
    Unmet,
    NoNode,
    Passphrase,
    Unallowed,
    Interrupted(u8),
}

impl Failure {
    /// The command cannot be carried out as it was given, and the caller can change that; exit status 2.
    pub(crate) fn input(problem: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { kind: Kind::Input, problem: problem.to_string(), remedy: remedy.to_string() }
    }

    /// The command made sense, and what it was to bring about did not happen; exit status 1.
    pub(crate) fn unmet(problem: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { kind: Kind::Unmet, problem: problem.to_string(), remedy: remedy.to_string() }
    }

    /// The same as the answer to a question that was sound; exit status 1.
    pub(crate) fn into_answer(self) -> Self {
        Self { kind: Kind::Unmet, ..self }
    }

    /// There is no node to talk to, or no longer; exit status 3.
    pub(crate) fn no_node(problem: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { kind: Kind::NoNode, problem: problem.to_string(), remedy: remedy.to_string() }
    }

    /// What would be signed is unusual, and was not allowed by name; exit status 5.
    pub(crate) fn unallowed(problem: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { kind: Kind::Unallowed, problem: problem.to_string(), remedy: remedy.to_string() }
    }

    /// A key is sealed, and not with this passphrase; exit status 4.
    pub(crate) fn passphrase(of: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Passphrase,
            problem: format!("the passphrase does not open {of}"),
            remedy: "try again; if it is surely right, the file was altered, so restore it from a backup".to_owned(),
        }
    }

    /// Somebody ended the program by this signal; exit status 128 and the signal, as shells have it.
    pub(crate) fn interrupted(signal: u8) -> Self {
        Self {
            kind: Kind::Interrupted(signal),
            problem: "interrupted".to_owned(),
            remedy: "nothing is left behind".to_owned(),
        }
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self.kind {
            Kind::Input => 2,
            Kind::Unmet => 1,
            Kind::NoNode => 3,
            Kind::Passphrase => 4,
            Kind::Unallowed => 5,
            Kind::Interrupted(signal) => 128_u8.saturating_add(signal),
        }
    }
}

/// In one line, whatever the parts contain.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&single_line(&self.problem))?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", single_line(&self.remedy))?;
        }
        Ok(())
    }
}

/// Parts may be texts of others, which are made harmless.
fn single_line(text: &str) -> String {
    Harmless(&text.split_whitespace().collect::<Vec<_>>().join(" ")).to_string()
}

/// Whether the parser's "error" is the text that was asked for.
pub(crate) fn is_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// What the parser says over several lines, in one: the error, its tips, and where to read on.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let said = text.split("\n\nUsage:").next().and_then(|text| text.split("\n\nFor more information").next());
        let mut paragraphs = said.unwrap_or(&text).split("\n\n").map(single_line);
        let problem = paragraphs.next().unwrap_or_default();
        let problem = problem.strip_prefix("error: ").unwrap_or(&problem).to_owned();
        let tips = paragraphs.map(|tip| tip.strip_prefix("tip: ").unwrap_or(&tip).to_owned());
        let remedy = tips.chain(["see --help".to_owned()]).collect::<Vec<_>>().join("; ");
        Self::input(problem, remedy)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Failure;
    use crate::arguments::Arguments;

    fn line(arguments: &[&str]) -> String {
        let error = Arguments::try_parse_from(arguments).expect_err("the arguments are wrong");
        Failure::from(error).to_string()
    }

    #[test]
    fn what_the_parser_says_fits_one_line() {
        assert_eq!(
            line(&["nelumbo", "elect", "--method", "hash-bsed", "02"]),
            "invalid value 'hash-bsed' for '--method <METHOD>' [possible values: lexicographic, hash-based, \
             first-signer, last-signer, rotating]; a similar value exists: 'hash-based'; see --help",
        );
        assert_eq!(
            line(&["nelumbo", "elect"]),
            "the following required arguments were not provided: <KEY>...; see --help"
        );
        assert_eq!(
            line(&["nelumbo", "elect", "--odd"]),
            "unexpected argument '--odd' found; to pass '--odd' as a value, use '-- --odd'; see --help"
        );
    }
}
