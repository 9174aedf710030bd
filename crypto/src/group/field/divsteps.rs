//! Inverses and Jacobi symbols modulo p by division steps.
//!
//! Owns the two loops. Invariant: f stays odd, and f and g carry the greatest common divisor of p and the input from
//! start to end. Variable time. The field drives it.
//!
//! The algorithm is the one of Bernstein and Yang, "Fast constant-time gcd computation and modular inversion" (2019),
//! in the form that libsecp256k1 gave it: 62 steps are first run on the lowest words alone and then applied to the
//! whole numbers as one 2×2 matrix. The Jacobi symbol comes from steps that keep f and g positive, for which quadratic
//! reciprocity tells how each step changes it.

use super::MODULUS;

/// A signed number of five digits in base 2⁶², the lowest first. All but the highest are in 0..2⁶² unless said
/// otherwise.
type Number = [i64; 5];

const MASK: i64 = (1 << 62) - 1;

/// p = 2²⁵⁶ − (2³² + 977), with a digit below zero: two of its digits are then zero, and multiplications fall away.
const P: Number = [-((1 << 32) + 977), 0, 0, 0, 256];

/// `1/p mod 2⁶²`, by Newton's iteration: each round doubles the number of right bits, from three.
const P_INVERSE: i64 = {
    let p = MODULUS[0];
    let mut inverse = p;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(p.wrapping_mul(inverse)));
        round += 1;
    }
    inverse as i64 & MASK
};

/// What 62 steps do to (f, g), times 2⁶²: `f' = (u·f + v·g)/2⁶²`, `g' = (q·f + r·g)/2⁶²`.
struct Steps {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

fn from_words(w: &[u64; 4]) -> Number {
    [
        w[0] as i64 & MASK,
        (w[0] >> 62 | w[1] << 2) as i64 & MASK,
        (w[1] >> 60 | w[2] << 4) as i64 & MASK,
        (w[2] >> 58 | w[3] << 6) as i64 & MASK,
        (w[3] >> 56) as i64,
    ]
}

fn to_words(n: &Number) -> [u64; 4] {
    let n = n.map(|digit| digit as u64);
    [n[0] | n[1] << 62, n[1] >> 2 | n[2] << 60, n[2] >> 4 | n[3] << 58, n[3] >> 6 | n[4] << 56]
}

/// How many steps may be taken at once before δ changes its sign or the 62 are over, as a mask of at most `bits` bits.
fn mask_of(eta: i64, left: u32, bits: u64) -> u64 {
    let limit = left.min(u32::try_from(eta + 1).unwrap_or(u32::MAX));
    (u64::MAX >> (64 - limit)) & bits
}

/// 62 steps on the lowest 64 bits of f and g. With `JACOBI`, f and g are positive, nothing is negated, and the lowest
/// bit of `symbol` follows the sign of the Jacobi symbol.
fn steps<const JACOBI: bool>(mut eta: i64, mut f: u64, mut g: u64, symbol: &mut u64) -> (i64, Steps) {
    let (mut u, mut v, mut q, mut r) = (1u64, 0u64, 0u64, 1u64);
    let mut left = 62;
    loop {
        let zeros = (g | u64::MAX << left).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        eta -= i64::from(zeros);
        left -= zeros;
        if JACOBI {
            // (2/f) = −1 exactly if f is 3 or 5 modulo 8.
            *symbol ^= u64::from(zeros) & (f >> 1 ^ f >> 2);
        }
        if left == 0 {
            break;
        }
        let w;
        if eta < 0 {
            eta = -eta;
            if JACOBI {
                // Reciprocity: the sign changes when both are 3 modulo 4.
                *symbol ^= (f & g) >> 1;
                (f, g, u, q, v, r) = (g, f, q, u, r, v);
            } else {
                (f, g, u, q, v, r) = (g, f.wrapping_neg(), q, u.wrapping_neg(), r, v.wrapping_neg());
            }
            // −g/f modulo 64: f·(2 − f²) is 1/f modulo 64.
            let minus_inverse = f.wrapping_mul(f.wrapping_mul(f).wrapping_sub(2));
            w = g.wrapping_mul(minus_inverse) & mask_of(eta, left, 63);
        } else {
            // −g/f modulo 16; here fewer steps are left on average.
            let inverse = f.wrapping_add((f.wrapping_add(1) & 4) << 1);
            w = inverse.wrapping_neg().wrapping_mul(g) & mask_of(eta, left, 15);
        }
        g = g.wrapping_add(f.wrapping_mul(w));
        q = q.wrapping_add(u.wrapping_mul(w));
        r = r.wrapping_add(v.wrapping_mul(w));
    }
    (eta, Steps { u: u as i64, v: v as i64, q: q as i64, r: r as i64 })
}

fn product(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

/// Applies the matrix to the lowest `length` digits of f and g; the division by 2⁶² is exact.
fn update_f_g(f: &mut Number, g: &mut Number, length: usize, t: &Steps) {
    let mut cf = product(t.u, f[0]) + product(t.v, g[0]);
    let mut cg = product(t.q, f[0]) + product(t.r, g[0]);
    (cf, cg) = (cf >> 62, cg >> 62);
    for i in 1..length {
        cf += product(t.u, f[i]) + product(t.v, g[i]);
        cg += product(t.q, f[i]) + product(t.r, g[i]);
        f[i - 1] = cf as i64 & MASK;
        g[i - 1] = cg as i64 & MASK;
        (cf, cg) = (cf >> 62, cg >> 62);
    }
    f[length - 1] = cf as i64;
    g[length - 1] = cg as i64;
}

/// Applies the matrix to d and e modulo p, both in (−2p, p) before and after. A multiple of p makes the division exact.
fn update_d_e(d: &mut Number, e: &mut Number, t: &Steps) {
    let (sign_d, sign_e) = (d[4] >> 63, e[4] >> 63);
    // Numbers below zero first get p, so that the results stay in the range.
    let mut md = (t.u & sign_d) + (t.v & sign_e);
    let mut me = (t.q & sign_d) + (t.r & sign_e);
    let mut cd = product(t.u, d[0]) + product(t.v, e[0]);
    let mut ce = product(t.q, d[0]) + product(t.r, e[0]);
    md -= P_INVERSE.wrapping_mul(cd as i64).wrapping_add(md) & MASK;
    me -= P_INVERSE.wrapping_mul(ce as i64).wrapping_add(me) & MASK;
    cd += product(P[0], md);
    ce += product(P[0], me);
    (cd, ce) = (cd >> 62, ce >> 62);
    for i in 1..5 {
        cd += product(t.u, d[i]) + product(t.v, e[i]);
        ce += product(t.q, d[i]) + product(t.r, e[i]);
        if i == 4 {
            cd += product(P[4], md);
            ce += product(P[4], me);
        }
        d[i - 1] = cd as i64 & MASK;
        e[i - 1] = ce as i64 & MASK;
        (cd, ce) = (cd >> 62, ce >> 62);
    }
    d[4] = cd as i64;
    e[4] = ce as i64;
}

/// Brings a number in (−2p, p), or its negation, into 0..p.
fn normalise(mut n: Number, negate: bool) -> Number {
    let add_p = |n: &mut Number| {
        if n[4] < 0 {
            n.iter_mut().zip(P).for_each(|(digit, p)| *digit += p);
        }
    };
    let carry = |n: &mut Number| {
        for i in 0..4 {
            n[i + 1] += n[i] >> 62;
            n[i] &= MASK;
        }
    };
    add_p(&mut n);
    if negate {
        n = n.map(|digit| -digit);
    }
    carry(&mut n);
    add_p(&mut n);
    carry(&mut n);
    n
}

/// The inverse modulo p of words below p that are not zero.
pub(super) fn invert(words: &[u64; 4]) -> [u64; 4] {
    let (mut f, mut g) = (P, from_words(words));
    let (mut d, mut e): (Number, Number) = ([0; 5], [1, 0, 0, 0, 0]);
    let (mut eta, mut length) = (-1, 5);
    loop {
        let t;
        (eta, t) = steps::<false>(eta, f[0] as u64, g[0] as u64, &mut 0);
        update_d_e(&mut d, &mut e, &t);
        update_f_g(&mut f, &mut g, length, &t);
        if g[..length].iter().all(|digit| *digit == 0) {
            break;
        }
        let (top_f, top_g) = (f[length - 1], g[length - 1]);
        if length > 1 && top_f ^ (top_f >> 63) == 0 && top_g ^ (top_g >> 63) == 0 {
            // Only signs are left in the highest digits: they move down.
            f[length - 2] |= top_f << 62;
            g[length - 2] |= top_g << 62;
            length -= 1;
        }
    }
    // f is now 1 or −1, and d is f/x.
    to_words(&normalise(d, f[length - 1] < 0))
}

/// The Jacobi symbol of words below p, 0 for zero. None where the steps did not end in time, for which no input is
/// known.
pub(super) fn jacobi(words: &[u64; 4]) -> Option<i8> {
    if *words == [0; 4] {
        return Some(0);
    }
    let (mut f, mut g) = (from_words(&MODULUS), from_words(words));
    let (mut eta, mut length, mut symbol) = (-1, 5, 0);
    for _ in 0..25 {
        // 64 bits, because the symbol depends on the three lowest bits of f after the last step.
        let (low_f, low_g) = (f[0] as u64 | (f[1] as u64) << 62, g[0] as u64 | (g[1] as u64) << 62);
        let t;
        (eta, t) = steps::<true>(eta, low_f, low_g, &mut symbol);
        update_f_g(&mut f, &mut g, length, &t);
        if f[0] == 1 && f[1..length].iter().all(|digit| *digit == 0) {
            return Some(if symbol & 1 == 0 { 1 } else { -1 });
        }
        if length > 1 && f[length - 1] | g[length - 1] == 0 {
            length -= 1;
        }
    }
    None
}
