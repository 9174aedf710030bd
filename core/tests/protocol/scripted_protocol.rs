//! A protocol that does what the test writes, and keeps what it was told.
#![expect(clippy::disallowed_types, reason = "the test looks into what the node owns")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use nelumbo_core::api::{Command, CommandError, Event, Verdict};
use nelumbo_core::approval::Summary;
use nelumbo_core::crypto::{PublicKey, Signature};
use nelumbo_core::protocol::{PeerChange, Protocol, ProtocolContext};
use nelumbo_core::wire::{Address, Definition, Label, PeerId, Resource, ResourceId, SessionId};

use super::common::TestNode;
use super::discovery::label;

type Act = Box<dyn FnOnce(&mut ProtocolContext) + Send>;

/// What the test and the protocol share.
#[derive(Clone)]
pub(crate) struct Script {
    name: Label,
    told: Arc<Mutex<Vec<String>>>,
    acts: Arc<Mutex<VecDeque<Act>>>,
    /// What it does when it is told something that begins like this.
    reactions: Arc<Mutex<Vec<(&'static str, Act)>>>,
    pub(crate) verdict: Arc<Mutex<Verdict>>,
    pub(crate) owns: Arc<Mutex<bool>>,
    signature: Arc<Mutex<Option<Signature>>>,
}

impl Script {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: label(name),
            told: Arc::default(),
            acts: Arc::default(),
            reactions: Arc::default(),
            verdict: Arc::new(Mutex::new(Verdict::Accept)),
            owns: Arc::default(),
            signature: Arc::default(),
        }
    }

    /// The signature that it was told last, since this was last asked.
    pub(crate) fn signature(&self) -> Option<Signature> {
        self.signature.lock().unwrap().take()
    }

    /// Registers it with a node.
    pub(crate) fn register(&self, node: &mut TestNode) {
        node.register(Box::new(self.clone()));
    }

    /// Lets the protocol do this.
    pub(crate) fn act(&self, node: &mut TestNode, act: impl FnOnce(&mut ProtocolContext) + Send + 'static) {
        self.acts.lock().unwrap().push_back(Box::new(act));
        let command = Command::ProtocolCommand { protocol: self.name.clone(), payload: Vec::new() };
        node.command(command).expect("it is registered");
    }

    /// Lets the protocol do this when it is told something that begins like this.
    pub(crate) fn react(&self, to: &'static str, act: impl FnOnce(&mut ProtocolContext) + Send + 'static) {
        self.reactions.lock().unwrap().push((to, Box::new(act)));
    }

    /// What it was told since this was last asked.
    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    fn hear(&self, context: &mut ProtocolContext, what: String) {
        let reaction = {
            let mut reactions = self.reactions.lock().unwrap();
            let at = reactions.iter().position(|(to, _)| what.starts_with(to));
            at.map(|at| reactions.remove(at).1)
        };
        self.told.lock().unwrap().push(what);
        if let Some(act) = reaction {
            act(context);
        }
    }
}

fn text(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).into_owned()
}

/// The name of an event, as in JSON.
fn kind(event: &Event) -> String {
    serde_json::to_value(event).unwrap()["event"].as_str().unwrap().to_owned()
}

impl Protocol for Script {
    fn name(&self) -> Label {
        self.name.clone()
    }

    fn on_registered(&mut self, context: &mut ProtocolContext) {
        let records: Vec<String> = context.records().map(|(name, value)| format!("{name}={}", text(value))).collect();
        self.hear(context, format!("registered {}", records.join(",")));
    }

    fn on_message(&mut self, context: &mut ProtocolContext, _: &PublicKey, payload: &[u8]) {
        self.hear(context, format!("message {}", text(payload)));
    }

    fn on_published(&mut self, context: &mut ProtocolContext, topic: &Label, _: &PublicKey, said: &[u8]) -> Verdict {
        self.hear(context, format!("published {topic} {}", text(said)));
        *self.verdict.lock().unwrap()
    }

    fn on_command(&mut self, context: &mut ProtocolContext, _: &[u8]) {
        let act = self.acts.lock().unwrap().pop_front().expect("a test's command comes with what to do");
        act(context);
    }

    fn on_resource(&mut self, context: &mut ProtocolContext, id: &ResourceId, _: &Resource) {
        self.hear(context, format!("resource {}", id.name));
    }

    fn on_found(&mut self, context: &mut ProtocolContext, id: &ResourceId, _: &Resource) {
        self.hear(context, format!("found {}", id.name));
    }

    fn on_search_finished(&mut self, context: &mut ProtocolContext, found: Result<usize, CommandError>) {
        self.hear(context, format!("finished {found:?}"));
    }

    fn on_signer_connected(&mut self, context: &mut ProtocolContext, _: &PublicKey, _: &PeerId) {
        self.hear(context, "signer up".to_owned());
    }

    fn on_signer_disconnected(&mut self, context: &mut ProtocolContext, _: &PublicKey, _: &PeerId) {
        self.hear(context, "signer down".to_owned());
    }

    fn on_peer(&mut self, context: &mut ProtocolContext, peer: &PeerId, change: &PeerChange) {
        let change = match change {
            PeerChange::Discovered { addresses, .. } => format!("discovered at {}", addresses.len()),
            PeerChange::Updated { addresses, .. } => format!("updated at {}", addresses.len()),
            PeerChange::Connected => "up".to_owned(),
            PeerChange::Disconnected => "down".to_owned(),
        };
        self.hear(context, format!("peer {} {change}", peer.as_bytes()[0]));
    }

    fn on_own_addresses(&mut self, context: &mut ProtocolContext, addresses: &[Address]) {
        self.hear(context, format!("own addresses {}", addresses.len()));
    }

    fn on_timer(&mut self, context: &mut ProtocolContext, name: &Label) {
        self.hear(context, format!("timer {name}"));
    }

    fn on_created(&mut self, context: &mut ProtocolContext, name: &Label, created: Result<SessionId, CommandError>) {
        let created = created.map(|_| ()).map_err(|error| error.to_string());
        self.hear(context, format!("created {name} {created:?}"));
    }

    fn on_announced(
        &mut self,
        context: &mut ProtocolContext,
        session: &SessionId,
        definition: &Definition,
        summary: &Summary,
    ) -> bool {
        assert_eq!(*session, definition.id());
        self.hear(context, format!("announced, unusual in {} ways", summary.unusual.len()));
        *self.owns.lock().unwrap()
    }

    fn on_session(&mut self, context: &mut ProtocolContext, _: &SessionId, event: &Event) {
        self.hear(context, format!("session {}", kind(event)));
    }

    fn on_signature(
        &mut self,
        context: &mut ProtocolContext,
        name: &Label,
        signature: Result<Signature, CommandError>,
    ) {
        *self.signature.lock().unwrap() = signature.as_ref().ok().copied();
        let what = signature.map_or_else(|error| format!("Err({:?})", error.to_string()), |_| "Ok".to_owned());
        self.hear(context, format!("signature {name} {what}"));
    }

    fn on_refused(&mut self, context: &mut ProtocolContext, _: &SessionId, error: &CommandError) {
        self.hear(context, format!("refused {error}"));
    }
}
