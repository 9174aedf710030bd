//! Stand between a node and its signer: one remembers the answers, one gives them again.
//!
//! Invariant: what is remembered is what the signer has handed out, which is public; what it keeps to itself is never seen
//! here. Driven by the node.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use nelumbo_core::crypto::{
    NonceSlot, PartialSignature, PublicKey, PublicNonce, Secp256k1, Signature, Signer, SignerError, Verifier,
};

use super::{Answer, Tape};

type Keys = <Secp256k1 as Verifier>::Keys;
type Round = <Secp256k1 as Verifier>::Round;

/// A signer whose answers are recorded.
pub(crate) struct Recorded {
    pub(crate) signer: Box<dyn Signer<Secp256k1> + Send>,
    pub(crate) tape: Tape,
}

impl Signer<Secp256k1> for Recorded {
    fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn authenticate(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        let answer = self.signer.authenticate(digest);
        self.tape.answer(Answer::Authenticated { digest: *digest, answer });
        answer
    }

    fn nonce(&mut self, slot: NonceSlot, keys: &Keys, message: &[u8]) -> Result<PublicNonce, SignerError> {
        let answer = self.signer.nonce(slot, keys, message);
        self.tape.answer(Answer::Nonce { slot, answer });
        answer
    }

    fn sign(&mut self, slot: NonceSlot, keys: &Keys, round: &Round) -> Result<PartialSignature, SignerError> {
        let answer = self.signer.sign(slot, keys, round);
        self.tape.answer(Answer::Signed { slot, answer });
        answer
    }

    fn forget(&mut self, slot: NonceSlot) {
        self.signer.forget(slot);
        self.tape.answer(Answer::Forgotten { slot });
    }
}

/// The answers of a step that is lived through again.
#[derive(Clone, Debug, Default)]
pub(super) struct Script(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    answers: VecDeque<Answer>,
    /// The first question that was not the one in the recording.
    surprise: Option<String>,
}

impl Script {
    fn with<T>(&self, act: impl FnOnce(&mut Lines) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn push(&self, answer: Answer) {
        self.with(|lines| lines.answers.push_back(answer));
    }

    /// What was asked otherwise than in the recording since the last look: another question, or one too few.
    pub(super) fn surprise(&self) -> Option<String> {
        self.with(|lines| {
            let unasked = lines.answers.drain(..).next().map(|answer| format!("was not asked for {}", asked(&answer)));
            lines.surprise.take().or(unasked)
        })
    }

    /// The next answer, if this is its question.
    fn answer<T>(
        &self,
        question: &str,
        fits: impl FnOnce(&Answer) -> Option<Result<T, SignerError>>,
    ) -> Result<T, SignerError> {
        self.with(|lines| {
            let next = lines.answers.pop_front();
            next.as_ref().and_then(fits).unwrap_or_else(|| {
                let expected = next.as_ref().map_or("nothing".into(), asked);
                lines.surprise.get_or_insert_with(|| format!("was asked for {question} instead of {expected}"));
                Err(SignerError::Unavailable)
            })
        })
    }
}

fn asked(answer: &Answer) -> String {
    let of = |slot: &NonceSlot| format!("attempt {} of session {}", slot.attempt, hex::encode(slot.session));
    match answer {
        Answer::Authenticated { digest, .. } => format!("a signature of {}", hex::encode(digest)),
        Answer::Nonce { slot, .. } => format!("the nonce of {}", of(slot)),
        Answer::Signed { slot, .. } => format!("the partial signature of {}", of(slot)),
        Answer::Forgotten { slot } => format!("the end of {}", of(slot)),
    }
}

/// A signer without a key, which says again what another has said.
pub(super) struct Repeated {
    pub(super) key: PublicKey,
    pub(super) script: Script,
}

impl Signer<Secp256k1> for Repeated {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn authenticate(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        let question = asked(&Answer::Authenticated { digest: *digest, answer: Err(SignerError::Unavailable) });
        self.script.answer(&question, |next| match next {
            Answer::Authenticated { digest: recorded, answer } if recorded == digest => Some(*answer),
            _ => None,
        })
    }

    fn nonce(&mut self, slot: NonceSlot, _: &Keys, _: &[u8]) -> Result<PublicNonce, SignerError> {
        let question = asked(&Answer::Nonce { slot, answer: Err(SignerError::Unavailable) });
        self.script.answer(&question, |next| match next {
            Answer::Nonce { slot: recorded, answer } if *recorded == slot => Some(*answer),
            _ => None,
        })
    }

    fn sign(&mut self, slot: NonceSlot, _: &Keys, _: &Round) -> Result<PartialSignature, SignerError> {
        let question = asked(&Answer::Signed { slot, answer: Err(SignerError::Unavailable) });
        self.script.answer(&question, |next| match next {
            Answer::Signed { slot: recorded, answer } if *recorded == slot => Some(*answer),
            _ => None,
        })
    }

    fn forget(&mut self, slot: NonceSlot) {
        // An answer that there is none has been noted as a surprise.
        let _ = self.script.answer(&asked(&Answer::Forgotten { slot }), |next| {
            (*next == Answer::Forgotten { slot }).then_some(Ok(()))
        });
    }
}
