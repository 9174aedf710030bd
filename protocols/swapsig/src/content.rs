//! What participants say to each other.
//!
//! Owns registrations, the roster, destinations, and the messages that carry them. Invariant: everything that counts
//! proves itself, by a signature or by what was committed to before, so that anybody may pass it on and nobody can keep
//! it from anybody. [`Pool`](crate::Pool) drives it.

use std::fmt;

use nelumbo_chain::build::hash160;
use nelumbo_core::crypto::lotus::{OutPoint, Txid, p2pkh_script};
use nelumbo_core::crypto::{PublicKey, Signature, tagged_hash};
use nelumbo_core::single::Statement;
use serde::{Deserialize, Serialize};

use crate::terms::{MAX_PARTICIPANTS, MIN_PARTICIPANTS, PoolId, Terms};
use crate::{decode, encode};

/// The most bytes of a destination's script: a Taproot output.
pub const MAX_SCRIPT: usize = 36;

/// Where an output is, as messages and records have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The id of the transaction.
    pub txid: [u8; 32],
    /// Which of its outputs.
    pub index: u32,
}

impl From<OutPoint> for Place {
    fn from(outpoint: OutPoint) -> Self {
        Self { txid: *outpoint.txid.as_bytes(), index: outpoint.index }
    }
}

impl From<Place> for OutPoint {
    fn from(place: Place) -> Self {
        Self { txid: Txid::from_bytes(place.txid), index: place.index }
    }
}

/// Where somebody wants its output, before anybody is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Hides the script in its commitment until it is revealed: 32 random bytes.
    pub salt: [u8; 32],
    /// The script of the output.
    pub script: Vec<u8>,
}

/// It is nobody's to read in a log.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Destination(…)")
    }
}

impl Destination {
    /// What says before which destination it will be. It covers the key, so that nobody can commit to somebody else's.
    #[must_use]
    pub fn commitment(&self, pool: &PoolId, key: &PublicKey) -> [u8; 32] {
        tagged_hash("swapsig/dest", &[&pool.0, key.as_bytes(), &self.salt, &self.script])
    }

    /// Whether nodes relay outputs with the script: to a key's hash, a script's hash, or a Taproot key.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        match self.script[..] {
            [0x76, 0xa9, 0x14, .., 0x88, 0xac] => self.script.len() == 25,
            [0xa9, 0x14, .., 0x87] => self.script.len() == 23,
            [0x62, 0x51, 0x21, 2 | 3, ..] => {
                let key = self.script.get(3..).and_then(|key| PublicKey::from_slice(key).ok());
                key.is_some_and(|key| key.validate().is_ok())
            }
            _ => false,
        }
    }
}

/// Somebody wants to take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Who: the key of its node, to whose hash the coin is paid.
    pub key: PublicKey,
    /// The coin.
    pub coin: Place,
    /// The commitment to its [`Destination`].
    pub commitment: [u8; 32],
    /// The key's signature over all that: the proof that the coin is its own.
    pub proof: Signature,
}

impl Registration {
    /// What is signed.
    #[must_use]
    pub fn statement(terms: &Terms, coin: Place, commitment: [u8; 32]) -> Statement {
        let name = "swapsig-registration".parse().expect("a label");
        Statement { network: terms.network, name, text: encode(&(terms.id(), coin, commitment)) }
    }

    /// Whether whoever has the coin's key has said so.
    #[must_use]
    pub fn is_proven(&self, terms: &Terms) -> bool {
        Self::statement(terms, self.coin, self.commitment).is_signed_by(&self.key, &self.proof)
    }
}

/// Who takes part, as the creator says. Places in it name participants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// In ascending order of keys.
    pub registrations: Vec<Registration>,
    /// The creator's signature.
    pub signature: Signature,
}

impl Roster {
    /// What the creator signs.
    #[must_use]
    pub fn statement(terms: &Terms, registrations: &[Registration]) -> Statement {
        let name = "swapsig-roster".parse().expect("a label");
        Statement { network: terms.network, name, text: encode(&(terms.id(), hash(registrations))) }
    }

    /// What tells it from others.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.registrations)
    }

    /// Whether it is one: of the creator, of so many participants as may be, each proven and there once.
    #[must_use]
    pub fn is_sound(&self, terms: &Terms) -> bool {
        let count = self.registrations.len();
        let ascends = self.registrations.windows(2).all(|pair| pair[0].key < pair[1].key);
        let mut coins: Vec<Place> = self.registrations.iter().map(|registration| registration.coin).collect();
        coins.sort_unstable();
        coins.dedup();
        (MIN_PARTICIPANTS..=usize::from(terms.participants)).contains(&count)
            && ascends
            && coins.len() == count
            && self.place_of(&terms.creator).is_some()
            && Self::statement(terms, &self.registrations).is_signed_by(&terms.creator, &self.signature)
            && self.registrations.iter().all(|registration| registration.is_proven(terms))
    }

    /// Where a participant is in it.
    #[must_use]
    pub fn place_of(&self, key: &PublicKey) -> Option<usize> {
        self.registrations.iter().position(|registration| registration.key == *key)
    }
}

fn hash(registrations: &[Registration]) -> [u8; 32] {
    tagged_hash("swapsig/roster", &[&encode(&registrations)])
}

/// The script of a coin with which this key registers.
#[must_use]
pub fn coin_script(key: &PublicKey) -> Vec<u8> {
    p2pkh_script(&hash160(key.as_bytes())).to_vec()
}

const BURN: &[u8; 12] = b"SWAPSIG_BURN";

/// The script of the output that burns for the coin of this key, which stands beside it in the same transaction: so
/// a coin is burned for as long as it is not spent, whatever pools come to nothing meanwhile.
#[must_use]
pub fn burn_script(key: &PublicKey) -> Vec<u8> {
    let payload = tagged_hash("swapsig/burn", &[key.as_bytes()]);
    [&[0x6a, 12][..], BURN, &[32], &payload, &[1, 1]].concat()
}

/// Why somebody is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// Its person wanted so.
    Left,
    /// Too few had registered in time, or the creator has not said who takes part.
    TooFew,
    /// The creator has left this node out.
    NotChosen,
    /// Not everything was signed in time.
    TimeOver,
    /// A coin is not there, not confirmed, spent, of another amount or of somebody else, or nothing was burned for it.
    BadCoin,
    /// A destination is not what was committed to, cannot be paid, or is the same as another's.
    BadDestination,
    /// The creator has signed two lists of participants.
    TwoRosters,
    /// Somebody else has left.
    OtherLeft,
    /// The coin was spent otherwise.
    CoinSpent,
    /// The keys of a group do not make one.
    BadKeys,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left, as was asked",
            Self::TooFew => "too few had registered in time",
            Self::NotChosen => "the creator has taken others",
            Self::TimeOver => "not everything was signed in time",
            Self::BadCoin => "a coin is not as it has to be",
            Self::BadDestination => "a destination is not as it has to be",
            Self::TwoRosters => "the creator has signed two lists of participants",
            Self::OtherLeft => "somebody has left",
            Self::CoinSpent => "the coin was spent otherwise",
            Self::BadKeys => "the keys of a group do not make one",
        })
    }
}

/// A message of one participant to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The pool.
    pub pool: PoolId,
    /// What is said.
    pub content: Content,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// To the creator: let me in.
    PoolJoin(Registration),
    /// From the creator: your registration is here.
    RegistrationAck,
    /// What the sender has, so that it gets what it lacks.
    Have(Have),
    /// What the receiver lacks.
    Items(Items),
    /// The sender takes no part any more.
    PoolAbort(Reason),
}

/// Which items somebody has, a bit for each place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Its roster's hash.
    pub roster: Option<[u8; 32]>,
    /// Destinations.
    pub destinations: u16,
    /// Signatures of groups.
    pub groups: u16,
    /// Signatures of setups.
    pub setups: u16,
}

/// Things that prove themselves, each with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// Who takes part.
    pub roster: Option<Roster>,
    /// Destinations of participants.
    pub destinations: Vec<(u8, Destination)>,
    /// Signatures of groups, one for each of its deposits.
    pub groups: Vec<(u8, Vec<Signature>)>,
    /// Signatures of participants over their setups.
    pub setups: Vec<(u8, Signature)>,
    /// Zeros, so many that whoever sees nothing of a message but its size does not see what kinds of scripts the
    /// destinations have: [`Message::to_bytes`] fills it in.
    pub padding: Vec<u8>,
}

impl Items {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What makes all scripts of destinations as long as the longest that there can be.
    fn padding(&self) -> Vec<u8> {
        let lacks = |(_, destination): &(u8, Destination)| MAX_SCRIPT.saturating_sub(destination.script.len());
        vec![0; self.destinations.iter().map(lacks).sum()]
    }

    /// How long that is.
    #[cfg(feature = "simulation")]
    pub(crate) fn padded(&self) -> usize {
        self.padding().len()
    }

    fn fits(&self) -> bool {
        let roster = self.roster.as_ref().map_or(0, |roster| roster.registrations.len());
        let counts = [roster, self.destinations.len(), self.groups.len(), self.setups.len()];
        counts.iter().all(|count| *count <= MAX_PARTICIPANTS)
            && self.destinations.iter().all(|(_, destination)| destination.script.len() <= MAX_SCRIPT)
            && self.groups.iter().all(|(_, signatures)| signatures.len() <= MAX_PARTICIPANTS)
            && self.padding == self.padding()
    }
}

impl Message {
    /// As it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut message = self.clone();
        if let Content::Items(items) = &mut message.content {
            items.padding = items.padding();
        }
        encode(&message)
    }

    /// What somebody has sent; nothing if it is no message, or larger than one can be.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let message: Self = decode(bytes)?;
        match &message.content {
            Content::Items(items) if !items.fits() => None,
            _ => Some(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    const KEY: &str = "031363dca4bed3e7d0ad34d14bbcb785e78cf2928da241f2aba5e8ac78bd3e33a4";

    #[test]
    fn a_burn_has_the_form_of_the_specification() {
        let script = burn_script(&KEY.parse().expect("a key"));
        assert_eq!((script.len(), &script[..2], &script[2..14]), (49, &[0x6a, 12][..], &b"SWAPSIG_BURN"[..]));
        assert_eq!((script[14], &script[47..]), (32, &[1, 1][..]));
    }

    #[test]
    fn destinations_that_nodes_do_not_relay_are_none() {
        let is_standard = |script: &[u8]| Destination { salt: [0; 32], script: script.to_vec() }.is_standard();
        let key: PublicKey = KEY.parse().expect("a key");
        let taproot = [&[0x62, 0x51, 0x21][..], key.as_bytes()].concat();
        assert!(is_standard(&taproot) && is_standard(&p2pkh_script(&[1; 20])));
        assert!(is_standard(&nelumbo_core::crypto::lotus::p2sh_script(&[1; 20])));
        let mut no_point = taproot.clone();
        no_point[4..].fill(0xff);
        let with_state = [&taproot[..], &[32], &[0; 32]].concat();
        for script in [&no_point[..], &with_state, &taproot[..35], &[0x6a, 1, 1], &[0x51], &[]] {
            assert!(!is_standard(script), "{script:02x?}");
        }
    }

    #[test]
    fn a_commitment_is_one_key_s_and_one_pool_s() {
        let destination = Destination { salt: [1; 32], script: vec![2] };
        let key: PublicKey = KEY.parse().expect("a key");
        let commitment = destination.commitment(&PoolId([3; 32]), &key);
        let mut other = *key.as_bytes();
        other[0] ^= 1;
        assert_ne!(destination.commitment(&PoolId([4; 32]), &key), commitment);
        assert_ne!(destination.commitment(&PoolId([3; 32]), &PublicKey::from_bytes(other).expect("a key")), commitment);
        let salted = Destination { salt: [2; 32], ..destination };
        assert_ne!(salted.commitment(&PoolId([3; 32]), &key), commitment);
    }

    /// Participants by the numbers of their keys and coins, listed by the first key.
    fn roster(terms: &Terms, people: &[(u8, u8)], change: impl FnOnce(&mut Vec<Registration>)) -> Roster {
        let secret = |number| nelumbo_core::crypto::SecretKey::from_bytes(&[number; 32]).expect("a key");
        let sign = |number, statement: Statement| {
            let suite = nelumbo_core::crypto::Suite::Lotus;
            nelumbo_core::crypto::schnorr::sign(suite, &secret(number), &statement.digest(), None).expect("32 bytes")
        };
        let register = |(number, coin): &(u8, u8)| {
            let (coin, commitment) = (Place { txid: [*coin; 32], index: 0 }, [*number; 32]);
            let proof = sign(*number, Registration::statement(terms, coin, commitment));
            Registration { key: secret(*number).public_key(), coin, commitment, proof }
        };
        let mut registrations: Vec<Registration> = people.iter().map(register).collect();
        registrations.sort_by_key(|registration| registration.key);
        change(&mut registrations);
        let signature = sign(1, Roster::statement(terms, &registrations));
        Roster { registrations, signature }
    }

    /// W18.
    #[test]
    fn a_roster_is_the_creator_s_and_everybody_in_it_has_proven_its_coin() {
        let creator = nelumbo_core::crypto::SecretKey::from_bytes(&[1; 32]).expect("a key").public_key();
        let terms = Terms::new(nelumbo_core::crypto::Network::Regtest, creator, 100_000, 4, [0; 32]);
        let is_sound =
            |people: &[(u8, u8)], change: fn(&mut Vec<Registration>)| roster(&terms, people, change).is_sound(&terms);
        let as_it_is = |_: &mut Vec<Registration>| {};
        let three = [(1, 1), (2, 2), (3, 3)];
        assert!(is_sound(&three, as_it_is) && is_sound(&[(1, 1), (2, 2), (3, 3), (4, 4)], as_it_is));
        assert!(!is_sound(&[(1, 1), (2, 2)], as_it_is), "too few");
        assert!(!is_sound(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], as_it_is), "too many");
        assert!(!is_sound(&[(2, 2), (3, 3), (4, 4)], as_it_is), "without its creator");
        assert!(!is_sound(&[(1, 1), (2, 2), (3, 2)], as_it_is), "one coin of two people");
        assert!(!is_sound(&three, |list| list.reverse()), "in another order");
        assert!(!is_sound(&three, |list| list[1] = list[0].clone()), "one of them twice");
        assert!(!is_sound(&three, |list| list[1].commitment = [9; 32]), "not proven");
        assert!(!is_sound(&three, |list| list[1].coin.index = 1), "not proven for this coin");
        let mut other = roster(&terms, &three, |_| {});
        other.signature = Signature::from_bytes([5; 64]);
        assert!(!other.is_sound(&terms), "not signed");
    }

    #[test]
    fn the_size_of_a_message_does_not_tell_what_kinds_of_scripts_are_in_it() {
        let message = |lengths: &[usize]| {
            let shown = |length: &usize| (0, Destination { salt: [0; 32], script: vec![0; *length] });
            let items = Items { destinations: lengths.iter().map(shown).collect(), ..Items::default() };
            Message { pool: PoolId([0; 32]), content: Content::Items(items) }
        };
        for lengths in [[23, 36], [25, 23], [36, 36]] {
            let bytes = message(&lengths).to_bytes();
            assert_eq!(bytes.len(), message(&[36, 36]).to_bytes().len(), "{lengths:?}");
            let read = Message::from_bytes(&bytes).expect("it is one");
            assert!(matches!(read.content, Content::Items(items) if items.destinations.len() == 2));
        }
        // Anything else in the padding could be somebody's mark.
        let Content::Items(mut items) = message(&[25]).content else { unreachable!() };
        assert!(!items.fits());
        items.padding = vec![0; 11];
        assert!(items.fits());
        items.padding[3] = 1;
        assert!(!items.fits());
        assert!(Message::from_bytes(&message(&[37]).to_bytes()).is_none(), "a script that there cannot be");
    }

    quickcheck! {
        fn what_strangers_send_is_a_message_or_nothing(bytes: Vec<u8>) -> bool {
            Message::from_bytes(&bytes).is_none_or(|message| message.to_bytes() == bytes)
        }
    }
}
