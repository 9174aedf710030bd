//! Somebody: a key, a disk, and a pool in memory that a crash takes away.
//!
//! Owns what is there after a crash and what is not. Invariant: what was not persisted before a crash is lost, and
//! what was asked for after it has not happened.

use std::sync::Arc;

use nelumbo_core::api::{SignReply, SignRequest};
use nelumbo_core::base::{Entropy, Wall};
use nelumbo_core::crypto::lotus::Txid;
use nelumbo_core::crypto::{PublicKey, SecretKey, Signature};
use nelumbo_core::single::{Single, SingleId, SingleSigner};

use super::Behaviour;
use crate::content::{Destination, Place};
use crate::{Effect, Input, Own, Phase, Pool, Status, Terms};

/// Who crashes, before which of its acts. Acts are counted over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Who.
    pub person: usize,
    /// Before its act with this number, from 0.
    pub act: u32,
}

/// How long somebody is away, in milliseconds.
const AWAY: u64 = 20_000;

/// Somebody.
#[derive(Debug)]
pub struct Person {
    pub(super) secret: Arc<SecretKey>,
    /// Its key.
    pub key: PublicKey,
    /// What it does.
    pub behaviour: Behaviour,
    /// The coin that it brings.
    pub coin: Place,
    /// Where it wants its output.
    pub destination: Destination,
    own: Own,
    terms: Terms,
    signer: SingleSigner,
    pub(super) pool: Option<Pool>,
    /// The record.
    pub(super) disk: Option<Vec<u8>>,
    /// Its person wanted to leave.
    pub has_left: bool,
    /// It does nothing any more.
    pub is_gone: bool,
    pub(super) restarts_at: Option<u64>,
    /// How much it has done.
    pub acts: u32,
    pub(super) crashes: Vec<u32>,
    pub(super) vanishes: Option<u32>,
    /// What its pool has said last.
    pub status: Option<Status>,
    /// All phases that it went through, each once in a row.
    pub phases: Vec<Phase>,
    /// Whether its pool is over.
    pub is_over: bool,
    /// What it keeps back, and whether it has played its trick.
    pub(super) kept: Vec<Vec<u8>>,
    pub(super) has_cheated: bool,
    /// What spends its coin, if that was looked at.
    pub(super) checked: Option<Txid>,
}

impl Person {
    pub(super) fn new(
        secret: SecretKey,
        behaviour: Behaviour,
        terms: &Terms,
        coin: Place,
        destination: Destination,
    ) -> Self {
        let key = secret.public_key();
        let own = Own { key, coin, destination: destination.clone() };
        let secret = Arc::new(secret);
        let signer = SingleSigner::new(Arc::clone(&secret), Entropy::new([7; 32]).expect("not all zero"));
        Self {
            secret,
            key,
            behaviour,
            coin,
            destination,
            pool: Some(Pool::new(terms.clone(), own.clone())),
            own,
            terms: terms.clone(),
            signer,
            disk: None,
            has_left: false,
            is_gone: false,
            restarts_at: None,
            acts: 0,
            crashes: Vec::new(),
            vanishes: None,
            status: None,
            phases: Vec::new(),
            is_over: false,
            kept: Vec::new(),
            has_cheated: false,
            checked: None,
        }
    }

    /// Its pool as a restart would find it.
    #[must_use]
    pub fn restored(&self) -> Option<Pool> {
        self.disk.as_deref().and_then(Pool::restored)
    }

    /// Its signature over its setup, whether it has shown that or not.
    #[must_use]
    pub fn own_setup_signature(&self) -> Option<Signature> {
        self.restored()?.setup_signature()
    }

    /// Whether it is there and waits for something.
    pub(super) fn is_busy(&self) -> bool {
        self.behaviour.is_honest() && !self.is_gone && !self.is_over
    }

    /// Whether only blocks are missing until its pool is over.
    pub(super) fn waits_for_burial(&self) -> bool {
        matches!(self.phases.last(), Some(Phase::Complete | Phase::Refunded))
    }

    pub(super) fn handle(&mut self, now: Wall, input: Input) -> Option<Vec<Effect>> {
        if self.is_gone {
            return None;
        }
        self.pool.as_mut().map(|pool| pool.handle(now, input))
    }

    /// Counts an act. False when it crashes instead.
    pub(super) fn may_act(&mut self, now: u64) -> bool {
        let crashes = self.crashes.contains(&self.acts);
        self.is_gone |= self.vanishes == Some(self.acts);
        self.acts += 1;
        if crashes {
            self.pool = None;
            self.restarts_at = Some(now + AWAY);
        }
        !crashes && !self.is_gone
    }

    /// It is back, with what its disk has. Its person enters the pool again, if there is no record of that.
    pub(super) fn restart(&mut self) {
        self.restarts_at = None;
        self.pool = match &self.disk {
            Some(record) => Some(Pool::restored(record).expect("what was written can be read")),
            None => Some(Pool::new(self.terms.clone(), self.own.clone())),
        };
    }

    pub(super) fn sign(&mut self, single: &Single) -> Option<Signature> {
        let request = SignRequest::Single { id: SingleId([0; 32]), single: Arc::new(single.clone()) };
        match self.signer.answer(&request)? {
            SignReply::Single { signature, .. } => signature.ok(),
            _ => None,
        }
    }
}
