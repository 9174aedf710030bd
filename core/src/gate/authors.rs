//! What is kept of authors so that their signatures cost less to verify.
//!
//! Owns the prepared keys of those who sign often, signing keys and message keys alike; which delegation to each has
//! been verified; and the verdicts on messages that were verified together. Invariant: every verdict is that of
//! [`Verifier::verify`]; nothing that is kept changes one. At the cap, whoever has been silent the longest is
//! forgotten. Driven by the gate.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::crypto::{PublicKey, Signature, Verifier};
use crate::wire::Delegation;

/// An author, a digest, and what is said to be the author's signature of it.
pub(crate) type Claim = (PublicKey, [u8; 32], Signature);

/// How many messages a signer has to send before its key is prepared. Preparing costs about as much as this many
/// verifications under a prepared key save, so it is never worse than twice the best.
const PREPARE_AFTER: u32 = 5;

/// A key that has signed messages of sessions.
struct Known<P> {
    messages: u32,
    /// When it was last heard, counted in messages.
    heard: u64,
    prepared: Option<P>,
    /// Who has delegated to this key, and how, verified.
    delegated: Option<Box<(PublicKey, Delegation)>>,
}

/// The authors.
pub(crate) struct Authors<V: Verifier> {
    known: BTreeMap<PublicKey, Known<V::Prepared>>,
    capacity: usize,
    heard: u64,
    pub(super) verdicts: BTreeMap<Claim, bool>,
}

impl<V: Verifier> Authors<V> {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { known: BTreeMap::new(), capacity, heard: 0, verdicts: BTreeMap::new() }
    }

    /// Whether a signature is its author's. Signers of sessions are remembered, and nobody else.
    pub(super) fn verify(&mut self, verifier: &V, claim: Claim, is_signer: bool) -> bool {
        let (author, digest, signature) = &claim;
        let known = self.known.get_mut(author);
        let prepared = known.as_ref().and_then(|known| known.prepared.as_ref());
        let is_valid = match (self.verdicts.get(&claim), prepared) {
            (Some(verdict), _) => *verdict,
            (None, Some(prepared)) => verifier.verify_prepared(prepared, digest, signature),
            (None, None) => verifier.verify(author, digest, signature),
        };
        if is_valid && is_signer {
            self.heard += 1;
            match known {
                Some(known) => {
                    known.heard = self.heard;
                    known.messages = known.messages.saturating_add(1);
                    if known.messages == PREPARE_AFTER {
                        known.prepared = verifier.prepare(author);
                    }
                }
                None => self.meet(author),
            }
        }
        is_valid
    }

    /// Whether a signing key has delegated like this; `claim` is what there is to verify.
    pub(super) fn verify_delegation(
        &self,
        verifier: &V,
        author: &PublicKey,
        delegation: &Delegation,
        claim: impl FnOnce() -> Claim,
    ) -> bool {
        if self.knows_delegation(author, delegation) {
            return true;
        }
        let claim = claim();
        let (key, digest, signature) = &claim;
        self.verdicts.get(&claim).copied().unwrap_or_else(|| verifier.verify(key, digest, signature))
    }

    /// Whether that has been verified before.
    pub(super) fn knows_delegation(&self, author: &PublicKey, delegation: &Delegation) -> bool {
        let known = self.known.get(&delegation.mandate.message_key).and_then(|known| known.delegated.as_deref());
        known.is_some_and(|(by, known)| by == author && known == delegation)
    }

    /// Remembers what has been verified, of a signer who is remembered.
    pub(super) fn remember_delegation(&mut self, author: PublicKey, delegation: Delegation) {
        if let Some(known) = self.known.get_mut(&delegation.mandate.message_key) {
            known.delegated = Some(Box::new((author, delegation)));
        }
    }

    /// Verifies together what will be asked for one by one. Claims of authors who are verified faster alone are left
    /// out.
    pub(crate) fn verify_ahead(&mut self, verifier: &V, mut claims: Vec<Claim>, entropy: &[u8; 32]) {
        claims.retain(|(author, ..)| self.prepared(author).is_none());
        claims.sort_unstable();
        claims.dedup();
        if claims.len() > 1 {
            let verdicts = verifier.verify_many(&claims, entropy);
            self.verdicts.extend(claims.into_iter().zip(verdicts));
        }
    }

    /// Forgets what was verified ahead.
    pub(crate) fn forget_verdicts(&mut self) {
        self.verdicts.clear();
    }

    fn prepared(&self, author: &PublicKey) -> Option<&V::Prepared> {
        self.known.get(author)?.prepared.as_ref()
    }

    /// Remembers somebody who is not known yet.
    fn meet(&mut self, author: &PublicKey) {
        if self.known.len() >= self.capacity {
            let silent = self.known.iter().min_by_key(|(_, known)| known.heard).map(|(author, _)| *author);
            match silent {
                Some(silent) => drop(self.known.remove(&silent)),
                None => return,
            }
        }
        self.known.insert(*author, Known { messages: 1, heard: self.heard, prepared: None, delegated: None });
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::crypto::{Secp256k1, SecretKey, Suite, schnorr};

    fn claim(key: u8, digest: u8, is_valid: bool) -> Claim {
        let (secret, digest) = (SecretKey::from_bytes(&[key; 32]).expect("a key"), [digest; 32]);
        let mut signature = schnorr::sign(Suite::Lotus, &secret, &digest, None).expect("32 bytes").to_bytes();
        signature[63] ^= u8::from(!is_valid);
        (secret.public_key(), digest, Signature::from_bytes(signature))
    }

    fn prepared(authors: &Authors<Secp256k1>) -> Vec<PublicKey> {
        authors.known.iter().filter(|(_, known)| known.prepared.is_some()).map(|(key, _)| *key).collect()
    }

    #[test]
    fn verdicts_stay_the_same_for_the_familiar_and_for_those_verified_ahead() {
        let mut authors = Authors::new(8);
        for round in 0..3 * PREPARE_AFTER as u8 {
            let claims: Vec<_> =
                (1..=4).flat_map(|key| [true, false].map(|is_valid| claim(key, round, is_valid))).collect();
            if round % 2 == 0 {
                authors.verify_ahead(&Secp256k1, claims.clone(), &[round; 32]);
                let is_familiar = u32::from(round) >= PREPARE_AFTER;
                assert_eq!(authors.verdicts.len(), if is_familiar { 0 } else { claims.len() });
            }
            for (index, claim) in claims.into_iter().enumerate() {
                assert_eq!(authors.verify(&Secp256k1, claim, true), index % 2 == 0);
            }
            authors.forget_verdicts();
            assert!(authors.verdicts.is_empty());
            assert_eq!(prepared(&authors).is_empty(), u32::from(round) + 1 < PREPARE_AFTER);
        }
        authors.verify_ahead(&Secp256k1, Vec::from([claim(9, 0, true)]), &[1; 32]);
        assert!(authors.verdicts.is_empty(), "one alone is not verified for less");
        assert_eq!(prepared(&authors).len(), 4, "each was prepared on the way");
    }

    #[test]
    fn only_signers_become_familiar_and_only_by_valid_signatures() {
        let mut authors = Authors::new(8);
        for digest in 0..2 * PREPARE_AFTER as u8 {
            assert!(authors.verify(&Secp256k1, claim(1, digest, true), false));
            assert!(!authors.verify(&Secp256k1, claim(2, digest, false), true));
        }
        assert!(authors.known.is_empty());
    }

    #[test]
    fn at_the_cap_the_silent_are_forgotten() {
        let mut authors = Authors::new(3);
        let hear = |authors: &mut Authors<_>, key| {
            (0..PREPARE_AFTER as u8)
                .for_each(|digest| assert!(authors.verify(&Secp256k1, claim(key, digest, true), true)));
        };
        (1..=3).for_each(|key| hear(&mut authors, key));
        hear(&mut authors, 1);
        for (heard, familiar) in [(4, [1, 3, 4]), (5, [1, 4, 5]), (1, [1, 4, 5]), (6, [1, 5, 6]), (7, [1, 6, 7])] {
            hear(&mut authors, heard);
            let mut expected = familiar.map(|key| claim(key, 0, true).0);
            expected.sort_unstable();
            assert_eq!(prepared(&authors), expected);
        }
        let mut none = Authors::new(0);
        hear(&mut none, 1);
        assert!(none.known.is_empty());
    }
}
