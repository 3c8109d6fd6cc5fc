//! Gram matrices, packed metrics, and products with fused ends, against naive sums in f64.

use relfisher_core::metric::neuron::Activation;
use relfisher_kernels::Scalar;
use relfisher_kernels::body::fma::{Fma, Narrow};
use relfisher_kernels::body::product;
use relfisher_kernels::body::tile::Engine;
use relfisher_kernels::contract::{
    Backward, Divided, Extent, Layer, Masked, Neurons, Product, Strides, Update,
};
use relfisher_kernels::emulator::Buffer;

use crate::compare::{assert_close, assert_symmetric, to_f64};
use crate::random::Random;
use crate::run::run;
use crate::tolerance::Oracle;

const KEEP: f64 = 0.75;

/// X A Xᵀ-like sums: Σ_s w_s x_sa x_sb.
fn naive_gram(x: &[f64], w: impl Fn(usize) -> f64, n: usize, d: usize) -> Vec<f64> {
    let sum = |a: usize, b: usize| (0..n).map(|s| w(s) * x[s * d + a] * x[s * d + b]).sum();
    (0..d * d).map(|at| sum(at / d, at % d)).collect()
}

fn grams<T: Scalar, G: Engine<T>>(plain: &str, weighted: Option<&str>) {
    for (n, d) in [(1, 1), (7, 33), (50, 129), (33, 260)] {
        let mut random = Random::new((n * d) as u64);
        let x: Vec<T> = random.normals(n * d);
        let w: Vec<T> = random.uniforms(n, 0.25, 2.0);
        // What a factor was before: symmetric.
        let mut before: Vec<T> = random.normals(d * d);
        for i in 0..d {
            for j in 0..i {
                before[j * d + i] = before[i * d + j];
            }
        }
        let (input, weights) = (Buffer::from_slice(&x), Buffer::from_slice(&w));
        let tiles = (d as u32).div_ceil(16 * G::R as u32);
        let grid = [tiles * (tiles + 1) / 2, 1, 1];
        let average =
            Update { alpha: T::from_f64((1.0 - KEEP) / n as f64), beta: T::from_f64(KEEP) };
        for update in [Update { alpha: T::ONE, beta: T::ZERO }, average] {
            let p = Product {
                extent: Extent::whole(d as u32, d as u32, n as u32),
                strides: Strides { a: d as u32, b: d as u32, c: d as u32 },
                update,
            };
            for name in [Some(plain), weighted].into_iter().flatten() {
                let mut c = if update.beta == T::ZERO {
                    Buffer::unwritten(d * d)
                } else {
                    Buffer::from_slice(&before)
                };
                let (to, from, with) = (c.output(), input.input(), weights.input());
                run(name, grid, |dev| {
                    if name == plain {
                        product::gram::<T, _, G>(dev, to, from, p);
                    } else {
                        product::weighted_gram::<T, _, G>(dev, to, from, with, p);
                    }
                });
                let weight = |s: usize| if name == plain { 1.0 } else { w[s].to_f64() };
                let sums = naive_gram(&to_f64(&x), weight, n, d);
                let (alpha, beta) = (update.alpha.to_f64(), update.beta.to_f64());
                let old = |i: usize| if beta == 0.0 { 0.0 } else { beta * before[i].to_f64() };
                let want: Vec<f64> =
                    sums.iter().enumerate().map(|(i, s)| alpha * s + old(i)).collect();
                let what = format!("{name} {n}x{d}");
                assert_close(&what, &c.to_vec(), &want, "gram", Oracle::Dense, n);
                assert_symmetric(&what, &c.to_vec(), d);
            }
        }
    }
}

#[test]
fn gram_matrices_and_moving_averages_of_factors() {
    grams::<f32, Fma<8>>("gram_f32", Some("weighted_gram_f32"));
    grams::<f32, Narrow>("gram_narrow_f32", None);
    grams::<f64, Fma<4>>("gram_f64", Some("weighted_gram_f64"));
}

fn packed<T: Scalar, G: Engine<T>>(name: &str) {
    for (n, m, d) in [(1, 1, 1), (19, 5, 17), (50, 131, 12), (40, 3, 40)] {
        let mut random = Random::new((n * m + d) as u64);
        let x: Vec<T> = random.augmented(n, d - 1);
        let nu: Vec<T> = random.uniforms(n * m, 0.0, 1.0);
        let pairs = d * (d + 1) / 2;
        let (input, weights) = (Buffer::from_slice(&x), Buffer::from_slice(&nu));
        let mut out = Buffer::<T>::unwritten(m * pairs);
        let p = Product {
            extent: Extent::whole(m as u32, pairs as u32, n as u32),
            strides: Strides { a: m as u32, b: d as u32, c: pairs as u32 },
            update: Update { alpha: T::ONE / T::from_usize(n), beta: T::ZERO },
        };
        let side = 16 * G::R as u32;
        let grid = [(pairs as u32).div_ceil(side), (m as u32).div_ceil(side), 1];
        let (to, with, from) = (out.output(), weights.input(), input.input());
        run(name, grid, |dev| product::packed_grams::<T, _, G>(dev, to, with, from, p));
        let wide = to_f64(&x);
        let mut want = Vec::new();
        for i in 0..m {
            let dense = naive_gram(&wide, |s| nu[s * m + i].to_f64() / n as f64, n, d);
            for a in 0..d {
                want.extend_from_slice(&dense[a * d..=a * d + a]);
            }
        }
        let what = format!("{name} {n}x{m}x{d}");
        assert_close(&what, &out.to_vec(), &want, "packed_grams", Oracle::Dense, n);
    }
}

#[test]
fn all_metrics_of_a_layer_packed() {
    packed::<f32, Fma<8>>("packed_grams_f32");
    packed::<f64, Fma<4>>("packed_grams_f64");
}

fn multiply(a: &[f64], b: &[f64], [m, n, k]: [usize; 3], transposed: bool) -> Vec<f64> {
    let right = |s: usize, j: usize| if transposed { b[j * k + s] } else { b[s * n + j] };
    let sum = |i: usize, j: usize| (0..k).map(|s| a[i * k + s] * right(s, j)).sum();
    (0..m * n).map(|at| sum(at / n, at % n)).collect()
}

fn layers<T: Scalar, G: Engine<T>>(name: &str) {
    let (n, m, d) = (37, 141, 21);
    let mut random = Random::new(21);
    let (x, w): (Vec<T>, Vec<T>) = (random.normals(n * d), random.normals(m * (d + 1)));
    let (input, weights) = (Buffer::from_slice(&x), Buffer::from_slice(&w));
    let product = Product {
        extent: Extent::whole(n as u32, m as u32, d as u32),
        strides: Strides { a: d as u32, b: d as u32 + 1, c: m as u32 },
        update: Update { alpha: T::ONE, beta: T::ZERO },
    };
    let side = 16 * G::R as u32;
    let grid = [(m as u32).div_ceil(side), (n as u32).div_ceil(side), 1];
    for leak in [0.0, 0.5] {
        let (mut t, mut a) = (Buffer::<T>::unwritten(n * m), Buffer::<T>::unwritten(n * m));
        let activation = Activation::Relu { leak: T::from_f64(leak) };
        let neurons = Neurons::activated(activation, (n * m) as u64);
        let layer = Layer { product, neurons, activated: m as u32 };
        let (to, to_a, from, with) = (t.output(), a.output(), input.input(), weights.input());
        run(name, grid, |dev| product::forward::<T, _, G>(dev, to, to_a, from, with, layer));
        let augmented: Vec<f64> =
            to_f64(&x).chunks(d).flat_map(|row| row.iter().copied().chain([1.0])).collect();
        let want = multiply(&augmented, &to_f64(&w), [n, m, d + 1], true);
        assert_close(name, &t.to_vec(), &want, "gemm", Oracle::Dense, d + 1);
        let active: Vec<f64> = want.iter().map(|t| if *t > 0.0 { *t } else { leak * t }).collect();
        assert_close(name, &a.to_vec(), &active, "gemm", Oracle::Dense, d + 1);
    }
}

#[test]
fn a_layer_forward_with_bias_and_activation() {
    layers::<f32, Fma<8>>("forward_f32");
    layers::<f32, Narrow>("forward_narrow_f32");
    layers::<f64, Fma<4>>("forward_f64");
}

fn masks<T: Scalar, G: Engine<T>>(nn: &str, nt: Option<&str>) {
    let (m, n, k, repeat) = (60, 145, 23, 4);
    let mut random = Random::new(31);
    let (a, b): (Vec<T>, Vec<T>) = (random.normals(m * k), random.normals(n * k));
    // H has a row distance of its own.
    let h_row = n + 3;
    let h: Vec<T> = random.normals(m * h_row);
    let (left, right) = (Buffer::from_slice(&a), Buffer::from_slice(&b));
    let mask = Buffer::from_slice(&h);
    let forms = [(Some(nn), false, repeat), (nt, true, 1)];
    for (name, transposed, repeat) in forms {
        let Some(name) = name else { continue };
        let product = Product {
            extent: Extent::whole(m as u32, n as u32, k as u32),
            strides: Strides {
                a: k as u32,
                b: if transposed { k as u32 } else { n as u32 },
                c: n as u32,
            },
            update: Update { alpha: T::HALF, beta: T::ZERO },
        };
        let masked = Masked { product, h: h_row as u32, repeat: repeat as u32 };
        let mut c = Buffer::<T>::unwritten(m * n);
        let (to, by) = (c.output(), mask.input());
        let (from, with) = (left.input(), right.input());
        let side = 16 * G::R as u32;
        run(name, [(n as u32).div_ceil(side), (m as u32).div_ceil(side), 1], |dev| {
            if transposed {
                product::masked_nt::<T, _, G>(dev, to, by, from, with, masked);
            } else {
                product::masked_nn::<T, _, G>(dev, to, by, from, with, masked);
            }
        });
        let products = multiply(&to_f64(&a), &to_f64(&b), [m, n, k], transposed);
        let at = |i: usize| h[i / n / repeat * h_row + i % n].to_f64();
        let want: Vec<f64> = products.iter().enumerate().map(|(i, p)| 0.5 * p * at(i)).collect();
        assert_close(name, &c.to_vec(), &want, "gemm", Oracle::Dense, k);
    }
}

#[test]
fn products_masked_element_by_element() {
    masks::<f32, Fma<8>>("masked_nn_f32", Some("masked_nt_f32"));
    masks::<f32, Narrow>("masked_nn_narrow_f32", None);
    masks::<f64, Fma<4>>("masked_nn_f64", Some("masked_nt_f64"));
}

/// δ' = (δW) ∘ f′(T) with W̃ of stride d + 1, T of stride d + 1 and δ and δ' of strides of their own.
fn backwards<T: Scalar, G: Engine<T>>(name: &str) {
    let (n, d, m, from_row, to_row) = (37, 141, 21, 23, 144);
    let mut random = Random::new(23);
    let (delta, w): (Vec<T>, Vec<T>) = (random.normals(n * from_row), random.normals(m * (d + 1)));
    let t: Vec<T> = random.normals(n * (d + 1));
    let (from, with) = (Buffer::from_slice(&delta), Buffer::from_slice(&w));
    let before = Buffer::from_slice(&t);
    let product = Product {
        extent: Extent::whole(n as u32, d as u32, m as u32),
        strides: Strides { a: from_row as u32, b: d as u32 + 1, c: to_row as u32 },
        update: Update { alpha: T::ONE, beta: T::ZERO },
    };
    let side = 16 * G::R as u32;
    let grid = [(d as u32).div_ceil(side), (n as u32).div_ceil(side), 1];
    let activations = [
        (Activation::Tanh, Activation::Tanh),
        (Activation::Relu { leak: T::HALF }, Activation::Relu { leak: 0.5 }),
    ];
    for (activation, reference) in activations {
        let mut c = Buffer::<T>::unwritten(n * to_row);
        let neurons = Neurons::activated(activation, 0);
        let backward = Backward { product, neurons, t: d as u32 + 1 };
        let (to, at, from, with) = (c.output(), before.input(), from.input(), with.input());
        run(name, grid, |dev| {
            product::backward::<T, _, G>(dev, to, at, from, with, backward);
        });
        let (delta, w, c) = (to_f64(&delta), to_f64(&w), c.to_vec());
        let mut want = Vec::new();
        for (s, j) in (0..n * d).map(|at| (at / d, at % d)) {
            let sum: f64 = (0..m).map(|k| delta[s * from_row + k] * w[k * (d + 1) + j]).sum();
            want.push(sum * reference.derivative(t[s * (d + 1) + j].to_f64()));
        }
        let got: Vec<T> = c.chunks(to_row).flat_map(|row| row[..d].iter().copied()).collect();
        assert_close(name, &got, &want, "gemm", Oracle::Dense, m);
        // Nothing beside the rows was written.
        assert!(c.chunks(to_row).all(|row| row[d..].iter().all(|x| x.to_f64().is_nan())), "{name}");
    }
}

#[test]
fn a_layer_backward_through_the_slopes_before_it() {
    backwards::<f32, Fma<8>>("backward_f32");
    backwards::<f32, Narrow>("backward_narrow_f32");
    backwards::<f64, Fma<4>>("backward_f64");
}

fn divisions<T: Scalar, G: Engine<T>>(name: &str) {
    let (m, n, k) = (30, 70, 70);
    let mut random = Random::new(41);
    let (a, b): (Vec<T>, Vec<T>) = (random.normals(m * k), random.normals(n * k));
    let values: Vec<T> = random.uniforms(m + n, 0.0, 2.0);
    let product = Product {
        extent: Extent::whole(m as u32, n as u32, k as u32),
        strides: Strides { a: k as u32, b: n as u32, c: n as u32 },
        update: Update { alpha: T::ONE, beta: T::ZERO },
    };
    let divided = Divided { product, damping: T::HALF };
    let (left, right) = (Buffer::from_slice(&a), Buffer::from_slice(&b));
    let eigenvalues = Buffer::from_slice(&values);
    let mut c = Buffer::<T>::unwritten(m * n);
    let (to, by) = (c.output(), eigenvalues.input());
    let (from, with) = (left.input(), right.input());
    let side = 16 * G::R as u32;
    run(name, [(n as u32).div_ceil(side), (m as u32).div_ceil(side), 1], |dev| {
        product::divided_nn::<T, _, G>(dev, to, by, from, with, divided);
    });
    let products = multiply(&to_f64(&a), &to_f64(&b), [m, n, k], false);
    let scale = |i: usize| values[i / n].to_f64() * values[m + i % n].to_f64() + 0.5;
    let want: Vec<f64> = products.iter().enumerate().map(|(i, p)| p / scale(i)).collect();
    assert_close(name, &c.to_vec(), &want, "gemm", Oracle::Dense, k);
}

#[test]
fn products_divided_in_an_eigenbasis() {
    divisions::<f32, Fma<8>>("divided_nn_f32");
    divisions::<f64, Fma<4>>("divided_nn_f64");
}
