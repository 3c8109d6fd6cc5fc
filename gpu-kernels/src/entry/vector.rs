//! Entry points of vectors: element by element, update rules, sums.

use super::entries;
#[cfg(any(target_arch = "nvptx64", feature = "emulator"))]
use crate::body::{elementwise, reduce, step};
use crate::contract::{AdamScalars, Join, Neurons, SgdScalars};

#[cfg(not(target_arch = "nvptx64"))]
pub(super) const LISTS: &[&[super::Entry]] = &[VECTORS];

entries! { VECTORS:
    nu_f32(write nu: f32, read t: f32; s: Neurons<f32>) => elementwise::nu;
    nu_f64(write nu: f64, read t: f64; s: Neurons<f64>) => elementwise::nu;
    activate_f32(write a: f32, write slope: f32, read t: f32; s: Neurons<f32>)
        => elementwise::activate;
    activate_f64(write a: f64, write slope: f64, read t: f64; s: Neurons<f64>)
        => elementwise::activate;
    sgd_f32(write theta: f32, write velocity: f32, read gradient: f32; s: SgdScalars<f32>)
        => step::sgd;
    adam_f32(
        write theta: f32, write first: f32, write second: f32, read gradient: f32;
        s: AdamScalars<f32>
    ) => step::adam;
    descend_f32(write theta: f32, read direction: f32; count: u64, rate: f32) => step::descend;
    join_f32(write c: f32, read pieces: f32; s: Join<f32>) => reduce::join;
    join_f64(write c: f64, read pieces: f64; s: Join<f64>) => reduce::join;
    dot_f32(write out: f32, read x: f32, read y: f32; count: u64) => reduce::dot;
    dot_f64(write out: f64, read x: f64, read y: f64; count: u64) => reduce::dot;
    sum_f32(write out: f32, read x: f32; count: u64) => reduce::sum;
    sum_f64(write out: f64, read x: f64; count: u64) => reduce::sum;
}
