//! A posterior: its eigenbasis and eigenvalues, and draws.

use relfisher_core::blas::gram_workspace_len;
use relfisher_core::curvature::{LowRank, Sharing, low_rank_power_workspace_len};
use relfisher_core::factor::eigh_workspace_len;
use relfisher_core::laplace::{effective_parameters, log_determinant, scale_draw};
use relfisher_core::{MatMut, MatRef, kron};

use super::Structure;
use crate::Scalar;
use crate::curvature::{
    Columns, Eigenbasis, Matrix, Memory, NetworkOperator, Problem, Quantity, Request, Site, blocks,
    diagonals, ekfac, kronecker_factors, parameter_rows, required_bytes,
};
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{Block, Cotangents, Network, Tape};
use crate::random::{self, Rng};
use crate::spectrum::{ExtremalOptions, Progress, Which, extremal, extremal_len};

/// Eigenvalues s of the Gauss–Newton matrix C in a basis U; the posterior of prior precision τ has the
/// precision U diag(N s + τ) Uᵀ.
#[derive(Clone, Debug)]
pub struct Posterior<T> {
    pub(super) parts: Parts<T>,
    pub(super) samples: usize,
    parameters: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Parts<T> {
    /// One for each block of the network.
    Layers(Vec<Part<T>>),
    /// Eigenvectors as rows and N·s; beyond them τ alone.
    LowRank { vectors: Vec<T>, values: Vec<T> },
    /// Eigenvectors in columns.
    Full { vectors: Vec<T>, values: Vec<T> },
}

#[derive(Clone, Debug)]
pub(super) enum Part<T> {
    /// U = I.
    Diagonal(Vec<T>),
    /// U = U_G ⊗ U_A, s the scale.
    Kronecker(Eigenbasis<T>),
    /// Eigenvectors in columns.
    Dense { vectors: Vec<T>, values: Vec<T> },
}

impl<T> Part<T> {
    pub(super) fn values(&self) -> &[T] {
        match self {
            Part::Diagonal(values) | Part::Dense { values, .. } => values,
            Part::Kronecker(basis) => &basis.scale,
        }
    }
}

/// The columns of J, D for each row, of the batch on the tape: `out[row] ← ∂/∂θ` for every row of
/// `cotangents` (C·n × D).
pub(super) fn whole_rows<T: Scalar>(
    exec: &dyn Executor<T>,
    (network, tape): (&Network<T>, &Tape<T>),
    cotangents: &Cotangents<T>,
    out: &mut [T],
    scratch: &mut Vec<T>,
) -> Result<(), Error> {
    let (n, width) = (tape.batch(), network.parameter_count());
    for (b, block) in network.blocks().iter().enumerate() {
        let delta = cotangents.block(b, n);
        let rows = delta.rows() / block.positions;
        let part = out.get_mut(block.offset..).unwrap_or(&mut []);
        let view = MatMut::with_strides(part, rows, block.len(), width, 1)?;
        parameter_rows(exec, Site { network, tape, block: b }, delta, view, scratch)?;
    }
    Ok(())
}

/// Eigenvectors in columns and eigenvalues of a symmetric matrix.
fn eigen<T: Scalar>(
    exec: &dyn Executor<T>,
    mut matrix: Vec<T>,
    order: usize,
    place: &str,
) -> Result<(Vec<T>, Vec<T>), Error> {
    let mut values = vec![T::ZERO; order];
    let mut work = vec![T::ZERO; eigh_workspace_len(order)];
    let view = MatMut::new(&mut matrix, order, order)?;
    exec.eigh(view, &mut values, &mut work).context(place)?;
    Ok((matrix, values))
}

impl<T: Scalar> Posterior<T> {
    /// Measures C on the samples of `problem`; labels do not enter.
    ///
    /// # Errors
    /// A structure that does not fit the memory, with its bytes; a low rank above the number of
    /// parameters; those of the passes and decompositions.
    pub fn measure(
        problem: &Problem<'_, T>,
        structure: Structure,
        memory: Memory,
    ) -> Result<Self, Error> {
        let (network, exec) = (problem.network, problem.executor);
        let parameters = network.parameter_count();
        if let Structure::LowRank(k) = structure
            && k > parameters
        {
            let problem = format_args!("{k} of {parameters} eigenpairs");
            let remedy = "ask for fewer, or for full";
            return Err(Error::input("--structure", "lowrank", problem, remedy));
        }
        Self::check_memory(problem, structure, memory)?;
        let parts = match structure {
            Structure::Diagonal => {
                let all = diagonals(problem, Matrix::Ggn, memory)?;
                Parts::Layers(all.into_iter().map(Part::Diagonal).collect())
            }
            Structure::Kronecker | Structure::Ekfac => layers(problem, structure, memory)?,
            Structure::LowRank(k) => {
                let mut operator = NetworkOperator::new(problem, Matrix::Ggn)?;
                let options = ExtremalOptions { tolerance: 1e-8, ..ExtremalOptions::default() };
                let pairs = extremal(
                    &mut operator,
                    exec,
                    Which::Largest(k),
                    &options,
                    &mut |_: &Progress| {},
                )?;
                let scaled = |s: &T| T::from_usize(problem.samples()) * *s;
                let values = pairs.values.iter().map(scaled).collect();
                Parts::LowRank { vectors: pairs.vectors, values }
            }
            Structure::Full => {
                let matrix = gauss_newton(problem)?;
                let (vectors, values) = eigen(exec, matrix, parameters, "laplace: full")?;
                Parts::Full { vectors, values }
            }
        };
        Ok(Self { parts, samples: problem.samples(), parameters })
    }

    /// Refuses what does not fit, before anything is computed.
    fn check_memory(
        problem: &Problem<'_, T>,
        structure: Structure,
        memory: Memory,
    ) -> Result<(), Error> {
        let parameters = problem.network.parameter_count();
        let known = |name: &str| -> Result<u64, Error> {
            let quantities: [Quantity; 1] = [name.parse()?];
            let request = Request { quantities: &quantities, dampings: &[], vectors: None, memory };
            Ok(required_bytes(problem, &request))
        };
        let bytes = |elements: usize| elements.saturating_mul(size_of::<T>()) as u64;
        let needed = match structure {
            Structure::Diagonal => known("ggn_diag")?,
            // The eigenbases are those of EKFAC, computed or not.
            Structure::Kronecker | Structure::Ekfac => known("ekfac_type2")?,
            Structure::LowRank(k) => {
                let operator = NetworkOperator::required_len(problem, Matrix::Ggn);
                bytes(operator.saturating_add(extremal_len(parameters, k)))
            }
            // The matrix, its eigenvectors, and what the decomposition works in.
            Structure::Full => bytes(parameters.saturating_mul(parameters).saturating_mul(4)),
        };
        let place = format!("laplace: {structure}");
        let needed = usize::try_from(needed).unwrap_or(usize::MAX);
        memory.check(&place, needed, 1, "use kron, or diag, or fewer eigenpairs")
    }

    /// D.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// The eigenvalues, and N in them: C of low rank has its values scaled already.
    fn spectra(&self) -> (Vec<&[T]>, f64) {
        let n = self.samples as f64;
        match &self.parts {
            Parts::Layers(parts) => (parts.iter().map(Part::values).collect(), n),
            Parts::Full { values, .. } => (vec![values], n),
            Parts::LowRank { values, .. } => (vec![values], 1.0),
        }
    }

    /// `ln det(N·C + τI)`.
    ///
    /// # Errors
    /// τ that is not a finite positive number; eigenvalues that are not finite.
    pub fn log_determinant(&self, precision: f64) -> Result<f64, Error> {
        let (spectra, n) = self.spectra();
        let mut sum = 0.0;
        let mut count = 0;
        for values in spectra {
            sum += log_determinant(values, n, precision).context("laplace")?;
            count += values.len();
        }
        Ok(sum + (self.parameters - count) as f64 * precision.ln())
    }

    /// The parameters that the data determine, Σ N s/(N s + τ).
    ///
    /// # Errors
    /// As [`Posterior::log_determinant`].
    pub fn effective_parameters(&self, precision: f64) -> Result<f64, Error> {
        let (spectra, n) = self.spectra();
        spectra.into_iter().try_fold(0.0, |sum, values| {
            Ok(sum + effective_parameters(values, n, precision).context("laplace")?)
        })
    }

    /// `ε ← (N·C + τI)^(−½) ε` up to a rotation: standard normal numbers (D) become a draw of θ − θ*.
    ///
    /// # Errors
    /// Numbers of another length, τ that is not a finite positive number.
    pub fn transform(
        &self,
        exec: &dyn Executor<T>,
        network: &Network<T>,
        noise: &mut [T],
        precision: f64,
    ) -> Result<(), Error> {
        let (n, d) = (self.samples as f64, self.parameters);
        if noise.len() != d || network.parameter_count() != d {
            let problem = format_args!("{} numbers for {d} parameters", noise.len());
            return Err(Error::input("", "draw", problem, "give one for each parameter"));
        }
        match &self.parts {
            Parts::LowRank { vectors, values } => {
                let k = values.len();
                let c = LowRank { vectors: MatRef::new(vectors, k, d)?, values };
                let mut work = vec![T::ZERO; low_rank_power_workspace_len(1, k)];
                let x = MatMut::new(noise, 1, d)?;
                c.power(exec, x, T::HALF, T::from_f64(precision), &mut work).context("laplace")
            }
            Parts::Full { vectors, values } => {
                scale_draw(noise, values, n, precision).context("laplace")?;
                turn(exec, vectors, noise)
            }
            Parts::Layers(parts) => {
                for (part, block) in parts.iter().zip(network.blocks()) {
                    let noise = &mut noise[block.range()];
                    scale_draw(noise, part.values(), n, precision).context(&block.name)?;
                    part.turn(exec, block, noise)?;
                }
                Ok(())
            }
        }
    }

    /// A draw from the posterior around `mean`.
    ///
    /// # Errors
    /// As [`Posterior::transform`].
    pub fn draw(
        &self,
        exec: &dyn Executor<T>,
        network: &Network<T>,
        (mean, precision): (&[T], f64),
        rng: &mut Rng,
    ) -> Result<Vec<T>, Error> {
        let mut draw: Vec<T> =
            (0..self.parameters).map(|_| T::from_f64(random::normal(rng))).collect();
        self.transform(exec, network, &mut draw, precision)?;
        draw.iter_mut().zip(mean).for_each(|(x, m)| *x += *m);
        Ok(draw)
    }
}

/// `x ← U x`.
fn turn<T: Scalar>(exec: &dyn Executor<T>, vectors: &[T], x: &mut [T]) -> Result<(), Error> {
    let (d, from) = (x.len(), x.to_vec());
    let (to, from) = (MatMut::new(x, d, 1)?, MatRef::new(&from, d, 1)?);
    Ok(exec.gemm(to, T::ZERO, T::ONE, MatRef::new(vectors, d, d)?, from)?)
}

impl<T: Scalar> Part<T> {
    /// `x ← U x`.
    fn turn(&self, exec: &dyn Executor<T>, block: &Block, x: &mut [T]) -> Result<(), Error> {
        match self {
            Part::Diagonal(_) => Ok(()),
            Part::Dense { vectors, .. } => turn(exec, vectors, x),
            Part::Kronecker(basis) => {
                let (m, d, from) = (block.rows, block.cols, x.to_vec());
                let (g, a) = (MatRef::new(&basis.g, m, m)?, MatRef::new(&basis.a, d, d)?);
                let mut work = vec![T::ZERO; kron::apply_workspace_len(m, d)];
                let (to, from) = (MatMut::new(x, m, d)?, MatRef::new(&from, m, d)?);
                kron::apply(exec, to, g, a, from, &mut work).context(&block.name)
            }
        }
    }
}

fn layers<T: Scalar>(
    problem: &Problem<'_, T>,
    structure: Structure,
    memory: Memory,
) -> Result<Parts<T>, Error> {
    let (network, exec) = (problem.network, problem.executor);
    let factors = kronecker_factors(problem, Columns::Type2, Sharing::Expand)?;
    let corrected = match structure {
        Structure::Ekfac => ekfac(problem, Columns::Type2, &factors)?,
        _ => vec![None; factors.len()],
    };
    let mut parts = Vec::with_capacity(factors.len());
    for (b, (block, pair)) in network.blocks().iter().zip(factors.iter().zip(corrected)).enumerate()
    {
        parts.push(match pair {
            (_, Some(basis)) => Part::Kronecker(basis),
            (Some(factors), None) => {
                let mut basis = Eigenbasis::new(exec, block, factors)?;
                let positive = |x: T| if x > T::ZERO { x } else { T::ZERO };
                for (row, g) in basis.scale.chunks_exact_mut(block.cols).zip(&basis.g_values) {
                    for (s, a) in row.iter_mut().zip(&basis.a_values) {
                        *s = positive(*g) * positive(*a);
                    }
                }
                Part::Kronecker(basis)
            }
            (None, None) => {
                let dense = blocks(problem, Matrix::Ggn, &[b], memory)?.swap_remove(0);
                let (vectors, values) = eigen(exec, dense, block.len(), &block.name)?;
                Part::Dense { vectors, values }
            }
        });
    }
    Ok(Parts::Layers(parts))
}

/// (1/N) Σ J_sᵀ Λ_s J_s of the whole network, D × D.
fn gauss_newton<T: Scalar>(problem: &Problem<'_, T>) -> Result<Vec<T>, Error> {
    let (network, exec) = (problem.network, problem.executor);
    let (d, columns) = (network.parameter_count(), Columns::Type2);
    let c = columns.count(network);
    let each = problem.sample_len(c).saturating_add(c.saturating_mul(d));
    let problem = problem.in_batches_of(each);
    let mut tape = problem.tape();
    let mut cotangents = Cotangents::new(network, tape.capacity(), c);
    let mut rows = vec![T::ZERO; tape.capacity() * c * d];
    let mut work = vec![T::ZERO; gram_workspace_len(tape.capacity() * c, d)];
    let (mut out, mut scratch) = (vec![T::ZERO; d * d], Vec::new());
    let share = T::ONE / T::from_usize(problem.samples());
    problem.for_each_batch(&mut tape, &mut |tape, start, n| {
        columns.fill(exec, network, (tape, start), &mut cotangents)?;
        network.pull_back(exec, problem.parameters, tape, &mut cotangents, None)?;
        whole_rows(exec, (network, tape), &cotangents, &mut rows, &mut scratch)?;
        let keep = if start == 0 { T::ZERO } else { T::ONE };
        let (to, x) = (MatMut::new(&mut out, d, d)?, MatRef::new(&rows, n * c, d)?);
        exec.gram(to, keep, share, x, None, &mut work).context("laplace: full")
    })?;
    Ok(out)
}
