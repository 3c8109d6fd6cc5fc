//! Products by tensor cores against naive sums in f64: 3×TF32 within the bound of f32, the others
//! within that of their factors.

use relfisher_kernels::body::product;
use relfisher_kernels::body::tensor::{Bf16, Mode, Tensor, Tf32, Tf32x3};
use relfisher_kernels::contract::{Extent, Product, Strides, Update};
use relfisher_kernels::emulator::{Buffer, Thread, View};

use crate::compare::{assert_close, to_f64};
use crate::product::SHAPES;
use crate::random::Random;
use crate::run::run;
use crate::tolerance::Oracle;

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Nn,
    Nt,
    Tn,
}

fn call<'m, M: Mode>(
    d: Thread<'m, '_>,
    form: Form,
    [c, a, b]: [View<'m, f32>; 3],
    p: Product<f32>,
) {
    match form {
        Form::Nn => product::nn::<f32, _, Tensor<M>>(d, c, a, b, p),
        Form::Nt => product::nt::<f32, _, Tensor<M>>(d, c, a, b, p),
        Form::Tn => product::tn::<f32, _, Tensor<M>>(d, c, a, b, p),
    }
}

fn products<M: Mode>(name: &str, form: Form, routine: &str) {
    for [m, n, k] in SHAPES {
        let mut random = Random::new(u64::from(m + n + k));
        let [rows, columns, inner] = [m, n, k].map(|x| x as usize);
        // Of one sign, so that no sum cancels and the relative error is that of the factors.
        let a: Vec<f32> = random.uniforms(rows * inner, 0.5, 1.5);
        let b: Vec<f32> = random.uniforms(columns * inner, 0.5, 1.5);
        let (left, right) = (Buffer::from_slice(&a), Buffer::from_slice(&b));
        let mut c = Buffer::<f32>::unwritten(rows * columns);
        let strides = Strides {
            a: if form == Form::Tn { m } else { k },
            b: if form == Form::Nt { k } else { n },
            c: n,
        };
        let update = Update { alpha: 1.0, beta: 0.0 };
        let p = Product { extent: Extent::whole(m, n, k), strides, update };
        let views = [c.output(), left.input(), right.input()];
        let grid = [n.div_ceil(128), m.div_ceil(128), 1];
        run(name, grid, |d| call::<M>(d, form, views, p));
        let (a, b) = (to_f64(&a), to_f64(&b));
        let x =
            |i: usize, s: usize| if form == Form::Tn { a[s * rows + i] } else { a[i * inner + s] };
        let y = |s: usize, j: usize| {
            if form == Form::Nt { b[j * inner + s] } else { b[s * columns + j] }
        };
        let sum = |i: usize, j: usize| (0..inner).map(|s| x(i, s) * y(s, j)).sum::<f64>();
        let want: Vec<f64> =
            (0..rows * columns).map(|at| sum(at / columns, at % columns)).collect();
        let what = format!("{name} {m}x{n}x{k}");
        assert_close(&what, &c.to_vec(), &want, routine, Oracle::Dense, inner);
    }
}

#[test]
fn three_products_of_tf32_are_as_accurate_as_f32() {
    products::<Tf32x3>("gemm_nn_tf32x3", Form::Nn, "gemm");
    products::<Tf32x3>("gemm_nt_tf32x3", Form::Nt, "gemm");
    products::<Tf32x3>("gemm_tn_tf32x3", Form::Tn, "gemm");
}

#[test]
fn factors_rounded_to_tf32_and_bf16() {
    products::<Tf32>("gemm_nn_tf32", Form::Nn, "kernel tf32");
    products::<Tf32>("gemm_nt_tf32", Form::Nt, "kernel tf32");
    products::<Tf32>("gemm_tn_tf32", Form::Tn, "kernel tf32");
    products::<Bf16>("gemm_nn_bf16", Form::Nn, "kernel bf16");
    products::<Bf16>("gemm_nt_bf16", Form::Nt, "kernel bf16");
    products::<Bf16>("gemm_tn_bf16", Form::Tn, "kernel bf16");
}

fn metrics<M: Mode>(names: [&str; 2], routines: [&str; 2]) {
    let (n, m, d) = (37, 20, 21);
    let mut random = Random::new(51);
    let x: Vec<f32> = random.uniforms(n * d, 0.5, 1.5);
    let nu: Vec<f32> = random.uniforms(n * m, 0.5, 1.0);
    let (input, weights) = (Buffer::from_slice(&x), Buffer::from_slice(&nu));
    let update = Update { alpha: 1.0, beta: 0.0 };
    let gram = |w: &dyn Fn(usize) -> f64, a: usize, b: usize| -> f64 {
        (0..n).map(|s| w(s) * f64::from(x[s * d + a]) * f64::from(x[s * d + b])).sum()
    };
    let mut c = Buffer::<f32>::unwritten(d * d);
    let p = Product {
        extent: Extent::whole(d as u32, d as u32, n as u32),
        strides: Strides { a: d as u32, b: d as u32, c: d as u32 },
        update,
    };
    let (to, from) = (c.output(), input.input());
    run(names[0], [1, 1, 1], |dev| product::gram::<f32, _, Tensor<M>>(dev, to, from, p));
    let want: Vec<f64> = (0..d * d).map(|at| gram(&|_| 1.0, at / d, at % d)).collect();
    assert_close(names[0], &c.to_vec(), &want, routines[0], Oracle::Dense, n);

    let pairs = d * (d + 1) / 2;
    let mut out = Buffer::<f32>::unwritten(m * pairs);
    let p = Product {
        extent: Extent::whole(m as u32, pairs as u32, n as u32),
        strides: Strides { a: m as u32, b: d as u32, c: pairs as u32 },
        update,
    };
    let (to, with, from) = (out.output(), weights.input(), input.input());
    let grid = [(pairs as u32).div_ceil(128), 1, 1];
    run(names[1], grid, |dev| {
        product::packed_grams::<f32, _, Tensor<M>>(dev, to, with, from, p);
    });
    let want: Vec<f64> = (0..m)
        .flat_map(|i| (0..d).flat_map(move |a| (0..=a).map(move |b| (i, a, b))))
        .map(|(i, a, b)| gram(&|s| f64::from(nu[s * m + i]), a, b))
        .collect();
    assert_close(names[1], &out.to_vec(), &want, routines[1], Oracle::Dense, n);
}

#[test]
fn factors_and_metrics_by_tensor_cores() {
    metrics::<Tf32x3>(["gram_tf32x3", "packed_grams_tf32x3"], ["gram", "packed_grams"]);
    metrics::<Tf32>(["gram_tf32", "packed_grams_tf32"], ["kernel tf32"; 2]);
    metrics::<Bf16>(["gram_bf16", "packed_grams_bf16"], ["kernel bf16"; 2]);
}
