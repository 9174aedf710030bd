//! Strangers on real sockets: they find each other by what they offer, ask, approve and sign, and none of them knew
//! another's key before.

mod nodes;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::join_all;
use nelumbo_tokio::{
    HandleError, NewSession, NodeEvent, Unusual,
    core::{
        api::{CommandError, Event, SignerFilter},
        crypto::{PublicKey, Suite},
        wire::{AbortReason, Data, Details, Label, List, Offer, RecordKey, SessionId, TransactionType},
    },
    metrics::Metrics,
    network::{Network, NetworkConfig, NetworkEvent, OperationId},
};
use nodes::{Home, Signer, announced, find, through, verify, within};

/// A node to join through, and nodes that keep records and take part in nothing.
struct Town {
    bootstrap: Signer,
    onlookers: Vec<Signer>,
}

impl Town {
    async fn new(onlookers: usize) -> Self {
        let bootstrap = Signer::start(NetworkConfig::bootstrap()).await;
        let mut town = Self { bootstrap, onlookers: Vec::new() };
        for _ in 0..onlookers {
            let onlooker = Signer::start(town.join(NetworkConfig::full())).await;
            town.onlookers.push(onlooker);
        }
        for onlooker in &town.onlookers {
            ready(onlooker, onlookers).await;
        }
        town
    }

    fn join(&self, network: NetworkConfig) -> NetworkConfig {
        through(network, &[&self.bootstrap.address])
    }

    /// Waits until a stranger to everyone gets some value of a record that the test accepts.
    async fn has(&self, key: &RecordKey, mut accept: impl FnMut(&[u8]) -> bool) {
        let mut visitor = Network::new(self.join(NetworkConfig::wallet()), Metrics::new()).expect("a network");
        let name = key.to_string();
        let mut operation = 0;
        within(async {
            loop {
                match visitor.next().await {
                    NetworkEvent::DhtRecord { value, .. } if accept(&value) => return,
                    NetworkEvent::RoutingTable { .. } if operation == 0 => {
                        visitor.dht_get(OperationId(operation), name.as_bytes());
                    }
                    NetworkEvent::DhtFinished { .. } => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        operation += 1;
                        visitor.dht_get(OperationId(operation), name.as_bytes());
                    }
                    _ => {}
                }
            }
        })
        .await;
    }
}

/// Waits until a node has at least so many others in its routing table.
async fn ready(signer: &Signer, others: usize) {
    signer.until(async |handle| handle.status().await.is_ok_and(|status| status.routing_peers >= others)).await;
}

fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

fn offer(kind: TransactionType, min: u64, max: u64) -> Offer {
    Offer { types: vec![kind], min_amount: Some(min), max_amount: Some(max), ..Offer::default() }
}

fn filter(kind: TransactionType, amount: u64) -> SignerFilter {
    SignerFilter { kind: Some(kind), amount: Some(amount), ..SignerFilter::default() }
}

/// A session that is listed, for a message of this byte.
fn listed(keys: Vec<PublicKey>, byte: u8) -> NewSession {
    let details = Details { kind: Some(TransactionType::Spend), ..Details::default() };
    NewSession { is_listed: true, details, ..NewSession::new(Suite::Lotus, keys, vec![byte; 32]) }
}

/// Looks until exactly these have been found. A record that is on its way is found the next time.
async fn finds(signer: &Signer, filter: SignerFilter, expected: &BTreeSet<PublicKey>) {
    within(async {
        loop {
            let found = signer.handle.find_signers(filter.clone()).await.expect("a search");
            if found.iter().map(|(key, _)| *key).collect::<BTreeSet<_>>() == *expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn strangers_advertise_find_each_other_and_sign() {
    let town = Town::new(3).await;
    let mut strangers = Vec::new();
    // Some serve the DHT and some only ask it.
    for number in 0..5 {
        let network = if number % 2 == 0 { NetworkConfig::full() } else { NetworkConfig::wallet() };
        strangers.push(Signer::start(town.join(network)).await);
    }
    strangers[0].handle.subscribe(TransactionType::Spend).await.expect("it runs");
    for stranger in &strangers[1..] {
        stranger.handle.advertise(offer(TransactionType::Spend, 1_000, 50_000)).await.expect("an offer");
    }
    // Others that do not fit, or not the amount.
    town.onlookers[0].handle.advertise(offer(TransactionType::Swap, 1_000, 50_000)).await.expect("an offer");
    town.onlookers[1].handle.advertise(offer(TransactionType::Spend, 60_000, 90_000)).await.expect("an offer");

    let wanted: BTreeSet<PublicKey> = strangers[1..].iter().map(Signer::key).collect();
    finds(&strangers[0], filter(TransactionType::Spend, 20_000), &wanted).await;
    finds(&strangers[0], filter(TransactionType::Swap, 20_000), &BTreeSet::from([town.onlookers[0].key()])).await;
    // Who has never listened to gossip of this kind finds the same in the DHT.
    finds(&town.onlookers[2], filter(TransactionType::Spend, 20_000), &wanted).await;
    let few = SignerFilter { max_results: 2, ..filter(TransactionType::Spend, 20_000) };
    assert_eq!(strangers[0].handle.find_signers(few).await.expect("a search").len(), 2);

    let keys: Vec<PublicKey> = wanted.into_iter().chain([strangers[0].key()]).collect();
    let session = strangers[0].handle.create(listed(keys.clone(), 7)).await.expect("a session");
    for stranger in &mut strangers[1..] {
        assert_eq!(stranger.approve().await, session);
    }
    for stranger in &strangers {
        let signature = within(stranger.handle.signatures(session)).await.expect("a signature")[0];
        verify(Suite::Lotus, keys.clone(), &[7; 32], &signature);
    }
    // A session of others is nothing to the rest of the town.
    for other in town.onlookers.iter().chain([&town.bootstrap]) {
        assert_eq!(other.handle.session(session).await, Ok(None));
    }
}

/// Many who know nothing of each other ask the same signer, who is away, and are gone when it comes back: what it finds
/// can only have come from those who keep records.
#[tokio::test]
async fn a_signer_who_was_away_finds_all_requests_of_many_writers() {
    let town = Town::new(3).await;
    let away = Home::new(town.join(NetworkConfig::wallet())).start().await;
    let key = away.key();
    let home = away.stop().await;

    let town = &town;
    let writers = (0..6).map(async |number| {
        let network = town.join(if number % 2 == 0 { NetworkConfig::full() } else { NetworkConfig::wallet() });
        let writer = Signer::start(network).await;
        ready(&writer, 1).await;
        let session = writer.handle.create(listed(vec![writer.key(), key], number)).await.expect("a session");
        (session, (number, writer))
    });
    let mut writers: BTreeMap<SessionId, (u8, Signer)> = join_all(writers).await.into_iter().collect();
    for (session, (_, writer)) in &writers {
        town.has(&RecordKey::Request(*session), |_| true).await;
        let session = *session.as_bytes();
        let entry = RecordKey::of_entry(&List::Requests(key), &writer.key());
        town.has(&entry, |value| value.windows(32).any(|bytes| *bytes == session)).await;
    }
    let mut homes = BTreeMap::new();
    while let Some((session, (number, writer))) = writers.pop_first() {
        homes.insert(session, (number, writer.stop().await));
    }

    let mut back = home.start().await;
    let mut found = BTreeSet::new();
    while found.len() < homes.len() {
        found.insert(announced(&mut back.events).await);
    }
    assert!(found.iter().eq(homes.keys()));
    // Nobody else was there. Now they come back, and one is refused and the others are signed.
    let (refused, (_, home)) = homes.pop_first().expect("six");
    let creator = home.start().await;
    back.handle.abort(refused, AbortReason::Declined).await.expect("it was found");
    assert!(within(creator.handle.signatures(refused)).await.is_err());
    for (session, (number, home)) in homes {
        back.handle.join(session, [Unusual::Opaque]).await.expect("it was found");
        let creator = home.start().await;
        let signature = within(creator.handle.signatures(session)).await.expect("a signature")[0];
        verify(Suite::Lotus, vec![creator.key(), key], &[number; 32], &signature);
    }
}

#[tokio::test]
async fn a_link_leads_to_its_session() {
    let town = Town::new(2).await;
    let reader = Home::new(town.join(NetworkConfig::wallet())).start().await;
    let key = reader.key();
    let home = reader.stop().await;
    let writer = Signer::start(town.join(NetworkConfig::full())).await;
    let session = writer.handle.create(listed(vec![writer.key(), key], 1)).await.expect("a session");
    town.has(&RecordKey::Request(session), |_| true).await;
    writer.stop().await;

    let reader = home.start().await;
    ready(&reader, 1).await;
    assert_eq!(reader.handle.find_session(SessionId::from_bytes([9; 32])).await, Ok(false));
    within(async {
        // A search ends after a few seconds, and a busy machine may need another one.
        while reader.handle.find_session(session).await != Ok(true) {}
    })
    .await;
    assert_eq!(reader.handle.find_session(session).await, Ok(true), "here it is");
    reader.handle.join(session, [Unusual::Opaque]).await.expect("it was found");
    // Whoever it is not for does not get it.
    assert_eq!(town.onlookers[0].handle.find_session(session).await, Ok(false));
    assert_eq!(
        town.onlookers[0].handle.join(session, [Unusual::Opaque]).await,
        Err(HandleError::Refused(CommandError::UnknownSession(session)))
    );
}

#[tokio::test]
async fn a_withdrawal_is_seen_at_once_and_later() {
    let town = Town::new(3).await;
    let signer = Signer::start(town.join(NetworkConfig::wallet())).await;
    let listener = &town.onlookers[0];
    let mut events = listener.handle.events().expect("it runs");
    listener.handle.subscribe(TransactionType::Escrow).await.expect("it runs");
    ready(&signer, 4).await;
    signer.handle.advertise(offer(TransactionType::Escrow, 0, 9)).await.expect("an offer");
    let found = |event: &NodeEvent, key: PublicKey| match event {
        NodeEvent::Core(Event::SignerDiscovered { key: found, .. }) => (*found == key).then_some(()),
        _ => None,
    };
    let gone = |event: &NodeEvent, key: PublicKey| match event {
        NodeEvent::Core(Event::SignerWithdrawn { key: gone }) => (*gone == key).then_some(()),
        _ => None,
    };
    find(&mut events, |event| found(event, signer.key())).await;
    let one = BTreeSet::from([signer.key()]);
    finds(&town.onlookers[1], filter(TransactionType::Escrow, 5), &one).await;
    finds(listener, SignerFilter::default(), &one).await;

    signer.handle.withdraw().await.expect("it had an offer");
    find(&mut events, |event| gone(event, signer.key())).await;
    assert_eq!(signer.handle.withdraw().await, Err(HandleError::Refused(CommandError::NothingOffered)));
    // Whoever has it from the DHT asks there again, and whoever comes later finds nothing there.
    let newcomer = Signer::start(town.join(NetworkConfig::full())).await;
    ready(&newcomer, 4).await;
    finds(&newcomer, filter(TransactionType::Escrow, 5), &BTreeSet::new()).await;
    finds(listener, filter(TransactionType::Escrow, 5), &BTreeSet::new()).await;
}

#[tokio::test]
async fn resources_are_announced_found_and_withdrawn() {
    let town = Town::new(3).await;
    let [first, second, reader] = &town.onlookers[..] else { panic!("three") };
    let (kind, hour) = (label("price"), Duration::from_secs(3_600));
    let data = |text: &str| Data::new(text.as_bytes().to_vec());
    let announce = async |signer: &Signer, name: &str, data: Option<Data>| {
        signer.handle.announce_resource(kind.clone(), label(name), data, hour).await.expect("a resource");
    };
    let sees = async |expected: &[(&Signer, &str, &str)]| {
        let mut expected: Vec<_> = expected
            .iter()
            .map(|(signer, name, data)| (signer.key(), (*name).to_owned(), data.as_bytes().to_vec()))
            .collect();
        expected.sort_unstable();
        within(async {
            loop {
                let found = reader.handle.find_resources(kind.clone()).await.expect("a search");
                let mut found: Vec<_> = found
                    .into_iter()
                    .filter_map(|(id, resource)| {
                        Some((id.author, id.name.to_string(), resource.data?.as_bytes().to_vec()))
                    })
                    .collect();
                found.sort_unstable();
                if found == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
    };
    announce(first, "apples", data("1")).await;
    announce(first, "pears", data("2")).await;
    announce(second, "apples", data("3")).await;
    sees(&[(first, "apples", "1"), (first, "pears", "2"), (second, "apples", "3")]).await;
    announce(first, "apples", data("4")).await;
    sees(&[(first, "apples", "4"), (first, "pears", "2"), (second, "apples", "3")]).await;
    announce(first, "pears", None).await;
    sees(&[(first, "apples", "4"), (second, "apples", "3")]).await;
    assert!(reader.handle.find_resources(label("other")).await.expect("a search").is_empty());
}
