//! Losses, soft-max with its metric, and exact selection, row by row.

use relfisher_kernels::Scalar;
use relfisher_kernels::body::{loss, select, softmax};
use relfisher_kernels::contract::{Classes, Selection, Targets};
use relfisher_kernels::emulator::Buffer;

use crate::compare::{assert_close, to_f64};
use crate::random::Random;
use crate::run::run;
use crate::tolerance::Oracle;

fn probabilities(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - largest).exp()).sum();
    logits.iter().map(|x| (x - largest).exp() / sum).collect()
}

fn softmaxes<T: Scalar>(names: [&str; 3]) {
    for (n, c) in [(1, 1), (13, 10), (9, 33), (2, 100)] {
        let mut random = Random::new((n * c) as u64);
        let mut logits: Vec<T> = random.uniforms(n * c, -8.0, 8.0);
        // A row far from 0 overflows nothing.
        for x in &mut logits[..c] {
            *x += T::from_f64(1000.0);
        }
        let labels: Vec<u32> = (0..n).map(|_| random.below(c) as u32).collect();
        let (input, targets) = (Buffer::from_slice(&logits), Buffer::from_slice(&labels));
        let scale = T::ONE / T::from_usize(n);
        let s = Classes { samples: n as u32, classes: c as u32, scale };
        let mut outputs = [n * c, n * c, n].map(Buffer::<T>::unwritten);
        let [to, to_delta, to_loss] = outputs.each_mut().map(Buffer::output);
        let (from, with) = (input.input(), targets.input());
        let grid = [(n as u32).div_ceil(softmax::ROWS), 1, 1];
        run(names[0], grid, |d| softmax::softmax(d, to, to_delta, to_loss, from, with, s));
        let [eta, delta, loss] = outputs.each_ref().map(Buffer::to_vec);
        let want: Vec<f64> = to_f64(&logits).chunks(c).flat_map(probabilities).collect();
        let close = |got: &[T], want: &[f64]| {
            assert_close(names[0], got, want, "kernel softmax", Oracle::Dense, c);
        };
        close(&eta, &want);
        let target = |i: usize| f64::from(labels[i / c] as usize == i % c);
        let slopes: Vec<f64> =
            want.iter().enumerate().map(|(i, p)| scale.to_f64() * (p - target(i))).collect();
        close(&delta, &slopes);
        let losses: Vec<f64> =
            labels.iter().enumerate().map(|(s, y)| -want[s * c + *y as usize].ln()).collect();
        close(&loss, &losses);
        metrics::<T>(names, &eta, s);
    }
}

/// The metric and its root against diag(η) − ηηᵀ in f64.
fn metrics<T: Scalar>(names: [&str; 3], eta: &[T], s: Classes<T>) {
    let (n, c) = (s.samples as usize, s.classes as usize);
    let wide = to_f64(eta);
    let input = Buffer::from_slice(eta);
    let dense = |s: usize, a: usize, b: usize| {
        let (p, q) = (wide[s * c + a], wide[s * c + b]);
        if a == b {
            p * (0..c).filter(|k| *k != a).map(|k| wide[s * c + k]).sum::<f64>()
        } else {
            -p * q
        }
    };
    let pairs = c * (c + 1) / 2;
    let mut packed = Buffer::<T>::unwritten(n * pairs);
    let (to, from) = (packed.output(), input.input());
    let grid = [s.samples.div_ceil(softmax::ROWS), 1, 1];
    run(names[1], grid, |d| softmax::metric(d, to, from, s));
    let want: Vec<f64> = (0..n)
        .flat_map(|s| (0..c).flat_map(move |a| (0..=a).map(move |b| (s, a, b))))
        .map(|(s, a, b)| dense(s, a, b))
        .collect();
    assert_close(names[1], &packed.to_vec(), &want, "kernel softmax", Oracle::Dense, c);
    let mut roots = Buffer::<T>::unwritten(n * c * c);
    let to = roots.output();
    run(names[2], grid, |d| softmax::root(d, to, from, s));
    let roots = to_f64(&roots.to_vec());
    let mut outer = vec![T::ZERO; n * c * c];
    let mut full = vec![0.0; n * c * c];
    for s in 0..n {
        for a in 0..c {
            for b in 0..c {
                let row = |k: usize, i: usize| roots[(s * c + k) * c + i];
                let sum: f64 = (0..c).map(|k| row(k, a) * row(k, b)).sum();
                outer[(s * c + a) * c + b] = T::from_f64(sum);
                full[(s * c + a) * c + b] = dense(s, a, b);
            }
        }
    }
    assert_close(names[2], &outer, &full, "kernel softmax", Oracle::Dense, c);
}

#[test]
fn softmax_its_loss_its_metric_and_the_root() {
    softmaxes::<f32>(["softmax_f32", "softmax_metric_f32", "softmax_root_f32"]);
    softmaxes::<f64>(["softmax_f64", "softmax_metric_f64", "softmax_root_f64"]);
}

/// Where the label has nearly all the probability, loss and slope are tiny and keep their digits.
fn certainties<T: Scalar>(name: &str) {
    let logits = [60.0, 40.0, 0.0, 30.0, 31.0, 5.0].map(T::from_f64);
    let labels = [0u32, 0];
    let (input, targets) = (Buffer::from_slice(&logits), Buffer::from_slice(&labels));
    let s = Classes { samples: 2, classes: 3, scale: T::ONE };
    let mut outputs = [6, 6, 2].map(Buffer::<T>::unwritten);
    let [to, to_delta, to_loss] = outputs.each_mut().map(Buffer::output);
    let (from, with) = (input.input(), targets.input());
    run(name, [1, 1, 1], |d| softmax::softmax(d, to, to_delta, to_loss, from, with, s));
    let [_, delta, loss] = outputs.each_ref().map(Buffer::to_vec);
    let rest = (-20.0f64).exp() + (-60.0f64).exp();
    let second = 1.0f64.exp() + (-25.0f64).exp();
    for (got, want) in [
        (loss[0], rest.ln_1p()),
        (delta[0], -rest / (1.0 + rest)),
        (loss[1], second.ln_1p()),
        (delta[3], -second / (1.0 + second)),
    ] {
        assert_close(name, &[got], &[want], "kernel softmax", Oracle::Dense, 3);
    }
}

#[test]
fn a_certain_prediction_keeps_the_digits_of_its_loss() {
    certainties::<f32>("softmax_f32");
    certainties::<f64>("softmax_f64");
}

/// Losses and slopes by their definitions in f64; weight and scale are exact in both types.
fn losses<T: Scalar>(mse: &str, binary: &str) {
    let (weight, scale) = (0.75, 0.125);
    for (n, c) in [(1, 1), (13, 10), (9, 33)] {
        let mut random = Random::new((n + c) as u64);
        let mut z: Vec<T> = random.uniforms(n * c, -8.0, 8.0);
        z[0] = T::from_f64(700.0);
        let y: Vec<T> = random.uniforms(n * c, 0.0, 1.0);
        let (from, with) = (Buffer::from_slice(&z), Buffer::from_slice(&y));
        let s = Targets {
            samples: n as u32,
            outputs: c as u32,
            weight: T::from_f64(weight),
            scale: T::from_f64(scale),
        };
        let (z, y) = (to_f64(&z), to_f64(&y));
        for name in [mse, binary] {
            let (mut delta, mut loss) = (Buffer::<T>::unwritten(n * c), Buffer::<T>::unwritten(n));
            let (to, to_loss) = (delta.output(), loss.output());
            let (from, with) = (from.input(), with.input());
            let of = |z: f64, y: f64| {
                if name == mse {
                    (weight * (z - y).powi(2), scale * 2.0 * weight * (z - y))
                } else {
                    let p = 1.0 / (1.0 + (-z).exp());
                    (z.max(0.0) + (-z.abs()).exp().ln_1p() - y * z, scale * (p - y))
                }
            };
            run(name, [(n as u32).div_ceil(softmax::ROWS), 1, 1], |d| {
                if name == mse {
                    loss::mse(d, to, to_loss, from, with, s);
                } else {
                    loss::binary_cross_entropy(d, to, to_loss, from, with, s);
                }
            });
            let each: Vec<(f64, f64)> = z.iter().zip(&y).map(|(z, y)| of(*z, *y)).collect();
            let slopes: Vec<f64> = each.iter().map(|(_, slope)| *slope).collect();
            let sums: Vec<f64> =
                each.chunks(c).map(|row| row.iter().map(|(loss, _)| loss).sum()).collect();
            let close = |got: &[T], want: &[f64]| {
                assert_close(name, got, want, "kernel loss", Oracle::Dense, c);
            };
            close(&delta.to_vec(), &slopes);
            close(&loss.to_vec(), &sums);
        }
    }
}

#[test]
fn squared_errors_and_binary_cross_entropies() {
    losses::<f32>("mse_f32", "binary_cross_entropy_f32");
    losses::<f64>("mse_f64", "binary_cross_entropy_f64");
}

fn selections<T: Scalar>(name: &str) {
    for (rows, length, kept) in [(1, 1, 1), (3, 700, 105), (2, 256, 256), (2, 1000, 1)] {
        let mut random = Random::new(length as u64);
        let mut x: Vec<T> = random.normals(rows * length);
        // Many ties, some of them at the threshold, both zeros, neighbours, and extremes.
        for v in x.iter_mut().step_by(3) {
            *v = T::from_f64((v.to_f64() * 2.0).round() / 2.0);
        }
        for (i, v) in x.iter_mut().enumerate().skip(1).step_by(7) {
            *v = T::ONE + T::EPSILON * T::from_usize(i % 5);
        }
        x[0] = T::MAX;
        let input = Buffer::from_slice(&x);
        let mut index = Buffer::<u32>::unwritten(rows * kept);
        let mut value = Buffer::<T>::unwritten(rows * kept);
        let s = Selection { distance: length as u64, length: length as u32, kept: kept as u32 };
        let (to, to_value, from) = (index.output(), value.output(), input.input());
        run(name, [rows as u32, 1, 1], |d| select::select(d, to, to_value, from, s));
        let (index, value) = (index.to_vec(), value.to_vec());
        for (r, row) in x.chunks(length).enumerate() {
            let size = |i: usize| row[i].to_f64().abs();
            let mut order: Vec<usize> = (0..length).collect();
            order.sort_by(|a, b| size(*b).total_cmp(&size(*a)).then(a.cmp(b)));
            let mut want = order[..kept].to_vec();
            want.sort_unstable();
            let got: Vec<usize> =
                index[r * kept..(r + 1) * kept].iter().map(|i| *i as usize).collect();
            assert_eq!(got, want, "row {r} of {rows}, {kept} of {length}");
            let values: Vec<T> = want.iter().map(|i| row[*i]).collect();
            assert!(value[r * kept..(r + 1) * kept] == values, "{name}: row {r}");
        }
    }
}

#[test]
fn the_largest_magnitudes_of_each_row() {
    selections::<f32>("select_f32");
    selections::<f64>("select_f64");
}
