//! Three nodes, one key: they sign what stands on their lists, and nobody is asked.
//!
//! `cargo run -p nelumbo-tokio --example sign`
//!
//! The nodes run in one process here, on loopback; on three machines nothing changes but the addresses. Each has a key
//! of its own, a folder for its journal, and a policy that approves what it expects and declines everything else.

#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::{collections::BTreeSet, error::Error, path::Path};

use nelumbo_tokio::{
    Builder, Events, Handle, Multiaddr, NewSession, NodeEvent,
    core::{
        Policy, Review,
        api::{Config, Event},
        approval::{Summary, Unusual},
        crypto::{Network, PublicKey, SecretKey, Signature, Suite, tagged_hash},
        wire::{Definition, Item, SessionId, Subject},
    },
    fresh_entropy,
    network::NetworkConfig,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Approves the payments that are on a list. What is signed is all that counts: who asks for it says nothing.
struct Expected(BTreeSet<[u8; 32]>);

impl Policy for Expected {
    fn review(&mut self, definition: &Definition, _: &Summary) -> Review {
        let is_expected = |item: &Item| match &item.subject {
            Subject::Message(message) => {
                message[..].try_into().is_ok_and(|message: [u8; 32]| self.0.contains(&message))
            }
            Subject::Input(_) => false,
        };
        if definition.items.iter().all(is_expected) {
            // Bare messages: a node cannot say what they do, but here they are known.
            Review::Approve { allow: [Unusual::Opaque].into() }
        } else {
            Review::Decline
        }
    }
}

/// What is signed for an invoice. For a transaction it is the signature hash: see `core::crypto::lotus`.
fn payment(invoice: &str) -> [u8; 32] {
    tagged_hash("example/invoice", &[invoice.as_bytes()])
}

fn start(folder: &Path, join: Option<&Multiaddr>) -> Result<(Handle, Events), Failure> {
    let mut network = NetworkConfig::full().listen_on("/ip4/127.0.0.1/tcp/0".parse()?);
    if let Some(peer) = join {
        network = network.join_through(peer.clone())?;
    }
    // A real signer keeps its key, sealed with a passphrase or in a device: without it, its folder is of no use.
    let key = SecretKey::generate(&mut fresh_entropy()?);
    let expected = Expected(["invoice 17", "invoice 18"].map(payment).into());
    Ok(Builder::with_key(Config::new(Network::Regtest), network, folder, key)?.policy(Box::new(expected)).start()?)
}

/// Where a node listens, with its peer id: what others join through.
async fn address(events: &mut Events) -> Result<Multiaddr, Failure> {
    loop {
        if let NodeEvent::Listening { address } = events.next().await? {
            return Ok(address);
        }
    }
}

/// Waits until a node is connected to so many other signers.
async fn meet(events: &mut Events, others: usize) -> Result<(), Failure> {
    let mut met = BTreeSet::new();
    while met.len() < others {
        if let NodeEvent::Core(Event::SignerConnected { key, .. }) = events.next().await? {
            met.insert(key);
        }
    }
    Ok(())
}

/// Waits for the signature of a session.
async fn completed(events: &mut Events, sought: SessionId) -> Result<Signature, Failure> {
    loop {
        if let NodeEvent::Core(Event::SessionCompleted { session, signatures, .. }) = events.next().await?
            && session == sought
        {
            return Ok(signatures[0]);
        }
    }
}

/// What one run brings: the signers' keys, and the signature that each of them holds in the end.
pub(crate) struct Signed {
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) message: [u8; 32],
    pub(crate) signatures: Vec<Signature>,
    /// Why there is none for what is on nobody's list.
    pub(crate) declined: String,
}

pub(crate) async fn sign(folder: &Path) -> Result<Signed, Failure> {
    let (first, mut events) = start(&folder.join("0"), None)?;
    let join = address(&mut events).await?;
    let mut nodes = vec![(first, events)];
    for name in ["1", "2"] {
        nodes.push(start(&folder.join(name), Some(&join))?);
    }
    for (_, events) in &mut nodes {
        meet(events, 2).await?;
    }
    let keys: Vec<PublicKey> = nodes.iter().map(|(handle, _)| handle.key()).collect();

    // One node asks. The policies of the others approve, and the signature comes to all.
    let message = payment("invoice 17");
    let session = nodes[0].0.create(NewSession::new(Suite::Lotus, keys.clone(), message.to_vec())).await?;
    let mut signatures = Vec::new();
    for (_, events) in &mut nodes {
        signatures.push(completed(events, session).await?);
    }

    // What is on nobody's list is declined.
    let unexpected = NewSession::new(Suite::Lotus, keys.clone(), payment("invoice 99").to_vec());
    let asking = &nodes[0].0;
    let session = asking.create(unexpected).await?;
    let declined = asking.signatures(session).await.expect_err("no policy approves it").to_string();

    for (handle, _) in &nodes {
        handle.stop().await?;
    }
    Ok(Signed { keys, message, signatures, declined })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let signed = sign(folder.path()).await?;
    println!("message {}", hex::encode(signed.message));
    for (key, signature) in signed.keys.iter().zip(&signed.signatures) {
        println!("signer {key} has {signature}");
    }
    println!("invoice 99: {}", signed.declined);
    Ok(())
}
