//! Entry points of what a training step needs around its products.

use super::entries;
#[cfg(any(target_arch = "nvptx64", feature = "emulator"))]
use crate::body::training;
use crate::contract::Classes;

#[cfg(not(target_arch = "nvptx64"))]
pub(super) const LISTS: &[&[super::Entry]] = &[TRAINING];

entries! { TRAINING:
    draw_f32(write delta: f32, read eta: f32, read uniform: f64; s: Classes<f32>)
        => training::draw;
    draw_f64(write delta: f64, read eta: f64, read uniform: f64; s: Classes<f64>)
        => training::draw;
    draw_bernoulli_f32(write delta: f32, read logits: f32, read uniform: f64; count: u64)
        => training::draw_bernoulli;
    draw_bernoulli_f64(write delta: f64, read logits: f64, read uniform: f64; count: u64)
        => training::draw_bernoulli;
    watch_f32(write broken: u32, read values: f32; count: u64, step: u32) => training::watch;
    watch_f64(write broken: u32, read values: f64; count: u64, step: u32) => training::watch;
    keep_u32(write worst: u32, read last: u32; count: u64, offset: u32) => training::keep;
}
