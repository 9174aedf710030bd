//! Whatever a host, an embedder or a peer says, to the ends of the integers: each call returns, nothing is left due,
//! and the limits hold. Whatever is configured: it is refused, or a node lives with it and wakes no more often than it
//! says.

use std::collections::BTreeMap;
use std::time::Duration;

use nelumbo_core::api::{
    Command, Config, GossipId, Input, NewSession, OperationId, PutId, RecordSequence, SignerFilter, TimerReason,
};
use nelumbo_core::base::{Bytes, Mono, Wall};
use nelumbo_core::crypto::{Network, Suite};
use nelumbo_core::wire::{
    AbortReason, Address, Advertisement, Bits, Body, Content, Data, Offer, PeerId, Presence, ProtocolMessage, Receiver,
    RecordKey, Resource, SessionId, SessionMessage, TransactionType,
};
use quickcheck::{QuickCheck, TestResult};
use serde_json::{Value, json};

use super::common::{HOUR, ScriptedPeer, TestNode, WALL, approve, definition, now};
use super::discovery::label;

/// Numbers at which something may turn over, and others.
fn number(choice: u64) -> u64 {
    match choice % 12 {
        0..=2 => choice % 12,
        3 => u64::from(u32::MAX),
        4 => i64::MAX as u64,
        5 => u64::MAX - 1,
        6 => u64::MAX,
        7 => WALL,
        8 => WALL + HOUR,
        _ => choice,
    }
}

fn duration(choice: u64) -> Duration {
    match choice % 8 {
        0 => Duration::ZERO,
        1 => Duration::from_nanos(1),
        2 => Duration::from_nanos(999_999),
        3 => Duration::MAX,
        4 => Duration::from_secs(604_800),
        _ => Duration::from_millis(number(choice / 8)),
    }
}

/// A peer's bytes, signed or none at all.
fn bytes(peer: &mut ScriptedPeer, own: nelumbo_core::crypto::PublicKey, kind: u64, one: u64, two: u64) -> Bytes {
    let (issued_at, expires_at) = (Wall::from_millis(number(one)), Wall::from_millis(number(two)));
    let (name, addresses) = (peer.peer, Vec::new());
    let session = SessionId::from_bytes([one as u8; 32]);
    let (attempt, sequence) = (number(two) as u32, number(one));
    let mut asked = definition(peer.key(), vec![own, peer.key()]);
    (asked.created_at, asked.expires_at, asked.nonce) = (issued_at, expires_at, [two as u8; 32]);
    let body = match kind % 12 {
        0 => return Vec::new().into(),
        1 => return vec![1; 100_001].into(),
        2 => return vec![one as u8; (two % 200) as usize].into(),
        3 | 4 => Body::Presence(Presence { peer: name, addresses, issued_at, expires_at }),
        5 => {
            let offer = Offer { types: vec![TransactionType::Spend], ..Offer::default() };
            let offer = Some(Offer { min_amount: Some(number(two)), max_amount: Some(number(one)), ..offer });
            Body::Advertisement(Box::new(Advertisement { peer: name, addresses, offer, issued_at, expires_at }))
        }
        6 => {
            let (kind, name) = (label("kind"), label("name"));
            Body::Resource(Resource { kind, name, data: Data::new(vec![]), issued_at, expires_at })
        }
        7 => {
            let (protocol, payload) = (label("none"), Vec::new());
            let to = Receiver::Signer(own);
            Body::Protocol(ProtocolMessage { protocol, to, number: number(two), issued_at, payload })
        }
        8 => Body::Request(asked.into()),
        9 => {
            let nothing = Bits::collect([false; 0].into_iter());
            let content = Content::Status { nonces: nothing.clone(), partials: nothing };
            Body::Session(SessionMessage { session, attempt, sequence, content })
        }
        10 => {
            let content = Content::Abort { reason: AbortReason::Left };
            Body::Session(SessionMessage { session: asked.id(), attempt, sequence, content })
        }
        _ => {
            let (session, nonce) = (asked.id(), ScriptedPeer::new(peer.peer.as_bytes()[0]).nonce(&asked, attempt));
            let content = Content::Announce { definition: asked.into(), nonces: vec![nonce] };
            Body::Session(SessionMessage { session, attempt: attempt.min(1), sequence, content })
        }
    };
    peer.say_body(body)
}

fn input(peer: &mut ScriptedPeer, node: &TestNode, (kind, one, two): (u64, u64, u64)) -> Input {
    let from = peer.peer;
    let message = |peer: &mut ScriptedPeer| bytes(peer, node.key, kind / 16, one, two);
    match kind % 16 {
        0 => Input::Connected(PeerId::from_bytes(&one.to_be_bytes()).unwrap()),
        1 => Input::Connected(from),
        2 => Input::Disconnected(from),
        3..=6 => Input::Received { from, bytes: message(peer) },
        7 | 8 => Input::Gossip { from, id: GossipId(number(one)), bytes: message(peer) },
        9 => Input::Found { operation: OperationId(number(one)), bytes: message(peer) },
        10 => Input::LookupFinished(OperationId(number(one))),
        11 => {
            let keys = [String::new(), "x".repeat(10_000), RecordKey::Presence(peer.key()).to_string()];
            let stored = (two % 2 == 0).then(|| Vec::new().into());
            let (id, key) = (PutId(number(one)), keys[(two % 3) as usize].clone());
            Input::PutRequested { from, subnet: None, id, key, bytes: message(peer), stored }
        }
        12 => Input::RoutingTable(usize::MAX - (one % 3) as usize),
        13 => {
            let address = |count: u64| Address::from_bytes(vec![1; 1 + (count % 255) as usize]).unwrap();
            Input::Addresses((0..one % 1_000).map(address).collect())
        }
        14 if two % 2 == 0 => Input::RoutingTable(number(one) as usize),
        14 => Input::Persisted(RecordSequence::from_u64(number(one))),
        _ => Input::Tick,
    }
}

fn command(peer: &ScriptedPeer, node: &TestNode, (kind, one, two): (u64, u64, u64)) -> Command {
    let sessions = node.node.view().sessions().map(|session| session.id).collect::<Vec<_>>();
    let known = sessions.get(one as usize % sessions.len().max(1)).copied();
    let session = known.unwrap_or(SessionId::from_bytes([one as u8; 32]));
    let amount = Some(number(one));
    match kind % 20 {
        0..=2 => {
            let keys = [vec![], vec![node.key], vec![node.key, peer.key()], vec![peer.key(); 129]];
            let mut new =
                NewSession::new(Suite::Bip340, keys[(one % 4) as usize].clone(), vec![1; (two % 5_000) as usize]);
            new.is_listed = kind % 3 == 0;
            Command::Create(Box::new(new))
        }
        3..=5 => approve(session),
        6 => Command::Abort(session, AbortReason::Left),
        7 => Command::Retry(session),
        8 => Command::ConfirmBroadcast(session),
        9 => Command::Close(session),
        10 => {
            let offer = Offer { types: vec![TransactionType::Spend], min_amount: amount, ..Offer::default() };
            Command::Advertise {
                offer: Box::new(Offer { max_amount: Some(number(two)), fee: Some(u64::MAX), ..offer }),
                lifetime: None,
            }
        }
        11 => Command::Withdraw,
        12 => Command::Subscribe(TransactionType::Spend),
        13 => Command::Unsubscribe(TransactionType::Spend),
        14 => {
            let (min_reputation, max_results) = (number(one) as u8, number(two) as usize);
            Command::FindSigners(SignerFilter { kind: None, amount, min_reputation, is_verified: false, max_results })
        }
        15 => Command::FindSession(session),
        16 => {
            let (kind, name, data) = (label("kind"), label("name"), Data::new(vec![]));
            Command::AnnounceResource { kind, name, data, lifetime: duration(one) }
        }
        17 => [Command::FindRequests, Command::FindResources(label("kind"))][(one % 2) as usize].clone(),
        18 => Command::Ban(PeerId::from_bytes(&one.to_be_bytes()).unwrap()),
        _ => Command::Unban(peer.peer),
    }
}

/// The smallest caps that a node can live with.
fn tight() -> Config {
    let mut config = Config::new(Network::Regtest);
    let limits = &mut config.limits;
    (limits.sessions, limits.unapproved, limits.unapproved_per_creator, limits.ended) = (1, 1, 1, 1);
    (limits.peers, limits.neighbours, limits.presences, limits.keys_per_peer) = (1, 2, 1, 1);
    (limits.lookups, limits.lookups_waiting, limits.searches, limits.reputations) = (1, 0, 0, 1);
    (limits.advertisements, limits.resources, limits.records, limits.announcers) = (0, 0, 0, 2);
    (limits.early, limits.early_per_author, limits.protocol_messages, limits.protocol_waiting) = (0, 0, 0, 1);
    config
}

/// Whatever is said, in any order and at any time.
fn survives(is_tight: bool, steps: Vec<(u64, u64, u64)>) -> bool {
    let config = if is_tight { tight() } else { Config::new(Network::Regtest) };
    let limits = config.limits;
    let mut node = TestNode::with(config, Vec::new(), 1);
    let mut peers = [1, 2, 3].map(ScriptedPeer::new);
    let (mut clock, mut latest) = (now(0), Mono::ZERO);
    for step @ (kind, one, two) in steps {
        match kind % 210 {
            // Rarely, because nothing happens any more at the end of time.
            0 => clock.mono = Mono::from_nanos(number(one)),
            1..30 => clock.wall = Wall::from_millis(number(two)),
            30..60 => clock.mono = clock.mono.after(Duration::from_millis(two % (14 * 24 * HOUR))),
            _ => clock.mono = clock.mono.after(Duration::from_millis(one % 100_000)),
        }
        latest = latest.max(clock.mono);
        let peer = &mut peers[(two % 3) as usize];
        if kind % 3 == 0 {
            let command = command(peer, &node, (kind / 3, one, two));
            // What is refused is refused in words.
            let _refused = node.node.command(clock, command).map_err(|error| error.to_string());
        } else {
            let input = input(peer, &node, (kind / 3, one, two));
            node.node.handle(clock, input);
        }
        let outputs = std::iter::from_fn(|| node.node.poll()).count();
        let view = node.node.view();
        let held = [
            (view.connected().len(), limits.peers),
            (view.signers().len(), limits.presences),
            (view.sessions().len(), limits.sessions + limits.ended),
            (view.advertisements().count(), limits.advertisements),
            (view.resources().count(), limits.resources),
        ];
        assert!(held.iter().all(|(kept, limit)| kept <= limit), "{held:?} after {step:?}");
        assert!(outputs < 2_000, "{outputs} outputs of {step:?}");
        let due = node.node.deadline().map(|deadline| deadline.at);
        assert!(due.is_none_or(|at| at > latest), "something is left to do at {due:?} after {step:?} at {latest:?}");
    }
    true
}

#[test]
fn whatever_is_said_the_node_answers_and_keeps_to_its_limits() {
    QuickCheck::new().tests(150).quickcheck(survives as fn(bool, Vec<(u64, u64, u64)>) -> bool);
}

/// The numbers and times of a value, by their paths.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        match value {
            Value::Object(fields) if !fields.contains_key("secs") => leaves(value, &path, found),
            Value::String(_) => {}
            _ => found.push(path),
        }
    }
}

/// A configuration that differs from the default in these fields.
fn configured(changes: &[(u64, u64)]) -> Config {
    let mut config = serde_json::to_value(Config::new(Network::Regtest)).unwrap();
    let mut paths = Vec::new();
    leaves(&config, "", &mut paths);
    assert!(paths.len() > 40, "all fields: {paths:?}");
    for (field, choice) in changes {
        let mut changed = config.clone();
        let place = changed.pointer_mut(&paths[(*field % paths.len() as u64) as usize]).unwrap();
        *place = match place {
            Value::Object(_) => match duration(*choice) {
                // Times that people set, most of all.
                time if time.as_secs() > 604_800 && choice % 3 > 0 => json!(Duration::from_secs(choice % 10_000)),
                time => json!(time),
            },
            _ if choice % 3 > 0 => json!(choice % 200),
            _ => json!(number(choice / 3)),
        };
        // What does not fit into the field's type cannot be set.
        if serde_json::from_value::<Config>(changed.clone()).is_ok() {
            config = changed;
        }
    }
    serde_json::from_value(config).unwrap()
}

/// How long it takes at least until a timer fires again.
fn pause(config: &Config, reason: &TimerReason) -> Duration {
    match reason {
        // Of several changes the last one waits until others take it.
        TimerReason::Presence => (config.presence_lifetime / 2).min(config.limits.presences_per_key.every),
        TimerReason::Advertisement => {
            (config.advertisement_lifetime / 2).min(config.limits.advertisements_per_key.every)
        }
        TimerReason::Store => config.republish,
        TimerReason::Stalled(_) | TimerReason::Retry(_) | TimerReason::Delegation => config.stall,
        TimerReason::Turn(_) => config.broadcast_timeout,
        TimerReason::PendingMessages => config.limits.early_lifetime,
        TimerReason::Standing => Duration::from_millis(1),
        TimerReason::Closed => Duration::from_secs(60),
        TimerReason::Seek => Duration::from_millis(100),
        TimerReason::NextLookup => config.limits.lookup_rate.every,
        TimerReason::Protocol(..) | TimerReason::ProtocolWork => Duration::from_millis(1),
        // A session ends, and later nobody's clock can bring it back.
        TimerReason::Expired(_) => config.clock_skew,
        TimerReason::Search(_) | TimerReason::Lookup(_) => Duration::MAX,
    }
}

/// An hour with whatever is configured: everything that sets a timer happens once, and then nothing but time.
fn lives(changes: Vec<(u64, u64)>) -> TestResult {
    /// Who wakes every millisecond does so 3.6 million times in an hour; so many are enough to see at what pace.
    const WAKES: usize = 300;
    let config = configured(&changes[..changes.len().min(4)]);
    if let Err(error) = config.check() {
        let path = format!("/{}", error.field.replace('.', "/"));
        let value = serde_json::to_value(&config).unwrap();
        assert!(value.pointer(&path).is_some() && !error.allowed.is_empty(), "{error} names no field");
        return TestResult::discard();
    }
    let mut node = TestNode::with(config.clone(), Vec::new(), 1);
    let (mut alice, bob) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.input(Input::Addresses(vec![Address::from_bytes(vec![1]).unwrap()]));
    node.meet(&mut alice);
    node.input(Input::RoutingTable(5));
    let early = alice.say(SessionId::from_bytes([9; 32]), 1, Content::Abort { reason: AbortReason::Left });
    node.hear(&alice, early);
    let offer = Offer { types: vec![TransactionType::Spend], ..Offer::default() };
    let new = NewSession::new(Suite::Lotus, vec![node.key, alice.key(), bob.key()], vec![7; 32]);
    // Whatever the limits refuse of it: the rest is there.
    for command in [
        Command::Advertise { offer: Box::new(offer), lifetime: None },
        Command::FindRequests,
        Command::Create(Box::new(new)),
    ] {
        let _refused = node.command(command);
    }
    let (mut last, mut wakes) = (BTreeMap::new(), 0);
    while let Some(deadline) = node.node.deadline().filter(|deadline| deadline.at <= Mono::from_nanos(HOUR * 1_000_000))
    {
        if wakes == WAKES {
            break;
        }
        wakes += 1;
        let before = last.insert(deadline.reason.clone(), deadline.at);
        let (reason, least) = (&deadline.reason, pause(&config, &deadline.reason));
        let passed = before.map_or(Duration::MAX, |before| deadline.at.since(before));
        assert!(passed >= least, "{reason:?} comes again after {passed:?}, and not {least:?}, with {config:?}");
        assert!(deadline.at.as_nanos() > node.time, "time does not pass: {reason:?} with {config:?}");
        node.time = deadline.at.as_nanos() - 1;
        node.input(Input::Tick);
    }
    TestResult::passed()
}

#[test]
fn a_node_lives_with_what_passes_and_wakes_no_more_often_than_that_says() {
    assert!(!lives(Vec::new()).is_failure());
    QuickCheck::new().tests(50).max_tests(100_000).quickcheck(lives as fn(Vec<(u64, u64)>) -> TestResult);
}
