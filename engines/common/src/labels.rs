//! Labels drawn from a model, for K-FAC's Fisher matrix.

use relfisher_core::{MatRef, Real, math};

/// `out_s ← softmax(row s)`. Shapes: logits n × C with any strides, out n·C.
pub(crate) fn softmax<T: Real>(out: &mut [T], logits: MatRef<'_, T>) {
    for (s, row) in out.chunks_exact_mut(logits.cols().max(1)).enumerate() {
        let top = (0..row.len()).fold(-T::INFINITY, |m, j| m.max(logits.at(s, j)));
        let mut sum = T::ZERO;
        for (j, p) in row.iter_mut().enumerate() {
            *p = math::exp(logits.at(s, j) - top);
            sum += *p;
        }
        for p in row {
            *p /= sum;
        }
    }
}

/// One class for each row of logits (n × C), drawn from softmax(row) by inversion; `uniform` returns
/// numbers in [0, 1). The gradient of the loss for these labels gives K-FAC's own G, the Fisher
/// matrix, where the true labels give the empirical one.
///
/// ```
/// use relfisher_engine::{MatRef, sample_classes};
/// let logits = [0.0, 30.0, 30.0, 0.0];
/// let logits = MatRef::new(&logits, 2, 2).expect("2 x 2");
/// assert_eq!(sample_classes(logits, &mut || 0.5), [1, 0]);
/// ```
pub fn sample_classes<T: Real>(
    logits: MatRef<'_, T>,
    uniform: &mut dyn FnMut() -> f64,
) -> Vec<u32> {
    let classes = logits.cols();
    let mut probabilities = vec![T::ZERO; logits.rows() * classes];
    softmax(&mut probabilities, logits);
    let rows = probabilities.chunks_exact(classes.max(1));
    rows.map(|row| {
        let (u, mut sum) = (uniform(), 0.0);
        let below = row.iter().take(classes.saturating_sub(1)).take_while(|p| {
            sum += p.to_f64();
            sum <= u
        });
        below.count() as u32
    })
    .collect()
}
