//! Both fields against each other, over edges and random values.

use super::divsteps;
use super::lazy::Lazy;
use super::limbs::Limbs;
use super::{Field, MODULUS};
use quickcheck::{Arbitrary, Gen, QuickCheck};

/// Words that are often all zeros or all ones, so that carries run through.
#[derive(Clone, Copy, Debug)]
struct Words([u64; 4]);

impl Arbitrary for Words {
    fn arbitrary(g: &mut Gen) -> Self {
        let word = |g: &mut Gen| match u8::arbitrary(g) % 4 {
            0 => *g.choose(&[0, 1, 2, u64::MAX, u64::MAX - 1, MODULUS[0], MODULUS[0] - 1]).expect("values"),
            _ => u64::arbitrary(g),
        };
        let words = core::array::from_fn(|_| word(g));
        if words[1..] == MODULUS[1..] && words[0] >= MODULUS[0] { Self([words[0], 0, 0, 0]) } else { Self(words) }
    }
}

fn cases() -> u64 {
    if cfg!(debug_assertions) { 2_000 } else { 100_000 }
}

#[test]
fn the_fields_agree() {
    fn property(a: Words, b: Words) -> bool {
        let (x, y) = (Limbs::from_words(a.0), Limbs::from_words(b.0));
        let (k, l) = (Lazy::from_words(a.0), Lazy::from_words(b.0));
        let pairs = [
            (x.add(&y), k.add(&l)),
            (x.sub(&y, 1), k.sub(&l, 1)),
            (x.neg(1), k.neg(1)),
            (x.mul(&y), k.mul(&l)),
            (x.square(), k.square()),
            (x.scale(3), k.scale(3)),
            (x.scale(8), k.scale(8)),
            // Values of the limbs from p to 2²⁵⁶ come out of sums.
            (x.add(&y).add(&y).mul(&y.neg(1).add(&x)), k.add(&l).add(&l).mul(&l.neg(1).add(&k))),
            (x.neg(1).square(), k.neg(1).square()),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours.to_words(), theirs.to_words());
            assert_eq!(ours.to_bytes(), theirs.to_bytes());
            assert_eq!(ours.is_zero(), theirs.is_zero());
            assert_eq!(ours.is_odd(), theirs.is_odd());
        }
        assert!(x.sub(&x, 1).is_zero() && x.add(&x.neg(1)).is_zero());
        assert_eq!(Limbs::from_bytes(&x.to_bytes()).map(|x| x.to_words()), Some(a.0));
        true
    }
    QuickCheck::new().tests(cases()).quickcheck(property as fn(Words, Words) -> bool);
}

#[test]
fn inverses_roots_and_symbols() {
    fn property(a: Words) -> bool {
        let x = Limbs::from_words(a.0);
        assert_eq!(x.is_square(), x.sqrt().is_some() && !x.is_zero());
        assert_eq!(x.is_square(), Lazy::from_words(a.0).is_square());
        assert!(divsteps::jacobi(&a.0).is_some());
        if let Some(root) = x.sqrt() {
            assert!(root.square().sub(&x, 1).is_zero());
            assert!(root.is_square() || root.is_zero());
        }
        if !x.is_zero() {
            let inverse = x.invert();
            assert!(inverse.mul(&x).sub(&Limbs::ONE, 1).is_zero());
            assert_eq!(inverse.is_square(), x.is_square());
        }
        true
    }
    QuickCheck::new().tests(cases() / 4).quickcheck(property as fn(Words) -> bool);
    for small in 1..200 {
        property(Words([small, 0, 0, 0]));
        property(Words(Limbs::from_words([small, 0, 0, 0]).neg(1).to_words()));
    }
}

#[test]
fn values_at_the_ends_of_the_words() {
    let top = Limbs::from_words([u64::MAX; 4]);
    let rest = Limbs::from_words([(1 << 32) + 976, 0, 0, 0]);
    assert_eq!(top.to_words(), rest.to_words());
    assert!(top.sub(&rest, 1).is_zero() && rest.sub(&top, 1).is_zero());
    assert_eq!(top.add(&top).to_words(), rest.add(&rest).to_words());
    assert_eq!(top.mul(&top).to_words(), rest.square().to_words());
    assert_eq!(Limbs::ZERO.sub(&top, 1).to_words(), rest.neg(1).to_words());
    let modulus = Limbs::from_words(MODULUS);
    assert!(modulus.is_zero() && !modulus.is_odd() && modulus.to_words() == [0; 4]);
    let mut bytes = modulus.to_bytes();
    assert_eq!(bytes, [0; 32]);
    bytes.copy_from_slice(&super::bytes_from_words(&MODULUS));
    assert!(Limbs::from_bytes(&bytes).is_none());
    bytes[31] -= 1;
    assert!(Limbs::from_bytes(&bytes).is_some());
    assert!(Limbs::from_bytes(&[0xff; 32]).is_none());
}
