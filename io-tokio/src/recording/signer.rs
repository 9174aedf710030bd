//! Two signers for recordings: one records the answers of another, one gives recorded answers.
//!
//! Invariant: what is recorded is what the signer has handed out, which is public; its key and its secret nonces are
//! never seen here. Driven by the node.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use nelumbo_core::crypto::{
    MessageSigner, NonceSlot, PartialSignature, PublicKey, PublicNonce, Secp256k1, Signature, Signer, SignerError,
    Verifier,
};

use super::{Answer, FrameSender};

type Keys = <Secp256k1 as Verifier>::Keys;
type Round = <Secp256k1 as Verifier>::Round;

/// A message signer whose answers are recorded.
pub(crate) struct RecordingMessageSigner {
    pub(crate) signer: Box<dyn MessageSigner + Send>,
    pub(crate) sender: FrameSender,
}

impl MessageSigner for RecordingMessageSigner {
    fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        let answer = self.signer.sign(digest);
        self.sender.answer(Answer::Authenticated { digest: *digest, answer });
        answer
    }
}

/// A signer whose answers are recorded.
pub(crate) struct RecordingSigner {
    pub(crate) signer: Box<dyn Signer<Secp256k1> + Send>,
    pub(crate) sender: FrameSender,
}

impl Signer<Secp256k1> for RecordingSigner {
    fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn nonces(&mut self, slot: NonceSlot, items: &[(&Keys, &[u8])]) -> Result<Vec<PublicNonce>, SignerError> {
        let answer = self.signer.nonces(slot, items);
        self.sender.answer(Answer::Nonces { slot, answer: answer.clone() });
        answer
    }

    fn sign(&mut self, slot: NonceSlot, items: &[(&Keys, &Round)]) -> Result<Vec<PartialSignature>, SignerError> {
        let answer = self.signer.sign(slot, items);
        self.sender.answer(Answer::Signed { slot, answer: answer.clone() });
        answer
    }

    fn forget(&mut self, slot: NonceSlot) {
        self.signer.forget(slot);
        self.sender.answer(Answer::Forgotten { slot });
    }

    fn forget_all(&mut self) {
        self.signer.forget_all();
    }
}

/// The recorded answers of the step that is replayed.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordedAnswers(Arc<Mutex<AnswerQueue>>);

#[derive(Debug, Default)]
struct AnswerQueue {
    answers: VecDeque<Answer>,
    /// The first question that was not the one in the recording.
    mismatch: Option<String>,
}

impl RecordedAnswers {
    fn with<T>(&self, act: impl FnOnce(&mut AnswerQueue) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn push(&self, answer: Answer) {
        self.with(|queue| queue.answers.push_back(answer));
    }

    /// What was asked otherwise than in the recording since the last call: another question, or one too few.
    pub(super) fn mismatch(&self) -> Option<String> {
        self.with(|queue| {
            let unasked = queue.answers.drain(..).next().map(|answer| format!("was not asked for {}", asked(&answer)));
            queue.mismatch.take().or(unasked)
        })
    }

    /// The next answer, if this is its question.
    fn answer<T>(
        &self,
        question: &str,
        fits: impl FnOnce(&Answer) -> Option<Result<T, SignerError>>,
    ) -> Result<T, SignerError> {
        self.with(|queue| {
            let next = queue.answers.pop_front();
            next.as_ref().and_then(fits).unwrap_or_else(|| {
                let expected = next.as_ref().map_or("nothing".into(), asked);
                queue.mismatch.get_or_insert_with(|| format!("was asked for {question} instead of {expected}"));
                Err(SignerError::Unavailable)
            })
        })
    }
}

fn asked(answer: &Answer) -> String {
    let of = |slot: &NonceSlot| format!("attempt {} of session {}", slot.attempt, hex::encode(slot.session));
    match answer {
        Answer::Authenticated { digest, .. } => format!("a signature of {}", hex::encode(digest)),
        Answer::Nonces { slot, .. } => format!("the nonces of {}", of(slot)),
        Answer::Signed { slot, .. } => format!("the partial signatures of {}", of(slot)),
        Answer::Forgotten { slot } => format!("the end of {}", of(slot)),
    }
}

/// Both signers, without a secret key, which give the recorded answers.
#[derive(Clone)]
pub(super) struct ReplaySigner {
    pub(super) key: PublicKey,
    pub(super) answers: RecordedAnswers,
}

impl MessageSigner for ReplaySigner {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        let question = asked(&Answer::Authenticated { digest: *digest, answer: Err(SignerError::Unavailable) });
        self.answers.answer(&question, |next| match next {
            Answer::Authenticated { digest: recorded, answer } if recorded == digest => Some(*answer),
            _ => None,
        })
    }
}

impl Signer<Secp256k1> for ReplaySigner {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn nonces(&mut self, slot: NonceSlot, _: &[(&Keys, &[u8])]) -> Result<Vec<PublicNonce>, SignerError> {
        let question = asked(&Answer::Nonces { slot, answer: Err(SignerError::Unavailable) });
        self.answers.answer(&question, |next| match next {
            Answer::Nonces { slot: recorded, answer } if *recorded == slot => Some(answer.clone()),
            _ => None,
        })
    }

    fn sign(&mut self, slot: NonceSlot, _: &[(&Keys, &Round)]) -> Result<Vec<PartialSignature>, SignerError> {
        let question = asked(&Answer::Signed { slot, answer: Err(SignerError::Unavailable) });
        self.answers.answer(&question, |next| match next {
            Answer::Signed { slot: recorded, answer } if *recorded == slot => Some(answer.clone()),
            _ => None,
        })
    }

    fn forget(&mut self, slot: NonceSlot) {
        // An answer that there is none has been noted as a mismatch.
        let _ = self.answers.answer(&asked(&Answer::Forgotten { slot }), |next| {
            (*next == Answer::Forgotten { slot }).then_some(Ok(()))
        });
    }

    fn forget_all(&mut self) {}
}
