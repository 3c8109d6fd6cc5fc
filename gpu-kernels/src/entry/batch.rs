//! Entry points of batches of matrices and rows: factorisations, soft-max, selection.

use super::entries;
use crate::body::{cholesky, jacobi, sample, select, softmax};
use crate::contract::{Batch, Classes, RightSides, Samples, Selection};
use crate::nvptx::{Array, Nvptx};

/// Stamps every kernel of a type.
macro_rules! batches {
    ($t:ident:
        $softmax:ident $metric:ident $root:ident $small:ident $large:ident $solve:ident
        $sample:ident $jacobi:ident $jacobi_large:ident) => {
        entries! {
            $softmax(
                eta: Array<$t>,
                delta: Array<$t>,
                loss: Array<$t>,
                logits: Array<$t>,
                labels: Array<u32>,
                s: Classes<$t>
            ) => |d, eta, delta, loss, logits, labels, s| {
                softmax::softmax(d, [eta, delta, loss], logits, labels, s)
            };
            $metric(r: Array<$t>, eta: Array<$t>, s: Classes<$t>) => softmax::metric::<$t, Nvptx>;
            $root(root: Array<$t>, eta: Array<$t>, s: Classes<$t>) => softmax::root::<$t, Nvptx>;
            $small(a: Array<$t>, flags: Array<u32>, b: Batch<$t>) => cholesky::small::<$t, Nvptx>;
            $large(a: Array<$t>, flags: Array<u32>, b: Batch<$t>) => cholesky::large::<$t, Nvptx>;
            $solve(x: Array<$t>, l: Array<$t>, b: Batch<$t>, sides: RightSides)
                => cholesky::solve::<$t, Nvptx>;
            $sample(
                z: Array<$t>,
                flags: Array<u32>,
                k: Array<$t>,
                nu: Array<$t>,
                s: Samples<$t>
            ) => sample::solve::<$t, Nvptx>;
            $jacobi(a: Array<$t>, values: Array<$t>, flags: Array<u32>, b: Batch<$t>)
                => jacobi::small::<$t, Nvptx>;
            $jacobi_large(
                a: Array<$t>,
                values: Array<$t>,
                flags: Array<u32>,
                work: Array<$t>,
                b: Batch<$t>
            ) => jacobi::large::<$t, Nvptx>;
        }
    };
}
batches! { f32:
    softmax_f32 softmax_metric_f32 softmax_root_f32 cholesky_small_f32 cholesky_large_f32
    cholesky_solve_f32 sample_solve_f32 jacobi_small_f32 jacobi_large_f32
}
batches! { f64:
    softmax_f64 softmax_metric_f64 softmax_root_f64 cholesky_small_f64 cholesky_large_f64
    cholesky_solve_f64 sample_solve_f64 jacobi_small_f64 jacobi_large_f64
}
entries! {
    select_f32(index: Array<u32>, value: Array<f32>, x: Array<f32>, s: Selection)
        => select::select::<Nvptx>;
}
