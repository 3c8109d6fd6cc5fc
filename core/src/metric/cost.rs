//! The cost model: FLOPs and bytes of each route to the relative natural gradient, and of the three
//! constructions of the packed blocks; a pure function of the shapes.
//!
//! A count becomes a time by a rate and an efficiency: the share of the rate of a large matrix
//! product that the dominant operation reaches at this shape. The constants were fitted to
//! measurements of f32 on CPU cores with AVX-512 (docs/performance-notes.md); only their ratios
//! matter.

/// A way to the step `(Ḡ + λI)⁻¹ G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Packed (soft-max: dense) block Cholesky: [`super::route::block`].
    Block,
    /// Woodbury in the space of the samples: [`super::route::sample`].
    Sample,
    /// Matrix-free: [`super::route::conjugate_gradient`].
    ConjugateGradient,
    /// The approximation `N ⊗ A`: [`super::route::kronecker`].
    Kronecker,
}

impl Route {
    /// All routes.
    pub const ALL: [Route; 4] =
        [Route::Block, Route::Sample, Route::ConjugateGradient, Route::Kronecker];
}

/// The structure of the response metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// Independent neurons: one block a neuron.
    Nonlinear,
    /// Soft-max: one block for the layer.
    Softmax,
}

/// How the m packed blocks `(1/n) Σ_s ν_si x̃_s x̃_sᵀ` are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Construction {
    /// One product of ν with the pairwise products x̃_a x̃_b (a ≥ b), formed in chunks.
    PairProducts,
    /// For each row a of all triangles, one product of the weights ν_i x̃_a with x̃.
    WeightedRows,
    /// One triangular product for each neuron.
    PerNeuron,
}

impl Construction {
    /// All constructions; of equally good ones the first is chosen.
    pub const ALL: [Construction; 3] =
        [Construction::PairProducts, Construction::WeightedRows, Construction::PerNeuron];
}

/// What is to be solved, how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Problem {
    /// The structure of the metric.
    pub kind: LayerKind,
    /// m (soft-max: C).
    pub outputs: usize,
    /// d̃.
    pub inputs: usize,
    /// n, the samples that the metric averages over.
    pub samples: usize,
    /// T: a built metric serves this many steps (block and Kronecker routes).
    pub refresh: usize,
    /// The products that conjugate gradients are expected to need.
    pub iterations: usize,
    /// The size of an element.
    pub element_bytes: usize,
}

impl Problem {
    /// One solve (T = 1) in f32, conjugate gradients taking min(rank + 1, 60) products.
    /// ```
    /// use relfisher_core::metric::cost::{LayerKind, Problem};
    /// assert_eq!(Problem::new(LayerKind::Nonlinear, 80, 81, 50).iterations, 51);
    /// ```
    pub const fn new(kind: LayerKind, outputs: usize, inputs: usize, samples: usize) -> Self {
        let rank = match kind {
            LayerKind::Nonlinear => min(samples, inputs),
            LayerKind::Softmax => {
                let free = outputs.saturating_sub(1);
                min(samples.saturating_mul(free), inputs.saturating_mul(free))
            }
        };
        let iterations = min(rank.saturating_add(1), 60);
        Self { kind, outputs, inputs, samples, refresh: 1, iterations, element_bytes: 4 }
    }
}

const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

/// The cost of a step, the refresh of a kept metric counted 1/T.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes read and written, each large operand counted once an operation.
    pub bytes: f64,
    /// Bytes of state and workspace, beyond inputs and outputs.
    pub memory: f64,
    /// Operations divided by the efficiency that the route reaches at this shape.
    pub effective_flops: f64,
}

/// FLOPs that the machine does in the time in which it moves one byte: 200 GFLOP/s to 10 GB/s.
pub const FLOPS_PER_BYTE: f64 = 20.0;

/// Conjugate gradients must promise to be this much cheaper: their iteration count is a guess.
pub const ITERATION_MARGIN: f64 = 2.0;

/// The share of the rate of a large product that one with smallest dimension k reaches, k/(k + 16).
fn product_efficiency(k: f64) -> f64 {
    (k + 1.0) / (k + 17.0)
}

/// The share that a factorisation of order k reaches: half of it at k = 512, less below.
fn factor_efficiency(k: f64) -> f64 {
    0.8 * (k + 1.0) / (k + 385.0)
}

impl Cost {
    const ZERO: Cost = Cost { flops: 0.0, bytes: 0.0, memory: 0.0, effective_flops: 0.0 };

    fn add(&mut self, flops: f64, efficiency: f64, bytes: f64) {
        self.flops += flops;
        self.effective_flops += flops / efficiency;
        self.bytes += bytes;
    }

    /// The predicted time in units of one FLOP of a large product: arithmetic and traffic overlap.
    /// ```
    /// use relfisher_core::metric::cost::Cost;
    /// let bytes = Cost { flops: 1.0, bytes: 3.0, memory: 0.0, effective_flops: 2.0 };
    /// assert_eq!(bytes.time(), 60.0); // the traffic is what takes time
    /// ```
    pub fn time(&self) -> f64 {
        let traffic = self.bytes * FLOPS_PER_BYTE;
        if traffic > self.effective_flops { traffic } else { self.effective_flops }
    }

    fn scaled(self, by: f64) -> Cost {
        Cost {
            flops: self.flops * by,
            bytes: self.bytes * by,
            memory: self.memory,
            effective_flops: self.effective_flops * by,
        }
    }

    fn plus(self, other: Cost) -> Cost {
        Cost {
            flops: self.flops + other.flops,
            bytes: self.bytes + other.bytes,
            memory: self.memory + other.memory,
            effective_flops: self.effective_flops + other.effective_flops,
        }
    }
}

/// The share of the rate of a large product that a construction reaches, with p = d̃(d̃+1)/2:
/// - pair products (m/8⌈m/8⌉)(p/48⌈p/48⌉)/(1 + 5(1 + 16/d̃)/8⌈m/8⌉ + 5/n): groups of eight neurons,
///   panels of 48 pairs; the pairs are formed once for all neurons, in vectors that end with the
///   rows of the triangle; short sums;
/// - weighted rows (m/8⌈m/8⌉)/(1 + 40/d̃ + 10/n): rows that end inside a vector of a tile and
///   weights formed for each row; short sums;
/// - per neuron 1/(1.2 + 70/d̃ + 20/n): a triangle that is cut into tiles and copied, a call for
///   each neuron.
///
/// ```
/// use relfisher_core::metric::cost::{Construction, construction_efficiency};
/// assert!(construction_efficiency(Construction::PairProducts, 512, 513, 1024) > 0.9);
/// ```
pub fn construction_efficiency(how: Construction, m: usize, d: usize, n: usize) -> f64 {
    let groups = at_least_one(m.div_ceil(NEURON_GROUP)) * NEURON_GROUP as f64;
    let pairs = d.saturating_mul(d.saturating_add(1)) / 2;
    let panels = at_least_one(pairs.div_ceil(PAIR_PANEL)) * PAIR_PANEL as f64;
    let (m, d, n) = (at_least_one(m), at_least_one(d), at_least_one(n));
    match how {
        Construction::PairProducts => {
            let forming = PAIR_FORMING * (1.0 + PAIR_ROW / d) / groups;
            m / groups * (at_least_one(pairs) / panels) / (1.0 + forming + PAIR_SUMS / n)
        }
        Construction::WeightedRows => m / groups / (1.0 + ROW_ENDS / d + ROW_SUMS / n),
        Construction::PerNeuron => 1.0 / (NEURON_TILES + NEURON_ROW / d + NEURON_SUMS / n),
    }
}

/// Neurons of a register tile of pair products and weighted rows.
pub const NEURON_GROUP: usize = 8;
/// Pairs that pair products are formed for at once: three vectors of sixteen.
pub const PAIR_PANEL: usize = 48;
/// Neurons for which using a pair product costs as much as forming it.
pub const PAIR_FORMING: f64 = 5.0;
/// d̃ at which the ends of the rows of the triangle double the cost of forming.
pub const PAIR_ROW: f64 = 16.0;
/// Samples at which storing the sums of pair products costs as much as adding them.
pub const PAIR_SUMS: f64 = 5.0;
/// d̃ at which the ends of weighted rows, and their weights, cost as much as the rest.
pub const ROW_ENDS: f64 = 40.0;
/// Samples at which storing the sums of weighted rows costs as much as adding them.
pub const ROW_SUMS: f64 = 10.0;
/// The time of a large triangular product in tiles, in units of its share of a square one.
pub const NEURON_TILES: f64 = 1.2;
/// d̃ at which the tiles of a triangle, its copy and its call cost as much as its product.
pub const NEURON_ROW: f64 = 70.0;
/// Samples at which a thin panel costs a triangular product as much as its arithmetic.
pub const NEURON_SUMS: f64 = 20.0;

fn at_least_one(k: usize) -> f64 {
    if k == 0 { 1.0 } else { k as f64 }
}

/// The construction with the highest efficiency at this shape; all do m·n·d̃(d̃+1) FLOPs.
///
/// ```
/// use relfisher_core::metric::cost::{Construction, choose_construction};
/// assert_eq!(choose_construction(80, 81, 512), Construction::PairProducts);
/// assert_eq!(choose_construction(8, 785, 512), Construction::WeightedRows);
/// assert_eq!(choose_construction(3, 785, 512), Construction::PerNeuron);
/// ```
pub fn choose_construction(m: usize, d: usize, n: usize) -> Construction {
    let [mut best, others @ ..] = Construction::ALL;
    for how in others {
        if construction_efficiency(how, m, d, n) > construction_efficiency(best, m, d, n) {
            best = how;
        }
    }
    best
}

/// The cost of one step by a route.
/// ```
/// use relfisher_core::metric::cost::{LayerKind, Problem, Route, choose, cost};
/// let problem = Problem::new(LayerKind::Nonlinear, 80, 81, 50); // fewer samples than inputs
/// assert!(cost(&problem, Route::Sample).time() < cost(&problem, Route::Block).time());
/// assert_eq!(choose(&problem), Route::Sample);
/// ```
pub fn cost(problem: &Problem, route: Route) -> Cost {
    let (m, d, n) = (problem.outputs as f64, problem.inputs as f64, problem.samples as f64);
    let size = problem.element_bytes as f64;
    let share = 1.0 / at_least_one(problem.refresh);
    let small = smallest(m, d, n);
    match (route, problem.kind) {
        (Route::Block, LayerKind::Nonlinear) => {
            let packed = m * d * (d + 1.0) / 2.0;
            let how = choose_construction(problem.outputs, problem.inputs, problem.samples);
            let efficiency =
                construction_efficiency(how, problem.outputs, problem.inputs, problem.samples);
            let mut refresh = Cost::ZERO;
            refresh.add(2.0 * n * packed, efficiency, size * packed);
            refresh.add(m * d * d * d / 3.0, factor_efficiency(d), 2.0 * size * packed);
            let mut apply = Cost::ZERO;
            apply.add(2.0 * m * d * d, 0.1, 2.0 * size * packed);
            apply.memory = size * packed;
            refresh.scaled(share).plus(apply)
        }
        (Route::Block, LayerKind::Softmax) => {
            let full = m * d;
            let mut refresh = Cost::ZERO;
            refresh.add(
                n * m * (m + 1.0) * d * d,
                product_efficiency(d.min(n)),
                size * full * full,
            );
            let factor = full * full * full / 3.0;
            refresh.add(factor, factor_efficiency(full), 2.0 * size * full * full);
            let mut apply = Cost::ZERO;
            apply.add(2.0 * full * full, 0.1, size * full * full);
            apply.memory = size * (full * full + n * d);
            refresh.scaled(share).plus(apply)
        }
        (Route::Sample, LayerKind::Nonlinear) => {
            let mut c = products(m, d, n, small, size);
            c.add(2.0 * n * n * d, product_efficiency(d.min(n)), size * n * n);
            c.add(
                m * (n * n * n / 3.0 + 3.0 * n * n),
                factor_efficiency(n),
                3.0 * size * m * n * n,
            );
            c.memory = size * (2.0 * n * n + 2.0 * n * m);
            c
        }
        (Route::Sample, LayerKind::Softmax) => {
            let order = n * (m - 1.0).max(0.0);
            let mut c = products(m, d, n, small, size);
            c.add(2.0 * n * n * d, product_efficiency(d.min(n)), size * n * n);
            c.add(
                (2.0 * m + 1.0) * order * order,
                product_efficiency(m),
                2.0 * size * order * order,
            );
            c.add(
                order * order * order / 3.0 + 2.0 * order * order,
                factor_efficiency(order),
                3.0 * size * order * order,
            );
            c.memory = size * (order * order + order * m + n * n + n * m);
            c
        }
        (Route::ConjugateGradient, _) => {
            let mut once = products(m, d, n, small, size);
            once.add(12.0 * m * d, 0.1, 6.0 * size * m * d);
            let mut c = once.scaled(at_least_one(problem.iterations));
            c.memory = size * (5.0 * m * d + n * m + 3.0 * m);
            c
        }
        (Route::Kronecker, kind) => {
            let mut refresh = Cost::ZERO;
            refresh.add(n * d * d, product_efficiency(d.min(n)), size * (d * d + n * d));
            refresh.add(10.0 * d * d * d, factor_efficiency(d), 4.0 * size * d * d);
            let mut apply = Cost::ZERO;
            apply.add(
                4.0 * m * d * d,
                product_efficiency(m.min(d)),
                size * (2.0 * d * d + 4.0 * m * d),
            );
            apply.memory = size * (d * d + 2.0 * m * d);
            if kind == LayerKind::Softmax {
                refresh.add(10.0 * m * m * m + 2.0 * n * m * m, factor_efficiency(m), size * m * m);
                apply.add(4.0 * m * m * d, product_efficiency(m), size * m * m);
            }
            refresh.scaled(share).plus(apply)
        }
    }
}

/// `X̃ Gᵀ` and `Zᵀ X̃`.
fn products(m: f64, d: f64, n: f64, small: f64, size: f64) -> Cost {
    let mut c = Cost::ZERO;
    c.add(4.0 * n * m * d, product_efficiency(small), size * 2.0 * (n * d + m * d + n * m));
    c
}

fn smallest(a: f64, b: f64, c: f64) -> f64 {
    a.min(b).min(c)
}

/// The cheapest exact route ([`Route::Kronecker`], an approximation, is never chosen).
///
/// ```
/// use relfisher_core::metric::cost::{LayerKind, Problem, Route, choose};
/// let mut problem = Problem::new(LayerKind::Nonlinear, 80, 785, 50);
/// assert_eq!(choose(&problem), Route::Sample);
/// problem.samples = 1000;
/// problem.refresh = 100;
/// assert_eq!(choose(&problem), Route::Block);
/// ```
pub fn choose(problem: &Problem) -> Route {
    let block = cost(problem, Route::Block).time();
    let sample = cost(problem, Route::Sample).time();
    let free = cost(problem, Route::ConjugateGradient).time() * ITERATION_MARGIN;
    if sample <= block && sample <= free {
        Route::Sample
    } else if block <= free {
        Route::Block
    } else {
        Route::ConjugateGradient
    }
}
