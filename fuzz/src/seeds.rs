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
use super::script::{self, Played, op};

/// A seed's target, its name and its bytes.
pub type Seed = (Target, &'static str, Vec<u8>);

/// Everyone honest; records durable at once, calendars equal.
const THREE: [u8; 3] = [1, 0, 0];
/// The second of two, and the third of three, is a puppet.
const TWO_WITH_PUPPET: [u8; 3] = [0, 1, 0];
const THREE_WITH_PUPPET: [u8; 3] = [1, 2, 0];
const THREE_WITH_TWO_PUPPETS: [u8; 3] = [1, 3, 0];

/// The first party creates a session of all: Lotus, no tweak, lexicographic, message of sevens.
const CREATE: [u8; 7] = [op::CREATE, 0, 0, 0, 0, 0, 7];
const JOIN_ALL: [u8; 2] = [op::JOIN_ALL, 0];
/// Two attempts to be connected, two seconds apart.
const WAIT: [u8; 6] = [op::PASS, 2, op::QUIET, op::PASS, 2, op::QUIET];

/// A script; how often a node tells its owner of a final signature, and how often of a failed attempt.
const SCRIPTS: &[(&str, &[&[u8]], usize, usize)] = &[
    ("completes", &[&THREE, &CREATE, &[op::QUIET], &JOIN_ALL, &[op::QUIET]], 3, 0),
    (
        "completes-bip340-taproot",
        &[&[0, 0, 0], &[op::CREATE, 0, 0, 1, 1, 4, 7, op::QUIET], &JOIN_ALL, &[op::QUIET]],
        2,
        0,
    ),
    (
        "completes-late",
        &[
            &THREE,
            &CREATE,
            &[op::QUIET, op::SYNCS, 1],
            &JOIN_ALL,
            &[op::QUIET, op::SYNC, 1, 0, op::QUIET, op::SYNC, 1, 3, op::QUIET, op::SYNC, 1, 3, op::QUIET],
        ],
        3,
        0,
    ),
    (
        "loses-and-asks-again",
        &[&THREE, &CREATE, &[op::DROP, 0, op::QUIET], &JOIN_ALL, &[op::DROP, 1, op::QUIET], &WAIT, &JOIN_ALL, &WAIT],
        3,
        0,
    ),
    (
        "restarts-between-the-rounds",
        &[
            &THREE,
            &CREATE,
            &[op::QUIET, op::COMMAND, 1, 0, 0, op::QUIET],
            &[op::CRASH, 1, 4, op::START, 1, op::PASS, 1, op::QUIET],
            &WAIT,
            &[op::COMMAND, 2, 0, 0, op::QUIET],
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
            &[op::QUIET],
            &JOIN_ALL,
            &[op::QUIET, op::COMMAND, 0, 3, 0, op::QUIET, op::PASS, 6, op::QUIET, op::COMMAND, 1, 4, 0, op::QUIET],
        ],
        3,
        0,
    ),
    (
        "closes",
        &[&THREE, &CREATE, &[op::QUIET], &JOIN_ALL, &[op::QUIET, op::COMMAND, 0, 4, 0, op::CRASH, 0, 4, op::START, 0]],
        3,
        0,
    ),
    ("aborts", &[&THREE, &CREATE, &[op::QUIET, op::COMMAND, 2, 1, 0, 0, op::QUIET]], 0, 0),
    ("expires", &[&THREE, &CREATE, &[op::QUIET, op::PASS, 9, op::QUIET, op::PASS, 9, op::QUIET]], 0, 1),
    (
        "puppet-is-honest",
        &[
            &THREE_WITH_PUPPET,
            &CREATE,
            &[op::QUIET],
            &JOIN_ALL,
            &[op::PUPPET_JOINS, 2, 0, 0, op::QUIET, op::PUPPET_SIGNS, 2, 0, 0, op::QUIET],
        ],
        2,
        0,
    ),
    (
        "puppet-announces",
        &[
            &TWO_WITH_PUPPET,
            &[op::PUPPET_ANNOUNCES, 1, 0, 0, 0, 0, 7, 3, op::QUIET],
            &JOIN_ALL,
            &[op::QUIET, op::PUPPET_SIGNS, 1, 0, 0, op::QUIET],
        ],
        1,
        0,
    ),
    (
        "puppet-signs-badly",
        &[
            &THREE_WITH_PUPPET,
            &CREATE,
            &[op::QUIET],
            &JOIN_ALL,
            // A partial signature of 32 zeros under the right hash.
            &[op::PUPPET_JOINS, 2, 0, 0, op::QUIET, op::PUPPET_SAYS, 2, 0, 0, 0, 2, 2, 3],
            &[0; 33],
            &[op::QUIET],
            &WAIT,
            &WAIT,
        ],
        0,
        2,
    ),
    (
        "puppet-splits-the-view",
        &[
            &THREE_WITH_PUPPET,
            &CREATE,
            &[op::QUIET],
            &JOIN_ALL,
            &[op::PUPPET_JOINS, 2, 1, 0, op::PUPPET_SAYS, 2, 2, 0, 0, 2, 1, 1, op::QUIET],
            &[op::PUPPET_SIGNS, 2, 0, 0, op::QUIET],
            &WAIT,
        ],
        0,
        2,
    ),
    (
        "puppets-send-no-nonce",
        &[
            &THREE_WITH_TWO_PUPPETS,
            &CREATE,
            &[op::QUIET],
            &[op::PUPPET_SAYS, 1, 0, 0, 0, 2, 1, 3, op::PUPPET_JOINS, 2, 0, 0, op::QUIET],
            &WAIT,
            &[op::PUPPET_JOINS, 1, 0, 0, op::PUPPET_JOINS, 2, 0, 0, op::QUIET],
            &[op::PUPPET_SIGNS, 1, 0, 0, op::PUPPET_SIGNS, 2, 0, 0, op::QUIET],
        ],
        1,
        1,
    ),
    (
        "replays",
        &[
            &THREE,
            &CREATE,
            &[op::QUIET],
            &JOIN_ALL,
            &[op::REPLAY, 1, 3, 0, 0, op::REPLAY, 2, 5, 0, 1, op::DUPLICATE, 1, op::DELAY, 0, op::CORRUPT, 0, 99, 0],
            &[op::QUIET],
            &WAIT,
        ],
        3,
        0,
    ),
    (
        "waits-for-a-crowd",
        &[
            &THREE,
            &[op::CROWD, 0, 5, 0, 0, op::QUIET],
            &JOIN_ALL,
            &[op::QUIET],
            &WAIT,
            &WAIT,
            &[op::PASS, 7, op::QUIET],
        ],
        0,
        3,
    ),
    (
        "connections-come-and-go",
        &[
            &THREE,
            &CREATE,
            &[op::UNLINK, 0, 1, op::QUIET],
            &JOIN_ALL,
            &[op::QUIET, op::LINK, 0, 1, op::QUIET],
            &JOIN_ALL,
            &[op::QUIET, op::PEER, 0, 2, 1, op::PEER, 0, 2, 0, op::DEADLINE, op::QUIET],
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

/// For `group`: an encoding to decode, then sums with few, more and many terms, of points that are remembered.
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

/// What came of each script that is a seed, and what should.
pub fn outcomes() -> impl Iterator<Item = (&'static str, Played, Played)> {
    SCRIPTS.iter().map(|(name, parts, completed, failed)| {
        let played = script::play::<super::stand_in::StandIn>(&parts.concat());
        (*name, played, Played { completed: *completed, failed: *failed })
    })
}

fn recorded(name: &str) -> script::Record {
    let (_, parts, ..) = SCRIPTS.iter().find(|(found, ..)| *found == name).expect("the script exists");
    script::record::<Curve>(&parts.concat())
}

/// One real message of each kind for `decode`, and a node that hears them for `node_bytes`.
fn messages() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut heard: Vec<u8> = vec![4, 0];
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
            heard.extend([1, 0]);
            heard.extend((bytes.len() as u16 - 64).to_le_bytes());
            heard.extend(&bytes[..bytes.len() - 64]);
        }
    }
    seeds.push((Target::NodeBytes, "hears-one-of-each", heard));
    let bench = [7, 0, 0, 0, 0, 0, 9, 9, 7, 6, 2, 1, 8, 0, 1, 0, 255, 255];
    seeds.push((Target::NodeBytes, "creates-and-aborts", bench.to_vec()));
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
            #[allow(unreachable_patterns, reason = "steps may be added")]
            _ => "other",
        },
        _ => "other",
    }
}

/// The journals of the first party at the end of some scripts.
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
        of("open", "puppet-splits-the-view"),
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
