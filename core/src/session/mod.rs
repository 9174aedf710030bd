//! A signing session, from announcement to signature.
//!
//! Reading order: `items` holds what is signed, `attempt` what one attempt collects, `machine` begins and fails
//! attempts, `rounds` takes nonces and partial signatures to a signature, `signing` asks this node's own signer for
//! its share, `ending` knows how a session ends and whose turn it is to broadcast, `late` what is still taken then,
//! `resync` lets signers who missed something catch up, `waiting` is for attempts that not all take part in,
//! `sessions` is the table of all of them and `closed` what is left of them, in `chunks`, `lifecycle` what happens to
//! each from its creation to when it is forgotten.
//!
//! A machine never touches the network, the journal or the embedder: it returns [`Effect`](crate::effect::Effect)s.

mod attempt;
mod chunks;
mod closed;
mod ending;
mod fingerprint;
mod items;
mod late;
mod lifecycle;
mod machine;
mod resync;
mod rounds;
mod sessions;
mod signing;
mod waiting;

pub(crate) use attempt::nonces_hash;
pub(crate) use items::{Items, ItemsError};
pub(crate) use late::REMEMBERED;
pub(crate) use machine::Session;
pub(crate) use sessions::{Acquaintance, Sessions};

/// How many of a session's other signers are connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) connected: usize,
    pub(crate) others: usize,
}
