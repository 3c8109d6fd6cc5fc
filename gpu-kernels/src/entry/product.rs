//! Entry points of the matrix products: f32 in tiles of 128 × 128, f64 in tiles of 64 × 64.

use super::entries;
use crate::body::product;
use crate::contract::{Divided, Layer, Masked, Product};
use crate::nvptx::{Array, Nvptx};

/// Stamps every product for a type and a tile.
macro_rules! products {
    ($t:ident, $r:literal:
        $nn:ident $nt:ident $tn:ident $gram:ident $weighted:ident $packed:ident
        $forward:ident $masked_nn:ident $masked_nt:ident $divided:ident) => {
        entries! {
            $nn(c: Array<$t>, a: Array<$t>, b: Array<$t>, p: Product<$t>)
                => product::nn::<$t, Nvptx, $r>;
            $nt(c: Array<$t>, a: Array<$t>, b: Array<$t>, p: Product<$t>)
                => product::nt::<$t, Nvptx, $r>;
            $tn(c: Array<$t>, a: Array<$t>, b: Array<$t>, p: Product<$t>)
                => product::tn::<$t, Nvptx, $r>;
            $gram(c: Array<$t>, x: Array<$t>, p: Product<$t>) => product::gram::<$t, Nvptx, $r>;
            $weighted(c: Array<$t>, x: Array<$t>, w: Array<$t>, p: Product<$t>)
                => product::weighted_gram::<$t, Nvptx, $r>;
            $packed(out: Array<$t>, nu: Array<$t>, x: Array<$t>, p: Product<$t>)
                => product::packed_grams::<$t, Nvptx, $r>;
            $forward(t: Array<$t>, a: Array<$t>, x: Array<$t>, w: Array<$t>, layer: Layer<$t>)
                => product::forward::<$t, Nvptx, $r>;
            $masked_nn(c: Array<$t>, h: Array<$t>, a: Array<$t>, b: Array<$t>, p: Masked<$t>)
                => product::masked_nn::<$t, Nvptx, $r>;
            $masked_nt(c: Array<$t>, h: Array<$t>, a: Array<$t>, b: Array<$t>, p: Masked<$t>)
                => product::masked_nt::<$t, Nvptx, $r>;
            $divided(c: Array<$t>, values: Array<$t>, a: Array<$t>, b: Array<$t>, p: Divided<$t>)
                => product::divided_nn::<$t, Nvptx, $r>;
        }
    };
}
products! { f32, 8:
    gemm_nn_f32 gemm_nt_f32 gemm_tn_f32 gram_f32 weighted_gram_f32 packed_grams_f32
    forward_f32 masked_nn_f32 masked_nt_f32 divided_nn_f32
}
products! { f64, 4:
    gemm_nn_f64 gemm_nt_f64 gemm_tn_f64 gram_f64 weighted_gram_f64 packed_grams_f64
    forward_f64 masked_nn_f64 masked_nt_f64 divided_nn_f64
}
