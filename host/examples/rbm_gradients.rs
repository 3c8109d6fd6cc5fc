//! Digits as gradients of a restricted Boltzmann machine (S0, table 1): what does a linear classifier
//! make of the hidden units, of the normalised gradients of the log-likelihood, and of the pixels?
//!
//! Machines of 16 and 64 hidden units are trained on digits without their labels by contrastive
//! divergence and stopped twice. A digit's gradient is p_j v_i for w_ji, p_j for c_j and v_i for b_i,
//! p = P(h = 1 | v), less the machine's mean of the same (`uses/rbm.rs`). That mean is replaced by the
//! one over the training digits, which it equals where the likelihood is greatest. The metric is the
//! arithmetic mean of the squares of these centred gradients, and ψ = u/√(g + λ). The rows that the
//! classifier gets are not centred, so that most entries stay zero: a shift of all digits alike is
//! left to its bias.
//!
//! ```sh
//! cargo run --release -p relfisher --example rbm_gradients
//! ```
//!
//! Draws the accuracies into runs/examples/rbm_gradients (or the folder given).

#[path = "uses/rbm.rs"]
mod rbm;
mod uses;

use rbm::{Rbm, Rule};
use relfisher::dataset::{Dataset, Split};
use relfisher::embedding::{SparseRows, normalise_rows};
use relfisher::executor::Cpu;
use relfisher::gradnet::{Classifier, Fit, Kind, sparse_rows};
use relfisher::plot::{Line, Panel, Panels, Scale, line_panels};
use relfisher::{Error, random};
use relfisher_core::MatRef;
use relfisher_core::sparse::{MeanState, QuasiMean, root_metric};

/// Hidden units of the machines, and the updates after which they are stopped.
const HIDDEN: [usize; 2] = [16, 64];
const STOPS: [usize; 2] = [8, 800];
/// Digits of a mini-batch, and the first that are trained on, as by `relfisher gradnet`.
const BATCH: usize = 50;
const SAMPLES: usize = 4000;
/// λ as a share of the mean of the metric, and the passes of the classifiers over rows of many and of few
/// entries.
const DAMPING: f64 = 0.1;
const PASSES: [usize; 2] = [5, 40];

/// The rows of the training and of the test digits.
type Pair = [SparseRows<f32>; 2];

struct Lab {
    exec: Cpu,
    /// For training and for test.
    data: [Dataset<f32>; 2],
}

impl Lab {
    /// The test accuracy of a linear classifier of rows of length 1, fitted on the training rows.
    fn judge(&self, mut rows: Pair, entries: usize, epochs: usize) -> Result<f64, Error> {
        let sizes = (entries, self.data[0].classes());
        let fit = Fit { kind: Kind::Linear, epochs, batch: 16, learning_rate: 8.0, seed: 1 };
        rows.iter_mut().for_each(SparseRows::scale_to_unit_length);
        let labels = [0, 1].map(|k| self.data[k].labels());
        let classifier = Classifier::fit(&self.exec, &rows[0], labels[0], sizes, &fit)?;
        classifier.accuracy(&self.exec, &rows[1], labels[1])
    }

    /// The same of hidden units, of gradients as they are, and of gradients in the metric.
    fn accuracies(&self, rbm: &Rbm<f32>) -> Result<[f64; 3], Error> {
        let (mut units, mut rows) = (Pair::default(), Pair::default());
        for (k, data) in self.data.iter().enumerate() {
            let p = rbm.hidden(&self.exec, data.features())?;
            units[k] = sparse_rows(MatRef::new(&p, data.len(), rbm.hidden)?);
            rows[k].starts.push(0);
            for (s, p) in p.chunks(rbm.hidden).enumerate() {
                rbm.append_statistics(&mut rows[k], data.features().row(s), p);
            }
        }
        let count = rbm.parameters.len();
        let plain = self.judge(rows.clone(), count, PASSES[0])?;
        let root = metric(&rows[0], count)?;
        let support = root.iter().filter(|g| **g > 0.0).count();
        let damping = DAMPING * root.iter().map(|g| g * g).sum::<f64>() / support as f64;
        for rows in &mut rows {
            // Parameters of pixels that no training digit has.
            rows.retain(|index| root[index as usize] > 0.0);
            normalise_rows(rows, &root, damping)?;
        }
        let hidden = self.judge(units, rbm.hidden, PASSES[1])?;
        Ok([hidden, plain, self.judge(rows, count, PASSES[0])?])
    }
}

/// √g: the root of the arithmetic mean of u², u the rows less their mean.
fn metric(rows: &SparseRows<f32>, count: usize) -> Result<Vec<f64>, Error> {
    let n = rows.rows();
    let mut mean = vec![0.0; count];
    for (index, x) in rows.indices.iter().zip(&rows.values) {
        mean[*index as usize] += f64::from(*x) / n as f64;
    }
    let (mut sums, mut peaks, mut counts) = (vec![0.0; count], vec![0.0; count], vec![0; count]);
    let mut state = MeanState { sums: &mut sums, peaks: &mut peaks, counts: &mut counts };
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    let mut row = vec![0.0; count];
    for s in 0..n {
        row.iter_mut().zip(&mean).for_each(|(u, mean)| *u = -mean);
        let (at, x) = rows.row(s);
        at.iter().zip(x).for_each(|(at, x)| row[*at as usize] += f64::from(*x));
        indices.clear();
        values.clear();
        for (index, u) in row.iter().enumerate().filter(|(_, u)| **u != 0.0) {
            indices.push(index as u32);
            values.push(*u);
        }
        state.add(QuasiMean::Arithmetic, &indices, &values)?;
    }
    let mut root = vec![0.0; count];
    root_metric(&mut root, &state, QuasiMean::Arithmetic, n)?;
    Ok(root)
}

/// A machine at each stop of its training.
fn train(lab: &Lab, hidden: usize, tell: &mut Tell<'_>) -> Result<(), Error> {
    let digits = lab.data[0].features();
    let (n, width) = (digits.rows(), digits.cols());
    let mut means = vec![0.0_f32; width];
    for s in 0..n {
        means.iter_mut().zip(digits.row(s)).for_each(|(mean, x)| *mean += x / n as f32);
    }
    let mut rng = random::stream(1, 0, "init");
    let mut rbm = Rbm::new(&means, hidden, &mut rng);
    let (mut velocity, mut batch) = (vec![0.0; rbm.parameters.len()], Vec::new());
    let mut order: Vec<usize> = (0..n).collect();
    for step in 0..STOPS[1] {
        let at = step * BATCH % n;
        if at == 0 {
            random::shuffle(&mut order, &mut rng);
        }
        batch.clear();
        order[at..at + BATCH].iter().for_each(|s| batch.extend_from_slice(digits.row(*s)));
        // Hinton's §9: a larger momentum once the first large changes are over.
        let momentum = if step < 5 * n / BATCH { 0.5 } else { 0.9 };
        let rule = Rule { rate: 0.1, momentum, decay: 2e-4 };
        let view = MatRef::new(&batch, BATCH, width)?;
        rbm.learn(&lab.exec, view, &rule, &mut velocity, &mut rng)?;
        if STOPS.contains(&(step + 1)) {
            tell(step + 1, &rbm)?;
        }
    }
    Ok(())
}

/// Hears of the updates and the machine.
type Tell<'a> = dyn FnMut(usize, &Rbm<f32>) -> Result<(), Error> + 'a;

fn main() -> Result<(), Error> {
    let split = Split::<f32>::bundled()?;
    let lab = Lab { exec: Cpu::new(None)?, data: [split.train.first(SAMPLES)?, split.test] };
    let pixels = [0, 1].map(|k| sparse_rows(lab.data[k].features()));
    let pixels = lab.judge(pixels, lab.data[0].width(), PASSES[1])?;
    println!("linear classifier on the pixels: {pixels:.4}");
    println!("hidden  updates  hidden units  gradients  in the metric");
    let mut panels = Vec::new();
    for hidden in HIDDEN {
        let names = ["hidden units", "gradients", "gradients in the metric", "pixels"];
        let mut lines = names.map(|name| Line { label: name.to_owned(), points: Vec::new() });
        train(&lab, hidden, &mut |updates, rbm| {
            let [units, plain, metric] = lab.accuracies(rbm)?;
            println!("{hidden:>6} {updates:>8} {units:>13.4} {plain:>10.4} {metric:>14.4}");
            for (line, y) in lines.iter_mut().zip([units, plain, metric, pixels]) {
                line.points.push((updates as f64, y));
            }
            Ok(())
        })?;
        let title = format!("Test accuracy, {hidden} hidden units");
        panels.push(Panel { title, scale: Scale::Linear, lines: lines.to_vec() });
    }
    let panels = Panels {
        title: "Linear classifiers of a Boltzmann machine".to_owned(),
        x: "updates",
        x_scale: Scale::Logarithmic,
        panels,
    };
    for picture in line_panels(&panels, &uses::folder()?, "rbm")? {
        println!("{}", picture.display());
    }
    Ok(())
}
