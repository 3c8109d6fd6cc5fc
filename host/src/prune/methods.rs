//! One step of pruning: costs, choice, and what the weights that stay do.

use relfisher_core::curvature::Sharing;
use relfisher_core::factor::spd_inverse_workspace_len;
use relfisher_core::kron::{self, Damping};
use relfisher_core::prune::{
    CompensateOptions, diagonal_saliency, inverse_saliency, kron_compensate,
    kron_compensate_workspace_len,
};
use relfisher_core::{MatMut, MatRef};

use super::woodfisher::WoodFisher;
use super::{Mask, Method, Options};
use crate::Scalar;
use crate::curvature::{
    Columns, KroneckerFactors, Matrix, Problem, Quantity, Request, diagonals, kronecker_factors,
    required_bytes,
};
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::Block;

/// What a step of pruning did.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned<T> {
    /// The parameters, zero where they are gone.
    pub values: Vec<T>,
    /// The weights that went in this step.
    pub removed: usize,
    /// How much the mean loss should rise by the method's own quadratic model; magnitudes have none.
    pub predicted: Option<f64>,
}

/// Removes weights from the parameters of `problem` until the share `sparsity` of all is gone. The
/// gradient of the loss counts as zero.
///
/// # Errors
/// A sparsity, damping or block outside its domain; missing targets (WoodFisher); a request above its
/// memory limit; those of the passes and of the factorisations, by layer.
pub fn prune<T: Scalar>(
    problem: &Problem<'_, T>,
    mask: &mut Mask,
    sparsity: f64,
    options: &Options,
) -> Result<Pruned<T>, Error> {
    let network = problem.network;
    if mask.kept().len() != network.parameter_count() {
        let problem = format!("{} parameters", mask.kept().len());
        return Err(Error::input("", "mask", problem, "use the mask of this network"));
    }
    let damping = T::from_f64(options.damping);
    if !(damping > T::ZERO && damping < T::INFINITY) {
        let problem = "is not a positive number";
        return Err(Error::input("--damping", options.damping, problem, "use 1e-4, say"));
    }
    check_memory(problem, options)?;
    let before = &problem.parameters.values;
    let choice = (sparsity, options.scope);
    let mut values = before.clone();
    match options.method {
        Method::Magnitude => {
            let costs: Vec<T> = before.iter().map(|w| relfisher_core::Real::abs(*w)).collect();
            let new = mask.remove_cheapest(network, &costs, choice)?;
            new.iter().for_each(|q| values[*q] = T::ZERO);
            Ok(Pruned { values, removed: new.len(), predicted: None })
        }
        Method::Obd => {
            let diagonal = diagonals(problem, Matrix::Ggn, options.memory)?.concat();
            let mut costs = vec![T::ZERO; before.len()];
            diagonal_saliency(&mut costs, before, &diagonal).context("obd")?;
            let new = mask.remove_cheapest(network, &costs, choice)?;
            new.iter().for_each(|q| values[*q] = T::ZERO);
            // Not `sum`, which is −0 where nothing goes.
            let predicted = new.iter().fold(0.0, |sum, q| sum + costs[*q].to_f64());
            Ok(Pruned { values, removed: new.len(), predicted: Some(predicted) })
        }
        Method::ObsKfac => obs_kfac(problem, mask, choice, options),
        Method::WoodFisher => {
            let mut fisher = WoodFisher::measure(problem, options)?;
            fisher.remove(&mut values, mask.kept().iter().map(|kept| !kept))?;
            let costs = fisher.costs(&values, mask)?;
            let new = mask.remove_cheapest(network, &costs, choice)?;
            let mut gone = vec![false; values.len()];
            new.iter().for_each(|q| gone[*q] = true);
            let predicted = fisher.remove(&mut values, gone.into_iter())?;
            Ok(Pruned { values, removed: new.len(), predicted: Some(predicted) })
        }
    }
}

/// Refuses what does not fit, before anything is computed.
fn check_memory<T: Scalar>(problem: &Problem<'_, T>, options: &Options) -> Result<(), Error> {
    let known = |name: &str| -> Result<usize, Error> {
        let quantities: [Quantity; 1] = [name.parse()?];
        let memory = options.memory;
        let request = Request { quantities: &quantities, dampings: &[], vectors: None, memory };
        Ok(usize::try_from(required_bytes(problem, &request)).unwrap_or(usize::MAX))
    };
    let (needed, instead) = match options.method {
        Method::Magnitude => return Ok(()),
        Method::Obd => (known("ggn_diag")?, "use magnitude, or fewer --samples"),
        Method::ObsKfac => {
            let largest = problem.network.blocks().iter().map(Block::len).max().unwrap_or(0);
            let own = largest.saturating_mul(10 * size_of::<T>());
            (known("kfac_type2")?.saturating_mul(2).saturating_add(own), "use obd or magnitude")
        }
        Method::WoodFisher => {
            let elements = WoodFisher::required_len(problem, options);
            (elements.saturating_mul(size_of::<T>()), "use a smaller --block")
        }
    };
    options.memory.check(options.method.name(), needed, 1, instead)
}

/// A layer's factors with their damping in them.
struct Damped<T> {
    g: Vec<T>,
    a: Vec<T>,
    /// `[G⁻¹]_ii` and `[A⁻¹]_jj`.
    inverse: (Vec<T>, Vec<T>),
}

impl<T: Scalar> Damped<T> {
    fn new(
        exec: &dyn Executor<T>,
        block: &Block,
        factors: &KroneckerFactors<T>,
        damping: f64,
    ) -> Result<Self, Error> {
        let (m, d, lambda) = (block.rows, block.cols, T::from_f64(damping));
        let (mut g, mut a) = (factors.g.clone(), factors.a.clone());
        let views = (MatRef::new(&g, m, m)?, MatRef::new(&a, d, d)?);
        let split =
            kron::split_damping(views.0, views.1, lambda, Damping::Pi).context(&block.name)?;
        let mut inverses: Vec<Vec<T>> = Vec::new();
        for (x, n, damping) in [(&mut g, m, split.g), (&mut a, d, split.a)] {
            x.iter_mut().step_by(n + 1).for_each(|x| *x += damping);
            let (mut inverse, mut work) = (x.clone(), vec![T::ZERO; spd_inverse_workspace_len(n)]);
            let view = MatMut::new(&mut inverse, n, n)?;
            exec.spd_inverse(view, T::ZERO, &mut work).context(&block.name)?;
            inverses.push(inverse.into_iter().step_by(n + 1).collect());
        }
        let inverse_a = inverses.pop().unwrap_or_default();
        let inverse_g = inverses.pop().unwrap_or_default();
        Ok(Self { g, a, inverse: (inverse_g, inverse_a) })
    }
}

/// Costs from [G⁻¹ ⊗ A⁻¹]_qq, then the joint step of every layer over its kept weights.
fn obs_kfac<T: Scalar>(
    problem: &Problem<'_, T>,
    mask: &mut Mask,
    choice: (f64, super::Scope),
    options: &Options,
) -> Result<Pruned<T>, Error> {
    let (network, exec) = (problem.network, problem.executor);
    let before = &problem.parameters.values;
    let factors = kronecker_factors(problem, Columns::Type2, Sharing::Expand)?;
    let mut damped = Vec::with_capacity(factors.len());
    let mut costs = vec![T::INFINITY; before.len()];
    for (block, factors) in network.blocks().iter().zip(&factors) {
        let Some(factors) = factors else {
            damped.push(None);
            continue;
        };
        let layer = Damped::new(exec, block, factors, options.damping)?;
        let (g, a) = &layer.inverse;
        let inverse: Vec<T> = g.iter().flat_map(|g| a.iter().map(|a| *g * *a)).collect();
        inverse_saliency(&mut costs[block.range()], &before[block.range()], &inverse)
            .context(&block.name)?;
        damped.push(Some(layer));
    }
    let new = mask.remove_cheapest(network, &costs, choice)?;
    let (mut values, mut predicted) = (before.clone(), 0.0);
    for (block, layer) in network.blocks().iter().zip(&damped) {
        let Some(layer) = layer else { continue };
        let (m, d, range) = (block.rows, block.cols, block.range());
        let kept: Vec<T> =
            mask.kept()[range.clone()].iter().map(|k| if *k { T::ONE } else { T::ZERO }).collect();
        let factors = (MatRef::new(&layer.g, m, m)?, MatRef::new(&layer.a, d, d)?);
        let mut work = vec![T::ZERO; kron_compensate_workspace_len(m, d)];
        let (w, kept) = (MatMut::new(&mut values[range.clone()], m, d)?, MatRef::new(&kept, m, d)?);
        kron_compensate(exec, w, kept, factors, T::ZERO, CompensateOptions::default(), &mut work)
            .context(&block.name)?;
        let moved = values[range.clone()].iter().zip(&before[range]);
        let moved: Vec<T> = moved.map(|(w, old)| *w - *old).collect();
        let mut work = vec![T::ZERO; kron::quadratic_form_workspace_len(m, d)];
        let moved = MatRef::new(&moved, m, d)?;
        let form = kron::quadratic_form(exec, factors.0, factors.1, moved, &mut work)?;
        predicted += 0.5 * form.to_f64();
    }
    Ok(Pruned { values, removed: new.len(), predicted: Some(predicted) })
}
