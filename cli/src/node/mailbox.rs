//! Messages of other programs' protocols, which this node carries and does not understand.
//!
//! Owns a protocol of the core that tells everything as events. Invariants: what it tells is bounded by the event log,
//! which forgets the oldest; it approves nothing and signs nothing. `control` registers it and tells it what to send.

use nelumbo_core::api::Verdict;
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::protocol::{Protocol, ProtocolContext};
use nelumbo_core::wire::{Harmless, Label, PeerId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::event_log::EventLog;
use super::life::now;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Mailbox {
    name: Label,
    log: EventLog,
}

/// What it is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Errand {
    Subscribe(Label),
    SendToKey(PublicKey, Vec<u8>),
    SendToPeer(Vec<u8>, Vec<u8>),
    Publish(Label, Vec<u8>),
}

impl Errand {
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it is made of texts and numbers")
    }
}

impl Mailbox {
    pub(crate) fn new(name: Label, log: EventLog) -> Self {
        Self { name, log }
    }

    fn note(&self, event: &str, topic: Option<&Label>, from: &PublicKey, payload: &[u8]) {
        let Self { name, log } = self;
        log.note(
            now(),
            &json!({
                "event": event, "protocol": name, "topic": topic, "from": from, "payload": hex::encode(payload),
                "text": std::str::from_utf8(payload).ok().map(|text| Harmless(text).to_string()),
            }),
        );
    }
}

impl Protocol for Mailbox {
    fn name(&self) -> Label {
        self.name.clone()
    }

    fn on_message(&mut self, _: &mut ProtocolContext, from: &PublicKey, payload: &[u8]) {
        self.note("message-received", None, from, payload);
    }

    /// What it means is not known here, so that it is passed on as long as its author keeps to the quota.
    fn on_published(&mut self, _: &mut ProtocolContext, topic: &Label, from: &PublicKey, payload: &[u8]) -> Verdict {
        self.note("message-received", Some(topic), from, payload);
        Verdict::Accept
    }

    fn on_command(&mut self, context: &mut ProtocolContext, payload: &[u8]) {
        match serde_json::from_slice(payload) {
            // The limits leave room for as many as `control` takes.
            Ok(Errand::Subscribe(topic)) => drop(context.subscribe(topic)),
            Ok(Errand::SendToKey(key, payload)) => context.send(key, payload),
            Ok(Errand::SendToPeer(peer, payload)) => {
                PeerId::from_bytes(&peer).into_iter().for_each(|peer| context.send_to_peer(peer, payload.clone()));
            }
            Ok(Errand::Publish(topic, payload)) => context.publish(topic, payload),
            Err(error) => tracing::error!(%error, "no errand"),
        }
    }
}
