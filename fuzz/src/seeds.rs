//! The seed corpora, a few inputs for each target that get far by themselves, and what was found, as files.
//!
//! Scripts and findings are written down in `scripts`; what other targets begin with is recorded from them, so that it
//! is real. Driven by `examples/seeds.rs`, which writes the files, and by the stable replay, which sees that they still
//! get where they should.

use core::fmt::Debug;

use arbitrary::Arbitrary;
use nelumbo_core::base::Bytes as WireBytes;
use nelumbo_core::crypto::Network;
use nelumbo_core::crypto::lotus::{Address, Payload};
use nelumbo_core::crypto::lotus::{OutPoint, Transaction, TxInput, TxOutput, wif};
use nelumbo_core::crypto::{Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{AbortReason, Body, Content, Message};

use super::Target;
use super::address::{Foreign, SpendBy};
use super::group::{Factor, Repeat, Step, Sum};
use super::input::{Bytes, Encode, Fixed, read};
use super::journal::{Journal, Record};
use super::node_bytes::moves::{Created, Move, Moves, Peer, Said, SessionCommand, Span};
use super::scheme::{Curve, secret};
use super::script::{self, Outcome};
use super::scripts;

/// An input that is kept: its target, its name and its bytes.
pub type Seed = (Target, &'static str, Vec<u8>);

/// The bytes that read as this.
fn bytes<T: Encode + for<'a> Arbitrary<'a> + PartialEq + Debug>(input: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    input.encode(&mut bytes);
    assert_eq!(read::<T>(&bytes), *input, "what is written reads as it was");
    bytes
}

/// All seeds.
pub fn seeds() -> Vec<Seed> {
    let mut seeds: Vec<_> =
        scripts::seeds().iter().map(|(name, script, ..)| (Target::Script, *name, bytes(script))).collect();
    seeds.extend(messages());
    seeds.extend(journals());
    seeds.extend(addresses());
    seeds.push((Target::Roundtrip, "zeros", vec![0; 64]));
    seeds.push((Target::Roundtrip, "counting", (0..=255).collect()));
    seeds.extend(sums());
    #[cfg(feature = "comparison")]
    seeds.extend(super::musig2::seeds().iter().map(|(name, session)| (Target::Musig2, *name, bytes(session))));
    #[cfg(feature = "bindings")]
    seeds.extend(super::ffi::seeds().iter().map(|(name, calls)| (Target::Ffi, *name, bytes(calls))));
    seeds
}

/// All findings that are fixed.
pub fn findings() -> Vec<Seed> {
    let mut findings: Vec<_> =
        scripts::findings().iter().map(|(name, script)| (Target::Script, *name, bytes(script))).collect();
    let text = Foreign::Text { text: Bytes("+D".repeat(32).into_bytes()) };
    findings.push((Target::Address, "session-id-text", bytes(&text)));
    findings
}

/// For `group`: an encoding to decode, then sums with few, more and many terms.
fn sums() -> Vec<Seed> {
    let factor = |byte| Factor::Any { scalar: Fixed([byte; 32]) };
    let mut steps = vec![
        Step::Generator { scalar: factor(0xab) },
        Step::Prepared { scalar: factor(0xcd) },
        Step::Know { one: 0, other: 0 },
        Step::Know { one: 0, other: 1 },
        Step::KnowNegated { point: 1 },
        Step::Term { point: 1, repeat: Repeat::Once, scalar: factor(0x7e) },
    ];
    let sum = |steps: &[Step]| {
        let encoding = Fixed(secret(1).public_key().to_bytes());
        bytes(&Sum { encoding, steps: steps.to_vec() })
    };
    let few = sum(&steps);
    steps.push(Step::Term { point: 2, repeat: Repeat::Nine, scalar: factor(0xe1) });
    steps.push(Step::Point { point: 1, repeat: Repeat::Nine });
    let more = sum(&steps);
    steps.push(Step::Term { point: 0, repeat: Repeat::Seventy, scalar: factor(0x11) });
    steps.push(Step::Point { point: 2, repeat: Repeat::Seventy });
    let many = sum(&steps);
    vec![(Target::Group, "few", few), (Target::Group, "more", more), (Target::Group, "many", many)]
}

/// The outcome of each script that is a seed, and the expected one.
pub fn outcomes() -> impl Iterator<Item = (&'static str, Outcome, Outcome)> {
    scripts::seeds().into_iter().map(|(name, script, completed, failed)| {
        (name, script::run::<super::stand_in::StandIn>(&script), Outcome { completed, failed })
    })
}

fn recorded(name: &str) -> script::Recording {
    let (_, script, ..) = scripts::seeds().into_iter().find(|(found, ..)| *found == name).expect("the script exists");
    script::record::<Curve>(&script)
}

/// One real message of each kind for `decode`, and for `node_bytes` a node that receives them.
fn messages() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let from = Peer { number: 0 };
    let mut moves = vec![Move::Connect { peer: from.clone() }];
    for (script, kinds) in [
        ("completes", ["presence", "announce", "join", "partial"].as_slice()),
        ("loses-and-asks-again", &["status"]),
        ("confirms-in-turn", &["confirmed"]),
        ("restarts-between-the-rounds", &[]),
        ("aborts", &["abort"]),
    ] {
        let said = recorded(script).said;
        for kind in kinds {
            let bytes = said.iter().find(|bytes| kind_of(bytes) == *kind).expect("the script brings it about");
            seeds.push((Target::Decode, *kind, bytes.to_vec()));
            let unsigned = Bytes(bytes[..bytes.len() - 64].to_vec());
            moves.push(Move::Receive { from: from.clone(), message: Said::Resigned { unsigned } });
        }
    }
    seeds.push((Target::NodeBytes, "hears-one-of-each", bytes(&Moves { moves })));
    let (suite, tweak, election) = (Suite::Lotus, Tweak::None, Method::Lexicographic);
    let session = Created { suite, tweak, election, third: None, byte: 9, message: None };
    let abort = SessionCommand::Abort { reason: AbortReason::Declined };
    let moves = vec![
        Move::Create { session },
        Move::Sync { count: 7 },
        Move::Advance { step: Span::TenthOfASecond, times: 1 },
        Move::Command { session: 0, command: abort },
        Move::Deadline,
    ];
    seeds.push((Target::NodeBytes, "creates-and-aborts", bytes(&Moves { moves })));
    seeds
}

fn kind_of(bytes: &WireBytes) -> &'static str {
    match Message::decode(bytes.clone()).expect("a node sends messages").unsigned.body {
        Body::Presence(_) => "presence",
        Body::Session(step) => match step.content {
            Content::Announce { .. } => "announce",
            Content::Join { .. } => "join",
            Content::Partial { .. } => "partial",
            Content::Finalized { .. } => "finalized",
            Content::Abort { .. } => "abort",
            Content::Confirmed => "confirmed",
            Content::Status { .. } => "status",
            Content::Waiting => "waiting",
            #[allow(unreachable_patterns, reason = "steps may be added")]
            _ => "other",
        },
        _ => "other",
    }
}

/// The journals of the first participant at the end of some scripts, and what nobody has written.
fn journals() -> Vec<Seed> {
    let seed = |name, records| (Target::Journal, name, bytes(&Journal { records }));
    let of = |name, script: &str| {
        let values = recorded(script).journal.into_iter().map(|(_, value)| value);
        seed(name, values.map(|value| Record::Keyed { value: Bytes(value) }).collect())
    };
    vec![
        of("completed", "completes"),
        of("aborted", "aborts"),
        of("closed", "closes"),
        of("open", "scripted-peer-splits-the-view"),
        seed("raw", vec![Record::Raw { key: Bytes(b"s".to_vec()), value: Bytes(vec![7]) }]),
        // The choice of the third kind of record, as random bytes make it.
        (Target::Journal, "forged", [&[1, 0, 0, 0, 0xc0][..], &[9; 120]].concat()),
    ]
}

fn addresses() -> Vec<Seed> {
    let seed = |name, foreign| (Target::Address, name, bytes(&foreign));
    let text = |name, text: &str| seed(name, Foreign::Text { text: Bytes(text.as_bytes().to_vec()) });
    let key = secret(1);
    let public_key = key.public_key();
    let address = |payload| Address { network: Network::Mainnet, payload };
    let (taproot, hash) = (address(Payload::Taproot(public_key)), address(Payload::PublicKeyHash([7; 20])));
    let outpoint = "00".repeat(31) + "01";
    let txid = outpoint.parse().expect("64 digits are an id");
    let output = TxOutput { value: 1_000_000, script_pubkey: taproot.script_pubkey() };
    let transaction = Transaction {
        version: 2,
        inputs: vec![TxInput { outpoint: OutPoint { txid, index: 1 }, script_sig: vec![0x51], sequence: u32::MAX }],
        outputs: vec![output],
        lock_time: 0,
    };
    vec![
        text("taproot", &taproot.to_string()),
        text("public-key-hash", &hash.to_string()),
        text("key-file", &wif::encode(&key, Network::Regtest, true)),
        text("public-key", &public_key.to_string()),
        text("session-id", &"0f".repeat(32)),
        text("word", "regtest"),
        seed(
            "payload",
            Foreign::Payload { network: Network::Regtest, payload: Bytes([&[2][..], public_key.as_bytes()].concat()) },
        ),
        seed("secret", Foreign::KeyFile { content: Bytes([&[0x80][..], &[1; 32], &[1]].concat()) }),
        seed(
            "transaction",
            Foreign::Transaction {
                transaction: Bytes(transaction.to_bytes()),
                sighash_type: 0x61,
                input: 0,
                spend: SpendBy::Key,
            },
        ),
        seed("script", Foreign::Script { script: Bytes(taproot.script_pubkey()) }),
        seed(
            "control-block",
            Foreign::ControlBlock { block: Bytes([&[0xc2][..], &public_key.as_bytes()[1..], &[5; 64]].concat()) },
        ),
    ]
}
