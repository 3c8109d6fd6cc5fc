//! KFC's factor from images against patches that are formed one by one.

use relfisher_kernels::Scalar;
use relfisher_kernels::body::fma::Fma;
use relfisher_kernels::body::product;
use relfisher_kernels::body::tensor::{Bf16, Mode, Tensor, Tf32, Tf32x3};
use relfisher_kernels::body::tile::Engine;
use relfisher_kernels::contract::{Extent, Patched, Product, Strides, Update, Window};
use relfisher_kernels::emulator::Buffer;

use crate::compare::{assert_close, assert_symmetric, to_f64};
use crate::random::Random;
use crate::run::run;
use crate::tolerance::Oracle;

/// Different in every respect along the two axes.
const WINDOW: Window = Window {
    channels: 3,
    size: [7, 9],
    kernel: [3, 2],
    stride: [2, 1],
    padding: [1, 2],
    dilation: [1, 3],
    positions: [4, 10],
};

/// The patches of an image, a position a row, each with a trailing 1.
fn patches(image: &[f64]) -> Vec<Vec<f64>> {
    let [height, width] = WINDOW.size.map(i64::from);
    let at = |c: u32, y: i64, x: i64| {
        let inside = (0..height).contains(&y) && (0..width).contains(&x);
        if inside { image[((i64::from(c) * height + y) * width + x) as usize] } else { 0.0 }
    };
    let mut rows = Vec::new();
    for oy in 0..WINDOW.positions[0] {
        for ox in 0..WINDOW.positions[1] {
            let mut row = Vec::new();
            for c in 0..WINDOW.channels {
                for ky in 0..WINDOW.kernel[0] {
                    for kx in 0..WINDOW.kernel[1] {
                        let [y, x] =
                            [(oy, ky, 0), (ox, kx, 1)].map(|(o, k, axis): (u32, u32, usize)| {
                                i64::from(o * WINDOW.stride[axis] + k * WINDOW.dilation[axis])
                                    - i64::from(WINDOW.padding[axis])
                            });
                        row.push(at(c, y, x));
                    }
                }
            }
            row.push(1.0);
            rows.push(row);
        }
    }
    rows
}

fn factor<T: Scalar, G: Engine<T>>(name: &str, routine: &str) {
    let images = 3;
    let [height, width] = WINDOW.size;
    let mut random = Random::new(101);
    let length = (images * WINDOW.channels * height * width) as usize;
    let values: Vec<T> = random.uniforms(length, 0.5, 1.5);
    let order = WINDOW.channels * WINDOW.kernel[0] * WINDOW.kernel[1] + 1;
    let inner = images * WINDOW.positions[0] * WINDOW.positions[1];
    let alpha = T::ONE / T::from_usize(inner as usize);
    let product = Product {
        extent: Extent::whole(order, order, inner),
        strides: Strides { a: order, b: order, c: order },
        update: Update { alpha, beta: T::ZERO },
    };
    let input = Buffer::from_slice(&values);
    let mut c = Buffer::<T>::unwritten((order * order) as usize);
    let (to, from) = (c.output(), input.input());
    let patched = Patched { product, window: WINDOW };
    run(name, [1, 1, 1], |d| product::patch_gram::<T, _, G>(d, to, from, patched));
    let wide = to_f64(&values);
    let rows: Vec<Vec<f64>> = wide.chunks(length / images as usize).flat_map(patches).collect();
    assert_eq!(rows.len(), inner as usize);
    let n = order as usize;
    let sum = |a: usize, b: usize| rows.iter().map(|row| row[a] * row[b]).sum::<f64>();
    let want: Vec<f64> = (0..n * n).map(|at| sum(at / n, at % n) / f64::from(inner)).collect();
    assert_close(name, &c.to_vec(), &want, routine, Oracle::Dense, inner as usize);
    assert_symmetric(name, &c.to_vec(), n);
}

fn by_tensor_cores<M: Mode>(name: &str, routine: &str) {
    factor::<f32, Tensor<M>>(name, routine);
}

#[test]
fn the_factor_of_a_convolution_without_a_patch_matrix() {
    factor::<f32, Fma<8>>("patch_gram_f32", "gram");
    factor::<f64, Fma<4>>("patch_gram_f64", "gram");
    by_tensor_cores::<Tf32x3>("patch_gram_tf32x3", "gram");
    by_tensor_cores::<Tf32>("patch_gram_tf32", "kernel tf32");
    by_tensor_cores::<Bf16>("patch_gram_bf16", "kernel bf16");
}
