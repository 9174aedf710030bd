//! A watch tells everything, in an order that makes sense, whatever servers do.

use std::collections::BTreeMap;
use std::time::Duration;

use nelumbo_chain::chronik::{BlockId, ChainEvent, ChronikError, Failure, Fault, Since, Watch, Watched};
use nelumbo_chain::crypto::lotus::{OutPoint, Transaction, Txid};
use nelumbo_chain::proto;
use prost::Message;
use quickcheck::{Arbitrary, Gen, QuickCheck};
use tokio::time::timeout;

use super::server::{Servers, falsify};
use super::world::{World, other, own, own_payload, pay, txid};

/// What a consumer knows from events alone. Every event has to fit what it knows.
#[derive(Debug, Default)]
struct Model {
    chain: Vec<BlockId>,
    transactions: BTreeMap<Txid, Option<BlockId>>,
    unreachable: usize,
}

impl Model {
    fn apply(&mut self, event: ChainEvent) {
        match event {
            ChainEvent::Seen(transaction) => {
                let before = self.transactions.insert(transaction.txid, None);
                assert_eq!(before, None, "{} is seen twice", transaction.txid);
            }
            ChainEvent::Confirmed { txid, block } => {
                let before = self.transactions.insert(txid, Some(block));
                assert_eq!(before, Some(None), "{txid} is confirmed while it does not wait");
                let first = self.chain.first().expect("there is a block").height;
                assert!(
                    block.height < first || self.chain.contains(&block),
                    "{txid} is in {block:?}, which is not told"
                );
            }
            ChainEvent::Reorganised { txid, block } => {
                let before = self.transactions.insert(txid, None);
                assert_eq!(before, Some(Some(block)), "{txid} comes out of a block that it was not in");
                assert!(!self.chain.contains(&block), "{block:?} is still there");
            }
            ChainEvent::Removed { txid, .. } => {
                assert_eq!(self.transactions.remove(&txid), Some(None), "{txid} is removed while it does not wait");
            }
            ChainEvent::BlockConnected(block) => {
                if let Some(top) = self.chain.last() {
                    assert_eq!(block.height, top.height + 1, "{block:?} does not follow");
                }
                self.chain.push(block);
            }
            ChainEvent::BlockDisconnected(block) => {
                let top = self.chain.pop();
                // What was there before the watch began was not told.
                assert!(top.is_none_or(|top| top == block), "{block:?} is not the last");
            }
            ChainEvent::Unreachable(_) => self.unreachable += 1,
            ChainEvent::Reachable => assert!(self.unreachable > 0),
            event => panic!("{event:?}"),
        }
    }

    /// Whether it knows what there is: everything above `start` and everything that waits, and nothing that is not.
    fn knows(&self, world: &World, start: u32) -> bool {
        let payload = own_payload();
        let is = |each: &Transaction, height: &Option<u32>| {
            let known = self.transactions.get(&txid(each));
            known == Some(&height.map(|height| world.id(height)))
        };
        let is_news = |height: &Option<u32>| height.is_none_or(|height| height > start);
        let everything = world.history(&payload).into_iter().filter(|(_, height)| is_news(height));
        let all_told = everything.into_iter().all(|(each, height)| is(each, &height));
        let all_there = self.transactions.iter().all(|(txid, block)| {
            let found = world.find(*txid).map(|(_, height)| height.map(|height| world.id(height)));
            found == Some(*block)
        });
        self.chain.last() == Some(&world.tip()) && all_told && all_there
    }
}

const LONG: Duration = Duration::from_secs(30);

async fn next(watch: &mut Watch) -> ChainEvent {
    timeout(LONG, watch.next()).await.expect("there is an event").expect("it goes on")
}

/// Lets the model follow until it knows the world.
async fn follow(watch: &mut Watch, model: &mut Model, servers: &Servers, start: u32) {
    while !servers.world.lock().map(|world| model.knows(&world, start)).expect("no panic") {
        let event = timeout(LONG, watch.next()).await.unwrap_or_else(|_| panic!("nothing more is told: {model:#?}"));
        model.apply(event.expect("it goes on"));
    }
}

fn own_script(since: Since) -> Watched {
    Watched { scripts: vec![own_payload()], since, ..Watched::default() }
}

fn coins(count: usize) -> World {
    let mut world = World::new(20);
    (0..count).for_each(|_| world.mine(&own()));
    world
}

fn spend(world: &World, from: OutPoint) -> Transaction {
    let value = world.output(from).value;
    pay(from, &[(value - 2_000, own()), (1_000, other())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reorganisation_of_six_blocks_is_told_in_order() {
    let servers = Servers::start(coins(1), 1).await;
    let mut watch = servers.client().watch(own_script(Since::Now));
    assert_eq!(next(&mut watch).await, ChainEvent::BlockConnected(servers.change(|world| world.tip())));
    let coin = OutPoint { txid: servers.change(|world| txid(&world.blocks[20].transactions[0])), index: 1 };
    let id = servers.change(|world| {
        let spend = spend(world, coin);
        world.mempool.push(spend.clone());
        txid(&spend)
    });
    let ChainEvent::Seen(seen) = next(&mut watch).await else { panic!("it waits") };
    assert_eq!((seen.txid, seen.block), (id, None));
    servers.change(|world| world.mine(&other()));
    let first = servers.change(|world| world.tip());
    assert_eq!(next(&mut watch).await, ChainEvent::BlockConnected(first));
    assert_eq!(next(&mut watch).await, ChainEvent::Confirmed { txid: id, block: first });
    (0..5).for_each(|_| servers.change(|world| world.mine(&other())));
    let old: Vec<BlockId> = servers.change(|world| (21..=26).map(|height| world.id(height)).collect());
    for block in &old[1..] {
        assert_eq!(next(&mut watch).await, ChainEvent::BlockConnected(*block));
    }
    servers.change(|world| world.reorganise(6, true));
    for block in old.iter().rev() {
        assert_eq!(next(&mut watch).await, ChainEvent::BlockDisconnected(*block));
    }
    assert_eq!(next(&mut watch).await, ChainEvent::Reorganised { txid: id, block: first });
    let again = servers.change(|world| world.id(21));
    assert_ne!(again, first);
    assert_eq!(next(&mut watch).await, ChainEvent::BlockConnected(again));
    assert_eq!(next(&mut watch).await, ChainEvent::Confirmed { txid: id, block: again });
    for height in 22..=27 {
        assert_eq!(next(&mut watch).await, ChainEvent::BlockConnected(servers.change(|world| world.id(height))));
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Pay(u8),
    Rival(u8),
    Mine,
    Reorganise(u8, bool),
    Down(u8),
    Up(u8),
    Freeze(u8),
    Thaw(u8),
    Wait(u8),
}

impl Arbitrary for Action {
    fn arbitrary(generator: &mut Gen) -> Self {
        let byte = u8::arbitrary(generator);
        match u8::arbitrary(generator) % 14 {
            0..=3 => Self::Pay(byte),
            4 => Self::Rival(byte),
            5..=6 => Self::Mine,
            7 => Self::Reorganise(byte % 6 + 1, bool::arbitrary(generator)),
            8 => Self::Down(byte % 3),
            9 => Self::Up(byte % 3),
            10 => Self::Freeze(byte % 3),
            11 => Self::Thaw(byte % 3),
            _ => Self::Wait(byte),
        }
    }
}

async fn perform(action: Action, servers: &Servers) {
    match action {
        Action::Pay(which) => servers.change(|world| {
            let all = world.unspent();
            let own: Vec<_> = all.into_iter().filter(|each| world.output(*each).script_pubkey == own()).collect();
            if !own.is_empty() {
                world.mempool.push(spend(world, own[usize::from(which) % own.len()]));
            }
        }),
        // A block takes another transaction than the one that waits.
        Action::Rival(which) => servers.change(|world| {
            if world.mempool.is_empty() {
                return;
            }
            let rival_of = world.mempool.remove(usize::from(which) % world.mempool.len());
            let from = rival_of.inputs[0].outpoint;
            // What depends on it goes with it.
            world.drop_orphans();
            if world.is_unspent(from) && world.find(from.txid).is_some_and(|(_, height)| height.is_some()) {
                let rival = pay(from, &[(world.output(from).value - 5_000, own())]);
                world.mine_these(&other(), vec![rival]);
            }
        }),
        Action::Mine => servers.change(|world| world.mine(&other())),
        Action::Reorganise(depth, again) => servers.change(|world| world.reorganise(depth.into(), again)),
        Action::Down(which) => servers.all[usize::from(which)].set_up(false),
        Action::Up(which) => servers.all[usize::from(which)].set_up(true),
        Action::Freeze(which) => servers.all[usize::from(which)].freeze(true),
        Action::Thaw(which) => servers.all[usize::from(which)].freeze(false),
        Action::Wait(time) => tokio::time::sleep(Duration::from_millis(u64::from(time) / 4)).await,
    }
}

async fn a_schedule(actions: Vec<Action>) {
    let servers = Servers::start(coins(6), 3).await;
    let start = servers.change(|world| world.height());
    let mut watch = servers.client().watch(own_script(Since::Now));
    let mut model = Model::default();
    follow(&mut watch, &mut model, &servers, start).await;
    for action in actions {
        perform(action, &servers).await;
        while let Ok(Some(event)) = timeout(Duration::from_millis(1), watch.next()).await {
            model.apply(event);
        }
    }
    for which in 0..3 {
        perform(Action::Up(which), &servers).await;
        perform(Action::Thaw(which), &servers).await;
    }
    // Whoever saw a chain that is gone sees one that is longer.
    perform(Action::Mine, &servers).await;
    follow(&mut watch, &mut model, &servers, start).await;
}

/// Payments, rivals, blocks and reorganisations, while three servers fail, fall behind and come back: the consumer
/// knows in the end what there is, and no event contradicts what it knew.
#[test]
fn failing_over_between_three_servers_loses_no_event() {
    fn property(actions: Vec<Action>) -> bool {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("there are threads").block_on(a_schedule(actions));
        true
    }
    QuickCheck::new().rng(Gen::new(40)).tests(24).quickcheck(property as fn(Vec<Action>) -> bool);
}

/// More messages than a server keeps, to a consumer that is slow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_overruns_no_one() {
    let servers = Servers::start(coins(3), 1).await;
    let mut watch = servers.client().watch(own_script(Since::Now));
    next(&mut watch).await;
    for _ in 0..30 {
        perform(Action::Pay(0), &servers).await;
        perform(Action::Pay(1), &servers).await;
    }
    perform(Action::Mine, &servers).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut model = Model { chain: vec![servers.change(|world| world.id(22))], ..Model::default() };
    follow(&mut watch, &mut model, &servers, 22).await;
    assert_eq!(model.transactions.len(), 60);
}

/// Since a height: what is older is not told, what is newer is, and nothing twice.
#[tokio::test]
async fn a_watch_begins_where_it_is_told() {
    let servers = Servers::start(coins(4), 1).await;
    for (since, expected) in [(Since::Height(0), 4), (Since::Height(22), 2), (Since::Height(23), 1), (Since::Now, 0)] {
        let mut watch = servers.client().watch(own_script(since));
        let mut seen = 0;
        loop {
            match next(&mut watch).await {
                ChainEvent::Seen(_) => seen += 1,
                // The last block comes last but for what it holds.
                ChainEvent::BlockConnected(_) => break,
                _ => {}
            }
        }
        while let Ok(Some(event)) = timeout(Duration::from_millis(300), watch.next()).await {
            seen += usize::from(matches!(event, ChainEvent::Seen(_)));
        }
        assert_eq!(seen, expected, "{since:?}");
    }
    // By its id, however old; and after a hundred blocks not again.
    let id = servers.change(|world| txid(&world.blocks[2].transactions[0]));
    let mut watch = servers.client().watch(Watched { txids: vec![id], ..Watched::default() });
    let block = servers.change(|world| world.id(2));
    let ChainEvent::Seen(seen) = next(&mut watch).await else { panic!("it is there") };
    assert_eq!((seen.txid, next(&mut watch).await), (id, ChainEvent::Confirmed { txid: id, block }));
    servers.change(|world| (0..150).for_each(|_| world.mine(&other())));
    let end = servers.change(|world| world.tip());
    loop {
        match next(&mut watch).await {
            ChainEvent::BlockConnected(block) if block == end => break,
            ChainEvent::BlockConnected(_) => {}
            event => panic!("{event:?}"),
        }
    }
    assert!(timeout(Duration::from_millis(500), watch.next()).await.is_err(), "nothing is told again");
}

/// What comes over the socket is a hint only: errors in either form, texts and garbage cost the socket and no event.
#[tokio::test]
async fn errors_on_the_socket_cost_no_event() {
    let bare = proto::Error { error_code: "invalid-field".to_owned(), msg: "Invalid".to_owned(), is_user_error: true };
    for message in [bare.encode_to_vec(), vec![0xff; 9], vec![]] {
        let servers = Servers::start(coins(2), 1).await;
        let mut watch = servers.client().watch(own_script(Since::Now));
        next(&mut watch).await;
        servers.all[0].send(message);
        perform(Action::Pay(0), &servers).await;
        assert!(matches!(next(&mut watch).await, ChainEvent::Seen(_)));
        servers.change(|world| world.mine(&other()));
        assert!(matches!(next(&mut watch).await, ChainEvent::BlockConnected(_)));
        assert!(matches!(next(&mut watch).await, ChainEvent::Confirmed { .. }));
        assert_eq!(servers.all[0].inner.sockets.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}

/// Blocks are told without any script: a server tells them over the socket only where something is subscribed to.
#[tokio::test]
async fn blocks_alone_come_at_once() {
    let servers = Servers::start(coins(0), 1).await;
    let mut config = servers.config();
    config.poll_interval = Duration::from_secs(3_600);
    let mut watch = super::server::client(config).watch(Watched::default());
    next(&mut watch).await;
    while servers.all[0].inner.sockets.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    servers.change(|world| world.mine(&other()));
    assert_eq!(next(&mut watch).await, ChainEvent::BlockConnected(servers.change(|world| world.tip())));
}

#[tokio::test]
async fn a_chain_that_is_really_shorter_is_believed_in_the_end() {
    let servers = Servers::start(coins(3), 2).await;
    let mut watch = servers.client().watch(own_script(Since::Now));
    let top = servers.change(|world| world.tip());
    assert_eq!(next(&mut watch).await, ChainEvent::BlockConnected(top));
    servers.change(|world| world.blocks.truncate(world.blocks.len() - 1));
    let mut events = Vec::new();
    while events.last() != Some(&ChainEvent::BlockDisconnected(top)) {
        events.push(next(&mut watch).await);
    }
    assert!(matches!(events[0], ChainEvent::Unreachable(ChronikError::Unavailable(_))), "{events:?}");
    assert_eq!(events[1..], [ChainEvent::Reachable, ChainEvent::BlockDisconnected(top)]);
}

#[tokio::test]
async fn another_chain_altogether_is_refused() {
    let servers = Servers::start(World::new(130), 1).await;
    let mut watch = servers.client().watch(own_script(Since::Now));
    next(&mut watch).await;
    servers.change(|world| world.reorganise(110, true));
    let ChainEvent::Unreachable(error) = next(&mut watch).await else { panic!("it is another chain") };
    let ChronikError::Unavailable(failures) = error else { panic!("{error}") };
    assert_eq!(failures[0].1, Failure::False(Fault::ForkTooDeep(30)));
}

/// A server that says of one that waits that it is confirmed, or keeps one back that was in a block, is left for the
/// next.
#[tokio::test]
async fn a_liar_tells_nothing() {
    for is_hidden in [false, true] {
        let servers = Servers::start(coins(2), 2).await;
        let mut watch = servers.client().watch(own_script(Since::Now));
        next(&mut watch).await;
        perform(Action::Pay(0), &servers).await;
        let ChainEvent::Seen(seen) = next(&mut watch).await else { panic!("it waits") };
        let id = seen.txid;
        if is_hidden {
            servers.change(|world| world.mine(&other()));
            next(&mut watch).await;
            assert!(matches!(next(&mut watch).await, ChainEvent::Confirmed { .. }));
        }
        let lie = servers.change(|world| {
            let info = world.message_info(world.height());
            falsify("/script/", move |page: &mut proto::TxHistoryPage| {
                let block =
                    proto::BlockMetadata { height: info.height, hash: info.hash.clone(), timestamp: info.timestamp };
                let told = page.txs.iter_mut().filter(|tx| tx.txid == *id.as_bytes());
                told.for_each(|tx| tx.block = (!is_hidden).then_some(block.clone()));
            })
        });
        servers.all[0].lie(Some(lie));
        let before = servers.all[1].inner.requests.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(before, 0);
        perform(Action::Pay(1), &servers).await;
        assert!(matches!(next(&mut watch).await, ChainEvent::Seen(_)));
        assert!(servers.all[1].inner.requests.load(std::sync::atomic::Ordering::Relaxed) > 0);
        let nothing = timeout(Duration::from_millis(300), watch.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
}

/// What waits at one server and has not come to another is not gone; what waits at none is, and says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_elsewhere_is_not_gone() {
    let servers = Servers::start(coins(2), 3).await;
    let mut watch = servers.client().watch(own_script(Since::Now));
    next(&mut watch).await;
    servers.all[1].freeze(true);
    perform(Action::Pay(0), &servers).await;
    let ChainEvent::Seen(first) = next(&mut watch).await else { panic!("it waits") };
    let requests = || servers.all[1].inner.requests.load(std::sync::atomic::Ordering::Relaxed);
    // While those do not answer that have it, and when they do again: the watch stays where it is.
    for (is_up, most) in [(false, 20), (true, 60)] {
        servers.all[0].set_up(is_up);
        while requests() < most {
            let event = timeout(Duration::from_millis(20), watch.next()).await;
            assert!(event.is_err(), "{event:?}");
        }
    }
    servers.all[1].freeze(false);
    servers.change(|world| world.mempool.clear());
    assert_eq!(next(&mut watch).await, ChainEvent::Removed { txid: first.txid, conflict: None });
    // The same again, and another one that spends the same.
    servers.change(|world| world.mempool.push(first.transaction.clone()));
    assert_eq!(next(&mut watch).await, ChainEvent::Seen(first.clone()));
    let rival = pay(first.transaction.inputs[0].outpoint, &[(1_000_000, own())]);
    let by = txid(&rival);
    servers.change(|world| world.mempool = vec![rival]);
    let mut events = [next(&mut watch).await, next(&mut watch).await];
    events.sort_by_key(|event| matches!(event, ChainEvent::Removed { .. }));
    assert!(matches!(&events[0], ChainEvent::Seen(seen) if seen.txid == by), "{events:?}");
    assert_eq!(events[1], ChainEvent::Removed { txid: first.txid, conflict: Some(by) });
}

#[tokio::test]
async fn a_silence_of_all_servers_is_told_once() {
    let servers = Servers::start(coins(1), 3).await;
    let mut watch = servers.client().watch(own_script(Since::Now));
    next(&mut watch).await;
    servers.all.iter().for_each(|fake| fake.set_up(false));
    let ChainEvent::Unreachable(error) = next(&mut watch).await else { panic!("all are down") };
    assert!(matches!(error, ChronikError::Unavailable(failures) if failures.len() == 3));
    servers.change(|world| world.mine(&other()));
    assert!(timeout(Duration::from_millis(300), watch.next()).await.is_err(), "it is told once");
    servers.all[2].set_up(true);
    assert_eq!(next(&mut watch).await, ChainEvent::Reachable);
    assert_eq!(next(&mut watch).await, ChainEvent::BlockConnected(servers.change(|world| world.tip())));
}

/// A block that takes the place of one from before the watch began can hold what is news.
#[tokio::test]
async fn what_comes_into_the_past_is_told() {
    let servers = Servers::start(coins(2), 1).await;
    let mut watch = servers.client().watch(own_script(Since::Now));
    next(&mut watch).await;
    let (id, block) = servers.change(|world| {
        let coin = OutPoint { txid: txid(&world.blocks[20].transactions[0]), index: 1 };
        let payment = spend(world, coin);
        let id = txid(&payment);
        world.blocks.truncate(21);
        world.mine_these(&other(), vec![payment]);
        world.mine(&other());
        (id, world.id(21))
    });
    let mut events = Vec::new();
    while events.len() < 5 {
        events.push(next(&mut watch).await);
    }
    let ChainEvent::Seen(seen) = &events[2] else { panic!("{events:?}") };
    assert_eq!((seen.txid, &events[1]), (id, &ChainEvent::BlockConnected(block)));
    assert_eq!(events[3], ChainEvent::Confirmed { txid: id, block });
}
