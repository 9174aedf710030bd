//! Replays a recording.
//!
//! Owns a node that is given the recorded inputs. Invariant: a step whose outputs differ from the recorded ones is
//! reported at once; whatever is in the file, there is an answer and no panic. Driven by whoever looks into what
//! happened.

use std::io::Read;

use nelumbo_core::{
    api::Config,
    base::{Entropy, Now},
    crypto::{PublicKey, Secp256k1},
    host::{Host, drain_watched},
    node::{Boot, Node},
    wire::PeerId,
};

use super::{
    End, Frame, Frames, Next, OutputDigest, Start, StepInput,
    signer::{RecordedAnswers, ReplaySigner},
};
use crate::panics::catch_panic;

/// A recording that is replayed, step by step.
pub struct Replay<'r> {
    frames: Frames<'r>,
    node: Node<Secp256k1>,
    answers: RecordedAnswers,
    start: Start<'static>,
    number: u64,
    /// The recorded outputs of the node's beginning, until that is replayed.
    beginning: Option<Option<Vec<OutputDigest>>>,
    /// Whether nothing follows, and why.
    has_ended: bool,
    end: Option<End>,
}

/// One step, replayed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Step {
    /// Which one it is. Step 0 is the node's beginning.
    pub number: u64,
    /// The node's clocks.
    pub now: Now,
    /// What the node was given; nothing at its beginning.
    pub input: Option<StepInput<'static>>,
    /// How many outputs and answers to commands were compared.
    pub compared: usize,
    /// Whether the recording has the step's outputs: the node may have crashed in it.
    pub is_complete: bool,
    /// How the replay differs from the recording, if it does.
    pub difference: Option<Difference>,
}

/// How a replayed step differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// The node has another output.
    #[error("output {place}: expected {expected}, got {got}")]
    Output {
        /// Which of the step's outputs, from 1.
        place: usize,
        /// What it is called in the recording, with a hash of its content.
        expected: String,
        /// What it is called now.
        got: String,
    },
    /// The node asks its message signer for something else.
    #[error("the signer {0}")]
    Signer(String),
    /// The node panics.
    #[error("the node panics: {0}")]
    Panic(String),
}

/// Why a recording cannot be replayed, or no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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

impl<'r> Replay<'r> {
    /// A node that begins as the recorded one did. A policy and protocols of the embedder, if there were any, are to be
    /// set and registered with [`node`](Self::node) before the first step.
    pub fn open(input: impl Read + 'r) -> Result<Self, ReplayError> {
        Self::begin(Box::new(input))
    }

    // A node is compiled here, once, and not again for each kind of reader and host.
    fn begin(input: Box<dyn Read + 'r>) -> Result<Self, ReplayError> {
        let mut frames = Frames::open(input)?.ok_or(ReplayError::NoRecording)?;
        let start = match frames.next()? {
            Next::Frame(Frame::Start(start)) => *start,
            Next::EndOfFile | Next::Frame(Frame::End(_)) => return Err(ReplayError::Empty),
            _ => return Err(ReplayError::Altered { step: 0 }),
        };
        let answers = RecordedAnswers::default();
        let (expected, end) = read_outcome(&mut frames, &answers, 0)?;
        let entropy = Entropy::new(start.seed).map_err(|error| ReplayError::Boot(error.to_string()))?;
        let message_signer = Box::new(ReplaySigner { key: start.message_key, answers: answers.clone() });
        let records = start.records.to_vec();
        let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer: start.peer, records };
        let config = start.config.clone().into_owned();
        let node = catch_panic(|| Node::delegating(config, boot, start.key, start.now)).map_err(ReplayError::Boot)?;
        let node = node.map_err(|error| ReplayError::Boot(error.to_string()))?;
        let (has_ended, beginning) = (expected.is_none(), Some(expected));
        Ok(Self { frames, node, answers, start, number: 0, beginning, has_ended, end })
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

    /// Whether a policy or a protocol of the embedder took part.
    pub fn has_custom_code(&self) -> bool {
        self.start.has_custom_code
    }

    /// The node.
    pub fn node(&mut self) -> &mut Node<Secp256k1> {
        &mut self.node
    }

    /// Why the recording ends, once it has; `None` where it just ends, as that of a node does which was killed.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Replays the next step; the host gets its outputs. `None` after the last one.
    pub fn next(&mut self, host: &mut dyn Host) -> Result<Option<Step>, ReplayError> {
        let (now, input, expected) = match self.beginning.take() {
            Some(expected) => (self.start.now, None, expected),
            None if self.has_ended => return Ok(None),
            None => match self.frames.next()? {
                Next::Frame(Frame::Step { now, input }) => {
                    let (expected, end) = read_outcome(&mut self.frames, &self.answers, self.number)?;
                    (self.has_ended, self.end) = (expected.is_none(), end);
                    (now, Some(input), expected)
                }
                Next::Frame(Frame::End(end)) => return Ok(self.ended(Some(end))),
                Next::EndOfFile => return Ok(self.ended(None)),
                Next::Frame(_) | Next::Altered => return Err(ReplayError::Altered { step: self.number }),
            },
        };
        let (outputs, panic) = self.run_step(now, input.clone(), host);
        // Nothing of a node can be trusted after a panic.
        self.has_ended |= panic.is_some();
        // What is missing at the end of a recording that was cut short is no difference.
        let mismatch = self.answers.mismatch().filter(|_| expected.is_some()).map(Difference::Signer);
        let output = expected.as_ref().and_then(|expected| first_difference(expected, &outputs));
        let difference = panic.map(Difference::Panic).or(mismatch).or(output);
        let (number, compared) = (self.number, expected.as_ref().map_or(0, Vec::len));
        self.number += 1;
        Ok(Some(Step { number, now, input, compared, is_complete: expected.is_some(), difference }))
    }

    fn ended(&mut self, end: Option<End>) -> Option<Step> {
        (self.has_ended, self.end) = (true, end);
        None
    }

    fn run_step(
        &mut self,
        now: Now,
        input: Option<StepInput<'_>>,
        host: &mut dyn Host,
    ) -> (Vec<OutputDigest>, Option<String>) {
        let (node, mut outputs) = (&mut self.node, Vec::new());
        let ran = catch_panic(|| {
            match input {
                None => {}
                Some(StepInput::Inputs(inputs)) => node.handle_many(now, inputs.into_owned()),
                Some(StepInput::Command(command)) => {
                    outputs.push(OutputDigest::answer(&node.command(now, command.into_owned())))
                }
            }
            drain_watched(node, host, |output| outputs.push(OutputDigest::output(output)));
        });
        (outputs, ran.err())
    }
}

/// Reads the rest of a step: the signer's answers go into `answers`, the digests of its outputs are returned. Nothing
/// when the recording ends before, and why it does if it says so.
fn read_outcome(
    frames: &mut Frames<'_>,
    answers: &RecordedAnswers,
    step: u64,
) -> Result<(Option<Vec<OutputDigest>>, Option<End>), ReplayError> {
    loop {
        match frames.next()? {
            Next::Frame(Frame::Answer(answer)) => answers.push(answer),
            Next::Frame(Frame::Done(outputs)) => return Ok((Some(outputs), None)),
            Next::Frame(Frame::End(end)) => return Ok((None, Some(end))),
            Next::EndOfFile => return Ok((None, None)),
            Next::Frame(Frame::Start(_) | Frame::Step { .. }) | Next::Altered => {
                return Err(ReplayError::Altered { step });
            }
        }
    }
}

fn first_difference(expected: &[OutputDigest], got: &[OutputDigest]) -> Option<Difference> {
    let show = |digest: Option<&OutputDigest>| {
        digest.map_or("nothing".into(), |OutputDigest { name, hash }| format!("{name} {hash:016x}"))
    };
    let places = 0..expected.len().max(got.len());
    let mut differing = places.map(|place| (place, expected.get(place), got.get(place)));
    let (place, expected, got) = differing.find(|(_, expected, got)| expected != got)?;
    Some(Difference::Output { place: place + 1, expected: show(expected), got: show(got) })
}

impl std::fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("key", &self.start.key).field("number", &self.number).finish_non_exhaustive()
    }
}
