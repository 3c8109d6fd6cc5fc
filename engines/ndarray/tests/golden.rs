//! The network on ndarray's arrays against golden cases, in any memory order; training on digits.

use ndarray::{Array2, ArrayView2, Axis, ShapeBuilder, concatenate, s};
use relfisher_core::metric::neuron::Activation;
use relfisher_engine_testing::{
    Digits, GOLDEN_SOLVE_TOLERANCE, GOLDEN_TOLERANCE, Golden, PIXELS, Rng, Tensor, deviation,
};
use relfisher_ndarray::{Error, Network};
use relfisher_views::ViewError;

fn array(tensor: &Tensor, cols: usize) -> Array2<f64> {
    let shape = (tensor.data.len() / cols, cols);
    Array2::from_shape_vec(shape, tensor.data.clone()).expect("a matrix")
}

fn augmented(x: ArrayView2<'_, f64>) -> Array2<f64> {
    // Not by `concatenate`, which lays columns one behind the other.
    let mut whole = Array2::from_elem((x.nrows(), x.ncols() + 1), 1.0);
    whole.slice_mut(s![.., ..x.ncols()]).assign(&x);
    whole
}

fn elements(a: &Array2<f64>) -> Vec<f64> {
    a.iter().copied().collect()
}

/// The network of a case; with `fortran` its weights lie column by column.
fn network(case: &Golden, fortran: bool) -> Network<f64> {
    let weights = (0..case.layers()).map(|k| {
        let (_, d) = case.shape(k);
        let w = array(case.get(&format!("layers.{k}.weight")), d);
        let b = array(case.get(&format!("layers.{k}.bias")), 1);
        let joined = concatenate(Axis(1), &[w.view(), b.view()]).expect("columns");
        let mut weights = Array2::zeros(joined.dim().set_f(fortran));
        weights.assign(&joined);
        weights
    });
    let activation = match case.name.contains("relu") {
        true => Activation::Relu { leak: 0.0 },
        false => Activation::Tanh,
    };
    Network::new(weights.collect(), activation).expect("a network")
}

#[test]
fn gradients_factors_and_steps() {
    for (name, fortran) in [("sa_tanh_ce", false), ("sa_tanh_ce", true), ("sb_relu_ce", true)] {
        let case = Golden::read(name);
        let x = augmented(array(&case.x, case.x.shape[1]).view());
        let classes: Vec<usize> = case.y.iter().map(|y| *y as usize).collect();
        let mut network = network(&case, fortran);
        network.forward(x.view()).expect("forward");
        network.backward(x.view(), &classes).expect("backward");
        network.precondition(x.view(), 0.1).expect("precondition");
        let last = case.layers() - 1;
        for k in 0..=last {
            let (a, g) = network.kfac_factors(x.view(), k).expect("factors");
            for (key, found) in
                [("grad", &network.layers[k].gradient), ("kfac.A", &a), ("kfac_emp.G", &g)]
            {
                let wanted = &case.get(&format!("{key}.layers.{k}")).data;
                let apart = deviation(&elements(found), wanted);
                assert!(apart < GOLDEN_TOLERANCE, "{name} {key} {k}: {apart:e}");
            }
        }
        let wanted = &case.get(&format!("natgrad_ggn_damp1e-1.layers.{last}")).data;
        let apart = deviation(&elements(&network.layers[last].step), wanted);
        assert!(apart < GOLDEN_SOLVE_TOLERANCE, "{name}: {apart:e}");
    }
}

#[test]
fn refusals() {
    let case = Golden::read("sa_tanh_ce");
    let x = augmented(array(&case.x, case.x.shape[1]).view());
    let mut net = network(&case, false);
    let line = |outcome: Result<(), Error>| outcome.expect_err("a refusal").to_string();
    assert_eq!(
        line(net.forward(x.slice(s![.., 1..]))),
        "x: 32 x 16; give at least one row, of 17 columns, the last of them 1"
    );
    assert!(line(net.forward(x.slice(s![..0, ..]))).starts_with("x: 0 x 17; give"));
    // Every other row leaves gaps, which no slice comes with.
    assert_eq!(net.forward(x.slice(s![..;2, ..])), Err(Error::View(ViewError::Gaps)));
    assert_eq!(net.forward(x.slice(s![..;-1, ..])), Err(Error::View(ViewError::Negative(-17, 1))));
    net.forward(x.view()).expect("forward");
    let short = net.backward(x.view(), &[0; 31]).expect_err("31 classes");
    assert!(short.to_string().starts_with("classes: 31 for 32 samples"), "{short}");
    assert!(net.backward(x.view(), &[10; 32]).is_err(), "a class that does not exist");
    net.backward(x.view(), &[0; 32]).expect("backward");
    assert!(matches!(net.precondition(x.view(), -1.0), Err(Error::Core(_))));
    // Metrics need rows that are contiguous: columns of X̃ first is refused by name.
    let mut turned = Array2::zeros(x.dim().f());
    turned.assign(&x);
    net.forward(turned.view()).expect("products take any strides");
    net.backward(turned.view(), &[0; 32]).expect("backward");
    assert!(matches!(net.precondition(turned.view(), 0.1), Err(Error::Core(_))));
    let wrong =
        Network::<f64>::new(vec![Array2::zeros((3, 5)), Array2::zeros((2, 3))], Activation::Tanh);
    assert_eq!(
        wrong.map(|_| ()).expect_err("a refusal").to_string(),
        "layer 1: 3 columns, but layer 0 gives 4 with the 1 of the bias; give each layer one column more than the last has rows"
    );
    assert!(Network::<f64>::new(vec![], Activation::Tanh).is_err());
}

/// 784-32-10 on 1,000 digits: natural gradient needs fewer epochs to a loss than gradient descent
/// with the best of three rates.
#[test]
fn digits_in_fewer_epochs() {
    const LOSS: f32 = 0.25;
    let digits = Digits::read("train", 1000);
    let run = |natural: bool, rate: f32| -> usize {
        let mut rng = Rng(1);
        let weights = [(32, PIXELS), (10, 32)].map(|(m, d)| {
            let weights = Array2::from_shape_vec((m, d), rng.he(m, d)).expect("weights");
            concatenate(Axis(1), &[weights.view(), Array2::zeros((m, 1)).view()]).expect("columns")
        });
        let mut network =
            Network::new(weights.into(), Activation::Relu { leak: 0.0 }).expect("a network");
        for epoch in 1..=15 {
            let mut total = 0.0;
            for rows in rng.permutation(digits.len()).chunks(50) {
                let batch = digits.batch(rows);
                let mut x = Array2::from_elem((rows.len(), PIXELS + 1), 1.0);
                let images = ArrayView2::from_shape((rows.len(), PIXELS), &batch.images);
                x.slice_mut(s![.., ..PIXELS]).assign(&images.expect("images"));
                let classes: Vec<usize> = batch.labels.iter().map(|y| *y as usize).collect();
                network.forward(x.view()).expect("forward");
                total += network.backward(x.view(), &classes).expect("backward");
                if natural {
                    network.precondition(x.view(), 0.1).expect("precondition");
                } else {
                    network.layers.iter_mut().for_each(|l| l.step.assign(&l.gradient));
                }
                network.descend(rate);
            }
            if total / 20.0 <= LOSS {
                return epoch;
            }
        }
        16
    };
    let plain = [0.1, 0.3, 1.0].map(|rate| run(false, rate)).into_iter().min().unwrap_or(16);
    let natural = run(true, 0.2);
    println!("natural gradient {natural} epochs, gradient descent {plain}");
    assert!(natural < plain, "natural gradient {natural} epochs, gradient descent {plain}");
}
