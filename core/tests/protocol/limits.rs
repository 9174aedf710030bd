//! Where the gate's limits lie, to the byte and to the millisecond: the last that is let in and the first that is not.

use std::collections::BTreeSet;
use std::time::Duration;

use nelumbo_core::api::{
    Command, CommandError, Config, ConfigError, Event, GossipId, Input, NewSession, Phase, Quota, Refusal, Standing,
};
use nelumbo_core::base::{Bytes, Entropy, Wall};
use nelumbo_core::crypto::{MessageKey, Network, PublicNonce, Secp256k1, SecretKey, Suite, Tweak};
use nelumbo_core::node::{Boot, BootError, Node};
use nelumbo_core::wire::{AbortReason, Body, Content, Item, PeerId, Presence, SessionId};

use super::common::{HOUR, NODE, ScriptedPeer, TestNode, WALL, approve, completed, definition, joined, now, phase};
use super::discovery::{DAY, hear_gossip, spender};

const SKEW: u64 = 5 * 60 * 1000;

#[test]
fn the_largest_message_of_each_channel_is_looked_at_and_a_larger_one_is_not() {
    let from = PeerId::from_bytes(b"courier").unwrap();
    let direct = |bytes: Bytes| Input::Received { from, bytes };
    let gossip = |bytes: Bytes| Input::Gossip { from, id: GossipId(1), bytes };
    let channels: [(usize, &dyn Fn(Bytes) -> Input); 2] = [(100_000, &direct), (10_000, &gossip)];
    for (most, channel) in channels {
        let mut node = TestNode::new();
        node.refuses(Refusal::Version, |node| node.input(channel(vec![0; most].into())));
        node.refuses(Refusal::Oversized, |node| node.input(channel(vec![0; most + 1].into())));
    }
}

#[test]
fn a_presence_is_taken_from_and_until_exactly_the_agreed_times() {
    let mut node = TestNode::new();
    let mut peers = (1..).map(ScriptedPeer::new);
    let mut show = |node: &mut TestNode, from: u64, until: u64| {
        let mut scripted = peers.next().unwrap();
        let (issued_at, expires_at) = (Wall::from_millis(from), Wall::from_millis(until));
        let presence = Presence { peer: scripted.peer, addresses: Vec::new(), issued_at, expires_at };
        let bytes = scripted.say_body(Body::Presence(presence));
        node.hear(&scripted, bytes);
    };
    for (from, until) in [
        (WALL + SKEW, WALL + SKEW + 1),
        (WALL - HOUR + 1, WALL + 1),
        (WALL, WALL + HOUR),
        (WALL + SKEW, WALL + SKEW + HOUR),
    ] {
        show(&mut node, from, until);
    }
    assert_eq!((node.node.view().signers().len(), node.node.view().refusals().total()), (4, 0));
    for (from, until) in [
        (WALL + SKEW + 1, WALL + SKEW + 2),
        (WALL - 1, WALL),
        (WALL, WALL + HOUR + 1),
        (WALL + 1, WALL + 1),
        (WALL + 2, WALL + 1),
    ] {
        node.refuses(Refusal::NotFresh, |node| show(node, from, until));
    }
}

/// A peer that nothing but its own offences is known of.
fn offend(node: &mut TestNode, mallory: &mut ScriptedPeer, times: u64) {
    for _ in 0..times {
        let mut forged = mallory.presence(mallory.peer, WALL + node.time).to_vec();
        *forged.last_mut().unwrap() ^= 1;
        node.hear(mallory, forged.into());
    }
}

#[test]
fn a_penalty_fades_for_who_is_heard_all_the_time_too() {
    let (mut node, mut mallory) = (TestNode::new(), ScriptedPeer::new(66));
    offend(&mut node, &mut mallory, 4);
    for minute in 1..=10 {
        node.wait(60_000);
        let bytes = mallory.presence(mallory.peer, WALL + minute * 60_000);
        node.hear(&mallory, bytes);
    }
    assert_eq!(node.node.view().standing(&mallory.peer), (Standing::Good, 20), "half fades in ten minutes");
}

#[test]
fn what_is_nobody_s_fault_sentences_nobody() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.graylist_at, config.limits.blacklist_at) = (1, 1_000);
    let (mut node, mut mallory) = (TestNode::with(config, Vec::new(), 1), ScriptedPeer::new(66));
    let bytes = mallory.presence(mallory.peer, WALL);
    node.hear(&mallory, bytes.clone());
    offend(&mut node, &mut mallory, 1);
    assert_eq!(node.node.view().peers_in_standing(Standing::Good), 0);
    assert_eq!(node.node.view().peers_in_standing(Standing::Graylisted), 1);
    // Who keeps talking is looked at in between, so that something is left when the hour is over.
    for minutes in [19, 19, 19] {
        node.wait(minutes * 60_000);
        node.refuses(Refusal::Graylisted, |node| node.hear(&mallory, bytes.clone()));
    }
    node.wait(4 * 60_000);
    assert_eq!(node.node.view().standing(&mallory.peer), (Standing::Good, 1));
    node.events.clear();
    node.refuses(Refusal::Duplicate, |node| node.hear(&mallory, bytes.clone()));
    assert!(!node.events.iter().any(|event| matches!(event, Event::PeerGraylisted { .. })));
    assert_eq!(node.node.view().standing(&mallory.peer).0, Standing::Good);
}

#[test]
fn a_full_table_of_peers_keeps_listening_to_those_in_it() {
    let mut config = Config::new(Network::Regtest);
    config.limits.neighbours = 2;
    let mut node = TestNode::with(config, Vec::new(), 1);
    let (mut mallory, mut eve, mut alice) = (ScriptedPeer::new(66), ScriptedPeer::new(67), ScriptedPeer::new(1));
    offend(&mut node, &mut mallory, 2);
    offend(&mut node, &mut eve, 1);
    let before = node.node.view().refusals().total();
    for scripted in [&mut alice, &mut mallory, &mut eve] {
        let bytes = scripted.presence(scripted.peer, WALL);
        node.hear(scripted, bytes);
    }
    assert_eq!(node.node.view().refusals().total(), before);
}

#[test]
fn who_fills_the_early_messages_loses_its_own_and_nobody_else_s() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.early, config.limits.early_per_author) = (4, 4);
    let mut node = TestNode::with(config, Vec::new(), 1);
    let (mut alice, mut bob, mut mallory) = (ScriptedPeer::new(1), ScriptedPeer::new(2), ScriptedPeer::new(66));
    [&mut alice, &mut bob, &mut mallory].into_iter().for_each(|scripted| node.meet(scripted));
    let definition = definition(bob.key(), vec![node.key, alice.key(), bob.key()]);
    let session = definition.id();
    let left = || Content::Abort { reason: AbortReason::Left };
    let bytes = alice.say(session, 1, left());
    node.hear(&alice, bytes);
    for number in 0..3 {
        let bytes = mallory.say(SessionId::from_bytes([number; 32]), 1, left());
        node.hear(&mallory, bytes);
    }
    for number in 10..12 {
        let bytes = bob.say(SessionId::from_bytes([number; 32]), 1, left());
        if number == 10 {
            node.hear(&bob, bytes);
        } else {
            node.refuses(Refusal::Full, |node| node.hear(&bob, bytes));
        }
    }
    let nonce = bob.nonce(&definition, 1);
    let bytes = bob.say(session, 1, Content::Announce { definition: definition.into(), nonces: vec![nonce] });
    node.hear(&bob, bytes);
    assert_eq!(phase(&node, session), Phase::Aborted, "alice's word was kept");
}

/// Boots a node with this configuration, and says why it does not.
fn boots(config: Config, records: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), BootError> {
    let entropy = Entropy::new([1; 32]).unwrap();
    let secret = SecretKey::from_bytes(&[NODE; 32]).unwrap();
    let message_signer = Box::new(MessageKey::new(secret, entropy.stream("messages")));
    let peer = PeerId::from_bytes(&[NODE]).unwrap();
    let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer, records };
    Node::new(config, boot, now(0)).map(drop)
}

type Time = fn(&mut Config) -> &mut Duration;
type Change = fn(&mut Config);

/// The error of a configuration that differs from the default in this.
fn refused(change: impl FnOnce(&mut Config)) -> ConfigError {
    let mut config = Config::new(Network::Regtest);
    change(&mut config);
    let error = config.check().expect_err("this makes no node");
    assert_eq!(boots(config, Vec::new()), Err(BootError::Config(error.clone())), "the node says the same");
    error
}

#[test]
fn a_configuration_that_would_keep_a_node_busy_for_ever_is_refused_by_its_field() {
    assert_eq!(Config::new(Network::Regtest).check(), Ok(()));
    let times: [(&str, Time); 9] = [
        ("session_timeout", |config| &mut config.session_timeout),
        ("stall", |config| &mut config.stall),
        ("stall_max", |config| &mut config.stall_max),
        ("stuck_timeout", |config| &mut config.stuck_timeout),
        ("broadcast_timeout", |config| &mut config.broadcast_timeout),
        ("presence_lifetime", |config| &mut config.presence_lifetime),
        ("advertisement_lifetime", |config| &mut config.advertisement_lifetime),
        ("republish", |config| &mut config.republish),
        ("lookup_timeout", |config| &mut config.lookup_timeout),
    ];
    for (field, time) in times {
        for value in [Duration::ZERO, Duration::from_nanos(999_999), Duration::from_secs(604_801), Duration::MAX] {
            assert_eq!(refused(|config| *time(config) = value).field, field, "{value:?}");
        }
    }
    let error = refused(|config| config.stall = Duration::ZERO).to_string();
    assert_eq!(error, "the configuration's stall is 0; allowed is 1 ms to 30 s, which is stall_max");
    let error = refused(|config| config.limits.early_lifetime = Duration::ZERO).to_string();
    assert_eq!(error, "the configuration's limits.early_lifetime is 0; allowed is 1 ms to 7 d");
}

#[test]
fn a_configuration_that_contradicts_itself_or_caps_a_need_at_nothing_is_refused_by_its_field() {
    let hour = Duration::from_secs(3_600);
    let contradictions: [(&str, Change); 24] = [
        ("stall", |config| config.stall = config.stall_max + Duration::from_nanos(1)),
        ("stall_max", |config| config.stall_max = config.stuck_timeout + Duration::from_nanos(1)),
        ("republish", |config| config.republish = config.presence_lifetime + Duration::from_nanos(1)),
        ("republish", |config| config.advertisement_lifetime = config.republish - Duration::from_nanos(1)),
        ("clock_skew", |config| config.clock_skew = config.presence_lifetime + Duration::from_nanos(1)),
        ("clock_skew", |config| config.session_timeout = config.clock_skew - Duration::from_nanos(1)),
        ("limits.sessions", |config| config.limits.sessions = 0),
        ("limits.unapproved", |config| config.limits.unapproved = config.limits.sessions + 1),
        ("limits.unapproved_per_creator", |config| config.limits.unapproved = 63),
        ("limits.ended", |config| config.limits.ended = 0),
        ("limits.attempts", |config| config.limits.attempts = 0),
        ("limits.peers", |config| config.limits.peers = 0),
        ("limits.neighbours", |config| config.limits.neighbours = 0),
        ("limits.presences", |config| config.limits.presences = 0),
        ("limits.keys_per_peer", |config| config.limits.keys_per_peer = 0),
        ("limits.keys_per_peer", |config| config.limits.keys_per_peer = config.limits.presences + 1),
        ("limits.graylist_at", |config| config.limits.graylist_at = 0),
        ("limits.graylist_at", |config| config.limits.graylist_at = config.limits.blacklist_at),
        ("limits.resources_per_kind", |config| config.limits.resources_per_kind = 101),
        ("limits.reputations", |config| config.limits.reputations = 0),
        ("limits.protocol_waiting", |config| config.limits.protocol_waiting = 0),
        ("limits.early_per_author", |config| config.limits.early_per_author = 1_001),
        ("limits.sequence_window", |config| config.limits.sequence_window = 128),
        ("limits.sequence_window", |config| config.limits.sequence_window = u64::MAX),
    ];
    for (field, change) in contradictions {
        assert_eq!(refused(change).field, field);
    }
    let error = refused(|config| config.limits.unapproved = 513).to_string();
    let text = "the configuration's limits.unapproved is 513; allowed is 0 to 512, which is limits.sessions";
    assert_eq!(error, text);
    let quotas: [Quota; 5] = [
        Quota { burst: 0, every: hour },
        Quota { burst: 100_000, every: Duration::ZERO },
        Quota { burst: 1, every: Duration::MAX },
        Quota { burst: u64::MAX, every: Duration::from_nanos(1) },
        Quota { burst: 169, every: hour },
    ];
    for quota in quotas {
        assert_eq!(refused(|config| config.limits.messages_per_peer = quota).field, "limits.messages_per_peer");
    }
    let small = Quota { burst: 99_999, every: Duration::from_millis(1) };
    assert_eq!(
        refused(|config| config.limits.bytes_per_peer = small).to_string(),
        "the configuration's limits.bytes_per_peer is a burst of 99999, another after 1 ms; \
         allowed is a burst of 100000 or more, another after 1 ns or more, all within 7 d"
    );
    let nothing = Quota::per_second(0, 0);
    let mut config = Config::new(Network::Regtest);
    config.limits.messages_reserved_per_peer = nothing;
    assert_eq!(config.check(), Ok(()));
    config.limits.messages = nothing;
    assert_eq!(config.check().unwrap_err().field, "limits.messages", "nothing would get in");
}

#[test]
fn the_ceiling_of_limits_without_end_is_the_end_of_the_integers() {
    let mut limits = Config::new(Network::Regtest).limits;
    for limit in [usize::MAX, usize::MAX / 2] {
        (limits.sessions, limits.ended, limits.searches) = (limit, limit, limit);
        (limits.advertisements, limits.resources, limits.prepared_keys) = (limit, limit, limit);
        assert_eq!(limits.ceiling(), usize::MAX);
    }
}

#[test]
fn a_journal_of_another_network_is_called_that() {
    let mut node = TestNode::new();
    let keys = vec![node.key, ScriptedPeer::new(1).key()];
    let session = NewSession::new(Suite::Lotus, keys, vec![7; 32]);
    node.command(Command::Create(Box::new(session))).unwrap();
    let records: Vec<_> = node.records.into_iter().collect();
    assert_eq!(boots(Config::new(Network::Regtest), records.clone()), Ok(()));
    let error = boots(Config::new(Network::Mainnet), records).unwrap_err();
    let BootError::ForeignNetwork { session, journal: Network::Regtest, config: Network::Mainnet } = error else {
        panic!("{error}")
    };
    let text =
        format!("the journal has session {session} of the network regtest, and the configuration is for mainnet");
    assert!(error.to_string().starts_with(&text), "{error}");
}

#[test]
fn a_signature_that_the_journal_has_wrong_is_not_said_to_anybody() {
    let (node, _, _, definition) = completed();
    let signatures = node.events.iter().find_map(|event| match event {
        Event::SessionCompleted { signatures, .. } => Some(signatures.clone()),
        _ => None,
    });
    let signature = *signatures.expect("it is complete")[0].as_bytes();
    let records: Vec<_> = node.records.clone().into_iter().collect();
    assert_eq!(boots(Config::new(Network::Regtest), records.clone()), Ok(()));
    let own = [&b"s"[..], definition.id().as_bytes()].concat();
    let record = records.iter().position(|(key, _)| *key == own).unwrap();
    let start = records[record].1.windows(64).position(|bytes| bytes == signature).expect("it is in the record");
    for bit in 0..8 * signature.len() {
        let mut records = records.clone();
        records[record].1[start + bit / 8] ^= 1 << (bit % 8);
        let error = boots(Config::new(Network::Regtest), records).unwrap_err();
        assert!(matches!(error, BootError::Corrupt(_)), "bit {bit}: {error}");
    }
}

#[test]
fn one_author_has_so_many_early_messages_and_no_more() {
    let mut config = Config::new(Network::Regtest);
    config.limits.early_per_author = 2;
    let (mut node, mut mallory) = (TestNode::with(config, Vec::new(), 1), ScriptedPeer::new(66));
    node.meet(&mut mallory);
    let kept = [1, 2, 3, 4].map(|number| {
        let bytes = mallory.say(SessionId::from_bytes([number; 32]), 1, Content::Abort { reason: AbortReason::Left });
        let refused = node.node.view().refusals().get(Refusal::Full);
        node.hear(&mallory, bytes);
        node.node.view().refusals().get(Refusal::Full) == refused
    });
    assert_eq!(kept, [true, true, false, false]);
}

/// A session with this message that a peer asks the node for.
fn ask(node: &mut TestNode, creator: &mut ScriptedPeer, message: u8) -> SessionId {
    let mut definition = definition(creator.key(), vec![node.key, creator.key()]);
    definition.items = vec![Item::message(vec![message; 32], Tweak::None)];
    let nonces = vec![creator.nonce(&definition, 1)];
    let id = definition.id();
    let bytes = creator.say(id, 1, Content::Announce { definition: definition.into(), nonces });
    node.hear(creator, bytes);
    id
}

/// An id that could be announced again has to be kept, so what is live and what has ended takes that room already.
#[test]
fn nothing_is_approved_whose_id_could_not_be_kept() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.closed, config.limits.ended) = (3, 1);
    let (mut node, mut alice) = (TestNode::with(config, Vec::new(), 1), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let [first, second, third, fourth] = [1, 2, 3, 4].map(|number| ask(&mut node, &mut alice, number));
    assert_eq!([first, second, third].map(|id| node.command(approve(id))), [Ok(()), Ok(()), Ok(())]);
    let full = Err(CommandError::TooManyEnded(3));
    assert_eq!(node.command(approve(fourth)), full, "three are live");
    node.command(Command::Abort(first, AbortReason::Left)).expect("it is live");
    assert_eq!(node.command(approve(fourth)), full, "two are live, one has ended");
    node.command(Command::Abort(second, AbortReason::Left)).expect("it is live");
    assert!(node.node.view().session(&first).is_none(), "it has made room");
    assert_eq!(node.command(approve(fourth)), full, "one is live, one has ended, one id is kept");
}

/// Nobody else can announce what this node has created, and what it has refused may be asked again.
#[test]
fn an_id_takes_room_only_where_this_node_has_shown_a_nonce_of_another_s() {
    let mut config = Config::new(Network::Regtest);
    config.limits.closed = 1;
    let (mut node, mut alice) = (TestNode::with(config, Vec::new(), 1), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let session = NewSession::new(Suite::Lotus, vec![node.key, alice.key()], vec![7; 32]);
    node.command(Command::Create(Box::new(session))).unwrap();
    let own = node.node.view().sessions().next().expect("it is there").id;
    let [declined, approved, refused] = [1, 2, 3].map(|number| ask(&mut node, &mut alice, number));
    for session in [own, declined] {
        node.command(Command::Close(session)).expect("it is known");
    }
    node.command(approve(approved)).expect("neither of those takes room");
    node.command(Command::Close(approved)).expect("it is known");
    assert_eq!(node.command(approve(refused)), Err(CommandError::TooManyEnded(1)));
}

#[test]
fn so_many_requests_wait_and_so_many_that_were_refused_are_kept() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.unapproved, config.limits.unapproved_per_creator) = (2, 2);
    let mut node = TestNode::with(config, Vec::new(), 1);
    let mut peers = [1, 2, 3].map(ScriptedPeer::new);
    peers.iter_mut().for_each(|scripted| node.meet(scripted));
    let [alice, bob, carol] = &mut peers;
    let waiting = [ask(&mut node, alice, 1), ask(&mut node, bob, 2)];
    node.refuses(Refusal::Requests, |node| {
        ask(node, carol, 3);
    });
    for session in waiting {
        node.command(Command::Abort(session, AbortReason::Declined)).expect("it waits");
    }
    let known = |node: &TestNode| node.node.view().sessions().map(|session| session.id).collect::<BTreeSet<_>>();
    assert_eq!(known(&node), waiting.into());
    let third = ask(&mut node, carol, 4);
    node.command(Command::Abort(third, AbortReason::Declined)).expect("it waits");
    assert_eq!(known(&node), [waiting[1], third].into(), "the oldest makes room");
}

#[test]
fn strangers_have_their_quarter_of_the_requests_and_no_more() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.unapproved, config.limits.unapproved_per_creator) = (4, 4);
    let mut node = TestNode::with(config, Vec::new(), 1);
    let [mut alice, mut bob, mut carol] = [1, 2, 3].map(ScriptedPeer::new);
    node.meet(&mut alice);
    let oldest = ask(&mut node, &mut alice, 1);
    for number in 2..=4 {
        ask(&mut node, &mut alice, number);
    }
    let of_bob = ask(&mut node, &mut bob, 5);
    let known = |node: &TestNode| node.node.view().sessions().map(|session| session.id).collect::<BTreeSet<_>>();
    let before = known(&node);
    assert!(before.len() == 4 && before.contains(&of_bob) && !before.contains(&oldest));
    node.refuses(Refusal::Requests, |node| {
        ask(node, &mut carol, 6);
    });
    assert_eq!(known(&node), before);
}

#[test]
fn what_has_ended_takes_no_room_of_what_is_live_after_a_restart_either() {
    let (node, alice, _, ended) = completed();
    let mut config = Config::new(Network::Regtest);
    (config.limits.sessions, config.limits.unapproved, config.limits.unapproved_per_creator) = (1, 1, 1);
    config.limits.ended = 1;
    let mut node = TestNode::with(config, node.records.into_iter().collect(), 2);
    assert_eq!(phase(&node, ended.id()), Phase::Complete);
    let create = |node: &mut TestNode, message: u8| {
        let session = NewSession::new(Suite::Lotus, vec![node.key, alice.key()], vec![message; 32]);
        node.command(Command::Create(Box::new(session)))
    };
    assert_eq!([create(&mut node, 1), create(&mut node, 2)], [Ok(()), Err(CommandError::TooManySessions(1))]);
    // And of what has ended, what somebody may still have to broadcast is the last to make room.
    let own = node.node.view().sessions().map(|session| session.id).find(|id| *id != ended.id()).expect("it is live");
    node.command(Command::Abort(own, AbortReason::Left)).expect("it is live");
    let known: Vec<_> = node.node.view().sessions().map(|session| session.id).collect();
    assert_eq!(known, [ended.id()]);
}

/// What a signer says of many items is large, and counts as several: one for each 10,000 bytes.
#[test]
fn an_early_message_counts_by_its_size() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.early, config.limits.early_per_author) = (4, 3);
    let mut node = TestNode::with(config, Vec::new(), 1);
    let (mut alice, mut bob, mut carol) = (ScriptedPeer::new(1), ScriptedPeer::new(2), ScriptedPeer::new(3));
    [&mut alice, &mut bob, &mut carol].into_iter().for_each(|scripted| node.meet(scripted));
    let early = |node: &mut TestNode, scripted: &mut ScriptedPeer, number: u8, content| {
        let bytes = scripted.say(SessionId::from_bytes([number; 32]), 1, content);
        node.hear(scripted, bytes);
    };
    let large = || Content::Join { nonces: vec![PublicNonce::from_bytes([2; 66]); 200] };
    early(&mut node, &mut alice, 1, large());
    node.refuses(Refusal::Full, |node| early(node, &mut alice, 2, large()));
    early(&mut node, &mut bob, 3, Content::Confirmed);
    node.refuses(Refusal::Full, |node| early(node, &mut carol, 4, large()));
    early(&mut node, &mut carol, 5, Content::Confirmed);
}

#[test]
fn no_step_has_the_number_nought() {
    let (mut node, _, mut bob, definition, _) = joined();
    let nonces = vec![bob.nonce(&definition, 1)];
    for attempt in [1, 2] {
        let bytes = bob.say_at(definition.id(), attempt, 0, Content::Join { nonces: nonces.clone() });
        node.refuses(Refusal::SequenceGap, |node| node.hear(&bob, bytes));
    }
    let bytes = bob.say_at(definition.id(), 1, 1, Content::Join { nonces });
    node.hear(&bob, bytes);
    assert_eq!(phase(&node, definition.id()), Phase::PartialSignatureExchange);
}

/// Its author signs an advertisement anew at half its time: what is older in gossip is somebody else's repetition.
#[test]
fn an_advertisement_is_gossip_until_it_should_have_been_renewed() {
    let (mut node, from) = (TestNode::new(), PeerId::from_bytes(b"courier").unwrap());
    let [alice, bob] = [1, 2].map(|number| spender(&mut ScriptedPeer::new(number)));
    node.wait(DAY / 2 + SKEW);
    hear_gossip(&mut node, from, alice);
    assert_eq!(node.node.view().refusals().total(), 0);
    node.wait(1);
    node.refuses(Refusal::NotFresh, |node| hear_gossip(node, from, bob));
}
