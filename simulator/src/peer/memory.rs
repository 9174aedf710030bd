//! A machine that goes back to what it was, memory and all, as a virtual machine does that is resumed from a snapshot.
//!
//! Owns what a node was booted with and has been given since, for nodes to which that happens. Invariant: no secret
//! nonce is ever copied. What is in a node's memory follows from what it was given, so the memory of any moment is made
//! by giving a new node the same; up to that moment its host's entropy is the same too, and from there on other. Driven
//! by `Peer`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use nelumbo_core::api::{Command, Input, SignRequest};
use nelumbo_core::base::{Entropy, Now};
use nelumbo_core::crypto::{EntropyError, EntropySource, Signer};
use nelumbo_core::node::Node;
use nelumbo_core::wire::PeerId;

use super::disk::Disk;
use super::lifecycle::{Life, TimerKind};
use super::outputs::write_only;
use super::{Peer, PeerContext};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::random::Random;

/// Something that a node is given.
#[derive(Clone, Debug)]
pub(super) enum Given {
    Input(Input),
    Command(Command),
    /// What its signer in memory has been asked, whose answer it gets.
    Answer(SignRequest),
    /// Its machine has been resumed: from now on the host gives entropy from this seed.
    Resumed([u8; 32]),
}

/// What a host gives entropy from to a signer in memory.
#[derive(Clone)]
struct HostEntropy(Arc<Mutex<Entropy>>);

impl HostEntropy {
    fn new(entropy: Entropy) -> Self {
        Self(Arc::new(Mutex::new(entropy)))
    }

    fn change(&self, seed: [u8; 32]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seeded(seed);
    }
}

impl EntropySource for HostEntropy {
    fn draw(&mut self) -> Result<[u8; 32], EntropyError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).draw()
    }
}

fn seeded(seed: [u8; 32]) -> Entropy {
    Entropy::new(seed).expect("a mixed counter is not all zero")
}

/// Since when a node lives, and all that it has been given.
pub(super) struct History {
    life: Life,
    since: Nanos,
    given: Vec<(Nanos, Now, Given)>,
    entropy: HostEntropy,
}

impl History {
    pub(super) fn add(&mut self, at: Nanos, now: Now, given: Given) {
        self.given.push((at, now, given));
    }

    /// Forgets what came after this moment, or after the last one before it at which no nonce was open.
    fn go_back(&mut self, to: Nanos, with_open_nonces: bool) {
        let before = self.given.partition_point(|(at, ..)| *at < to);
        self.given.truncate(before);
        let (mut open, mut last) = (BTreeSet::new(), 0);
        for (count, (.., given)) in self.given.iter().enumerate() {
            match given {
                Given::Answer(SignRequest::Nonces { slot, .. }) => drop(open.insert(*slot)),
                Given::Answer(SignRequest::Partials { slot, .. } | SignRequest::Forget(slot)) => {
                    open.remove(slot);
                }
                Given::Answer(SignRequest::ForgetAll) => open.clear(),
                _ => {}
            }
            if open.is_empty() {
                last = count + 1;
            }
        }
        if !with_open_nonces {
            self.given.truncate(last);
        }
    }

    /// Whom the node believes to be connected.
    fn connected(&self) -> BTreeSet<PeerId> {
        let mut connected = BTreeSet::new();
        for (.., given) in &self.given {
            match given {
                Given::Input(Input::Connected(peer)) => drop(connected.insert(*peer)),
                Given::Input(Input::Disconnected(peer)) => drop(connected.remove(peer)),
                _ => {}
            }
        }
        connected
    }
}

/// Gives a node something; whether it has taken it.
fn give<C: Crypto>(
    node: &mut Node<C::V>,
    signer: Option<&mut Box<dyn Signer<C::V> + Send>>,
    now: Now,
    given: Given,
) -> bool {
    match (given, signer) {
        (Given::Input(input), _) => node.handle(now, input),
        (Given::Command(command), _) => return node.command(now, command).is_ok(),
        (Given::Answer(request), Some(signer)) => node.answer(now, signer.as_mut(), &request),
        (Given::Answer(_) | Given::Resumed(_), _) => {}
    }
    true
}

impl<C: Crypto> Peer<C> {
    /// Gives the node something, if it is running; whether it has taken it.
    pub(super) fn give(&mut self, at: Nanos, given: Given) -> bool {
        let now = self.clock.read(at);
        let Some(node) = &mut self.node else { return false };
        if let Some(history) = &mut self.history {
            history.add(at, now, given.clone());
        }
        give::<C>(node, self.signer.as_mut(), now, given)
    }

    /// The signer in memory of a node that begins this life, if it has one.
    pub(super) fn begin_signer(&mut self, life: &Life, at: Nanos) {
        self.history = None;
        let entropy = seeded(life.seed).stream("signer");
        if !self.environment.is_resumed(self.index) {
            self.signer = self.device.is_none().then(|| C::signer(&self.secret, entropy, &self.meter));
            return;
        }
        let entropy = HostEntropy::new(entropy);
        self.signer = self.device.is_none().then(|| C::signer(&self.secret, entropy.clone(), &self.meter));
        self.history = Some(Box::new(History { life: life.clone(), since: at, given: Vec::new(), entropy }));
    }

    /// The machine is what it was at that time: its memory, and its disk unless that is elsewhere. The network and all
    /// others have gone on. A machine that was not running then stays what it is.
    pub(super) fn resume(&mut self, context: PeerContext<'_, '_>, to: Nanos, keeps_disk: bool, with_open_nonces: bool) {
        let is_running = self.node.is_some();
        let Some(mut before) = self.history.take_if(|history| is_running && history.since < to) else { return };
        before.go_back(to, with_open_nonces);
        let now = context.now();
        self.crash(context, true);
        self.incarnation += 1;
        context.set_network(true);
        // The same life again, up to then; what it says meanwhile was said then.
        let History { life, since, given, .. } = *before;
        self.begin_signer(&life, since);
        let (mut node, embedder) = self.make_node(&life).expect("it has booted from this before");
        let mut disk = Disk::new(0);
        disk.adopt(life.records);
        write_only(&mut node, &mut disk);
        for (at, now, given) in given {
            match &given {
                Given::Resumed(seed) => self.change_entropy(*seed),
                Given::Input(Input::Persisted(sequence)) => disk.sync(*sequence),
                _ => {}
            }
            give::<C>(&mut node, self.signer.as_mut(), now, given.clone());
            write_only(&mut node, &mut disk);
            self.history.iter_mut().for_each(|history| history.add(at, now, given.clone()));
        }
        self.disk.resume(disk, keeps_disk);
        (self.node, self.embedder) = (Some(Box::new(node)), embedder);
        // What was computed then keeps no processor busy now.
        let _computed = self.meter.take();
        let number = u64::from(self.index) << 32 | u64::from(self.incarnation);
        let seed = Random::stream(self.environment.seed_at(now), "resume", number).bytes32();
        self.change_entropy(seed);
        self.give(now, Given::Resumed(seed));
        for peer in self.history.as_ref().map(|history| history.connected()).unwrap_or_default() {
            self.give(now, Given::Input(Input::Disconnected(peer)));
        }
        // What the signer had been asked, and had not answered.
        self.give(now, Given::Input(Input::SignerReady));
        if let Some(last) = self.disk.last_writing() {
            self.timer(context, self.disk.takes(now), TimerKind::Synced, last.as_u64());
        }
        self.look_again(context);
        self.go_on(context);
    }

    fn change_entropy(&self, seed: [u8; 32]) {
        self.history.iter().for_each(|history| history.entropy.change(seed));
    }
}
