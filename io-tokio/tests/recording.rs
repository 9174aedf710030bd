//! Recordings of whole nodes, with disks and sockets: each is replayed without a difference.

mod nodes;

use std::{fs, path::Path};

use nelumbo_tokio::{
    NewSession, StartError, Summary, Unusual,
    core::{
        Policy, Review,
        api::{Event, RecordSequence, SignRequest},
        base::Bytes,
        crypto::Suite,
        host::Host,
        wire::{Definition, PeerId},
    },
    network::NetworkConfig,
    recording::{DEFAULT_LIMIT, Difference, End, Replay},
};
use nodes::{Home, Signer, through, within};

/// Hears events alone.
#[derive(Default)]
struct Events(Vec<Event>);

impl Host for Events {
    fn persist(&mut self, _: RecordSequence, _: Vec<u8>, _: Option<Vec<u8>>) {}
    fn send(&mut self, _: PeerId, _: Bytes) {}
    fn sign(&mut self, _: SignRequest) {}
    fn event(&mut self, event: Event) {
        self.0.push(event);
    }
}

async fn recorded(home: Home, file: &Path) -> Signer {
    let builder = home.builder().record(file, DEFAULT_LIMIT);
    home.start_with(builder).await
}

/// Replays a recording; every step is as it was.
fn replay(file: &Path) -> (Vec<Event>, u64) {
    let bytes = fs::read(file).expect("a recording");
    let mut replay = Replay::open(&bytes[..]).expect("a sound recording");
    let (mut events, mut compared) = (Events::default(), 0);
    while let Some(step) = replay.next(&mut events).expect("a sound recording") {
        assert_eq!(step.difference, None, "step {}, given {:?}", step.number, step.input);
        assert!(step.is_complete);
        compared += step.compared as u64;
    }
    assert_eq!(replay.end(), Some(End::Stopped));
    (events.0, compared)
}

fn has(file: &Path, secret: &[u8]) -> bool {
    let bytes = fs::read(file).expect("a recording");
    let hex = hex::encode(secret);
    [secret, hex.as_bytes(), hex.to_uppercase().as_bytes()]
        .iter()
        .any(|form| bytes.windows(form.len()).any(|window| window == *form))
}

#[tokio::test]
async fn three_nodes_that_sign_over_sockets_are_lived_through_again_event_by_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |number: usize| folder.path().join(format!("node-{number}"));
    let mut signers = vec![recorded(Home::new(NetworkConfig::full()), &file(0)).await];
    for number in 1..3 {
        let network = through(NetworkConfig::full(), &[&signers[0].address]);
        signers.push(recorded(Home::new(network), &file(number)).await);
    }
    for signer in &signers {
        signer.meet(2).await;
    }
    let keys: Vec<_> = signers.iter().map(Signer::key).collect();
    let mut sessions = Vec::new();
    for suite in [Suite::Lotus, Suite::Bip340] {
        let created =
            signers[1].handle.create(NewSession::new(suite, keys.clone(), vec![9; 32])).await.expect("a session");
        for other in [0, 2] {
            assert_eq!(signers[other].approve().await, created);
        }
        for signer in &signers {
            within(signer.handle.signatures(created)).await.expect("a signature");
        }
        sessions.push(created);
    }
    let refused = signers[0].handle.withdraw().await;
    assert!(refused.is_err(), "nothing is offered: {refused:?}");

    // One of them is recorded over a restart too, with what its journal holds.
    let home = signers.remove(2).stop().await;
    let again = recorded(home, &file(3)).await;
    within(again.handle.signatures(sessions[0])).await.expect("it remembers");
    signers.push(again);
    for (number, signer) in signers.into_iter().enumerate() {
        let home = signer.stop().await;
        assert!(!has(&file(number), &home.key), "node {number}");
        assert!(number < 2 || !has(&file(3), &home.key), "node {number} after its restart");
    }
    for number in 0..4 {
        let (events, compared) = replay(&file(number));
        assert!(compared >= events.len() as u64 && compared > 3, "node {number}: {compared} outputs and answers");
        for session in &sessions {
            let completed =
                |event: &Event| matches!(event, Event::SessionCompleted { session: one, .. } if one == session);
            assert!(events.iter().any(completed), "node {number}: {events:?}");
        }
    }
}

/// Joins whatever is asked for.
struct Joins;

impl Policy for Joins {
    fn review(&mut self, _: &Definition, _: &Summary) -> Review {
        Review::Approve { allow: [Unusual::Opaque].into() }
    }
}

#[tokio::test]
async fn rules_of_the_embedder_s_own_take_part_in_the_replay_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("recording");
    let home = Home::new(NetworkConfig::full());
    let builder = home.builder().policy(Box::new(Joins)).record(&file, DEFAULT_LIMIT);
    let signer = home.start_with(builder).await;
    let other = Signer::start(through(NetworkConfig::full(), &[&signer.address])).await;
    other.meet(1).await;
    let session = NewSession::new(Suite::Lotus, vec![signer.key(), other.key()], vec![1; 32]);
    let created = other.handle.create(session).await.expect("a session");
    within(other.handle.signatures(created)).await.expect("a signature");
    signer.stop().await;

    let bytes = fs::read(&file).expect("a recording");
    let first_difference = |policy: Option<Box<dyn Policy>>| -> Option<Difference> {
        let mut replay = Replay::open(&bytes[..]).expect("a sound recording");
        assert!(replay.has_custom_code());
        policy.into_iter().for_each(|policy| replay.node().set_policy(policy));
        while let Some(step) = replay.next(&mut Events::default()).expect("a sound recording") {
            if step.difference.is_some() {
                return step.difference;
            }
        }
        None
    };
    assert_eq!(first_difference(Some(Box::new(Joins))), None);
    // What is missing first depends on whether the other signer was within reach by then.
    assert!(first_difference(None).is_some(), "nobody joins");
}

#[tokio::test]
async fn a_recording_that_cannot_be_begun_is_told_before_the_node_starts() {
    let home = Home::new(NetworkConfig::wallet());
    let file = home.folder.path().join("no-such-folder").join("recording");
    let refused = home.builder().record(&file, DEFAULT_LIMIT).start();
    assert!(matches!(&refused, Err(StartError::Recording { file: named, .. }) if *named == file), "{refused:?}");
}
