//! One signer's node behind text.
//!
//! Owns the node, the keys it was given, and what it has last been told of time. Invariants: a call that fails has
//! changed nothing; time never goes back; what a node asks of a signing key that is here is answered here, in order,
//! before anybody hears of it. Driven by the shells for C, WebAssembly and Python.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nelumbo_core::api::{self, GossipId, OperationId, PutId, RecordSequence, Refusal, Topic};
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{MessageKey, Secp256k1, SecretKey, SoftwareSigner};
use nelumbo_core::host::{Host, drain};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::single::SingleSigner;
use nelumbo_core::wire::{Address, PeerId};
use zeroize::Zeroize;

use crate::Error;
use crate::shapes::{Command, Hex, Id, Input, Output, Params, Peer, To, View, Wish, Word};

/// The latest time that a machine takes, in milliseconds: integers end there in JavaScript.
const LATEST_MS: f64 = 9_007_199_254_740_991.0;

/// One signer's node.
///
/// Not for two threads at once. If a call panics, which it does not, the machine is not to be used any more: make
/// another one from the journal.
#[derive(Debug)]
pub struct Machine {
    node: Node,
    signer: Option<OwnSigner>,
    now: Now,
}

/// What signs with a key that is in memory.
#[derive(Debug)]
struct OwnSigner {
    sessions: SoftwareSigner,
    single: SingleSigner,
}

/// A secret and a seed, as keys and entropy.
pub(crate) fn secrets(secret: &[u8], seed: &[u8]) -> Result<(Arc<SecretKey>, Entropy), Error> {
    let take = |name: &str, bytes: &[u8]| {
        <[u8; 32]>::try_from(bytes)
            .map_err(|_| Error::argument(format_args!("the {name} has {} bytes and not 32", bytes.len())))
    };
    let mut secret = take("secret", secret)?;
    let key = SecretKey::from_bytes(&secret);
    secret.zeroize();
    let key = key.map_err(|error| {
        Error::new("bad-secret", error, "draw 32 other bytes from the operating system's source of randomness")
    })?;
    let entropy = Entropy::new(take("seed", seed)?).map_err(|error| {
        Error::new("bad-seed", error, "draw 32 bytes from the operating system's source of randomness for each boot")
    })?;
    Ok((Arc::new(key), entropy))
}

/// A time in milliseconds as a whole number, if it is one that can be meant.
fn whole(name: &str, ms: f64) -> Result<f64, Error> {
    if ms.is_finite() && (0.0..=LATEST_MS).contains(&ms) {
        Ok(ms)
    } else {
        Err(Error::new("bad-time", format_args!("{name} is {ms}"), "give milliseconds from 0 to 2^53 - 1"))
    }
}

/// A wall clock's time.
pub(crate) fn wall(wall_ms: f64) -> Result<Wall, Error> {
    whole("wall_ms", wall_ms).map(|ms| Wall::from_millis(ms as u64))
}

impl Machine {
    /// A node that remembers what its journal, the records in `params`, says. `params` is a
    /// [`Params`](crate::shapes::Params).
    ///
    /// `secret` is the key that signs, or, with a `signing_key` in `params`, the one that signs messages only; the
    /// caller may wipe it. `seed` must be fresh for each boot, from the operating system: whoever gives one seed to two
    /// boots gives one nonce to two messages, and loses the key. `mono_ms` is milliseconds since an origin of the
    /// caller's, `wall_ms` since 1970.
    ///
    /// # Errors
    /// `bad-json`, `bad-argument`, `bad-secret`, `bad-seed`, `bad-time`, `bad-config`, `corrupt-journal`,
    /// `foreign-journal`, `foreign-network`.
    pub fn new(params: &str, secret: &[u8], seed: &[u8], mono_ms: f64, wall_ms: f64) -> Result<Self, Error> {
        let Params { network, peer, records, signing_key, policy, config } = serde_json::from_str(params)?;
        let (key, entropy) = secrets(secret, seed)?;
        let now = Now { mono: mono(mono_ms)?, wall: wall(wall_ms)? };
        let own_key = key.public_key();
        let signing_key = signing_key.map_or(own_key, |key| key.0);
        let signer = (signing_key == own_key).then(|| OwnSigner {
            sessions: SoftwareSigner::new(key.clone(), entropy.stream("ffi/sessions")),
            single: SingleSigner::new(key.clone(), entropy.stream("ffi/single")),
        });
        let boot = Boot {
            message_signer: Box::new(MessageKey::new(key, entropy.stream("ffi/messages"))),
            verifier: Secp256k1,
            entropy: entropy.stream("ffi/node"),
            peer: peer.0,
            records: records.into_iter().map(|(key, value)| (key.0, value.0)).collect(),
        };
        let mut node = Node::delegating(config.over_defaults(network.0), boot, signing_key, now)?;
        node.set_policy(Box::new(policy));
        Ok(Self { node, signer, now })
    }

    /// Takes facts about the world: a JSON array of [`Input`](crate::shapes::Input), which are taken together. None of
    /// them when one is malformed.
    ///
    /// # Errors
    /// `bad-json`, `bad-time`. What a peer did wrong is no error: it is refused and counted.
    pub fn handle(&mut self, mono_ms: f64, wall_ms: f64, inputs: &str) -> Result<(), Error> {
        let inputs: Vec<Input> = serde_json::from_str(inputs)?;
        self.now = self.at(mono_ms, wall_ms)?;
        self.node.handle_many(self.now, inputs.into_iter().map(api::Input::from).collect::<Vec<_>>());
        Ok(())
    }

    /// Takes a command, a [`Command`](crate::shapes::Command), and gives its number, by which events answer to it; 0
    /// for `set-policy`, which none answers.
    ///
    /// # Errors
    /// `bad-json`, `bad-time`, and why nothing was done.
    pub fn command(&mut self, mono_ms: f64, wall_ms: f64, command: &str) -> Result<u64, Error> {
        let command: Command = serde_json::from_str(command)?;
        let wish = Wish::try_from(command)?;
        self.now = self.at(mono_ms, wall_ms)?;
        match wish {
            Wish::Core(command) => Ok(self.node.command(self.now, command)?.0),
            Wish::Policy(policy) => {
                self.node.set_policy(Box::new(policy));
                Ok(0)
            }
        }
    }

    /// Everything that the node wants of its host, in order: a JSON array of [`Output`](crate::shapes::Output).
    pub fn poll(&mut self) -> String {
        let mut outputs = Outputs { all: Vec::new(), requests: VecDeque::new(), is_asked: self.signer.is_some() };
        loop {
            drain(&mut self.node, &mut outputs);
            let Some((signer, request)) = self.signer.as_mut().zip(outputs.requests.pop_front()) else { break };
            match signer.single.answer(&request) {
                Some(reply) => self.node.handle(self.now, api::Input::Signed(reply)),
                None => self.node.answer(self.now, &mut signer.sessions, &request),
            }
        }
        serde_json::to_string(&outputs.all).expect("outputs are texts, numbers and lists of them")
    }

    /// When time alone makes something happen next: at or after this `mono_ms`, rounded up, give it the input `tick`.
    /// Nothing when it waits for the world alone.
    pub fn deadline(&self) -> Option<f64> {
        self.node.deadline().map(|deadline| deadline.at.as_nanos().div_ceil(1_000_000) as f64)
    }

    /// The node's state: a [`View`](crate::shapes::View).
    pub fn view(&self) -> String {
        serde_json::to_string(&View::from(self.node.view())).expect("a view is texts, numbers and lists of them")
    }

    fn at(&self, mono_ms: f64, wall_ms: f64) -> Result<Now, Error> {
        Ok(Now { mono: mono(mono_ms)?.max(self.now.mono), wall: wall(wall_ms)? })
    }
}

/// A monotonic clock's time. Fractions of a millisecond count.
fn mono(mono_ms: f64) -> Result<Mono, Error> {
    // Above 2^64 nanoseconds this saturates, which is the end of time.
    whole("mono_ms", mono_ms).map(|ms| Mono::from_nanos((ms * 1e6) as u64))
}

/// What a node has said.
struct Outputs {
    all: Vec<Output>,
    requests: VecDeque<api::SignRequest>,
    /// Whether what is asked of the signer is answered here.
    is_asked: bool,
}

impl Outputs {
    fn push(&mut self, output: Output) {
        self.all.push(output);
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Host for Outputs {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.push(Output::Persist { sequence: Id(sequence.as_u64()), key: Hex(key), value: value.to() });
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        self.push(Output::Send { peer: Peer(to), bytes: Hex(bytes.to_vec()) });
    }

    fn sign(&mut self, request: api::SignRequest) {
        if self.is_asked {
            self.requests.push_back(request);
        } else {
            self.push(Output::Sign { request: (&request).into() });
        }
    }

    fn event(&mut self, event: api::Event) {
        self.push(Output::Event { event: event.into() });
    }

    fn subscribe(&mut self, topic: Topic) {
        self.push(Output::Subscribe { topic: topic.as_str().into() });
    }

    fn unsubscribe(&mut self, topic: Topic) {
        self.push(Output::Unsubscribe { topic: topic.as_str().into() });
    }

    fn publish(&mut self, topic: Topic, bytes: Bytes) {
        self.push(Output::Publish { topic: topic.as_str().into(), bytes: Hex(bytes.to_vec()) });
    }

    fn verdict(&mut self, id: GossipId, verdict: api::Verdict) {
        self.push(Output::Verdict { id: Id(id.0), verdict: verdict.into() });
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Address>) {
        self.push(Output::Dial { peer: Peer(peer), addresses: addresses.to() });
    }

    fn release(&mut self, peer: PeerId) {
        self.push(Output::Release { peer: Peer(peer) });
    }

    fn ban(&mut self, peer: PeerId) {
        self.push(Output::Ban { peer: Peer(peer) });
    }

    fn unban(&mut self, peer: PeerId) {
        self.push(Output::Unban { peer: Peer(peer) });
    }

    fn lookup(&mut self, operation: OperationId, key: String) {
        self.push(Output::Lookup { operation: Id(operation.0), key });
    }

    fn accept_record(&mut self, id: PutId, value: Bytes, lifetime: Duration) {
        self.push(Output::AcceptRecord { id: Id(id.0), value: Hex(value.to_vec()), lifetime_ms: ms(lifetime) });
    }

    fn remove_record(&mut self, key: String) {
        self.push(Output::RemoveRecord { key });
    }

    fn reject_record(&mut self, id: PutId, refusal: Refusal) {
        self.push(Output::RejectRecord { id: Id(id.0), refusal: Word(refusal) });
    }

    fn store(&mut self, key: String, value: Bytes, lifetime: Duration) {
        self.push(Output::Store { key, value: Hex(value.to_vec()), lifetime_ms: ms(lifetime) });
    }
}
