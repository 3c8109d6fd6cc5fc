//! Matrices whose rows have distances of their own, damping, and scalars that stay on the device.

use relfisher_core::kron::{self, Damping};
use relfisher_core::metric::neuron::Response;
use relfisher_core::{MatRef, optim};
use relfisher_kernels::body::{damping, elementwise, matrix};
use relfisher_kernels::contract::{Batch, Combination, NeuronRows, Neurons, Rows, Update};
use relfisher_kernels::emulator::Buffer;
use relfisher_kernels::{Scalar, Word};

use crate::compare::{assert_close, to_f64};
use crate::random::Random;
use crate::run::run;
use crate::tolerance::Oracle;

/// A matrix of more than one block's elements, with rows apart in y and x.
const ROWS: Rows = Rows { count: (M * N) as u64, columns: N as u32, y: Y as u32, x: X as u32 };
const M: usize = 45;
const N: usize = 29;
const Y: usize = N + 1;
const X: usize = N + 4;

fn blocks(rows: Rows) -> [u32; 3] {
    [rows.count.div_ceil(u64::from(elementwise::CHUNK)) as u32, 1, 1]
}

/// The elements of rows that stand `stride` apart.
fn dense<T: Copy>(x: &[T], stride: usize) -> Vec<T> {
    x.chunks(stride).flat_map(|row| row[..N].iter().copied()).collect()
}

/// Whether what stands between the rows is as before.
fn untouched<T: Word + PartialEq>(after: &[T], before: &[T]) -> bool {
    let gap =
        |x: &[T]| -> Vec<T> { x.chunks(Y).flat_map(|row| row[N..].iter().copied()).collect() };
    gap(after) == gap(before)
}

fn combinations<T: Scalar>(names: [&str; 3]) {
    let mut random = Random::new(17);
    let (x, before): (Vec<T>, Vec<T>) = (random.normals(M * X), random.normals(M * Y));
    let (input, factor) = (Buffer::from_slice(&x), Buffer::from_slice(&[T::from_f64(-1.25)]));
    let (wide_x, wide_y) = (to_f64(&dense(&x, X)), to_f64(&dense(&before, Y)));
    let check = |name: &str, y: &Buffer<T>, of: &dyn Fn(f64, f64) -> f64| {
        let y = y.to_vec();
        let want: Vec<f64> = wide_x.iter().zip(&wide_y).map(|(x, y)| of(*x, *y)).collect();
        let (routine, oracle) = ("kernel combination", Oracle::HigherPrecision);
        assert_close(name, &dense(&y, Y), &want, routine, oracle, 1);
        y
    };
    for (alpha, beta) in [(0.5, 0.0), (-2.0, 0.75)] {
        let update = Update { alpha: T::from_f64(alpha), beta: T::from_f64(beta) };
        let s = Combination { rows: ROWS, update };
        // With β = 0 y is not read.
        let start = || {
            if beta == 0.0 { Buffer::unwritten(M * Y) } else { Buffer::from_slice(&before) }
        };
        let mut y = start();
        let (to, from) = (y.output(), input.input());
        run(names[0], blocks(ROWS), |d| matrix::axpby(d, to, from, s));
        let y = check(names[0], &y, &|x, y| alpha * x + beta * y);
        assert!(beta == 0.0 || untouched(&y, &before), "{}", names[0]);
        let mut y = start();
        let (to, from, by) = (y.output(), input.input(), factor.input());
        run(names[1], blocks(ROWS), |d| matrix::axpby_scaled(d, to, from, by, s));
        let y = check(names[1], &y, &|x, y| -1.25 * alpha * x + beta * y);
        assert!(beta == 0.0 || untouched(&y, &before), "{}", names[1]);
    }
    let mut y = Buffer::from_slice(&before);
    let (to, from) = (y.output(), input.input());
    run(names[2], blocks(ROWS), |d| matrix::multiply(d, to, from, ROWS));
    let y = check(names[2], &y, &|x, y| x * y);
    assert!(untouched(&y, &before), "{}", names[2]);
}

#[test]
fn combinations_and_products_of_rows() {
    combinations::<f32>(["axpby_f32", "axpby_scaled_f32", "multiply_f32"]);
    combinations::<f64>(["axpby_f64", "axpby_scaled_f64", "multiply_f64"]);
}

#[test]
fn vectors_are_matrices_of_one_column() {
    let count = 2 * 1024 + 5;
    let x: Vec<f32> = Random::new(18).normals(count);
    let (input, mut y) = (Buffer::from_slice(&x), Buffer::<f32>::unwritten(count));
    let rows = Rows::vectors(count as u64);
    let s = Combination { rows, update: Update { alpha: 1.0, beta: 0.0 } };
    let (to, from) = (y.output(), input.input());
    run("axpby_f32", blocks(rows), |d| matrix::axpby(d, to, from, s));
    assert_eq!(y.to_vec(), x);
}

fn gathers<T: Word + Sync + PartialEq + std::fmt::Debug>(name: &str, x: &[T]) {
    let mut random = Random::new(19);
    let index: Vec<u32> = (0..M).map(|_| random.below(x.len() / X) as u32).collect();
    let (input, picks) = (Buffer::from_slice(x), Buffer::from_slice(&index));
    let mut y = Buffer::<T>::unwritten(M * Y);
    let (to, from, by) = (y.output(), input.input(), picks.input());
    run(name, blocks(ROWS), |d| matrix::gather(d, to, from, by, ROWS));
    let want: Vec<T> =
        index.iter().flat_map(|i| x[*i as usize * X..][..N].iter().copied()).collect();
    assert_eq!(dense(&y.to_vec(), Y), want, "{name}");
}

#[test]
fn rows_of_a_mini_batch_are_gathered() {
    let count = 100 * X;
    gathers::<f32>("gather_f32", &Random::new(20).normals(count));
    gathers::<f64>("gather_f64", &Random::new(20).normals(count));
    let labels: Vec<u32> = (0..count as u32).collect();
    gathers("gather_u32", &labels);
}

fn responses<T: Scalar>(name: &str) {
    let t: Vec<T> = Random::new(21).normals(M * X);
    let input = Buffer::from_slice(&t);
    for response in [Response::Tanh, Response::Sigm] {
        let mut y = Buffer::<T>::unwritten(M * Y);
        let (to, from) = (y.output(), input.input());
        let s = NeuronRows { rows: ROWS, neurons: Neurons::responding(response, 0) };
        run(name, blocks(ROWS), |d| matrix::nu(d, to, from, s));
        let want: Vec<T> = dense(&t, X).iter().map(|t| response.nu(*t)).collect();
        assert!(dense(&y.to_vec(), Y) == want, "{name}: other bits than the core");
    }
}

#[test]
fn nu_of_rows_apart_is_that_of_the_core() {
    responses::<f32>("nu_rows_f32");
    responses::<f64>("nu_rows_f64");
}

fn identities<T: Scalar>(name: &str) {
    let (n, stride) = (41usize, 43usize);
    let rows = Rows { count: (n * n) as u64, columns: n as u32, y: stride as u32, x: 0 };
    let mut y = Buffer::<T>::unwritten(n * stride);
    let to = y.output();
    run(name, blocks(rows), |d| matrix::identity(d, to, rows));
    for (i, row) in y.to_vec().chunks(stride).enumerate() {
        let unit = |j: usize| if i == j { T::ONE } else { T::ZERO };
        assert!((0..n).all(|j| row[j] == unit(j)), "{name}: row {i}");
    }
}

#[test]
fn the_identity_between_other_columns() {
    identities::<f32>("identity_f32");
    identities::<f64>("identity_f64");
}

/// Means of diagonals, the split of λ by them against the core's, and its addition, of full and of
/// packed matrices.
fn dampings<T: Scalar>([mean, split, add]: [&str; 3]) {
    let (n, lambda) = (300usize, T::from_f64(0.25));
    for row in [n as u32 + 2, 0] {
        let size = if row == 0 { n * (n + 1) / 2 } else { n * (n + 2) };
        let b = Batch { distance: size as u64, order: n as u32, row, damping: T::ZERO };
        let mut random = Random::new(22);
        let mut values: Vec<T> = random.uniforms(4 * size, 0.5, 1.5);
        // The two pairs differ, and the second has no π: one mean is 0.
        for v in &mut values[size..2 * size] {
            *v *= T::from_f64(9.0);
        }
        for v in &mut values[2 * size..3 * size] {
            *v = T::ZERO;
        }
        let mut a = Buffer::from_slice(&values);
        let mut means = Buffer::<T>::unwritten(4);
        let (to, from) = (means.output(), a.input());
        run(mean, [4, 1, 1], |d| damping::mean_diagonal(d, to, from, b));
        let diagonal = |matrix: usize, i: usize| {
            values[matrix * size + b.index(i as u32, i as u32) as usize].to_f64()
        };
        let want: Vec<f64> =
            (0..4).map(|m| (0..n).map(|i| diagonal(m, i)).sum::<f64>() / n as f64).collect();
        assert_close(mean, &means.to_vec(), &want, "kernel sum", Oracle::Dense, n);

        let mut parts = Buffer::<T>::unwritten(4);
        let (to, from) = (parts.output(), means.input());
        run(split, [1, 1, 1], |d| damping::split(d, to, from, 2, lambda));
        let mut want = Vec::new();
        for pair in means.to_vec().chunks(2) {
            let [g, a] = [0, 1].map(|i| [pair[i].to_f64()]);
            let factor = |x| MatRef::new(x, 1, 1).expect("a matrix of one element");
            let split = kron::split_damping(factor(&g), factor(&a), 0.25, Damping::Pi);
            let split = split.expect("valid factors");
            want.extend([split.g, split.a]);
        }
        let routine = "kernel elementwise";
        let parts_now = parts.to_vec();
        assert_close(split, &parts_now, &want, routine, Oracle::HigherPrecision, 1);
        assert!(parts_now[0] != parts_now[1] && parts_now[2..] == [lambda; 2], "{split}");

        let (to, from) = (a.output(), parts.input());
        let b = Batch { damping: T::HALF, ..b };
        run(add, [4, 1, 1], |d| damping::add_diagonal(d, to, from, b));
        let mut want = values.clone();
        for (m, part) in parts_now.iter().enumerate() {
            for i in 0..n as u32 {
                want[m * size + b.index(i, i) as usize] += T::HALF + *part;
            }
        }
        assert!(a.to_vec() == want, "{add}: row distance {row}");
    }
}

#[test]
fn damping_is_split_and_added_without_the_host() {
    dampings::<f32>(["mean_diagonal_f32", "split_damping_f32", "add_diagonal_f32"]);
    dampings::<f64>(["mean_diagonal_f64", "split_damping_f64", "add_diagonal_f64"]);
}

fn clips<T: Scalar>(name: &str) {
    for (curvature, rate, bound) in [(4.0, 1.0, 0.01), (4.0, 0.001, 0.01), (0.0, 1.0, 0.01)] {
        let [c, rate, bound] = [curvature, rate, bound].map(T::from_f64);
        let (input, mut factor) = (Buffer::from_slice(&[c]), Buffer::<T>::unwritten(1));
        let (to, from) = (factor.output(), input.input());
        run(name, [1, 1, 1], |d| damping::kl_clip(d, to, from, rate, bound));
        let want = optim::kl_clip(rate.to_f64(), curvature, bound.to_f64());
        let routine = "kernel elementwise";
        assert_close(name, &factor.to_vec(), &[want], routine, Oracle::HigherPrecision, 1);
    }
}

#[test]
fn the_clip_of_a_step_is_that_of_the_core() {
    clips::<f32>("kl_clip_f32");
    clips::<f64>("kl_clip_f64");
}
