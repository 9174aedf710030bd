//! Faults of signatures, keys and scripts.

use super::{Case, draft, draft_of, finish, invalid, is_key_path, script_failure};
use crate::support::{Style, Way, push};
use crate::world::{Draft, World};

pub(super) fn changed_signature(world: &mut World) -> Option<Case> {
    let mut draft = draft_of(world, |way| way != Way::EcdsaHash)?;
    draft.sign(world.ledger.replay_protected());
    let place = 1 + world.random.below(64);
    draft.transaction.inputs[0].script_sig[place] ^= 1 << world.random.below(8);
    Some((draft.transaction.to_bytes(), invalid(&draft.coins[0])))
}

pub(super) fn foreign_signature(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.sign(world.ledger.replay_protected());
    let style = Style { hash_type: 0x61, replay_protected: world.ledger.replay_protected() };
    let mut owner = draft.coins[0].owner;
    owner.number += 500_000;
    let foreign = owner.signature(&draft.transaction, &draft.spent(), 0, style);
    replace_signature(&mut draft, &foreign);
    Some((draft.transaction.to_bytes(), invalid(&draft.coins[0])))
}

pub(super) fn other_amount(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.sign(world.ledger.replay_protected());
    let style = Style {
        hash_type: if is_key_path(draft.coins[0].owner.way) { 0x61 } else { 0x41 },
        replay_protected: world.ledger.replay_protected(),
    };
    let mut spent = draft.spent();
    spent[0].value += 1;
    let other = draft.coins[0].owner.signature(&draft.transaction, &spent, 0, style);
    replace_signature(&mut draft, &other);
    Some((draft.transaction.to_bytes(), invalid(&draft.coins[0])))
}

pub(super) fn other_outputs(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.sign(world.ledger.replay_protected());
    draft.transaction.outputs[0].value -= 1;
    Some((draft.transaction.to_bytes(), invalid(&draft.coins[0])))
}

pub(super) fn other_side(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.sign(!world.ledger.replay_protected());
    Some((draft.transaction.to_bytes(), invalid(&draft.coins[0])))
}

pub(super) fn with_hash_type(world: &mut World, wanted: fn(Way) -> bool, hash_type: u8, text: &str) -> Option<Case> {
    let mut draft = draft_of(world, wanted)?;
    draft.sign(world.ledger.replay_protected());
    draft.sign_input(0, Style { hash_type, replay_protected: world.ledger.replay_protected() });
    Some((draft.transaction.to_bytes(), script_failure(text)))
}

/// Another signature in the first input, and the rest of its script as it was.
pub(super) fn replace_signature(draft: &mut Draft, signature: &[u8]) {
    let old = draft.transaction.inputs[0].script_sig.clone();
    let mut script = Vec::new();
    push(&mut script, signature);
    script.extend_from_slice(&old[1 + usize::from(old[0])..]);
    draft.transaction.inputs[0].script_sig = script;
}

pub(super) fn with_signature(
    world: &mut World,
    wanted: fn(Way) -> bool,
    change: impl Fn(&[u8]) -> Vec<u8>,
    text: &str,
) -> Option<Case> {
    let mut draft = draft_of(world, wanted)?;
    draft.sign(world.ledger.replay_protected());
    let script = &draft.transaction.inputs[0].script_sig;
    let changed = change(&script[1..1 + usize::from(script[0])]);
    replace_signature(&mut draft, &changed);
    Some((draft.transaction.to_bytes(), script_failure(text)))
}

pub(super) fn no_signature(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.sign(world.ledger.replay_protected());
    replace_signature(&mut draft, &[]);
    if draft.transaction.to_bytes().len() < nelumbo_chain::build::MIN_BYTES {
        return None;
    }
    let text = if is_key_path(draft.coins[0].owner.way) {
        "Invalid Taproot key spend signature"
    } else {
        "Script evaluated without error but finished with a false/empty top stack element"
    };
    Some((draft.transaction.to_bytes(), script_failure(text)))
}

pub(super) fn another_key(world: &mut World) -> Option<Case> {
    let mut draft = draft_of(world, |way| matches!(way, Way::SchnorrHash | Way::EcdsaHash))?;
    draft.sign(world.ledger.replay_protected());
    let script = &mut draft.transaction.inputs[0].script_sig;
    let key = script.len() - 33;
    script[key] ^= 1;
    Some((draft.transaction.to_bytes(), script_failure("Script failed an OP_EQUALVERIFY operation")))
}

pub(super) fn high_s(world: &mut World) -> Option<Case> {
    let negate = |signature: &[u8]| {
        let (hash_type, der) = signature.split_last().expect("a signature");
        let bytes = secp256k1::ecdsa::Signature::from_der(der).expect("it was made so").serialize_compact();
        let mut s = num_negate(bytes[32..].try_into().expect("32 bytes"));
        // The highest bit is set now, so a zero keeps it positive.
        s.insert(0, 0);
        let r: Vec<u8> = der[4..4 + usize::from(der[3])].to_vec();
        let mut other = vec![0x30, (r.len() + s.len() + 4) as u8, 2, r.len() as u8];
        other.extend(r);
        other.extend([2, s.len() as u8]);
        other.extend(s);
        other.push(*hash_type);
        other
    };
    let text = "Non-canonical signature: S value is unnecessarily high";
    with_signature(world, |way| way == Way::EcdsaHash, negate, text)
}

/// The order of the group less a number.
pub(super) fn num_negate(number: [u8; 32]) -> Vec<u8> {
    let secret = secp256k1::SecretKey::from_secret_bytes(number).expect("s is below the order");
    secret.negate().to_secret_bytes().to_vec()
}

pub(super) fn loose_der(world: &mut World) -> Option<Case> {
    let loosen = |signature: &[u8]| {
        let mut loose = signature.to_vec();
        // A length that says less than there is.
        loose[1] -= 1;
        loose
    };
    with_signature(world, |way| way == Way::EcdsaHash, loosen, "Non-canonical DER signature")
}

pub(super) fn one_push_too_many(world: &mut World) -> Option<Case> {
    let mut draft = draft_of(world, |way| matches!(way, Way::SchnorrHash | Way::EcdsaHash))?;
    draft.sign(world.ledger.replay_protected());
    draft.transaction.inputs[0].script_sig.insert(0, 0x51);
    Some((draft.transaction.to_bytes(), script_failure("Stack size must be exactly one after execution")))
}

pub(super) fn longer_push(world: &mut World) -> Option<Case> {
    let mut draft = draft(world)?;
    draft.sign(world.ledger.replay_protected());
    // OP_PUSHDATA1 for what has its length as opcode.
    draft.transaction.inputs[0].script_sig.insert(0, 0x4c);
    Some((draft.transaction.to_bytes(), script_failure("Data push larger than necessary")))
}

pub(super) fn early_leaf(world: &mut World) -> Option<Case> {
    let mut draft = draft_of(world, |way| matches!(way, Way::Leaf(_)))?;
    let sequence = &mut draft.transaction.inputs[0].sequence;
    if sequence.trailing_zeros() >= 16 {
        return None;
    }
    *sequence -= 1;
    finish(world, draft, script_failure("Locktime requirement not satisfied"))
}

/// Another leaf script or control block.
pub(super) fn with_leaf(world: &mut World, change: fn(&mut [u8], Vec<u8>) -> Vec<u8>, text: &str) -> Option<Case> {
    let mut draft = draft_of(world, |way| matches!(way, Way::Leaf(_)))?;
    draft.sign(world.ledger.replay_protected());
    let old = draft.transaction.inputs[0].script_sig.clone();
    let (signature, rest) = old.split_at(1 + usize::from(old[0]));
    let (leaf, control) = rest.split_at(1 + usize::from(rest[0]));
    let mut leaf = leaf[1..].to_vec();
    // The key in the leaf, so that it stays a script.
    let key = leaf.len() - 20;
    let control = change(&mut leaf[key..], control[1..].to_vec());
    let mut script = signature.to_vec();
    push(&mut script, &leaf);
    push(&mut script, &control);
    draft.transaction.inputs[0].script_sig = script;
    Some((draft.transaction.to_bytes(), script_failure(text)))
}

pub(super) fn control_block(world: &mut World) -> Option<Case> {
    type Change = fn(&mut [u8], Vec<u8>) -> Vec<u8>;
    let changes: [(Change, &str); 4] = [
        (|_, control| control[..32].to_vec(), "Control block needs to be of length 33 + 32n"),
        (
            |_, control| [&[0xc2 | control[0] & 1][..], &control[1..]].concat(),
            "Unsupported taproot script leaf version",
        ),
        (|_, control| [&[0x50][..], &control[1..]].concat(), "BIP341-style taproot annex (0x50) not supported"),
        (|_, control| [&[control[0] ^ 1][..], &control[1..]].concat(), "Taproot control does not verify the script"),
    ];
    let (change, text) = changes[world.random.below(changes.len())];
    with_leaf(world, change, text)
}
