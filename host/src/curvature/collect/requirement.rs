//! What a request needs of the machine's memory, from the shapes alone.

use relfisher_core::curvature::Sharing;

use super::super::exact::{Matrix, exact_len};
use super::super::kronecker::{eigen_len, ekfac_len, factors_len, kfra_len};
use super::super::memory::Memory;
use super::super::natural::natural_len;
use super::super::operator::NetworkOperator;
use super::super::problem::Problem;
use super::super::quantity::{Family, Quantity, Source};
use super::super::rfim::rfim_len;
use super::Request;
use super::exact::KEPT;
use crate::Scalar;
use crate::error::Error;
use crate::network::{Block, BlockKind};
use crate::spectrum::extremal_len;

/// Bytes that the dense library and the allocator may take on each thread, and once.
const EACH_THREAD: usize = 4 << 20;

/// What several quantities share, and what stays until the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Evaluation,
    Factors(Family),
    Bases(Source),
    Block(Matrix, usize),
}

/// The elements that a quantity takes.
#[derive(Clone, Copy, Default)]
struct Need {
    /// Written into the file.
    written: usize,
    /// Needed while it is computed only.
    passing: usize,
}

fn product(factors: &[usize]) -> usize {
    factors.iter().fold(1, |p, &f| p.saturating_mul(f))
}

fn sum(terms: impl IntoIterator<Item = usize>) -> usize {
    terms.into_iter().fold(0, usize::saturating_add)
}

/// `problem` with batches small enough for the memory of the request.
///
/// # Errors
/// The quantity that does not fit even one sample at a time: the bytes, and what to ask for instead.
pub(super) fn fitted<'a, T: Scalar>(
    problem: &Problem<'a, T>,
    request: &Request<'_, T>,
) -> Result<Problem<'a, T>, Error> {
    let mut problem = problem.in_batches_of(1);
    loop {
        let sizes = Sizes { problem: &problem, request };
        match sizes.check(request.memory) {
            Err(e) if problem.chunk == 1 => return Err(e),
            Err(_) => problem.chunk /= 2,
            Ok(()) => return Ok(problem),
        }
    }
}

/// The bytes that [`collect`](super::collect) and writing its result take at most besides the
/// problem, with batches of `problem.chunk` samples; where the memory is short, smaller ones take less.
pub fn required_bytes<T: Scalar>(problem: &Problem<'_, T>, request: &Request<'_, T>) -> u64 {
    let problem = problem.in_batches_of(1);
    let needs = Sizes { problem: &problem, request }.needs();
    let most = needs.iter().map(|(_, elements)| *elements).max().unwrap_or(0);
    (most as u64).saturating_mul(size_of::<T>() as u64)
}

struct Sizes<'r, 'a, T: Scalar> {
    problem: &'r Problem<'a, T>,
    request: &'r Request<'r, T>,
}

impl<'a, T: Scalar> Sizes<'_, 'a, T> {
    /// Refuses the first quantity at which the request does not fit.
    fn check(&self, memory: Memory) -> Result<(), Error> {
        for (quantity, elements) in self.needs() {
            memory.check(&self.place(quantity), elements, size_of::<T>(), instead(quantity))?;
        }
        Ok(())
    }

    /// The elements that are taken at most while each quantity is computed.
    fn needs(&self) -> Vec<(Quantity, usize)> {
        let mut needs = Vec::new();
        let threads = self.problem.executor.threads();
        let fixed = EACH_THREAD.saturating_mul(threads + 1) / size_of::<T>();
        let (mut written, mut held, mut met) = (0_usize, 0_usize, Vec::new());
        for &quantity in self.request.quantities {
            let need = self.need(quantity);
            for kept in self.kept(quantity) {
                if !met.contains(&kept) {
                    met.push(kept);
                    held = held.saturating_add(self.kept_len(kept));
                }
            }
            written = written.saturating_add(need.written);
            // The file is put together in memory at the end.
            let at_work = need.passing.max(written);
            needs.push((quantity, sum([fixed, held, written, at_work])));
        }
        needs
    }

    fn blocks(&self) -> &'a [Block] {
        self.problem.network.blocks()
    }

    /// The quantity, with its largest layer where that decides.
    fn place(&self, quantity: Quantity) -> String {
        let layered = matches!(
            quantity,
            Quantity::Block(_)
                | Quantity::BlockProbe(_)
                | Quantity::BlockTraceFrobenius(_)
                | Quantity::NaturalGradient(_)
                | Quantity::Rfim
        );
        match self.blocks().iter().max_by_key(|block| block.len()) {
            Some(block) if layered => format!("{quantity} of layer {}", block.name),
            _ => quantity.to_string(),
        }
    }

    /// The shared results that a quantity makes.
    fn kept(&self, quantity: Quantity) -> Vec<Kept> {
        let blocks =
            |matrix| (0..self.blocks().len()).map(move |b| Kept::Block(matrix, b)).collect();
        let factors = |source| Kept::Factors(Family::Kfac(source, Sharing::Expand));
        match quantity {
            Quantity::Loss
            | Quantity::Output
            | Quantity::PerSampleLoss
            | Quantity::Gradient
            | Quantity::PerSampleGradientSquareNorm
            | Quantity::NaturalGradient(_) => vec![Kept::Evaluation],
            Quantity::Block(m) | Quantity::BlockTraceFrobenius(m) | Quantity::BlockProbe(m) => {
                blocks(m)
            }
            Quantity::Factors(family) => vec![Kept::Factors(family)],
            Quantity::FactorStep(family, _) => vec![Kept::Evaluation, Kept::Factors(family)],
            Quantity::Ekfac(s) | Quantity::EkfacProbe(s) => vec![factors(s), Kept::Bases(s)],
            Quantity::EkfacStep(s) => vec![Kept::Evaluation, factors(s), Kept::Bases(s)],
            Quantity::PerSampleGradient
            | Quantity::Diagonal(_)
            | Quantity::Products
            | Quantity::Top(..)
            | Quantity::Bottom(..)
            | Quantity::Traces
            | Quantity::Rfim => Vec::new(),
        }
    }

    fn kept_len(&self, kept: Kept) -> usize {
        match kept {
            Kept::Evaluation => self.evaluation_len(),
            Kept::Factors(_) => self.factors_len(),
            Kept::Bases(_) => self.bases_len(),
            Kept::Block(_, b) => {
                let len = self.blocks()[b].len();
                Some(product(&[len, len])).filter(|&len| len <= KEPT).unwrap_or(0)
            }
        }
    }

    fn evaluation_len(&self) -> usize {
        let network = self.problem.network;
        let each = network.outputs() + 1 + network.blocks().len();
        product(&[self.problem.samples(), each]).saturating_add(network.parameter_count())
    }

    /// The blocks that have Kronecker factors.
    fn factored(&self) -> impl Iterator<Item = &'a Block> {
        self.blocks().iter().filter(|block| block.kind != BlockKind::BatchNorm)
    }

    fn factors_len(&self) -> usize {
        sum(self
            .factored()
            .map(|b| product(&[b.rows, b.rows]).saturating_add(product(&[b.cols, b.cols]))))
    }

    fn bases_len(&self) -> usize {
        let values = self.factored().map(|b| sum([b.len(), b.rows, b.cols]));
        sum(values).saturating_add(self.factors_len())
    }

    /// Of the eigendecompositions, also those of the summary.
    fn eigen_len(&self) -> usize {
        self.factored().map(eigen_len).max().unwrap_or(0)
    }

    /// A pass for loss and gradient.
    fn evaluate_len(&self) -> usize {
        let problem = self.problem;
        let each = problem.sample_len(0).saturating_add(problem.rows_len(1));
        let patches = self.blocks().iter().map(|b| product(&[b.positions, b.cols]));
        sum([
            product(&[each, problem.in_batches_of(each).chunk]),
            problem.network.parameter_count(),
            problem.network.scratch_len(problem.executor.threads()).saturating_mul(2),
            patches.max().unwrap_or(0),
        ])
    }

    fn need(&self, quantity: Quantity) -> Need {
        let (problem, network) = (self.problem, self.problem.network);
        let (n, p) = (problem.samples(), network.parameter_count());
        let columns = |source| if source == Source::Type2 { network.outputs() } else { 1 };
        let steps = product(&[p, self.request.dampings.len()]);
        let need =
            |written, passing: &[usize]| Need { written, passing: sum(passing.iter().copied()) };
        let evaluate = self.evaluate_len();
        match quantity {
            Quantity::Loss => need(1, &[evaluate]),
            Quantity::Output => need(product(&[n, network.outputs()]), &[evaluate]),
            Quantity::PerSampleLoss => need(n, &[evaluate]),
            Quantity::Gradient => need(p, &[evaluate, p]),
            Quantity::PerSampleGradientSquareNorm => {
                let norms = product(&[n, network.blocks().len()]);
                need(norms, &[evaluate, norms])
            }
            Quantity::PerSampleGradient => need(product(&[n, p]), &[evaluate]),
            Quantity::Block(m) | Quantity::BlockTraceFrobenius(m) | Quantity::BlockProbe(m) => {
                self.block_need(quantity, m)
            }
            Quantity::Diagonal(matrix) => need(p, &[exact_len(problem, matrix, None)]),
            Quantity::Traces => {
                let all = [Matrix::Ggn, Matrix::Hessian, Matrix::EmpiricalFisher];
                let most = all.map(|m| exact_len(problem, m, None)).into_iter().max();
                need(3, &[most.unwrap_or(0), p])
            }
            Quantity::Factors(family) => {
                need(self.factors_len(), &[self.family_len(family).max(self.eigen_len())])
            }
            Quantity::FactorStep(family, _) => {
                let step = sum([self.factors_len(), self.eigen_len(), p]);
                need(steps, &[self.family_len(family).max(evaluate).max(step)])
            }
            Quantity::Ekfac(source)
            | Quantity::EkfacStep(source)
            | Quantity::EkfacProbe(source) => {
                let written = match quantity {
                    Quantity::Ekfac(_) => self.bases_len(),
                    Quantity::EkfacStep(_) => steps,
                    _ => product(&[p, self.vectors()]),
                };
                let count = columns(source);
                let first = factors_len(problem, count, Sharing::Expand);
                let second = sum([self.factors_len(), ekfac_len(problem, count)]);
                let turned = sum([self.bases_len(), p, p]);
                need(written, &[first.max(second).max(evaluate).max(turned), self.eigen_len()])
            }
            Quantity::NaturalGradient(matrix) => {
                let solve = natural_len(problem, matrix, self.request.dampings);
                need(steps, &[solve.max(evaluate), p, steps])
            }
            Quantity::Products => {
                let vectors = product(&[p, self.vectors()]);
                let operator = NetworkOperator::required_len(problem, Matrix::Hessian);
                need(product(&[3, vectors]), &[operator, vectors, vectors])
            }
            Quantity::Top(matrix, k) | Quantity::Bottom(matrix, k) => {
                let operator = NetworkOperator::required_len(problem, matrix);
                need(k.min(p), &[operator, extremal_len(p, k)])
            }
            Quantity::Rfim => {
                let len =
                    |b: &Block| product(&[b.len(), b.cols.max(b.rows.saturating_mul(b.cols))]);
                let soft = |b: &Block| b.response == crate::network::ResponseSite::Softmax;
                let neurons = |b: &Block| product(&[b.len(), b.cols]);
                let each = |b: &Block| if soft(b) { len(b) } else { neurons(b) };
                need(sum(self.blocks().iter().map(each)), &[rfim_len(problem)])
            }
        }
    }

    /// The most vectors of a tensor of the request.
    fn vectors(&self) -> usize {
        let tensors = self.request.vectors.iter().flat_map(|file| file.tensors.values());
        tensors.filter_map(|t| t.shape.last().copied()).max().unwrap_or(0)
    }

    fn family_len(&self, family: Family) -> usize {
        let outputs = self.problem.network.outputs();
        match family {
            Family::Kfra => kfra_len(self.problem),
            Family::Kflr | Family::Kfac(Source::Type2, Sharing::Expand) => {
                factors_len(self.problem, outputs, Sharing::Expand)
            }
            Family::Kfac(Source::Type2, sharing) => factors_len(self.problem, outputs, sharing),
            Family::Kfac(_, sharing) => factors_len(self.problem, 1, sharing),
        }
    }

    fn block_need(&self, quantity: Quantity, matrix: Matrix) -> Need {
        let mut need = Need::default();
        for (b, block) in self.blocks().iter().enumerate() {
            let p = block.len();
            let written = match quantity {
                Quantity::Block(_) => product(&[p, p]),
                Quantity::BlockProbe(_) => product(&[p, self.vectors()]),
                _ => 2,
            };
            let passing = sum([product(&[p, p]), exact_len(self.problem, matrix, Some(b))]);
            let vectors = product(&[p, self.vectors()]);
            need.written = need.written.saturating_add(written);
            need.passing = need.passing.max(passing.saturating_add(vectors));
        }
        need
    }
}

/// What takes less memory.
fn instead(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Loss
        | Quantity::Output
        | Quantity::PerSampleLoss
        | Quantity::Gradient
        | Quantity::PerSampleGradientSquareNorm => "give fewer samples (--samples)",
        Quantity::PerSampleGradient => {
            "ask for per_sample_grad_sqnorm instead, or give fewer samples"
        }
        Quantity::Block(Matrix::Ggn)
        | Quantity::BlockTraceFrobenius(Matrix::Ggn)
        | Quantity::BlockProbe(Matrix::Ggn) => {
            "ask for ggn_diag, or matvec, or kfac_type2 and ekfac_type2 instead"
        }
        Quantity::Block(Matrix::EmpiricalFisher)
        | Quantity::BlockTraceFrobenius(Matrix::EmpiricalFisher)
        | Quantity::BlockProbe(Matrix::EmpiricalFisher) => {
            "ask for ef_diag, or matvec, or kfac_emp and ekfac_emp instead"
        }
        Quantity::Block(Matrix::Hessian)
        | Quantity::BlockTraceFrobenius(Matrix::Hessian)
        | Quantity::BlockProbe(Matrix::Hessian) => {
            "ask for hess_diag, or matvec, or kfac_type2 and ekfac_type2 instead"
        }
        Quantity::Diagonal(Matrix::Hessian) | Quantity::Traces => {
            "ask for ggn_diag and ef_diag, or matvec, instead"
        }
        Quantity::Diagonal(_) => "ask for matvec instead",
        Quantity::Factors(Family::Kfra) | Quantity::FactorStep(Family::Kfra, _) => {
            "ask for kfac_type2 instead, or give fewer samples"
        }
        Quantity::Factors(_) | Quantity::FactorStep(..) => "ask for ggn_diag, or matvec, instead",
        Quantity::Ekfac(_) | Quantity::EkfacStep(_) | Quantity::EkfacProbe(_) => {
            "ask for kfac_type2, or ggn_diag, instead"
        }
        Quantity::NaturalGradient(_) => {
            "ask for kfac_type2_precond_eig or ekfac_type2_precond, or give fewer samples"
        }
        Quantity::Products => "give fewer vectors",
        Quantity::Top(..) | Quantity::Bottom(..) => "ask for fewer eigenvalues",
        Quantity::Rfim => "ask for kfac_type2 instead",
    }
}
