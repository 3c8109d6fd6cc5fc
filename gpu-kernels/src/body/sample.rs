//! The exact relative natural gradient in sample space: one small system for each neuron.
//!
//! (Ḡ_i + λI)⁻¹ g_i = (g_i − X̃ᵀ S_i (nλI + S_i K S_i)⁻¹ S_i X̃ g_i)/λ with K = X̃X̃ᵀ and S_i = diag √ν_i
//! (`docs/conventions.md`; ν = 0 is harmless). The products around it are those of
//! [`super::product`]: K and Z = X̃Gᵀ before, G/λ − (1/λ) ZᵀX̃ after.

use super::square::{self, Square, each_lower, factor};
use crate::contract::Samples;
use crate::device::{Device, Shared};
use crate::word::Scalar;

/// The most samples.
pub const MOST: u32 = 64;
/// Threads of a block.
pub const THREADS: u32 = 128;

/// Bytes of shared memory for n samples: a matrix, its diagonal, √ν, and two vectors.
pub const fn shared_bytes(n: u32, bytes: u32) -> u32 {
    (square::values(n) + 4 * n.next_multiple_of(4)) * bytes
}

/// Column i of `z ← S_i (λ'I + S_i K S_i)⁻¹ S_i z` for neuron i = block. Shapes: z, ν n × m, K n × n (the
/// lower triangle is read). A system that is not positive definite sets its flag to the pivot,
/// counted from 1, and leaves its column.
#[inline(always)]
pub fn solve<T: Scalar, D: Device>(
    d: D,
    z: D::Array<T>,
    flags: D::Array<u32>,
    k: D::Array<T>,
    nu: D::Array<T>,
    s: Samples<T>,
) {
    let (n, neuron) = (s.samples, d.block()[0]);
    let matrix = Square::new(Shared::<T>::at(0), n);
    let vector = |i: u32| Shared::<T>::at(0).skip(square::values(n) + i * n.next_multiple_of(4));
    let (roots, x, y, diagonal) = (vector(0), vector(1), vector(2), vector(3));
    let mut a = d.thread();
    while a < n {
        let at = a * s.neurons + neuron;
        let root = d.load(nu, at).root();
        d.shared_store(roots, a, root);
        d.shared_store(x, a, root * d.load(z, at));
        a += THREADS;
    }
    d.barrier();
    each_lower(d, 0, n, |i, j| {
        let scale = d.shared_load(roots, i) * d.shared_load(roots, j);
        let mut value = scale * d.load(k, i * n + j);
        if i == j {
            value += s.damping;
            d.shared_store(diagonal, i, value);
        }
        matrix.set(d, i, j, value);
    });
    let refused = factor(d, matrix, diagonal, n);
    if d.thread() == 0 {
        d.store(flags, neuron, refused);
    }
    if refused != 0 {
        return;
    }
    square::solve(d, matrix, x, y, n);
    d.barrier();
    let mut a = d.thread();
    while a < n {
        let value = d.shared_load(roots, a) * d.shared_load(x, a);
        d.store(z, a * s.neurons + neuron, value);
        a += THREADS;
    }
}
