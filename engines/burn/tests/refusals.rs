//! What is refused, and in which words; nothing panics.

use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use relfisher_burn::{Config, Error, NaturalGradient, Response, Site, Trace};

const SITE: Site<f64> = Site::Neurons(Response::Tanh);

fn says<T>(outcome: Result<T, Error>, line: &str) {
    match outcome {
        Ok(_) => panic!("was not refused: {line}"),
        Err(error) => assert_eq!(error.to_string(), line),
    }
}

fn run(layer: &Linear, rows: usize) -> (Trace, Tensor<1>) {
    let mut trace = Trace::new();
    let x = Tensor::<2>::ones([rows, 3], &layer.weight.device());
    let out = trace.linear(layer, x).expect("a run");
    (trace, out.tanh().mean())
}

#[test]
fn traces_and_gradients_that_do_not_fit() {
    let device = Device::flex().autodiff();
    let mut layer = LinearConfig::new(3, 2).init(&device);
    let mut optimiser =
        NaturalGradient::<f32>::new(&[("only", &layer, SITE)], Config::kfac()).expect("optimiser");

    let mut trace = Trace::new();
    says(
        trace.linear(&layer, Tensor::ones([4, 5], &device)),
        "run 0 of the trace: the input has 5 columns, the layer 3 inputs; hand over one row a sample",
    );
    let plain = Device::flex();
    let fixed = LinearConfig::new(3, 2).init(&plain);
    says(
        trace.linear(&fixed, Tensor::ones([4, 3], &plain)),
        "run 0 of the trace: the layer is not on an autodiff device; make model and data on device.autodiff()",
    );

    let (trace, loss) = run(&layer, 4);
    let (other, _) = run(&layer, 4);
    let gradients = loss.backward();
    says(
        optimiser.step(&other, &gradients, &mut [&mut layer]),
        "only: the gradient of the outputs is missing; run every layer through the trace, then step with the gradients of that loss",
    );
    says(
        optimiser.step(&Trace::new(), &gradients, &mut [&mut layer]),
        "captures: 0 for 1 layers; hand over one for each layer, in order",
    );
    says(
        optimiser.step(&trace, &gradients, &mut []),
        "gradients: 0 for 1 layers; hand over one for each layer, in order",
    );
    let mut stranger = LinearConfig::new(3, 2).init(&device);
    says(
        optimiser.step(&trace, &gradients, &mut [&mut stranger]),
        "only: the gradient of the weight is missing; run every layer through the trace, then step with the gradients of that loss",
    );
    optimiser.step(&trace, &gradients, &mut [&mut layer]).expect("a step");

    let mut double =
        NaturalGradient::<f64>::new(&[("only", &layer, SITE)], Config::kfac()).expect("optimiser");
    let (trace, loss) = run(&layer, 4);
    says(
        double.step(&trace, &loss.backward(), &mut [&mut layer]),
        "only: the tensor is F32, the optimiser F64; use one type for model, data and optimiser",
    );
    // One that has seen nothing looks at every number.
    let mut optimiser =
        NaturalGradient::<f32>::new(&[("only", &layer, SITE)], Config::kfac()).expect("optimiser");
    let (trace, loss) = run(&layer, 4);
    let broken = (loss * f32::NAN).backward();
    says(
        optimiser.observe(&trace, &broken),
        "only: output: element 0 is not finite; use a smaller learning rate or a larger damping",
    );
    says(
        optimiser.set_learning_rate(0.0),
        "config: learning_rate: is 0; set a finite number above 0",
    );
}
