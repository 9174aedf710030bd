//! The group law against the library's and libsecp256k1's, edge cases first.

use alloc::vec::Vec;

use k256::elliptic_curve::Field;
use k256::elliptic_curve::group::Group;
use k256::elliptic_curve::ops::LinearCombination;
use k256::{ProjectivePoint, Scalar};
use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::combination::{Placed, Term};
use super::recode::{Half, split, wnaf, words_of};
use super::{AffinePoint, Combination, Point, PreparedPoint, PublicScalar, batch, pippenger, straus};
use crate::{comb, curve};

/// How many cases a property runs: enough for every day, and many in release.
fn cases(in_release: u64) -> u64 {
    if cfg!(debug_assertions) { in_release / 500 + 20 } else { in_release }
}

/// Scalars, some of them where carries, signs and halves are special.
#[derive(Clone, Copy, Debug)]
struct AnyScalar(Scalar);

impl Arbitrary for AnyScalar {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut bytes = [0; 32];
        bytes.fill_with(|| u8::arbitrary(g));
        let lambda = curve::reduce_scalar(&hex(LAMBDA));
        let power = (0..u16::arbitrary(g) % 256).fold(Scalar::ONE, |power, _| power.double());
        let special = [
            Scalar::ZERO,
            Scalar::ONE,
            -Scalar::ONE,
            Scalar::from(u128::MAX),
            lambda,
            -lambda,
            lambda + Scalar::ONE,
            power,
            power - Scalar::ONE,
            -power,
            Scalar::from(u64::arbitrary(g)),
            Scalar::from(u128::arbitrary(g)),
        ];
        let random = curve::reduce_scalar(&bytes);
        Self(if u8::arbitrary(g) % 3 == 0 { *g.choose(&special).expect("scalars") } else { random })
    }
}

const LAMBDA: &str = "5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72";

fn hex(text: &str) -> [u8; 32] {
    crate::text::parse_hex(text).expect("hexadecimal")
}

impl AnyScalar {
    fn public(self) -> PublicScalar {
        PublicScalar::from_bytes(curve::encode_scalar(&self.0)).expect("below the order")
    }

    /// The multiple of the generator; none for zero.
    fn point(self) -> (ProjectivePoint, Option<AffinePoint>) {
        let point = ProjectivePoint::mul_by_generator(&self.0);
        (point, ours(&point))
    }
}

fn ours(point: &ProjectivePoint) -> Option<AffinePoint> {
    let affine = (!bool::from(point.is_identity())).then(|| point.to_affine())?;
    Some(AffinePoint::decode(&curve::encode_point(&affine)).expect("on the curve"))
}

fn assert_same(found: &Point, expected: &ProjectivePoint) {
    assert_eq!(found.to_affine(), ours(expected));
    assert_eq!(found.is_infinity(), bool::from(expected.is_identity()));
}

/// P + Q with every representation of both, for points that are often equal, opposite, or infinity.
#[test]
fn additions() {
    fn property(a: AnyScalar, b: AnyScalar, relation: u8) -> bool {
        let b = match relation % 5 {
            0 => a,
            1 => AnyScalar(-a.0),
            2 => AnyScalar(Scalar::ZERO),
            _ => b,
        };
        let ((p, p_affine), (q, q_affine)) = (a.point(), b.point());
        let at = |affine: Option<AffinePoint>| affine.map_or(Point::INFINITY, Point::from);
        // Another Z: the sum with the generator, and back.
        let g = Point::from(AffinePoint::generator());
        let rescaled = |point: Option<AffinePoint>| at(point).add(&g).add(&g.negate());
        for left in [at(p_affine), rescaled(p_affine)] {
            for right in [at(q_affine), rescaled(q_affine)] {
                assert_same(&left.add(&right), &(p + q));
                assert_eq!(left == right, p == q);
            }
            if let Some(right) = q_affine {
                assert_same(&left.add_affine(&right), &(p + q));
            }
            assert_same(&left.double(), &p.double());
            assert_same(&left.negate(), &-p);
            if let Some(affine) = p_affine {
                assert!(left.has_x(&affine.x_bytes()));
                assert_eq!(left.has_square_y(), affine.has_square_y());
                assert_eq!(left.has_square_y(), comb::multiples([&a.0])[0].has_square_y().into());
            }
            assert_eq!(left.has_x(&AffinePoint::generator().x_bytes()), a.0 == Scalar::ONE || -a.0 == Scalar::ONE);
        }
        true
    }
    QuickCheck::new().tests(cases(100_000)).quickcheck(property as fn(AnyScalar, AnyScalar, u8) -> bool);
}

#[test]
fn encodings() {
    fn property(a: AnyScalar, mut x: Vec<u8>) -> bool {
        x.resize(33, 2);
        let mut bytes: [u8; 33] = x.try_into().expect("33 bytes");
        bytes[0] %= 5;
        assert_eq!(AffinePoint::decode(&bytes).is_some(), curve::decode_point(&bytes).is_some());
        let ([_, x @ ..], (point, affine)) = (bytes, a.point());
        if let (Some(even), Some(square)) = (AffinePoint::lift_even(&x), AffinePoint::lift_square(&x)) {
            assert!(even.has_even_y() && square.has_square_y());
            assert!(!even.negate().has_even_y() && !square.negate().has_square_y());
        }
        if let Some(affine) = affine {
            assert_eq!(affine.encode(), curve::encode_point(&point.to_affine()));
            let secp = secp256k1::PublicKey::from_slice(&affine.encode()).expect("a key");
            assert_eq!(affine.negate().encode(), secp.negate().serialize());
            assert_eq!(Point::from(affine.endomorphism()), product(affine, PublicScalar::reduce(hex(LAMBDA))));
        }
        true
    }
    QuickCheck::new().tests(cases(100_000)).quickcheck(property as fn(AnyScalar, Vec<u8>) -> bool);
    let prime = hex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f");
    assert!(AffinePoint::lift_even(&prime).is_none());
}

fn product(point: AffinePoint, k: PublicScalar) -> Point {
    let mut sum = Combination::new();
    sum.term(point, k);
    sum.evaluate()
}

#[test]
fn recoding() {
    fn property(k: AnyScalar, width: u8) -> bool {
        let width = u32::from(width % 11) + 2;
        let halves = split(&k.public()).map(|half| {
            let mut value = Scalar::ZERO;
            let mut free_from = 0;
            wnaf(&words_of(half.magnitude), width, |position, digit| {
                assert!(position >= free_from && position <= 128 && digit % 2 != 0 && digit.abs() < 1 << (width - 1));
                free_from = position + width as usize;
                let digit_value = Scalar::from(digit.unsigned_abs());
                let digit_value = if digit < 0 { -digit_value } else { digit_value };
                value += (0..position).fold(digit_value, |value, _| value.double());
            });
            assert_eq!(value, Scalar::from(half.magnitude));
            if half.negative { -value } else { value }
        });
        assert_eq!(halves[0] + halves[1] * curve::reduce_scalar(&hex(LAMBDA)), k.0);
        true
    }
    QuickCheck::new().tests(cases(100_000)).quickcheck(property as fn(AnyScalar, u8) -> bool);
}

/// One product by each way of computing it, against the library and libsecp256k1.
#[test]
fn products() {
    fn property(a: AnyScalar, k: AnyScalar) -> bool {
        let (point, Some(affine)) = a.point() else { return true };
        let expected = point * k.0;
        assert_same(&product(affine, k.public()), &expected);
        let prepared = PreparedPoint::new(&affine);
        assert_eq!(prepared.point(), affine);
        let mut sum = Combination::new();
        sum.prepared(&prepared, k.public());
        assert_same(&sum.evaluate(), &expected);
        let mut sum = Combination::new();
        sum.generator(k.public());
        sum.generator(a.public());
        assert_same(&sum.evaluate(), &(ProjectivePoint::mul_by_generator(&(k.0 + a.0))));
        if let Ok(tweak) = secp256k1::SecretKey::from_secret_bytes(k.public().to_bytes()) {
            let key = secp256k1::PublicKey::from_slice(&affine.encode()).expect("a key");
            let theirs = key.mul_tweak(&tweak.into()).expect("not infinity");
            assert_eq!(product(affine, k.public()).to_affine().expect("not infinity").encode(), theirs.serialize());
        }
        true
    }
    QuickCheck::new().tests(cases(100_000)).quickcheck(property as fn(AnyScalar, AnyScalar) -> bool);
}

/// Sums by all three methods, of points that repeat and cancel, whatever the crossovers are.
#[test]
fn sums_by_every_method() {
    fn property(points: Vec<AnyScalar>, scalars: Vec<AnyScalar>, k: AnyScalar) -> bool {
        let mut terms = Vec::new();
        let mut placed = Vec::new();
        let mut combination = Combination::new();
        combination.generator(k.public());
        let mut expected = ProjectivePoint::mul_by_generator(&k.0);
        let mut with_placed = ProjectivePoint::IDENTITY;
        for (index, (p, k)) in points.iter().cycle().zip(&scalars).enumerate() {
            let (point, Some(affine)) = p.point() else { continue };
            let short = index % 3 == 2 && curve::encode_scalar(&k.0)[..16] == [0; 16];
            let half = u128::from_be_bytes(curve::encode_scalar(&k.0)[16..].try_into().expect("16 bytes"));
            let halves = if short { [Half::new(half), Half::default()] } else { split(&k.public()) };
            terms.push(Term { point: affine, halves });
            if short {
                combination.short_term(affine, half)
            } else {
                combination.term(affine, k.public())
            };
            if index % 4 == 3 {
                placed.push(Placed { position: index % 129, point: affine });
                with_placed += (0..index % 129).fold(point, |point, _| point.double());
                combination.point(affine);
                expected += point;
            }
            expected += point * k.0;
            with_placed += point * k.0;
        }
        assert_same(&combination.evaluate(), &expected);
        assert_same(&straus::sum(&terms, &placed), &with_placed);
        assert_same(&batch::sum(&terms, &placed), &with_placed);
        assert_same(&pippenger::sum(&terms, placed), &with_placed);
        true
    }
    QuickCheck::new().tests(cases(2_000)).quickcheck(property as fn(Vec<AnyScalar>, Vec<AnyScalar>, AnyScalar) -> bool);
    for length in [30, 60, 130, 300, if cfg!(debug_assertions) { 400 } else { 3000 }] {
        let mut g = Gen::new(4);
        let mut many = || (0..length).map(|_| AnyScalar::arbitrary(&mut g)).collect::<Vec<_>>();
        property(many(), many(), AnyScalar(Scalar::ONE));
        let same: Vec<_> = (0..length).map(|_| AnyScalar(Scalar::ONE)).collect();
        property(same.clone(), same.clone(), AnyScalar(Scalar::ONE));
        // P and −P in turns: every pair comes to infinity.
        let turns = (0..length).map(|index| AnyScalar(if index % 2 == 0 { Scalar::ONE } else { -Scalar::ONE }));
        property(turns.collect(), same, AnyScalar(Scalar::ZERO));
    }
}

#[test]
fn sums_of_points() {
    fn property(scalars: Vec<AnyScalar>, repeat: u8) -> bool {
        let repeat = usize::from(repeat % 3) + 1;
        let pairs: Vec<_> = scalars.iter().map(|scalar| scalar.point()).collect();
        let points: Vec<_> = pairs.iter().filter_map(|(_, affine)| *affine).collect();
        let many: Vec<_> = points.iter().cycle().take(points.len() * repeat).copied().collect();
        let expected = pairs.iter().map(|(point, _)| point).sum::<ProjectivePoint>();
        let [one, other] = batch::sums([&many, &points]);
        assert_same(&one, &(expected * Scalar::from(repeat as u64)));
        assert_same(&other, &expected);
        let affine = Point::batch_to_affine(&[one, Point::INFINITY, other]);
        assert_eq!(affine, [one.to_affine(), None, other.to_affine()]);
        true
    }
    QuickCheck::new().tests(cases(5_000)).quickcheck(property as fn(Vec<AnyScalar>, u8) -> bool);
    assert_same(&Combination::new().evaluate(), &ProjectivePoint::IDENTITY);
    assert_same(
        &product(AffinePoint::generator(), PublicScalar::from_u128(7)),
        &ProjectivePoint::lincomb_vartime(&[(ProjectivePoint::generator(), Scalar::from(7u64))]),
    );
}
