//! A session signs a list: all of it or nothing, at the cost of few messages, and a liar is named with the item.

use std::borrow::Cow;
use std::time::Duration;

use nelumbo_core::api::{AttemptFailure, Command, CommandError, Event, Input, ItemFault, NewSession, Phase, Refusal};
use nelumbo_core::approval::{Path, Signs, Summary, Unusual};
use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::lotus::{
    OutPoint, SighashType, Spend, TaprootOutput, Transaction, TxInput, TxOutput, Txid, p2pkh_script, sighash,
};
use nelumbo_core::crypto::{PartialSignature, PublicKey, PublicNonce, Secp256k1, Signature, Suite, Tweak, Verifier};
use nelumbo_core::evidence::{Evidence, NotProven, Offence, verify};
use nelumbo_core::wire::{
    Content, Definition, DefinitionError, Details, Item, MAX_DEFINITION, MAX_ITEMS, MAX_SLOTS, SignedInput, SpendPath,
    Spending, SpendingError, Spent,
};

use super::common::{ScriptedPeer, TestNode, all_keys, approve, definition, nonces_hash, phase};

const TAPROOT: Tweak = Tweak::Taproot { merkle_root: None };
const VALUE: u64 = 100_000;

/// Messages that differ, every other one under the Taproot tweak.
fn messages(count: usize) -> Vec<Item> {
    let item = |number: usize| {
        let mut message = vec![7; 32];
        message[..2].copy_from_slice(&(number as u16).to_be_bytes());
        Item::message(message, if number.is_multiple_of(2) { Tweak::None } else { TAPROOT })
    };
    (0..count).map(item).collect()
}

fn signing(creator: PublicKey, keys: Vec<PublicKey>, items: Vec<Item>) -> Definition {
    Definition { items, ..definition(creator, keys) }
}

fn assert_signed(definition: &Definition, signatures: &[Signature]) {
    assert_eq!(signatures.len(), definition.items.len());
    let messages = definition.messages().expect("they are sound");
    for ((keys, message), signature) in all_keys(definition).iter().zip(&messages).zip(signatures) {
        assert!(Secp256k1.verify_final(keys, message, signature));
    }
}

/// What a node has sent to a peer: its nonces, its partial signatures.
fn nonces_to(node: &mut TestNode, peer: &ScriptedPeer) -> Vec<PublicNonce> {
    let steps = node.steps_to(peer);
    steps.iter().find_map(|step| step.content.nonces()).expect("nonces were sent").to_vec()
}

/// A session of the node and two peers, up to the node's partial signatures.
struct Course {
    node: TestNode,
    alice: ScriptedPeer,
    bob: ScriptedPeer,
    definition: Definition,
    hash: [u8; 32],
    of_alice: Vec<PartialSignature>,
    of_bob: Vec<PartialSignature>,
}

fn course(items: Vec<Item>) -> Course {
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    node.meet(&mut bob);
    let definition = signing(alice.key(), vec![node.key, alice.key(), bob.key()], items);
    let session = definition.id();
    let (of_alice, of_bob) = (alice.nonces(&definition, 1), bob.nonces(&definition, 1));
    let content = Content::Announce { definition: definition.clone().into(), nonces: of_alice.clone() };
    let bytes = alice.say(session, 1, content);
    node.hear(&alice, bytes);
    node.command(approve(session)).unwrap();
    let of_node = nonces_to(&mut node, &alice);
    let bytes = bob.say(session, 1, Content::Join { nonces: of_bob.clone() });
    node.hear(&bob, bytes);
    let mut nonces = vec![of_node; 3];
    nonces[definition.index_of(&alice.key()).unwrap()] = of_alice;
    nonces[definition.index_of(&bob.key()).unwrap()] = of_bob;
    let hash = nonces_hash(&nonces.concat());
    let [of_alice, of_bob] = [&mut alice, &mut bob].map(|peer| peer.sign_all(&definition, 1, &nonces));
    Course { node, alice, bob, definition, hash, of_alice, of_bob }
}

#[test]
fn all_items_are_signed_together_each_under_its_own_key() {
    let Course { mut node, mut alice, mut bob, definition, hash, of_alice, of_bob } = course(messages(5));
    let session = definition.id();
    let steps = node.steps_to(&bob);
    let partials = steps.iter().find_map(|step| match &step.content {
        Content::Partial { nonces, partials } => Some((*nonces, partials.len())),
        _ => None,
    });
    assert_eq!(partials, Some((hash, 5)), "one message, over the nonces of all");
    let bytes = alice.say(session, 1, Content::Partial { nonces: hash, partials: of_alice });
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::PartialSignatureExchange);
    let bytes = bob.say(session, 1, Content::Partial { nonces: hash, partials: of_bob });
    node.hear(&bob, bytes);
    let view = node.node.view().session(&session).unwrap();
    assert_eq!(view.phase, Phase::Complete);
    assert_signed(&definition, &view.signatures);
    assert_eq!(view.challenge_keys[0], view.challenge_keys[4]);
    assert_ne!(view.challenge_keys[0], view.challenge_keys[1], "the tweak is an item's own");
    assert!(node.events.contains(&Event::SessionCompleted { session, attempt: 1, signatures: view.signatures }));
}

/// Lists are as many bytes as their signers show nonces: all sessions together have a limit, and so has what others ask
/// for, and neither takes the room of the other.
#[test]
fn the_items_of_all_sessions_have_a_limit() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let mut signers: Vec<PublicKey> = (2..=15).map(|number| ScriptedPeer::new(number).key()).collect();
    signers.extend([node.key, alice.key()]);
    let items = MAX_SLOTS / signers.len();
    let create = |number: usize| {
        let mut items = messages(items);
        items[0] = Item::message(vec![number as u8; 32], TAPROOT);
        let session = NewSession { items, ..NewSession::new(Suite::Lotus, signers.clone(), Vec::new()) };
        Command::Create(Box::new(session))
    };
    for number in 0..16 {
        node.command(create(number)).expect("there is room");
    }
    assert_eq!(node.command(create(16)), Err(CommandError::TooManyItems(65_536)));

    let mut ask = |node: &mut TestNode, number: usize| {
        let mut items = messages(items);
        items[0] = Item::message(vec![number as u8; 32], TAPROOT);
        let definition = signing(alice.key(), signers.clone(), items);
        let (session, nonces) = (definition.id(), alice.nonces(&definition, 1));
        let bytes = alice.say(session, 1, Content::Announce { definition: definition.into(), nonces });
        node.hear(&alice, bytes);
        session
    };
    let asked: Vec<_> = (0..17).map(|number| ask(&mut node, number)).collect();
    let known = asked.iter().filter(|session| node.node.view().session(session).is_some()).count();
    assert_eq!((known, node.node.view().session(&asked[16])), (16, None));
    // What was asked for is approved when there is room again.
    assert_eq!(node.command(approve(asked[0])), Err(CommandError::TooManyItems(65_536)));
    let own = node.node.view().sessions().find(|session| session.phase != Phase::Announced).expect("one of its own").id;
    node.command(Command::Close(own)).expect("it is closed");
    node.command(approve(asked[0])).expect("there is room now");
}

#[test]
fn a_liar_is_named_with_the_item_and_judged_by_that_item() {
    let Course { mut node, mut alice, mut bob, definition, hash, of_alice, mut of_bob } = course(messages(5));
    let session = definition.id();
    let mut wrong = *of_bob[3].as_bytes();
    wrong[31] ^= 1;
    of_bob[3] = PartialSignature::from_bytes(wrong);
    let bytes = bob.say(session, 1, Content::Partial { nonces: hash, partials: of_bob });
    node.hear(&bob, bytes);
    let bytes = alice.say(session, 1, Content::Partial { nonces: hash, partials: of_alice });
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::Failed, "all or nothing");
    let fault = ItemFault { signer: bob.key(), item: 3 };
    let failure = AttemptFailure::InvalidPartial(vec![fault]);
    assert!(node.events.contains(&Event::AttemptFailed { session, attempt: 1, failure }), "{:?}", node.events);
    let accused: Vec<_> = node
        .events
        .iter()
        .filter_map(|event| match event {
            Event::SignerMisbehaved { signer, evidence, .. } => Some((*signer, evidence.as_ref().clone())),
            _ => None,
        })
        .collect();
    let [(signer, evidence)] = &accused[..] else { panic!("{accused:?}") };
    let conviction = verify(&Secp256k1, evidence).expect("it is proven");
    assert_eq!((*signer, conviction.signer, conviction.offence), (bob.key(), bob.key(), Offence::InvalidPartial));
    let of_item = |number| match evidence.clone() {
        Evidence::InvalidPartial { definition, nonces, partial, .. } => {
            Evidence::InvalidPartial { definition, item: number, nonces, partial }
        }
        other => panic!("{other:?}"),
    };
    for innocent in [0, 1, 2, 4] {
        assert_eq!(verify(&Secp256k1, &of_item(innocent)), Err(NotProven::Innocent));
    }
    assert_eq!(verify(&Secp256k1, &of_item(5)), Err(NotProven::Unrelated));
}

#[test]
fn lists_of_another_length_than_the_items_are_refused() {
    let Course { mut node, mut alice, mut bob, definition, hash, of_alice, of_bob } = course(messages(3));
    let session = definition.id();
    let nonce = PublicNonce::from_bytes([2; 66]);
    for count in [0, 2, 4] {
        for content in [
            Content::Join { nonces: vec![nonce; count] },
            Content::Partial { nonces: hash, partials: vec![of_bob[0]; count] },
            Content::Finalized { signatures: vec![Signature::from_bytes([1; 64]); count] },
        ] {
            let bytes = bob.say(session, 2, content);
            node.refuses(Refusal::Definition, |node| node.hear(&bob, bytes));
        }
    }
    for count in [0, 2] {
        let content = Content::Announce { definition: definition.clone().into(), nonces: vec![nonce; count] };
        let bytes = alice.say(session, 2, content);
        node.refuses(Refusal::Definition, |node| node.hear(&alice, bytes));
    }
    let bytes = alice.say(session, 2, Content::Join { nonces: vec![nonce; 3] });
    node.refuses(Refusal::Definition, |node| node.hear(&alice, bytes));
    for (peer, partials) in [(&mut alice, of_alice), (&mut bob, of_bob)] {
        let bytes = peer.say(session, 1, Content::Partial { nonces: hash, partials });
        node.hear(peer, bytes);
    }
    assert_eq!(phase(&node, session), Phase::Complete, "nothing of that has harmed the session");
}

/// Nonces that do not fit beside the definition come in a message of their own, and may come first.
#[test]
fn a_creator_s_nonces_follow_when_they_do_not_fit() {
    for nonces_first in [false, true] {
        let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
        node.meet(&mut alice);
        let definition = signing(alice.key(), vec![node.key, alice.key()], messages(MAX_ITEMS));
        assert!(!definition.announces_nonces());
        let session = definition.id();
        let of_alice = alice.nonces(&definition, 1);
        let announce = Content::Announce { definition: definition.clone().into(), nonces: Vec::new() };
        let mut said =
            vec![alice.say(session, 1, announce), alice.say(session, 1, Content::Join { nonces: of_alice.clone() })];
        if nonces_first {
            said.reverse();
        }
        said.into_iter().for_each(|bytes| node.hear(&alice, bytes));
        node.command(approve(session)).unwrap();
        let steps = node.steps_to(&alice);
        let of_node = steps.iter().find_map(|step| step.content.nonces()).expect("nonces were sent").to_vec();
        let mut nonces = vec![of_node; 2];
        nonces[definition.index_of(&alice.key()).unwrap()] = of_alice;
        let (nonces, hash) = (nonces.clone(), nonces_hash(&nonces.concat()));
        let partials = alice.sign_all(&definition, 1, &nonces);
        let bytes = alice.say(session, 1, Content::Partial { nonces: hash, partials });
        node.hear(&alice, bytes);
        assert_signed(&definition, &node.node.view().session(&session).unwrap().signatures);
    }
    // And so does a node that creates such a session.
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let wanted = NewSession::new(Suite::Lotus, vec![node.key, alice.key()], Vec::new());
    let wanted = NewSession { items: messages(MAX_ITEMS), ..wanted };
    node.command(Command::Create(Box::new(wanted))).expect("it is allowed");
    let steps = node.steps_to(&alice);
    let [announce, join] = &steps[..] else { panic!("{} steps", steps.len()) };
    assert!(matches!(&announce.content, Content::Announce { nonces, .. } if nonces.is_empty()));
    assert!(matches!(&join.content, Content::Join { nonces } if nonces.len() == MAX_ITEMS));
    // Whoever comes late gets both.
    node.input(Input::Disconnected(alice.peer));
    node.meet(&mut alice);
    assert!(node.steps_to(&alice).starts_with(&steps));
}

/// A transaction that spends two outputs of the group's and one of somebody else's between them.
fn transaction(own: &[Vec<u8>; 2]) -> (Spending, Transaction, Vec<TxOutput>) {
    let input = |index| {
        let outpoint = OutPoint { txid: Txid::from_bytes([0x11; 32]), index };
        TxInput { outpoint, script_sig: Vec::new(), sequence: u32::MAX }
    };
    let output = |value, script_pubkey| TxOutput { value, script_pubkey };
    let spent = vec![
        output(VALUE, own[0].clone()),
        output(VALUE, p2pkh_script(&[9; 20]).to_vec()),
        output(VALUE, own[1].clone()),
    ];
    let transaction = Transaction {
        version: 2,
        inputs: (0..3).map(input).collect(),
        outputs: vec![output(2 * VALUE, p2pkh_script(&[8; 20]).to_vec()), output(VALUE - 500, own[0].clone())],
        lock_time: 0,
    };
    let shown = spent.iter().map(|output| Spent { value: output.value, script: output.script_pubkey.clone() });
    let spending = Spending { transaction: transaction.to_bytes(), spent: shown.collect(), replay_protection: false };
    (spending, transaction, spent)
}

fn signed(input: u32, sighash_type: u8) -> SignedInput {
    SignedInput { input, sighash_type, path: SpendPath::Key }
}

/// Two inputs of one transaction, one under each tweak.
fn paying(node: &TestNode, alice: &ScriptedPeer) -> (Definition, Transaction, Vec<TxOutput>) {
    let items = vec![Item::input(signed(0, 0x61), TAPROOT), Item::input(signed(2, 0x61), Tweak::None)];
    let definition = signing(alice.key(), vec![node.key, alice.key()], items);
    let [first, second] = [0, 1].map(|item| {
        let commitment = Secp256k1.challenge_key(&all_keys(&definition)[item]);
        TaprootOutput { commitment, state: None }.script_pubkey()
    });
    let (spending, transaction, spent) = transaction(&[first, second]);
    let details = Details { spending: Some(Box::new(spending)), ..Details::default() };
    (Definition { details, ..definition }, transaction, spent)
}

fn summary(definition: &Definition) -> Result<Summary, DefinitionError> {
    let keys: Vec<_> = all_keys(definition).iter().map(|keys| Secp256k1.challenge_key(keys)).collect();
    Summary::of(definition, &keys)
}

#[test]
fn the_items_of_a_transaction_are_its_inputs_and_it_is_shown_once() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let (definition, transaction, spent) = paying(&node, &alice);
    assert_eq!(definition.check(Duration::MAX), Ok(()));
    let digest =
        |input, kind: SighashType| sighash(&transaction, &spent, input, kind, Spend::KeyPath).unwrap().to_vec();
    let expected = [digest(0, SighashType::ALL), digest(2, SighashType::ALL)];
    assert_eq!(definition.messages().unwrap(), expected.each_ref().map(|digest| Cow::Borrowed(&digest[..])));
    assert_eq!(definition.amount(), Some(2 * VALUE));
    let mut protected = definition.clone();
    protected.details.spending.as_mut().unwrap().replay_protection = true;
    let kind = SighashType::ALL.with_replay_protection();
    assert_eq!(protected.message(1).unwrap(), digest(2, kind));

    let shown = summary(&definition).expect("it is sound");
    assert!(shown.unusual.is_empty());
    let Signs::Transaction(shown) = &shown.signs else { panic!("{shown}") };
    let ways: Vec<_> = shown.signed.iter().map(|way| (&way.inputs[..], way.path, way.sighash.byte)).collect();
    assert_eq!(ways, [(&[0, 2][..], Path::Key, 0x61)]);
    assert_eq!((shown.from_group, shown.to_group, shown.fee), (2 * VALUE, VALUE - 500, 500));
    let groups: Vec<_> = shown.inputs.iter().map(|input| input.is_group).collect();
    assert_eq!(groups, [true, false, true]);

    // What one of the signatures leaves open is open.
    let items = vec![Item::input(signed(0, 0x61), TAPROOT), Item::input(signed(2, 0xe2), Tweak::None)];
    let open = summary(&Definition { items, ..definition }).expect("it is sound");
    assert_eq!(open.unusual, [Unusual::SighashNone, Unusual::AnyoneCanPay].into());
    let Signs::Transaction(open) = &open.signs else { panic!("{open}") };
    assert!(open.outputs.iter().all(|output| !output.is_covered) && open.signed.len() == 2);
}

#[test]
fn each_input_must_be_the_session_s_own_for_that_item() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let (definition, ..) = paying(&node, &alice);
    let with = |items| Definition { items, ..definition.clone() };
    let own = |item: usize| Secp256k1.challenge_key(&all_keys(&definition)[item]);
    let foreign = |input, own, fits| {
        DefinitionError::Spending(SpendingError::ForeignOutput { input, suite: Suite::Lotus, own, fits })
    };
    let taproot = |input| Item::input(signed(input, 0x61), TAPROOT);
    let cases = [
        (with(vec![taproot(0), taproot(2)]), foreign(2, own(0), Some(Tweak::None))),
        (with(vec![taproot(0), taproot(1)]), foreign(1, own(0), None)),
        (with(vec![taproot(2), taproot(0)]), DefinitionError::InputOrder(0)),
        (with(vec![taproot(0), taproot(0)]), DefinitionError::InputOrder(0)),
        (with(vec![taproot(0), Item::message(vec![7; 32], TAPROOT)]), DefinitionError::MixedItems),
        (Definition { details: Details::default(), ..definition.clone() }, DefinitionError::MixedItems),
    ];
    for (number, (definition, error)) in cases.into_iter().enumerate() {
        let wanted = NewSession::new(Suite::Lotus, definition.keys.clone(), Vec::new());
        let (items, details) = (definition.items.clone(), definition.details.clone());
        let wanted = NewSession { items, details, allow: Unusual::ALL.into(), ..wanted };
        assert_eq!(node.command(Command::Create(Box::new(wanted))), Err(CommandError::Definition(error)));
        let asked = Definition { nonce: [number as u8; 32], ..definition };
        let content = Content::Announce { definition: asked.clone().into(), nonces: Vec::new() };
        let bytes = alice.say(asked.id(), 1, content);
        node.refuses(Refusal::Definition, |node| node.hear(&alice, bytes));
    }
    assert!(node.node.view().sessions().next().is_none());
}

#[test]
fn what_is_too_much_for_one_session_is_none_and_the_reason_is_said() {
    let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let of = |signers: u8, items| {
        let others = (2..signers).map(|number| ScriptedPeer::new(number).key());
        signing(alice.key(), [node.key, alice.key()].into_iter().chain(others).collect(), items)
    };
    let long = |length| vec![Item::message(vec![7; length], Tweak::None)];
    assert_eq!(of(2, Vec::new()).check(Duration::MAX), Err(DefinitionError::ItemCount(0)));
    assert_eq!(of(2, messages(MAX_ITEMS)).check(Duration::MAX), Ok(()));
    assert_eq!(of(2, messages(MAX_ITEMS + 1)).check(Duration::MAX), Err(DefinitionError::ItemCount(MAX_ITEMS + 1)));
    assert_eq!(of(4, messages(MAX_SLOTS / 4)).check(Duration::MAX), Ok(()));
    let error = DefinitionError::SlotCount { items: MAX_SLOTS / 4, signers: 5 };
    assert_eq!(of(5, messages(MAX_SLOTS / 4)).check(Duration::MAX), Err(error));
    assert!(error.to_string().contains("several sessions"));
    let bip340 = |items| Definition { suite: Suite::Bip340, ..of(2, items) };
    assert_eq!(bip340(long(4_096)).check(Duration::MAX), Ok(()));
    assert_eq!(bip340(long(4_097)).check(Duration::MAX), Err(DefinitionError::MessageLength(4_097)));
    let many = bip340((0..16).flat_map(|_| long(4_096)).collect()).check(Duration::MAX);
    assert!(matches!(many, Err(DefinitionError::Length(length)) if length > MAX_DEFINITION), "{many:?}");
}

/// What a creator says to have this many messages of one session signed by five, and what the others say, in bytes.
fn bytes_of(items: usize, sessions: usize) -> usize {
    let mut peers: Vec<ScriptedPeer> = (1..=5).map(ScriptedPeer::new).collect();
    let keys: Vec<_> = peers.iter().map(ScriptedPeer::key).collect();
    let mut sent = 0;
    for number in 0..sessions {
        let definition = signing(keys[0], keys.clone(), messages(items));
        let definition = Definition { nonce: [number as u8; 32], ..definition };
        let session = definition.id();
        let said = |peer: &mut ScriptedPeer, content| -> Bytes { peer.say(session, 1, content) };
        let nonces = vec![PublicNonce::from_bytes([2; 66]); items];
        let partials = vec![PartialSignature::from_bytes([1; 32]); items];
        for (index, peer) in peers.iter_mut().enumerate() {
            let first = if index == 0 {
                Content::Announce { definition: definition.clone().into(), nonces: nonces.clone() }
            } else {
                Content::Join { nonces: nonces.clone() }
            };
            // Each is sent to four others.
            sent += 4 * said(peer, first).len();
            sent += 4 * said(peer, Content::Partial { nonces: [1; 32], partials: partials.clone() }).len();
        }
    }
    sent
}

#[test]
fn a_hundred_items_cost_a_quarter_of_a_hundred_sessions_in_bytes() {
    let (together, apart) = (bytes_of(100, 1), bytes_of(1, 100));
    assert_eq!((together, apart), (217_156, 907_060));
    assert!(4 * together <= apart, "{together} bytes together, {apart} apart");
}
