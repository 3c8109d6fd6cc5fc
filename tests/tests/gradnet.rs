//! Classifiers of sparse rows against dense gradient descent, and the experiment on small images.

use relfisher::Scalar;
use relfisher::curvature::Memory;
use relfisher::dataset::{Dataset, Split};
use relfisher::embedding::SparseRows;
use relfisher::executor::Cpu;
use relfisher::gradnet::{
    Against, Classifier, Fit, Kind, Settings, Stage, Subject, run, sparse_rows,
};
use relfisher_core::MatRef;
use relfisher_core::sparse::QuasiMean;
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::assert_close;
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle::Dense;

/// The logits of `rows` (n × d) after full-batch descent from zero, by the definition of soft-max
/// regression.
fn dense_descent(rows: &[Vec<f64>], labels: &[usize], classes: usize, fit: &Fit) -> Vec<f64> {
    let (n, d) = (rows.len() as f64, rows[0].len());
    let mut w = vec![vec![0.0; d + 1]; classes];
    let logits = |w: &[Vec<f64>], x: &[f64]| -> Vec<f64> {
        w.iter().map(|w| w[d] + x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>()).collect()
    };
    for epoch in 0..fit.epochs {
        let mut gradient = vec![vec![0.0; d + 1]; classes];
        for (x, label) in rows.iter().zip(labels) {
            let odds: Vec<f64> = logits(&w, x).iter().map(|z| z.exp()).collect();
            let total: f64 = odds.iter().sum();
            for c in 0..classes {
                let error = odds[c] / total - f64::from(u8::from(*label == c));
                let inputs = x.iter().copied().chain([1.0]);
                for (g, x) in gradient[c].iter_mut().zip(inputs) {
                    *g += error * x / n;
                }
            }
        }
        let rate = fit.learning_rate * (1.0 - epoch as f64 / fit.epochs as f64);
        for (w, g) in w.iter_mut().flatten().zip(gradient.iter().flatten()) {
            *w -= rate * g;
        }
    }
    rows.iter().flat_map(|x| logits(&w, x)).collect()
}

fn typed<T: Scalar>(dense: &[Vec<f64>]) -> SparseRows<T> {
    let flat: Vec<T> = dense.iter().flatten().map(|x| T::from_f64(*x)).collect();
    sparse_rows(MatRef::new(&flat, dense.len(), dense[0].len()).unwrap())
}

fn linear_classifiers_descend_the_cross_entropy<T: Scalar>() {
    let mut random = Random::new(11);
    let mut number = || {
        let x = random.uniform(-1.0, 1.0);
        if x.abs() < 0.4 { 0.0 } else { x }
    };
    let (n, d, classes) = (13, 37, 3);
    let rows: Vec<Vec<f64>> = (0..n).map(|_| (0..d).map(|_| number()).collect()).collect();
    let labels: Vec<usize> = (0..n).map(|i| i * i % classes).collect();
    let fit = Fit { kind: Kind::Linear, epochs: 9, batch: n, learning_rate: 0.7, seed: 3 };
    let want = dense_descent(&rows, &labels, classes, &fit);
    let sparse = typed::<T>(&rows);
    for threads in [1, 2] {
        let cpu = Cpu::new(Some(threads)).unwrap();
        let model = Classifier::fit(&cpu, &sparse, &labels, (d, classes), &fit).unwrap();
        let got = model.logits(&cpu, &sparse).unwrap();
        assert_close("classifier", &got, &want, "sparse classifier", Dense, 1);
    }
}

both_dtypes!(linear_classifiers_descend_the_cross_entropy);

/// Exclusive or: no line separates it, a hidden layer does; threads change no bit.
#[test]
fn a_hidden_layer_learns_what_no_line_separates() {
    let rows = [[0.8, 0.6], [-0.8, -0.6], [0.8, -0.6], [-0.8, 0.6]].map(|x| x.to_vec());
    let (sparse, labels) = (typed::<f64>(&rows), [0, 0, 1, 1]);
    let cpu = Cpu::new(Some(1)).unwrap();
    let fit = |kind| Fit { kind, epochs: 400, batch: 3, learning_rate: 0.5, seed: 5 };
    let score = |kind| {
        let model = Classifier::fit(&cpu, &sparse, &labels, (2, 2), &fit(kind)).unwrap();
        model.accuracy(&cpu, &sparse, &labels).unwrap()
    };
    assert!(score(Kind::Linear) <= 0.75);
    for hidden in [8, 20, 40] {
        assert_eq!(score(Kind::Network { hidden }), 1.0, "{hidden} rectifiers");
    }
    let logits = |threads: usize| {
        let cpu = Cpu::new(Some(threads)).unwrap();
        let fit = fit(Kind::Network { hidden: 20 });
        let model = Classifier::fit(&cpu, &sparse, &labels, (2, 2), &fit).unwrap();
        model.logits(&cpu, &sparse).unwrap()
    };
    assert_eq!(logits(1), logits(2));
}

#[test]
fn classifiers_refuse_what_does_not_fit() {
    let rows = typed::<f64>(&[vec![1.0, 2.0], vec![0.0, 1.0]]);
    let cpu = Cpu::new(Some(1)).unwrap();
    let good = Fit { kind: Kind::Linear, epochs: 1, batch: 2, learning_rate: 1.0, seed: 0 };
    let refused = |labels: &[usize], sizes: (usize, usize), fit: Fit, part: &str| {
        let error = Classifier::fit(&cpu, &rows, labels, sizes, &fit).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(part), "{part}: {error}");
    };
    refused(&[0], (2, 2), good, "labels");
    refused(&[0, 2], (2, 2), good, "2 of 2 classes");
    refused(&[0, 1], (1, 2), good, "entry 1 of 1");
    refused(&[0, 1], (2, 2), Fit { batch: 0, ..good }, "batch");
    refused(&[0, 1], (2, 2), Fit { learning_rate: f64::NAN, ..good }, "rate");
    refused(&[0, 1], (2, 2), Fit { kind: Kind::Network { hidden: 0 }, ..good }, "hidden");
    let model = Classifier::fit(&cpu, &rows, &[0, 1], (2, 2), &good).unwrap();
    assert!(model.logits(&cpu, &typed(&[vec![0.0, 0.0, 1.0]])).is_err());
}

/// Images of 4×4 of three classes: a bright row each, and noise.
fn images(n: usize, random: &mut Random) -> (Vec<f32>, Vec<usize>) {
    let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
    let pixel = |label: usize, k: usize, noise: f64| {
        (noise + if k / 4 == label { 0.5 } else { 0.0 }) as f32
    };
    let features = labels.iter().flat_map(|label| {
        (0..16).map(|k| pixel(*label, k, random.uniform(0.0, 0.5))).collect::<Vec<f32>>()
    });
    (features.collect(), labels)
}

fn settings(against: Against) -> Settings {
    Settings {
        networks: vec![Subject::Mlp, Subject::Cnn],
        stops: vec![3, 12],
        against,
        fractions: vec![0.02, 0.3, 1.0],
        mean: QuasiMean::Arithmetic,
        damping: 0.1,
        epochs: 3,
        learning_rate: 2.0,
        seed: 1,
        memory: Memory { limit: 1 << 30 },
    }
}

/// The experiment over two sets of images, the labels of the test images replaced by `relabelled`.
fn experiment(
    against: Against,
    relabelled: Option<usize>,
) -> (relfisher::gradnet::GradnetRecord, usize) {
    let mut random = Random::new(9);
    let (features, labels) = images(90, &mut random);
    let train = Dataset::new(features, 16, labels, 3).unwrap();
    let (features, labels) = images(40, &mut random);
    let labels = labels.into_iter().map(|label| relabelled.unwrap_or(label)).collect();
    let test = Dataset::new(features, 16, labels, 3).unwrap();
    let data = Split { source: "rows".into(), train, test };
    let cpu = Cpu::new(Some(2)).unwrap();
    let mut done = 0;
    let record = run(&cpu, &data, &settings(against), &mut |stage| {
        done += usize::from(stage == Stage::Done);
    });
    (record.unwrap(), done)
}

/// Every test sample gets one class, whatever its label is: the labels of test samples are used for
/// counting only.
#[test]
fn labels_of_test_samples_reach_nothing_but_the_count() {
    TARGETS.into_iter().for_each(labels_reach_nothing);
}

const TARGETS: [Against; 3] = [Against::Uniform, Against::EachClass, Against::Label];

fn labels_reach_nothing(against: Against) {
    let runs = [0, 1, 2].map(|class| experiment(against, Some(class)).0);
    let sum = |of: &dyn Fn(&relfisher::gradnet::GradnetRecord) -> f64| -> f64 {
        runs.iter().map(of).sum()
    };
    let whole = |total: f64, what: &str| assert!((total - 1.0).abs() < 1e-12, "{what}: {total}");
    whole(sum(&|r| r.pixels), "pixels");
    for (i, network) in runs[0].networks.iter().enumerate() {
        for (j, stopped) in network.stopped.iter().enumerate() {
            whole(sum(&|r| r.networks[i].stopped[j].original), "original");
            whole(sum(&|r| r.networks[i].stopped[j].last_hidden), "last hidden layer");
            for k in 0..stopped.fractions.len() {
                let scores = |r: &relfisher::gradnet::GradnetRecord| {
                    r.networks[i].stopped[j].fractions[k].scores
                };
                whole(sum(&|r| scores(r).without_metric), "without metric");
                whole(sum(&|r| scores(r).linear), "linear");
                whole(sum(&|r| scores(r).small_network), "small network");
            }
        }
    }
}

#[test]
fn the_experiment_learns_and_counts_what_it_keeps() {
    for against in TARGETS {
        let (record, done) = experiment(against, None);
        assert_eq!(done, settings(against).units());
        assert_eq!((record.train_samples, record.test_samples), (90, 40));
        assert!(record.pixels > 0.9, "three bright rows are separable: {}", record.pixels);
        for network in &record.networks {
            assert_eq!(network.gradients, if against == Against::EachClass { 3 } else { 1 });
            for stopped in &network.stopped {
                let mut last = 0.0;
                let most = (network.gradients * network.parameters) as f64;
                for f in &stopped.fractions {
                    assert!(f.entries >= last && f.entries <= most);
                    assert!(f.bytes as f64 >= 130.0 / 90.0 * 0.5 * f.entries * 90.0 * 8.0);
                    last = f.entries;
                }
                let best = stopped.fractions.iter().map(|f| f.scores.linear).fold(0.0, f64::max);
                let at = format!("{} after {} steps: {best}", network.name, stopped.steps);
                // Gradients against labels are about the labels: see docs/claims.md.
                assert!(best > 0.8 || against == Against::Label, "{against:?}, {at}");
            }
        }
    }
    // The rows pass a limit of 20 kB.
    let mut random = Random::new(9);
    let (features, labels) = images(90, &mut random);
    let train = Dataset::new(features, 16, labels, 3).unwrap();
    let data = Split { source: "rows".into(), test: train.clone(), train };
    let tight = Settings { memory: Memory { limit: 20_000 }, ..settings(Against::Uniform) };
    let cpu = Cpu::new(Some(1)).unwrap();
    let error = run(&cpu, &data, &tight, &mut |_| {}).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("embedding, sample"), "{error}");
}
