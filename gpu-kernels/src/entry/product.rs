//! Entry points of the matrix products.

use super::entries;
use crate::body::product;
use crate::contract::{Extent, Strides, Update};
use crate::nvptx::{Array, Nvptx};

/// Stamps a product for f32 in tiles of 128 × 128.
macro_rules! f32_products {
    ($($name:ident => $body:expr;)*) => {
        entries! { $(
            $name(
                c: Array<f32>,
                a: Array<f32>,
                b: Array<f32>,
                extent: Extent,
                strides: Strides,
                update: Update<f32>
            ) => $body;
        )* }
    };
}
f32_products! {
    gemm_nn_f32 => product::nn::<f32, Nvptx, 8>;
    gemm_nt_f32 => product::nt::<f32, Nvptx, 8>;
    gemm_tn_f32 => product::tn::<f32, Nvptx, 8>;
}

/// Stamps a product for f64 in tiles of 64 × 64.
macro_rules! f64_products {
    ($($name:ident => $body:expr;)*) => {
        entries! { $(
            $name(
                c: Array<f64>,
                a: Array<f64>,
                b: Array<f64>,
                extent: Extent,
                strides: Strides,
                update: Update<f64>
            ) => $body;
        )* }
    };
}
f64_products! {
    gemm_nn_f64 => product::nn::<f64, Nvptx, 4>;
    gemm_nt_f64 => product::nt::<f64, Nvptx, 4>;
    gemm_tn_f64 => product::tn::<f64, Nvptx, 4>;
}
