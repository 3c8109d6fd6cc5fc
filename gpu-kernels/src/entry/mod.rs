//! The entry points: each names a body, its types and the order of its parameters.
//!
//! # Safety
//! Every entry point demands the launch shape of its contract ([`crate::contract::CONTRACTS`]), and
//! arrays in global memory that hold what its body's documentation says and do not overlap where
//! one is written. Nothing is checked here: the host checks before it launches.

use crate::body::{elementwise, reduce, step};
use crate::contract::{AdamScalars, Join, Neurons, SgdScalars};
use crate::nvptx::{Array, Nvptx};

mod batch;
mod product;

/// Entry points that only pass their parameters to a body.
macro_rules! entries {
    ($($name:ident($($argument:ident: $type:ty),*) => $body:expr;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "ptx-kernel" fn $name($($argument: $type),*) {
            $body(Nvptx, $($argument),*)
        }
    )* };
}
use entries;

entries! {
    nu_f32(nu: Array<f32>, t: Array<f32>, s: Neurons<f32>) => elementwise::nu;
    nu_f64(nu: Array<f64>, t: Array<f64>, s: Neurons<f64>) => elementwise::nu;
    activate_f32(a: Array<f32>, slope: Array<f32>, t: Array<f32>, s: Neurons<f32>)
        => elementwise::activate;
    activate_f64(a: Array<f64>, slope: Array<f64>, t: Array<f64>, s: Neurons<f64>)
        => elementwise::activate;
    sgd_f32(theta: Array<f32>, velocity: Array<f32>, gradient: Array<f32>, s: SgdScalars<f32>)
        => step::sgd;
    adam_f32(
        theta: Array<f32>,
        first: Array<f32>,
        second: Array<f32>,
        gradient: Array<f32>,
        s: AdamScalars<f32>
    ) => step::adam;
    descend_f32(theta: Array<f32>, direction: Array<f32>, count: u64, rate: f32) => step::descend;
    join_f32(c: Array<f32>, pieces: Array<f32>, s: Join<f32>) => reduce::join;
    join_f64(c: Array<f64>, pieces: Array<f64>, s: Join<f64>) => reduce::join;
    dot_f32(out: Array<f32>, x: Array<f32>, y: Array<f32>, count: u64) => reduce::dot;
    dot_f64(out: Array<f64>, x: Array<f64>, y: Array<f64>, count: u64) => reduce::dot;
    sum_f32(out: Array<f32>, x: Array<f32>, count: u64) => reduce::sum;
    sum_f64(out: Array<f64>, x: Array<f64>, count: u64) => reduce::sum;
}
