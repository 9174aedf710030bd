//! Finding the other signers: which peer holds which key, who offers to sign what, and what else is announced.
//!
//! Reading order: `presences` says where a key is, `catalogue` keeps what authors announce, `lookups` what is being looked
//! for in the DHT, `searches` for whom, `reputations` what this node itself has seen of whom, `routes` when what it
//! announces belongs elsewhere. What a node announces of its own, and how all of this meets, is in `node/discover.rs`.

mod catalogue;
mod lookups;
mod presences;
mod reputations;
mod routes;
mod searches;

pub(crate) use catalogue::Catalogue;
pub(crate) use lookups::{Listed, Lookups};
pub(crate) use presences::{Arrival, InsertOutcome, Presences};
pub(crate) use reputations::Reputations;
pub(crate) use routes::Routes;
pub(crate) use searches::{Goal, Search, Searches};
