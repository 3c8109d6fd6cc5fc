//! Entry points of what a training step needs around its products.

use super::entries;
#[cfg(any(target_arch = "nvptx64", feature = "emulator"))]
use crate::body::training;
use crate::contract::{Classes, Clip, Gather};

#[cfg(not(target_arch = "nvptx64"))]
pub(super) const LISTS: &[&[super::Entry]] = &[TRAINING];

entries! { TRAINING:
    gather_f32(write out: f32, read from: f32, read index: u32; g: Gather) => training::gather;
    gather_f64(write out: f64, read from: f64, read index: u32; g: Gather) => training::gather;
    pick_u32(write out: u32, read from: u32, read index: u32; count: u64) => training::pick;
    draw_f32(write delta: f32, read eta: f32, read uniform: f64; s: Classes<f32>)
        => training::draw;
    draw_f64(write delta: f64, read eta: f64, read uniform: f64; s: Classes<f64>)
        => training::draw;
    clip_f32(write x: f32, read curvature: f32; s: Clip<f32>) => training::clip;
    clip_f64(write x: f64, read curvature: f64; s: Clip<f64>) => training::clip;
    watch_f32(write broken: u32, read values: f32; count: u64, step: u32) => training::watch;
    watch_f64(write broken: u32, read values: f64; count: u64, step: u32) => training::watch;
    keep_u32(write worst: u32, read last: u32; count: u64) => training::keep;
}
