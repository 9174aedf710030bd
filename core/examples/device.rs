//! A signer in a process of its own, over a Unix socket, which asks its person before it signs.
//!
//! `cargo run -p nelumbo-core --example device`. The node of Alice has no key for sessions: it hands its requests to
//! the device, which shows what they would sign, and goes on with everything else until the person has answered. The
//! device has nothing but the requests to go by, and keeps its nonces in memory.
#![allow(clippy::print_stdout, reason = "the screen of the device")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a host and a device have what the core may not"
)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, Output, SignReply, SignRequest};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{
    EntropyError, EntropySource, MessageKey, Network, NonceSlot, PublicKey, Secp256k1, SecretKey, Signature,
    SignerError, SoftwareSigner, Suite,
};
use nelumbo_core::device::Device;
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{PeerId, SessionId};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Where a device is told to connect to.
const SOCKET: &str = "NELUMBO_DEVICE";
/// For how long the other side of a pipe is waited for before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// The operating system's randomness.
struct Fresh;

impl EntropySource for Fresh {
    fn draw(&mut self) -> Result<[u8; 32], EntropyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| EntropyError::Unavailable)?;
        Ok(bytes)
    }
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).expect("a small number is a key")
}

/// Four bytes of length, then postcard.
fn write_frame(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let body = postcard::to_allocvec(value).expect("memory is all that it takes");
    let length = u32::try_from(body.len()).expect("a request is small");
    stream.write_all(&[&length.to_be_bytes()[..], &body].concat())
}

fn read_frame<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length).min(1 << 20) as usize];
    stream.read_exact(&mut body)?;
    postcard::from_bytes(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// What a device hears.
enum Heard {
    Request(SignRequest),
    Person(String),
    Gone,
}

/// The device: until its socket closes it answers, and asks its person where there is something to be asked.
fn run_device(socket: &str) {
    let mut stream = UnixStream::connect(socket).expect("the node listens");
    let (tell, heard) = channel();
    let (mut requests, of_node) = (stream.try_clone().expect("a second handle"), tell.clone());
    thread::spawn(move || {
        while let Ok(request) = read_frame(&mut requests) {
            let _gone = of_node.send(Heard::Request(request));
        }
        let _gone = of_node.send(Heard::Gone);
    });
    thread::spawn(move || {
        io::stdin().lines().map_while(Result::ok).all(|line| tell.send(Heard::Person(line)).is_ok());
    });
    let mut device = Device::new(Secp256k1, SoftwareSigner::new(secret(1), Fresh));
    let (mut asked, mut count) = (BTreeMap::<u32, SignRequest>::new(), 0);
    while let Ok(heard) = heard.recv() {
        let reply = match heard {
            Heard::Gone => return,
            Heard::Request(request) => match device.summary(&request) {
                Ok(Some(summary)) => {
                    count += 1;
                    println!("#{count} {summary}\nsign it? y {count} or n {count}");
                    asked.insert(count, request);
                    None
                }
                Ok(None) => {
                    let is_over = |slot: NonceSlot| match &request {
                        SignRequest::Forget(forgotten) => slot == *forgotten,
                        SignRequest::ForgetAll => true,
                        _ => false,
                    };
                    asked.retain(|_, asked| !matches!(asked, SignRequest::Nonces { slot, .. } if is_over(*slot)));
                    device.answer(&request)
                }
                Err(error) => request.failed(error),
            },
            Heard::Person(line) => {
                let (word, number) = line.split_once(' ').unwrap_or((&line, ""));
                let request = number.trim().parse().ok().and_then(|number| asked.remove(&number));
                match (word, request) {
                    ("y", Some(request)) => device.answer(&request),
                    ("n", Some(request)) => request.failed(SignerError::Declined),
                    _ => None,
                }
            }
        };
        if let Some(reply) = reply
            && write_frame(&mut stream, &reply).is_err()
        {
            return;
        }
    }
}

/// What comes from a device: its answers, and what is on its screen.
enum FromDevice {
    Reply(SignReply),
    Screen(String),
}

/// A device that runs, as the node's host sees it.
struct Attached {
    process: Child,
    stream: UnixStream,
    buttons: Option<ChildStdin>,
    heard: Receiver<FromDevice>,
}

impl Attached {
    /// Starts a device. `screen` is where it shows what it asks: to the terminal, or to whoever plays its person.
    fn start(listener: &UnixListener, socket: &str, arguments: &[&str], is_piped: bool) -> Self {
        let pipe = || if is_piped { Stdio::piped() } else { Stdio::inherit() };
        let own = std::env::current_exe().expect("this program has a path");
        let mut process = Process::new(own);
        let mut process =
            process.args(arguments).env(SOCKET, socket).stdin(pipe()).stdout(pipe()).spawn().expect("it starts");
        let (stream, _) = listener.accept().expect("the device connects");
        let (tell, heard): (Sender<FromDevice>, _) = channel();
        let mut replies = stream.try_clone().expect("a second handle");
        let of_replies = tell.clone();
        thread::spawn(move || {
            while let Ok(reply) = read_frame(&mut replies) {
                let _gone = of_replies.send(FromDevice::Reply(reply));
            }
        });
        if let Some(screen) = process.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(screen).lines().map_while(Result::ok);
                lines.filter(|line| line.starts_with('#')).all(|line| tell.send(FromDevice::Screen(line)).is_ok());
            });
        }
        Self { buttons: process.stdin.take(), process, stream, heard }
    }

    /// The person answers.
    fn press(&mut self, answer: &str) {
        let buttons = self.buttons.as_mut().expect("the test is the person");
        writeln!(buttons, "{answer}").expect("the device runs");
    }

    fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it has ended");
    }
}

/// Alice, whose key is in the device, and Bob, whose key is in memory, in one process with a clock that goes as they
/// like.
struct World {
    nodes: [Node; 2],
    journals: [BTreeMap<Vec<u8>, Vec<u8>>; 2],
    signer_of_bob: SoftwareSigner,
    now: Now,
    flight: VecDeque<(usize, Bytes)>,
    device: Option<Attached>,
    /// Whether whoever plays the person says yes to everything.
    says_yes: bool,
    screens: Vec<String>,
    /// Every nonce that Alice has shown, and in which session and attempt.
    shown: BTreeMap<(SessionId, u32), nelumbo_core::crypto::PublicNonce>,
}

fn peer(index: usize) -> PeerId {
    PeerId::from_bytes(&[index as u8 + 1]).expect("one byte names a peer")
}

fn boot(index: usize, life: u8, now: Now, journal: &BTreeMap<Vec<u8>, Vec<u8>>) -> Node {
    let entropy = Entropy::new([16 * life + index as u8 + 1; 32]).expect("not all zero");
    let message_signer = Box::new(MessageKey::new(secret(index as u8 + 1), entropy.stream("messages")));
    let records = journal.clone().into_iter().collect();
    let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer: peer(index), records };
    Node::new(Config::new(Network::Regtest), boot, now).expect("its own records")
}

impl World {
    fn new(device: Attached) -> Self {
        let now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_800_000_000_000) };
        let journals = [BTreeMap::new(), BTreeMap::new()];
        let mut world = Self {
            nodes: [0, 1].map(|index| boot(index, 1, now, &BTreeMap::new())),
            journals,
            signer_of_bob: SoftwareSigner::new(secret(2), Fresh),
            now,
            flight: VecDeque::new(),
            device: Some(device),
            says_yes: false,
            screens: Vec::new(),
            shown: BTreeMap::new(),
        };
        world.connect();
        world.until(|world| world.nodes.iter().all(|node| node.view().signers().len() == 1));
        world
    }

    fn connect(&mut self) {
        self.input(0, Input::Connected(peer(1)));
        self.input(1, Input::Connected(peer(0)));
    }

    fn keys(&self) -> Vec<PublicKey> {
        self.nodes.iter().map(|node| node.view().own_key()).collect()
    }

    fn input(&mut self, index: usize, input: Input) {
        self.nodes[index].handle(self.now, input);
        self.drain(index);
    }

    /// Bob asks for a session.
    fn ask(&mut self, message: &[u8]) {
        let session = NewSession::new(Suite::Bip340, self.keys(), message.to_vec());
        self.nodes[1].command(self.now, Command::Create(Box::new(session))).expect("it is sound");
        self.drain(1);
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].poll() {
            match output {
                Output::Persist { sequence, key, value } => {
                    match value {
                        Some(value) => self.journals[index].insert(key, value),
                        None => self.journals[index].remove(&key),
                    };
                    self.nodes[index].handle(self.now, Input::Persisted(sequence));
                }
                Output::Sign(request) if index == 1 => {
                    self.nodes[1].answer(self.now, &mut self.signer_of_bob, &request);
                }
                Output::Sign(request) => {
                    let is_sent = self.device.as_mut().is_some_and(|to| write_frame(&mut to.stream, &request).is_ok());
                    let failed = request.failed(SignerError::Unavailable).filter(|_| !is_sent);
                    failed.into_iter().for_each(|reply| self.nodes[0].handle(self.now, Input::Signed(reply)));
                }
                Output::Send { bytes, .. } => self.flight.push_back((1 - index, bytes)),
                Output::Event(Event::SessionAnnounced { session, .. }) => {
                    // The node's owner agrees here; the device's person has a say of their own.
                    let join = Command::Join { session, allow: [Unusual::Opaque].into() };
                    self.nodes[index].command(self.now, join).expect("it waits for this");
                }
                _ => {}
            }
        }
    }

    /// Carries messages, and lets time pass when nobody has anything else to wait for, until this is so.
    fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        loop {
            while let Some((to, bytes)) = self.flight.pop_front() {
                self.input(to, Input::Received { from: peer(1 - to), bytes });
            }
            if is_so(self) {
                return;
            }
            let is_owed = self.nodes[0].view().sessions().any(|session| session.signer_owes.is_some());
            if let Some(device) = self.device.as_ref().filter(|_| is_owed) {
                let heard = device.heard.recv_timeout(PATIENCE).expect("the device says something in time");
                self.hear(heard);
                continue;
            }
            let next = self.nodes.iter().filter_map(|node| Some(node.deadline()?.at)).min().expect("nodes have timers");
            let passed = next.max(self.now.mono).since(self.now.mono) + Duration::from_nanos(1);
            self.now =
                Now { mono: self.now.mono.after(passed), wall: self.now.wall.checked_add(passed).expect("soon") };
            [0, 1].into_iter().for_each(|index| self.input(index, Input::Tick));
        }
    }

    fn hear(&mut self, heard: FromDevice) {
        match heard {
            FromDevice::Reply(reply) => {
                if let SignReply::Nonces { slot, nonces: Ok(nonces) } = &reply {
                    let known = self.shown.insert((SessionId::from_bytes(slot.session), slot.attempt), nonces[0]);
                    assert!(known.is_none_or(|known| known == nonces[0]), "one nonce in an attempt");
                }
                self.input(0, Input::Signed(reply));
            }
            FromDevice::Screen(line) => {
                if self.says_yes {
                    let number = line.trim_start_matches('#').split(' ').next().expect("a number").to_owned();
                    self.device.as_mut().expect("it has just said something").press(&format!("y {number}"));
                }
                self.screens.push(line);
            }
        }
    }

    fn signature(&self, message: &[u8]) -> Option<Signature> {
        let view = self.nodes[0].view();
        let session = view
            .sessions()
            .find(|session| session.definition.message(0).is_ok_and(|signed| signed[..] == message[..]))?;
        session.signatures.first().copied()
    }
}

fn main() {
    if let Ok(socket) = std::env::var(SOCKET) {
        return run_device(&socket);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("device").display().to_string();
    let listener = UnixListener::bind(&socket).expect("a socket");
    let mut world = World::new(Attached::start(&listener, &socket, &[], false));
    world.ask(b"what both have agreed to");
    println!("Bob asks Alice to sign. Her device:");
    world.until(|world| {
        let sessions: Vec<_> = world.nodes[0].view().sessions().collect();
        sessions
            .iter()
            .any(|session| !session.signatures.is_empty() || session.phase == nelumbo_core::api::Phase::Failed)
    });
    match world.signature(b"what both have agreed to") {
        Some(signature) => println!("Both have signed: {signature}"),
        None => println!("The device has declined, and there is no signature."),
    }
    world.device.take().into_iter().for_each(Attached::kill);
}

/// The device of the tests: this program again, with a socket to connect to.
#[test]
fn as_device() {
    if let Ok(socket) = std::env::var(SOCKET) {
        run_device(&socket);
    }
}

#[cfg(test)]
struct Bench {
    _folder: tempfile::TempDir,
    socket: String,
    listener: UnixListener,
}

#[cfg(test)]
impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("device").display().to_string();
        let listener = UnixListener::bind(&socket).expect("a socket");
        Self { _folder: folder, socket, listener }
    }

    fn start(&self) -> Attached {
        Attached::start(&self.listener, &self.socket, &["as_device", "--exact", "--nocapture"], true)
    }
}

#[test]
fn a_person_who_takes_long_holds_up_nothing_else() {
    let bench = Bench::new();
    let mut world = World::new(bench.start());
    world.ask(b"one");
    world.until(|world| world.screens.len() == 1);
    world.ask(b"two");
    world.until(|world| world.screens.len() == 2);
    world.device.as_mut().unwrap().press("y 2");
    world.until(|world| world.signature(b"two").is_some());
    assert_eq!(world.signature(b"one"), None, "nobody has answered");
    world.device.as_mut().unwrap().press("y 1");
    world.until(|world| world.signature(b"one").is_some());
    world.ask(b"three");
    world.until(|world| world.screens.len() == 3);
    world.device.as_mut().unwrap().press("n 3");
    let has_failed = |world: &World| {
        let view = world.nodes[0].view();
        view.sessions().any(|session| session.phase == nelumbo_core::api::Phase::Failed)
    };
    world.until(has_failed);
    world.device.take().unwrap().kill();
}

#[test]
fn a_device_that_is_killed_at_any_step_loses_nothing_and_shows_no_nonce_twice() {
    let bench = Bench::new();
    let message = b"agreed";
    for step in 0..4 {
        let mut world = World::new(bench.start());
        let of_nonce = |world: &World| world.shown.len() == 1;
        world.ask(message);
        world.until(|world| world.screens.len() == 1);
        if step > 0 {
            // Its own nonce is the last that is missing, so that what follows is the request for the partial signature.
            world.device.as_mut().unwrap().press("y 1");
            world.until(of_nonce);
        }
        match step {
            2 => world.until(|world| world.signature(message).is_some()),
            3 => {
                // The node is killed instead, and the device lives on.
                world.nodes[0] = boot(0, 2, world.now, &world.journals[0]);
                world.flight.clear();
                world.input(1, Input::Disconnected(peer(0)));
                world.drain(0);
                world.connect();
            }
            _ => {}
        }
        if step < 3 {
            world.device.take().unwrap().kill();
            world.device = Some(bench.start());
            world.input(0, Input::SignerReady);
        }
        world.says_yes = true;
        world.until(|world| world.signature(message).is_some());
        let distinct: std::collections::BTreeSet<_> = world.shown.values().collect();
        assert_eq!(distinct.len(), world.shown.len(), "step {step}: {:?}", world.shown);
        world.device.take().unwrap().kill();
    }
}
