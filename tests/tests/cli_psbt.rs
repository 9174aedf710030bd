//! Bitcoin from the command line: nodes as processes sign PSBTs, over the network and by files, and the consensus
//! library of Bitcoin Core judges what comes of it.
#![cfg(unix)]

mod bitcoin_support;
mod cli_support;

use std::fs;
use std::path::{Path, PathBuf};

use bitcoin_support::{judge, wallet};
use cli_support::node::Node;
use nelumbo_chain::psbt::Psbt;
use serde_json::Value;
use tempfile::TempDir;

/// Nodes that hold money together.
struct World {
    nodes: Vec<Node>,
    address: String,
    folder: TempDir,
}

impl World {
    /// Nodes with a group; connected with each other if they sign over the network.
    fn start(count: usize, connected: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut nodes, mut first) = (Vec::<Node>::new(), String::new());
        for number in 0..count {
            let bootstrap = if first.is_empty() || !connected { vec![] } else { vec!["--bootstrap", first.as_str()] };
            let mut node = Node::init(&folder.path().join(number.to_string()), &bootstrap);
            let address = node.start();
            if number == 0 {
                first = address;
            }
            nodes.push(node);
        }
        if connected {
            for node in &nodes {
                let others = nodes.iter().filter(|other| other.key != node.key).map(|other| other.key.as_str());
                node.wait_for_signers(&others.collect::<Vec<_>>());
            }
        }
        let keys: Vec<&str> = nodes[1..].iter().map(|node| node.key.as_str()).collect();
        let made = nodes[0].json(&[&["group", "create", "savings", "--suite", "bip340"], &keys[..]].concat());
        let file = folder.path().join("savings.json");
        fs::write(&file, nodes[0].run(&["group", "export", "savings"]).stdout).unwrap();
        for node in &nodes[1..] {
            assert_eq!(node.run(&["group", "import", file.to_str().unwrap(), "--yes"]).status, 0);
        }
        Self { nodes, address: made["address"].as_str().unwrap().to_owned(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A PSBT of a wallet that has three outputs of the group pay somebody.
    fn pay(&self, name: &str, paid: u64) -> (String, Psbt) {
        let (path, psbt) = (self.path(name), wallet(&self.address, &[50_000, 60_000, 70_000], paid));
        fs::write(&path, psbt.to_base64()).unwrap();
        (path.to_str().unwrap().to_owned(), psbt)
    }

    /// Has a node do something to PSBTs, which goes to a file. What it says, and the file.
    fn step(&self, node: usize, what: &[&str], files: &[&str], out: &str) -> (Value, String) {
        let out = self.path(out).to_str().unwrap().to_owned();
        let said = self.nodes[node].json(&[&["psbt"], what, files, &["--out", &out, "--group", "savings"]].concat());
        (said, out)
    }
}

fn read(path: impl AsRef<Path>) -> Psbt {
    Psbt::read(&fs::read(path).unwrap()).unwrap()
}

fn assert_final(transaction: &str, psbt: &Psbt) {
    let bytes = hex::decode(transaction.trim()).expect("hexadecimal");
    assert_eq!(judge(&bytes, &psbt.spent().expect("three outputs")), Ok(()));
}

#[test]
fn a_session_of_the_network_signs_all_inputs_of_a_psbt() {
    let world = World::start(3, true);
    let (pay, psbt) = world.pay("pay.psbt", 170_000);
    let [first, others @ ..] = &world.nodes[..] else { panic!("nodes") };
    // It does not say whose keys are behind what it spends.
    first.run(&["request", "--psbt", &pay]).assert_refused(&["signs no input", "--group"]);
    let shown = first.json(&["psbt", "show", &pay, "--group", "savings"]);
    let asked = first.json(&["request", "--psbt", &pay, "--group", "savings", "--description", "rent"]);
    let session = asked["session"].as_str().unwrap();
    for node in others {
        node.wait_for("session-announced", &[("session", session)]);
        let summary = node.json(&["sessions", "show", session])["summary"].clone();
        let transaction = &summary["signs"]["transaction"];
        assert_eq!(transaction, &shown["summary"]["signs"]["transaction"], "the same account by file and by network");
        assert_eq!(
            (&transaction["fee"], &transaction["signed"][0]["sighash"]["name"]),
            (&1_000.into(), &"DEFAULT".into())
        );
        assert_eq!(transaction["signed"][0]["inputs"].as_array().unwrap().len(), 3);
        assert_eq!((&transaction["from_group"], &transaction["to_group"]), (&180_000.into(), &9_000.into()));
        assert_eq!(node.run(&["approve", session]).status, 0);
    }
    for node in &world.nodes {
        node.wait_for("session-completed", &[("session", session)]);
        assert_final(&node.run(&["finalize", session]).stdout, &psbt);
        let finalized = node.json(&["psbt", "finalize", &pay, "--group", "savings", "--session", session]);
        assert_final(finalized["transaction"].as_str().unwrap(), &psbt);
        assert_eq!(finalized["txid"], node.json(&["finalize", session])["txid"]);
    }
    // The wallet gets its PSBT back, signed, also from one who only has the session.
    let out = world.path("signed.psbt");
    let taken = first.json(&["psbt", "import", &pay, "--session", session, "--out", out.to_str().unwrap()]);
    assert_eq!(taken["signed"], 3);
    assert!(read(&out).finalize().is_ok());
    let (other, _) = world.pay("other.psbt", 1_000);
    let wrong = first.run(&["psbt", "finalize", &other, "--group", "savings", "--session", session]);
    wrong.assert_failed(1, &["signed something else"]);
    first.run(&["psbt", "finalize", &other, "--group", "savings"]).assert_failed(1, &["not signed yet"]);
}

#[test]
fn signers_without_a_network_pass_files_and_one_that_is_killed_begins_anew() {
    let mut world = World::start(3, false);
    let (pay, psbt) = world.pay("pay.psbt", 170_000);
    let paths = |steps: &[(Value, String)]| steps.iter().map(|(_, path)| path.clone()).collect::<Vec<_>>();
    let export = |world: &World, node: usize, more: &[&str]| {
        world.step(node, &[&["export"], more].concat(), &[&pay], &format!("{node}.psbt"))
    };
    world.nodes[0].run(&["psbt", "import", &pay, "--group", "savings"]).assert_failed(1, &["not been approved"]);
    let nonces: Vec<_> = (0..3).map(|node| export(&world, node, &[])).collect();
    for (said, _) in &nonces {
        assert_eq!(
            (&said["stage"], &said["attempt"], &said["session"]),
            (&"nonces".into(), &1.into(), &nonces[0].0["session"])
        );
        assert_eq!(said["waits_for"].as_array().unwrap().len(), 2);
    }
    let approvals = fs::read_to_string(world.nodes[0].folder.join("approvals.jsonl")).unwrap();
    assert!(approvals.contains("file-session-approved") && approvals.contains("170000"), "{approvals}");

    // The nonces of the first one die with its process; what it had given is worth nothing.
    world.nodes[0].kill();
    world.nodes[0].start();
    let files = paths(&nonces);
    let all: Vec<&str> = files.iter().map(String::as_str).collect();
    world.nodes[0].run(&[&["psbt", "import"], &all[..]].concat()).assert_failed(1, &["restarted", "--anew"]);
    // The others had not heard of it, and have signed for nothing; so they begin anew as well.
    let (signed, _) = world.step(1, &["import"], &all, "1-2.psbt");
    assert_eq!(signed["stage"], "partials");
    let again: Vec<_> = (0..3).map(|node| export(&world, node, &["--anew"])).collect();
    assert!(again.iter().all(|(said, _)| said["attempt"] == 2), "{again:?}");
    let old = world.nodes[2].run(&["psbt", "import", world.path("1-2.psbt").to_str().unwrap()]);
    old.assert_failed(1, &["two different values", "--anew"]);

    let files = paths(&again);
    let all: Vec<&str> = files.iter().map(String::as_str).collect();
    let partials: Vec<_> = (0..3).map(|node| world.step(node, &["import"], &all, &format!("{node}-2.psbt"))).collect();
    let files = paths(&partials);
    let all: Vec<&str> = files.iter().map(String::as_str).collect();
    // Needs no node.
    world.nodes.iter_mut().for_each(Node::kill);
    let transaction = world.nodes[0].run(&[&["psbt", "finalize"], &all[..]].concat()).stdout;
    assert_final(&transaction, &psbt);
    let records = fs::read_to_string(world.nodes[0].folder.join("file-sessions.jsonl")).unwrap();
    let count = |step: &str| records.matches(step).count();
    assert_eq!((count("begun"), count("spent")), (2, 1), "{records}");
    // Two that contradict each other are never one.
    let mut forged = read(&files[0]);
    let task = forged.tasks().unwrap().remove(0);
    forged.begin_anew(&task);
    let nonce = read(&files[1]).nonces(&task)[1].unwrap();
    forged.add_nonce(&task, task.keys.keys()[0], &nonce).unwrap();
    let path = world.path("forged.psbt");
    fs::write(&path, forged.to_base64()).unwrap();
    let refused = world.nodes[0].run(&["psbt", "finalize", &files[0], path.to_str().unwrap()]);
    refused.assert_failed(1, &["two different values"]);
}
