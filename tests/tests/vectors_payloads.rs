//! The signatures in `signed_payloads.json`: what peers on the network sign.
//!
//! Here: preimage, digest and signature of every object. How a preimage is made of a message, the ids
//! (`session_id_later`, `request_id`, `identity_id`), the table keys and the message hashes (`dedup`) belong to the
//! wire and are not looked at.

mod vectors_support;

use nelumbo_core::crypto::{PublicKey, Secp256k1, Suite, Verifier, schnorr, sha256};
use serde_json::Value;
use vectors_support::{array, bytes, load, secret_key, signature};

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    signatures: usize,
    reproduced: usize,
}

/// Checks every object with a preimage, a digest and a signature. `near` is the key that signed the object around it.
fn walk(value: &Value, near: Option<PublicKey>, counts: &mut Counts) {
    let Some(object) = value.as_object() else {
        value.as_array().into_iter().flatten().for_each(|element| walk(element, near, counts));
        return;
    };
    let secret = ["seckey", "creator_seckey"].iter().find_map(|name| object.get(*name)).map(secret_key);
    if object.contains_key("preimage") && object.contains_key("sig") {
        let digest = sha256(&[&bytes(value, "preimage")]);
        assert_eq!(digest, array(value, "digest"));
        let signature = signature(&value["sig"]);
        let author = secret.as_ref().map(|secret| secret.public_key()).or(near).expect("somebody signed it");
        assert!(Secp256k1.verify(&author, &digest, &signature), "{value}");
        assert!(!Secp256k1.verify(&author, &sha256(&[&digest]), &signature));
        counts.signatures += 1;
        if let Some(secret) = &secret {
            assert_eq!(schnorr::sign(Suite::Lotus, secret, &digest, None), Ok(signature));
            counts.reproduced += 1;
        }
    }
    let announcer = object.get("announcement").and_then(|announcement| announcement.get("seckey")).map(secret_key);
    let near = secret.or(announcer).map(|secret| secret.public_key()).or(near);
    object.values().for_each(|member| walk(member, near, counts));
}

#[test]
fn every_signature_verifies_and_is_the_one_we_would_make() {
    let file = load("signed_payloads.json");
    let sections = file.as_object().expect("sections");
    let mut counts = Vec::new();
    for (name, section) in sections.iter().filter(|(name, _)| *name != "meta") {
        let mut found = Counts::default();
        walk(section, None, &mut found);
        counts.push((name.as_str(), found.signatures, found.reproduced));
    }
    let expected = [
        ("advertisement", 3, 3),
        ("dedup", 0, 0),
        ("directory_entry", 2, 2),
        ("identity", 6, 6),
        ("session_announcement", 3, 3),
        ("session_id_later", 0, 0),
        ("signing_request", 7, 7),
        // The proof of ownership is signed with the key of the announcement, which is not repeated beside it.
        ("swapsig", 2, 1),
    ];
    assert_eq!(counts, expected);
}
