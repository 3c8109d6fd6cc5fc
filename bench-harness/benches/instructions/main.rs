//! Instructions of the CPU kernels, counted by callgrind: what `cargo ci instructions` runs. It
//! installs what this needs (valgrind, and gungraun's runner) and compares the counts with
//! `bench-harness/instructions.json`; `docs/instruction-counts.md` describes it.
//!
//! A case is one line below, and its name that of the function and of the line:
//! `metric/chosen_f32`. Only the call inside of the function is counted: inputs, a first run for
//! warmth and the checks of both answers are outside. A new line needs `cargo ci instructions --update`.
//!
//! Sizes are small: a count needs no repetition, and products of these sizes are one block of `faer`'s
//! for every cache that a machine may have.
#![allow(missing_docs, reason = "gungraun's macros write public items without documentation")]

mod case;
mod elements;
mod factors;
mod metrics;
mod networks;
mod products;

use std::hint::black_box;

use gungraun::Callgrind;
use gungraun::prelude::*;
use relfisher_core::metric::cost::{Construction, Route};
use relfisher_core::metric::neuron::{Activation, Response};

use case::{Case, checked, warmed};
use metrics::Kernel;
use networks::Shape;
use products::Weights;

/// Something on the stack that begins a page.
#[repr(align(4096))]
struct Page(u8);

/// What is counted of every case. Where the stack begins depends on the path of the program and on the
/// environment, and what is copied depends on where arrays on the stack begin: so the call's do at the
/// same place of a page, always.
#[inline(never)]
fn counted(mut case: Case) -> Case {
    let page = Page(0);
    black_box(&page);
    case.run();
    black_box(page.0);
    case
}

#[library_benchmark(setup = warmed, teardown = checked)]
#[bench::chosen_f32(metrics::packed::<f32>(Kernel::Handicapped))]
#[bench::chosen_f64(metrics::packed::<f64>(Kernel::Chosen))]
#[bench::pair_products_f32(metrics::packed::<f32>(Kernel::By(Construction::PairProducts)))]
#[bench::pair_products_f64(metrics::packed::<f64>(Kernel::By(Construction::PairProducts)))]
#[bench::weighted_rows_f32(metrics::packed::<f32>(Kernel::By(Construction::WeightedRows)))]
#[bench::weighted_rows_f64(metrics::packed::<f64>(Kernel::By(Construction::WeightedRows)))]
#[bench::per_neuron_f32(metrics::packed::<f32>(Kernel::By(Construction::PerNeuron)))]
#[bench::per_neuron_f64(metrics::packed::<f64>(Kernel::By(Construction::PerNeuron)))]
#[bench::step_block_f32(metrics::step::<f32>(Route::Block))]
#[bench::step_block_f64(metrics::step::<f64>(Route::Block))]
#[bench::step_sample_f32(metrics::step::<f32>(Route::Sample))]
#[bench::step_sample_f64(metrics::step::<f64>(Route::Sample))]
#[bench::step_conjugate_gradient_f64(metrics::step::<f64>(Route::ConjugateGradient))]
#[bench::sample_systems_f32(metrics::sample_systems::<f32>(50, 24))]
#[bench::sample_systems_f64(metrics::sample_systems::<f64>(50, 24))]
#[bench::softmax_block_f32(metrics::softmax_step::<f32>(Route::Block))]
#[bench::softmax_block_f64(metrics::softmax_step::<f64>(Route::Block))]
#[bench::softmax_sample_f32(metrics::softmax_step::<f32>(Route::Sample))]
#[bench::softmax_sample_f64(metrics::softmax_step::<f64>(Route::Sample))]
fn metric(case: Case) -> Case {
    counted(case)
}

#[library_benchmark(setup = warmed, teardown = checked)]
#[bench::gemm_f32(products::gemm::<f32>([96, 80, 112]))]
#[bench::gemm_f64(products::gemm::<f64>([96, 80, 112]))]
#[bench::gemm_thin_f32(products::gemm::<f32>([50, 81, 10]))]
#[bench::gemm_thin_f64(products::gemm::<f64>([50, 81, 10]))]
#[bench::gram_f32(products::gram::<f32>(128, 97, Weights::None))]
#[bench::gram_f64(products::gram::<f64>(128, 97, Weights::None))]
#[bench::gram_weighted_f32(products::gram::<f32>(128, 97, Weights::PerSample))]
#[bench::gram_weighted_f64(products::gram::<f64>(128, 97, Weights::PerSample))]
#[bench::kron_apply_f32(products::kron_apply::<f32>(48, 65))]
#[bench::kron_apply_f64(products::kron_apply::<f64>(48, 65))]
#[bench::kron_cholesky_f32(products::kron_cholesky::<f32>(48, 65))]
#[bench::kron_cholesky_f64(products::kron_cholesky::<f64>(48, 65))]
#[bench::kron_eigen_f32(products::kron_eigen::<f32>(24, 33))]
#[bench::kron_eigen_f64(products::kron_eigen::<f64>(24, 33))]
#[bench::ekfac_scale_f32(products::ekfac::<f32>([50, 40, 65]))]
#[bench::ekfac_scale_f64(products::ekfac::<f64>([50, 40, 65]))]
#[bench::kfra_step_f32(products::kfra::<f32>([50, 40, 64]))]
#[bench::kfra_step_f64(products::kfra::<f64>([50, 40, 64]))]
fn product(case: Case) -> Case {
    counted(case)
}

#[library_benchmark(setup = warmed, teardown = checked)]
#[bench::cholesky_f32(factors::cholesky::<f32>(96))]
#[bench::cholesky_f64(factors::cholesky::<f64>(96))]
#[bench::cholesky_solve_f32(factors::cholesky_solve::<f32>(64, 48))]
#[bench::cholesky_solve_f64(factors::cholesky_solve::<f64>(64, 48))]
#[bench::inverse_f32(factors::inverse::<f32>(81))]
#[bench::inverse_f64(factors::inverse::<f64>(81))]
#[bench::eigenvectors_f32(factors::eigh::<f32>(48))]
#[bench::eigenvectors_f64(factors::eigh::<f64>(48))]
#[bench::packed_cholesky_f32(factors::packed_cholesky::<f32>(24, 33))]
#[bench::packed_cholesky_f64(factors::packed_cholesky::<f64>(24, 33))]
#[bench::packed_cholesky_large_f32(factors::packed_cholesky::<f32>(4, 81))]
#[bench::packed_cholesky_large_f64(factors::packed_cholesky::<f64>(4, 81))]
#[bench::packed_solve_f32(factors::packed_solve::<f32>(24, 33))]
#[bench::packed_solve_f64(factors::packed_solve::<f64>(24, 33))]
#[bench::packed_inverse_f32(factors::packed_inverse::<f32>(24, 33))]
#[bench::packed_inverse_f64(factors::packed_inverse::<f64>(24, 33))]
#[bench::packed_symv_f32(factors::packed_symv::<f32>(24, 65))]
#[bench::packed_symv_f64(factors::packed_symv::<f64>(24, 65))]
fn factor(case: Case) -> Case {
    counted(case)
}

/// The response models of the cases.
const RELU: Response<f64> = Response::Relu { leak: 0.1, smoothing: 0.0, sigma: 0.8 };
const SMOOTH_RELU: Response<f64> = Response::Relu { leak: 0.1, smoothing: 1.0, sigma: 0.8 };
const ELU: Response<f64> = Response::Elu { alpha: 1.2, sigma: 0.8 };
const LINEAR: Response<f64> = Response::Linear { sigma: 0.8 };
const GAUSSIAN: Response<f64> = Response::Gaussian { activation: Activation::Tanh, sigma: 0.8 };

#[library_benchmark(setup = warmed, teardown = checked)]
#[bench::nu_tanh_f32(elements::nu::<f32>(Response::Tanh))]
#[bench::nu_tanh_f64(elements::nu::<f64>(Response::Tanh))]
#[bench::nu_sigm_f32(elements::nu::<f32>(Response::Sigm))]
#[bench::nu_sigm_f64(elements::nu::<f64>(Response::Sigm))]
#[bench::nu_relu_f32(elements::nu::<f32>(RELU))]
#[bench::nu_relu_f64(elements::nu::<f64>(RELU))]
#[bench::nu_smooth_relu_f32(elements::nu::<f32>(SMOOTH_RELU))]
#[bench::nu_smooth_relu_f64(elements::nu::<f64>(SMOOTH_RELU))]
#[bench::nu_elu_f32(elements::nu::<f32>(ELU))]
#[bench::nu_elu_f64(elements::nu::<f64>(ELU))]
#[bench::nu_linear_f32(elements::nu::<f32>(LINEAR))]
#[bench::nu_linear_f64(elements::nu::<f64>(LINEAR))]
#[bench::nu_gaussian_tanh_f32(elements::nu::<f32>(GAUSSIAN))]
#[bench::nu_gaussian_tanh_f64(elements::nu::<f64>(GAUSSIAN))]
#[bench::back_tanh_f32(elements::activation_backward::<f32>(Activation::Tanh))]
#[bench::back_tanh_f64(elements::activation_backward::<f64>(Activation::Tanh))]
#[bench::softmax_f32(elements::softmax::<f32>())]
#[bench::softmax_f64(elements::softmax::<f64>())]
#[bench::select_f32(elements::select::<f32>())]
#[bench::select_f64(elements::select::<f64>())]
fn element(case: Case) -> Case {
    counted(case)
}

#[library_benchmark(setup = warmed, teardown = checked)]
#[bench::sgd_f32(networks::steps::<f32>(Shape::Perceptron, "sgd"))]
#[bench::sgd_f64(networks::steps::<f64>(Shape::Perceptron, "sgd"))]
#[bench::adam_f32(networks::steps::<f32>(Shape::Perceptron, "adam"))]
#[bench::adam_f64(networks::steps::<f64>(Shape::Perceptron, "adam"))]
#[bench::kfac_f32(networks::steps::<f32>(Shape::Perceptron, "kfac"))]
#[bench::kfac_f64(networks::steps::<f64>(Shape::Perceptron, "kfac"))]
#[bench::ekfac_f64(networks::steps::<f64>(Shape::Perceptron, "ekfac"))]
#[bench::kfra_f64(networks::steps::<f64>(Shape::Perceptron, "kfra"))]
#[bench::rngd_f32(networks::steps::<f32>(Shape::Perceptron, "rngd"))]
#[bench::rngd_f64(networks::steps::<f64>(Shape::Perceptron, "rngd"))]
#[bench::rngd_sample_f32(networks::steps::<f32>(Shape::Perceptron, "rngd-sample"))]
#[bench::rngd_sample_f64(networks::steps::<f64>(Shape::Perceptron, "rngd-sample"))]
#[bench::convolution_sgd_f32(networks::steps::<f32>(Shape::Convolution, "sgd"))]
#[bench::convolution_kfac_f32(networks::steps::<f32>(Shape::Convolution, "kfac"))]
#[bench::convolution_factor_f32(networks::convolution_factor::<f32>())]
#[bench::convolution_factor_f64(networks::convolution_factor::<f64>())]
#[bench::linear_factor_f32(networks::linear_factor::<f32>())]
#[bench::linear_factor_f64(networks::linear_factor::<f64>())]
fn network(case: Case) -> Case {
    counted(case)
}

library_benchmark_group!(name = kernels, benchmarks = [metric, product, factor, element, network]);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = kernels
);
