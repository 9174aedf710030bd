//! The demonstration: real nodes on this machine that find each other and sign together.
//!
//! Owns what a demonstration is and the order of its parts. Reading order: `course` for what happens when, `stages` for
//! its parts and `failover` for the part that kills, `repeats` for the one in which session follows session,
//! `discovery` for the one among strangers, `spend` for the one that pays, `swap` for a pool, `crew` for the nodes as
//! tasks or processes, `signer` for one node, `messages` for what is said between them, `machine` for what all this
//! needs, `progress` and `outcome` for what people see. Commands drive it.

mod course;
mod crew;
mod discovery;
mod failover;
mod machine;
mod messages;
mod outcome;
mod progress;
mod repeats;
mod signer;
mod spend;
mod stages;
pub(crate) mod swap;

use std::path::PathBuf;
use std::time::Duration;

use nelumbo_core::crypto::{Suite, sha256};

use crate::failure::Failure;
use crate::interruption::interruption;
use course::Course;
use crew::Crew;

pub(crate) use messages::Transport;
pub(crate) use outcome::Outcome;
pub(crate) use progress::Progress;
pub(crate) use signer::serve;

/// What is to be demonstrated.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) suite: Suite,
    /// The first message that is signed.
    pub(crate) message: Vec<u8>,
    /// How many messages each session signs.
    pub(crate) items: usize,
    pub(crate) signers: usize,
    pub(crate) transport: Transport,
    /// Whether each node is a process of its own.
    pub(crate) processes: bool,
    /// The first node's port; the others have those that follow. None for any free ones.
    pub(crate) port: Option<u16>,
    /// How many sessions, if it was asked for.
    pub(crate) repeat: Option<usize>,
    /// How many of these are under way at once.
    pub(crate) parallel: usize,
    /// How many coordinators are killed before they broadcast, if that is to be shown.
    pub(crate) kill: Option<usize>,
    /// Whether the nodes are strangers, who find each other by what they advertise.
    pub(crate) discover: bool,
    /// Whether what is signed is a payment.
    pub(crate) spend: bool,
    /// How long one phase may take.
    pub(crate) patience: Duration,
    /// The folder in which the nodes are recorded, if they are.
    pub(crate) record: Option<PathBuf>,
    /// How much the nodes log.
    pub(crate) verbose: u8,
}

impl Plan {
    /// What one of the sessions signs: the message itself in the first one, and digests that it makes.
    fn messages(&self, session: usize) -> Vec<Vec<u8>> {
        let message = |item: usize| match (session, item) {
            (0, 0) => self.message.clone(),
            _ => sha256(&[&self.message, &session.to_be_bytes(), &item.to_be_bytes()]).to_vec(),
        };
        (0..self.items).map(message).collect()
    }

    /// How many nodes there are, those that sign nothing among them.
    fn nodes(&self) -> usize {
        self.signers + if self.discover { discovery::BYSTANDERS } else { 0 }
    }
}

/// Carries the plan out. Whatever comes of it, no process is left behind, and no file but the recordings asked for.
pub(crate) async fn perform(plan: &Plan, progress: Progress) -> Result<Outcome, Failure> {
    let folder = tempfile::Builder::new().prefix("nelumbo-demo-").tempdir().map_err(|error| {
        Failure::input(
            format_args!("cannot make a temporary folder for the journals: {error}"),
            "set TMPDIR to a folder where you may write",
        )
    })?;
    machine::check_ports(plan)?;
    machine::make_room(plan)?;
    let mut crew = Crew::gather(plan)?;
    let performed = tokio::select! {
        performed = Course::new(plan, folder.path(), &mut crew, progress).run() => performed,
        signal = interruption() => Err(Failure::interrupted(signal)),
    };
    crew.dismiss(performed.is_ok()).await;
    let removed = folder.close().map_err(|error| {
        Failure::unmet(format_args!("cannot remove the temporary folder: {error}"), "remove it by hand")
    });
    let outcome = performed?;
    removed.map(|()| outcome)
}
