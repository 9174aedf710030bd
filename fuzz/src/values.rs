//! Wire values drawn from the fuzzer's bytes, well formed or not.
//!
//! Invariant: every value that the wire's types can hold can be drawn, within small sizes most of the time. Driven by
//! `roundtrip`, `journal` and the scripted peers of `script`.

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{Network, PartialSignature, PublicKey, PublicNonce, Signature, Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{
    AbortReason, Address, Advertisement, Bits, Body, Content, Data, Definition, Delegation, Details, Item, Label, List,
    Listing, Mandate, Offer, PeerId, Presence, ProtocolMessage, Receiver, RequestNotice, Resource, SessionId,
    SessionMessage, SignedInput, SpendPath, Spending, Spent, Text, TransactionType,
};

use super::source::Source;

pub(crate) fn network(source: &mut Source<'_>) -> Network {
    [Network::Regtest, Network::Testnet, Network::Mainnet][source.below(3)]
}

pub(crate) fn suite(source: &mut Source<'_>) -> Suite {
    [Suite::Lotus, Suite::Bip340][source.below(2)]
}

pub(crate) fn tweak(source: &mut Source<'_>) -> Tweak {
    match source.below(3) {
        0 => Tweak::None,
        1 => Tweak::Taproot { merkle_root: None },
        _ => Tweak::Taproot { merkle_root: Some(source.array()) },
    }
}

pub(crate) fn method(source: &mut Source<'_>) -> Method {
    let all = [Method::Lexicographic, Method::HashBased, Method::FirstSigner, Method::LastSigner, Method::Rotating];
    all[source.below(all.len())]
}

pub(crate) fn reason(source: &mut Source<'_>) -> AbortReason {
    [AbortReason::Declined, AbortReason::Left, AbortReason::Closed][source.below(3)]
}

pub(crate) fn key(source: &mut Source<'_>) -> PublicKey {
    let mut bytes = source.array();
    bytes[0] = 2 | bytes[0] & 1;
    PublicKey::from_bytes(bytes).expect("the prefix is 2 or 3")
}

pub(crate) fn peer(source: &mut Source<'_>) -> PeerId {
    let length = 1 + source.below(42);
    let name: [u8; 42] = source.array();
    PeerId::from_bytes(&name[..length]).expect("1 to 42 bytes name a peer")
}

pub(crate) fn address(source: &mut Source<'_>) -> Option<Address> {
    Address::from_bytes(source.bytes(300).to_vec())
}

pub(crate) fn wall(source: &mut Source<'_>) -> Wall {
    Wall::from_millis(source.number())
}

pub(crate) fn nonce(source: &mut Source<'_>) -> PublicNonce {
    PublicNonce::from_bytes(source.array())
}

pub(crate) fn delegation(source: &mut Source<'_>) -> Delegation {
    let (message_key, valid_from, expires_at) = (key(source), wall(source), wall(source));
    let signature = Signature::from_bytes(source.array());
    Delegation { mandate: Mandate { message_key, valid_from, expires_at }, signature }
}

pub(crate) fn bits(source: &mut Source<'_>) -> Bits {
    let length = source.below(160);
    let drawn: [u8; 20] = source.array();
    Bits::collect((0..length).map(|index| drawn[index / 8] >> (index % 8) & 1 == 1))
}

pub(crate) fn definition(source: &mut Source<'_>) -> Definition {
    let count = source.below(8);
    let mut keys: Vec<PublicKey> = (0..count).map(|_| key(source)).collect();
    if source.flag() {
        keys.sort_unstable();
        keys.dedup();
    }
    Definition {
        network: network(source),
        suite: suite(source),
        keys,
        items: (0..source.below(4)).map(|_| item(source)).collect(),
        election: method(source),
        creator: u16::from_le_bytes(source.array()),
        created_at: wall(source),
        expires_at: wall(source),
        nonce: source.array(),
        details: details(source),
        is_listed: source.flag(),
    }
}

fn item(source: &mut Source<'_>) -> Item {
    let tweak = tweak(source);
    if source.flag() {
        return Item::message(source.bytes(4100).to_vec(), tweak);
    }
    let (input, sighash_type) = (u32::from(source.byte()), source.byte());
    let path = if source.flag() {
        SpendPath::Key
    } else {
        SpendPath::Script { executed_script_hash: source.array(), code_separator: u32::from(source.byte()) }
    };
    Item::input(SignedInput { input, sighash_type, path }, tweak)
}

/// One to three bare messages of 32 bytes, the first with this tweak.
pub(crate) fn items(byte: u8, tweak: Tweak) -> Vec<Item> {
    let tweaks = [tweak, Tweak::None, Tweak::Taproot { merkle_root: None }];
    let item = |(number, tweak): (u8, Tweak)| Item::message(vec![byte.wrapping_add(number); 32], tweak);
    (0..1 + byte % 3).zip(tweaks).map(item).collect()
}

fn details(source: &mut Source<'_>) -> Details {
    let spending = source.flag().then(|| {
        Box::new(Spending {
            transaction: source.bytes(600).to_vec(),
            spent: (0..source.below(4))
                .map(|_| Spent { value: source.number(), script: source.bytes(40).to_vec() })
                .collect(),
            replay_protection: source.flag(),
        })
    });
    Details { kind: source.flag().then(|| kind(source)), description: text(source), spending }
}

pub(crate) fn kind(source: &mut Source<'_>) -> TransactionType {
    TransactionType::ALL[source.below(TransactionType::ALL.len())]
}

fn text<const MAX: usize>(source: &mut Source<'_>) -> Text<MAX> {
    String::from_utf8_lossy(source.bytes(MAX / 3)).replace(char::is_control, " ").parse().expect("a harmless text")
}

pub(crate) fn label(source: &mut Source<'_>) -> Label {
    ["thing", "musig2-signer", "a", "0.1_x"][source.below(4)].parse().expect("a label")
}

pub(crate) fn offer(source: &mut Source<'_>) -> Offer {
    let mut types: Vec<TransactionType> = (0..source.below(4)).map(|_| kind(source)).collect();
    if source.flag() {
        types.sort_unstable();
        types.dedup();
    }
    Offer {
        types,
        min_amount: source.flag().then(|| source.number()),
        max_amount: source.flag().then(|| source.number()),
        min_reputation: source.flag().then(|| source.byte()),
        nickname: text(source),
        description: text(source),
        fee: source.flag().then(|| source.number()),
        response_seconds: source.flag().then(|| u32::from(source.byte())),
    }
}

pub(crate) fn data(source: &mut Source<'_>) -> Option<Data> {
    if source.flag() { Data::new(source.bytes(300).to_vec()) } else { None }
}

fn list<T>(source: &mut Source<'_>, one: impl Fn(&mut Source<'_>) -> T) -> Vec<T> {
    (0..source.below(4)).map(|_| one(source)).collect()
}

fn signers_list(source: &mut Source<'_>) -> List {
    match source.below(4) {
        0 => List::Signers(kind(source)),
        1 => List::AllSigners,
        2 => List::Resources(label(source)),
        _ => List::Requests(key(source)),
    }
}

/// A body of one of the families of discovery, or another protocol's.
fn discovery(source: &mut Source<'_>) -> Body {
    match source.below(6) {
        0 => {
            let Presence { peer, addresses, issued_at, expires_at } = presence(source);
            let offer = source.flag().then(|| offer(source));
            Body::Advertisement(Box::new(Advertisement { peer, addresses, offer, issued_at, expires_at }))
        }
        1 => Body::Request(definition(source).into()),
        2 => Body::Resource(Resource {
            kind: label(source),
            name: label(source),
            data: data(source),
            issued_at: wall(source),
            expires_at: wall(source),
        }),
        3 => Body::Listing(Listing {
            list: signers_list(source),
            name: source.flag().then(|| label(source)),
            digest: source.array(),
            issued_at: wall(source),
            expires_at: wall(source),
        }),
        4 => Body::RequestNotice(RequestNotice::of(&definition(source))),
        _ => Body::Protocol(ProtocolMessage {
            protocol: label(source),
            to: match source.below(3) {
                0 => Receiver::Signer(key(source)),
                1 => Receiver::Peer(peer(source)),
                _ => Receiver::Topic(label(source)),
            },
            number: source.number(),
            issued_at: wall(source),
            payload: source.bytes(300).to_vec(),
        }),
    }
}

pub(crate) fn content(source: &mut Source<'_>) -> Content {
    match source.below(9) {
        0 => Content::Announce { definition: definition(source).into(), nonces: list(source, nonce) },
        1 => Content::Join { nonces: list(source, nonce) },
        2 => {
            let partials = list(source, |source| PartialSignature::from_bytes(source.array()));
            Content::Partial { nonces: source.array(), partials }
        }
        3 => Content::Finalized { signatures: list(source, |source| Signature::from_bytes(source.array())) },
        4 => Content::Abort { reason: reason(source) },
        5 => Content::Confirmed,
        6 => Content::Waiting,
        7 => Content::Busy,
        _ => Content::Status { nonces: bits(source), partials: bits(source) },
    }
}

pub(crate) fn presence(source: &mut Source<'_>) -> Presence {
    let count = source.below(18);
    Presence {
        peer: peer(source),
        addresses: (0..count).filter_map(|_| address(source)).collect(),
        issued_at: wall(source),
        expires_at: wall(source),
    }
}

pub(crate) fn body(source: &mut Source<'_>) -> Body {
    if source.flag() {
        return if source.flag() { discovery(source) } else { Body::Presence(presence(source)) };
    }
    Body::Session(SessionMessage {
        session: SessionId::from_bytes(source.array()),
        attempt: u32::try_from(source.number() & 0xffff_ffff).expect("32 bits"),
        sequence: source.number(),
        content: content(source),
    })
}
