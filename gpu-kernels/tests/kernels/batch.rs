//! Batched factorisations and solves against the core in f64 and against what they decompose.

use relfisher_core::{MatMut, MatRef, factor};
use relfisher_kernels::Scalar;
use relfisher_kernels::body::{cholesky, jacobi, triangle};
use relfisher_kernels::contract::{Batch, RightSides, Triangles};
use relfisher_kernels::emulator::Buffer;

use crate::compare::{assert_close, to_f64};
use crate::random::Random;
use crate::run::{contract, run, run_with};
use crate::tolerance::{Oracle, tolerance};

/// How the matrices of a batch are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storage {
    Full,
    Packed,
}

fn pack<T: Scalar>(a: &[T], n: usize, storage: Storage) -> Vec<T> {
    match storage {
        Storage::Full => a.to_vec(),
        Storage::Packed => (0..n).flat_map(|i| a[i * n..=i * n + i].iter().copied()).collect(),
    }
}

fn batch<T: Scalar>(n: usize, storage: Storage, damping: f64) -> Batch<T> {
    let (distance, row) = match storage {
        Storage::Full => (n * n, n),
        Storage::Packed => (n * (n + 1) / 2, 0),
    };
    let damping = T::from_f64(damping);
    Batch { distance: distance as u64, order: n as u32, row: row as u32, damping }
}

/// The factor of A + λI by the core in f64, as it is stored.
fn reference<T: Scalar>(a: &[T], n: usize, damping: f64, storage: Storage) -> Vec<f64> {
    let mut wide = to_f64(a);
    let matrix = MatMut::new(&mut wide, n, n).expect("a square matrix");
    factor::cholesky(matrix, damping).expect("a positive definite matrix");
    pack(&wide, n, storage)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    Large,
}

fn factorisations<T: Scalar>(name: &str, size: Size, orders: &[usize]) {
    for &n in orders {
        for storage in [Storage::Full, Storage::Packed] {
            let mut random = Random::new(n as u64);
            let matrices: Vec<Vec<T>> = (0..3).map(|_| random.spd(n, 10.0)).collect();
            let stored: Vec<T> = matrices.iter().flat_map(|a| pack(a, n, storage)).collect();
            let mut a = Buffer::from_slice(&stored);
            let mut flags = Buffer::<u32>::unwritten(3);
            let b = batch::<T>(n, storage, 0.25);
            let (to, to_flags) = (a.output(), flags.output());
            let bytes = match size {
                Size::Small => cholesky::small_bytes(n as u32, T::BYTES),
                Size::Large => cholesky::large_bytes(T::BYTES),
            };
            run_with(name, [3, 1, 1], contract(name).threads, bytes, |d| match size {
                Size::Small => cholesky::small(d, to, to_flags, b),
                Size::Large => cholesky::large(d, to, to_flags, b),
            });
            assert_eq!(flags.to_vec(), [0, 0, 0], "{name} {n} {storage:?}");
            let want: Vec<f64> =
                matrices.iter().flat_map(|a| reference(a, n, 0.25, storage)).collect();
            let what = format!("{name} {n} {storage:?}");
            assert_close(&what, &a.to_vec(), &want, "cholesky_solve", Oracle::Dense, n);
        }
    }
}

#[test]
fn cholesky_factors_of_small_matrices() {
    factorisations::<f32>("cholesky_small_f32", Size::Small, &[1, 2, 31, 33, 64]);
    factorisations::<f64>("cholesky_small_f64", Size::Small, &[1, 17, 64]);
}

#[test]
fn cholesky_factors_of_large_matrices() {
    factorisations::<f32>("cholesky_large_f32", Size::Large, &[1, 31, 32, 33, 100, 130]);
    factorisations::<f64>("cholesky_large_f64", Size::Large, &[5, 65, 97]);
}

/// A matrix that is not positive definite flags itself and spoils no other.
fn failures(name: &str, size: Size, n: usize) {
    let mut random = Random::new(77);
    let mut matrices: Vec<Vec<f32>> = (0..4).map(|_| random.spd(n, 10.0)).collect();
    let pivot = n - 2;
    matrices[1][pivot * n + pivot] = -1.0;
    matrices[2][0] = f32::NAN;
    let mut a = Buffer::from_slice(&matrices.concat());
    let mut flags = Buffer::<u32>::unwritten(4);
    let b = batch::<f32>(n, Storage::Full, 0.0);
    let (to, to_flags) = (a.output(), flags.output());
    let bytes = contract(name).shared_bytes;
    run_with(name, [4, 1, 1], contract(name).threads, bytes, |d| match size {
        Size::Small => cholesky::small(d, to, to_flags, b),
        Size::Large => cholesky::large(d, to, to_flags, b),
    });
    assert_eq!(flags.to_vec(), [0, pivot as u32 + 1, 1, 0], "{name}");
    let factors = a.to_vec();
    for i in [0, 3] {
        let want = reference(&matrices[i], n, 0.0, Storage::Full);
        let got = &factors[i * n * n..(i + 1) * n * n];
        assert_close(name, got, &want, "cholesky_solve", Oracle::Dense, n);
    }
}

#[test]
fn a_failed_factorisation_flags_its_own_matrix() {
    failures("cholesky_small_f32", Size::Small, 20);
    failures("cholesky_large_f32", Size::Large, 70);
}

fn solves<T: Scalar>(name: &str, orders: &[usize]) {
    for &n in orders {
        for storage in [Storage::Full, Storage::Packed] {
            let mut random = Random::new(n as u64);
            let (matrices, sides) = (2, 3);
            let spd: Vec<Vec<T>> = (0..matrices).map(|_| random.spd(n, 10.0)).collect();
            let factors: Vec<f64> =
                spd.iter().flat_map(|a| reference(a, n, 0.0, storage)).collect();
            let rounded: Vec<T> = factors.iter().map(|x| T::from_f64(*x)).collect();
            // Right sides in the columns of an n × 3 matrix.
            let right: Vec<T> = random.normals(matrices * n * sides);
            let (l, mut x) = (Buffer::from_slice(&rounded), Buffer::from_slice(&right));
            let places =
                RightSides { distance: (n * sides) as u64, side: 1, element: sides as u32 };
            let b = batch::<T>(n, storage, 0.0);
            let (to, from) = (x.output(), l.input());
            let bytes = cholesky::solve_bytes(n as u32, T::BYTES);
            let grid = [matrices as u32, sides as u32, 1];
            run_with(name, grid, contract(name).threads, bytes, |d| {
                cholesky::solve(d, to, from, b, places);
            });
            let mut want = to_f64(&right);
            for (a, x) in spd.iter().zip(want.chunks_mut(n * sides)) {
                let full = reference(a, n, 0.0, Storage::Full);
                let l = MatRef::new(&full, n, n).expect("a square matrix");
                let x = MatMut::new(x, n, sides).expect("right sides");
                factor::cholesky_solve(x, l).expect("a regular factor");
            }
            let what = format!("{name} {n} {storage:?}");
            assert_close(&what, &x.to_vec(), &want, "cholesky_solve", Oracle::Dense, n);
        }
    }
}

#[test]
fn solves_with_the_factors() {
    solves::<f32>("cholesky_solve_f32", &[1, 31, 32, 33, 100]);
    solves::<f64>("cholesky_solve_f64", &[7, 97]);
}

fn decompositions<T: Scalar>(name: &str, size: Size, orders: &[usize]) {
    for &n in orders {
        let mut random = Random::new(n as u64);
        let mut matrices: Vec<Vec<T>> = vec![random.spd(n, 100.0), random.spd(n, 1.5)];
        // A matrix of many equal eigenvalues: the identity.
        matrices.push((0..n * n).map(|i| if i / n == i % n { T::ONE } else { T::ZERO }).collect());
        let count = matrices.len();
        let mut a = Buffer::from_slice(&matrices.concat());
        let mut values = Buffer::<T>::unwritten(count * n);
        let mut flags = Buffer::<u32>::unwritten(count);
        let mut work = Buffer::<T>::unwritten(2 * count * n * n);
        let b = batch::<T>(n, Storage::Full, 0.0);
        let (to, to_values, to_flags) = (a.output(), values.output(), flags.output());
        let scratch = work.output();
        let bytes = match size {
            Size::Small => jacobi::small_bytes(n as u32, T::BYTES),
            Size::Large => jacobi::large_bytes(n as u32, T::BYTES),
        };
        let blocks = [count as u32, 1, 1];
        run_with(name, blocks, contract(name).threads, bytes, |d| match size {
            Size::Small => jacobi::small(d, to, to_values, to_flags, b),
            Size::Large => jacobi::large(d, to, to_values, to_flags, scratch, b),
        });
        assert_eq!(flags.to_vec(), vec![0; count], "{name} {n}");
        let (vectors, values) = (a.to_vec(), values.to_vec());
        for (i, original) in matrices.iter().enumerate() {
            let u = to_f64(&vectors[i * n * n..(i + 1) * n * n]);
            let lambda = to_f64(&values[i * n..(i + 1) * n]);
            assert!(lambda.is_sorted(), "{name} {n}: eigenvalues not ascending");
            check_decomposition::<T>(name, &to_f64(original), &u, &lambda);
        }
    }
}

/// A = U diag(λ) Uᵀ and UᵀU = I.
fn check_decomposition<T: Scalar>(name: &str, a: &[f64], u: &[f64], lambda: &[f64]) {
    let n = lambda.len();
    let bound = tolerance::<T>("eigh", Oracle::Identity, n);
    for i in 0..n {
        for j in 0..n {
            let back: f64 = (0..n).map(|k| u[i * n + k] * lambda[k] * u[j * n + k]).sum();
            let error = (back - a[i * n + j]).abs();
            assert!(error <= bound, "{name} {n}: A off by {error:e} at ({i}, {j})");
            let gram: f64 = (0..n).map(|k| u[k * n + i] * u[k * n + j]).sum();
            let error = (gram - f64::from(i == j)).abs();
            assert!(error <= bound, "{name} {n}: UᵀU off by {error:e} at ({i}, {j})");
        }
    }
}

#[test]
fn eigenvectors_of_small_matrices() {
    decompositions::<f32>("jacobi_small_f32", Size::Small, &[1, 2, 3, 31, 32, 33, 64]);
    decompositions::<f64>("jacobi_small_f64", Size::Small, &[5, 48]);
}

#[test]
fn eigenvectors_of_large_matrices() {
    decompositions::<f32>("jacobi_large_f32", Size::Large, &[2, 70]);
    decompositions::<f64>("jacobi_large_f64", Size::Large, &[33]);
}

#[test]
fn a_matrix_without_eigenvalues_is_flagged() {
    let mut matrix = vec![1.0f32; 9];
    matrix[4] = f32::NAN;
    let good = [2.0f32, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 1.0];
    matrix.extend(good);
    let (mut a, mut values) = (Buffer::from_slice(&matrix), Buffer::<f32>::unwritten(6));
    let mut flags = Buffer::<u32>::unwritten(2);
    let b = batch::<f32>(3, Storage::Full, 0.0);
    let (to, to_values, to_flags) = (a.output(), values.output(), flags.output());
    let name = "jacobi_small_f32";
    let bytes = jacobi::small_bytes(3, 4);
    run_with(name, [2, 1, 1], contract(name).threads, bytes, |d| {
        jacobi::small(d, to, to_values, to_flags, b);
    });
    assert_eq!(flags.to_vec(), [jacobi::SWEEPS, 0]);
    assert_eq!(values.to_vec()[3..], [1.0, 2.0, 3.0]);
}

/// L W against the identity, block by block, with gaps between rows and NaN wherever nothing is read.
fn triangles<T: Scalar>(name: &str) {
    for n in [1usize, 5, 64, 150] {
        let (l_row, w_row) = (n + 2, n + 3);
        let mut random = Random::new(n as u64);
        let mut l = vec![T::NAN; n * l_row];
        for i in 0..n {
            let off: Vec<T> = random.uniforms(i, -0.3, 0.3);
            l[i * l_row..i * l_row + i].copy_from_slice(&off);
            l[i * l_row + i] = T::from_f64(1.0 + i as f64 / n as f64);
        }
        let input = Buffer::from_slice(&l);
        let mut inverse = Buffer::<T>::unwritten(n * w_row);
        let (to, from) = (inverse.output(), input.input());
        let t = Triangles { order: n as u32, l: l_row as u32, w: w_row as u32 };
        let blocks = (n as u32).div_ceil(triangle::ORDER);
        run(name, [blocks, 1, 1], |d| triangle::invert(d, to, from, t));
        let w = inverse.to_vec();
        let side = triangle::ORDER as usize;
        for first in (0..n).step_by(side) {
            let block = first..n.min(first + side);
            let mut product = Vec::new();
            for (i, j) in block.clone().flat_map(|i| block.clone().map(move |j| (i, j))) {
                let term = |k: usize| l[i * l_row + k].to_f64() * w[k * w_row + j].to_f64();
                product.push(T::from_f64((first..=i).map(term).sum()));
                assert!(j <= i || w[i * w_row + j] == T::ZERO, "{name} {n}: above the diagonal");
            }
            let order = block.len();
            let want: Vec<f64> =
                (0..order * order).map(|at| f64::from(at / order == at % order)).collect();
            let what = format!("{name} {n}, block at {first}");
            assert_close(&what, &product, &want, "cholesky_solve", Oracle::Dense, order);
        }
        // Nothing outside the blocks was written.
        let outside = |at: usize| at % w_row >= n || (at / w_row) / side != (at % w_row) / side;
        assert!((0..w.len()).filter(|at| outside(*at)).all(|at| w[at].to_f64().is_nan()), "{name}");
    }
}

#[test]
fn inverses_of_the_diagonal_blocks_of_a_triangle() {
    triangles::<f32>("triangle_inverse_f32");
    triangles::<f64>("triangle_inverse_f64");
}
