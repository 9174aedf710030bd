//! Faults of form, of amounts, of locks and of what is spent.

use nelumbo_chain::build::MAX_MONEY;
use nelumbo_crypto::lotus::{OutPoint, TxOutput, Txid};

use super::{Case, draft, draft_of, finish};
use crate::support::{Owned, Way};
use crate::world::{FEE, World};

pub(super) fn cut_short(world: &mut World) -> Option<Case> {
    let (mut bytes, _) = draft(world).and_then(|draft| finish(world, draft, ""))?;
    bytes.truncate(world.random.below(bytes.len()));
    Some((bytes, "TX decode failed".into()))
}

pub(super) fn coinbase(world: &mut World) -> Option<Case> {
    let bytes = world.ledger.tip().transactions[0].to_bytes();
    // Not the one that is in the chain.
    let mut transaction = nelumbo_crypto::lotus::Transaction::parse(&bytes).ok()?;
    transaction.outputs[1].value -= 1;
    Some((transaction.to_bytes(), "bad-tx-coinbase".into()))
}

pub(super) fn no_outputs(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.transaction.outputs.clear();
    finish(world, draft, "bad-txns-vout-empty")
}

pub(super) fn with_value(world: &mut World, value: u64, text: &str) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.transaction.outputs[0].value = value;
    // Sums that overflow are not signed; the value is looked at before.
    Some((draft.transaction.to_bytes(), text.into()))
}

pub(super) fn too_large_sum(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.transaction.outputs[0].value = MAX_MONEY;
    draft.transaction.outputs.push(world.owner().output(1_000));
    finish(world, draft, "bad-txns-txouttotal-toolarge")
}

/// One more input, whose outpoint is looked at before its script.
pub(super) fn with_input(world: &mut World, outpoint: OutPoint, text: &str) -> Option<Case> {
    let mut draft = draft(world)?;
    let mut coin = draft.coins[0].clone();
    let mut input = draft.transaction.inputs[0].clone();
    (coin.outpoint, input.outpoint) = (outpoint, outpoint);
    draft.coins.push(coin);
    draft.transaction.inputs.push(input);
    finish(world, draft, text)
}

pub(super) fn same_input_twice(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.coins.push(draft.coins[0].clone());
    draft.transaction.inputs.push(draft.transaction.inputs[0].clone());
    finish(world, draft, "bad-txns-inputs-duplicate")
}

pub(super) fn with_version(world: &mut World, version: i32) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.transaction.version = version;
    finish(world, draft, "version")
}

pub(super) fn too_many_bytes(world: &mut World) -> Option<Case> {
    // Seldom, because it takes long to hash.
    if world.random.below(20) != 0 {
        return None;
    }
    let coins = world.ripe(|coin| coin.output.value > 2_500_000);
    let mut draft = world.draft(&coins)?;
    let output = world.coins.iter().find(|coin| coin.output.script_pubkey.len() == 25)?.owner.output(600);
    draft.transaction.outputs.truncate(1);
    draft.transaction.outputs.extend(vec![output; 2_950]);
    draft.set_fee(110_000);
    finish(world, draft, "tx-size")
}

pub(super) fn not_push_only(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.sign(world.ledger.replay_protected());
    draft.transaction.inputs[0].script_sig.push(0x61);
    Some((draft.transaction.to_bytes(), "scriptsig-not-pushonly".into()))
}

pub(super) fn with_output(world: &mut World, script_pubkey: Vec<u8>, value: u64, text: &str) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.transaction.outputs.push(TxOutput { value, script_pubkey });
    draft.set_fee(FEE);
    finish(world, draft, text)
}

pub(super) fn four_data_outputs(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.transaction.outputs.extend(vec![TxOutput { value: 0, script_pubkey: vec![0x6a, 1, 7] }; 4]);
    finish(world, draft, "multi-op-return")
}

pub(super) fn dust(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    let owner = world.owner();
    let least = match owner.way {
        Way::SchnorrHash | Way::EcdsaHash => 546,
        Way::KeyPath { state: true } => 678,
        Way::KeyPath { state: false } | Way::Leaf(_) => 579,
    };
    draft.transaction.outputs.push(owner.output(least - 1));
    draft.set_fee(FEE);
    finish(world, draft, "dust")
}

pub(super) fn with_lock_time(world: &mut World, lock_time: impl Fn(&World) -> u32) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.transaction.lock_time = lock_time(world);
    draft.transaction.inputs.iter_mut().for_each(|input| input.sequence = input.sequence.min(u32::MAX - 1));
    finish(world, draft, "bad-txns-nonfinal, non-final transaction")
}

/// Nobody can sign in so few bytes, and nobody looks at signatures before.
pub(super) fn too_few_bytes(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.transaction.lock_time = 0;
    draft.transaction.inputs.truncate(1);
    draft.transaction.outputs = vec![TxOutput { value: 0, script_pubkey: vec![0x6a] }];
    Some((draft.transaction.to_bytes(), "bad-txns-undersize".into()))
}

pub(super) fn conflict(world: &mut World) -> Option<Case> {
    let waiting: Vec<Txid> = world.ledger.waiting().collect();
    let is_spent =
        |coin: &&Owned| world.ledger.spender(&coin.outpoint).is_some_and(|(spender, _)| waiting.contains(&spender));
    let coins: Vec<Owned> = world.coins.iter().filter(is_spent).cloned().collect();
    let draft = world.draft(&coins)?;
    finish(world, draft, "txn-mempool-conflict")
}

pub(super) fn no_such_output(world: &mut World) -> Option<Case> {
    let coin = world.random.pick(&world.coins.clone())?.outpoint;
    with_input(world, OutPoint { txid: coin.txid, index: 60_000 }, "bad-txns-inputs-missingorspent")
}

pub(super) fn spent_in_a_block(world: &mut World) -> Option<Case> {
    let is_spent = |coin: &&Owned| {
        let spender = world.ledger.spender(&coin.outpoint).and_then(|(spender, _)| world.ledger.transaction(&spender));
        spender.is_some_and(|located| located.height.is_some())
    };
    let coins: Vec<Owned> = world.coins.iter().filter(is_spent).cloned().collect();
    let draft = world.draft(&coins)?;
    finish(world, draft, "bad-txns-inputs-missingorspent")
}

pub(super) fn relative_lock(world: &mut World) -> Option<Case> {
    let mut draft = draft_of(world, |way| !matches!(way, Way::Leaf(_)))?;
    let next = world.ledger.height() + 1;
    let height = world.ledger.transaction(&draft.coins[0].outpoint.txid)?.height.unwrap_or(next);
    draft.transaction.inputs[0].sequence = next - height + 1;
    finish(world, draft, "non-BIP68-final")
}

pub(super) fn relative_time_lock(world: &mut World) -> Option<Case> {
    let mut draft = draft_of(world, |way| !matches!(way, Way::Leaf(_)))?;
    let tip = world.ledger.height();
    let height = world.ledger.transaction(&draft.coins[0].outpoint.txid)?.height.unwrap_or(tip + 1);
    let passed = world.ledger.median_time(tip) - world.ledger.median_time(height - 1);
    draft.transaction.inputs[0].sequence = 1 << 22 | (passed / 512 + 1) as u32;
    finish(world, draft, "non-BIP68-final")
}

pub(super) fn young_coinbase(world: &mut World) -> Option<Case> {
    let next = world.ledger.height() + 1;
    let is_young = |coin: &&Owned| {
        let located = world.ledger.transaction(&coin.outpoint.txid);
        let age = located.filter(|located| located.is_coinbase).and_then(|located| Some(next - located.height?));
        // Other locks are over.
        age.is_some_and(|age| (25..100).contains(&age))
    };
    let coins: Vec<Owned> = world.coins.iter().filter(is_young).cloned().collect();
    let draft = world.draft(&coins)?;
    finish(world, draft, "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth *")
}

pub(super) fn more_out_than_in(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.transaction.outputs[0].value += FEE + 1;
    finish(world, draft, "bad-txns-in-belowout, value in (*")
}

/// Signed twice, because the size is known only then.
pub(super) fn too_low_fee(world: &mut World) -> Option<Case> {
    let mut draft = draft_of(world, |way| way != Way::EcdsaHash)?;
    if draft.coins.iter().any(|coin| coin.owner.way == Way::EcdsaHash) {
        return None;
    }
    draft.sign(world.ledger.replay_protected());
    let size = draft.transaction.to_bytes().len() as u64;
    draft.set_fee(size - 1);
    finish(world, draft, format!("min relay fee not met, {} < {size}", size - 1))
}

pub(super) fn too_high_fee(world: &mut World) -> Option<Case> {
    let coins = world.ripe(|coin| coin.output.value > 12_000_000);
    let mut draft = world.draft(&coins)?;
    draft.transaction.outputs.truncate(1);
    draft.sign(world.ledger.replay_protected());
    let size = draft.transaction.to_bytes().len() as u64 + 8;
    draft.set_fee(size * 10_000);
    finish(world, draft, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
}
