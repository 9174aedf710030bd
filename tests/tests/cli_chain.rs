//! A chain of one's own as a process, driven by the command line.
#![cfg(unix)]

mod cli_support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use cli_support::{command, fields, nelumbo};
use nelumbo_core::crypto::Network;
use nelumbo_core::crypto::lotus::{Address, Payload};
use serde_json::Value;

/// The process, which does not outlive its test.
struct Chain {
    process: Child,
    ready: Value,
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Chain {
    fn start(arguments: &[&str]) -> Self {
        let listen = ["chain", "--listen", "127.0.0.1:0", "--json", "--replay-protection", "never"];
        let mut process =
            command(&[&listen[..], arguments].concat()).stdout(Stdio::piped()).spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line).expect("JSON, when it is ready");
        Self { process, ready }
    }

    fn address(&self) -> &str {
        self.ready["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("a URL")
    }

    fn run(&self, arguments: &[&str]) -> Value {
        nelumbo(&[&["chain"], arguments, &["--chain", self.address(), "--json"]].concat()).json()
    }

    /// Ends it as a person does, and says how it ended.
    fn interrupt(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        self.process.wait().expect("it ends").code()
    }

    fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: chain\r\nConnection: close\r\n\r\n").expect("it is taken");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    }
}

#[test]
fn a_chain_pays_mines_reorganises_and_is_there_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("chain.jsonl");
    let file = file.to_str().expect("test folders have plain names");
    let chain = Chain::start(&["--data", file]);
    assert_eq!(fields(&chain.ready), ["height", "replay_protected", "replay_protection", "url"]);
    assert_eq!((chain.ready["height"].as_u64(), chain.ready["replay_protection"].is_null()), (Some(0), true));

    let to = Address { network: Network::Regtest, payload: Payload::PublicKeyHash([7; 20]) };
    let funded = chain.run(&["fund", &to.to_string(), "12.5"]);
    let height = funded["height"].as_u64().expect("a number");
    assert!(height > 100, "coinbases have to mature: {height}");
    let txid = funded["txid"].as_str().expect("a text").to_owned();
    let history = chain.get(&format!("/script/p2pkh/{}/history", "07".repeat(20)));
    assert!(history.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&history));
    let mut internal = hex::decode(&txid).expect("hexadecimal");
    internal.reverse();
    assert!(history.windows(32).any(|window| window == internal), "the transaction is in it");

    let mined = chain.run(&["mine", "3"]);
    assert_eq!((mined["blocks"].as_array().map(Vec::len), mined["height"].as_u64()), (Some(3), Some(height + 3)));
    let replaced = chain.run(&["reorganize", "4", "--orphans", "pending"]);
    assert_eq!(replaced["height"].as_u64(), Some(height + 4));
    let status = chain.run(&["status"]);
    assert_eq!(status["waiting"], serde_json::json!([txid]));
    assert_eq!((&status["taproot_active"], &status["replay_protected"]), (&Value::Bool(true), &Value::Bool(false)));
    let shown = nelumbo(&["chain", "status", "--chain", chain.address()]);
    assert!(shown.stdout.lines().any(|line| line == format!("waiting           {txid}")), "{}", shown.stdout);

    let at = chain.address().to_owned();
    nelumbo(&["chain", "reorganize", "900", "--chain", &at]).assert_failed(1, &["replace at most those"]);
    nelumbo(&["chain", "fund", &to.to_string(), "0.0005", "--chain", &at]).assert_failed(1, &["at least 546 satoshi"]);
    assert_eq!(chain.interrupt(), Some(0));

    let chain = Chain::start(&["--data", file]);
    assert_eq!(chain.ready["height"].as_u64(), Some(height + 4));
    assert_eq!(chain.run(&["status"])["tip"], status["tip"]);
    let occupied = nelumbo(&["chain", "--listen", "127.0.0.1:0", "--data", file, "--replay-protection", "never"]);
    occupied.assert_refused(&["another ledger uses it"]);
    nelumbo(&["chain", "--listen", chain.address()]).assert_refused(&["cannot listen on", "choose another address"]);
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    let mainnet = Address { network: Network::Mainnet, payload: Payload::PublicKeyHash([7; 20]) }.to_string();
    nelumbo(&["chain", "fund", &mainnet, "1"]).assert_refused(&["begin with lotusR"]);
    let regtest = Address { network: Network::Regtest, payload: Payload::PublicKeyHash([7; 20]) }.to_string();
    for amount in ["1.0000001", "-1", "1e3", "", ".5", "99999999999999999999"] {
        nelumbo(&["chain", "fund", &regtest, amount]).assert_failed(2, &["; "]);
    }
    nelumbo(&["chain", "mine", "1001"]).assert_refused(&["1001"]);
    nelumbo(&["chain", "--replay-protection", "soon"]).assert_refused(&["neither a number of seconds nor `never`"]);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let nobody = nelumbo(&["chain", "mine", "--chain", &port.to_string()]);
    nobody.assert_failed(3, &["no chain answers at", "start one with `nelumbo chain`"]);
    let help = nelumbo(&["chain", "--help"]);
    assert!(help.status == 0 && help.stdout.contains("nelumbo chain fund lotusR"), "{}", help.stdout);
}
