//! Signing sessions of another protocol: whose they are, and what it may do with them.

use std::collections::BTreeSet;

use nelumbo_core::api::{Command, Config, Event, NewSession, Phase};
use nelumbo_core::approval::{Summary, Unusual};
use nelumbo_core::crypto::{Network, Suite};
use nelumbo_core::wire::{AbortReason, Content, Definition, Label, SessionId};
use nelumbo_core::{Policy, Review};

use super::common::{ScriptedPeer, TestNode, approve, definition, nonce_in, partial_in, phase};
use super::discovery::label;
use super::scripted_protocol::Script;

fn opaque() -> BTreeSet<Unusual> {
    [Unusual::Opaque].into()
}

/// A node with this protocol, and a peer.
fn met() -> (TestNode, ScriptedPeer, Script) {
    let (mut node, mut alice, script) = (TestNode::new(), ScriptedPeer::new(1), Script::new("pool"));
    node.meet(&mut alice);
    script.register(&mut node);
    script.told();
    (node, alice, script)
}

/// Whether a record says which protocol a session belongs to.
fn is_owner(key: &[u8]) -> bool {
    key.starts_with(b"q")
}

fn session_of(node: &TestNode) -> SessionId {
    node.node.view().sessions().next().expect("there is one").id
}

/// Alice asks for a session with the node.
fn announce(node: &mut TestNode, alice: &mut ScriptedPeer, number: u8) -> Definition {
    let mut definition = definition(alice.key(), vec![node.key, alice.key()]);
    definition.nonce = [number; 32];
    let nonce = alice.nonce(&definition, 1);
    let content = Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] };
    let bytes = alice.say(definition.id(), 1, content);
    node.hear(alice, bytes);
    definition
}

fn create(node: &mut TestNode, alice: &ScriptedPeer, script: &Script) {
    let keys = vec![node.key, alice.key()];
    script.act(node, move |context| {
        context.create(label("settlement"), NewSession::new(Suite::Lotus, keys, vec![7; 32]));
    });
}

/// P11, P13.
#[test]
fn it_creates_a_session_and_follows_it_to_its_signature() {
    let (mut node, mut alice, script) = met();
    create(&mut node, &alice, &script);
    let id = session_of(&node);
    let told = script.told();
    assert_eq!(told[..2], ["created settlement Ok(())", "session session-created"]);
    assert!(told.contains(&"session session-approved".to_owned()));
    let definition = node.node.view().session(&id).unwrap().definition;
    let own = nonce_in(&node.steps_to(&alice));
    let nonce = alice.nonce(&definition, 1);
    let bytes = alice.say(id, 1, Content::Join { nonces: vec![nonce] });
    node.hear(&alice, bytes);
    let (_, nonces) = partial_in(&node.steps_to(&alice));
    let mut list = [own; 2];
    list[definition.index_of(&alice.key()).unwrap()] = nonce;
    let partial = alice.sign(&definition, 1, &list);
    let bytes = alice.say(id, 1, Content::Partial { partials: vec![partial], nonces });
    node.hear(&alice, bytes);
    assert!(script.told().contains(&"session session-completed".to_owned()));
    script.act(&mut node, move |context| {
        context.confirm_broadcast(id);
        context.close(id);
    });
    assert_eq!(script.told().last().map(String::as_str), Some("session session-closed"));
    script.act(&mut node, move |context| context.close(id));
    assert_eq!(script.told(), [format!("refused session {id} does not belong to this protocol")], "no more");
    assert!(!node.records.keys().any(|key| is_owner(key)), "nothing is kept of it");
}

/// What its wish for a session that cannot be comes to.
#[test]
fn a_session_that_cannot_be_created_is_an_answer() {
    let (mut node, alice, script) = met();
    let keys = vec![alice.key()];
    script.act(&mut node, move |context| {
        let session = NewSession::new(Suite::Lotus, keys, vec![7; 32]);
        context.create(label("none"), session);
    });
    let [told] = &script.told()[..] else { panic!("one answer") };
    assert!(told.starts_with("created none Err("), "{told}");
    assert_eq!(node.node.view().sessions().count(), 0);
}

/// P8, P12.
#[test]
fn it_approves_what_it_says_is_its_own_and_nothing_else() {
    let (mut node, mut alice, script) = met();
    let theirs = announce(&mut node, &mut alice, 1).id();
    assert_eq!(script.told(), ["announced, unusual in 1 ways"]);
    script.act(&mut node, move |context| {
        context.join(theirs, opaque());
        context.abort(theirs, AbortReason::Declined);
    });
    let refused = format!("refused session {theirs} does not belong to this protocol");
    assert_eq!(script.told(), [refused.clone(), refused]);
    assert_eq!(phase(&node, theirs), Phase::Announced);
    // Not even while it is asked, unless it says that it is its own.
    *script.owns.lock().unwrap() = true;
    let other = Script::new("a-first");
    other.register(&mut node);
    let ours = announce(&mut node, &mut alice, 2).id();
    assert!(script.told().contains(&"announced, unusual in 1 ways".to_owned()));
    script.act(&mut node, move |context| context.join(ours, BTreeSet::new()));
    let [told] = &script.told()[..] else { panic!("one answer") };
    assert!(told.starts_with("refused what is signed is unusual"), "{told}");
    other.told();
    other.act(&mut node, move |context| context.join(ours, opaque()));
    assert_eq!(other.told(), [format!("refused session {ours} does not belong to this protocol")]);
    script.act(&mut node, move |context| context.join(ours, opaque()));
    assert_eq!(phase(&node, ours), Phase::PartialSignatureExchange);
    assert!(script.told().contains(&"session session-approved".to_owned()));
    // The embedder may do with it what it likes, and the protocol hears of it.
    node.command(Command::Abort(ours, AbortReason::Declined)).unwrap();
    assert!(script.told().contains(&"session session-aborted".to_owned()));
    // What the embedder has created is nobody else's.
    let keys = vec![node.key, alice.key()];
    node.command(Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![8; 32])))).unwrap();
    assert_eq!(script.told(), [""; 0]);
}

/// Says no to everything that a protocol wants to sign.
struct Never(Review);

impl Policy for Never {
    fn lets_create(&mut self, _: &Label, _: &NewSession) -> bool {
        false
    }

    fn lets_approve(&mut self, _: &Label, _: &Definition, _: &Summary) -> bool {
        false
    }

    fn review(&mut self, _: &Definition, _: &Summary) -> Review {
        self.0.clone()
    }
}

#[test]
fn the_policy_has_the_last_word() {
    let (mut node, mut alice, script) = met();
    *script.owns.lock().unwrap() = true;
    node.node.set_policy(Box::new(Never(Review::Ask)));
    create(&mut node, &alice, &script);
    let no = "the policy of this node does not let a protocol sign this";
    assert_eq!(script.told(), [format!("created settlement Err({no:?})")]);
    assert_eq!(node.node.view().sessions().count(), 0);
    let id = announce(&mut node, &mut alice, 1).id();
    script.told();
    script.act(&mut node, move |context| context.join(id, opaque()));
    assert_eq!(script.told(), [format!("refused {no}")]);
    assert_eq!(phase(&node, id), Phase::Announced);
    assert!(!node.records.keys().any(|key| is_owner(key)), "it may belong to nobody after a restart");
    node.command(approve(id)).expect("the embedder itself may");
    assert!(script.told().contains(&"session session-approved".to_owned()));
    // Whoever approves it, it stays the protocol's own; so it does when the policy approves.
    assert_eq!(node.records.keys().filter(|key| is_owner(key)).count(), 1);
    node.node.set_policy(Box::new(Never(Review::Approve { allow: opaque() })));
    announce(&mut node, &mut alice, 3);
    assert_eq!(node.records.keys().filter(|key| is_owner(key)).count(), 2);
    script.told();
    // What the policy declines, no protocol is asked about.
    node.node.set_policy(Box::new(Never(Review::Decline)));
    announce(&mut node, &mut alice, 2);
    assert_eq!(script.told(), [""; 0]);
}

#[test]
fn its_sessions_are_its_own_after_a_restart_and_it_hears_where_they_stand() {
    let (mut node, mut alice, script) = met();
    *script.owns.lock().unwrap() = true;
    create(&mut node, &alice, &script);
    let created = session_of(&node);
    let announced = announce(&mut node, &mut alice, 1).id();
    script.act(&mut node, move |context| context.join(announced, opaque()));
    script.act(&mut node, move |context| context.abort(announced, AbortReason::Declined));
    script.told();
    let records = node.records.clone().into_iter().collect();
    let mut node = TestNode::with(Config::new(Network::Regtest), records, 2);
    node.meet(&mut alice);
    script.register(&mut node);
    let told = script.told();
    assert_eq!(told[..1], ["registered "]);
    let mut sessions: Vec<_> = told.iter().filter(|told| told.starts_with("session")).collect();
    sessions.sort();
    assert_eq!(sessions, ["session phase-changed", "session session-aborted"]);
    script.act(&mut node, move |context| context.abort(created, AbortReason::Left));
    assert_eq!(phase(&node, created), Phase::Aborted);
}

/// Durable before visible, also of what a protocol says because of a session.
#[test]
fn what_it_says_of_a_session_waits_for_the_sessions_records() {
    let (mut node, alice, script) = met();
    node.syncs = false;
    node.events.clear();
    script.react("created", |context| context.event(b"created".to_vec()));
    create(&mut node, &alice, &script);
    assert_eq!(script.told()[0], "created settlement Ok(())");
    assert!(node.events.is_empty() && node.steps_to(&alice).is_empty());
    let last = node.last_record;
    let owner_first: Vec<u8> = node.records.keys().map(|key| key[0]).collect();
    assert_eq!(owner_first, *b"dqs");
    node.input(nelumbo_core::api::Input::Persisted(last));
    let is_said = |event: &Event| matches!(event, Event::ProtocolEvent { .. });
    assert!(node.events.iter().any(is_said));
}

/// P13.
#[test]
fn it_hears_that_a_session_of_its_own_has_expired_and_is_gone() {
    let (mut node, alice, script) = met();
    create(&mut node, &alice, &script);
    script.told();
    let day = 24 * 60 * 60 * 1_000;
    node.wait(day);
    let told = script.told();
    assert!(told.contains(&"session session-expired".to_owned()), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("session session-closed"));
    assert!(!node.records.keys().any(|key| is_owner(key)));
}

/// The crash has come between the record of whose a session is and the first one of the session.
#[test]
fn what_belongs_to_a_protocol_and_was_never_created_is_forgotten() {
    let (mut node, alice, script) = met();
    create(&mut node, &alice, &script);
    script.told();
    let records: Vec<_> = node.records.clone().into_iter().filter(|(key, _)| is_owner(key)).collect();
    assert_eq!(records.len(), 1);
    let mut node = TestNode::with(Config::new(Network::Regtest), records, 2);
    assert!(node.records.is_empty());
    script.register(&mut node);
    assert_eq!(script.told(), ["registered "]);
}
