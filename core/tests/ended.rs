//! What a session costs that has ended, at the default settings, measured by a counting allocator.

use std::sync::Arc;

use nelumbo_core::api::{Command, Config, Input, NewSession, Output};
use nelumbo_core::base::{Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{MessageKey, Network, PublicKey, Secp256k1, SecretKey, Suite};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{AbortReason, PeerId};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const WALL: u64 = 1_767_225_600_000;

fn now() -> Now {
    Now { mono: Mono::ZERO, wall: Wall::from_millis(WALL) }
}

/// Performs what the node wants, but for its signer, which takes its time.
fn drain(node: &mut Node) {
    while let Some(output) = node.poll() {
        if let Output::Persist { sequence, .. } = output {
            node.handle(now(), Input::Persisted(sequence));
        }
    }
}

fn end_sessions(node: &mut Node, keys: &[PublicKey], numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut message = vec![0; 32];
        message[..4].copy_from_slice(&number.to_be_bytes());
        let session = NewSession::new(Suite::Lotus, keys.to_vec(), message);
        node.command(now(), Command::Create(Box::new(session))).expect("what has ended is in nobody's way");
        drain(node);
        let open = node.view().sessions().find(|session| !session.phase.has_ended()).expect("it was created").id;
        node.command(now(), Command::Abort(open, AbortReason::Left)).expect("it is open");
        drain(node);
    }
}

#[test]
fn a_session_that_has_ended_costs_a_hundred_bytes_at_most() {
    let secret = |number| SecretKey::from_bytes(&[number; 32]).expect("a small number is a key");
    let entropy = || Entropy::new([7; 32]).expect("not all zero");
    let own = Arc::new(secret(1));
    let keys = [own.public_key(), secret(2).public_key()];
    let boot = Boot {
        message_signer: Box::new(MessageKey::new(own, entropy())),
        verifier: Secp256k1,
        entropy: entropy(),
        peer: PeerId::from_bytes(b"node").expect("a name"),
        records: Vec::new(),
    };
    let mut node = Node::new(Config::new(Network::Regtest), boot, now()).expect("an empty journal");
    // Until those that are kept whole are as many as they can be.
    end_sessions(&mut node, &keys, 0..1_500);
    let before = ALLOCATOR.current_usage();
    end_sessions(&mut node, &keys, 1_500..4_500);
    let each = ALLOCATOR.current_usage().saturating_sub(before) / 3_000;
    assert!(each <= 100, "{each} bytes each");
    assert_eq!(node.view().sessions().len(), 1_024, "the newest can be looked at");
}
