//! Secrets under a passphrase.
//!
//! Owns the scheme: Argon2id (RFC 9106) makes a key of the passphrase, XChaCha20-Poly1305 seals 32 bytes under it
//! together with what must not be exchanged. Invariants: salt and nonce are fresh for each seal; what a damaged or
//! hostile file can demand in memory and time is bounded; keys and secrets are wiped. Key files drive it.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use nelumbo_core::base::Entropy;
use zeroize::Zeroizing;

use crate::passphrase::Passphrase;

const SCHEME: &str = "argon2id-xchacha20poly1305";
/// The second choice of RFC 9106, section 4, which every machine can afford.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 64, lanes: 64 };
const SEALED: usize = 32 + 16;

/// How dear a guess is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A secret that only its passphrase opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    cost: Cost,
    salt: [u8; 16],
    nonce: [u8; 24],
    ciphertext: [u8; SEALED],
}

impl Sealed {
    /// Seals a secret. It opens only together with the same `context`.
    pub(crate) fn seal(secret: &[u8; 32], passphrase: &Passphrase, context: &[u8], entropy: &mut Entropy) -> Self {
        let (mut salt, mut nonce) = ([0; 16], [0; 24]);
        entropy.fill(&mut salt);
        entropy.fill(&mut nonce);
        let cipher = cipher(COST, &salt, passphrase).expect("the cost is one that Argon2 takes");
        let sealed = cipher.encrypt(XNonce::from_slice(&nonce), Payload { msg: secret, aad: context });
        let ciphertext = sealed.ok().and_then(|sealed| sealed.try_into().ok()).expect("32 bytes can be encrypted");
        Self { cost: COST, salt, nonce, ciphertext }
    }

    /// The secret; `None` if this is not the passphrase, or anything was altered, which cannot be told apart.
    pub(crate) fn open(&self, passphrase: &Passphrase, context: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let cipher = cipher(self.cost, &self.salt, passphrase)?;
        let payload = Payload { msg: &self.ciphertext[..], aad: context };
        let opened = Zeroizing::new(cipher.decrypt(XNonce::from_slice(&self.nonce), payload).ok()?);
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(opened.get(..32)?);
        Some(secret)
    }
}

fn cipher(cost: Cost, salt: &[u8; 16], passphrase: &Passphrase) -> Option<XChaCha20Poly1305> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(passphrase.as_bytes(), salt, &mut key[..]).ok()?;
    Some(XChaCha20Poly1305::new((&*key).into()))
}

/// In one line: the scheme, memory in KiB, passes, lanes, salt, nonce, and what is sealed.
impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let [salt, nonce, ciphertext] = [&self.salt[..], &self.nonce, &self.ciphertext].map(hex::encode);
        write!(f, "{SCHEME} {memory_kib} {passes} {lanes} {salt} {nonce} {ciphertext}")
    }
}

impl FromStr for Sealed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [scheme, memory, passes, lanes, salt, nonce, ciphertext] = parts[..] else {
            return Err("the sealed key does not have seven parts");
        };
        if scheme != SCHEME {
            return Err("the key is sealed in a way that this version does not know");
        }
        let cost = |text: &str, most: u32| text.parse().ok().filter(|number| (1..=most).contains(number));
        let cost = (cost(memory, MOST.memory_kib), cost(passes, MOST.passes), cost(lanes, MOST.lanes));
        let (Some(memory_kib), Some(passes), Some(lanes)) = cost else {
            return Err("the cost of opening the sealed key is none, or beyond all measure");
        };
        let mut sealed =
            Self { cost: Cost { memory_kib, passes, lanes }, salt: [0; 16], nonce: [0; 24], ciphertext: [0; SEALED] };
        let parts = [(salt, &mut sealed.salt[..]), (nonce, &mut sealed.nonce), (ciphertext, &mut sealed.ciphertext)];
        for (text, bytes) in parts {
            hex::decode_to_slice(text, bytes)
                .map_err(|_| "a part of the sealed key is not hexadecimal, or too short")?;
        }
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> (Passphrase, Sealed) {
        let passphrase = Passphrase::of("correct horse");
        let mut entropy = Entropy::new([7; 32]).expect("a seed");
        let sealed = Sealed::seal(&[5; 32], &passphrase, b"alice", &mut entropy);
        (passphrase, sealed)
    }

    #[test]
    fn only_the_passphrase_and_the_context_open_it() {
        let (passphrase, sealed) = seal();
        let read: Sealed = sealed.to_string().parse().expect("what was written can be read");
        assert_eq!(read, sealed);
        assert_eq!(read.open(&passphrase, b"alice").as_deref(), Some(&[5; 32]));
        assert!(read.open(&Passphrase::of("Correct horse"), b"alice").is_none());
        assert!(read.open(&passphrase, b"bob").is_none());
        let mut altered = read;
        altered.ciphertext[0] ^= 1;
        assert!(altered.open(&passphrase, b"alice").is_none());
    }

    #[test]
    fn the_text_shows_no_secret_and_no_two_are_alike() {
        let passphrase = Passphrase::of("x");
        let mut entropy = Entropy::new([7; 32]).expect("a seed");
        let texts = [(); 2].map(|()| Sealed::seal(&[5; 32], &passphrase, b"", &mut entropy).to_string());
        assert_ne!(texts[0], texts[1]);
        assert!(!texts[0].contains(&hex::encode([5; 32])));
    }

    #[test]
    fn a_file_cannot_demand_more_than_the_machine_has() {
        let (_, sealed) = seal();
        let text = sealed.to_string();
        for (from, to) in [(" 65536 ", " 4294967295 "), (" 65536 ", " 0 "), (" 3 ", " 1000000 "), (" 4 ", " 65 ")] {
            let demanding = text.replacen(from, to, 1);
            assert!(demanding.parse::<Sealed>().is_err_and(|error| error.contains("cost")), "{demanding}");
        }
        // Too little memory for its lanes: there is no such Argon2, so nothing opens it.
        let none: Sealed = text.replacen(" 65536 ", " 1 ", 1).parse().expect("within bounds");
        assert!(none.open(&Passphrase::of("correct horse"), b"alice").is_none());
        assert!(text.replace("argon2id", "scrypt").parse::<Sealed>().is_err());
        assert!(text[..text.len() - 2].parse::<Sealed>().is_err());
    }
}
