//! What the autoencoder experiments are made of: images of curves, sparse initial weights, and
//! networks whose targets are their inputs.

use relfisher::dataset::{CURVE_SIDE, Curve, Split};
use relfisher::network::{Architecture, Init, Layer, Mode, Network, Tape, Targets};
use relfisher::{Scalar, random};
use relfisher_core::MatRef;
use relfisher_core::metric::neuron::Activation;
use relfisher_tests::compare::{assert_bits_equal, assert_close};
use relfisher_tests::oracle::finite_difference;
use relfisher_tests::oracle::network::Labels;
use relfisher_tests::problem::Problem;
use relfisher_tests::tolerance::{Oracle, tolerance};

/// The point at t of the Bézier curve whose outer control points are p₀ and p₂ and whose inner one
/// makes it pass p₁ at t = ½.
fn bezier([p, q, r]: [[f64; 2]; 3], t: f64) -> [f64; 2] {
    [0, 1].map(|k| {
        let control = 2.0 * q[k] - 0.5 * (p[k] + r[k]);
        (1.0 - t).powi(2) * p[k] + 2.0 * t * (1.0 - t) * control + t * t * r[k]
    })
}

fn images_are_those_of_the_definition<T: Scalar>() {
    let mut rng = random::stream(3, 0, "curves");
    let mut curves: Vec<Curve> = (0..8).map(|_| Curve::random(&mut rng)).collect();
    // The sharpest bend, a straight line, and a point.
    curves.push(Curve { points: [[3.0, 3.0], [25.0, 25.0], [3.0, 3.0]] });
    curves.push(Curve { points: [[3.0, 10.0], [14.0, 10.0], [25.0, 10.0]] });
    curves.push(Curve { points: [[9.5, 14.5]; 3] });
    for curve in curves {
        let points: Vec<[f64; 2]> =
            (0..=20_000).map(|i| bezier(curve.points, f64::from(i) / 20_000.0)).collect();
        let image = curve.image::<T>();
        assert_eq!(image.len(), CURVE_SIDE * CURVE_SIDE);
        for (i, value) in image.iter().enumerate() {
            let centre = [(i % CURVE_SIDE) as f64 + 0.5, (i / CURVE_SIDE) as f64 + 0.5];
            let squares =
                points.iter().map(|p| (p[0] - centre[0]).powi(2) + (p[1] - centre[1]).powi(2));
            let nearest = squares.fold(f64::INFINITY, f64::min);
            let wanted = (-nearest / (2.0 * 0.7 * 0.7)).exp();
            let error = (value.to_f64() - wanted).abs();
            let bound = tolerance::<T>("curve image", Oracle::Definition, 1);
            assert!(error <= bound, "{curve:?}, pixel {i}: {value}, not {wanted}");
        }
    }
}

#[test]
fn a_curve_is_drawn_by_its_distance() {
    images_are_those_of_the_definition::<f64>();
    images_are_those_of_the_definition::<f32>();
}

#[test]
fn curves_are_seeded_and_lie_inside_the_image() {
    let few = Split::<f64>::curves(5, 20, 10).unwrap();
    let many = Split::<f64>::curves(5, 30, 12).unwrap();
    let other = Split::<f64>::curves(6, 20, 10).unwrap();
    assert_eq!((many.train.len(), many.test.len(), many.train.width()), (30, 12, 784));
    for i in 0..20 {
        assert_bits_equal("prefix", few.train.features().row(i), many.train.features().row(i));
        assert_ne!(few.train.features().row(i), other.train.features().row(i));
        for j in 0..10 {
            assert_ne!(few.train.features().row(i), few.test.features().row(j));
        }
    }
    for i in 0..30 {
        let row = many.train.features().row(i);
        assert!(row.iter().all(|x| (0.0..=1.0).contains(x)), "image {i}");
        // Some pixel's centre is at most half a diagonal away, and most of the image is empty.
        let darkest = row.iter().fold(0.0_f64, |a, b| a.max(*b));
        assert!(darkest >= (-0.5 / (2.0 * 0.49_f64)).exp(), "image {i}: {darkest}");
        assert!(row.iter().filter(|x| **x == 0.0).count() > 784 / 4, "image {i}");
    }
    let mut rng = random::stream(9, 0, "curves");
    for _ in 0..1000 {
        let curve = Curve::random(&mut rng);
        assert!(curve.points.as_flattened().iter().all(|x| (3.0..25.0).contains(x)), "{curve:?}");
        for i in 0..=50 {
            let point = bezier(curve.points, f64::from(i) / 50.0);
            assert!(point.iter().all(|x| (0.0..28.0).contains(x)), "{curve:?} leaves the image");
        }
    }
    let e = Split::<f64>::curves(5, 0, 10).unwrap_err().to_string();
    assert!(e.contains("no samples"), "{e}");
}

#[test]
fn sparse_weights_are_few_normal_and_anywhere() {
    let net = Architecture::autoencoder(20, &[40, 6], Activation::Sigm).unwrap();
    let network = Network::<f64>::from_architecture(&net).unwrap();
    let init = Init::Sparse { connections: 15 };
    let parameters = network.init_with(init, &mut random::stream(1, 0, "init"));
    for block in network.blocks() {
        for row in parameters.values[block.range()].chunks(block.cols) {
            let (weights, bias) = row.split_at(block.inputs);
            let count = weights.iter().filter(|w| **w != 0.0).count();
            assert_eq!(count, block.inputs.min(15), "{}", block.name);
            assert_eq!(bias, [0.0], "{}", block.name);
        }
    }
    let again = network.init_with(init, &mut random::stream(1, 0, "init"));
    assert_bits_equal("seed", &again.values, &parameters.values);
    let dense = network.init_with(Init::Dense, &mut random::stream(1, 0, "init"));
    let own = network.init(&mut random::stream(1, 0, "init"));
    assert_bits_equal("dense", &dense.values, &own.values);

    // One layer of 600 units on 60 inputs: 9,000 weights, each input in a quarter of the units.
    let net = Architecture::autoencoder(60, &[600], Activation::Sigm).unwrap();
    let network = Network::<f64>::from_architecture(&net).unwrap();
    let values = network.init_sparse(15, &mut random::stream(2, 0, "init")).values;
    let block = &network.blocks()[0];
    let rows: Vec<&[f64]> =
        values[block.range()].chunks(block.cols).map(|row| &row[..block.inputs]).collect();
    let drawn: Vec<f64> =
        rows.iter().flat_map(|r| r.iter().copied()).filter(|w| *w != 0.0).collect();
    let bound = tolerance::<f64>("sparse weights", Oracle::MonteCarlo, 1);
    let moment = |k: i32| drawn.iter().map(|w| w.powi(k)).sum::<f64>() / drawn.len() as f64;
    assert!(moment(1).abs() <= bound, "mean {}", moment(1));
    assert!((moment(2) - 1.0).abs() <= bound, "variance {}", moment(2));
    for input in 0..60 {
        let share = rows.iter().filter(|row| row[input] != 0.0).count() as f64 / 600.0;
        assert!((share - 0.25).abs() <= bound, "input {input} in a share {share} of the units");
    }
}

#[test]
fn an_autoencoder_is_mirrored_around_a_linear_code() {
    let net = Architecture::autoencoder(9, &[7, 5, 2], Activation::Sigm).unwrap();
    let words: Vec<String> = net
        .layers
        .iter()
        .map(|layer| match layer {
            Layer::Linear { inputs, outputs, .. } => format!("{inputs}-{outputs}"),
            Layer::Sigmoid {} => "s".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(words.join(" "), "9-7 s 7-5 s 5-2 2-5 s 5-7 s 7-9");
    for bad in [&[][..], &[0], &[4, 0]] {
        assert!(Architecture::autoencoder(9, bad, Activation::Sigm).is_err(), "{bad:?}");
    }
}

/// A problem whose targets are its inputs.
fn autoencoder() -> Problem {
    let net = Architecture::autoencoder(6, &[5, 2], Activation::Sigm).unwrap();
    let mut problem = Problem::new("autoencoder", net, 4, 21);
    problem.inputs.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp()));
    problem.labels = Labels::Values(problem.inputs.clone());
    problem
}

#[test]
fn gradients_with_the_inputs_as_targets_are_those_of_differences() {
    let problem = autoencoder();
    let loaded = problem.load::<f64>(1);
    let mut tape = loaded.forward(Mode::Train);
    let inputs = Targets::Values(loaded.features());
    loaded.network.loss(&loaded.exec, &mut tape, &inputs).unwrap();
    let mut gradient = vec![f64::NAN; loaded.network.parameter_count()];
    let (network, parameters) = (&loaded.network, &loaded.parameters);
    network.backward(&loaded.exec, parameters, &mut tape, Some(&mut gradient)).unwrap();
    let values = &problem.parameters.values;
    let want = finite_difference::gradient(|w| problem.naive(w, Mode::Train), values);
    assert_close("autoencoder", &gradient, &want, "gradient", Oracle::FiniteDifference, 6);
}

#[test]
fn the_squared_error_is_that_of_the_means() {
    let problem = autoencoder();
    let loaded = problem.load::<f64>(1);
    let outputs = problem.naive_outputs(&problem.parameters.values, Mode::Inference);
    let means = outputs.iter().flatten().map(|z: &f64| 1.0 / (1.0 + (-z).exp()));
    let squares = means.zip(&problem.inputs).map(|(p, x)| (p - x).powi(2));
    let want = squares.sum::<f64>() / problem.samples as f64;
    // In one batch, and in batches of 3 and 1.
    for capacity in [4, 3] {
        let mut tape = Tape::new(&loaded.network, capacity);
        let (exec, parameters) = (&loaded.exec, &loaded.parameters);
        let features = loaded.features();
        let targets = Targets::Values(features);
        let report =
            loaded.network.evaluate(exec, parameters, &mut tape, features, &targets).unwrap();
        let error = report.squared_error.unwrap();
        assert_close("squared error", &[error], &[want], "gradient", Oracle::Dual, 6);
        assert_eq!(report.correct, None);
    }
    // With classes there is none.
    let net = Architecture::parse(
        r#"{"input_shape": [6], "loss": {"type": "softmax_cross_entropy"},
            "layers": [{"type": "linear", "in": 6, "out": 3, "param": "l"}]}"#,
    )
    .unwrap();
    let network = Network::<f64>::from_architecture(&net).unwrap();
    let parameters = network.init(&mut random::stream(1, 0, "init"));
    let mut tape = Tape::new(&network, 4);
    let features = MatRef::new(&problem.inputs, 4, 6).unwrap();
    let targets = Targets::Classes(&[0, 1, 2, 0]);
    let report =
        network.evaluate(&loaded.exec, &parameters, &mut tape, features, &targets).unwrap();
    assert_eq!(report.squared_error, None);
    assert!(report.correct.is_some());
}
