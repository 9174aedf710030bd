//! Contacts, groups and payments: nodes as processes and a ledger behind the endpoints of Chronik, driven by nothing
//! but the command line.
#![cfg(unix)]

mod cli_support;

use std::cell::OnceCell;
use std::fs;

use cli_support::node::{Node, with_passphrase};
use cli_support::proxy::Proxy;
use cli_support::world::{BOB, World, bob};
use cli_support::{finish, nelumbo};
use nelumbo_chain::build::burn_key;
use nelumbo_chain::ledger::{Ledger, Operation, Orphans, Server, Settings};
use nelumbo_core::crypto::lotus::{Address, OutPoint, Transaction, TxInput, TxOutput, p2pkh_script};
use serde_json::{Value, json};

#[test]
fn a_group_pays_and_every_member_sees_it_confirmed() {
    let world = World::start(5);
    let address = world.group(&[]);
    assert_eq!(world.nodes[1].run(&["receive", "family"]).stdout.trim(), address);
    for value in [20_000_000, 30_000_000, 40_000_000] {
        world.fund(&address, value);
    }
    let balance = |node: &Node| node.json(&["balance", "family"]);
    assert_eq!(balance(&world.nodes[2])["spendable"], 90_000_000);

    let to = format!("{}=75.5", bob());
    let asked = world.nodes[0].json(&["spend", "family", "--to", &to, "--description", "rent"]);
    let session = asked["session"].as_str().unwrap();
    assert_eq!(asked["inputs"], 3, "all of them are needed");
    for node in &world.nodes[1..] {
        node.wait_for("session-announced", &[("session", session)]);
        let shown = node.json(&["sessions", "show", session]);
        let outputs = shown["summary"]["signs"]["transaction"]["outputs"].to_string();
        assert!(outputs.contains("75500000") && outputs.contains(&bob()), "{shown}");
        // It is the only one that waits of the group.
        assert_eq!(node.run(&["approve", "family"]).status, 0);
    }
    world.nodes[1].run(&["approve", "family"]).assert_failed(1, &["no request of the group family waits"]);
    // Nobody is told to broadcast: one of the nodes does.
    for node in &world.nodes {
        let seen = node.wait_for("payment-seen", &[("session", session)]);
        assert_eq!(seen["txid"], asked["txid"]);
    }
    let sent = |node: &Node| node.run(&["events", "--json"]).stdout.matches("payment-broadcast").count();
    assert_eq!(world.nodes.iter().map(sent).sum::<usize>(), 1);
    world.mine(1);
    for node in &world.nodes {
        node.wait_for("payment-confirmed", &[("session", session)]);
        let show = node.json(&["sessions", "show", session]);
        assert_eq!(show["coordinator"], Value::Null, "nobody's turn is left");
        assert_eq!(show["final_transaction"]["txid"], asked["txid"]);
        let fee = asked["fee"].as_u64().unwrap();
        assert_eq!(balance(node)["spendable"], 90_000_000 - 75_500_000 - fee);
    }
    let history = world.nodes[1].json(&["history", "family"]);
    assert_eq!(history["transactions"].as_array().unwrap().len(), 4);
    let fee = i64::try_from(asked["fee"].as_u64().unwrap()).unwrap();
    assert_eq!(history["transactions"][0]["change"], -75_500_000 - fee);
    let script = p2pkh_script(&BOB);
    let final_transaction = world.nodes[0].run(&["finalize", session]).stdout;
    assert!(final_transaction.contains(&hex::encode(script)), "{final_transaction}");

    // A block is replaced, and the payment has to wait again: it is told, and comes back.
    let script = Ledger::faucet_script();
    let (time, orphans) = (world.server.time(), Orphans::Pending);
    world.server.apply(Operation::Reorganise { time, depth: 1, orphans, script }).unwrap();
    assert_eq!(balance(&world.nodes[0])["unconfirmed"], 90_000_000 - 75_500_000 - asked["fee"].as_u64().unwrap());
    world.nodes[4].wait_for("payment-reorganised", &[("session", session)]);
    world.mine(1);
    let after = world.nodes[4].newest();
    world.nodes[4].wait_for_after(after, "payment-confirmed", &[("session", session)]);
}

#[test]
fn what_nodes_do_not_take_is_told_with_advice() {
    let world = World::start(2);
    let address = world.group(&[]);
    let [first, other] = [20_000_000, 30_000_000].map(|value| world.fund(&address, value));
    // Told by the node whose turn it is, once both have approved.
    let signed = |session: &str| {
        world.nodes[1].wait_for("session-announced", &[("session", session)]);
        assert_eq!(world.nodes[1].run(&["approve", session]).status, 0);
    };
    let rejected = |session: &str| {
        let is_coordinator = |node: &&Node| {
            assert_eq!(node.run(&["sessions", "wait", session]).status, 0);
            node.json(&["sessions", "show", session])["coordinator"] == node.key.as_str()
        };
        world.nodes.iter().find(is_coordinator).unwrap().wait_for("payment-rejected", &[("session", session)])
    };
    let pay = |amount: &str| {
        let to = format!("{}={amount}", bob());
        world.nodes[0].json(&["spend", "family", "--to", &to, "--from", &first])["session"].as_str().unwrap().to_owned()
    };
    // Two payments of one coin.
    let [one, two] = ["10", "11"].map(pay);
    world.nodes[1].wait_for("session-announced", &[("session", &two)]);
    world.nodes[1].run(&["approve", "family"]).assert_failed(1, &["2 requests of the group family wait", &one, &two]);
    signed(&one);
    world.nodes.iter().for_each(|node| drop(node.wait_for("payment-seen", &[("session", &one)])));
    signed(&two);
    let told = rejected(&two);
    let text = |told: &Value, field: &str| told[field].as_str().unwrap().to_owned();
    assert!(text(&told, "reason").contains("txn-mempool-conflict"), "{told}");
    assert!(!text(&told, "advice").is_empty());

    // A transaction of somebody's own that pays too little for its size.
    let (txid, index) = other.split_once(':').unwrap();
    let outpoint = OutPoint { txid: txid.parse().unwrap(), index: index.parse().unwrap() };
    let own = address.parse::<Address>().unwrap().script_pubkey();
    let transaction = Transaction {
        version: 2,
        inputs: vec![TxInput { outpoint, script_sig: Vec::new(), sequence: u32::MAX }],
        outputs: vec![TxOutput { value: 30_000_000 - 9, script_pubkey: p2pkh_script(&BOB).to_vec() }],
        lock_time: 0,
    };
    let file = world.folder.path().join("cheap.json").to_str().unwrap().to_owned();
    let spent = json!([{ "value": 30_000_000, "script": hex::encode(own) }]);
    fs::write(
        &file,
        json!({ "transaction": hex::encode(transaction.to_bytes()), "spent": spent, "sighash_type": 0x61 }).to_string(),
    )
    .unwrap();
    let asked = world.nodes[0].json(&["create", "--group", "family", "--transaction", &file]);
    let session = asked["session"].as_str().unwrap();
    signed(session);
    let told = rejected(session);
    assert!(text(&told, "reason").contains("min relay fee not met"), "{told}");
    assert!(text(&told, "advice").contains("fee"), "{told}");
}

/// The network's upgrade comes while a node runs: payments are signed for the other digest from then on.
#[test]
fn payments_follow_the_date_of_replay_protection() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut settings = Settings::default();
    let moment = 4_000_000_000;
    settings.rules.replay_protection = Some(moment);
    let server = runtime.block_on(Server::start(settings)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let config = node.folder.join("config.toml");
    let plain = fs::read_to_string(&config).unwrap();
    let set = |protection: &str| {
        let chain = format!("chain = {{ servers = [\"{}\"], replay-protection = {protection} }}", server.url());
        fs::write(&config, format!("{plain}\n{chain}\n")).unwrap();
    };
    let send = || {
        let to = format!("{}=1", bob());
        finish(with_passphrase(&mut node.command(&["wallet", "send", "--to", &to, "--json"])))
    };
    set("4_000_000_000");
    let address = node.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
    let script = address.parse::<Address>().unwrap().script_pubkey();
    server.apply(Operation::Fund { time: server.time(), script, value: 20_000_000 }).unwrap();
    assert_eq!(send().status, 0, "before it");
    set("true");
    send().assert_failed(1, &["mandatory-script-verify-flag-failed"]);
    // Eleven blocks whose median time is the moment.
    let mine = |time, count| {
        server.apply(Operation::Mine { time, count, script: Ledger::faucet_script() }).unwrap();
    };
    mine(moment, 6);
    assert!(server.with(Ledger::replay_protected));
    set("false");
    send().assert_failed(1, &["mandatory-script-verify-flag-failed"]);
    set("4_000_000_000");
    assert_eq!(send().status, 0, "from it on");
}

#[test]
fn a_server_that_says_nothing_of_one_payment_delays_no_other() {
    let proxy = OnceCell::new();
    let world = World::start_behind(2, |url| proxy.get_or_init(|| Proxy::start(url)).url.clone());
    let proxy = proxy.get().unwrap();
    let address = world.group(&[]);
    let coins = [20_000_000, 30_000_000].map(|value| world.fund(&address, value));
    let pay = |coin: &String| {
        let asked = world.nodes[0].json(&["spend", "family", "--to", &format!("{}=10", bob()), "--from", coin]);
        ["session", "txid"].map(|field| asked[field].as_str().unwrap().to_owned())
    };
    let [[held, held_txid], [other, other_txid]] = coins.each_ref().map(pay);
    proxy.hold(&format!("/tx/{held_txid}"));
    for session in [&held, &other] {
        world.nodes[1].wait_for("session-announced", &[("session", session)]);
        assert_eq!(world.nodes[1].run(&["approve", session]).status, 0);
    }
    for node in &world.nodes {
        node.wait_for("payment-seen", &[("session", &other)]);
    }
    // Asked one after the other, the first would have been given up before.
    assert!(proxy.was_asked_meanwhile(&format!("/tx/{other_txid}")));
}

#[test]
fn who_is_named_recovers_what_a_member_has_left_behind() {
    let mut world = World::start(5);
    let address = world.group(&["--recovery", "member-1", "--delay", "5"]);
    world.fund(&address, 50_000_000);
    // A member has vanished: what is asked of all is never signed.
    world.nodes[4].kill();
    let asked = world.nodes[0].json(&["spend", "family", "--to", &format!("{}=1", bob())]);
    let session = asked["session"].as_str().unwrap();
    for node in &world.nodes[1..4] {
        node.wait_for("session-announced", &[("session", session)]);
        assert_eq!(node.run(&["approve", session]).status, 0);
    }
    let recover = |node: &Node| {
        let bob = bob();
        let mut command = node.command(&["recover", "family", "--to", &bob, "--json"]);
        finish(with_passphrase(&mut command))
    };
    recover(&world.nodes[0]).assert_refused(&["only", &world.nodes[1].key]);
    let early = recover(&world.nodes[1]);
    early.assert_failed(1, &["its time has not come"]);
    world.mine(5);
    let txid = recover(&world.nodes[1]).json()["txid"].as_str().unwrap().to_owned();
    world.mine(1);
    let txid = txid.parse().unwrap();
    assert!(world.server.with(|ledger| ledger.transaction(&txid).unwrap().height.is_some()));
    assert_eq!(world.nodes[0].json(&["balance", "family"])["total"], 0);
    assert_eq!(world.nodes[0].json(&["sessions", "show", session])["signatures"], json!([]));
}

#[test]
fn the_key_of_a_node_pays_and_burns_alone() {
    let world = World::start(1);
    let node = &world.nodes[0];
    let address = node.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
    let send = |arguments: &[&str]| {
        finish(with_passphrase(&mut node.command(&[&["wallet", "send"], arguments, &["--json"]].concat())))
    };
    let to = format!("{}=2.5", bob());
    send(&["--to", &to]).assert_failed(1, &["wallet address"]);
    world.fund(&address, 100_000_000);
    assert_eq!(node.json(&["wallet", "balance"])["spendable"], 100_000_000);
    let sent = send(&["--to", &to, "--burn", "50", "--fee-rate", "2"]).json();
    let fee = sent["fee"].as_u64().unwrap();
    assert_eq!(fee, 2 * sent["size"].as_u64().unwrap());
    world.mine(1);
    assert_eq!(node.json(&["wallet", "balance"])["spendable"], 100_000_000 - 52_500_000 - fee);
    let txid = sent["txid"].as_str().unwrap().parse().unwrap();
    let outputs = world.server.with(|ledger| ledger.transaction(&txid).unwrap().transaction.outputs.clone());
    let burned = outputs.iter().find(|output| burn_key(&output.script_pubkey).is_some()).expect("a burn");
    assert_eq!((burned.value, burn_key(&burned.script_pubkey).unwrap().to_string()), (50_000_000, node.key.clone()));
}

#[test]
fn what_no_group_can_do_is_said_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let other = nelumbo(&["key", "aggregate", "--json", &node.key, &node.key]);
    assert_ne!(other.status, 0);
    let key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    assert_eq!(node.run(&["contact", "add", "bob", key]).status, 0);
    node.run(&["contact", "add", "bob", key]).assert_refused(&["bob already"]);
    node.run(&["contact", "add", "robert", key]).assert_refused(&["bob already"]);
    node.run(&["contact", "add", "1st", key]).assert_refused(&["begins with a letter"]);
    assert_eq!(node.json(&["contact", "list"])["contacts"]["bob"], key);
    assert_names_of_contacts_are_taken_as_keys(&node, key);
    node.run(&["group", "create", "bob", "bob"]).assert_refused(&["contact called bob"]);
    node.run(&["group", "create", "ours", "carol"]).assert_refused(&["no contact called carol"]);
    assert_eq!(node.run(&["group", "create", "ours", "bob"]).status, 0);
    node.run(&["balance", "ours"]).assert_refused(&["no server is set", "chain"]);
    node.run(&["spend", "ours", "--to", "lotus=1"]).assert_refused(&["--to"]);
    node.run(&["receive", "theirs"]).assert_refused(&["no group called theirs"]);
    assert_eq!(node.run(&["group", "create", "bitcoin", "bob", "--suite", "bip340"]).status, 0);
    assert!(node.run(&["receive", "bitcoin"]).stdout.starts_with("bcrt1p"));
    let shown = node.json(&["group", "show", "bitcoin"]);
    let descriptor = shown["descriptor"].as_str().unwrap();
    let again = node.json(&["group", "create", "again", "--descriptor", descriptor]);
    assert_eq!((&again["id"], &again["address"]), (&shown["id"], &shown["address"]));
    let altered = descriptor.replacen('2', "3", 1);
    node.run(&["group", "create", "third", "--descriptor", &altered]).assert_refused(&["checksum"]);
    let foreign = format!("tr(musig({key},{key}))");
    node.run(&["group", "create", "third", "--descriptor", &foreign]).assert_refused(&["twice"]);
    node.run(&["balance", "bitcoin"]).assert_refused(&["on Bitcoin"]);
    // An altered file is not imported, and a sound one not without a yes.
    let text = node.run(&["group", "export", "ours"]).stdout;
    let file = folder.path().join("group.json");
    fs::write(&file, text.replace("regtest", "testnet")).unwrap();
    node.run(&["group", "import", file.to_str().unwrap(), "--yes"]).assert_refused(&["altered"]);
    fs::write(&file, text).unwrap();
    let unasked = node.run(&["group", "import", file.to_str().unwrap(), "--as", "again"]);
    assert_eq!(unasked.status, 2, "{}", unasked.stderr);
    assert_eq!(node.run(&["contact", "remove", "bob"]).status, 0);
    node.run(&["contact", "remove", "bob"]).assert_refused(&["no contact called bob"]);
    fs::write(node.folder.join("contacts.toml"), "[contacts]\nbob = 7\n").unwrap();
    node.run(&["contact", "list"]).assert_refused(&["contacts.toml"]);
}

/// Where no node is needed either, and what is asked needs no key of its own.
fn assert_names_of_contacts_are_taken_as_keys(node: &Node, bob: &str) {
    for command in [&["key", "aggregate"][..], &["elect"]] {
        let by = |who| node.json(&[command, &[node.key.as_str(), who]].concat());
        assert_eq!(by("bob"), by(bob), "{command:?}");
        node.run(&[command, &["carol"]].concat()).assert_refused(&["no contact called carol", "contact add"]);
    }
    let message = "00".repeat(32);
    let signature = "00".repeat(64);
    let verify = |who| node.run(&["verify", "--key", who, "--message", &message, "--signature", &signature]);
    assert_eq!((verify("bob").status, verify("bob").stdout), (1, "invalid\n".to_owned()));
    verify("carol").assert_refused(&["no contact called carol"]);
}
