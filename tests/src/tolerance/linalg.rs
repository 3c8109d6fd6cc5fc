//! Products, factorisations and Kronecker algebra (`tests/{blas,factor,kron}.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry("gemm", Dense, Both, EpsilonsLinear(4.0), "n products and sums, each rounded"),
    entry("gram", Dense, Both, EpsilonsLinear(4.0), "as gemm, and one product with the weight"),
    entry("packed_grams", Dense, Both, EpsilonsLinear(4.0), "as gram: the same sums and products"),
    entry("packed_symv", Dense, Both, EpsilonsLinear(4.0), "dot products of length n"),
    entry("cholesky", Identity, Both, EpsilonsLinear(8.0), "backward error of Cholesky, relative"),
    entry("triangular", Identity, Both, EpsilonsLinear(32.0), "residual n·ε·|L||x|, |x| ≤ 9 |b|"),
    entry(
        "cholesky_solve",
        Dense,
        Both,
        EpsilonsLinear(64.0),
        "backward error n·ε times a condition number of at most 10",
    ),
    entry(
        "inverse",
        Dense,
        Both,
        EpsilonsLinear(64.0),
        "backward error n·ε times a condition number of at most 5",
    ),
    entry("log_determinant", Dense, Both, EpsilonsLinear(8.0), "n logarithms of factors, summed"),
    entry(
        "scaled_gram_solve",
        Dense,
        Both,
        EpsilonsLinear(256.0),
        "backward error n·ε times condition numbers of up to 2n = 100, the norm of k over λ",
    ),
    entry("eigh", Identity, Both, EpsilonsLinear(32.0), "backward stable: a multiple of n·ε·|A|"),
    entry("eigh", Dense, Both, EpsilonsLinear(32.0), "eigenvalues move by at most the residual"),
    entry("kron", Dense, Both, EpsilonsLinear(16.0), "two products, each a sum of n terms"),
    entry(
        "kron inverse",
        Dense,
        Both,
        EpsilonsLinear(512.0),
        "two factors with condition numbers of at most 10 each",
    ),
];
