//! Who is sought, how often, and what a node says of itself.

use nelumbo_core::api::{Command, Config, Event, GossipId, Input, NewSession, Output};
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{Network, PublicKey, Suite};
use nelumbo_core::wire::{AbortReason, Address, Body, Content, PeerId, Presence};

use crate::common::{HOUR, ScriptedPeer, TestNode, WALL, approve, definition};

/// What leaves the node to find somebody, since this was last asked: peers that are dialled, and keys that are looked
/// up.
fn sought(node: &mut TestNode) -> (Vec<PeerId>, Vec<String>) {
    let (mut dialled, mut looked_up) = (Vec::new(), Vec::new());
    for output in std::mem::take(&mut node.others) {
        match output {
            Output::Dial { peer, .. } => dialled.push(peer),
            Output::Lookup { key, operation } => {
                looked_up.push(key);
                node.input(Input::LookupFinished(operation));
            }
            _ => {}
        }
    }
    (dialled, looked_up)
}

fn create(node: &mut TestNode, keys: impl IntoIterator<Item = PublicKey>, message: u8) {
    let keys = keys.into_iter().chain([node.key]).collect();
    let session = NewSession::new(Suite::Lotus, keys, vec![message; 32]);
    node.command(Command::Create(Box::new(session))).expect("there is room");
}

/// Waits so many milliseconds in small steps, and counts lookups.
fn lookups_in(node: &mut TestNode, millis: u64) -> usize {
    let mut count = 0;
    for _ in 0..millis / 100 {
        node.wait(100);
        count += sought(node).1.len();
    }
    count
}

/// D3, D4: somebody else's request costs nobody a connection before it is approved.
#[test]
fn a_request_that_nobody_has_approved_seeks_nobody() {
    let (mut node, mut creator) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut creator);
    let mut strangers: Vec<ScriptedPeer> =
        (2..=127).map(ScriptedPeer::new).filter(|peer| peer.key() != node.key).collect();
    let victim = Address::from_bytes(vec![7; 40]).expect("an address");
    for stranger in &mut strangers {
        let presence = Presence {
            peer: stranger.peer,
            addresses: vec![victim.clone(); 1],
            issued_at: Wall::from_millis(WALL),
            expires_at: Wall::from_millis(WALL + HOUR),
        };
        let bytes = stranger.say_body(Body::Presence(presence));
        node.input(Input::Gossip { from: creator.peer, id: GossipId(0), bytes });
    }
    let keys = strangers.iter().map(ScriptedPeer::key).chain([node.key, creator.key()]).collect();
    let definition = definition(creator.key(), keys);
    let nonce = creator.nonce(&definition, 1);
    let announce = Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] };
    let bytes = creator.say(definition.id(), 1, announce);
    node.hear(&creator, bytes);
    assert!(node.events.iter().any(|event| matches!(event, Event::SessionAnnounced { .. })));
    node.wait(60_000);
    assert_eq!(sought(&mut node), (Vec::new(), Vec::new()));
    node.command(approve(definition.id())).expect("it is sound");
    node.wait(200);
    let (dialled, _) = sought(&mut node);
    assert_eq!(dialled.len(), strangers.len(), "approved, its signers are dialled");
}

/// D6: however many sessions wait for a signer, it is sought once, after pauses that double to the longest.
#[test]
fn a_signer_is_sought_once_for_all_sessions() {
    let away = ScriptedPeer::new(1).key();
    let count = |sessions: u8| {
        let mut node = TestNode::new();
        (0..sessions).for_each(|message| create(&mut node, [away], message));
        lookups_in(&mut node, 600_000)
    };
    let one = count(1);
    // At once, after 2, 4, 8 and 16 seconds more, and then every 30.
    assert_eq!(one, 1 + 4 + (600 - 30) / 30);
    assert_eq!(count(200), one);
}

/// D6: a peer that says nothing may have missed this node's presence, or its own was lost: it is shown again, after
/// pauses that double, until the longest. A peer whose key is known is not asked.
#[test]
fn a_peer_that_shows_no_key_is_shown_the_presence_a_few_times_more() {
    let (mut node, silent, mut known) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    let shown = |node: &mut TestNode| std::mem::take(&mut node.sent).into_iter().map(|(to, _)| to).collect::<Vec<_>>();
    node.meet(&mut known);
    node.input(Input::Connected(silent.peer));
    node.wait(100);
    shown(&mut node);
    for pause in [2_000, 4_000, 8_000, 16_000] {
        node.wait(pause - 1);
        assert_eq!(shown(&mut node), []);
        node.wait(101);
        assert_eq!(shown(&mut node), [silent.peer]);
    }
    node.wait(600_000);
    assert_eq!(shown(&mut node), []);
    node.input(Input::Disconnected(silent.peer));
    node.input(Input::Connected(silent.peer));
    assert_eq!(shown(&mut node), [silent.peer]);
    node.wait(2_100);
    assert_eq!(shown(&mut node), [silent.peer], "and whoever comes back is asked anew");
}

/// Waiting for as many signers as there can be costs the network a bounded number of lookups.
#[test]
fn waiting_for_everybody_costs_lookups_at_a_bounded_rate() {
    let mut node = TestNode::new();
    let absent = |session: u8, number: u8| ScriptedPeer::numbered(u16::from(session) << 8 | u16::from(number)).key();
    (1..=32).for_each(|session| create(&mut node, (1..=127).map(|number| absent(session, number)), session));
    let quota = Config::new(Network::Regtest).limits.lookup_rate;
    let most = quota.burst + 600_000 / u64::try_from(quota.every.as_millis()).expect("small");
    let count = lookups_in(&mut node, 600_000) as u64;
    assert!(count <= most, "{count} lookups in ten minutes, of at most {most}");
    assert!(count > most / 2, "and what is allowed is used: {count} of {most}");
}

/// D1, D2, D5: a wanted signer is connected, is sought again when it leaves, and is released when nobody wants it.
#[test]
fn a_wanted_signer_that_leaves_is_sought_until_it_is_released() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let definition = definition(alice.key(), vec![node.key, alice.key()]);
    let nonce = alice.nonce(&definition, 1);
    let announce = Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] };
    let bytes = alice.say(definition.id(), 1, announce);
    node.hear(&alice, bytes);
    sought(&mut node);
    node.input(Input::Disconnected(alice.peer));
    assert!(node.events.iter().any(|event| matches!(event, Event::SignerDisconnected { .. })));
    node.command(approve(definition.id())).expect("it is sound");
    assert_eq!(sought(&mut node).0, [alice.peer], "dialled at once");
    node.input(Input::Connected(alice.peer));
    node.input(Input::Disconnected(alice.peer));
    node.wait(2_000);
    assert_eq!(sought(&mut node).0, [alice.peer], "and again");
    node.command(Command::Abort(definition.id(), AbortReason::Left)).expect("it has not ended");
    assert!(node.others.contains(&Output::Release(alice.peer)));
    node.others.clear();
    node.wait(120_000);
    assert_eq!(sought(&mut node), (Vec::new(), Vec::new()));
}

fn address(number: u8) -> Input {
    Input::Addresses(vec![Address::from_bytes(vec![number]).expect("an address")])
}

/// D7, D9: what a node says of itself keeps to what its peers accept, and the last address gets through.
#[test]
fn addresses_that_change_all_the_time_stay_within_the_quota_of_others() {
    // The witness hears the node by gossip.
    let (mut node, neighbour) = (TestNode::new(), ScriptedPeer::new(9));
    let mut witness = TestNode::of(0x55, Config::new(Network::Regtest), Vec::new(), 2);
    node.input(Input::RoutingTable(1));
    for number in 1..=12 {
        node.input(address(number));
        node.wait(240);
    }
    let hear = |node: &mut TestNode, witness: &mut TestNode| {
        let mut heard = 0;
        for output in std::mem::take(&mut node.others) {
            if let Output::Publish { bytes, .. } = output {
                witness.time = witness.time.max(node.time);
                let id = GossipId(heard);
                witness.input(Input::Gossip { from: neighbour.peer, id, bytes });
                heard += 1;
            }
        }
        heard
    };
    let mut heard = hear(&mut node, &mut witness);
    for _ in 0..180 {
        node.wait(1_000);
        heard += hear(&mut node, &mut witness);
    }
    assert!(heard >= 5, "{heard}");
    assert_eq!(witness.node.view().refusals().total(), 0, "{:?}", witness.node.view().refusals());
    let dialled = {
        create(&mut witness, [node.key], 1);
        witness.others.iter().find_map(|output| match output {
            Output::Dial { addresses, .. } => Some(addresses.clone()),
            _ => None,
        })
    };
    assert_eq!(dialled, Some(vec![Address::from_bytes(vec![12]).expect("an address")]), "the last one is known");
}
