//! Target `musig2`: one session of BIP327, valid or broken, through three libraries.
//!
//! Invariant: this repository's cryptography, libsecp256k1's musig module and the crate `musig2` give the same bytes,
//! and accept and refuse the same, at every step: keys, tweaks, nonces, their sum, partial signatures, their
//! verification, the signature. What one library leaves to its caller stands in `libsecp256k1`.

mod crate_musig2;
mod library;
mod libsecp256k1;
mod ours;
mod seeds;

use super::input::{Bytes, Encode, Fixed, choose, input};
use crate_musig2::CrateMusig2;
use library::{Key, Library, Nonce};
use libsecp256k1::Libsecp256k1;
use ours::Ours;
pub(crate) use seeds::seeds;

/// How many signers a session has at most; more take more time and no other way.
const MAX_SIGNERS: usize = 5;
const MAX_TWEAKS: usize = 4;
const MAX_FAULTS: usize = 4;

input! {
    /// One session. Without faults everybody is honest.
    pub struct Session {
        message: Message,
        first: Signer,
        signers: Vec<Signer>,
        tweaks: Vec<Tweak>,
        faults: Vec<Fault>,
    }

    pub struct Signer {
        secret: Scalar,
        randomness: Fixed<4>,
        extra: Option<Fixed<32>>,
    }

    pub enum Message {
        Digest { digest: Fixed<32> },
        /// libsecp256k1 has no part in it when the length is not 32.
        Any { message: Bytes },
    }

    /// Any number, or one around the group order.
    pub enum Scalar {
        Small { number: u8 },
        Any { scalar: Fixed<32> },
        NearOrder { above: bool, by: u8 },
    }

    pub enum Tweak {
        Plain { tweak: Scalar },
        XOnly { tweak: Scalar },
        Taproot { merkle_root: Option<Fixed<32>> },
        /// The one that takes the aggregate key to infinity.
        Cancelling { is_xonly: bool },
    }

    /// What somebody does wrong. Signers are counted modulo their number.
    pub enum Fault {
        Key { signer: u8, key: Fixed<33> },
        KeyOf { signer: u8, of: u8 },
        KeyNegated { signer: u8 },
        Nonce { signer: u8, nonce: Fixed<66> },
        NonceBit { signer: u8, bit: u16 },
        NonceOf { signer: u8, of: u8 },
        /// The last signer's nonce is such that these halves of the sum are infinity.
        NoncesCancel { first: bool, second: bool },
        /// In place of the sum.
        Sum { sum: Fixed<66> },
        SumBit { bit: u16 },
        Partial { signer: u8, partial: Scalar },
        PartialBit { signer: u8, bit: u8 },
        PartialOf { signer: u8, of: u8 },
        Signature { signature: Fixed<64> },
        SignatureBit { bit: u16 },
    }
}

/// The order of the group.
const ORDER: [u8; 32] = {
    let mut order = [0xff; 32];
    let end = 0xbaaedce6af48a03bbfd25e8cd0364141_u128.to_be_bytes();
    let mut at = 0;
    while at < 16 {
        order[16 + at] = end[at];
        at += 1;
    }
    order[15] = 0xfe;
    order
};

impl Scalar {
    fn bytes(&self) -> [u8; 32] {
        match self {
            Self::Small { number } => {
                let mut bytes = [0; 32];
                bytes[31] = *number;
                bytes
            }
            Self::Any { scalar } => scalar.0,
            Self::NearOrder { above, by } => {
                let mut bytes = ORDER;
                let (_, end) = ORDER.split_last_chunk::<16>().expect("32 bytes");
                let end = u128::from_be_bytes(*end);
                let end = if *above { end + u128::from(*by) } else { end - u128::from(*by) };
                bytes[16..].copy_from_slice(&end.to_be_bytes());
                bytes
            }
        }
    }
}

impl Message {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Digest { digest } => &digest.0,
            Self::Any { message } => &message.0,
        }
    }
}

/// The session as bytes, as it is given to every library.
struct Plan<'a> {
    message: &'a [u8],
    signers: Vec<&'a Signer>,
    faults: &'a [Fault],
    /// As the fuzzer has them, and with a small one in place of what is no secret key.
    drawn: Vec<[u8; 32]>,
    secrets: Vec<[u8; 32]>,
    keys: Vec<Key>,
    tweaks: Vec<PlannedTweak>,
}

enum PlannedTweak {
    Add { tweak: [u8; 32], is_xonly: bool },
    Taproot(Option<[u8; 32]>),
}

/// What a library said, step by step.
type Answers = Vec<(&'static str, Option<Vec<u8>>)>;

pub(crate) fn run(session: &Session) {
    let plan = Plan::new(session);
    let ours = plan.play::<Ours>();
    agree("the crate musig2", &ours, &plan.play::<CrateMusig2>());
    if plan.message.len() == 32 {
        agree("libsecp256k1", &ours, &plan.play::<Libsecp256k1>());
    }
}

fn agree(other: &str, ours: &Answers, theirs: &Answers) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours, theirs, "ours and {other} differ");
    }
    assert_eq!(ours.len(), theirs.len());
}

impl<'a> Plan<'a> {
    fn new(session: &'a Session) -> Self {
        let signers: Vec<_> = [&session.first].into_iter().chain(&session.signers).take(MAX_SIGNERS).collect();
        let drawn: Vec<_> = signers.iter().map(|signer| signer.secret.bytes()).collect();
        let or_small = |(bytes, number): (&[u8; 32], u8)| match CrateMusig2::public_key(bytes) {
            Some(_) => *bytes,
            None => Scalar::Small { number }.bytes(),
        };
        let secrets: Vec<_> = drawn.iter().zip(1..).map(or_small).collect();
        let faults = &session.faults[..session.faults.len().min(MAX_FAULTS)];
        let mut keys: Vec<_> = secrets.iter().map(|secret| CrateMusig2::public_key(secret).expect("a key")).collect();
        faults.iter().for_each(|fault| fault.on_keys(&mut keys));
        let mut plan =
            Self { message: session.message.bytes(), signers, faults, drawn, secrets, keys, tweaks: Vec::new() };
        plan.tweaks = plan.tweaks(&session.tweaks);
        plan
    }

    /// The tweaks, with the one that cancels the key where it stands computed from the secrets.
    fn tweaks(&self, tweaks: &[Tweak]) -> Vec<PlannedTweak> {
        let mut keys = CrateMusig2::aggregate(&self.keys);
        let plan = |tweak: &Tweak| {
            let planned = match tweak {
                Tweak::Plain { tweak } => PlannedTweak::Add { tweak: tweak.bytes(), is_xonly: false },
                Tweak::XOnly { tweak } => PlannedTweak::Add { tweak: tweak.bytes(), is_xonly: true },
                Tweak::Taproot { merkle_root } => PlannedTweak::Taproot(merkle_root.map(|root| root.0)),
                Tweak::Cancelling { is_xonly } => {
                    let tweak = crate_musig2::cancelling(keys.as_ref()?, &self.secrets, *is_xonly)?;
                    PlannedTweak::Add { tweak, is_xonly: *is_xonly }
                }
            };
            keys = keys.as_ref().map(|keys| planned.on::<CrateMusig2>(keys).unwrap_or_else(|| keys.clone()));
            Some(planned)
        };
        tweaks.iter().take(MAX_TWEAKS).filter_map(plan).collect()
    }

    /// Takes a library through the session. What it refuses is noted, and replaced by what is right, so that the rest
    /// is compared, too.
    fn play<L: Library>(&self) -> Answers {
        let mut answers = Answers::new();
        let mut note = |step: &'static str, answer: Option<&[u8]>| answers.push((step, answer.map(<[u8]>::to_vec)));
        for drawn in &self.drawn {
            note("public key", L::public_key(drawn).as_ref().map(|key| &key[..]));
        }
        let honest: Vec<_> = self.secrets.iter().map(|secret| L::public_key(secret).expect("a key")).collect();
        let aggregated = L::aggregate(&self.keys);
        note("aggregate", aggregated.as_ref().map(|keys| L::key(keys)).as_ref().map(|key| &key[..]));
        let mut keys = aggregated.unwrap_or_else(|| L::aggregate(&honest).expect("honest keys"));
        for tweak in &self.tweaks {
            let tweaked = tweak.on::<L>(&keys);
            note("tweak", tweaked.as_ref().map(|keys| L::key(keys)).as_ref().map(|key| &key[..]));
            keys = tweaked.unwrap_or(keys);
        }

        let draw = |(signer, secret): (&&Signer, &[u8; 32])| {
            let mut randomness = [1; 32];
            randomness[..4].copy_from_slice(&signer.randomness.0);
            L::nonce(secret, &randomness, &keys, self.message, signer.extra.as_ref().map(|extra| &extra.0))
        };
        let (secret_nonces, honest): (Vec<_>, Vec<_>) = self.signers.iter().zip(&self.secrets).map(draw).unzip();
        honest.iter().for_each(|nonce| note("nonce", Some(nonce)));
        let mut nonces = honest.clone();
        self.faults.iter().for_each(|fault| fault.on_nonces::<L>(&mut nonces));
        let summed = L::sum(&nonces);
        note("sum of nonces", summed.as_ref().map(|sum| &sum[..]));
        let honest_sum = L::sum(&honest).expect("honest nonces");
        let mut sum = summed.unwrap_or(honest_sum);
        self.faults.iter().for_each(|fault| fault.on_sum(&mut sum));
        let opened = L::open(&keys, &sum, self.message);
        note("round", opened.as_ref().map(|_| &[][..]));
        let round = opened.unwrap_or_else(|| L::open(&keys, &honest_sum, self.message).expect("an honest sum"));

        let mut partials = Vec::new();
        for (nonce, secret) in secret_nonces.into_iter().zip(&self.secrets) {
            let partial = L::sign(&round, &keys, nonce, secret);
            note("partial signature", partial.as_ref().map(|partial| &partial[..]));
            partials.push(partial.unwrap_or_default());
        }
        self.faults.iter().for_each(|fault| fault.on_partials(&mut partials));
        for (index, partial) in partials.iter().enumerate() {
            // Under the signer's nonce, and under the next one's.
            for nonce in [index, (index + 1) % nonces.len()] {
                let is_valid = L::verify_partial(&round, &keys, index, &nonces[nonce], partial);
                note("verification of a partial signature", Some(&[is_valid.into()]));
            }
        }
        L::check_batches(&keys, self.message, &nonces, &partials);
        let combined = L::combine(&round, &keys, &partials);
        note("signature", combined.as_ref().map(|signature| &signature[..]));
        let mut signature = combined.unwrap_or([1; 64]);
        self.faults.iter().for_each(|fault| fault.on_signature(&mut signature));
        note("verification", Some(&[L::verify(&keys, self.message, &signature).into()]));
        answers
    }
}

impl PlannedTweak {
    fn on<L: Library>(&self, keys: &L::Keys) -> Option<L::Keys> {
        match self {
            Self::Add { tweak, is_xonly } => L::tweak(keys, tweak, *is_xonly),
            Self::Taproot(merkle_root) => L::taproot(keys, merkle_root.as_ref()),
        }
    }
}

impl Fault {
    fn on_keys(&self, keys: &mut [Key]) {
        let at = |signer: &u8| usize::from(*signer) % keys.len();
        match self {
            Self::Key { signer, key } => keys[at(signer)] = likely_point(key.0, false),
            Self::KeyOf { signer, of } => keys[at(signer)] = keys[at(of)],
            Self::KeyNegated { signer } => keys[at(signer)][0] ^= 1,
            _ => {}
        }
    }

    fn on_nonces<L: Library>(&self, nonces: &mut [Nonce]) {
        let at = |signer: &u8| usize::from(*signer) % nonces.len();
        match self {
            Self::Nonce { signer, nonce } => nonces[at(signer)] = likely_points(nonce.0, false),
            Self::NonceBit { signer, bit } => flip(&mut nonces[at(signer)], *bit),
            Self::NonceOf { signer, of } => nonces[at(signer)] = nonces[at(of)],
            Self::NoncesCancel { first, second } => {
                let Some((last, others)) = nonces.split_last_mut().filter(|(_, others)| !others.is_empty()) else {
                    return;
                };
                let Some(sum) = L::sum(others) else { return };
                for (start, _) in [(0, first), (33, second)].into_iter().filter(|(_, cancels)| **cancels) {
                    // Two points cancel that differ in the parity of y alone.
                    last[start..start + 33].copy_from_slice(&sum[start..start + 33]);
                    last[start] ^= 1;
                }
            }
            _ => {}
        }
    }

    fn on_sum(&self, sum: &mut Nonce) {
        match self {
            Self::Sum { sum: other } => *sum = likely_points(other.0, true),
            Self::SumBit { bit } => flip(sum, *bit),
            _ => {}
        }
    }

    fn on_partials(&self, partials: &mut [[u8; 32]]) {
        let at = |signer: &u8| usize::from(*signer) % partials.len();
        match self {
            Self::Partial { signer, partial } => partials[at(signer)] = partial.bytes(),
            Self::PartialBit { signer, bit } => flip(&mut partials[at(signer)], u16::from(*bit)),
            Self::PartialOf { signer, of } => partials[at(signer)] = partials[at(of)],
            _ => {}
        }
    }

    fn on_signature(&self, signature: &mut [u8; 64]) {
        match self {
            Self::Signature { signature: other } => *signature = other.0,
            Self::SignatureBit { bit } => flip(signature, *bit),
            _ => {}
        }
    }
}

fn flip(bytes: &mut [u8], bit: u16) {
    let bit = usize::from(bit) % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

/// Bytes with the first byte of a point, of every second x; or as they are, when it is above 127. Zero may stand for
/// infinity.
fn likely_point(mut bytes: Key, or_infinity: bool) -> Key {
    match bytes[0] {
        0 if or_infinity => bytes = [0; 33],
        first @ 0..128 => bytes[0] = 2 | first & 1,
        _ => {}
    }
    bytes
}

fn likely_points(bytes: Nonce, or_infinity: bool) -> Nonce {
    let mut points = bytes;
    for half in points.chunks_exact_mut(33) {
        let point = likely_point(half.try_into().expect("33 bytes"), or_infinity);
        half.copy_from_slice(&point);
    }
    points
}

#[cfg(test)]
mod tests;
