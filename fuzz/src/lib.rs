//! What is fuzzed: for each target what its inputs are, and what must hold for each of them.
//!
//! Owns the list of targets. Three drivers call them: the binaries in `fuzz_targets/`, under libFuzzer; the tests in
//! `core/tests/fuzz_replay.rs`, which include this file as a module and need no fuzzer; and quickcheck there. All read
//! inputs from bytes the same way. A target is a pure function of its bytes: no clock, no randomness, no I/O, so that
//! a finding is one file.

mod address;
mod decode;
mod disk;
// The core behind text, which the core's tests do not have.
#[cfg(feature = "bindings")]
mod ffi;
mod group;
mod input;
mod journal;
mod monitor;
// Compares with libraries that the workspace does not have.
#[cfg(feature = "comparison")]
mod musig2;
mod node_bytes;
mod open;
#[cfg(feature = "bindings")]
mod recorded;
mod roundtrip;
mod scheme;
mod script;
mod scripts;
mod seeds;
mod stand_in;
mod values;

use core::fmt;

use arbitrary::Unstructured;

use input::read;
pub use open::{Open, run_strictly};
pub use seeds::{findings, outcomes, seeds};

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
    /// A session of BIP327, beside two other libraries.
    #[cfg(feature = "comparison")]
    Musig2,
    /// Machines and a signer behind text.
    #[cfg(feature = "bindings")]
    Ffi,
}

/// An input of a target. Its debug form is what `cargo fuzz fmt` shows.
trait Case: fmt::Debug {
    fn play(&self);
}

struct Playable<T>(T, fn(&T));

impl<T: fmt::Debug> fmt::Debug for Playable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Debug> Case for Playable<T> {
    fn play(&self) {
        (self.1)(&self.0);
    }
}

fn case<T: fmt::Debug + 'static>(input: T, play: fn(&T)) -> Box<dyn Case> {
    Box::new(Playable(input, play))
}

impl Target {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Decode,
        Self::Roundtrip,
        Self::NodeBytes,
        Self::Script,
        Self::ScriptCurve,
        Self::Journal,
        Self::Address,
        Self::Group,
        #[cfg(feature = "comparison")]
        Self::Musig2,
        #[cfg(feature = "bindings")]
        Self::Ffi,
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
            #[cfg(feature = "comparison")]
            Self::Musig2 => "musig2",
            #[cfg(feature = "bindings")]
            Self::Ffi => "ffi",
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

    fn read(self, data: &[u8]) -> Box<dyn Case> {
        match self {
            Self::Decode => case(decode::Raw(data.to_vec()), decode::run),
            Self::Roundtrip => case(read(data), roundtrip::run),
            Self::NodeBytes => case(read(data), node_bytes::run),
            Self::Script => case(read(data), |script| _ = script::run::<stand_in::StandIn>(script)),
            Self::ScriptCurve => case(read(data), |script| _ = script::run::<scheme::Curve>(script)),
            Self::Journal => case(read(data), journal::run),
            Self::Address => case(read(data), address::run),
            Self::Group => case(read(data), group::run),
            #[cfg(feature = "comparison")]
            Self::Musig2 => case(read(data), musig2::run),
            #[cfg(feature = "bindings")]
            Self::Ffi => case(read(data), ffi::run),
        }
    }

    /// What one input is, over several lines.
    pub fn show(self, data: &[u8]) -> String {
        format!("{:#?}", self.read(data))
    }

    /// Runs it on one input.
    ///
    /// # Panics
    /// When an invariant does not hold: that is a finding.
    pub fn run(self, data: &[u8]) {
        self.read(data).play();
    }
}

/// What an input of the target `ffi` calls, and what each call gives.
#[cfg(feature = "bindings")]
pub fn ffi_calls(data: &[u8]) -> Vec<String> {
    recorded::record(|| Target::Ffi.run(data))
}

/// An input of the target with this number, for drivers that draw values: libFuzzer and quickcheck.
#[derive(Clone)]
pub struct Input<const TARGET: usize>(Vec<u8>);

impl<const TARGET: usize> Input<TARGET> {
    fn case(&self) -> Box<dyn Case> {
        let target = Target::ALL.iter().find(|target| **target as usize == TARGET).expect("a target has this number");
        target.read(&self.0)
    }

    /// Runs the target on it.
    ///
    /// # Panics
    /// As [`Target::run`].
    pub fn play(&self) {
        self.case().play();
    }
}

impl<const TARGET: usize> fmt::Debug for Input<TARGET> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.case().fmt(f)
    }
}

impl<'a, const TARGET: usize> arbitrary::Arbitrary<'a> for Input<TARGET> {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        u.bytes(u.len()).map(|bytes| Self(bytes.to_vec()))
    }
}

impl<const TARGET: usize> quickcheck::Arbitrary for Input<TARGET> {
    fn arbitrary(g: &mut quickcheck::Gen) -> Self {
        let length = usize::arbitrary(g) % (8 * g.size() + 1);
        Self((0..length).map(|_| u8::arbitrary(g)).collect())
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}
