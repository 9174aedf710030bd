//! What is written is read back as the same, and nothing is read in two forms.

use std::sync::Arc;

use nelumbo_core::api;
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{
    self, NonceSlot, PartialSignature, PublicKey, PublicNonce, SecretKey, Signature, SignerError,
};
use nelumbo_core::election::Method;
use nelumbo_core::single::{Single, SingleId, SingleInput, Statement};
use nelumbo_core::wire::{self, Details, Item, SignedInput, SpendPath, Spending, Spent, TransactionType};
use nelumbo_ffi::shapes::{
    AddressHex, Bytes32, Definition, Hex, Id, Input, Key, Name, NonceHex, PartialHex, Peer, Session, SignReply,
    SignRequest, SignatureHex,
};
use quickcheck::{Arbitrary, Gen, quickcheck};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn array<const N: usize>(g: &mut Gen) -> [u8; N] {
    std::array::from_fn(|_| u8::arbitrary(g))
}

fn list<T>(g: &mut Gen, mut one: impl FnMut(&mut Gen) -> T) -> Vec<T> {
    (0..usize::arbitrary(g) % 4).map(|_| one(g)).collect()
}

fn key(g: &mut Gen) -> PublicKey {
    SecretKey::from_bytes(&array(g)).expect("almost every number is a key").public_key()
}

fn tweak(g: &mut Gen) -> crypto::Tweak {
    match u8::arbitrary(g) % 3 {
        0 => crypto::Tweak::None,
        1 => crypto::Tweak::Taproot { merkle_root: None },
        _ => crypto::Tweak::Taproot { merkle_root: Some(array(g)) },
    }
}

fn signed(g: &mut Gen) -> SignedInput {
    let path = match bool::arbitrary(g) {
        true => SpendPath::Key,
        false => SpendPath::Script { executed_script_hash: array(g), code_separator: u32::arbitrary(g) },
    };
    SignedInput { input: u32::arbitrary(g), sighash_type: u8::arbitrary(g), path }
}

fn item(g: &mut Gen) -> Item {
    let tweak = tweak(g);
    if bool::arbitrary(g) { Item::message(Vec::arbitrary(g), tweak) } else { Item::input(signed(g), tweak) }
}

fn spending(g: &mut Gen) -> Spending {
    Spending {
        transaction: Vec::arbitrary(g),
        spent: list(g, |g| Spent { value: u64::arbitrary(g), script: Vec::arbitrary(g) }),
        replay_protection: bool::arbitrary(g),
    }
}

fn network(g: &mut Gen) -> crypto::Network {
    *g.choose(&[crypto::Network::Mainnet, crypto::Network::Testnet, crypto::Network::Regtest]).expect("three")
}

fn suite(g: &mut Gen) -> crypto::Suite {
    *g.choose(&[crypto::Suite::Lotus, crypto::Suite::Bip340]).expect("two")
}

fn definition(g: &mut Gen) -> wire::Definition {
    let description: String = String::arbitrary(g).chars().filter(|letter| !letter.is_control()).take(100).collect();
    wire::Definition {
        network: network(g),
        suite: suite(g),
        keys: list(g, key),
        items: list(g, item),
        details: Details {
            kind: bool::arbitrary(g).then(|| *g.choose(&TransactionType::ALL).expect("six")),
            description: description.parse().expect("short, and without control characters"),
            spending: bool::arbitrary(g).then(|| Box::new(spending(g))),
        },
        is_listed: bool::arbitrary(g),
        election: *g.choose(&[Method::Lexicographic, Method::HashBased, Method::Rotating]).expect("three"),
        creator: u16::arbitrary(g),
        created_at: Wall::from_millis(u64::arbitrary(g)),
        expires_at: Wall::from_millis(u64::arbitrary(g)),
        nonce: array(g),
    }
}

fn slot(g: &mut Gen) -> NonceSlot {
    NonceSlot { session: array(g), attempt: u32::arbitrary(g) }
}

fn error(g: &mut Gen) -> SignerError {
    *g.choose(&[SignerError::Declined, SignerError::Unavailable, SignerError::NonceSpent]).expect("three")
}

#[derive(Clone, Debug)]
struct AnyDefinition(wire::Definition);

impl Arbitrary for AnyDefinition {
    fn arbitrary(g: &mut Gen) -> Self {
        Self(definition(g))
    }
}

#[derive(Clone, Debug)]
struct AnyRequest(api::SignRequest);

impl Arbitrary for AnyRequest {
    fn arbitrary(g: &mut Gen) -> Self {
        Self(match u8::arbitrary(g) % 6 {
            0 => api::SignRequest::Nonces { slot: slot(g), definition: Arc::new(definition(g)) },
            1 => {
                let nonces = list(g, |g| list(g, |g| PublicNonce::from_bytes(array(g))));
                api::SignRequest::Partials { slot: slot(g), nonces }
            }
            2 => {
                let (network, suite, spending) = (network(g), suite(g), spending(g));
                let input = SingleInput { network, suite, spending, input: signed(g), tweak: tweak(g) };
                api::SignRequest::Single { id: SingleId(array(g)), single: Arc::new(Single::Input(Box::new(input))) }
            }
            3 => {
                let name = "delegation".parse().expect("a label");
                let statement = Statement { network: network(g), name, text: Vec::arbitrary(g) };
                api::SignRequest::Single { id: SingleId(array(g)), single: Arc::new(Single::Statement(statement)) }
            }
            4 => api::SignRequest::Forget(slot(g)),
            _ => api::SignRequest::ForgetAll,
        })
    }
}

#[derive(Clone, Debug)]
struct AnyReply(api::SignReply);

impl Arbitrary for AnyReply {
    fn arbitrary(g: &mut Gen) -> Self {
        let is_error = bool::arbitrary(g);
        Self(match u8::arbitrary(g) % 3 {
            0 => {
                let nonces = list(g, |g| PublicNonce::from_bytes(array(g)));
                api::SignReply::Nonces { slot: slot(g), nonces: if is_error { Err(error(g)) } else { Ok(nonces) } }
            }
            1 => {
                let partials = list(g, |g| PartialSignature::from_bytes(array(g)));
                let partials = if is_error { Err(error(g)) } else { Ok(partials) };
                api::SignReply::Partials { slot: slot(g), partials }
            }
            _ => {
                let signature = if is_error { Err(error(g)) } else { Ok(Signature::from_bytes(array(g))) };
                api::SignReply::Single { id: SingleId(array(g)), signature }
            }
        })
    }
}

/// Through text and back.
fn through<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).expect("JSON")).expect("it was written just now")
}

/// A text is refused, or written again as it was.
fn is_the_one_form<T: Serialize + DeserializeOwned>(text: &str) -> bool {
    let json = serde_json::to_string(text).expect("JSON");
    serde_json::from_str::<T>(&json).map_or(true, |value| serde_json::to_string(&value).expect("JSON") == json)
}

quickcheck! {
    fn a_definition_comes_back_with_its_id(any: AnyDefinition) -> bool {
        let back: Arc<wire::Definition> = through(&Definition::from(&any.0)).try_into().expect("it is one");
        *back == any.0 && back.id() == any.0.id()
    }

    fn what_a_signer_is_asked_comes_back(any: AnyRequest) -> bool {
        api::SignRequest::try_from(through(&SignRequest::from(&any.0))) == Ok(any.0)
    }

    fn what_a_signer_answers_comes_back(any: AnyReply) -> bool {
        api::SignReply::from(through(&SignReply::from(any.0.clone()))) == any.0
    }

    fn inputs_come_back(peer: Vec<u8>, bytes: Vec<u8>, id: u64, name: String) -> bool {
        let Some(peer) = wire::PeerId::from_bytes(&peer).map(Peer) else { return true };
        let (id, bytes) = (Id(id >> 11), Hex(bytes));
        let put = Input::PutRequested {
            peer: peer.clone(), subnet: None, id, key: name, bytes: bytes.clone(), stored: Some(bytes.clone()),
        };
        [put, Input::Gossip { peer: peer.clone(), id, bytes }, Input::Connected { peer }, Input::SignerReady {}]
            .iter()
            .all(|input| through(input) == *input)
    }

    fn no_text_is_read_in_two_forms(bytes: Vec<u8>, text: String, upper: bool) -> bool {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let long = hex.repeat(66);
        let texts = [text, if upper { hex.to_uppercase() } else { hex }, long[..long.len().min(66)].into(),
            long[..long.len().min(64)].into(), long[..long.len().min(128)].into(), long[..long.len().min(132)].into()];
        texts.iter().all(|text| {
            is_the_one_form::<Hex>(text) && is_the_one_form::<Key>(text) && is_the_one_form::<Peer>(text)
                && is_the_one_form::<Session>(text) && is_the_one_form::<SignatureHex>(text)
                && is_the_one_form::<NonceHex>(text) && is_the_one_form::<PartialHex>(text)
                && is_the_one_form::<Bytes32>(text) && is_the_one_form::<AddressHex>(text)
                && is_the_one_form::<Name>(text)
        })
    }
}

#[test]
fn what_is_not_known_is_refused() {
    for text in [
        r#"{"type":"tick","when":1}"#,
        r#"{"type":"connected","peer":"AAAA","why":""}"#,
        r#"{"type":"Tick"}"#,
        r#"{"type":"connected"}"#,
        r#"{"type":"gossip","peer":"AAAA","id":-1,"bytes":""}"#,
        r#"{"type":"gossip","peer":"AAAA","id":1.5,"bytes":""}"#,
        r#"{"type":"received","peer":"AAAA","bytes":"0"}"#,
        r#"{"type":"received","peer":"AAAA","bytes":"AB"}"#,
    ] {
        assert!(serde_json::from_str::<Input>(text).is_err(), "{text}");
    }
}
