//! `nelumbo message`: what other programs say to each other through nodes.

use clap::{Args, Subcommand};
use nelumbo_core::wire::Label;
use serde::Deserialize;

use super::resource::Data;
use crate::contacts::{KeyOrName, key_or_name};
use crate::control::{Done, Heard, Recipient, Request, Running};
use crate::failure::{Answer, Failure};
use crate::node::{Entry, missed_line};
use crate::{output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo message listen chat --topic lobby
  nelumbo message send chat --to bob --text \"at noon?\"
  nelumbo message send chat --topic lobby --text \"who is here?\"
  nelumbo message listen chat --off";

/// Carries messages of other programs, from key to key or to all who listen to a topic
///
/// A protocol is a name that programs agree on. Each message is signed with the key of the node that sends it, and
/// comes once; it may be lost, so that only an answer proves that it has arrived.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MessageCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Listen(Listen),
    Send(Send),
}

/// Prints what comes, until it is interrupted or the node stops
///
/// The node listens on until it stops or hears --off: what comes meanwhile are events `message-received`. It listens to
/// 16 protocols at most, and without any it takes no such messages at all. A node that is recorded ends its recording
/// here.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nelumbo message listen chat --topic lobby\n  nelumbo message listen chat --json | \
                        jq -r .event.text"
)]
struct Listen {
    #[command(flatten)]
    protocol: Name,
    /// Listens to this topic of the protocol too; may be given several times
    #[arg(long = "topic", value_name = "TOPIC", value_parser = values::parsed::<Label>)]
    topics: Vec<Label>,
    /// Listens to the protocol no more
    #[arg(long, conflicts_with = "topics")]
    off: bool,
    #[command(flatten)]
    node: Running,
}

/// Sends a message of at most 65,536 bytes to a signer or a peer, or publishes one of at most 9,600 on a topic
///
/// To a signer it goes when that can be reached next. Nodes take a few messages on topics from one author in a while;
/// what is more is not published.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nelumbo message send chat --to bob --text \"at noon?\"\n  nelumbo message send chat \
                        --topic lobby --hex 0a0b"
)]
struct Send {
    #[command(flatten)]
    protocol: Name,
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    node: Running,
}

#[derive(Args, Debug)]
struct Name {
    /// The protocol: 1 to 64 of a-z, 0-9, '-', '_' and '.'
    #[arg(value_name = "PROTOCOL", value_parser = values::parsed::<Label>)]
    name: Label,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct To {
    /// A signer: a public key, or the name of a contact
    #[arg(long = "to", value_name = "KEY", value_parser = key_or_name)]
    key: Option<KeyOrName>,
    /// A connected peer, by its peer id
    #[arg(long, value_name = "PEER")]
    peer: Option<String>,
    /// All who listen to this topic
    #[arg(long, value_name = "TOPIC", value_parser = values::parsed::<Label>)]
    topic: Option<Label>,
}

/// What is looked at of an event.
#[derive(Deserialize)]
struct Received {
    event: String,
    protocol: Option<Label>,
}

impl MessageCommand {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Listen(listen) => listen.run()?,
            Action::Send(send) => send.run()?,
        }
        Ok(Answer::Yes)
    }
}

impl Listen {
    fn run(self) -> Result<(), Failure> {
        let protocol = self.protocol.name;
        if self.off {
            return self.node.ask(&Request::Unlisten { protocol }, |Done {}| Ok(()));
        }
        let mut client = self.node.connect()?;
        let topics = self.topics.into_iter().collect();
        let Done {} = client.get(&Request::Listen { protocol: protocol.clone(), topics })?;
        client.send(&Request::Events { follow: true, after: None })?;
        loop {
            let line = match client.hear(None)? {
                Heard::Event(entry) if is_of(&entry, &protocol) => entry.line(self.node.json),
                Heard::Event(_) => continue,
                Heard::Missed(missed) => missed_line(missed, self.node.json),
                Heard::End => return Ok(()),
            };
            if !output::next_line(line)? {
                return Ok(());
            }
        }
    }
}

fn is_of(entry: &Entry, protocol: &Label) -> bool {
    let received = serde_json::from_str::<Received>(entry.event.get());
    received.is_ok_and(|it| it.event == "message-received" && it.protocol.as_ref() == Some(protocol))
}

impl Send {
    fn run(self) -> Result<(), Failure> {
        let key = KeyOrName::keys(self.to.key.as_slice(), &self.node.data)?.pop();
        let to = key.map(Recipient::Key).or(self.to.peer.map(Recipient::Peer)).or(self.to.topic.map(Recipient::Topic));
        let to = to.expect("the parser wants one of them");
        let request = Request::Send { protocol: self.protocol.name, to, payload: self.data.encoded() };
        self.node.ask(&request, |Done {}| Ok(()))
    }
}
