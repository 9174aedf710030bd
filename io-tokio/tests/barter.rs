//! A protocol of an embedder's own, on real nodes: found by its resources, spoken by messages, and behind the same gate
//! as everything else. `barter/protocol.rs` is what the book shows.

mod nodes;
#[path = "barter/protocol.rs"]
#[allow(unreachable_pub, reason = "as in a library of its own")]
mod protocol;

use std::time::{Duration, SystemTime};

use nelumbo_core::{
    api::{CommandError, Event, Refusal},
    base::Wall,
    crypto::{MessageKey, Network as Chain, PublicKey, SecretKey},
    wire::{Body, Label, ProtocolMessage, Receiver, seal},
};
use nelumbo_tokio::{
    HandleError, NodeEvent, fresh_entropy,
    metrics::Metrics,
    network::{Network, NetworkConfig, NetworkEvent, OperationId},
};
use nodes::{Home, Signer, find, through, within};
use protocol::Barter;

fn barter() -> Label {
    "barter".parse().expect("a label")
}

async fn open(home: Home) -> Signer {
    let builder = home.builder().protocol(Box::new(Barter::default()), "/barter/1.0.0").expect("the first");
    home.start_with(builder).await
}

async fn tell(signer: &Signer, words: String) {
    signer.handle.protocol_command(barter(), words.into_bytes()).await.expect("it speaks barter");
}

/// Waits until the protocol says this.
async fn says(signer: &mut Signer, words: String) {
    find(&mut signer.events, |event| match event {
        NodeEvent::Core(Event::ProtocolEvent { protocol, payload }) if *protocol == barter() => {
            (*payload == words.as_bytes()).then_some(())
        }
        _ => None,
    })
    .await;
}

/// Looks until the node has found an offer, or its end; the protocol hears of it.
async fn sees(signer: &mut Signer, author: PublicKey, offers: bool) {
    within(async {
        loop {
            let found = signer.handle.find_resources(barter()).await.expect("a search");
            if found.iter().any(|(id, _)| id.author == author) == offers {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_offer_is_found_taken_once_and_gone_for_everyone_else() {
    let mut alice = open(Home::new(NetworkConfig::full())).await;
    let network = || through(NetworkConfig::full(), &[&alice.address]);
    let (mut bob, mut carol) = (open(Home::new(network())).await, open(Home::new(network())).await);
    let speaks = |event: &NodeEvent| match event {
        NodeEvent::PeerUpdated { protocols, .. } => protocols.iter().any(|id| id == "/barter/1.0.0").then_some(()),
        _ => None,
    };
    find(&mut bob.events, speaks).await;
    let (seller, buyer, late) = (alice.key(), bob.key(), carol.key());
    says(&mut carol, format!("here {seller}")).await;

    tell(&alice, "offer apples for pears".to_owned()).await;
    sees(&mut bob, seller, true).await;
    says(&mut bob, format!("offered {seller} apples pears")).await;
    tell(&bob, format!("take apples for pears from {seller}")).await;
    says(&mut alice, format!("sold apples {buyer}")).await;
    says(&mut bob, format!("yours apples {seller}")).await;
    tell(&carol, format!("take apples for pears from {seller}")).await;
    says(&mut carol, format!("gone apples {seller}")).await;
    sees(&mut bob, seller, false).await;
    says(&mut bob, format!("offered {seller} apples nothing any more")).await;

    // What is asked of somebody who is away is answered when it is back, by a node that remembers no offers.
    let home = alice.stop().await;
    says(&mut carol, format!("away {seller}")).await;
    tell(&carol, format!("take plums for pears from {seller}")).await;
    let home = Home { network: through(home.network, &[&carol.address]), ..home };
    let mut alice = open(home).await;
    says(&mut carol, format!("gone plums {seller}")).await;
    says(&mut alice, format!("here {late}")).await;
}

#[tokio::test]
async fn what_is_forged_repeated_or_stale_does_not_reach_the_protocol() {
    let mut alice = open(Home::new(NetworkConfig::full())).await;
    let key = alice.key();
    tell(&alice, "offer apples for pears".to_owned()).await;
    let mut buyer = MessageKey::new(SecretKey::from_bytes(&[5; 32]).expect("a key"), fresh_entropy().expect("some"));
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is past 1970").as_millis() as u64;
    let mut take = |number: u64, issued_at: u64, to: PublicKey, protocol: &str| {
        let message = ProtocolMessage {
            protocol: protocol.parse().expect("a label"),
            to: Receiver::Signer(to),
            number,
            issued_at: Wall::from_millis(issued_at),
            payload: b"take apples for pears".to_vec(),
        };
        seal(&mut buyer, Chain::Regtest, Body::Protocol(message)).expect("software signs").to_vec()
    };
    let other = SecretKey::from_bytes(&[6; 32]).expect("a key").public_key();
    let hour = 3_600_000;
    let mut forged = take(1, now, key, "barter");
    *forged.last_mut().expect("a signature") ^= 1;
    let good = take(5, now, key, "barter");
    let refused = [
        (forged, Refusal::Signature),
        (take(2, now - hour, key, "barter"), Refusal::NotFresh),
        (take(3, now, other, "barter"), Refusal::NotForMe),
        (take(4, now, key, "poker"), Refusal::Protocol),
    ];
    // What is refused comes first, so that whatever the protocol says next is about the good message.
    let mut messages: Vec<Vec<u8>> = refused.iter().map(|(bytes, _)| bytes.clone()).collect();
    messages.extend([good.clone(), good]);

    // A peer without a signer that says whatever it likes.
    let mut network =
        Network::new(through(NetworkConfig::wallet(), &[&alice.address]), Metrics::new()).expect("a network");
    let peer = alice.handle.peer();
    within(async {
        let mut sent = 0;
        loop {
            match network.next().await {
                NetworkEvent::PeerConnected { .. } | NetworkEvent::DirectSent { .. } => {
                    // One after the other, so that they arrive in order.
                    let Some(message) = messages.get(sent) else { return };
                    network.send(peer, OperationId(sent as u64), message.clone());
                    sent += 1;
                }
                _ => {}
            }
        }
    })
    .await;

    let first = find(&mut alice.events, |event| match event {
        NodeEvent::Core(Event::ProtocolEvent { payload, .. }) => Some(String::from_utf8_lossy(payload).into_owned()),
        _ => None,
    })
    .await;
    assert_eq!(first, format!("sold apples {}", SecretKey::from_bytes(&[5; 32]).expect("a key").public_key()));
    let reasons = refused.into_iter().map(|(_, reason)| reason).chain([Refusal::Duplicate]);
    let reasons: Vec<Refusal> = reasons.collect();
    within(async {
        loop {
            let counts = alice.handle.status().await.expect("it runs").refusals;
            if reasons.iter().all(|reason| counts.get(*reason) == 1) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn it_comes_to_a_running_node_goes_and_comes_back_with_its_records() {
    let mut alice = Home::new(NetworkConfig::full()).start().await;
    let (handle, key) = (alice.handle.clone(), alice.key());
    let mut bob = open(Home::new(through(NetworkConfig::full(), &[&alice.address]))).await;
    let buyer = bob.key();
    says(&mut bob, format!("here {key}")).await;
    let unknown = handle.protocol_command(barter(), Vec::new()).await;
    assert!(matches!(unknown, Err(HandleError::Refused(CommandError::UnknownProtocol(_)))), "{unknown:?}");
    handle.register(Box::new(Barter::default())).await.expect("the first");
    says(&mut alice, format!("here {buyer}")).await;
    let again = handle.register(Box::new(Barter::default())).await;
    assert_eq!(again, Err(HandleError::ProtocolTwice(barter())));
    tell(&alice, "offer apples for pears".to_owned()).await;
    tell(&bob, format!("take apples for pears from {key}")).await;
    says(&mut bob, format!("yours apples {key}")).await;
    assert!(handle.unregister(barter()).await.expect("it runs").is_some());
    assert!(handle.unregister(barter()).await.expect("it runs").is_none());
    handle.register(Box::new(Barter::default())).await.expect("none has its name");
    tell(&alice, "offer apples for pears".to_owned()).await;
    says(&mut alice, "sold already: apples".to_owned()).await;
}

#[test]
fn the_book_shows_this_protocol() {
    let (book, code) = (include_str!("../../docs/src/protocols.md"), include_str!("barter/protocol.rs"));
    assert!(book.contains(&format!("```rust\n{code}```")), "docs/src/protocols.md shows other code than runs");
}
