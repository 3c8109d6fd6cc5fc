//! The ladder of every relative Fisher metric: definition (outcomes enumerated, Gauss–Hermite
//! quadrature, scores by dual numbers) → closed form per sample → mean over samples → structured
//! forms and solves → f32. No closed form appears on the oracle's side.

use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{
    LinearMetric, NonlinearMetric, ResponseMetric, SoftmaxMetric, SolveOptions,
};
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::metric::two_layer::TwoLayerMetric;
use relfisher_core::{Portable, Real, blas};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, assert_symmetric, cast, to_f64};
use relfisher_tests::layer::{self, Neuron, check, neurons, nu, pre_activations};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::oracle::dual::{First, Number, constants, gradient};
use relfisher_tests::oracle::response::{Function, Model, augment, linear};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle;

/// The mean over the rows of x of the metric of `model` with outputs f(θ, x_s), from the definition.
fn definition(
    model: Model,
    output: impl Fn(&[First], &[First]) -> Vec<First>,
    theta: &[f64],
    x: &[f64],
    d: usize,
) -> Matrix {
    let n = x.len() / d;
    let zero = Matrix::zeros(theta.len(), theta.len());
    x.chunks_exact(d).fold(zero, |sum, row| {
        let row: Vec<First> = constants(row);
        sum.plus(1.0 / n as f64, &model.fisher(|t| output(t, &row), theta))
    })
}

/// The layer of `neuron`s with weights w, from the definition.
fn layer_definition(neuron: &Neuron, w: &[f64], x: &[f64], d: usize) -> Matrix {
    definition(
        neuron.model,
        |t, x| linear(t, x).into_iter().map(|u| neuron.function.at(u)).collect(),
        w,
        x,
        d,
    )
}

/// Weights and inputs rounded to `T`, so that both dtypes and the oracle see the same numbers.
fn inputs<T: Real>(seed: u64, n: usize, m: usize, d: usize) -> (Vec<T>, Vec<T>) {
    let mut random = Random::new(seed);
    let w: Vec<T> = random.uniforms(m * d, -1.5, 1.5);
    (w, random.augmented(n, d - 1))
}

/// One sample, every neuron: ν(t) x̃x̃ᵀ blocks against E[∂ln p ∂ln pᵀ].
fn per_sample<T: Real>() {
    for (k, neuron) in neurons().iter().enumerate() {
        let (m, d) = (3, 4);
        let (w, x) = inputs::<T>(100 + k as u64, 1, m, d);
        let weights = nu(neuron.response::<T>(), &pre_activations(&x, &w, 1, m, d));
        let metric = NonlinearMetric::new(mat(&x, 1, d), mat(&weights, 1, m)).expect("metric");
        let want = layer_definition(neuron, &to_f64(&w), &to_f64(&x), d);
        check(neuron.name, &metric, &want, "ladder: per sample", Oracle::Definition);
    }
}

/// The mean over samples, dense, packed and block by block; solves against dense elimination.
fn mean_and_structure<T: Real>() {
    for (k, neuron) in neurons().iter().enumerate() {
        let (n, m, d) = (7, 2, 4);
        let (w, x) = inputs::<T>(200 + k as u64, n, m, d);
        let weights = nu(neuron.response::<T>(), &pre_activations(&x, &w, n, m, d));
        let metric = NonlinearMetric::new(mat(&x, n, d), mat(&weights, n, m)).expect("metric");
        let want = layer_definition(neuron, &to_f64(&w), &to_f64(&x), d);
        check(neuron.name, &metric, &want, "ladder: per sample", Oracle::Definition);

        let triangle = d * (d + 1) / 2;
        let mut packed = nans::<T>(m * triangle);
        let mut work = nans(blas::packed_grams_workspace_len(n, m, d));
        metric
            .packed(&Portable, mat_mut(&mut packed, m, triangle), T::ZERO, &mut work)
            .expect("packed");
        for i in 0..m {
            let block = want.block(i * d, i * d, d, d);
            let got = &packed[i * triangle..(i + 1) * triangle];
            let label = format!("{} packed {i}", neuron.name);
            assert_close(&label, got, &block.packed(), "ladder: per sample", Oracle::Definition, d);
            let mut one = nans(d * d);
            let mut work = nans(NonlinearMetric::<T>::block_workspace_len(n, d));
            metric.block(&Portable, mat_mut(&mut one, d, d), i, &mut work).expect("block");
            assert_symmetric(&label, &one, d);
            assert_close(&label, &one, &block.data, "ladder: per sample", Oracle::Definition, d);
        }

        let g: Vec<T> = Random::new(k as u64).normals(m * d);
        let damping = 0.25;
        for route in [Route::Block, Route::Sample, Route::ConjugateGradient] {
            let mut out = nans(m * d);
            let len = NonlinearMetric::<T>::solve_workspace_len(n, m, d, route);
            let options = SolveOptions { route: Some(route), ..Default::default() };
            let (o, r) = (mat_mut(&mut out, m, d), mat(&g, m, d));
            metric
                .solve(&Portable, o, r, T::from_f64(damping), options, &mut nans(len))
                .unwrap_or_else(|e| panic!("{} {route:?}: {e}", neuron.name));
            let step = want.damped(damping).solve_vector(&to_f64(&g));
            let label = format!("{} {route:?}", neuron.name);
            assert_close(&label, &out, &step, "ladder: solve", Oracle::Definition, n + d);
        }
    }
}

/// The linear layer has its own structure: one block for all neurons.
fn linear_layer<T: Real>() {
    for sigma in [1.0, 0.5, 4.0] {
        let (n, m, d) = (6, 3, 3);
        let (w, x) = inputs::<T>(300, n, m, d);
        let metric = LinearMetric::new(mat(&x, n, d), m, T::from_f64(sigma)).expect("metric");
        let model = Model::Gaussian { sigma };
        let want = definition(model, linear, &to_f64(&w), &to_f64(&x), d);
        check("linear layer", &metric, &want, "ladder: per sample", Oracle::Definition);
        let mut block = nans(d * d);
        let mut work = nans(blas::gram_workspace_len(n, d));
        metric.block(&Portable, mat_mut(&mut block, d, d), &mut work).expect("block");
        let shared = want.block(0, 0, d, d).data;
        assert_close("block", &block, &shared, "ladder: per sample", Oracle::Definition, n);
        let g: Vec<T> = Random::new(4).normals(m * d);
        let mut out = nans(m * d);
        let mut work = nans(LinearMetric::<T>::solve_workspace_len(n, m, d));
        metric
            .solve(&Portable, mat_mut(&mut out, m, d), mat(&g, m, d), T::HALF, &mut work)
            .expect("solve");
        let step = want.damped(0.5).solve_vector(&to_f64(&g));
        assert_close("linear step", &out, &step, "ladder: solve", Oracle::Definition, n + d);
        assert_eq!(metric.precision().to_f64(), 1.0 / (sigma * sigma));
    }
}

/// Probabilities of the logits u (n × c), in f64.
fn softmax(u: &[f64], c: usize) -> Vec<f64> {
    u.chunks_exact(c)
        .flat_map(|row| {
            let top = f64::log_sum_exp(row);
            row.iter().map(move |u| (u - top).exp()).collect::<Vec<_>>()
        })
        .collect()
}

/// The soft-max layer: classes enumerated.
fn softmax_layer<T: Real>() {
    for (n, c, d) in [(1, 2, 3), (1, 5, 3), (6, 3, 4), (5, 4, 2)] {
        let (w, x) = inputs::<T>(400 + c as u64, n, c, d);
        let u: Vec<f64> =
            to_f64(&x).chunks_exact(d).flat_map(|x| linear::<f64>(&to_f64(&w), x)).collect();
        let eta: Vec<T> = cast(&softmax(&u, c));
        let metric = SoftmaxMetric::new(mat(&x, n, d), mat(&eta, n, c)).expect("metric");
        let want = definition(Model::Categorical, linear, &to_f64(&w), &to_f64(&x), d);
        check("soft-max layer", &metric, &want, "ladder: per sample", Oracle::Definition);
        let g: Vec<T> = Random::new(9).normals(c * d);
        for route in [Route::Block, Route::Sample, Route::ConjugateGradient] {
            let mut out = nans(c * d);
            let len = SoftmaxMetric::<T>::solve_workspace_len(n, c, d, route);
            let options = SolveOptions { route: Some(route), ..Default::default() };
            let (o, r) = (mat_mut(&mut out, c, d), mat(&g, c, d));
            metric
                .solve(&Portable, o, r, T::from_f64(0.125), options, &mut nans(len))
                .unwrap_or_else(|e| panic!("soft-max {route:?}: {e}"));
            let step = want.damped(0.125).solve_vector(&to_f64(&g));
            let label = format!("soft-max {route:?} {n} {c} {d}");
            assert_close(&label, &out, &step, "ladder: solve", Oracle::Definition, n * c + d);
        }
    }
}

/// What answers at the top of two layers.
#[derive(Clone, Copy, Debug)]
enum Top {
    Softmax,
    Neurons(Neuron),
    Constant(f64),
}

fn tops() -> Vec<Top> {
    let mut all = vec![Top::Softmax, Top::Constant(0.5)];
    // tanh, sigm, one smooth relu, elu and Gaussian tanh are enough above; all stand alone elsewhere.
    let chosen = ["tanh", "sigm", "smooth relu", "elu", "gaussian"];
    for name in chosen {
        all.extend(neurons().into_iter().find(|n| n.name == name).map(Top::Neurons));
    }
    all
}

/// Two layers: the whole network, hence the exact Fisher matrix, from the definition.
fn two_layers<T: Real>() {
    let below: [(Activation<f64>, Option<Function>); 6] = [
        (Activation::Tanh, None),
        (Activation::Sigm, None),
        (Activation::Elu { alpha: 0.75 }, None),
        (Activation::Relu { leak: 0.125 }, None),
        (Activation::Linear, None),
        // A smooth relu below: mean and slope come from its response model.
        (
            Activation::Relu { leak: 0.25 },
            Some(Function::SmoothRelu { leak: 0.25, smoothing: 0.5 }),
        ),
    ];
    for (k, (activation, smooth)) in below.into_iter().enumerate() {
        for top in tops() {
            two_layer_case::<T>(500 + k as u64, activation, smooth, top);
        }
    }
}

fn two_layer_case<T: Real>(
    seed: u64,
    activation: Activation<f64>,
    smooth: Option<Function>,
    top: Top,
) {
    let (n, m, d, c) = (4, 3, 3, 2);
    let k = m + 1;
    let label = format!("{activation:?} below {top:?}");
    let (w, x) = inputs::<T>(seed, n, m, d);
    let upper: Vec<T> = Random::new(seed + 1).uniforms(c * k, -1.0, 1.0);
    let t = pre_activations(&x, &w, n, m, d);
    let (mut slope, mut hidden) = (nans::<T>(n * m), nans::<T>(n * m));
    match smooth {
        Some(Function::SmoothRelu { leak, smoothing }) => {
            let c = T::from_f64;
            let response = Response::Relu { leak: c(leak), smoothing: c(smoothing), sigma: c(1.0) };
            response.mean_derivative_slice(&mut slope, &t).expect("slope");
            response.mean_slice(&mut hidden, &t).expect("mean");
        }
        _ => {
            let f = layer::convert::<T>(activation);
            f.derivative_slice(&mut slope, &t).expect("slope");
            f.value_slice(&mut hidden, &t).expect("value");
        }
    }
    let h: Vec<T> = hidden.chunks_exact(m).flat_map(augment_t).collect();
    let u = pre_activations(&h, &upper, n, c, k);
    let below = smooth.unwrap_or_else(|| layer::describe(activation));
    let (model, above) = match top {
        Top::Softmax => (Model::Categorical, Function::Linear),
        Top::Neurons(neuron) => (neuron.model, neuron.function),
        Top::Constant(sigma) => (Model::Gaussian { sigma }, Function::Linear),
    };
    let weights: Vec<T> = match top {
        Top::Softmax => cast(&softmax(&to_f64(&u), c)),
        Top::Neurons(neuron) => nu(neuron.response(), &u),
        Top::Constant(_) => Vec::new(),
    };
    let response = match top {
        Top::Softmax => ResponseMetric::Softmax(mat(&weights, n, c)),
        Top::Neurons(_) => ResponseMetric::Independent(mat(&weights, n, c)),
        Top::Constant(sigma) => {
            ResponseMetric::Constant { weight: T::from_f64(1.0 / (sigma * sigma)), outputs: c }
        }
    };
    let metric = TwoLayerMetric::new(
        mat(&x, n, d),
        mat(&slope, n, m),
        mat(&h, n, k),
        mat(&upper, c, k),
        response,
    )
    .expect("metric");
    let theta: Vec<f64> = to_f64(&w).into_iter().chain(to_f64(&upper)).collect();
    let network = |theta: &[First], x: &[First]| -> Vec<First> {
        let (w, upper) = theta.split_at(m * d);
        let h: Vec<First> = linear(w, x).into_iter().map(|t| below.at(t)).collect();
        linear(upper, &augment(&h)).into_iter().map(|u| above.at(u)).collect()
    };
    let want = definition(model, network, &theta, &to_f64(&x), d);
    two_layer_forms(&label, &metric, &want, (n, m, d, c, k));
}

fn augment_t<T: Real>(x: &[T]) -> Vec<T> {
    x.iter().copied().chain([T::ONE]).collect()
}

type Shape = (usize, usize, usize, usize, usize);

fn two_layer_forms<T: Real>(
    label: &str,
    metric: &TwoLayerMetric<'_, T>,
    want: &Matrix,
    (n, m, d, c, k): Shape,
) {
    let (lower, p) = (m * d, m * d + c * k);
    let near = |what: &str, got: &[T], want: &[f64]| {
        let label = format!("{label}: {what}");
        assert_close(&label, got, want, "ladder: two layers", Oracle::Definition, n + d + k);
    };
    assert_eq!(metric.parameters(), p);
    metric.check_inputs().expect("finite inputs");
    let response = metric.lower().response();
    assert_eq!(response.outputs(), c);
    response.check_shape(n).expect("as many rows as samples");
    assert!(
        response.check_shape(n + 1).is_err() || matches!(response, ResponseMetric::Constant { .. })
    );
    response.check_values().expect("weights");
    let mut out = nans::<T>(p * p);
    let len = relfisher_core::metric::layer::dense_workspace_len(n, d.max(k));
    metric.dense(&Portable, mat_mut(&mut out, p, p), &mut nans(len)).expect("dense");
    assert_symmetric(label, &out, p);
    near("dense", &out, &want.data);

    let mut cross = nans::<T>(lower * c * k);
    metric.cross(&Portable, mat_mut(&mut cross, lower, c * k), &mut nans(len)).expect("cross");
    near("cross", &cross, &want.block(0, lower, lower, c * k).data);

    let (w_block, c_block) =
        (want.block(0, 0, lower, lower), want.block(lower, lower, c * k, c * k));
    check(
        &format!("{label}: lower"),
        &metric.lower(),
        &w_block,
        "ladder: two layers",
        Oracle::Definition,
    );
    check(
        &format!("{label}: upper"),
        &metric.upper(),
        &c_block,
        "ladder: two layers",
        Oracle::Definition,
    );

    let v: Vec<T> = Random::new(77).normals(p);
    let (mut out, mut work) =
        (nans::<T>(p), nans(TwoLayerMetric::<T>::multiply_workspace_len(n, m, c)));
    let (out_w, out_c) = out.split_at_mut(lower);
    let (v_w, v_c) = (mat(&v[..lower], m, d), mat(&v[lower..], c, k));
    metric
        .multiply(&Portable, mat_mut(out_w, m, d), mat_mut(out_c, c, k), v_w, v_c, &mut work)
        .expect("multiply");
    near("multiply", &out, &want.apply(&to_f64(&v)));
    let mut work = nans(TwoLayerMetric::<T>::multiply_workspace_len(n, m, c));
    let q = metric.quadratic_form(&Portable, v_w, v_c, &mut work).expect("quadratic form");
    near("quadratic form", &[q], &[want.quadratic_form(&to_f64(&v))]);
}

/// ν against E[(∂ln p/∂t)²] over a range of t: tails for the discrete answers, whose probabilities
/// stay accurate there.
fn nu_from_the_definition<T: Real>() {
    for neuron in neurons() {
        for step in -48..=48 {
            let t = T::from_f64(f64::from(step) / 4.0);
            let response = neuron.response::<T>();
            let want =
                neuron.model.fisher(|t| vec![neuron.function.at(t[0])], &[t.to_f64()]).at(0, 0);
            // The oracle's ln p is as large as 2|t|, and its rounding error with it.
            let label = format!("ν of {neuron:?} at {t}");
            let n = 1 + 2 * t.to_f64().abs() as usize;
            assert_close(&label, &[response.nu(t)], &[want], "nu", Oracle::Definition, n);
            // The mean of the answer and its slope.
            let mean = match neuron.model {
                Model::Sign => t.to_f64().tanh(),
                Model::Bernoulli => Number::sigm(t.to_f64()),
                _ => neuron.function.at(t.to_f64()),
            };
            let got = [response.mean(t), response.mean_derivative(t)];
            let slope = match neuron.model {
                Model::Sign => gradient(|t| t[0].tanh(), &[t.to_f64()]),
                Model::Bernoulli => gradient(|t| t[0].sigm(), &[t.to_f64()]),
                _ => gradient(|t| neuron.function.at(t[0]), &[t.to_f64()]),
            };
            let label = format!("mean of {neuron:?} at {t}");
            // The oracle's ln(1 + small) is only accurate in absolute terms.
            let pair = [got[0], T::ONE];
            assert_close(&label, &pair, &[mean, 1.0], "mean", Oracle::Definition, 1);
            // Back-propagation counts the kink of a relu as inactive, the metric as active.
            if t.to_f64() != 0.0 {
                assert_close(&label, &got[1..], &slope, "mean", Oracle::Definition, 1);
            }
        }
    }
}

/// ω → 0: the smooth metric tends to the limit on both sides, and the limit counts 0 as active.
fn vanishing_smoothing<T: Real>() {
    let c = T::from_f64;
    let limit = Response::Relu { leak: c(0.25), smoothing: T::ZERO, sigma: c(0.5) };
    assert_eq!(limit.nu(T::ZERO).to_f64(), 4.0);
    for t in [-1e30, -3.0, -1e-3, 1e-3, 3.0, 1e30] {
        for smoothing in [1e-5, 1e-20, 1e-37] {
            let smooth = Response::Relu { leak: c(0.25), smoothing: c(smoothing), sigma: c(0.5) };
            assert_eq!(smooth.nu(c(t)), limit.nu(c(t)), "ω = {smoothing}, t = {t}");
        }
    }
    // At t = 0 the smooth one sees the mean slope (1 + ι)/2, whatever ω.
    let smooth = Response::Relu { leak: c(0.25), smoothing: c(1e-20), sigma: c(0.5) };
    assert_eq!(smooth.nu(T::ZERO).to_f64(), 4.0 * 0.625 * 0.625);
}

both_dtypes!(
    per_sample,
    mean_and_structure,
    linear_layer,
    softmax_layer,
    two_layers,
    nu_from_the_definition,
    vanishing_smoothing,
);
