//! Exact blocks and diagonals: the Gauss–Newton matrix, the Hessian and the empirical Fisher matrix
//! restricted to the parameters of one layer.
//!
//! Of a linear layer on vectors a block is (1/N) Σ_s M_s ⊗ x̃_s x̃_sᵀ with M_s the matrix at the
//! layer's output: all weighted Gram matrices at once. Of a layer that positions share it is
//! (1/N) Σ_s J_sᵀ M_s J_s, J_s the Jacobian of all positions' outputs in the parameters.

use relfisher_core::curvature::{
    exact_block, exact_block_workspace_len, exact_diagonal, exact_diagonal_workspace_len,
    packed_second_moments,
};
use relfisher_core::kron::{packed_index, packed_len};
use relfisher_core::{MatMut, MatRef};

use super::columns::Columns;
use super::factors::Site;
use super::memory::Memory;
use super::parameter_rows::parameter_rows;
use super::problem::{Problem, output_loss};
use crate::Scalar;
use crate::error::{Context, Error};
use crate::network::{BlockKind, Cotangents, Curvature, OutputCurvature, Tape};
use crate::scratch::grown;

/// The matrix whose blocks are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// The generalised Gauss–Newton matrix.
    Ggn,
    /// The Hessian.
    Hessian,
    /// The empirical Fisher matrix.
    EmpiricalFisher,
}

impl Matrix {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Matrix::Ggn => "ggn",
            Matrix::Hessian => "hess",
            Matrix::EmpiricalFisher => "ef",
        }
    }
}

/// What is accumulated for a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Block,
    Diagonal,
}

/// The blocks `wanted` of a matrix, each p × p (p = m·d̃), row-major, both triangles.
///
/// # Errors
/// A block that does not fit the memory (with its bytes), missing targets, or those of the passes.
pub fn blocks<T: Scalar>(
    problem: &Problem<'_, T>,
    matrix: Matrix,
    wanted: &[usize],
    memory: Memory,
) -> Result<Vec<Vec<T>>, Error> {
    for &b in wanted {
        let Some(block) = problem.network.blocks().get(b) else {
            let problem = format_args!("{b} of {}", problem.network.blocks().len());
            return Err(Error::input("", "block", problem, "use the index of a block"));
        };
        let elements = block.len().saturating_mul(block.len()).saturating_mul(2);
        let instead = format!(
            "ask for {0}_diag, or matvec, or kfac_type2 and ekfac_type2 instead",
            matrix.name()
        );
        let place = format!("{}_block of layer {}", matrix.name(), block.name);
        memory.check(&place, elements, size_of::<T>(), &instead)?;
    }
    accumulate(problem, matrix, Part::Block, wanted, memory)
}

/// The diagonal of every block of a matrix, each m × d̃.
///
/// # Errors
/// As [`blocks`].
pub fn diagonals<T: Scalar>(
    problem: &Problem<'_, T>,
    matrix: Matrix,
    memory: Memory,
) -> Result<Vec<Vec<T>>, Error> {
    let all: Vec<usize> = (0..problem.network.blocks().len()).collect();
    accumulate(problem, matrix, Part::Diagonal, &all, memory)
}

/// The elements that one sample takes in a pass with `columns` columns.
fn batch_len<T: Scalar>(
    problem: &Problem<'_, T>,
    part: Part,
    wanted: &[usize],
    columns: usize,
) -> usize {
    let rows = wanted.iter().map(|&b| {
        let block = &problem.network.blocks()[b];
        match part {
            _ if !block.is_dense() => block.len().saturating_mul(columns),
            Part::Block => packed_len(block.rows),
            Part::Diagonal => block.rows.saturating_add(block.cols),
        }
    });
    problem.sample_len(columns).saturating_add(rows.max().unwrap_or(0))
}

/// The elements that one sample takes in the recursion of the Hessian.
fn hessian_batch_len<T: Scalar>(problem: &Problem<'_, T>, part: Part, wanted: &[usize]) -> usize {
    let network = problem.network;
    let own = wanted.iter().map(|&b| {
        let block = &network.blocks()[b];
        let q = block.rows.saturating_mul(block.positions);
        match part {
            Part::Diagonal => 0,
            Part::Block if block.is_dense() => packed_len(block.rows),
            Part::Block => block.len().saturating_mul(block.len().max(q).saturating_add(2 * q)),
        }
    });
    let outputs = network.outputs().saturating_mul(network.outputs()).saturating_mul(2);
    // A buffer that grows is there twice while it is moved.
    let recursion = network.output_curvature_len(1);
    recursion
        .saturating_add(recursion / 2)
        .saturating_add(own.max().unwrap_or(0))
        .saturating_add(outputs)
        .saturating_add(problem.sample_len(0))
}

/// The elements that [`blocks`] (one of them) or [`diagonals`] needs at most besides its result.
pub(super) fn exact_len<T: Scalar>(
    problem: &Problem<'_, T>,
    matrix: Matrix,
    block: Option<usize>,
) -> usize {
    let (network, threads) = (problem.network, problem.executor.threads());
    let all: Vec<usize> = (0..network.blocks().len()).collect();
    let (part, wanted) = match &block {
        Some(b) => (Part::Block, std::slice::from_ref(b)),
        None => (Part::Diagonal, &all[..]),
    };
    let columns = match matrix {
        Matrix::EmpiricalFisher => 1,
        _ => network.outputs(),
    };
    let each = match matrix {
        Matrix::Hessian if !network.is_piecewise_linear() => {
            hessian_batch_len(problem, part, wanted)
        }
        _ => batch_len(problem, part, wanted, columns),
    };
    let batch = problem.in_batches_of(each).chunk;
    let own = wanted.iter().map(|&b| {
        let block = &network.blocks()[b];
        let (p, d) = (block.len(), block.cols);
        // One sample's patches, and what the products of a dense layer work in.
        let inputs = block.positions.saturating_mul(d).saturating_mul(2);
        let work = match part {
            Part::Block => {
                let work = exact_block_workspace_len(batch, block.rows, d);
                let scaled = batch.saturating_add(d).saturating_mul(d).saturating_mul(threads);
                p.saturating_mul(p).saturating_add(work).saturating_add(scaled)
            }
            Part::Diagonal => p.saturating_add(exact_diagonal_workspace_len(batch, d)),
        };
        inputs.saturating_add(work)
    });
    each.saturating_mul(batch)
        .saturating_add(own.max().unwrap_or(0))
        .saturating_add(network.scratch_len(threads).saturating_mul(2))
}

/// The sums over the batches.
struct Sums<'p, 'a, T: Scalar> {
    problem: &'p Problem<'a, T>,
    part: Part,
    wanted: &'p [usize],
    sums: Vec<Vec<T>>,
    packed: Vec<T>,
    rows: Vec<T>,
    turned: Vec<T>,
    work: Vec<T>,
    scratch: Vec<T>,
}

fn accumulate<T: Scalar>(
    problem: &Problem<'_, T>,
    matrix: Matrix,
    part: Part,
    wanted: &[usize],
    memory: Memory,
) -> Result<Vec<Vec<T>>, Error> {
    let network = problem.network;
    let size = |&b: &usize| {
        let p = network.blocks()[b].len();
        vec![T::ZERO; if part == Part::Block { p * p } else { p }]
    };
    let mut sums = Sums {
        problem,
        part,
        wanted,
        sums: wanted.iter().map(size).collect(),
        packed: Vec::new(),
        rows: Vec::new(),
        turned: Vec::new(),
        work: Vec::new(),
        scratch: Vec::new(),
    };
    let columns = match matrix {
        Matrix::Ggn => Columns::Type2,
        // D = 0: every layer's block of the Hessian is that of the Gauss–Newton matrix (S1).
        Matrix::Hessian if network.is_piecewise_linear() => Columns::Type2,
        Matrix::EmpiricalFisher => Columns::Labels(problem.need_targets("ef")?),
        Matrix::Hessian => {
            sums.hessian(memory)?;
            sums.symmetrise();
            return Ok(sums.sums);
        }
    };
    let count = columns.count(network);
    let problem = problem.in_batches_of(batch_len(problem, part, wanted, count));
    let mut tape = problem.tape();
    let mut cotangents = Cotangents::new(network, tape.capacity(), count);
    problem.for_each_batch(&mut tape, &mut |tape, start, n| {
        columns.fill(problem.executor, network, (tape, start), &mut cotangents)?;
        network.pull_back(problem.executor, problem.parameters, tape, &mut cotangents, None)?;
        for (i, &block) in wanted.iter().enumerate() {
            let delta = cotangents.block(block, n);
            let name = &network.blocks()[block].name;
            sums.add_columns(i, tape, delta, count).context(name)?;
        }
        Ok(())
    })?;
    Ok(sums.sums)
}

impl<T: Scalar> Sums<'_, '_, T> {
    /// Makes the two triangles of every block equal: rounding leaves them a few ulp apart.
    fn symmetrise(&mut self) {
        if self.part != Part::Block {
            return;
        }
        for (&b, sum) in self.wanted.iter().zip(&mut self.sums) {
            let p = self.problem.network.blocks()[b].len();
            for i in 0..p {
                for j in 0..i {
                    let mean = T::HALF * (sum[i * p + j] + sum[j * p + i]);
                    (sum[i * p + j], sum[j * p + i]) = (mean, mean);
                }
            }
        }
    }

    fn share(&self) -> T {
        T::ONE / T::from_usize(self.problem.samples())
    }

    /// Adds (1/N) Σ δδᵀ of the columns `delta` of a batch.
    fn add_columns(
        &mut self,
        i: usize,
        tape: &Tape<T>,
        delta: MatRef<'_, T>,
        columns: usize,
    ) -> Result<(), Error> {
        let block = &self.problem.network.blocks()[self.wanted[i]];
        let (n, m) = (tape.batch(), block.rows);
        if block.is_dense() {
            match self.part {
                Part::Block => {
                    let packed = grown(&mut self.packed, n * packed_len(m));
                    let mut packed = MatMut::new(packed, n, packed_len(m))?;
                    for c in 0..columns {
                        let keep = if c == 0 { T::ZERO } else { T::ONE };
                        let column = delta.sub(c * n, 0, n, m)?;
                        packed_second_moments(packed.rb_mut(), keep, column)?;
                    }
                }
                Part::Diagonal => {
                    let squares = grown(&mut self.packed, n * m);
                    squares.fill(T::ZERO);
                    for row in 0..columns * n {
                        let out = &mut squares[row % n * m..(row % n + 1) * m];
                        out.iter_mut().zip(delta.row(row)).for_each(|(o, &d)| *o += d * d);
                    }
                }
            }
            return self.add_weighted(i, tape);
        }
        let (p, exec, share) = (block.len(), self.problem.executor, self.share());
        let site = Site { network: self.problem.network, tape, block: self.wanted[i] };
        let rows = grown(&mut self.rows, columns * n * p);
        let out = MatMut::new(&mut *rows, columns * n, p)?;
        parameter_rows(exec, site, delta, out, &mut self.scratch)?;
        let rows = MatRef::new(rows, columns * n, p)?;
        match self.part {
            Part::Block => {
                let work = relfisher_core::blas::gram_workspace_len(columns * n, p);
                let work = grown(&mut self.work, work);
                let sum = MatMut::new(&mut self.sums[i], p, p)?;
                exec.gram(sum, T::ONE, share, rows, None, work)?;
            }
            Part::Diagonal => {
                for row in 0..columns * n {
                    let sum = self.sums[i].iter_mut().zip(rows.row(row));
                    sum.for_each(|(o, &x)| *o += share * x * x);
                }
            }
        }
        Ok(())
    }

    /// Adds (1/N) Σ_s M_s ⊗ x̃x̃ᵀ with M in `self.packed`: n × m(m+1)/2, or its diagonal n × m.
    fn add_weighted(&mut self, i: usize, tape: &Tape<T>) -> Result<(), Error> {
        let block = &self.problem.network.blocks()[self.wanted[i]];
        let (n, m, d) = (tape.batch(), block.rows, block.cols);
        let (x, share, exec) =
            (tape.layer_input(self.wanted[i]), self.share(), self.problem.executor);
        let out = grown(&mut self.rows, self.sums[i].len());
        match self.part {
            Part::Block => {
                let packed = MatRef::new(&self.packed, n, packed_len(m))?;
                let work = grown(&mut self.work, exact_block_workspace_len(n, m, d));
                let view = MatMut::new(&mut *out, m * d, m * d)?;
                exact_block(exec, view, packed, x, share, work)?;
            }
            Part::Diagonal => {
                let weights = MatRef::new(&self.packed, n, m)?;
                let work = grown(&mut self.work, exact_diagonal_workspace_len(n, d));
                let view = MatMut::new(&mut *out, m, d)?;
                exact_diagonal(exec, view, weights, x, share, work)?;
            }
        }
        self.sums[i].iter_mut().zip(&*out).for_each(|(sum, x)| *sum += *x);
        Ok(())
    }

    /// The Hessian, by the recursion over the curvature of the layers' outputs.
    fn hessian(&mut self, memory: Memory) -> Result<(), Error> {
        let network = self.problem.network;
        let targets = self.problem.need_targets("hess")?;
        let each = hessian_batch_len(self.problem, self.part, self.wanted);
        let instead = "ask for ggn_diag, or matvec, instead";
        memory.check("the Hessian at the layers' outputs", each, size_of::<T>(), instead)?;
        let problem = self.problem.in_batches_of(each);
        let (exec, parameters, c) = (problem.executor, problem.parameters, network.outputs());
        let mut tape = problem.tape();
        let mut state = OutputCurvature::default();
        let (mut packed, mut root) = (Vec::new(), Vec::new());
        problem.for_each_batch(&mut tape, &mut |tape, start, n| {
            network.loss(exec, tape, &targets.rows(start, n)?)?;
            let packed = grown(&mut packed, n * packed_len(c));
            let view = MatMut::new(&mut *packed, n, packed_len(c))?;
            output_loss(network.loss_kind()).hessian_packed(view, tape.probabilities())?;
            let root = grown(&mut root, n * c * c);
            for s in 0..n {
                for i in 0..c {
                    for j in 0..c {
                        root[s * c * c + i * c + j] =
                            packed[s * packed_len(c) + packed_index(i, j)];
                    }
                }
            }
            let root = (Curvature::Hessian, MatRef::new(root, n, c * c)?);
            let tape = &*tape;
            let context = (parameters, tape);
            network.output_curvature(exec, context, root, &mut state, &mut |block, h| match self
                .wanted
                .iter()
                .position(|&b| b == block)
            {
                Some(i) => self.add_curvature(i, tape, h),
                None => Ok(()),
            })
        })
    }

    /// Adds the block of 𝓗 (element (i, j) of sample s at (i·n + s)·q + j).
    fn add_curvature(&mut self, i: usize, tape: &Tape<T>, h: &[T]) -> Result<(), Error> {
        let block = &self.problem.network.blocks()[self.wanted[i]];
        let (n, m, q) = (tape.batch(), block.rows, block.rows * block.positions);
        if block.is_dense() {
            let width = if self.part == Part::Block { packed_len(m) } else { m };
            let packed = grown(&mut self.packed, n * width);
            for s in 0..n {
                for a in 0..m {
                    if self.part == Part::Diagonal {
                        packed[s * width + a] = h[(a * n + s) * q + a];
                        continue;
                    }
                    for b in 0..=a {
                        // Rounding leaves the two triangles a few ulp apart: their mean.
                        let pair = h[(a * n + s) * q + b] + h[(b * n + s) * q + a];
                        packed[s * width + packed_index(a, b)] = T::HALF * pair;
                    }
                }
            }
            return self.add_weighted(i, tape);
        }
        match self.part {
            Part::Block => self.add_shared_block(i, tape, h),
            Part::Diagonal => self.add_shared_diagonal(i, tape, h),
        }
    }

    /// Adds (1/N) Σ_s J_sᵀ 𝓗_s J_s: the rows of 𝓗 as derivatives of outputs become derivatives of
    /// parameters, then the columns.
    fn add_shared_block(&mut self, i: usize, tape: &Tape<T>, h: &[T]) -> Result<(), Error> {
        let block = &self.problem.network.blocks()[self.wanted[i]];
        let (n, t, m, p) = (tape.batch(), block.positions, block.rows, block.len());
        let (q, exec, share) = (t * m, self.problem.executor, self.share());
        let site = Site { network: self.problem.network, tape, block: self.wanted[i] };
        let rows = grown(&mut self.rows, n * p * p.max(q));
        let out = MatMut::new(&mut rows[..q * n * p], q * n, p)?;
        parameter_rows(exec, site, MatRef::new(h, q * n * t, m)?, out, &mut self.scratch)?;
        let turned = grown(&mut self.turned, p * n * q);
        for (j, part) in turned.chunks_exact_mut(n * q).enumerate() {
            for (s, row) in part.chunks_exact_mut(q).enumerate() {
                for (a, x) in row.iter_mut().enumerate() {
                    *x = rows[(a * n + s) * p + j];
                }
            }
        }
        let out = MatMut::new(&mut rows[..p * n * p], p * n, p)?;
        parameter_rows(exec, site, MatRef::new(turned, p * n * t, m)?, out, &mut self.scratch)?;
        for (j, sum) in self.sums[i].chunks_exact_mut(p).enumerate() {
            for s in 0..n {
                let row = &rows[(j * n + s) * p..(j * n + s + 1) * p];
                sum.iter_mut().zip(row).for_each(|(o, &x)| *o += share * x);
            }
        }
        Ok(())
    }

    /// Adds the diagonal of (1/N) Σ_s J_sᵀ 𝓗_s J_s: for output o, Σ_ττ' 𝓗_(τo)(τ'o) x̃_τ x̃_τ'.
    fn add_shared_diagonal(&mut self, i: usize, tape: &Tape<T>, h: &[T]) -> Result<(), Error> {
        let block = &self.problem.network.blocks()[self.wanted[i]];
        let (n, t, m, d) = (tape.batch(), block.positions, block.rows, block.cols);
        let (q, exec, share) = (t * m, self.problem.executor, self.share());
        let site = Site { network: self.problem.network, tape, block: self.wanted[i] };
        let each = m / block.groups();
        for s in 0..n {
            for o in 0..m {
                let design = if block.kind == BlockKind::BatchNorm {
                    let hats = tape.normalised(site.block);
                    let rows = grown(&mut self.rows, t * 2);
                    for (tau, row) in rows.chunks_exact_mut(2).enumerate() {
                        row.copy_from_slice(&[hats.at(s * t + tau, o), T::ONE]);
                    }
                    MatRef::new(rows, t, d)?
                } else if o % each == 0 {
                    site.design(s, o / each, &mut self.rows)?
                } else {
                    MatRef::new(&self.rows, t, d)?
                };
                let own = &h[(o * n + s) * q + o..];
                let own = MatRef::with_strides(own, t, t, m * n * q, m)?;
                let product = grown(&mut self.turned, t * d);
                exec.gemm(MatMut::new(&mut *product, t, d)?, T::ZERO, T::ONE, own, design)?;
                let sum = &mut self.sums[i][o * d..(o + 1) * d];
                for (tau, row) in product.chunks_exact(d).enumerate() {
                    for ((out, &y), &x) in sum.iter_mut().zip(row).zip(design.row(tau)) {
                        *out += share * x * y;
                    }
                }
            }
        }
        Ok(())
    }
}
