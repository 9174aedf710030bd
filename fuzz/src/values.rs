//! Values of the wire's types, well formed or not.
//!
//! Invariant: every value that the wire's types can hold can be drawn, within small sizes most of the time. The types
//! are the core's, so they implement [`Draw`] here and not `Arbitrary`. Driven by the inputs that hold some.

use core::fmt;

use arbitrary::{Arbitrary, Result, Unstructured};
use serde::Serialize;
use serde::de::DeserializeOwned;

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{Network, PartialSignature, PublicKey, PublicNonce, Signature, Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{
    AbortReason, Address, Advertisement, Bits, Body, Content, Data, Definition, Delegation, Details, Item, Label, List,
    Listing, Mandate, Offer, PeerId, Presence, ProtocolMessage, Receiver, RequestNotice, Resource, SessionId,
    SessionMessage, SignedInput, SpendPath, Spending, Spent, Text, TransactionType,
};

use super::input::{Bytes, Draw, Encode, Fixed, Number, draw, few};

/// A value that is drawn, or given as its encoding on the wire, which is how it is written.
#[derive(Clone, PartialEq)]
pub struct Wire<T>(pub(crate) T);

impl<'a, T: Draw + DeserializeOwned> Arbitrary<'a> for Wire<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if bool::arbitrary(u)?
            && let Ok(value) = postcard::from_bytes(&Bytes::arbitrary(u)?.0)
        {
            return Ok(Self(value));
        }
        T::draw(u).map(Self)
    }
}

impl<T: Serialize> Encode for Wire<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        true.encode(out);
        Bytes(postcard::to_allocvec(&self.0).expect("memory")).encode(out);
    }
}

impl<T: fmt::Debug> fmt::Debug for Wire<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

few! {
    Network: [Network::Regtest, Network::Testnet, Network::Mainnet];
    Suite: [Suite::Lotus, Suite::Bip340];
    Method: [
        Method::Lexicographic, Method::HashBased, Method::FirstSigner, Method::LastSigner, Method::Rotating,
    ];
    AbortReason: [
        AbortReason::Declined, AbortReason::Left, AbortReason::Closed, AbortReason::Unverified, AbortReason::Reputation,
    ];
    TransactionType: TransactionType::ALL;
}

/// A number below `limit`, which is not 0.
fn below(u: &mut Unstructured<'_>, limit: u8) -> Result<u8> {
    u.int_in_range(0..=limit - 1)
}

fn flag(u: &mut Unstructured<'_>) -> Result<bool> {
    bool::arbitrary(u)
}

fn byte(u: &mut Unstructured<'_>) -> Result<u8> {
    u8::arbitrary(u)
}

fn array<const N: usize>(u: &mut Unstructured<'_>) -> Result<[u8; N]> {
    Fixed::arbitrary(u).map(|fixed| fixed.0)
}

fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    Number::arbitrary(u).map(|number| number.0)
}

/// At most `most` bytes, their number first.
fn bytes(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let length = usize::from(u16::arbitrary(u)?).min(most).min(u.len());
    u.bytes(length).map(<[u8]>::to_vec)
}

/// Fewer than `limit` values.
fn list<T>(u: &mut Unstructured<'_>, limit: u8, one: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Vec<T>> {
    (0..below(u, limit)?).map(|_| one(u)).collect()
}

fn maybe<T>(u: &mut Unstructured<'_>, one: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if flag(u)? { one(u).map(Some) } else { Ok(None) }
}

impl<T: Draw> Draw for Option<T> {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        maybe(u, draw)
    }
}

impl Draw for Tweak {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match below(u, 3)? {
            0 => Self::None,
            1 => Self::Taproot { merkle_root: None },
            _ => Self::Taproot { merkle_root: Some(array(u)?) },
        })
    }
}

impl Encode for Tweak {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Taproot { merkle_root: None } => out.push(1),
            Self::Taproot { merkle_root: Some(root) } => {
                out.push(2);
                out.extend(root);
            }
            _ => out.push(0),
        }
    }
}

impl Draw for PublicKey {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut bytes = array(u)?;
        bytes[0] = 2 | bytes[0] & 1;
        Ok(Self::from_bytes(bytes).expect("the prefix is 2 or 3"))
    }
}

impl Encode for PublicKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.as_bytes());
    }
}

impl Draw for PeerId {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let length = 1 + usize::from(below(u, 42)?);
        let name: [u8; 42] = array(u)?;
        Ok(Self::from_bytes(&name[..length]).expect("1 to 42 bytes name a peer"))
    }
}

impl Draw for Wall {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        number(u).map(Self::from_millis)
    }
}

impl Draw for PublicNonce {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        array(u).map(Self::from_bytes)
    }
}

impl Draw for Delegation {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let mandate = Mandate { message_key: draw(u)?, valid_from: draw(u)?, expires_at: draw(u)? };
        Ok(Self { mandate, signature: Signature::from_bytes(array(u)?) })
    }
}

impl Draw for Bits {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let length = below(u, 160)?;
        let drawn: [u8; 20] = array(u)?;
        Ok(Self::collect((0..length).map(|index| drawn[usize::from(index / 8)] >> (index % 8) & 1 == 1)))
    }
}

const LABELS: [&str; 4] = ["thing", "musig2-signer", "a", "0.1_x"];

impl Draw for Label {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(u.choose(&LABELS)?.parse().expect("a label"))
    }
}

impl Encode for Label {
    fn encode(&self, out: &mut Vec<u8>) {
        let place = LABELS.iter().position(|label| *label == self.as_str()).expect("one of these is drawn");
        out.push(place as u8);
    }
}

impl<const MAX: usize> Draw for Text<MAX> {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let text = bytes(u, MAX / 3)?;
        Ok(String::from_utf8_lossy(&text).replace(char::is_control, " ").parse().expect("a harmless text"))
    }
}

/// Up to 19 addresses that are some.
fn addresses(u: &mut Unstructured<'_>) -> Result<Vec<Address>> {
    let drawn = list(u, 20, |u| bytes(u, 300))?;
    Ok(drawn.into_iter().filter_map(Address::from_bytes).collect())
}

/// Some data, which may be too much for a record.
fn data(u: &mut Unstructured<'_>) -> Result<Option<Data>> {
    Ok(maybe(u, |u| bytes(u, 300))?.and_then(Data::new))
}

fn sorted<T: Ord>(u: &mut Unstructured<'_>, mut list: Vec<T>) -> Result<Vec<T>> {
    if flag(u)? {
        list.sort_unstable();
        list.dedup();
    }
    Ok(list)
}

impl Draw for Definition {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let keys = list(u, 8, draw)?;
        Ok(Self {
            keys: sorted(u, keys)?,
            network: draw(u)?,
            suite: draw(u)?,
            items: list(u, 4, draw)?,
            election: draw(u)?,
            creator: u16::arbitrary(u)?,
            created_at: draw(u)?,
            expires_at: draw(u)?,
            nonce: array(u)?,
            details: draw(u)?,
            is_listed: flag(u)?,
        })
    }
}

impl Draw for Item {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let tweak = draw(u)?;
        if flag(u)? {
            return Ok(Self::message(bytes(u, 4100)?, tweak));
        }
        let (input, sighash_type) = (u8::arbitrary(u)?.into(), u8::arbitrary(u)?);
        let path = if flag(u)? {
            SpendPath::Key
        } else {
            SpendPath::Script { executed_script_hash: array(u)?, code_separator: u8::arbitrary(u)?.into() }
        };
        Ok(Self::input(SignedInput { input, sighash_type, path }, tweak))
    }
}

/// One to three bare messages of 32 bytes, the first with this tweak.
pub(crate) fn items(byte: u8, tweak: Tweak) -> Vec<Item> {
    let tweaks = [tweak, Tweak::None, Tweak::Taproot { merkle_root: None }];
    let item = |(number, tweak): (u8, Tweak)| Item::message(vec![byte.wrapping_add(number); 32], tweak);
    (0..1 + byte % 3).zip(tweaks).map(item).collect()
}

impl Draw for Details {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let spent = |u: &mut Unstructured<'_>| Ok(Spent { value: number(u)?, script: bytes(u, 40)? });
        let spending = |u: &mut Unstructured<'_>| {
            Ok(Box::new(Spending {
                transaction: bytes(u, 600)?,
                spent: list(u, 4, spent)?,
                replay_protection: flag(u)?,
            }))
        };
        Ok(Self { spending: maybe(u, spending)?, kind: draw(u)?, description: draw(u)? })
    }
}

impl Draw for Offer {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let types = list(u, 4, draw)?;
        Ok(Self {
            types: sorted(u, types)?,
            min_amount: maybe(u, number)?,
            max_amount: maybe(u, number)?,
            min_reputation: maybe(u, byte)?,
            requires_verification: flag(u)?,
            nickname: draw(u)?,
            description: draw(u)?,
            fee: maybe(u, number)?,
            response_seconds: maybe(u, byte)?.map(u32::from),
        })
    }
}

impl Draw for Presence {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { peer: draw(u)?, addresses: addresses(u)?, issued_at: draw(u)?, expires_at: draw(u)? })
    }
}

impl Draw for List {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match below(u, 4)? {
            0 => Self::Signers(draw(u)?),
            1 => Self::AllSigners,
            2 => Self::Resources(draw(u)?),
            _ => Self::Requests(draw(u)?),
        })
    }
}

impl Draw for Receiver {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match below(u, 3)? {
            0 => Self::Signer(draw(u)?),
            1 => Self::Peer(draw(u)?),
            _ => Self::Topic(draw(u)?),
        })
    }
}

impl Draw for Content {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match below(u, 9)? {
            0 => Self::Announce { definition: Definition::draw(u)?.into(), nonces: list(u, 4, draw)? },
            1 => Self::Join { nonces: list(u, 4, draw)? },
            2 => Self::Partial {
                nonces: array(u)?,
                partials: list(u, 4, |u| array(u).map(PartialSignature::from_bytes))?,
            },
            3 => Self::Finalized { signatures: list(u, 4, |u| array(u).map(Signature::from_bytes))? },
            4 => Self::Abort { reason: draw(u)? },
            5 => Self::Confirmed,
            6 => Self::Waiting,
            7 => Self::Busy,
            _ => Self::Status { nonces: draw(u)?, partials: draw(u)? },
        })
    }
}

impl Draw for Body {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match below(u, 9)? {
            0..=2 => Self::Session(SessionMessage {
                session: SessionId::from_bytes(array(u)?),
                attempt: u32::try_from(number(u)? & 0xffff_ffff).expect("32 bits"),
                sequence: number(u)?,
                content: draw(u)?,
            }),
            3 => Self::Presence(draw(u)?),
            4 => {
                let Presence { peer, addresses, issued_at, expires_at } = draw(u)?;
                Self::Advertisement(Box::new(Advertisement { peer, addresses, offer: draw(u)?, issued_at, expires_at }))
            }
            5 => Self::Request(Definition::draw(u)?.into()),
            6 => Self::Resource(Resource {
                kind: draw(u)?,
                name: draw(u)?,
                data: data(u)?,
                issued_at: draw(u)?,
                expires_at: draw(u)?,
            }),
            7 if flag(u)? => Self::RequestNotice(RequestNotice::of(&draw(u)?)),
            7 => Self::Listing(Listing {
                list: draw(u)?,
                name: draw(u)?,
                digest: array(u)?,
                issued_at: draw(u)?,
                expires_at: draw(u)?,
            }),
            _ => Self::Protocol(ProtocolMessage {
                protocol: draw(u)?,
                to: draw(u)?,
                number: number(u)?,
                issued_at: draw(u)?,
                payload: bytes(u, 300)?,
            }),
        })
    }
}
