//! Finding the other signers: which peer holds which key.

mod presences;

pub(crate) use presences::{Presences, Seen};
