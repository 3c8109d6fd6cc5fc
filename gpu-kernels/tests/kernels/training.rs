//! Training steps that never leave the device, launched as a host launches them, against plain loops
//! and dense systems in f64.

use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_kernels::Scalar;
use relfisher_kernels::contract::{
    Backward, Batch, Classes, Combination, Extent, Layer, NeuronRows, Neurons, Parameter, Product,
    RightSides, Rows, Strides, Update,
};

use crate::compare::{assert_close, to_f64};
use crate::device::{Blocks, Device, Place};
use crate::random::Random;
use crate::steps::eliminate;
use crate::tolerance::Oracle;

fn product<T: Scalar>(shape: [usize; 3], strides: [usize; 3], update: [f64; 2]) -> Product<T> {
    let ([rows, columns, inner], [a, b, c]) = (shape, strides);
    let [alpha, beta] = update.map(T::from_f64);
    Product {
        extent: Extent::whole(rows as u32, columns as u32, inner as u32),
        strides: Strides { a: a as u32, b: b as u32, c: c as u32 },
        update: Update { alpha, beta },
    }
}

/// Samples, inputs and the outputs of three layers.
const N: usize = 19;
const WIDTHS: [usize; 4] = [23, 17, 13, 7];

fn activation<T: Scalar>(layer: usize) -> Activation<T> {
    match layer {
        0 => Activation::Tanh,
        1 => Activation::Relu { leak: T::from_f64(0.25) },
        _ => Activation::Linear,
    }
}

/// Losses and gradients of the layers by loops over single numbers.
fn reference(x: &[f64], labels: &[usize], weights: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut gradients: Vec<Vec<f64>> = weights.iter().map(|w| vec![0.0; w.len()]).collect();
    let mut losses = Vec::new();
    for (x, label) in x.chunks(WIDTHS[0]).zip(labels) {
        let mut inputs = vec![[x, &[1.0]].concat()];
        let mut sums = Vec::new();
        for (l, w) in weights.iter().enumerate() {
            let t: Vec<f64> = w
                .chunks(WIDTHS[l] + 1)
                .map(|row| row.iter().zip(&inputs[l]).map(|(w, x)| w * x).sum())
                .collect();
            let f = activation::<f64>(l);
            inputs.push(t.iter().map(|t| f.value(*t)).chain([1.0]).collect());
            sums.push(t);
        }
        let total: f64 = sums[2].iter().map(|t| t.exp()).sum();
        losses.push(total.ln() - sums[2][*label]);
        let mut delta: Vec<f64> = sums[2].iter().map(|t| t.exp() / total).collect();
        delta[*label] -= 1.0;
        for l in (0..3).rev() {
            let row = WIDTHS[l] + 1;
            for (i, slope) in delta.iter().enumerate() {
                for (j, input) in inputs[l].iter().enumerate() {
                    gradients[l][i * row + j] += slope * input / N as f64;
                }
            }
            if l > 0 {
                let f = activation::<f64>(l - 1);
                let back = |j: usize| -> f64 {
                    let sum: f64 =
                        delta.iter().enumerate().map(|(i, s)| s * weights[l][i * row + j]).sum();
                    sum * f.derivative(sums[l - 1][j])
                };
                delta = (0..WIDTHS[l]).map(back).collect();
            }
        }
    }
    (losses, gradients)
}

/// A mini-batch is gathered, goes forward and backward, and the weights take a step; only the loss and
/// the weights are read back.
fn descents<T: Scalar>() {
    let (device, mut random, samples) = (Device::default(), Random::new(31), 40);
    let data: Vec<T> = random.normals(samples * WIDTHS[0]);
    let classes: Vec<u32> = (0..samples).map(|_| random.below(WIDTHS[3]) as u32).collect();
    let picks: Vec<u32> = (0..N).map(|_| random.below(samples) as u32).collect();
    let weights: [Vec<T>; 3] = [0, 1, 2].map(|l| {
        let size = WIDTHS[l + 1] * (WIDTHS[l] + 1);
        random.uniforms(size, -0.5, 0.5)
    });
    let (all, all_classes, index) =
        (device.with(&data), device.with(&classes), device.with(&picks));
    let w = weights.each_ref().map(|w| device.with(w));
    // Activations with the 1 of the bias in their last column, which no kernel writes.
    let a = [0, 1, 2].map(|l| device.with(&vec![T::ONE; N * (WIDTHS[l] + 1)]));
    let row = |l: usize| if l < 3 { WIDTHS[l] + 1 } else { WIDTHS[l] };
    let t = [1, 2, 3].map(|l| device.empty::<T>(N * row(l)));
    let out = device.empty::<T>(N * WIDTHS[3]);

    let rows = |columns: usize, y: usize| Rows {
        count: (N * columns) as u64,
        columns: columns as u32,
        y: y as u32,
        x: columns as u32,
    };
    let shape = rows(WIDTHS[0], row(0)).to_bytes();
    device.launch::<T>("gather", Blocks::Elements(N * row(0)), &[a[0], all, index], &[shape]);
    let labels = device.empty::<u32>(N);
    let shape = rows(1, 1).to_bytes();
    device.launch_named("gather_u32", [1, 1, 1], &[labels, all_classes, index], &[shape]);
    for l in 0..3 {
        let layer = Layer::<T> {
            product: product(
                [N, WIDTHS[l + 1], WIDTHS[l]],
                [row(l), WIDTHS[l] + 1, row(l + 1)],
                [1.0, 0.0],
            ),
            neurons: Neurons::activated(activation(l), 0),
            activated: row(l + 1) as u32,
        };
        let to = if l < 2 { a[l + 1] } else { out };
        let blocks = Blocks::Tiles(N, WIDTHS[l + 1]);
        device.launch::<T>("forward", blocks, &[t[l], to, a[l], w[l]], &[layer.to_bytes()]);
    }
    let (eta, loss) = (device.empty::<T>(N * WIDTHS[3]), device.empty::<T>(N));
    let mut delta = device.empty::<T>(N * WIDTHS[3]);
    let s =
        Classes { samples: N as u32, classes: WIDTHS[3] as u32, scale: T::ONE / T::from_usize(N) };
    device.launch::<T>(
        "softmax",
        Blocks::Rows(N),
        &[eta, delta, loss, t[2], labels],
        &[s.to_bytes()],
    );
    let gradients: [Place; 3] =
        w.map(|w| device.empty::<T>((w.bytes / u64::from(T::BYTES)) as usize));
    for l in (0..3).rev() {
        let p =
            product::<T>([WIDTHS[l + 1], row(l), N], [WIDTHS[l + 1], row(l), row(l)], [1.0, 0.0]);
        let blocks = Blocks::Tiles(WIDTHS[l + 1], row(l));
        device.launch::<T>("gemm_tn", blocks, &[gradients[l], delta, a[l]], &[p.to_bytes()]);
        if l > 0 {
            let before = device.empty::<T>(N * WIDTHS[l]);
            let p = Backward::<T> {
                product: product(
                    [N, WIDTHS[l], WIDTHS[l + 1]],
                    [WIDTHS[l + 1], WIDTHS[l] + 1, WIDTHS[l]],
                    [1.0, 0.0],
                ),
                neurons: Neurons::activated(activation(l - 1), 0),
                t: row(l) as u32,
            };
            let blocks = Blocks::Tiles(N, WIDTHS[l]);
            let arrays = [before, t[l - 1], delta, w[l]];
            device.launch::<T>("backward", blocks, &arrays, &[p.to_bytes()]);
            delta = before;
        }
    }
    let rate = T::HALF;
    for (w, g) in w.iter().zip(gradients) {
        let count = (w.bytes / u64::from(T::BYTES)) as usize;
        let scalars = [(count as u64).to_bytes(), rate.to_bytes()];
        device.launch::<T>("descend", Blocks::Elements(count), &[*w, g], &scalars);
    }

    let x: Vec<f64> =
        picks.iter().flat_map(|i| to_f64(&data[*i as usize * WIDTHS[0]..][..WIDTHS[0]])).collect();
    let picked: Vec<usize> = picks.iter().map(|i| classes[*i as usize] as usize).collect();
    let wide = weights.each_ref().map(|w| to_f64(w));
    let (losses, want) = reference(&x, &picked, &wide);
    let routine = "kernel training step";
    assert_close("losses", &device.read::<T>(loss), &losses, routine, Oracle::Dense, WIDTHS[0]);
    for (l, want) in want.iter().enumerate() {
        let got = device.read::<T>(gradients[l]);
        assert_close(&format!("gradient {l}"), &got, want, routine, Oracle::Dense, N);
        let after: Vec<f64> = wide[l].iter().zip(want).map(|(w, g)| w - 0.5 * g).collect();
        let got = device.read::<T>(w[l]);
        assert_close(&format!("weights {l}"), &got, &after, routine, Oracle::Dense, N);
    }
}

#[test]
fn a_mini_batch_goes_forward_and_backward_and_the_weights_descend() {
    descents::<f32>();
    descents::<f64>();
}

/// Inputs, slopes and a gradient of one layer of m neurons with d inputs, and the device.
struct Case<T> {
    device: Device,
    n: usize,
    m: usize,
    /// d + 1.
    row: usize,
    x: Vec<T>,
    v: Vec<T>,
}

impl<T: Scalar> Case<T> {
    fn new(random: &mut Random, [n, m, d]: [usize; 3]) -> Self {
        let (x, v) = (random.augmented(n, d), random.normals(m * (d + 1)));
        Self { device: Device::default(), n, m, row: d + 1, x, v }
    }

    /// Σ_s w_s x_sa x_sb / n.
    fn second_moment(x: &[T], row: usize, weight: impl Fn(usize) -> f64) -> Vec<f64> {
        let (n, x) = (x.len() / row, to_f64(x));
        let sum = |a: usize, b: usize| -> f64 {
            (0..n).map(|s| weight(s) * x[s * row + a] * x[s * row + b]).sum()
        };
        (0..row * row).map(|at| sum(at / row, at % row) / n as f64).collect()
    }
}

/// K-FAC: both factors with moving averages, λ split by π, inverses, the direction, its clip, the
/// momentum; against one dense Kronecker system.
fn kfac<T: Scalar>() {
    let mut random = Random::new(41);
    let case = Case::<T>::new(&mut random, [33, 5, 8]);
    let Case { device, n, m, row, .. } = &case;
    let (n, m, row) = (*n, *m, *row);
    let delta: Vec<T> = random.normals(n * m);
    let velocity: Vec<T> = random.normals(m * row);
    let before: [Vec<T>; 2] = [random.spd(m, 3.0), random.spd(row, 3.0)];
    let (keep, lambda, rate, bound, momentum) = (0.75, 0.25, 0.5, 0.0625, 0.875);
    let samples = [device.with(&delta), device.with(&case.x)];
    let orders = [m, row];
    let factors = before.each_ref().map(|factor| device.with(factor));
    let (means, damping) = (device.empty::<T>(2), device.empty::<T>(2));
    let matrix = |order: usize| Batch {
        distance: (order * order) as u64,
        order: order as u32,
        row: order as u32,
        damping: T::ZERO,
    };
    let one = Blocks::Matrices(1, 1);
    for i in 0..2 {
        let k = orders[i];
        let p = product::<T>([k, k, n], [k; 3], [(1.0 - keep) / n as f64, keep]);
        let b = matrix(k).to_bytes();
        device.launch::<T>("gram", Blocks::Triangle(k), &[factors[i], samples[i]], &[p.to_bytes()]);
        device.launch::<T>("mean_diagonal", one, &[means.part::<T>(i, 1), factors[i]], &[b]);
    }
    let scalars = [1u64.to_bytes(), T::from_f64(lambda).to_bytes()];
    device.launch::<T>("split_damping", Blocks::Elements(1), &[damping, means], &scalars);
    let inverses = [0, 1].map(|i| {
        let (k, b) = (orders[i], matrix(orders[i]).to_bytes());
        let [damped, inverse] = [0, 1].map(|_| device.empty::<T>(k * k));
        let flag = device.empty::<u32>(1);
        let copy = Combination {
            rows: Rows::vectors((k * k) as u64),
            update: Update { alpha: T::ONE, beta: T::ZERO },
        };
        let elements = Blocks::Elements(k * k);
        device.launch::<T>("axpby", elements, &[damped, factors[i]], &[copy.to_bytes()]);
        device.launch::<T>("add_diagonal", one, &[damped, damping.part::<T>(i, 1)], &[b]);
        device.launch::<T>("cholesky_small", one, &[damped, flag], &[b]);
        let rows = Rows { count: (k * k) as u64, columns: k as u32, y: k as u32, x: 0 };
        device.launch::<T>("identity", elements, &[inverse], &[rows.to_bytes()]);
        let sides = RightSides { distance: 0, side: k as u32, element: 1 };
        let blocks = Blocks::Matrices(1, k);
        device.launch::<T>("cholesky_solve", blocks, &[inverse, damped], &[b, sides.to_bytes()]);
        assert_eq!(device.read::<u32>(flag), [0]);
        inverse
    });
    let [gradient, theta, speed] = [&case.v, &case.v, &velocity].map(|v| device.with(v));
    let [half, direction] = [0, 1].map(|_| device.empty::<T>(m * row));
    let tiles = Blocks::Tiles(m, row);
    let p = product::<T>([m, row, m], [m, row, row], [1.0, 0.0]).to_bytes();
    device.launch::<T>("gemm_nn", tiles, &[half, inverses[0], gradient], &[p]);
    let p = product::<T>([m, row, row], [row; 3], [1.0, 0.0]).to_bytes();
    device.launch::<T>("gemm_nn", tiles, &[direction, half, inverses[1]], &[p]);
    let count = (m * row) as u64;
    let [curvature, clip] = [0, 1].map(|_| device.empty::<T>(1));
    let terms = Blocks::Terms(m * row);
    device.launch::<T>("dot", terms, &[curvature, direction, gradient], &[count.to_bytes()]);
    let scalars = [rate, bound].map(|x| T::from_f64(x).to_bytes());
    device.launch::<T>("kl_clip", one, &[clip, curvature], &scalars);
    let s = Combination {
        rows: Rows::vectors(count),
        update: Update { alpha: T::ONE, beta: T::from_f64(momentum) },
    };
    let elements = Blocks::Elements(m * row);
    device.launch::<T>("axpby_scaled", elements, &[speed, direction, clip], &[s.to_bytes()]);
    let scalars = [count.to_bytes(), T::from_f64(rate).to_bytes()];
    device.launch::<T>("descend", elements, &[theta, speed], &scalars);

    let factor = |x: &[T], before: &[T], k: usize| -> Vec<f64> {
        let fresh = Case::second_moment(x, k, |_| 1.0);
        before.iter().zip(fresh).map(|(b, f)| keep * b.to_f64() + (1.0 - keep) * f).collect()
    };
    let (g, a) = (factor(&delta, &before[0], m), factor(&case.x, &before[1], row));
    let mean = |x: &[f64], k: usize| (0..k).map(|i| x[i * k + i]).sum::<f64>() / k as f64;
    let pi = (mean(&a, row) / mean(&g, m)).sqrt();
    let [for_g, for_a] = [lambda.sqrt() / pi, lambda.sqrt() * pi];
    let damped = |x: &[f64], k: usize, at: [usize; 2], damping: f64| {
        x[at[0] * k + at[1]] + if at[0] == at[1] { damping } else { 0.0 }
    };
    let size = m * row;
    let dense: Vec<f64> = (0..size * size)
        .map(|at| {
            let (r, c) = (at / size, at % size);
            damped(&g, m, [r / row, c / row], for_g) * damped(&a, row, [r % row, c % row], for_a)
        })
        .collect();
    let v = to_f64(&case.v);
    let want = eliminate(&dense, &v, size);
    let check = |what: &str, place: Place, want: &[f64]| {
        assert_close(what, &device.read::<T>(place), want, "kron inverse", Oracle::Dense, row);
    };
    check("direction", direction, &want);
    let curved: f64 = want.iter().zip(&v).map(|(p, v)| p * v).sum();
    let ratio: f64 = (bound / (rate * rate * curved)).sqrt();
    assert!(ratio < 1.0, "the case does not clip");
    let speeds: Vec<f64> =
        want.iter().zip(&velocity).map(|(p, v)| momentum * v.to_f64() + ratio * p).collect();
    check("velocity", speed, &speeds);
    let after: Vec<f64> = v.iter().zip(&speeds).map(|(t, s)| t - rate * s).collect();
    check("parameters", theta, &after);
}

#[test]
fn a_step_of_kfac_against_the_dense_kronecker_system() {
    kfac::<f32>();
    kfac::<f64>();
}

/// The relative natural gradient in blocks: ν of pre-activations that stand in rows of m + 1, all metrics
/// packed, their factors, a solve for each neuron; against the dense system of each.
fn relative<T: Scalar>(factor: &str, [n, m, d]: [usize; 3]) {
    let mut random = Random::new(51);
    let case = Case::<T>::new(&mut random, [n, m, d]);
    let (device, row, damping) = (&case.device, case.row, 0.25);
    let t: Vec<T> = random.normals(n * (m + 1));
    let (x, sums) = (device.with(&case.x), device.with(&t));
    let nu = device.empty::<T>(n * m);
    let rows = Rows { count: (n * m) as u64, columns: m as u32, y: m as u32, x: m as u32 + 1 };
    let s = NeuronRows { rows, neurons: Neurons::responding(Response::<T>::Tanh, 0) };
    device.launch::<T>("nu_rows", Blocks::Elements(n * m), &[nu, sums], &[s.to_bytes()]);
    let size = row * (row + 1) / 2;
    let (metrics, flags) = (device.empty::<T>(m * size), device.empty::<u32>(m));
    let p = product::<T>([m, size, n], [m, row, size], [1.0 / n as f64, 0.0]);
    device.launch::<T>("packed_grams", Blocks::Tiles(m, size), &[metrics, nu, x], &[p.to_bytes()]);
    let b =
        Batch { distance: size as u64, order: row as u32, row: 0, damping: T::from_f64(damping) }
            .to_bytes();
    device.launch::<T>(factor, Blocks::Matrices(m, 1), &[metrics, flags], &[b]);
    assert_eq!(device.read::<u32>(flags), vec![0; m]);
    let direction = device.with(&case.v);
    let sides = RightSides { distance: row as u64, side: 0, element: 1 }.to_bytes();
    let one = Blocks::Matrices(m, 1);
    device.launch::<T>("cholesky_solve", one, &[direction, metrics], &[b, sides]);

    let mut want = Vec::new();
    for (i, v) in to_f64(&case.v).chunks(row).enumerate() {
        let weight = |s: usize| Response::Tanh.nu(t[s * (m + 1) + i].to_f64());
        let mut metric = Case::second_moment(&case.x, row, weight);
        for at in 0..row {
            metric[at * row + at] += damping;
        }
        want.extend(eliminate(&metric, v, row));
    }
    let got = device.read::<T>(direction);
    assert_close(factor, &got, &want, "cholesky_solve", Oracle::Dense, row);
}

#[test]
fn the_relative_natural_gradient_in_packed_blocks() {
    relative::<f32>("cholesky_small", [50, 6, 20]);
    relative::<f64>("cholesky_small", [50, 6, 20]);
    relative::<f32>("cholesky_large", [40, 3, 70]);
    relative::<f64>("cholesky_large", [40, 3, 70]);
}
