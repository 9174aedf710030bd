//! The device: until its socket closes it answers, and asks its person where there is something to be asked.
//!
//! Owns the key. Invariants: nothing is signed that was not shown; of what the key signs by itself it signs delegations
//! alone, and no message; what is repeated is shown once.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nelumbo_core::api::SignRequest;
use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{EntropyError, EntropySource, NonceSlot, Secp256k1, SignerError, SoftwareSigner};
use nelumbo_core::device::Device;
use nelumbo_core::single::{Single, SingleSigner};
use nelumbo_core::wire::DELEGATION;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::secret;

/// How long the person takes, who says yes; without it the buttons are pressed: lines on the standard input.
pub(crate) const DELAYS: &str = "NELUMBO_DEVICE_DELAYS";
/// How long the device itself takes to sign.
pub(crate) const SIGNING: &str = "NELUMBO_DEVICE_SIGNING";

/// The operating system's randomness.
pub(crate) struct Fresh;

impl EntropySource for Fresh {
    fn draw(&mut self) -> Result<[u8; 32], EntropyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| EntropyError::Unavailable)?;
        Ok(bytes)
    }
}

/// Four bytes of length, then postcard.
pub(crate) fn write_frame(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let body = postcard::to_allocvec(value).expect("memory is all that it takes");
    let length = u32::try_from(body.len()).expect("a request is small");
    stream.write_all(&[&length.to_be_bytes()[..], &body].concat())
}

pub(crate) fn read_frame<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
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

/// For what the person takes how long: the first text that is shown counts, and no text is in everything.
struct Delays(Vec<(String, Option<Duration>)>);

impl Delays {
    fn read(text: &str) -> Self {
        let one = |part: &str| {
            let (text, delay) = part.split_once('=').unwrap_or(("", part));
            (text.to_owned(), (delay != "never").then(|| seconds(delay)))
        };
        Self(text.split(',').map(one).collect())
    }

    /// None when there is no answer.
    fn of(&self, shown: &str) -> Option<Duration> {
        let found = self.0.iter().find(|(text, _)| shown.contains(text.as_str()));
        found.map_or(Some(Duration::ZERO), |(_, delay)| *delay)
    }
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs_f64(text.parse().expect("a number of seconds"))
}

/// What is to be done later.
enum Due {
    Press(u32),
    Answer(SignRequest),
}

struct StandIn {
    stream: UnixStream,
    device: Device<Secp256k1, SoftwareSigner>,
    /// What is on the screen.
    asked: BTreeMap<u32, SignRequest>,
    count: u32,
    delays: Option<Delays>,
    signing: Duration,
    due: BTreeMap<(Instant, u32), Due>,
    timers: u32,
}

pub(crate) fn run(socket: &str) {
    let stream = UnixStream::connect(socket).expect("the node listens");
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
    let hedges = Entropy::new(Fresh.draw().expect("there is entropy")).expect("not all zero");
    let device = Device::new(Secp256k1, SoftwareSigner::new(secret(1), Fresh));
    let mut stand_in = StandIn {
        stream,
        device: device.with_single(SingleSigner::new(secret(1), hedges)),
        asked: BTreeMap::new(),
        count: 0,
        delays: std::env::var(DELAYS).ok().map(|text| Delays::read(&text)),
        signing: std::env::var(SIGNING).map(|text| seconds(&text)).unwrap_or_default(),
        due: BTreeMap::new(),
        timers: 0,
    };
    loop {
        let next = stand_in.due.keys().next().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        let heard = match next {
            None => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(wait) => heard.recv_timeout(wait),
        };
        let is_there = match heard {
            Ok(Heard::Gone) | Err(RecvTimeoutError::Disconnected) => false,
            Ok(Heard::Request(request)) => stand_in.on_request(request),
            Ok(Heard::Person(line)) => stand_in.on_person(&line),
            Err(RecvTimeoutError::Timeout) => stand_in.on_due(),
        };
        if !is_there {
            return;
        }
    }
}

/// False when the node is gone.
type IsThere = bool;

impl StandIn {
    fn on_request(&mut self, request: SignRequest) -> IsThere {
        if !is_for_devices(&request) {
            return self.reply(request.failed(SignerError::Declined));
        }
        if self.asked.values().any(|asked| *asked == request) {
            // It is on the screen already.
            return true;
        }
        match self.device.summary(&request) {
            Ok(Some(summary)) => {
                self.count += 1;
                let (number, shown) = (self.count, summary.to_string());
                println!("#{number} {shown}\nsign it? y {number} or n {number}");
                self.asked.insert(number, request);
                if let Some(delay) = self.delays.as_ref().and_then(|delays| delays.of(&shown)) {
                    self.later(delay, Due::Press(number));
                }
                true
            }
            Ok(None) => {
                let is_over = |slot: NonceSlot| match &request {
                    SignRequest::Forget(forgotten) => slot == *forgotten,
                    SignRequest::ForgetAll => true,
                    _ => false,
                };
                self.asked.retain(|_, asked| !matches!(asked, SignRequest::Nonces { slot, .. } if is_over(*slot)));
                self.sign(request)
            }
            Err(error) => self.reply(request.failed(error)),
        }
    }

    fn on_person(&mut self, line: &str) -> IsThere {
        let (word, number) = line.split_once(' ').unwrap_or((line, ""));
        let request = number.trim().parse().ok().and_then(|number| self.asked.remove(&number));
        match (word, request) {
            ("y", Some(request)) => self.sign(request),
            ("n", Some(request)) => self.reply(request.failed(SignerError::Declined)),
            _ => true,
        }
    }

    fn on_due(&mut self) -> IsThere {
        let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= Instant::now()) else { return true };
        match first.remove() {
            Due::Press(number) => self.on_person(&format!("y {number}")),
            Due::Answer(request) => self.answer(&request),
        }
    }

    fn later(&mut self, delay: Duration, due: Due) {
        self.timers += 1;
        self.due.insert((Instant::now() + delay, self.timers), due);
    }

    fn sign(&mut self, request: SignRequest) -> IsThere {
        let has_reply = request.failed(SignerError::Unavailable).is_some();
        if has_reply && !self.signing.is_zero() {
            self.later(self.signing, Due::Answer(request));
            return true;
        }
        self.answer(&request)
    }

    fn answer(&mut self, request: &SignRequest) -> IsThere {
        let reply = self.device.answer(request);
        self.reply(reply)
    }

    fn reply(&mut self, reply: Option<nelumbo_core::api::SignReply>) -> IsThere {
        reply.is_none_or(|reply| write_frame(&mut self.stream, &reply).is_ok())
    }
}

/// Whether this is what the device is for: sessions, and letting a message key speak.
fn is_for_devices(request: &SignRequest) -> bool {
    match request {
        SignRequest::Single { single, .. } => {
            matches!(&**single, Single::Statement(statement) if statement.name.as_str() == DELEGATION)
        }
        _ => true,
    }
}
