//! Transactions that break one rule each, and what lotusd says of it.
//!
//! Owns the cases. Invariant: what a case changes breaks nothing else, because everything after it is signed anew.

mod form;
mod scripts;

use nelumbo_chain::build::MAX_MONEY;
use nelumbo_crypto::lotus::{OutPoint, Txid};

use crate::support::{Owned, Way, nowhere};
use crate::world::{Draft, World};
use form::*;
use scripts::*;

/// A transaction as it is sent, and the text of its refusal; a star at the end stands for any rest.
pub(crate) type Case = (Vec<u8>, String);

/// A kind of case; none where the world has not what it takes.
pub(crate) type Kind = fn(&mut World) -> Option<Case>;

/// All of them.
pub(crate) const KINDS: [(&str, Kind); 52] = [
    ("cut short", cut_short),
    ("coinbase", coinbase),
    ("no outputs", no_outputs),
    ("negative output", |world| with_value(world, 1 << 63, "bad-txns-vout-negative")),
    ("too large output", |world| with_value(world, MAX_MONEY + 1, "bad-txns-vout-toolarge")),
    ("too large sum", too_large_sum),
    ("no outpoint", |world| {
        with_input(world, OutPoint { txid: Txid::from_bytes([0; 32]), index: u32::MAX }, "bad-txns-prevout-null")
    }),
    ("same input twice", same_input_twice),
    ("version 0", |world| with_version(world, 0)),
    ("version 3", |world| with_version(world, 3)),
    ("negative version", |world| with_version(world, -1)),
    ("too many bytes", too_many_bytes),
    ("script that does more than push", not_push_only),
    ("output of no kind", |world| with_output(world, vec![0x51], 1_000, "scriptpubkey")),
    ("commitment of 32 bytes", |world| {
        with_output(world, [&[0x62, 0x51, 0x20][..], &[1; 32]].concat(), 1_000, "scriptpubkey")
    }),
    ("marked script", |world| with_output(world, vec![0x62, 0x52], 1_000, "scriptpubkey")),
    ("data that does more than push", |world| with_output(world, vec![0x6a, 0xac], 0, "scriptpubkey")),
    ("data of 224 bytes", |world| with_output(world, [&[0x6a, 0x4c, 221][..], &[7; 221]].concat(), 0, "scriptpubkey")),
    ("four data outputs", four_data_outputs),
    ("dust", dust),
    ("height lock", |world| with_lock_time(world, |world| world.ledger.height() + 1)),
    ("time lock", |world| with_lock_time(world, |world| world.ledger.median_time(world.ledger.height()) as u32)),
    ("too few bytes", too_few_bytes),
    ("spent by what waits", conflict),
    ("no such transaction", |world| {
        let outpoint = nowhere(world.random.next());
        with_input(world, outpoint, "bad-txns-inputs-missingorspent")
    }),
    ("no such output", no_such_output),
    ("spent in a block", spent_in_a_block),
    ("relative height lock", relative_lock),
    ("relative time lock", relative_time_lock),
    ("young coinbase", young_coinbase),
    ("more out than in", more_out_than_in),
    ("one satoshi too little", too_low_fee),
    ("too high a fee", too_high_fee),
    ("changed signature", changed_signature),
    ("signature of somebody else", foreign_signature),
    ("signature for another amount", other_amount),
    ("signature for other outputs", other_outputs),
    ("signature for the other side of replay protection", other_side),
    ("hash type with unknown bits", |world| {
        with_hash_type(world, |_| true, 0x65, "Signature hash type missing or not understood")
    }),
    ("reserved hash type", |world| {
        with_hash_type(world, |_| true, 0x21, "Signature hash type missing or not understood")
    }),
    ("legacy hash type", |world| {
        with_hash_type(
            world,
            |way| !matches!(way, Way::KeyPath { .. }),
            0x01,
            "Signature must use SIGHASH_FORKID or SIGHASH_LOTUS",
        )
    }),
    ("key path with the older digest", |world| {
        with_hash_type(world, is_key_path, 0x41, "Taproot key spend signatures must use SIGHASH_LOTUS")
    }),
    ("key path with ECDSA", |world| {
        with_signature(
            world,
            is_key_path,
            |_| [&[0x30, 68, 2, 32][..], &[1; 32], &[2, 32], &[1; 32], &[0x61]].concat(),
            "Taproot key spend signature must be Schnorr",
        )
    }),
    ("no signature", no_signature),
    ("another key", another_key),
    ("high s", high_s),
    ("loose DER", loose_der),
    ("one push too many", one_push_too_many),
    ("push that is too long", longer_push),
    ("leaf too early by its own lock", early_leaf),
    ("leaf of another tree", |world| {
        with_leaf(
            world,
            |script, control| {
                script[0] ^= 1;
                control
            },
            "Taproot control does not verify the script",
        )
    }),
    ("control block", control_block),
];

fn is_key_path(way: Way) -> bool {
    matches!(way, Way::KeyPath { .. })
}

fn script_failure(text: &str) -> String {
    format!("mandatory-script-verify-flag-failed ({text})")
}

/// What is said of a signature that does not verify.
fn invalid(coin: &Owned) -> String {
    script_failure(if is_key_path(coin.owner.way) {
        "Invalid Taproot key spend signature"
    } else {
        "Signature must be zero for failed CHECK(MULTI)SIG operation"
    })
}

fn draft(world: &mut World) -> Option<Draft> {
    let coins = world.ripe(|coin| coin.output.value > 30_000);
    world.draft(&coins)
}

/// The first input is spent in one of these ways.
fn draft_of(world: &mut World, wanted: impl Fn(Way) -> bool) -> Option<Draft> {
    let coins = world.ripe(|coin| coin.output.value > 30_000 && wanted(coin.owner.way));
    world.draft(&coins)
}

fn finish(world: &World, mut draft: Draft, text: impl Into<String>) -> Option<Case> {
    draft.sign(world.ledger.replay_protected());
    Some((draft.transaction.to_bytes(), text.into()))
}
