//! What a step is made of besides products: a layer backwards, losses of numbers, scalars that stay on the
//! device.

use relfisher::Scalar;
use relfisher::executor::cuda::{MatrixMut, SquareForm, Squares, ValueLoss};
use relfisher_core::optim::kl_clip as clip;

use crate::Case;
use crate::compare::assert_close;
use crate::elementwise::activations;
use crate::lab::{Lab, Rows, assert_within, dot, unwritten, upload};
use crate::random::Random;
use crate::tolerance::Oracle;

pub(crate) const CASES: &[Case] = &[
    ("backward_f32", backward::<f32>),
    ("backward_f64", backward::<f64>),
    ("value_loss_f32", value_loss::<f32>),
    ("value_loss_f64", value_loss::<f64>),
    ("draw_bernoulli_f32", draw_bernoulli::<f32>),
    ("draw_bernoulli_f64", draw_bernoulli::<f64>),
    ("clipped_step_f32", clipped_step::<f32>),
    ("clipped_step_f64", clipped_step::<f64>),
    ("damping_f32", damping::<f32>),
    ("damping_f64", damping::<f64>),
    ("identity_f32", identity::<f32>),
    ("identity_f64", identity::<f64>),
];

/// Samples, inputs and outputs of the layer.
const SMALL: &[[usize; 3]] = &[[1, 1, 1], [50, 80, 10], [130, 33, 20]];
const LARGE: &[[usize; 3]] = &[[500, 300, 513]];

fn backward<T: Scalar>(lab: &Lab) {
    let gpu = &lab.gpu;
    for [n, d, m] in lab.shapes(SMALL, LARGE) {
        for (f, wide) in activations::<T>().into_iter().zip(activations::<f64>()) {
            let mut random = Random::new((n + m + d) as u64);
            let delta = Rows::<T>::normal(gpu, &mut random, (n, m), 1);
            let w = Rows::<T>::normal(gpu, &mut random, (m, d + 1), 2);
            let t = Rows::<T>::normal(gpu, &mut random, (n, d), 3);
            let mut c = Rows::<T>::unwritten(gpu, (n, d), 4);
            gpu.backward(c.matrix_mut(), (t.matrix(), f), delta.matrix(), w.matrix())
                .expect("backward");
            let what = format!("backward n {n} m {m} d {d} {f:?}");
            let columns = w.dense.transposed();
            let want = (0..n * d).map(|at| {
                let (s, j) = (at / d, at % d);
                dot(delta.dense.row(s), columns.row(j)) * wide.derivative(t.dense.at(s, j))
            });
            let scale = delta.dense.norm() * columns.norm();
            let pairs = c.read(&what).into_iter().zip(want);
            assert_within(&what, pairs, scale, ("gpu product", Oracle::Dense, m + 8));
        }
    }
}

/// The loss and the slope of an output and its target.
type Of<'a> = &'a dyn Fn([f64; 2]) -> (f64, f64);

fn value_loss<T: Scalar>(lab: &Lab) {
    for (n, c) in lab.shapes(&[(1, 1), (50, 10), (9, 100)], &[(5000, 784)]) {
        let mut random = Random::new((n * c) as u64);
        let z: Vec<T> = random.uniforms(n * c, -4.0, 4.0);
        let y: Vec<T> = random.uniforms(n * c, 0.0, 1.0);
        let (outputs, targets) = (upload(&lab.gpu, &z), upload(&lab.gpu, &y));
        let pairs: Vec<[f64; 2]> =
            z.iter().zip(&y).map(|(z, y)| [z.to_f64(), y.to_f64()]).collect();
        let weight = 0.75;
        let squared = |[z, y]: [f64; 2]| (weight * (z - y) * (z - y), 2.0 * weight * (z - y));
        // ln(1 + eᶻ) − yz and its derivative, for moderate z.
        let binary =
            |[z, y]: [f64; 2]| ((1.0 + z.exp()).ln() - y * z, 1.0 / (1.0 + (-z).exp()) - y);
        let kinds: [(ValueLoss<T>, Of<'_>); 2] = [
            (ValueLoss::SquaredError { weight: T::from_f64(weight) }, &squared),
            (ValueLoss::BinaryCrossEntropy, &binary),
        ];
        for (kind, of) in kinds {
            let mut delta = unwritten::<T>(&lab.gpu, n * c);
            let mut loss = unwritten::<T>(&lab.gpu, n);
            let results = [delta.view_mut(), loss.view_mut()];
            lab.gpu.value_loss(results, outputs.view(), targets.view(), kind).expect("value_loss");
            let slopes: Vec<f64> = pairs.iter().map(|pair| of(*pair).1).collect();
            let got = delta.to_vec().expect("a copy").into_iter().zip(slopes);
            // Slopes are differences of numbers up to 4.
            assert_within("slopes", got, 8.0, ("kernel elementwise", Oracle::HigherPrecision, 1));
            let sums: Vec<f64> =
                pairs.chunks(c).map(|row| row.iter().map(|pair| of(*pair).0).sum()).collect();
            let scale = sums.iter().fold(0.0, |most: f64, x| most.max(*x));
            let got = loss.to_vec().expect("a copy").into_iter().zip(sums);
            assert_within("losses", got, scale, ("gpu dot", Oracle::Dense, c + 8));
        }
    }
}

/// p − y with y = 1 exactly where u < p, unless the two are within rounding of each other.
fn draw_bernoulli<T: Scalar>(lab: &Lab) {
    for len in lab.shapes(&[1, 2085], &[1_000_003]) {
        let mut random = Random::new(len as u64);
        let z: Vec<T> = random.uniforms(len, -3.0, 3.0);
        let uniform: Vec<f64> = random.uniforms(len, 0.0, 1.0);
        let (logits, numbers) = (upload(&lab.gpu, &z), upload(&lab.gpu, &uniform));
        let mut delta = unwritten::<T>(&lab.gpu, len);
        lab.gpu
            .draw_bernoulli(delta.view_mut(), logits.view(), numbers.view())
            .expect("draw_bernoulli");
        let mut ones = 0;
        let near = 4.0 * T::EPSILON.to_f64();
        let want =
            z.iter().zip(&uniform).zip(delta.to_vec().expect("a copy")).map(|((z, u), got)| {
                let p = 1.0 / (1.0 + (-z.to_f64()).exp());
                let one = if (p - u).abs() <= near { got.to_f64() < 0.0 } else { *u < p };
                ones += usize::from(one);
                (got, if one { p - 1.0 } else { p })
            });
        let pairs: Vec<(T, f64)> = want.collect();
        assert_within("δ", pairs, 1.0, ("kernel elementwise", Oracle::HigherPrecision, 1));
        assert!(len < 100 || (len / 4..3 * len / 4).contains(&ones), "{ones} ones of {len}");
    }
}

/// v ← μ v + ν d, θ ← θ − γ v with ν from the curvature on the device.
fn clipped_step<T: Scalar>(lab: &Lab) {
    for len in lab.shapes(&[1, 2085], &[1_000_003]) {
        let mut random = Random::new(8);
        let [d, v, theta]: [Vec<T>; 3] = [0, 1, 2].map(|_| random.normals(len));
        // Clipped, not clipped, without curvature, and with one that overflows.
        for curvature in [4.0, 1e-6, 0.0, f64::INFINITY] {
            let at = upload(&lab.gpu, &[T::from_f64(curvature)]);
            let mut factor = unwritten::<T>(&lab.gpu, 1);
            let limits = (T::from_f64(0.5), T::from_f64(1e-3));
            lab.gpu.kl_clip(factor.view_mut(), at.view(), limits).expect("kl_clip");
            let nu = clip(limits.0.to_f64(), curvature, limits.1.to_f64());
            let (direction, mut velocity) = (upload(&lab.gpu, &d), upload(&lab.gpu, &v));
            let mu = T::from_f64(0.875);
            lab.gpu
                .axpby_scaled(velocity.view_mut(), (mu, T::ONE), direction.view(), factor.view())
                .expect("axpby_scaled");
            let want: Vec<f64> =
                d.iter().zip(&v).map(|(d, v)| 0.875 * v.to_f64() + nu * d.to_f64()).collect();
            let what = format!("velocity, curvature {curvature}");
            let largest = want.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            let rule = ("kernel elementwise", Oracle::HigherPrecision, 1);
            let got = velocity.to_vec().expect("a copy");
            assert_within(&what, got.iter().copied().zip(want), largest, rule);
            let mut to = upload(&lab.gpu, &theta);
            lab.gpu.descend(to.view_mut(), velocity.view(), limits.0).expect("descend");
            let want: Vec<f64> =
                theta.iter().zip(&got).map(|(t, v)| t.to_f64() - 0.5 * v.to_f64()).collect();
            let largest = want.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            let pairs = to.to_vec().expect("a copy").into_iter().zip(want);
            assert_within("θ", pairs, largest, rule);
        }
    }
}

/// The means of diagonals, λ split by them, and added.
fn damping<T: Scalar>(lab: &Lab) {
    let lambda = T::from_f64(0.01);
    for order in lab.shapes(&[1, 7, 300], &[1000]) {
        let pair: Vec<T> = Random::new(order as u64).uniforms(2 * order * order, 0.5, 2.0);
        let squares = Squares { count: 2, order, form: SquareForm::Full };
        let mut a = upload(&lab.gpu, &pair);
        let (mut means, mut split) = (unwritten::<T>(&lab.gpu, 2), unwritten::<T>(&lab.gpu, 2));
        lab.gpu.mean_diagonal(means.view_mut(), a.view(), squares).expect("mean_diagonal");
        lab.gpu.split_damping(split.view_mut(), means.view(), lambda).expect("split_damping");
        lab.gpu.add_diagonal(a.view_mut(), split.view(), squares).expect("add_diagonal");
        let mean = |which: usize| {
            let part = &pair[which * order * order..(which + 1) * order * order];
            part.iter().step_by(order + 1).map(|x| x.to_f64()).sum::<f64>() / order as f64
        };
        let (pi, root) = ((mean(1) / mean(0)).sqrt(), lambda.to_f64().sqrt());
        let want = [root / pi, pi * root];
        assert_close(
            "√λ/π and π√λ",
            &split.to_vec().expect("a copy"),
            &want,
            "gpu dot",
            Oracle::Dense,
            order + 8,
        );
        let got = a.to_vec().expect("a copy");
        let sums = pair.iter().enumerate().map(|(at, x)| {
            let (which, inside) = (at / (order * order), at % (order * order));
            x.to_f64() + if inside % (order + 1) == 0 { want[which] } else { 0.0 }
        });
        assert_within(
            "A + dI",
            got.into_iter().zip(sums),
            3.0,
            ("gpu dot", Oracle::Dense, order + 8),
        );
    }
}

fn identity<T: Scalar>(lab: &Lab) {
    for n in lab.shapes(&[1, 5, 130], &[1025]) {
        let mut y = unwritten::<T>(&lab.gpu, n * n);
        lab.gpu.identity(MatrixMut::new(y.view_mut(), n, n).expect("a square")).expect("identity");
        let unit = |at: usize| if at / n == at % n { T::ONE } else { T::ZERO };
        let got = y.to_vec().expect("a copy");
        assert!(got.iter().enumerate().all(|(at, x)| *x == unit(at)), "order {n}");
    }
}
