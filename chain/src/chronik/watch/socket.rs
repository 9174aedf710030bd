//! The WebSocket of one server.
//!
//! Owns the connection, the subscriptions on it, and the shape of what comes. Invariant: what comes is a hint that it
//! is time to look, and nothing else: servers drop messages when there are many, send them in no order, and say errors
//! in another form than the rest. The watch drives it.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, SinkExt, StreamExt};
use prost::Message as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use crate::ScriptPayload;
use crate::chronik::error::{Failure, harmless};
use crate::proto::{self, MsgType};

/// A server pings after 45 seconds without messages.
const SILENCE: Duration = Duration::from_secs(100);

/// The largest message: an error with its text.
const MAX_MESSAGE: usize = 64 << 10;

/// How many messages that wait are taken for one hint.
const AT_ONCE: usize = 1_000;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for S {}

pub(in crate::chronik) struct Socket(WebSocketStream<Box<dyn Stream>>);

/// Why a socket is of no use any more.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::chronik) enum Ended {
    /// It ended, or was silent for too long.
    Closed,
    /// The server does not like what it was sent.
    Error(String),
}

impl Socket {
    /// Connects and subscribes. Servers tell of blocks, and ping, only where a script is subscribed to; so there is
    /// always one.
    pub(in crate::chronik) async fn connect(
        url: &Url,
        tls: &Arc<rustls::ClientConfig>,
        patience: Duration,
        scripts: &[ScriptPayload],
    ) -> Result<Self, Failure> {
        let connected = timeout(patience, Self::open(url, tls)).await.map_err(|_| Failure::Timeout)?;
        let mut socket = connected.map_err(|error| Failure::Connect(harmless(&error)))?;
        let nobody = [ScriptPayload::TaprootState([b'n'; 32])];
        let subscribe = async {
            for script in if scripts.is_empty() { &nobody[..] } else { scripts } {
                let message = proto::Subscription {
                    script_type: script.kind().to_owned(),
                    payload: script.bytes().to_vec(),
                    is_subscribe: true,
                };
                socket.0.feed(Message::binary(message.encode_to_vec())).await?;
            }
            socket.0.flush().await
        };
        let subscribed = timeout(patience, subscribe).await.map_err(|_| Failure::Timeout)?;
        subscribed.map_err(|error| Failure::Broken(harmless(&error.to_string())))?;
        Ok(socket)
    }

    async fn open(url: &Url, tls: &Arc<rustls::ClientConfig>) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let (host, port) = (url.host_str().ok_or("no host")?, url.port_or_known_default().ok_or("no port")?);
        // An address of IPv6 stands in brackets.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let plain = TcpStream::connect((bare, port)).await.map_err(|error| text(&error))?;
        let is_secure = url.scheme() == "https";
        let stream: Box<dyn Stream> = if is_secure {
            let name = ServerName::try_from(bare.to_owned()).map_err(|error| text(&error))?;
            let connector = tokio_rustls::TlsConnector::from(tls.clone());
            Box::new(connector.connect(name, plain).await.map_err(|error| text(&error))?)
        } else {
            Box::new(plain)
        };
        let address = format!("{}://{host}:{port}{}", if is_secure { "wss" } else { "ws" }, url.path());
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE))
            .read_buffer_size(8 << 10);
        let (socket, _) =
            client_async_with_config(address, stream, Some(config)).await.map_err(|error| text(&error))?;
        Ok(Self(socket))
    }

    /// Waits until it is time to look. Can be dropped at any time.
    pub(in crate::chronik) async fn hint(&mut self) -> Result<(), Ended> {
        loop {
            match timeout(SILENCE, self.0.next()).await {
                Ok(Some(Ok(message))) => {
                    if is_hint(message)? {
                        break;
                    }
                }
                Ok(None | Some(Err(_))) | Err(_) => return Err(Ended::Closed),
            }
        }
        // Those that wait already say nothing more.
        for _ in 0..AT_ONCE {
            match self.0.next().now_or_never() {
                Some(Some(Ok(message))) => drop(is_hint(message)?),
                Some(_) => return Err(Ended::Closed),
                None => break,
            }
        }
        Ok(())
    }
}

fn is_hint(message: Message) -> Result<bool, Ended> {
    match message {
        Message::Binary(bytes) => match proto::SubscribeMsg::decode(&bytes[..]) {
            Ok(proto::SubscribeMsg { msg_type: Some(MsgType::Error(_)) | None }) | Err(_) => {
                // In a message for it, or, as servers really send it, alone.
                let error = proto::Error::decode(&bytes[..]).unwrap_or_default();
                Err(Ended::Error(harmless(&error.msg)))
            }
            Ok(_) => Ok(true),
        },
        Message::Text(_) => Err(Ended::Error("a message of text".to_owned())),
        Message::Close(_) => Err(Ended::Closed),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(message: &impl prost::Message) -> Result<bool, Ended> {
        is_hint(Message::binary(message.encode_to_vec()))
    }

    /// An error comes alone; whatever its text decodes as in the other form, it is an error.
    #[test]
    fn errors_are_understood_alone_and_wrapped() {
        for msg in ["Invalid payload", "i", "", "\u{12}\u{0}", "Unexpected message type Text"] {
            let error_code = "invalid-script-payload-length".to_owned();
            let bare = proto::Error { error_code, msg: msg.to_owned(), is_user_error: true };
            assert_eq!(judged(&bare), Err(Ended::Error(harmless(msg))));
            let wrapped = proto::SubscribeMsg { msg_type: Some(MsgType::Error(bare)) };
            assert!(matches!(judged(&wrapped), Err(Ended::Error(_))));
        }
        let event = MsgType::Confirmed(proto::MsgTx { txid: vec![1; 32] });
        assert_eq!(judged(&proto::SubscribeMsg { msg_type: Some(event) }), Ok(true));
        assert_eq!(is_hint(Message::Ping(Vec::new().into())), Ok(false));
        assert!(matches!(is_hint(Message::text("hello")), Err(Ended::Error(_))));
        assert!(matches!(is_hint(Message::binary(vec![0xff; 100])), Err(Ended::Error(_))));
    }
}
