//! Proofs of misbehaviour that anyone can check, without having been there.
//!
//! Evidence consists of messages as their authors signed them. [`verify`] believes nothing else: no claim of the
//! accuser, no state of a node. Invariant: a signer that follows the protocol and keeps its journal is never convicted,
//! whatever others sign, because it shows one list of nonces and one of partial signatures in an attempt, and its
//! partial signatures are valid for the nonces that it names. One that has lost its journal may show other nonces, and
//! can be convicted; so can one whose message key is in other hands, as long as its delegation lasts, and the
//! conviction names that key too. What is wrong of one item is judged by that item alone.
//!
//! The session's machine collects evidence; embedders keep it, pass it on, and judge what others pass to them.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::Bytes;
use crate::crypto::{NonceError, PublicKey, PublicNonce, Verifier};
use crate::gate::{Inauthentic, authenticity};
use crate::session::nonces_hash;
use crate::wire::{Body, Content, Definition, Message, SessionId, SessionMessage};

/// The most bytes that evidence has, as bytes and as JSON: the nonces of the largest session, and what it signs twice,
/// since its creator's nonces may come with it.
pub const MAX_EVIDENCE: usize = 1 << 20;

/// A message as its author signed it; hexadecimal in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibit(pub Bytes);

/// What is held against a signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "evidence", rename_all = "kebab-case")]
pub enum Evidence {
    /// Two different lists of nonces, or of partial signatures, in one attempt.
    Equivocation {
        /// The session.
        definition: Definition,
        /// One of them.
        first: Exhibit,
        /// The other one.
        second: Exhibit,
    },
    /// A public nonce that is not two points of the curve.
    InvalidNonce {
        /// The session.
        definition: Definition,
        /// Of which item, from 0.
        item: u32,
        /// All signers' nonces of the attempt, in key order.
        nonces: Vec<Exhibit>,
    },
    /// A partial signature that is not valid for the nonces that it names.
    InvalidPartial {
        /// The session.
        definition: Definition,
        /// Of which item, from 0.
        item: u32,
        /// All signers' nonces of the attempt, in key order.
        nonces: Vec<Exhibit>,
        /// The message with the partial signature.
        partial: Exhibit,
    },
    /// A final signature that does not verify.
    InvalidSignature {
        /// The session.
        definition: Definition,
        /// Of which item, from 0.
        item: u32,
        /// The message that passes it off as valid.
        finalized: Exhibit,
    },
}

impl Evidence {
    /// How many bytes it has, less than a few for lengths and names.
    pub(crate) fn length(&self) -> usize {
        let sum = |exhibits: &[Exhibit]| exhibits.iter().map(|exhibit| exhibit.0.len()).sum::<usize>();
        match self {
            Self::Equivocation { definition, first, second } => definition.length() + first.0.len() + second.0.len(),
            Self::InvalidNonce { definition, nonces, .. } => definition.length() + sum(nonces),
            Self::InvalidPartial { definition, nonces, partial, .. } => {
                definition.length() + sum(nonces) + partial.0.len()
            }
            Self::InvalidSignature { definition, finalized, .. } => definition.length() + finalized.0.len(),
        }
    }
}

/// Who is guilty of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conviction {
    /// The guilty signer, by its signing key.
    pub signer: PublicKey,
    /// The message keys, delegated to by the signing key, with which this was said, in order; none where the signing
    /// key itself has said all of it. Whoever holds them is guilty, which the signer answers for.
    pub message_keys: Vec<PublicKey>,
    /// Of what.
    pub offence: Offence,
    /// In which session.
    pub session: SessionId,
    /// In which attempt at it.
    pub attempt: u32,
}

/// What a signer can be guilty of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offence {
    /// It showed two lists of nonces, or of partial signatures, in one attempt.
    Equivocation,
    /// It sent a public nonce that is none.
    InvalidNonce,
    /// It sent a partial signature that does not verify.
    InvalidPartial,
    /// It passed an invalid final signature off as valid.
    InvalidSignature,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equivocation => "two different nonces or partial signatures in one attempt",
            Self::InvalidNonce => "a public nonce that is none",
            Self::InvalidPartial => "a partial signature that does not verify",
            Self::InvalidSignature => "passing an invalid signature off as valid",
        })
    }
}

/// Why evidence convicts nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotProven {
    /// It has more than [`MAX_EVIDENCE`] bytes, which no misdeed takes.
    TooLarge,
    /// An exhibit is not a message of a session.
    NotAMessage,
    /// An exhibit is not signed by its author.
    NotSigned,
    /// An exhibit is signed with a message key, and its author has not delegated to that for all of the session's time.
    NotDelegated,
    /// The exhibits are not of one session and attempt, of the session's signers, or of the right kind.
    Unrelated,
    /// The session could not have taken place: its definition breaks a rule.
    Definition,
    /// The exhibits agree with each other, or what they show is valid: there is nothing to convict anyone of.
    Innocent,
    /// Nobody's contribution is at fault by itself: the nonces cancel each other out.
    Nobody,
}

impl fmt::Display for NotProven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "it has more bytes than evidence can have",
            Self::NotAMessage => "an exhibit is not a message of a session",
            Self::NotSigned => "an exhibit is not signed by the key that it names as its author",
            Self::NotDelegated => {
                "an exhibit is signed with a message key to which its author has not delegated for the session's time"
            }
            Self::Unrelated => "the exhibits do not belong together",
            Self::Definition => "the session's definition breaks a rule, so there can have been no such session",
            Self::Innocent => "what the exhibits show is what an honest signer does",
            Self::Nobody => "the nonces cancel each other out, for which nobody can be named",
        })
    }
}

impl core::error::Error for NotProven {}

/// A signed step of a session.
struct Step {
    author: PublicKey,
    /// The key that has signed it, where that is another one.
    message_key: Option<PublicKey>,
    session: SessionId,
    attempt: u32,
    content: Content,
}

impl Step {
    fn read<V: Verifier>(verifier: &V, definition: &Definition, exhibit: &Exhibit) -> Result<Self, NotProven> {
        let message = Message::decode(exhibit.0.clone()).map_err(|_| NotProven::NotAMessage)?;
        let author = message.unsigned.author;
        let mandate = authenticity(verifier, &message).map_err(|why| match why {
            Inauthentic::Signature => NotProven::NotSigned,
            Inauthentic::Delegation => NotProven::NotDelegated,
        })?;
        if mandate.is_some_and(|mandate| !mandate.covers((definition.created_at, definition.expires_at))) {
            return Err(NotProven::NotDelegated);
        }
        let message_key = mandate.map(|mandate| mandate.message_key);
        match message.unsigned.body {
            Body::Session(SessionMessage { session, attempt, content, .. }) => {
                Ok(Self { author, message_key, session, attempt, content })
            }
            _ => Err(NotProven::NotAMessage),
        }
    }

    fn nonces(&self) -> Option<&[PublicNonce]> {
        self.content.nonces()
    }

    fn convict(&self, offence: Offence) -> Conviction {
        let message_keys = self.message_key.into_iter().collect();
        Conviction { signer: self.author, message_keys, offence, session: self.session, attempt: self.attempt }
    }
}

/// Says who is guilty of what, or why nobody is.
///
/// # Errors
/// [`NotProven`]; evidence that proves nothing says nothing about whoever brought it either.
pub fn verify<V: Verifier>(verifier: &V, evidence: &Evidence) -> Result<Conviction, NotProven> {
    if evidence.length() > MAX_EVIDENCE {
        return Err(NotProven::TooLarge);
    }
    match evidence {
        Evidence::Equivocation { definition, first, second } => equivocation(verifier, definition, [first, second]),
        Evidence::InvalidNonce { definition, item, nonces } => {
            let case = Case::open(verifier, definition, *item)?;
            let steps = case.nonces(nonces)?;
            match case.open_round(&steps) {
                Err(NonceError::Invalid { signer }) => Ok(steps[signer].convict(Offence::InvalidNonce)),
                Err(_) => Err(NotProven::Nobody),
                Ok(_) => Err(NotProven::Innocent),
            }
        }
        Evidence::InvalidPartial { definition, item, nonces, partial } => {
            let case = Case::open(verifier, definition, *item)?;
            let steps = case.nonces(nonces)?;
            let accused = Step::read(verifier, definition, partial)?;
            let index = case.index_of(&accused)?;
            let Content::Partial { nonces: named, partials } = &accused.content else {
                return Err(NotProven::Unrelated);
            };
            if accused.attempt != steps[0].attempt || *named != nonces_hash(steps.iter().filter_map(Step::nonces)) {
                return Err(NotProven::Unrelated);
            }
            let round = case.open_round(&steps).map_err(|_| NotProven::Nobody)?;
            let (nonce, partial) = (case.nonce_in(&steps[index]), case.of_item(partials)?);
            if verifier.verify_partial(&case.keys, &round, index, &nonce, partial) {
                return Err(NotProven::Innocent);
            }
            Ok(accused.convict(Offence::InvalidPartial))
        }
        Evidence::InvalidSignature { definition, item, finalized } => {
            let case = Case::open(verifier, definition, *item)?;
            let accused = Step::read(verifier, definition, finalized)?;
            case.index_of(&accused)?;
            let Content::Finalized { signatures } = &accused.content else { return Err(NotProven::Unrelated) };
            if verifier.verify_final(&case.keys, &case.message, case.of_item(signatures)?) {
                return Err(NotProven::Innocent);
            }
            Ok(accused.convict(Offence::InvalidSignature))
        }
    }
}

fn equivocation<V: Verifier>(
    verifier: &V,
    definition: &Definition,
    exhibits: [&Exhibit; 2],
) -> Result<Conviction, NotProven> {
    definition.check(Duration::MAX).map_err(|_| NotProven::Definition)?;
    let [first, second] = exhibits.map(|exhibit| Step::read(verifier, definition, exhibit));
    let (first, second) = (first?, second?);
    if (first.author, first.session, first.attempt) != (second.author, second.session, second.attempt)
        || first.session != definition.id()
        || definition.index_of(&first.author).is_none()
    {
        return Err(NotProven::Unrelated);
    }
    let differ = match (&first.content, &second.content) {
        (Content::Partial { .. }, Content::Partial { .. }) => first.content != second.content,
        _ => first.nonces().zip(second.nonces()).map(|(one, other)| one != other).ok_or(NotProven::Unrelated)?,
    };
    if !differ {
        return Err(NotProven::Innocent);
    }
    let mut conviction = first.convict(Offence::Equivocation);
    conviction.message_keys.extend(second.message_key);
    conviction.message_keys.sort_unstable();
    conviction.message_keys.dedup();
    Ok(conviction)
}

/// An item of a session that can have taken place.
struct Case<'a, V: Verifier> {
    verifier: &'a V,
    definition: &'a Definition,
    session: SessionId,
    item: usize,
    keys: V::Keys,
    message: Cow<'a, [u8]>,
}

impl<'a, V: Verifier> Case<'a, V> {
    fn open(verifier: &'a V, definition: &'a Definition, item: u32) -> Result<Self, NotProven> {
        definition.check(Duration::MAX).map_err(|_| NotProven::Definition)?;
        let item = usize::try_from(item).ok().filter(|item| *item < definition.items.len());
        let item = item.ok_or(NotProven::Unrelated)?;
        let keys = verifier
            .aggregate_keys(definition.suite, &definition.keys, &definition.items[item].tweak)
            .map_err(|_| NotProven::Definition)?;
        let message = definition.message(item).map_err(|_| NotProven::Definition)?;
        Ok(Self { verifier, definition, session: definition.id(), item, keys, message })
    }

    fn index_of(&self, step: &Step) -> Result<usize, NotProven> {
        self.definition.index_of(&step.author).filter(|_| step.session == self.session).ok_or(NotProven::Unrelated)
    }

    /// What a list with one for each item has for this one.
    fn of_item<'b, T>(&self, list: &'b [T]) -> Result<&'b T, NotProven> {
        let list = Some(list).filter(|list| list.len() == self.definition.items.len());
        list.map(|list| &list[self.item]).ok_or(NotProven::Unrelated)
    }

    /// All signers' nonces of one attempt, each from its own signer and one for each item.
    fn nonces(&self, exhibits: &[Exhibit]) -> Result<Vec<Step>, NotProven> {
        if exhibits.len() != self.definition.keys.len() {
            return Err(NotProven::Unrelated);
        }
        let mut steps: Vec<Step> = Vec::new();
        for (index, exhibit) in exhibits.iter().enumerate() {
            let step = Step::read(self.verifier, self.definition, exhibit)?;
            let attempt = steps.first().map_or(step.attempt, |first| first.attempt);
            if self.index_of(&step)? != index || step.attempt != attempt {
                return Err(NotProven::Unrelated);
            }
            self.of_item(step.nonces().ok_or(NotProven::Unrelated)?)?;
            steps.push(step);
        }
        Ok(steps)
    }

    /// The nonce of this item in a step of [`nonces`](Self::nonces).
    fn nonce_in(&self, step: &Step) -> PublicNonce {
        step.nonces().expect("steps without nonces were refused")[self.item]
    }

    fn open_round(&self, steps: &[Step]) -> Result<V::Round, NonceError> {
        let nonces: Vec<_> = steps.iter().map(|step| self.nonce_in(step)).collect();
        self.verifier.open_round(&self.keys, &nonces, &self.message)
    }
}

impl Serialize for Exhibit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            struct Hex<'a>(&'a [u8]);
            impl fmt::Display for Hex<'_> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
                }
            }
            serializer.collect_str(&Hex(&self.0))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Exhibit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            let text = alloc::string::String::deserialize(deserializer)?;
            let digits = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok();
            let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digits).collect();
            bytes
                .filter(|bytes| bytes.len() * 2 == text.len())
                .ok_or_else(|| serde::de::Error::custom("an exhibit is an even number of hexadecimal digits"))?
        } else {
            Vec::deserialize(deserializer)?
        };
        Ok(Self(bytes.into()))
    }
}
