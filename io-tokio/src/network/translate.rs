//! From libp2p's events to facts.
//!
//! Owns the only match on libp2p's events. Invariant: what a peer says here changes bounded state only, and every
//! operation that ends is reported exactly once. Driven by [`Network::next`].

use std::time::Duration;

use libp2p::{
    Multiaddr, PeerId, gossipsub, identify, kad,
    metrics::Recorder,
    ping,
    request_response::{self, OutboundFailure},
    swarm::{ConnectionError, ConnectionId, DialError, SwarmEvent},
};
use nelumbo_core::api::{PutId, Refusal, Verdict};
use tokio::time::Instant;

use super::{
    DHT_PROTOCOL, MAX_ADDRESSES, MAX_INBOUND_RECORDS, Network, Query,
    behaviour::BehaviourEvent,
    channel,
    codec::SESSION_PROTOCOL,
    config::DhtMode,
    event::{DhtOutcome, DirectFailure, NetworkEvent},
    gossip::{self, Received},
    peers::Connection,
    reach::without_peer,
};
use crate::metrics::DhtRequest;

/// More connections to one peer than this are of no use.
const MAX_CONNECTIONS: usize = 4;
/// After two unanswered pings one after the other a connection is dead. libp2p does not tell the first of them.
const MAX_MISSED_PINGS: u8 = 1;
/// A peer that says more protocols than this of itself is not believed the rest.
const MAX_PROTOCOLS: usize = 64;

impl Network {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.metrics.swarm().record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connection_made(peer_id, Connection::new(connection_id, &endpoint));
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                let reason = match (self.closing.remove(&connection_id), &cause) {
                    (Some(reason), _) => reason.to_owned(),
                    (None, Some(ConnectionError::IO(error))) => causes(error),
                    (None, _) => "it was of no use any more".to_owned(),
                };
                tracing::debug!(peer = %peer_id, %reason, "a connection has ended");
                self.on_connection_closed(peer_id, connection_id, reason);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.on_dial_failed(peer, &error);
            }
            SwarmEvent::NewListenAddr { address, listener_id } => {
                self.listeners.on_bound(&listener_id);
                // What is reserved is announced by the relay's client.
                if !self.is_reservation(&listener_id) {
                    if self.filter.is_for_all(&address) {
                        self.on_own_address(&address, false);
                        self.announce(address.clone());
                    }
                    self.follow_reachability();
                }
                self.events.push_back(NetworkEvent::Listening { address });
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_listener_gone(vec![address], None),
            SwarmEvent::ListenerClosed { addresses, reason, listener_id } => {
                self.listeners.on_closed(&listener_id, Instant::now());
                self.on_reservation_closed(listener_id);
                self.on_listener_gone(addresses, reason.err().map(|error| error.to_string()));
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener had an error"),
            SwarmEvent::ExternalAddrConfirmed { address } => self.on_external_address(address),
            SwarmEvent::ExternalAddrExpired { address } => {
                self.on_address_gone(&address);
                self.follow_relaying();
                self.events.push_back(NetworkEvent::ExternalAddressExpired { address });
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Channel(event) => self.on_channel(event),
            BehaviourEvent::OneShot(event) => self.on_one_shot(event),
            BehaviourEvent::Identify(event) => {
                self.metrics.swarm().record(&event);
                if let identify::Event::Received { peer_id, info, .. } = event {
                    self.on_identified(peer_id, info);
                }
            }
            BehaviourEvent::Gossipsub(event) => {
                self.metrics.swarm().record(&event);
                self.on_gossip(event);
            }
            BehaviourEvent::Kad(event) => {
                self.metrics.swarm().record(&event);
                self.on_kad(event);
            }
            BehaviourEvent::Ping(event) => {
                self.metrics.swarm().record(&event);
                self.on_ping(&event);
            }
            BehaviourEvent::Punching(event) => {
                self.metrics.swarm().record(&event);
                self.on_punched(&event);
            }
            BehaviourEvent::RelayServer(event) => {
                self.metrics.swarm().record(&event);
                self.on_relay_server(&event);
            }
            BehaviourEvent::RelayClient(event) => self.on_relay_client(&event),
            BehaviourEvent::Upnp(event) => self.on_upnp(event),
            BehaviourEvent::Autonat(event) => self.on_autonat(&event),
            BehaviourEvent::AutonatServer(_) => {}
            BehaviourEvent::Mdns(event) => self.on_mdns(event),
        }
    }

    fn on_connection_made(&mut self, peer: PeerId, connection: Connection) {
        let (now, address) = (Instant::now(), connection.address.clone());
        let path = self.peers.best(&peer).cloned();
        let is_first = self.peers.connected(peer, connection.clone(), now);
        if is_first {
            self.kept.on_connected(&peer, now);
            self.metrics.network.connected_peers.set(self.peers.len() as i64);
            self.events.push_back(NetworkEvent::PeerConnected { peer, address });
        } else {
            self.on_path(peer, path.as_ref());
            // The oldest may be dead, and a peer that comes back again and again is to get in.
            let connections = self.peers.connections(&peer);
            if connections.len() > MAX_CONNECTIONS {
                // Where it has not died, a reservation is over the first.
                self.swarm.close_connection(connections[usize::from(self.carries(&peer))].id);
            }
        }
        self.on_connection(peer, &connection, is_first, now);
        self.make_room(peer, now);
    }

    fn on_connection_closed(&mut self, peer: PeerId, connection: ConnectionId, reason: String) {
        let now = Instant::now();
        let path = self.peers.best(&peer).cloned();
        let was_last = self.peers.disconnected(&peer, connection);
        if was_last {
            self.kept.on_disconnected(&peer, now);
            self.discovery.fill_soon(now);
            self.metrics.network.connected_peers.set(self.peers.len() as i64);
            self.events.push_back(NetworkEvent::PeerDisconnected { peer, reason });
            if self.swarm.behaviour().channel.has_waiting(&peer) {
                // What was on its way is not lost with the connection, if there is another way.
                let addresses = self.kept.addresses(&peer).to_vec();
                self.dial(peer, addresses);
            }
        } else {
            self.on_path(peer, path.as_ref());
        }
        self.on_connection_ended(&peer, was_last, now);
    }

    /// Tells where the best connection to a peer leads, if it is another than before.
    fn on_path(&mut self, peer: PeerId, before: Option<&Connection>) {
        if let Some(Connection { address, is_relayed, .. }) = self.peers.best(&peer).cloned()
            && before.is_some_and(|before| (&before.address, before.is_relayed) != (&address, is_relayed))
        {
            self.events.push_back(NetworkEvent::PathChanged { peer, address, is_relayed });
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        match &event.result {
            Ok(round_trip) => self.peers.on_round_trip(&event.peer, event.connection, *round_trip),
            // One that does not speak it may live for all that.
            Err(ping::Failure::Unsupported) => {}
            Err(failure) => {
                if self.peers.on_missed(&event.peer, event.connection) >= MAX_MISSED_PINGS {
                    tracing::debug!(peer = %event.peer, %failure, "a connection is dead");
                    self.closing.insert(event.connection, "it does not answer");
                    self.swarm.close_connection(event.connection);
                }
            }
        }
    }

    pub(super) fn on_dial_failed(&mut self, peer: PeerId, error: &DialError) {
        // An extra dial to a connected peer, or one that another dial overtook, says nothing about the peer.
        if let DialError::Transport(tried) = error {
            tried.iter().for_each(|(address, _)| self.on_called(address));
        }
        if self.peers.contains(&peer) || matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        self.kept.on_dial_failed(&peer, Instant::now());
        if self.peers.len() > 0 {
            self.known.on_failed(&peer, Instant::now());
        }
        if matches!(error, DialError::Transport(_) | DialError::WrongPeerId { .. }) {
            // Left in the routing table it would be dialled by every query, and told to those who ask; it is back as
            // soon as it is met again.
            self.swarm.behaviour_mut().kad.remove_peer(&peer);
            self.update_routing_peers();
        }
        self.give_up_direct(&peer, DirectFailure::Unreachable);
        self.events.push_back(NetworkEvent::DialFailed { peer, reason: dial_reason(error) });
    }

    fn on_listener_gone(&mut self, addresses: Vec<Multiaddr>, error: Option<String>) {
        for address in &addresses {
            self.swarm.remove_external_address(address);
            self.on_address_gone(address);
        }
        self.follow_relaying();
        self.events.push_back(NetworkEvent::ListenerClosed { addresses, error });
    }

    fn on_channel(&mut self, event: channel::Event) {
        match event {
            channel::Event::Moved { peer, received, sent } => {
                for message in received {
                    self.on_direct_received(peer, message);
                }
                for operation in sent {
                    self.on_direct_sent(peer, operation);
                }
            }
            channel::Event::Failed { peer, operation, failure } => {
                if failure == DirectFailure::TimedOut {
                    self.dial_besides(peer);
                }
                self.fail_direct(operation, peer, failure);
            }
            channel::Event::OneShot { peer, operation, message } => {
                let request = self.swarm.behaviour_mut().one_shot.send_request(&peer, message.to_vec());
                self.one_shots.insert(request, (operation, peer));
            }
        }
    }

    fn on_one_shot(&mut self, event: request_response::Event<Vec<u8>, ()>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    // Says only that the bytes are here; the application's answer is a message of its own. An error
                    // says that the peer is gone already.
                    let _ = self.swarm.behaviour_mut().one_shot.send_response(channel, ());
                    self.on_direct_received(peer, request);
                }
                request_response::Message::Response { request_id, .. } => {
                    if let Some((operation, peer)) = self.one_shots.remove(&request_id) {
                        self.swarm.behaviour_mut().channel.one_shot_ended(&peer);
                        self.on_direct_sent(peer, operation);
                    }
                }
            },
            request_response::Event::OutboundFailure { request_id, error, .. } => {
                if let Some((operation, peer)) = self.one_shots.remove(&request_id) {
                    self.swarm.behaviour_mut().channel.one_shot_ended(&peer);
                    self.fail_direct(operation, peer, direct_failure(&error));
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a direct message did not come through");
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        let addresses = self.filter.select(info.listen_addrs.iter().cloned(), MAX_ADDRESSES);
        self.on_reach_identified(peer, &info, &addresses);
        let serves_dht = info.protocols.contains(&DHT_PROTOCOL) && self.dht_mode != DhtMode::Off;
        self.swarm.behaviour_mut().channel.on_identified(&peer, &info.protocols);
        if let Some(best) = self.peers.best(&peer).filter(|best| best.is_outbound && !best.is_relayed)
            && info.protocols.contains(&SESSION_PROTOCOL)
        {
            self.known.on_reached(peer, without_peer(best.address.clone()), Instant::now());
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        // What the peer said before is replaced, so that it cannot pile up addresses by saying new ones.
        let known = kad.kbucket(peer).and_then(|bucket| {
            let known = bucket.iter().find(|entry| *entry.node.key.preimage() == peer)?;
            Some(known.node.value.len())
        });
        if !serves_dht || known.is_some_and(|known| known > MAX_ADDRESSES) {
            kad.remove_peer(&peer);
        }
        if serves_dht {
            for address in &addresses {
                kad.add_address(&peer, address.clone());
            }
        }
        self.update_routing_peers();
        let protocols = info.protocols.iter().take(MAX_PROTOCOLS).map(ToString::to_string).collect();
        self.events.push_back(NetworkEvent::Identified { peer, addresses, protocols, agent: info.agent_version });
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let kind = gossip::kind(message.topic.as_str());
                self.metrics.network.count_gossip_received(kind);
                let received = Received { message: message_id, propagation_source, kind };
                let Some(author) = message.source else {
                    // Strict validation lets nothing unsigned through.
                    self.validated(&received, Verdict::Reject);
                    return;
                };
                let (id, forgotten) = self.unvalidated.insert(received);
                if let Some(forgotten) = forgotten {
                    self.validated(&forgotten, Verdict::Ignore);
                }
                self.events.push_back(NetworkEvent::Gossip {
                    topic: message.topic.into_string(),
                    author,
                    propagation_source,
                    id,
                    bytes: message.data,
                });
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                self.events.push_back(NetworkEvent::PeerSubscribed { peer: peer_id, topic: topic.into_string() });
            }
            gossipsub::Event::Unsubscribed { peer_id, topic } => {
                self.events.push_back(NetworkEvent::PeerUnsubscribed { peer: peer_id, topic: topic.into_string() });
            }
            gossipsub::Event::GossipsubNotSupported { .. } | gossipsub::Event::SlowPeer { .. } => {}
        }
    }

    fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, step, stats } => {
                self.on_query(id, result, step.last, stats.duration());
            }
            kad::Event::InboundRequest { request } => self.on_inbound_request(request),
            kad::Event::RoutingUpdated { is_new_peer, .. } => {
                self.update_routing_peers();
                if is_new_peer {
                    self.discovery.on_new_peer(self.routing_peers, Instant::now());
                }
            }
            _ => {}
        }
    }

    fn on_query(&mut self, id: kad::QueryId, result: kad::QueryResult, last: bool, took: Option<Duration>) {
        let is_late = took.is_some_and(|took| took >= self.query_timeout);
        if self.refresh == Some(id) && last {
            self.refresh = None;
            self.refreshed = true;
            let outcome = if is_late { DhtOutcome::TimedOut } else { DhtOutcome::Completed };
            self.metrics.network.count_query(DhtRequest::FindNode, outcome, took);
            self.discovery.on_refresh_finished(Instant::now());
        }
        let Some(query) = self.queries.get(&id).copied() else {
            return;
        };
        match (query, result) {
            (Query::Get(operation), kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found)))) => {
                self.events.push_back(NetworkEvent::DhtRecord {
                    operation,
                    key: found.record.key.to_vec(),
                    value: found.record.value,
                    holder: found.peer,
                });
            }
            (Query::Get(operation), kad::QueryResult::GetRecord(result)) => {
                let outcome = match result {
                    _ if is_late => DhtOutcome::TimedOut,
                    Ok(_) => DhtOutcome::Completed,
                    Err(kad::GetRecordError::NotFound { .. }) => DhtOutcome::NotFound,
                    Err(kad::GetRecordError::Timeout { .. }) => DhtOutcome::TimedOut,
                };
                self.queries.remove(&id);
                return self.end_get(operation, outcome, took);
            }
            (Query::Put(operation), kad::QueryResult::PutRecord(result)) => {
                self.queries.remove(&id);
                let (key, outcome) = put_outcome(result);
                return self.end_put(operation, key, outcome, took);
            }
            _ => {}
        }
        if last {
            self.queries.remove(&id);
            if let Query::Get(operation) = query {
                self.end_get(operation, DhtOutcome::Completed, took);
            }
        }
    }

    pub(super) fn on_inbound_record(&mut self, source: PeerId, record: kad::Record) {
        if self.inbound.len() >= MAX_INBOUND_RECORDS {
            self.metrics.network.count_refused(Refusal::Full);
            return;
        }
        let id = PutId(self.next_inbound);
        self.next_inbound += 1;
        let (key, value) = (record.key.to_vec(), record.value.clone());
        self.inbound.insert(id, record);
        self.events.push_back(NetworkEvent::InboundRecord { id, source, key, value });
    }

    pub(super) fn update_routing_peers(&mut self) {
        let peers = self.swarm.behaviour_mut().kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
        if peers != self.routing_peers {
            self.routing_peers = peers;
            self.metrics.network.routing_peers.set(peers as i64);
            self.events.push_back(NetworkEvent::RoutingTable { peers });
        }
    }
}

/// One node that acknowledged is a success; the quorum of 20 that a put asked for only made it talk to all.
fn put_outcome(result: kad::PutRecordResult) -> (kad::RecordKey, DhtOutcome) {
    match result {
        Ok(kad::PutRecordOk { key }) => (key, DhtOutcome::Completed),
        Err(
            kad::PutRecordError::QuorumFailed { key, success, .. } | kad::PutRecordError::Timeout { key, success, .. },
        ) if !success.is_empty() => (key, DhtOutcome::Completed),
        Err(kad::PutRecordError::QuorumFailed { key, .. }) => (key, DhtOutcome::NotAcknowledged),
        Err(kad::PutRecordError::Timeout { key, .. }) => (key, DhtOutcome::TimedOut),
    }
}

fn direct_failure(error: &OutboundFailure) -> DirectFailure {
    match error {
        OutboundFailure::DialFailure => DirectFailure::Unreachable,
        OutboundFailure::Timeout => DirectFailure::TimedOut,
        OutboundFailure::ConnectionClosed => DirectFailure::ConnectionClosed,
        OutboundFailure::UnsupportedProtocols => DirectFailure::Unsupported,
        OutboundFailure::Io(_) => DirectFailure::StreamBroken,
    }
}

/// libp2p's own text names every address over several lines; one is enough for people.
fn dial_reason(error: &DialError) -> String {
    match error {
        DialError::Transport(failed) => match failed.last() {
            Some((address, error)) => format!("{address}: {}", causes(error)),
            None => "no address could be dialled".to_owned(),
        },
        DialError::NoAddresses => "no address is known".to_owned(),
        other => causes(other),
    }
}

/// What an error and those behind it say; some say nothing themselves, and some repeat the one behind them.
fn causes(error: &dyn std::error::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !text.is_empty() && texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    if texts.is_empty() { "no reason is given".to_owned() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use std::io;

    use libp2p::TransportError;

    use super::*;

    #[test]
    fn a_failed_dial_says_why() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let address = || "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        // This one's own text is empty.
        let failed = DialError::Transport(vec![(address(), TransportError::Other(refused()))]);
        assert_eq!(dial_reason(&failed), "/ip4/127.0.0.1/tcp/1: connection refused");
        // And this one repeats what is behind it.
        let wrapped = TransportError::Other(io::Error::other(refused()));
        assert_eq!(
            dial_reason(&DialError::Transport(vec![(address(), wrapped)])),
            "/ip4/127.0.0.1/tcp/1: connection refused"
        );
        let unsupported = TransportError::MultiaddrNotSupported(address());
        let reason = dial_reason(&DialError::Transport(vec![(address(), unsupported)]));
        assert!(reason.ends_with("not supported: /ip4/127.0.0.1/tcp/1"), "{reason}");
        assert!(!dial_reason(&DialError::Aborted).is_empty());
    }
}
