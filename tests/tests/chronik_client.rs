//! The client of Chronik that Lotus wallets have, in two versions, against a chain of one's own.
//!
//! It runs in a Node.js process (`tests/chronik-client/walk.mjs`). Needs Node.js and `npm ci` in that folder, therefore
//! the feature `chronik-client`.

mod cli_support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cli_support::command;
use nelumbo_core::crypto::Network;
use nelumbo_core::crypto::lotus::{Address, Payload};
use serde_json::Value;

/// The process, which does not outlive its test.
struct Chain(Child);

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn walk(version: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("chronik-client");
    assert!(folder.join("node_modules").is_dir(), "run `npm ci` in tests/chronik-client first");
    let arguments = ["chain", "--listen", "127.0.0.1:0", "--json", "--replay-protection", "never"];
    let mut chain = Chain(command(&arguments).stdout(Stdio::piped()).spawn().expect("the binary runs"));
    let mut ready = String::new();
    BufReader::new(chain.0.stdout.take().expect("piped")).read_line(&mut ready).expect("a line");
    let ready: Value = serde_json::from_str(&ready).expect("JSON, when it is ready");
    let url = ready["url"].as_str().expect("a URL");
    let to = Address { network: Network::Regtest, payload: Payload::PublicKeyHash([7; 20]) }.to_string();
    let walked = Command::new("node").arg(folder.join("walk.mjs")).args([version, url, &to]).output();
    let walked = walked.expect("Node.js is installed");
    let errors = String::from_utf8_lossy(&walked.stderr);
    assert!(walked.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&walked.stdout).trim(), "30", "everything was looked at; {errors}");
}

#[test]
fn the_version_that_the_lotus_sdk_pins_walks_through() {
    walk("019");
}

#[test]
fn the_last_version_of_the_dialect_walks_through() {
    walk("028");
}
