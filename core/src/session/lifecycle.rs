//! What happens to the sessions of a node, from their creation to when they are forgotten: which session an input
//! belongs to, and what the others need not know of it.
//!
//! Invariants: whether a session's time is over is judged by the wall clock before each of its steps, whatever timers
//! say; a session is remembered, at least by its id, until its announcement has expired by anyone's clock and so much
//! time has run that this is so even when the clock is wrong, so that no replay opens it again; while what it has said
//! waits for the disk, it says nothing more. Driven by `Node`.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::closed::time_until;
use super::{Acquaintance, Items, ItemsError, Reach, Session, Sessions};
use crate::api::{
    CommandError, CommandId, Config, Event, NewSession, Output, Phase, Refusal, SignReply, SignRequest, TimerReason,
};
use crate::approval::{Summary, Unusual};
use crate::base::{Mono, Now, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::effect::{Context, Effect};
use crate::gate::Admitted;
use crate::journal::{CorruptRecord, Outcome, Record, SessionRecord};
use crate::node::BootError;
use crate::wire::{AbortReason, Content, Definition, SessionId, SessionMessage};

impl<V: Verifier> Sessions<V> {
    /// Lets a session take a step, unless its time is over: then it has ended before. `None` when there is no such
    /// session.
    fn run<R>(
        &mut self,
        context: &mut Context<'_, V>,
        id: SessionId,
        step: impl FnOnce(&mut Session<V>, &mut Context<'_, V>) -> R,
    ) -> Option<R> {
        let before = context.effects.len();
        let session = self.get_mut(&id)?;
        let outer = context.session.replace(id);
        if session.is_overdue(context.now.wall) {
            session.expire(context);
        }
        let result = step(session, context);
        self.take_account(context, id, before);
        context.session = outer;
        Some(result)
    }

    /// A command's step of a session.
    pub(crate) fn command(
        &mut self,
        context: &mut Context<'_, V>,
        id: SessionId,
        step: impl FnOnce(&mut Session<V>, &mut Context<'_, V>) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        if self.get(&id).is_some_and(Session::is_closed) {
            return Err(CommandError::UnknownSession(id));
        }
        self.run(context, id, step).ok_or(CommandError::UnknownSession(id))?
    }

    /// Whether a step has changed that a session needs its signers. Whoever is to be sought is before anything is sent.
    fn take_account(&mut self, context: &mut Context<'_, V>, id: SessionId, before: usize) {
        let Some(definition) = self.get(&id).map(|session| session.definition().clone()) else { return };
        if self.approve(&id) {
            context.effects.insert(before, (Some(id), Effect::Wanted(definition.clone())));
        }
        if self.settle(&id) {
            if self.is_approved(&id) {
                context.push(Effect::Released(definition));
            }
            self.make_room(context);
        }
    }

    /// Makes a session one of this node's; `from` is what is known of its creator when it waits for approval.
    fn adopt(&mut self, context: &mut Context<'_, V>, session: Session<V>, from: Acquaintance, before: usize) {
        let (id, definition) = (session.id(), session.definition().clone());
        let is_open = !session.phase().has_ended() && session.phase() != Phase::Announced;
        context.timer(TimerReason::Expired(id), time_left(context, &session));
        self.insert(session, from);
        if is_open {
            context.effects.insert(before, (Some(id), Effect::Wanted(definition)));
        }
    }

    /// This node asks for a session.
    pub(crate) fn create(
        &mut self,
        context: &mut Context<'_, V>,
        command: CommandId,
        wanted: NewSession,
        nonce: [u8; 32],
    ) -> Result<Arc<Definition>, CommandError> {
        let (definition, allow) = define(context, wanted, nonce)?;
        let limits = &context.config.limits;
        let gives_way = self.room_for_own(limits).ok_or(CommandError::TooManySessions(limits.sessions))?;
        if !self.has_slots(definition.slots(), false, limits) {
            return Err(CommandError::TooManyItems(limits.slots));
        }
        let items = Items::new(context.verifier, &definition).map_err(CommandError::from)?;
        let (id, before) = (definition.id(), context.effects.len());
        context.session = Some(id);
        let session = Session::create(context, definition.clone(), items, &allow);
        context.session = None;
        let session = session?;
        // Behind its two records, so that it is durable, and ahead of everything else that is said of the session.
        let created = Effect::Event(Event::SessionCreated { command, session: id });
        context.effects.insert(before + 2, (Some(id), created));
        context.session = Some(id);
        self.adopt(context, session, Acquaintance::CoSigner, before);
        context.session = None;
        gives_way.into_iter().for_each(|id| self.give_way(context, id));
        Ok(definition)
    }

    /// Another signer asks for a session. The embedder's rules or the embedder are to look at it.
    pub(crate) fn announce(
        &mut self,
        context: &mut Context<'_, V>,
        definition: &Arc<Definition>,
        from: Acquaintance,
    ) -> Result<Summary, Refusal> {
        let limits = &context.config.limits;
        let room = self.room_for_request(limits, definition.creator_key(), from).ok();
        let Some(gives_way) = room.filter(|_| self.has_slots(definition.slots(), true, limits)) else {
            tell_busy(context, definition);
            return Err(Refusal::Requests);
        };
        let items = Items::new(context.verifier, definition).map_err(|_| Refusal::Definition)?;
        let me = definition.index_of(&context.own_key).ok_or(Refusal::NotForMe)?;
        let session = Session::announced(context.verifier, definition.clone(), items, me, context.now.mono);
        let summary = session.summary().map_err(|_| Refusal::Definition)?;
        context.event(Event::SessionAnnounced {
            session: session.id(),
            creator: *definition.creator_key(),
            summary: Box::new(summary.clone()),
        });
        gives_way.into_iter().for_each(|id| self.give_way(context, id));
        let before = context.effects.len();
        self.adopt(context, session, from, before);
        Ok(summary)
    }

    /// A session that the journal remembers.
    pub(crate) fn resume(
        &mut self,
        context: &mut Context<'_, V>,
        definition: Arc<Definition>,
        record: SessionRecord,
    ) -> Result<(), BootError> {
        let id = definition.id();
        if definition.network != context.config.network {
            let (session, journal, config) = (id, definition.network, context.config.network);
            return Err(BootError::ForeignNetwork { session, journal, config });
        }
        let me = definition.index_of(&context.own_key).ok_or(BootError::ForeignSession(id))?;
        let items = Items::new(context.verifier, &definition).map_err(|_| BootError::Keys(id))?;
        if let Some(Outcome::Complete { signatures, .. }) = record.end.as_ref().map(|end| &end.outcome) {
            // This node would tell the others of it in its own name.
            let entropy = context.batch_entropy.bytes32();
            if items.invalid(context.verifier, &definition, signatures, &entropy).is_some() {
                return Err(BootError::Corrupt(CorruptRecord { key: Record::key(&id) }));
            }
        }
        context.session = Some(id);
        let session = Session::resume(context, definition, record, (items, me));
        let has_expired = session.phase() == Phase::Expired;
        self.adopt(context, session, Acquaintance::Stranger, 0);
        context.session = None;
        if has_expired && !self.get(&id).is_some_and(Session::may_complete) {
            // That is told once. It takes nobody's room any more, but its id stays: it is this clock alone that says
            // so.
            self.retire(context, id);
        }
        Ok(())
    }

    /// A closed session whose announcement could still be shown again. How long ago that was, the wall clock alone
    /// says.
    pub(crate) fn resume_closed(&mut self, context: &mut Context<'_, V>, id: SessionId, until: Wall) {
        let until = end_of_memory(context.config, until, context.config.session_timeout, context.now.mono);
        self.keep_id(context, id, until);
    }

    /// The embedder, or its rules, approve.
    pub(crate) fn join(
        &mut self,
        context: &mut Context<'_, V>,
        id: SessionId,
        allow: &BTreeSet<Unusual>,
    ) -> Result<(), CommandError> {
        if !self.may_approve(&id, &context.config.limits) {
            return Err(CommandError::TooManyEnded(context.config.limits.closed));
        }
        let asked = self.get(&id).filter(|session| session.phase() == Phase::Announced);
        if asked.is_some_and(|asked| !self.has_slots(asked.definition().slots(), false, &context.config.limits)) {
            return Err(CommandError::TooManyItems(context.config.limits.slots));
        }
        self.command(context, id, |session, context| session.join(context, allow))
    }

    /// A signer's step.
    pub(crate) fn on_step(
        &mut self,
        context: &mut Context<'_, V>,
        step: Admitted<SessionMessage>,
    ) -> Result<(), Refusal> {
        let id = step.value().session;
        self.run(context, id, |session, context| session.on_message(context, step)).ok_or(Refusal::Ended)?
    }

    /// The embedder wants to forget a session. Its id stays known for as long as its announcement could be shown again,
    /// also after a restart.
    pub(crate) fn close(&mut self, context: &mut Context<'_, V>, id: SessionId) -> Result<(), CommandError> {
        let open = self.get(&id).filter(|session| !session.is_closed());
        if !open.ok_or(CommandError::UnknownSession(id))?.phase().has_ended() {
            self.command(context, id, |session, context| session.abort(context, AbortReason::Closed))?;
        }
        if self.get(&id).is_some_and(Session::may_complete) {
            let _closed = self.run(context, id, |session, context| session.close(context));
        } else {
            self.retire(context, id);
        }
        Ok(())
    }

    /// Forgets a session that has ended, but for its id: as long as its announcement could be shown again, also after a
    /// restart.
    fn retire(&mut self, context: &mut Context<'_, V>, id: SessionId) {
        if let Some(session) = self.get(&id) {
            let until = session.definition().expires_at;
            let end = forgotten_at(context.config, session, until);
            self.forget(context, id, Some(Record::Closed { until }));
            self.keep_id(context, id, end);
        }
    }

    /// Forgets the oldest of too many sessions that have ended, but for their ids.
    pub(crate) fn make_room(&mut self, context: &mut Context<'_, V>) {
        while let Some(id) = self.surplus(&context.config.limits, context.now.mono) {
            self.retire(context, id);
        }
    }

    /// Forgets a request that nobody has answered. Its creator may ask again.
    fn give_way(&mut self, context: &mut Context<'_, V>, id: SessionId) {
        self.remove(&id);
        self.forget(context, id, None);
    }

    fn keep_id(&mut self, context: &mut Context<'_, V>, id: SessionId, until: Now) {
        let gone = self.close_id(&id, until, context.now, &context.config.limits);
        self.forget_ids(context, gone);
    }

    /// The time of some ids is over.
    pub(crate) fn on_closed_expired(&mut self, context: &mut Context<'_, V>) {
        let gone = self.expire_closed(context.now);
        self.forget_ids(context, gone);
    }

    /// The machine has slept, or its wall clock was set: what waits for the wall clock is to wait for another time.
    pub(crate) fn on_clocks_parted(&mut self, context: &mut Context<'_, V>) {
        self.tell_misdated(context);
        for (id, left) in self.iter().map(|session| (session.id(), time_left(context, session))).collect::<Vec<_>>() {
            if left == Duration::ZERO {
                self.on_expired(context, id);
            } else {
                context.timer(TimerReason::Expired(id), left);
            }
        }
        self.recount_closed(context.now);
        self.forget_ids(context, Vec::new());
    }

    /// Tells of sessions of this node's own that a wrong clock has dated.
    pub(crate) fn tell_misdated(&self, context: &mut Context<'_, V>) {
        let latest = context.config.latest(context.now.wall);
        let is_open = |session: &&Session<V>| session.is_own() && !session.phase().has_ended();
        for session in self.iter().filter(is_open).filter(|session| session.definition().created_at > latest) {
            context.event(Event::SessionMisdated { session: session.id() });
        }
    }

    fn forget_ids(&self, context: &mut Context<'_, V>, gone: Vec<SessionId>) {
        let outer = context.session;
        for id in gone {
            context.session = Some(id);
            context.push(Effect::Persist(None));
        }
        context.session = outer;
        let now = context.now.mono;
        context.timer(TimerReason::Closed, self.closed_deadline().map(|at| at.since(now)));
    }

    /// A session's time may be over, or that for which it is remembered.
    pub(crate) fn on_expired(&mut self, context: &mut Context<'_, V>, id: SessionId) {
        // The step itself judges whether its time is over.
        let Some(()) = self.run(context, id, |_, _| ()) else { return };
        let Some(session) = self.get(&id) else { return };
        if let Some(wait) = session.broadcasting_for(context.now.mono) {
            return context.timer(TimerReason::Expired(id), wait.max(Duration::from_secs(1)));
        }
        let wait = time_left(context, session);
        if wait > Duration::ZERO {
            return context.timer(TimerReason::Expired(id), wait);
        }
        self.forget(context, id, None);
        self.remove(&id);
    }

    /// The session is gone, and so is all that is known of it but what this record says.
    fn forget(&self, context: &mut Context<'_, V>, id: SessionId, record: Option<Record>) {
        let outer = context.session.replace(id);
        context.push(Effect::Persist(record));
        if self.get(&id).is_some_and(Session::is_journalled) {
            context.push(Effect::PersistDefinition(None));
        }
        if !self.get(&id).is_some_and(Session::is_closed) {
            context.event(Event::SessionClosed { session: id });
        }
        for reason in
            [TimerReason::Stalled(id), TimerReason::Retry(id), TimerReason::Turn(id), TimerReason::Expired(id)]
        {
            context.timer(reason, None);
        }
        context.push(Effect::Forgotten);
        context.session = outer;
    }

    /// Asks for what a session misses, unless what it has said already still waits for the disk.
    pub(crate) fn on_stalled(&mut self, context: &mut Context<'_, V>, id: SessionId) {
        if self.awaits_journal(context, &id) {
            return context.timer(TimerReason::Stalled(id), context.config.stall_max);
        }
        let _gone = self.run(context, id, |session, context| session.on_stalled(context));
    }

    /// Lets a session begin its next attempt, if it is to and its signers can be reached.
    pub(crate) fn on_retry(
        &mut self,
        context: &mut Context<'_, V>,
        id: SessionId,
        is_connected: impl Fn(&PublicKey) -> bool,
    ) {
        let Some(session) = self.get(&id) else { return };
        let others = session.definition().keys.iter().filter(|key| **key != context.own_key);
        let connected = others.filter(|key| is_connected(key)).count();
        let reach = Reach { connected, others: session.definition().keys.len() - 1 };
        let _gone = self.run(context, id, |session, context| session.on_retry(context, reach));
    }

    /// The signer has answered.
    pub(crate) fn on_signed(&mut self, context: &mut Context<'_, V>, reply: SignReply) {
        let Some(slot) = reply.slot() else { return };
        let is_known = self.run(context, SessionId::from_bytes(slot.session), |session, context| match reply {
            SignReply::Nonces { slot, nonces } => session.on_own_nonces(context, slot, nonces),
            SignReply::Partials { slot, partials } => session.on_partials(context, slot, partials),
            SignReply::Single { .. } => {}
        });
        if is_known.is_none() {
            context.output(Output::Sign(SignRequest::Forget(slot)));
        }
    }

    /// The signer is back.
    pub(crate) fn on_signer_ready(&mut self, context: &mut Context<'_, V>) {
        for id in self.live.iter().copied().collect::<Vec<SessionId>>() {
            let _gone = self.run(context, id, |session, context| session.on_signer_ready(context));
        }
    }

    /// A coordinator's turn is over.
    pub(crate) fn on_turn(&mut self, context: &mut Context<'_, V>, id: SessionId) {
        let _gone = self.run(context, id, |session, context| session.on_turn(context));
    }

    /// A signer has come within reach, for the first time or again.
    pub(crate) fn on_signer_connected(
        &mut self,
        context: &mut Context<'_, V>,
        key: &PublicKey,
        is_connected: impl Fn(&PublicKey) -> bool,
    ) {
        let ended = self.ended_with(key, context.now.mono, context.config.broadcast_timeout);
        for id in self.live_with(key).chain(ended).collect::<Vec<SessionId>>() {
            if self.awaits_journal(context, &id) {
                // What waits for the disk will reach it, and the next stall asks for the rest.
                continue;
            }
            let _gone = self.run(context, id, |session, context| {
                if let Some(index) = session.definition().index_of(key) {
                    session.on_reachable(context, index);
                }
            });
            self.on_retry(context, id, &is_connected);
        }
    }

    /// Whether everything that is said of a session waits for its records: more of it would only pile up.
    fn awaits_journal(&self, context: &Context<'_, V>, id: &SessionId) -> bool {
        self.get(id).is_some_and(|session| session.awaits_journal(context))
    }
}

impl From<ItemsError> for CommandError {
    fn from(error: ItemsError) -> Self {
        match error {
            ItemsError::Keys(error) => Self::Keys(error),
            ItemsError::Definition(error) => Self::Definition(error),
        }
    }
}

/// R7: there is no room for a request. Its creator is told, and offers it again.
fn tell_busy<V: Verifier>(context: &mut Context<'_, V>, definition: &Definition) {
    let content = Content::Busy;
    let step = SessionMessage { session: definition.id(), attempt: 1, sequence: 0, content };
    // A signer that cannot sign now is asked again.
    if let Ok(bytes) = context.seal_step(definition, step) {
        context.push(Effect::ToConnected(*definition.creator_key(), bytes));
    }
}

/// How long it is until a session's time is over, or once it has ended, until it is to be forgotten.
fn time_left<V: Verifier>(context: &Context<'_, V>, session: &Session<V>) -> Duration {
    if session.phase().has_ended() {
        time_until(forgotten_at(context.config, session, session.remembered_until()), context.now)
    } else {
        session.definition().expires_at.since(context.now.wall)
    }
}

/// Until when a session that has ended is remembered, at least by its id, if that is to be until then by the wall
/// clock.
fn forgotten_at<V: Verifier>(config: &Config, session: &Session<V>, until: Wall) -> Now {
    let Definition { created_at, expires_at, .. } = **session.definition();
    end_of_memory(config, until, expires_at.since(created_at), session.since())
}

/// Until when a session is remembered that expires then and that this process has known of since: its announcement has
/// expired by anyone's clock, and in case that this node's clock is wrong, as much time has run as the session lasts.
fn end_of_memory(config: &Config, until: Wall, lasts: Duration, since: Mono) -> Now {
    let skews = config.clock_skew.saturating_mul(2);
    Now {
        mono: since.after(lasts.saturating_add(skews)),
        wall: until.checked_add(skews).unwrap_or(Wall::from_millis(u64::MAX)),
    }
}

/// What a new session is, with this node as its creator, and what of it may be unusual.
fn define<V: Verifier>(
    context: &Context<'_, V>,
    wanted: NewSession,
    nonce: [u8; 32],
) -> Result<(Arc<Definition>, BTreeSet<Unusual>), CommandError> {
    let NewSession { suite, mut keys, items, details, is_listed, election, lifetime, allow } = wanted;
    keys.sort_unstable();
    let creator = keys.binary_search(&context.own_key).map_err(|_| CommandError::NotASigner)?;
    let (created_at, longest) = (context.now.wall, context.config.session_timeout);
    let definition = Definition {
        network: context.config.network,
        suite,
        keys,
        items,
        details,
        is_listed,
        election,
        creator: u16::try_from(creator).unwrap_or(u16::MAX),
        created_at,
        expires_at: created_at.checked_add(lifetime.unwrap_or(longest)).unwrap_or(created_at),
        nonce,
    };
    definition.check(longest).map_err(CommandError::Definition)?;
    Ok((Arc::new(definition), allow))
}
