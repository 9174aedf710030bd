//! Money and crashes: nodes as processes are killed at every step between a request and the confirmation of what it
//! pays. Nothing is lost, and nothing is broadcast that contradicts something else.
#![cfg(unix)]

mod bitcoin_support;
mod cli_support;

use std::collections::BTreeSet;
use std::fs;

use bitcoin_support::{judge, wallet};
use cli_support::node::Node;
use cli_support::world::{BOB, World, bob};
use nelumbo_core::crypto::lotus::p2pkh_script;

/// When a node is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The one that asks, as soon as it has asked.
    Asked,
    /// One that approves, as soon as it has approved.
    Approved,
    /// The last one that approves, as soon as it has: nonces and partial signatures are on their way.
    AllApproved,
    /// Each of them, as soon as it has the signatures.
    Signed,
    /// All of them, when the servers have the payment.
    Seen,
    /// All of them, when it is in a block.
    Mined,
}

impl World {
    /// Has the other nodes approve a session, killing at the moment.
    fn approve(&mut self, session: &str, moment: Moment) {
        if moment == Moment::Asked {
            self.kill(0);
        }
        for node in 1..self.nodes.len() {
            self.nodes[node].wait_for("session-announced", &[("session", session)]);
            assert_eq!(self.nodes[node].run(&["approve", session]).status, 0);
            let is_last = node + 1 == self.nodes.len();
            if moment == Moment::Approved && node == 1 || moment == Moment::AllApproved && is_last {
                self.kill(node);
            }
        }
        for node in 0..self.nodes.len() {
            complete(&self.nodes[node], session);
            if moment == Moment::Signed {
                self.kill(node);
            }
        }
    }
}

/// Waits until a node has the signatures, which may have been before it was killed.
fn complete(node: &Node, session: &str) {
    let waited = node.run(&["sessions", "wait", session, "--timeout", "120"]);
    assert_eq!(waited.status, 0, "{}", waited.stderr);
}

#[test]
fn a_payment_survives_the_death_of_every_node_at_every_step() {
    let mut world = World::start(3);
    let address = world.group(&[]);
    let moments = [Moment::Asked, Moment::Approved, Moment::AllApproved, Moment::Signed, Moment::Seen, Moment::Mined];
    let mut paid = BTreeSet::new();
    for (round, moment) in (1..).zip(moments) {
        // One coin a round, and the change of the round before.
        world.fund(&address, 20_000_000);
        let asked = world.nodes[0].json(&["spend", "family", "--to", &format!("{}=10", bob())]);
        let (session, txid) = (asked["session"].as_str().unwrap(), asked["txid"].as_str().unwrap());
        world.approve(session, moment);
        for node in 0..3 {
            world.nodes[node].wait_for("payment-seen", &[("session", session)]);
        }
        if moment == Moment::Seen {
            (0..3).for_each(|node| world.kill(node));
        }
        world.mine(1);
        if moment == Moment::Mined {
            (0..3).for_each(|node| world.kill(node));
        }
        for node in &world.nodes {
            let confirmed = node.wait_for("payment-confirmed", &[("session", session)]);
            assert_eq!(confirmed["txid"], txid, "{moment:?}");
            let events = node.run(&["events", "--json"]).stdout;
            assert!(!events.contains("payment-rejected"), "{moment:?}: {events}");
        }
        paid.insert(txid.to_owned());
        // What the chain has is one payment a round, and nothing that the group did not ask for.
        let history = world.nodes[0].json(&["history", "family"]);
        let spends = history["transactions"].as_array().unwrap().iter();
        let spends = spends.filter(|transaction| transaction["change"].as_i64().unwrap() < 0);
        let spends: BTreeSet<String> =
            spends.map(|transaction| transaction["txid"].as_str().unwrap().to_owned()).collect();
        assert_eq!((&spends, paid.len()), (&paid, round), "{moment:?}");
        let script = p2pkh_script(&BOB);
        let to_bob = world.server.with(|ledger| {
            let blocks = (0..=ledger.height()).filter_map(|height| ledger.block(height));
            let outputs = blocks.flat_map(|block| &block.transactions).flat_map(|transaction| &transaction.outputs);
            outputs.filter(|output| output.script_pubkey == script).map(|output| output.value).sum::<u64>()
        });
        assert_eq!(to_bob, 10_000_000 * round as u64, "{moment:?}");
    }
}

#[test]
fn a_psbt_is_signed_once_whoever_dies() {
    let mut world = World::start(3);
    let address = world.group(&["--suite", "bip340"]);
    let mut paid = 100_000;
    for moment in [Moment::Asked, Moment::Approved, Moment::AllApproved, Moment::Signed] {
        paid += 1_000;
        let psbt = wallet(&address, &[70_000, 80_000], paid);
        let file = world.folder.path().join("pay.psbt");
        fs::write(&file, psbt.to_base64()).unwrap();
        let asked = world.nodes[0].json(&["request", "--psbt", file.to_str().unwrap(), "--group", "family"]);
        let session = asked["session"].as_str().unwrap();
        world.approve(session, moment);
        let finals: BTreeSet<String> =
            world.nodes.iter().map(|node| node.run(&["finalize", session]).stdout.trim().to_owned()).collect();
        assert_eq!(finals.len(), 1, "{moment:?}: everybody has the same");
        let transaction = hex::decode(finals.first().unwrap()).expect("hexadecimal");
        assert_eq!(judge(&transaction, &psbt.spent().unwrap()), Ok(()), "{moment:?}");
    }
}
