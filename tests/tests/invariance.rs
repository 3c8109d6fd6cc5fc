//! What a metric must not depend on: the parameterisation. ⟨δΘ, δΘ⟩ is the same in every one
//! (g_Θ = JᵀgJ), and so is the natural gradient step; along the singular direction of a soft-max
//! nothing happens at all.

use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric, SoftmaxMetric, SolveOptions};
use relfisher_core::metric::neuron::Response;
use relfisher_core::{Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, cast, to_f64};
use relfisher_tests::layer::{Neuron, neurons, nu, pre_activations};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::oracle::dual::{First, Number, constants, jacobian};
use relfisher_tests::oracle::response::{Model, linear};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle;

const N: usize = 6;
const M: usize = 2;
const D: usize = 3;

/// The mean metric of a layer of neurons whose weights are θ = φ(Θ), in the parameters Θ, from the
/// definition.
fn reparameterised(
    neuron: &Neuron,
    phi: impl Fn(&[First]) -> Vec<First>,
    big: &[f64],
    x: &[f64],
) -> Matrix {
    let zero = Matrix::zeros(big.len(), big.len());
    x.chunks_exact(D).fold(zero, |sum, row| {
        let row: Vec<First> = constants(row);
        let output = |t: &[First]| -> Vec<First> {
            linear(&phi(t), &row).into_iter().map(|u| neuron.function.at(u)).collect()
        };
        sum.plus(1.0 / N as f64, &neuron.model.fisher(output, big))
    })
}

/// The quadratic form of the core's metric of a layer with weights w, along v.
fn quadratic_form<T: Real>(response: Response<T>, w: &[T], x: &[T], v: &[T]) -> f64 {
    let weights = nu(response, &pre_activations(x, w, N, M, D));
    let metric = NonlinearMetric::new(mat(x, N, D), mat(&weights, N, M)).expect("metric");
    let mut work = nans(metric.multiply_workspace_len());
    metric.quadratic_form(&Portable, mat(v, M, D), &mut work).expect("quadratic form").to_f64()
}

/// The core's undamped step Ḡ⁻¹ G by the block route.
fn step<T: Real>(response: Response<T>, w: &[T], x: &[T], g: &[T]) -> Vec<T> {
    let weights = nu(response, &pre_activations(x, w, N, M, D));
    let metric = NonlinearMetric::new(mat(x, N, D), mat(&weights, N, M)).expect("metric");
    let options = SolveOptions { route: Some(Route::Block), ..Default::default() };
    let len = NonlinearMetric::<T>::solve_workspace_len(N, M, D, Route::Block);
    let (mut out, g) = (nans(M * D), mat(g, M, D));
    metric
        .solve(&Portable, mat_mut(&mut out, M, D), g, T::ZERO, options, &mut nans(len))
        .expect("an undamped solve of a regular metric");
    out
}

/// An invertible matrix: orthogonal · diagonal · orthogonal, condition 4.
fn invertible(random: &mut Random, d: usize) -> Matrix {
    let (p, q) = (random.orthogonal(d), random.orthogonal(d));
    let scales: Vec<f64> = (0..d).map(|i| if i % 2 == 0 { 0.5 } else { 2.0 }).collect();
    Matrix::new(d, d, p).times(&Matrix::diagonal(&scales)).times(&Matrix::new(d, d, q))
}

/// θ_i = Θ_i + ½ sin Θ_{i+1} + ⅛ Θ_i² tanh Θ_{i+2}: smooth, invertible near 0, coupling everything.
fn bend<N: Number>(big: &[N]) -> Vec<N> {
    let at = |i: usize| big[i % big.len()];
    (0..big.len())
        .map(|i| {
            at(i) + at(i + 1).sin().scale(0.5) + (at(i) * at(i) * at(i + 2).tanh()).scale(0.125)
        })
        .collect()
}

/// The regular neurons: the others have ν = 0 on half of the line and a singular metric.
fn regular() -> impl Iterator<Item = Neuron> {
    neurons().into_iter().filter(|n| {
        !matches!(
            n.response,
            Response::Relu { leak: 0.0, smoothing: 0.0, .. } | Response::Gaussian { .. }
        )
    })
}

/// ⟨δΘ, δΘ⟩ in Θ from the definition against ⟨JδΘ, JδΘ⟩ in θ from the core, for a linear and a
/// non-linear map, and the natural gradient step likewise.
fn metric_and_step_in_other_parameters<T: Real>() {
    for (k, neuron) in regular().enumerate() {
        let mut random = Random::new(k as u64);
        let x: Vec<T> = random.augmented(N, D - 1);
        let change = invertible(&mut random, M * D);
        let big: Vec<f64> = random.uniforms(M * D, -0.6, 0.6);
        let linear_map =
            |t: &[First]| -> Vec<First> { linear(&constants::<First>(&change.data), t) };
        in_other_parameters::<T>("linear", &neuron, linear_map, &big, &x, &mut random);
        in_other_parameters::<T>("non-linear", &neuron, bend, &big, &x, &mut random);
    }
}

fn in_other_parameters<T: Real>(
    label: &str,
    neuron: &Neuron,
    phi: impl Fn(&[First]) -> Vec<First> + Copy,
    big: &[f64],
    x: &[T],
    random: &mut Random,
) {
    let label = format!("{label} map, {neuron:?}");
    let p = M * D;
    let small: Vec<f64> = phi(&constants(big)).iter().map(|t| t.v).collect();
    let w: Vec<T> = cast(&small);
    let j = Matrix::new(p, p, jacobian(phi, big));
    let g_big = reparameterised(neuron, phi, big, &to_f64(x));
    let delta: Vec<f64> = random.normals(p);
    let v: Vec<T> = cast(&j.apply(&delta));
    let got = quadratic_form(neuron.response::<T>(), &w, x, &v);
    let want = g_big.quadratic_form(&delta);
    assert_close(&label, &[T::from_f64(got)], &[want], "invariance", Oracle::Identity, p);

    // A gradient is a covector: ∂L/∂Θ = Jᵀ ∂L/∂θ. The steps then obey δθ = J δΘ.
    let g: Vec<f64> = to_f64(&random.normals::<T>(p));
    let step_big = g_big.solve_vector(&j.t().apply(&g));
    let got = step(neuron.response::<T>(), &w, x, &cast(&g));
    let want = j.apply(&step_big);
    assert_close(&format!("{label}: step"), &got, &want, "invariant step", Oracle::Identity, p);
}

/// An invertible change of the inputs, x̃ → A x̃, W̃ → W̃ A⁻¹, inside the core alone.
fn change_of_inputs<T: Real>() {
    for (k, neuron) in regular().enumerate() {
        let mut random = Random::new(50 + k as u64);
        let x: Vec<f64> = random.augmented(N, D - 1);
        let w: Vec<f64> = random.uniforms(M * D, -0.8, 0.8);
        let (v, g): (Vec<f64>, Vec<f64>) = (random.normals(M * D), random.normals(M * D));
        let a = invertible(&mut random, D);
        let b = a.inverse();
        let rows = |rows: &[f64], by: &Matrix| -> Vec<T> {
            cast(&Matrix::new(rows.len() / D, D, rows.to_vec()).times(by).data)
        };
        let plain = |rows: &[f64]| -> Vec<T> { cast(rows) };
        let response = neuron.response::<T>();
        let here = quadratic_form(response, &plain(&w), &plain(&x), &plain(&v));
        let there = quadratic_form(response, &rows(&w, &b), &rows(&x, &a.t()), &rows(&v, &b));
        let label = format!("inputs of {neuron:?}");
        assert_close(&label, &[T::from_f64(there)], &[here], "invariance", Oracle::Identity, D);
        // Gradients transform with Aᵀ, steps with A⁻¹.
        let here = step(response, &plain(&w), &plain(&x), &plain(&g));
        let there = step(response, &rows(&w, &b), &rows(&x, &a.t()), &rows(&g, &a.t()));
        let want = rows(&to_f64(&here), &b);
        assert_close(&label, &there, &to_f64(&want), "invariant step", Oracle::Identity, D);
    }
}

/// The same vector added to every w_i changes no probability: the form is 0, and so is the product.
fn singular_direction_of_softmax<T: Real>() {
    let (n, c, d) = (5, 4, 3);
    let mut random = Random::new(3);
    let (x, w): (Vec<T>, Vec<T>) = (random.augmented(n, d - 1), random.normals(c * d));
    let eta: Vec<T> = {
        let u = to_f64(&pre_activations(&x, &w, n, c, d));
        let rows = u.chunks_exact(c).flat_map(|row| {
            let top = f64::log_sum_exp(row);
            row.iter().map(move |u| (u - top).exp()).collect::<Vec<_>>()
        });
        cast(&rows.collect::<Vec<_>>())
    };
    let metric = SoftmaxMetric::new(mat(&x, n, d), mat(&eta, n, c)).expect("metric");
    let shift: Vec<T> = random.normals(d);
    let v: Vec<T> = (0..c).flat_map(|_| shift.clone()).collect();
    let size: f64 = to_f64(&pre_activations(&x, &shift, n, 1, d)).iter().map(|p| p * p).sum();
    let mut work = nans(metric.multiply_workspace_len());
    let q = metric.quadratic_form(&Portable, mat(&v, c, d), &mut work).expect("form").to_f64();
    assert!((0.0..=T::EPSILON.to_f64() * T::EPSILON.to_f64() * 1e3 * size).contains(&q), "{q:e}");
    let mut out = nans(c * d);
    let mut work = nans(metric.multiply_workspace_len());
    metric.multiply(&Portable, mat_mut(&mut out, c, d), mat(&v, c, d), &mut work).expect("product");
    let zero = vec![0.0; c * d];
    assert_close("product", &out, &zero, "singular direction", Oracle::Identity, n + c);
    // The definition agrees: its matrix has d̃ zero eigenvalues.
    let row: Vec<First> = constants(&to_f64(&x[..d]));
    let g = Model::Categorical.fisher(|t| linear(t, &row), &to_f64(&w));
    let (values, _) = g.eigh();
    assert!(values[d - 1].abs() < 1e-14, "{values:?}");
    // A damped solve still works and leaves the singular part g/λ.
    let options = SolveOptions { route: Some(Route::Sample), ..Default::default() };
    let len = SoftmaxMetric::<T>::solve_workspace_len(n, c, d, Route::Sample);
    let mut out = nans(c * d);
    metric
        .solve(&Portable, mat_mut(&mut out, c, d), mat(&v, c, d), T::HALF, options, &mut nans(len))
        .expect("damped solve");
    let want: Vec<f64> = to_f64(&v).iter().map(|x| 2.0 * x).collect();
    assert_close("g/λ", &out, &want, "invariant step", Oracle::Identity, n + c);
    // And an undamped one is refused.
    let options = SolveOptions { route: Some(Route::Block), ..Default::default() };
    let len = SoftmaxMetric::<T>::solve_workspace_len(n, c, d, Route::Block);
    let refused = metric.solve(
        &Portable,
        mat_mut(&mut out, c, d),
        mat(&v, c, d),
        T::ZERO,
        options,
        &mut nans(len),
    );
    assert!(refused.is_err(), "{refused:?}");
}

both_dtypes!(metric_and_step_in_other_parameters, change_of_inputs, singular_direction_of_softmax,);
