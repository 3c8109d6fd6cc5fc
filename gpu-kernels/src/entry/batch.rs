//! Entry points of batches of matrices and rows: losses, factorisations, selection.

use super::entries;
#[cfg(any(target_arch = "nvptx64", feature = "emulator"))]
use crate::body::{cholesky, damping, jacobi, loss, sample, select, softmax, triangle};
use crate::contract::{Batch, Classes, RightSides, Samples, Selection, Targets, Triangles};

#[cfg(not(target_arch = "nvptx64"))]
pub(super) const LISTS: &[&[super::Entry]] = &[SINGLE, DOUBLE];

/// Stamps every kernel of a type.
macro_rules! batches {
    ($list:ident, $t:ident:
        $softmax:ident $metric:ident $root:ident $small:ident $large:ident $solve:ident
        $sample:ident $jacobi:ident $jacobi_large:ident $mse:ident $bce:ident $mean:ident
        $add:ident $select:ident $triangle:ident) => {
        entries! { $list:
            $softmax(
                write eta: $t, write delta: $t, write loss: $t, read logits: $t, read labels: u32;
                s: Classes<$t>
            ) => softmax::softmax;
            $metric(write r: $t, read eta: $t; s: Classes<$t>) => softmax::metric;
            $root(write root: $t, read eta: $t; s: Classes<$t>) => softmax::root;
            $small(write a: $t, write flags: u32; b: Batch<$t>) => cholesky::small;
            $large(write a: $t, write flags: u32; b: Batch<$t>) => cholesky::large;
            $solve(write x: $t, read l: $t; b: Batch<$t>, sides: RightSides) => cholesky::solve;
            $sample(write z: $t, write flags: u32, read k: $t, read nu: $t; s: Samples<$t>)
                => sample::solve;
            $jacobi(write a: $t, write values: $t, write flags: u32; b: Batch<$t>)
                => jacobi::small;
            $jacobi_large(
                write a: $t, write values: $t, write flags: u32, write work: $t;
                b: Batch<$t>
            ) => jacobi::large;
            $mse(
                write delta: $t, write loss: $t, read outputs: $t, read targets: $t;
                s: Targets<$t>
            ) => loss::mse;
            $bce(
                write delta: $t, write loss: $t, read logits: $t, read targets: $t;
                s: Targets<$t>
            ) => loss::binary_cross_entropy;
            $mean(write mean: $t, read a: $t; b: Batch<$t>) => damping::mean_diagonal;
            $add(write a: $t, read damping: $t; b: Batch<$t>) => damping::add_diagonal;
            $select(write index: u32, write value: $t, read x: $t; s: Selection)
                => select::select;
            $triangle(write w: $t, read l: $t; t: Triangles) => triangle::invert;
        }
    };
}
batches! { SINGLE, f32:
    softmax_f32 softmax_metric_f32 softmax_root_f32 cholesky_small_f32 cholesky_large_f32
    cholesky_solve_f32 sample_solve_f32 jacobi_small_f32 jacobi_large_f32 mse_f32
    binary_cross_entropy_f32 mean_diagonal_f32 add_diagonal_f32 select_f32
    triangle_inverse_f32
}
batches! { DOUBLE, f64:
    softmax_f64 softmax_metric_f64 softmax_root_f64 cholesky_small_f64 cholesky_large_f64
    cholesky_solve_f64 sample_solve_f64 jacobi_small_f64 jacobi_large_f64 mse_f64
    binary_cross_entropy_f64 mean_diagonal_f64 add_diagonal_f64 select_f64
    triangle_inverse_f64
}
