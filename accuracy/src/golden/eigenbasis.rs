//! Eigenbases and second moments in them, compared through what is unique.

use super::Tensor;
use crate::dense::{product, transpose};

/// How far the columns of `basis` are from orthonormal eigenvectors of the symmetric `matrix`,
/// eigenvalues ascending: the largest of max |QᵀQ − I|, and relative to max |A|, of
/// max |AQ − Q diag(QᵀAQ)| and of the descents of diag(QᵀAQ).
///
/// Infinite when the shapes do not fit or an element is not finite.
pub(crate) fn eigenbasis_error(basis: &Tensor, matrix: &Tensor) -> f64 {
    let (Some((n, columns)), Some(sides)) = (basis.sides(), matrix.sides()) else {
        return f64::INFINITY;
    };
    if columns != n || sides != (n, n) {
        return f64::INFINITY;
    }
    let (q, scale) = (&basis.data, matrix.largest());
    let image = product(&matrix.data, q, n, n);
    let gram = product(&transpose(q, n, n), q, n, n);
    let eigenvalues: Vec<f64> =
        (0..n).map(|j| (0..n).map(|i| q[i * n + j] * image[i * n + j]).sum()).collect();
    let mut residuals = Vec::with_capacity(3 * n * n);
    for i in 0..n {
        for j in 0..n {
            let residual = image[i * n + j] - q[i * n + j] * eigenvalues[j];
            residuals.push(over(residual, scale));
            residuals.push(gram[i * n + j] - if i == j { 1.0 } else { 0.0 });
        }
    }
    residuals.extend(eigenvalues.windows(2).map(|pair| over((pair[0] - pair[1]).max(0.0), scale)));
    if residuals.iter().all(|r| r.is_finite()) {
        residuals.iter().fold(0.0, |m: f64, r| m.max(r.abs()))
    } else {
        f64::INFINITY
    }
}

fn over(x: f64, scale: f64) -> f64 {
    if scale > 0.0 { x / scale } else { x }
}

/// Q_G, Q_A and λ of one layer.
pub(super) struct Eigenform<'a> {
    /// Q_G (m, m), columns.
    pub(super) output: &'a Tensor,
    /// Q_A (d̃, d̃), columns.
    pub(super) input: &'a Tensor,
    /// λ (m, d̃).
    pub(super) moments: &'a Tensor,
}

impl Eigenform<'_> {
    /// m and d̃, when the three shapes fit together.
    pub(super) fn sides(&self) -> Option<(usize, usize)> {
        let (m, d) = self.moments.sides()?;
        let fits = self.output.sides() == Some((m, m)) && self.input.sides() == Some((d, d));
        fits.then_some((m, d))
    }

    /// diag(Qᵀ B Q) with Q = Q_G ⊗ Q_A, shape (m, d̃): what λ must be for this block B.
    pub(super) fn moments_of(&self, block: &Tensor) -> Option<Tensor> {
        let (m, d) = self.sides()?;
        let p = m * d;
        if block.sides() != Some((p, p)) {
            return None;
        }
        let (g, a) = (&self.output.data, &self.input.data);
        let left = transpose(g, m, m);
        let mut data = vec![0.0; p];
        for (k, row) in block.data.chunks_exact(p.max(1)).enumerate() {
            // Row k of BQ, as (m, d̃), times row k of Q.
            let image = product(&product(&left, row, m, d), a, m, d);
            let (output, input) = (&g[k / d * m..][..m], &a[k % d * d..][..d]);
            for (index, x) in image.iter().enumerate() {
                data[index] += output[index / d] * input[index % d] * x;
            }
        }
        Some(Tensor { shape: vec![m, d], data })
    }

    /// (Q_G ⊗ Q_A) diag λ (Q_G ⊗ Q_A)ᵀ times each column of `probe`, shape (m·d̃, k).
    pub(super) fn apply(&self, probe: &Tensor) -> Option<Tensor> {
        let (m, d) = self.sides()?;
        let (rows, k) = probe.sides()?;
        if rows != m * d {
            return None;
        }
        let (g, a) = (&self.output.data, &self.input.data);
        let mut data = vec![0.0; rows * k];
        for c in 0..k {
            let v: Vec<f64> = (0..rows).map(|i| probe.data[i * k + c]).collect();
            // Q_G (λ ∘ (Q_Gᵀ V Q_A)) Q_Aᵀ
            let left = product(&transpose(g, m, m), &v, m, d);
            let mut inner = product(&left, a, m, d);
            inner.iter_mut().zip(&self.moments.data).for_each(|(x, l)| *x *= l);
            let left = product(g, &inner, m, d);
            let image = product(&left, &transpose(a, d, d), m, d);
            image.iter().enumerate().for_each(|(i, x)| data[i * k + c] = *x);
        }
        Some(Tensor { shape: vec![rows, k], data })
    }
}
