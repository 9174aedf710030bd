//! The seed corpora: a few inputs for each target that get far by themselves.
//!
//! Scripts are written down; what other targets begin with is recorded from them, so that it is real. Driven by
//! `examples/seeds.rs`, which writes the files, and by the stable replay, which sees that they still get where they
//! should.

use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::Network;
use nelumbo_core::crypto::lotus::{Address, Payload};
use nelumbo_core::crypto::lotus::{OutPoint, Transaction, TxInput, TxOutput, wif};
use nelumbo_core::wire::{Body, Content, Message};

use super::Target;
use super::scheme::{Curve, secret};
use super::script::{self, Outcome, op};

/// A seed's target, its name and its bytes.
pub type Seed = (Target, &'static str, Vec<u8>);

/// Three participants, all honest; records are durable at once, wall clocks agree.
const THREE: [u8; 3] = [1, 0, 0];
/// The second of two, and the third of three, is a scripted peer.
const TWO_WITH_SCRIPTED: [u8; 3] = [0, 1, 0];
const THREE_WITH_SCRIPTED: [u8; 3] = [1, 2, 0];
const THREE_WITH_TWO_SCRIPTED: [u8; 3] = [1, 3, 0];

/// The first participant creates a session of all: Lotus, no tweak, lexicographic election, a message of sevens.
const CREATE: [u8; 7] = [op::CREATE, 0, 0, 0, 0, 0, 7];
const JOIN_ALL: [u8; 2] = [op::JOIN_ALL, 0];
/// Two attempts to be connected, two seconds apart.
const WAIT: [u8; 6] = [op::ADVANCE_TIME, 2, op::DELIVER_ALL, op::ADVANCE_TIME, 2, op::DELIVER_ALL];

/// A script; how often a node reports a final signature in it, and how often a failed attempt.
const SCRIPTS: &[(&str, &[&[u8]], usize, usize)] = &[
    ("completes", &[&THREE, &CREATE, &[op::DELIVER_ALL], &JOIN_ALL, &[op::DELIVER_ALL]], 3, 0),
    (
        "completes-bip340-taproot",
        &[&[0, 0, 0], &[op::CREATE, 0, 0, 1, 1, 4, 7, op::DELIVER_ALL], &JOIN_ALL, &[op::DELIVER_ALL]],
        2,
        0,
    ),
    (
        "completes-late",
        &[
            &THREE,
            &CREATE,
            &[op::DELIVER_ALL, op::TOGGLE_SYNC, 1],
            &JOIN_ALL,
            &[
                op::DELIVER_ALL,
                op::SYNC,
                1,
                0,
                op::DELIVER_ALL,
                op::SYNC,
                1,
                3,
                op::DELIVER_ALL,
                op::SYNC,
                1,
                3,
                op::DELIVER_ALL,
            ],
        ],
        3,
        0,
    ),
    (
        "loses-and-asks-again",
        &[
            &THREE,
            &CREATE,
            &[op::DROP, 0, op::DELIVER_ALL],
            &JOIN_ALL,
            &[op::DROP, 1, op::DELIVER_ALL],
            &WAIT,
            &JOIN_ALL,
            &WAIT,
        ],
        3,
        0,
    ),
    (
        "restarts-between-the-rounds",
        &[
            &THREE,
            &CREATE,
            &[op::DELIVER_ALL, op::COMMAND, 1, 0, 0, op::DELIVER_ALL],
            &[op::CRASH, 1, 4, op::START, 1, op::ADVANCE_TIME, 1, op::DELIVER_ALL],
            &WAIT,
            &[op::COMMAND, 2, 0, 0, op::DELIVER_ALL],
            &WAIT,
            &WAIT,
        ],
        3,
        0,
    ),
    (
        "confirms-in-turn",
        &[
            &THREE,
            &CREATE,
            &[op::DELIVER_ALL],
            &JOIN_ALL,
            &[
                op::DELIVER_ALL,
                op::COMMAND,
                0,
                3,
                0,
                op::DELIVER_ALL,
                op::ADVANCE_TIME,
                6,
                op::DELIVER_ALL,
                op::COMMAND,
                1,
                4,
                0,
                op::DELIVER_ALL,
            ],
        ],
        3,
        0,
    ),
    (
        "closes",
        &[
            &THREE,
            &CREATE,
            &[op::DELIVER_ALL],
            &JOIN_ALL,
            &[op::DELIVER_ALL, op::COMMAND, 0, 4, 0, op::CRASH, 0, 4, op::START, 0],
        ],
        3,
        0,
    ),
    ("aborts", &[&THREE, &CREATE, &[op::DELIVER_ALL, op::COMMAND, 2, 1, 0, 0, op::DELIVER_ALL]], 0, 0),
    (
        "expires",
        &[
            &THREE,
            &CREATE,
            &[op::DELIVER_ALL, op::ADVANCE_TIME, 9, op::DELIVER_ALL, op::ADVANCE_TIME, 9, op::DELIVER_ALL],
        ],
        0,
        0,
    ),
    (
        "scripted-peer-is-honest",
        &[
            &THREE_WITH_SCRIPTED,
            &CREATE,
            &[op::DELIVER_ALL],
            &JOIN_ALL,
            &[op::SCRIPTED_JOIN, 2, 0, 0, op::DELIVER_ALL, op::SCRIPTED_SIGN, 2, 0, 0, op::DELIVER_ALL],
        ],
        2,
        0,
    ),
    (
        "scripted-peer-announces",
        &[
            &TWO_WITH_SCRIPTED,
            &[op::SCRIPTED_ANNOUNCE, 1, 0, 0, 0, 0, 7, 3, op::DELIVER_ALL],
            &JOIN_ALL,
            &[op::DELIVER_ALL, op::SCRIPTED_SIGN, 1, 0, 0, op::DELIVER_ALL],
        ],
        1,
        0,
    ),
    (
        "scripted-peer-signs-badly",
        &[
            &THREE_WITH_SCRIPTED,
            &CREATE,
            &[op::DELIVER_ALL],
            &JOIN_ALL,
            // A partial signature of 32 zeros under the right hash.
            &[op::SCRIPTED_JOIN, 2, 0, 0, op::DELIVER_ALL, op::SCRIPTED_SAY, 2, 0, 0, 0, 2, 2, 3],
            &[0; 33],
            &[op::DELIVER_ALL],
            &WAIT,
            &WAIT,
        ],
        0,
        2,
    ),
    (
        "scripted-peer-splits-the-view",
        &[
            &THREE_WITH_SCRIPTED,
            &CREATE,
            &[op::DELIVER_ALL],
            &JOIN_ALL,
            &[op::SCRIPTED_JOIN, 2, 1, 0, op::SCRIPTED_SAY, 2, 2, 0, 0, 2, 1, 1, op::DELIVER_ALL],
            &[op::SCRIPTED_SIGN, 2, 0, 0, op::DELIVER_ALL],
            &WAIT,
        ],
        0,
        2,
    ),
    (
        "scripted-peers-send-no-nonce",
        &[
            &THREE_WITH_TWO_SCRIPTED,
            &CREATE,
            &[op::DELIVER_ALL],
            &[op::SCRIPTED_SAY, 1, 0, 0, 0, 2, 1, 3, op::SCRIPTED_JOIN, 2, 0, 0, op::DELIVER_ALL],
            &WAIT,
            &[op::SCRIPTED_JOIN, 1, 0, 0, op::SCRIPTED_JOIN, 2, 0, 0, op::DELIVER_ALL],
            &[op::SCRIPTED_SIGN, 1, 0, 0, op::SCRIPTED_SIGN, 2, 0, 0, op::DELIVER_ALL],
        ],
        1,
        1,
    ),
    (
        "replays",
        &[
            &THREE,
            &CREATE,
            &[op::DELIVER_ALL],
            &JOIN_ALL,
            &[op::REPLAY, 1, 3, 0, 0, op::REPLAY, 2, 5, 0, 1, op::DUPLICATE, 1, op::DELAY, 0, op::CORRUPT, 0, 99, 0],
            &[op::DELIVER_ALL],
            &WAIT,
        ],
        3,
        0,
    ),
    (
        "waits-for-absent-signers",
        &[
            &THREE,
            &[op::CREATE_WITH_ABSENT, 0, 5, 0, 0, op::DELIVER_ALL],
            &JOIN_ALL,
            &[op::DELIVER_ALL],
            &WAIT,
            &WAIT,
            &[op::ADVANCE_TIME, 7, op::DELIVER_ALL],
        ],
        0,
        0,
    ),
    (
        "connections-come-and-go",
        &[
            &THREE,
            &CREATE,
            &[op::DISCONNECT, 0, 1, op::DELIVER_ALL],
            &JOIN_ALL,
            &[op::DELIVER_ALL, op::CONNECT, 0, 1, op::DELIVER_ALL],
            &JOIN_ALL,
            &[op::DELIVER_ALL, op::BAN, 0, 2, 1, op::BAN, 0, 2, 0, op::DEADLINE, op::DELIVER_ALL],
        ],
        3,
        0,
    ),
];

/// All seeds.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, parts, ..) in SCRIPTS {
        seeds.push((Target::Script, *name, parts.concat()));
    }
    seeds.extend(messages());
    seeds.extend(journals());
    seeds.extend(addresses());
    seeds.push((Target::Roundtrip, "zeros", vec![0; 64]));
    seeds.push((Target::Roundtrip, "counting", (0..=255).collect()));
    seeds.extend(sums());
    seeds
}

/// For `group`: an encoding to decode, then sums with few, more and many terms.
fn sums() -> Vec<Seed> {
    let key = secret(1).public_key().to_bytes();
    let scalar = |byte: u8| [&[2][..], &[byte; 32]].concat();
    let [generator, prepared, remember] = [&[0, 0, 2][..], &[0, 0, 3], &[0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 1]];
    let few =
        [&key[..], generator, &scalar(0xab), prepared, &scalar(0xcd), remember, &[1, 0, 5], &scalar(0x7e)].concat();
    let more = [&few[..], &[2, 4, 5], &scalar(0xe1), &[1, 4, 4]].concat();
    let many = [&more[..], &[0, 5, 5], &scalar(0x11), &[2, 5, 4]].concat();
    vec![(Target::Group, "few", few), (Target::Group, "more", more), (Target::Group, "many", many)]
}

/// The outcome of each script that is a seed, and the expected one.
pub fn outcomes() -> impl Iterator<Item = (&'static str, Outcome, Outcome)> {
    SCRIPTS.iter().map(|(name, parts, completed, failed)| {
        let outcome = script::run_script::<super::stand_in::StandIn>(&parts.concat());
        (*name, outcome, Outcome { completed: *completed, failed: *failed })
    })
}

fn recorded(name: &str) -> script::Recording {
    let (_, parts, ..) = SCRIPTS.iter().find(|(found, ..)| *found == name).expect("the script exists");
    script::record::<Curve>(&parts.concat())
}

/// One real message of each kind for `decode`, and for `node_bytes` a node that receives them.
fn messages() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut transcript: Vec<u8> = vec![4, 0];
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
            transcript.extend([1, 0]);
            transcript.extend((bytes.len() as u16 - 64).to_le_bytes());
            transcript.extend(&bytes[..bytes.len() - 64]);
        }
    }
    seeds.push((Target::NodeBytes, "hears-one-of-each", transcript));
    let test_node = [7, 0, 0, 0, 0, 0, 9, 9, 7, 6, 2, 1, 8, 0, 1, 0, 255, 255];
    seeds.push((Target::NodeBytes, "creates-and-aborts", test_node.to_vec()));
    seeds
}

fn kind_of(bytes: &Bytes) -> &'static str {
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

/// The journals of the first participant at the end of some scripts.
fn journals() -> Vec<Seed> {
    let of = |name: &'static str, script: &str| {
        let mut bytes = Vec::new();
        for (_, value) in recorded(script).journal {
            bytes.push(1);
            bytes.extend((value.len() as u16).to_le_bytes());
            bytes.extend(value);
        }
        (Target::Journal, name, bytes)
    };
    vec![
        of("completed", "completes"),
        of("aborted", "aborts"),
        of("closed", "closes"),
        of("open", "scripted-peer-splits-the-view"),
        (Target::Journal, "raw", vec![0, 1, 0, b's', 1, 0, 7]),
        (Target::Journal, "forged", [&[2, 3][..], &[9; 120]].concat()),
    ]
}

fn addresses() -> Vec<Seed> {
    let seed = |name, kind: u8, content: &[u8]| (Target::Address, name, [&[kind][..], content].concat());
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
        seed("taproot", 0, taproot.to_string().as_bytes()),
        seed("public-key-hash", 0, hash.to_string().as_bytes()),
        seed("key-file", 0, wif::encode(&key, Network::Regtest, true).as_bytes()),
        seed("public-key", 0, public_key.to_string().as_bytes()),
        seed("session-id", 0, "0f".repeat(32).as_bytes()),
        seed("word", 0, b"regtest"),
        seed("payload", 1, &[&[0, 2][..], public_key.as_bytes()].concat()),
        seed("secret", 2, &[&[0x80][..], &[1; 32], &[1]].concat()),
        seed("transaction", 3, &[&[0x61, 0, 0][..], &transaction.to_bytes()].concat()),
        seed("script", 4, &taproot.script_pubkey()),
        seed("control-block", 5, &[&[0xc2][..], &public_key.as_bytes()[1..], &[5; 64]].concat()),
    ]
}
