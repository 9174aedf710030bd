//! The demonstration: real nodes, each transport, each suite, in one process and in many; and how it ends when it
//! cannot go on. Every result is judged by something that took no part in it.

mod bitcoin_support;
mod cli_support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{Run, command, fields, finish, nelumbo};
use nelumbo_chain::psbt::Psbt;
use nelumbo_core::crypto::sha256;
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is not a text in {value}"))
}

fn time(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} is not a number in {value}"))
}

fn demo(arguments: &[&str]) -> Value {
    nelumbo(&[&["demo", "--json"], arguments].concat()).json()
}

#[test]
fn a_pool_swaps_coins_and_whoever_vanishes_costs_nobody_its_money() {
    let fates = |demo: &Value| ["completed", "refunded", "lost"].map(|field| demo[field].as_u64().expect("a number"));
    let whole = demo(&["--swap", "--participants", "4"]);
    let transactions = whole["txids"].as_array().expect("a list").len();
    assert_eq!((fates(&whole), transactions), ([4, 0, 0], 5), "four setups, and one for all");
    for (phase, expected) in [("reveal", [0, 3, 0]), ("settlement", [0, 3, 0]), ("setup", [3, 0, 0])] {
        let demo = demo(&["--swap", "--participants", "4", "--vanish", phase]);
        assert_eq!((fates(&demo), text(&demo, "vanished")), (expected, phase));
    }
}

/// Checks the object and asks others about what it claims: our other commands, and for BIP340 libsecp256k1.
fn judge(demo: &Value, suite: &str, transport: &str, signers: usize) {
    let keys: Vec<&str> =
        demo["public_keys"].as_array().expect("a list").iter().map(|key| key.as_str().expect("a text")).collect();
    assert!(keys.is_sorted() && keys.len() == signers, "{demo}");
    assert_eq!((text(demo, "suite"), text(demo, "transport")), (suite, transport));
    assert_eq!((demo["signers"].as_u64(), &demo["verified"]), (Some(signers as u64), &Value::Bool(true)));

    let [key, message, signature] = ["aggregate_key", "message", "signature"].map(|field| text(demo, field));
    let verify = ["verify", "--suite", suite, "--key", key, "--message", message, "--signature", signature];
    assert_eq!(nelumbo(&verify).status, 0);
    let aggregate = ["key", "aggregate", "--suite", suite, "--network", "regtest", "--json"];
    let aggregated = nelumbo(&[&aggregate[..], &keys].concat()).json();
    assert_eq!((&aggregated["aggregate_key"], &aggregated["address"]), (&demo["aggregate_key"], &demo["address"]));
    let elected = nelumbo(&[&["elect", "--json"][..], &keys].concat()).json();
    assert_eq!(elected["coordinator"], demo["coordinator"]);
    if suite == "bip340" {
        let theirs: Vec<secp256k1::PublicKey> = keys.iter().map(|key| key.parse().expect("a key")).collect();
        let theirs = secp256k1::musig::KeyAggCache::new(&theirs.iter().collect::<Vec<_>>()).agg_pk();
        assert_eq!(hex::encode(theirs.to_byte_array()), key[2..]);
        let signature =
            secp256k1::schnorr::Signature::from_byte_array(hex::decode(signature).unwrap().try_into().unwrap());
        secp256k1::schnorr::verify(&signature, &hex::decode(message).unwrap(), &theirs)
            .expect("libsecp256k1 accepts it");
    }

    let phases = &demo["phases_ms"];
    let parts = ["start", "discovery", "nonce_exchange", "partial_signatures"].map(|phase| time(phases, phase));
    let repeats = ["repeats", "failover"].iter().filter(|phase| phases.get(**phase).is_some());
    let repeats: f64 = repeats.map(|phase| time(phases, phase)).sum();
    assert!(parts.iter().all(|part| *part >= 0.0), "{phases}");
    let sum = parts.iter().sum::<f64>() + repeats;
    // What lies between discovery and the command belongs to no phase.
    assert!(sum > 0.0 && sum <= time(demo, "elapsed_ms") + 0.1, "{demo}");
}

const FIELDS: [&str; 16] = [
    "address",
    "aggregate_key",
    "coordinator",
    "elapsed_ms",
    "items",
    "message",
    "phases_ms",
    "processes",
    "public_keys",
    "rss_mib",
    "signature",
    "signatures",
    "signers",
    "suite",
    "transport",
    "verified",
];

#[test]
fn three_nodes_in_one_process_sign_over_every_transport_in_both_suites() {
    for suite in ["lotus", "bip340"] {
        for transport in ["tcp", "quic", "ws"] {
            let demo = demo(&["--suite", suite, "--transport", transport]);
            judge(&demo, suite, transport, 3);
            assert_eq!(fields(&demo), FIELDS);
            assert_eq!((&demo["processes"], &demo["rss_mib"]), (&Value::Bool(false), &Value::Null));
        }
    }
}

#[test]
fn three_processes_sign_one_message_after_another() {
    let demo = demo(&["--processes", "--repeat", "40", "--parallel", "8", "--suite", "bip340", "--message", "c0ffee"]);
    judge(&demo, "bip340", "tcp", 3);
    assert_eq!((text(&demo, "message"), &demo["processes"]), ("c0ffee", &Value::Bool(true)));
    let mut with_sessions = [&FIELDS[..], &["session_ms", "sessions_per_second"]].concat();
    with_sessions.sort_unstable();
    assert_eq!(fields(&demo), with_sessions);
    assert_eq!(fields(&demo["session_ms"]), ["first", "median", "p99"]);
    let [first, median, p99] = ["first", "median", "p99"].map(|rank| time(&demo["session_ms"], rank));
    assert!(0.0 < median && median <= p99 && first <= p99, "{demo}");
    assert!(demo["phases_ms"]["repeats"].is_number());
    assert!(time(&demo, "sessions_per_second") > 0.0, "{demo}");
    if cfg!(target_os = "linux") {
        let resident = time(&demo, "rss_mib");
        assert!(resident > 1.0 && (cfg!(debug_assertions) || resident <= 30.0), "{resident} MiB");
    }
}

#[test]
fn many_messages_are_signed_in_each_session() {
    let demo = demo(&["--items", "40", "--repeat", "2", "--suite", "bip340"]);
    judge(&demo, "bip340", "tcp", 3);
    let signatures: BTreeSet<&str> = demo["signatures"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|signature| signature.as_str().expect("text"))
        .collect();
    assert_eq!((demo["items"].as_u64(), signatures.len()), (Some(40), 40));
    assert_eq!(demo["signatures"][0], demo["signature"]);
    let refused = nelumbo(&["demo", "--signers", "5", "--items", "1000"]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("more than 4096 partial signatures"), "{refused:?}");
}

/// Who has an event of the timeline to tell, of how many signers.
fn witnesses(demo: &Value, event: &str) -> Vec<u64> {
    let timeline = demo["timeline"].as_array().expect("a list").iter();
    timeline.filter(|entry| entry["event"] == event).map(|entry| entry["node"].as_u64().expect("a number")).collect()
}

#[test]
fn coordinators_that_are_killed_are_followed_by_the_next_ones() {
    for (kill, options) in [(1, &["--kill-coordinator"][..]), (4, &["--kill-coordinator", "4", "--processes"])] {
        let demo = demo(&[&["--signers", "5"], options].concat());
        judge(&demo, "lotus", "tcp", 5);
        let keys = demo["public_keys"].as_array().expect("a list");
        // Sorted keys are the order of the turns.
        assert_eq!((&demo["coordinator"], &demo["broadcast_by"]), (&keys[0], &keys[kill]));
        assert_eq!(demo["failovers"].as_u64(), Some(kill as u64));
        let killed = witnesses(&demo, "killed");
        assert_eq!(killed.len(), kill, "{demo}");
        let asked = witnesses(&demo, "should-broadcast");
        assert_eq!((asked.len(), &asked[..kill]), (kill + 1, &killed[..]), "each in its turn, and nobody else");
        assert_eq!(witnesses(&demo, "session-completed").len(), 5);
        let confirmed = witnesses(&demo, "broadcast-claimed");
        assert_eq!(confirmed.len(), 5 - kill, "everyone who is left knows: {demo}");
        assert!(!confirmed.iter().any(|node| killed.contains(node)), "{demo}");
    }
}

#[test]
fn signers_pay_although_their_coordinator_is_killed() {
    let paid = demo(&["--spend", "--processes"]);
    // 4 + 1 + 3 * 107 + 1 + 34 + 45 + 4 bytes, at one satoshi each.
    assert_eq!((&paid["inputs"], &paid["size"], &paid["fee"]), (&json!(3), &json!(410), &json!(410)));
    assert_eq!((&paid["confirmations"], &paid["failovers"]), (&json!(1), &json!(1)));
    assert_eq!(paid["signatures"].as_array().unwrap().len(), 3);
    assert_ne!(paid["broadcast_by"], paid["coordinator"], "that one was killed");
    assert_eq!(text(&paid, "txid").len(), 64);

    let paid = demo(&["--spend", "--suite", "bip340"]);
    // 4 + 1 + 3 * 41 + 1 + 31 + 43 + 4 bytes, and a quarter of 2 + 3 * 66, at two satoshi each.
    assert_eq!((&paid["inputs"], &paid["size"], &paid["fee"]), (&json!(3), &json!(257), &json!(514)));
    assert_eq!((&paid["judged_by"], &paid["failovers"]), (&json!("libbitcoinconsensus"), &json!(1)));
    let psbt = Psbt::read(text(&paid, "psbt").as_bytes()).expect("it is one");
    let signed = psbt.finalize().expect("all inputs are signed");
    assert_eq!(signed.txid.to_string(), text(&paid, "txid"));
    assert_eq!(bitcoin_support::judge(&signed.bytes, &psbt.spent().unwrap()), Ok(()));
    nelumbo(&["demo", "--spend", "--repeat", "2"]).assert_refused(&["--spend", "--repeat"]);
}

#[test]
fn strangers_advertise_find_each_other_and_sign() {
    for (signers, options) in [(5, &[][..]), (3, &["--processes", "--suite", "bip340"])] {
        let demo = demo(&[&["--discover", "--signers", &signers.to_string()], options].concat());
        let suite = if signers == 5 { "lotus" } else { "bip340" };
        judge(&demo, suite, "tcp", signers);
        assert_eq!(demo["bystanders"].as_u64(), Some(3));
        let strangers: Vec<u64> = (4..4 + signers as u64).collect();
        let all = |event: &str| {
            let mut nodes = witnesses(&demo, event);
            nodes.sort_unstable();
            nodes
        };
        assert_eq!(all("signers-found"), strangers[..1], "the first stranger asks");
        for event in ["advertised", "request-found", "approved"] {
            assert_eq!(all(event), strangers[1..], "{event}");
        }
        for event in ["nonces-exchanged", "session-completed"] {
            assert_eq!(all(event), strangers, "{event}");
        }
    }
}

#[test]
fn ten_nodes_find_each_other_through_the_first() {
    judge(&demo(&["--signers", "10"]), "lotus", "tcp", 10);
    judge(&demo(&["--signers", "2", "--transport", "quic"]), "lotus", "quic", 2);
}

#[test]
fn texts_and_files_are_signed_by_their_digest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    let content = vec![7; 200_000];
    std::fs::write(&file, &content).unwrap();
    let signed = demo(&["--signers", "2", "--file", file.to_str().unwrap()]);
    assert_eq!(text(&signed, "message"), hex::encode(sha256(&[&content])));
    judge(&signed, "lotus", "tcp", 2);
    let signed = demo(&["--signers", "2", "--suite", "bip340", "--text", "hello"]);
    assert_eq!(text(&signed, "message"), hex::encode(sha256(&[b"hello"])));
}

#[test]
fn people_see_phases_and_a_summary() {
    let run = nelumbo(&["demo", "--signers", "2"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for phase in ["start", "discovery", "nonce exchange", "partial signatures"] {
        assert!(run.stderr.lines().any(|line| line.starts_with(phase) && line.ends_with("ms")), "{}", run.stderr);
    }
    assert!(!run.stdout.contains("timeline"), "{}", run.stdout);
    for row in ["suite ", "aggregate key ", "address ", "message ", "signature ", "verified ", "coordinator "] {
        assert!(run.stdout.lines().any(|line| line.starts_with(row)), "{row} in {}", run.stdout);
    }
    assert!(run.stdout.contains("lotusR"), "an address of the regtest network: {}", run.stdout);
}

#[test]
fn arguments_that_make_no_demonstration() {
    for number in ["0", "1", "101"] {
        nelumbo(&["demo", "--signers", number]).assert_refused(&["--signers", "2..=100"]);
    }
    nelumbo(&["demo", "--message", "abc"]).assert_refused(&["--message", "odd"]);
    nelumbo(&["demo", "--message", "abcd"]).assert_refused(&["32 bytes", "has 2"]);
    nelumbo(&["demo", "--suite", "bip340", "--message", &"00".repeat(4097)]).assert_refused(&["4097", "4096"]);
    nelumbo(&["demo", "--text", "a", "--message", "00"]).assert_refused(&["--text", "--message"]);
    nelumbo(&["demo", "--file", "/no/such/file"]).assert_refused(&["/no/such/file", "cannot read"]);
    nelumbo(&["demo", "--repeat", "0"]).assert_refused(&["--repeat"]);
    nelumbo(&["demo", "--parallel", "2"]).assert_refused(&["--repeat"]);
    nelumbo(&["demo", "--repeat", "9", "--parallel", "65"]).assert_refused(&["--parallel", "64"]);
    nelumbo(&["demo", "--kill-coordinator", "3"]).assert_refused(&["--kill-coordinator 3", "at most 2"]);
    nelumbo(&["demo", "--kill-coordinator", "0"]).assert_refused(&["--kill-coordinator"]);
    nelumbo(&["demo", "--kill-coordinator", "--repeat", "2"]).assert_refused(&["--kill-coordinator", "--repeat"]);
    nelumbo(&["demo", "--timeout", "soon"]).assert_refused(&["--timeout", "seconds"]);
    nelumbo(&["demo", "--port", "65534"]).assert_refused(&["3 ports", "65535"]);
    nelumbo(&["demo", "--transport", "webrtc"]).assert_refused(&["webrtc", "quic"]);
}

#[test]
fn a_port_in_use() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    nelumbo(&["demo", "--port", &port]).assert_refused(&[&port, "in use", "another --port"]);
    nelumbo(&["demo", "--port", &port, "--transport", "ws", "--processes"]).assert_refused(&[&port, "in use"]);
    let taken = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    nelumbo(&["demo", "--port", &port, "--transport", "quic"]).assert_refused(&[&port, "in use"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written() {
    let nowhere = Path::new("/dev/null");
    let run = finish(command(&["demo"]).env("TMPDIR", nowhere));
    run.assert_refused(&["temporary folder", "set TMPDIR"]);
}

#[test]
fn what_is_missing_when_time_runs_out_is_named() {
    for processes in [&[][..], &["--processes"]] {
        let Run { status, stdout, stderr } = nelumbo(&[&["demo", "--json", "--timeout", "0"], processes].concat());
        assert_eq!((status, stdout.as_str(), stderr.lines().count()), (1, "", 1), "{stderr}");
        assert!(stderr.starts_with("error: node 1 did not start to listen"), "{stderr}");
        assert!(stderr.contains("--timeout"), "{stderr}");
    }
}

/// A demonstration that would go on for hours, with its temporary folder in `folder`, when it is under way.
fn endless(folder: &Path) -> Child {
    let mut command = command(&["demo", "--processes", "--json", "--repeat", "1000000"]);
    let demo = command.env("TMPDIR", folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let journals = || {
        let demo = std::fs::read_dir(folder).unwrap().next()?.unwrap().path();
        let nodes = std::fs::read_dir(demo).ok()?.flatten();
        Some(nodes.filter(|node| node.path().join("journal.redb").exists()).count())
    };
    wait_until(|| journals() == Some(3));
    demo
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(unix)]
fn send(signal: &str, process: u32) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status().expect("there is a kill command");
    assert!(sent.success());
}

/// The processes that a process has started.
#[cfg(target_os = "linux")]
fn children(process: u32) -> Vec<u32> {
    let parent = |process: u32| -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|number| parent(*number) == Some(process)).collect()
}

#[cfg(target_os = "linux")]
fn is_running(process: u32) -> bool {
    // A process whose parent has not asked yet how it ended is a zombie.
    std::fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_demonstration_leaves_nothing_behind() {
    for (signal, expected) in [("-INT", 130), ("-TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let demo = endless(folder.path());
        let nodes = children(demo.id());
        assert_eq!(nodes.len(), 3);
        send(signal, demo.id());
        let output = demo.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(expected), 0));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "error: interrupted; nothing is left behind\n");
        assert!(!nodes.iter().any(|node| is_running(*node)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nodes_end_with_a_demonstration_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = endless(folder.path());
    let nodes = children(demo.id());
    assert_eq!(nodes.len(), 3);
    demo.kill().unwrap();
    demo.wait().unwrap();
    wait_until(|| !nodes.iter().any(|node| is_running(*node)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_node_that_dies_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let demo = endless(folder.path());
    send("-KILL", children(demo.id())[1]);
    let output = demo.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len(), stderr.lines().count()), (Some(1), 0, 1), "{stderr}");
    assert!(stderr.contains(" cannot go on: its process has ended"), "{stderr}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
