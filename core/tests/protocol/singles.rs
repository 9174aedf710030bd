//! What a protocol has signed with this node's key alone: inputs of transactions that are shown, and named statements.

use std::collections::BTreeSet;
use std::sync::Arc;

use nelumbo_core::api::{Input, NewSession, SignReply, SignRequest};
use nelumbo_core::approval::{Signs, Summary, Unusual};
use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::bitcoin::{self, OutPoint, Transaction, TxInput, TxOutput};
use nelumbo_core::crypto::lotus::{self, TaprootOutput};
use nelumbo_core::crypto::{
    Network, PublicKey, Secp256k1, SecretKey, Signature, SignerError, SoftwareSigner, Suite, Tweak, schnorr, taproot,
};
use nelumbo_core::device::Device;
use nelumbo_core::single::{Single, SingleInput, SingleSigner, Statement};
use nelumbo_core::wire::{Definition, Label, SignedInput, SpendPath, Spending, Spent};
use nelumbo_core::{Policy, Review};

use super::common::{NODE, ScriptedPeer, TestNode};
use super::discovery::label;
use super::scripted_protocol::Script;

const VALUE: u64 = 50_000;

fn signer() -> SingleSigner {
    let key = SecretKey::from_bytes(&[NODE; 32]).expect("a small number is a key");
    SingleSigner::new(key, Entropy::new([5; 32]).expect("not all zero"))
}

/// A node that signs alone, with a protocol.
fn node() -> (TestNode, Script) {
    let (mut node, script) = (TestNode::new(), Script::new("pool"));
    node.single = Some(signer());
    script.register(&mut node);
    script.told();
    (node, script)
}

fn statement(name: &str, text: &[u8]) -> Statement {
    Statement { network: Network::Regtest, name: label(name), text: text.to_vec() }
}

fn sign(node: &mut TestNode, script: &Script, name: &str, single: Single, allow: &[Unusual]) {
    let (name, allow): (Label, BTreeSet<_>) = (label(name), allow.iter().copied().collect());
    script.act(node, move |context| context.sign(name, single, allow));
}

/// The script of an output of this key.
fn output(suite: Suite, key: &PublicKey, tweak: Tweak) -> (Vec<u8>, PublicKey) {
    let key = match tweak {
        Tweak::Taproot { merkle_root } => taproot::output_key(suite, key, merkle_root.as_ref()).expect("a key"),
        _ => *key,
    };
    let script = match suite {
        Suite::Lotus => TaprootOutput { commitment: key, state: None }.script_pubkey(),
        Suite::Bip340 => bitcoin::taproot_script(&key).to_vec(),
    };
    (script, key)
}

/// Spends an output with this script, and pays so much.
fn spending(suite: Suite, script: Vec<u8>, (sighash_type, tweak): (u8, Tweak), paid: u64) -> SingleInput {
    let outpoint = OutPoint { txid: "11".repeat(32).parse().expect("a txid"), index: 3 };
    let transaction = Transaction {
        version: 2,
        inputs: vec![TxInput { outpoint, script_sig: Vec::new(), sequence: u32::MAX }],
        outputs: vec![TxOutput { value: paid, script_pubkey: vec![0x51] }],
        lock_time: 0,
    };
    SingleInput {
        network: Network::Regtest,
        suite,
        spending: Spending {
            transaction: transaction.to_bytes(),
            spent: vec![Spent { value: VALUE, script }],
            replay_protection: false,
        },
        input: SignedInput { input: 0, sighash_type, path: SpendPath::Key },
        tweak,
    }
}

/// P17, P18.
#[test]
fn a_protocol_has_a_named_statement_signed() {
    let (mut node, script) = node();
    let identity = statement("identity", b"I am bob");
    sign(&mut node, &script, "who", Single::Statement(identity.clone()), &[]);
    assert_eq!(script.told(), ["signature who Ok"]);
    let signature = script.signature().expect("it was told");
    assert!(identity.is_signed_by(&node.key, &signature));
    // It says nothing for another purpose, of another text, on another network, of another key.
    let other_network = Statement { network: Network::Mainnet, ..identity.clone() };
    for other in [statement("ownership", b"I am bob"), statement("identity", b"I am eve"), other_network] {
        assert!(!other.is_signed_by(&node.key, &signature));
    }
    assert!(!identity.is_signed_by(&ScriptedPeer::new(1).key(), &signature));
    let shown = Single::Statement(identity).summary(&node.key).expect("it has one");
    assert!(matches!(&shown.signs, Signs::Statement { name, .. } if name == "identity") && shown.unusual.is_empty());
    assert_eq!(shown.to_string(), "the statement identity, a message of 8 bytes: text I am bob, 4920616d20626f62");
    sign(&mut node, &script, "long", Single::Statement(statement("identity", &[7; 4_097])), &[]);
    let [told] = &script.told()[..] else { panic!("one answer") };
    assert!(told.starts_with("signature long Err("), "{told}");
}

/// P17, P18.
#[test]
fn a_protocol_has_an_input_signed_that_the_key_spends_alone_on_either_ledger() {
    let (mut node, script) = node();
    let root = Tweak::Taproot { merkle_root: Some([5; 32]) };
    for suite in [Suite::Lotus, Suite::Bip340] {
        let byte = if suite == Suite::Lotus { 0x61 } else { 0 };
        for tweak in [Tweak::None, Tweak::Taproot { merkle_root: None }, root] {
            let (spent, output_key) = output(suite, &node.key, tweak);
            let input = spending(suite, spent.clone(), (byte, tweak), VALUE - 500);
            sign(&mut node, &script, "pay", Single::Input(Box::new(input.clone())), &[]);
            assert_eq!(script.told(), ["signature pay Ok"]);
            let transaction = Transaction::parse(&input.spending.transaction).expect("a transaction");
            let spent = [TxOutput { value: VALUE, script_pubkey: spent }];
            let digest = match suite {
                Suite::Lotus => lotus::SighashCache::new(&transaction, &spent)
                    .and_then(|cache| cache.sighash(0, lotus::SighashType::ALL, lotus::Spend::KeyPath)),
                Suite::Bip340 => bitcoin::SighashCache::new(&transaction, &spent)
                    .and_then(|cache| cache.sighash(0, bitcoin::SighashType::DEFAULT, bitcoin::Spend::KeyPath)),
            };
            let signature = script.signature().expect("it was told");
            assert!(schnorr::verify(suite, &output_key, &digest.expect("it has one"), &signature), "{suite} {tweak:?}");
        }
    }
}

#[test]
fn what_is_unusual_foreign_or_too_much_is_not_even_asked_of_the_signer() {
    let (mut node, script) = node();
    node.single = None;
    let (own, _) = output(Suite::Lotus, &node.key, Tweak::None);
    let (tweaked, _) = output(Suite::Lotus, &node.key, Tweak::Taproot { merkle_root: None });
    let of = |script, byte, paid| Single::Input(Box::new(spending(Suite::Lotus, script, (byte, Tweak::None), paid)));
    for (single, error) in [
        (of(own.clone(), 0x62, VALUE), "what is signed is unusual (sighash-none)"),
        (of(tweaked, 0x61, VALUE), "the output that input 0 spends by key is not the session's own"),
        (of(own.clone(), 0x61, VALUE + 1), "the outputs are 50001 satoshi, more than the inputs"),
        (of(own.clone(), 0, VALUE), "0x00 is no signature hash type"),
    ] {
        sign(&mut node, &script, "pay", single, &[]);
        let [told] = &script.told()[..] else { panic!("one answer") };
        assert!(told.starts_with(&format!("signature pay Err(\"{error}")), "{told}");
    }
    node.node.set_policy(Box::new(Never));
    sign(&mut node, &script, "pay", of(own.clone(), 0x61, VALUE), &[]);
    assert!(script.told()[0].contains("the policy of this node"));
    assert!(node.requests.iter().all(|request| !matches!(request, SignRequest::Single { .. })));
    node.node.set_policy(Box::new(Ever));
    sign(&mut node, &script, "pay", of(own, 0x62, VALUE), &[Unusual::SighashNone]);
    assert!(matches!(node.requests[..], [SignRequest::Single { .. }]) && script.told().is_empty());
}

struct Never;

impl Policy for Never {
    fn lets_sign(&mut self, _: &Label, _: &Single, _: &Summary) -> bool {
        false
    }
}

struct Ever;

impl Policy for Ever {
    fn lets_create(&mut self, _: &Label, _: &NewSession) -> bool {
        false
    }

    fn review(&mut self, _: &Definition, _: &Summary) -> Review {
        Review::Decline
    }
}

/// What it asks for, when the test answers.
fn asked(node: &mut TestNode, script: &Script, name: &str) -> SignRequest {
    node.single = None;
    sign(node, script, name, Single::Statement(statement("identity", name.as_bytes())), &[]);
    node.requests.pop().expect("the signer is asked")
}

fn give(node: &mut TestNode, reply: SignReply) {
    node.input(Input::Signed(reply));
}

#[test]
fn whatever_the_signer_answers_only_what_verifies_is_told_and_once() {
    let (mut node, script) = node();
    let request = asked(&mut node, &script, "who");
    let other = asked(&mut node, &script, "other");
    let SignRequest::Single { id, .. } = request else { panic!("{request:?}") };
    let right = signer().answer(&request).expect("it has an answer");
    let SignReply::Single { signature: wrong, .. } = signer().answer(&other).expect("it has an answer") else {
        panic!("{other:?}")
    };
    give(&mut node, SignReply::Single { id, signature: wrong });
    assert_eq!(script.told().len(), 1, "it is told that there is none");
    assert_eq!(script.signature(), None);
    give(&mut node, right);
    assert!(script.told().is_empty(), "an answer comes once");
    give(&mut node, other.failed(SignerError::Declined).expect("it has a reply"));
    assert_eq!(script.told(), [r#"signature other Err("the signer declined")"#]);
    // Whoever asks again under the same name awaits the newer one alone; whoever is taken out awaits nothing.
    let older = asked(&mut node, &script, "who");
    let newer = asked(&mut node, &script, "who");
    for (request, told) in [(older, 0), (newer, 1)] {
        give(&mut node, signer().answer(&request).expect("it has an answer"));
        assert_eq!(script.told().len(), told);
    }
    let late = asked(&mut node, &script, "who");
    assert!(node.unregister(&label("pool")));
    script.register(&mut node);
    script.told();
    give(&mut node, signer().answer(&late).expect("it has an answer"));
    assert!(script.told().is_empty());
    give(&mut node, SignReply::Single { id, signature: Ok(Signature::from_bytes([1; 64])) });
    // There are so many at once, and one more when one is answered.
    let first = asked(&mut node, &script, "n0");
    for number in 1..64 {
        asked(&mut node, &script, &format!("n{number}"));
    }
    sign(&mut node, &script, "more", Single::Statement(statement("identity", b"")), &[]);
    assert!(script.told()[0].starts_with("signature more Err(\"64 signatures are awaited"));
    give(&mut node, first.failed(SignerError::Unavailable).expect("it has a reply"));
    asked(&mut node, &script, "more");
}

#[test]
fn the_signer_is_asked_after_the_records_of_the_protocol() {
    let (mut node, script) = node();
    (node.single, node.syncs) = (None, false);
    script.act(&mut node, |context| {
        context.persist(label("intent"), vec![1]).expect("there is room");
        context.sign(label("who"), Single::Statement(statement("identity", b"me")), BTreeSet::new());
    });
    assert!(node.requests.is_empty());
    node.input(Input::Persisted(node.last_record));
    assert!(matches!(node.requests[..], [SignRequest::Single { .. }]));
}

#[test]
fn a_device_shows_what_it_signs_alone() {
    let (mut node, script) = node();
    let request = asked(&mut node, &script, "who");
    let key = || Arc::new(SecretKey::from_bytes(&[NODE; 32]).expect("a small number is a key"));
    let device = || Device::new(Secp256k1, SoftwareSigner::new(key(), Entropy::new([5; 32]).expect("not all zero")));
    let carried: SignRequest = postcard::from_bytes(&postcard::to_allocvec(&request).unwrap()).unwrap();
    assert_eq!(carried, request);
    assert!(device().summary(&request).expect("it is sound").is_some(), "a person is asked");
    assert_eq!(device().answer(&request), request.failed(SignerError::Unavailable), "it was not made for that");
    let reply = device().with_single(signer()).answer(&request).expect("it has a reply");
    give(&mut node, reply);
    assert_eq!(script.told(), ["signature who Ok"]);
    // It refuses what it could not show, whatever the node says.
    let (script, _) = output(Suite::Lotus, &ScriptedPeer::new(1).key(), Tweak::None);
    let foreign = Single::Input(Box::new(spending(Suite::Lotus, script, (0x61, Tweak::None), VALUE)));
    let SignRequest::Single { id, .. } = request else { panic!("{request:?}") };
    let foreign = SignRequest::Single { id, single: Arc::new(foreign) };
    assert_eq!(device().summary(&foreign), Err(SignerError::RoundMismatch));
    assert_eq!(signer().answer(&foreign), foreign.failed(SignerError::RoundMismatch));
}
