//! What is refused, in which words, and that nothing moves then.

use relfisher_engine::{
    Affine, Capture, Config, Damping, Error, LayerSpec, MatRef, Method, NaturalGradient, Portable,
    Response, Site,
};

fn spec(bias: bool) -> LayerSpec<f64> {
    let site = Site::Neurons(Response::Tanh);
    LayerSpec { name: "first".to_owned(), inputs: 2, outputs: 1, bias, site }
}

fn optimiser(config: Config<f64>) -> NaturalGradient<f64> {
    NaturalGradient::new(vec![spec(true)], config, Portable).expect("an optimiser")
}

fn view(data: &[f64], rows: usize, cols: usize) -> MatRef<'_, f64> {
    MatRef::new(data, rows, cols).expect("a matrix")
}

const X: [f64; 4] = [1.0, 2.0, 3.0, 4.0];
const T: [f64; 2] = [0.5, -0.5];

fn capture<'a>() -> Capture<'a, f64> {
    let t = Some(view(&T, 2, 1));
    Capture { input: view(&X, 2, 2), output: t, output_gradient: t }
}

fn affine<'a>() -> Affine<'a, f64> {
    Affine { weight: view(&X, 1, 2), bias: Some(view(&T, 1, 1)) }
}

fn says<T: std::fmt::Debug>(outcome: Result<T, Error>, line: &str) {
    assert_eq!(outcome.expect_err(line).to_string(), line);
}

#[test]
fn settings_and_layers() {
    let refused = |config: Config<f64>, line| {
        says(NaturalGradient::new(vec![spec(true)], config, Portable), line);
    };
    let base = Config::<f64>::rngd_samples();
    refused(Config { damping: 0.0, ..base }, "config: damping: is 0; set a finite number above 0");
    refused(
        Config { learning_rate: f64::NAN, ..base },
        "config: learning_rate: is NaN; set a finite number above 0",
    );
    refused(Config { momentum: 1.0, ..base }, "config: momentum: is 1; set a number in [0, 1)");
    refused(
        Config { weight_decay: -1.0, ..base },
        "config: weight_decay: is -1; set a finite number of at least 0",
    );
    refused(
        Config { method: Method::RngdBlocks { refresh: 0 }, ..base },
        "config: refresh: is 0; set at least 1",
    );
    let kfac = |decay, split, kl_clip| Config {
        method: Method::Kfac { decay, split, factor_every: 1, refresh: 1, kl_clip },
        ..base
    };
    refused(
        kfac(0.9, Damping::Exact, None),
        "config: split: exact damping needs eigenbases, which are not kept; use Damping::Pi or Damping::Factored",
    );
    refused(kfac(1.5, Damping::Pi, None), "config: decay: is 1.5; set a number in [0, 1)");
    refused(
        kfac(0.9, Damping::Pi, Some(0.0)),
        "config: kl_clip: is 0; set a number above 0, or None",
    );
    let none = NaturalGradient::<f64>::new(vec![], base, Portable);
    says(none, "layers: there are none; give at least one layer");
    let empty = LayerSpec { inputs: 0, ..spec(true) };
    says(
        NaturalGradient::new(vec![empty], base, Portable),
        "first: 0 inputs and 1 outputs; give a layer at least one of each",
    );
    let mut built = optimiser(base);
    says(
        built.set_learning_rate(-1.0),
        "config: learning_rate: is -1; set a finite number above 0",
    );
    assert_eq!(built.config().learning_rate, 0.01);
}

#[test]
fn captures_that_do_not_fit() {
    let mut kfac = optimiser(Config::kfac());
    let mut rngd = optimiser(Config::rngd_samples());
    says(kfac.observe(&[]), "captures: 0 for 1 layers; hand over one for each layer, in order");
    let missing = Capture { output: None, output_gradient: None, ..capture() };
    says(
        kfac.observe(&[missing]),
        "first: the output gradient is missing; differentiate the loss of this batch through the layer first",
    );
    says(rngd.observe(&[missing]), "first: the output is missing; hand over the layer's outputs");
    let wide = Capture { input: view(&X, 1, 4), ..capture() };
    says(
        rngd.observe(&[wide]),
        "first: the input is 1 x 4, but 1 x 2 is needed; hand over one row a sample, in the order of the layers",
    );
    let short = Capture { output_gradient: Some(view(&T, 1, 1)), ..capture() };
    says(
        kfac.observe(&[short]),
        "first: the output gradient is 1 x 1, but 2 x 1 is needed; hand over one row a sample, in the order of the layers",
    );
    let empty = Capture { input: view(&[], 0, 2), ..capture() };
    says(rngd.observe(&[empty]), "first: the batch is empty; give a sample or more");
    let nan = [f64::NAN, 0.0];
    let tainted = Capture { output: Some(view(&nan, 2, 1)), ..capture() };
    says(
        rngd.observe(&[tainted]),
        "first: output: element 0 is not finite; use a smaller learning rate or a larger damping",
    );
}

#[test]
fn steps_that_do_not_fit() {
    let mut rngd = optimiser(Config::rngd_samples());
    let unseen = "step: no mini-batch was observed; call observe before step";
    says(rngd.step(&[affine()], &[affine()]), unseen);
    rngd.observe(&[capture()]).expect("a mini-batch");
    assert!(rngd.is_fresh() && rngd.is_due());
    let no_bias = Affine { bias: None, ..affine() };
    says(
        rngd.step(&[no_bias], &[affine()]),
        "first: the layer has a bias, the gradient is otherwise; hand over a bias where the layer has one",
    );
    let turned = Affine { weight: view(&X, 2, 1), ..affine() };
    says(
        rngd.step(&[turned], &[affine()]),
        "first: the gradient is 2 x 1, but 1 x 2 is needed; hand over one row a sample, in the order of the layers",
    );
    let nan = [f64::INFINITY, 0.0];
    let tainted = Affine { weight: view(&nan, 1, 2), ..affine() };
    says(
        rngd.step(&[tainted], &[affine()]),
        "first: gradient: element 0 is not finite; use a smaller learning rate or a larger damping",
    );
    assert_eq!(rngd.update(0).expect("an update").weight.at(0, 0), 0.0, "nothing moved");
    rngd.step(&[affine()], &[affine()]).expect("a step");
    assert_ne!(rngd.update(0).expect("an update").weight.at(0, 0), 0.0);
    // In sample space a step needs its own mini-batch; blocks are kept.
    says(rngd.step(&[affine()], &[affine()]), unseen);
    says(rngd.update(1), "layer 1: there are 1 layers; count from 0");
    let mut blocks = optimiser(Config::rngd_blocks());
    blocks.observe(&[capture()]).expect("a mini-batch");
    assert!(!blocks.is_due());
    for _ in 0..2 {
        blocks.step(&[affine()], &[affine()]).expect("a step");
    }
    assert!(blocks.factors(0).is_none() && rngd.factors(0).is_none());
}

/// Views of any strides give the bits of dense ones.
#[test]
fn strides_do_not_matter() {
    let dense = {
        let mut optimiser = optimiser(Config::kfac());
        optimiser.observe(&[capture()]).expect("a mini-batch");
        optimiser.step(&[affine()], &[affine()]).expect("a step");
        optimiser.update(0).expect("an update").weight.at(0, 1)
    };
    let columns = [1.0, 3.0, 2.0, 4.0];
    let spread = [0.5, f64::NAN, -0.5];
    let t = Some(MatRef::with_strides(&spread, 2, 1, 2, 1).expect("a column"));
    let input = view(&columns, 2, 2).t();
    let mut optimiser = optimiser(Config::kfac());
    let capture = Capture { input, output: t, output_gradient: t };
    optimiser.observe(&[capture]).expect("a mini-batch");
    optimiser.step(&[affine()], &[affine()]).expect("a step");
    assert_eq!(optimiser.update(0).expect("an update").weight.at(0, 1), dense);
}
