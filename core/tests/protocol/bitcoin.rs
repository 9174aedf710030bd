//! Sessions that sign inputs of Bitcoin transactions: the digests of BIP341 and BIP342, what a person sees of them, and
//! 64 bytes that spend.

use std::time::Duration;

use nelumbo_core::api::{Command, CommandError, NewSession, Phase, Refusal};
use nelumbo_core::approval::{Path, Recipient, Signs, Summary, TransactionSummary, Unusual};
use nelumbo_core::crypto::bitcoin::{
    self, Address, OutPoint, SighashCache, SighashType, Spend, Transaction, TxInput, TxOutput,
};
use nelumbo_core::crypto::{Network, PublicKey, Secp256k1, Suite, Tweak, Verifier, schnorr, taproot};
use nelumbo_core::wire::{
    Content, Definition, DefinitionError, Details, Item, SignedInput, SpendPath, Spending, SpendingError, Spent,
};
use serde_json::Value;

use super::common::{ScriptedPeer, TestNode, all_keys, definition, nonces_hash, phase};

const VALUE: u64 = 100_000;
const PLAIN: Tweak = Tweak::Taproot { merkle_root: None };
/// An output that can also be spent by the one script that has this leaf hash.
const RECOVERY: Tweak = Tweak::Taproot { merkle_root: Some([5; 32]) };

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a text").as_bytes();
    let digit = |digit: u8| (digit as char).to_digit(16).expect("a digit") as u8;
    text.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn p2wpkh(hash: u8) -> Vec<u8> {
    [&[0, 20][..], &[hash; 20]].concat()
}

fn key(input: u32, sighash_type: u8, tweak: Tweak) -> Item {
    Item::input(SignedInput { input, sighash_type, path: SpendPath::Key }, tweak)
}

fn details(transaction: &Transaction, spent: &[TxOutput]) -> Details {
    let shown = |output: &TxOutput| Spent { value: output.value, script: output.script_pubkey.clone() };
    let spent = spent.iter().map(shown).collect();
    let spending = Spending { transaction: transaction.to_bytes(), spent, replay_protection: false };
    Details { spending: Some(Box::new(spending)), ..Details::default() }
}

/// A transaction that spends two outputs of the group's, the first of which can be recovered by a script, and one of
/// somebody else's between them.
struct Payment {
    definition: Definition,
    transaction: Transaction,
    spent: Vec<TxOutput>,
}

fn payment(node: &TestNode, alice: &ScriptedPeer, sighash_type: u8) -> Payment {
    let items = vec![key(0, sighash_type, RECOVERY), key(2, sighash_type, PLAIN)];
    let base = definition(alice.key(), vec![node.key, alice.key()]);
    let base = Definition { suite: Suite::Bip340, items, ..base };
    let own: Vec<_> =
        all_keys(&base).iter().map(|keys| bitcoin::taproot_script(&Secp256k1.challenge_key(keys)).to_vec()).collect();
    let input = |index| {
        let outpoint = OutPoint { txid: "11".repeat(32).parse().expect("a txid"), index };
        TxInput { outpoint, script_sig: Vec::new(), sequence: 0xffff_fffd }
    };
    let output = |value, script_pubkey| TxOutput { value, script_pubkey };
    let spent = vec![output(VALUE, own[0].clone()), output(VALUE, p2wpkh(9)), output(VALUE, own[1].clone())];
    let transaction = Transaction {
        version: 2,
        inputs: (0..3).map(input).collect(),
        outputs: vec![output(2 * VALUE, p2wpkh(8)), output(VALUE - 500, own[0].clone())],
        lock_time: 0,
    };
    let definition = Definition { details: details(&transaction, &spent), ..base };
    Payment { definition, transaction, spent }
}

fn summary(definition: &Definition) -> Result<Summary, DefinitionError> {
    let keys: Vec<_> = all_keys(definition).iter().map(|keys| Secp256k1.challenge_key(keys)).collect();
    Summary::of(definition, &keys)
}

fn shown(summary: &Summary) -> &TransactionSummary {
    let Signs::Transaction(transaction) = &summary.signs else { panic!("{summary}: no transaction") };
    transaction
}

#[test]
fn a_definition_s_digests_are_those_of_bip341() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/external/bip341/wallet-test-vectors.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("vectors")).expect("JSON");
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let mut types = Vec::new();
    for case in file["keyPathSpending"].as_array().expect("a list") {
        let spent = case["given"]["utxosSpent"].as_array().expect("a list").iter();
        let spent = spent.map(|output| Spent {
            value: output["amountSats"].as_u64().expect("an amount"),
            script: bytes(&output["scriptPubKey"]),
        });
        let transaction = bytes(&case["given"]["rawUnsignedTx"]);
        let spending = Spending { transaction, spent: spent.collect(), replay_protection: false };
        let (mut items, mut digests) = (Vec::new(), Vec::new());
        for signed in case["inputSpending"].as_array().expect("a list") {
            let [input, byte] = ["txinIndex", "hashType"].map(|name| signed["given"][name].as_u64().expect("a number"));
            items.push(key(input as u32, byte as u8, PLAIN));
            digests.push(bytes(&signed["intermediary"]["sigHash"]));
            types.push(byte);
        }
        let definition = Definition {
            suite: Suite::Bip340,
            items,
            details: Details { spending: Some(Box::new(spending)), ..Details::default() },
            ..definition(alice.key(), vec![node.key, alice.key()])
        };
        assert_eq!(definition.check(Duration::MAX), Ok(()));
        let messages: Vec<_> = definition.messages().expect("all have one").into_iter().map(Vec::from).collect();
        assert_eq!(messages, digests);
    }
    types.sort_unstable();
    assert_eq!(types, [0, 1, 2, 3, 0x81, 0x82, 0x83]);
}

/// Creates and joins need no names: it covers everything, and goes to nobody but Bob and the group.
#[test]
fn a_session_signs_inputs_and_its_signatures_spend_them() {
    for sighash_type in [0, 1] {
        let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
        node.meet(&mut alice);
        let Payment { definition, transaction, spent } = payment(&node, &alice, sighash_type);
        let (session, of_alice) = (definition.id(), alice.nonces(&definition, 1));
        let announce = Content::Announce { definition: definition.clone().into(), nonces: of_alice.clone() };
        let announce = alice.say(session, 1, announce);
        node.hear(&alice, announce);
        node.command(Command::Join { session, allow: [].into() }).expect("nothing about it is unusual");
        let steps = node.steps_to(&alice);
        let of_node = steps.iter().find_map(|step| step.content.nonces()).expect("it takes part").to_vec();
        let mut nonces = vec![of_node; 2];
        nonces[definition.index_of(&alice.key()).expect("a signer")] = of_alice;
        let partials = alice.sign_all(&definition, 1, &nonces);
        let content = Content::Partial { nonces: nonces_hash(&nonces.concat()), partials };
        let partial = alice.say(session, 1, content);
        node.hear(&alice, partial);
        let signatures = node.node.view().session(&session).expect("it is there").signatures;
        let kind = SighashType::from_byte(sighash_type).expect("a type");
        let cache = SighashCache::new(&transaction, &spent).expect("as many as inputs");
        for (input, signature) in [0, 2].into_iter().zip(&signatures) {
            let digest = cache.sighash(input, kind, Spend::KeyPath).expect("a Taproot output");
            let output_key = [&[2], &spent[input].script_pubkey[2..]].concat();
            let output_key = PublicKey::from_slice(&output_key).expect("33 bytes");
            assert!(schnorr::verify(Suite::Bip340, &output_key, &digest, signature), "input {input}");
            let witness = bitcoin::key_path_witness(signature, kind);
            assert_eq!(witness.len(), 64 + usize::from(sighash_type));
        }
        assert_eq!((phase(&node, session), signatures.len()), (Phase::Complete, 2));

        let wanted = NewSession::new(Suite::Bip340, definition.keys.clone(), Vec::new());
        let (items, details) = (definition.items.clone(), definition.details.clone());
        let wanted = NewSession { items, details, allow: [].into(), ..wanted };
        node.command(Command::Create(Box::new(wanted))).expect("nor when it asks itself");
    }
}

#[test]
fn a_person_sees_addresses_amounts_and_the_fee_rate_of_bitcoin() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let Payment { definition, mut transaction, mut spent } = payment(&node, &alice, 0);
    let summary = summary(&definition).expect("it is sound");
    assert!(summary.unusual.is_empty() && summary.warnings.is_empty(), "{summary:?}");
    let spends = shown(&summary);
    let address =
        |script: &[u8]| Address::from_script_pubkey(Network::Regtest, script).map(|address| address.to_string());
    let outputs: Vec<_> = spends.outputs.iter().map(|output| (output.value, output.to, &output.address)).collect();
    let (bob, group) = (address(&p2wpkh(8)), address(&spent[0].script_pubkey));
    assert_eq!(outputs, [(2 * VALUE, Recipient::Other, &bob), (VALUE - 500, Recipient::Group, &group)]);
    assert!(bob.is_some_and(|bob| bob.starts_with("bcrt1q")) && group.is_some_and(|own| own.starts_with("bcrt1p")));
    let groups: Vec<_> = spends.inputs.iter().map(|input| input.is_group).collect();
    assert_eq!((groups, spends.from_group, spends.to_group), (vec![true, false, true], 2 * VALUE, VALUE - 500));
    assert_eq!((spends.suite, &spends.txid), (Suite::Bip340, &transaction.txid(Suite::Bip340).to_string()));
    let way = &spends.signed[0];
    assert_eq!((&way.inputs[..], way.path, way.sighash.byte), (&[0, 2][..], Path::Key, 0));
    assert_eq!((way.sighash.name.as_str(), spends.signed.len()), ("DEFAULT", 1));
    // 207 bytes without witnesses, marker and flag, witnesses of 66, 108 and 66 bytes (BIP141, BIP144).
    assert_eq!((spends.size, spends.fee_rate.as_str()), ((4_u64 * 207 + 2 + 66 + 108 + 66).div_ceil(4), "1.865"));
    let line = summary.to_string();
    assert!(line.contains("fee 500 (1.865 per virtual byte); sighash DEFAULT, by key path"), "{line}");

    // Money for a signer alone is pointed at, whatever its parity; so is a lock, and a type that has a byte costs one.
    let alone = taproot::output_key(Suite::Bip340, &alice.key(), None).expect("a key");
    for key in [alone, alice.key()] {
        transaction.outputs[1].script_pubkey = bitcoin::taproot_script(&key).to_vec();
        let to_alice = Definition { details: details(&transaction, &spent), ..definition.clone() };
        let to_alice = self::summary(&to_alice).expect("it is sound");
        assert_eq!(to_alice.unusual, [Unusual::PaysSigner].into());
        assert_eq!(shown(&to_alice).outputs[1].to, Recipient::Signer(alice.key()));
    }
    // One input, one output: 396 units of weight with DEFAULT, and one more with a byte behind the signature.
    transaction.inputs.truncate(1);
    transaction.outputs.truncate(1);
    (transaction.outputs[0].value, transaction.lock_time) = (VALUE - 99, 800_000);
    spent.truncate(1);
    for (sighash_type, size) in [(0, 99), (1, 100)] {
        let items = vec![key(0, sighash_type, RECOVERY)];
        let one = Definition { items, details: details(&transaction, &spent), ..definition.clone() };
        let one = self::summary(&one).expect("it is sound");
        assert_eq!(shown(&one).size, size);
        assert!(one.to_string().contains("not before block 800,000"), "{one}");
    }
}

#[test]
fn what_a_bitcoin_signature_leaves_open_is_said_and_named() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    use Unusual::{AnyoneCanPay, SighashNone, SighashSingle};
    for (byte, name, unusual) in [
        (0, "DEFAULT", &[][..]),
        (1, "ALL", &[]),
        (2, "NONE", &[SighashNone]),
        (0x81, "ALL|ANYONECANPAY", &[AnyoneCanPay]),
        (0x82, "NONE|ANYONECANPAY", &[SighashNone, AnyoneCanPay]),
    ] {
        let summary = summary(&payment(&node, &alice, byte).definition).expect("it is sound");
        let sighash = &shown(&summary).signed[0].sighash;
        assert_eq!((sighash.byte, sighash.name.as_str()), (byte, name));
        assert_eq!(summary.unusual, unusual.iter().copied().collect());
        assert_eq!(sighash.leaves_open.starts_with("nothing"), byte < 2, "{name}");
        assert_eq!(summary.to_string().starts_with("UNUSUAL"), byte > 1, "{summary}");
    }
    let Payment { definition, .. } = payment(&node, &alice, 0);
    for (byte, name, unusual) in
        [(3, "SINGLE", vec![SighashSingle]), (0x83, "SINGLE|ANYONECANPAY", vec![SighashSingle, AnyoneCanPay])]
    {
        let summary = summary(&Definition { items: vec![key(0, byte, RECOVERY)], ..definition.clone() });
        let summary = summary.expect("the first input has an output at its place");
        assert_eq!(
            (shown(&summary).signed[0].sighash.name.as_str(), &summary.unusual),
            (name, &unusual.into_iter().collect())
        );
        let covered: Vec<_> = shown(&summary).outputs.iter().map(|output| output.is_covered).collect();
        assert_eq!(covered, [true, false]);
    }
    // A leaf's script is run with its leaf hash, by whatever keys it names: here the group's own, without a tweak.
    let path = SpendPath::Script { executed_script_hash: [5; 32], code_separator: u32::MAX };
    let items = vec![Item::input(SignedInput { input: 0, sighash_type: 0, path }, Tweak::None)];
    let by_script = Definition { items, ..definition };
    assert_eq!(summary(&by_script).expect("it is sound").unusual, [Unusual::ScriptPath].into());
    let Payment { transaction, spent, .. } = payment(&node, &alice, 0);
    let spend = Spend::Script { executed_script_hash: [5; 32], code_separator: Spend::NO_CODE_SEPARATOR };
    let digest = SighashCache::new(&transaction, &spent).expect("paired").sighash(0, SighashType::DEFAULT, spend);
    assert_eq!(by_script.message(0).expect("it has one").as_ref(), digest.expect("it has one"));
}

#[test]
fn what_cannot_be_signed_for_bitcoin_is_refused_when_created_and_when_announced() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let Payment { definition, transaction, spent } = payment(&node, &alice, 0);
    let with = |items| Definition { items, ..definition.clone() };
    let own: Vec<_> = all_keys(&definition).iter().map(|keys| Secp256k1.challenge_key(keys)).collect();
    let foreign = |input, fits| SpendingError::ForeignOutput { input, suite: Suite::Bip340, own: own[0], fits };
    let mut protected = definition.clone();
    protected.details.spending.as_mut().expect("it is there").replay_protection = true;
    let mut above = transaction.clone();
    above.outputs[0].value = 3 * VALUE;
    let overspent = SpendingError::Overspent { inputs: 3 * VALUE, outputs: 4 * VALUE - 500 };
    let no_taproot = SpendingError::Sighash(bitcoin::SighashError::NotTaproot(1));
    let cases = [
        (protected, SpendingError::ReplayProtection),
        (with(vec![key(0, 0x61, RECOVERY)]), SpendingError::SighashType(0x61)),
        (with(vec![key(2, 0, RECOVERY)]), foreign(2, Some(PLAIN))),
        (with(vec![key(1, 0, RECOVERY)]), no_taproot),
        (with(vec![key(2, 3, PLAIN)]), SpendingError::Sighash(bitcoin::SighashError::NoMatchingOutput)),
        (Definition { details: details(&above, &spent), ..definition.clone() }, overspent),
        // Lotus has no digest of a type without a byte.
        (Definition { suite: Suite::Lotus, ..definition.clone() }, SpendingError::SighashType(0)),
    ];
    for (number, (definition, error)) in cases.into_iter().enumerate() {
        let wanted = NewSession::new(definition.suite, definition.keys.clone(), Vec::new());
        let (items, details) = (definition.items.clone(), definition.details.clone());
        let wanted = NewSession { items, details, allow: Unusual::ALL.into(), ..wanted };
        let refused = node.command(Command::Create(Box::new(wanted)));
        assert_eq!(refused, Err(CommandError::Definition(DefinitionError::Spending(error))), "{error}");
        let asked = Definition { nonce: [number as u8; 32], ..definition };
        let content = Content::Announce { definition: asked.clone().into(), nonces: Vec::new() };
        let bytes = alice.say(asked.id(), 1, content);
        node.refuses(Refusal::Definition, |node| node.hear(&alice, bytes));
    }
    let help = foreign(2, Some(PLAIN)).to_string();
    assert!(help.contains("--taproot") && help.contains("is not the session's own, whose script is 5120"), "{help}");
    assert!(node.node.view().sessions().next().is_none());
}
