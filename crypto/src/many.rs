//! Many final signatures at once.
//!
//! Owns the batch. Invariant: a signature is called valid only if the batch it was in holds, which for a wrong one has
//! a probability of 2⁻¹²⁸, or if it was verified by itself. Gates of messages and wallets with many signatures drive
//! it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use super::Suite;
use super::group::{AffinePoint, Combination, Point, PublicScalar};
use super::keys::PublicKey;
use super::schnorr::{self, Signature};
use super::weights::Weights;

/// Up to how many signatures a failed batch is not halved further: each of its parts is verified by itself.
const ONE_BY_ONE: usize = 8;

/// A signature with what it is claimed to sign, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The key.
    pub key: PublicKey,
    /// The message.
    pub message: &'a [u8],
    /// The signature.
    pub signature: Signature,
}

/// A decoded item: `s·G − e·P − R` is infinity if it is valid.
struct Equation {
    item: usize,
    /// Where the key is in the list of points.
    key: usize,
    nonce: AffinePoint,
    s: PublicScalar,
    e: PublicScalar,
}

/// Whether each of these signatures is valid, as [`verify`](schnorr::verify) would say.
///
/// Honest signatures cost less than one verification each, the less the more there are and the more of them share a
/// key. If some are wrong the rest are found by halving, so one liar among many costs about as much again. `entropy`
/// may be anything; what nobody else knows protects even where SHA-256 should not.
#[must_use]
pub fn verify_many(suite: Suite, items: &[Signed<'_>], entropy: &[u8; 32]) -> Vec<bool> {
    let mut verdicts = Vec::new();
    verdicts.resize(items.len(), false);
    let (points, equations) = equations(suite, items);
    let weights = weights(items, entropy);
    let error = |range: Range<usize>| error_of(&points, &equations[range], &weights);
    let mut open = Vec::from([(0..equations.len(), error(0..equations.len()))]);
    while let Some((range, whole)) = open.pop() {
        if whole.is_infinity() {
            equations[range].iter().for_each(|equation| verdicts[equation.item] = true);
            continue;
        }
        if range.len() <= ONE_BY_ONE {
            for Equation { item, key, .. } in &equations[range] {
                let Signed { key: name, message, signature } = &items[*item];
                verdicts[*item] = schnorr::verify_with(suite, name, points[*key], message, signature);
            }
            continue;
        }
        // The halves' errors add up to that of the whole, so only one of them is computed.
        let middle = range.start + range.len() / 2;
        let left = error(range.start..middle);
        open.push((middle..range.end, whole.add(&left.negate())));
        open.push((range.start..middle, left));
    }
    verdicts
}

/// The points of the keys, each once, and the equations of all items that decode.
fn equations(suite: Suite, items: &[Signed<'_>]) -> (Vec<AffinePoint>, Vec<Equation>) {
    // Where each key's point is in the list; beyond it for a key that has none.
    let mut places: BTreeMap<PublicKey, usize> = items.iter().map(|item| (item.key, usize::MAX)).collect();
    let names: Vec<_> = places.keys().map(PublicKey::as_bytes).collect();
    let decoded = AffinePoint::decode_all(&names);
    let mut points = Vec::with_capacity(names.len());
    for (place, point) in places.values_mut().zip(decoded) {
        *place = point.map_or(usize::MAX, |point| {
            points.push(suite.verification_point(point));
            points.len() - 1
        });
    }
    let split: Vec<_> = items.iter().map(|item| schnorr::split(&item.signature)).collect();
    let nonces = suite.lift_nonces(&split.iter().map(|(r, _)| r).collect::<Vec<_>>());
    let mut equations = Vec::with_capacity(items.len());
    for (item, Signed { key: name, message, .. }) in items.iter().enumerate() {
        let (key, (r, s)) = (places[name], split[item]);
        let decoded = (key < points.len(), PublicScalar::from_bytes(s), nonces[item], suite.accepts_message(message));
        if let (true, Some(s), Some(nonce), true) = decoded {
            let e = suite.challenge(&r, name.as_bytes(), message);
            equations.push(Equation { item, key, nonce, s, e });
        }
    }
    (points, equations)
}

/// Each item's weight. Everything that the equations depend on is hashed.
fn weights(items: &[Signed<'_>], entropy: &[u8; 32]) -> Vec<u128> {
    let mut weights = Weights::new("nelumbo/batch/signatures");
    weights.absorb(entropy);
    for Signed { key, message, signature } in items {
        weights.absorb(key.as_bytes());
        weights.absorb(message);
        weights.absorb(signature.as_bytes());
    }
    weights.finish(items.len())
}

fn error_of(points: &[AffinePoint], equations: &[Equation], weights: &[u128]) -> Point {
    let mut error = Combination::new();
    let mut of_generator = PublicScalar::ZERO;
    let mut of_keys: BTreeMap<usize, PublicScalar> = BTreeMap::new();
    for Equation { item, key, nonce, s, e } in equations {
        let w = PublicScalar::from_u128(weights[*item]);
        of_generator = of_generator + w * *s;
        let of_key = of_keys.entry(*key).or_insert(PublicScalar::ZERO);
        *of_key = *of_key - w * *e;
        if weights[*item] == 1 { error.point(nonce.negate()) } else { error.short_term(nonce.negate(), weights[*item]) }
    }
    error.generator(of_generator);
    of_keys.into_iter().for_each(|(key, factor)| error.term(points[key], factor));
    error.evaluate()
}
