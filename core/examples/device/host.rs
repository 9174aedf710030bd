//! The host of Alice's node: the device as it is seen from there, and Bob, in one process with a clock that goes as
//! they like.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, Output, SignReply, SignRequest};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{
    MessageKey, Network, PublicKey, PublicNonce, Secp256k1, Signature, SignerError, SoftwareSigner, Suite,
};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{PeerId, SessionId};

use crate::stand_in::{Fresh, read_frame, write_frame};
use crate::{SOCKET, secret};

/// What comes from a device: its answers, and what is on its screen.
pub(crate) enum FromDevice {
    Reply(SignReply),
    Screen(String),
}

/// A device that runs, as the node's host sees it.
pub(crate) struct Attached {
    process: Child,
    stream: UnixStream,
    buttons: Option<ChildStdin>,
    heard: Receiver<FromDevice>,
}

impl Attached {
    /// Starts a device. `screen` is where it shows what it asks: to the terminal, or to whoever plays its person.
    pub(crate) fn start(
        listener: &UnixListener,
        socket: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
        is_piped: bool,
    ) -> Self {
        let pipe = || if is_piped { Stdio::piped() } else { Stdio::inherit() };
        let own = std::env::current_exe().expect("this program has a path");
        let mut process = Process::new(own);
        process.args(arguments).env(SOCKET, socket).envs(settings.iter().copied());
        let mut process = process.stdin(pipe()).stdout(pipe()).spawn().expect("it starts");
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
    pub(crate) fn press(&mut self, answer: &str) {
        let buttons = self.buttons.as_mut().expect("the test is the person");
        writeln!(buttons, "{answer}").expect("the device runs");
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it has ended");
    }
}

/// Alice, whose key is in the device, and Bob, whose key is in memory, in one process with a clock that goes as they
/// like.
pub(crate) struct World {
    pub(crate) nodes: [Node; 2],
    pub(crate) journals: [BTreeMap<Vec<u8>, Vec<u8>>; 2],
    signer_of_bob: SoftwareSigner,
    pub(crate) now: Now,
    pub(crate) flight: VecDeque<(usize, Bytes)>,
    pub(crate) device: Option<Attached>,
    /// For how long the device may say nothing before something is wrong.
    patience: Duration,
    /// Whether whoever plays the person says yes to everything.
    pub(crate) says_yes: bool,
    pub(crate) screens: Vec<String>,
    /// Every nonce that Alice has shown, and in which session and attempt.
    pub(crate) shown: BTreeMap<(SessionId, u32), PublicNonce>,
    /// What the device was asked for.
    pub(crate) requests: Vec<SignRequest>,
}

pub(crate) fn peer(index: usize) -> PeerId {
    PeerId::from_bytes(&[index as u8 + 1]).expect("one byte names a peer")
}

/// Alice's node speaks with a message key, Bob's with his signing key.
pub(crate) fn boot(index: usize, life: u8, now: Now, journal: &BTreeMap<Vec<u8>, Vec<u8>>) -> Node {
    let entropy = Entropy::new([16 * life + index as u8 + 1; 32]).expect("not all zero");
    let speaks = secret([101, 2][index]);
    let message_signer = Box::new(MessageKey::new(speaks, entropy.stream("messages")));
    let records = journal.clone().into_iter().collect();
    let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer: peer(index), records };
    let signing_key = secret(index as u8 + 1).public_key();
    Node::delegating(Config::new(Network::Regtest), boot, signing_key, now).expect("its own records")
}

impl World {
    /// Both nodes, once Alice's device has let her node speak.
    pub(crate) fn new(device: Attached, patience: Duration) -> Self {
        let now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_800_000_000_000) };
        let journals = [BTreeMap::new(), BTreeMap::new()];
        let mut world = Self {
            nodes: [0, 1].map(|index| boot(index, 1, now, &BTreeMap::new())),
            journals,
            signer_of_bob: SoftwareSigner::new(secret(2), Fresh),
            now,
            flight: VecDeque::new(),
            device: Some(device),
            patience,
            says_yes: true,
            screens: Vec::new(),
            shown: BTreeMap::new(),
            requests: Vec::new(),
        };
        world.connect();
        world.until(|world| world.nodes.iter().all(|node| node.view().signers().len() == 1));
        world.says_yes = false;
        world.screens.clear();
        world
    }

    pub(crate) fn connect(&mut self) {
        self.input(0, Input::Connected(peer(1)));
        self.input(1, Input::Connected(peer(0)));
    }

    fn keys(&self) -> Vec<PublicKey> {
        self.nodes.iter().map(|node| node.view().own_key()).collect()
    }

    pub(crate) fn input(&mut self, index: usize, input: Input) {
        self.nodes[index].handle(self.now, input);
        self.drain(index);
    }

    /// Bob asks for a session.
    pub(crate) fn ask(&mut self, message: &[u8]) {
        let session = NewSession::new(Suite::Bip340, self.keys(), message.to_vec());
        self.nodes[1].command(self.now, Command::Create(Box::new(session))).expect("it is sound");
        self.drain(1);
    }

    pub(crate) fn drain(&mut self, index: usize) {
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
                    self.requests.push(request.clone());
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
    pub(crate) fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        loop {
            while let Some((to, bytes)) = self.flight.pop_front() {
                self.input(to, Input::Received { from: peer(1 - to), bytes });
            }
            if is_so(self) {
                return;
            }
            let view = self.nodes[0].view();
            let is_owed = view.delegation().is_none() || view.sessions().any(|session| session.signer_owes.is_some());
            if let Some(device) = self.device.as_ref().filter(|_| is_owed) {
                let heard = device.heard.recv_timeout(self.patience).expect("the device says something in time");
                self.hear(heard);
                continue;
            }
            self.tick();
        }
    }

    /// So much time passes, in which nobody waits for the device.
    #[cfg(test)]
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.mono.after(time);
        while self.now.mono < end {
            while let Some((to, bytes)) = self.flight.pop_front() {
                self.input(to, Input::Received { from: peer(1 - to), bytes });
            }
            while let Some(heard) = self.device.as_ref().and_then(|device| device.heard.try_recv().ok()) {
                self.hear(heard);
            }
            self.tick();
        }
    }

    /// Until the next timer of a node.
    fn tick(&mut self) {
        let next = self.nodes.iter().filter_map(|node| Some(node.deadline()?.at)).min().expect("nodes have timers");
        let passed = next.max(self.now.mono).since(self.now.mono) + Duration::from_nanos(1);
        self.now = Now { mono: self.now.mono.after(passed), wall: self.now.wall.checked_add(passed).expect("soon") };
        [0, 1].into_iter().for_each(|index| self.input(index, Input::Tick));
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

    /// What the device answers to this, beside its node.
    #[cfg(test)]
    pub(crate) fn device_says(&mut self, request: &SignRequest) -> SignReply {
        let device = self.device.as_mut().expect("it is plugged in");
        write_frame(&mut device.stream, request).expect("it runs");
        loop {
            match device.heard.recv_timeout(self.patience).expect("it says something in time") {
                FromDevice::Reply(reply) => return reply,
                FromDevice::Screen(line) => self.screens.push(line),
            }
        }
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Option<Signature> {
        let view = self.nodes[0].view();
        let session = view
            .sessions()
            .find(|session| session.definition.message(0).is_ok_and(|signed| signed[..] == message[..]))?;
        session.signatures.first().copied()
    }
}
