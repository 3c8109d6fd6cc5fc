//! Kronecker factors, their damped system and their eigenbases, against sums over samples.

use relfisher::Scalar;

use super::{Layer, Plain, close, product, transpose, wide};
use crate::Random;

/// Elements of a matrix that are compared.
const SAMPLED: usize = 300;

/// What the factors G are made of.
#[derive(Clone, Debug)]
pub enum Outputs {
    /// Derivatives of every layer, columns·n × m: G = (1/n) Σ δδᵀ.
    Deltas(Vec<Vec<f64>>),
    /// G itself, of every layer.
    Matrices(Vec<Vec<f64>>),
}

/// A and G of a layer as the code under test has them.
#[derive(Clone, Copy, Debug)]
pub struct Factors<'a, T> {
    /// d̃ × d̃.
    pub a: &'a [T],
    /// m × m.
    pub g: &'a [T],
}

/// What a moving average keeps of the factors before.
#[derive(Clone, Copy, Debug)]
pub struct Previous<'a, T> {
    /// The part that is kept.
    pub keep: f64,
    /// The factors before.
    pub factors: Factors<'a, T>,
}

impl Plain {
    /// KFRA's recursion: `G = (W̃ᵀ G W̃) ∘ E[bbᵀ]` from the mean loss Hessian down.
    #[must_use]
    pub fn averaged(&self) -> Outputs {
        let (n, c) = (self.n as f64, self.layers[self.layers.len() - 1].m);
        let mut top = vec![0.0; c * c];
        for eta in self.probabilities().chunks_exact(c) {
            for (k, g) in top.iter_mut().enumerate() {
                let (i, j) = (k / c, k % c);
                *g += (if i == j { eta[i] } else { 0.0 } - eta[i] * eta[j]) / n;
            }
        }
        let mut all = vec![top];
        for k in (1..self.layers.len()).rev() {
            let (Layer { m, d, weights, .. }, above) = (&self.layers[k], &all[all.len() - 1]);
            let half = product(above, weights, (*m, *m, *d));
            let whole = product(&transpose(weights, *d), &half, (*d, *m, *d));
            let below = &self.layers[k - 1];
            let mask: Vec<f64> = below.active.iter().map(|a| f64::from(u8::from(*a))).collect();
            let both = product(&transpose(&mask, below.m), &mask, (below.m, self.n, below.m));
            let at = |k: usize| whole[k / below.m * d + k % below.m] * both[k] / n;
            all.push((0..both.len()).map(at).collect());
        }
        all.reverse();
        Outputs::Matrices(all)
    }

    /// Whether A and G of layer `k` are what the batch, and a moving average of `before`, gives: elements
    /// on and off the diagonal, the bias among them, summed in f64.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_factors<T: Scalar>(
        &self,
        k: usize,
        found: Factors<'_, T>,
        outputs: &Outputs,
        before: Option<Previous<'_, T>>,
    ) -> Result<(), String> {
        let Layer { m, d, x, .. } = &self.layers[k];
        let mean = |rows: &[f64], width: usize, (i, j): (usize, usize)| {
            let terms = rows.chunks_exact(width).map(|row| row[i] * row[j]);
            terms.sum::<f64>() / self.n as f64
        };
        let of_inputs = |at| mean(x, *d, at);
        let of_outputs = |at: (usize, usize)| match outputs {
            Outputs::Deltas(deltas) => mean(&deltas[k], *m, at),
            Outputs::Matrices(all) => all[k][at.0 * m + at.1],
        };
        let kept = |of: fn(Factors<'_, T>, usize) -> f64, at: usize, fresh: f64| match before {
            Some(Previous { keep, factors }) => keep * of(factors, at) + (1.0 - keep) * fresh,
            None => fresh,
        };
        let (mut got, mut want) = (Vec::new(), Vec::new());
        for (i, j) in places(*d) {
            got.push(found.a[i * d + j].to_f64());
            want.push(kept(|f, at| f.a[at].to_f64(), i * d + j, of_inputs((i, j))));
        }
        close::<T>(&format!("A of layer {k}"), &got, &want, 1e3)?;
        got.clear();
        want.clear();
        for (i, j) in places(*m) {
            got.push(found.g[i * m + j].to_f64());
            want.push(kept(|f, at| f.g[at].to_f64(), i * m + j, of_outputs((i, j))));
        }
        close::<T>(&format!("G of layer {k}"), &got, &want, 1e4)
    }
}

impl Plain {
    /// Whether A and G of every layer are those of the batch, and the step solves their damped system.
    ///
    /// # Errors
    /// The first element that is not.
    pub fn check_kfac<'a, T: Scalar>(
        &self,
        factors: impl Fn(usize) -> Option<(&'a [T], &'a [T])>,
        outputs: &Outputs,
        lambda: f64,
        (step, gradient): (&[T], &[f64]),
    ) -> Result<(), String> {
        let step = wide(step);
        for (k, layer) in self.layers.iter().enumerate() {
            let (a, g) = factors(k).ok_or("a layer without factors")?;
            let (found, range) = (Factors { a, g }, layer.range.clone());
            self.check_factors(k, found, outputs, None)?;
            let pair = (&step[range.clone()], &gradient[range]);
            damped_system(k, found, (layer.m, layer.d), lambda, pair)?;
        }
        Ok(())
    }
}

/// Places of a square: every one of a small one, else some, a third of them on the diagonal, the last
/// row among them.
fn places(order: usize) -> Vec<(usize, usize)> {
    if order * order <= SAMPLED {
        return (0..order * order).map(|k| (k / order, k % order)).collect();
    }
    let mut random = Random::new(14);
    let mut pick = || ((random.unit() * order as f64) as usize).min(order - 1);
    let place = |k: usize| {
        let (i, j) = (pick(), pick());
        match k % 3 {
            0 => (i, i),
            1 => (i, j),
            _ => (order - 1, j),
        }
    };
    (0..SAMPLED).map(place).collect()
}

/// What λ adds to G and to A: √λ/π and π√λ, π² = (tr A/d̃)/(tr G/m).
#[must_use]
pub fn split(a: &[f64], g: &[f64], (m, d): (usize, usize), lambda: f64) -> (f64, f64) {
    let mean = |x: &[f64], n: usize| x.iter().step_by(n + 1).sum::<f64>() / n as f64;
    let pi = (mean(a, d) / mean(g, m)).sqrt();
    (lambda.sqrt() / pi, pi * lambda.sqrt())
}

/// Some vectors of ±1.
fn signs(len: usize, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed);
    (0..len).map(|_| if random.unit() < 0.5 { -1.0 } else { 1.0 }).collect()
}

/// Whether `(G + γI) S (A + δI)` is the gradient, both applied to two vectors of random signs; γ and δ
/// split λ.
///
/// # Errors
/// The first element that is not.
pub fn damped_system<T: Scalar>(
    layer: usize,
    found: Factors<'_, T>,
    (m, d): (usize, usize),
    lambda: f64,
    (step, gradient): (&[f64], &[f64]),
) -> Result<(), String> {
    let (a, g) = (wide(found.a), wide(found.g));
    let (gamma, delta) = split(&a, &g, (m, d), lambda);
    for seed in [15, 16] {
        let v = signs(d, seed);
        let add = |mut out: Vec<f64>, x: &[f64], damping: f64| {
            out.iter_mut().zip(x).for_each(|(o, x)| *o += damping * x);
            out
        };
        let right = add(product(&a, &v, (d, d, 1)), &v, delta);
        let through = product(step, &right, (m, d, 1));
        let back = add(product(&g, &through, (m, m, 1)), &through, gamma);
        let want = product(gradient, &v, (m, d, 1));
        close::<T>(&format!("damped Kronecker step of layer {layer}"), &back, &want, 2e4)?;
    }
    Ok(())
}

/// Eigenbases of the factors of a layer and the scale in them, as the code under test has them.
#[derive(Clone, Debug)]
pub struct Basis {
    /// U_A, d̃ × d̃.
    pub a: Vec<f64>,
    /// U_G, m × m.
    pub g: Vec<f64>,
    /// m × d̃.
    pub scale: Vec<f64>,
}

impl Basis {
    /// Whether both are orthogonal and diagonalise the factors: U Uᵀ v = v, and Uᵀ F U v = Λ v with the
    /// Λ that another vector of signs gives.
    ///
    /// # Errors
    /// The first element that is not.
    pub fn check_bases<T: Scalar>(
        &self,
        layer: usize,
        found: Factors<'_, T>,
    ) -> Result<(), String> {
        for (name, u, f) in [("A", &self.a, wide(found.a)), ("G", &self.g, wide(found.g))] {
            let n = f.len().isqrt();
            // signs to divide by, and a vector that is no multiple of them
            let v = signs(n, 17);
            let w: Vec<f64> = Random::new(18).numbers(n, -1.0, 1.0);
            let times = |m: &[f64], v: &[f64]| product(m, v, (n, n, 1));
            let across = transpose(u, n);
            let label = |what: &str| format!("{what} of {name}, layer {layer}");
            let whole = times(u, &times(&across, &v));
            close::<T>(&label("U Uᵀ v"), &whole, &v, 1e4)?;
            let turned = |v: &[f64]| times(&across, &times(&f, &times(u, v)));
            let values: Vec<f64> = turned(&v).iter().zip(&v).map(|(x, v)| x * v).collect();
            let want: Vec<f64> = values.iter().zip(&w).map(|(x, w)| x * w).collect();
            close::<T>(&label("Uᵀ F U v"), &turned(&w), &want, 1e4)?;
        }
        Ok(())
    }

    /// Whether the scale is the mean over the samples of (U_Gᵀ δ)²_i (x̃ᵀ U_A)²_j, at some places.
    ///
    /// # Errors
    /// The first element that is not.
    pub fn check_scale<T: Scalar>(
        &self,
        layer: usize,
        of: &Layer,
        delta: &[f64],
    ) -> Result<(), String> {
        let Layer { m, d, x, .. } = of;
        let n = x.len() / d;
        // as many rows and columns as give every place of a small layer
        let some = |order: usize| -> Vec<usize> {
            let every = order.div_ceil(24).max(1);
            (0..order).filter(|k| (order - 1 - k).is_multiple_of(every)).collect()
        };
        let turned = |rows: &[f64], u: &[f64], width: usize, column: usize| -> Vec<f64> {
            let along: Vec<f64> = u.iter().skip(column).step_by(width).copied().collect();
            product(rows, &along, (rows.len() / width, width, 1))
        };
        let inputs: Vec<_> = some(*d).into_iter().map(|j| (j, turned(x, &self.a, *d, j))).collect();
        let (mut got, mut want) = (Vec::new(), Vec::new());
        for i in some(*m) {
            let outputs = turned(delta, &self.g, *m, i);
            for (j, inputs) in &inputs {
                let terms =
                    outputs.iter().enumerate().map(|(row, o)| (o * inputs[row % n]).powi(2));
                want.push(terms.sum::<f64>() / n as f64);
                got.push(self.scale[i * d + j]);
            }
        }
        close::<T>(&format!("scale of layer {layer}"), &got, &want, 1e4)
    }

    /// Whether the step is U_G [(U_Gᵀ ∇W̃ U_A) / (s + λ)] U_Aᵀ.
    ///
    /// # Errors
    /// The first element that is not.
    pub fn check_step<T: Scalar>(
        &self,
        layer: usize,
        (m, d): (usize, usize),
        lambda: f64,
        (step, gradient): (&[f64], &[f64]),
    ) -> Result<(), String> {
        let (g, a) = (transpose(&self.g, m), transpose(&self.a, d));
        let mut turned = product(&product(&g, gradient, (m, m, d)), &self.a, (m, d, d));
        turned.iter_mut().zip(&self.scale).for_each(|(t, s)| *t /= s + lambda);
        let want = product(&product(&self.g, &turned, (m, m, d)), &a, (m, d, d));
        close::<T>(&format!("EKFAC step of layer {layer}"), step, &want, 1e4)
    }
}

#[cfg(test)]
mod tests {
    use super::{Basis, Factors, Layer, damped_system, places};

    #[test]
    fn places_have_the_diagonal_and_the_bias() {
        assert_eq!(places(3).len(), 9);
        let many = places(100);
        assert!(many.iter().any(|(i, j)| i == j && *i < 99));
        assert!(many.iter().any(|(i, j)| *i == 99 && *j < 99));
        assert!(many.iter().all(|(i, j)| *i < 100 && *j < 100));
    }

    #[test]
    fn a_wrong_step_is_found() {
        // (G + γ) S (A + δ) = 1: π² = 2, so γ = ½ and δ = 1 for λ = ½
        let (a, g) = ([2.0], [1.0]);
        let found = Factors { a: &a, g: &g };
        let judge = |step| damped_system::<f64>(0, found, (1, 1), 0.5, (&[step], &[1.0]));
        assert!(judge(1.0 / (1.5 * 3.0)).is_ok());
        assert!(judge(1.0 / 4.4).is_err());
    }

    #[test]
    fn a_wrong_scale_is_found() {
        let layer = Layer {
            m: 1,
            d: 2,
            range: 0..2,
            weights: vec![0.0; 2],
            x: vec![2.0, 1.0, -1.0, 1.0],
            t: Vec::new(),
            active: Vec::new(),
        };
        // in the standard basis: the means of (δx)² over two samples
        let basis = |scale: [f64; 2]| Basis {
            a: vec![1.0, 0.0, 0.0, 1.0],
            g: vec![1.0],
            scale: scale.to_vec(),
        };
        let delta = [0.5, 3.0];
        let judge = |scale| basis(scale).check_scale::<f64>(0, &layer, &delta);
        assert_eq!(judge([5.0, 4.625]), Ok(()));
        assert!(judge([5.0, 4.62]).is_err());
        // step = gradient / (s + λ)
        let judge = |step: [f64; 2]| {
            basis([5.0, 4.625]).check_step::<f64>(0, (1, 2), 1.0, (&step, &[12.0, 9.0]))
        };
        assert_eq!(judge([2.0, 1.6]), Ok(()));
        assert!(judge([2.0, 1.7]).is_err());
    }

    #[test]
    fn a_wrong_basis_is_found() {
        let half = 0.5_f64.sqrt();
        let (a, g) = ([2.0, 1.0, 1.0, 2.0], [3.0]);
        let found = Factors { a: &a, g: &g };
        let basis = |a: [f64; 4]| Basis { a: a.to_vec(), g: vec![1.0], scale: vec![1.0; 2] };
        assert!(basis([half, half, -half, half]).check_bases(0, found).is_ok());
        // orthogonal, but no eigenvectors
        let error = basis([0.6, -0.8, 0.8, 0.6]).check_bases(0, found).expect_err("wrong");
        assert!(error.contains("Uᵀ F U v of A"), "{error}");
        // eigenvectors of another length
        let error = basis([1.0, 1.0, -1.0, 1.0]).check_bases(0, found).expect_err("wrong");
        assert!(error.contains("U Uᵀ v of A"), "{error}");
    }
}
