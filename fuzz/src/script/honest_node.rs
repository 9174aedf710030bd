//! An honest node under test, over all its restarts.
//!
//! Owns the node, its disk and its monitor. Driven by the script's harness.

use nelumbo_core::api::{Config, Input, SignRequest};
use nelumbo_core::base::{Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{Network, PublicKey, Signer};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Address, PeerId};

use super::super::disk::Disk;
use super::super::journal::WALL;
use super::super::monitor::SafetyMonitor;
use super::super::scheme::Scheme;

pub(super) struct HonestNode<S: Scheme> {
    number: u8,
    pub(super) peer: PeerId,
    pub(super) key: PublicKey,
    /// None while it is down.
    pub(super) node: Option<Node<S::Verifier>>,
    signer: Option<Box<dyn Signer<S::Verifier> + Send>>,
    pub(super) disk: Disk,
    pub(super) monitor: SafetyMonitor,
    /// Whether records become durable as soon as they are written.
    pub(super) syncs_at_once: bool,
    incarnation: u8,
    booted_at: u64,
    /// By how much its wall clock is ahead of `WALL`, in milliseconds.
    pub(super) wall_offset: u64,
}

impl<S: Scheme> HonestNode<S> {
    pub(super) fn new(number: u8, peer: PeerId) -> Self {
        Self {
            number,
            peer,
            key: S::key(number),
            node: None,
            signer: None,
            disk: Disk::default(),
            monitor: SafetyMonitor::default(),
            syncs_at_once: true,
            incarnation: 0,
            booted_at: 0,
            wall_offset: 0,
        }
    }

    /// Starts the node with the records on the disk, fresh entropy and a monotonic clock that begins at zero.
    pub(super) fn boot(&mut self, time: u64) {
        self.disk.crash();
        self.incarnation = self.incarnation.wrapping_add(1);
        self.booted_at = time;
        let mut seed = [self.number; 32];
        seed[1] = self.incarnation;
        let entropy = Entropy::new(seed).expect("not all zero");
        self.signer = Some(S::signer(self.number, entropy.stream("signer")));
        let boot = Boot {
            message_signer: S::author(self.number, entropy.stream("messages")),
            verifier: S::Verifier::default(),
            entropy,
            peer: self.peer,
            records: self.disk.records(),
        };
        let mut node =
            Node::new(Config::new(Network::Regtest), boot, self.now(time)).expect("a node reads its own journal");
        let address = Address::from_bytes(vec![self.number]).expect("one byte is an address");
        node.handle(self.now(time), Input::Addresses(vec![address]));
        node.handle(self.now(time), Input::RoutingTable(1));
        self.node = Some(node);
    }

    pub(super) fn now(&self, time: u64) -> Now {
        let wall = WALL + time / 1_000_000 + self.wall_offset;
        Now { mono: Mono::from_nanos(time - self.booted_at), wall: Wall::from_millis(wall) }
    }

    pub(super) fn input(&mut self, time: u64, input: Input) {
        let now = self.now(time);
        if let Some(node) = &mut self.node {
            node.handle(now, input);
        }
    }

    /// Does what the node asks its signer for.
    pub(super) fn answer(&mut self, time: u64, request: &SignRequest) {
        let now = self.now(time);
        if let (Some(node), Some(signer)) = (&mut self.node, &mut self.signer) {
            node.answer(now, signer.as_mut(), request);
        }
    }

    /// Makes records durable, and tells the node.
    pub(super) fn sync(&mut self, time: u64, count: usize) {
        if let Some(sequence) = self.disk.sync(count) {
            self.input(time, Input::Persisted(sequence));
        }
    }

    /// The node's next deadline, in the script's time.
    pub(super) fn deadline(&self) -> Option<u64> {
        let deadline = self.node.as_ref()?.deadline()?;
        Some(self.booted_at.saturating_add(deadline.at.as_nanos()))
    }
}
