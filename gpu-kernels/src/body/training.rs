//! What a training step needs around its products: labels drawn from the model, and a memory of
//! what went wrong, so that the host need not wait.

use super::elementwise::each;
use crate::contract::Classes;
use crate::device::Device;
use crate::word::Scalar;

/// `δ_s ← η_s − e_y` for a class y drawn from η_s with the number u_s in 0..1: the first one whose
/// cumulated probability exceeds u_s·Σ η_s. A thread has a sample. Shapes: δ, η n × C, u n. The scale
/// is not used. The element of the class is minus the sum of the others, which cancels nothing.
#[inline(always)]
pub fn draw<T: Scalar, D: Device>(
    d: D,
    delta: D::Array<T>,
    eta: D::Array<T>,
    uniform: D::Array<f64>,
    s: Classes<T>,
) {
    each(d, u64::from(s.samples), |start, i| {
        let row = (start + u64::from(i)) * u64::from(s.classes);
        let (eta, delta) = (d.advance(eta, row), d.advance(delta, row));
        let mut sum = 0.0;
        let mut c = 0;
        while c < s.classes {
            sum += d.load(eta, c).to_f64();
            c += 1;
        }
        let mut left = d.load(d.advance(uniform, start), i) * sum;
        // The last class, should rounding leave a rest.
        let (mut class, mut found) = (s.classes - 1, false);
        c = 0;
        while c < s.classes {
            left -= d.load(eta, c).to_f64();
            if left < 0.0 && !found {
                (class, found) = (c, true);
            }
            c += 1;
        }
        let mut others = T::ZERO;
        c = 0;
        while c < s.classes {
            if c != class {
                let p = d.load(eta, c);
                others += p;
                d.store(delta, c, p);
            }
            c += 1;
        }
        d.store(delta, class, -others);
    });
}

/// `δ_i ← p_i − y_i`, p = sigm z, with y_i = 1 for u_i < p_i and 0 otherwise: labels of independent
/// Bernoulli outputs drawn with the numbers u in 0..1.
#[inline(always)]
pub fn draw_bernoulli<T: Scalar, D: Device>(
    d: D,
    delta: D::Array<T>,
    logits: D::Array<T>,
    uniform: D::Array<f64>,
    count: u64,
) {
    each(d, count, |start, i| {
        let p = d.load(d.advance(logits, start), i).sigm();
        let one = d.load(d.advance(uniform, start), i) < p.to_f64();
        d.store(d.advance(delta, start), i, if one { p - T::ONE } else { p });
    });
}

/// Counts in `broken[step]` the threads that met a value that is not finite.
#[inline(always)]
pub fn watch<T: Scalar, D: Device>(
    d: D,
    broken: D::Array<u32>,
    values: D::Array<T>,
    count: u64,
    step: u32,
) {
    let mut bad = 0;
    each(d, count, |start, i| {
        if !d.load(d.advance(values, start), i).is_finite() {
            bad += 1;
        }
    });
    if bad > 0 {
        d.atomic_add(broken, step, 1);
    }
}

/// `worst[i] ← last[i] + offset` where nothing stands there yet and `last[i]` is not 0.
#[inline(always)]
pub fn keep<D: Device>(d: D, worst: D::Array<u32>, last: D::Array<u32>, count: u64, offset: u32) {
    each(d, count, |start, i| {
        let (worst, last) = (d.advance(worst, start), d.load(d.advance(last, start), i));
        if d.load(worst, i) == 0 && last != 0 {
            d.store(worst, i, last + offset);
        }
    });
}
