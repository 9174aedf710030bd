//! Two message signers for recordings: one records the answers of another, one gives recorded answers.
//!
//! Invariant: what is recorded is what the signer has handed out, which is public; its key is never seen here. Driven
//! by the node.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use nelumbo_core::crypto::{MessageSigner, PublicKey, Signature, SignerError};

use super::{Answer, FrameSender};

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
    fn answer(
        &self,
        question: &str,
        fits: impl FnOnce(&Answer) -> Option<Result<Signature, SignerError>>,
    ) -> Result<Signature, SignerError> {
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

fn asked(Answer::Authenticated { digest, .. }: &Answer) -> String {
    format!("a signature of {}", hex::encode(digest))
}

/// A message signer without a secret key, which gives the recorded answers.
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
        self.answers.answer(&question, |Answer::Authenticated { digest: recorded, answer }| {
            (recorded == digest).then_some(*answer)
        })
    }
}
