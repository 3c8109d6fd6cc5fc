//! Inputs of the metric benchmarks, checked before they are timed.

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::metric::cost::Construction;
use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric, SoftmaxMetric};
use relfisher_core::metric::route;
use relfisher_core::metric::route::conjugate_gradient::{self, Options};
use relfisher_core::{Backend, Error, MatMut, MatRef, factor};

use crate::sizes::{Metric, Routes};
use crate::{Random, assert_near};

/// The products with the metric that conjugate gradients take to solve this very system: how many,
/// depends on its spectrum, so they are counted before a call is timed.
///
/// # Errors
/// Those of the solve.
pub fn products<T: Scalar>(
    cpu: &Cpu,
    metric: &SoftmaxMetric<'_, T>,
    g: MatRef<'_, T>,
    damping: T,
    options: Options<T>,
) -> Result<usize, Error> {
    let (c, d) = (g.rows(), g.cols());
    let len = conjugate_gradient::workspace_len(c, d, metric.multiply_workspace_len());
    let (mut out, mut work) = (vec![T::NAN; c * d], vec![T::NAN; len]);
    let out = MatMut::new(&mut out, c, d)?;
    conjugate_gradient::solve(cpu, out, metric, g, damping, options, &mut work)
}

/// x̃ (n × d̃, trailing 1), ν (n × m) and a place for the packed blocks.
#[derive(Clone, Debug)]
pub struct Case {
    /// The shapes.
    pub size: Metric,
    /// x̃.
    pub x: Vec<f32>,
    /// ν.
    pub nu: Vec<f32>,
    /// The blocks.
    pub blocks: Vec<f32>,
}

impl Case {
    /// Random inputs.
    #[must_use]
    pub fn new(size: Metric) -> Self {
        let mut random = Random::new(1);
        let mut x = random.uniforms(size.samples * size.inputs, -1.0, 1.0);
        x.iter_mut().skip(size.inputs - 1).step_by(size.inputs).for_each(|x| *x = 1.0);
        let nu = random.uniforms(size.samples * size.neurons, 0.0, 1.0);
        Self { size, x, nu, blocks: vec![f32::NAN; size.packed_len()] }
    }

    /// x̃ and ν.
    ///
    /// # Panics
    /// Never: the shapes are those of [`Case::new`].
    #[must_use]
    pub fn views(&self) -> (MatRef<'_, f32>, MatRef<'_, f32>) {
        let s = self.size;
        let x = MatRef::new(&self.x, s.samples, s.inputs).expect("shape");
        (x, MatRef::new(&self.nu, s.samples, s.neurons).expect("shape"))
    }

    /// Builds the blocks.
    ///
    /// # Panics
    /// Never: the shapes are those of [`Case::new`].
    pub fn build(&mut self, cpu: &Cpu, how: Option<Construction>) {
        let s = self.size;
        let x = MatRef::new(&self.x, s.samples, s.inputs).expect("shape");
        let nu = MatRef::new(&self.nu, s.samples, s.neurons).expect("shape");
        let width = s.inputs * (s.inputs + 1) / 2;
        let out = MatMut::new(&mut self.blocks, s.neurons, width).expect("shape");
        let mean = 1.0 / s.samples as f32;
        cpu.packed_grams_by(out, (0.0, mean), x, nu, how).expect("shapes");
    }

    /// Damps and inverts the blocks.
    ///
    /// # Panics
    /// When a block is not positive definite.
    pub fn invert(&mut self, cpu: &Cpu, damping: f32) {
        let (m, d) = (self.size.neurons, self.size.inputs);
        let out = MatMut::new(&mut self.blocks, m, d * (d + 1) / 2).expect("shape");
        cpu.packed_inverse(out, d, damping, &mut []).expect("definite");
    }

    /// Checks some hundred elements of the blocks against sums in f64.
    ///
    /// # Panics
    /// When one is wrong.
    pub fn check(&self, label: &str) {
        let (x, nu) = self.views();
        let pairs = sampled(&self.blocks, x, nu).into_iter();
        let (got, want): (Vec<f32>, Vec<f32>) = pairs.map(|(g, w)| (g, w as f32)).unzip();
        assert_near(label, &got, &want, 1e-5);
    }
}

/// Some hundred elements of packed blocks, each beside the sum in f64 that it should be; the bias row
/// and the diagonal among them.
#[must_use]
pub fn sampled<T: Scalar>(blocks: &[T], x: MatRef<'_, T>, nu: MatRef<'_, T>) -> Vec<(T, f64)> {
    let (n, d, m) = (x.rows(), x.cols(), nu.cols());
    let mut random = Random::new(2);
    let mut pick = |end: usize| (random.unit() * end as f64) as usize;
    let element = |k: usize| {
        let (i, a) = (pick(m), if k < 20 { d - 1 } else { pick(d) });
        let b = if k < 10 { a } else { pick(a + 1) };
        let term = |s: usize| nu.at(s, i).to_f64() * x.at(s, a).to_f64() * x.at(s, b).to_f64();
        let got = blocks[i * (d * (d + 1) / 2) + a * (a + 1) / 2 + b];
        (got, (0..n).map(term).sum::<f64>() / n as f64)
    };
    (0..400).map(element).collect()
}

/// One damped step G ← (Ḡ + λI)⁻¹ G by two routes.
#[derive(Debug)]
pub struct Steps {
    case: Case,
    gradient: Vec<f32>,
    out: Vec<f32>,
    work: Vec<f32>,
    damping: f32,
}

impl Steps {
    /// Random inputs.
    #[must_use]
    pub fn new(size: &Routes) -> Self {
        let Routes { neurons, inputs, samples, damping, .. } = *size;
        let case =
            Case::new(Metric { neurons, inputs, samples, share: 0.0, kernel: Default::default() });
        let gradient = Random::new(3).uniforms(neurons * inputs, -1.0, 1.0);
        let block = factor::packed_inverse_workspace_len(inputs);
        let work = route::sample::workspace_len(samples, neurons, inputs).max(block);
        Self { case, out: gradient.clone(), gradient, work: vec![f32::NAN; work], damping }
    }

    /// By the sample space.
    ///
    /// # Panics
    /// Never: the shapes are those of [`Steps::new`].
    pub fn sample(&mut self, cpu: &Cpu) -> &[f32] {
        let (x, nu) = self.case.views();
        let (m, d) = (nu.cols(), x.cols());
        let metric = NonlinearMetric::new(x, nu).expect("shapes");
        let out = MatMut::new(&mut self.out, m, d).expect("shape");
        let gradient = MatRef::new(&self.gradient, m, d).expect("shape");
        route::sample::solve(cpu, out, &metric, gradient, self.damping, &mut self.work)
            .expect("definite");
        &self.out
    }

    /// By packed block Cholesky: metric, factorisation and solve.
    ///
    /// # Panics
    /// Never: the shapes are those of [`Steps::new`].
    pub fn block(&mut self, cpu: &Cpu) -> &[f32] {
        self.case.build(cpu, None);
        let (m, d) = (self.case.size.neurons, self.case.size.inputs);
        let width = d * (d + 1) / 2;
        let blocks = MatMut::new(&mut self.case.blocks, m, width).expect("shape");
        cpu.packed_cholesky(blocks, d, self.damping).expect("definite");
        let factors = MatRef::new(&self.case.blocks, m, width).expect("shape");
        self.out.copy_from_slice(&self.gradient);
        let out = MatMut::new(&mut self.out, m, d).expect("shape");
        cpu.packed_cholesky_solve(out, factors).expect("finite");
        &self.out
    }
}
