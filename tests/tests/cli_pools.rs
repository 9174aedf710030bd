//! Pools that swap coins, by node processes, the command line, and a ledger.
#![cfg(unix)]

mod cli_support;

use std::time::{Duration, Instant};

use cli_support::node::{Node, PATIENCE, until, with_passphrase};
use cli_support::world::World;
use cli_support::{Run, finish};
use nelumbo_chain::ScriptPayload;
use nelumbo_core::crypto::Network;
use nelumbo_core::crypto::lotus::{Address, Payload};
use serde_json::Value;

const EACH: u64 = 100_000;

/// Nodes that may take part in pools, each with money of its own.
fn world(count: usize) -> World {
    let world = World::start_with(count, str::to_owned, "pools = true");
    for node in &world.nodes {
        let address = node.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
        world.fund(&address, 1_000_000);
    }
    world.mine(1);
    world
}

/// Where a node is paid by the pool, and what there is.
fn destination(number: usize) -> Address {
    let payload = Payload::PublicKeyHash([0xd0 + u8::try_from(number).unwrap(); 20]);
    Address { network: Network::Regtest, payload }
}

fn paid(world: &World, number: usize) -> Vec<u64> {
    let Payload::PublicKeyHash(hash) = destination(number).payload else { unreachable!() };
    let script = ScriptPayload::PublicKeyHash(hash);
    world.server.with(|ledger| ledger.unspent(&script).map(|found| found.output.value).collect())
}

fn asked(node: &Node, arguments: &[&str]) -> Run {
    finish(with_passphrase(&mut node.command(&[&["pool"], arguments].concat())))
}

/// The first node creates a pool that the others find and join. Its id.
fn pool(world: &World) -> String {
    let [first, others @ ..] = &world.nodes[..] else { panic!("nodes") };
    let (people, to) = (world.nodes.len().to_string(), destination(0).to_string());
    let create = ["create", "--denomination", "0.1", "--participants", &people, "--to", &to, "--json"];
    let made = asked(first, &create).json();
    let pool = made["pool"].as_str().unwrap().to_owned();
    assert_eq!((&made["phase"], &made["denomination"]), (&"registration".into(), &EACH.into()), "{made}");
    world.mine(1);
    for (number, node) in others.iter().enumerate() {
        let is_there =
            |list: &Value| list["found"].as_array()?.iter().any(|found| found["pool"] == *pool).then_some(());
        until(|| node.json(&["pool", "list"]), is_there);
        let to = destination(number + 1).to_string();
        let joined = asked(node, &["join", &pool, "--to", &to, "--json"]).json();
        assert_eq!(joined["pool"], pool);
    }
    world.mine(1);
    pool
}

/// Mines, as time does, until a node's pool is in this phase.
#[track_caller]
fn mine_until(world: &World, node: &Node, pool: &str, phases: &[&str]) -> Value {
    let end = Instant::now() + 2 * PATIENCE;
    loop {
        let own = node.json(&["pool", "status"])["own"].clone();
        let found = own.as_array().unwrap().iter().find(|own| own["pool"] == *pool).cloned();
        if let Some(found) = found.filter(|found| phases.contains(&found["phase"].as_str().unwrap())) {
            return found;
        }
        assert!(Instant::now() < end, "waited for {phases:?} in vain: {own}");
        world.mine(1);
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn five_people_swap_coins_and_one_is_killed_on_the_way() {
    let mut world = world(5);
    let pool = pool(&world);
    // One comes back in the middle of everything.
    mine_until(&world, &world.nodes[1], &pool, &["reveal", "settlement", "setup", "setup-confirm"]);
    world.kill(3);
    let others = [0, 1, 2, 3, 4];
    for number in others {
        let status = mine_until(&world, &world.nodes[number], &pool, &["complete"]);
        assert!(status["settlement"].is_string() && status["taking_part"] == 5, "{status}");
    }
    for number in others {
        assert_eq!(paid(&world, number), [EACH], "each gets one coin");
    }
    let told = world.nodes[2].run(&["pool", "status"]).stdout;
    assert!(told.contains("complete") && told.contains("0.1 XPI") && told.contains("it is over"), "{told}");
    // A hundred blocks later nobody looks after it any more.
    world.mine(101);
    world.nodes[0].wait_for("pool-over", &[("pool", &pool), ("phase", "complete")]);
    assert_eq!(world.nodes[0].json(&["pool", "status"])["own"], serde_json::json!([]));
}

#[test]
fn who_vanishes_once_everything_is_signed_keeps_nobody_from_their_money() {
    let mut world = world(3);
    let pool = pool(&world);
    mine_until(&world, &world.nodes[2], &pool, &["setup-confirm", "settlement-confirm", "complete"]);
    world.nodes[2].kill();
    for number in [0, 1] {
        mine_until(&world, &world.nodes[number], &pool, &["complete"]);
    }
    for number in 0..3 {
        assert_eq!(paid(&world, number), [EACH], "each gets one coin, whoever vanished too");
    }
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
    let to = destination(0).to_string();
    asked(node, &["create", "--denomination", "0.5", "--to", &to]).assert_refused(&["500000", "denomination"]);
    asked(node, &["create", "--denomination", "1", "--participants", "2", "--to", &to]).assert_refused(&["3 to 10"]);
    let unknown = "5e".repeat(32);
    asked(node, &["join", &unknown, "--to", &to]).assert_failed(1, &["no pool"]);
    node.run(&["pool", "leave", &unknown]).assert_failed(1, &["in no pool"]);
    asked(node, &["create", "--denomination", "0.1", "--to", "nowhere"]).assert_refused(&["--to", "nowhere"]);
    assert_eq!(balance(), before);
    // Who leaves before anything is signed has its coin still, and can register with it again.
    let made = asked(node, &["create", "--denomination", "0.1", "--participants", "3", "--to", &to, "--json"]).json();
    let (pool, coin) = (made["pool"].as_str().unwrap(), made["own_coin"].as_str().unwrap());
    world.mine(1);
    assert_eq!(node.run(&["pool", "leave", pool]).status, 0);
    node.wait_for("pool-over", &[("pool", pool), ("phase", "aborted")]);
    let again = ["create", "--denomination", "0.1", "--participants", "3", "--to", &to, "--coin", coin, "--json"];
    assert_eq!(asked(node, &again).json()["own_coin"], coin);
}
