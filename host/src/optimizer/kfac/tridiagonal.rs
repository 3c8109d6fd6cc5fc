//! Block-tridiagonal K-FAC (J. Martens, R. Grosse, ICML 2015, §4.3).
//!
//! The block-diagonal inverse neglects what the gradients of two adjoining layers have in common.
//! Here the inverse is block tridiagonal: F̂⁻¹ = ΞᵀΛΞ with Ξ = I − Ψ on the first diagonal above, Ψ =
//! `G_ij` `G_jj⁻¹` ⊗ `A_ij` `A_jj⁻¹` the regression of layer i on the next one j, and Λ the inverses of
//! what that leaves: `G_ii ⊗ A_ii − ΨG_jjΨᵀ ⊗ ΨA_jjΨᵀ`, a difference of two Kronecker products
//! ([`KronSum`]). The damped factors stand for G and A throughout, so the difference stays positive
//! definite.
//!
//! A chain runs through linear layers of one position, over activations and normalisations; a
//! convolution, or positions that share weights, ends it: two layers with other positions have no
//! factors in common. A batch normalisation keeps its blocks.

use relfisher_core::kron::{
    self, Damping, KronSum, Sign, kron_sum_factor_workspace_len, kron_sum_solve_workspace_len,
};
use relfisher_core::{Error as CoreError, MatMut, MatRef};

use super::block::{Curvature, Form, Inverse};
use crate::Scalar;
use crate::curvature::KroneckerFactors;
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{BlockKind, Network, Tape};
use crate::optimizer::subsystem::singular;
use crate::scratch::grown;

/// Two adjoining layers.
pub(super) struct Link<T> {
    /// The indices of their blocks, the layer nearer to the inputs first.
    pub(super) blocks: [usize; 2],
    /// (m_i, d̃_i), (m_j, d̃_j).
    shapes: [(usize, usize); 2],
    /// The moving averages of E[δ_i δ_jᵀ] (m_i × m_j) and E[x̃_i x̃_jᵀ] (d̃_i × d̃_j).
    average: KroneckerFactors<T>,
    /// Ψ, of the shapes of the averages.
    regression: KroneckerFactors<T>,
    /// Generalised eigenvectors and eigenvalues of the difference, G's first.
    vectors: KroneckerFactors<T>,
    values: [Vec<T>; 2],
}

/// The links of a network, and their buffers.
pub(super) struct Chain<T> {
    pub(super) links: Vec<Link<T>>,
    work: Vec<T>,
    product: Vec<T>,
}

impl<T: Scalar> Chain<T> {
    pub(super) fn new(network: &Network<T>) -> Self {
        let mut links = Vec::new();
        let mut last = None;
        for (j, block) in network.blocks().iter().enumerate() {
            match block.kind {
                BlockKind::Linear if block.positions == 1 => {
                    let shape = (block.rows, block.cols);
                    if let Some((i, before)) = last {
                        links.push(Link::new([i, j], [before, shape]));
                    }
                    last = Some((j, shape));
                }
                BlockKind::BatchNorm => {}
                BlockKind::Linear | BlockKind::Convolution(_) => last = None,
            }
        }
        Self { links, work: Vec::new(), product: Vec::new() }
    }

    /// Makes the links ready for solves; the blocks must be so already.
    pub(super) fn refresh(
        &mut self,
        executor: &dyn Executor<T>,
        blocks: &[Curvature<T>],
        (rule, damping): (Damping, T),
    ) -> Result<(), Error> {
        for link in &mut self.links {
            let [first, second] = link.blocks.map(|b| &blocks[b]);
            link.refresh(executor, (first, second), (rule, damping), &mut self.work)
                .map_err(|e| singular(first.name(), damping.to_f64(), e))?;
        }
        Ok(())
    }

    /// `v ← ΞᵀΛΞ v`, Λ of a block without a link by `solve`.
    pub(super) fn apply(
        &mut self,
        executor: &dyn Executor<T>,
        blocks: &[Curvature<T>],
        v: &mut [T],
        solve: &mut BlockSolve<'_, T>,
    ) -> Result<(), Error> {
        let Self { links, work, product } = self;
        let linked = |b: usize| links.iter().find(|link| link.blocks[0] == b);
        for link in links.iter() {
            let [first, second] = link.parts(blocks, v)?;
            link.couple(executor, (first, second), Side::Regression, (work, product))?;
        }
        for (b, block) in blocks.iter().enumerate() {
            let part = &mut v[block.range()];
            match linked(b) {
                Some(link) => link.solve(executor, part, work).context(block.name())?,
                None => solve(block, part)?,
            }
        }
        for link in links.iter().rev() {
            let [first, second] = link.parts(blocks, v)?;
            link.couple(executor, (second, first), Side::Transposed, (work, product))?;
        }
        Ok(())
    }
}

/// The solve of a block by itself, in place.
pub(super) type BlockSolve<'a, T> = dyn FnMut(&Curvature<T>, &mut [T]) -> Result<(), Error> + 'a;

/// Which way a link couples two parts of a vector.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// By Ψ.
    Regression,
    /// By Ψᵀ.
    Transposed,
}

impl<T: Scalar> Link<T> {
    fn new(blocks: [usize; 2], shapes: [(usize, usize); 2]) -> Self {
        let zeros = |n: usize| vec![T::ZERO; n];
        let [(m, d), (p, q)] = shapes;
        let cross = || KroneckerFactors { a: zeros(d * q), g: zeros(m * p) };
        Self {
            blocks,
            shapes,
            average: cross(),
            regression: cross(),
            vectors: KroneckerFactors { a: zeros(d * d), g: zeros(m * m) },
            values: [zeros(m), zeros(d)],
        }
    }

    /// Moves the averages towards those of the inputs on the tape and the derivatives `delta` of the
    /// two outputs (columns·n × m each).
    pub(super) fn measure(
        &mut self,
        executor: &dyn Executor<T>,
        tape: &Tape<T>,
        delta: [MatRef<'_, T>; 2],
        (keep, fresh, weight): (T, T, T),
    ) -> Result<(), CoreError> {
        let [(m, d), (p, q)] = self.shapes;
        let n = T::from_usize(tape.batch());
        let [x, y] = self.blocks.map(|b| tape.layer_input(b));
        let a = MatMut::new(&mut self.average.a, d, q)?;
        executor.gemm(a, keep, fresh / n, x.t(), y)?;
        let g = MatMut::new(&mut self.average.g, m, p)?;
        executor.gemm(g, keep, weight / n, delta[0].t(), delta[1])
    }

    fn refresh(
        &mut self,
        executor: &dyn Executor<T>,
        (first, second): (&Curvature<T>, &Curvature<T>),
        (rule, damping): (Damping, T),
        work: &mut Vec<T>,
    ) -> Result<(), CoreError> {
        let missing = CoreError::Parameter { what: "a link between blocks without factors" };
        let (Form::Kronecker(first), Form::Kronecker(second)) = (&first.form, &second.form) else {
            return Err(missing);
        };
        let Inverse::Cholesky(lower) = second.inverse() else { return Err(missing) };
        let [(m, d), (p, q)] = self.shapes;
        let Self { average, regression, vectors, values: [g_values, a_values], .. } = self;
        let psi = MatMut::new(&mut regression.g, m, p)?;
        let h = MatMut::new(&mut vectors.g, m, m)?;
        let cross = MatRef::new(&average.g, m, p)?;
        kron::regression(executor, (psi, h), cross, MatRef::new(&lower.g, p, p)?)?;
        let psi = MatMut::new(&mut regression.a, d, q)?;
        let b = MatMut::new(&mut vectors.a, d, d)?;
        let cross = MatRef::new(&average.a, d, q)?;
        kron::regression(executor, (psi, b), cross, MatRef::new(&lower.a, q, q)?)?;

        let KroneckerFactors { a, g } = &first.average;
        let split =
            kron::split_damping(MatRef::new(g, m, m)?, MatRef::new(a, d, d)?, damping, rule)?;
        let need = kron_sum_factor_workspace_len(m, d);
        let (factors, work) = grown(work, m * m + d * d + need).split_at_mut(m * m + d * d);
        let (g_copy, a_copy) = factors.split_at_mut(m * m);
        g_copy.copy_from_slice(g);
        a_copy.copy_from_slice(a);
        let left =
            (MatMut::new(g_copy, m, m)?, MatMut::new(&mut vectors.g, m, m)?, &mut g_values[..]);
        let right =
            (MatMut::new(a_copy, d, d)?, MatMut::new(&mut vectors.a, d, d)?, &mut a_values[..]);
        KronSum::factor(executor, left, right, split, Sign::Minus, work).map(|_| ())
    }

    /// `v ← (G_ii ⊗ A_ii − ΨG_jjΨᵀ ⊗ ΨA_jjΨᵀ)⁻¹ v`.
    fn solve(
        &self,
        executor: &dyn Executor<T>,
        v: &mut [T],
        work: &mut Vec<T>,
    ) -> Result<(), CoreError> {
        let (m, d) = self.shapes[0];
        let sum = KronSum {
            g_vectors: MatRef::new(&self.vectors.g, m, m)?,
            g_values: &self.values[0],
            a_vectors: MatRef::new(&self.vectors.a, d, d)?,
            a_values: &self.values[1],
            sign: Sign::Minus,
        };
        let work = grown(work, kron_sum_solve_workspace_len(m, d));
        sum.solve(executor, MatMut::new(v, m, d)?, work)
    }

    /// `out ← out − Ψ v`, or with Ψᵀ.
    fn couple(
        &self,
        executor: &dyn Executor<T>,
        (out, v): (&mut [T], &[T]),
        side: Side,
        (work, product): (&mut Vec<T>, &mut Vec<T>),
    ) -> Result<(), CoreError> {
        let [(m, d), (p, q)] = self.shapes;
        let psi = (MatRef::new(&self.regression.g, m, p)?, MatRef::new(&self.regression.a, d, q)?);
        let ((g, a), (rows, cols), from) = match side {
            Side::Regression => (psi, (m, d), (p, q)),
            Side::Transposed => ((psi.0.t(), psi.1.t()), (p, q), (m, d)),
        };
        let v = MatRef::new(v, from.0, from.1)?;
        let product = grown(product, rows * cols);
        let work = grown(work, kron::apply_workspace_len(rows, from.1));
        kron::apply(executor, MatMut::new(product, rows, cols)?, g, a, v, work)?;
        out.iter_mut().zip(product).for_each(|(o, x)| *o -= *x);
        Ok(())
    }

    /// The parts of a vector that belong to the two blocks.
    fn parts<'v>(
        &self,
        blocks: &[Curvature<T>],
        v: &'v mut [T],
    ) -> Result<[&'v mut [T]; 2], CoreError> {
        let [first, second] = self.blocks.map(|b| blocks[b].range());
        v.get_disjoint_mut([first, second])
            .map_err(|_| CoreError::Parameter { what: "blocks of a link overlap" })
    }

    /// The tensors of a state, by the ends of their names.
    pub(super) fn tensors(&self) -> [(&'static str, &Vec<T>); 8] {
        let [g_values, a_values] = &self.values;
        [
            ("a_cross", &self.average.a),
            ("g_cross", &self.average.g),
            ("a_regression", &self.regression.a),
            ("g_regression", &self.regression.g),
            ("a_vectors", &self.vectors.a),
            ("g_vectors", &self.vectors.g),
            ("a_values", a_values),
            ("g_values", g_values),
        ]
    }

    /// The same tensors, to be read into.
    pub(super) fn tensors_mut(&mut self) -> [(&'static str, &mut Vec<T>); 8] {
        let [g_values, a_values] = &mut self.values;
        [
            ("a_cross", &mut self.average.a),
            ("g_cross", &mut self.average.g),
            ("a_regression", &mut self.regression.a),
            ("g_regression", &mut self.regression.g),
            ("a_vectors", &mut self.vectors.a),
            ("g_vectors", &mut self.vectors.g),
            ("a_values", a_values),
            ("g_values", g_values),
        ]
    }
}
