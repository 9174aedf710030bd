//! A signer in a process of its own, for tests that kill it: `signer FOLDER [ADDRESS]`.
//!
//! The folder keeps everything that a restart needs: key, identity, port and journal. Events go to standard output as
//! JSON lines, the address first. A line on standard input, `KEY… MESSAGE` in hexadecimal, creates a session; sessions
//! of others are approved at once. An empty line prints the refusals so far.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;

use nelumbo_tokio::core::api::{Config, Event};
use nelumbo_tokio::core::crypto::{Network, PublicKey, SecretKey, Suite};
use nelumbo_tokio::core::election::Method;
use nelumbo_tokio::identity::Keypair;
use nelumbo_tokio::network::NetworkConfig;
use nelumbo_tokio::{Builder, Handle, NewSession, NodeEvent, Unusual, fresh_entropy};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// The file's contents; made and kept the first time.
fn keep(path: &Path, make: impl FnOnce() -> Vec<u8>) -> std::io::Result<Vec<u8>> {
    if !path.exists() {
        std::fs::write(path, make())?;
    }
    std::fs::read(path)
}

fn say(value: &Value) -> std::io::Result<()> {
    // One write per line: a kill cannot tear it.
    std::io::stdout().write_all(format!("{value}\n").as_bytes())
}

async fn obey(handle: &Handle, line: &str) -> Result<(), Box<dyn Error>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((message, keys)) = words.split_last() else {
        let refusals = handle.status().await?.refusals;
        let refusals: BTreeMap<String, u64> =
            refusals.iter().map(|(refusal, count)| (format!("{refusal:?}"), count)).collect();
        return Ok(say(&json!({ "refusals": refusals }))?);
    };
    let keys: Vec<PublicKey> = keys.iter().map(|key| key.parse()).collect::<Result<_, _>>()?;
    let message = hex::decode(message)?;
    let session = NewSession { election: Method::Rotating, ..NewSession::new(Suite::Lotus, keys, message) };
    handle.create(session).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, through @ ..] = &arguments[..] else { return Err("usage: signer FOLDER [ADDRESS]".into()) };
    let folder = Path::new(folder);
    let mut entropy = fresh_entropy()?;
    let key = keep(&folder.join("key"), || entropy.bytes32().to_vec())?;
    let key = SecretKey::from_bytes(key.as_slice().try_into()?)?;
    let identity = keep(&folder.join("identity"), || {
        Keypair::generate_ed25519().to_protobuf_encoding().expect("an Ed25519 key can be written")
    })?;
    let listen = keep(&folder.join("listen"), || b"/ip4/127.0.0.1/tcp/0".to_vec())?;
    let mut network = NetworkConfig::full()
        .identity(Keypair::from_protobuf_encoding(&identity)?)
        .listen_on(String::from_utf8(listen)?.parse()?);
    if let [through] = through {
        network = network.join_through(through.parse()?)?;
    }
    let builder = Builder::with_key(Config::new(Network::Regtest), network, folder.join("journal"), key)?;
    let (handle, mut events) = builder.start()?;
    say(&json!({ "key": handle.key().to_string() }))?;
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => obey(&handle, &line).await?,
                None => break,
            },
            event = events.next() => {
                let event = event?;
                if let NodeEvent::Listening { address } = &event {
                    let port: String = address.iter().take(2).map(|part| part.to_string()).collect();
                    std::fs::write(folder.join("listen"), port)?;
                }
                say(&serde_json::to_value(&event)?)?;
                if let NodeEvent::Core(Event::SessionAnnounced { session, .. }) = event {
                    handle.join(session, [Unusual::Opaque]).await?;
                }
            }
        }
    }
    handle.stop().await?;
    Ok(())
}
