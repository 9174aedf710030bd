//! Peers that break the rules, and how much of anything a node takes.

use std::time::Duration;

use nelumbo_core::Policy;
use nelumbo_core::api::{
    Blame, Command, CommandError, Config, Event, GossipId, Input, Layer, Limits, Output, Phase, Quota, Refusal,
    Standing, Traffic, Verdict,
};
use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::{Network, PublicKey};
use nelumbo_core::wire::{AbortReason, Body, Content, PeerId, SessionId, SessionMessage};

use crate::common::{ScriptedPeer, TestNode, WALL, definition, now};

const DAY: u64 = 24 * 60 * 60 * 1000;

fn forged(scripted: &mut ScriptedPeer, number: u64) -> Bytes {
    let mut bytes = scripted.presence(scripted.peer, WALL + number).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes.into()
}

/// Lets a peer hand over this many invalid signatures, with time between them that is too short to forgive.
fn offend(node: &mut TestNode, mallory: &mut ScriptedPeer, times: u64) {
    for number in 1..=times {
        let bytes = forged(mallory, number);
        node.hear(mallory, bytes);
    }
}

fn config(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config::new(Network::Regtest);
    change(&mut config.limits);
    config
}

/// The tenth of any number of invalid signatures bans, at the limits that everybody has, and the host and the embedder
/// hear of the end by a timer.
#[test]
fn ten_invalid_signatures_ban_a_peer_and_a_day_later_it_may_try_again() {
    let (mut node, mut mallory) = (TestNode::new(), ScriptedPeer::new(66));
    node.meet(&mut mallory);
    let (peer, refusal) = (mallory.peer, Refusal::Signature);
    let met = node.node.view().traffic(&peer).bytes;
    node.events.clear();
    offend(&mut node, &mut mallory, 4);
    assert_eq!(node.node.view().standing(&peer), (Standing::Good, 40));
    offend(&mut node, &mut mallory, 1);
    assert_eq!(node.events, [Event::PeerGraylisted { peer, seconds: 3600, refusal }]);
    node.events.clear();
    offend(&mut node, &mut mallory, 1_000);
    assert_eq!(
        node.events,
        [
            Event::ShouldBan { peer, refusal },
            Event::PeerBlacklisted { peer, seconds: Some(86_400), refusal: Some(refusal) },
        ]
    );
    assert_eq!(node.others.pop(), Some(Output::Ban(peer)));
    let view = node.node.view();
    assert_eq!((view.refusals().get(refusal), view.refusals().get(Refusal::Blacklisted)), (10, 995));
    // All that it has sent, its presence first.
    let Traffic { messages, bytes, refused } = view.traffic(&peer);
    assert_eq!((messages, refused), (1_006, 1_005));
    assert_eq!(bytes, (1..=1_005).map(|number| forged(&mut mallory, number).len() as u64).sum::<u64>() + met);
    assert_eq!(view.traffic(&PeerId::from_bytes(&[7]).unwrap()), Traffic::default());
    let good = mallory.presence(peer, WALL + 5_000);
    node.refuses(Refusal::Blacklisted, |node| node.hear(&mallory, good.clone()));
    // Nothing comes from a peer whose connections are closed: the end has a timer of its own.
    node.events.clear();
    while !node.others.contains(&Output::Unban(peer)) {
        let deadline = node.node.deadline().expect("the ban has an end");
        assert!(deadline.at.as_nanos() <= node.time + DAY * 1_000_000, "a day at most");
        node.time = deadline.at.as_nanos() - 1;
        node.input(Input::Tick);
    }
    assert_eq!(node.events, [Event::PeerUnbanned { peer }]);
    assert_eq!(node.node.view().standing(&peer), (Standing::Good, 0));
    offend(&mut node, &mut mallory, 10);
    let twice = Event::PeerBlacklisted { peer, seconds: Some(2 * 86_400), refusal: Some(refusal) };
    assert!(node.events.contains(&twice), "the second ban is twice as long: {:?}", node.events);
    // Four days are as long as the third would be.
    node.wait(2 * DAY);
    node.wait(4 * DAY);
    let good = mallory.presence(peer, WALL + 6_000);
    node.refuses(Refusal::NotFresh, |node| node.hear(&mallory, good));
    node.events.clear();
    offend(&mut node, &mut mallory, 10);
    let once = Event::PeerBlacklisted { peer, seconds: Some(86_400), refusal: Some(refusal) };
    assert!(node.events.contains(&once), "who has behaved begins afresh: {:?}", node.events);
}

#[test]
fn a_graylisted_peer_that_only_goes_on_talking_is_not_banned_and_is_heard_an_hour_later() {
    let (mut node, mut mallory) = (TestNode::new(), ScriptedPeer::new(66));
    let peer = mallory.peer;
    offend(&mut node, &mut mallory, 5);
    node.events.clear();
    for number in 0..100 {
        let bytes = mallory.presence(peer, WALL + 1_000 + number);
        node.refuses(Refusal::Graylisted, |node| node.hear(&mallory, bytes));
    }
    assert_eq!(node.node.view().standing(&peer), (Standing::Graylisted, 50));
    assert_eq!((node.events.len(), node.node.view().signers().len()), (0, 0));
    node.wait(60 * 60 * 1000);
    assert_eq!(node.events, [Event::PeerUngraylisted { peer }]);
    assert!(!node.others.contains(&Output::Unban(peer)), "it was never banned");
    assert_eq!(node.node.view().standing(&peer), (Standing::Good, 0), "half fades in ten minutes");
    let bytes = mallory.presence(peer, now(node.time).wall.as_millis());
    node.hear(&mallory, bytes);
    assert_eq!(node.node.view().signers().len(), 1);
}

/// As many peers as account is kept of, each with an offence short of a ban or with a ban.
#[test]
fn a_crowd_of_offenders_keeps_no_newcomer_out() {
    let bad = |node: &mut TestNode, number: u32, times: usize| {
        let from = PeerId::from_bytes(&[&[9], &number.to_be_bytes()[..]].concat()).unwrap();
        (0..times).for_each(|_| node.input(Input::Received { from, bytes: vec![1; 9].into() }));
    };
    for times in [5, 10] {
        let (mut node, mut alice, mut mallory) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(66));
        offend(&mut node, &mut mallory, 10);
        (0..4_096).for_each(|number| bad(&mut node, number, times));
        node.meet(&mut alice);
        assert_eq!(node.node.view().signers().len(), 1, "after {times} of each");
        let banned = node.node.view().peers_in_standing(Standing::Blacklisted);
        assert_eq!(banned, if times == 5 { 1 } else { 2_048 }, "bans stay, up to half of the room");
        let is_banned = node.node.view().standing(&mallory.peer).0 == Standing::Blacklisted;
        assert_eq!(is_banned, times == 5, "the one that ends first makes room for others");
        // Whoever is forgotten is let in again by the host too.
        let (mut bans, mut ends) = (0, 0);
        node.others.iter().for_each(|output| match output {
            Output::Ban(_) => bans += 1,
            Output::Unban(_) => ends += 1,
            _ => {}
        });
        assert_eq!(bans - ends, banned);
    }
}

#[test]
fn bans_by_hand_stay_and_take_half_of_the_room() {
    let mut node = TestNode::with(config(|limits| limits.neighbours = 4), Vec::new(), 1);
    let [alice, bob, carol, mut mallory] = [1, 2, 3, 66].map(ScriptedPeer::new);
    offend(&mut node, &mut mallory, 10);
    assert_eq!(node.node.view().standing(&mallory.peer).0, Standing::Blacklisted);
    assert_eq!([&alice, &bob].map(|one| node.command(Command::Ban(one.peer))), [Ok(()), Ok(())]);
    let makes_room = [Output::Ban(bob.peer), Output::Unban(mallory.peer)];
    assert!(node.others.ends_with(&makes_room), "a ban that has an end makes room");
    assert_eq!(node.command(Command::Ban(carol.peer)), Err(CommandError::TooManyPeers));
    assert_eq!(node.command(Command::Ban(bob.peer)), Ok(()), "it is banned already");
    for number in 100..120 {
        offend(&mut node, &mut ScriptedPeer::new(number), 10);
    }
    for peer in [alice.peer, bob.peer] {
        assert_eq!(node.node.view().standing(&peer).0, Standing::Blacklisted);
    }
}

#[test]
fn a_peer_is_banned_and_unbanned_by_hand() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let peer = alice.peer;
    assert_eq!(node.command(Command::Unban(peer)), Err(CommandError::NotBanned(peer)));
    node.command(Command::Ban(peer)).unwrap();
    assert_eq!(node.others.pop(), Some(Output::Ban(peer)));
    node.wait(365 * DAY);
    let bytes = alice.presence(peer, WALL + 365 * DAY);
    node.refuses(Refusal::Blacklisted, |node| node.hear(&alice, bytes.clone()));
    assert_eq!(node.node.view().peers_in_standing(Standing::Blacklisted), 1);
    node.command(Command::Unban(peer)).unwrap();
    assert_eq!(node.others.pop(), Some(Output::Unban(peer)));
    assert!(node.events.contains(&Event::PeerUnbanned { peer }));
    let before = node.node.view().refusals().total();
    node.hear(&alice, bytes);
    assert_eq!(node.node.view().refusals().total(), before);
}

#[test]
fn a_flood_costs_its_sender_its_standing_and_leaves_the_others_alone() {
    let quota = |burst| Quota { burst, every: Duration::from_millis(10) };
    let mut node = TestNode::with(config(|limits| limits.messages_per_peer = quota(20)), Vec::new(), 1);
    let (mut alice, mut mallory) = (ScriptedPeer::new(1), ScriptedPeer::new(66));
    node.meet(&mut alice);
    node.meet(&mut mallory);
    // Honest contents: it is the amount that is wrong.
    let bytes = mallory.presence(mallory.peer, WALL);
    for _ in 0..100 {
        node.hear(&mallory, bytes.clone());
    }
    let view = node.node.view();
    let refusals = view.refusals();
    assert_eq!(refusals.get(Refusal::PeerQuota), 10);
    assert_eq!(refusals.get(Refusal::Graylisted), 100 - 19 - 10);
    assert_eq!(node.node.view().standing(&mallory.peer).0, Standing::Graylisted);
    assert_eq!(node.node.view().standing(&alice.peer), (Standing::Good, 0));
    let bytes = alice.presence(alice.peer, WALL + 9);
    let before = node.node.view().refusals().total();
    node.hear(&alice, bytes);
    assert_eq!(node.node.view().refusals().total(), before);
}

#[test]
fn all_peers_together_get_no_more_than_the_node_can_take() {
    let limits = |limits: &mut Limits| {
        limits.messages = Quota { burst: 10, every: Duration::from_secs(1) };
        limits.messages_reserved_per_peer = Quota { burst: 0, every: Duration::from_secs(1) };
    };
    let mut node = TestNode::with(config(limits), Vec::new(), 1);
    for number in 1..=10 {
        let mut scripted = ScriptedPeer::new(number);
        let bytes = scripted.presence(scripted.peer, WALL);
        node.hear(&scripted, bytes);
    }
    let mut late = ScriptedPeer::new(11);
    let bytes = late.presence(late.peer, WALL);
    node.refuses(Refusal::TotalQuota, |node| node.hear(&late, bytes.clone()));
    assert_eq!(node.node.view().standing(&late.peer), (Standing::Good, 0), "it is not the fault of whoever comes last");
    node.wait(1_000);
    let before = node.node.view().refusals().total();
    node.hear(&late, bytes);
    assert_eq!(node.node.view().refusals().total(), before);
    let limits = |limits: &mut Limits| limits.bytes_per_peer = Quota { burst: 100_000, every: Duration::from_secs(1) };
    let mut node = TestNode::with(config(limits), Vec::new(), 1);
    node.refuses(Refusal::Version, |node| node.hear(&late, vec![0; 100_000].into()));
    node.refuses(Refusal::PeerQuota, |node| node.hear(&late, vec![0; 1].into()));
}

#[test]
fn a_key_that_announces_itself_all_the_time_is_heard_now_and_then() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    for number in 1..5 {
        let bytes = alice.presence(alice.peer, WALL + number);
        node.hear(&alice, bytes);
    }
    let bytes = alice.presence(alice.peer, WALL + 5);
    node.refuses(Refusal::PeerQuota, |node| node.hear(&alice, bytes));
    assert_eq!(node.node.view().standing(&alice.peer), (Standing::Good, 5), "it knew how many there were");
    node.wait(60_000);
    let before = node.node.view().refusals().total();
    let bytes = alice.presence(alice.peer, WALL + 60_000);
    node.hear(&alice, bytes);
    assert_eq!(node.node.view().refusals().total(), before);
}

#[test]
fn one_presence_a_hundred_times_by_every_channel_is_one_fact() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.input(Input::Connected(alice.peer));
    let bytes = alice.presence(alice.peer, WALL);
    for number in 0..100 {
        if number % 2 == 0 {
            node.hear(&alice, bytes.clone());
        } else {
            node.input(Input::Gossip { from: alice.peer, id: GossipId(number), bytes: bytes.clone() });
        }
    }
    let connected = node.events.iter().filter(|event| matches!(event, Event::SignerConnected { .. })).count();
    assert_eq!(connected, 1);
    assert_eq!(node.node.view().refusals().get(Refusal::Duplicate), 99);
    assert_eq!(node.node.view().standing(&alice.peer), (Standing::Good, 0));
}

#[test]
fn a_signer_announces_no_more_sessions_than_anyone_needs() {
    let limits = |limits: &mut Limits| {
        limits.announced_keys = Quota { burst: 7, every: Duration::from_secs(10) };
        limits.unapproved_per_creator = 3;
    };
    let (mut alice, bob) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
    let mut announce = |node: &mut TestNode, number: u8| {
        let mut definition = definition(alice.key(), vec![node.key, alice.key(), bob.key()]);
        definition.nonce = [number; 32];
        let nonce = alice.nonce(&definition, 1);
        let bytes = alice.say_at(
            definition.id(),
            1,
            1,
            Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] },
        );
        node.hear(&alice, bytes);
    };
    let mut node = TestNode::with(config(limits), Vec::new(), 1);
    announce(&mut node, 1);
    announce(&mut node, 2);
    node.refuses(Refusal::AuthorQuota, |node| announce(node, 3));
    node.wait(20_000);
    announce(&mut node, 4);
    node.wait(30_000);
    node.refuses(Refusal::Requests, |node| announce(node, 5));
    assert_eq!(node.node.view().sessions().filter(|session| session.phase == Phase::Announced).count(), 3);
}

#[test]
fn claims_about_somebody_else_s_peer_do_not_keep_its_own_keys_out() {
    let mut node = TestNode::with(config(|limits| limits.keys_per_peer = 2), Vec::new(), 1);
    let mut alice = ScriptedPeer::new(1);
    let (mut first, mut second, mut third) = (ScriptedPeer::new(2), ScriptedPeer::new(3), ScriptedPeer::new(4));
    let couriers = [b"one courier", b"two courier"].map(|name| PeerId::from_bytes(name).unwrap());
    for mallory in [&mut first, &mut second] {
        let bytes = mallory.presence(alice.peer, WALL);
        node.input(Input::Received { from: couriers[0], bytes });
    }
    for (courier, refusal) in couriers.into_iter().zip([Refusal::PeerQuota, Refusal::Full]) {
        node.refuses(refusal, |node| {
            let bytes = third.presence(alice.peer, WALL);
            node.input(Input::Received { from: courier, bytes });
        });
    }
    node.meet(&mut alice);
    let holds =
        |node: &TestNode, key| node.node.view().signers().any(|(known, peer, _)| (known, peer) == (key, alice.peer));
    assert!(holds(&node, alice.key()));
    assert_eq!(node.node.view().signers().len(), 2);
}

#[test]
fn who_is_forgotten_has_done_nothing() {
    let mut node = TestNode::with(config(|limits| limits.neighbours = 2), Vec::new(), 1);
    let (mut mallory, mut eve) = (ScriptedPeer::new(66), ScriptedPeer::new(67));
    offend(&mut node, &mut mallory, 3);
    offend(&mut node, &mut eve, 1);
    for number in 1..9 {
        let mut scripted = ScriptedPeer::new(number);
        let bytes = scripted.presence(scripted.peer, WALL);
        node.hear(&scripted, bytes);
    }
    assert_eq!(node.node.view().signers().len(), 8, "each makes room for the next");
    assert_eq!(node.node.view().standing(&mallory.peer), (Standing::Good, 30), "the worst is remembered");
    assert_eq!(node.node.view().standing(&eve.peer), (Standing::Good, 0), "the least was forgotten");
}

#[test]
fn gossip_from_a_banned_peer_is_not_passed_on_and_blames_nobody_else() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.command(Command::Ban(alice.peer)).unwrap();
    let bytes = alice.presence(alice.peer, WALL);
    node.others.clear();
    node.input(Input::Gossip { from: alice.peer, id: GossipId(1), bytes });
    assert_eq!(node.others, [Output::Verdict { id: GossipId(1), verdict: Verdict::Ignore }]);
}

#[test]
fn a_stranger_s_step_in_a_session_counts_against_whoever_hands_it_over() {
    let (mut node, mut alice, bob, mut mallory) =
        (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2), ScriptedPeer::new(66));
    node.meet(&mut alice);
    node.meet(&mut mallory);
    let definition = definition(alice.key(), vec![node.key, alice.key(), bob.key()]);
    let nonce = alice.nonce(&definition, 1);
    let bytes =
        alice.say(definition.id(), 1, Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] });
    node.hear(&alice, bytes);
    let bytes = mallory.say(definition.id(), 1, Content::Abort { reason: AbortReason::Left });
    node.refuses(Refusal::NotASigner, |node| node.hear(&mallory, bytes));
    assert_eq!(node.node.view().standing(&mallory.peer), (Standing::Good, 5));
}

#[test]
fn every_refusal_has_a_layer_and_only_a_neighbour_s_weighs() {
    assert_eq!((Refusal::Signature.layer(), Refusal::Signature.blame()), (Layer::Signature, Blame::Neighbour));
    assert_eq!((Refusal::Equivocation.layer(), Refusal::Equivocation.blame()), (Layer::Content, Blame::Author));
    assert_eq!((Refusal::TotalQuota.layer(), Refusal::TotalQuota.blame()), (Layer::Quota, Blame::Nobody));
}

/// Keeps one peer, one author's steps and one key's presence out.
struct Strict {
    peer: PeerId,
    steps_of: PublicKey,
    presence_of: PublicKey,
}

impl Policy for Strict {
    fn permits(&mut self, peer: &PeerId) -> bool {
        *peer != self.peer
    }

    fn accepts_message(&mut self, author: &PublicKey, _: &SessionMessage) -> bool {
        *author != self.steps_of
    }

    fn accepts_resource(&mut self, author: &PublicKey, _: &Body) -> bool {
        *author != self.presence_of
    }
}

#[test]
fn the_embedder_s_own_rules_keep_out_what_they_say() {
    let (mut node, mut alice, mut bob, mut carol) =
        (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2), ScriptedPeer::new(3));
    node.meet(&mut bob);
    let policy = Strict { peer: alice.peer, steps_of: bob.key(), presence_of: carol.key() };
    node.node.set_policy(Box::new(policy));
    let bytes = alice.presence(alice.peer, WALL);
    node.refuses(Refusal::Policy, |node| node.hear(&alice, bytes));
    let bytes = bob.say(SessionId::from_bytes([1; 32]), 1, Content::Abort { reason: AbortReason::Left });
    node.refuses(Refusal::Policy, |node| node.hear(&bob, bytes));
    let bytes = carol.presence(carol.peer, WALL);
    node.others.clear();
    node.input(Input::Gossip { from: bob.peer, id: GossipId(7), bytes });
    assert_eq!(node.others, [Output::Verdict { id: GossipId(7), verdict: Verdict::Ignore }]);
    for peer in [alice.peer, bob.peer, carol.peer] {
        assert_eq!(node.node.view().standing(&peer), (Standing::Good, 0), "a house rule blames nobody");
    }
}

/// Gives one peer a tier of its own.
struct Tier(PeerId);

impl Policy for Tier {
    fn keys_per_peer(&mut self, peer: &PeerId, most: usize) -> usize {
        if *peer == self.0 { 2 * most } else { most }
    }
}

#[test]
fn a_peer_of_a_higher_tier_holds_more_keys() {
    let mut node = TestNode::with(config(|limits| limits.keys_per_peer = 2), Vec::new(), 1);
    let [high, low] = [b"high", b"low_"].map(|name| PeerId::from_bytes(name).unwrap());
    node.node.set_policy(Box::new(Tier(high)));
    for (peer, most) in [(high, 4), (low, 2)] {
        for number in 0..=most {
            let bytes = ScriptedPeer::new(10 * most + number).presence(peer, WALL);
            let receive = |node: &mut TestNode| node.input(Input::Received { from: peer, bytes });
            if number < most { receive(&mut node) } else { node.refuses(Refusal::PeerQuota, receive) }
        }
    }
}

#[test]
fn many_who_shout_do_not_silence_those_who_speak() {
    let limits = |limits: &mut Limits| {
        limits.messages = Quota { burst: 5, every: Duration::from_secs(1) };
        limits.messages_reserved_per_peer = Quota { burst: 2, every: Duration::from_secs(1) };
    };
    let mut node = TestNode::with(config(limits), Vec::new(), 1);
    for number in 10..40 {
        let mut scripted = ScriptedPeer::new(number);
        for time in 0..3 {
            let bytes = scripted.presence(scripted.peer, WALL + time);
            node.hear(&scripted, bytes);
        }
    }
    assert_eq!(node.node.view().refusals().get(Refusal::TotalQuota), 30 - 5, "the third of each, but for five");
    let mut alice = ScriptedPeer::new(1);
    let bytes = alice.presence(alice.peer, WALL);
    let before = node.node.view().refusals().total();
    node.hear(&alice, bytes);
    assert_eq!(node.node.view().refusals().total(), before);
}
