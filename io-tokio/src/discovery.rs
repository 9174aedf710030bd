//! Finding strangers, through a handle: advertise, search, announce.
//!
//! Owns the waiting: a search's answer is a series of events, and a caller wants the result. Invariant: every search
//! returns, at the latest when its time is over. Driven by the embedder.

use std::time::Duration;

use nelumbo_core::{
    api::{Command, CommandError, CommandId, Event, SignerFilter},
    crypto::PublicKey,
    wire::{Advertisement, Data, Label, Offer, Resource, ResourceId, SessionId, TransactionType},
};
use tokio::time::timeout;

use crate::{
    event::{EventsError, NodeEvent},
    handle::{Handle, HandleError},
};

/// The core ends a search by itself long before. Only a listener that missed the end waits so long.
const LONGEST_SEARCH: Duration = Duration::from_secs(30);

impl Handle {
    /// Offers to sign, from now on and over restarts, until it is withdrawn.
    pub async fn advertise(&self, offer: Offer) -> Result<(), HandleError> {
        self.command(Command::Advertise { offer: Box::new(offer), lifetime: None }).await
    }

    /// The same with advertisements that are each valid for this long, instead of as long as the core is configured.
    /// They are renewed after half of that.
    pub async fn advertise_for(&self, offer: Offer, lifetime: Duration) -> Result<(), HandleError> {
        self.command(Command::Advertise { offer: Box::new(offer), lifetime: Some(lifetime) }).await
    }

    /// Offers nothing any more.
    pub async fn withdraw(&self) -> Result<(), HandleError> {
        self.command(Command::Withdraw).await
    }

    /// Hears of signers for this type: of those who advertise already, and of others as soon as they do.
    pub async fn subscribe(&self, kind: TransactionType) -> Result<(), HandleError> {
        self.command(Command::Subscribe(kind)).await
    }

    /// Hears of them no more.
    pub async fn unsubscribe(&self, kind: TransactionType) -> Result<(), HandleError> {
        self.command(Command::Unsubscribe(kind)).await
    }

    /// Looks for signers, among those already known and in the DHT, and returns what they offer, by key.
    pub async fn find_signers(&self, filter: SignerFilter) -> Result<Vec<(PublicKey, Advertisement)>, HandleError> {
        let find = Command::FindSigners(filter);
        let found = self.search(find, |event, command| match event {
            Event::SignerFound { command: search, key } if *search == command => Some(*key),
            _ => None,
        });
        let mut found = found.await?;
        found.sort_unstable();
        self.with_view(move |view| {
            found.into_iter().filter_map(|key| Some((key, view.advertisement(&key)?.clone()))).collect()
        })
        .await
    }

    /// Looks for signing requests that need this node's key. They are sessions to be joined or aborted.
    pub async fn find_requests(&self) -> Result<Vec<SessionId>, HandleError> {
        self.search(Command::FindRequests, request_found).await
    }

    /// Looks for a session by its id. `false` when nobody has it to offer, it is not for this node's key, or it was
    /// closed here.
    pub async fn find_session(&self, session: SessionId) -> Result<bool, HandleError> {
        match self.search(Command::FindSession(session), request_found).await {
            Ok(_) | Err(HandleError::Refused(CommandError::KnownSession(_))) => {
                Ok(self.session(session).await?.is_some())
            }
            Err(error) => Err(error),
        }
    }

    /// Announces a resource, or announces it anew; without data it is withdrawn.
    pub async fn announce_resource(
        &self,
        kind: Label,
        name: Label,
        data: Option<Data>,
        lifetime: Duration,
    ) -> Result<(), HandleError> {
        self.command(Command::AnnounceResource { kind, name, data, lifetime }).await
    }

    /// Sends a command to another protocol of the node, in that protocol's own encoding. What it answers comes as
    /// events ([`Event::ProtocolEvent`]).
    pub async fn protocol_command(&self, protocol: Label, payload: Vec<u8>) -> Result<(), HandleError> {
        self.command(Command::ProtocolCommand { protocol, payload }).await
    }

    /// Looks for resources of a kind, among those already known and in the DHT.
    pub async fn find_resources(&self, kind: Label) -> Result<Vec<(ResourceId, Resource)>, HandleError> {
        let found = self.search(Command::FindResources(kind), |event, command| match event {
            Event::ResourceFound { command: search, resource } if *search == command => Some(resource.clone()),
            _ => None,
        });
        let found = found.await?;
        self.with_view(move |view| {
            found.into_iter().filter_map(|id| view.resource(&id).cloned().map(|resource| (id, resource))).collect()
        })
        .await
    }

    /// Everything that a search finds until it is over.
    async fn search<T>(
        &self,
        command: Command,
        found: impl Fn(&Event, CommandId) -> Option<T>,
    ) -> Result<Vec<T>, HandleError> {
        let mut events = self.events()?;
        let command = self.command_id(command).await?;
        let mut all = Vec::new();
        let collect = async {
            loop {
                match events.next().await {
                    Ok(NodeEvent::Core(Event::SearchFinished { command: search, .. })) if search == command => {
                        return Ok(());
                    }
                    Ok(NodeEvent::Core(event)) => all.extend(found(&event, command)),
                    Ok(_) | Err(EventsError::Missed(_)) => {}
                    Err(EventsError::Stopped) => return Err(HandleError::Stopped),
                }
            }
        };
        timeout(LONGEST_SEARCH, collect).await.unwrap_or(Ok(()))?;
        Ok(all)
    }
}

fn request_found(event: &Event, command: CommandId) -> Option<SessionId> {
    match event {
        Event::RequestFound { command: search, session } if *search == command => Some(*session),
        _ => None,
    }
}
