//! The commands of a node's operator: the node itself, and those that talk to it while it runs.
//!
//! Owns the list of them. Each has a file, but for those that tell the node one thing about a session or a peer. They
//! need what only Unix has, and are not there elsewhere.

mod about;
mod advertise;
mod backup;
mod balance;
mod config;
mod connect;
mod contact;
mod create;
mod doctor;
mod events;
mod finalize;
mod group;
mod identity;
mod join;
mod message;
mod money;
mod node;
mod node_init;
mod node_run;
mod peers;
mod pool;
mod psbt;
mod requests;
mod resource;
mod sessions;
mod sessions_show;
mod sessions_wait;
mod signers;
mod spend;
mod stats;
mod stop;
mod subscribe;
mod token;
mod wallet;

use clap::Subcommand;

use crate::control::Request;
use crate::failure::{Answer, Failure};

const RETRY: &str = "\
Examples:
  nelumbo retry ID
  nelumbo sessions --phase failed --json | jq -r '.sessions[].session' | xargs -n1 nelumbo retry";

const CLOSE: &str = "\
Examples:
  nelumbo close ID
  nelumbo sessions --phase complete --json | jq -r '.sessions[].session' | xargs -n1 nelumbo close";

/// One command each.
#[derive(Subcommand, Debug)]
pub(crate) enum Operator {
    Node(node::Node),
    Stats(stats::Stats),
    Peers(peers::Peers),
    Advertise(advertise::Advertise),
    Signers(signers::Signers),
    Subscribe(subscribe::Subscribe),
    Resource(resource::ResourceCommand),
    Message(message::MessageCommand),
    Create(create::Create),
    Requests(requests::Requests),
    Sessions(sessions::Sessions),
    Join(join::Join),
    /// Refuses a session, or leaves one that has no signature yet
    ///
    /// All signers are needed, and all of them are told. When this node had signed before, the others may have the
    /// signature already: the answer says so (`may_complete` with --json), and one that appears is taken and told.
    #[command(after_help = "Examples:\n  nelumbo abort ID")]
    Abort(about::AboutSession),
    /// Makes a new attempt at a session whose last one failed
    ///
    /// A node makes three by itself. `nelumbo sessions` shows which sessions failed, and `nelumbo events` why.
    #[command(after_help = RETRY)]
    Retry(about::AboutSession),
    /// Says that the signature of a session has been broadcast
    ///
    /// The other signers are told that you say so, and nobody else takes a turn.
    #[command(after_help = "Examples:\n  nelumbo confirm ID")]
    Confirm(about::AboutSession),
    /// Forgets a session
    ///
    /// One that has no signature yet is aborted first; when this node had signed before, a signature may still appear,
    /// and then the session comes back with it.
    #[command(after_help = CLOSE)]
    Close(about::AboutSession),
    Events(events::Events),
    Connect(connect::Connect),
    /// Closes every connection to a peer
    ///
    /// Either side may connect again; bootstrap nodes and signers of live sessions do. `nelumbo ban` keeps a peer out.
    #[command(after_help = "Examples:\n  nelumbo disconnect 12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")]
    Disconnect(about::AboutPeer),
    /// Closes every connection to a peer and allows none, until it is unbanned
    ///
    /// The node remembers it until it is started again.
    #[command(after_help = "Examples:\n  nelumbo ban 12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")]
    Ban(about::AboutPeer),
    /// Forgets what is held against a peer, and lets it connect again
    ///
    /// Works for peers that were banned by hand, and for those that the node has graylisted or banned by itself.
    #[command(after_help = "Examples:\n  nelumbo unban 12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")]
    Unban(about::AboutPeer),
    Stop(stop::Stop),
    Config(config::Config),
    Doctor(doctor::Doctor),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Token(token::Token),
    Contact(contact::Contact),
    Group(group::GroupCommand),
    Balance(balance::Balance),
    History(balance::History),
    Receive(balance::Receive),
    Spend(spend::Spend),
    Recover(spend::Recover),
    Finalize(finalize::Finalize),
    Psbt(psbt::PsbtCommand),
    Wallet(wallet::WalletCommand),
    Pool(pool::PoolCommand),
    Identity(identity::IdentityCommand),
}

impl Operator {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self {
            Self::Node(node) => node.run(),
            Self::Stats(stats) => stats.run(),
            Self::Peers(peers) => peers.run(),
            Self::Advertise(advertise) => advertise.run(),
            Self::Signers(signers) => signers.run(),
            Self::Subscribe(subscribe) => subscribe.run(),
            Self::Resource(resource) => resource.run(),
            Self::Message(message) => message.run(),
            Self::Create(create) => create.run(),
            Self::Requests(requests) => requests.run(),
            Self::Sessions(sessions) => sessions.run(),
            Self::Join(join) => join.run(),
            Self::Abort(about) => about.end(|session| Request::Abort { session }),
            Self::Retry(about) => about.tell(|session| Request::Retry { session }),
            Self::Confirm(about) => about.tell(|session| Request::Confirm { session }),
            Self::Close(about) => about.end(|session| Request::Close { session }),
            Self::Events(events) => events.run(),
            Self::Connect(connect) => connect.run(),
            Self::Disconnect(about) => about.tell(|peer| Request::Disconnect { peer }),
            Self::Ban(about) => about.tell(|peer| Request::Ban { peer }),
            Self::Unban(about) => about.tell(|peer| Request::Unban { peer }),
            Self::Stop(stop) => stop.run(),
            Self::Config(config) => config.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Backup(backup) => backup.run(),
            Self::Restore(restore) => restore.run(),
            Self::Token(token) => token.run(),
            Self::Contact(contact) => contact.run(),
            Self::Group(group) => group.run(),
            Self::Balance(balance) => balance.run(),
            Self::History(history) => history.run(),
            Self::Receive(receive) => receive.run(),
            Self::Spend(spend) => spend.run(),
            Self::Recover(recover) => recover.run(),
            Self::Finalize(finalize) => finalize.run(),
            Self::Psbt(psbt) => psbt.run(),
            Self::Wallet(wallet) => wallet.run(),
            Self::Pool(pool) => pool.run(),
            Self::Identity(identity) => identity.run(),
        }
    }
}
