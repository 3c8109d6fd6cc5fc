//! Error measures, and assertions whose messages say where and how much.

use crate::tolerance::{Oracle, lookup, tolerance};
use relfisher_core::Real;

/// The same numbers in f64.
pub fn to_f64<T: Real>(x: &[T]) -> Vec<f64> {
    x.iter().map(|v| v.to_f64()).collect()
}

/// The same numbers rounded to another dtype.
pub fn cast<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|v| T::from_f64(*v)).collect()
}

/// max |got − want| / max |want| (absolute when want is 0); infinite when a number is not finite
/// or the lengths differ.
pub fn relative_error<T: Real>(got: &[T], want: &[f64]) -> f64 {
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    let scale = want.iter().fold(0.0f64, |m, w| m.max(w.abs()));
    let mut worst = 0.0f64;
    for (g, w) in got.iter().zip(want) {
        let e = (g.to_f64() - w).abs();
        if !e.is_finite() {
            return f64::INFINITY;
        }
        worst = worst.max(e);
    }
    if scale > 0.0 { worst / scale } else { worst }
}

/// The distance between neighbours of dtype `T` near `x`.
pub fn ulp<T: Real>(x: f64) -> f64 {
    let x = x.abs().min(T::MAX.to_f64());
    if x < T::MIN_POSITIVE.to_f64() {
        return T::MIN_POSITIVE.to_f64() * T::EPSILON.to_f64();
    }
    // The power of two below x: its bits without the mantissa.
    f64::from_bits(x.to_bits() & (0x7ff << 52)) * T::EPSILON.to_f64()
}

/// |got − want| in units of the last place of `want` in dtype `T`; both infinite with one sign, or
/// both NaN, count as 0.
pub fn ulp_error<T: Real>(got: T, want: f64) -> f64 {
    let g = got.to_f64();
    if g == want || (g.is_nan() && want.is_nan()) {
        return 0.0;
    }
    if !g.is_finite() && want.is_finite() && want.abs() > T::MAX.to_f64() {
        return if g.is_sign_positive() == want.is_sign_positive() { 0.0 } else { f64::INFINITY };
    }
    let e = (g - want).abs() / ulp::<T>(want);
    if e.is_nan() { f64::INFINITY } else { e }
}

/// Asserts that `got` is near `want` (relative max-norm) by the entry of `tolerance` for this
/// routine, oracle, dtype and dimension `n`.
///
/// # Panics
/// When it is not, naming the worst element.
#[track_caller]
pub fn assert_close<T: Real>(
    label: &str,
    got: &[T],
    want: &[f64],
    routine: &str,
    oracle: Oracle,
    n: usize,
) {
    assert_eq!(got.len(), want.len(), "{label}: lengths differ");
    let (error, bound) = (relative_error(got, want), tolerance::<T>(routine, oracle, n));
    if error <= bound {
        return;
    }
    let worst = got
        .iter()
        .zip(want)
        .enumerate()
        .map(|(i, (g, w))| (i, (g.to_f64() - w).abs()))
        .max_by(|a, b| {
            let key = |x: f64| if x.is_nan() { f64::INFINITY } else { x };
            key(a.1).total_cmp(&key(b.1))
        })
        .map_or(0, |(i, _)| i);
    panic!(
        "{label} ({}): relative error {error:.3e} above {bound:.3e} ({routine} against {oracle:?}: {}); \
         worst element {worst}: got {:e}, want {:e}",
        core::any::type_name::<T>(),
        lookup::<T>(routine, oracle).reason,
        got[worst].to_f64(),
        want[worst],
    );
}

/// Asserts that two slices hold the same bits (NaN equals NaN).
///
/// # Panics
/// At the first element that differs.
#[track_caller]
pub fn assert_bits_equal<T: Real>(label: &str, a: &[T], b: &[T]) {
    assert_eq!(a.len(), b.len(), "{label}: lengths differ");
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        let (p, q) = (x.to_f64(), y.to_f64());
        assert!(
            p.to_bits() == q.to_bits() || (p.is_nan() && q.is_nan()),
            "{label}: element {i} differs: {p:e} and {q:e}"
        );
    }
}

/// Asserts that every element is finite.
///
/// # Panics
/// At the first that is not.
#[track_caller]
pub fn assert_finite<T: Real>(label: &str, a: &[T]) {
    for (i, x) in a.iter().enumerate() {
        assert!(x.is_finite(), "{label}: element {i} of {} is {x}", a.len());
    }
}

/// Asserts that a d × d row-major matrix equals its transpose bit by bit.
///
/// # Panics
/// At the first pair that differs.
#[track_caller]
pub fn assert_symmetric<T: Real>(label: &str, a: &[T], d: usize) {
    assert_eq!(a.len(), d * d, "{label}: not {d} × {d}");
    for i in 0..d {
        for j in 0..i {
            let (x, y) = (a[i * d + j], a[j * d + i]);
            assert!(x == y, "{label}: ({i}, {j}) is {x}, ({j}, {i}) is {y}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulps() {
        assert_eq!(ulp::<f64>(1.0), f64::EPSILON);
        assert_eq!(ulp::<f64>(1.999), f64::EPSILON);
        assert_eq!(ulp::<f64>(2.0), 2.0 * f64::EPSILON);
        assert_eq!(ulp::<f64>(0.75), 0.5 * f64::EPSILON);
        assert_eq!(ulp::<f32>(1.0), f64::from(f32::EPSILON));
        assert_eq!(ulp::<f64>(0.0), 5e-324);
        assert_eq!(ulp::<f64>(f64::MAX), 2.0f64.powi(971));
        assert_eq!(ulp::<f32>(1e-40), f64::from(f32::from_bits(1)));
        assert_eq!(ulp_error(1.0f64 + f64::EPSILON, 1.0), 1.0);
        assert_eq!(ulp_error(f32::INFINITY, 1e300), 0.0);
        assert_eq!(ulp_error(f32::NAN, 1.0), f64::INFINITY);
    }

    #[test]
    fn relative_errors() {
        assert_eq!(relative_error(&[1.0, f64::NAN], &[1.0, 2.0]), f64::INFINITY);
        assert_eq!(relative_error(&[1.0, 3.0], &[1.0, 2.0]), 0.5);
        assert_eq!(relative_error::<f64>(&[], &[]), 0.0);
    }
}
