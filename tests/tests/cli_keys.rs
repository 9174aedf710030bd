//! The commands about keys, signatures and elections, against the vectors.

mod cli_support;
#[path = "vectors_support/mod.rs"]
mod vectors;

use cli_support::{fields, nelumbo};
use nelumbo_core::crypto::lotus::{Address, Payload};
use nelumbo_core::crypto::{KeyAggContext, PublicKey, Signature, Suite, Tweak, schnorr, sort_keys};
use serde_json::Value;
use vectors::{array, flag, list, load, number, text};

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    list(value, key).iter().map(|text| text.as_str().expect("a text")).collect()
}

fn run_with_keys(arguments: &[&str], keys: &[&str]) -> Value {
    nelumbo(&[arguments, keys].concat()).json()
}

#[test]
fn aggregation_agrees_with_the_lotus_vectors() {
    let vectors = load("keyagg.json");
    let sound = list(&vectors, "cases").iter().filter(|case| !text(case, "comment").starts_with("DUPLICATE"));
    for case in sound.filter(|case| list(case, "pubkeys_in").len() <= 10) {
        let aggregated = run_with_keys(&["key", "aggregate", "--json"], &texts(case, "pubkeys_in"));
        assert_eq!(fields(&aggregated), ["address", "aggregate_key", "coefficients"]);
        assert_eq!(aggregated["aggregate_key"], case["aggregate_pubkey"]);
        assert_eq!(aggregated["coefficients"], case["coefficients_by_sorted_index"]);
    }
}

#[test]
fn taproot_output_keys_agree_with_the_lotus_vectors() {
    let vectors = load("musig2_taproot_sessions.json");
    let no_scripts = "00".repeat(32);
    let key_path_only = list(&vectors, "cases").iter().filter(|case| case["taproot"]["merkle_root"] == no_scripts);
    assert_ne!(key_path_only.clone().count(), 0);
    for case in key_path_only {
        let keys = texts(case, "pubkeys_sorted");
        let plain = run_with_keys(&["key", "aggregate", "--json"], &keys);
        let tweaked = run_with_keys(&["key", "aggregate", "--taproot", "--json"], &keys);
        assert_eq!(fields(&tweaked), ["address", "aggregate_key", "coefficients", "output_key"]);
        assert_eq!(tweaked["aggregate_key"], case["aggregate_pubkey"]);
        assert_eq!(tweaked["output_key"], case["challenge_key"]);
        let commitment =
            |aggregated: &Value| text(aggregated, "address").parse::<Address>().expect("a Lotus address").payload;
        let payload = |key: &Value| Payload::Taproot(vectors::public_key(key));
        assert_eq!(commitment(&plain), payload(&case["aggregate_pubkey"]));
        assert_eq!(commitment(&tweaked), payload(&case["challenge_key"]));
    }
}

#[test]
fn bip340_aggregation_sorts_the_keys_and_agrees_with_libsecp256k1() {
    let vectors = load("external/bip327/key_agg_vectors.json");
    let keys: Vec<String> = texts(&vectors, "pubkeys").iter().take(3).map(|key| key.to_lowercase()).collect();
    let mut sorted: Vec<PublicKey> = keys.iter().map(|key| key.parse().expect("a key")).collect();
    sort_keys(&mut sorted);
    let context = KeyAggContext::new(Suite::Bip340, &sorted).unwrap();
    let tweaked = context.clone().with_tweak(&Tweak::Taproot { merkle_root: None }).unwrap();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let aggregated = run_with_keys(&["key", "aggregate", "--suite", "bip340", "--taproot", "--json"], &keys);
    assert_eq!(aggregated["aggregate_key"], context.aggregate_key().to_string());
    assert_eq!(aggregated["output_key"], tweaked.challenge_key().to_string());
    let address = text(&aggregated, "address");
    assert!(address.starts_with("bc1p") && address.len() == 62, "{address}");

    let theirs: Vec<secp256k1::PublicKey> =
        sorted.iter().map(|key| secp256k1::PublicKey::from_slice(key.as_bytes()).expect("a key")).collect();
    let theirs: Vec<&secp256k1::PublicKey> = theirs.iter().collect();
    let theirs = secp256k1::musig::KeyAggCache::new(&theirs).agg_pk();
    assert_eq!(hex::encode(theirs.to_byte_array()), text(&aggregated, "aggregate_key")[2..]);
}

#[test]
fn elections_agree_with_the_vectors() {
    for case in list(&load("election.json"), "cases").iter().filter(|case| list(case, "signers").len() <= 5) {
        let outcome = run_with_keys(&["elect", "--json", "--method", text(case, "method")], &texts(case, "signers"));
        assert_eq!(fields(&outcome), ["coordinator", "coordinator_index", "priority", "proof"]);
        assert_eq!(outcome["coordinator"], case["coordinator_pubkey"]);
        assert_eq!(number(&outcome, "coordinator_index"), number(case, "coordinator_index"));
        assert_eq!(outcome["priority"], case["priority_list"]);
        assert_eq!(outcome["proof"], case["election_proof"]);
    }
}

#[test]
fn verification_agrees_with_the_lotus_vectors() {
    let vectors = load("schnorr.json");
    // Keys are compressed here; the chain takes the long form too.
    for case in list(&vectors, "verify").iter().filter(|case| text(case, "pubkey").len() != 130) {
        let (key, message, signature) = (text(case, "pubkey"), text(case, "msg"), text(case, "sig"));
        let is_key = key.parse::<PublicKey>().is_ok();
        let run = nelumbo(&["verify", "--key", key, "--message", message, "--signature", signature]);
        match (is_key && message.len() == 64 && signature.len() == 128, flag(case, "valid")) {
            (true, true) => assert_eq!((run.status, run.stdout.as_str()), (0, "valid\n"), "{case}"),
            (true, false) => assert_eq!((run.status, run.stdout.as_str()), (1, "invalid\n"), "{case}"),
            (false, true) => panic!("a valid signature is over 32 bytes, under a key on the curve: {case}"),
            (false, false) => run.assert_refused(&[]),
        }
    }
}

#[test]
fn a_key_file_signs_in_both_suites() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.key");
    let file = file.to_str().unwrap();
    let made = nelumbo(&["key", "generate", "--out", file, "--network", "regtest", "--json"]).json();
    assert_eq!(fields(&made), ["file", "network", "public_key"]);
    let shown = nelumbo(&["key", "show", "--key-file", file, "--json"]).json();
    assert_eq!(fields(&shown), ["address", "network", "public_key"]);
    assert_eq!(shown["public_key"], made["public_key"]);
    assert!(text(&shown, "address").starts_with("lotusR"));
    let tweaked = nelumbo(&["key", "show", "--key-file", file, "--suite", "bip340", "--taproot", "--json"]).json();
    assert!(text(&tweaked, "address").starts_with("bcrt1p"));

    let key = text(&made, "public_key");
    let message = "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50";
    for (suite, name) in [(Suite::Lotus, "lotus"), (Suite::Bip340, "bip340")] {
        let sign = ["sign", "--key-file", file, "--message", message, "--suite", name];
        let signed = nelumbo(&[&sign[..], &["--json"]].concat()).json();
        assert_eq!(fields(&signed), ["message", "public_key", "signature", "suite"]);
        assert_eq!((&signed["suite"], text(&signed, "public_key")), (&Value::from(name), key));
        let signature = Signature::from_bytes(array(&signed, "signature"));
        let public_key = key.parse().unwrap();
        assert!(schnorr::verify(suite, &public_key, &hex::decode(message).unwrap(), &signature));
        let line = nelumbo(&sign).stdout;
        let other = if name == "lotus" { "bip340" } else { "lotus" };
        let verify = |suite| {
            let run = ["verify", "--suite", suite, "--key", key, "--message", message, "--signature", line.trim_end()];
            nelumbo(&run).status
        };
        assert_eq!((verify(name), verify(other)), (0, 1));
    }
    let x_only = ["verify", "--suite", "bip340", "--key", &key[2..], "--message", "", "--signature", &"00".repeat(64)];
    assert_eq!(nelumbo(&x_only).status, 1);
}

#[test]
fn the_secret_is_in_the_file_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    let file = path.to_str().unwrap();
    let made = nelumbo(&["key", "generate", "--out", file]);
    let content = std::fs::read_to_string(&path).unwrap();
    let secret = content.lines().find_map(|line| line.strip_prefix("secret-key ")).expect("a line with the secret");
    let shown = nelumbo(&["-vvv", "key", "show", "--key-file", file]);
    let signed = nelumbo(&["-vvv", "sign", "--key-file", file, "--message", &"00".repeat(32)]);
    for run in [made, shown, signed] {
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = nelumbo(&["completions", shell]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        for command in
            ["demo", "key", "sign", "verify", "elect", "completions", "aggregate", "node", "init", "sessions", "events"]
        {
            assert!(run.stdout.contains(command), "{command} for {shell}");
        }
    }
}
