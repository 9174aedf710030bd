//! MuSig2 signing sessions between peers, as a pure state machine.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod crypto;
