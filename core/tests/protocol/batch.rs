//! Many inputs at once make what they make one by one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{HOUR, ScriptedPeer, TestNode, WALL, approve, definition, now};
use nelumbo_core::api::{Event, GossipId, Input, Output, Refusal};
use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::SoftwareSigner;
use nelumbo_core::node::Node;
use nelumbo_core::wire::{AbortReason, Content, Definition};
use quickcheck::{Arbitrary, Gen, QuickCheck};

const PUPPETS: u8 = 5;
const SESSIONS: usize = 3;

/// What the streams have met, over all cases.
static JOINED: AtomicU64 = AtomicU64::new(0);
static FORGED: AtomicU64 = AtomicU64::new(0);

/// What is said: by whom, about which session, and what becomes of it on the way.
#[derive(Clone, Copy, Debug)]
struct Line {
    author: usize,
    session: usize,
    kind: u8,
    fate: u8,
    carrier: usize,
}

impl Arbitrary for Line {
    fn arbitrary(g: &mut Gen) -> Self {
        let below = |g: &mut Gen, end: usize| usize::arbitrary(g) % end;
        Self {
            author: below(g, PUPPETS.into()),
            session: below(g, SESSIONS),
            kind: u8::arbitrary(g) % 8,
            fate: u8::arbitrary(g) % 8,
            carrier: below(g, PUPPETS.into()),
        }
    }
}

/// The peers and what they have said.
struct Stage {
    peers: Vec<ScriptedPeer>,
    definitions: Vec<Definition>,
    said: Vec<Bytes>,
}

impl Stage {
    fn new(node: &TestNode) -> Self {
        let mut peers: Vec<_> = (1..=PUPPETS).map(ScriptedPeer::new).collect();
        // Two have message keys.
        peers[3..].iter_mut().for_each(|peer| peer.delegate(40, (WALL - HOUR, WALL + HOUR)));
        let keys: Vec<_> = peers.iter().map(ScriptedPeer::key).chain([node.key]).collect();
        let definitions: Vec<_> = (0..SESSIONS).map(|session| definition(keys[session], keys.clone())).collect();
        let announce = |(definition, scripted): (&Definition, &mut ScriptedPeer)| {
            let nonce = scripted.nonce(definition, 1);
            scripted.say(
                definition.id(),
                1,
                Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] },
            )
        };
        let said = definitions.iter().zip(&mut peers).map(announce).collect();
        Self { peers, definitions, said }
    }

    fn input(&mut self, id: u64, line: Line) -> Input {
        let from = self.peers[line.carrier].peer;
        let (definition, scripted) = (&self.definitions[line.session], &mut self.peers[line.author]);
        let session = definition.id();
        let bytes = match line.kind {
            0 => scripted.presence(scripted.peer, WALL + id),
            1 => scripted.say(session, 1, Content::Abort { reason: AbortReason::Declined }),
            2 => self.said[line.session].clone(),
            3 | 4 => {
                // A scripted that runs out of nonces of its own shows others.
                let nonce = nelumbo_core::crypto::PublicNonce::from_bytes([2; 66]);
                scripted.say(session, 1 + u32::from(line.fate % 2), Content::Join { nonces: vec![nonce] })
            }
            5 => scripted.say(session, 1, Content::Confirmed),
            _ => self.said[usize::from(line.fate) * 7 % self.said.len()].clone(),
        };
        self.said.push(bytes.clone());
        let mut bytes = bytes.to_vec();
        let end = bytes.len();
        match line.fate {
            0 => bytes[end - 1] ^= 1,
            1 => bytes[end / 2] ^= 0x10,
            2 => bytes.truncate(end - usize::from(line.kind)),
            _ => {}
        }
        let bytes = Bytes::from(bytes);
        if line.kind == 0 { Input::Gossip { from, id: GossipId(id), bytes } } else { Input::Received { from, bytes } }
    }
}

/// Everything that a node asks for, while its records become durable.
fn outputs(node: &mut Node, signer: &mut SoftwareSigner, time: u64) -> Vec<Output> {
    let mut outputs = Vec::new();
    while let Some(output) = node.poll() {
        if let Output::Persist { sequence, .. } = output {
            node.handle(now(time), Input::Persisted(sequence));
        }
        if let Output::Sign(request) = &output {
            node.answer(now(time), signer, request);
        }
        outputs.push(output);
    }
    outputs
}

#[test]
fn many_inputs_at_once_make_what_they_make_one_by_one() {
    fn property(scenes: Vec<Vec<Line>>) -> bool {
        let (mut one_by_one, mut at_once) = (TestNode::new(), TestNode::new());
        let mut stage = Stage::new(&one_by_one);
        for scripted in &stage.peers {
            one_by_one.input(Input::Connected(scripted.peer));
            at_once.input(Input::Connected(scripted.peer));
        }
        for (number, scene) in scenes.into_iter().enumerate() {
            let time = (number as u64 + 1) * 1_000_000_000;
            let first = number as u64 * 1_000;
            let inputs: Vec<_> = (first..).zip(scene).map(|(id, line)| stage.input(id, line)).collect();
            inputs.iter().cloned().for_each(|input| one_by_one.node.handle(now(time), input));
            at_once.node.handle_many(now(time), inputs);
            let join = approve(stage.definitions[number % SESSIONS].id());
            let [left, right] = [&mut one_by_one, &mut at_once].map(|node| {
                let joined = node.node.command(now(time), join.clone());
                let counts: Vec<_> = node.node.view().refusals().iter().collect();
                (joined, counts, outputs(&mut node.node, node.signer.as_mut().expect("it answers"), time))
            });
            assert_eq!(left, right);
            let is_join = |output: &&Output| matches!(output, Output::Event(Event::SignerJoined { .. }));
            JOINED.fetch_add(left.2.iter().filter(is_join).count() as u64, Ordering::Relaxed);
        }
        FORGED.fetch_add(one_by_one.node.view().refusals().get(Refusal::Signature), Ordering::Relaxed);
        true
    }
    let cases = if cfg!(debug_assertions) { 40 } else { 1_000 };
    QuickCheck::new()
        .rng(Gen::from_size_and_seed(24, 1))
        .tests(cases)
        .quickcheck(property as fn(Vec<Vec<Line>>) -> bool);
    let met = [&JOINED, &FORGED].map(|count| count.load(Ordering::Relaxed));
    assert!(met.iter().all(|count| *count > 10), "the streams met too little: {met:?}");
}
