//! nelumbo's core for other languages: JSON in, JSON out.
//!
//! A [`Machine`] is one signer's node: it takes part in MuSig2 signing sessions, and has no I/O, no clock and no
//! randomness. Its host gives it what has happened ([`Machine::handle`]) and what its owner wants
//! ([`Machine::command`]), does what it asks ([`Machine::poll`]), and comes back when it wants to be called
//! ([`Machine::deadline`]). A [`Signer`] is the key alone, for a device, another process or another storage. [`call`]
//! has what needs neither: aggregate keys, verification, records.
//!
//! [`shapes`] says what the JSON looks like, and [`schema`] says it to programs; `schema.json` in this crate is that.
//! The same calls give the same JSON, byte for byte, in every language and on every machine.
//!
//! ```
//! use nelumbo_ffi::Machine;
//!
//! # fn main() -> Result<(), nelumbo_ffi::Error> {
//! let params = r#"{"network": "regtest", "peer": "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"}"#;
//! // A real secret, and a seed from the operating system that is new for each boot.
//! let mut machine = Machine::new(params, &[7; 32], &[9; 32], 0.0, 1.8e12)?;
//! assert!(machine.poll().contains(r#"{"type":"subscribe","topic":"#));
//! machine.handle(1.0, 1.8e12, r#"[{"type": "routing-table", "peers": 3}]"#)?;
//! let error = machine.command(1.0, 1.8e12, r#"{"type": "withdraw"}"#).expect_err("nothing is offered");
//! assert_eq!(error.code, "nothing-offered");
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: `machine`, `signer`, `calls`, then [`shapes`].
#![forbid(unsafe_code)]

mod calls;
mod error;
mod guard;
mod machine;
mod schema;
pub mod shapes;
mod signer;

pub use calls::{Answer, Call, call};
pub use error::Error;
pub use guard::{Guarded, guard};
pub use machine::Machine;
pub use schema::schema;
pub use signer::Signer;
