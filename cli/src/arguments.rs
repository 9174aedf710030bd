//! What can be asked on the command line.
//!
//! Owns the list of commands and the help above them; the arguments of each command are with its code, in
//! `commands`. Invariant: no argument takes a secret. Parsed once, by `main`.

use clap::builder::{Styles, styling::AnsiColor};
use clap::{ArgAction, Parser, Subcommand};

#[cfg(unix)]
use crate::commands::operator::Operator;
use crate::commands::{
    chain, completions, demo, demo_node, elect, key, manual, sign, simulate, sweep, verify, verify_blame,
};

const EXAMPLES: &str = "\
Examples:
  nelumbo demo
  nelumbo node init && nelumbo node
  nelumbo create KEY KEY --message HEX
  nelumbo key generate --out alice.key
  nelumbo key aggregate KEY KEY KEY
  nelumbo verify --key KEY --message HEX --signature HEX

Exit status:
  0  done; for `verify`: the signature is valid
  1  the answer is no: an invalid signature, a session that did not complete, a refusal by the node
  2  the command cannot be carried out as given: a wrong argument, an unreadable key, a port in use
  3  no node is running in the data folder, or it has gone
  4  the passphrase is wrong

Results go to standard output, everything else to standard error. Byte strings are hexadecimal.
`nelumbo help COMMAND` explains a command.";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Signs together without a server: MuSig2 between peers
///
/// Several people hold one key each and make one Schnorr signature together, which nobody can tell from the signature
/// of a single key. Their nodes find each other and exchange nonces and partial signatures over libp2p; there is no
/// server.
#[derive(Parser, Debug)]
#[command(name = "nelumbo", version = env!("NELUMBO_VERSION"), after_help = EXAMPLES, styles = STYLES)]
#[command(arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Says more on standard error: -v what happens, -vv how, -vvv everything; RUST_LOG overrides it
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command each.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Demo(demo::Demo),
    #[command(hide = true)]
    DemoNode(demo_node::DemoNode),
    #[cfg(unix)]
    #[command(flatten)]
    Operator(Operator),
    #[command(subcommand)]
    Key(key::Key),
    Sign(sign::Sign),
    Verify(verify::Verify),
    VerifyBlame(verify_blame::VerifyBlame),
    Elect(elect::Elect),
    Chain(chain::Chain),
    Simulate(Box<simulate::Simulate>),
    Sweep(Box<sweep::Sweep>),
    Completions(completions::Completions),
    Manual(manual::Manual),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
