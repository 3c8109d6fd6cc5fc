//! Curvature of a perceptron on one batch: the stages of a Kronecker-factored step.

use relfisher::curvature::{
    Columns, Eigenbasis, FactorScratch, KroneckerFactors, ScaleScratch, Site,
};
use relfisher::executor::Cpu;
use relfisher::network::{
    Cotangents, Loss, Mode, Network, Normalisation, OutputCurvature, Parameters, Tape, Targets,
};
use relfisher::random;
use relfisher_core::curvature::Sharing;
use relfisher_core::kron::{
    self, Damping, KronCholesky, kron_cholesky_solve_workspace_len, split_damping,
};
use relfisher_core::metric::neuron::Activation;
use relfisher_core::{MatMut, MatRef};

use crate::{Random, sizes};

/// λ of the damped steps.
const DAMPING: f32 = 1e-2;

/// A network with one batch, its gradient and the factors of every layer.
pub struct Case {
    network: Network<f32>,
    parameters: Parameters<f32>,
    tape: Tape<f32>,
    labels: Vec<usize>,
    gradient: Vec<f32>,
    one: Cotangents<f32>,
    all: Cotangents<f32>,
    factors: Vec<KroneckerFactors<f32>>,
    bases: Vec<Eigenbasis<f32>>,
    /// What a step works in: damped factors, the step, scratch.
    damped: Vec<KroneckerFactors<f32>>,
    step: Vec<f32>,
    work: Vec<f32>,
    scratch: FactorScratch<f32>,
    turns: ScaleScratch<f32>,
    state: OutputCurvature<f32>,
}

impl Case {
    /// The network of `size`, after a forward and a backward pass of a random batch.
    ///
    /// # Panics
    /// When a size of `sizes.toml` is no network.
    #[must_use]
    pub fn new(size: &sizes::Curvature, cpu: &Cpu) -> Self {
        let relu = Activation::Relu { leak: 0.0 };
        let loss = Loss::SoftmaxCrossEntropy;
        let network = Network::mlp(&size.widths, relu, Normalisation::Plain, loss);
        let network: Network<f32> = network.expect("a network");
        let parameters = network.init(&mut random::stream(1, 0, "bench"));
        let (n, mut random) = (size.batch, Random::new(9));
        let inputs = random.uniforms(n * network.inputs(), 0.0, 1.0);
        let classes = network.outputs() as f64;
        let labels = (0..n).map(|_| (random.unit() * classes) as usize).collect();
        let factors: Vec<_> = network
            .blocks()
            .iter()
            .map(|block| KroneckerFactors {
                a: vec![f32::NAN; block.cols * block.cols],
                g: vec![f32::NAN; block.rows * block.rows],
            })
            .collect();
        let count = network.parameter_count();
        let mut case = Self {
            tape: Tape::new(&network, n),
            labels,
            gradient: vec![f32::NAN; count],
            one: Cotangents::new(&network, n, 1),
            all: Cotangents::new(&network, n, Columns::<f32>::Type2.count(&network)),
            damped: factors.clone(),
            factors,
            bases: Vec::new(),
            step: vec![f32::NAN; count],
            work: Vec::new(),
            scratch: FactorScratch::default(),
            turns: ScaleScratch::default(),
            state: OutputCurvature::default(),
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

    fn columns(&mut self, cpu: &Cpu, columns: Columns<'_, f32>, exact: bool) {
        let Self { network, parameters, tape, one, all, factors, scratch, .. } = self;
        let cotangents = if exact { all } else { one };
        columns.fill(cpu, network, (tape, 0), cotangents).expect("columns");
        network.pull_back(cpu, parameters, tape, cotangents, None).expect("back");
        let n = tape.batch();
        for (block, KroneckerFactors { a, g }) in factors.iter_mut().enumerate() {
            let (site, weights) = (Site { network, tape, block }, (0.0, 1.0));
            site.input_factor(cpu, (a, weights), Sharing::Expand, scratch).expect("A");
            let delta = (cotangents.block(block, n), n);
            site.output_factor(cpu, (g, weights), delta, Sharing::Expand, scratch).expect("G");
        }
    }

    /// The backward pass of one label a sample, and the factors A and G of every layer.
    pub fn labelled(&mut self, cpu: &Cpu) {
        let labels = self.labels.clone();
        self.columns(cpu, Columns::Labels(Targets::Classes(&labels)), false);
    }

    /// The backward pass of every column of the loss Hessian's root, and the factors.
    pub fn type2(&mut self, cpu: &Cpu) {
        self.columns(cpu, Columns::Type2, true);
    }

    /// The factors alone, of derivatives that are there already.
    ///
    /// # Panics
    /// When a product refuses its input.
    pub fn factors_only(&mut self, cpu: &Cpu) {
        let Self { network, tape, one, factors, scratch, .. } = self;
        let n = tape.batch();
        for (block, KroneckerFactors { a, g }) in factors.iter_mut().enumerate() {
            let (site, weights) = (Site { network, tape, block }, (0.0, 1.0));
            site.input_factor(cpu, (a, weights), Sharing::Expand, scratch).expect("A");
            let delta = (one.block(block, n), n);
            site.output_factor(cpu, (g, weights), delta, Sharing::Expand, scratch).expect("G");
        }
    }

    /// KFRA's averaged recursion, and A.
    ///
    /// # Panics
    /// When a product refuses its input.
    pub fn kfra(&mut self, cpu: &Cpu) {
        let Self { network, parameters, tape, factors, scratch, state, .. } = self;
        let (n, c) = (tape.batch(), network.outputs());
        let p = tape.probabilities();
        let mut root = vec![0.0; c * c];
        for s in 0..n {
            for i in 0..c {
                for j in 0..c {
                    let own = if i == j { p.at(s, i) } else { 0.0 };
                    root[i * c + j] += (own - p.at(s, i) * p.at(s, j)) / n as f32;
                }
            }
        }
        for (block, KroneckerFactors { a, .. }) in factors.iter_mut().enumerate() {
            let site = Site { network, tape, block };
            site.input_factor(cpu, (a, (0.0, 1.0)), Sharing::Expand, scratch).expect("A");
        }
        network
            .averaged_curvature(cpu, (parameters, tape), &root, state, &mut |block, h| {
                factors[block].g.copy_from_slice(h);
                Ok(())
            })
            .expect("recursion");
    }

    /// Damped Cholesky factors of every layer's A and G, and the step G⁻¹ ∇W̃ A⁻¹ with them.
    ///
    /// # Panics
    /// When a factor is not positive definite.
    pub fn precondition(&mut self, cpu: &Cpu) {
        for (i, block) in self.network.blocks().iter().enumerate() {
            let (m, d) = (block.rows, block.cols);
            let (from, to) = (&self.factors[i], &mut self.damped[i]);
            to.a.copy_from_slice(&from.a);
            to.g.copy_from_slice(&from.g);
            let mut solve = |step: &mut [f32], work: &mut Vec<f32>| {
                let (g, a) = (MatRef::new(&from.g, m, m)?, MatRef::new(&from.a, d, d)?);
                let split = split_damping(g, a, DAMPING, Damping::Pi)?;
                let (g, a) = (MatMut::new(&mut to.g, m, m)?, MatMut::new(&mut to.a, d, d)?);
                let factors = KronCholesky::factor(cpu, g, a, split)?;
                work.resize(work.len().max(kron_cholesky_solve_workspace_len(m, d)), 0.0);
                factors.solve(cpu, MatMut::new(step, m, d)?, work)
            };
            let step = &mut self.step[block.range()];
            step.copy_from_slice(&self.gradient[block.range()]);
            solve(step, &mut self.work).expect("positive definite factors");
        }
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
            let weights = (0.0, 1.0 / n as f32);
            basis.measure(cpu, site, one.block(block, n), weights, turns).expect("scale");
        }
    }

    /// Panics unless the step solves the damped system of the first layer: (G + γI) S (A + δI) = ∇W̃.
    ///
    /// # Panics
    /// When it does not.
    pub fn check(&self, cpu: &Cpu) {
        let block = &self.network.blocks()[0];
        let (m, d) = (block.rows, block.cols);
        let split_of = |f: &KroneckerFactors<f32>| -> Result<_, relfisher_core::Error> {
            let (g, a) = (MatRef::new(&f.g, m, m)?, MatRef::new(&f.a, d, d)?);
            split_damping(g, a, DAMPING, Damping::Pi)
        };
        let mut damped = self.factors[0].clone();
        let split = split_of(&damped).expect("damping");
        (0..m).for_each(|i| damped.g[i * m + i] += split.g);
        (0..d).for_each(|i| damped.a[i * d + i] += split.a);
        let g = MatRef::new(&damped.g, m, m).expect("G");
        let a = MatRef::new(&damped.a, d, d).expect("A");
        let mut back = vec![f32::NAN; m * d];
        let mut work = vec![f32::NAN; kron::apply_workspace_len(m, d)];
        let step = MatRef::new(&self.step, m, d).expect("the step");
        let out = MatMut::new(&mut back, m, d).expect("shape");
        kron::apply(cpu, out, g, a, step, &mut work).expect("product");
        crate::assert_near("damped Kronecker step", &back, &self.gradient[block.range()], 2e-3);
    }

    /// FLOPs of [`Case::factors_only`] and [`Case::precondition`]: lower triangles of the Gram
    /// matrices, n³/3 for a Cholesky factor, 2 for each element of a factor and right side.
    #[must_use]
    pub fn flops(&self) -> u64 {
        let n = self.tape.batch();
        let blocks = self.network.blocks().iter().map(|b| {
            let (m, d) = (b.rows, b.cols);
            let grams = n * (d * (d + 1) + m * (m + 1));
            let cholesky = (d * d * d + m * m * m) / 3;
            grams + cholesky + 2 * m * d * (m + d)
        });
        blocks.sum::<usize>() as u64
    }
}
