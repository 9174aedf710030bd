//! A node's signer: software that answers at once, or a device that answers when its person has, is out of reach for a
//! while, and is restarted. Either signs what its key is to sign alone, such as the delegation to a message key.
//!
//! Invariant: a device outlives its node's crashes, and what it is asked while it is out of reach is lost. Driven by
//! the node's requests and by the schedule.

use std::collections::BTreeMap;
use std::iter;

use nelumbo_core::api::{Input, SignReply, SignRequest};
use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    NonceSlot, PartialSignature, PublicKey, PublicNonce, Signer, SignerError, Verifier as CoreVerifier,
};
use nelumbo_core::device::Device as CoreDevice;

use super::lifecycle::TimerKind;
use super::memory::Given;
use super::observation::Observation;
use super::{Peer, PeerContext};
use crate::crypto::{Crypto, Meter};
use crate::engine::Nanos;
use crate::random::{Random, fold};

/// The signer of one crypto, as the core's device takes it.
struct Boxed<V: CoreVerifier>(Box<dyn Signer<V> + Send>);

impl<V: CoreVerifier> Signer<V> for Boxed<V> {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn nonces(&mut self, slot: NonceSlot, items: &[(&V::Keys, &[u8])]) -> Result<Vec<PublicNonce>, SignerError> {
        self.0.nonces(slot, items)
    }

    fn sign(&mut self, slot: NonceSlot, items: &[(&V::Keys, &V::Round)]) -> Result<Vec<PartialSignature>, SignerError> {
        self.0.sign(slot, items)
    }

    fn forget(&mut self, slot: NonceSlot) {
        self.0.forget(slot);
    }

    fn forget_all(&mut self) {
        self.0.forget_all();
    }
}

/// A device with a person in front of it.
pub(super) struct Device<C: Crypto> {
    device: CoreDevice<C::V, Boxed<C::V>>,
    /// How long it takes to draw nonces, and to sign.
    takes: (Nanos, Nanos),
    away_until: Nanos,
    /// What it was asked, by when it answers and how many came before.
    asked: BTreeMap<(Nanos, u32), SignRequest>,
    count: u32,
    restarts: u32,
}

impl<C: Crypto> Device<C> {
    fn boot(seed: u64, node: u32, restarts: u32, secret: &[u8; 32]) -> CoreDevice<C::V, Boxed<C::V>> {
        let entropy = Random::stream(seed, "device", u64::from(node) << 32 | u64::from(restarts)).bytes32();
        let entropy = Entropy::new(entropy).expect("a mixed counter is not all zero");
        // What a device computes keeps no other machine busy.
        let meter = Meter::default();
        CoreDevice::new(C::verifier(&meter), Boxed(C::signer(secret, entropy.stream("signer"), &meter)))
    }
}

impl<C: Crypto> Peer<C> {
    /// The node's signer is a device from now on.
    pub(super) fn plug_in(&mut self, takes: (Nanos, Nanos)) {
        let device = Device::<C>::boot(self.environment.schedule.seed, self.index, 0, &self.secret);
        let (asked, count, restarts, away_until) = (BTreeMap::new(), 0, 0, 0);
        self.device = Some(Box::new(Device { device, takes, away_until, asked, count, restarts }));
    }

    /// The node wants something of its signer.
    pub(super) fn ask_signer(&mut self, context: PeerContext<'_, '_>, request: SignRequest) {
        let now = context.now();
        if let SignRequest::Nonces { slot, .. } | SignRequest::Partials { slot, .. } = &request {
            context.emit(Observation::SignerAsked { slot: *slot, decided: self.decided(now) });
        }
        let single = self.sign_single(&request);
        let Some(device) = &mut self.device else {
            let given = single.map_or(Given::Answer(request), |reply| Given::Input(Input::Signed(reply)));
            self.give(now, given);
            return;
        };
        if now < device.away_until {
            return;
        }
        let takes = match request {
            SignRequest::Nonces { .. } | SignRequest::Single { .. } => device.takes.0,
            SignRequest::Partials { .. } => device.takes.1,
            SignRequest::Forget(_) | SignRequest::ForgetAll => {
                let none = device.device.answer(&request);
                debug_assert!(none.is_none(), "nobody is told that something is forgotten");
                return;
            }
        };
        device.count += 1;
        device.asked.insert((now + takes, device.count), request);
        self.timer(context, takes, TimerKind::Device, 0);
    }

    /// What the key signs by itself.
    fn sign_single(&self, request: &SignRequest) -> Option<SignReply> {
        let SignRequest::Single { id, single } = request else { return None };
        let entropy = Random::stream(self.environment.schedule.seed, "single", u64::from(self.index)).bytes32();
        let entropy = Entropy::new(entropy).expect("a mixed counter is not all zero");
        let mut key = C::message_signer(&self.secret, entropy, &self.meter);
        let digest = single.digest().map_err(|_| SignerError::RoundMismatch);
        Some(SignReply::Single { id: *id, signature: digest.and_then(|digest| key.sign(&digest)) })
    }

    /// The secret of what signs its messages: its own, or one that follows from it, so that a copy has the same.
    pub(super) fn message_secret(&self) -> [u8; 32] {
        if !self.delegates {
            return self.secret;
        }
        let mut random = Random::stream(fold(0, &self.secret), "message key", 0);
        iter::repeat_with(|| random.bytes32()).find(|secret| C::public_key(secret).is_some()).expect("one is a key")
    }

    /// The device answers what it has been asked long enough ago, or is back.
    pub(super) fn device_acts(&mut self, context: PeerContext<'_, '_>, is_back: bool) {
        let now = context.now();
        if self.device.as_ref().is_none_or(|device| now < device.away_until) {
            return;
        }
        if is_back {
            return self.input(context, Input::SignerReady);
        }
        while let Some(device) = &mut self.device
            && let Some(first) = device.asked.first_entry().filter(|first| first.key().0 <= now)
        {
            let request = first.remove();
            let answer = device.device.answer(&request);
            if let Some(reply) = self.sign_single(&request).or(answer) {
                self.input(context, Input::Signed(reply));
            }
        }
    }

    /// The device is out of reach until then.
    pub(super) fn unplug(&mut self, context: PeerContext<'_, '_>, until: Nanos) {
        // Whoever has slept through it has not noticed.
        let Some(device) = self.device.as_mut().filter(|_| until > context.now()) else { return };
        device.away_until = device.away_until.max(until);
        device.asked.clear();
        self.await_device(context);
    }

    /// The device has forgotten what it had not written down, which is everything.
    pub(super) fn restart_device(&mut self, context: PeerContext<'_, '_>) {
        let (seed, index) = (self.environment.seed_at(context.now()), self.index);
        let Some(device) = &mut self.device else { return };
        device.restarts += 1;
        device.asked.clear();
        device.device = Device::<C>::boot(seed, index, device.restarts, &self.secret);
        self.device_acts(context, true);
    }

    /// The node crashes, and with it the conversation with its device.
    pub(super) fn hang_up(&mut self) {
        self.device.iter_mut().for_each(|device| device.asked.clear());
    }

    /// Sees to it that the node hears of its device's return.
    pub(super) fn await_device(&self, context: PeerContext<'_, '_>) {
        let away = self.device.as_ref().map_or(0, |device| device.away_until.saturating_sub(context.now()));
        if away > 0 && self.node.is_some() {
            self.timer(context, away, TimerKind::Device, 1);
        }
    }
}
