//! Points, and the group law on them.
//!
//! Owns the formulas. Invariant: an [`AffinePoint`] is on the curve and is not infinity; a [`Point`] is on the curve,
//! and every addition is right for every pair of points, P + P, P − P and infinity included. Variable time. Sums of
//! products drive it.
//!
//! Formulas: Explicit-Formulas Database, short Weierstrass curves with a = 0, Jacobian coordinates. The comments count
//! magnitudes as [`Field`] does; coordinates that are stored have magnitude 1, except a z of 2.

use alloc::vec::Vec;

use super::field::{Field, FieldElement};

/// A point of the curve that is not infinity.
#[derive(Clone, Copy, Debug)]
pub struct AffinePoint {
    pub(super) x: FieldElement,
    pub(super) y: FieldElement,
}

/// A point of the curve, infinity included: (X/Z², Y/Z³).
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub(super) x: FieldElement,
    pub(super) y: FieldElement,
    /// Zero for infinity and for nothing else.
    pub(super) z: FieldElement,
    infinity: bool,
}

/// β, a cube root of one: (βx, y) is λ·(x, y) for the λ that [`recode`](super::recode) splits scalars by.
const BETA: [u64; 4] = [0xc139_6c28_7195_01ee, 0x9cf0_4975_12f5_8995, 0x6e64_479e_ac34_34e9, 0x7ae9_6a2b_657c_0710];

const GENERATOR_X: [u64; 4] =
    [0x59f2_815b_16f8_1798, 0x029b_fcdb_2dce_28d9, 0x55a0_6295_ce87_0b07, 0x79be_667e_f9dc_bbac];
const GENERATOR_Y: [u64; 4] =
    [0x9c47_d08f_fb10_d4b8, 0xfd17_b448_a685_5419, 0x5da4_fbfc_0e11_08a8, 0x483a_da77_26a3_c465];

impl AffinePoint {
    /// The generator G.
    #[must_use]
    pub fn generator() -> Self {
        Self { x: FieldElement::from_words(GENERATOR_X), y: FieldElement::from_words(GENERATOR_Y) }
    }

    /// The point with this compressed encoding: a prefix of 2 or 3, an x below p, on the curve.
    #[must_use]
    pub fn decode(bytes: &[u8; 33]) -> Option<Self> {
        let [point] = Self::decode_several([bytes]);
        point
    }

    /// The point with this x whose y is even (BIP340, lift_x).
    #[must_use]
    pub fn lift_even(x: &[u8; 32]) -> Option<Self> {
        let point = Self::lift(x)?;
        Some(if point.y.is_odd() { point.negate() } else { point })
    }

    /// The point with this x whose y is a square modulo p (Lotus scheme, section 1).
    #[must_use]
    pub fn lift_square(x: &[u8; 32]) -> Option<Self> {
        Self::lift(x)
    }

    fn lift(x: &[u8; 32]) -> Option<Self> {
        let [point] = Self::lift_several([x]);
        point
    }

    /// The points with these x whose y are squares.
    fn lift_several<const N: usize>(x: [&[u8; 32]; N]) -> [Option<Self>; N] {
        let x = x.map(FieldElement::from_bytes);
        let seven = FieldElement::from_words([7, 0, 0, 0]);
        // An x that is too large is taken for zero, which no point of the curve has.
        let cubes = x.map(|x| x.map_or(FieldElement::ZERO, |x| x.square().mul(&x).add(&seven).weak()));
        let roots = FieldElement::roots(&cubes);
        core::array::from_fn(|lane| Some(Self { x: x[lane]?, y: roots[lane]? }))
    }

    /// [`decode`](Self::decode) for several at once, in three quarters of the time.
    pub(crate) fn decode_several<const N: usize>(encodings: [&[u8; 33]; N]) -> [Option<Self>; N] {
        let lifted = Self::lift_several(encodings.map(|bytes| bytes[1..].try_into().expect("32 bytes")));
        core::array::from_fn(|lane| {
            let (prefix, point) = (encodings[lane][0], lifted[lane]?);
            matches!(prefix, 2 | 3).then(|| point.negate_if(point.y.is_odd() != (prefix == 3)))
        })
    }

    /// [`decode`](Self::decode) for a list.
    pub(crate) fn decode_all(encodings: &[&[u8; 33]]) -> Vec<Option<Self>> {
        Self::by_fours(encodings, Self::decode_several::<4>, Self::decode)
    }

    /// [`lift_square`](Self::lift_square) for a list.
    pub(crate) fn lift_all(x: &[&[u8; 32]]) -> Vec<Option<Self>> {
        Self::by_fours(x, Self::lift_several::<4>, Self::lift)
    }

    fn by_fours<T: ?Sized>(
        items: &[&T],
        four: impl Fn([&T; 4]) -> [Option<Self>; 4],
        one: impl Fn(&T) -> Option<Self>,
    ) -> Vec<Option<Self>> {
        let (fours, rest) = items.as_chunks::<4>();
        fours.iter().flat_map(|items| four(*items)).chain(rest.iter().map(|item| one(item))).collect()
    }

    /// The compressed encoding.
    #[must_use]
    pub fn encode(&self) -> [u8; 33] {
        let mut bytes = [0; 33];
        bytes[0] = 2 | u8::from(self.y.is_odd());
        bytes[1..].copy_from_slice(&self.x.to_bytes());
        bytes
    }

    /// The x coordinate, big endian.
    #[must_use]
    pub fn x_bytes(&self) -> [u8; 32] {
        self.x.to_bytes()
    }

    /// Whether y is even.
    #[must_use]
    pub fn has_even_y(&self) -> bool {
        !self.y.is_odd()
    }

    /// Whether y is a square modulo p.
    #[must_use]
    pub fn has_square_y(&self) -> bool {
        self.y.is_square()
    }

    /// −P.
    #[must_use]
    pub fn negate(&self) -> Self {
        Self { x: self.x, y: self.y.neg(1).weak() }
    }

    /// −P or P.
    pub(super) fn negate_if(&self, negate: bool) -> Self {
        if negate { self.negate() } else { *self }
    }

    /// λ·P.
    pub(super) fn endomorphism(&self) -> Self {
        Self { x: self.x.mul(&FieldElement::from_words(BETA)), y: self.y }
    }
}

impl PartialEq for AffinePoint {
    fn eq(&self, other: &Self) -> bool {
        self.x.sub(&other.x, 1).is_zero() && self.y.sub(&other.y, 1).is_zero()
    }
}

impl Eq for AffinePoint {}

impl From<AffinePoint> for Point {
    fn from(point: AffinePoint) -> Self {
        Self { x: point.x, y: point.y, z: FieldElement::ONE, infinity: false }
    }
}

impl Point {
    /// The neutral element.
    pub const INFINITY: Self =
        Self { x: FieldElement::ONE, y: FieldElement::ONE, z: FieldElement::ZERO, infinity: true };

    /// Whether this is the neutral element.
    #[must_use]
    pub const fn is_infinity(&self) -> bool {
        self.infinity
    }

    /// The affine form; none for infinity. Costs an inversion.
    #[must_use]
    pub fn to_affine(&self) -> Option<AffinePoint> {
        (!self.infinity).then(|| self.scaled(&self.z.weak().invert()))
    }

    /// The affine form of each point, none for infinity, at the cost of one inversion.
    #[must_use]
    pub fn batch_to_affine(points: &[Self]) -> Vec<Option<AffinePoint>> {
        let mut inverses: Vec<_> =
            points.iter().map(|point| if point.infinity { FieldElement::ONE } else { point.z }).collect();
        invert_all(&mut inverses);
        let affine = points.iter().zip(&inverses);
        affine.map(|(point, inverse)| (!point.infinity).then(|| point.scaled(inverse))).collect()
    }

    /// (X·f², Y·f³): the affine form for the f that is 1/Z.
    pub(super) fn scaled(&self, factor: &FieldElement) -> AffinePoint {
        let square = factor.square();
        AffinePoint { x: self.x.mul(&square), y: self.y.mul(&square).mul(factor) }
    }

    /// (X/Z², Y/Z³) for a Z that is not zero.
    pub(super) fn new(x: FieldElement, y: FieldElement, z: FieldElement) -> Self {
        Self { x, y, z, infinity: false }
    }

    /// Back from the isomorphic curve (x, y) ↦ (x·c², y·c³).
    pub(super) fn back_by(&self, c: &FieldElement) -> Self {
        Self { z: self.z.mul(c), ..*self }
    }

    /// −P.
    #[must_use]
    pub fn negate(&self) -> Self {
        Self { y: self.y.neg(1).weak(), ..*self }
    }

    /// 2P. No point of this curve has y = 0, so only infinity is special.
    ///
    /// 3M + 4S: `S = 4XY²`, `M = 3X²`, `X₃ = M² − 2S`, `Y₃ = M(S − X₃) − 8Y⁴`, `Z₃ = 2YZ`.
    #[must_use]
    #[inline]
    pub fn double(&self) -> Self {
        if self.infinity {
            return *self;
        }
        let m = self.x.square().scale(3); // 3
        let yy = self.y.square(); // 1
        let s = self.x.mul(&yy).scale(4); // 4
        let x = m.square().sub(&s.scale(2), 8).weak(); // 1 + 9
        let y = m.mul(&s.sub(&x, 1)).sub(&yy.square().scale(8), 8).weak(); // 4 + 2; 1 + 9
        let z = self.y.mul(&self.z).scale(2); // 2
        Self { x, y, z, infinity: false }
    }

    /// P + Q. 12M + 4S.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        if self.infinity {
            return *other;
        }
        if other.infinity {
            return *self;
        }
        let (zz, other_zz) = (self.z.square(), other.z.square());
        let u1 = self.x.mul(&other_zz);
        let u2 = other.x.mul(&zz);
        let s1 = self.y.mul(&other_zz).mul(&other.z);
        let s2 = other.y.mul(&zz).mul(&self.z);
        let h = u2.sub(&u1, 1); // 3
        let r = s2.sub(&s1, 1); // 3
        if h.is_zero() {
            return if r.is_zero() { self.double() } else { Self::INFINITY };
        }
        Self::finish(&u1, &s1, &h, &r, self.z.mul(&other.z).mul(&h))
    }

    /// P + Q for an affine Q. 8M + 3S.
    #[must_use]
    #[inline]
    pub fn add_affine(&self, other: &AffinePoint) -> Self {
        if self.infinity { Self::from(*other) } else { self.add_mixed(other, &self.z) }
    }

    /// P + Q where P is on the curve that the isomorphism (x, y) ↦ (x·c², y·c³) leads to, and the affine Q is not yet.
    /// 9M + 3S, where taking Q there first would take 3M + 1S more than an addition.
    #[inline]
    pub(super) fn add_from_outside(&self, other: &AffinePoint, c: &FieldElement) -> Self {
        if self.infinity {
            let AffinePoint { x, y } = Self::from(*other).scaled(c);
            return Self::new(x, y, FieldElement::ONE);
        }
        self.add_mixed(other, &self.z.mul(c))
    }

    /// P + Q and the ratio of the Z of the sum to that of P, for neither infinity, nor Q = ±P.
    pub(super) fn add_with_ratio(&self, other: &AffinePoint) -> (Self, FieldElement) {
        let zz = self.z.square();
        let h = other.x.mul(&zz).sub(&self.x, 1).weak();
        let r = other.y.mul(&zz.mul(&self.z)).sub(&self.y, 1);
        debug_assert!(!h.is_zero(), "the ratio would be zero");
        (Self::finish(&self.x, &self.y, &h, &r, self.z.mul(&h)), h)
    }

    /// The sum with an affine point, for the z by which P would be affine where Q is.
    #[inline]
    fn add_mixed(&self, other: &AffinePoint, z: &FieldElement) -> Self {
        let zz = z.square();
        let u2 = other.x.mul(&zz);
        let s2 = other.y.mul(&zz.mul(z));
        let h = u2.sub(&self.x, 1); // 3
        let r = s2.sub(&self.y, 1); // 3
        if h.is_zero() {
            return if r.is_zero() { self.double() } else { Self::INFINITY };
        }
        Self::finish(&self.x, &self.y, &h, &r, self.z.mul(&h))
    }

    /// The common end of both additions: `X₃ = r² − h³ − 2·u·h²`, `Y₃ = r(u·h² − X₃) − s·h³`.
    #[inline]
    fn finish(u: &FieldElement, s: &FieldElement, h: &FieldElement, r: &FieldElement, z: FieldElement) -> Self {
        let hh = h.square();
        let hhh = h.mul(&hh);
        let v = u.mul(&hh);
        let x = r.square().sub(&hhh, 1).sub(&v.scale(2), 2).weak(); // 1 + 2 + 3
        let y = r.mul(&v.sub(&x, 1)).sub(&s.mul(&hhh), 1).weak(); // 3; 1 + 2
        Self { x, y, z, infinity: false }
    }

    /// Whether the affine form has this x, without an inversion. False for infinity and for an x that is not below p.
    #[must_use]
    pub fn has_x(&self, x: &[u8; 32]) -> bool {
        match FieldElement::from_bytes(x) {
            Some(x) if !self.infinity => x.mul(&self.z.square()).sub(&self.x, 1).is_zero(),
            _ => false,
        }
    }

    /// Whether y of the affine form is a square modulo p, without an inversion: Y/Z³ is Y·Z up to a square. False for
    /// infinity.
    #[must_use]
    pub fn has_square_y(&self) -> bool {
        !self.infinity && self.y.mul(&self.z).is_square()
    }
}

/// Projective equality; infinity equals itself.
impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        if self.infinity || other.infinity {
            return self.infinity == other.infinity;
        }
        let (zz, other_zz) = (self.z.square(), other.z.square());
        let x = self.x.mul(&other_zz).sub(&other.x.mul(&zz), 1);
        let y = self.y.mul(&other_zz.mul(&other.z)).sub(&other.y.mul(&zz.mul(&self.z)), 1);
        x.is_zero() && y.is_zero()
    }
}

impl Eq for Point {}

/// Inverts each value, none of which is zero, with one inversion and three products for each (Montgomery).
pub(super) fn invert_all(values: &mut [FieldElement]) {
    let mut products = Vec::with_capacity(values.len());
    let mut product = FieldElement::ONE;
    for value in values.iter() {
        products.push(product);
        product = product.mul(value);
    }
    let mut inverse = product.invert();
    for (value, before) in values.iter_mut().zip(&products).rev() {
        let this = inverse.mul(before);
        inverse = inverse.mul(value);
        *value = this;
    }
}
