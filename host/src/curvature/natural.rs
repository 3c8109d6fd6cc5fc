//! Exact damped steps (B + λI)⁻¹ g for the block B of every layer, of the Gauss–Newton or the
//! empirical Fisher matrix.

use relfisher_core::curvature::{
    khatri_rao_apply, khatri_rao_apply_workspace_len, khatri_rao_gram,
    khatri_rao_gram_workspace_len, khatri_rao_transpose, khatri_rao_transpose_workspace_len,
};
use relfisher_core::{Error as CoreError, MatMut, MatRef, Real};

use super::columns::Columns;
use super::exact::{Matrix, blocks, exact_len};
use super::factors::Site;
use super::memory::Memory;
use super::parameter_rows::parameter_rows;
use super::problem::Problem;
use crate::Scalar;
use crate::error::{Context, Error};
use crate::network::{Cotangents, Loss, Tape};
use crate::scratch::grown;

/// A step that could not be computed because the matrix is singular to working precision.
pub(super) fn singular(layer: &str, damping: f64, error: CoreError) -> Error {
    match error {
        CoreError::NotPositiveDefinite { pivot, .. } if damping == 0.0 => Error::input(
            "",
            layer,
            format_args!("its curvature is singular (pivot {pivot}) and the damping is 0"),
            "use a damping above 0",
        ),
        CoreError::NonFinite { .. } => {
            let remedy = "scale the inputs or the weights down, or use --dtype f64";
            Error::divergence_with(layer, error, remedy)
        }
        e => Error::core(layer, e),
    }
}

/// (B + λI)⁻¹ vec(∇W̃) for every block and every damping: `steps[k][b]` for damping k.
///
/// Of a block with p parameters and r = (columns of a sample)·N derivatives u: with p ≤ r through the
/// dense block and its Cholesky factor, p³/3 operations; otherwise in sample space,
/// (g − Uᵀ(NλI + UUᵀ)⁻¹Ug)/λ, r³/3 operations, where the Gram matrix UUᵀ of a linear layer on vectors
/// is (ΔΔᵀ) ∘ (X̃X̃ᵀ) and U is never formed (Y. Ren, D. Goldfarb, *Efficient subsampled Gauss–Newton
/// and natural gradient methods*, 2019).
///
/// # Errors
/// A block that does not fit the memory, a singular block without damping, missing targets.
pub fn natural_gradients<T: Scalar>(
    problem: &Problem<'_, T>,
    matrix: Matrix,
    gradient: &[T],
    dampings: &[f64],
    memory: Memory,
) -> Result<Vec<Vec<Vec<T>>>, Error> {
    let network = problem.network;
    if gradient.len() != network.parameter_count() {
        let problem =
            format_args!("{} for {} parameters", gradient.len(), network.parameter_count());
        return Err(Error::input("", "gradient", problem, "give the gradient of this network"));
    }
    let columns = match matrix {
        Matrix::EmpiricalFisher => Columns::Labels(problem.need_targets("natgrad_ef")?),
        _ => Columns::Type2,
    };
    let r = columns.count(network).saturating_mul(problem.samples());
    let mut steps: Vec<Vec<Vec<T>>> =
        dampings.iter().map(|_| vec![Vec::new(); network.blocks().len()]).collect();
    let undamped = dampings.contains(&0.0);
    let dense = |b: &usize| network.blocks()[*b].len() <= r || undamped;
    let all = 0..network.blocks().len();
    for b in all.clone().filter(dense) {
        let matrix = blocks(problem, matrix, &[b], memory)?;
        let block = &network.blocks()[b];
        for (steps, &damping) in steps.iter_mut().zip(dampings) {
            let g = &gradient[block.range()];
            steps[b] = solve(problem, matrix[0].clone(), g, damping)
                .map_err(|e| singular(&block.name, damping, e))?;
        }
    }
    if all.clone().all(|b| dense(&b)) {
        return Ok(steps);
    }
    let place = format!("natgrad_{}", matrix.name());
    let instead = "ask for kfac_type2_precond_eig or ekfac_type2_precond, or give fewer samples";
    memory.check(
        &place,
        sample_space_len(problem, columns.count(network)),
        size_of::<T>(),
        instead,
    )?;
    let problem = Problem { chunk: problem.samples(), ..*problem };
    let mut tape = problem.tape();
    let mut cotangents = Cotangents::new(network, tape.capacity(), columns.count(network));
    problem.for_each_batch(&mut tape, &mut |tape, start, n| {
        let coefficients = coefficients(&problem, columns, tape)?;
        columns.fill(problem.executor, network, (tape, start), &mut cotangents)?;
        network.pull_back(problem.executor, problem.parameters, tape, &mut cotangents, None)?;
        for b in all.clone().filter(|b| !dense(b)) {
            let block = &network.blocks()[b];
            let site = Site { network, tape, block: b };
            let rows = SampleRows::new(&problem, site, cotangents.block(b, n))?;
            for (steps, &damping) in steps.iter_mut().zip(dampings) {
                let g = &gradient[block.range()];
                steps[b] = match &coefficients {
                    Some(a) => rows.solve_combination(a, damping),
                    None => rows.solve(g, damping),
                }
                .context(&block.name)?;
            }
        }
        Ok(())
    })?;
    Ok(steps)
}

/// The elements that the steps in sample space take: the values of all samples, the Gram matrix of
/// their derivatives, its Cholesky factor (made in a copy), and what the products work in or the
/// derivatives themselves.
fn sample_space_len<T: Scalar>(problem: &Problem<'_, T>, columns: usize) -> usize {
    let n = problem.samples();
    let r = columns.saturating_mul(n);
    let products = khatri_rao_gram_workspace_len(n, columns);
    let work = problem.network.blocks().iter().map(|block| match block.is_dense() {
        true => products.max(n.saturating_mul(block.rows)).saturating_add(block.len()),
        false => r.saturating_add(2).saturating_mul(block.len()),
    });
    problem
        .sample_len(columns)
        .saturating_mul(n)
        .saturating_add(r.saturating_mul(r).saturating_mul(4))
        .saturating_add(r.saturating_mul(4))
        .saturating_add(work.max().unwrap_or(0))
        .saturating_add(problem.network.scratch_len(problem.executor.threads()).saturating_mul(2))
}

/// The elements that [`natural_gradients`] needs at most besides its result.
pub(super) fn natural_len<T: Scalar>(
    problem: &Problem<'_, T>,
    matrix: Matrix,
    dampings: &[f64],
) -> usize {
    let columns = if matrix == Matrix::EmpiricalFisher { 1 } else { problem.network.outputs() };
    let r = columns.saturating_mul(problem.samples());
    let mut needed = 0;
    for (b, block) in problem.network.blocks().iter().enumerate() {
        let p = block.len();
        needed = needed.max(if p <= r || dampings.contains(&0.0) {
            // The block, a copy for each damping in turn, and the copy that is factored.
            let squares = p.saturating_mul(p).saturating_mul(4).saturating_add(p.saturating_mul(4));
            squares.saturating_add(exact_len(problem, matrix, Some(b)))
        } else {
            sample_space_len(problem, columns)
        });
    }
    needed
}

/// a (columns·N) with g = Uᵀa/N for the gradient g of the mean loss: the output deltas in terms of the
/// columns, δ_s = Σ_c a_cs S_cs. `None` where a probability underflowed and they are not.
fn coefficients<T: Scalar>(
    problem: &Problem<'_, T>,
    columns: Columns<'_, T>,
    tape: &mut Tape<T>,
) -> Result<Option<Vec<T>>, Error> {
    let (n, c) = (tape.batch(), problem.network.outputs());
    if matches!(columns, Columns::Labels(_)) {
        return Ok(Some(vec![T::ONE; n]));
    }
    let targets = problem.need_targets("natgrad_ggn")?;
    problem.network.loss(problem.executor, tape, &targets)?;
    let (deltas, probabilities) = (tape.output_deltas(), tape.probabilities());
    let root = |s: usize, k: usize| {
        let square = match problem.network.loss_kind() {
            // S a = Σ_k a_k √η_k (e_k − η) = δ for a_k = δ_k/√η_k, since Σ δ_k = 0.
            Loss::SoftmaxCrossEntropy => probabilities.at(s, k),
            Loss::Mse { scale } => T::from_f64(2.0 * scale),
            Loss::BinaryCrossEntropy => {
                let p = probabilities.at(s, k);
                p * (T::ONE - p)
            }
        };
        Real::sqrt(square)
    };
    let mut out = vec![T::ZERO; c * n];
    for (i, a) in out.iter_mut().enumerate() {
        let (k, s) = (i / n, i % n);
        let delta = deltas.at(s, k);
        if delta != T::ZERO {
            *a = delta / root(s, k);
        }
    }
    Ok(out.iter().all(|a| a.is_finite()).then_some(out))
}

/// (B + λI)⁻¹ g through Cholesky.
fn solve<T: Scalar>(
    problem: &Problem<'_, T>,
    mut matrix: Vec<T>,
    g: &[T],
    damping: f64,
) -> Result<Vec<T>, CoreError> {
    let p = g.len();
    problem.executor.cholesky(MatMut::new(&mut matrix, p, p)?, T::from_f64(damping))?;
    let mut step = g.to_vec();
    let factor = MatRef::new(&matrix, p, p)?;
    problem.executor.cholesky_solve(MatMut::new(&mut step, p, 1)?, factor)?;
    Ok(step)
}

/// The derivatives U (r × p) of a block, formed or as Δ and X̃, and their Gram matrix.
struct SampleRows<'p, 'a, T: Scalar> {
    problem: &'p Problem<'a, T>,
    tape: &'p Tape<T>,
    block: usize,
    delta: MatRef<'p, T>,
    /// U, when it had to be formed.
    rows: Option<Vec<T>>,
    gram: Vec<T>,
    count: usize,
}

impl<'p, 'a, T: Scalar> SampleRows<'p, 'a, T> {
    fn new(
        problem: &'p Problem<'a, T>,
        site: Site<'p, T>,
        delta: MatRef<'p, T>,
    ) -> Result<Self, Error> {
        let block = &problem.network.blocks()[site.block];
        let (exec, p, n) = (problem.executor, block.len(), site.tape.batch());
        let count = delta.rows() / block.positions;
        let mut out = Self {
            problem,
            tape: site.tape,
            block: site.block,
            delta,
            rows: None,
            gram: vec![T::ZERO; count * count],
            count,
        };
        let mut scratch = Vec::new();
        let gram = MatMut::new(&mut out.gram, count, count)?;
        if block.is_dense() {
            let x = site.tape.layer_input(site.block);
            let work = grown(&mut scratch, khatri_rao_gram_workspace_len(n, count / n));
            khatri_rao_gram(exec, gram, T::ZERO, delta, x, work)?;
        } else {
            let mut rows = vec![T::ZERO; count * p];
            let view = MatMut::new(&mut rows, count, p)?;
            parameter_rows(exec, site, delta, view, &mut scratch)?;
            let u = MatRef::new(&rows, count, p)?;
            exec.gemm(gram, T::ZERO, T::ONE, u, u.t())?;
            out.rows = Some(rows);
        }
        Ok(out)
    }

    /// U v.
    fn apply(&self, v: &[T]) -> Result<Vec<T>, CoreError> {
        let block = &self.problem.network.blocks()[self.block];
        let (exec, p) = (self.problem.executor, block.len());
        let mut out = vec![T::ZERO; self.count];
        if let Some(rows) = &self.rows {
            let (u, v) = (MatRef::new(rows, self.count, p)?, MatRef::new(v, p, 1)?);
            exec.gemm(MatMut::new(&mut out, self.count, 1)?, T::ZERO, T::ONE, u, v)?;
        } else {
            let x = self.tape.layer_input(self.block);
            let v = MatRef::new(v, block.rows, block.cols)?;
            let work = &mut vec![T::ZERO; khatri_rao_apply_workspace_len(x.rows(), block.rows)];
            khatri_rao_apply(exec, &mut out, T::ZERO, self.delta, x, v, work)?;
        }
        Ok(out)
    }

    /// Uᵀ z.
    fn transpose(&self, z: &[T]) -> Result<Vec<T>, CoreError> {
        let block = &self.problem.network.blocks()[self.block];
        let (exec, p) = (self.problem.executor, block.len());
        let mut out = vec![T::ZERO; p];
        if let Some(rows) = &self.rows {
            let (u, z) = (MatRef::new(rows, self.count, p)?, MatRef::new(z, self.count, 1)?);
            exec.gemm(MatMut::new(&mut out, p, 1)?, T::ZERO, T::ONE, u.t(), z)?;
        } else {
            let x = self.tape.layer_input(self.block);
            let len = khatri_rao_transpose_workspace_len(x.rows(), block.rows);
            let (work, out) =
                (&mut vec![T::ZERO; len], MatMut::new(&mut out, block.rows, block.cols)?);
            khatri_rao_transpose(exec, out, T::ZERO, self.delta, x, z, work)?;
        }
        Ok(out)
    }

    /// Uᵀ(NλI + UUᵀ)⁻¹a: the step for the gradient Uᵀa/N.
    fn solve_combination(&self, a: &[T], damping: f64) -> Result<Vec<T>, CoreError> {
        let factor = self.factor(damping)?;
        let mut z = a.to_vec();
        let view = MatRef::new(&factor, self.count, self.count)?;
        self.problem.executor.cholesky_solve(MatMut::new(&mut z, self.count, 1)?, view)?;
        self.transpose(&z)
    }

    /// The Cholesky factor of NλI + UUᵀ.
    fn factor(&self, damping: f64) -> Result<Vec<T>, CoreError> {
        let damping = T::from_usize(self.problem.samples()) * T::from_f64(damping);
        let mut gram = self.gram.clone();
        let view = MatMut::new(&mut gram, self.count, self.count)?;
        self.problem.executor.cholesky(view, damping)?;
        Ok(gram)
    }

    /// (g − Uᵀ(NλI + UUᵀ)⁻¹Ug)/λ, with one step of iterative refinement: the subtraction loses what
    /// the largest eigenvalue of the block has over λ.
    fn solve(&self, g: &[T], damping: f64) -> Result<Vec<T>, CoreError> {
        let exec = self.problem.executor;
        let lambda = T::from_f64(damping);
        let samples = T::from_usize(self.problem.samples());
        let factor = self.factor(damping)?;
        let factor = MatRef::new(&factor, self.count, self.count)?;
        let once = |g: &[T]| -> Result<Vec<T>, CoreError> {
            let mut z = self.apply(g)?;
            exec.cholesky_solve(MatMut::new(&mut z, self.count, 1)?, factor)?;
            let back = self.transpose(&z)?;
            Ok(g.iter().zip(&back).map(|(&g, &b)| (g - b) / lambda).collect())
        };
        let mut step = once(g)?;
        // r = g − (UᵀU/N + λI) step
        let curved = self.transpose(&self.apply(&step)?)?;
        let rest: Vec<T> = g
            .iter()
            .zip(curved.iter().zip(&step))
            .map(|(&g, (&c, &s))| g - c / samples - lambda * s)
            .collect();
        step.iter_mut().zip(once(&rest)?).for_each(|(s, c)| *s += c);
        Ok(step)
    }
}
