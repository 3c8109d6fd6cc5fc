//! Whole computations that are made of several launches.

use relfisher_kernels::Scalar;
use relfisher_kernels::body::fma::Fma;
use relfisher_kernels::body::{product, sample};
use relfisher_kernels::contract::{Divided, Extent, Product, Samples, Strides, Update};
use relfisher_kernels::emulator::Buffer;

use crate::compare::{assert_close, to_f64};
use crate::random::Random;
use crate::run::{contract, run, run_with};
use crate::tolerance::Oracle;

/// What a product of plain matrices needs.
fn plain<T: Scalar>([m, n, k]: [usize; 3], a: usize, b: usize, update: Update<T>) -> Product<T> {
    Product {
        extent: Extent::whole(m as u32, n as u32, k as u32),
        strides: Strides { a: a as u32, b: b as u32, c: n as u32 },
        update,
    }
}

fn once<T: Scalar>() -> Update<T> {
    Update { alpha: T::ONE, beta: T::ZERO }
}

/// A x by Gaussian elimination with partial pivoting, in f64.
pub(crate) fn eliminate(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut rows: Vec<Vec<f64>> =
        (0..n).map(|i| a[i * n..(i + 1) * n].iter().copied().chain([b[i]]).collect()).collect();
    for k in 0..n {
        let pivot = (k..n).max_by(|i, j| rows[*i][k].abs().total_cmp(&rows[*j][k].abs()));
        rows.swap(k, pivot.expect("a row"));
        let (head, tail) = rows.split_at_mut(k + 1);
        for row in tail {
            let factor = row[k] / head[k][k];
            for (x, y) in row.iter_mut().zip(&head[k]).skip(k) {
                *x -= factor * y;
            }
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let sum: f64 = (k + 1..n).map(|j| rows[k][j] * x[j]).sum();
        x[k] = (rows[k][n] - sum) / rows[k][k];
    }
    x
}

/// The relative natural gradient of a layer in four launches: K = XXᵀ, Z = XGᵀ, the systems, and
/// G/λ − (1/λ)ZᵀX; against the dense metric of each neuron.
fn natural_gradient<T: Scalar>(name: &str, gemms: [&str; 2], side: u32) {
    let (n, m, d, damping) = (50usize, 7usize, 61usize, 0.1);
    let mut random = Random::new(61);
    let x: Vec<T> = random.augmented(n, d - 1);
    // A neuron without any activity among them: ν = 0 must be harmless.
    let mut nu: Vec<T> = random.uniforms(n * m, 0.0, 1.0);
    for s in 0..n {
        nu[s * m + 3] = T::ZERO;
    }
    let g: Vec<T> = random.normals(m * d);
    let (inputs, weights) = (Buffer::from_slice(&x), Buffer::from_slice(&nu));
    let gradient = Buffer::from_slice(&g);
    let mut kernel = Buffer::<T>::unwritten(n * n);
    let mut z = Buffer::<T>::unwritten(n * m);
    let grid = |rows: usize, columns: usize| {
        [(columns as u32).div_ceil(side), (rows as u32).div_ceil(side), 1]
    };
    let nt = |to, from, with, p| {
        run(gemms[0], grid_of(&p, side), |dev| engine_nt::<T>(dev, [to, from, with], p));
    };
    nt(kernel.output(), inputs.input(), inputs.input(), plain([n, n, d], d, d, once()));
    nt(z.output(), inputs.input(), gradient.input(), plain([n, m, d], d, d, once()));
    let mut flags = Buffer::<u32>::unwritten(m);
    let systems =
        Samples { samples: n as u32, neurons: m as u32, damping: T::from_f64(n as f64 * damping) };
    let (to, to_flags) = (z.output(), flags.output());
    let (from, with) = (kernel.input(), weights.input());
    let bytes = sample::shared_bytes(n as u32, T::BYTES);
    run_with(name, [m as u32, 1, 1], contract(name).threads, bytes, |dev| {
        sample::solve(dev, to, to_flags, from, with, systems);
    });
    assert_eq!(flags.to_vec(), vec![0; m]);
    let mut step = Buffer::from_slice(&g);
    let inverse = T::from_f64(1.0 / damping);
    let p = plain([m, d, n], m, d, Update { alpha: -inverse, beta: inverse });
    let (to, from, with) = (step.output(), z.input(), inputs.input());
    run(gemms[1], grid(m, d), |dev| engine_tn::<T>(dev, [to, from, with], p));

    let (wide, rounded_damping) = (to_f64(&x), 1.0 / inverse.to_f64());
    let mut want = Vec::new();
    for i in 0..m {
        let mut metric = vec![0.0; d * d];
        for (at, entry) in metric.iter_mut().enumerate() {
            let (a, b) = (at / d, at % d);
            let sum: f64 =
                (0..n).map(|s| nu[s * m + i].to_f64() * wide[s * d + a] * wide[s * d + b]).sum();
            *entry = sum / n as f64 + if a == b { rounded_damping } else { 0.0 };
        }
        want.extend(eliminate(&metric, &to_f64(&g[i * d..(i + 1) * d]), d));
    }
    assert_close(name, &step.to_vec(), &want, "scaled_gram_solve", Oracle::Dense, n);
}

fn grid_of<T>(p: &Product<T>, side: u32) -> [u32; 3] {
    [p.extent.columns.div_ceil(side), p.extent.rows.div_ceil(side), 1]
}

type Views<'m, T> = [relfisher_kernels::emulator::View<'m, T>; 3];
type Thread<'m, 'b> = relfisher_kernels::emulator::Thread<'m, 'b>;

/// Tiles of 64 serve both types.
fn engine_nt<'m, T: Scalar>(d: Thread<'m, '_>, [c, a, b]: Views<'m, T>, p: Product<T>) {
    product::nt::<T, _, Fma<4>>(d, c, a, b, p);
}
fn engine_tn<'m, T: Scalar>(d: Thread<'m, '_>, [c, a, b]: Views<'m, T>, p: Product<T>) {
    product::tn::<T, _, Fma<4>>(d, c, a, b, p);
}
fn engine_nn<'m, T: Scalar>(d: Thread<'m, '_>, [c, a, b]: Views<'m, T>, p: Product<T>) {
    product::nn::<T, _, Fma<4>>(d, c, a, b, p);
}

#[test]
fn the_exact_relative_natural_gradient_in_sample_space() {
    natural_gradient::<f64>("sample_solve_f64", ["gemm_nt_f64", "gemm_tn_f64"], 64);
}

#[test]
fn a_singular_system_flags_its_own_neuron() {
    let (n, m) = (5usize, 3usize);
    let mut random = Random::new(71);
    let k: Vec<f32> = random.spd(n, 4.0);
    let mut nu: Vec<f32> = random.uniforms(n * m, 0.5, 1.0);
    // Without damping, a neuron that a sample does not reach has a singular system.
    nu[2 * m + 1] = 0.0;
    let (kernel, weights) = (Buffer::from_slice(&k), Buffer::from_slice(&nu));
    let right: Vec<f32> = random.normals(n * m);
    let (mut z, mut flags) = (Buffer::from_slice(&right), Buffer::<u32>::unwritten(m));
    let s = Samples { samples: n as u32, neurons: m as u32, damping: 0.0 };
    let (to, to_flags, from, with) = (z.output(), flags.output(), kernel.input(), weights.input());
    let name = "sample_solve_f32";
    let bytes = sample::shared_bytes(n as u32, 4);
    run_with(name, [m as u32, 1, 1], contract(name).threads, bytes, |d| {
        sample::solve(d, to, to_flags, from, with, s);
    });
    assert_eq!(flags.to_vec(), [0, 3, 0]);
    // S (S K S)⁻¹ S = K⁻¹ for the others.
    let wide = to_f64(&k);
    let z = z.to_vec();
    for i in [0, 2] {
        let column = |v: &[f32]| (0..n).map(|a| v[a * m + i]).collect::<Vec<f32>>();
        let want = eliminate(&wide, &to_f64(&column(&right)), n);
        assert_close(name, &column(&z), &want, "cholesky_solve", Oracle::Dense, n);
    }
}

/// (G ⊗ A + λI)⁻¹ vec V = U_G [(U_Gᵀ V U_A) ⊘ (g aᵀ + λ)] U_Aᵀ in four launches, against the dense matrix.
#[test]
fn a_kronecker_preconditioner_in_the_eigenbases() {
    let (m, d, damping) = (5usize, 9usize, 0.05);
    let mut random = Random::new(81);
    let (u_g, u_a) = (random.orthogonal(m), random.orthogonal(d));
    let values: Vec<f64> = random.uniforms(m + d, 0.1, 2.0);
    let v: Vec<f64> = random.normals(m * d);
    let [ug, ua, lambda, right] = [&u_g, &u_a, &values, &v].map(|x| Buffer::from_slice(x));
    let mut buffers = [0; 4].map(|_| Buffer::<f64>::unwritten(m * d));
    let [first, second, third, out] = &mut buffers;
    let p = plain([m, d, m], m, d, once());
    let views = [first.output(), ug.input(), right.input()];
    run("gemm_tn_f64", [1, 1, 1], |dev| engine_tn(dev, views, p));
    let p = Divided { product: plain([m, d, d], d, d, once()), damping };
    let (to, by, from, with) = (second.output(), lambda.input(), first.input(), ua.input());
    run("divided_nn_f64", [1, 1, 1], |dev| {
        product::divided_nn::<f64, _, Fma<4>>(dev, to, by, from, with, p);
    });
    let p = plain([m, d, m], m, d, once());
    let views = [third.output(), ug.input(), second.input()];
    run("gemm_nn_f64", [1, 1, 1], |dev| engine_nn(dev, views, p));
    let p = plain([m, d, d], d, d, once());
    let views = [out.output(), third.input(), ua.input()];
    run("gemm_nt_f64", [1, 1, 1], |dev| engine_nt(dev, views, p));

    let symmetric = |u: &[f64], l: &[f64], n: usize, i: usize, j: usize| -> f64 {
        (0..n).map(|k| u[i * n + k] * l[k] * u[j * n + k]).sum()
    };
    let size = m * d;
    let dense: Vec<f64> = (0..size * size)
        .map(|at| {
            let (r, c) = (at / size, at % size);
            let g = symmetric(&u_g, &values[..m], m, r / d, c / d);
            let a = symmetric(&u_a, &values[m..], d, r % d, c % d);
            g * a + if r == c { damping } else { 0.0 }
        })
        .collect();
    let want = eliminate(&dense, &v, size);
    assert_close("preconditioner", &out.to_vec(), &want, "kron inverse", Oracle::Dense, d);
}

/// A⁻¹ᐟ² by products only: X ← X T, M ← T² M, T = (3I − M)/2.
#[test]
fn an_inverse_root_by_newton_schulz() {
    let n = 33usize;
    let mut random = Random::new(91);
    let a: Vec<f64> = random.spd(n, 4.0);
    let identity: Vec<f64> = (0..n * n).map(|i| f64::from(u8::from(i / n == i % n))).collect();
    let unit = Buffer::from_slice(&identity);
    let (mut x, mut m) = (Buffer::from_slice(&identity), Buffer::from_slice(&a));
    let multiply = |from: &Buffer<f64>, with: &Buffer<f64>, into: Vec<f64>, update| {
        let mut c = Buffer::from_slice(&into);
        let views = [c.output(), from.input(), with.input()];
        run("gemm_nn_f64", [1, 1, 1], |dev| engine_nn(dev, views, plain([n, n, n], n, n, update)));
        c
    };
    for _ in 0..12 {
        // T = 1.5 I − ½ M as an update of I by a product with I.
        let update = Update { alpha: -0.5, beta: 1.5 };
        let t = multiply(&m, &unit, identity.clone(), update);
        x = multiply(&x, &t, vec![0.0; n * n], once());
        let half = multiply(&t, &m, vec![0.0; n * n], once());
        m = multiply(&t, &half, vec![0.0; n * n], once());
    }
    let x = x.to_vec();
    let square: Vec<f64> = multiply_plain(&multiply_plain(&x, &a, n), &x, n);
    assert_close("X A X", &square, &identity, "cholesky_solve", Oracle::Dense, n);
}

fn multiply_plain(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|at| (0..n).map(|k| a[at / n * n + k] * b[k * n + at % n]).sum()).collect()
}
