//! What a session costs that was signed, at the default settings, measured by a counting allocator.

use std::sync::Arc;

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, Output, Phase};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{MessageKey, Network, PublicKey, Secp256k1, SecretKey, SoftwareSigner, Suite};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::PeerId;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// So many milliseconds after the nodes have begun.
fn at(millis: u64) -> Now {
    Now { mono: Mono::from_nanos(millis * 1_000_000), wall: Wall::from_millis(1_767_225_600_000 + millis) }
}

/// Two nodes that sign with each other, each with its signer.
struct Pair([(Node, SoftwareSigner); 2], u64);

impl Pair {
    fn new() -> Self {
        let entropy = |number: u8| Entropy::new([number; 32]).expect("not all zero");
        let start = |number: u8| {
            let secret = Arc::new(SecretKey::from_bytes(&[number; 32]).expect("a small number is a key"));
            let boot = Boot {
                message_signer: Box::new(MessageKey::new(secret.clone(), entropy(number))),
                verifier: Secp256k1,
                entropy: entropy(number + 2),
                peer: peer(number),
                records: Vec::new(),
            };
            let node = Node::new(Config::new(Network::Regtest), boot, at(0)).expect("an empty journal");
            (node, SoftwareSigner::new(secret, entropy(number + 4)))
        };
        let mut pair = Self([1, 2].map(start), 1_000);
        for number in 0..2 {
            pair.0[number].0.handle(at(1_000), Input::Tick);
            pair.0[number].0.handle(at(1_000), Input::Connected(peer(2 - number as u8)));
        }
        pair.run();
        pair
    }

    /// Until nobody says anything more.
    fn run(&mut self) {
        let mut is_quiet = false;
        while !std::mem::replace(&mut is_quiet, true) {
            for number in 0..2 {
                while let Some(output) = self.0[number].0.poll() {
                    is_quiet = false;
                    self.perform(number, output);
                }
            }
        }
    }

    fn perform(&mut self, number: usize, output: Output) {
        let now = at(self.1);
        let (node, signer) = &mut self.0[number];
        match output {
            Output::Persist { sequence, .. } => node.handle(now, Input::Persisted(sequence)),
            Output::Sign(request) => node.answer(now, signer, &request),
            Output::Event(Event::SessionAnnounced { session, .. }) => {
                node.command(now, Command::Join { session, allow: [Unusual::Opaque].into() }).expect("it waits");
            }
            Output::Event(Event::ShouldBroadcast { session }) => {
                node.command(now, Command::ConfirmBroadcast(session)).expect("it is signed");
            }
            Output::Send { bytes, .. } => {
                self.0[1 - number].0.handle(now, Input::Received { from: peer(1 + number as u8), bytes });
            }
            _ => {}
        }
    }

    fn sign(&mut self, keys: &[PublicKey], numbers: std::ops::Range<u32>) {
        for number in numbers {
            let mut message = vec![0; 32];
            message[..4].copy_from_slice(&number.to_be_bytes());
            let session = NewSession::new(Suite::Lotus, keys.to_vec(), message);
            // No faster than others take it from one signer.
            self.1 += 3;
            self.0[0].0.command(at(self.1), Command::Create(Box::new(session))).expect("there is room");
            self.run();
        }
        let signed =
            self.0.iter().map(|(node, _)| node.view().sessions().filter(|s| s.phase == Phase::Complete).count());
        assert_eq!(signed.collect::<Vec<_>>(), [1_024; 2], "the newest can be looked at");
    }
}

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes(&[number]).expect("one byte names a peer")
}

/// What is left of a session that was signed, in the node; its signer remembers what it has answered beside that.
#[test]
fn a_session_that_was_signed_costs_sixty_bytes_at_most() {
    let keys = [1, 2].map(|number| SecretKey::from_bytes(&[number; 32]).expect("a key").public_key());
    let mut pair = Pair::new();
    pair.sign(&keys, 0..1_050);
    let before = ALLOCATOR.current_usage();
    pair.sign(&keys, 1_050..2_550);
    let all = ALLOCATOR.current_usage() - before;
    let Pair([(one, of_one), (other, of_other)], _) = pair;
    let with_signers = ALLOCATOR.current_usage();
    drop((of_one, of_other));
    let signers = with_signers - ALLOCATOR.current_usage();
    // Of the sessions before, too.
    let signers = signers * 1_500 / 2_550;
    let each = all.saturating_sub(signers) / 3_000;
    assert!(each <= 60, "{each} bytes each, and with what signers remember {}", all / 3_000);
    drop((one, other));
}
