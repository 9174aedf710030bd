//! What is fuzzed: for each target a function from bytes to nothing, which panics when an invariant does not hold.
//!
//! Owns the list of targets. Two drivers call them: the binaries in `fuzz_targets/`, under libFuzzer, and
//! `core/tests/fuzz_replay.rs`, which includes this file as a module and needs no fuzzer. A target is a pure function
//! of its bytes: no clock, no randomness, no I/O, so that a finding is one file.

mod address;
mod decode;
mod disk;
mod group;
mod journal;
mod monitor;
mod node_bytes;
mod open;
mod roundtrip;
mod scheme;
mod script;
mod seeds;
mod source;
mod stand_in;
mod values;

pub use open::{Open, run_strictly};
pub use seeds::{outcomes, seeds};

/// Everything that can be fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Messages from bytes.
    Decode,
    /// Messages from values.
    Roundtrip,
    /// One node and everything that can be done to it.
    NodeBytes,
    /// Several nodes and an adversary, with stand-in cryptography.
    Script,
    /// The same with the real curve.
    ScriptCurve,
    /// A node that begins with a damaged or forged journal.
    Journal,
    /// Addresses, key files, keys as text, transactions.
    Address,
    /// The variable-time group law, beside the library's.
    Group,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Decode,
        Self::Roundtrip,
        Self::NodeBytes,
        Self::Script,
        Self::ScriptCurve,
        Self::Journal,
        Self::Address,
        Self::Group,
    ];

    /// The name of the binary.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Roundtrip => "roundtrip",
            Self::NodeBytes => "node_bytes",
            Self::Script => "script",
            Self::ScriptCurve => "script_curve",
            Self::Journal => "journal",
            Self::Address => "address",
            Self::Group => "group",
        }
    }

    /// The name of its folders of seeds and findings.
    pub const fn folder(self) -> &'static str {
        match self {
            // What is found with one cryptography is played with the other as well.
            Self::ScriptCurve => Self::Script.name(),
            other => other.name(),
        }
    }

    /// Runs it on one input.
    ///
    /// # Panics
    /// When an invariant does not hold: that is a finding.
    pub fn run(self, data: &[u8]) {
        match self {
            Self::Decode => decode::run(data),
            Self::Roundtrip => roundtrip::run(data),
            Self::NodeBytes => node_bytes::run(data),
            Self::Script => drop(script::run_script::<stand_in::StandIn>(data)),
            Self::ScriptCurve => drop(script::run_script::<scheme::Curve>(data)),
            Self::Journal => journal::run(data),
            Self::Address => address::run(data),
            Self::Group => group::run(data),
        }
    }
}
