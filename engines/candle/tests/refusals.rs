//! What is refused, and in which words; nothing panics.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Linear, ModuleT, Optimizer, VarBuilder, VarMap, loss};
use relfisher_candle::{Config, NaturalGradient, Probed, Response, Settings, Site};

const HIDDEN: Site<f64> = Site::Neurons(Response::Tanh);

fn layers(variables: &VarMap) -> Result<Vec<Probed>> {
    let vb = VarBuilder::from_varmap(variables, DType::F32, &Device::Cpu);
    let first = Probed::new("first", candle_nn::linear(3, 4, vb.pp("first"))?, HIDDEN)?;
    let last = Probed::new("last", candle_nn::linear(4, 2, vb.pp("last"))?, Site::Softmax)?;
    Ok(vec![first, last])
}

fn optimiser(variables: &VarMap, layers: &[Probed]) -> Result<NaturalGradient<f32>> {
    let settings = Settings { layers: layers.to_vec(), config: Config::kfac() };
    NaturalGradient::new(variables.all_vars(), settings)
}

fn run(layers: &[Probed], samples: usize, train: [bool; 2]) -> Result<Tensor> {
    let x = Tensor::ones((samples, 3), DType::F32, &Device::Cpu)?;
    let a = layers[0].forward_t(&x, train[0])?.tanh()?;
    let y = Tensor::zeros(samples, DType::U32, &Device::Cpu)?;
    loss::cross_entropy(&layers[1].forward_t(&a, train[1])?, &y)
}

fn says<T>(outcome: Result<T>, part: &str) {
    let line = match outcome {
        Ok(_) => panic!("was not refused: {part}"),
        Err(error) => error.to_string(),
    };
    assert!(line.lines().next().is_some_and(|l| l.contains(part)), "{line}\nlacks {part}");
}

const REMEDY: &str =
    "run every layer with forward_t(x, true), then step with the gradients of that loss";

#[test]
fn gradients_that_are_missing() -> Result<()> {
    let variables = VarMap::new();
    let layers = layers(&variables)?;
    let mut optimiser = optimiser(&variables, &layers)?;
    let loss = run(&layers, 5, [true, false])?;
    says(
        optimiser.backward_step(&loss),
        &format!("last: the layer has run on no mini-batch; {REMEDY}"),
    );

    let old = run(&layers, 5, [true, true])?;
    let new = run(&layers, 5, [true, true])?;
    says(
        optimiser.backward_step(&old),
        &format!("first: the gradient of the outputs is missing; {REMEDY}"),
    );
    optimiser.backward_step(&new)?;
    // A step uses its mini-batch up.
    says(optimiser.backward_step(&new), "first: the layer has run on no mini-batch");

    let frozen = run(&layers, 5, [true, true])?;
    let mut gradients = frozen.backward()?;
    let data = variables.data().lock().expect("variables");
    gradients.remove(data["first.bias"].as_tensor());
    drop(data);
    says(optimiser.step(&gradients), "first: the gradient of the bias is missing");
    Ok(())
}

#[test]
fn shapes_types_and_variables_that_do_not_fit() -> Result<()> {
    let variables = VarMap::new();
    let layers = layers(&variables)?;
    let constant = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
    says(
        Probed::new("fixed", Linear::new(constant, None), Site::Softmax),
        "fixed: the weight is not a variable; build the layer with VarBuilder::from_varmap",
    );
    let config = Config::<f64>::kfac();
    says(
        NaturalGradient::new(variables.all_vars(), Settings { layers: layers.clone(), config }),
        "first: it is F32, the optimiser F64; use one type for model, data and optimiser",
    );
    let settings = Settings { layers: layers[..1].to_vec(), config: Config::<f32>::kfac() };
    says(
        NaturalGradient::new(variables.all_vars(), settings),
        "variables: 2 belong to no probed layer, 0 of the layers' are not among them; wrap",
    );
    let settings =
        Settings { layers: layers.clone(), config: Config { damping: 0.0, ..Config::kfac() } };
    says(
        NaturalGradient::<f32>::new(variables.all_vars(), settings),
        "config: damping: is 0; set a finite number above 0",
    );
    // A layer shared by positions has three axes: no row a sample.
    let mut optimiser = optimiser(&variables, &layers)?;
    let x = Tensor::ones((2, 5, 3), DType::F32, &Device::Cpu)?;
    let a = layers[0].forward_t(&x, true)?.tanh()?;
    let loss = layers[1].forward_t(&a, true)?.sqr()?.mean_all()?;
    says(
        optimiser.backward_step(&loss),
        "first: the tensor has shape [2, 5, 3]; flatten each sample to one row",
    );
    // A loss that has left the numbers.
    let bad = (run(&layers, 4, [true, true])? * f64::NAN)?;
    says(optimiser.backward_step(&bad), "is not finite; use a smaller learning rate");
    optimiser.set_learning_rate(-3.0);
    assert!((optimiser.learning_rate() - 0.005).abs() < 1e-9, "a negative rate was taken");
    optimiser.set_learning_rate(0.5);
    assert_eq!(optimiser.learning_rate(), 0.5);
    Ok(())
}
