//! Dense products, element-wise slices and step rules.

use super::{NonFinite, Routine, total};
use crate::real::{mat, mat_mut};
use relfisher_core::metric::layer::fold_scale;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Real, blas, optim};

pub(super) fn all<T: Real>() -> Vec<Routine<T>> {
    use NonFinite::PassedOn;
    let routine = |name, call| Routine { name, non_finite: PassedOn, call };
    vec![
        routine("gemm", |p| {
            let [n, m, d, _] = p.shape;
            let (pn, pm, pd) = (p.dim(n), p.dim(m), p.dim(d));
            let (a, b, mut c) = (p.values(n * d), p.values(pd * m), p.output(pn * pm));
            let out = mat_mut(&mut c, pn, pm);
            blas::gemm(out, T::ZERO, T::ONE, mat(&a, n, d), mat(&b, pd, m))?;
            Ok(c)
        }),
        routine("gram", |p| {
            let [n, _, d, _] = p.shape;
            let (r, s, w) = (p.dim(d), p.dim(d), p.dim(n));
            let (x, weights, mut c) = (p.values(n * d), p.weights(w), p.output(r * s));
            let mut work = p.work(blas::gram_workspace_len(n, d));
            let out = mat_mut(&mut c, r, s);
            blas::gram(out, T::ZERO, T::ONE, mat(&x, n, d), Some(&weights), &mut work)?;
            Ok(c)
        }),
        routine("packed_grams", |p| {
            let [n, m, d, _] = p.shape;
            let (rows, cols, s) = (p.dim(m), p.dim(total(d)), p.dim(n));
            let (x, nu, mut c) = (p.values(n * d), p.weights(s * m), p.output(rows * cols));
            let mut work = p.work(blas::packed_grams_workspace_len(n, m, d));
            let out = mat_mut(&mut c, rows, cols);
            blas::packed_grams(out, T::ZERO, T::ONE, mat(&x, n, d), mat(&nu, s, m), &mut work)?;
            Ok(c)
        }),
        routine("packed_grams_by", |p| {
            let [n, m, d, _] = p.shape;
            let (rows, cols, s) = (p.dim(m), p.dim(total(d)), p.dim(n));
            let (x, nu) = (p.values(n * d), p.weights(s * m));
            let mut both = Vec::new();
            for form in [blas::PackedForm::PairProducts, blas::PackedForm::PerNeuron] {
                let mut c = p.output(rows * cols);
                let out = mat_mut(&mut c, rows, cols);
                blas::packed_grams_by(out, T::ZERO, T::ONE, mat(&x, n, d), mat(&nu, s, m), form)?;
                both.extend(c);
            }
            Ok(both)
        }),
        routine("packed_symv", |p| {
            let [_, m, d, _] = p.shape;
            let (rows, cols, r, c) = (p.dim(m), p.dim(total(d)), p.dim(m), p.dim(d));
            let (blocks, v, mut out) = (p.values(rows * cols), p.values(r * c), p.output(m * d));
            blas::packed_symv(mat_mut(&mut out, m, d), mat(&blocks, rows, cols), mat(&v, r, c))?;
            Ok(out)
        }),
        routine("fold_scale", |p| {
            let [n, m, ..] = p.shape;
            let s = p.dim(m);
            let (mut nu, scale) = (p.weights(n * m), p.values(s));
            fold_scale(mat_mut(&mut nu, n, m), &scale)?;
            Ok(nu)
        }),
        routine("nu_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            let one = T::ONE;
            let r = Response::Relu { leak: T::ZERO, smoothing: one, sigma: one };
            r.nu_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("mean_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Response::Tanh.mean_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("mean_derivative_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Response::Sigm.mean_derivative_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("value_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Activation::Elu { alpha: T::ONE }.value_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("derivative_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Activation::Sigm.derivative_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("second_derivative_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Activation::Tanh.second_derivative_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("backward_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut delta) = (p.values(p.shape[0]), p.values(s));
            Activation::Relu { leak: T::HALF }.backward_slice(&mut delta, &t)?;
            Ok(delta)
        }),
        routine("sgd", |p| {
            let (a, b, n) = (p.dim(p.shape[0]), p.dim(p.shape[0]), p.shape[0]);
            let (mut theta, mut velocity, g) = (p.values(n), p.values(a), p.values(b));
            let rule = optim::Sgd {
                learning_rate: T::HALF,
                momentum: T::HALF,
                form: optim::Momentum::Nesterov,
                weight_decay: T::HALF,
            };
            rule.step(&mut theta, &mut velocity, &g)?;
            Ok([theta, velocity].concat())
        }),
        routine("adam", |p| {
            let (a, b, c, n) =
                (p.dim(p.shape[0]), p.dim(p.shape[0]), p.dim(p.shape[0]), p.shape[0]);
            let (mut theta, mut first, mut second, g) =
                (p.values(n), p.values(a), p.weights(b), p.values(c));
            let rule = optim::Adam::default().at(T::HALF, 3);
            rule.step(&mut theta, &mut first, &mut second, &g)?;
            Ok([theta, first, second].concat())
        }),
        routine("descend", |p| {
            let (a, n) = (p.dim(p.shape[0]), p.shape[0]);
            let (mut theta, g) = (p.values(n), p.values(a));
            optim::descend(&mut theta, &g, T::HALF)?;
            Ok(theta)
        }),
        routine("add_weight_decay", |p| {
            let (a, n) = (p.dim(p.shape[0]), p.shape[0]);
            let (mut g, theta) = (p.values(n), p.values(a));
            optim::add_weight_decay(&mut g, &theta, T::HALF)?;
            Ok(g)
        }),
        routine("ema_update", |p| {
            let (a, n) = (p.dim(p.shape[0]), p.shape[0]);
            let (mut average, x) = (p.output(n), p.values(a));
            optim::ema_update(&mut average, &x, T::ZERO)?;
            Ok(average)
        }),
        routine("inner_product", |p| {
            let (a, n) = (p.dim(p.shape[0]), p.shape[0]);
            let (x, y) = (p.values(n), p.values(a));
            Ok(vec![optim::inner_product(&x, &y)?])
        }),
    ]
}
