//! Identities that a host has verified: what they give a key, and that it ends with them.

use nelumbo_core::api::{Command, Config, Event, Identity, IdentityId, Input, Phase, Refusal, SignerFilter, Tier};
use nelumbo_core::crypto::{Network, PublicKey};
use nelumbo_core::wire::{AbortReason, Offer, TransactionType};

use super::common::{ScriptedPeer, TestNode, WALL, announcement, completed, definition, phase};
use super::discovery::{advertisement, finished, found, offer, spender};

const ID: IdentityId = IdentityId::from_bytes([0x1d; 32]);

fn identity(tier: Tier, former: &[PublicKey]) -> Option<Identity> {
    Some(Identity { id: ID, tier, former: former.to_vec() })
}

fn tell(node: &mut TestNode, key: PublicKey, identity: Option<Identity>) {
    node.input(Input::Identity { key, identity });
}

/// What was told of identities since this was last asked.
fn told(node: &mut TestNode) -> Vec<Event> {
    let is_of_identity = |event: &Event| matches!(event, Event::IdentityVerified { .. } | Event::IdentityLost { .. });
    let events = std::mem::take(&mut node.events);
    events.into_iter().filter(is_of_identity).collect()
}

/// How many advertisements of a key are taken at once.
fn burst(node: &mut TestNode, author: &mut ScriptedPeer, from: u64) -> u64 {
    let other = ScriptedPeer::new(99);
    let mut taken = 0;
    loop {
        let bytes = advertisement(author, Some(offer(&[TransactionType::Spend])), WALL + from + taken);
        let before = node.node.view().refusals().get(Refusal::AuthorQuota);
        // Not by its own peer, which has an account of its own.
        super::discovery::hear_gossip(node, other.peer, bytes);
        if node.node.view().refusals().get(Refusal::AuthorQuota) > before {
            return taken;
        }
        taken += 1;
    }
}

/// Asks the node to sign, and says how it has answered.
fn asked(node: &mut TestNode, creator: &mut ScriptedPeer, number: u8) -> (Phase, Option<AbortReason>) {
    let session = definition(creator.key(), vec![creator.key(), node.key]);
    let session = nelumbo_core::wire::Definition { nonce: [number; 32], ..session };
    let nonce = creator.nonce(&session, 1);
    let bytes = creator.say(session.id(), 1, announcement(&session, nonce));
    node.hear(creator, bytes);
    let reason = node.events.iter().rev().find_map(|event| match event {
        Event::SessionAborted { session: aborted, reason, .. } if *aborted == session.id() => Some(*reason),
        _ => None,
    });
    (phase(node, session.id()), reason)
}

/// D27.
#[test]
fn a_key_that_money_was_burned_for_has_more_room_as_long_as_it_counts() {
    let limits = Config::new(Network::Regtest).limits;
    let (most, keys) = (limits.advertisements_per_key.burst, limits.keys_per_peer);
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let every = limits.advertisements_per_key.every.as_millis() as u64 * (most + 1);
    let mut from = 0;
    for (tier, factor) in [(None, 1), (Some(Tier::Verified), 5), (Some(Tier::Institutional), 10), (None, 1)] {
        tell(&mut node, alice.key(), tier.and_then(|tier| identity(tier, &[])));
        assert_eq!(burst(&mut node, &mut alice, from), most * factor, "{tier:?}");
        from += 1_000;
        node.wait(every);
    }
    let verified = |tier| Event::IdentityVerified { key: alice.key(), id: ID, tier };
    let expected =
        [verified(Tier::Verified), verified(Tier::Institutional), Event::IdentityLost { key: alice.key(), id: ID }];
    assert_eq!(told(&mut node), expected, "each change, and nothing else");

    // So many more keys his peer may hold; he is not the first that it brings.
    let mut bob = ScriptedPeer::new(3);
    tell(&mut node, bob.key(), identity(Tier::Verified, &[]));
    node.input(Input::Connected(bob.peer));
    for number in 0..keys as u16 {
        let bytes = ScriptedPeer::numbered(1_000 + number).presence(bob.peer, WALL);
        node.hear(&bob, bytes);
    }
    let another = ScriptedPeer::numbered(2_000).presence(bob.peer, WALL);
    node.refuses(Refusal::PeerQuota, |node| node.hear(&bob, another.clone()));
    let own = bob.presence(bob.peer, WALL);
    node.hear(&bob, own);
    let all: Vec<_> = (1..=4 * keys as u16).map(|number| ScriptedPeer::numbered(2_000 + number)).collect();
    for (place, mut other) in all.into_iter().enumerate() {
        let bytes = other.presence(bob.peer, WALL);
        if place < 4 * keys - 1 {
            node.hear(&bob, bytes);
        } else {
            node.refuses(Refusal::PeerQuota, |node| node.hear(&bob, bytes));
        }
    }
}

#[test]
fn an_offer_that_wants_verified_creators_declines_all_others() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let wants = Offer { requires_verification: true, ..offer(&[TransactionType::Spend]) };
    node.command(Command::Advertise { offer: Box::new(wants), lifetime: None }).unwrap();
    assert_eq!(asked(&mut node, &mut alice, 1), (Phase::Aborted, Some(AbortReason::Unverified)));
    tell(&mut node, alice.key(), identity(Tier::Verified, &[]));
    assert_eq!(asked(&mut node, &mut alice, 2), (Phase::Announced, None));
    // Her burn is in no block any more.
    tell(&mut node, alice.key(), None);
    assert_eq!(asked(&mut node, &mut alice, 3), (Phase::Aborted, Some(AbortReason::Unverified)));
    let wants = Offer { min_reputation: Some(51), ..offer(&[TransactionType::Spend]) };
    node.command(Command::Advertise { offer: Box::new(wants), lifetime: None }).unwrap();
    assert_eq!(asked(&mut node, &mut alice, 4), (Phase::Aborted, Some(AbortReason::Reputation)));
    node.command(Command::Withdraw).unwrap();
    assert_eq!(asked(&mut node, &mut alice, 5), (Phase::Announced, None));
}

#[test]
fn searches_show_whom_they_want_and_who_wants_them() {
    let mut node = TestNode::new();
    let mut peers: Vec<ScriptedPeer> = (1..=3).map(ScriptedPeer::new).collect();
    let wants = Offer { requires_verification: true, ..offer(&[TransactionType::Spend]) };
    let bytes = [spender(&mut peers[0]), spender(&mut peers[1]), advertisement(&mut peers[2], Some(wants), WALL)];
    for (scripted, bytes) in peers.iter().zip(bytes) {
        super::discovery::hear_gossip(&mut node, scripted.peer, bytes);
    }
    let keys: Vec<PublicKey> = peers.iter().map(ScriptedPeer::key).collect();
    tell(&mut node, keys[1], identity(Tier::Verified, &[]));
    let find = |node: &mut TestNode, is_verified| {
        node.events.clear();
        node.command(Command::FindSigners(SignerFilter { is_verified, ..SignerFilter::default() })).unwrap();
        node.wait(5_000);
        assert!(finished(node).is_some());
        let mut keys = found(node);
        keys.sort_unstable();
        keys
    };
    let sorted = |mut keys: Vec<PublicKey>| {
        keys.sort_unstable();
        keys
    };
    assert_eq!(find(&mut node, true), [keys[1]]);
    assert_eq!(find(&mut node, false), sorted(vec![keys[0], keys[1]]), "the third would decline this node");
    let own = node.key;
    let other = Identity { id: IdentityId::from_bytes([7; 32]), tier: Tier::Verified, former: Vec::new() };
    tell(&mut node, own, Some(other));
    assert_eq!(find(&mut node, false), sorted(keys));
}

#[test]
fn reputation_goes_with_the_identity_and_both_outlast_a_restart() {
    let (mut node, alice, ..) = completed();
    let (old, new) = (alice.key(), ScriptedPeer::new(9).key());
    let seen = |node: &TestNode, key: &PublicKey| node.node.view().reputation(key);
    assert_eq!((seen(&node, &old), seen(&node, &new)), (52, 50));

    tell(&mut node, old, identity(Tier::Verified, &[]));
    assert_eq!((seen(&node, &old), told(&mut node).len()), (52, 1));
    tell(&mut node, new, identity(Tier::Verified, &[old]));
    assert_eq!((seen(&node, &old), seen(&node, &new)), (50, 52), "whoever has the old key begins anew");
    let expected =
        [Event::IdentityLost { key: old, id: ID }, Event::IdentityVerified { key: new, id: ID, tier: Tier::Verified }];
    assert_eq!(told(&mut node), expected);
    tell(&mut node, new, identity(Tier::Verified, &[old]));
    assert!(told(&mut node).is_empty(), "that was known");

    let records: Vec<_> = node.records.clone().into_iter().collect();
    let mut again = TestNode::with(Config::new(Network::Regtest), records, 2);
    assert_eq!((seen(&again, &old), seen(&again, &new)), (50, 52));
    let known: Vec<_> = again.node.view().identities().map(|(key, known)| (*key, *known)).collect();
    assert_eq!(known, [(new, (ID, Tier::Verified))]);
    assert_eq!([old, new].map(|key| again.node.view().identity(&key)), [None, Some((ID, Tier::Verified))]);
    tell(&mut again, new, None);
    assert_eq!((seen(&again, &new), again.node.view().identities().count()), (52, 0));
    assert!(!again.records.keys().any(|key| key.starts_with(b"i")));
    // What is not on the disk yet is not told.
    again.syncs = false;
    told(&mut again);
    tell(&mut again, new, identity(Tier::Verified, &[old]));
    assert!(told(&mut again).is_empty());
    let last = again.last_record;
    again.input(Input::Persisted(last));
    assert_eq!(told(&mut again).len(), 1);
    // There is an end to how many are known.
    let mut config = Config::new(Network::Regtest);
    config.limits.identities = 1;
    let mut small = TestNode::with(config, Vec::new(), 1);
    tell(&mut small, old, identity(Tier::Verified, &[]));
    let other = Identity { id: IdentityId::from_bytes([8; 32]), tier: Tier::Verified, former: Vec::new() };
    tell(&mut small, new, Some(other));
    assert_eq!((small.node.view().identities().count(), told(&mut small).len()), (1, 1));
}
