//! WebSocket with TLS, with a path, and behind a proxy that ends TLS.

mod support;

use libp2p::{Multiaddr, multiaddr::Protocol};
use nelumbo_tokio::network::{ConfigError, NetworkConfig, NetworkEvent, OperationId};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::sync::Arc;
use support::{Group, LOOPBACK, address};
use tokio::net::{TcpListener, TcpStream};

fn certificate() -> CertifiedKey {
    generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate")
}

fn port(at: &Multiaddr) -> u16 {
    at.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None }).expect("over TCP")
}

fn trusting(certificate: &CertifiedKey) -> NetworkConfig {
    NetworkConfig::wallet().websocket_authorities(certificate.cert.pem().as_bytes()).expect("it is one")
}

/// A message from one to the other, which has to be connected to at this address first.
async fn say(group: &mut Group, from: usize, to: usize, at: &str) {
    let peer = group.peer(to);
    group.connect(from, to, &address(&format!("{at}/p2p/{peer}"))).await;
    group.networks[from].send(peer, OperationId(1), b"hello".to_vec());
    let is_said = |index, event: &NetworkEvent| {
        (index == to && matches!(event, NetworkEvent::DirectReceived { bytes, .. } if bytes == b"hello")).then_some(())
    };
    group.find(is_said).await;
}

#[tokio::test]
async fn a_node_with_a_certificate_is_reached_over_wss_by_who_believes_its_authority() {
    let shown = certificate();
    let server = NetworkConfig::full()
        .websocket_certificate(shown.cert.pem().as_bytes(), shown.key_pair.serialize_pem().as_bytes())
        .expect("they fit");
    for listen in ["/ip4/127.0.0.1/tcp/0/wss", "/ip4/127.0.0.1/tcp/0/tls/ws"] {
        let mut group = Group::default();
        let (node, at) = group.listen(server.clone(), listen).await;
        let port = port(&at);
        for at in [format!("/dns4/localhost/tcp/{port}/wss"), format!("/dns4/localhost/tcp/{port}/tls/ws")] {
            let believer = group.add(trusting(&shown));
            say(&mut group, believer, node, &at).await;
        }
        let doubter = group.add(NetworkConfig::wallet());
        let peer = group.peer(node);
        group.networks[doubter].dial(peer, vec![format!("/dns4/localhost/tcp/{port}/wss").parse().expect("one")]);
        let reason = group
            .find(|index, event| match event {
                NetworkEvent::DialFailed { reason, .. } if index == doubter => Some(reason.clone()),
                _ => None,
            })
            .await;
        assert!(reason.contains("certificate"), "{reason}");
    }
}

#[tokio::test]
async fn a_path_is_no_obstacle() {
    let mut group = Group::default();
    let (node, at) = group.listen(NetworkConfig::full(), "/ip4/127.0.0.1/tcp/0/ws").await;
    let asking = group.add(NetworkConfig::wallet());
    let with_path = format!("/ip4/127.0.0.1/tcp/{}/x-parity-ws/%2Fnodes%2Fone", port(&at));
    say(&mut group, asking, node, &with_path).await;
}

/// What a web server does that ends TLS: it hands on what is inside.
async fn proxy(shown: &CertifiedKey, to: u16) -> u16 {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(shown.key_pair.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_no_client_auth().with_single_cert(vec![shown.cert.der().clone()], key).expect("they fit");
    let (acceptor, listener) =
        (tokio_rustls::TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.expect("a port"));
    let port = listener.local_addr().expect("a port").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let (Ok(mut outside), Ok(mut inside)) =
                    tokio::join!(acceptor.accept(stream), TcpStream::connect(("127.0.0.1", to)))
                else {
                    return;
                };
                let _ended = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn behind_a_proxy_that_ends_tls_a_node_is_found_at_what_it_announces() {
    let shown = certificate();
    let mut group = Group::default();
    // The port of the proxy has to be known before the node, and the other way round.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port").port();
    let outside = proxy(&shown, free).await;
    let announced = address(&format!("/dns4/localhost/tcp/{outside}/tls/ws"));
    let config = NetworkConfig::full().announce(announced.clone());
    let (node, _) = group.listen(config, &format!("/ip4/127.0.0.1/tcp/{free}/ws")).await;
    let (middle, middle_at) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    let peer = group.peer(node);
    group.connect(node, middle, &middle_at).await;
    let told: Vec<Multiaddr> = group
        .find(|index, event| match event {
            NetworkEvent::Identified { peer: of, addresses, .. } if index == middle && *of == peer => {
                Some(addresses.clone())
            }
            _ => None,
        })
        .await;
    assert!(told.contains(&announced), "{told:?}");
    let asking = group.add(trusting(&shown));
    say(&mut group, asking, node, &announced.to_string()).await;
}

#[test]
fn what_is_no_certificate_is_refused_before_the_start() {
    let shown = certificate();
    let (chain, key) = (shown.cert.pem(), shown.key_pair.serialize_pem());
    let others = certificate().key_pair.serialize_pem();
    for (chain, key) in [("", key.as_str()), (chain.as_str(), ""), (chain.as_str(), others.as_str()), ("rubbish", "x")]
    {
        let refused = NetworkConfig::wallet().websocket_certificate(chain.as_bytes(), key.as_bytes());
        assert!(matches!(refused, Err(ConfigError::Certificate { .. })), "{chain} {key}");
    }
    assert!(NetworkConfig::wallet().websocket_authorities(b"").is_err());
    let debug = NetworkConfig::wallet().websocket_certificate(chain.as_bytes(), key.as_bytes()).expect("they fit");
    assert!(!format!("{debug:?}").contains("BEGIN"));
}
