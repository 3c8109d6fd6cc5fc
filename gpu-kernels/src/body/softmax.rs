//! The soft-max layer: probabilities, the loss's gradient, and the response metric diag(η) − ηηᵀ.
//!
//! A warp has a sample; its lanes stride over the classes. Sums are trees over lanes of chains in
//! the order of the classes.

use super::reduce::warp_sum;
use crate::contract::Classes;
use crate::device::{Device, WARP};
use crate::word::{Scalar, unroll};

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Samples of a block.
pub const ROWS: u32 = THREADS / WARP;

/// The largest of a value of every lane.
#[inline(always)]
fn warp_max<T: Scalar, D: Device>(d: D, value: T) -> T {
    let mut largest = value;
    unroll::<5>(
        #[inline(always)]
        |i| {
            let other = d.shuffle_xor(largest, WARP >> (i + 1));
            largest = if other > largest { other } else { largest };
        },
    );
    largest
}

/// `η[s] ← softmax(f[s])`, and `loss[s] ← −ln η[s, y_s]`, `δ[s] ← scale·(η[s] − e_{y_s})` for the
/// labels y. Shapes: η, δ, f n × C, loss and y n.
#[inline(always)]
pub fn softmax<T: Scalar, D: Device>(
    d: D,
    eta: D::Array<T>,
    delta: D::Array<T>,
    loss: D::Array<T>,
    logits: D::Array<T>,
    labels: D::Array<u32>,
    s: Classes<T>,
) {
    let sample = d.block()[0] * ROWS + d.warp();
    if sample >= s.samples {
        return;
    }
    let row = u64::from(sample) * u64::from(s.classes);
    let (eta, delta) = (d.advance(eta, row), d.advance(delta, row));
    let logits = d.advance(logits, row);
    let mut largest = -T::INFINITY;
    each(d, s.classes, |c| {
        let x = d.load(logits, c);
        largest = if x > largest { x } else { largest };
    });
    let largest = warp_max(d, largest);
    let label = d.load(labels, sample);
    // Without the label's own part 1 − η_y and ln(1/η_y) keep their digits as η_y → 1.
    let (mut own, mut others) = (T::ZERO, T::ZERO);
    each(d, s.classes, |c| {
        let part = (d.load(logits, c) - largest).exp();
        if c == label {
            own = part;
        } else {
            others += part;
        }
    });
    let (own, others) = (warp_sum(d, own), warp_sum(d, others));
    let sum = own + others;
    each(d, s.classes, |c| {
        let probability = (d.load(logits, c) - largest).exp() / sum;
        d.store(eta, c, probability);
        d.store(delta, c, s.scale * if c == label { -(others / sum) } else { probability });
    });
    if d.lane() == 0 {
        let gap = largest - d.load(logits, label);
        d.store(loss, sample, if gap == T::ZERO { others.ln_1p() } else { sum.ln() + gap });
    }
}

/// `R[s] ← diag(η[s]) − η[s]η[s]ᵀ`, packed: n × C(C + 1)/2. The diagonal is η_c times the sum of the
/// other probabilities, which cancels nothing.
#[inline(always)]
pub fn metric<T: Scalar, D: Device>(d: D, r: D::Array<T>, eta: D::Array<T>, s: Classes<T>) {
    let sample = d.block()[0] * ROWS + d.warp();
    if sample >= s.samples {
        return;
    }
    let eta = d.advance(eta, u64::from(sample) * u64::from(s.classes));
    let size = u64::from(s.classes) * (u64::from(s.classes) + 1) / 2;
    let r = d.advance(r, u64::from(sample) * size);
    let mut a = 0;
    while a < s.classes {
        let here = d.load(eta, a);
        let mut others = T::ZERO;
        each(d, s.classes, |c| {
            if c != a {
                others += d.load(eta, c);
            }
        });
        let others = warp_sum(d, others);
        let start = a * (a + 1) / 2;
        each(d, a + 1, |b| {
            let value = if b == a { here * others } else { -here * d.load(eta, b) };
            d.store(r, start + b, value);
        });
        a += 1;
    }
}

/// Row c of block s of `root` is `√η_c (e_c − η[s])`: the rows whose outer products sum to
/// diag(η) − ηηᵀ, from which KFLR goes backwards. Shape n·C × C.
#[inline(always)]
pub fn root<T: Scalar, D: Device>(d: D, root: D::Array<T>, eta: D::Array<T>, s: Classes<T>) {
    let sample = d.block()[0] * ROWS + d.warp();
    if sample >= s.samples {
        return;
    }
    let row = u64::from(sample) * u64::from(s.classes);
    let eta = d.advance(eta, row);
    let mut rows = d.advance(root, row * u64::from(s.classes));
    let mut class = 0;
    while class < s.classes {
        let scale = d.load(eta, class).root();
        each(d, s.classes, |c| {
            let unit = if c == class { T::ONE } else { T::ZERO };
            d.store(rows, c, scale * (unit - d.load(eta, c)));
        });
        rows = d.advance(rows, u64::from(s.classes));
        class += 1;
    }
}

/// The indices of a warp's lane below `count`.
#[inline(always)]
pub(super) fn each<D: Device>(d: D, count: u32, mut f: impl FnMut(u32)) {
    let mut i = d.lane();
    while i < count {
        f(i);
        i += WARP;
    }
}
