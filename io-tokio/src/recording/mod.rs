//! Recordings: everything that enters a node, so that its run can be replayed.
//!
//! Owns the format. A recording is [`MAGIC`], then frames: a length (four bytes, little-endian), sixteen bytes of a
//! hash over everything before and the body, and the body, in postcard. It begins with what the node was started with;
//! then comes each step: the node's input, the answers of its message signer meanwhile, and a digest of each output.
//! Invariants: what was altered is noticed at its step; a cut end is an end; neither the secret key, nor a secret
//! nonce, nor what they are drawn from is ever in it, because the signer's answers are recorded in its place.
//!
//! `recorder` writes, `signer` stands between the node and its signer, `replay` reads.

mod recorder;
mod replay;
mod signer;

use std::{borrow::Cow, fmt::Write as _, io::Read};

use nelumbo_core::{
    api::{Command, Config, Input, Output},
    base::Now,
    crypto::{PublicKey, Signature, SignerError, tagged_hash},
    wire::PeerId,
};
use serde::{Deserialize, Serialize};

pub use self::replay::{Difference, Replay, ReplayError, Step};
pub(crate) use self::{
    recorder::{FrameSender, Recorder},
    signer::RecordingMessageSigner,
};

/// How a recording begins; the number is the format's version.
pub const MAGIC: &[u8; 20] = b"nelumbo recording 3\n";
/// How large a recording may become, if nobody says otherwise: 256 MiB.
pub const DEFAULT_LIMIT: u64 = 256 << 20;

const CHAIN: usize = 16;
type Chain = [u8; CHAIN];

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Frame<'a> {
    /// What the node was started with. The first entry, and only that.
    Start(Box<Start<'a>>),
    /// The node is about to be given an input.
    Step { now: Now, input: StepInput<'a> },
    /// The message signer was asked, and answered.
    Answer(Answer),
    /// The node has taken the step, with these outputs.
    Done(Vec<OutputDigest>),
    /// Nothing follows.
    End(End),
}

/// What a node was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start<'a> {
    /// Which program has recorded it.
    pub(crate) version: Cow<'a, str>,
    pub(crate) now: Now,
    pub(crate) config: Cow<'a, Config>,
    pub(crate) key: PublicKey,
    pub(crate) peer: PeerId,
    /// What the node's own streams follow from. No signer's stream does.
    pub(crate) seed: [u8; 32],
    pub(crate) records: Cow<'a, [(Vec<u8>, Vec<u8>)]>,
    /// Whether a policy or a protocol of the embedder took part, which no recording holds.
    pub(crate) has_custom_code: bool,
    /// The key that signs messages, which may be another one.
    pub(crate) message_key: PublicKey,
}

/// The input of one step of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepInput<'a> {
    /// Facts about the world, handled together.
    Inputs(Cow<'a, [Input]>),
    /// A command of the embedder.
    Command(Cow<'a, Command>),
}

/// What a message signer was asked for, and what it answered. What the signer of sessions answers is an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    Authenticated { digest: [u8; 32], answer: Result<Signature, SignerError> },
}

/// An output, or the answer to a command: the variant's name, and a hash of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OutputDigest {
    name: String,
    hash: u64,
}

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The node was stopped.
    Stopped,
    /// The recording had reached its limit.
    Full,
    /// The disk was too slow for what happened.
    Overrun,
    /// A protocol was registered on the running node, or taken out.
    Protocols,
}

impl OutputDigest {
    fn output(output: &Output) -> Self {
        Self::new(output, &encode(output))
    }

    /// How a command was answered.
    fn answer(answer: &impl std::fmt::Debug) -> Self {
        Self::new(answer, format!("{answer:?}").as_bytes())
    }

    fn new(named: &impl std::fmt::Debug, content: &[u8]) -> Self {
        let hash = tagged_hash("nelumbo/recording/said", &[content]);
        Self { name: name(named), hash: u64::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes")) }
    }
}

/// The name of a variant, as `Debug` begins with it.
fn name(value: &impl std::fmt::Debug) -> String {
    struct First(String);
    impl std::fmt::Write for First {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.push_str(text);
            // One word is enough.
            Err(std::fmt::Error)
        }
    }
    let mut first = First(String::new());
    let _enough = write!(first, "{value:?}");
    first.0
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("memory is all that it takes")
}

fn link(chain: &Chain, body: &[u8]) -> Chain {
    *tagged_hash("nelumbo/recording", &[chain, body]).first_chunk().expect("a hash has 32 bytes")
}

/// A frame as it stands in the file, which moves the chain on.
fn encode_frame(chain: &mut Chain, body: &[u8]) -> Vec<u8> {
    *chain = link(chain, body);
    let length = u32::try_from(body.len()).expect("what a node is given at once is below 4 GiB");
    [&length.to_le_bytes()[..], &chain[..], body].concat()
}

/// Reads the frames of a recording.
struct Frames<'r> {
    input: Box<dyn Read + 'r>,
    chain: Chain,
}

/// What comes next in a recording.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Frame(Frame<'static>),
    /// The end of the file, perhaps in the middle of a frame.
    EndOfFile,
    /// No frame, or another one than was written.
    Altered,
}

impl<'r> Frames<'r> {
    /// `None` when these are the bytes of something else.
    fn open(mut input: Box<dyn Read + 'r>) -> std::io::Result<Option<Self>> {
        let magic = read(&mut input, MAGIC.len())?;
        Ok((magic == MAGIC).then_some(Self { input, chain: [0; CHAIN] }))
    }

    fn next(&mut self) -> std::io::Result<Next> {
        let head = read(&mut self.input, 4 + CHAIN)?;
        let Some((length, chain)) = head.split_first_chunk().filter(|(_, chain)| chain.len() == CHAIN) else {
            return Ok(Next::EndOfFile);
        };
        let length = u32::from_le_bytes(*length) as usize;
        let body = read(&mut self.input, length)?;
        if body.len() < length {
            return Ok(Next::EndOfFile);
        }
        self.chain = link(&self.chain, &body);
        if self.chain != chain {
            return Ok(Next::Altered);
        }
        // The whole of it, in its one encoding.
        let frame = postcard::take_from_bytes(&body).ok().filter(|(_, rest)| rest.is_empty());
        Ok(frame.map_or(Next::Altered, |(frame, _)| Next::Frame(frame)))
    }
}

/// So many bytes, or fewer at the end. No more memory is taken than there are bytes.
fn read(input: &mut impl Read, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
