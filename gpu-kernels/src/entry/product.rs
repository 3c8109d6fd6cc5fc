//! Entry points of the matrix products: f32 in tiles of 128 × 128, f64 in tiles of 64 × 64.

use super::entries;
use crate::body::fma::Fma;
use crate::body::product;
#[cfg(feature = "sm_80")]
use crate::body::tensor::{Bf16, Tensor, Tf32, Tf32x3};
use crate::contract::{Divided, Layer, Masked, Patched, Product};
use crate::nvptx::{Array, Nvptx};

/// Stamps every product for a type and a tile.
macro_rules! products {
    ($t:ident, $g:ty:
        $nn:ident $nt:ident $tn:ident $gram:ident $weighted:ident $packed:ident
        $forward:ident $masked_nn:ident $masked_nt:ident $divided:ident $patches:ident) => {
        entries! {
            $nn(c: Array<$t>, a: Array<$t>, b: Array<$t>, p: Product<$t>)
                => product::nn::<$t, Nvptx, $g>;
            $nt(c: Array<$t>, a: Array<$t>, b: Array<$t>, p: Product<$t>)
                => product::nt::<$t, Nvptx, $g>;
            $tn(c: Array<$t>, a: Array<$t>, b: Array<$t>, p: Product<$t>)
                => product::tn::<$t, Nvptx, $g>;
            $gram(c: Array<$t>, x: Array<$t>, p: Product<$t>) => product::gram::<$t, Nvptx, $g>;
            $weighted(c: Array<$t>, x: Array<$t>, w: Array<$t>, p: Product<$t>)
                => product::weighted_gram::<$t, Nvptx, $g>;
            $packed(out: Array<$t>, nu: Array<$t>, x: Array<$t>, p: Product<$t>)
                => product::packed_grams::<$t, Nvptx, $g>;
            $forward(t: Array<$t>, a: Array<$t>, x: Array<$t>, w: Array<$t>, layer: Layer<$t>)
                => product::forward::<$t, Nvptx, $g>;
            $masked_nn(c: Array<$t>, h: Array<$t>, a: Array<$t>, b: Array<$t>, p: Masked<$t>)
                => product::masked_nn::<$t, Nvptx, $g>;
            $masked_nt(c: Array<$t>, h: Array<$t>, a: Array<$t>, b: Array<$t>, p: Masked<$t>)
                => product::masked_nt::<$t, Nvptx, $g>;
            $divided(c: Array<$t>, values: Array<$t>, a: Array<$t>, b: Array<$t>, p: Divided<$t>)
                => product::divided_nn::<$t, Nvptx, $g>;
            $patches(c: Array<$t>, images: Array<$t>, p: Patched<$t>)
                => product::patch_gram::<$t, Nvptx, $g>;
        }
    };
}
products! { f32, Fma<8>:
    gemm_nn_f32 gemm_nt_f32 gemm_tn_f32 gram_f32 weighted_gram_f32 packed_grams_f32
    forward_f32 masked_nn_f32 masked_nt_f32 divided_nn_f32
    patch_gram_f32
}
products! { f64, Fma<4>:
    gemm_nn_f64 gemm_nt_f64 gemm_tn_f64 gram_f64 weighted_gram_f64 packed_grams_f64
    forward_f64 masked_nn_f64 masked_nt_f64 divided_nn_f64
    patch_gram_f64
}

/// Stamps the products that tensor cores take in a mode.
#[cfg(feature = "sm_80")]
macro_rules! tensor_products {
    ($m:ty: $nn:ident $nt:ident $tn:ident $gram:ident $packed:ident $patches:ident) => {
        entries! {
            $nn(c: Array<f32>, a: Array<f32>, b: Array<f32>, p: Product<f32>)
                => product::nn::<f32, Nvptx, Tensor<$m>>;
            $nt(c: Array<f32>, a: Array<f32>, b: Array<f32>, p: Product<f32>)
                => product::nt::<f32, Nvptx, Tensor<$m>>;
            $tn(c: Array<f32>, a: Array<f32>, b: Array<f32>, p: Product<f32>)
                => product::tn::<f32, Nvptx, Tensor<$m>>;
            $gram(c: Array<f32>, x: Array<f32>, p: Product<f32>)
                => product::gram::<f32, Nvptx, Tensor<$m>>;
            $packed(out: Array<f32>, nu: Array<f32>, x: Array<f32>, p: Product<f32>)
                => product::packed_grams::<f32, Nvptx, Tensor<$m>>;
            $patches(c: Array<f32>, images: Array<f32>, p: Patched<f32>)
                => product::patch_gram::<f32, Nvptx, Tensor<$m>>;
        }
    };
}
#[cfg(feature = "sm_80")]
tensor_products! { Tf32x3:
    gemm_nn_tf32x3 gemm_nt_tf32x3 gemm_tn_tf32x3 gram_tf32x3 packed_grams_tf32x3 patch_gram_tf32x3
}
#[cfg(feature = "sm_80")]
tensor_products! { Tf32: gemm_nn_tf32 gemm_nt_tf32 gemm_tn_tf32 gram_tf32 packed_grams_tf32 patch_gram_tf32 }
#[cfg(feature = "sm_80")]
tensor_products! { Bf16: gemm_nn_bf16 gemm_nt_bf16 gemm_tn_bf16 gram_bf16 packed_grams_bf16 patch_gram_bf16 }
