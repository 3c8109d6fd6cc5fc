//! Entry points of batches of matrices and rows: factorisations, soft-max, selection.

use super::entries;
#[cfg(any(target_arch = "nvptx64", feature = "emulator"))]
use crate::body::{cholesky, jacobi, sample, select, softmax};
use crate::contract::{Batch, Classes, RightSides, Samples, Selection};

#[cfg(not(target_arch = "nvptx64"))]
pub(super) const LISTS: &[&[super::Entry]] = &[SINGLE, DOUBLE, SELECT];

/// Stamps every kernel of a type.
macro_rules! batches {
    ($list:ident, $t:ident:
        $softmax:ident $metric:ident $root:ident $small:ident $large:ident $solve:ident
        $sample:ident $jacobi:ident $jacobi_large:ident) => {
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
        }
    };
}
batches! { SINGLE, f32:
    softmax_f32 softmax_metric_f32 softmax_root_f32 cholesky_small_f32 cholesky_large_f32
    cholesky_solve_f32 sample_solve_f32 jacobi_small_f32 jacobi_large_f32
}
batches! { DOUBLE, f64:
    softmax_f64 softmax_metric_f64 softmax_root_f64 cholesky_small_f64 cholesky_large_f64
    cholesky_solve_f64 sample_solve_f64 jacobi_small_f64 jacobi_large_f64
}
entries! { SELECT:
    select_f32(write index: u32, write value: f32, read x: f32; s: Selection) => select::select;
}
