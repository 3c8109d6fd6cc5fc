//! Entry points of the matrix products: f32 in tiles of 128 × 128 or, where these would be few, 32 × 32;
//! f64 in tiles of 64 × 64.

use super::entries;
#[cfg(any(all(target_arch = "nvptx64", feature = "sm_80"), feature = "emulator"))]
use crate::body::tensor::{Bf16, Tensor, Tf32, Tf32x3};
#[cfg(any(target_arch = "nvptx64", feature = "emulator"))]
use crate::body::{
    fma::{Fma, Narrow},
    product,
};
use crate::contract::{Backward, Divided, Layer, Masked, Patched, Product};

#[cfg(not(target_arch = "nvptx64"))]
pub(super) const LISTS: &[&[super::Entry]] = &[SINGLE, NARROW, DOUBLE, TF32X3, TF32, BF16];

/// Stamps every product for a type and a tile.
macro_rules! products {
    ($list:ident, $t:ident, $g:ty:
        $nn:ident $nt:ident $tn:ident $gram:ident $weighted:ident $packed:ident
        $forward:ident $backward:ident $masked_nn:ident $masked_nt:ident $divided:ident $patches:ident) => {
        entries! { $list:
            $nn(write c: $t, read a: $t, read b: $t; p: Product<$t>) => product::nn::<_, _, $g>;
            $nt(write c: $t, read a: $t, read b: $t; p: Product<$t>) => product::nt::<_, _, $g>;
            $tn(write c: $t, read a: $t, read b: $t; p: Product<$t>) => product::tn::<_, _, $g>;
            $gram(write c: $t, read x: $t; p: Product<$t>) => product::gram::<_, _, $g>;
            $weighted(write c: $t, read x: $t, read w: $t; p: Product<$t>)
                => product::weighted_gram::<_, _, $g>;
            $packed(write out: $t, read nu: $t, read x: $t; p: Product<$t>)
                => product::packed_grams::<_, _, $g>;
            $forward(write t: $t, write a: $t, read x: $t, read w: $t; layer: Layer<$t>)
                => product::forward::<_, _, $g>;
            $backward(write c: $t, read t: $t, read delta: $t, read w: $t; p: Backward<$t>)
                => product::backward::<_, _, $g>;
            $masked_nn(write c: $t, read h: $t, read a: $t, read b: $t; p: Masked<$t>)
                => product::masked_nn::<_, _, $g>;
            $masked_nt(write c: $t, read h: $t, read a: $t, read b: $t; p: Masked<$t>)
                => product::masked_nt::<_, _, $g>;
            $divided(write c: $t, read values: $t, read a: $t, read b: $t; p: Divided<$t>)
                => product::divided_nn::<_, _, $g>;
            $patches(write c: $t, read images: $t; p: Patched<$t>)
                => product::patch_gram::<_, _, $g>;
        }
    };
}
products! { SINGLE, f32, Fma<8>:
    gemm_nn_f32 gemm_nt_f32 gemm_tn_f32 gram_f32 weighted_gram_f32 packed_grams_f32
    forward_f32 backward_f32 masked_nn_f32 masked_nt_f32 divided_nn_f32
    patch_gram_f32
}
products! { DOUBLE, f64, Fma<4>:
    gemm_nn_f64 gemm_nt_f64 gemm_tn_f64 gram_f64 weighted_gram_f64 packed_grams_f64
    forward_f64 backward_f64 masked_nn_f64 masked_nt_f64 divided_nn_f64
    patch_gram_f64
}

entries! { NARROW:
    gemm_nn_narrow_f32(write c: f32, read a: f32, read b: f32; p: Product<f32>)
        => product::nn::<_, _, Narrow>;
    gemm_nt_narrow_f32(write c: f32, read a: f32, read b: f32; p: Product<f32>)
        => product::nt::<_, _, Narrow>;
    gemm_tn_narrow_f32(write c: f32, read a: f32, read b: f32; p: Product<f32>)
        => product::tn::<_, _, Narrow>;
    gram_narrow_f32(write c: f32, read x: f32; p: Product<f32>) => product::gram::<_, _, Narrow>;
    forward_narrow_f32(write t: f32, write a: f32, read x: f32, read w: f32; layer: Layer<f32>)
        => product::forward::<_, _, Narrow>;
    backward_narrow_f32(write c: f32, read t: f32, read delta: f32, read w: f32; p: Backward<f32>)
        => product::backward::<_, _, Narrow>;
    masked_nn_narrow_f32(write c: f32, read h: f32, read a: f32, read b: f32; p: Masked<f32>)
        => product::masked_nn::<_, _, Narrow>;
}

/// Stamps the products that tensor cores take in a mode. A GPU has them in the variant `sm_80`, the
/// emulator always.
#[cfg(any(not(target_arch = "nvptx64"), feature = "sm_80"))]
macro_rules! tensor_products {
    ($list:ident, $m:ty:
        $nn:ident $nt:ident $tn:ident $gram:ident $packed:ident $patches:ident) => {
        entries! { $list:
            $nn(write c: f32, read a: f32, read b: f32; p: Product<f32>)
                => product::nn::<_, _, Tensor<$m>>;
            $nt(write c: f32, read a: f32, read b: f32; p: Product<f32>)
                => product::nt::<_, _, Tensor<$m>>;
            $tn(write c: f32, read a: f32, read b: f32; p: Product<f32>)
                => product::tn::<_, _, Tensor<$m>>;
            $gram(write c: f32, read x: f32; p: Product<f32>) => product::gram::<_, _, Tensor<$m>>;
            $packed(write out: f32, read nu: f32, read x: f32; p: Product<f32>)
                => product::packed_grams::<_, _, Tensor<$m>>;
            $patches(write c: f32, read images: f32; p: Patched<f32>)
                => product::patch_gram::<_, _, Tensor<$m>>;
        }
    };
}
#[cfg(any(not(target_arch = "nvptx64"), feature = "sm_80"))]
tensor_products! { TF32X3, Tf32x3:
    gemm_nn_tf32x3 gemm_nt_tf32x3 gemm_tn_tf32x3 gram_tf32x3 packed_grams_tf32x3 patch_gram_tf32x3
}
#[cfg(any(not(target_arch = "nvptx64"), feature = "sm_80"))]
tensor_products! { TF32, Tf32:
    gemm_nn_tf32 gemm_nt_tf32 gemm_tn_tf32 gram_tf32 packed_grams_tf32 patch_gram_tf32
}
#[cfg(any(not(target_arch = "nvptx64"), feature = "sm_80"))]
tensor_products! { BF16, Bf16:
    gemm_nn_bf16 gemm_nt_bf16 gemm_tn_bf16 gram_bf16 packed_grams_bf16 patch_gram_bf16
}
