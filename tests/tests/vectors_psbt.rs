//! PSBTs, derived keys and descriptors with MuSig2 against the vectors of BIP328, BIP373 and BIP390.

mod bitcoin_support;
mod vectors_support;

use std::collections::BTreeMap;

use bitcoin_support::judge;
use nelumbo_chain::psbt::{Descriptor, DescriptorError, Place, Psbt, PsbtError, SyntheticXpub, Task};
use nelumbo_core::crypto::lotus::wif;
use nelumbo_core::crypto::{
    KeyAggContext, Network, PartialSignature, PublicKey, PublicNonce, SecretKey, Signature, Suite, Tweak, bitcoin,
    sort_keys, verify_partial,
};
use serde_json::Value;
use vectors_support::{bytes, flag, list, load, public_key, text};

const BIP373: &str = "external/bip373/bip373.json";

/// The valid PSBTs, in the order of the text.
fn valid() -> Vec<(String, Psbt)> {
    let file = load(BIP373);
    let vectors = list(&file, "vectors").iter().filter(|vector| flag(vector, "valid"));
    let read = |vector: &Value| Psbt::from_bytes(&bytes(vector, "psbt")).expect("it is valid");
    vectors.map(|vector| (text(vector, "case").to_owned(), read(vector))).collect()
}

#[test]
fn what_is_valid_survives_byte_for_byte_and_nothing_else_is_read() {
    let file = load(BIP373);
    let (mut valid, mut refused) = (0, BTreeMap::<u8, usize>::new());
    for vector in list(&file, "vectors") {
        let encoded = bytes(vector, "psbt");
        match Psbt::from_bytes(&encoded) {
            Ok(psbt) => {
                assert!(flag(vector, "valid"), "{}", text(vector, "case"));
                assert_eq!(psbt.to_bytes(), encoded);
                for file in [encoded.clone(), hex::encode(&encoded).into_bytes(), psbt.to_base64().into_bytes()] {
                    assert_eq!(Psbt::read(&file).as_ref(), Ok(&psbt));
                }
                valid += 1;
            }
            Err(PsbtError::Field { field, .. }) => {
                assert!(!flag(vector, "valid"), "{}", text(vector, "case"));
                *refused.entry(field).or_default() += 1;
            }
            Err(error) => panic!("{}: {error}", text(vector, "case")),
        }
    }
    assert_eq!((valid, refused), (14, BTreeMap::from([(0x1a, 2), (0x08, 2), (0x1b, 3), (0x1c, 3)])));
}

/// The cases that are signed: participants alone, with nonces, with partial signatures and the signature.
fn signed() -> Vec<(String, [Psbt; 3])> {
    let mut cases = BTreeMap::<String, Vec<Psbt>>::new();
    valid().into_iter().for_each(|(case, psbt)| cases.entry(case).or_default().push(psbt));
    let whole = |(case, stages): (String, Vec<Psbt>)| Some((case, stages.try_into().ok()?));
    cases.into_iter().filter_map(whole).collect()
}

fn task(psbt: &Psbt) -> Task {
    let mut tasks = psbt.tasks().expect("sound");
    assert_eq!(tasks.len(), 1);
    tasks.remove(0)
}

fn nonces(psbt: &Psbt, task: &Task) -> Vec<PublicNonce> {
    psbt.nonces(task).into_iter().collect::<Option<_>>().expect("all nonces")
}

fn partials(psbt: &Psbt, task: &Task) -> Vec<PartialSignature> {
    psbt.partials(task).into_iter().collect::<Option<_>>().expect("all partial signatures")
}

#[test]
fn the_partial_signatures_are_right_and_make_the_signature_that_consensus_takes() {
    let (mut derived, mut by_script, mut given) = (0, 0, 0);
    for (case, [first, second, third]) in signed() {
        let task = task(&third);
        let (nonces, partials) = (nonces(&third, &task), partials(&third, &task));
        let round = third.round(&task).expect("points").expect("all nonces");
        for (index, (nonce, partial)) in nonces.iter().zip(&partials).enumerate() {
            assert!(verify_partial(&task.keys, &round, index, nonce, partial), "{case}: {index}");
        }
        // The same way again: the participants alone, then what each adds.
        let mut again = first.clone();
        assert!(again.round(&task).expect("no wrong points").is_none());
        for (key, nonce) in task.keys.keys().iter().zip(&nonces) {
            again.add_nonce(&task, *key, nonce).expect("it is the first");
            again.add_nonce(&task, *key, nonce).expect("it is the same");
        }
        assert_eq!(again, second, "{case}");
        assert_eq!(again.complete(&task), Ok(false));
        assert_eq!(again.finalize(), Err(PsbtError::Unsigned(0)));
        for (key, partial) in task.keys.keys().iter().zip(&partials) {
            again.add_partial(&task, *key, partial).expect("it is the first");
        }
        assert_eq!(again.complete(&task), Ok(true));
        // One of the cases has no signature in the last stage.
        let mut whole = third.clone();
        given += usize::from(third.signature(&task).is_some());
        assert_eq!(whole.complete(&task), Ok(true));
        assert_eq!(again, whole, "{case}");
        let signed = again.finalize().expect("all is there");
        assert_eq!(judge(&signed.bytes, &again.spent().expect("one output")), Ok(()), "{case}");
        assert_eq!(signed.txid, again.transaction().txid(Suite::Bip340));
        // The judge says no as well.
        let mut spent = again.spent().expect("one output");
        spent[0].value += 1;
        assert!(judge(&signed.bytes, &spent).is_err());
        derived += usize::from(task.tweak.is_none());
        by_script += usize::from(task.leaf.is_some());
    }
    assert_eq!((signed().len(), derived, by_script, given), (4, 1, 1, 3));
}

#[test]
fn the_tweak_is_what_a_session_of_the_network_would_sign_with() {
    let mut tweaks: Vec<Option<Tweak>> = signed().iter().map(|(_, stages)| task(&stages[0]).tweak).collect();
    tweaks.sort_unstable();
    let taproot = Some(Tweak::Taproot { merkle_root: None });
    assert_eq!(tweaks, [None, Some(Tweak::None), Some(Tweak::None), taproot]);
    let file = load(BIP373);
    let keys: Vec<PublicKey> = list(&file, "participants").iter().map(|pair| public_key(&pair[0])).collect();
    for (pair, key) in list(&file, "participants").iter().zip(&keys) {
        let imported = wif::decode(pair[1].as_str().expect("a text")).expect("a secret key");
        assert_eq!(imported.key.public_key(), *key);
    }
}

#[test]
fn nothing_that_is_there_is_replaced() {
    for (case, [first, second, third]) in signed() {
        let task = task(&first);
        let keys = task.keys.keys();
        // What was there before, in any order, is one and the same.
        let mut all = first.clone();
        all.combine(third.clone()).expect("it says more");
        all.combine(second.clone()).expect("it says less");
        assert_eq!(all, third, "{case}");

        let other = nonces(&third, &task)[1];
        let mut changed = first.clone();
        changed.add_nonce(&task, keys[0], &other).expect("it is the first");
        let before = changed.clone();
        let conflict = Err(PsbtError::Conflict { place: Place::Input(0), what: format!("the nonce of {}", keys[0]) });
        assert_eq!(changed.combine(second.clone()), conflict, "{case}");
        assert_eq!(changed.add_nonce(&task, keys[0], &nonces(&third, &task)[0]), conflict);
        assert_eq!(changed, before, "nothing was taken over");

        let (wrong, mut mixed) = (partials(&third, &task)[1], second.clone());
        mixed.add_partial(&task, keys[0], &wrong).expect("it is the first");
        assert!(matches!(mixed.clone().combine(third.clone()), Err(PsbtError::Conflict { .. })));
        for (key, partial) in keys.iter().zip(partials(&third, &task)).skip(1) {
            mixed.add_partial(&task, *key, &partial).expect("it is the first");
        }
        let culprits = Err(PsbtError::Culprits { input: 0, signers: vec![keys[0]] });
        assert_eq!(mixed.complete(&task), culprits, "{case}");
        assert_eq!(mixed.add_signature(&task, &Signature::from_bytes([7; 64])), Err(PsbtError::Signature(0)));
        mixed.begin_anew(&task);
        assert_eq!(mixed, first, "{case}");
        let stranger = SecretKey::from_bytes(&[9; 32]).expect("a key").public_key();
        assert_eq!(mixed.add_nonce(&task, stranger, &other), Err(PsbtError::NotAParticipant(stranger)));
    }
    let (_, [one, ..]) = &signed()[0];
    let (_, [another, ..]) = &signed()[1];
    assert_eq!(one.clone().combine(another.clone()), Err(PsbtError::OtherTransaction));
}

/// A PSBT that a wallet has made for the group's address says nothing of the group.
#[test]
fn a_group_is_added_where_its_outputs_are() {
    let case = "Spend of a Taproot output where the internal key is a MuSig2 Aggregate Pubkey";
    let signed = signed();
    let (_, [first, ..]) = signed.iter().find(|(name, _)| name == case).expect("it is there");
    let (task, spent) = (task(first), first.spent().expect("one output"));
    let mut plain = Psbt::new(first.transaction(), &spent).expect("it has no scripts");
    assert!(plain.tasks().expect("sound").is_empty());
    assert_eq!(plain.add_group(task.keys.keys(), Some([7; 32])), Ok(0), "these are other outputs");
    assert_eq!(plain.add_group(task.keys.keys(), None), Ok(1));
    assert_eq!(plain.add_group(task.keys.keys(), None), Ok(1), "once more is no harm");
    let found = plain.tasks().expect("sound");
    assert_eq!((found.len(), found[0].digest), (1, task.digest));
    assert_eq!(found[0].keys.challenge_key(), task.keys.challenge_key());
    // What is too large, and what is nothing.
    assert_eq!(Psbt::read(&vec![b'a'; 600 * 1024]), Err(PsbtError::Size(300 * 1024)));
    assert!(matches!(Psbt::read(b"psbt\xff"), Err(PsbtError::Encoding(_))));
    assert!(matches!(Psbt::read(&[0xfe, 0xff]), Err(PsbtError::Encoding(_))));
}

/// What is larger than any wallet makes it is refused, and not worked on.
#[test]
fn there_is_an_end_to_participants_steps_and_descriptors() {
    let key = |number: u16| {
        let mut bytes = [1; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        SecretKey::from_bytes(&bytes).expect("a key").public_key()
    };
    let keys: Vec<PublicKey> = (1..=129).map(key).collect();
    let tasks = |keys: &[PublicKey]| {
        let own = Descriptor::parse(&Descriptor::text_of_group(keys)).expect("sound");
        let mut sorted = keys.to_vec();
        sort_keys(&mut sorted);
        let group = KeyAggContext::new(Suite::Bip340, &sorted).expect("keys");
        let group = group.with_tweak(&Tweak::Taproot { merkle_root: None }).expect("a key");
        let script = bitcoin::taproot_script(&group.challenge_key());
        assert_eq!(own.expand(0).expect("keys").script_pubkey, script);
        let address = bitcoin::Address::from_script_pubkey(Network::Regtest, &script).expect("it has one");
        let mut psbt = bitcoin_support::wallet(&address.to_string(), &[5_000], 1_000);
        assert_eq!(psbt.add_group(&sorted, None), Ok(1));
        psbt.tasks()
    };
    assert_eq!(tasks(&keys[..128]).expect("as many as there may be").len(), 1);
    let own = Descriptor::parse(&Descriptor::text_of_group(&keys));
    assert!(own.is_err_and(|error| error.to_string().contains("128")));
    let long = format!("tr({},{})", keys[0], "pk(".repeat(20_000));
    assert!(Descriptor::parse(&long).is_err_and(|error| error.to_string().contains("too long")));
    let deep = format!("tr({0},{1}pk({0}){2})", keys[0], "{".repeat(200), format!(",pk({})}}", keys[0]).repeat(200));
    assert!(Descriptor::parse(&deep).is_err_and(|error| error.to_string().contains("too deep")));

    // Keys that claim to be derived from the aggregate, by its fingerprint, in 255 steps each.
    let case = "Spend of a Taproot output where the internal key is derived from a MuSig2 Aggregate Pubkey";
    let (_, [first, ..]) = signed().into_iter().find(|(name, _)| name == case).expect("it is there");
    let encoded = first.to_bytes();
    let place = encoded.windows(2).position(|bytes| bytes == [0x21, 0x16]).expect("a derivation");
    let with = |count: usize| {
        let record = |key: &PublicKey| {
            let steps = 7_u32.to_le_bytes().repeat(255);
            [&[0x21, 0x16][..], &key.x_only(), &[0xfd, 1, 4, 0, 0x26, 0x80, 0xdd, 0x6e], &steps].concat()
        };
        let mut bytes = encoded.clone();
        bytes.splice(place..place, keys[..count].iter().flat_map(record));
        Psbt::from_bytes(&bytes).expect("sound").tasks()
    };
    assert_eq!(with(4).expect("few enough").len(), 1);
    let refused = with(5).expect_err("too many");
    assert!(refused.to_string().contains("more steps than a wallet takes"), "{refused}");
}

#[test]
fn extended_keys_of_bip328() {
    let file = load("external/bip328/vectors.json");
    let mut count = 0;
    for vector in file.as_array().expect("a list") {
        let keys: Vec<PublicKey> = list(vector, "keys")
            .iter()
            .map(|key| key.as_str().expect("a text").to_ascii_lowercase().parse().expect("a key"))
            .collect();
        let aggregate = KeyAggContext::new(Suite::Bip340, &keys).expect("they aggregate").aggregate_key();
        assert_eq!(aggregate, public_key(&vector["aggregate_pubkey"]));
        let xpub = SyntheticXpub::new(Network::Mainnet, &aggregate).expect("a point");
        assert_eq!(xpub.to_string(), text(vector, "xpub"));
        assert!(SyntheticXpub::new(Network::Regtest, &aggregate).expect("a point").to_string().starts_with("tpub"));
        let derived = KeyAggContext::new(Suite::Bip340, &keys).and_then(|keys| {
            let tweaks = xpub.tweaks(&[1, 2]).expect("nothing is hardened");
            tweaks.iter().try_fold(keys, |keys, tweak| keys.apply_tweak(tweak, false))
        });
        let again = xpub.derive(KeyAggContext::new(Suite::Bip340, &keys).expect("they aggregate"), &[1, 2]);
        let again = again.expect("nothing is hardened").challenge_key();
        assert_eq!(derived.expect("there is a key").challenge_key(), again);
        assert!(xpub.tweaks(&[1 << 31]).is_err());
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn descriptors_of_bip390() {
    let file = load("external/bip390/bip390.json");
    let mut scripts = 0;
    for vector in list(&file, "valid") {
        let descriptor = Descriptor::parse(text(vector, "descriptor")).expect("it is valid");
        let expected = list(vector, "scripts");
        assert_eq!(descriptor.is_range(), expected.len() > 1);
        for (index, script) in (0..).zip(expected) {
            let expansion = descriptor.expand(index).expect("the keys are sound");
            assert_eq!(hex::encode(&expansion.script_pubkey), script.as_str().expect("a text"));
            let [aggregate] = &expansion.aggregates[..] else { panic!("one musig()") };
            let mut sorted = aggregate.participants.clone();
            sort_keys(&mut sorted);
            assert_eq!(aggregate.participants, sorted);
            scripts += 1;
        }
    }
    let mut reasons = BTreeMap::<&str, usize>::new();
    for vector in list(&file, "invalid") {
        let reason = match Descriptor::parse(text(vector, "descriptor")) {
            Err(DescriptorError::Place(_)) => "place",
            Err(DescriptorError::Participants) => "participants",
            Err(DescriptorError::Hardened) => "hardened",
            // Several paths at once are not read at all.
            Err(DescriptorError::Syntax(problem)) if problem.contains("several paths") => "paths",
            other => panic!("{}: {other:?}", text(vector, "reason")),
        };
        *reasons.entry(reason).or_default() += 1;
    }
    let expected = BTreeMap::from([("place", 8), ("participants", 3), ("hardened", 2), ("paths", 1)]);
    assert_eq!((scripts, reasons), (12, expected));
}
