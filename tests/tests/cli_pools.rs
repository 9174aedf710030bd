//! Pools that swap coins, by node processes, the command line, and a ledger.
#![cfg(unix)]

mod cli_support;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use cli_support::node::{Node, PATIENCE, with_passphrase};
use cli_support::proxy::Proxy;
use cli_support::world::World;
use cli_support::{Run, finish};
use nelumbo_chain::ScriptPayload;
use nelumbo_chain::build::pay_to_key;
use nelumbo_chain::ledger::{Ledger, Operation, Server};
use nelumbo_core::crypto::lotus::{Address, OutPoint, Payload, Txid};
use nelumbo_core::crypto::{Network, PublicKey};
use serde_json::Value;

const EACH: u64 = 100_000;
/// What is paid besides at most: a setup, and the way back.
const FEES: u64 = 196 + 226;
const SECOND: Duration = Duration::from_secs(1);
/// The steps of a pool, in each of which somebody can vanish.
const PHASES: [&str; 6] = ["registration", "reveal", "settlement", "setup", "setup-confirm", "settlement-confirm"];
const IN_TIME: &str = "pools = true";

/// Gives nodes that may take part in pools coins of their own.
fn funded(world: World, coins: u64) -> World {
    for node in &world.nodes {
        let address = node.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
        for coin in 0..coins {
            world.fund(&address, 200_000 + coin);
        }
    }
    world.mine(1);
    world
}

fn world(count: usize) -> World {
    funded(World::start_with(count, str::to_owned, IN_TIME), 1)
}

/// Where a node is paid by a pool, and what there is.
fn destination(pool: usize, number: usize) -> Address {
    let mut hash = [0xd0; 20];
    (hash[0], hash[1]) = (u8::try_from(pool).unwrap(), u8::try_from(number).unwrap());
    Address { network: Network::Regtest, payload: Payload::PublicKeyHash(hash) }
}

fn unspent(server: &Server, script: &[u8]) -> Vec<u64> {
    let payload = ScriptPayload::of(script).into_iter().next().unwrap();
    server.with(|ledger| ledger.unspent(&payload).map(|found| found.output.value).collect())
}

fn paid(server: &Server, pool: usize, number: usize) -> Vec<u64> {
    unspent(server, &destination(pool, number).script_pubkey())
}

fn asked(node: &Node, arguments: &[&str]) -> Run {
    finish(with_passphrase(&mut node.command(&[&["pool"], arguments].concat())))
}

fn mine(server: &Server, count: u32) {
    server.apply(Operation::Mine { time: server.time(), count, script: Ledger::faucet_script() }).unwrap();
}

/// Somebody's part in a pool: the coin that it has put in, and how it is paid alone.
struct Part {
    pool: usize,
    number: usize,
    coin: OutPoint,
    own: Vec<u8>,
}

/// Where somebody's money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Money {
    /// The pool has paid it.
    Paid,
    /// The coin was never spent.
    Untouched,
    /// The coin was taken back.
    Cancelled,
    /// In the deposit.
    Deposited,
    /// The deposit was taken back.
    Reclaimed,
}

impl Part {
    fn new(pool: usize, number: usize, node: &Node, entered: &Value) -> Self {
        let (txid, index) = entered["own_coin"].as_str().unwrap().split_once(':').unwrap();
        let coin = OutPoint { txid: txid.parse().unwrap(), index: index.parse().unwrap() };
        Self { pool, number, coin, own: pay_to_key(&node.key.parse::<PublicKey>().unwrap()).to_vec() }
    }

    /// What has spent an output, and to which script and amount its first output goes.
    fn spent(server: &Server, outpoint: OutPoint) -> Option<(Txid, Vec<u8>, u64)> {
        server.with(|ledger| {
            let (txid, _) = ledger.spender(&outpoint)?;
            let output = &ledger.transaction(&txid)?.transaction.outputs[0];
            Some((txid, output.script_pubkey.clone(), output.value))
        })
    }

    fn deposit(&self, server: &Server) -> Option<OutPoint> {
        Some(OutPoint { txid: Self::spent(server, self.coin)?.0, index: 0 })
    }

    /// Where its money is, all of it: the ledger says so.
    fn money(&self, server: &Server) -> Money {
        let paid = paid(server, self.pool, self.number);
        if !paid.is_empty() {
            assert_eq!(paid, [EACH], "one coin");
            return Money::Paid;
        }
        let back = |value: u64| assert!(value + FEES >= EACH + 358, "{value} came back");
        let Some((setup, script, value)) = Self::spent(server, self.coin) else { return Money::Untouched };
        if script == self.own {
            back(value);
            return Money::Cancelled;
        }
        match Self::spent(server, OutPoint { txid: setup, index: 0 }) {
            Some((_, script, value)) if script == self.own => {
                back(value);
                Money::Reclaimed
            }
            Some((_, script, _)) => panic!("a deposit went to {script:02x?}"),
            None => Money::Deposited,
        }
    }
}

/// Creates a pool with these times.
fn create(node: &Node, pool: usize, number: usize, times: &[&str]) -> Value {
    let to = destination(pool, number).to_string();
    let create = ["create", "--denomination", "0.1", "--participants", "5", "--to", &to, "--json", "--delay", "12"];
    let made = asked(node, &[&create, times].concat()).json();
    assert_eq!((&made["phase"], &made["denomination"]), (&"registration".into(), &EACH.into()), "{made}");
    made
}

/// Joins a pool as soon as it is found.
fn join(node: &Node, pool: usize, number: usize, id: &str) -> Part {
    let end = Instant::now() + PATIENCE;
    let to = destination(pool, number).to_string();
    loop {
        let joined = asked(node, &["join", id, "--to", &to, "--yes", "--json"]);
        if joined.status == 0 {
            return Part::new(pool, number, node, &joined.json());
        }
        assert!(joined.stderr.contains("no pool") && Instant::now() < end, "{}", joined.stderr);
    }
}

/// The first node creates a pool that the others find and join, one after the other. Its id, and who has put in what.
fn pool_of_all(
    nodes: &mut [Node],
    server: &Server,
    times: &[&str],
    mut before: impl FnMut(usize, &mut Node),
) -> (String, Vec<Part>) {
    let made = create(&nodes[0], 0, 0, times);
    let id = made["pool"].as_str().unwrap().to_owned();
    let mut parts = vec![Part::new(0, 0, &nodes[0], &made)];
    mine(server, 1);
    for (number, node) in nodes.iter_mut().enumerate().skip(1) {
        parts.push(join(node, 0, number, &id));
        before(number, node);
    }
    (id, parts)
}

/// A node's pool, as long as it is not over.
fn status(node: &Node, id: &str) -> Option<Value> {
    let own = node.json(&["pool", "status"])["own"].clone();
    own.as_array().unwrap().iter().find(|own| own["pool"] == *id).cloned()
}

/// Ends a thread that goes on until this is set, also when a test fails.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Mines, as time does, until this is so.
#[track_caller]
fn mine_until(server: &Server, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain");
        mine(server, 1);
        sleep(SECOND);
    }
}

#[track_caller]
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain");
        sleep(SECOND / 5);
    }
}

/// Waits until a node says that its pool is in this phase.
fn wait_for_phase(node: &Node, id: &str, phase: &str) {
    node.wait_for("pool-changed", &[("pool", id), ("phase", phase)]);
}

#[test]
fn five_people_swap_coins_and_one_is_killed_and_comes_back_in_each_phase() {
    let mut world = world(5);
    let World { nodes, server, .. } = &mut world;
    let (id, parts) = pool_of_all(nodes, server, &[], |number, node| {
        if number == 1 {
            node.kill();
            node.start();
        }
    });
    scope(|scope| {
        // Whoever is killed is so as soon as it says that it is in this phase.
        let killed = [(1, "setup-confirm"), (2, "reveal"), (3, "settlement"), (4, "setup"), (0, "settlement-confirm")];
        let mut threads = Vec::new();
        for (number, node) in nodes.iter_mut().enumerate() {
            let (_, phase) = killed.into_iter().find(|(killed, _)| *killed == number).unwrap();
            let id = &id;
            threads.push(scope.spawn(move || {
                wait_for_phase(node, id, phase);
                node.kill();
                node.start();
            }));
        }
        mine(server, 1);
        // Deposits are mined, and then nothing until the creator has seen the settlement.
        let coins = || parts.iter().filter(|part| part.deposit(server).is_some()).count();
        wait_until(|| coins() == 5);
        mine(server, 1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let is_complete = |node: &Node| status(node, &id).is_some_and(|own| own["phase"] == "complete");
    mine_until(server, 2 * PATIENCE, || nodes.iter().all(is_complete));
    for (part, node) in parts.iter().zip(&*nodes) {
        assert_eq!(part.money(server), Money::Paid);
        let status = status(node, &id).unwrap();
        assert!(status["settlement"].is_string() && status["taking_part"] == 5, "{status}");
    }
    let told = nodes[2].run(&["pool", "status"]).stdout;
    assert!(told.contains("complete") && told.contains("0.1 XPI") && told.contains("it is over"), "{told}");
    assert!(
        told.contains("10 min to sign, 5 min to deposit, 1 h to confirm; a deposit comes back after 12 blocks"),
        "{told}"
    );
    // A hundred blocks later nobody looks after it any more.
    mine(server, 101);
    nodes[0].wait_for("pool-over", &[("pool", &id), ("phase", "complete")]);
    assert_eq!(nodes[0].json(&["pool", "status"])["own"], serde_json::json!([]));
}

/// Six pools of five at once on one ledger. The four who stay are in all of them, and of each the fifth is killed for
/// good in another phase.
#[test]
fn who_vanishes_in_any_phase_keeps_nobody_from_their_money() {
    const STAY: usize = 4;
    let times = ["--registration", "70 s", "--settlement", "20 s", "--setup", "10 s", "--confirmation", "1 min"];
    let mut world = funded(World::start_with(STAY + PHASES.len(), str::to_owned, IN_TIME), PHASES.len() as u64);
    let World { nodes, server, .. } = &mut world;
    let server = &*server;
    let (stay, vanish) = nodes.split_at_mut(STAY);
    let pools: [OnceLock<String>; PHASES.len()] = Default::default();
    let pools = &pools;
    // Who vanishes as the settlement waits to be mined, and whether it has.
    let last: OnceLock<Part> = OnceLock::new();
    let vanished: [AtomicBool; PHASES.len()] = Default::default();
    let (last, has_vanished, is_done) = (&last, &vanished, &AtomicBool::new(false));
    let id_of = |pool: usize| {
        wait_until(|| pools[pool].get().is_some());
        pools[pool].wait()
    };
    let id_of = &id_of;
    let enter = |number: usize, node: &Node| {
        let created = (0..PHASES.len()).filter(|pool| pool % STAY == number).map(|pool| {
            let made = create(node, pool, number, &times);
            pools[pool].set(made["pool"].as_str().unwrap().to_owned()).unwrap();
            Part::new(pool, number, node, &made)
        });
        let mut parts: Vec<Part> = created.collect();
        // The pool that somebody leaves while people register is entered last.
        for pool in (0..PHASES.len()).rev().filter(|pool| pool % STAY != number) {
            if pool == 0 {
                wait_until(|| has_vanished[0].load(Ordering::SeqCst));
            }
            parts.push(join(node, pool, number, id_of(pool)));
        }
        parts
    };
    let enter = &enter;
    let parts: Vec<Part> = scope(|scope| {
        let _end = SetAtEnd(is_done);
        scope.spawn(move || {
            while !is_done.load(Ordering::SeqCst) {
                let deposit = last.get().and_then(|part| part.deposit(server));
                let is_settling = deposit.is_some_and(|deposit| Part::spent(server, deposit).is_some());
                if !is_settling || has_vanished[PHASES.len() - 1].load(Ordering::SeqCst) {
                    mine(server, 1);
                }
                sleep(SECOND);
            }
        });
        for (pool, node) in vanish.iter_mut().enumerate() {
            scope.spawn(move || {
                let _end = SetAtEnd(&has_vanished[pool]);
                let id = id_of(pool);
                let part = join(node, pool, STAY, id);
                if pool == PHASES.len() - 1 {
                    assert!(last.set(part).is_ok());
                }
                if pool != 0 {
                    wait_for_phase(node, id, PHASES[pool]);
                }
                node.kill();
            });
        }
        let entered: Vec<_> = stay
            .iter_mut()
            .enumerate()
            .map(|(number, node)| scope.spawn(move || (enter(number, node), node)))
            .collect();
        let (parts, stay): (Vec<_>, Vec<_>) = entered.into_iter().map(|each| each.join().unwrap()).unzip();
        let parts: Vec<Part> = parts.into_iter().flatten().collect();
        // What everybody's pools come to, by themselves.
        let end = Instant::now() + 4 * PATIENCE;
        let is_over = |node: &Node, id: &str| {
            status(node, id).is_none_or(|own| ["complete", "refunded"].contains(&own["phase"].as_str().unwrap()))
        };
        while !pools.iter().all(|id| stay.iter().all(|node| is_over(node, id.wait()))) {
            assert!(Instant::now() < end, "{:?}", stay[0].json(&["pool", "status"]));
            sleep(SECOND);
        }
        parts
    });
    for (pool, phase) in PHASES.into_iter().enumerate() {
        let money: Vec<Money> = parts.iter().filter(|part| part.pool == pool).map(|part| part.money(server)).collect();
        assert_eq!(money.len(), STAY);
        assert!(money.iter().all(|each| *each == money[0]), "{phase}: all or nothing, {money:?}");
        let expected: &[Money] = match phase {
            // Without the one there is a pool of four, or none if the creator had heard of it.
            "registration" => &[Money::Paid, Money::Untouched],
            // It is killed as it says so; what it still has said is enough, or not.
            "reveal" | "settlement" => &[Money::Untouched, Money::Cancelled, Money::Paid],
            "setup" => &[Money::Cancelled, Money::Paid],
            _ => &[Money::Paid],
        };
        assert!(expected.contains(&money[0]), "{phase}: {money:?}");
    }
}

/// A settlement that nobody can broadcast, as when the servers of the chain do not take it, keeps nobody's deposit.
#[test]
fn deposits_come_back_after_the_delay_by_hand_and_by_themselves() {
    let proxies = OnceLock::new();
    let number = std::cell::Cell::new(0);
    let server_of = |url: &str| {
        let [first, others]: &[Proxy; 2] = proxies.get_or_init(|| [Proxy::start(url), Proxy::start(url)]);
        number.set(number.get() + 1);
        if number.get() == 1 { first.url.clone() } else { others.url.clone() }
    };
    let mut world = funded(World::start_with(5, server_of, IN_TIME), 1);
    let [first, others] = proxies.get().unwrap();
    let World { nodes, server, .. } = &mut world;
    let (id, parts) = pool_of_all(nodes, server, &[], |_, _| {});
    mine(server, 1);
    wait_until(|| parts.iter().all(|part| part.deposit(server).is_some()));
    [first, others].into_iter().for_each(|proxy| proxy.hold("broadcast-tx"));
    let says = |text: &str| nodes[0].run(&["pool", "reclaim", &id]).stderr.contains(text);
    wait_until(|| says("over in 12 blocks"));
    mine(server, 1);
    wait_until(|| says("over in 11 blocks"));
    nodes[0].run(&["pool", "leave", &id]).assert_failed(1, &["is made", "takes its deposit back alone, in 11 blocks"]);
    // One is never seen again, and another one comes back in time.
    nodes[4].kill();
    nodes[3].kill();
    mine(server, 11);
    wait_until(|| status(&nodes[0], &id).unwrap()["otherwise"] == "this node takes its deposit back now");
    assert!(parts.iter().all(|part| part.money(server) == Money::Deposited), "the settlement could still have it");
    assert_eq!(nodes[0].run(&["pool", "reclaim", &id]).status, 0);
    // A settlement that it has begun to send before is given up by then.
    sleep(10 * SECOND);
    first.release();
    wait_until(|| parts[0].money(server) == Money::Reclaimed);
    mine(server, 1);
    others.release();
    nodes[3].start();
    let is_back = |node: &Node| status(node, &id).is_some_and(|own| own["phase"] == "refunded");
    mine_until(server, 2 * PATIENCE, || nodes[..4].iter().all(is_back));
    let money: Vec<Money> = parts.iter().map(|part| part.money(server)).collect();
    assert_eq!(money[..4], [Money::Reclaimed; 4]);
    assert_eq!(money[4], Money::Deposited, "it has its own as soon as it is back");
    nodes[4].start();
    mine_until(server, PATIENCE, || is_back(&nodes[4]));
    assert_eq!(parts[4].money(server), Money::Reclaimed);
}

#[test]
fn what_cannot_be_done_with_pools_is_said_before_anything_is_burned() {
    let folder = tempfile::tempdir().unwrap();
    let mut without = Node::init(&folder.path().join("without"), &[]);
    without.start();
    without.run(&["pool", "list"]).assert_failed(1, &["takes part in no pools", "pools = true"]);
    let world = world(3);
    let node = &world.nodes[0];
    let balance = || node.json(&["wallet", "balance"])["total"].as_u64().unwrap();
    let before = balance();
    let to = destination(0, 0).to_string();
    asked(node, &["create", "--denomination", "0.5", "--to", &to]).assert_refused(&["500000", "denomination"]);
    asked(node, &["create", "--denomination", "1", "--participants", "2", "--to", &to]).assert_refused(&["3 to 10"]);
    let unknown = "5e".repeat(32);
    asked(node, &["join", &unknown, "--to", &to]).assert_failed(1, &["no pool"]);
    node.run(&["pool", "reclaim", &unknown]).assert_failed(1, &["in no pool"]);
    node.run(&["pool", "leave", &unknown]).assert_failed(1, &["in no pool"]);
    asked(node, &["create", "--denomination", "0.1", "--to", "nowhere"]).assert_refused(&["--to", "nowhere"]);
    assert_eq!(balance(), before);
    // Who leaves before anything is signed has its coin still, and can register with it again.
    let made = asked(node, &["create", "--denomination", "0.1", "--participants", "3", "--to", &to, "--json"]).json();
    let (pool, coin) = (made["pool"].as_str().unwrap(), made["own_coin"].as_str().unwrap());
    world.mine(1);
    // Who joins is shown the terms first.
    let join = || asked(&world.nodes[1], &["join", pool, "--to", &to]);
    wait_until(|| !join().stderr.contains("no pool"));
    join().assert_refused(&["nobody is there", "--yes"]);
    assert_eq!(node.run(&["pool", "leave", pool]).status, 0);
    node.wait_for("pool-over", &[("pool", pool), ("phase", "aborted")]);
    let again = ["create", "--denomination", "0.1", "--participants", "3", "--to", &to, "--coin", coin, "--json"];
    assert_eq!(asked(node, &again).json()["own_coin"], coin);
}
