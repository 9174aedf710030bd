//! Direct messages that share a stream, against peers that behave in every way that one can.

mod nodes;
mod support;

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder,
    multiaddr::Protocol,
    noise,
    request_response::{self, ProtocolSupport},
    swarm::SwarmEvent,
    tcp, yamux,
};
use nelumbo_tokio::{
    NodeEvent,
    core::{
        api::{Event, Refusal},
        wire,
    },
    network::{
        CHANNEL_PROTOCOL, DirectFailure, MAX_DIRECT_MESSAGE, NetworkConfig, NetworkEvent, OperationId, SESSION_PROTOCOL,
    },
};
use nodes::{Signer, find, within};
use support::{Group, LOOPBACK, PATIENCE};

/// A peer on bare libp2p. What it sends are the bytes of a stream as they are, after which it closes its half, or, when
/// told to, does not; it reads everything, or so many bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Raw {
    stays_open: bool,
    /// Acknowledges as many messages and leaves the stream open.
    acknowledges: u32,
    /// Reads nothing and answers nothing.
    is_deaf: bool,
}

impl request_response::Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, protocol: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        if self.is_deaf {
            return std::future::pending().await;
        }
        let mut bytes = Vec::new();
        if *protocol == SESSION_PROTOCOL {
            stream.read_to_end(&mut bytes).await?;
        } else {
            bytes.resize(1 << 20, 0);
            let read = stream.read(&mut bytes).await?;
            bytes.truncate(read);
        }
        Ok(bytes)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, stream: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        if self.stays_open {
            return std::future::pending().await;
        }
        Ok(())
    }

    async fn write_response<T>(&mut self, protocol: &StreamProtocol, stream: &mut T, _: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        if *protocol == CHANNEL_PROTOCOL && self.acknowledges > 0 {
            stream.write_all(&self.acknowledges.to_be_bytes()).await?;
            stream.flush().await?;
            return std::future::pending().await;
        }
        Ok(())
    }
}

type RawSwarm = Swarm<request_response::Behaviour<Raw>>;

fn raw(codec: Raw, protocols: &[StreamProtocol]) -> RawSwarm {
    let settings = request_response::Config::default().with_request_timeout(PATIENCE);
    let protocols = protocols.iter().map(|protocol| (protocol.clone(), ProtocolSupport::Full));
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .expect("a transport")
        .with_behaviour(|_| request_response::Behaviour::with_codec(codec, protocols, settings))
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build()
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).expect("short").to_be_bytes(), message].concat()
}

/// A node of ours, and a bare peer that is connected to it.
async fn pair(config: NetworkConfig, codec: Raw, protocols: &[StreamProtocol]) -> (Group, RawSwarm, PeerId) {
    let mut group = Group::default();
    let (_, address) = group.listen(config, LOOPBACK).await;
    let mut peer = raw(codec, protocols);
    peer.dial(address).expect("an address");
    let id = *peer.local_peer_id();
    while !group.networks[0].is_connected(&id) {
        step(&mut group, &mut peer).await;
    }
    (group, peer, id)
}

#[expect(clippy::large_enum_variant, reason = "there is one at a time, and tests match it")]
enum Step {
    Ours(NetworkEvent),
    Theirs(Box<request_response::Event<Vec<u8>, Vec<u8>>>),
    Other,
}

async fn step(group: &mut Group, peer: &mut RawSwarm) -> Step {
    let next = async {
        tokio::select! {
            (_, event) = group.next() => Step::Ours(event),
            event = peer.select_next_some() => match event {
                SwarmEvent::Behaviour(event) => Step::Theirs(Box::new(event)),
                _ => Step::Other,
            },
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("something happens in time")
}

/// What the node receives before the peer's request number `request` has failed or been answered.
async fn received_until_end(group: &mut Group, peer: &mut RawSwarm) -> (Vec<Vec<u8>>, Result<Vec<u8>, ()>) {
    let mut received = Vec::new();
    loop {
        match step(group, peer).await {
            Step::Ours(NetworkEvent::DirectReceived { bytes, .. }) => received.push(bytes),
            Step::Ours(NetworkEvent::PeerDisconnected { .. }) => panic!("the connection was lost"),
            Step::Theirs(event) => match *event {
                request_response::Event::Message {
                    message: request_response::Message::Response { response, .. },
                    ..
                } => return (received, Ok(response)),
                request_response::Event::OutboundFailure { .. } => return (received, Err(())),
                _ => {}
            },
            _ => {}
        }
    }
}

#[tokio::test]
async fn frames_of_another_implementation_are_taken_and_acknowledged() {
    let (mut group, mut peer, _) = pair(NetworkConfig::wallet(), Raw::default(), &[CHANNEL_PROTOCOL]).await;
    let ours = group.peer(0);
    let largest = vec![7; MAX_DIRECT_MESSAGE];
    peer.behaviour_mut().send_request(&ours, [frame(b"one"), frame(&largest), frame(b"two")].concat());
    let (received, answer) = received_until_end(&mut group, &mut peer).await;
    assert_eq!(received, [b"one".to_vec(), largest, b"two".to_vec()]);
    let acknowledged = answer.expect("a clean end");
    let taken: u32 = acknowledged.chunks(4).map(|ack| u32::from_be_bytes(ack.try_into().expect("four bytes"))).sum();
    assert_eq!(taken, 3);
}

#[tokio::test]
async fn one_message_for_each_stream_is_taken_as_before() {
    let (mut group, mut peer, _) = pair(NetworkConfig::wallet(), Raw::default(), &[SESSION_PROTOCOL]).await;
    let ours = group.peer(0);
    peer.behaviour_mut().send_request(&ours, b"as before".to_vec());
    let (received, answer) = received_until_end(&mut group, &mut peer).await;
    assert_eq!((received, answer), (vec![b"as before".to_vec()], Ok(Vec::new())));
}

#[tokio::test]
async fn what_is_no_frame_ends_the_channel_and_not_the_connection() {
    let oversize = (MAX_DIRECT_MESSAGE as u32 + 1).to_be_bytes().to_vec();
    for garbage in [oversize, frame(b""), b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let codec = Raw { stays_open: false, ..Raw::default() };
        let (mut group, mut peer, _) = pair(NetworkConfig::wallet(), codec, &[CHANNEL_PROTOCOL]).await;
        let ours = group.peer(0);
        peer.behaviour_mut().send_request(&ours, [frame(b"good"), garbage].concat());
        let (_, answer) = received_until_end(&mut group, &mut peer).await;
        assert_ne!(answer, Ok(1_u32.to_be_bytes().repeat(2)), "what came with it is not acknowledged twice");
        // From who has sent garbage no other channel is taken.
        peer.behaviour_mut().send_request(&ours, frame(b"again"));
        let (received, answer) = received_until_end(&mut group, &mut peer).await;
        assert!(received.is_empty() && answer.unwrap_or_default().is_empty());
    }
}

/// A bare peer that is on its way to a node and sends it these, each on a stream of its own.
fn sender(node: &Signer, protocol: StreamProtocol, messages: Vec<Vec<u8>>) -> RawSwarm {
    let mut peer = raw(Raw::default(), &[protocol]);
    peer.dial(node.address.clone()).expect("an address");
    let Some(Protocol::P2p(ours)) = node.address.iter().last() else { panic!("{} has no peer id", node.address) };
    for message in messages {
        peer.behaviour_mut().send_request(&ours, message);
    }
    peer
}

#[tokio::test]
async fn what_is_over_the_limit_is_counted_and_held_against_its_sender() {
    let mut node = Signer::start(NetworkConfig::full()).await;
    // On streams of their own: more is sent than is read.
    let mut one = sender(&node, SESSION_PROTOCOL, vec![vec![7; MAX_DIRECT_MESSAGE + 500]; 10]);
    let id = wire::PeerId::from_bytes(&one.local_peer_id().to_bytes());
    let banned = find(&mut node.events, |event| match event {
        NodeEvent::Core(Event::PeerBlacklisted { peer, refusal, .. }) => Some((Some(*peer), *refusal)),
        _ => None,
    });
    let banned = tokio::select! {
        banned = banned => banned,
        () = async { loop { one.select_next_some().await; } } => unreachable!("a swarm has no end"),
    };
    assert_eq!(banned, (id, Some(Refusal::Oversized)));

    // In a frame, whose length alone is read.
    let header = (MAX_DIRECT_MESSAGE as u32 + 1).to_be_bytes().to_vec();
    let mut other = sender(&node, CHANNEL_PROTOCOL, vec![header]);
    let id = wire::PeerId::from_bytes(&other.local_peer_id().to_bytes()).expect("a peer id");
    within(async {
        while node.handle.with_view(move |view| view.standing(&id).1).await.expect("it runs") == 0 {
            let _nothing = tokio::time::timeout(Duration::from_millis(20), other.select_next_some()).await;
        }
    })
    .await;
    assert_eq!(node.handle.status().await.expect("it runs").refusals.get(Refusal::Oversized), 11);
    node.stop().await;
}

#[tokio::test]
async fn a_frame_that_is_cut_is_dropped_and_the_next_stream_is_read() {
    let (mut group, mut peer, _) = pair(NetworkConfig::wallet(), Raw::default(), &[CHANNEL_PROTOCOL]).await;
    let ours = group.peer(0);
    for cut in [2, 4, 6] {
        peer.behaviour_mut().send_request(&ours, frame(b"half")[..cut].to_vec());
        let (received, _) = received_until_end(&mut group, &mut peer).await;
        assert_eq!(received, Vec::<Vec<u8>>::new());
    }
    peer.behaviour_mut().send_request(&ours, frame(b"whole"));
    assert_eq!(received_until_end(&mut group, &mut peer).await.0, [b"whole"]);
}

#[tokio::test]
async fn a_half_open_frame_holds_up_nobody_else() {
    let codec = Raw { stays_open: true, ..Raw::default() };
    let (mut group, mut peer, _) = pair(NetworkConfig::wallet(), codec, &[CHANNEL_PROTOCOL]).await;
    let (ours, address) = (group.peer(0), group.networks[0].listeners().next().expect("an address").clone());
    peer.behaviour_mut().send_request(&ours, frame(&[7; 50_000])[..40_000].to_vec());
    let other = group.add(NetworkConfig::wallet());
    let address = address.with_p2p(ours).expect("no peer id yet");
    let connected = group.connect(other, 0, &address);
    tokio::select! {
        () = connected => {}
        _ = async { loop { peer.select_next_some().await; } } => {}
    }
    group.networks[other].send(ours, OperationId(1), b"through".to_vec());
    loop {
        if let Step::Ours(NetworkEvent::DirectReceived { bytes, .. }) = step(&mut group, &mut peer).await {
            assert_eq!(bytes, b"through");
            break;
        }
    }
}

#[tokio::test]
async fn a_peer_that_speaks_only_streams_of_one_message_gets_each_once() {
    let (mut group, mut peer, id) = pair(NetworkConfig::wallet(), Raw::default(), &[SESSION_PROTOCOL]).await;
    for operation in 0..100_u64 {
        group.networks[0].send(id, OperationId(operation), operation.to_be_bytes().to_vec());
    }
    let (mut sent, mut got) = (0, Vec::new());
    while sent < 100 {
        match step(&mut group, &mut peer).await {
            Step::Ours(NetworkEvent::DirectSent { .. }) => sent += 1,
            Step::Ours(NetworkEvent::DirectFailed { failure, .. }) => panic!("{failure}"),
            Step::Theirs(event) => {
                if let request_response::Event::Message {
                    message: request_response::Message::Request { request, channel, .. },
                    ..
                } = *event
                {
                    got.push(u64::from_be_bytes(request.try_into().expect("eight bytes")));
                    let _ = peer.behaviour_mut().send_response(channel, Vec::new());
                }
            }
            _ => {}
        }
    }
    got.sort_unstable();
    assert_eq!(got, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_reads_nothing_gets_a_bounded_backlog_and_the_rest_goes_on() {
    let config = NetworkConfig::wallet().direct_timeout(Duration::from_secs(2));
    let codec = Raw { is_deaf: true, ..Raw::default() };
    let (mut group, mut peer, id) = pair(config, codec, &[CHANNEL_PROTOCOL]).await;
    let mut refused = 0;
    for operation in 0..2_000 {
        group.networks[0].send(id, OperationId(operation), vec![7; 1_000]);
    }
    let mut timed_out = 0;
    while timed_out == 0 {
        match step(&mut group, &mut peer).await {
            Step::Ours(NetworkEvent::DirectFailed { failure: DirectFailure::Backlog, .. }) => refused += 1,
            Step::Ours(NetworkEvent::DirectFailed { failure: DirectFailure::TimedOut, .. }) => timed_out += 1,
            Step::Ours(NetworkEvent::DirectFailed { failure, .. }) => panic!("{failure}"),
            _ => {}
        }
    }
    assert_eq!(refused, 2_000 - 1_024);
    // Others get theirs meanwhile.
    let other = group.add(NetworkConfig::wallet());
    let (ours, address) = (group.peer(0), group.networks[0].listeners().next().expect("an address").clone());
    let address: Multiaddr = address.with_p2p(ours).expect("no peer id yet");
    group.connect(other, 0, &address).await;
    let to = group.peer(other);
    group.networks[0].send(to, OperationId(9_999), b"through".to_vec());
    group.find(|at, event| (at == other && matches!(event, NetworkEvent::DirectReceived { .. })).then_some(())).await;
}

#[tokio::test]
async fn an_acknowledgement_of_nothing_is_not_believed() {
    let codec = Raw { acknowledges: 9, ..Raw::default() };
    let (mut group, mut peer, id) = pair(NetworkConfig::wallet(), codec, &[CHANNEL_PROTOCOL]).await;
    group.networks[0].send(id, OperationId(1), b"one".to_vec());
    loop {
        match step(&mut group, &mut peer).await {
            Step::Ours(NetworkEvent::DirectSent { .. }) => panic!("nine of one were acknowledged"),
            Step::Ours(NetworkEvent::DirectFailed { .. }) => break,
            Step::Theirs(event) => {
                if let request_response::Event::Message {
                    message: request_response::Message::Request { channel, .. },
                    ..
                } = *event
                {
                    let _ = peer.behaviour_mut().send_response(channel, Vec::new());
                }
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_flood_is_read_as_fast_as_it_is_taken() {
    const MESSAGES: usize = 200_000;
    let (mut group, mut peer, _) = pair(NetworkConfig::wallet(), Raw::default(), &[CHANNEL_PROTOCOL]).await;
    let ours = group.peer(0);
    peer.behaviour_mut().send_request(&ours, frame(b"12345678").repeat(MESSAGES));
    // Whoever does not look takes nothing: the flood waits at its sender.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
        let _ = peer.select_next_some().now_or_never();
    }
    let (received, answer) = received_until_end(&mut group, &mut peer).await;
    assert_eq!(received.len(), MESSAGES);
    let acknowledged = answer.expect("a clean end");
    assert!(acknowledged.len() / 4 <= MESSAGES / 64 + 100, "acknowledgements are few: {}", acknowledged.len() / 4);
}

#[tokio::test]
async fn messages_survive_the_connection_that_carried_them() {
    let mut group = Group::default();
    let (one, at) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    let (other, _) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    let (to, from) = (group.peer(one), group.peer(other));
    assert!(group.networks[other].keep(to, vec![at]));
    group.until(|networks| networks[other].is_connected(&to) && networks[one].is_connected(&from)).await;
    // Handed over, and the other end closes the connection before it looks at any of it.
    for operation in 0..500_u64 {
        group.networks[other].send(to, OperationId(operation), operation.to_be_bytes().to_vec());
    }
    group.networks[one].disconnect(&from);
    let (mut received, mut sent) = (std::collections::BTreeSet::new(), 0);
    group
        .find(|_, event| {
            match event {
                NetworkEvent::DirectReceived { bytes, .. } => drop(received.insert(bytes.clone())),
                NetworkEvent::DirectSent { .. } => sent += 1,
                NetworkEvent::DirectFailed { failure, .. } => panic!("{failure}"),
                _ => {}
            }
            (received.len() == 500 && sent == 500).then_some(())
        })
        .await;
}
