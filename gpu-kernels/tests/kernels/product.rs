//! Products of tiles against naive sums in f64, at shapes that fill no tile.

use relfisher_kernels::Scalar;
use relfisher_kernels::body::fma::{Fma, Narrow};
use relfisher_kernels::body::tile::Engine;
use relfisher_kernels::body::{product, reduce};
use relfisher_kernels::contract::{Extent, Join, Product, Strides, Update};
use relfisher_kernels::emulator::{Buffer, Thread, View};

use crate::compare::{assert_close, to_f64};
use crate::random::Random;
use crate::run::run;
use crate::tolerance::Oracle;

/// Rows, columns, inner: less than a tile, a tile, more than one, a single element.
pub(crate) const SHAPES: [[u32; 3]; 5] =
    [[1, 1, 1], [37, 61, 19], [128, 128, 16], [130, 257, 33], [200, 5, 100]];

/// Which operands are stored transposed.
#[derive(Clone, Copy, Debug)]
enum Form {
    Nn,
    Nt,
    Tn,
}

/// op(A) op(B) in f64.
fn naive(form: Form, a: &[f64], b: &[f64], [m, n, k]: [usize; 3]) -> Vec<f64> {
    let left = |i: usize, s: usize| match form {
        Form::Nn | Form::Nt => a[i * k + s],
        Form::Tn => a[s * m + i],
    };
    let right = |s: usize, j: usize| match form {
        Form::Nn | Form::Tn => b[s * n + j],
        Form::Nt => b[j * k + s],
    };
    let sum = |i, j| (0..k).map(|s| left(i, s) * right(s, j)).sum();
    (0..m * n).map(|at| sum(at / n, at % n)).collect()
}

type Body<'m, T> = (View<'m, T>, View<'m, T>, View<'m, T>);

fn call<'m, T: Scalar, G: Engine<T>>(
    d: Thread<'m, '_>,
    form: Form,
    (c, a, b): Body<'m, T>,
    p: Product<T>,
) {
    match form {
        Form::Nn => product::nn::<T, _, G>(d, c, a, b, p),
        Form::Nt => product::nt::<T, _, G>(d, c, a, b, p),
        Form::Tn => product::tn::<T, _, G>(d, c, a, b, p),
    }
}

fn gemm<T: Scalar, G: Engine<T>>(name: &str, form: Form) {
    for [m, n, k] in SHAPES {
        let mut random = Random::new(u64::from(m * n + k));
        let shape = [m, n, k].map(|x| x as usize);
        let (a, b): (Vec<T>, Vec<T>) =
            (random.normals(shape[0] * shape[2]), random.normals(shape[1] * shape[2]));
        let before: Vec<T> = random.normals(shape[0] * shape[1]);
        let product = naive(form, &to_f64(&a), &to_f64(&b), shape);
        let (left, right) = (Buffer::from_slice(&a), Buffer::from_slice(&b));
        let strides = match form {
            Form::Nn => Strides { a: k, b: n, c: n },
            Form::Nt => Strides { a: k, b: k, c: n },
            Form::Tn => Strides { a: m, b: n, c: n },
        };
        let side = 16 * G::R as u32;
        let grid = [n.div_ceil(side), m.div_ceil(side), 1];
        for beta in [0.0, -0.5] {
            let mut c = if beta == 0.0 {
                Buffer::unwritten(before.len())
            } else {
                Buffer::from_slice(&before)
            };
            let update = Update { alpha: T::TWO, beta: T::from_f64(beta) };
            let views = (c.output(), left.input(), right.input());
            let p = Product { extent: Extent::whole(m, n, k), strides, update };
            run(name, grid, |d| call::<T, G>(d, form, views, p));
            let want: Vec<f64> = product
                .iter()
                .zip(&before)
                .map(|(p, c)| 2.0 * p + if beta == 0.0 { 0.0 } else { beta * c.to_f64() })
                .collect();
            let what = format!("{name} {m}x{n}x{k}, beta {beta}");
            assert_close(&what, &c.to_vec(), &want, "gemm", Oracle::Dense, shape[2]);
        }
    }
}

#[test]
fn products_in_three_forms() {
    gemm::<f32, Fma<8>>("gemm_nn_f32", Form::Nn);
    gemm::<f32, Fma<8>>("gemm_nt_f32", Form::Nt);
    gemm::<f32, Fma<8>>("gemm_tn_f32", Form::Tn);
    gemm::<f32, Narrow>("gemm_nn_narrow_f32", Form::Nn);
    gemm::<f32, Narrow>("gemm_nt_narrow_f32", Form::Nt);
    gemm::<f32, Narrow>("gemm_tn_narrow_f32", Form::Tn);
    gemm::<f64, Fma<4>>("gemm_nn_f64", Form::Nn);
    gemm::<f64, Fma<4>>("gemm_nt_f64", Form::Nt);
    gemm::<f64, Fma<4>>("gemm_tn_f64", Form::Tn);
}

#[test]
fn a_product_in_pieces_is_joined() {
    let (m, n, k, piece) = (40u32, 30u32, 150u32, 64u32);
    let mut random = Random::new(11);
    let (a, b): (Vec<f32>, Vec<f32>) =
        (random.normals((m * k) as usize), random.normals((n * k) as usize));
    let (left, right) = (Buffer::from_slice(&a), Buffer::from_slice(&b));
    let pieces = k.div_ceil(piece);
    let mut parts = Buffer::<f32>::unwritten((m * n * pieces) as usize);
    let views = (parts.output(), left.input(), right.input());
    let extent = Extent { rows: m, columns: n, inner: k, piece };
    let strides = Strides { a: m, b: n, c: n };
    let update = Update { alpha: 1.0, beta: 0.0 };
    run("gemm_tn_f32", [1, 1, pieces], |d| {
        call::<f32, Fma<8>>(d, Form::Tn, views, Product { extent, strides, update });
    });
    let mut c = Buffer::<f32>::unwritten((m * n) as usize);
    let (to, from) = (c.output(), parts.input());
    let join = Join { count: u64::from(m * n), pieces, update };
    run("join_f32", [(m * n).div_ceil(1024), 1, 1], |d| reduce::join(d, to, from, join));
    let shape = [m, n, k].map(|x| x as usize);
    let want = naive(Form::Tn, &to_f64(&a), &to_f64(&b), shape);
    assert_close("in pieces", &c.to_vec(), &want, "gemm", Oracle::Dense, shape[2]);
}
