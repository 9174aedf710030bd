//! Both ways to a server over TLS: with its certificate among the roots, and with those of Mozilla.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use nelumbo_crypto::Network;
use prost::Message as _;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::config::ChronikConfig;
use super::error::Failure;
use super::http::{self, Http};
use super::watch::Socket;
use crate::proto::{self, MsgType};

/// A server that answers every request with the same tip, or talks over a WebSocket.
async fn start(is_socket: bool) -> (Url, CertificateDer<'static>) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it is a name");
    let certificate = issued.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(issued.key_pair.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("the key is that of the certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            if is_socket {
                let mut socket = tokio_tungstenite::accept_async(stream).await.expect("it is a WebSocket");
                let subscription = socket.next().await.expect("it is sent").expect("it is one").into_data();
                proto::Subscription::decode(&subscription[..]).expect("it is a subscription");
                let event = MsgType::BlockConnected(proto::MsgBlock { block_hash: vec![1; 32] });
                let event = proto::SubscribeMsg { msg_type: Some(event) }.encode_to_vec();
                socket.send(Message::binary(event)).await.expect("it listens");
                // Open until the other side ends it.
                while let Some(Ok(_)) = socket.next().await {}
                continue;
            }
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = proto::BlockchainInfo { tip_hash: vec![3; 32], tip_height: 7 }.encode_to_vec();
            let kind = proto::CONTENT_TYPE;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            let _ = stream.shutdown().await;
        }
    });
    (Url::parse(&format!("https://localhost:{port}")).expect("it is an address"), certificate)
}

fn trusting(certificate: CertificateDer<'static>) -> Arc<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("it is a certificate");
    http::tls_with(roots)
}

#[tokio::test]
async fn http_over_tls_wants_a_certificate_that_is_trusted() {
    let (base, certificate) = start(false).await;
    let config = ChronikConfig::new(Network::Mainnet, [base.as_str()]);
    let ask = async |tls: &rustls::ClientConfig| {
        let client = http::client(&config, tls).expect("the client starts");
        Http::new(client, base.clone(), 1_000).get::<proto::BlockchainInfo>("/blockchain-info").await
    };
    let answer = ask(&trusting(certificate)).await.expect("the certificate is trusted");
    assert_eq!(answer.map(|tip| tip.tip_height), Some(7));
    let refused = ask(&http::tls()).await.expect_err("nobody vouches for it");
    assert!(matches!(&refused, Failure::Connect(text) if text.contains("certificate")), "{refused}");
}

#[tokio::test]
async fn a_socket_over_tls_wants_a_certificate_that_is_trusted() {
    let (base, certificate) = start(true).await;
    let url = base.join("/ws").expect("it is a path");
    let connect = async |tls| Socket::connect(&url, &tls, Duration::from_secs(20), &[]).await;
    let mut socket = connect(trusting(certificate)).await.expect("the certificate is trusted");
    assert_eq!(socket.hint().await, Ok(()));
    drop(socket);
    let refused = connect(http::tls()).await.err().expect("nobody vouches for it");
    assert!(matches!(&refused, Failure::Connect(text) if text.contains("certificate")), "{refused}");
}
