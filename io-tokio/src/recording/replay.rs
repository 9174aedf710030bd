//! Lives through a recording again.
//!
//! Owns the node that is given what another was given. Invariant: a step that comes out otherwise than it was recorded is
//! told at once; whatever is in the file, there is an answer and no panic. Driven by whoever looks into what happened.

use std::{
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
};

use nelumbo_core::{
    api::Config,
    base::{Entropy, Now},
    crypto::{PublicKey, Secp256k1},
    host::{Host, drain_watched},
    node::{Boot, Node},
    wire::PeerId,
};

use super::{
    End, Frame, Frames, Given, Next, Said, Start,
    signer::{Repeated, Script},
};

/// A recording that is lived through, step by step.
pub struct Replay<R> {
    frames: Frames<R>,
    node: Node<Secp256k1>,
    script: Script,
    start: Start<'static>,
    number: u64,
    /// What is expected of the node's beginning, until that is lived through.
    beginning: Option<Option<Vec<Said>>>,
    /// Whether nothing follows, and why.
    is_over: bool,
    end: Option<End>,
}

/// One step, lived through again.
#[derive(Debug)]
pub struct Step {
    /// Which one it is. Step 0 is the node's beginning.
    pub number: u64,
    /// The node's clocks.
    pub now: Now,
    /// What the node was given; nothing at its beginning.
    pub given: Option<Given<'static>>,
    /// How many outputs and answers were compared.
    pub compared: usize,
    /// Whether the recording has what came of it: the node may have crashed in this step.
    pub is_whole: bool,
    /// What came out otherwise.
    pub difference: Option<Difference>,
}

/// How a step came out otherwise than it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The node wants something else.
    #[error("output {place}: expected {expected}, got {got}")]
    Output {
        /// Which of the step's outputs, from 1.
        place: usize,
        /// What it is called in the recording, with a hash of its content.
        expected: String,
        /// What it is called now.
        got: String,
    },
    /// The node asks its signer for something else.
    #[error("the signer {0}")]
    Signer(String),
    /// The node panics.
    #[error("the node panics: {0}")]
    Panic(String),
}

/// Why a recording cannot be lived through, or no further.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file.
    #[error("the file cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Something else than a recording, or one of another version.
    #[error("this is no recording of a node, or one of a version that this program does not know")]
    NoRecording,
    /// Not what was written.
    #[error("the recording was altered or damaged at step {step}")]
    Altered {
        /// The step.
        step: u64,
    },
    /// The end comes before anything has happened.
    #[error("the recording ends before the node has begun")]
    Empty,
    /// The node did not begin.
    #[error("the node does not begin: {0}")]
    Boot(String),
}

impl<R: Read> Replay<R> {
    /// A node that begins as the one in the recording did. Rules and protocols of the embedder's own, if there were any,
    /// are to be set and registered with [`node`](Self::node) before the first step.
    pub fn open(input: R) -> Result<Self, ReplayError> {
        let mut frames = Frames::open(input)?.ok_or(ReplayError::NoRecording)?;
        let start = match frames.next()? {
            Next::Frame(Frame::Start(start)) => *start,
            Next::Over | Next::Frame(Frame::End(_)) => return Err(ReplayError::Empty),
            _ => return Err(ReplayError::Altered { step: 0 }),
        };
        let script = Script::default();
        let (expected, end) = rest(&mut frames, &script, 0)?;
        let entropy = Entropy::new(start.seed).map_err(|error| ReplayError::Boot(error.to_string()))?;
        let signer = Box::new(Repeated { key: start.key, script: script.clone() });
        let records = start.records.to_vec();
        let boot = Boot { signer, verifier: Secp256k1, entropy, peer: start.peer, records };
        let config = start.config.clone().into_owned();
        let node = caught(|| Node::new(config, boot, start.now)).map_err(ReplayError::Boot)?;
        let node = node.map_err(|error| ReplayError::Boot(error.to_string()))?;
        let (is_over, beginning) = (expected.is_none(), Some(expected));
        Ok(Self { frames, node, script, start, number: 0, beginning, is_over, end })
    }

    /// The node's key.
    pub fn key(&self) -> PublicKey {
        self.start.key
    }

    /// The node's name on the network.
    pub fn peer(&self) -> PeerId {
        self.start.peer
    }

    /// How the node was set.
    pub fn config(&self) -> &Config {
        &self.start.config
    }

    /// The version of the program that has recorded it.
    pub fn version(&self) -> &str {
        &self.start.version
    }

    /// What the node's clocks showed when it began.
    pub fn began(&self) -> Now {
        self.start.now
    }

    /// Whether rules or protocols of the embedder's own took part.
    pub fn has_company(&self) -> bool {
        self.start.has_company
    }

    /// The node.
    pub fn node(&mut self) -> &mut Node<Secp256k1> {
        &mut self.node
    }

    /// Why the recording ends, once it has; `None` where it just ends, as that of a node does which was killed.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Lives through the next step; the host hears what the node wants. `None` after the last one.
    pub fn next(&mut self, host: &mut impl Host) -> Result<Option<Step>, ReplayError> {
        let (now, given, expected) = match self.beginning.take() {
            Some(expected) => (self.start.now, None, expected),
            None if self.is_over => return Ok(None),
            None => match self.frames.next()? {
                Next::Frame(Frame::Step { now, given }) => {
                    let (expected, end) = rest(&mut self.frames, &self.script, self.number)?;
                    (self.is_over, self.end) = (expected.is_none(), end);
                    (now, Some(given), expected)
                }
                Next::Frame(Frame::End(end)) => return Ok(self.over(Some(end))),
                Next::Over => return Ok(self.over(None)),
                Next::Frame(_) | Next::Altered => return Err(ReplayError::Altered { step: self.number }),
            },
        };
        let (said, panic) = self.live(now, given.clone(), host);
        // Nothing of a node can be trusted after a panic.
        self.is_over |= panic.is_some();
        // What is missing at the end of a recording that was cut short is no difference.
        let surprise = self.script.surprise().filter(|_| expected.is_some()).map(Difference::Signer);
        let output = expected.as_ref().and_then(|expected| first_difference(expected, &said));
        let difference = panic.map(Difference::Panic).or(surprise).or(output);
        let (number, compared) = (self.number, expected.as_ref().map_or(0, Vec::len));
        self.number += 1;
        Ok(Some(Step { number, now, given, compared, is_whole: expected.is_some(), difference }))
    }

    fn over(&mut self, end: Option<End>) -> Option<Step> {
        (self.is_over, self.end) = (true, end);
        None
    }

    fn live(&mut self, now: Now, given: Option<Given<'_>>, host: &mut impl Host) -> (Vec<Said>, Option<String>) {
        let (node, mut said) = (&mut self.node, Vec::new());
        let lived = caught(|| {
            match given {
                None => {}
                Some(Given::Inputs(inputs)) => node.handle_many(now, inputs.into_owned()),
                Some(Given::Command(command)) => said.push(Said::answer(&node.command(now, command.into_owned()))),
            }
            drain_watched(node, host, |output| said.push(Said::output(output)));
        });
        (said, lived.err())
    }
}

/// Reads what came of a step: the signer's answers go into the script, what the node wanted is returned. Nothing when the
/// recording ends before, and why it does if it says so.
fn rest<R: Read>(
    frames: &mut Frames<R>,
    script: &Script,
    step: u64,
) -> Result<(Option<Vec<Said>>, Option<End>), ReplayError> {
    loop {
        match frames.next()? {
            Next::Frame(Frame::Answer(answer)) => script.push(answer),
            Next::Frame(Frame::Done(said)) => return Ok((Some(said), None)),
            Next::Frame(Frame::End(end)) => return Ok((None, Some(end))),
            Next::Over => return Ok((None, None)),
            Next::Frame(Frame::Start(_) | Frame::Step { .. }) | Next::Altered => {
                return Err(ReplayError::Altered { step });
            }
        }
    }
}

fn first_difference(expected: &[Said], got: &[Said]) -> Option<Difference> {
    let tell = |said: Option<&Said>| said.map_or("nothing".into(), |Said { name, hash }| format!("{name} {hash:016x}"));
    let places = 0..expected.len().max(got.len());
    let mut differing = places.map(|place| (place, expected.get(place), got.get(place)));
    let (place, expected, got) = differing.find(|(_, expected, got)| expected != got)?;
    Some(Difference::Output { place: place + 1, expected: tell(expected), got: tell(got) })
}

/// What comes of it, or the words of a panic.
fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
    })
}

impl<R> std::fmt::Debug for Replay<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("key", &self.start.key).field("number", &self.number).finish_non_exhaustive()
    }
}
