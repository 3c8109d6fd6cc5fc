//! Entry points of vectors and of matrices element by element: activations, updates, sums.

use super::entries;
#[cfg(any(target_arch = "nvptx64", feature = "emulator"))]
use crate::body::{damping, elementwise, matrix, reduce, step};
use crate::contract::{AdamScalars, Combination, Join, NeuronRows, Neurons, Rows, SgdScalars};

#[cfg(not(target_arch = "nvptx64"))]
pub(super) const LISTS: &[&[super::Entry]] = &[SINGLE, DOUBLE, INTEGERS];

/// Stamps every kernel of a type.
macro_rules! vectors {
    ($list:ident, $t:ident:
        $nu:ident $nu_rows:ident $activate:ident $sgd:ident $adam:ident $descend:ident $join:ident
        $dot:ident $sum:ident $axpby:ident $axpby_scaled:ident $multiply:ident $gather:ident
        $identity:ident $split:ident $kl_clip:ident) => {
        entries! { $list:
            $nu(write nu: $t, read t: $t; s: Neurons<$t>) => elementwise::nu;
            $nu_rows(write y: $t, read x: $t; s: NeuronRows<$t>) => matrix::nu;
            $activate(write a: $t, write slope: $t, read t: $t; s: Neurons<$t>)
                => elementwise::activate;
            $sgd(write theta: $t, write velocity: $t, read gradient: $t; s: SgdScalars<$t>)
                => step::sgd;
            $adam(
                write theta: $t, write first: $t, write second: $t, read gradient: $t;
                s: AdamScalars<$t>
            ) => step::adam;
            $descend(write theta: $t, read direction: $t; count: u64, rate: $t) => step::descend;
            $join(write c: $t, read pieces: $t; s: Join<$t>) => reduce::join;
            $dot(write out: $t, read x: $t, read y: $t; count: u64) => reduce::dot;
            $sum(write out: $t, read x: $t; count: u64) => reduce::sum;
            $axpby(write y: $t, read x: $t; s: Combination<$t>) => matrix::axpby;
            $axpby_scaled(write y: $t, read x: $t, read factor: $t; s: Combination<$t>)
                => matrix::axpby_scaled;
            $multiply(write y: $t, read x: $t; rows: Rows) => matrix::multiply;
            $gather(write y: $t, read x: $t, read index: u32; rows: Rows) => matrix::gather;
            $identity(write y: $t; rows: Rows) => matrix::identity;
            $split(write damping: $t, read means: $t; pairs: u64, lambda: $t) => damping::split;
            $kl_clip(write factor: $t, read curvature: $t; rate: $t, bound: $t)
                => damping::kl_clip;
        }
    };
}
vectors! { SINGLE, f32:
    nu_f32 nu_rows_f32 activate_f32 sgd_f32 adam_f32 descend_f32 join_f32 dot_f32 sum_f32 axpby_f32
    axpby_scaled_f32 multiply_f32 gather_f32 identity_f32 split_damping_f32 kl_clip_f32
}
vectors! { DOUBLE, f64:
    nu_f64 nu_rows_f64 activate_f64 sgd_f64 adam_f64 descend_f64 join_f64 dot_f64 sum_f64 axpby_f64
    axpby_scaled_f64 multiply_f64 gather_f64 identity_f64 split_damping_f64 kl_clip_f64
}
entries! { INTEGERS:
    gather_u32(write y: u32, read x: u32, read index: u32; rows: Rows) => matrix::gather;
}
