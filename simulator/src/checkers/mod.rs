//! What must never happen, watched from outside: each checker sees every message at the moment it is sent.

mod nonces;

pub(crate) use nonces::Nonces;
