//! Losses: values, output deltas, labels drawn from the model, evaluation of a data set.

use relfisher_core::{MatMut, MatRef, Real};

use super::architecture::Loss;
use super::compile::Network;
use super::parameters::Parameters;
use super::tape::{LossReport, Mode, Tape, Targets};
use crate::executor::Executor;
use crate::random::{self, Rng};
use crate::{Error, Scalar};

/// The report of the samples on a tape, the first of which has the number.
type ChunkReport<'a, T> = dyn FnMut(&mut Tape<T>, usize) -> Result<LossReport, Error> + 'a;

/// How good the predictions of a batch are, apart from the loss.
enum Score {
    /// The samples whose largest output is at their class.
    Correct(usize),
    /// The squared errors of the predicted means, summed over outputs and samples.
    Squares(f64),
}

impl<T: Scalar> Network<T> {
    /// The loss of the batch after a forward pass. Leaves the output deltas ∂ℓ_s/∂f on the tape for
    /// [`Network::backward`]: η − e_y, 2·scale·(f − y), or sigm f − y.
    ///
    /// A loss that is not finite is returned as such, for the caller to stop the run.
    ///
    /// # Errors
    /// Targets of another kind, number or width; a class or a Bernoulli target out of range.
    pub fn loss<E: Executor<T> + ?Sized>(
        &self,
        _exec: &E,
        tape: &mut Tape<T>,
        targets: &Targets<'_, T>,
    ) -> Result<LossReport, Error> {
        let mut total = 0.0;
        let score = self.losses(tape, targets, &mut |loss| total += loss)?;
        let n = tape.batch as f64;
        Ok(match score {
            Score::Correct(count) => {
                LossReport { mean: total / n, correct: Some(count), squared_error: None }
            }
            Score::Squares(sum) => {
                LossReport { mean: total / n, correct: None, squared_error: Some(sum / n) }
            }
        })
    }

    /// The loss ℓ_s of every sample of the batch, with the effects and errors of [`Network::loss`].
    ///
    /// # Errors
    /// As [`Network::loss`].
    pub fn sample_losses(
        &self,
        tape: &mut Tape<T>,
        targets: &Targets<'_, T>,
    ) -> Result<Vec<T>, Error> {
        let mut losses = Vec::with_capacity(tape.batch);
        self.losses(tape, targets, &mut |loss| losses.push(T::from_f64(loss)))?;
        Ok(losses)
    }

    /// Writes the output deltas, hands the loss of every sample to `each`, and judges the predictions.
    fn losses(
        &self,
        tape: &mut Tape<T>,
        targets: &Targets<'_, T>,
        each: &mut dyn FnMut(f64),
    ) -> Result<Score, Error> {
        self.check_tape(tape)?;
        let n = tape.batch;
        self.check_targets(targets, n)?;
        let mut squares = 0.0;
        let Some(logits) = tape.values.last() else { return Ok(Score::Squares(squares)) };
        let (logits, probabilities) = (logits.values(n), tape.probabilities.values(n));
        let mut deltas = tape.deltas.output_mut(0, n);
        match (self.architecture.loss, targets) {
            (Loss::SoftmaxCrossEntropy, Targets::Classes(classes)) => {
                let mut right = 0;
                for (s, &class) in classes.iter().enumerate() {
                    let p = probabilities.row(s);
                    let (loss, best) = cross_entropy(logits.row(s), p, class);
                    each(loss);
                    right += usize::from(best == Some(class));
                    let delta = deltas.row_mut(s);
                    delta.copy_from_slice(p);
                    delta[class] = -others(p, class);
                }
                return Ok(Score::Correct(right));
            }
            (Loss::Mse { scale }, Targets::Values(values)) => {
                let double = T::from_f64(2.0 * scale);
                for s in 0..n {
                    let rows = logits.row(s).iter().zip(values.row(s));
                    let mut sum = 0.0;
                    for (delta, (&f, &y)) in deltas.row_mut(s).iter_mut().zip(rows) {
                        let error = f - y;
                        *delta = double * error;
                        sum += error.to_f64() * error.to_f64();
                    }
                    each(scale * sum);
                    squares += sum;
                }
            }
            (Loss::BinaryCrossEntropy, Targets::Values(values)) => {
                for s in 0..n {
                    let rows = logits.row(s).iter().zip(values.row(s)).zip(probabilities.row(s));
                    let mut sum = 0.0;
                    for (delta, ((&z, &y), &p)) in deltas.row_mut(s).iter_mut().zip(rows) {
                        // 1 − p = sigm(−z) keeps its digits as p → 1.
                        *delta = if z > T::ZERO { (T::ONE - y) - (-z).sigm() } else { p - y };
                        squares += (p - y).to_f64() * (p - y).to_f64();
                        // ln(1 + eᶻ) − yz without overflow.
                        let loss = z.max(T::ZERO) - z * y + (-z.abs()).exp().ln_1p();
                        sum += if z.is_finite() { loss.to_f64() } else { f64::NAN };
                    }
                    each(sum);
                }
            }
            _ => {} // refused by check_targets
        }
        Ok(Score::Squares(squares))
    }

    /// Leaves on the tape the output deltas for labels drawn from the model
    /// ([`Network::draw_output_deltas`]).
    ///
    /// # Errors
    /// A tape of another network.
    pub fn sample_model_labels<E: Executor<T> + ?Sized>(
        &self,
        _exec: &E,
        tape: &mut Tape<T>,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        self.check_tape(tape)?;
        let n = tape.batch;
        let probabilities = tape.probabilities.values(n);
        self.draw_deltas(probabilities, tape.deltas.output_mut(0, n), rng);
        Ok(())
    }

    /// Writes the output deltas (n × outputs) for labels drawn from the model's own predictive
    /// distribution (K-FAC's G is the second moment of the deltas that follow): a class from the
    /// soft-max, a Gaussian of variance 1/(2 scale) around the mean, or Bernoulli outputs.
    ///
    /// # Errors
    /// A tape of another network, or deltas of another shape.
    pub fn draw_output_deltas(
        &self,
        tape: &Tape<T>,
        deltas: MatMut<'_, T>,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        self.check_tape(tape)?;
        let (n, found) = (tape.batch, (deltas.rows(), deltas.cols()));
        if found != (n, self.outputs()) || !deltas.rows_contiguous() {
            return Err(Error::input(
                "",
                "deltas",
                format_args!("{found:?}, but the outputs are {n}×{}", self.outputs()),
                "give a row of outputs for each sample",
            ));
        }
        self.draw_deltas(tape.probabilities.values(n), deltas, rng);
        Ok(())
    }

    fn draw_deltas(&self, probabilities: MatRef<'_, T>, mut deltas: MatMut<'_, T>, rng: &mut Rng) {
        for s in 0..deltas.rows() {
            let (delta, p) = (deltas.row_mut(s), probabilities.row(s));
            match self.architecture.loss {
                Loss::SoftmaxCrossEntropy => {
                    delta.copy_from_slice(p);
                    let class = draw_class(p, random::uniform(rng));
                    delta[class] = -others(p, class);
                }
                Loss::Mse { scale } => {
                    // 2·scale·(f − y) with f − y = −σz and σ² = 1/(2 scale).
                    let root = (2.0 * scale).sqrt();
                    delta.iter_mut().for_each(|d| *d = T::from_f64(-root * random::normal(rng)));
                }
                Loss::BinaryCrossEntropy => {
                    for (d, &p) in delta.iter_mut().zip(p) {
                        let y = random::uniform(rng) < p.to_f64();
                        *d = if y { p - T::ONE } else { p };
                    }
                }
            }
        }
    }

    /// The loss over a whole data set in inference mode, in chunks of the tape's capacity.
    ///
    /// # Errors
    /// An empty data set, or those of [`Network::loss`].
    pub fn evaluate<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        parameters: &Parameters<T>,
        tape: &mut Tape<T>,
        features: MatRef<'_, T>,
        targets: &Targets<'_, T>,
    ) -> Result<LossReport, Error> {
        let samples = features.rows();
        self.check_targets(targets, samples)?;
        if samples == 0 || features.cols() != self.inputs() || !features.rows_contiguous() {
            return Err(Error::input(
                "",
                "data",
                format_args!(
                    "{samples} samples of {} numbers, but the network takes {}",
                    features.cols(),
                    self.inputs()
                ),
                "use data that fits the network",
            ));
        }
        self.in_chunks(tape, samples, &mut |tape, start| {
            let n = tape.batch;
            let mut input = tape.input_mut();
            for s in 0..n {
                input.row_mut(s).copy_from_slice(features.row(start + s));
            }
            self.forward(exec, parameters, Mode::Inference, tape)?;
            self.loss(exec, tape, &targets.rows(start, n)?)
        })
    }

    /// The loss of outputs that were computed elsewhere (samples × outputs, contiguous rows), in chunks
    /// of the tape's capacity.
    ///
    /// # Errors
    /// Outputs of another shape, or those of [`Network::loss`].
    pub fn judge<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        tape: &mut Tape<T>,
        outputs: MatRef<'_, T>,
        targets: &Targets<'_, T>,
    ) -> Result<LossReport, Error> {
        let samples = outputs.rows();
        self.check_targets(targets, samples)?;
        if samples == 0 || outputs.cols() != self.outputs() || !outputs.rows_contiguous() {
            let problem = format_args!("{samples}×{} outputs", outputs.cols());
            let remedy = format!("give a row of {} for each sample", self.outputs());
            return Err(Error::input("", "outputs", problem, remedy));
        }
        self.in_chunks(tape, samples, &mut |tape, start| {
            let n = tape.batch;
            if let Some(place) = tape.values.last_mut() {
                let mut logits = place.values_mut(n);
                for s in 0..n {
                    logits.row_mut(s).copy_from_slice(outputs.row(start + s));
                }
            }
            self.predict(exec, tape)?;
            self.loss(exec, tape, &targets.rows(start, n)?)
        })
    }

    /// The mean report of `samples` samples: `report` is called with a tape of so many samples as fit
    /// and the first one's number.
    fn in_chunks(
        &self,
        tape: &mut Tape<T>,
        samples: usize,
        report: &mut ChunkReport<'_, T>,
    ) -> Result<LossReport, Error> {
        let (mut total, mut correct, mut squares) = (0.0, None, None);
        let mut start = 0;
        while start < samples {
            let n = tape.capacity().clamp(1, samples - start);
            tape.set_batch(n)?;
            let report = report(tape, start)?;
            total += report.mean * n as f64;
            correct = report.correct.map(|c| c + correct.unwrap_or(0));
            squares = report.squared_error.map(|e| e * n as f64 + squares.unwrap_or(0.0));
            start += n;
        }
        let squared_error = squares.map(|sum| sum / samples as f64);
        Ok(LossReport { mean: total / samples as f64, correct, squared_error })
    }

    /// Checks targets for n samples.
    ///
    /// # Errors
    /// Another kind, number or width; a class or a Bernoulli target out of range.
    pub fn check_targets(&self, targets: &Targets<'_, T>, n: usize) -> Result<(), Error> {
        let bad = |problem: String, remedy: &str| Err(Error::input("", "targets", problem, remedy));
        let outputs = self.outputs();
        match (self.architecture.loss, targets) {
            (Loss::SoftmaxCrossEntropy, Targets::Classes(classes)) => {
                if classes.len() != n {
                    return bad(
                        format!("{} classes for {n} samples", classes.len()),
                        "give one class for each sample",
                    );
                }
                if let Some((s, class)) = classes.iter().enumerate().find(|(_, c)| **c >= outputs) {
                    return bad(
                        format!(
                            "class {class} of sample {s}, but the network has {outputs} outputs"
                        ),
                        "use classes below the number of outputs",
                    );
                }
                Ok(())
            }
            (Loss::SoftmaxCrossEntropy, Targets::Values(_)) => {
                bad("softmax_cross_entropy needs classes".into(), "give a class for each sample")
            }
            (_, Targets::Classes(_)) => {
                bad("this loss needs values, not classes".into(), "give a row for each sample")
            }
            (loss, Targets::Values(values)) => {
                if (values.rows(), values.cols()) != (n, outputs) || !values.rows_contiguous() {
                    return bad(
                        format!("shape {}×{}, not {n}×{outputs}", values.rows(), values.cols()),
                        "give a row of outputs for each sample",
                    );
                }
                let probability = |y: &T| *y >= T::ZERO && *y <= T::ONE;
                if loss == Loss::BinaryCrossEntropy
                    && (0..n).any(|s| !values.row(s).iter().all(probability))
                {
                    return bad("a number outside 0..1".into(), "binary targets lie in 0..1");
                }
                Ok(())
            }
        }
    }
}

/// −log η_class and the index of the largest logit (the lowest one among equals; `None` with a NaN).
fn cross_entropy<T: Real>(logits: &[T], probabilities: &[T], class: usize) -> (f64, Option<usize>) {
    let mut best = 0;
    for (j, &z) in logits.iter().enumerate() {
        if !z.is_finite() {
            return (f64::NAN, None);
        }
        if z > logits[best] {
            best = j;
        }
    }
    // −log η_y = (z_max − z_y) + ln(1 + Σ_{j ≠ max} e^{z_j − z_max}), accurate when the sum is tiny;
    // the exponentials are the probabilities divided by the largest one.
    let rest = probabilities.iter().enumerate().filter(|&(j, _)| j != best);
    let rest = rest.map(|(_, p)| p.to_f64()).sum::<f64>() / probabilities[best].to_f64();
    let gap = logits[best].to_f64() - logits[class].to_f64();
    (gap + Real::ln_1p(rest), Some(best))
}

/// 1 − η_class as the sum of the other probabilities, which keeps its digits as η_class → 1.
fn others<T: Real>(probabilities: &[T], class: usize) -> T {
    let rest = probabilities.iter().enumerate().filter(|&(j, _)| j != class);
    rest.fold(T::ZERO, |sum, (_, p)| sum + *p)
}

/// The class whose cumulated probability first exceeds `uniform`.
fn draw_class<T: Real>(probabilities: &[T], uniform: f64) -> usize {
    let mut left = uniform * probabilities.iter().map(|p| p.to_f64()).sum::<f64>();
    for (j, p) in probabilities.iter().enumerate() {
        left -= p.to_f64();
        if left < 0.0 {
            return j;
        }
    }
    probabilities.len().saturating_sub(1)
}
