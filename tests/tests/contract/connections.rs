//! Promises about connections and direct messages.

use nelumbo_core::api::Input;
use nelumbo_core::wire::{MAX_DIRECT, PeerId};

use crate::nodes::{Nodes, Shape, Wire};

/// `dial` connects; both ends are told with the other's name. The addresses that a host tells its node lead others to
/// it.
pub(crate) fn who_is_dialled_is_connected_at_both_ends<W: Wire>() {
    let mut nodes = Nodes::<W>::strangers(Shape::Line, 2);
    nodes.dial(0, 1);
    nodes.until("both ends are connected", |nodes| nodes.are_connected(0, 1));
}

/// `Connected` is about the first connection to a peer: whoever dials what is connected, or both each other, changes
/// nothing.
pub(crate) fn a_connection_is_told_once<W: Wire>() {
    let mut nodes = Nodes::<W>::strangers(Shape::Line, 2);
    nodes.dial(0, 1);
    nodes.dial(1, 0);
    nodes.until("both ends are connected", |nodes| nodes.are_connected(0, 1));
    nodes.dial(0, 1);
    nodes.dial(1, 0);
    nodes.send(0, 1, b"there");
    nodes.send(1, 0, b"and back");
    nodes.until("messages arrive", |nodes| nodes.has_received(1, b"there") && nodes.has_received(0, b"and back"));
    for node in [0, 1] {
        let connections: Vec<_> = nodes.told[node]
            .iter()
            .filter(|told| matches!(told, Input::Connected(_) | Input::Disconnected(_)))
            .collect();
        assert_eq!(connections, [&Input::Connected(nodes.peer(1 - node))]);
    }
}

/// What arrives is what was sent, and `from` is who sent it.
pub(crate) fn a_message_arrives_whole_and_under_the_name_of_its_sender<W: Wire>() {
    let mut nodes = Nodes::<W>::line(3);
    let ways = [(0, 1), (2, 1), (1, 0), (1, 2)];
    let message = |(from, to): (u8, u8)| [from, to].repeat(1000);
    for (from, to) in ways {
        nodes.send(from.into(), to.into(), &message((from, to)));
    }
    nodes.until("all arrive", |nodes| ways.iter().all(|way| nodes.has_received(way.1.into(), &message(*way))));
    for node in 0..3 {
        for (from, bytes) in nodes.received(node.into()) {
            assert_eq!(from, nodes.peer(bytes[0].into()));
            assert_eq!(bytes[..], message((bytes[0], node)));
        }
    }
}

/// A direct message has up to [`MAX_DIRECT`] bytes.
pub(crate) fn the_largest_message_arrives<W: Wire>() {
    let mut nodes = Nodes::<W>::line(2);
    let bytes: Vec<u8> = (0..MAX_DIRECT).map(|at| (at % 251) as u8).collect();
    nodes.send(0, 1, &bytes);
    nodes.until("the largest message arrives", |nodes| nodes.has_received(1, &bytes));
}

/// A larger one need not arrive; it costs neither the connection nor other messages.
pub(crate) fn a_message_that_is_too_large_takes_nothing_with_it<W: Wire>() {
    let mut nodes = Nodes::<W>::line(2);
    nodes.send(0, 1, b"before");
    nodes.send(0, 1, &vec![1; MAX_DIRECT + 1]);
    nodes.send(0, 1, b"after");
    nodes.until("the others arrive", |nodes| nodes.has_received(1, b"before") && nodes.has_received(1, b"after"));
    assert!(nodes.are_connected(0, 1));
}

/// Nor does one to a peer that is not there, or to what is no peer.
pub(crate) fn a_message_to_nobody_harms_nobody<W: Wire>() {
    let mut nodes = Nodes::<W>::line(2);
    nodes.act(0, |host| host.send(PeerId::from_bytes(b"nobody").expect("a short name"), b"hello?"[..].into()));
    nodes.act(0, |host| host.dial(PeerId::from_bytes(b"nobody").expect("a short name"), Vec::new()));
    nodes.send(0, 1, b"somebody");
    nodes.until("a message to somebody arrives", |nodes| nodes.has_received(1, b"somebody"));
    assert!(nodes.are_connected(0, 1));
}

/// `dial` asks for a connection that stays: its loss is told, and it is made again when the peer is back.
pub(crate) fn a_lost_connection_is_told_and_comes_back_by_itself<W: Wire>() {
    let mut nodes = Nodes::<W>::line(2);
    nodes.wire.stop(1);
    nodes.until("the loss is told", |nodes| !nodes.is_connected(0, 1));
    nodes.told[1].clear();
    nodes.wire.restart(1);
    nodes.until("the connection is back", |nodes| nodes.are_connected(0, 1));
    nodes.send(0, 1, b"welcome back");
    nodes.until("it carries messages", |nodes| nodes.has_received(1, b"welcome back"));
}

/// `ban` closes the connection and keeps the peer out, `unban` lets it in again. A host need not: the node listens to
/// nobody whom it has banned.
pub(crate) fn a_banned_peer_is_out_until_it_is_unbanned<W: Wire>() {
    let mut nodes = Nodes::<W>::line(2);
    let peer = nodes.peer(0);
    nodes.act(1, |host| host.ban(peer));
    nodes.until("the connection ends", |nodes| !nodes.is_connected(0, 1) && !nodes.is_connected(1, 0));
    let told = nodes.told[1].len();
    nodes.dial(0, 1);
    nodes.pass(std::time::Duration::from_millis(1500));
    assert!(!nodes.told[1][told..].contains(&Input::Connected(peer)));
    nodes.act(1, |host| host.unban(peer));
    nodes.until("it is let in again", |nodes| nodes.are_connected(0, 1));
}
