//! Kronecker algebra of a layer as wide as its inputs, against the dense matrix.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::kron::{self, FactorDamping, KronCholesky, KronEigen};
use relfisher_core::{MatMut, MatRef};

use super::{covariance, factoring};
use crate::case::{Candidate, Group, Runner, Shared, Simple, Study, bytes_of, dtype, near};
use crate::ceiling::KroneckerSolve;
use crate::plain::{Basis, Factors, wide};
use crate::record::{Approach, Limit};
use crate::sizes::{Metric, Sizes};
use crate::{Random, dense};

/// λ of both factors.
const DAMPING: f64 = 0.1;

pub(super) fn studies<T: Scalar>(sizes: &Sizes, threads: usize) -> Vec<Study> {
    let products = sizes.kron.products.iter().map(|size| product::<T>(*size));
    let steps = sizes.kron.widths.iter().map(|w| step::<T>(*w, threads));
    let spectra = sizes.kron.spectra.iter().map(|w| spectrum::<T>(*w, threads));
    let share = sizes.solve.share;
    let solves = sizes.solve.sizes.iter().map(|size| solve::<T>(*size, share));
    products.chain(solves).chain(steps).chain(spectra).collect()
}

/// G⁻¹ V A⁻¹ for some V, with factors that are there.
fn solve<T: Scalar>([m, d, count]: [usize; 3], share: f64) -> Study {
    let prepare = move |_: &Cpu| {
        let build = move |cpu: &Cpu| -> Box<dyn Runner> {
            Box::new(Shared::<T, _>::new(KroneckerSolve::<T>::new([m, d, count], cpu)))
        };
        vec![Candidate {
            approach: Approach::Structured,
            flops: (2 * count * m * d * (m + d)) as f64,
            bytes: bytes_of::<T>(m * m + d * d + 2 * count * m * d) as f64,
            limit: Limit::Product,
            // matrices and their factors; V and the answers; what makes the matrices
            predicted: bytes_of::<T>(2 * (m * m + d * d) + 2 * count * m * d + 4 * d * d),
            share: Some(share),
            build: Box::new(build),
        }]
    };
    Study {
        group: Group::Kron,
        quantity: "Kronecker solve G⁻¹ V A⁻¹",
        size: vec![("neurons", m), ("inputs", d), ("matrices", count)],
        x: d,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// G (m × m), A (d̃ × d̃), and V (m × d̃).
struct Layer<T> {
    m: usize,
    d: usize,
    g: Vec<T>,
    a: Vec<T>,
    v: Vec<T>,
}

impl<T: Scalar> Layer<T> {
    fn new(cpu: &Cpu, m: usize, d: usize) -> Self {
        let (g, a) = (covariance(cpu, m, 1), covariance(cpu, d, 2));
        Self { m, d, g, a, v: Random::new(3).numbers(m * d, -1.0, 1.0) }
    }

    /// `(G + λI) X (A + λI)` in f64 sums.
    fn apply(&self, x: &[T], damping: f64) -> Vec<T> {
        let Self { m, d, .. } = *self;
        let damped = |a: &[T], i: usize, j: usize, n: usize| {
            a[i * n + j].to_f64() + if i == j { damping } else { 0.0 }
        };
        let mut half = vec![0.0; m * d];
        for (half, x) in half.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
            for (k, x) in x.iter().enumerate() {
                for (j, h) in half.iter_mut().enumerate() {
                    *h += x.to_f64() * damped(&self.a, k, j, d);
                }
            }
        }
        let mut out = vec![0.0; m * d];
        for (i, out) in out.chunks_exact_mut(d).enumerate() {
            for (k, half) in half.chunks_exact(d).enumerate() {
                let g = damped(&self.g, i, k, m);
                out.iter_mut().zip(half).for_each(|(o, h)| *o += g * h);
            }
        }
        out.into_iter().map(T::from_f64).collect()
    }
}

/// G V A.
fn product<T: Scalar>(size: Metric) -> Study {
    let (m, d) = (size.neurons, size.inputs);
    let prepare = move |cpu: &Cpu| {
        let layer = Arc::new(Layer::<T>::new(cpu, m, d));
        let build = move |_: &Cpu| -> Box<dyn Runner> {
            let (layer, checked) = (layer.clone(), layer.clone());
            let work = kron::apply_workspace_len(m, d);
            Box::new(Simple {
                state: (vec![T::NAN; m * d], vec![T::NAN; work]),
                run: move |(out, work): &mut (Vec<T>, Vec<T>), cpu: &Cpu| {
                    let g = MatRef::new(&layer.g, m, m).expect("shape");
                    let a = MatRef::new(&layer.a, d, d).expect("shape");
                    let v = MatRef::new(&layer.v, m, d).expect("shape");
                    let out = MatMut::new(out, m, d).expect("shape");
                    kron::apply(cpu, out, g, a, v, work).expect("shapes");
                },
                check: move |(out, _): &mut (Vec<T>, Vec<T>), _: &Cpu| {
                    near("G V A", out, &checked.apply(&checked.v, 0.0), 1e3)
                },
            })
        };
        vec![Candidate {
            approach: Approach::Structured,
            flops: 2.0 * (m * d * (m + d)) as f64,
            bytes: bytes_of::<T>(m * m + d * d + 2 * m * d) as f64,
            limit: Limit::Product,
            predicted: bytes_of::<T>(m * d + kron::apply_workspace_len(m, d)),
            share: (size.share > 0.0).then_some(size.share),
            build: Box::new(build),
        }]
    };
    Study {
        group: Group::Kron,
        quantity: "Kronecker product G V A",
        size: vec![("neurons", m), ("inputs", d)],
        x: d,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// `((G + λI) ⊗ (A + λI))⁻¹ v`, factors made anew: by two Cholesky factors, and by the one of the
/// dense product.
fn step<T: Scalar>(width: usize, threads: usize) -> Study {
    let (m, d) = (width, width + 1);
    let prepare = move |cpu: &Cpu| {
        let layer = Arc::new(Layer::<T>::new(cpu, m, d));
        let (one, two) = (layer.clone(), layer);
        let structured = move |_: &Cpu| structured_step(one.clone());
        let whole = move |_: &Cpu| dense_step(two.clone(), threads);
        let (mf, df, order) = (m as f64, d as f64, m * d);
        let traffic = bytes_of::<T>(m * m + d * d + 2 * order) as f64;
        // in place below order 32
        let extra = if d < 32 { 0 } else { factoring::<T>(d) };
        vec![
            Candidate {
                approach: Approach::Structured,
                flops: (mf.powi(3) + df.powi(3)) / 3.0 + 2.0 * mf * df * (mf + df),
                bytes: traffic,
                limit: Limit::Product,
                predicted: bytes_of::<T>(order + m * m + d * d) + extra,
                share: None,
                build: Box::new(structured),
            },
            Candidate {
                approach: Approach::Dense,
                flops: (order as f64).powi(3) / 3.0 + 2.0 * (order as f64).powi(2),
                bytes: traffic,
                limit: Limit::Cholesky,
                predicted: bytes_of::<T>(order * order + order),
                share: None,
                build: Box::new(whole),
            },
        ]
    };
    Study {
        group: Group::Kron,
        quantity: "K-FAC step of a layer",
        size: vec![("width", width)],
        x: width,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

fn structured_step<T: Scalar>(layer: Arc<Layer<T>>) -> Box<dyn Runner> {
    let (m, d, checked) = (layer.m, layer.d, layer.clone());
    Box::new(Simple {
        state: [vec![T::NAN; m * d], vec![T::NAN; m * m], vec![T::NAN; d * d]],
        run: move |[out, g, a]: &mut [Vec<T>; 3], cpu: &Cpu| {
            out.copy_from_slice(&layer.v);
            g.copy_from_slice(&layer.g);
            a.copy_from_slice(&layer.a);
            let damping = T::from_f64(DAMPING);
            let damping = FactorDamping { g: damping, a: damping };
            let g = MatMut::new(g, m, m).expect("shape");
            let a = MatMut::new(a, d, d).expect("shape");
            let factors = KronCholesky::factor(cpu, g, a, damping).expect("definite");
            factors.solve(cpu, MatMut::new(out, m, d).expect("shape"), &mut []).expect("finite");
        },
        check: move |[out, ..]: &mut [Vec<T>; 3], _: &Cpu| {
            near("damped step", &checked.apply(out, DAMPING), &checked.v, 1e4)
        },
    })
}

fn dense_step<T: Scalar>(layer: Arc<Layer<T>>, threads: usize) -> Box<dyn Runner> {
    let (m, d, checked) = (layer.m, layer.d, layer.clone());
    let (order, par) = (m * d, dense::par(threads));
    let mut scratch = dense::scratch::<T>(order, 1, par);
    Box::new(Simple {
        state: (vec![T::NAN; order], vec![T::ZERO; order * order]),
        run: move |(out, matrix): &mut (Vec<T>, Vec<T>), _: &Cpu| {
            let damping = T::from_f64(DAMPING);
            form(matrix, &layer, damping);
            dense::cholesky(matrix, order, &mut scratch, par);
            out.copy_from_slice(&layer.v);
            dense::solve(out, matrix, order, &mut scratch, par);
        },
        check: move |(out, _): &mut (Vec<T>, Vec<T>), _: &Cpu| {
            near("damped step", &checked.apply(out, DAMPING), &checked.v, 1e5)
        },
    })
}

/// (G + λI) ⊗ (A + λI), whole.
fn form<T: Scalar>(matrix: &mut [T], layer: &Layer<T>, damping: T) {
    let Layer { m, d, g, a, .. } = layer;
    let (m, d) = (*m, *d);
    for (row, out) in matrix.chunks_exact_mut(m * d).enumerate() {
        let (i, k) = (row / d, row % d);
        for (j, out) in out.chunks_exact_mut(d).enumerate() {
            let g = g[i * m + j] + if i == j { damping } else { T::ZERO };
            out.iter_mut().zip(&a[k * d..]).for_each(|(o, a)| *o = g * *a);
            out[k] += g * damping;
        }
    }
}

/// The eigenvalues of G ⊗ A, and its eigenvectors by their factors or whole.
fn spectrum<T: Scalar>(width: usize, threads: usize) -> Study {
    let (m, d) = (width, width + 1);
    let prepare = move |cpu: &Cpu| {
        let layer = Arc::new(Layer::<T>::new(cpu, m, d));
        let (one, two) = (layer.clone(), layer);
        let structured = move |_: &Cpu| structured_spectrum(one.clone());
        let whole = move |_: &Cpu| dense_spectrum(two.clone(), threads);
        let (cube, order) = (|n: usize| 9.0 * (n as f64).powi(3), m * d);
        let traffic = bytes_of::<T>(2 * (m * m + d * d)) as f64;
        let work = kron::kron_eigen_factor_workspace_len(m, d);
        let scratch = dense::eigen_scratch_bytes::<T>(order, dense::par(threads));
        // below order 32 in place, above in the executor's squares
        let squares = if d < 32 { 0 } else { 2 * d * d };
        let stack = if d < 32 { 0 } else { dense::eigen_scratch_bytes::<T>(d, dense::par(1)) };
        vec![
            Candidate {
                approach: Approach::Structured,
                flops: cube(m) + cube(d),
                bytes: traffic,
                limit: Limit::Product,
                predicted: bytes_of::<T>(m * m + d * d + m + d + work + squares) + stack,
                share: None,
                build: Box::new(structured),
            },
            Candidate {
                approach: Approach::Dense,
                flops: cube(order),
                bytes: traffic,
                limit: Limit::Product,
                predicted: bytes_of::<T>(2 * order * order + order) + scratch,
                share: None,
                build: Box::new(whole),
            },
        ]
    };
    Study {
        group: Group::Kron,
        quantity: "eigendecomposition of G ⊗ A",
        size: vec![("width", width)],
        x: width,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// The sum and the sum of squares of the eigenvalues are trace and Frobenius norm of the matrix.
fn moments<T: Scalar>(layer: &Layer<T>, values: impl Iterator<Item = f64>) -> Result<(), String> {
    let trace = |a: &[T], n: usize| a.iter().step_by(n + 1).map(|x| x.to_f64()).sum::<f64>();
    let square = |a: &[T]| a.iter().map(|x| x.to_f64().powi(2)).sum::<f64>();
    let want =
        [trace(&layer.g, layer.m) * trace(&layer.a, layer.d), square(&layer.g) * square(&layer.a)];
    let got = values.fold([0.0, 0.0], |[a, b], v| [a + v, b + v * v]);
    let [got, want] = [got, want].map(|pair| pair.map(T::from_f64));
    near("moments of the spectrum", &got[..1], &want[..1], 1e3)?;
    near("moments of the spectrum", &got[1..], &want[1..], 1e3)
}

fn structured_spectrum<T: Scalar>(layer: Arc<Layer<T>>) -> Box<dyn Runner> {
    let (m, d, checked) = (layer.m, layer.d, layer.clone());
    let lengths = [m * m, d * d, m, d, kron::kron_eigen_factor_workspace_len(m, d)];
    Box::new(Simple {
        state: lengths.map(|len| vec![T::NAN; len]),
        run: move |[g, a, gv, av, work]: &mut [Vec<T>; 5], cpu: &Cpu| {
            g.copy_from_slice(&layer.g);
            a.copy_from_slice(&layer.a);
            let g = MatMut::new(g, m, m).expect("shape");
            let a = MatMut::new(a, d, d).expect("shape");
            KronEigen::factor(cpu, (g, gv), (a, av), work).expect("converges");
        },
        check: move |[g, a, gv, av, _]: &mut [Vec<T>; 5], _: &Cpu| {
            let pairs = gv.iter().flat_map(|g| av.iter().map(|a| g.to_f64() * a.to_f64()));
            moments(&checked, pairs)?;
            let basis = Basis { a: wide(a), g: wide(g), scale: Vec::new() };
            basis.check_bases(0, Factors { a: &checked.a, g: &checked.g })
        },
    })
}

fn dense_spectrum<T: Scalar>(layer: Arc<Layer<T>>, threads: usize) -> Box<dyn Runner> {
    let (checked, order) = (layer.clone(), layer.m * layer.d);
    let par = dense::par(threads);
    let mut scratch = dense::eigen_scratch::<T>(order, par);
    let square = || vec![T::ZERO; order * order];
    Box::new(Simple {
        state: [square(), square(), vec![T::NAN; order]],
        run: move |[matrix, vectors, values]: &mut [Vec<T>; 3], _: &Cpu| {
            form(matrix, &layer, T::ZERO);
            dense::eigen((values, vectors), matrix, &mut scratch, par);
        },
        check: move |[_, vectors, values]: &mut [Vec<T>; 3], _: &Cpu| {
            moments(&checked, values.iter().map(|v| v.to_f64()))?;
            // U Λ Uᵀ v is the matrix times v
            let v: Vec<T> = Random::new(5).numbers(order, -1.0, 1.0);
            let mut back = vec![0.0; order];
            for (u, value) in vectors.chunks_exact(order).zip(values) {
                let along: f64 = u.iter().zip(&v).map(|(u, v)| u.to_f64() * v.to_f64()).sum();
                let along = along * value.to_f64();
                back.iter_mut().zip(u).for_each(|(b, u)| *b += along * u.to_f64());
            }
            let back: Vec<T> = back.into_iter().map(T::from_f64).collect();
            near("U Λ Uᵀ v", &back, &checked.apply(&v, 0.0), 1e4)
        },
    })
}
