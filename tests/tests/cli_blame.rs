//! `nelumbo verify-blame`: evidence from a file, judged without a network.

mod cli_support;

use cli_support::nelumbo;
use nelumbo_core::base::{Entropy, Wall};
use nelumbo_core::crypto::{
    MessageKey, Network, NonceSlot, Secp256k1, SecretKey, Signer, SoftwareSigner, Suite, Tweak, Verifier,
};
use nelumbo_core::election::Method;
use nelumbo_core::evidence::{Evidence, Exhibit};
use nelumbo_core::wire::{Body, Content, Definition, Details, Item, SessionMessage, seal};
use serde_json::Value;

/// Two messages of one signer in one attempt, with the nonces of these two slots.
fn evidence(slots: [u32; 2]) -> String {
    let key = SecretKey::from_bytes(&[5; 32]).unwrap();
    let mut keys = vec![key.public_key(), SecretKey::from_bytes(&[6; 32]).unwrap().public_key()];
    keys.sort_unstable();
    let definition = Definition {
        network: Network::Mainnet,
        suite: Suite::Lotus,
        keys: keys.clone(),
        items: vec![Item::message(vec![7; 32], Tweak::None)],
        details: Details::default(),
        is_listed: false,
        election: Method::Lexicographic,
        creator: 0,
        created_at: Wall::from_millis(1),
        expires_at: Wall::from_millis(2),
        nonce: [3; 32],
    };
    let (key, entropy) = (std::sync::Arc::new(key), Entropy::new([1; 32]).unwrap());
    let mut author = MessageKey::new(key.clone(), entropy.stream("messages"));
    let mut signer = SoftwareSigner::new(key, entropy);
    let aggregate = Secp256k1.aggregate_keys(Suite::Lotus, &keys, &Tweak::None).unwrap();
    let mut nonces = std::collections::BTreeMap::new();
    let mut sequence = 0;
    let exhibits = slots.map(|slot| {
        let nonce = *nonces.entry(slot).or_insert_with(|| {
            signer
                .nonces(NonceSlot { session: *definition.id().as_bytes(), attempt: slot }, &[(&aggregate, &[7; 32])])
                .unwrap()[0]
        });
        sequence += 1;
        let step = SessionMessage {
            session: definition.id(),
            attempt: 1,
            sequence,
            content: Content::Join { nonces: vec![nonce] },
        };
        Exhibit(seal(&mut author, Network::Mainnet, Body::Session(step)).unwrap())
    });
    let [first, second] = exhibits;
    serde_json::to_string(&Evidence::Equivocation { definition, first, second }).unwrap()
}

#[test]
fn evidence_convicts_or_does_not_and_the_exit_status_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evidence.json");
    let path = file.to_str().unwrap();
    std::fs::write(&file, evidence([1, 2])).unwrap();
    let output = nelumbo(&["verify-blame", path, "--json"]);
    assert_eq!(output.status, 0, "{output:?}");
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    let key = SecretKey::from_bytes(&[5; 32]).unwrap().public_key();
    assert_eq!(answer["guilty"], true);
    assert_eq!((&answer["signer"], &answer["offence"]), (&key.to_string().into(), &"equivocation".into()));
    let output = nelumbo(&["verify-blame", path]);
    assert!(output.stdout.contains(&key.to_string()));

    std::fs::write(&file, evidence([1, 1])).unwrap();
    let output = nelumbo(&["verify-blame", path, "--json"]);
    assert_eq!(output.status, 1, "{output:?}");
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&answer["guilty"], &answer["reason"]), (&false.into(), &"innocent".into()));

    std::fs::write(&file, "{}").unwrap();
    for missing in [path, "no-such-file"] {
        let output = nelumbo(&["verify-blame", missing]);
        assert_eq!(output.status, 2, "{output:?}");
        let line = output.stderr;
        assert!(line.starts_with("error: ") && line.lines().count() == 1, "{line}");
    }
}
