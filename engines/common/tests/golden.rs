//! Factors, damped inverses and metrics against golden cases of independent packages.

use relfisher_engine::{
    Affine, Capture, Config, Damping, LayerSpec, MatRef, Method, NaturalGradient, Portable,
    Response, Site,
};
use relfisher_engine_testing::{GOLDEN_SOLVE_TOLERANCE, GOLDEN_TOLERANCE, Golden, Pass, deviation};

const CASES: [&str; 2] = ["sa_tanh_ce", "sb_relu_ce"];

fn view(data: &[f64], rows: usize, cols: usize) -> MatRef<'_, f64> {
    MatRef::new(data, rows, cols).expect("a matrix")
}

fn elements(matrix: MatRef<'_, f64>) -> Vec<f64> {
    let row = |i| (0..matrix.cols()).map(move |j| matrix.at(i, j));
    (0..matrix.rows()).flat_map(row).collect()
}

fn specs(case: &Golden) -> Vec<LayerSpec<f64>> {
    let last = case.layers() - 1;
    let spec = |layer| {
        let (outputs, inputs) = case.shape(layer);
        let site = if layer == last { Site::Softmax } else { Site::Neurons(Response::Tanh) };
        LayerSpec { name: format!("layers.{layer}"), inputs, outputs, bias: true, site }
    };
    (0..=last).map(spec).collect()
}

/// Captures with gradients of the mean loss: δ/n.
fn captures<'a>(case: &Golden, pass: &'a Pass, deltas: &'a [Vec<f64>]) -> Vec<Capture<'a, f64>> {
    let n = pass.samples;
    let capture = |layer: usize| {
        let (m, d) = case.shape(layer);
        Capture {
            input: view(&pass.inputs[layer], n, d),
            output: Some(view(&pass.outputs[layer], n, m)),
            output_gradient: Some(view(&deltas[layer], n, m)),
        }
    };
    (0..case.layers()).map(capture).collect()
}

/// A step of rate 1 without momentum or decay leaves the direction, negated.
fn plain(method: Method<f64>, damping: f64) -> Config<f64> {
    Config { learning_rate: 1.0, momentum: 0.0, weight_decay: 0.0, damping, method }
}

fn kfac(split: Damping) -> Method<f64> {
    Method::Kfac { decay: 0.9, split, factor_every: 1, refresh: 1, kl_clip: None }
}

/// The directions of a step with the golden gradients.
fn directions(optimiser: &mut NaturalGradient<f64>, case: &Golden) -> Vec<Vec<f64>> {
    let gradients: Vec<_> =
        (0..case.layers()).map(|k| case.get(&format!("grad.layers.{k}"))).collect();
    let parts: Vec<Affine<'_, f64>> = gradients
        .iter()
        .map(|g| {
            let whole = view(&g.data, g.shape[0], g.shape[1]);
            let d = g.shape[1] - 1;
            let weight = whole.sub(0, 0, g.shape[0], d).expect("weights");
            Affine { weight, bias: Some(whole.sub(0, d, g.shape[0], 1).expect("biases")) }
        })
        .collect();
    // Without decay the parameters do not matter.
    optimiser.step(&parts, &parts).expect("a step");
    (0..case.layers())
        .map(|k| {
            let update = optimiser.update(k).expect("an update");
            let (weight, bias) = (elements(update.weight), elements(update.bias.expect("a bias")));
            let rows = weight.chunks_exact(update.weight.cols()).zip(bias);
            rows.flat_map(|(w, b)| w.iter().copied().chain([b])).map(|x| -x).collect()
        })
        .collect()
}

#[test]
fn factors_of_true_and_drawn_labels() {
    for name in CASES {
        let case = Golden::read(name);
        let pass = case.forward();
        for (labels, key) in [(&case.y, "kfac_emp"), (&case.y_mc, "kfac_mc")] {
            let mut deltas = case.backward(&pass, case.top(&pass, labels));
            deltas.iter_mut().flatten().for_each(|g| *g /= pass.samples as f64);
            let config = plain(kfac(Damping::Pi), 0.1);
            let mut optimiser = NaturalGradient::new(specs(&case), config, Portable).expect(name);
            // Twice the same batch: the average of equal factors is the factor.
            for _ in 0..2 {
                optimiser.observe(&captures(&case, &pass, &deltas)).expect(name);
            }
            for layer in 0..case.layers() {
                let (a, g) = optimiser.factors(layer).expect("factors");
                for (found, key) in [(a, "kfac.A"), (g, &format!("{key}.G"))] {
                    let wanted = &case.get(&format!("{key}.layers.{layer}")).data;
                    let apart = deviation(&elements(found), wanted);
                    assert!(apart < GOLDEN_TOLERANCE, "{name} {key} {layer}: {apart:e}");
                }
            }
        }
    }
}

/// Every class weighted by its probability, as n·C samples whose G is the exact one: the step of
/// K-FAC with both ways to split the damping.
#[test]
fn damped_steps_of_kfac() {
    for name in CASES {
        let case = Golden::read(name);
        let one = case.forward();
        let (n, classes) = (one.samples, case.shape(case.layers() - 1).0);
        let mut deltas = vec![Vec::new(); case.layers()];
        for class in 0..classes {
            let mut top = case.top(&one, &vec![class as u32; n]);
            for (row, eta) in
                top.chunks_exact_mut(classes).zip(one.probabilities.chunks_exact(classes))
            {
                // √η_k (η − e_k); G = N Σ ccᵀ over N = n·C rows must become (1/n) Σ.
                let scale = eta[class].sqrt() / (n as f64 * (n * classes) as f64).sqrt();
                row.iter_mut().for_each(|g| *g *= scale);
            }
            for (all, more) in deltas.iter_mut().zip(case.backward(&one, top)) {
                all.extend(more);
            }
        }
        let repeat = |v: &Vec<f64>| v.repeat(classes);
        let pass = Pass {
            samples: n * classes,
            inputs: one.inputs.iter().map(repeat).collect(),
            outputs: one.outputs.iter().map(repeat).collect(),
            probabilities: one.probabilities.clone(),
        };
        for (split, key) in [(Damping::Pi, "pi"), (Damping::Factored, "factor")] {
            for (damping, text) in [(0.1, "1e-1"), (1e-3, "1e-3")] {
                let config = plain(kfac(split), damping);
                let mut optimiser =
                    NaturalGradient::new(specs(&case), config, Portable).expect(name);
                optimiser.observe(&captures(&case, &pass, &deltas)).expect(name);
                for (layer, found) in directions(&mut optimiser, &case).iter().enumerate() {
                    let key = format!("kfac_type2_precond_{key}_damp{text}.layers.{layer}");
                    let apart = deviation(found, &case.get(&key).data);
                    assert!(apart < GOLDEN_SOLVE_TOLERANCE, "{name} {key}: {apart:e}");
                }
            }
        }
    }
}

/// The metric of the soft-max layer is the exact Gauss–Newton block; for the layers below, whose
/// metric is another, the step multiplied by the metric's definition gives the gradient back.
#[test]
fn steps_of_relative_natural_gradient() {
    for (name, method) in CASES
        .iter()
        .flat_map(|name| [(*name, Method::RngdSamples), (*name, Method::RngdBlocks { refresh: 3 })])
    {
        let case = Golden::read(name);
        let pass = case.forward();
        let deltas = case.backward(&pass, case.top(&pass, &case.y));
        let mut optimiser =
            NaturalGradient::new(specs(&case), plain(method, 0.1), Portable).expect(name);
        optimiser.observe(&captures(&case, &pass, &deltas)).expect(name);
        let found = directions(&mut optimiser, &case);
        let last = case.layers() - 1;
        let key = format!("natgrad_ggn_damp1e-1.layers.{last}");
        let apart = deviation(&found[last], &case.get(&key).data);
        assert!(apart < GOLDEN_SOLVE_TOLERANCE, "{name} {method:?} {key}: {apart:e}");
        for (layer, step) in found.iter().enumerate().take(last) {
            let (m, d) = case.shape(layer);
            let mut back: Vec<f64> = step.iter().map(|v| 0.1 * v).collect();
            for (s, x) in pass.inputs[layer].chunks_exact(d).enumerate() {
                let x: Vec<f64> = x.iter().copied().chain([1.0]).collect();
                for i in 0..m {
                    let row = i * (d + 1)..(i + 1) * (d + 1);
                    let along: f64 = step[row.clone()].iter().zip(&x).map(|(v, x)| v * x).sum();
                    // The response model tanh: ν = sech² t.
                    let nu = pass.outputs[layer][s * m + i].cosh().powi(-2);
                    for (b, x) in back[row].iter_mut().zip(&x) {
                        *b += nu * along * x / pass.samples as f64;
                    }
                }
            }
            let wanted = &case.get(&format!("grad.layers.{layer}")).data;
            let apart = deviation(&back, wanted);
            assert!(apart < GOLDEN_SOLVE_TOLERANCE, "{name} {method:?} {layer}: {apart:e}");
        }
    }
}
