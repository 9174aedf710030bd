//! `nelumbo resource`: what other programs announce.

use clap::{Args, Subcommand};
use nelumbo_core::wire::Label;
use nelumbo_simulator::settings::Time;

use crate::contacts::{KeyOrName, key_or_name};
use crate::control::{Done, Request, Resources, Running};
use crate::failure::{Answer, Failure};
use crate::output;
use crate::summary::date;
use crate::values::{self, HexBytes};

const EXAMPLES: &str = "\
Examples:
  nelumbo resource announce price-list spring --text \"5 for one\" --lifetime \"1 d\"
  nelumbo resource list price-list
  nelumbo resource list price-list --author bob --name spring --json | jq -r '.resources[0].data'
  nelumbo resource withdraw price-list spring";

/// Announces and finds resources: small things of other programs, signed by whoever announces them
///
/// A resource has a kind, of which programs say what it means, a name, and at most 8,192 bytes. It is in the DHT until
/// its time is over, and announced again as long as this node runs.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ResourceCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Announce(Announce),
    Withdraw(Withdraw),
    List(List),
}

/// Announces a resource, in place of the one of the same kind and name
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo resource announce price-list spring --text \"5 for one\"\n  \
                        nelumbo resource announce key-card mine --hex 0a0b --lifetime \"7 d\"")]
struct Announce {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    data: Data,
    /// How long it is valid: 1 s to 7 d
    #[arg(long, value_name = "TIME", default_value = "1 d", value_parser = values::parsed::<Time>)]
    lifetime: Time,
    #[command(flatten)]
    node: Running,
}

/// Takes a resource of this node's back; whoever knows it hears of that
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo resource withdraw price-list spring")]
struct Withdraw {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    node: Running,
}

/// Finds resources of a kind: this node's own, those that it knows, then those in the network
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo resource list price-list\n  nelumbo resource list price-list --local\n  \
                        nelumbo resource list price-list --author bob --timeout \"2 s\"")]
struct List {
    /// The kind: 1 to 64 of a-z, 0-9, '-', '_' and '.'
    #[arg(value_name = "KIND", value_parser = values::parsed::<Label>)]
    kind: Label,
    /// Only those of this signer: a public key, or the name of a contact
    #[arg(long, value_name = "KEY", value_parser = key_or_name)]
    author: Option<KeyOrName>,
    /// Only those of this name
    #[arg(long, value_name = "NAME", value_parser = values::parsed::<Label>)]
    name: Option<Label>,
    /// Asks nobody
    #[arg(long)]
    local: bool,
    /// How long the network is asked, at most; a search ends by itself after some five seconds
    #[arg(long, value_name = "TIME", value_parser = values::parsed::<Time>)]
    timeout: Option<Time>,
    /// No more than so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    max: usize,
    #[command(flatten)]
    node: Running,
}

#[derive(Args, Debug)]
struct Which {
    /// The kind: 1 to 64 of a-z, 0-9, '-', '_' and '.'
    #[arg(value_name = "KIND", value_parser = values::parsed::<Label>)]
    kind: Label,
    /// What it is called, in the same letters
    #[arg(value_name = "NAME", value_parser = values::parsed::<Label>)]
    name: Label,
}

/// What is sent or announced.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Data {
    /// Text
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Bytes, in hexadecimal
    #[arg(long, value_name = "HEX")]
    hex: Option<HexBytes>,
}

impl Data {
    /// In hexadecimal.
    pub(super) fn encoded(self) -> String {
        let bytes = self.hex.map(|HexBytes(bytes)| bytes);
        hex::encode(bytes.unwrap_or_else(|| self.text.unwrap_or_default().into_bytes()))
    }
}

impl ResourceCommand {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Announce(Announce { which: Which { kind, name }, data, lifetime: Time(lifetime), node }) => {
                let (data, lifetime_seconds) = (data.encoded(), lifetime.as_secs());
                let request = Request::AnnounceResource { kind, name, data, lifetime_seconds };
                node.ask(&request, |Done {}| Ok(()))?;
            }
            Action::Withdraw(Withdraw { which: Which { kind, name }, node }) => {
                node.ask(&Request::WithdrawResource { kind, name }, |Done {}| Ok(()))?;
            }
            Action::List(list) => list.run()?,
        }
        Ok(Answer::Yes)
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let author = KeyOrName::keys(self.author.as_slice(), &self.node.data)?.pop();
        let seconds = self.timeout.map(|Time(timeout)| timeout.as_secs());
        let Self { kind, name, local, max, .. } = self;
        let request = Request::Resources { kind, author, name, local, seconds, max };
        self.node.ask(&request, |Resources { resources }| {
            let rows: Vec<_> = resources
                .into_iter()
                .map(|found| {
                    let bytes = hex::decode(&found.data).unwrap_or_default();
                    let text = String::from_utf8(bytes).unwrap_or(found.data);
                    let author = if found.own { "this node".to_owned() } else { found.author.to_string() };
                    [
                        found.name.to_string(),
                        date(u32::try_from(found.expires / 1000).unwrap_or(u32::MAX)),
                        author,
                        text,
                    ]
                })
                .collect();
            output::columns(["NAME", "VALID UNTIL", "AUTHOR", "DATA"], &rows)
        })
    }
}
