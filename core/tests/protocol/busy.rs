//! A request that cannot be taken is not lost: its creator is told, and offers it again.

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, Phase, Refusal, SessionView};
use nelumbo_core::crypto::{Network, PublicKey, Suite};
use nelumbo_core::wire::{Body, Content, Definition, PeerId, SessionId};

use super::common::{HOUR, ScriptedPeer, TestNode, WALL, announcement, approve, definition, joined};

const MINUTE: u64 = 60 * 1_000;

/// Two real nodes; the first asks, the second is asked.
pub(crate) struct Two(pub(crate) [TestNode; 2]);

const PEERS: [u8; 2] = [1, 2];

impl Two {
    fn new() -> Self {
        let mut two = Self::apart();
        two.connect();
        two
    }

    /// Not connected yet.
    pub(crate) fn apart() -> Self {
        let mut two = Self(PEERS.map(|number| TestNode::of(number, Config::new(Network::Regtest), Vec::new(), number)));
        // Until their presences are signed.
        two.0.iter_mut().for_each(|node| node.wait(200));
        two
    }

    pub(crate) fn connect(&mut self) {
        for (node, other) in [(0, 1), (1, 0)] {
            self.0[node].input(Input::Connected(peer(other)));
        }
        self.deliver();
    }

    /// Until nobody says anything more.
    fn deliver(&mut self) {
        loop {
            let sent = self.0.each_mut().map(|node| std::mem::take(&mut node.sent));
            if sent.iter().all(Vec::is_empty) {
                return;
            }
            for (from, sent) in sent.into_iter().enumerate() {
                for (_, message) in sent {
                    self.0[1 - from].input(Input::Received { from: peer(from), bytes: message.bytes });
                }
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        self.0.iter_mut().for_each(|node| node.wait(millis));
        self.deliver();
    }

    /// Approves everything that waits for it.
    pub(crate) fn approve_all(&mut self) -> usize {
        let is_asked = |session: &SessionView| session.phase == Phase::Announced;
        let asked: Vec<SessionId> =
            self.0[1].node.view().sessions().filter(is_asked).map(|session| session.id).collect();
        asked.iter().for_each(|session| self.0[1].command(approve(*session)).expect("there is room for it"));
        self.deliver();
        asked.len()
    }

    pub(crate) fn completed(&self) -> usize {
        let is_completion = |event: &&Event| matches!(event, Event::SessionCompleted { .. });
        self.0[0].events.iter().filter(is_completion).count()
    }
}

fn peer(index: usize) -> PeerId {
    PeerId::from_bytes(&[PEERS[index]]).expect("one byte names a peer")
}

fn busy(node: &TestNode, signer: PublicKey) -> Vec<SessionId> {
    let mut told = Vec::new();
    for event in &node.events {
        if let Event::SignerBusy { session, signer: who } = event {
            assert_eq!(*who, signer);
            told.push(*session);
        }
    }
    told
}

/// At the default settings: more than one creator may have waiting, approved an hour later.
#[test]
fn of_a_hundred_requests_none_is_lost() {
    let mut two = Two::new();
    let (own, other) = (two.0[0].key, two.0[1].key);
    for number in 0..100 {
        let session = NewSession::new(Suite::Lotus, vec![own, other], vec![number; 32]);
        two.0[0].command(Command::Create(Box::new(session))).expect("it is sound");
    }
    two.deliver();
    assert_eq!(two.0[1].node.view().sessions().len(), 64, "as many as one creator may have waiting");
    let told = busy(&two.0[0], other);
    assert_eq!(told.len(), 36, "of each that was not taken its creator has heard");
    let known = told.iter().filter(|session| two.0[1].node.view().session(session).is_some()).count();
    assert_eq!(known, 0);
    for _ in 0..HOUR / (10 * MINUTE) {
        two.wait(10 * MINUTE);
    }
    assert_eq!(busy(&two.0[0], other), told, "once, however often they are offered");
    assert_eq!((two.approve_all(), two.completed()), (64, 64));
    two.wait(10 * MINUTE);
    assert_eq!((two.approve_all(), two.completed()), (36, 100), "they were offered again");
}

/// While there is still somebody at the first attempt, it takes no ten minutes.
#[test]
fn a_request_is_offered_again_within_half_a_minute() {
    let mut two = Two::new();
    let (own, other) = (two.0[0].key, two.0[1].key);
    for number in 0..65 {
        let session = NewSession::new(Suite::Lotus, vec![own, other], vec![number; 32]);
        two.0[0].command(Command::Create(Box::new(session))).expect("it is sound");
    }
    two.deliver();
    assert_eq!((busy(&two.0[0], other).len(), two.approve_all()), (1, 64));
    two.wait(30_000);
    assert_eq!((two.approve_all(), two.completed()), (1, 65));
}

#[test]
fn a_request_that_comes_in_public_is_answered_too() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.unapproved, config.limits.unapproved_per_creator) = (1, 1);
    let mut node = TestNode::with(config, Vec::new(), 1);
    let mut alice = ScriptedPeer::new(1);
    node.meet(&mut alice);
    let first = definition(alice.key(), vec![node.key, alice.key()]);
    let nonce = alice.nonce(&first, 1);
    let bytes = alice.say(first.id(), 1, announcement(&first, nonce));
    node.hear(&alice, bytes);
    let second = Definition { nonce: [9; 32], is_listed: true, ..first };
    let bytes = alice.say_body(Body::Request(second.clone().into()));
    node.steps_to(&alice);
    node.refuses(Refusal::Requests, |node| node.hear(&alice, bytes.clone()));
    let steps = node.steps_to(&alice);
    let [step] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!((step.session, step.attempt, step.sequence, &step.content), (second.id(), 1, 0, &Content::Busy));
    // Whoever is not connected cannot be told, and is not looked for.
    node.input(Input::Disconnected(alice.peer));
    let mut bob = ScriptedPeer::new(2);
    node.input(Input::Connected(bob.peer));
    let presence = bob.presence(bob.peer, WALL);
    node.hear(&bob, presence);
    node.others.clear();
    node.refuses(Refusal::Requests, |node| node.hear(&bob, bytes));
    assert!(node.steps_to(&alice).is_empty() && node.steps_to(&bob).is_empty());
    assert!(node.others.is_empty(), "{:?}", node.others);
}

#[test]
fn only_a_signer_who_has_not_approved_can_say_that_it_is_busy_and_only_to_the_creator() {
    // R7
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    let keys = vec![node.key, alice.key(), bob.key()];
    node.command(Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![7; 32])))).expect("it is sound");
    let session = node.node.view().sessions().next().expect("it was created").id;
    let said = |peer: &mut ScriptedPeer| peer.say_at(session, 1, 0, Content::Busy);
    let bytes = said(&mut ScriptedPeer::new(9));
    node.refuses(Refusal::NotASigner, |node| node.hear(&alice, bytes));
    let bytes = said(&mut alice);
    node.hear(&alice, bytes.clone());
    assert_eq!(busy(&node, alice.key()), [session]);
    // It costs no signature check when it is said again, by whomever.
    let again = said(&mut alice);
    for bytes in [bytes, again] {
        node.refuses(Refusal::Duplicate, |node| node.hear(&alice, bytes));
    }
    // Nor does it stand in the way of what its author says later.
    let nonce = alice.nonce(&node.node.view().session(&session).expect("it is there").definition, 1);
    let bytes = alice.say(session, 1, Content::Join { nonces: vec![nonce] });
    node.hear(&alice, bytes);
    let joined_now = node.node.view().session(&session).expect("it is there").joined;
    assert_eq!(joined_now.iter().filter(|joined| **joined).count(), 2);
    // An approval is not taken back by it, and no other signer cares.
    let bytes = said(&mut alice);
    node.refuses(Refusal::Duplicate, |node| node.hear(&alice, bytes));
    let (mut node, _, _, definition, _) = joined();
    let bytes = bob.say_at(definition.id(), 1, 0, Content::Busy);
    node.refuses(Refusal::Duplicate, |node| node.hear(&bob, bytes));
    assert!(busy(&node, bob.key()).is_empty());
}
