#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "emulator"), no_std)]
#![cfg_attr(target_arch = "nvptx64", allow(internal_features))]
#![cfg_attr(
    target_arch = "nvptx64",
    feature(abi_ptx, abi_unadjusted, asm_experimental_arch, core_intrinsics, link_llvm_intrinsics)
)]

#[forbid(unsafe_code)]
pub mod body;
pub mod contract;
pub mod device;
#[cfg(feature = "emulator")]
pub mod emulator;
mod entry;
#[cfg(target_arch = "nvptx64")]
mod nvptx;
#[cfg(feature = "rust-cuda")]
pub mod rust_cuda;
mod word;

pub use device::{Device, Shared, WARP};
pub use word::{Scalar, Word, unroll};
