//! What a node says when its surroundings, or code of the embedder, fail it.

mod nodes;

use std::{fs, path::Path};

use nelumbo_tokio::{
    Builder, HandleError, NewSession, NoSignature, NodeEvent, StartError, StopError,
    core::{
        api::Config,
        crypto::{Network as Chain, SecretKey, Suite},
        node::BootError,
        protocol::{Protocol, ProtocolContext},
        wire::Label,
    },
    metrics::Metrics,
    network::{Network, NetworkConfig, NetworkError},
};
use nodes::{Home, Signer, build, find, within};

fn stranger() -> nelumbo_tokio::core::crypto::PublicKey {
    SecretKey::from_bytes(&[7; 32]).expect("a key").public_key()
}

/// A session with somebody who is not there.
fn session(signer: &Signer) -> NewSession {
    NewSession::new(Suite::Lotus, vec![signer.key(), stranger()], vec![1; 32])
}

/// Why a node has stopped, as it says itself.
async fn stopped(signer: &mut Signer) -> String {
    find(&mut signer.events, |event| match event {
        NodeEvent::Stopped { error } => Some(error.clone()),
        _ => None,
    })
    .await
    .expect("a reason")
}

#[test]
fn without_a_runtime_a_node_does_not_start_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node");
    let error = build(&[1; 32], NetworkConfig::full(), &path).expect("a node").start().expect_err("no runtime");
    assert!(matches!(error, StartError::Network(NetworkError::NoRuntime)), "{error}");
    assert!(error.to_string().contains("runtime"), "{error}");
    assert!(!path.exists());
    assert!(matches!(Network::new(NetworkConfig::full(), Metrics::new()), Err(NetworkError::NoRuntime)));
}

#[tokio::test]
async fn a_journal_of_another_network_is_named_as_that() {
    let signer = Signer::start(NetworkConfig::full()).await;
    signer.handle.create(session(&signer)).await.expect("a session");
    let Home { key, network, folder } = signer.stop().await;
    let on = |chain, folder: &Path| {
        let key = SecretKey::from_bytes(&key).expect("a key");
        Builder::with_key(Config::new(chain), network.clone(), folder, key).expect("a node").start()
    };
    let error = on(Chain::Testnet, folder.path()).expect_err("it is of another network");
    let StartError::Boot(BootError::ForeignNetwork { journal, config, .. }) = &error else { panic!("{error}") };
    assert_eq!((*journal, *config), (Chain::Regtest, Chain::Testnet));
    let text = error.to_string();
    assert!(text.contains("regtest") && text.contains("testnet") && !text.contains("signer"), "{text}");
    // Nothing was changed by the attempt.
    let (handle, _) = on(Chain::Regtest, folder.path()).expect("it starts as before");
    assert_eq!(handle.sessions().await.map(|sessions| sessions.len()), Ok(1));
    within(handle.stop()).await.expect("a clean end");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_is_deleted_under_a_node_stops_it_before_anything_is_promised() {
    let mut signer = Signer::start(NetworkConfig::full()).await;
    let path = signer.home.folder.path().to_owned();
    fs::remove_dir_all(&path).expect("it can be deleted");
    let created = within(signer.handle.create(session(&signer))).await;
    assert!(matches!(created, Err(HandleError::NotDurable(_))), "{created:?}");
    let error = stopped(&mut signer).await;
    assert!(error.contains("deleted") && error.contains(&path.display().to_string()), "{error}");
    assert!(matches!(signer.handle.stop().await, Err(StopError::AlreadyStopped)));

    // The folder is free: the same node starts in it again, with nothing to remember.
    let signer = signer.home.start().await;
    assert_eq!(signer.handle.sessions().await, Ok(Vec::new()));
    signer.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_journal_that_is_replaced_under_a_node_is_not_taken_for_its_own() {
    let mut signer = Signer::start(NetworkConfig::full()).await;
    let path = signer.home.folder.path().join("journal.redb");
    fs::copy(&path, path.with_extension("copy")).expect("a copy");
    fs::rename(path.with_extension("copy"), &path).expect("it takes its place");
    let created = within(signer.handle.create(session(&signer))).await;
    assert!(matches!(created, Err(HandleError::NotDurable(_))), "{created:?}");
    let error = stopped(&mut signer).await;
    assert!(error.contains("replaced"), "{error}");
}

#[tokio::test]
async fn a_panic_in_a_closure_is_an_error_and_the_node_goes_on() {
    let signer = Signer::start(NetworkConfig::full()).await;
    let panicked = within(signer.handle.with_view::<()>(|_| panic!("no such luck"))).await;
    assert_eq!(panicked, Err(HandleError::Panicked("no such luck".to_owned())));
    assert_eq!(signer.handle.with_view(|view| view.sessions().len()).await, Ok(0));
    signer.handle.create(session(&signer)).await.expect("a session");
    signer.stop().await;
}

/// A protocol with a fault.
struct Faulty;

impl Protocol for Faulty {
    fn name(&self) -> Label {
        "faulty".parse().expect("a label")
    }

    fn on_message(&mut self, _: &mut ProtocolContext, _: &nelumbo_tokio::core::crypto::PublicKey, _: &[u8]) {}

    fn on_command(&mut self, _: &mut ProtocolContext, payload: &[u8]) {
        panic!("{} bytes are too many", payload.len());
    }
}

#[tokio::test]
async fn a_panic_in_the_node_is_told_as_its_end_and_costs_nothing_durable() {
    let home = Home::new(NetworkConfig::full());
    let builder = home.builder().protocol(Box::new(Faulty), "/faulty/1.0.0").expect("the first");
    let mut signer = home.start_with(builder).await;
    let session = signer.handle.create(session(&signer)).await.expect("a session");
    let handle = signer.handle.clone();
    let waiting = tokio::spawn(async move { handle.signatures(session).await });

    let command = signer.handle.protocol_command(Faulty.name(), vec![0; 3]);
    assert_eq!(within(command).await, Err(HandleError::Stopped));
    assert_eq!(stopped(&mut signer).await, "the node panicked: 3 bytes are too many");
    assert_eq!(within(waiting).await.expect("it ends"), Err(NoSignature::Stopped));
    assert!(matches!(signer.handle.stop().await, Err(StopError::AlreadyStopped)));

    // Folder and address are free, and the session is there.
    let signer = signer.home.start().await;
    assert!(signer.handle.session(session).await.expect("it runs").is_some());
    signer.stop().await;
}
