//! Two signers of ours and one on the Lotus wallet SDK `xpi-ts` make one signature, over libp2p.
//!
//! The SDK runs in a Node.js process that speaks JSON lines (`tests/xpi-ts/peer.mjs`); its secret key and nonces never
//! leave that process. Needs Node.js and `npm --prefix tests/xpi-ts ci`, therefore the feature `xpi-ts`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nelumbo_tokio::core::api::{Config, Event};
use nelumbo_tokio::core::crypto::{
    KeyAggContext, MessageKey, MessageSigner, Network, NonceSlot, PartialSignature, PublicKey, PublicNonce, Secp256k1,
    SecretKey, Signature, Signer, SignerError, SigningContext, SoftwareSigner, Suite, Tweak, schnorr,
};
use nelumbo_tokio::network::NetworkConfig;
use nelumbo_tokio::{Builder, Events, Handle, Multiaddr, NewSession, NodeEvent, SystemEntropy, Unusual, fresh_entropy};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// The wallet SDK in a process of its own.
struct Sdk {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Sdk {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("xpi-ts/peer.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js is installed");
        let requests = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, requests, answers }
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.requests, "{request}").map_err(|error| error.to_string())?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer),
        }
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_gone = self.process.wait();
    }
}

/// A signer whose key and nonces live in the SDK's process.
#[derive(Clone)]
struct SdkSigner {
    sdk: Arc<Mutex<Sdk>>,
    key: PublicKey,
    taproot: Value,
    nonces: BTreeMap<NonceSlot, String>,
}

impl SdkSigner {
    fn new(taproot: Value) -> Self {
        let mut sdk = Sdk::start();
        let answer = sdk.ask(&json!({"op": "keygen"})).expect("the SDK makes a key");
        let key = text(&answer, "public_key").parse().expect("the SDK's key is one");
        Self { sdk: Arc::new(Mutex::new(sdk)), key, taproot, nonces: BTreeMap::new() }
    }

    fn request(&mut self, request: &Value) -> Result<Value, SignerError> {
        // The protocol has no room for a device's own words, and here it must not refuse anything.
        let mut sdk = self.sdk.lock().expect("nobody panics with it");
        Ok(sdk.ask(request).unwrap_or_else(|error| panic!("the SDK refuses {request}: {error}")))
    }
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_else(|| panic!("{answer} has no {field}")).to_owned()
}

fn keys_of(keys: &KeyAggContext) -> Vec<String> {
    keys.keys().iter().map(ToString::to_string).collect()
}

impl MessageSigner for SdkSigner {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        let request = json!({"op": "sign_digest", "public_key": self.key.to_string(), "message": hex::encode(digest)});
        let answer = self.request(&request)?;
        Ok(text(&answer, "signature").parse().expect("the SDK's signature has 64 bytes"))
    }
}

impl Signer<Secp256k1> for SdkSigner {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn nonces(&mut self, slot: NonceSlot, items: &[(&KeyAggContext, &[u8])]) -> Result<Vec<PublicNonce>, SignerError> {
        // These sessions have one item.
        let [(keys, message)] = items else { return Err(SignerError::Declined) };
        let request = json!({
            "op": "nonce", "public_key": self.key.to_string(), "keys": keys_of(keys), "taproot": self.taproot,
            "message": hex::encode(message),
        });
        let answer = self.request(&request)?;
        self.nonces.insert(slot, text(&answer, "nonce_id"));
        Ok(vec![text(&answer, "public_nonce").parse().expect("the SDK's nonce has 66 bytes")])
    }

    fn sign(
        &mut self,
        slot: NonceSlot,
        items: &[(&KeyAggContext, &SigningContext)],
    ) -> Result<Vec<PartialSignature>, SignerError> {
        let [(keys, round)] = items else { return Err(SignerError::Declined) };
        let nonce_id = self.nonces.remove(&slot).ok_or(SignerError::NoNonce)?;
        let request = json!({
            "op": "sign", "nonce_id": nonce_id, "keys": keys_of(keys), "taproot": self.taproot,
            "message": hex::encode(round.message()), "aggregate_nonce": round.aggregate_nonce().to_string(),
        });
        let answer = self.request(&request)?;
        Ok(vec![text(&answer, "partial_signature").parse().expect("the SDK's partial signature has 32 bytes")])
    }

    fn forget(&mut self, slot: NonceSlot) {
        if let Some(nonce_id) = self.nonces.remove(&slot) {
            let _unused = self.request(&json!({"op": "forget", "nonce_id": nonce_id}));
        }
    }

    fn forget_all(&mut self) {
        let slots: Vec<_> = self.nonces.keys().copied().collect();
        slots.into_iter().for_each(|slot| self.forget(slot));
    }
}

struct Node {
    handle: Handle,
    events: Events,
    address: Multiaddr,
    _folder: TempDir,
}

async fn find<T>(events: &mut Events, mut look: impl FnMut(&NodeEvent) -> Option<T>) -> T {
    let search = async {
        loop {
            let event = events.next().await.expect("the node runs and the test keeps up");
            if let Some(found) = look(&event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("it happens in time")
}

type Signers = (Box<dyn MessageSigner + Send>, Box<dyn Signer<Secp256k1> + Send>);

async fn start((messages, signer): Signers, through: Option<&Multiaddr>) -> Node {
    let folder = tempfile::tempdir().expect("a folder");
    let mut network = NetworkConfig::full().listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address"));
    if let Some(through) = through {
        network = network.join_through(through.clone()).expect("a peer id");
    }
    let builder = Builder::new(Config::new(Network::Regtest), network, folder.path(), messages, signer);
    let (handle, mut events) = builder.start().expect("the node starts");
    let address = find(&mut events, |event| match event {
        NodeEvent::Listening { address } => Some(address.clone()),
        _ => None,
    })
    .await;
    Node { handle, events, address, _folder: folder }
}

fn software() -> Signers {
    let mut bytes = [0; 32];
    fresh_entropy().expect("entropy").fill(&mut bytes);
    let key = Arc::new(SecretKey::from_bytes(&bytes).expect("almost every number is a key"));
    let messages = MessageKey::new(key.clone(), fresh_entropy().expect("entropy"));
    (Box::new(messages), Box::new(SoftwareSigner::new(key, SystemEntropy)))
}

/// One session in which `creator` (0 and 1 are ours, 2 is the SDK's) announces.
async fn sign_together(tweak: Tweak, taproot: Value, creator: usize) {
    let first = start(software(), None).await;
    let address = first.address.clone();
    let sdk = SdkSigner::new(taproot.clone());
    let sdk: Signers = (Box::new(sdk.clone()), Box::new(sdk));
    let mut nodes = vec![first, start(software(), Some(&address)).await, start(sdk, Some(&address)).await];
    let keys: Vec<PublicKey> = nodes.iter().map(|node| node.handle.key()).collect();
    for node in &mut nodes {
        let mut missing: Vec<PublicKey> = keys.iter().filter(|key| **key != node.handle.key()).copied().collect();
        while !missing.is_empty() {
            let found = find(&mut node.events, |event| match event {
                NodeEvent::Core(Event::SignerConnected { key, .. }) => Some(*key),
                _ => None,
            })
            .await;
            missing.retain(|key| *key != found);
        }
    }
    let message = [0x5a; 32];
    let session = nodes[creator]
        .handle
        .create(NewSession::new(Suite::Lotus, keys.clone(), message.to_vec()).with_tweak(tweak))
        .await
        .expect("the session is sound");
    for (index, node) in nodes.iter_mut().enumerate() {
        if index != creator {
            find(&mut node.events, |event| {
                matches!(event, NodeEvent::Core(Event::SessionAnnounced { .. })).then_some(())
            })
            .await;
            node.handle.join(session, [Unusual::Opaque]).await.expect("an announced session can be joined");
        }
    }
    let challenge_key = {
        let mut sorted = keys;
        sorted.sort_unstable();
        KeyAggContext::new(Suite::Lotus, &sorted)
            .and_then(|context| context.with_tweak(&tweak))
            .unwrap()
            .challenge_key()
    };
    let mut signatures = Vec::new();
    for node in &nodes {
        let signed = timeout(PATIENCE, node.handle.signatures(session)).await.expect("in time");
        let signature = signed.expect("a signature")[0];
        assert!(schnorr::verify(Suite::Lotus, &challenge_key, &message, &signature));
        signatures.push(signature);
    }
    assert!(signatures.iter().all(|signature| *signature == signatures[0]));
    // And the SDK agrees, in a process that has seen nothing of the session.
    let verdict = Sdk::start().ask(&json!({
        "op": "verify", "public_key": challenge_key.to_string(), "message": hex::encode(message),
        "signature": signatures[0].to_string(),
    }));
    assert_eq!(verdict.expect("the SDK answers")["valid"], true);
    for node in nodes {
        node.handle.stop().await.expect("a clean end");
    }
}

#[tokio::test]
async fn two_of_ours_and_one_of_the_sdk_sign_for_a_plain_aggregate_key() {
    sign_together(Tweak::None, json!(false), 0).await;
}

#[tokio::test]
async fn the_sdk_s_signer_may_ask_for_the_session() {
    sign_together(Tweak::None, json!(false), 2).await;
}

#[tokio::test]
async fn two_of_ours_and_one_of_the_sdk_sign_for_a_taproot_key_path() {
    sign_together(Tweak::Taproot { merkle_root: None }, json!(true), 1).await;
}

#[tokio::test]
async fn they_sign_for_a_taproot_key_path_beside_a_script_tree() {
    let root = [0x42; 32];
    sign_together(Tweak::Taproot { merkle_root: Some(root) }, json!(hex::encode(root)), 0).await;
}
