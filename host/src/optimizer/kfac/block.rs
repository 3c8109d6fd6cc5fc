//! The curvature of one block: moving averages, their decomposition, damped solves.

use std::ops::Range;

use relfisher_core::kron::{self, Damping};
use relfisher_core::metric::normalisation;
use relfisher_core::{Error as CoreError, MatMut, MatRef, factor};

use super::power;
use crate::Scalar;
use crate::curvature::{Eigenbasis, KroneckerFactors};
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{Block, BlockKind};
use crate::optimizer::subsystem::singular;
use crate::scratch::grown;

/// How the averages are made ready for solves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decomposition {
    /// Cholesky factors of the damped averages.
    Cholesky,
    /// Eigenbases of the averages; λ is added in them.
    Eigen,
}

/// What stands for the inverse.
pub(super) enum Inverse<T> {
    /// L_A and L_G of the damped averages.
    Cholesky(KroneckerFactors<T>),
    /// U_A, U_G and the scale between them.
    Eigen(Eigenbasis<T>),
}

/// The matrices of a block.
pub(super) enum Form<T> {
    /// G ⊗ A of a linear block or a convolution.
    Kronecker(Kronecker<T>),
    /// 2 × 2 blocks of a batch normalisation.
    Channels(Channels<T>),
}

/// G ⊗ A.
pub(super) struct Kronecker<T> {
    pub(super) average: KroneckerFactors<T>,
    inverse: Inverse<T>,
    /// p of (G ⊗ A + λI)⁻ᵖ; below 1 with eigenbases only.
    power: T,
    /// Scratch of the decompositions of A and of G.
    work: [Vec<T>; 2],
}

/// 2 × 2 blocks, packed: the moving average, and its values at the last refresh.
pub(super) struct Channels<T> {
    pub(super) average: Vec<T>,
    used: Vec<T>,
    power: T,
}

/// A block with its curvature.
pub(super) struct Curvature<T> {
    pub(super) index: usize,
    name: String,
    rows: usize,
    cols: usize,
    range: Range<usize>,
    pub(super) form: Form<T>,
}

impl<T: Scalar> Kronecker<T> {
    fn new(m: usize, d: usize, (decomposition, power): (Decomposition, T)) -> Self {
        let square = |n: usize| vec![T::ZERO; n * n];
        let zeros = || KroneckerFactors { a: square(d), g: square(m) };
        Self {
            average: zeros(),
            inverse: match decomposition {
                Decomposition::Cholesky => Inverse::Cholesky(zeros()),
                Decomposition::Eigen => Inverse::Eigen(Eigenbasis::zeros(m, d)),
            },
            power,
            work: [Vec::new(), Vec::new()],
        }
    }

    /// What stands for the inverse since the last refresh.
    pub(super) fn inverse(&self) -> &Inverse<T> {
        &self.inverse
    }

    /// The eigenbases, with [`Decomposition::Eigen`].
    pub(super) fn basis_mut(&mut self) -> Option<&mut Eigenbasis<T>> {
        match &mut self.inverse {
            Inverse::Eigen(basis) => Some(basis),
            Inverse::Cholesky(_) => None,
        }
    }

    /// Decomposes the averages, both at once where there are threads.
    fn decompose(
        &mut self,
        executor: &dyn Executor<T>,
        (m, d): (usize, usize),
        (rule, lambda): (Damping, T),
    ) -> Result<(), CoreError> {
        let Self { average: KroneckerFactors { a, g }, inverse, work: [a_work, g_work], .. } = self;
        let split =
            kron::split_damping(MatRef::new(g, m, m)?, MatRef::new(a, d, d)?, lambda, rule)?;
        let mut outcomes = [Ok(()), Ok(())];
        let [a_outcome, g_outcome] = &mut outcomes;
        match inverse {
            Inverse::Cholesky(factors) => {
                let cholesky = |out: &mut [T], average: &[T], n: usize, damping: T| {
                    out.copy_from_slice(average);
                    executor.cholesky(MatMut::new(out, n, n)?, damping)
                };
                executor.join(
                    &mut || *a_outcome = cholesky(&mut factors.a, a, d, split.a),
                    &mut || *g_outcome = cholesky(&mut factors.g, g, m, split.g),
                );
            }
            Inverse::Eigen(basis) => {
                let eigh = |u: &mut [T], values: &mut [T], average: &[T], work: &mut Vec<T>| {
                    let n = values.len();
                    u.copy_from_slice(average);
                    let work = grown(work, factor::eigh_workspace_len(n));
                    executor.eigh(MatMut::new(u, n, n)?, values, work)
                };
                let Eigenbasis { a: u_a, a_values, g: u_g, g_values, scale } = basis;
                executor.join(&mut || *a_outcome = eigh(u_a, a_values, a, a_work), &mut || {
                    *g_outcome = eigh(u_g, g_values, g, g_work)
                });
                // The scale of G ⊗ A itself; EKFAC measures another.
                for (row, g) in scale.chunks_exact_mut(d).zip(&*g_values) {
                    for (s, a) in row.iter_mut().zip(&*a_values) {
                        *s = g.max(T::ZERO) * a.max(T::ZERO);
                    }
                }
            }
        }
        let [a_outcome, g_outcome] = outcomes;
        a_outcome.and(g_outcome)
    }

    /// `v ← (G ⊗ A)⁻ᵖ v`, damped, in place.
    fn solve(
        &self,
        executor: &dyn Executor<T>,
        v: &mut [T],
        (m, d): (usize, usize),
        damping: T,
        work: &mut Vec<T>,
    ) -> Result<(), CoreError> {
        match &self.inverse {
            Inverse::Cholesky(KroneckerFactors { a, g }) => {
                let mut v = MatMut::new(v, m, d)?;
                executor.cholesky_solve(v.rb_mut(), MatRef::new(g, m, m)?)?;
                executor.cholesky_solve(v.t(), MatRef::new(a, d, d)?)
            }
            Inverse::Eigen(basis) if self.power != T::ONE => {
                power::kronecker(executor, v, basis, (self.power, damping), work)
            }
            Inverse::Eigen(basis) => basis.solve(executor, v, damping, work),
        }
    }
}

impl<T: Scalar> Curvature<T> {
    pub(super) fn new(index: usize, block: &Block, inverse: (Decomposition, T)) -> Self {
        let (m, d) = (block.rows, block.cols);
        Self {
            index,
            name: block.name.clone(),
            rows: m,
            cols: d,
            range: block.range(),
            form: match block.kind {
                BlockKind::Linear | BlockKind::Convolution(_) => {
                    Form::Kronecker(Kronecker::new(m, d, inverse))
                }
                BlockKind::BatchNorm => Form::Channels(Channels {
                    average: vec![T::ZERO; 3 * m],
                    used: vec![T::ZERO; 3 * m],
                    power: inverse.1,
                }),
            },
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    pub(super) fn factors(&self) -> Option<(&[T], &[T])> {
        match &self.form {
            Form::Kronecker(Kronecker { average, .. }) => Some((&average.a, &average.g)),
            Form::Channels(_) => None,
        }
    }

    /// Makes the averages ready for solves.
    pub(super) fn invert(
        &mut self,
        executor: &dyn Executor<T>,
        rule: Damping,
        damping: T,
    ) -> Result<(), Error> {
        match &mut self.form {
            Form::Kronecker(kronecker) => kronecker
                .decompose(executor, (self.rows, self.cols), (rule, damping))
                .map_err(|e| singular(&self.name, damping.to_f64(), e)),
            Form::Channels(Channels { average, used, .. }) => {
                used.copy_from_slice(average);
                Ok(())
            }
        }
    }

    /// The damped inverse applied to the block's part of a vector, in place.
    pub(super) fn solve(
        &self,
        executor: &dyn Executor<T>,
        v: &mut [T],
        damping: T,
        work: &mut Vec<T>,
    ) -> Result<(), CoreError> {
        let (m, d) = (self.rows, self.cols);
        match &self.form {
            Form::Kronecker(kronecker) => kronecker.solve(executor, v, (m, d), damping, work),
            Form::Channels(Channels { used, power, .. }) => {
                let (v, blocks) = (MatMut::new(v, m, 2)?, MatRef::new(used, m, 3)?);
                if *power == T::ONE {
                    normalisation::solve(v, blocks, damping)
                } else {
                    normalisation::power(v, blocks, *power, damping)
                }
            }
        }
    }

    /// FLOPs of [`Curvature::invert`], in units of a Cholesky factor's.
    fn cost(&self) -> usize {
        let cube = |n: usize| n.saturating_mul(n).saturating_mul(n);
        match self.form {
            Form::Kronecker(_) => cube(self.rows).saturating_add(cube(self.cols)),
            Form::Channels(_) => self.rows,
        }
    }

    /// The tensors of a state, by the end of their names.
    pub(super) fn tensors(&self) -> Vec<(&'static str, &[T])> {
        match &self.form {
            Form::Kronecker(Kronecker { average, inverse, power, .. }) => {
                let mut all: Vec<(_, &[T])> = vec![("a", &average.a), ("g", &average.g)];
                match inverse {
                    Inverse::Cholesky(KroneckerFactors { a, g }) => {
                        all.extend::<[(_, &[T]); 2]>([("a_factor", a), ("g_factor", g)]);
                    }
                    Inverse::Eigen(Eigenbasis { a, g, scale, a_values, g_values }) => {
                        let basis: [(_, &[T]); 3] =
                            [("a_basis", a), ("g_basis", g), ("scale", scale)];
                        all.extend(basis);
                        if *power != T::ONE {
                            let values: [(_, &[T]); 2] =
                                [("a_values", a_values), ("g_values", g_values)];
                            all.extend(values);
                        }
                    }
                }
                all
            }
            Form::Channels(Channels { average, used, .. }) => {
                vec![("blocks", average), ("blocks_used", used)]
            }
        }
    }

    /// The same tensors, to be read into.
    pub(super) fn tensors_mut(&mut self) -> Vec<(&'static str, &mut [T])> {
        match &mut self.form {
            Form::Kronecker(Kronecker { average, inverse, power, .. }) => {
                let mut all: Vec<(_, &mut [T])> =
                    vec![("a", &mut average.a), ("g", &mut average.g)];
                match inverse {
                    Inverse::Cholesky(KroneckerFactors { a, g }) => {
                        all.extend::<[(_, &mut [T]); 2]>([("a_factor", a), ("g_factor", g)]);
                    }
                    Inverse::Eigen(Eigenbasis { a, g, scale, a_values, g_values }) => {
                        let basis: [(_, &mut [T]); 3] =
                            [("a_basis", a), ("g_basis", g), ("scale", scale)];
                        all.extend(basis);
                        if *power != T::ONE {
                            let values: [(_, &mut [T]); 2] =
                                [("a_values", a_values), ("g_values", g_values)];
                            all.extend(values);
                        }
                    }
                }
                all
            }
            Form::Channels(Channels { average, used, .. }) => {
                vec![("blocks", average), ("blocks_used", used)]
            }
        }
    }
}

/// Calls `body` for every block, halves of equal cost at once where there are threads; the error of
/// the first block that failed.
pub(super) fn invert_all<T: Scalar>(
    executor: &dyn Executor<T>,
    blocks: &mut [Curvature<T>],
    body: &(dyn Fn(&mut Curvature<T>) -> Result<(), Error> + Sync),
) -> Result<(), Error> {
    if let [block] = blocks {
        return body(block);
    }
    if blocks.is_empty() {
        return Ok(());
    }
    let total: usize = blocks.iter().map(Curvature::cost).sum();
    let mut before = 0;
    let at = blocks.iter().take_while(|block| {
        before += block.cost();
        2 * before <= total
    });
    let at = at.count().clamp(1, blocks.len() - 1);
    let (head, tail) = blocks.split_at_mut(at);
    let (mut first, mut second) = (Ok(()), Ok(()));
    executor.join(&mut || first = invert_all(executor, head, body), &mut || {
        second = invert_all(executor, tail, body)
    });
    first.and(second)
}
