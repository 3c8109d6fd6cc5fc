//! Curvature of a perceptron on one batch: the stages of a Kronecker-factored step.

use relfisher::Scalar;
use relfisher::curvature::{
    Columns, Eigenbasis, FactorScratch, KroneckerFactors, ScaleScratch, Site,
};
use relfisher::executor::Cpu;
use relfisher::network::{
    Cotangents, Loss, Mode, Network, Normalisation, Parameters, Tape, Targets,
};
use relfisher::optimizer::{
    Batch, Kfac, KfacConfig, KroneckerKind, LabelsConfig, Preconditioner, State,
};
use relfisher::random::{self, Rng};
use relfisher_core::curvature::Sharing;
use relfisher_core::metric::neuron::Activation;

use crate::plain::{Basis, Factors, Outputs, Plain, close, wide};
use crate::{Random, dense, sizes};

/// λ of the damped steps.
const DAMPING: f64 = 1e-2;

/// A member of the K-FAC family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// K-FAC with the derivatives of the training's own backward pass.
    Given,
    /// K-FAC with a label drawn from the model.
    Sampled,
    /// Type-2: the exact root of the loss Hessian.
    Exact,
    /// KFRA.
    Averaged,
    /// EKFAC with a label drawn from the model.
    Corrected,
}

impl Member {
    /// Every one, in the order of its number.
    pub const ALL: [Self; 5] =
        [Self::Given, Self::Sampled, Self::Exact, Self::Averaged, Self::Corrected];

    /// The quantity that it is measured as.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Given => "K-FAC step, derivatives given",
            Self::Sampled => "K-FAC step, passes included",
            Self::Exact => "type-2 step, passes included",
            Self::Averaged => "KFRA step, passes included",
            Self::Corrected => "EKFAC step, passes included",
        }
    }

    fn curvature<T: Scalar>(self, network: &Network<T>) -> Kfac<T> {
        let (kind, labels) = match self {
            Self::Given => (KroneckerKind::Kfac, Some(LabelsConfig::Empirical)),
            Self::Sampled => (KroneckerKind::Kfac, Some(LabelsConfig::Mc)),
            Self::Exact => (KroneckerKind::Kflr, None),
            Self::Averaged => (KroneckerKind::Kfra, None),
            Self::Corrected => (KroneckerKind::Ekfac, Some(LabelsConfig::Mc)),
        };
        let once = KfacConfig { refresh: 1, factor_every: 1, decay: 0.0, ..KfacConfig::default() };
        Kfac::new(kind, &KfacConfig { labels, damping: DAMPING, ..once }, network)
    }
}

/// A network with one batch, its gradient and the factors of every layer.
pub struct Case<T: Scalar> {
    network: Network<T>,
    parameters: Parameters<T>,
    tape: Tape<T>,
    labels: Vec<usize>,
    gradient: Vec<T>,
    one: Cotangents<T>,
    factors: Vec<KroneckerFactors<T>>,
    bases: Vec<Eigenbasis<T>>,
    /// The curvature of every [`Member`], and its step.
    family: [Option<Kfac<T>>; 5],
    step: Vec<T>,
    /// Draws labels, and as it stood before the last step.
    rng: Rng,
    drawn: Rng,
    scratch: FactorScratch<T>,
    turns: ScaleScratch<T>,
}

impl<T: Scalar> Case<T> {
    /// The network of `size`, after a forward and a backward pass of a random batch.
    ///
    /// # Panics
    /// When a size of `sizes.toml` is no network.
    #[must_use]
    pub fn new(size: &sizes::Curvature, cpu: &Cpu) -> Self {
        let relu = Activation::Relu { leak: 0.0 };
        let loss = Loss::SoftmaxCrossEntropy;
        let network = Network::mlp(&size.widths, relu, Normalisation::Plain, loss);
        let network: Network<T> = network.expect("a network");
        let parameters = network.init(&mut random::stream(1, 0, "bench"));
        let (n, mut random) = (size.batch, Random::new(9));
        let inputs = random.numbers(n * network.inputs(), 0.0, 1.0);
        let classes = network.outputs() as f64;
        let labels = (0..n).map(|_| (random.unit() * classes) as usize).collect();
        let factors: Vec<_> = network
            .blocks()
            .iter()
            .map(|block| KroneckerFactors {
                a: vec![T::NAN; block.cols * block.cols],
                g: vec![T::NAN; block.rows * block.rows],
            })
            .collect();
        let count = network.parameter_count();
        let mut case = Self {
            tape: Tape::new(&network, n),
            labels,
            gradient: vec![T::NAN; count],
            one: Cotangents::new(&network, n, 1),
            rng: random::stream(2, 0, "labels"),
            drawn: random::stream(2, 0, "labels"),
            family: [const { None }; 5],
            factors,
            bases: Vec::new(),
            step: vec![T::NAN; count],
            scratch: FactorScratch::default(),
            turns: ScaleScratch::default(),
            network,
            parameters,
        };
        case.tape.set_batch(n).expect("the batch");
        let mut rows = case.tape.input_mut();
        for (s, input) in inputs.chunks_exact(case.network.inputs()).enumerate() {
            rows.row_mut(s).copy_from_slice(input);
        }
        case.passes(cpu);
        case.labelled(cpu);
        case.bases = (case.network.blocks().iter().zip(&case.factors))
            .map(|(block, factors)| Eigenbasis::new(cpu, block, factors).expect("eigenbases"))
            .collect();
        case
    }

    /// Forward, loss, backward.
    ///
    /// # Panics
    /// When a pass refuses its input.
    pub fn passes(&mut self, cpu: &Cpu) {
        let Self { network, parameters, tape, .. } = self;
        network.forward(cpu, parameters, Mode::Train, tape).expect("forward");
        network.loss(cpu, tape, &Targets::Classes(&self.labels)).expect("loss");
        network.backward(cpu, parameters, tape, Some(&mut self.gradient)).expect("backward");
    }

    /// The backward pass of one label a sample, and the factors A and G of every layer.
    ///
    /// # Panics
    /// When a pass refuses its input.
    pub fn labelled(&mut self, cpu: &Cpu) {
        let Self { network, parameters, tape, labels, one, .. } = self;
        let columns = Columns::Labels(Targets::Classes(labels));
        columns.fill(cpu, network, (tape, 0), one).expect("columns");
        network.pull_back(cpu, parameters, tape, one, None).expect("back");
        self.factors_only(cpu);
    }

    /// The factors alone, of derivatives that are there already.
    ///
    /// # Panics
    /// When a product refuses its input.
    pub fn factors_only(&mut self, cpu: &Cpu) {
        let Self { network, tape, one, factors, scratch, .. } = self;
        let n = tape.batch();
        for (block, KroneckerFactors { a, g }) in factors.iter_mut().enumerate() {
            let (site, weights) = (Site { network, tape, block }, (T::ZERO, T::ONE));
            site.input_factor(cpu, (a, weights), Sharing::Expand, scratch).expect("A");
            let delta = (one.block(block, n), n);
            site.output_factor(cpu, (g, weights), delta, Sharing::Expand, scratch).expect("G");
        }
    }

    /// Curvature and step of one member of the family, from factors of this batch alone, as its
    /// optimiser does: the derivatives that it needs, A and G of every layer, their damped Cholesky
    /// factors, G⁻¹ ∇W̃ A⁻¹.
    ///
    /// # Panics
    /// When a factor is not positive definite.
    pub fn step(&mut self, cpu: &Cpu, member: Member) {
        let Self { network, parameters, tape, rng, drawn, family, gradient, step, .. } = self;
        drawn.clone_from(rng);
        let kept = &mut family[member as usize];
        let curvature = kept.get_or_insert_with(|| member.curvature(network));
        let batch = Batch { executor: cpu, network, parameters, tape, rng };
        curvature.update(batch).expect("positive definite factors");
        curvature.precondition(cpu, gradient, step).expect("a step");
    }

    /// The step alone, with the factors of the last [`Case::step`] of the member.
    ///
    /// # Panics
    /// Before that.
    pub fn precondition(&mut self, cpu: &Cpu, member: Member) {
        let Self { family, gradient, step, .. } = self;
        let curvature = family[member as usize].as_mut().expect("a step before");
        curvature.precondition(cpu, gradient, step).expect("a step");
    }

    /// EKFAC's scale of one label a sample in the present eigenbases, after [`Case::labelled`].
    ///
    /// # Panics
    /// When a product refuses its input.
    pub fn correction(&mut self, cpu: &Cpu) {
        let Self { network, tape, one, bases, turns, .. } = self;
        let n = tape.batch();
        for (block, basis) in bases.iter_mut().enumerate() {
            let site = Site { network, tape, block };
            let weights = (T::ZERO, T::ONE / T::from_usize(n));
            basis.measure(cpu, site, one.block(block, n), weights, turns).expect("scale");
        }
    }

    /// Whether the last step, of `member`, is right: the gradient and every layer's A and G are those of
    /// plain f64 sums over the batch, and (G + γI) S (A + δI) = ∇W̃; of EKFAC, the bases are orthogonal
    /// and diagonalise A and G, and scale and step are those of their definitions.
    ///
    /// # Errors
    /// When it is not.
    ///
    /// # Panics
    /// Before a step.
    pub fn check(&self, member: Member) -> Result<(), String> {
        let Self { network, parameters, tape, gradient, step, .. } = self;
        let plain = Plain::forward(network, &parameters.values, tape)?;
        let given = plain.back(plain.deltas(&self.labels));
        let gradient = wide(gradient);
        close::<T>("gradient", &gradient, &plain.gradient(&given), 1e4)?;
        let deltas = match member {
            Member::Given => Some(given),
            Member::Sampled | Member::Corrected => {
                let labels = plain.drawn(network, tape, &self.drawn)?;
                Some(plain.back(plain.deltas(&labels)))
            }
            Member::Exact => Some(plain.back(plain.root())),
            Member::Averaged => None,
        };
        let outputs = deltas.map_or_else(|| plain.averaged(), Outputs::Deltas);
        let curvature = self.family[member as usize].as_ref().expect("a step before");
        if member != Member::Corrected {
            let factors = |k| curvature.factors(k);
            return plain.check_kfac(factors, &outputs, DAMPING, (step, &gradient));
        }
        self.check_corrected(&plain, &outputs, &gradient)
    }

    /// EKFAC's part of [`Case::check`].
    fn check_corrected(
        &self,
        plain: &Plain,
        outputs: &Outputs,
        gradient: &[f64],
    ) -> Result<(), String> {
        let curvature = self.family[Member::Corrected as usize].as_ref().expect("a step before");
        let (step, mut state) = (wide(&self.step), State::new());
        curvature.save(&mut state);
        for (k, (block, layer)) in self.network.blocks().iter().zip(&plain.layers).enumerate() {
            let (a, g) = curvature.factors(k).ok_or("a layer without factors")?;
            let found = Factors { a, g };
            plain.check_factors(k, found, outputs, None)?;
            let saved = |what: &str, len: usize| {
                let name = format!("{}.{what}.{}", curvature.name(), block.name);
                state.tensor(&name, len).map(wide).map_err(|e| e.to_string())
            };
            let basis = Basis {
                a: saved("a_basis", a.len())?,
                g: saved("g_basis", g.len())?,
                scale: saved("scale", layer.m * layer.d)?,
            };
            basis.check_bases(k, found)?;
            if let Outputs::Deltas(deltas) = outputs {
                basis.check_scale::<T>(k, layer, &deltas[k])?;
            }
            let pair = (&step[layer.range.clone()], &gradient[layer.range.clone()]);
            basis.check_step::<T>(k, (layer.m, layer.d), DAMPING, pair)?;
        }
        Ok(())
    }

    /// m and d̃ of every layer.
    fn shapes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.network.blocks().iter().map(|b| (b.rows, b.cols))
    }

    /// The numbers of parameters.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.gradient.len()
    }

    /// FLOPs of [`Case::passes`]: a product forward, one for the gradient, and above the first layer
    /// one backward.
    #[must_use]
    pub fn pass_flops(&self) -> u64 {
        let (n, products) = (self.tape.batch(), |(k, (m, d)): (usize, (usize, usize))| {
            2 * m * d * if k == 0 { 2 } else { 3 }
        });
        (n * self.shapes().enumerate().map(products).sum::<usize>()) as u64
    }

    /// FLOPs of [`Case::step`]: lower triangles of the Gram matrices, n³/3 for a Cholesky factor, 2 for
    /// each element of a factor and right side; and by member what is sent back through the network
    /// (a column: a product above the first layer), KFRA's Wᵀ G W, EKFAC's eigenvectors (9 n³), turned
    /// derivatives and squares.
    #[must_use]
    pub fn flops(&self, member: Member) -> u64 {
        let n = self.tape.batch();
        let columns = match member {
            Member::Given | Member::Averaged => 0,
            Member::Sampled | Member::Corrected => 1,
            Member::Exact => self.network.outputs(),
        };
        let layer = |(k, (m, d)): (usize, (usize, usize))| {
            let back = if k == 0 { 0 } else { 2 * n * m * d };
            let output = match member {
                Member::Averaged => 2 * m * m * d + 2 * m * d * d,
                _ => columns.max(1) * n * m * (m + 1),
            };
            let cubes = d * d * d + m * m * m;
            let applied = match member {
                Member::Corrected => {
                    9 * cubes + 2 * n * (m * m + d * d + m * d) + 4 * m * d * (m + d)
                }
                _ => cubes / 3 + 2 * m * d * (m + d),
            };
            n * d * (d + 1) + output + columns * back + applied
        };
        self.shapes().enumerate().map(layer).sum::<usize>() as u64
    }

    /// Elements that [`Case::step`] holds: averages and factors of A and G, the columns of
    /// derivatives, the step's two squares of scratch, EKFAC's scale and what its decompositions work in.
    #[must_use]
    pub fn elements(&self, member: Member) -> usize {
        let (n, squares) = (self.tape.batch(), |(m, d): (usize, usize)| m * m + d * d);
        let kept: usize = self.shapes().map(squares).sum();
        let widest = self.shapes().map(|(m, d)| m.max(d)).max().unwrap_or(0);
        let derivatives: usize = self.shapes().map(|(m, _)| n * m).sum();
        let own = match member {
            Member::Given => 0,
            Member::Sampled => derivatives,
            Member::Exact => derivatives * self.network.outputs(),
            Member::Averaged => widest * widest,
            Member::Corrected => {
                let stack = dense::eigen_scratch_bytes::<T>(widest, dense::par(1));
                let stack = stack as usize / size_of::<T>();
                derivatives + self.parameter_count() + 2 * n * widest + kept + stack
            }
        };
        2 * kept + own + 2 * widest * widest + self.parameter_count()
    }
}

#[cfg(test)]
mod tests {
    use relfisher::Scalar;
    use relfisher::executor::Cpu;

    use super::{Case, Member};
    use crate::sizes;

    fn small<T: Scalar>() -> (Case<T>, Cpu) {
        let size =
            sizes::Curvature { widths: vec![11, 8, 6, 4], batch: 13, ..sizes::load().curvature };
        let cpu = Cpu::new(Some(1)).expect("a thread");
        (Case::new(&size, &cpu), cpu)
    }

    #[test]
    fn right_steps_are_right() {
        fn of<T: Scalar>() {
            let (mut case, cpu) = small::<T>();
            for member in Member::ALL {
                case.step(&cpu, member);
                assert_eq!(case.check(member), Ok(()), "{member:?}");
            }
        }
        of::<f32>();
        of::<f64>();
    }

    #[test]
    fn wrong_steps_are_found() {
        for member in Member::ALL {
            let (mut case, cpu) = small::<f64>();
            case.step(&cpu, member);
            // one element of the last layer
            let last = case.step.len() - 1;
            case.step[last] *= 1.0 + 1e-6;
            let words = case.check(member).expect_err(member.title());
            assert!(words.contains("step of layer 2"), "{words}");
            case.gradient[0] += 1e-6;
            let words = case.check(member).expect_err(member.title());
            assert!(words.contains("gradient"), "{words}");
        }
    }

    #[test]
    fn factors_of_other_derivatives_are_found() {
        // of other labels than were drawn
        for member in [Member::Sampled, Member::Corrected] {
            let (mut case, cpu) = small::<f32>();
            case.step(&cpu, member);
            case.drawn = case.rng.clone();
            let words = case.check(member).expect_err(member.title());
            assert!(words.contains("G of layer 0"), "{words}");
        }
        // of another member
        let (mut case, cpu) = small::<f32>();
        case.step(&cpu, Member::Averaged);
        case.family.swap(Member::Averaged as usize, Member::Exact as usize);
        let words = case.check(Member::Exact).expect_err("the factors of KFRA");
        assert!(words.contains("G of layer"), "{words}");
    }
}
