//! Relative Fisher metrics: the packed construction, exact steps against dense matrices, ν.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::{Cpu, Executor};
use relfisher_core::factor::batch::INTERLEAVED_ORDER;
use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{NonlinearMetric, SoftmaxMetric, SolveOptions};
use relfisher_core::metric::neuron::Response;
use relfisher_core::{Backend, MatMut, MatRef, Portable, blas, factor};

use super::{factoring, forget};
use crate::case::{Candidate, Group, Simple, Study, bytes_of, dtype, near};
use crate::metric::products;
use crate::record::{Approach, Limit, Target};
use crate::sizes::{Kernel, Metric, Sizes, Widths};
use crate::{Random, dense};

/// λ of the steps.
const DAMPING: f64 = 0.1;

pub(super) fn studies<T: Scalar>(sizes: &Sizes, threads: usize) -> Vec<Study> {
    let packed = sizes.metric.iter().map(|size| packed::<T>(*size));
    let nonlinear =
        sizes.nonlinear.widths.iter().map(|w| nonlinear::<T>(*w, &sizes.nonlinear, threads));
    let softmax = sizes.softmax.widths.iter().map(|w| softmax::<T>(*w, &sizes.softmax, threads));
    let nu = std::iter::once(response::<T>(sizes.response.length, sizes.response.speedup));
    packed.chain(nonlinear).chain(softmax).chain(nu).collect()
}

/// X̃ (n × d̃, trailing 1), weights of every sample and output, and a gradient.
struct Inputs<T> {
    n: usize,
    m: usize,
    d: usize,
    x: Vec<T>,
    weights: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Scalar> Inputs<T> {
    fn new(n: usize, m: usize, d: usize) -> Self {
        let mut random = Random::new(1);
        let mut x: Vec<T> = random.numbers(n * d, -1.0, 1.0);
        x.iter_mut().skip(d - 1).step_by(d).for_each(|x| *x = T::ONE);
        let weights = random.numbers(n * m, 0.1, 1.0);
        Self { n, m, d, x, weights, gradient: random.numbers(m * d, -1.0, 1.0) }
    }

    /// With rows of the weights that sum to one.
    fn probabilities(mut self) -> Self {
        for row in self.weights.chunks_exact_mut(self.m) {
            let sum = row.iter().fold(T::ZERO, |a, b| a + *b);
            row.iter_mut().for_each(|p| *p /= sum);
        }
        self
    }

    fn x(&self) -> MatRef<'_, T> {
        MatRef::new(&self.x, self.n, self.d).expect("shape")
    }

    fn weights(&self) -> MatRef<'_, T> {
        MatRef::new(&self.weights, self.n, self.m).expect("shape")
    }

    fn gradient(&self) -> MatRef<'_, T> {
        MatRef::new(&self.gradient, self.m, self.d).expect("shape")
    }

    /// Whether `(Ḡ + λI) out` is the gradient: products of the definition, summed in f64.
    fn residual(&self, out: &[T], joint: bool) -> Result<(), String> {
        let Self { n, m, d, .. } = *self;
        let mut back: Vec<f64> = out.iter().map(|o| DAMPING * o.to_f64()).collect();
        let mut response = vec![0.0; m];
        for s in 0..n {
            let (x, w) = (&self.x[s * d..][..d], &self.weights[s * m..][..m]);
            for (r, out) in response.iter_mut().zip(out.chunks_exact(d)) {
                *r = out.iter().zip(x).map(|(o, x)| o.to_f64() * x.to_f64()).sum();
            }
            let mean: f64 = response.iter().zip(w).map(|(r, w)| r * w.to_f64()).sum();
            for ((r, w), back) in response.iter().zip(w).zip(back.chunks_exact_mut(d)) {
                let r = w.to_f64() * if joint { r - mean } else { *r } / n as f64;
                back.iter_mut().zip(x).for_each(|(b, x)| *b += r * x.to_f64());
            }
        }
        let back: Vec<T> = back.into_iter().map(T::from_f64).collect();
        near("(G + λI) step", &back, &self.gradient, 3e4)
    }
}

/// The packed blocks of a non-linear layer by the chosen construction.
fn packed<T: Scalar>(size: Metric) -> Study {
    let Metric { neurons: m, inputs: d, samples: n, .. } = size;
    // the executor brings its own scratch
    let work_len = match size.kernel {
        Kernel::Executor => 0,
        Kernel::Portable => blas::packed_grams_workspace_len(n, m, d),
    };
    let prepare = move |_: &Cpu| {
        let inputs = Arc::new(Inputs::<T>::new(n, m, d));
        let build = move |_: &Cpu| -> Box<dyn crate::case::Runner> {
            let inputs = inputs.clone();
            Box::new(Simple {
                state: (vec![T::NAN; size.packed_len()], vec![T::NAN; work_len]),
                run: {
                    let inputs = inputs.clone();
                    move |(blocks, work): &mut (Vec<T>, Vec<T>), cpu: &Cpu| {
                        let out = MatMut::new(blocks, m, d * (d + 1) / 2).expect("shape");
                        let mean = T::from_f64(1.0 / n as f64);
                        let (x, nu) = (inputs.x(), inputs.weights());
                        match size.kernel {
                            Kernel::Executor => {
                                cpu.packed_grams(out, T::ZERO, mean, x, nu, work).expect("shapes");
                            }
                            Kernel::Portable => Portable
                                .packed_grams(out, T::ZERO, mean, x, nu, work)
                                .expect("shapes"),
                        }
                    }
                },
                check: move |(blocks, _): &mut (Vec<T>, Vec<T>), _: &Cpu| sampled(&inputs, blocks),
            })
        };
        vec![Candidate {
            approach: Approach::Structured,
            flops: size.flops() as f64,
            bytes: bytes_of::<T>(n * (m + d) + size.packed_len()) as f64,
            limit: Limit::Product,
            predicted: bytes_of::<T>(size.packed_len() + n * (m + d)),
            share: Some(size.share),
            build: Box::new(build),
        }]
    };
    Study {
        group: Group::Metric,
        quantity: "packed metric",
        size: vec![("neurons", m), ("inputs", d), ("samples", n)],
        x: d,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// Some hundred elements of the blocks against sums in f64.
fn sampled<T: Scalar>(inputs: &Inputs<T>, blocks: &mut [T]) -> Result<(), String> {
    let pairs = crate::metric::sampled(blocks, inputs.x(), inputs.weights()).into_iter();
    let (got, want): (Vec<T>, Vec<T>) = pairs.map(|(g, w)| (g, T::from_f64(w))).unzip();
    forget(blocks);
    near("packed metric", &got, &want, 100.0)
}

/// `(Ḡ + λI)⁻¹ ∇W̃` of a non-linear layer as wide as its inputs, by the chosen exact route and by
/// `faer` neuron by neuron.
fn nonlinear<T: Scalar>(width: usize, size: &Widths, threads: usize) -> Study {
    let (n, m, d) = (size.samples, width, width + 1);
    let prepare = move |_: &Cpu| {
        let inputs = Arc::new(Inputs::<T>::new(n, m, d));
        let route = NonlinearMetric::<T>::route(n, m, d, None, true);
        let work = NonlinearMetric::<T>::solve_workspace_len(n, m, d, route);
        let shared = inputs.clone();
        let structured = move |_: &Cpu| -> Box<dyn crate::case::Runner> {
            let (inputs, checked) = (shared.clone(), shared.clone());
            Box::new(Simple {
                state: (vec![T::NAN; m * d], vec![T::NAN; work]),
                run: move |(out, work): &mut (Vec<T>, Vec<T>), cpu: &Cpu| {
                    let metric =
                        NonlinearMetric::new(inputs.x(), inputs.weights()).expect("shapes");
                    let out = MatMut::new(out, m, d).expect("shape");
                    let options = SolveOptions::default();
                    let damping = T::from_f64(DAMPING);
                    metric
                        .solve(cpu, out, inputs.gradient(), damping, options, work)
                        .expect("solve");
                },
                check: move |(out, _): &mut (Vec<T>, Vec<T>), _: &Cpu| checked.residual(out, false),
            })
        };
        let dense = move |_: &Cpu| dense_nonlinear(inputs.clone(), threads);
        let cube = (m * d * d * d) as f64 / 3.0;
        let (nf, mf, df) = (n as f64, m as f64, d as f64);
        let traffic = bytes_of::<T>(n * (m + d) + 2 * m * d) as f64;
        let scratch = threads as u64 * nonlinear_scratch::<T>(n, m, d, route);
        vec![
            Candidate {
                approach: Approach::Structured,
                // XXᵀ; 2 products with the samples each way; the small systems of every neuron
                flops: if route == Route::Sample {
                    nf * nf * df + 8.0 * nf * mf * df / 2.0 + mf * nf.powi(3) / 3.0
                } else {
                    mf * nf * df * (df + 1.0) + cube + 2.0 * mf * df * df
                },
                bytes: traffic,
                limit: Limit::Product,
                predicted: bytes_of::<T>(m * d + work) + scratch,
                share: None,
                build: Box::new(structured),
            },
            Candidate {
                approach: Approach::Dense,
                flops: mf * nf * df * (df + 1.0) + cube + 2.0 * mf * df * df,
                bytes: traffic,
                limit: Limit::Product,
                predicted: bytes_of::<T>(m * d + d * d + n * d),
                share: None,
                build: Box::new(dense),
            },
        ]
    };
    Study {
        group: Group::Metric,
        quantity: "exact step of a non-linear layer",
        size: vec![("width", width), ("samples", n)],
        x: width,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// What a thread of the executor holds beside the caller's workspace: the systems of a vector of neurons
/// and their right sides; or the rows of a metric's blocks, and one factorisation.
fn nonlinear_scratch<T: Scalar>(n: usize, m: usize, d: usize, route: Route) -> u64 {
    let lanes = 64 / size_of::<T>();
    match route {
        Route::Sample if m > lanes => {
            bytes_of::<T>(n * lanes + factor::scaled_gram_solve_workspace_len(n, lanes))
        }
        Route::Block if d > INTERLEAVED_ORDER => bytes_of::<T>(n * (m + d)) + factoring::<T>(d),
        Route::Block => bytes_of::<T>(n * (m + d) + factor::cholesky_batch_workspace_len(d)),
        _ => 0,
    }
}

/// One block after the other: XᵀNX by a triangular product, its Cholesky factor, the solve.
fn dense_nonlinear<T: Scalar>(
    inputs: Arc<Inputs<T>>,
    threads: usize,
) -> Box<dyn crate::case::Runner> {
    let Inputs { n, m, d, .. } = *inputs;
    let par = dense::par(threads);
    let checked = inputs.clone();
    let state = (vec![T::NAN; m * d], vec![T::NAN; d * d], vec![T::NAN; n * d]);
    let mut scratch = dense::scratch::<T>(d, 1, par);
    Box::new(Simple {
        state,
        run: move |(out, block, rows): &mut (Vec<T>, Vec<T>, Vec<T>), _: &Cpu| {
            out.copy_from_slice(&inputs.gradient);
            for (i, out) in out.chunks_exact_mut(d).enumerate() {
                for (s, row) in rows.chunks_exact_mut(d).enumerate() {
                    let root = relfisher_core::Real::sqrt(inputs.weights[s * m + i]);
                    row.iter_mut().zip(&inputs.x[s * d..]).for_each(|(r, x)| *r = root * *x);
                }
                dense::gram(block, rows, (n, d), T::from_f64(1.0 / n as f64), par);
                dense::damp(block, d, T::from_f64(DAMPING));
                dense::cholesky(block, d, &mut scratch, par);
                dense::solve(out, block, d, &mut scratch, par);
            }
        },
        check: move |(out, ..): &mut (Vec<T>, Vec<T>, Vec<T>), _: &Cpu| {
            checked.residual(out, false)
        },
    })
}

/// `(Ḡ + λI)⁻¹ ∇W̃` of a soft-max layer over growing inputs: its metric is dense, (C d̃)².
fn softmax<T: Scalar>(width: usize, size: &Widths, threads: usize) -> Study {
    let (n, c, d) = (size.samples, size.outputs, width + 1);
    let prepare = move |cpu: &Cpu| {
        let inputs = Arc::new(Inputs::<T>::new(n, c, d).probabilities());
        let route = SoftmaxMetric::<T>::route(n, c, d, None, true);
        let work = SoftmaxMetric::<T>::solve_workspace_len(n, c, d, route);
        let shared = inputs.clone();
        let structured = move |_: &Cpu| -> Box<dyn crate::case::Runner> {
            let (inputs, checked) = (shared.clone(), shared.clone());
            Box::new(Simple {
                state: (vec![T::NAN; c * d], vec![T::NAN; work]),
                run: move |(out, work): &mut (Vec<T>, Vec<T>), cpu: &Cpu| {
                    let metric = SoftmaxMetric::new(inputs.x(), inputs.weights()).expect("shapes");
                    let out = MatMut::new(out, c, d).expect("shape");
                    let options = SolveOptions::default();
                    let damping = T::from_f64(DAMPING);
                    metric
                        .solve(cpu, out, inputs.gradient(), damping, options, work)
                        .expect("solve");
                },
                check: move |(out, _): &mut (Vec<T>, Vec<T>), _: &Cpu| checked.residual(out, true),
            })
        };
        let whole = inputs.clone();
        let dense = move |_: &Cpu| dense_softmax(whole.clone(), threads);
        let order = c * d;
        let (nf, df, rows, of) = (n as f64, d as f64, (n * c) as f64, order as f64);
        let built = (c * (c + 1) / 2) as f64 * nf * df * (df + 1.0);
        let traffic = bytes_of::<T>(n * (c + d) + 2 * order) as f64;
        let products = || {
            let metric = SoftmaxMetric::new(inputs.x(), inputs.weights()).expect("shapes");
            let options = SolveOptions::default().conjugate_gradient;
            products(cpu, &metric, inputs.gradient(), T::from_f64(DAMPING), options)
                .expect("converges")
        };
        // of the one system: n (C − 1) rows make the metric
        let scratch = match route {
            Route::Sample => factoring::<T>(n * (c - 1)),
            Route::Block => factoring::<T>(order),
            _ => 0,
        };
        vec![
            Candidate {
                approach: Approach::Structured,
                flops: match route {
                    Route::Sample => {
                        nf * nf * df + 8.0 * nf * of / 2.0 + rows * rows + rows.powi(3) / 3.0
                    }
                    Route::Block => built + of.powi(3) / 3.0 + 2.0 * of * of,
                    // two products with the samples in each, and the vectors: x, r, p and what they ask
                    _ => products() as f64 * (4.0 * nf * of + 12.0 * of),
                },
                bytes: traffic,
                limit: Limit::Product,
                predicted: bytes_of::<T>(order + work) + scratch,
                share: None,
                build: Box::new(structured),
            },
            Candidate {
                approach: Approach::Dense,
                flops: built + of.powi(3) / 3.0 + 2.0 * of * of,
                bytes: traffic,
                limit: Limit::Cholesky,
                predicted: bytes_of::<T>(order * order + order + n * d + d * d),
                share: None,
                build: Box::new(dense),
            },
        ]
    };
    Study {
        group: Group::Metric,
        quantity: "exact step of a soft-max layer",
        size: vec![("inputs", width), ("outputs", c), ("samples", n)],
        x: width,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// The whole matrix, block by block of X̃ᵀ R_ij X̃ (R symmetric: the lower blocks), factored, solved.
fn dense_softmax<T: Scalar>(
    inputs: Arc<Inputs<T>>,
    threads: usize,
) -> Box<dyn crate::case::Runner> {
    let Inputs { n, m: c, d, .. } = *inputs;
    let (order, par) = (c * d, dense::par(threads));
    let checked = inputs.clone();
    let state = (vec![T::NAN; order], vec![T::ZERO; order * order], vec![T::NAN; n * d]);
    let mut scratch = dense::scratch::<T>(order, 1, par);
    Box::new(Simple {
        state,
        run: move |(out, matrix, rows): &mut (Vec<T>, Vec<T>, Vec<T>), _: &Cpu| {
            for i in 0..c {
                for j in 0..=i {
                    for (s, row) in rows.chunks_exact_mut(d).enumerate() {
                        let p = &inputs.weights[s * c..][..c];
                        let r = if i == j { p[i] - p[i] * p[i] } else { -p[i] * p[j] };
                        row.iter_mut().zip(&inputs.x[s * d..]).for_each(|(o, x)| *o = r * *x);
                    }
                    use faer::linalg::matmul::triangular::{BlockStructure as Shape, matmul};
                    let block = dense::square(matrix, order).submatrix_mut(i * d, j * d, d, d);
                    let lower = if i == j { Shape::TriangularLower } else { Shape::Rectangular };
                    let rows = faer::MatRef::from_row_major_slice(rows, n, d);
                    let x = faer::MatRef::from_row_major_slice(&inputs.x, n, d);
                    let mean = T::from_f64(1.0 / n as f64);
                    let (left, whole) = (rows.transpose(), Shape::Rectangular);
                    matmul(block, lower, faer::Accum::Replace, left, whole, x, whole, mean, par);
                }
            }
            dense::damp(matrix, order, T::from_f64(DAMPING));
            dense::cholesky(matrix, order, &mut scratch, par);
            out.copy_from_slice(&inputs.gradient);
            dense::solve(out, matrix, order, &mut scratch, par);
        },
        check: move |(out, ..): &mut (Vec<T>, Vec<T>, Vec<T>), _: &Cpu| checked.residual(out, true),
    })
}

/// ν of tanh over a slice, and a loop over `libm`.
fn response<T: Scalar>(len: usize, speedup: f64) -> Study {
    let prepare = move |_: &Cpu| {
        let t: Arc<Vec<T>> = Arc::new(Random::new(8).numbers(len, -8.0, 8.0));
        let candidate = |approach, run: fn(&mut [T], &[T], &Cpu)| {
            let t = t.clone();
            let build = move |_: &Cpu| -> Box<dyn crate::case::Runner> {
                let (t, checked) = (t.clone(), t.clone());
                Box::new(Simple {
                    state: vec![T::NAN; len],
                    run: move |out: &mut Vec<T>, cpu: &Cpu| run(out, &t, cpu),
                    check: move |out: &mut Vec<T>, _: &Cpu| {
                        let nu = |t: &T| 1.0 - libm::tanh(t.to_f64()).powi(2);
                        let want: Vec<T> = checked.iter().map(|t| T::from_f64(nu(t))).collect();
                        near("ν", out, &want, 8.0)
                    },
                })
            };
            Candidate {
                approach,
                flops: 0.0,
                bytes: 2.0 * bytes_of::<T>(len) as f64,
                limit: Limit::Copy,
                predicted: bytes_of::<T>(len),
                share: None,
                build: Box::new(build),
            }
        };
        vec![
            candidate(Approach::Structured, |out, t, cpu| {
                let rows = 64.min(t.len());
                let t = MatRef::new(t, rows, t.len() / rows).expect("shape");
                let out = MatMut::new(out, t.rows(), t.cols()).expect("shape");
                cpu.response_nu(out, t, Response::Tanh).expect("shapes");
            }),
            candidate(Approach::Loop, |out, t, _| {
                for (o, t) in out.iter_mut().zip(t) {
                    let tanh = if size_of::<T>() == 4 {
                        f64::from(libm::tanhf(t.to_f64() as f32))
                    } else {
                        libm::tanh(t.to_f64())
                    };
                    *o = T::from_f64(1.0 - tanh * tanh);
                }
            }),
        ]
    };
    Study {
        group: Group::Metric,
        quantity: "ν of tanh, against a loop over libm",
        size: vec![("length", len)],
        x: len,
        dtype: dtype::<T>(),
        speedup: Some(Target::AtLeast(speedup)),
        prepare: Box::new(prepare),
    }
}
