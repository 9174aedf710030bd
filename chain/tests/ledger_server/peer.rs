//! A client that is written here, so that the server is not judged by the client of the same crate.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use nelumbo_chain::proto::{self, CONTENT_TYPE, MsgType, SubscribeMsg, Subscription};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The message in the body of a request that succeeded.
    #[track_caller]
    pub(crate) fn message<T: Message + Default>(&self) -> T {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        assert!(self.head.contains(&format!("content-type: {CONTENT_TYPE}")), "{}", self.head);
        T::decode(self.body.as_slice()).expect("a message")
    }

    /// Status, code, text and whether the user is to blame.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, String, String, bool) {
        let proto::Error { error_code, msg, is_user_error } =
            proto::Error::decode(self.body.as_slice()).expect("an error");
        (self.status, error_code, msg, is_user_error)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"), &[]).await
}

pub(crate) async fn post(address: SocketAddr, path: &str, kind: Option<&str>, body: &[u8]) -> Answer {
    let kind = kind.map(|kind| format!("Content-Type: {kind}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n"
    );
    request(address, &head, body).await
}

pub(crate) async fn post_message(address: SocketAddr, path: &str, message: &impl Message) -> Answer {
    post(address, path, Some(CONTENT_TYPE), &message.encode_to_vec()).await
}

pub(crate) async fn post_json(address: SocketAddr, path: &str, body: &serde_json::Value) -> Answer {
    post(address, path, Some("application/json"), body.to_string().as_bytes()).await
}

async fn request(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(head.as_bytes()).await.expect("the head is taken");
    // A body that is too large is not read to its end.
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text").to_lowercase();
    let status = head[9..12].parse().expect("a status");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

/// A subscriber.
pub(crate) struct Subscriber(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Message(MsgType),
    /// An error, alone.
    Error(String),
}

impl Subscriber {
    pub(crate) async fn new(address: SocketAddr) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/ws")).await.expect("it upgrades");
        Self(socket)
    }

    pub(crate) async fn send(&mut self, message: tungstenite::Message) {
        self.0.send(message).await.expect("it is taken");
    }

    pub(crate) async fn subscribe(&mut self, script_type: &str, payload: &[u8], is_subscribe: bool) {
        self.begin(script_type, payload, is_subscribe).await;
        // What was sent before the answer to a ping was done before.
        self.settle().await;
    }

    /// The same, without waiting until it is done.
    pub(crate) async fn begin(&mut self, script_type: &str, payload: &[u8], is_subscribe: bool) {
        let subscription =
            Subscription { script_type: script_type.to_owned(), payload: payload.to_vec(), is_subscribe };
        self.send(tungstenite::Message::Binary(subscription.encode_to_vec().into())).await;
    }

    /// Waits until the server has read everything; nothing else may come meanwhile.
    pub(crate) async fn settle(&mut self) {
        self.send(tungstenite::Message::Ping(b"?".as_slice().into())).await;
        match self.receive().await {
            tungstenite::Message::Pong(_) => {}
            other => panic!("not the answer to a ping: {other:?}"),
        }
    }

    async fn receive(&mut self) -> tungstenite::Message {
        let received = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
        received.expect("it comes in time").expect("the connection stays").expect("a message")
    }

    pub(crate) async fn next(&mut self) -> Told {
        let tungstenite::Message::Binary(bytes) = self.receive().await else { panic!("not binary") };
        match SubscribeMsg::decode(bytes.as_ref()) {
            Ok(SubscribeMsg { msg_type: Some(message) }) if !matches!(message, MsgType::Error(_)) => {
                Told::Message(message)
            }
            _ => Told::Error(proto::Error::decode(bytes.as_ref()).expect("an error alone").error_code),
        }
    }

    /// So many, in any order.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Told> {
        let mut told = Vec::new();
        for _ in 0..count {
            told.push(self.next().await);
        }
        told
    }
}
