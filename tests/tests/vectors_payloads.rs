//! The signatures in `signed_payloads.json`: what peers on the network sign.
//!
//! Here: preimage, digest and signature of every object, and identities as a whole. How a preimage is made of a
//! message, the ids (`session_id_later`, `request_id`), the table keys and the message hashes (`dedup`) belong to the
//! wire and are not looked at.

mod vectors_support;

use nelumbo_chain::identity::{Identity, IdentityError, MAX_ROTATIONS, Rotation};
use nelumbo_core::crypto::lotus::OutPoint;
use nelumbo_core::crypto::{PublicKey, Secp256k1, Suite, Verifier, schnorr, sha256};
use serde_json::Value;
use vectors_support::{array, bytes, list, load, number, secret_key, signature, text};

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

#[test]
fn identities_are_registered_and_passed_on_as_others_do_it() {
    let file = load("signed_payloads.json");
    let mut count = 0;
    for case in list(&file, "identity") {
        let index = u32::try_from(number(case, "output_index")).expect("small");
        let burn = OutPoint { txid: text(case, "txid").parse().expect("an id"), index };
        let (registration, rotation) = (&case["registration"], &case["rotation"]);
        let key = |signed: &Value| secret_key(&signed["seckey"]).public_key();
        let (old, new) = (key(registration), key(&rotation["new"]));
        let rotation = Rotation {
            burn: OutPoint { index: index + 1, ..burn },
            key: new,
            by_old: signature(&rotation["old"]["sig"]),
            by_new: signature(&rotation["new"]["sig"]),
        };
        let rotations = vec![rotation.clone()];
        let identity = Identity { burn, key: old, signature: signature(&registration["sig"]), rotations };
        assert_eq!(identity.check().map(|id| id.to_string()).as_deref(), Ok(text(case, "identity_id")));
        assert_eq!((identity.current_key(), identity.claims().len()), (new, 2));
        // Each part of it is needed.
        let wrong = |change: &dyn Fn(&mut Identity)| {
            let mut identity = identity.clone();
            change(&mut identity);
            identity.check().expect_err("something is wrong with it")
        };
        assert_eq!(wrong(&|identity| identity.signature = rotation.by_old), IdentityError::Signature(old));
        assert_eq!(wrong(&|identity| identity.rotations[0].by_old = rotation.by_new), IdentityError::Signature(old));
        assert_eq!(wrong(&|identity| identity.rotations[0].by_new = rotation.by_old), IdentityError::Signature(new));
        assert_eq!(wrong(&|identity| identity.rotations[0].burn = burn), IdentityError::BurnTwice(burn));
        assert_eq!(wrong(&|identity| identity.burn.index = 256), IdentityError::OutputIndex(256));
        assert!(matches!(wrong(&|identity| identity.burn.index += 2), IdentityError::Signature(_)));
        let many = wrong(&|identity| identity.rotations = vec![rotation.clone(); MAX_ROTATIONS + 1]);
        assert_eq!(many, IdentityError::Rotations(65));
        count += 1;
    }
    assert_eq!(count, 2);
}
