//! Factors and steps of a network's curvature, against dense matrices and bare products.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::curvature::{
    khatri_rao_apply, khatri_rao_apply_workspace_len, khatri_rao_gram,
    khatri_rao_gram_workspace_len, khatri_rao_transpose, khatri_rao_transpose_workspace_len,
};
use relfisher_core::{Backend, MatMut, MatRef};

use super::forget;
use crate::case::{Candidate, Group, Runner, Shared, Simple, Study, bytes_of, dtype, near};
use crate::ceiling::PatchFactor;
use crate::curvature::{Case, Member};
use crate::record::{Approach, Limit, Target};
use crate::sizes::{self, Metric, Sizes, Widths};
use crate::{Random, dense};

/// λ of the empirical Fisher matrix.
const DAMPING: f64 = 1e-3;

pub(super) fn studies<T: Scalar>(sizes: &Sizes, threads: usize) -> Vec<Study> {
    let grams = sizes.gram.iter().map(|size| gram::<T>(*size, threads));
    let empirical =
        sizes.empirical.widths.iter().map(|w| empirical::<T>(*w, &sizes.empirical, threads));
    let family = Member::ALL.map(|member| member_step::<T>(member, &sizes.curvature));
    let share = sizes.convolution.share;
    let patches = sizes.convolution.sizes.iter().map(|size| patch_factor::<T>(*size, share));
    grams.chain(patches).chain(empirical).chain(family).collect()
}

/// KFC's A of a convolution of stride 1, without a patch matrix.
fn patch_factor<T: Scalar>(size: [usize; 5], share: f64) -> Study {
    let [channels, side, kernel, padding, images] = size;
    let d = channels * kernel * kernel + 1;
    let positions = images * (side + 2 * padding + 1 - kernel).pow(2);
    let prepare = move |_: &Cpu| {
        let build = move |cpu: &Cpu| -> Box<dyn Runner> {
            let mut case = PatchFactor::<T>::new(size);
            case.load(cpu);
            Box::new(Shared::<T, _>::new(case))
        };
        let input = images * channels * side * side;
        let padded = images * channels * (side + 2 * padding).pow(2);
        vec![Candidate {
            approach: Approach::Structured,
            flops: (positions * d * (d + 1)) as f64,
            bytes: bytes_of::<T>(input + d * d) as f64,
            limit: Limit::Product,
            // images, their copy on the tape, the same with its margins; the layer's two outputs; A and the
            // sums of 16 runs
            predicted: bytes_of::<T>(2 * input + padded + 2 * positions + 17 * d * d),
            share: Some(share),
            build: Box::new(build),
        }]
    };
    Study {
        group: Group::Curvature,
        quantity: "factor A of a convolution",
        size: vec![
            ("channels", channels),
            ("side", side),
            ("kernel", kernel),
            ("padding", padding),
            ("images", images),
        ],
        x: channels,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// X̃ᵀX̃/n, the triangle once: the update of a Kronecker factor, and `faer`'s triangular product.
fn gram<T: Scalar>(size: Metric, threads: usize) -> Study {
    let (d, n) = (size.inputs, size.samples);
    let prepare = move |_: &Cpu| {
        let x: Arc<Vec<T>> = Arc::new(Random::new(12).numbers(n * d, -1.0, 1.0));
        type Run<T> = fn(&mut [T], &[T], (usize, usize), &Cpu, usize);
        let candidate = |approach, share, run: Run<T>| {
            let x = x.clone();
            let build = move |_: &Cpu| -> Box<dyn Runner> {
                let (x, checked) = (x.clone(), x.clone());
                Box::new(Simple {
                    state: vec![T::NAN; d * d],
                    run: move |c: &mut Vec<T>, cpu: &Cpu| run(c, &x, (n, d), cpu, threads),
                    check: move |c: &mut Vec<T>, _: &Cpu| {
                        let mut random = Random::new(2);
                        let mut pick = |end: usize| (random.unit() * end as f64) as usize;
                        let (mut got, mut want) = (Vec::new(), Vec::new());
                        for _ in 0..200 {
                            let i = pick(d);
                            let j = pick(i + 1);
                            let term = |s: usize| {
                                checked[s * d + i].to_f64() * checked[s * d + j].to_f64()
                            };
                            want.push(T::from_f64((0..n).map(term).sum::<f64>() / n as f64));
                            // ours is row-major and symmetric, theirs column-major and lower
                            got.push(c[j * d + i]);
                        }
                        forget(c);
                        near("XᵀX/n", &got, &want, 100.0)
                    },
                })
            };
            Candidate {
                approach,
                flops: (n * d * (d + 1)) as f64,
                bytes: bytes_of::<T>(n * d + d * d) as f64,
                limit: Limit::Product,
                predicted: bytes_of::<T>(d * d),
                share,
                build: Box::new(build),
            }
        };
        vec![
            candidate(Approach::Structured, None, |c, x, (n, d), cpu, _| {
                let x = MatRef::new(x, n, d).expect("shape");
                let c = MatMut::new(c, d, d).expect("shape");
                let mean = T::ONE / T::from_usize(n);
                cpu.gram(c, T::ZERO, mean, x, None, &mut []).expect("shapes");
            }),
            candidate(Approach::Loop, None, |c, x, (n, d), _, threads| {
                let mean = T::ONE / T::from_usize(n);
                dense::gram(c, x, (n, d), mean, dense::par(threads));
            }),
        ]
    };
    Study {
        group: Group::Curvature,
        quantity: "factor update XᵀX/n, against a triangular product",
        size: vec![("inputs", d), ("samples", n)],
        x: d,
        dtype: dtype::<T>(),
        speedup: Some(Target::AtLeast(size.share)),
        prepare: Box::new(prepare),
    }
}

/// Δ (n × m), X̃ (n × d̃), a gradient.
struct Samples<T> {
    n: usize,
    m: usize,
    d: usize,
    delta: Vec<T>,
    x: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Scalar> Samples<T> {
    /// Scaled so that a gradient has a length of about a third.
    fn new(n: usize, m: usize, d: usize) -> Self {
        let mut random = Random::new(13);
        let mut scaled = |len: usize, width: usize| {
            let bound = 1.0 / (width as f64).sqrt();
            random.numbers(len, -bound, bound)
        };
        let (delta, x) = (scaled(n * m, m), scaled(n * d, d));
        Self { n, m, d, delta, x, gradient: random.numbers(m * d, -1.0, 1.0) }
    }

    /// Whether `(F + λI) step` is the gradient, summed in f64.
    fn residual(&self, step: &[T]) -> Result<(), String> {
        let Self { n, m, d, .. } = *self;
        let mut back: Vec<f64> = step.iter().map(|o| DAMPING * o.to_f64()).collect();
        for s in 0..n {
            let (x, delta) = (&self.x[s * d..][..d], &self.delta[s * m..][..m]);
            let dot = |row: &[T]| row.iter().zip(x).map(|(o, x)| o.to_f64() * x.to_f64()).sum();
            let rows = step.chunks_exact(d).zip(delta);
            let inner: f64 = rows
                .map(|(row, e)| {
                    e.to_f64() * {
                        let r: f64 = dot(row);
                        r
                    }
                })
                .sum();
            for (back, e) in back.chunks_exact_mut(d).zip(delta) {
                let r = inner * e.to_f64() / n as f64;
                back.iter_mut().zip(x).for_each(|(b, x)| *b += r * x.to_f64());
            }
        }
        let back: Vec<T> = back.into_iter().map(T::from_f64).collect();
        near("(F + λI) step", &back, &self.gradient, 3e4)
    }
}

/// `(F + λI)⁻¹ g` with the empirical Fisher matrix F of a layer as wide as its inputs: in sample
/// space through ΔΔᵀ ∘ X̃X̃ᵀ, and with the dense (m d̃)² matrix.
fn empirical<T: Scalar>(width: usize, size: &Widths, threads: usize) -> Study {
    let (n, m, d) = (size.samples, width, width + 1);
    let prepare = move |_: &Cpu| {
        let samples = Arc::new(Samples::<T>::new(n, m, d));
        let (one, two) = (samples.clone(), samples);
        let structured = move |_: &Cpu| sample_space(one.clone());
        let whole = move |_: &Cpu| dense_empirical(two.clone(), threads);
        let (nf, order) = (n as f64, m * d);
        let of = order as f64;
        let traffic = bytes_of::<T>(n * (m + d) + 2 * order) as f64;
        let work = Work::lens(n, m);
        vec![
            Candidate {
                approach: Approach::Structured,
                flops: 2.0 * nf * nf * (m + d) as f64 + nf.powi(3) / 3.0 + 4.0 * nf * of,
                bytes: traffic,
                limit: Limit::Product,
                predicted: bytes_of::<T>(order + n * n + n + work + n * n + n),
                share: None,
                build: Box::new(structured),
            },
            Candidate {
                approach: Approach::Dense,
                flops: nf * of * (of + 1.0) + of.powi(3) / 3.0 + 2.0 * of * of,
                bytes: traffic,
                limit: Limit::Cholesky,
                predicted: bytes_of::<T>(order * order + order + n * order),
                share: None,
                build: Box::new(whole),
            },
        ]
    };
    Study {
        group: Group::Curvature,
        quantity: "empirical Fisher step of a layer",
        size: vec![("width", width), ("samples", n)],
        x: width,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// Scratch of [`sample_space`].
struct Work;

impl Work {
    fn lens(n: usize, m: usize) -> usize {
        khatri_rao_gram_workspace_len(n, 1)
            .max(khatri_rao_apply_workspace_len(n, m))
            .max(khatri_rao_transpose_workspace_len(n, m))
    }
}

fn sample_space<T: Scalar>(samples: Arc<Samples<T>>) -> Box<dyn Runner> {
    let Samples { n, m, d, .. } = *samples;
    let checked = samples.clone();
    let lens = [m * d, n * n, n, Work::lens(n, m)];
    Box::new(Simple {
        state: lens.map(|len| vec![T::NAN; len]),
        run: move |[out, gram, small, work]: &mut [Vec<T>; 4], cpu: &Cpu| {
            let Samples { delta, x, gradient, .. } = &*samples;
            let delta = MatRef::new(delta, n, m).expect("shape");
            let x = MatRef::new(x, n, d).expect("shape");
            let g = MatRef::new(gradient, m, d).expect("shape");
            let lambda = T::from_f64(DAMPING);
            let square = MatMut::new(&mut *gram, n, n).expect("shape");
            khatri_rao_gram(cpu, square, T::ZERO, delta, x, work).expect("shapes");
            let square = MatMut::new(&mut *gram, n, n).expect("shape");
            cpu.cholesky(square, lambda * T::from_usize(n)).expect("definite");
            khatri_rao_apply(cpu, small, T::ZERO, delta, x, g, work).expect("shapes");
            let l = MatRef::new(gram, n, n).expect("shape");
            let right = MatMut::new(&mut *small, n, 1).expect("shape");
            cpu.cholesky_solve(right, l).expect("finite");
            // (g − Jᵀ(nλI + JJᵀ)⁻¹Jg)/λ
            small.iter_mut().for_each(|z| *z = -*z / lambda);
            out.iter_mut().zip(gradient).for_each(|(o, g)| *o = *g / lambda);
            let out = MatMut::new(out, m, d).expect("shape");
            khatri_rao_transpose(cpu, out, T::ONE, delta, x, small, work).expect("shapes");
        },
        check: move |[out, ..]: &mut [Vec<T>; 4], _: &Cpu| checked.residual(out),
    })
}

fn dense_empirical<T: Scalar>(samples: Arc<Samples<T>>, threads: usize) -> Box<dyn Runner> {
    let Samples { n, m, d, .. } = *samples;
    let (checked, order, par) = (samples.clone(), m * d, dense::par(threads));
    let mut scratch = dense::scratch::<T>(order, 1, par);
    Box::new(Simple {
        state: [vec![T::NAN; order], vec![T::ZERO; order * order], vec![T::NAN; n * order]],
        run: move |[out, matrix, rows]: &mut [Vec<T>; 3], _: &Cpu| {
            for (s, row) in rows.chunks_exact_mut(order).enumerate() {
                let x = &samples.x[s * d..][..d];
                for (part, delta) in row.chunks_exact_mut(d).zip(&samples.delta[s * m..]) {
                    part.iter_mut().zip(x).for_each(|(p, x)| *p = *delta * *x);
                }
            }
            dense::gram(matrix, rows, (n, order), T::ONE / T::from_usize(n), par);
            dense::damp(matrix, order, T::from_f64(DAMPING));
            dense::cholesky(matrix, order, &mut scratch, par);
            out.copy_from_slice(&samples.gradient);
            dense::solve(out, matrix, order, &mut scratch, par);
        },
        check: move |[out, ..]: &mut [Vec<T>; 3], _: &Cpu| checked.residual(out),
    })
}

/// Passes, curvature, factorisations and step of a member of the K-FAC family.
fn member_step<T: Scalar>(member: Member, size: &sizes::Curvature) -> Study {
    let (size, width) = (size.clone(), size.widths[1]);
    let label = vec![("width", width), ("batch", size.batch)];
    let prepare = move |cpu: &Cpu| {
        let case = Case::<T>::new(&size, cpu);
        let flops = (case.flops(member) + case.pass_flops()) as f64;
        let bytes = bytes_of::<T>(4 * case.parameter_count()) as f64;
        let predicted = bytes_of::<T>(case.elements(member));
        let case = std::sync::Mutex::new(Some(case));
        let size = size.clone();
        let build = move |cpu: &Cpu| -> Box<dyn Runner> {
            let kept = case.lock().ok().and_then(|mut case| case.take());
            let case = kept.unwrap_or_else(|| Case::new(&size, cpu));
            Box::new(Simple {
                state: case,
                run: move |case: &mut Case<T>, cpu: &Cpu| {
                    case.passes(cpu);
                    case.step(cpu, member);
                },
                check: move |case: &mut Case<T>, _: &Cpu| case.check(member),
            })
        };
        vec![Candidate {
            approach: Approach::Structured,
            flops,
            bytes,
            limit: Limit::Product,
            predicted,
            share: (member == Member::Sampled).then_some(size_share()),
            build: Box::new(build),
        }]
    };
    Study {
        group: Group::Curvature,
        quantity: member.title(),
        size: label,
        x: width,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// At most 1.6 times the time of its bare FLOPs.
fn size_share() -> f64 {
    1.0 / 1.6
}
