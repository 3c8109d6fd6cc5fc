//! Golden blocks of whole networks: the soft-max metric is the exact Gauss–Newton block of the last
//! layer, two layers give that of the layer below, and damped Kronecker inverses give the
//! preconditioned gradients.

use relfisher_core::kron::{
    Damping, KronCholesky, KronEigen, kron_cholesky_solve_workspace_len,
    kron_eigen_apply_workspace_len, kron_eigen_factor_workspace_len, split_damping,
};
use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{LinearMetric, ResponseMetric, SoftmaxMetric, SolveOptions};
use relfisher_core::metric::neuron::Activation;
use relfisher_core::metric::two_layer::LowerMetric;
use relfisher_core::{Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, cast, to_f64};
use relfisher_tests::golden::{Case, Tensor, read_npy};
use relfisher_tests::layer::{check, pre_activations};
use relfisher_tests::oracle::dual::Number;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle;

const CASES: [(&str, Activation<f64>); 5] = [
    ("sa_tanh_ce", Activation::Tanh),
    ("sb_relu_ce", Activation::Relu { leak: 0.0 }),
    ("sd_elu_ce", Activation::Elu { alpha: 1.0 }),
    ("sf_ugly_b1_dead_dup", Activation::Relu { leak: 0.0 }),
    ("sg_ugly_halfdead_dup", Activation::Relu { leak: 0.0 }),
];

/// A network run by the core alone: the input x̃ and pre-activation t of every layer.
struct Run<T> {
    inputs: Vec<(Vec<T>, usize)>,
    outputs: Vec<(Vec<T>, usize)>,
    upper: Vec<T>,
    n: usize,
}

fn run<T: Real>(name: &str, activation: Activation<f64>) -> Run<T> {
    let model = Case::read(&format!("{name}/model.safetensors"));
    let x: Tensor = read_npy(&format!("{name}/x.npy"));
    let (n, mut width) = (x.shape[0], x.shape[1]);
    let f = relfisher_tests::layer::convert::<T>(activation);
    let (mut inputs, mut outputs, mut upper) = (Vec::new(), Vec::new(), Vec::new());
    let mut a: Vec<T> = cast(&x.data);
    for k in 0.. {
        let Some(weight) = model.find(&format!("layers.{k}.weight")) else { break };
        let (m, bias) = (weight.shape[0], &model.get(&format!("layers.{k}.bias")).data);
        let rows = weight.outer().zip(bias).flat_map(|(row, b)| row.iter().copied().chain([*b]));
        let w: Vec<T> = cast(&rows.collect::<Vec<f64>>());
        let augmented: Vec<T> =
            a.chunks_exact(width).flat_map(|r| r.iter().copied().chain([T::ONE])).collect();
        let t = pre_activations(&augmented, &w, n, m, width + 1);
        a = nans(t.len());
        f.value_slice(&mut a, &t).expect("activation");
        upper = cast(&weight.data);
        inputs.push((augmented, width + 1));
        outputs.push((t, m));
        width = m;
    }
    Run { inputs, outputs, upper, n }
}

fn softmax<T: Real>(logits: &[T], c: usize) -> Vec<T> {
    let rows = logits.chunks_exact(c).flat_map(|row| {
        let row = to_f64(row);
        let top = f64::log_sum_exp(&row);
        row.into_iter().map(move |u| T::from_f64((u - top).exp()))
    });
    rows.collect()
}

/// The last layer and the one below, against the exact Gauss–Newton blocks; damped steps too.
fn last_two_layers<T: Real>() {
    for (name, activation) in CASES {
        let want = Case::read(&format!("{name}/expected.safetensors"));
        let Run { inputs, outputs, upper, n } = run::<T>(name, activation);
        let last = inputs.len() - 1;
        let ((x, d), (logits, c)) = (&inputs[last], &outputs[last]);
        let eta = softmax(logits, *c);
        let metric = SoftmaxMetric::new(mat(x, n, *d), mat(&eta, n, *c)).expect("metric");
        if let Some(block) = want.find(&format!("ggn_block.layers.{last}")) {
            check(name, &metric, &block.matrix(), "block", Oracle::Golden);
        }
        for (damping, tag) in [(1e-3, "1e-3"), (1e-1, "1e-1")] {
            let g: Vec<T> = cast(&want.get(&format!("grad.layers.{last}")).data);
            let step = &want.get(&format!("natgrad_ggn_damp{tag}.layers.{last}")).data;
            for route in [Route::Block, Route::Sample, Route::ConjugateGradient] {
                let mut out = nans(c * d);
                let len = SoftmaxMetric::<T>::solve_workspace_len(n, *c, *d, route);
                let options = SolveOptions { route: Some(route), ..Default::default() };
                let (o, g) = (mat_mut(&mut out, *c, *d), mat(&g, *c, *d));
                metric
                    .solve(&Portable, o, g, T::from_f64(damping), options, &mut nans(len))
                    .unwrap_or_else(|e| panic!("{name} {route:?} {tag}: {e}"));
                let label = format!("{name} natgrad {route:?} {tag}");
                assert_close(&label, &out, step, "precondition", Oracle::Golden, 1);
            }
        }
        let ((x, d), (t, m)) = (&inputs[last - 1], &outputs[last - 1]);
        let mut slope = nans(t.len());
        let f = relfisher_tests::layer::convert::<T>(activation);
        f.derivative_slice(&mut slope, t).expect("slope");
        let response = ResponseMetric::Softmax(mat(&eta, n, *c));
        let below =
            LowerMetric::new(mat(x, n, *d), mat(&slope, n, *m), mat(&upper, *c, *m), response);
        let below = below.expect("metric");
        if let Some(block) = want.find(&format!("ggn_block.layers.{}", last - 1)) {
            check(name, &below, &block.matrix(), "block", Oracle::Golden);
        }
    }
}

/// The last layer of the least-squares network: a linear layer whose answer has σ² = ½.
fn least_squares<T: Real>() {
    let name = "sc_sigmoid_mse";
    let want = Case::read(&format!("{name}/expected.safetensors"));
    let Run { inputs, outputs, n, .. } = run::<T>(name, Activation::Sigm);
    let last = inputs.len() - 1;
    let ((x, d), (_, m)) = (&inputs[last], &outputs[last]);
    let sigma = T::HALF.sqrt();
    let metric = LinearMetric::new(mat(x, n, *d), *m, sigma).expect("metric");
    let block = want.get(&format!("ggn_block.layers.{last}")).matrix();
    check(name, &metric, &block, "block", Oracle::Golden);
    let g: Vec<T> = cast(&want.get(&format!("grad.layers.{last}")).data);
    let step = &want.get(&format!("natgrad_ggn_damp1e-1.layers.{last}")).data;
    let mut out = nans(m * d);
    let mut work = nans(LinearMetric::<T>::solve_workspace_len(n, *m, *d));
    let (o, lambda) = (mat_mut(&mut out, *m, *d), T::from_f64(1e-1));
    metric.solve(&Portable, o, mat(&g, *m, *d), lambda, &mut work).expect("solve");
    assert_close(name, &out, step, "precondition", Oracle::Golden, 1);
}

/// (G ⊗ A, damped in three ways)⁻¹ times the gradient, from the golden factors.
fn kronecker_preconditioners<T: Real>() {
    for name in CASES.map(|c| c.0).into_iter().chain(["sc_sigmoid_mse"]) {
        let case = Case::read(&format!("{name}/expected.safetensors"));
        for k in 0.. {
            let Some(g) = case.find(&format!("kfac_type2.G.layers.{k}")) else { break };
            let a = case.get(&format!("kfac.A.layers.{k}"));
            let (m, d) = (g.shape[0], a.shape[0]);
            let gradient: Vec<T> = cast(&case.get(&format!("grad.layers.{k}")).data);
            for (lambda, tag) in [(1e-3, "1e-3"), (1e-1, "1e-1")] {
                for (form, what) in
                    [(Damping::Exact, "eig"), (Damping::Pi, "pi"), (Damping::Factored, "factor")]
                {
                    let key = format!("kfac_type2_precond_{what}_damp{tag}.layers.{k}");
                    let (mut left, mut right): (Vec<T>, Vec<T>) = (cast(&g.data), cast(&a.data));
                    let (mut v, lambda) = (gradient.clone(), T::from_f64(lambda));
                    let split = split_damping(mat(&left, m, m), mat(&right, d, d), lambda, form)
                        .expect("split");
                    let (l, r) = (mat_mut(&mut left, m, m), mat_mut(&mut right, d, d));
                    if form == Damping::Exact {
                        let (mut s, mut t) = (nans(m), nans(d));
                        let mut work = nans(kron_eigen_factor_workspace_len(m, d));
                        let basis =
                            KronEigen::factor(&Portable, (l, &mut s), (r, &mut t), &mut work)
                                .expect("eigenbases");
                        let mut work = nans(kron_eigen_apply_workspace_len(m, d));
                        basis
                            .solve(&Portable, mat_mut(&mut v, m, d), lambda, &mut work)
                            .unwrap_or_else(|e| panic!("{name} {key}: {e}"));
                    } else {
                        let factors = KronCholesky::factor(&Portable, l, r, split)
                            .unwrap_or_else(|e| panic!("{name} {key}: {e}"));
                        let mut work = nans(kron_cholesky_solve_workspace_len(m, d));
                        factors.solve(&Portable, mat_mut(&mut v, m, d), &mut work).expect("solve");
                    }
                    let label = format!("{name} {key}");
                    assert_close(
                        &label,
                        &v,
                        &case.get(&key).data,
                        "precondition",
                        Oracle::Golden,
                        1,
                    );
                }
            }
        }
    }
}

both_dtypes!(last_two_layers, least_squares, kronecker_preconditioners);
