//! The commands of a node's operator: the node itself, and those that talk to it while it runs.
//!
//! Owns the list of them; each has a file. They need what only Unix has, and are not there elsewhere.

mod abort;
mod about;
mod advertise;
mod ban;
mod close;
mod confirm;
mod create;
mod events;
mod join;
mod node;
mod node_init;
mod node_run;
mod peers;
mod requests;
mod retry;
mod sessions;
mod sessions_show;
mod sessions_wait;
mod signers;
mod stats;
mod stop;
mod subscribe;
mod unban;

use clap::Subcommand;

use crate::failure::{Answer, Failure};

/// One command each.
#[derive(Subcommand, Debug)]
pub(crate) enum Operator {
    Node(node::Node),
    Stats(stats::Stats),
    Peers(peers::Peers),
    Advertise(advertise::Advertise),
    Signers(signers::Signers),
    Subscribe(subscribe::Subscribe),
    Create(create::Create),
    Requests(requests::Requests),
    Sessions(sessions::Sessions),
    Join(join::Join),
    Abort(abort::Abort),
    Retry(retry::Retry),
    Confirm(confirm::Confirm),
    Close(close::Close),
    Events(events::Events),
    Ban(ban::Ban),
    Unban(unban::Unban),
    Stop(stop::Stop),
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
            Self::Create(create) => create.run(),
            Self::Requests(requests) => requests.run(),
            Self::Sessions(sessions) => sessions.run(),
            Self::Join(join) => join.run(),
            Self::Abort(abort) => abort.run(),
            Self::Retry(retry) => retry.run(),
            Self::Confirm(confirm) => confirm.run(),
            Self::Close(close) => close.run(),
            Self::Events(events) => events.run(),
            Self::Ban(ban) => ban.run(),
            Self::Unban(unban) => unban.run(),
            Self::Stop(stop) => stop.run(),
        }
    }
}
