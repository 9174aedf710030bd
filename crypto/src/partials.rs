//! Partial signatures of others: one, all of a round at once, and the search for the wrong ones.
//!
//! Owns their verification. Invariant: whoever is found is wrong, and where one is wrong one is found; a batch errs
//! with a probability of 2⁻¹²⁸. Sessions drive it when a combination has failed.

use alloc::vec::Vec;
use core::ops::Range;

use super::group::{Combination, Point, PublicScalar};
use super::key_aggregation::KeyAggContext;
use super::nonce::PublicNonce;
use super::signing::{Claim, PartialSignature, SigningContext};
use super::weights::Weights;

/// Up to how many signers each partial signature is verified by itself when somebody is wrong; measured (docs,
/// performance).
const ONE_BY_ONE: usize = 100;

/// Whether the signer at `index` made this partial signature with this public nonce (Lotus scheme, section 5; BIP327,
/// PartialSigVerify).
///
/// A partial signature that fails here, under the nonce its signer sent, convicts that signer. False too for an index
/// beyond the keys and a round of other keys.
#[must_use]
pub fn verify_partial(
    keys: &KeyAggContext,
    round: &SigningContext,
    index: usize,
    nonce: &PublicNonce,
    partial: &PartialSignature,
) -> bool {
    if index >= keys.keys().len() || !round.belongs_to(keys) {
        return false;
    }
    let Some(claim) = claim(round, index, nonce, partial) else { return false };
    let mut error = Combination::new();
    round.add_error(&mut error, keys, &claim, 1);
    error.evaluate().is_infinity()
}

/// Whether all signers made these partial signatures with these public nonces, both in the order of the keys.
///
/// Costs less than one [`verify_partial`] for each, the less the more there are; a wrong signature passes with a
/// probability of 2⁻¹²⁸. `entropy` may be anything; what nobody else knows protects even where SHA-256 should not.
/// False also for lists of other lengths than the keys.
#[must_use]
pub fn verify_partials(
    keys: &KeyAggContext,
    round: &SigningContext,
    nonces: &[PublicNonce],
    partials: &[PartialSignature],
    entropy: &[u8; 32],
) -> bool {
    let count = keys.keys().len();
    if nonces.len() != count || partials.len() != count || !round.belongs_to(keys) {
        return false;
    }
    let claims: Option<Vec<_>> =
        (0..count).map(|index| claim(round, index, &nonces[index], &partials[index])).collect();
    let Some(claims) = claims else { return false };
    let weights = weights(keys, round, nonces, partials, entropy);
    error_of(keys, round, &claims, &weights, 0..count).is_infinity()
}

/// The indices of all signers whose partial signatures are wrong, in order; both lists in the order of the keys.
///
/// For up to about a hundred signers each is verified by itself. Beyond, batches are halved, and of each two halves
/// only one is computed, because the errors of both add up to that of the whole.
///
/// # Panics
///
/// If a list has another length than the keys, or the round is of other keys: then nobody is at fault.
#[must_use]
pub fn culprits(
    keys: &KeyAggContext,
    round: &SigningContext,
    nonces: &[PublicNonce],
    partials: &[PartialSignature],
    entropy: &[u8; 32],
) -> Vec<usize> {
    let count = keys.keys().len();
    assert!(nonces.len() == count && partials.len() == count, "signers would be blamed for signatures of others");
    assert!(round.belongs_to(keys), "signers would be blamed for a round that is not theirs");
    if count <= ONE_BY_ONE {
        let wrong = |index: &usize| !verify_partial(keys, round, *index, &nonces[*index], &partials[*index]);
        return (0..count).filter(wrong).collect();
    }
    let mut found = Vec::new();
    let mut claims = Vec::with_capacity(count);
    for index in 0..count {
        match claim(round, index, &nonces[index], &partials[index]) {
            Some(claim) => claims.push(claim),
            None => found.push(index),
        }
    }
    let weights = weights(keys, round, nonces, partials, entropy);
    let error = error_of(keys, round, &claims, &weights, 0..claims.len());
    let mut open = Vec::from([(0..claims.len(), error)]);
    while let Some((range, error)) = open.pop() {
        if error.is_infinity() {
            continue;
        }
        if range.len() == 1 {
            found.push(claims[range.start].index);
            continue;
        }
        let middle = range.start + range.len() / 2;
        let left = error_of(keys, round, &claims, &weights, range.start..middle);
        let right = error.add(&left.negate());
        open.push((range.start..middle, left));
        open.push((middle..range.end, right));
    }
    found.sort_unstable();
    found
}

fn claim(round: &SigningContext, index: usize, nonce: &PublicNonce, partial: &PartialSignature) -> Option<Claim> {
    let s = PublicScalar::from_bytes(partial.to_bytes())?;
    Some(Claim { index, s, nonce: round.points_of(index, nonce)? })
}

/// Each signer's weight, by its index. Everything that the equations depend on is hashed.
fn weights(
    keys: &KeyAggContext,
    round: &SigningContext,
    nonces: &[PublicNonce],
    partials: &[PartialSignature],
    entropy: &[u8; 32],
) -> Vec<u128> {
    let mut weights = Weights::new("nelumbo/batch/partials");
    weights.absorb(entropy);
    weights.absorb(&round.challenge());
    weights.absorb(&round.nonce_coefficient());
    weights.absorb(round.challenge_key().as_bytes());
    keys.keys().iter().for_each(|key| weights.absorb(key.as_bytes()));
    for (nonce, partial) in nonces.iter().zip(partials) {
        weights.absorb(nonce.as_bytes());
        weights.absorb(partial.as_bytes());
    }
    weights.finish(nonces.len())
}

fn error_of(
    keys: &KeyAggContext,
    round: &SigningContext,
    claims: &[Claim],
    weights: &[u128],
    range: Range<usize>,
) -> Point {
    let mut error = Combination::new();
    claims[range].iter().for_each(|claim| round.add_error(&mut error, keys, claim, weights[claim.index]));
    error.evaluate()
}
