//! What is captured from candle against golden cases of independent packages, in double precision.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Linear, ModuleT, loss};
use relfisher_candle::{Config, NaturalGradient, Probed, Response, Settings, Site};
use relfisher_engine_testing::{GOLDEN_TOLERANCE, Golden, deviation};

fn model(case: &Golden) -> Vec<Probed> {
    let tensor = |key: &str| {
        let found = case.get(key);
        let tensor = Tensor::from_slice(&found.data, found.shape.clone(), &Device::Cpu);
        Var::from_tensor(&tensor.expect(key)).expect(key).into_inner()
    };
    let last = case.layers() - 1;
    (0..=last)
        .map(|k| {
            let name = format!("layers.{k}");
            let bias = tensor(&format!("{name}.bias"));
            let linear = Linear::new(tensor(&format!("{name}.weight")), Some(bias));
            let site = if k == last { Site::Softmax } else { Site::Neurons(Response::Tanh) };
            Probed::new(&name, linear, site).expect("a layer")
        })
        .collect()
}

fn loss_of(case: &Golden, layers: &[Probed], classes: &[u32]) -> Tensor {
    let mut a =
        Tensor::from_slice(&case.x.data, case.x.shape.clone(), &Device::Cpu).expect("inputs");
    for (k, layer) in layers.iter().enumerate() {
        if k > 0 {
            a = if case.name.contains("relu") { a.relu() } else { a.tanh() }.expect("activation");
        }
        a = layer.forward_t(&a, true).expect("forward");
    }
    loss::cross_entropy(&a, &Tensor::new(classes, &Device::Cpu).expect("classes")).expect("loss")
}

#[test]
fn factors_and_gradients() {
    for name in ["sa_tanh_ce", "sb_relu_ce"] {
        let case = Golden::read(name);
        for (classes, key) in [(&case.y, "kfac_emp.G"), (&case.y_mc, "kfac_mc.G")] {
            let layers = model(&case);
            let settings = Settings { layers: layers.clone(), config: Config::<f64>::kfac() };
            let mut optimiser =
                NaturalGradient::with_backend(settings, relfisher_candle::Portable).expect(name);
            let loss = loss_of(&case, &layers, classes);
            assert_eq!(loss.dtype(), DType::F64);
            let gradients = loss.backward().expect("backward");
            optimiser.observe(&gradients).expect("observed");
            for k in 0..layers.len() {
                let (a, g) = optimiser.factors(k).expect("factors");
                for (found, key) in [(a, "kfac.A"), (g, key)] {
                    let wanted = &case.get(&format!("{key}.layers.{k}")).data;
                    let apart = deviation(&found, wanted);
                    assert!(apart < GOLDEN_TOLERANCE, "{name} {key} {k}: {apart:e}");
                }
            }
        }
    }
}

/// The step itself: what `relfisher-engine` gives for the same capture is compared with golden steps
/// in its own tests; here the soft-max layer's relative natural gradient, which is the exact
/// Gauss–Newton step, comes out of candle's variables.
#[test]
fn step_of_the_last_layer() {
    let case = Golden::read("sa_tanh_ce");
    let layers = model(&case);
    let config =
        Config { learning_rate: 1.0, momentum: 0.0, weight_decay: 0.0, ..Config::rngd_samples() };
    let variables = ["weight", "bias"];
    let last = layers.len() - 1;
    let before: Vec<Vec<f64>> =
        variables.map(|v| case.get(&format!("layers.{last}.{v}")).data.clone()).into();
    let mut optimiser = NaturalGradient::with_backend(
        Settings { layers: layers.clone(), config },
        relfisher_candle::Portable,
    )
    .expect("an optimiser");
    let loss = loss_of(&case, &layers, &case.y);
    let gradients = loss.backward().expect("backward");
    optimiser.apply(&gradients).expect("a step");
    // Read back through the layer: logits of the unit vectors and of zero.
    let (m, d) = case.shape(last);
    let identity = Tensor::eye(d, DType::F64, &Device::Cpu).expect("identity");
    let zero = Tensor::zeros((1, d), DType::F64, &Device::Cpu).expect("zero");
    let read = |x: &Tensor| {
        let out = layers[last].forward_t(x, false).expect("forward");
        out.t().expect("t").contiguous().expect("t").flatten_all().expect("flat").to_vec1::<f64>()
    };
    let bias = read(&zero).expect("bias");
    let weights = read(&identity).expect("weights");
    let golden = case.get(&format!("natgrad_ggn_damp1e-1.layers.{last}"));
    let mut found = Vec::new();
    for i in 0..m {
        for j in 0..d {
            found.push(before[0][i * d + j] - (weights[i * d + j] - bias[i]));
        }
        found.push(before[1][i] - bias[i]);
    }
    let apart = deviation(&found, &golden.data);
    // The difference of nearby numbers: some digits of the golden tolerance are lost.
    assert!(apart < 100.0 * GOLDEN_TOLERANCE, "{apart:e}");
}
