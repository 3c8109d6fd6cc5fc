//! 04 — Kronecker algebra: a large matrix that is never formed.
//!
//! A block of a layer with m outputs and d inputs has (m·d)² entries. Taken as a Kronecker product G ⊗ A it
//! has m² + d², and everything that a step needs comes from the two factors:
//!
//! (G ⊗ A) vec(V) = vec(G V Aᵀ),  (G ⊗ A)⁻¹ = G⁻¹ ⊗ A⁻¹,  ln det(G ⊗ A) = d ln det G + m ln det A.
//!
//! vec is row-major: entry (i, j) of V has the index i·d + j. Here the large matrix is small enough to be
//! formed after all, to compare.
//!
//! ```sh
//! cargo run --release -p relfisher-core --example 04_kronecker
//! ```

use relfisher_core::kron::{self, Damping, KronCholesky, KronEigen};
use relfisher_core::{Error, MatMut, MatRef, Portable};

const M: usize = 2;
const D: usize = 3;
const SIZE: usize = M * D;
const G: [f64; M * M] = [2.0, 0.5, 0.5, 1.0];
const A: [f64; D * D] = [1.5, 0.2, -0.3, 0.2, 0.8, 0.1, -0.3, 0.1, 0.4];
const V: [f64; SIZE] = [1.0, -2.0, 0.5, 0.3, 0.7, -1.1];
const LAMBDA: f64 = 0.1;

fn main() -> Result<(), Error> {
    let (g, a, v) = (MatRef::new(&G, M, M)?, MatRef::new(&A, D, D)?, MatRef::new(&V, M, D)?);

    // A product: two small ones instead of a large one.
    let mut product = [0.0; SIZE];
    let mut work = [0.0; kron::apply_workspace_len(M, D)];
    kron::apply(&Portable, MatMut::new(&mut product, M, D)?, g, a, v, &mut work)?;
    close("(G ⊗ A) v", &product, &times(&dense(&G, &A, 0.0), &V));

    // A damped inverse, first way: G ⊗ A + λI exactly, in the eigenbases of the factors. The factors are
    // overwritten, so copies go in.
    let (mut basis_g, mut basis_a) = (G, A);
    let (mut values_g, mut values_a) = ([0.0; M], [0.0; D]);
    let mut work = [0.0; kron::kron_eigen_factor_workspace_len(M, D)];
    let eigen = KronEigen::factor(
        &Portable,
        (MatMut::new(&mut basis_g, M, M)?, &mut values_g),
        (MatMut::new(&mut basis_a, D, D)?, &mut values_a),
        &mut work,
    )?;
    let mut exact = V;
    let mut work = [0.0; kron::kron_eigen_apply_workspace_len(M, D)];
    eigen.solve(&Portable, MatMut::new(&mut exact, M, D)?, LAMBDA, &mut work)?;
    // What was solved is multiplied back with the dense matrix.
    close("(G ⊗ A + λI)⁻¹ v, back", &times(&dense(&G, &A, LAMBDA), &exact), &V);

    // The second way, that of K-FAC: λ is split between the factors, G + (√λ/π)I and A + (π√λ)I. Two small
    // Cholesky factors instead of eigenvectors; another matrix, near the first.
    let split = kron::split_damping(g, a, LAMBDA, Damping::Pi)?;
    let (mut root_g, mut root_a) = (G, A);
    let factors = KronCholesky::factor(
        &Portable,
        MatMut::new(&mut root_g, M, M)?,
        MatMut::new(&mut root_a, D, D)?,
        split,
    )?;
    let mut by_factors = V;
    let mut work = [0.0; kron::kron_cholesky_solve_workspace_len(M, D)];
    factors.solve(&Portable, MatMut::new(&mut by_factors, M, D)?, &mut work)?;
    let damped = dense(&shifted(&G, split.g), &shifted(&A, split.a), 0.0);
    close("split damping, back", &times(&damped, &by_factors), &V);
    println!("exact {exact:.4?}\nsplit {by_factors:.4?}");

    // The determinant, against the pivots of Gaussian elimination on the dense matrix.
    let (ours, theirs) = (eigen.log_determinant(LAMBDA)?, log_det(dense(&G, &A, LAMBDA)));
    println!("ln det(G ⊗ A + λI) = {ours:.12}");
    assert!((ours - theirs).abs() < 1e-12);
    Ok(())
}

/// G ⊗ A + λI with its M·D rows and columns.
fn dense(g: &[f64], a: &[f64], lambda: f64) -> [[f64; SIZE]; SIZE] {
    core::array::from_fn(|r| {
        core::array::from_fn(|c| {
            let entry = g[r / D * M + c / D] * a[r % D * D + c % D];
            if r == c { entry + lambda } else { entry }
        })
    })
}

fn times(matrix: &[[f64; SIZE]; SIZE], v: &[f64; SIZE]) -> [f64; SIZE] {
    matrix.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
}

/// A square matrix with `more` on its diagonal.
fn shifted<const K: usize>(matrix: &[f64; K], more: f64) -> [f64; K] {
    let order = K.isqrt();
    core::array::from_fn(|i| matrix[i] + if i / order == i % order { more } else { 0.0 })
}

fn log_det(mut m: [[f64; SIZE]; SIZE]) -> f64 {
    let mut sum = 0.0;
    for k in 0..SIZE {
        sum += m[k][k].ln();
        let pivot = m[k];
        for row in &mut m[k + 1..] {
            let factor = row[k] / pivot[k];
            row.iter_mut().zip(pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    sum
}

fn close(what: &str, got: &[f64], want: &[f64]) {
    let worst = got.iter().zip(want).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
    println!("{what}: {worst:.1e} from the dense matrix");
    assert!(worst < 1e-12, "{what}: {got:?} instead of {want:?}");
}
