//! What the gate remembers of sessions: which numbers of each signer have been taken, and steps that came too early.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::early::PendingMessages;
use super::window::ReplayWindow;
use super::{Admitted, Authentic, Gate, Request};
use crate::api::{Limits, Refusal};
use crate::base::Mono;
use crate::crypto::{PublicKey, Verifier};
use crate::wire::{Content, Definition, SessionId, SessionMessage};

/// A session's signers, by key, with what has been seen of each.
#[derive(Debug)]
struct Signers(Box<[(PublicKey, ReplayWindow)]>);

impl Signers {
    fn find(&self, author: &PublicKey) -> Result<usize, Refusal> {
        self.0.binary_search_by(|(signer, _)| signer.cmp(author)).map_err(|_| Refusal::NotASigner)
    }
}

/// The sessions whose steps are checked for replay, and steps of others.
#[derive(Debug)]
pub(super) struct Watched {
    by_id: BTreeMap<SessionId, Signers>,
    pending: PendingMessages,
    reach: u64,
}

impl Watched {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self { by_id: BTreeMap::new(), pending: PendingMessages::new(limits), reach: limits.sequence_window }
    }

    pub(super) fn knows(&self, session: &SessionId) -> bool {
        self.by_id.contains_key(session)
    }

    /// Whether a step could still be admitted, so that duplicates cost no signature check.
    pub(super) fn peek(
        &self,
        author: &PublicKey,
        step: &SessionMessage,
        last_attempt: u32,
        is_lacking: impl FnOnce(&SessionMessage) -> bool,
    ) -> Result<(), Refusal> {
        if step.attempt == 0 || step.attempt > last_attempt {
            return Err(Refusal::Attempt);
        }
        match self.by_id.get(&step.session) {
            None => Ok(()),
            Some(signers) => {
                let window = &signers.0[signers.find(author)?].1;
                match step.content {
                    Content::Busy => once(step, is_lacking),
                    _ => or_lacking(window.peek(step.attempt, step.sequence), step, is_lacking),
                }
            }
        }
    }

    /// Admits a step of a session that is watched, once.
    pub(super) fn take(
        &mut self,
        step: Authentic<SessionMessage>,
        definition: &Definition,
        is_lacking: impl FnOnce(&PublicKey, &SessionMessage) -> bool,
    ) -> Result<Admitted<SessionMessage>, Refusal> {
        step.speaks_for(definition)?;
        let SessionMessage { session, attempt, sequence, ref content } = step.value;
        let is_creator = definition.creator_key() == &step.author;
        let items = definition.items.len();
        let fits = match content {
            Content::Announce { definition: announced, nonces } => {
                if !is_creator {
                    return Err(Refusal::NotTheCreator);
                }
                **announced == *definition && nonces.len() == if definition.announces_nonces() { items } else { 0 }
            }
            // The creator joins by announcing, unless its nonces do not fit in there.
            Content::Join { nonces } => nonces.len() == items && !(is_creator && definition.announces_nonces()),
            Content::Partial { partials, .. } => partials.len() == items,
            Content::Finalized { signatures } => signatures.len() == items,
            Content::Abort { .. } | Content::Confirmed | Content::Waiting | Content::Busy | Content::Status { .. } => {
                true
            }
        };
        if !fits {
            return Err(Refusal::Definition);
        }
        let signers = self.by_id.get_mut(&session).ok_or(Refusal::Ended)?;
        let signer = signers.find(&step.author)?;
        let is_lacking = |value: &SessionMessage| is_lacking(&step.author, value);
        match content {
            // It stands outside of the author's count.
            Content::Busy => once(&step.value, is_lacking)?,
            _ => or_lacking(signers.0[signer].1.take(attempt, sequence), &step.value, is_lacking)?,
        }
        Ok(step.admitted())
    }

    /// Keeps a step until its session is known.
    pub(super) fn keep(&mut self, step: Authentic<SessionMessage>, now: Mono) -> Result<(), Refusal> {
        self.pending.keep(step, now)
    }
}

/// What has no place in its author's count is taken as long as the session lacks it.
fn once(step: &SessionMessage, is_lacking: impl FnOnce(&SessionMessage) -> bool) -> Result<(), Refusal> {
    if is_lacking(step) { Ok(()) } else { Err(Refusal::Duplicate) }
}

/// What is behind the window is let in all the same as long as its session lacks it: everything is repeated in its
/// first, signed form, and its author may have said much since. The session takes it once.
fn or_lacking(
    window: Result<(), Refusal>,
    step: &SessionMessage,
    is_lacking: impl FnOnce(&SessionMessage) -> bool,
) -> Result<(), Refusal> {
    let is_behind = matches!(window, Err(Refusal::SequenceGap | Refusal::StaleAttempt)) && step.sequence > 0;
    if is_behind && is_lacking(step) { Ok(()) } else { window }
}

impl<V: Verifier> Gate<V> {
    /// From now on the steps of this session are checked for replay. Those that came too early are checked now, and so
    /// is the one that it was announced with, as the last.
    pub(crate) fn watch(
        &mut self,
        definition: &Definition,
        request: Option<Request>,
    ) -> Vec<Result<Admitted<SessionMessage>, Refusal>> {
        let (id, window) = (definition.id(), ReplayWindow::new(self.watched.reach));
        let signers = definition.keys.iter().map(|signer| (*signer, window)).collect();
        self.watched.by_id.insert(id, Signers(signers));
        let pending = self.watched.pending.take(&id);
        // The session is new: it lacks everything that can count.
        let is_lacking = |_: &_, step: &SessionMessage| {
            !matches!(step.content, Content::Status { .. } | Content::Waiting | Content::Busy)
        };
        let announcement = request.and_then(|request| request.announcement);
        pending.into_iter().chain(announcement).map(|step| self.watched.take(step, definition, is_lacking)).collect()
    }

    /// The session is forgotten.
    pub(crate) fn unwatch(&mut self, session: &SessionId) {
        self.watched.by_id.remove(session);
    }

    /// Forgets steps whose session has not become known in time.
    pub(crate) fn expire_pending(&mut self, now: Mono) {
        self.watched.pending.expire(now);
    }

    /// When the next of them is to be forgotten.
    pub(crate) fn pending_deadline(&self) -> Option<Mono> {
        self.watched.pending.deadline()
    }
}
