//! The list of entry points.

use crate::body::{elementwise, reduce, tile};

/// A compiled file of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Compute capability 7.5 and newer.
    Sm75,
    /// Compute capability 8.0 and newer.
    Sm80,
}

impl Variant {
    /// Every variant, oldest first.
    pub const ALL: [Self; 2] = [Self::Sm75, Self::Sm80];

    /// The name of the architecture, which is that of the file below `ptx/` too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sm75 => "sm_75",
            Self::Sm80 => "sm_80",
        }
    }
}

/// What an entry point promises and demands.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// The name of the entry point.
    pub name: &'static str,
    /// The oldest variant that has it.
    pub since: Variant,
    /// Threads of a block: exactly these.
    pub threads: u32,
    /// Blocks that must fit on a multiprocessor at once, which bounds the registers.
    pub resident: u32,
    /// Bytes of dynamic shared memory; for an entry whose need depends on its matrices, the most
    /// that it may be launched with.
    pub shared_bytes: u32,
    /// The blocks of a launch.
    pub grid: &'static str,
    /// Floating-point operations, a fused multiply-add being two; `e(…)` is the cost of a function.
    pub flops: &'static str,
    /// Values that pass between global memory and the chip when every one passes once.
    pub values: &'static str,
}

/// The most registers of a thread by resident threads of a multiprocessor of 65,536 registers.
pub const BUDGETS: u32 = 65_536;

impl Contract {
    /// The most registers that a thread may use.
    pub const fn registers(&self) -> u32 {
        let share = BUDGETS / (self.threads * self.resident) / 8 * 8;
        if share > 255 { 255 } else { share }
    }
}

const fn elementwise(name: &'static str, flops: &'static str, values: &'static str) -> Contract {
    Contract {
        name,
        since: Variant::Sm75,
        threads: 256,
        resident: 4,
        shared_bytes: 0,
        grid: "[n/1024]",
        flops,
        values,
    }
}

const fn product(name: &'static str, flops: &'static str, values: &'static str) -> Contract {
    Contract {
        name,
        since: Variant::Sm75,
        threads: tile::THREADS,
        resident: 2,
        shared_bytes: tile::shared_bytes(8, 4),
        grid: "[columns/128], [rows/128], pieces",
        flops,
        values,
    }
}

const fn product_f64(name: &'static str, flops: &'static str, values: &'static str) -> Contract {
    Contract {
        shared_bytes: tile::shared_bytes(4, 8),
        grid: "[columns/64], [rows/64], pieces",
        ..product(name, flops, values)
    }
}

const fn reduction(name: &'static str, flops: &'static str, values: &'static str) -> Contract {
    Contract {
        name,
        since: Variant::Sm75,
        threads: reduce::THREADS,
        resident: 4,
        shared_bytes: reduce::SHARED_BYTES,
        grid: "[n/4096]",
        flops,
        values,
    }
}

const _: () = assert!(elementwise::CHUNK == 1024 && reduce::CHUNK == 4096);

/// Every entry point.
pub const CONTRACTS: &[Contract] = &[
    elementwise("nu_f32", "n e(ν)", "2n"),
    elementwise("nu_f64", "n e(ν)", "2n"),
    elementwise("activate_f32", "n e(f, f′)", "3n"),
    elementwise("activate_f64", "n e(f, f′)", "3n"),
    elementwise("sgd_f32", "6n", "5n"),
    elementwise("adam_f32", "14n", "7n"),
    elementwise("descend_f32", "2n", "3n"),
    elementwise("join_f32", "n·pieces", "n(pieces + 1)"),
    elementwise("join_f64", "n·pieces", "n(pieces + 1)"),
    reduction("dot_f32", "2n", "2n"),
    reduction("dot_f64", "2n", "2n"),
    reduction("sum_f32", "n", "n"),
    reduction("sum_f64", "n", "n"),
    product("gemm_nn_f32", "2mnk", "mk + nk + mn"),
    product("gemm_nt_f32", "2mnk", "mk + nk + mn"),
    product("gemm_tn_f32", "2mnk", "mk + nk + mn"),
    product_f64("gemm_nn_f64", "2mnk", "mk + nk + mn"),
    product_f64("gemm_nt_f64", "2mnk", "mk + nk + mn"),
    product_f64("gemm_tn_f64", "2mnk", "mk + nk + mn"),
];
