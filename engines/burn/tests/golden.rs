//! What is captured from burn against golden cases of independent packages.
//!
//! In single precision: burn's CPU backend computes in it, and the cases are in double. The tolerance is
//! that of `tests/golden/CONVENTIONS.md` for factors in f32.

use burn::module::Param;
use burn::nn::loss::CrossEntropyLoss;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use relfisher_burn::{Config, NaturalGradient, Response, Site, Trace};
use relfisher_engine_testing::{Golden, deviation};

const TOLERANCE: f64 = 1e-4;
/// Of a damped solve: what the conventions expect at a small damping.
const SOLVE_TOLERANCE: f64 = 1e-3;

fn floats(data: &[f64]) -> Vec<f32> {
    data.iter().map(|x| *x as f32).collect()
}

fn model(case: &Golden, device: &Device) -> Vec<Linear> {
    (0..case.layers())
        .map(|k| {
            let (m, d) = case.shape(k);
            let weight =
                TensorData::new(floats(&case.get(&format!("layers.{k}.weight")).data), [m, d]);
            let bias = TensorData::new(floats(&case.get(&format!("layers.{k}.bias")).data), [m]);
            let mut layer = LinearConfig::new(d, m).init(device);
            // burn's weights are d × m.
            layer.weight = Param::from_tensor(Tensor::<2>::from_data(weight, device).transpose());
            layer.bias = Some(Param::from_data(bias, device));
            layer
        })
        .collect()
}

fn run(case: &Golden, layers: &[Linear], classes: &[u32]) -> (Trace, Tensor<1>) {
    let device = layers[0].weight.device();
    let shape = [case.x.shape[0], case.x.shape[1]];
    let mut a = Tensor::<2>::from_data(TensorData::new(floats(&case.x.data), shape), &device);
    let mut trace = Trace::new();
    for (k, layer) in layers.iter().enumerate() {
        if k > 0 {
            a = if case.name.contains("relu") {
                burn::tensor::activation::relu(a)
            } else {
                a.tanh()
            };
        }
        a = trace.linear(layer, a).expect("a run");
    }
    let classes: Vec<i64> = classes.iter().map(|c| i64::from(*c)).collect();
    let classes = Tensor::<1, Int>::from_data(TensorData::new(classes, [shape[0]]), &device);
    (trace, CrossEntropyLoss::new(None, &device).forward(a, classes))
}

fn specs(layers: &[Linear]) -> Vec<(&'static str, &Linear, Site<f64>)> {
    let last = layers.len() - 1;
    let site = |k| if k == last { Site::Softmax } else { Site::Neurons(Response::Tanh) };
    layers.iter().enumerate().map(|(k, layer)| ("layer", layer, site(k))).collect()
}

#[test]
fn factors() {
    let device = Device::flex().autodiff();
    for name in ["sa_tanh_ce", "sb_relu_ce"] {
        let case = Golden::read(name);
        for (classes, key) in [(&case.y, "kfac_emp.G"), (&case.y_mc, "kfac_mc.G")] {
            let layers = model(&case, &device);
            let mut optimiser =
                NaturalGradient::<f32>::new(&specs(&layers), Config::kfac()).expect(name);
            let (trace, loss) = run(&case, &layers, classes);
            optimiser.observe(&trace, &loss.backward()).expect(name);
            for k in 0..layers.len() {
                let (a, g) = optimiser.factors(k).expect("factors");
                for (found, key) in [(a, "kfac.A"), (g, key)] {
                    let found: Vec<f64> = found.into_iter().map(f64::from).collect();
                    let apart = deviation(&found, &case.get(&format!("{key}.layers.{k}")).data);
                    assert!(apart < TOLERANCE, "{name} {key} {k}: {apart:e}");
                }
            }
        }
    }
}

/// The soft-max layer's relative natural gradient is the exact Gauss–Newton step; it arrives in burn's
/// parameters.
#[test]
fn step_of_the_last_layer() {
    let device = Device::flex().autodiff();
    let case = Golden::read("sa_tanh_ce");
    let mut layers = model(&case, &device);
    let config =
        Config { learning_rate: 1.0, momentum: 0.0, weight_decay: 0.0, ..Config::rngd_samples() };
    let mut optimiser = NaturalGradient::<f32>::new(&specs(&layers), config).expect("an optimiser");
    let (trace, loss) = run(&case, &layers, &case.y);
    let last = layers.len() - 1;
    let read = |layer: &Linear| {
        let weight = layer.weight.val().inner().transpose().into_data();
        let bias = layer.bias.as_ref().expect("a bias").val().inner().into_data();
        let (m, d) = case.shape(last);
        let weight = weight.as_slice::<f32>().expect("f32").to_vec();
        let bias = bias.as_slice::<f32>().expect("f32").to_vec();
        assert_eq!((weight.len(), bias.len()), (m * d, m));
        weight.chunks_exact(d).zip(bias).flat_map(|(w, b)| w.iter().copied().chain([b])).collect()
    };
    let before: Vec<f32> = read(&layers[last]);
    let gradients = loss.backward();
    let mut all: Vec<&mut Linear> = layers.iter_mut().collect();
    optimiser.step(&trace, &gradients, &mut all).expect("a step");
    let after: Vec<f32> = read(&layers[last]);
    let found: Vec<f64> = before.iter().zip(after).map(|(b, a)| f64::from(b - a)).collect();
    let golden = case.get(&format!("natgrad_ggn_damp1e-1.layers.{last}"));
    let apart = deviation(&found, &golden.data);
    assert!(apart < SOLVE_TOLERANCE, "{apart:e}");
    assert!(layers[last].weight.val().is_require_grad(), "the parameters are still trained");
}
