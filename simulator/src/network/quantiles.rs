//! Distributions as tables of quantiles, made with additions, multiplications, divisions and roots alone.
//!
//! Those are exact to the last bit on every machine, unlike the logarithms and exponentials of a mathematics library,
//! so the same seed gives the same delays everywhere.

/// How many pieces a table has.
pub(super) const PIECES: usize = 1024;

/// eˣ: halved until small, summed, squared back.
fn exp(x: f64) -> f64 {
    let mut halvings = 0;
    let mut small = x;
    while small.abs() > 0.01 {
        small /= 2.0;
        halvings += 1;
    }
    let mut sum = 1.0 + small * (1.0 + small / 2.0 * (1.0 + small / 3.0 * (1.0 + small / 4.0 * (1.0 + small / 5.0))));
    for _ in 0..halvings {
        sum *= sum;
    }
    sum
}

/// ln x, by the series of the inverse hyperbolic tangent after roots have brought x near 1.
fn ln(x: f64) -> f64 {
    let mut near = x;
    let mut roots = 0;
    while !(0.9..=1.1).contains(&near) {
        near = near.sqrt();
        roots += 1;
    }
    let t = (near - 1.0) / (near + 1.0);
    let (mut power, mut sum, square) = (t, 0.0, t * t);
    for odd in 0..12 {
        sum += power / f64::from(2 * odd + 1);
        power *= square;
    }
    let mut result = 2.0 * sum;
    for _ in 0..roots {
        result *= 2.0;
    }
    result
}

/// The quantile of the standard normal distribution (P. J. Acklam's rational approximation, relative error 1.15e-9).
fn normal(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416, 1.0];
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    const TAIL: f64 = 0.024_25;
    if p < TAIL {
        let q = (-2.0 * ln(p)).sqrt();
        horner(&C, q) / horner(&D, q)
    } else if p > 1.0 - TAIL {
        -normal(1.0 - p)
    } else {
        let q = p - 0.5;
        horner(&A, q * q) * q / horner(&B, q * q)
    }
}

/// The quantiles of a log-normal distribution with this median and this spread of the logarithm, from the least to a
/// most that a millionth exceeds.
pub(super) fn log_normal(median: f64, sigma: f64) -> Box<[u64]> {
    let quantile = |piece: usize| {
        let p = (piece as f64 / PIECES as f64).clamp(1e-6, 1.0 - 1e-6);
        (median * exp(sigma * normal(p))) as u64
    };
    (0..=PIECES).map(quantile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_agree_with_the_mathematics_library() {
        for x in [-20.0, -1.5, -0.001, 0.0, 0.3, 1.0, 7.0, 20.0_f64] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-9, "exp {x}");
        }
        for x in [1e-6, 0.02, 0.5, 0.99, 1.0, 1.3, 40.0, 1e9_f64] {
            assert!((ln(x) - x.ln()).abs() < 1e-9, "ln {x}");
        }
    }

    #[test]
    fn quantiles_have_the_median_and_the_tails_of_the_distribution() {
        let table = log_normal(1e6, 0.5);
        assert!(table.is_sorted());
        assert_eq!(table[PIECES / 2], 1_000_000);
        let one_sigma = (0.841_344_746 * PIECES as f64) as usize;
        let expected = 1e6 * 0.5_f64.exp();
        assert!((table[one_sigma] as f64 / expected - 1.0).abs() < 0.01, "{}", table[one_sigma]);
    }
}
