//! The list of entry points.

use crate::body::{
    cholesky, elementwise, fma, jacobi, reduce, sample, select, softmax, tensor, tile, triangle,
};

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
        threads: elementwise::THREADS,
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
        threads: fma::THREADS,
        resident: 2,
        shared_bytes: tile::shared_bytes(tile::SLICE, tile::row(8), 4),
        grid: "[columns/128], [rows/128], pieces",
        flops,
        values,
    }
}

const fn product_f64(name: &'static str, flops: &'static str, values: &'static str) -> Contract {
    Contract {
        shared_bytes: tile::shared_bytes(tile::SLICE, tile::row(4), 8),
        grid: "[columns/64], [rows/64], pieces",
        ..product(name, flops, values)
    }
}

/// A product of which one block a multiprocessor must do: its loads take registers that two would not
/// leave.
const fn alone(contract: Contract) -> Contract {
    Contract { resident: 1, ..contract }
}

/// A product by tensor cores.
const fn tensor(contract: Contract) -> Contract {
    Contract { since: Variant::Sm80, threads: tensor::THREADS, resident: 1, ..contract }
}

/// A product in small tiles, for few of them.
const fn narrow(contract: Contract) -> Contract {
    Contract {
        shared_bytes: tile::shared_bytes(fma::NARROW_SLICE, tile::row(fma::NARROW), 4),
        grid: "[columns/32], [rows/32], pieces",
        ..contract
    }
}

/// A product of which the lower triangle is formed: with k tiles along a side, k(k + 1)/2 blocks.
const fn triangle(contract: Contract) -> Contract {
    Contract { grid: "tiles of the lower triangle, 1, pieces", ..contract }
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

/// A kernel on scalars.
const fn single(name: &'static str, flops: &'static str, values: &'static str) -> Contract {
    Contract { threads: 32, grid: "1", ..elementwise(name, flops, values) }
}

/// A kernel on the diagonals of a batch of matrices.
const fn diagonal(name: &'static str, flops: &'static str, values: &'static str) -> Contract {
    Contract { grid: "matrices", ..reduction(name, flops, values) }
}

/// A kernel with a block a matrix or a group of rows.
const fn batch(
    name: &'static str,
    threads: u32,
    shared_bytes: u32,
    costs: (&'static str, &'static str),
) -> Contract {
    Contract {
        name,
        since: Variant::Sm75,
        threads,
        resident: 2,
        shared_bytes,
        grid: "matrices",
        flops: costs.0,
        values: costs.1,
    }
}

/// A kernel on the diagonal blocks of a triangle.
const fn leaves(name: &'static str, bytes: u32) -> Contract {
    let costs = ("n³/3 a diagonal block", "n² a diagonal block");
    let shared_bytes = triangle::shared_bytes(bytes);
    let contract = batch(name, triangle::THREADS, shared_bytes, costs);
    Contract { grid: "[n/64]", ..alone(contract) }
}

/// A kernel with a warp a row.
const fn rows(name: &'static str, costs: (&'static str, &'static str)) -> Contract {
    let contract = batch(name, softmax::THREADS, 0, costs);
    Contract { resident: 4, grid: "[n/8]", ..contract }
}

const SOFTMAX: (&str, &str) = ("nC (2e(exp) + 5)", "3nC + 2n");
const METRIC: (&str, &str) = ("nC (3C + 1)/2", "nC + nC(C + 1)/2");
const ROOT: (&str, &str) = ("2nC²", "nC + nC²");
const CHOLESKY: (&str, &str) = ("n³/3 a matrix", "2n² a matrix");
const SOLVE: (&str, &str) = ("2n² a right side", "n²/2 + 2n a right side");
const SAMPLE: (&str, &str) = ("m(n³/3 + 2n²)", "n² + 3nm");
const JACOBI: (&str, &str) = ("9n³ a sweep and matrix", "2n² + n a matrix");
const SELECT: (&str, &str) = ("0", "5n + 2 kept a row");
const SELECT_F64: (&str, &str) = ("0", "9n + 2 kept a row");
const MSE: (&str, &str) = ("5nC", "3nC + n");
const BINARY: (&str, &str) = ("nC (e(exp) + e(ln) + e(sigm) + 6)", "3nC + n");

const _: () = assert!(elementwise::CHUNK == 1024 && reduce::CHUNK == 4096);

/// Every entry point.
pub const CONTRACTS: &[Contract] = &[
    elementwise("nu_f32", "n e(ν)", "2n"),
    elementwise("nu_f64", "n e(ν)", "2n"),
    elementwise("activate_f32", "n e(f, f′)", "3n"),
    elementwise("activate_f64", "n e(f, f′)", "3n"),
    elementwise("nu_rows_f32", "n e(ν)", "2n"),
    elementwise("nu_rows_f64", "n e(ν)", "2n"),
    elementwise("sgd_f32", "6n", "5n"),
    elementwise("sgd_f64", "6n", "5n"),
    elementwise("adam_f32", "14n", "7n"),
    elementwise("adam_f64", "14n", "7n"),
    elementwise("descend_f32", "2n", "3n"),
    elementwise("descend_f64", "2n", "3n"),
    elementwise("axpby_f32", "3n", "3n"),
    elementwise("axpby_f64", "3n", "3n"),
    elementwise("axpby_scaled_f32", "3n", "3n + 1"),
    elementwise("axpby_scaled_f64", "3n", "3n + 1"),
    elementwise("multiply_f32", "n", "3n"),
    elementwise("multiply_f64", "n", "3n"),
    elementwise("gather_f32", "0", "2n + rows"),
    elementwise("gather_f64", "0", "2n + rows"),
    elementwise("gather_u32", "0", "2n + rows"),
    elementwise("identity_f32", "0", "n"),
    elementwise("identity_f64", "0", "n"),
    elementwise("split_damping_f32", "7 a pair", "4 a pair"),
    elementwise("split_damping_f64", "7 a pair", "4 a pair"),
    single("kl_clip_f32", "4", "2"),
    single("kl_clip_f64", "4", "2"),
    elementwise("join_f32", "n·pieces", "n(pieces + 1)"),
    elementwise("join_f64", "n·pieces", "n(pieces + 1)"),
    reduction("dot_f32", "2n", "2n"),
    reduction("dot_f64", "2n", "2n"),
    reduction("sum_f32", "n", "n"),
    reduction("sum_f64", "n", "n"),
    product("gemm_nn_f32", "2mnk", "mk + nk + mn"),
    product("gemm_nt_f32", "2mnk", "mk + nk + mn"),
    product("gemm_tn_f32", "2mnk", "mk + nk + mn"),
    alone(product("packed_grams_f32", "mn d(d + 1)", "nm + nd + m d(d + 1)/2")),
    product("forward_f32", "2mnk + mn e(f)", "mk + nk + 2mn"),
    product("backward_f32", "2mnk + mn e(f′)", "mk + nk + 2mn"),
    product("masked_nn_f32", "2mnk + mn", "mk + nk + 2mn"),
    product("masked_nt_f32", "2mnk + mn", "mk + nk + 2mn"),
    alone(product("divided_nn_f32", "2mnk + 3mn", "mk + nk + mn")),
    triangle(product("gram_f32", "nd(d + 1)", "nd + d²")),
    alone(triangle(product("patch_gram_f32", "nT d(d + 1)", "image + d²"))),
    alone(triangle(product("weighted_gram_f32", "nd(d + 1)", "nd + n + d²"))),
    narrow(product("gemm_nn_narrow_f32", "2mnk", "mk + nk + mn")),
    narrow(product("gemm_nt_narrow_f32", "2mnk", "mk + nk + mn")),
    narrow(product("gemm_tn_narrow_f32", "2mnk", "mk + nk + mn")),
    triangle(narrow(product("gram_narrow_f32", "nd(d + 1)", "nd + d²"))),
    narrow(product("forward_narrow_f32", "2mnk + mn e(f)", "mk + nk + 2mn")),
    narrow(product("backward_narrow_f32", "2mnk + mn e(f′)", "mk + nk + 2mn")),
    narrow(product("masked_nn_narrow_f32", "2mnk + mn", "mk + nk + 2mn")),
    product_f64("gemm_nn_f64", "2mnk", "mk + nk + mn"),
    product_f64("gemm_nt_f64", "2mnk", "mk + nk + mn"),
    product_f64("gemm_tn_f64", "2mnk", "mk + nk + mn"),
    product_f64("packed_grams_f64", "mn d(d + 1)", "nm + nd + m d(d + 1)/2"),
    product_f64("forward_f64", "2mnk + mn e(f)", "mk + nk + 2mn"),
    product_f64("backward_f64", "2mnk + mn e(f′)", "mk + nk + 2mn"),
    product_f64("masked_nn_f64", "2mnk + mn", "mk + nk + 2mn"),
    product_f64("masked_nt_f64", "2mnk + mn", "mk + nk + 2mn"),
    product_f64("divided_nn_f64", "2mnk + 3mn", "mk + nk + mn"),
    triangle(product_f64("gram_f64", "nd(d + 1)", "nd + d²")),
    triangle(product_f64("patch_gram_f64", "nT d(d + 1)", "image + d²")),
    triangle(product_f64("weighted_gram_f64", "nd(d + 1)", "nd + n + d²")),
    tensor(product("gemm_nn_tf32x3", "2mnk", "mk + nk + mn")),
    tensor(product("gemm_nt_tf32x3", "2mnk", "mk + nk + mn")),
    tensor(product("gemm_tn_tf32x3", "2mnk", "mk + nk + mn")),
    tensor(product("packed_grams_tf32x3", "mn d(d + 1)", "nm + nd + m d(d + 1)/2")),
    tensor(triangle(product("patch_gram_tf32x3", "nT d(d + 1)", "image + d²"))),
    tensor(triangle(product("gram_tf32x3", "nd(d + 1)", "nd + d²"))),
    tensor(product("gemm_nn_tf32", "2mnk", "mk + nk + mn")),
    tensor(product("gemm_nt_tf32", "2mnk", "mk + nk + mn")),
    tensor(product("gemm_tn_tf32", "2mnk", "mk + nk + mn")),
    tensor(product("packed_grams_tf32", "mn d(d + 1)", "nm + nd + m d(d + 1)/2")),
    tensor(triangle(product("patch_gram_tf32", "nT d(d + 1)", "image + d²"))),
    tensor(triangle(product("gram_tf32", "nd(d + 1)", "nd + d²"))),
    tensor(product("gemm_nn_bf16", "2mnk", "mk + nk + mn")),
    tensor(product("gemm_nt_bf16", "2mnk", "mk + nk + mn")),
    tensor(product("gemm_tn_bf16", "2mnk", "mk + nk + mn")),
    tensor(product("packed_grams_bf16", "mn d(d + 1)", "nm + nd + m d(d + 1)/2")),
    tensor(triangle(product("patch_gram_bf16", "nT d(d + 1)", "image + d²"))),
    tensor(triangle(product("gram_bf16", "nd(d + 1)", "nd + d²"))),
    rows("softmax_f32", SOFTMAX),
    rows("softmax_metric_f32", METRIC),
    rows("softmax_root_f32", ROOT),
    batch(
        "cholesky_small_f32",
        cholesky::SMALL_THREADS,
        cholesky::small_bytes(cholesky::SMALL, 4),
        CHOLESKY,
    ),
    batch("cholesky_large_f32", cholesky::THREADS, cholesky::large_bytes(4), CHOLESKY),
    batch(
        "cholesky_solve_f32",
        cholesky::THREADS,
        cholesky::solve_bytes(cholesky::LARGEST, 4),
        SOLVE,
    ),
    batch("sample_solve_f32", sample::THREADS, sample::shared_bytes(sample::MOST, 4), SAMPLE),
    leaves("triangle_inverse_f32", 4),
    leaves("triangle_inverse_f64", 8),
    batch("jacobi_small_f32", jacobi::THREADS, jacobi::small_bytes(jacobi::SMALL, 4), JACOBI),
    batch("jacobi_large_f32", jacobi::THREADS, jacobi::large_bytes(jacobi::LARGEST, 4), JACOBI),
    rows("softmax_f64", SOFTMAX),
    rows("softmax_metric_f64", METRIC),
    rows("softmax_root_f64", ROOT),
    batch(
        "cholesky_small_f64",
        cholesky::SMALL_THREADS,
        cholesky::small_bytes(cholesky::SMALL, 8),
        CHOLESKY,
    ),
    batch("cholesky_large_f64", cholesky::THREADS, cholesky::large_bytes(8), CHOLESKY),
    batch(
        "cholesky_solve_f64",
        cholesky::THREADS,
        cholesky::solve_bytes(cholesky::LARGEST, 8),
        SOLVE,
    ),
    batch("sample_solve_f64", sample::THREADS, sample::shared_bytes(sample::MOST, 8), SAMPLE),
    batch("jacobi_small_f64", jacobi::THREADS, jacobi::small_bytes(48, 8), JACOBI),
    batch("jacobi_large_f64", jacobi::THREADS, jacobi::large_bytes(jacobi::LARGEST, 8), JACOBI),
    elementwise("draw_f32", "2nC", "2nC + n"),
    elementwise("draw_f64", "2nC", "2nC + n"),
    elementwise("draw_bernoulli_f32", "n (e(sigm) + 1)", "4n"),
    elementwise("draw_bernoulli_f64", "n (e(sigm) + 1)", "3n"),
    elementwise("watch_f32", "0", "n"),
    elementwise("watch_f64", "0", "n"),
    elementwise("keep_u32", "0", "3n"),
    batch("select_f32", select::THREADS, select::SHARED_BYTES, SELECT),
    batch("select_f64", select::THREADS, select::SHARED_BYTES, SELECT_F64),
    rows("mse_f32", MSE),
    rows("mse_f64", MSE),
    rows("binary_cross_entropy_f32", BINARY),
    rows("binary_cross_entropy_f64", BINARY),
    diagonal("mean_diagonal_f32", "n a matrix", "n a matrix"),
    diagonal("mean_diagonal_f64", "n a matrix", "n a matrix"),
    diagonal("add_diagonal_f32", "n a matrix", "2n a matrix"),
    diagonal("add_diagonal_f64", "n a matrix", "2n a matrix"),
];
