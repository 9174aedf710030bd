//! What signing does is shown, and what is unusual is signed by nobody who has not allowed it by name.

use std::collections::BTreeSet;

use nelumbo_core::api::{Command, CommandError, Event, Input, NewSession, Phase, Refusal};
use nelumbo_core::approval::{LockUnit, Path, Recipient, Signs, Summary, TransactionSummary, Unusual};
use nelumbo_core::crypto::lotus::{
    Address, OutPoint, Payload, TaprootOutput, Transaction, TxInput, TxOutput, Txid, p2pkh_script,
};
use nelumbo_core::crypto::{Network, PublicKey, Secp256k1, Suite, Tweak, Verifier, taproot};
use nelumbo_core::wire::{
    Content, Definition, DefinitionError, Details, Item, SessionId, SignedInput, SpendPath, Spending, SpendingError,
    Spent,
};

use super::common::{ScriptedPeer, TestNode, approve, definition, keys, phase};

const VALUE: u64 = 100_000_000;
const TAPROOT: Tweak = Tweak::Taproot { merkle_root: None };
const BOB: [u8; 20] = [0xb0; 20];

/// The output of this key.
fn of_key(key: &PublicKey) -> Vec<u8> {
    TaprootOutput { commitment: *key, state: None }.script_pubkey()
}

/// The session's own output.
pub(super) fn own(definition: &Definition) -> Vec<u8> {
    of_key(&Secp256k1.challenge_key(&keys(definition)))
}

/// A transaction and the input of it that is signed.
pub(super) struct Payment {
    pub(super) transaction: Vec<u8>,
    pub(super) spent: Vec<Spent>,
    pub(super) input: u32,
    sighash_type: u8,
    pub(super) path: SpendPath,
}

impl Payment {
    fn details(self) -> Details {
        let Self { transaction, spent, .. } = self;
        let spending = Spending { transaction, spent, replay_protection: false };
        let description = "rent, 1,000 satoshi to Bob".parse().expect("a text");
        Details { description, spending: Some(Box::new(spending)), ..Details::default() }
    }
}

/// A transaction in which the group spends `VALUE`.
pub(super) fn spending(definition: &Definition, outputs: &[(u64, Vec<u8>)], sighash_type: u8) -> Payment {
    let outpoint = OutPoint { txid: Txid::from_bytes([0x11; 32]), index: 3 };
    let transaction = Transaction {
        version: 2,
        inputs: vec![TxInput { outpoint, script_sig: Vec::new(), sequence: u32::MAX }],
        outputs: outputs.iter().cloned().map(|(value, script_pubkey)| TxOutput { value, script_pubkey }).collect(),
        lock_time: 0,
    };
    Payment {
        transaction: transaction.to_bytes(),
        spent: vec![Spent { value: VALUE, script: own(definition) }],
        input: 0,
        sighash_type,
        path: SpendPath::Key,
    }
}

/// The same session, for this transaction.
pub(super) fn signing(definition: &Definition, payment: Payment) -> Definition {
    let Payment { input, sighash_type, path, .. } = payment;
    let item = Item::input(SignedInput { input, sighash_type, path }, definition.items[0].tweak);
    Definition { items: vec![item], details: payment.details(), ..definition.clone() }
}

/// The same session with this tweak.
fn tweaked(definition: &Definition, tweak: Tweak) -> Definition {
    let item = Item { tweak, ..definition.items[0].clone() };
    Definition { items: vec![item], ..definition.clone() }
}

/// A session of node and alice under a Taproot output.
pub(super) fn session(node: &TestNode, alice: &ScriptedPeer) -> Definition {
    tweaked(&definition(alice.key(), vec![node.key, alice.key()]), TAPROOT)
}

pub(super) fn rent(definition: &Definition) -> [(u64, Vec<u8>); 2] {
    [(1_000, p2pkh_script(&BOB).to_vec()), (99_998_000, own(definition))]
}

pub(super) fn summary(definition: &Definition) -> Result<Summary, DefinitionError> {
    Summary::of(definition, &[Secp256k1.challenge_key(&keys(definition))])
}

pub(super) fn transaction(summary: &Summary) -> &TransactionSummary {
    let Signs::Transaction(transaction) = &summary.signs else { panic!("{summary}: no transaction") };
    transaction
}

pub(super) fn announce(node: &mut TestNode, alice: &mut ScriptedPeer, definition: &Definition) -> SessionId {
    let nonce = alice.nonce(definition, 1);
    let content = Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] };
    let bytes = alice.say(definition.id(), 1, content);
    node.hear(alice, bytes);
    definition.id()
}

fn new_session(definition: &Definition, allow: &[Unusual]) -> Command {
    Command::Create(Box::new(NewSession {
        items: definition.items.clone(),
        details: definition.details.clone(),
        allow: allow.iter().copied().collect(),
        ..NewSession::new(Suite::Lotus, definition.keys.clone(), Vec::new())
    }))
}

fn approved(node: &TestNode) -> Vec<&Summary> {
    let mut approved = Vec::new();
    for event in &node.events {
        if let Event::SessionApproved { summary, .. } = event {
            approved.push(summary.as_ref());
        }
    }
    approved
}

#[test]
fn a_summary_says_who_gets_what() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    let data = [&[0x6a, 8][..], b"hi\x1b[2J\xe2\x80"].concat();
    let mut outputs = rent(&session).to_vec();
    outputs.extend([(500, vec![0x51]), (0, [&[0x6a, 5][..], "h\u{202e}i".as_bytes()].concat()), (0, data)]);
    let summary = summary(&signing(&session, spending(&session, &outputs, 0x61))).expect("it is sound");
    assert!(summary.unusual.is_empty() && summary.warnings.is_empty(), "{summary:?}");
    assert_eq!(summary.description, "rent, 1,000 satoshi to Bob");
    let spends = transaction(&summary);
    let bob = Address { network: Network::Regtest, payload: Payload::PublicKeyHash(BOB) }.to_string();
    let seen: Vec<_> = spends.outputs.iter().map(|output| (output.value, output.to, output.is_covered)).collect();
    let [other, group, nobody] = [Recipient::Other, Recipient::Group, Recipient::Nobody];
    assert_eq!(
        seen,
        [(1_000, other, true), (99_998_000, group, true), (500, other, true), (0, nobody, true), (0, nobody, true)]
    );
    assert_eq!(spends.outputs[0].address.as_ref(), Some(&bob));
    assert_eq!((&spends.outputs[2].address, spends.outputs[2].script.as_str()), (&None, "51"));
    assert_eq!(spends.outputs[3].text.as_deref(), Some(r"h\u{202e}i"));
    assert_eq!(spends.outputs[4].text, None, "it is not UTF-8");
    assert_eq!((spends.total_in, spends.total_out, spends.fee), (VALUE, 99_999_500, 500));
    assert_eq!((spends.from_group, spends.to_group), (VALUE, 99_998_000));
    assert_eq!(spends.inputs[0].outpoint, format!("{}:3", "11".repeat(32)));
    assert!(spends.inputs[0].is_group && spends.signed.len() == 1);
    assert_eq!((&spends.signed[0].inputs[..], spends.signed[0].path), (&[0][..], Path::Key));
    assert_eq!(spends.signed[0].sighash.leaves_open, "nothing: exactly these inputs and these outputs");
    // 4 + 1 + (36 + 1 + 66 + 4) + 1 + outputs of 34, 45, 10, 16 and 19 bytes + 4, and 500 satoshi for them.
    assert_eq!((spends.size, spends.fee_rate.as_str()), (241, "2.074"));
    let line = summary.to_string();
    let begins =
        format!("pays 1,000 to {bob}, 500 to script 51, 0 to nobody, with the text h\\u{{202e}}i, 0 to nobody");
    assert!(line.starts_with(&begins), "{line}");
    assert!(
        line.ends_with("; 99,998,000 back to the group; fee 500 (2.074 per byte); sighash ALL, by key path"),
        "{line}"
    );
}

#[test]
fn what_a_signature_leaves_open_is_said_and_named() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    use Unusual::{AnyoneCanPay, SighashNone, SighashSingle};
    for (byte, name, unusual, covered) in [
        (0x61, "ALL", &[][..], [true, true]),
        (0x62, "NONE", &[SighashNone], [false, false]),
        (0x63, "SINGLE", &[SighashSingle], [true, false]),
        (0xe1, "ALL|ANYONECANPAY", &[AnyoneCanPay], [true, true]),
        (0xe2, "NONE|ANYONECANPAY", &[SighashNone, AnyoneCanPay], [false, false]),
        (0xe3, "SINGLE|ANYONECANPAY", &[SighashSingle, AnyoneCanPay], [true, false]),
    ] {
        let summary = summary(&signing(&session, spending(&session, &rent(&session), byte))).expect("it is sound");
        let spends = transaction(&summary);
        let sighash = &spends.signed[0].sighash;
        assert_eq!((sighash.byte, sighash.name.as_str()), (byte, name));
        assert_eq!(summary.unusual, unusual.iter().copied().collect());
        let meanings: Vec<&str> = unusual.iter().map(|unusual| unusual.meaning()).collect();
        assert_eq!(summary.warnings, meanings);
        assert_eq!([spends.outputs[0].is_covered, spends.outputs[1].is_covered], covered, "{name}");
        assert_eq!(sighash.leaves_open.starts_with("nothing"), byte == 0x61, "{name}");
        let line = summary.to_string();
        assert_eq!(line.starts_with("UNUSUAL"), byte != 0x61, "{line}");
        assert_eq!(line.contains("leaves open all outputs"), covered != [true, true], "{line}");
        assert_eq!(line.starts_with("pays 1,000"), byte == 0x61, "{line}");
    }
    let by_script = SpendPath::Script { executed_script_hash: [5; 32], code_separator: u32::MAX };
    let by_script = Payment { path: by_script, ..spending(&session, &rent(&session), 0x61) };
    let summary = summary(&signing(&session, by_script)).expect("it is sound");
    assert_eq!(summary.unusual, [Unusual::ScriptPath].into());
    for unusual in Unusual::ALL {
        assert_eq!(unusual.as_str().parse(), Ok(unusual));
        assert_eq!(serde_json::to_value(unusual).expect("a text"), unusual.as_str());
    }
    assert!("all".parse::<Unusual>().is_err());
}

#[test]
fn money_for_one_signer_and_a_high_fee_are_pointed_at() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    let tweaked = taproot::output_key(Suite::Lotus, &alice.key(), None).expect("a key");
    for output in [alice.key(), tweaked] {
        let outputs = [(1_000, p2pkh_script(&BOB).to_vec()), (99_998_000, of_key(&output))];
        let summary = summary(&signing(&session, spending(&session, &outputs, 0x61))).expect("it is sound");
        assert_eq!(summary.unusual, [Unusual::PaysSigner].into());
        assert_eq!(transaction(&summary).outputs[1].to, Recipient::Signer(alice.key()));
        assert!(summary.to_string().contains(&format!("(the signer {} alone)", alice.key())), "{summary}");
    }
    for (paid, is_high) in [(VALUE / 10 * 9, false), (VALUE / 10 * 9 - 1, true)] {
        let summary =
            summary(&signing(&session, spending(&session, &[(paid, vec![0x51])], 0x61))).expect("it is sound");
        assert_eq!(summary.warnings.len(), usize::from(is_high), "{:?}", summary.warnings);
        assert!(summary.unusual.is_empty());
    }
}

#[test]
fn a_lock_counts_when_an_input_is_not_final() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    for (value, unit) in [(0, None), (1, Some(LockUnit::Height)), (499_999_999, Some(LockUnit::Height))]
        .into_iter()
        .chain([(500_000_000, Some(LockUnit::Time)), (u32::MAX, Some(LockUnit::Time))])
    {
        for (sequence, effective) in [(u32::MAX, false), (u32::MAX - 1, true)] {
            let mut spending = spending(&session, &rent(&session), 0x61);
            let mut locked = Transaction::parse(&spending.transaction).expect("a transaction");
            (locked.lock_time, locked.inputs[0].sequence) = (value, sequence);
            spending.transaction = locked.to_bytes();
            let summary = summary(&signing(&session, spending)).expect("it is sound");
            let lock = transaction(&summary).lock_time;
            assert_eq!(lock.map(|lock| lock.unit), unit);
            assert!(lock.is_none_or(|lock| (lock.value, lock.effective) == (value, effective)), "{lock:?}");
            assert_eq!(summary.to_string().contains("not before"), value > 0 && effective, "{summary}");
        }
    }
}

#[test]
fn a_message_is_shown_as_text_and_bytes_and_is_opaque() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    for (message, text) in [
        (&b"pay Bob\x1b[2J"[..], Some(r"pay Bob\u{1b}[2J")),
        ("B\u{202e}ob".as_bytes(), Some(r"B\u{202e}ob")),
        (&[0xff, 0xfe], None),
        (&[], None),
    ] {
        let summary = summary(&Definition {
            suite: Suite::Bip340,
            items: vec![Item::message(message.to_vec(), Tweak::None)],
            ..session.clone()
        });
        let summary = summary.expect("every message has one");
        let Signs::Messages(shown) = &summary.signs else { panic!("{summary}") };
        let [shown] = &shown[..] else { panic!("{summary}") };
        let hex: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((shown.text.as_deref(), shown.hex.as_str()), (text, hex.as_str()));
        assert_eq!(summary.unusual, [Unusual::Opaque].into());
    }
}

/// Sessions that are none, and why.
fn unsound(session: &Definition) -> Vec<(Definition, SpendingError)> {
    let own_key = Secp256k1.challenge_key(&keys(session));
    let foreign = |script: Vec<u8>| {
        let spent = vec![Spent { value: VALUE, script }];
        signing(session, Payment { spent, ..spending(session, &rent(session), 0x61) })
    };
    let plain = Secp256k1.challenge_key(&keys(&tweaked(session, Tweak::None)));
    let above = [(1, vec![0x51]), (VALUE, own(session))];
    let error = |fits| SpendingError::ForeignOutput { input: 0, suite: Suite::Lotus, own: own_key, fits };
    vec![
        (
            signing(session, spending(session, &above, 0x61)),
            SpendingError::Overspent { inputs: VALUE, outputs: VALUE + 1 },
        ),
        // Whoever pays the rest is not known yet: no reason to sign.
        (
            signing(session, spending(session, &above, 0xe1)),
            SpendingError::Overspent { inputs: VALUE, outputs: VALUE + 1 },
        ),
        (foreign(vec![0x51]), error(None)),
        (foreign(p2pkh_script(&BOB).to_vec()), error(None)),
        (foreign(of_key(&session.keys[0])), error(None)),
        (foreign(of_key(&plain)), error(Some(Tweak::None))),
    ]
}

#[test]
fn what_cannot_be_what_it_says_is_refused_when_it_is_created_and_when_it_is_announced() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    let untweaked = tweaked(&session, Tweak::None);
    let mut cases = unsound(&session);
    let taproot_key = Secp256k1.challenge_key(&keys(&session));
    let own_key = Secp256k1.challenge_key(&keys(&untweaked));
    // The output key of the group, and a session that signs without the tweak.
    let spent = vec![Spent { value: VALUE, script: of_key(&taproot_key) }];
    let forgot = signing(&untweaked, Payment { spent, ..spending(&untweaked, &rent(&untweaked), 0x61) });
    let suite = Suite::Lotus;
    cases.push((forgot, SpendingError::ForeignOutput { input: 0, suite, own: own_key, fits: Some(TAPROOT) }));
    let help = cases.last().map(|(_, error)| error.to_string()).expect("it is there");
    assert!(help.contains("--taproot") && help.contains(&format!("625121{own_key}")), "{help}");
    for (number, (definition, error)) in cases.into_iter().enumerate() {
        assert_eq!(summary(&definition), Err(DefinitionError::Spending(error)));
        let refused = node.command(new_session(&definition, &Unusual::ALL));
        assert_eq!(refused, Err(CommandError::Definition(DefinitionError::Spending(error))), "{error}");
        let definition = Definition { nonce: [number as u8; 32], ..definition };
        node.refuses(Refusal::Definition, |node| {
            announce(node, &mut alice, &definition);
        });
        assert!(node.node.view().sessions().next().is_none(), "{error}");
    }
    assert!(node.events.is_empty(), "{:?}", node.events);
}

#[test]
fn an_output_with_state_is_the_group_s_as_well() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    let commitment = Secp256k1.challenge_key(&keys(&session));
    let script = TaprootOutput { commitment, state: Some([7; 32]) }.script_pubkey();
    let spent = vec![Spent { value: VALUE, script: script.clone() }];
    let outputs = [(VALUE, script)];
    let summary = summary(&signing(&session, Payment { spent, ..spending(&session, &outputs, 0x61) }));
    assert_eq!(transaction(&summary.expect("it is sound")).to_group, VALUE);
}

/// Sessions that are unusual, and in what.
pub(super) fn unusual(session: &Definition) -> Vec<(Definition, BTreeSet<Unusual>)> {
    let to_alice = [(1_000, vec![0x51]), (99_998_000, of_key(&session.keys[usize::from(session.creator)]))];
    let of = |outputs: &[(u64, Vec<u8>)], byte| signing(session, spending(session, outputs, byte));
    let rent = rent(session);
    vec![
        (session.clone(), [Unusual::Opaque].into()),
        (of(&rent, 0x62), [Unusual::SighashNone].into()),
        (of(&rent, 0x63), [Unusual::SighashSingle].into()),
        (of(&rent, 0xe1), [Unusual::AnyoneCanPay].into()),
        (of(&rent, 0xe2), [Unusual::SighashNone, Unusual::AnyoneCanPay].into()),
        (of(&to_alice, 0x61), [Unusual::PaysSigner].into()),
    ]
}

#[test]
fn what_is_unusual_is_joined_and_created_only_when_all_of_it_is_allowed() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    for (number, (definition, names)) in unusual(&session).into_iter().enumerate() {
        let definition = Definition { nonce: [number as u8; 32], ..definition };
        let id = announce(&mut node, &mut alice, &definition);
        let expected = summary(&definition).expect("it is sound");
        let told = node.events.iter().rev().find_map(|event| match event {
            Event::SessionAnnounced { session, summary, .. } if *session == id => Some(summary),
            _ => None,
        });
        let told = told.expect("it was announced");
        assert_eq!((&told.unusual, told.as_ref()), (&names, &expected), "who is asked is told what it is");
        // Anything else that is allowed is of no help.
        for missing in &names {
            let allow: BTreeSet<_> = Unusual::ALL.into_iter().filter(|unusual| unusual != missing).collect();
            let create = new_session(&definition, &allow.iter().copied().collect::<Vec<_>>());
            node.sent.clear();
            for command in [Command::Join { session: id, allow }, create] {
                assert_eq!(node.command(command), Err(CommandError::Unusual([*missing].into())));
            }
            assert_eq!(phase(&node, id), Phase::Announced);
            assert!(node.sent.is_empty() && approved(&node).len() == 2 * number, "no nonce, no word");
        }
        node.command(Command::Join { session: id, allow: names.clone() }).expect("it is allowed");
        assert_ne!(phase(&node, id), Phase::Announced);
        node.command(new_session(&definition, &names.iter().copied().collect::<Vec<_>>())).expect("it is allowed");
        assert_eq!(approved(&node)[2 * number..], [&expected, &expected]);
    }
}

#[test]
fn a_usual_session_needs_no_names_and_what_was_approved_outlives_it() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    let definition = signing(&session, spending(&session, &rent(&session), 0x61));
    let id = announce(&mut node, &mut alice, &definition);
    node.syncs = false;
    node.command(Command::Join { session: id, allow: BTreeSet::new() }).expect("it is usual");
    assert!(approved(&node).is_empty(), "what is not on the disk is not approved");
    node.input(Input::Persisted(node.last_record));
    assert_eq!(approved(&node), [&summary(&definition).expect("it is sound")]);
    // Told once, however often the command comes.
    node.command(approve(id)).expect("it is approved");
    node.command(Command::Close(id)).expect("it is there");
    assert_eq!(approved(&node).len(), 1);
    let view = node.node.view().session(&id);
    assert!(view.is_none());
    let event = node.events.iter().find(|event| matches!(event, Event::SessionApproved { .. })).expect("seen above");
    let json = serde_json::to_value(event).expect("an object");
    let paid = &json["summary"]["signs"]["transaction"]["outputs"][0];
    assert_eq!((&paid["value"], &paid["to"]), (&1_000.into(), &"other".into()));
}

#[test]
fn the_summary_of_an_ended_session_is_still_there() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let session = session(&node, &alice);
    let definition = signing(&session, spending(&session, &rent(&session), 0x61));
    let id = announce(&mut node, &mut alice, &definition);
    node.command(Command::Abort(id, nelumbo_core::wire::AbortReason::Declined)).expect("it is there");
    let view = node.node.view().session(&id).expect("it is remembered");
    assert_eq!((view.phase, view.summary()), (Phase::Aborted, summary(&definition)));
}
