//! What an embedder hears of its node.
//!
//! Owns [`NodeEvent`] and the stream of them. Invariant: the node never waits for a slow listener; one that falls
//! behind is told how much it missed, and can look at the state instead. As JSON each event is one object with a field
//! `event`. Driven by the runtime.

use libp2p::{Multiaddr, PeerId};
use nelumbo_core::{
    api,
    base::Wall,
    crypto::PublicKey,
    wire::{self, Harmless, Offer},
};
use serde::{Serialize, Serializer};
use tokio::sync::broadcast;

use crate::{names::addresses_from_core, network::DhtState, reachability::Reachability};

/// Something that happened to a node.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NodeEvent {
    /// The node listens on this address.
    Listening {
        /// The address, with the node's peer id.
        #[serde(serialize_with = "text")]
        address: Multiaddr,
    },
    /// The node can no longer listen on some addresses.
    ListenerClosed {
        /// The addresses.
        #[serde(serialize_with = "texts")]
        addresses: Vec<Multiaddr>,
        /// What went wrong, if something did.
        error: Option<String>,
    },
    /// The addresses at which others can reach the node, all of them.
    AddressesChanged {
        /// The addresses.
        #[serde(serialize_with = "texts")]
        addresses: Vec<Multiaddr>,
    },
    /// Whether others can reach the node, or through which relays, is another than before.
    ReachabilityChanged {
        /// What it is now: `public`, `mapped` (the gateway forwards a port), `private` (in the private network that
        /// all its peers are in too), `behind-nat` (through relays, until a direct connection has been made together),
        /// `no-route`, or `unknown` again.
        #[serde(serialize_with = "reachability")]
        state: Reachability,
        /// Why, for people.
        reason: String,
        /// The relays with a reservation, through which others can reach the node.
        #[serde(serialize_with = "texts")]
        relays: Vec<PeerId>,
    },
    /// The best connection to a peer that stays connected is another than before.
    PeerPathChanged {
        /// The peer.
        #[serde(serialize_with = "text")]
        peer: PeerId,
        /// The other end of the connection, or the relay's.
        #[serde(serialize_with = "text")]
        address: Multiaddr,
        /// Whether it is a circuit through a relay.
        relayed: bool,
    },
    /// A circuit could not be made a direct connection. It stays in use.
    HolePunchFailed {
        /// The peer at its other end.
        #[serde(serialize_with = "text")]
        peer: PeerId,
        /// Why, for people.
        reason: String,
    },
    /// The first connection to a peer was made.
    PeerConnected {
        /// The peer.
        #[serde(serialize_with = "text")]
        peer: PeerId,
        /// The other end of the connection.
        #[serde(serialize_with = "text")]
        address: Multiaddr,
    },
    /// The last connection to a peer ended.
    PeerDisconnected {
        /// The peer.
        #[serde(serialize_with = "text")]
        peer: PeerId,
        /// Why, for people.
        reason: String,
    },
    /// A peer said what it is. Its texts are harmless to show.
    PeerUpdated {
        /// The peer.
        #[serde(serialize_with = "text")]
        peer: PeerId,
        /// Where it listens.
        #[serde(serialize_with = "texts")]
        addresses: Vec<Multiaddr>,
        /// The protocols that it speaks.
        protocols: Vec<String>,
        /// Its name and version.
        agent: String,
    },
    /// A peer could not be reached.
    DialFailed {
        /// The peer.
        #[serde(serialize_with = "text")]
        peer: PeerId,
        /// Why, for people.
        reason: String,
    },
    /// The node has come further into the DHT, or fallen out of it.
    DhtChanged {
        /// Where it stands.
        #[serde(serialize_with = "dht_state")]
        state: DhtState,
        /// How many peers its routing table holds.
        peers: usize,
    },
    /// The recording of the node has ended. The node goes on.
    RecordingEnded {
        /// Why, for people.
        reason: String,
    },
    /// The node has stopped. Nothing follows.
    Stopped {
        /// What went wrong, if it did not stop because it was asked to.
        error: Option<String>,
    },
    /// A fact about sessions and signers.
    #[serde(untagged)]
    Core(#[serde(serialize_with = "core")] api::Event),
}

/// Why there is no next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// The listener was too slow for its buffer. What follows is in order again.
    #[error("{0} events were missed; look at the node's state")]
    Missed(u64),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// The events of a node from the moment of subscription on.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<NodeEvent>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<NodeEvent>) -> Self {
        Self { receiver }
    }

    /// The next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<NodeEvent, EventsError> {
        self.receiver.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(missed) => EventsError::Missed(missed),
            broadcast::error::RecvError::Closed => EventsError::Stopped,
        })
    }
}

/// Addresses are texts of others: names in them can be anything.
fn text<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Harmless(&value.to_string()))
}

fn texts<T: ToString, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|value| Harmless(&value.to_string()).to_string()))
}

/// The only event of the core that has addresses, which are bytes there.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum WithAddresses<'a> {
    SignerDiscovered { key: &'a PublicKey, advertisement: Advertisement<'a> },
}

#[derive(Serialize)]
struct Advertisement<'a> {
    peer: &'a wire::PeerId,
    #[serde(serialize_with = "texts")]
    addresses: Vec<Multiaddr>,
    offer: &'a Option<Offer>,
    issued_at: &'a Wall,
    expires_at: &'a Wall,
}

fn core<S: Serializer>(event: &api::Event, serializer: S) -> Result<S::Ok, S::Error> {
    let api::Event::SignerDiscovered { key, advertisement } = event else { return event.serialize(serializer) };
    let wire::Advertisement { peer, addresses, offer, issued_at, expires_at } = &**advertisement;
    let advertisement = Advertisement { peer, addresses: addresses_from_core(addresses), offer, issued_at, expires_at };
    WithAddresses::SignerDiscovered { key, advertisement }.serialize(serializer)
}

fn reachability<S: Serializer>(state: &Reachability, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}

fn dht_state<S: Serializer>(state: &DhtState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_one_object_that_names_itself() {
        let peer = PeerId::random();
        let json = |event: NodeEvent| serde_json::to_value(event).expect("an object");
        assert_eq!(
            json(NodeEvent::PeerDisconnected { peer, reason: "it was idle".to_owned() }),
            serde_json::json!({"event": "peer-disconnected", "peer": peer.to_string(), "reason": "it was idle"})
        );
        assert_eq!(
            json(NodeEvent::DhtChanged { state: DhtState::Ready, peers: 3 }),
            serde_json::json!({"event": "dht-changed", "state": "ready", "peers": 3})
        );
        let session = nelumbo_core::wire::SessionId::from_bytes([7; 32]);
        let core = json(NodeEvent::Core(api::Event::SessionClosed { session }));
        assert_eq!(core["event"], "session-closed");
        assert_eq!(core["session"], session.to_string());
    }

    #[test]
    fn names_in_addresses_are_harmless() {
        let address: Multiaddr = "/dns4/a\u{202e}b.example/tcp/1".parse().expect("an address");
        let event = NodeEvent::AddressesChanged { addresses: vec![address] };
        let json = serde_json::to_value(event).expect("an object");
        assert_eq!(json["addresses"][0], r"/dns4/a\u{202e}b.example/tcp/1");
    }

    #[tokio::test]
    async fn a_slow_listener_is_told_how_much_it_missed() {
        let (sender, receiver) = broadcast::channel(2);
        let mut events = Events::new(receiver);
        for _ in 0..5 {
            sender.send(NodeEvent::Stopped { error: None }).expect("a listener");
        }
        drop(sender);
        assert_eq!(events.next().await.expect_err("too slow"), EventsError::Missed(3));
        assert!(events.next().await.is_ok() && events.next().await.is_ok());
        assert_eq!(events.next().await.expect_err("the end"), EventsError::Stopped);
    }
}
