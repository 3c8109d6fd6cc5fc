//! A catalogue of the core's routines with generated arguments, so that one test can ask the same
//! of all of them: finite answers whatever outputs and workspaces hold, the same bits again, and an
//! error, never a panic, for every wrong shape and short workspace.

mod curvature;
mod factorisations;
mod kronecker;
mod metrics;
mod products;
mod samples;
mod sparse;
mod spectra;
mod uses;

use crate::random::Random;
use relfisher_core::{Error, Real};

/// How arguments are made.
#[derive(Clone, Debug)]
pub struct Plan<T> {
    /// The samples n, the outputs m, the inputs d, other columns k.
    pub shape: [usize; 4],
    /// The size of the values.
    pub scale: f64,
    /// What outputs and workspaces hold before the call.
    pub fill: T,
    /// How many elements every workspace lacks.
    pub short: usize,
    /// The dimension (counted over the call) that is one too large.
    pub wrong: Option<usize>,
    /// The random input element (counted over the call) that is NaN.
    pub poison: Option<usize>,
    /// A number that takes the place of input elements, and how far apart they are.
    pub extreme: Option<(T, usize)>,
    /// The seed of the values.
    pub seed: u64,
    /// Dimensions asked for so far; afterwards how many the routine has.
    pub dimensions: usize,
    /// Input elements so far; afterwards how many the routine has.
    pub elements: usize,
    /// Workspace elements asked for.
    pub workspace: usize,
}

impl<T: Real> Plan<T> {
    /// A plan with correct arguments and NaN-filled buffers.
    pub fn new(shape: [usize; 4], scale: f64, seed: u64) -> Self {
        Self {
            shape,
            scale,
            fill: T::NAN,
            short: 0,
            wrong: None,
            poison: None,
            extreme: None,
            seed,
            dimensions: 0,
            elements: 0,
            workspace: 0,
        }
    }
    /// A dimension that another argument fixes as `x`.
    fn dim(&mut self, x: usize) -> usize {
        let wrong = self.wrong == Some(self.dimensions);
        self.dimensions += 1;
        x + usize::from(wrong)
    }
    fn finish(&mut self, mut x: Vec<T>) -> Vec<T> {
        let len = x.len();
        if let Some(p) = self.poison
            && p >= self.elements
            && p < self.elements + len
        {
            x[p - self.elements] = T::NAN;
        }
        if let Some((value, apart)) = self.extreme {
            let first = self.elements.next_multiple_of(apart) - self.elements;
            x.iter_mut().skip(first).step_by(apart).for_each(|x| *x = value);
        }
        self.elements += len;
        x
    }
    fn random(&mut self) -> Random {
        Random::new(self.seed ^ ((self.elements as u64) << 20) ^ ((self.dimensions as u64) << 40))
    }
    /// Normal values times the scale.
    fn values(&mut self, len: usize) -> Vec<T> {
        let (mut random, scale) = (self.random(), self.scale);
        let x = (0..len).map(|_| T::from_f64(random.normal() * scale)).collect();
        self.finish(x)
    }
    /// Numbers in [½, 1).
    fn weights(&mut self, len: usize) -> Vec<T> {
        let x = self.random().uniforms(len, 0.5, 1.0);
        self.finish(x)
    }
    /// Rows that sum to one.
    fn probabilities(&mut self, n: usize, c: usize) -> Vec<T> {
        let mut x = self.random().uniforms::<f64>(n * c, 0.1, 1.0);
        for row in x.chunks_exact_mut(c.max(1)) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }
        self.finish(x.into_iter().map(T::from_f64).collect())
    }
    /// A symmetric positive definite matrix of the size of the scale.
    fn spd(&mut self, d: usize) -> Vec<T> {
        let scale = self.scale;
        let x = self.random().spd::<f64>(d, 20.0);
        self.finish(x.into_iter().map(|v| T::from_f64(v * scale)).collect())
    }
    /// A lower-triangular matrix with a diagonal in [½, 1), full: a factor, trusted to be finite.
    fn lower(&mut self, d: usize) -> Vec<T> {
        let mut random = self.random();
        let mut x = vec![T::ZERO; d * d];
        for i in 0..d {
            for j in 0..=i {
                let v = if i == j { random.uniform(0.5, 1.0) } else { 0.2 * random.normal() };
                x[i * d + j] = T::from_f64(v);
            }
        }
        x
    }
    /// The same, m of them, packed.
    fn lower_packed(&mut self, m: usize, d: usize) -> Vec<T> {
        let mut random = self.random();
        let mut x = Vec::new();
        for _ in 0..m {
            for i in 0..d {
                for j in 0..=i {
                    let v = if i == j { random.uniform(0.5, 1.0) } else { 0.2 * random.normal() };
                    x.push(T::from_f64(v));
                }
            }
        }
        x
    }
    /// m positive definite matrices.
    fn spd_batch(&mut self, m: usize, d: usize) -> Vec<T> {
        let (mut random, scale) = (self.random(), self.scale);
        let all = (0..m).flat_map(|_| random.spd::<f64>(d, 20.0));
        let x = all.map(|v| T::from_f64(v * scale)).collect();
        self.finish(x)
    }
    /// m packed positive definite triangles.
    fn spd_packed(&mut self, m: usize, d: usize) -> Vec<T> {
        let (mut random, scale) = (self.random(), self.scale);
        let mut x = Vec::new();
        for _ in 0..m {
            let a: Vec<f64> = random.spd(d, 20.0);
            for i in 0..d {
                x.extend(a[i * d..i * d + i + 1].iter().map(|v| T::from_f64(v * scale)));
            }
        }
        self.finish(x)
    }
    fn output(&mut self, len: usize) -> Vec<T> {
        vec![self.fill; len]
    }
    fn work(&mut self, needed: usize) -> Vec<T> {
        self.workspace += needed;
        vec![self.fill; needed.saturating_sub(self.short)]
    }
    /// Workspace whose stated length is the largest that any method of a family needs.
    fn shared_work(&mut self, needed: usize) -> Vec<T> {
        vec![self.fill; needed]
    }
}

/// What a routine promises about NaN among its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonFinite {
    /// An error: factorisations and solves.
    Refused,
    /// Passed on.
    PassedOn,
}

/// One routine: makes its arguments by the plan, calls, returns all outputs.
#[derive(Clone, Copy, Debug)]
pub struct Routine<T: Real> {
    /// Its name.
    pub name: &'static str,
    /// What it does with NaN.
    pub non_finite: NonFinite,
    /// The call.
    pub call: fn(&mut Plan<T>) -> Result<Vec<T>, Error>,
}

const fn total(d: usize) -> usize {
    d * (d + 1) / 2
}

const DAMPING: f64 = 0.25;

fn damping<T: Real>(p: &Plan<T>) -> T {
    T::from_f64(DAMPING * p.scale * p.scale)
}

/// All of them.
pub fn all<T: Real>() -> Vec<Routine<T>> {
    let mut all = products::all();
    all.extend(factorisations::all());
    all.extend(kronecker::all());
    all.extend(metrics::all());
    all.extend(curvature::all());
    all.extend(samples::all());
    all.extend(sparse::all());
    all.extend(spectra::all());
    all.extend(uses::all());
    all
}
