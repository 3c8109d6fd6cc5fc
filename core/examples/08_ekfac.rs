//! 08 — EKFAC: the right scale in the basis of K-FAC.
//!
//! K-FAC's block G ⊗ A has the eigenvectors u_i ⊗ v_j of its factors and, as eigenvalues, the products of
//! theirs. EKFAC keeps the vectors and puts on the diagonal what the samples say: S_ij, the mean squared
//! gradient along u_i ⊗ v_j. Of all diagonals in that basis it is the nearest to the exact block.
//!
//! ```sh
//! cargo run --release -p relfisher-core --example 08_ekfac
//! ```

use relfisher_core::curvature::{
    KronBasis, ekfac_scale, ekfac_scale_workspace_len, ekfac_solve, ekfac_solve_workspace_len,
};
use relfisher_core::kron::{KronEigen, kron_eigen_factor_workspace_len};
use relfisher_core::{Backend, Error, MatMut, MatRef, Portable};

const N: usize = 10;
const M: usize = 2;
const D: usize = 3;
const SIZE: usize = M * D;
const LAMBDA: f64 = 0.05;

fn main() -> Result<(), Error> {
    // Inputs, and output gradients that depend on them: exactly what G ⊗ A cannot see.
    let x: [f64; N * D] = core::array::from_fn(|k| match k % D {
        2 => 1.0,
        j => (2.1 * (k / D) as f64 + 1.3 * j as f64).sin(),
    });
    let delta: [f64; N * M] = core::array::from_fn(|k| {
        let x = &x[k / M * D..];
        if k % M == 0 { x[0] * x[0] - 0.4 } else { x[0] * x[1] + 0.2 }
    });
    let (inputs, deltas) = (MatRef::new(&x, N, D)?, MatRef::new(&delta, N, M)?);

    // The factors, and their eigenvectors in place.
    let (mut g, mut a, mean) = ([0.0; M * M], [0.0; D * D], 1.0 / N as f64);
    Portable.gram(MatMut::new(&mut g, M, M)?, 0.0, mean, deltas, None, &mut [])?;
    Portable.gram(MatMut::new(&mut a, D, D)?, 0.0, mean, inputs, None, &mut [])?;
    let (mut values_g, mut values_a) = ([0.0; M], [0.0; D]);
    let mut work = [0.0; kron_eigen_factor_workspace_len(M, D)];
    KronEigen::factor(
        &Portable,
        (MatMut::new(&mut g, M, M)?, &mut values_g),
        (MatMut::new(&mut a, D, D)?, &mut values_a),
        &mut work,
    )?;
    let basis = KronBasis { g: MatRef::new(&g, M, M)?, a: MatRef::new(&a, D, D)? };

    // Two rotations and a product of squares give all S_ij.
    let (mut scale, mut work) = ([0.0; SIZE], [0.0; ekfac_scale_workspace_len(N, M, D)]);
    let out = MatMut::new(&mut scale, M, D)?;
    ekfac_scale(&Portable, out, 0.0, mean, basis, (deltas, inputs), &mut work)?;

    // The exact block, sample by sample: the mean of (δ ⊗ x̃)(δ ⊗ x̃)ᵀ.
    let gradient = |s: usize, k: usize| delta[s * M + k / D] * x[s * D + k % D];
    let exact: [[f64; SIZE]; SIZE] = core::array::from_fn(|r| {
        core::array::from_fn(|c| (0..N).map(|s| gradient(s, r) * gradient(s, c) * mean).sum())
    });
    // Eigenvector (i, j) is u_i ⊗ v_j, from the columns of the bases; S_ij is the block along it.
    let vector = |i: usize, j: usize, k: usize| g[k / D * M + i] * a[k % D * D + j];
    for i in 0..M {
        for j in 0..D {
            let mut along = 0.0;
            for (r, row) in exact.iter().enumerate() {
                for (c, entry) in row.iter().enumerate() {
                    along += vector(i, j, r) * entry * vector(i, j, c);
                }
            }
            assert!((along - scale[i * D + j]).abs() < 1e-14, "S[{i}, {j}]");
        }
    }

    // Σ_ij S_ij (u_i ⊗ v_j)(u_i ⊗ v_j)ᵀ, formed only to compare.
    let formed = |scale: &[f64; SIZE]| -> [[f64; SIZE]; SIZE] {
        core::array::from_fn(|r| {
            core::array::from_fn(|c| {
                let terms =
                    (0..SIZE).map(|k| scale[k] * vector(k / D, k % D, r) * vector(k / D, k % D, c));
                terms.sum()
            })
        })
    };
    let products = core::array::from_fn(|k| values_g[k / D] * values_a[k % D]);
    let corrected = formed(&scale);
    let (kfac, ekfac) = (distance(&formed(&products), &exact), distance(&corrected, &exact));
    println!("distance from the exact block: K-FAC {kfac:.4}, EKFAC {ekfac:.4}");
    assert!(ekfac < kfac);

    // The damped step, multiplied back.
    let right: [f64; SIZE] = [1.0, -0.5, 0.2, 0.8, 0.1, -0.9];
    let (mut step, mut work) = (right, [0.0; ekfac_solve_workspace_len(M, D)]);
    let s = MatRef::new(&scale, M, D)?;
    ekfac_solve(&Portable, MatMut::new(&mut step, M, D)?, basis, s, LAMBDA, &mut work)?;
    println!("step {step:.4?}");
    for (r, row) in corrected.iter().enumerate() {
        let product: f64 = row.iter().zip(&step).map(|(a, b)| a * b).sum();
        assert!((product + LAMBDA * step[r] - right[r]).abs() < 1e-13, "row {r}");
    }
    Ok(())
}

/// ‖a − b‖/‖b‖ in the Frobenius norm.
fn distance(a: &[[f64; SIZE]; SIZE], b: &[[f64; SIZE]; SIZE]) -> f64 {
    let pairs = || a.iter().flatten().zip(b.iter().flatten());
    let difference: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
    (difference / pairs().map(|(_, b)| b * b).sum::<f64>()).sqrt()
}
