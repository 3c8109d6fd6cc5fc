//! A restricted Boltzmann machine, trained by contrastive divergence, and the gradient of its
//! log-likelihood (G. E. Hinton, *A Practical Guide to Training Restricted Boltzmann Machines*, 2010).

#![allow(unreachable_pub)]

use relfisher::embedding::SparseRows;
use relfisher::executor::Executor;
use relfisher::random::{self, Rng};
use relfisher::{Error, Scalar};
use relfisher_core::{MatMut, MatRef};

/// p(v, h) ∝ exp(Σ_ji w_ji h_j v_i + Σ_j c_j h_j + Σ_i b_i v_i) for v and h of zeros and ones, d and m
/// of them.
pub struct Rbm<T> {
    /// W (m × d, row by row), c, b.
    pub parameters: Vec<T>,
    /// m.
    pub hidden: usize,
    /// d.
    pub visible: usize,
}

/// How [`Rbm::learn`] goes about it.
pub struct Rule {
    pub rate: f64,
    pub momentum: f64,
    /// The L2 coefficient of W.
    pub decay: f64,
}

impl<T: Scalar> Rbm<T> {
    /// Weights of deviation 0.01, c = 0, and b the logits of the means (Hinton's §8).
    pub fn new(means: &[T], hidden: usize, rng: &mut Rng) -> Self {
        let visible = means.len();
        let small = |_| T::from_f64(0.01 * random::normal(rng));
        let mut parameters: Vec<T> = (0..hidden * visible).map(small).collect();
        parameters.resize(hidden * visible + hidden, T::ZERO);
        // A pixel that is never on would have an infinite one.
        let least = T::from_f64(0.001);
        let logit = |mean: &T| {
            let p = mean.max(least).min(T::ONE - least);
            (p / (T::ONE - p)).ln()
        };
        parameters.extend(means.iter().map(logit));
        Self { parameters, hidden, visible }
    }

    /// P(h_j = 1 | v) = σ(c_j + Σ_i w_ji v_i) for every row of `v` (n × d): n × m.
    pub fn hidden(&self, executor: &dyn Executor<T>, v: MatRef<'_, T>) -> Result<Vec<T>, Error> {
        let c = &self.parameters[self.hidden * self.visible..][..self.hidden];
        conditional(executor, v, (self.weights()?.t(), c))
    }

    /// P(v_i = 1 | h) = σ(b_i + Σ_j w_ji h_j) for every row of `h` (n × m): n × d.
    pub fn visible(&self, executor: &dyn Executor<T>, h: MatRef<'_, T>) -> Result<Vec<T>, Error> {
        let b = &self.parameters[(self.visible + 1) * self.hidden..];
        conditional(executor, h, (self.weights()?, b))
    }

    fn weights(&self) -> Result<MatRef<'_, T>, Error> {
        let weights = &self.parameters[..self.hidden * self.visible];
        Ok(MatRef::new(weights, self.hidden, self.visible)?)
    }

    /// Appends what the gradient of ln p(v) is made of, s(v) = Σ_h p(h | v) ∂(−energy): p_j v_i for w_ji,
    /// p_j for c_j and v_i for b_i, with p = P(h = 1 | v). The gradient is s(v) less the mean of s over
    /// the machine's own v, the same for every sample. Zeros are left out.
    pub fn append_statistics(&self, rows: &mut SparseRows<T>, v: &[T], p: &[T]) {
        let mut push = |index: usize, value: T| {
            if value != T::ZERO {
                rows.indices.push(index as u32);
                rows.values.push(value);
            }
        };
        for (j, p) in p.iter().enumerate() {
            v.iter().enumerate().for_each(|(i, v)| push(j * self.visible + i, *p * *v));
        }
        let biases = p.iter().chain(v).enumerate();
        biases.for_each(|(k, x)| push(self.hidden * self.visible + k, *x));
        rows.starts.push(rows.values.len());
    }

    /// One step of contrastive divergence (CD-1) on the rows of `v`: s of the data less s of their
    /// reconstructions from sampled hidden units, of which probabilities are taken (Hinton's §3).
    pub fn learn(
        &mut self,
        executor: &dyn Executor<T>,
        v: MatRef<'_, T>,
        rule: &Rule,
        velocity: &mut [T],
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let (n, m, d) = (v.rows(), self.hidden, self.visible);
        let p = self.hidden(executor, v)?;
        let sample = |p: &T| T::from_f64(f64::from(random::uniform(rng) < p.to_f64()));
        let h: Vec<T> = p.iter().map(sample).collect();
        let dream = self.visible(executor, MatRef::new(&h, n, m)?)?;
        let dream = MatRef::new(&dream, n, d)?;
        let q = self.hidden(executor, dream)?;
        let (p, q) = (MatRef::new(&p, n, m)?, MatRef::new(&q, n, m)?);
        let rate = T::from_f64(rule.rate / n as f64);
        let (weights, biases) = velocity.split_at_mut(m * d);
        let mut w = MatMut::new(weights, m, d)?;
        executor.gemm(w.rb_mut(), T::from_f64(rule.momentum), rate, p.t(), v)?;
        executor.gemm(w, T::ONE, -rate, q.t(), dream)?;
        let shrink = T::from_f64(rule.rate * rule.decay);
        for (v, w) in weights.iter_mut().zip(&self.parameters) {
            *v -= shrink * *w;
        }
        biases.iter_mut().for_each(|x| *x *= T::from_f64(rule.momentum));
        for s in 0..n {
            let data = p.row(s).iter().chain(v.row(s));
            let dreamt = q.row(s).iter().chain(dream.row(s));
            let steps = biases.iter_mut().zip(data.zip(dreamt));
            steps.for_each(|(x, (data, dreamt))| *x += rate * (*data - *dreamt));
        }
        self.parameters.iter_mut().zip(velocity).for_each(|(x, v)| *x += *v);
        Ok(())
    }
}

/// σ(XW + bias), row by row.
fn conditional<T: Scalar>(
    executor: &dyn Executor<T>,
    x: MatRef<'_, T>,
    (weights, bias): (MatRef<'_, T>, &[T]),
) -> Result<Vec<T>, Error> {
    let (n, width) = (x.rows(), bias.len());
    let mut out = bias.repeat(n);
    executor.gemm(MatMut::new(&mut out, n, width)?, T::ONE, T::ONE, x, weights)?;
    out.iter_mut().for_each(|t| *t = t.sigm());
    Ok(out)
}
