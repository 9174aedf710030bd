//! Keys that are derived from an aggregate key (BIP328).
//!
//! Owns the synthetic extended public key and the tweaks of a path below it. Invariant: nothing here is hardened, since
//! nobody has the secret key.

use std::fmt;

use bitcoin::NetworkKind;
use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpub};
use bitcoin::secp256k1::{self, Secp256k1};
use nelumbo_crypto::{KeyAggContext, Network, PublicKey};

/// SHA-256 of `MuSig2MuSig2MuSig2` (BIP328, Specification).
const CHAIN_CODE: [u8; 32] = [
    0x86, 0x80, 0x87, 0xca, 0x02, 0xa6, 0xf9, 0x74, 0xc4, 0x59, 0x89, 0x24, 0xc3, 0x6b, 0x57, 0x76, 0x2d, 0x32, 0xcb,
    0x45, 0x71, 0x71, 0x67, 0xe3, 0x00, 0x62, 0x2c, 0x71, 0x67, 0xe3, 0x89, 0x65,
];

/// The extended public key that stands for an aggregate key, as wallets write it (`xpub…`, elsewhere `tpub…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticXpub(Xpub);

/// Why there is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DerivationError {
    /// Not a point of the curve.
    #[error("the aggregate key is no point of the curve")]
    Key,
    /// A hardened step.
    #[error("step {0} is hardened, and there is no secret key to do it with")]
    Hardened(u32),
    /// More than 255 steps, or one of the steps that have no key, of which none is known.
    #[error("there is no key at this path")]
    NoKey,
}

impl SyntheticXpub {
    /// Of this aggregate key, before any tweak.
    ///
    /// # Errors
    ///
    /// [`DerivationError::Key`].
    pub fn new(network: Network, aggregate: &PublicKey) -> Result<Self, DerivationError> {
        let public_key = secp256k1::PublicKey::from_slice(aggregate.as_bytes()).map_err(|_| DerivationError::Key)?;
        Ok(Self(Xpub {
            network: if network == Network::Mainnet { NetworkKind::Main } else { NetworkKind::Test },
            depth: 0,
            parent_fingerprint: Fingerprint::default(),
            child_number: ChildNumber::Normal { index: 0 },
            public_key,
            chain_code: ChainCode::from(CHAIN_CODE),
        }))
    }

    /// The first bytes of its identifier, by which PSBTs name it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 4] {
        self.0.fingerprint().to_bytes()
    }

    /// What is added to the key at each step of a path, in order: plain tweaks of BIP327.
    ///
    /// # Errors
    ///
    /// [`DerivationError::Hardened`] and [`DerivationError::NoKey`].
    pub fn tweaks(&self, path: &[u32]) -> Result<Vec<[u8; 32]>, DerivationError> {
        let (curve, mut xpub) = (Secp256k1::verification_only(), self.0);
        let step = |number: &u32| {
            let child = ChildNumber::from_normal_idx(*number).map_err(|_| DerivationError::Hardened(*number))?;
            let (tweak, _) = xpub.ckd_pub_tweak(child).map_err(|_| DerivationError::NoKey)?;
            xpub = xpub.ckd_pub(&curve, child).map_err(|_| DerivationError::NoKey)?;
            Ok(tweak.secret_bytes())
        };
        path.iter().map(step).collect()
    }

    /// The keys with the tweaks of a path, so that they sign under the derived key.
    ///
    /// # Errors
    ///
    /// As [`tweaks`](Self::tweaks).
    pub fn derive(&self, keys: KeyAggContext, path: &[u32]) -> Result<KeyAggContext, DerivationError> {
        let apply = |keys: KeyAggContext, tweak: &[u8; 32]| keys.apply_tweak(tweak, false);
        self.tweaks(path)?.iter().try_fold(keys, apply).map_err(|_| DerivationError::NoKey)
    }
}

impl fmt::Display for SyntheticXpub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
