//! A ledger of ours asked by `chronik-client` of npm, in two versions that Lotus wallets use.
//!
//! The client runs in a Node.js process (`tests/chronik-client/check.mjs`), which also mines and reorganises. Needs
//! Node.js and `npm --prefix tests/chronik-client ci`, therefore the feature `chronik-client`.

use std::path::Path;
use std::time::Duration;

use nelumbo_chain::build::{Coin, Payment, Unlock, build, hash160, pay_to_key};
use nelumbo_chain::crypto::lotus::{OutPoint, Transaction, TxOutput};
use nelumbo_chain::crypto::{SecretKey, Suite, schnorr};
use nelumbo_chain::ledger::{Ledger, Operation, Outcome, Server, Settings};
use tokio::process::Command;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(120);

/// How many checks check.mjs has.
const CHECKS: &str = "17 passed";

async fn runs(package: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("chronik-client");
    assert!(folder.join("node_modules").is_dir(), "run `npm ci` in tests/chronik-client first");
    let server = Server::start(Settings::default()).await.expect("there are ports");
    let key = SecretKey::from_bytes(&[7; 32]).expect("it is a key");
    let (public, script) = (key.public_key(), pay_to_key(&key.public_key()).to_vec());
    let fund = Operation::Fund { time: server.time(), script: script.clone(), value: 5_000_000 };
    let Ok(Outcome::Transaction(txid)) = server.apply(fund) else { panic!("the ledger pays") };

    let output = server.with(|ledger| ledger.transaction(&txid).expect("it is mined").transaction.outputs[0].clone());
    let coin = Coin { outpoint: OutPoint { txid, index: 0 }, output, unlock: Unlock::PublicKeyHash(public) };
    let spend = |value, fee: u64| {
        let payment = vec![TxOutput { value, script_pubkey: pay_to_key(&public).to_vec() }];
        let coins = std::slice::from_ref(&coin);
        let mut unsigned = build(coins, &Payment::new(payment, script.clone())).expect("there is enough");
        let change = unsigned.change.expect("some is left");
        unsigned.transaction.outputs[change].value = 5_000_000 - value - fee;
        let digest = unsigned.digests(server.with(Ledger::replay_protected))[0];
        let signature = schnorr::sign(Suite::Lotus, &key, &digest, None).expect("the key is one");
        hex::encode(unsigned.finalize(&[signature]).as_ref().map(Transaction::to_bytes).expect("it is signed"))
    };
    let transactions = [spend(1_000_000, 500), spend(1_000_000, 10), spend(2_000_000, 500)];
    let node = Command::new("node")
        .arg(folder.join("check.mjs"))
        .args([package, &server.url(), &hex::encode(hash160(public.as_bytes()))])
        .args(transactions)
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, node).await.expect("it ends").expect("Node.js is installed");
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim() == CHECKS, "{package}: {said}{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_0_19_is_content() {
    runs("chronik-client-0.19").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_0_28_is_content() {
    runs("chronik-client-0.28").await;
}
