//! One row a measured step.

use relfisher_core::stats::GradientNoise;

/// The memory of the smoothed noise scale: the share of the old averages kept by a measured step.
const KEEP: f64 = 0.95;

/// The statistics of one mini-batch; u_s is the gradient of sample s, g their mean, without weight
/// decay, before the step is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRecord {
    /// Steps of the optimiser before this one.
    pub step: usize,
    /// The epoch that the step belongs to, from 1.
    pub epoch: usize,
    /// The samples n of the mini-batch.
    pub samples: usize,
    /// Its mean loss.
    pub loss: f64,
    /// ‖g‖.
    pub gradient_norm: f64,
    /// (1/n) Σ ‖u_s‖.
    pub sample_norm: f64,
    /// (1/n) Σ ‖u_s‖².
    pub second_moment: f64,
    /// The estimate of tr Σ, Σ the covariance of u ([`GradientNoise::variance`]).
    pub variance: f64,
    /// The estimate of |G|², G the gradient of the loss over the whole distribution
    /// ([`GradientNoise::signal`]); it may be negative.
    pub signal: f64,
    /// n |G|²/tr Σ, 0 for a negative estimate.
    pub snr: f64,
    /// tr Σ/|G|² of this mini-batch alone, in samples; NaN for a negative estimate.
    pub noise_scale: f64,
    /// (1/n) Σ cos(u_s, g).
    pub alignment: f64,
    /// cos(g, g of the step before); NaN where there is none.
    pub consecutive: f64,
}

impl StepRecord {
    /// The numbers of a row.
    pub(crate) const COLUMNS: usize = 13;

    /// Their names.
    const NAMES: [&str; StepRecord::COLUMNS] = [
        "step",
        "epoch",
        "samples",
        "loss",
        "gradient_norm",
        "sample_norm",
        "second_moment",
        "variance",
        "signal",
        "snr",
        "noise_scale",
        "alignment",
        "consecutive",
    ];

    /// The record of one mini-batch.
    pub(crate) fn new(
        (step, epoch): (usize, usize),
        (samples, loss): (usize, f64),
        noise: &GradientNoise<f64>,
        consecutive: f64,
    ) -> Self {
        Self {
            step,
            epoch,
            samples,
            loss,
            gradient_norm: noise.mean_square.sqrt(),
            sample_norm: noise.mean_norm,
            second_moment: noise.second_moment,
            variance: noise.variance,
            signal: noise.signal,
            snr: noise.signal_to_noise(samples),
            noise_scale: noise.noise_scale(),
            alignment: noise.alignment,
            consecutive,
        }
    }

    /// The numbers in the order of the columns, for checkpoints.
    pub(crate) fn to_row(self) -> [f64; StepRecord::COLUMNS] {
        [
            self.step as f64,
            self.epoch as f64,
            self.samples as f64,
            self.loss,
            self.gradient_norm,
            self.sample_norm,
            self.second_moment,
            self.variance,
            self.signal,
            self.snr,
            self.noise_scale,
            self.alignment,
            self.consecutive,
        ]
    }

    /// The inverse of [`StepRecord::to_row`].
    pub(crate) fn from_row(row: [f64; StepRecord::COLUMNS]) -> Self {
        let [step, epoch, samples, loss, gradient_norm, sample_norm, second_moment, rest @ ..] =
            row;
        let [variance, signal, snr, noise_scale, alignment, consecutive] = rest;
        Self {
            step: step as usize,
            epoch: epoch as usize,
            samples: samples as usize,
            loss,
            gradient_norm,
            sample_norm,
            second_moment,
            variance,
            signal,
            snr,
            noise_scale,
            alignment,
            consecutive,
        }
    }
}

/// The noise scale tr Σ/|G|² after each row, from exponential averages of both estimates (95 % of the
/// old ones kept, started at the first row); NaN while the average of |G|² is not positive.
///
/// The quotient of the averages is what McCandlish et al. (2018, appendix A.1) report: that of one
/// mini-batch is biased and noisy.
pub(crate) fn smooth_noise_scales(rows: &[StepRecord]) -> Vec<f64> {
    let mut averages: Option<(f64, f64)> = None;
    let smooth = rows.iter().map(|row| {
        if row.variance.is_finite() && row.signal.is_finite() {
            let (variance, signal) = averages.unwrap_or((row.variance, row.signal));
            averages = Some((
                KEEP * variance + (1.0 - KEEP) * row.variance,
                KEEP * signal + (1.0 - KEEP) * row.signal,
            ));
        }
        match averages {
            Some((variance, signal)) if signal > 0.0 => variance / signal,
            _ => f64::NAN,
        }
    });
    smooth.collect()
}

/// The rows as a CSV file: the fields of [`StepRecord`] by name, and `noise_scale_smooth`, the noise
/// scale from exponential averages over the rows so far (95 % kept) of variance and signal.
///
/// # Errors
/// None that numbers can cause.
pub fn steps_csv(rows: &[StepRecord]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(StepRecord::NAMES.iter().chain(&["noise_scale_smooth"]))?;
    for (row, smooth) in rows.iter().zip(smooth_noise_scales(rows)) {
        writer.write_record(row.to_row().iter().chain(&[smooth]).map(f64::to_string))?;
    }
    writer.into_inner().map_err(|e| e.into_error().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(variance: f64, signal: f64) -> StepRecord {
        let mut numbers = [0.5; StepRecord::COLUMNS];
        (numbers[7], numbers[8]) = (variance, signal);
        StepRecord::from_row(numbers)
    }

    #[test]
    fn averages_are_divided_not_quotients_averaged() {
        let rows = [row(2.0, 1.0), row(4.0, -1.0), row(f64::NAN, 1.0), row(0.0, -1e3)];
        let smooth = smooth_noise_scales(&rows);
        let want = (0.95 * 2.0 + 0.05 * 4.0) / (0.95 - 0.05);
        assert_eq!(smooth[0], 2.0);
        assert!((smooth[1] - want).abs() < 1e-12 && smooth[1] == smooth[2], "{smooth:?}");
        assert!(smooth[3].is_nan(), "all noise");
    }

    #[test]
    fn a_row_comes_back() {
        let numbers = std::array::from_fn(|i| i as f64);
        assert_eq!(StepRecord::from_row(numbers).to_row(), numbers);
    }
}
