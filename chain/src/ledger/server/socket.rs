//! Subscriptions over a WebSocket.
//!
//! Owns who wants to hear of which scripts. Invariants, as Chronik has them: blocks are told only to those who
//! subscribe to a script; an error comes alone, without the message around it that everything else has; who does not
//! read loses events and is not told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use prost::Message as _;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout};

use super::failure::{Failure, script};
use super::{Shared, encode};
use crate::ScriptPayload;
use crate::proto::Subscription;

/// The most scripts of one subscriber. Chronik has no such limit.
const MAX_SUBSCRIPTIONS: usize = 10_000;

/// The most bytes of a message, which holds a script at most.
const MAX_MESSAGE: usize = 16_384;

/// A ping goes out after so long without another message.
const PING: Duration = Duration::from_secs(45);

/// Who takes longer to take a message is gone.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn upgrade(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    upgrade.on_upgrade(move |socket| serve(socket, shared))
}

async fn serve(mut socket: WebSocket, shared: Arc<Shared>) {
    let mut events = shared.events.subscribe();
    let mut scripts = BTreeSet::<ScriptPayload>::new();
    let mut ping = Instant::now() + PING;
    loop {
        let messages: Vec<Message> = tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Binary(bytes))) => answer(subscribe(&bytes, &mut scripts)),
                Some(Ok(Message::Text(_))) => answer(Err(Failure::unexpected_message("Text"))),
                // The library answers pings.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Vec::new(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            event = events.recv() => match event {
                Ok(_) if scripts.is_empty() => Vec::new(),
                Ok(event) => {
                    let messages = encode::messages(&event, |script| scripts.contains(script));
                    messages.iter().map(|message| Message::Binary(message.encode_to_vec().into())).collect()
                }
                Err(RecvError::Lagged(_)) => Vec::new(),
                Err(RecvError::Closed) => return,
            },
            () = sleep_until(ping) => vec![Message::Ping(Bytes::from_static(b"nelumbo"))],
        };
        if !messages.is_empty() {
            ping = Instant::now() + PING;
        }
        for message in messages {
            if !matches!(timeout(PATIENCE, socket.send(message)).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}

fn answer(done: Result<(), Failure>) -> Vec<Message> {
    let alone = |failure: Failure| Message::Binary(failure.error.encode_to_vec().into());
    done.err().map(alone).into_iter().collect()
}

fn subscribe(bytes: &[u8], scripts: &mut BTreeSet<ScriptPayload>) -> Result<(), Failure> {
    // What is no message at all is the server's fault in Chronik's eyes.
    let Subscription { script_type, payload, is_subscribe } =
        Subscription::decode(bytes).map_err(|_| Failure::internal())?;
    let script = script(&script_type, &payload)?;
    if !is_subscribe {
        scripts.remove(&script);
    } else if scripts.len() < MAX_SUBSCRIPTIONS {
        scripts.insert(script);
    } else {
        return Err(Failure::too_many("subscriptions", MAX_SUBSCRIPTIONS));
    }
    Ok(())
}
