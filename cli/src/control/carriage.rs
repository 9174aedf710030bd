//! What a node does for the protocols of other programs: it announces and finds their resources, and carries their
//! messages.
//!
//! Owns the limits on what they may ask for. Invariant: what is sent or announced is within the bounds of the network,
//! or refused. `answers` drives it.

use std::collections::BTreeSet;
use std::time::Duration;

use nelumbo_core::wire::{self, Data, Label, MAX_PAYLOAD, MAX_PUBLISHED, MAX_RESOURCE, ResourceId};
use tokio::time::timeout;

use super::answers::{Answer, Answers, done, peer_id, problem, result};
use super::messages::{Problem, Recipient};
use super::shapes::{Done, Resource, Resources};
use crate::node::{Errand, Mailbox};

/// To how many protocols a node listens.
const MAX_MAILBOXES: usize = 16;

fn bytes(field: &str, text: &str, most: usize) -> Result<Vec<u8>, Problem> {
    let bytes = hex::decode(text)
        .map_err(|error| Problem::invalid(format_args!("{field} is not hexadecimal: {error}"), "see --help"))?;
    if bytes.len() > most {
        let problem = format_args!("{field} has {} bytes, and {most} are the most", bytes.len());
        return Err(Problem::invalid(problem, "send less, or in several parts"));
    }
    Ok(bytes)
}

impl Answers {
    pub(super) async fn announce_resource(
        &self,
        kind: Label,
        name: Label,
        data: &str,
        lifetime_seconds: u64,
    ) -> Result<Answer, Problem> {
        let data = Data::new(bytes("data", data, MAX_RESOURCE)?);
        let lifetime = Duration::from_secs(lifetime_seconds);
        done(self.handle.announce_resource(kind, name, data, lifetime).await)
    }

    pub(super) async fn withdraw_resource(&self, kind: Label, name: Label) -> Result<Answer, Problem> {
        if !self.own_resources(&kind).await?.iter().any(|own| own.name == name) {
            return Err(Problem::refused(
                format_args!("this node announces no {kind} called {name}"),
                "`nelumbo resource list --local` shows what it announces",
            ));
        }
        // Whoever holds it hears that it is withdrawn as long as it could have lived.
        let lifetime = Duration::from_secs(7 * 24 * 60 * 60);
        done(self.handle.announce_resource(kind, name, None, lifetime).await)
    }

    /// Resources of a kind that fit, the node's own among them; others are looked for in the network, for so long at
    /// most, unless nobody is to be asked.
    pub(super) async fn resources(
        &self,
        kind: Label,
        local: bool,
        seconds: Option<u64>,
        fits: impl Fn(&Resource) -> bool,
        max: usize,
    ) -> Result<Answer, Problem> {
        let mut resources = self.own_resources(&kind).await?;
        resources.extend(self.resources_of_others(kind, local, seconds).await?);
        resources.retain(fits);
        resources.sort_by(|one, other| (&one.author, &one.name).cmp(&(&other.author, &other.name)));
        resources.truncate(max);
        result(Resources { resources })
    }

    pub(super) async fn listen(&self, protocol: Label, topics: BTreeSet<Label>) -> Result<Answer, Problem> {
        self.open_mailbox(&protocol).await?;
        for topic in topics {
            self.tell_mailbox(&protocol, &Errand::Subscribe(topic)).await?;
        }
        result(Done {})
    }

    pub(super) async fn unlisten(&self, protocol: Label) -> Result<Answer, Problem> {
        if !self.mailboxes.lock().await.remove(&protocol) {
            let problem = format_args!("the node does not listen to {protocol}");
            return Err(Problem::refused(problem, "`nelumbo message listen` begins to"));
        }
        self.handle.unregister(protocol).await.map_err(problem)?;
        result(Done {})
    }

    pub(super) async fn send(&self, protocol: Label, to: Recipient, payload: &str) -> Result<Answer, Problem> {
        let most = if matches!(to, Recipient::Topic(_)) { MAX_PUBLISHED } else { MAX_PAYLOAD };
        let payload = bytes("payload", payload, most)?;
        let errand = match to {
            Recipient::Key(key) => Errand::SendToKey(key, payload),
            Recipient::Topic(topic) => Errand::Publish(topic, payload),
            Recipient::Peer(text) => {
                let peer = peer_id(&text)?;
                let status = self.handle.status().await.map_err(problem)?;
                if !status.connected.iter().any(|connected| connected.peer == peer) {
                    return Err(Problem::refused(
                        format_args!("the node is not connected to {text}"),
                        "`nelumbo peers` shows who is; connect, or send to its key",
                    ));
                }
                Errand::SendToPeer(peer.to_bytes(), payload)
            }
        };
        self.open_mailbox(&protocol).await?;
        self.tell_mailbox(&protocol, &errand).await?;
        result(Done {})
    }

    async fn tell_mailbox(&self, protocol: &Label, errand: &Errand) -> Result<(), Problem> {
        self.handle.protocol_command(protocol.clone(), errand.encode()).await.map_err(problem)
    }

    /// Has the node listen to a protocol, if it does not yet.
    async fn open_mailbox(&self, protocol: &Label) -> Result<(), Problem> {
        // Held until it is there, so that whoever asks at the same time finds it.
        let mut mailboxes = self.mailboxes.lock().await;
        if mailboxes.contains(protocol) {
            return Ok(());
        }
        if mailboxes.len() >= MAX_MAILBOXES {
            return Err(Problem::refused(
                format_args!("the node listens to {MAX_MAILBOXES} protocols already"),
                "let it listen to one less: `nelumbo message listen NAME --off`",
            ));
        }
        let mailbox = Mailbox::new(protocol.clone(), self.log.clone());
        self.handle.register(Box::new(mailbox)).await.map_err(problem)?;
        mailboxes.insert(protocol.clone());
        Ok(())
    }

    async fn own_resources(&self, kind: &Label) -> Result<Vec<Resource>, Problem> {
        let kind = kind.clone();
        let own = self.handle.with_view(move |view| {
            let of_kind = view.own_resources().filter(|(id, _)| id.kind == kind);
            of_kind.map(|(id, resource)| shown(id, &resource, true)).collect()
        });
        own.await.map_err(problem)
    }

    async fn resources_of_others(
        &self,
        kind: Label,
        local: bool,
        seconds: Option<u64>,
    ) -> Result<Vec<Resource>, Problem> {
        if !local {
            let search = self.handle.find_resources(kind.clone());
            // What it has found by then the node knows.
            if let Ok(found) = timeout(Duration::from_secs(seconds.unwrap_or(u64::MAX)), search).await {
                found.map_err(problem)?;
            }
        }
        let known = self.handle.with_view(move |view| {
            let of_kind = view.resources().filter(|(id, _)| id.kind == kind);
            of_kind.map(|(id, resource)| shown(id, resource, false)).collect()
        });
        known.await.map_err(problem)
    }
}

fn shown(ResourceId { author, kind, name }: &ResourceId, resource: &wire::Resource, own: bool) -> Resource {
    Resource {
        author: *author,
        kind: kind.clone(),
        name: name.clone(),
        data: hex::encode(resource.data.as_ref().map(Data::as_bytes).unwrap_or_default()),
        issued: resource.issued_at.as_millis(),
        expires: resource.expires_at.as_millis(),
        own,
    }
}
