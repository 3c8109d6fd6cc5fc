//! Matrix products: two operands, a tile, an epilogue.
//!
//! Block (x, y, z) forms tile (y, x) of piece z; the symmetric ones number the tiles of the lower
//! triangle row by row along x. With several pieces, piece z of a result C goes to the z-th matrix
//! from C on, rows·stride values apart, and [`super::reduce::join`] sums them. The engine G multiplies, and
//! has tiles of 16R × 16R.

use super::epilogue::{Divide, Epilogue, Forward, Hadamard, Plain, Slope, Symmetric};
use super::operand::{Columns, Operand, Pairs, Rows, Weighted};
use super::patches::Patches;
use super::tile::{Engine, Place, product, side};
use crate::contract::{Backward, Divided, Layer, Masked, Patched, Product};
use crate::device::Device;
use crate::word::Scalar;

/// `C ← α A B + β C`: A rows × inner, B inner × columns, C rows × columns.
#[inline(always)]
pub fn nn<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    a: D::Array<T>,
    b: D::Array<T>,
    p: Product<T>,
) {
    let ab = (Rows::new(a, p.strides.a), Columns::new(b, p.strides.b));
    over_grid::<T, D, _, _, _, G>(d, ab, plain(d, c, p), p);
}

/// `C ← α A Bᵀ + β C`: A rows × inner, B columns × inner.
#[inline(always)]
pub fn nt<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    a: D::Array<T>,
    b: D::Array<T>,
    p: Product<T>,
) {
    let ab = (Rows::new(a, p.strides.a), Rows::new(b, p.strides.b));
    over_grid::<T, D, _, _, _, G>(d, ab, plain(d, c, p), p);
}

/// `C ← α Aᵀ B + β C`: A inner × rows, B inner × columns.
#[inline(always)]
pub fn tn<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    a: D::Array<T>,
    b: D::Array<T>,
    p: Product<T>,
) {
    let ab = (Columns::new(a, p.strides.a), Columns::new(b, p.strides.b));
    over_grid::<T, D, _, _, _, G>(d, ab, plain(d, c, p), p);
}

/// `C ← α XᵀX + β C`, both triangles, of which the lower is formed: X inner × rows, rows = columns.
/// With β = keep and α = (1 − keep)/n: the moving average of a Kronecker factor.
#[inline(always)]
pub fn gram<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    x: D::Array<T>,
    p: Product<T>,
) {
    let x = Columns::new(x, p.strides.a);
    over_triangle::<T, D, _, _, G>(d, (x, x), c, p);
}

/// `C ← α Xᵀ diag(w) X + β C` with one weight a row of X; else like [`gram`].
#[inline(always)]
pub fn weighted_gram<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    x: D::Array<T>,
    w: D::Array<T>,
    p: Product<T>,
) {
    let x = Columns::new(x, p.strides.a);
    over_triangle::<T, D, _, _, G>(d, (x, Weighted::new(x, w)), c, p);
}

/// `C ← α P̃ᵀP̃ + β C` with the patches P̃ of images and a trailing 1: KFC's factor A for α = 1/(nT).
/// Images n × channels × height × width, C symmetric of order channels·kernel + 1; else like [`gram`].
#[inline(always)]
pub fn patch_gram<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    images: D::Array<T>,
    patched: Patched<T>,
) {
    let patches = Patches::new(images, patched.window);
    over_triangle::<T, D, _, _, G>(d, (patches, patches), c, patched.product);
}

/// All m relative Fisher metrics of a layer, packed:
/// `out[i, k(a, b)] ← α Σ_s ν[s, i] x[s, a] x[s, b] + β out[i, k(a, b)]`, k = a(a + 1)/2 + b for
/// a ≥ b. Rows m, columns d̃(d̃ + 1)/2, inner n; ν n × m (stride a), X n × d̃ (stride b). The products
/// of pairs are formed while a tile of X is read and are never stored.
#[inline(always)]
pub fn packed_grams<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    out: D::Array<T>,
    nu: D::Array<T>,
    x: D::Array<T>,
    p: Product<T>,
) {
    let ab = (Columns::new(nu, p.strides.a), Pairs::new(x, p.strides.b));
    over_grid::<T, D, _, _, _, G>(d, ab, plain(d, out, p), p);
}

/// The forward pass of a layer: `T ← X Wᵀ + 1 bᵀ`, `A ← f(T)`. X rows × inner, W̃ = [W | b]
/// columns × (inner + 1); T and A rows × columns, each with its own stride. One piece.
#[inline(always)]
pub fn forward<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    t: D::Array<T>,
    a: D::Array<T>,
    x: D::Array<T>,
    w: D::Array<T>,
    layer: Layer<T>,
) {
    let p = layer.product;
    let e = Forward {
        t,
        a,
        bias: d.advance(w, u64::from(p.extent.inner)),
        bias_stride: p.strides.b,
        stride: p.strides.c,
        activated: layer.activated,
        activation: layer.neurons.activation(),
    };
    let ab = (Rows::new(x, p.strides.a), Rows::new(w, p.strides.b));
    over_grid::<T, D, _, _, _, G>(d, ab, e, p);
}

/// A layer backwards: `C ← α (Δ W) ∘ f′(T) + β C`, with Δ the gradients of its pre-activations, W̃ = [W | b]
/// of which the bias is not read, and f′(T) the slopes of the layer before. Δ rows × inner, W̃
/// inner × (columns + 1), T and C rows × columns. One piece.
#[inline(always)]
pub fn backward<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    t: D::Array<T>,
    delta: D::Array<T>,
    w: D::Array<T>,
    backward: Backward<T>,
) {
    let p = backward.product;
    let ab = (Rows::new(delta, p.strides.a), Columns::new(w, p.strides.b));
    over_grid::<T, D, _, _, _, G>(d, ab, Slope::new(c, t, backward), p);
}

/// `C ← α (A B) ∘ H + β C`: back-propagation through a layer (H = f′), KFRA's factor (H = `E[bbᵀ]`)
/// and, with `repeat` rows a sample, KFLR's. A rows × inner, B inner × columns. One piece.
#[inline(always)]
pub fn masked_nn<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    h: D::Array<T>,
    a: D::Array<T>,
    b: D::Array<T>,
    masked: Masked<T>,
) {
    let p = masked.product;
    let ab = (Rows::new(a, p.strides.a), Columns::new(b, p.strides.b));
    over_grid::<T, D, _, _, _, G>(d, ab, Hadamard::new(c, h, masked), p);
}

/// `C ← α (A Bᵀ) ∘ H + β C`: the Gram matrix of Khatri–Rao products, (Δ Δᵀ) ∘ (X Xᵀ).
/// A rows × inner, B columns × inner. One piece.
#[inline(always)]
pub fn masked_nt<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    h: D::Array<T>,
    a: D::Array<T>,
    b: D::Array<T>,
    masked: Masked<T>,
) {
    let p = masked.product;
    let ab = (Rows::new(a, p.strides.a), Rows::new(b, p.strides.b));
    over_grid::<T, D, _, _, _, G>(d, ab, Hadamard::new(c, h, masked), p);
}

/// `C ← (A B) ⊘ (g eᵀ + λ)`: the middle of a product with (G ⊗ A + λI)⁻¹ in the eigenbases, g and e
/// the eigenvalues of the two factors. A rows × inner, B inner × columns. One piece. The eigenvalues
/// stand one after the other in `values`: rows of g, then columns of e.
#[inline(always)]
pub fn divided_nn<T: Scalar, D: Device, G: Engine<T>>(
    d: D,
    c: D::Array<T>,
    values: D::Array<T>,
    a: D::Array<T>,
    b: D::Array<T>,
    divided: Divided<T>,
) {
    let p = divided.product;
    let e = Divide {
        c,
        g: values,
        a: d.advance(values, u64::from(p.extent.rows)),
        stride: p.strides.c,
        damping: divided.damping,
    };
    let ab = (Rows::new(a, p.strides.a), Columns::new(b, p.strides.b));
    over_grid::<T, D, _, _, _, G>(d, ab, e, p);
}

/// Where the block's piece of C is.
#[inline(always)]
fn piece<T: Scalar, D: Device>(d: D, c: D::Array<T>, p: Product<T>) -> D::Array<T> {
    let size = u64::from(p.extent.rows) * u64::from(p.strides.c);
    d.advance(c, u64::from(d.block()[2]) * size)
}

#[inline(always)]
fn plain<T: Scalar, D: Device>(d: D, c: D::Array<T>, p: Product<T>) -> Plain<D, T> {
    Plain { c: piece(d, c, p), stride: p.strides.c, update: p.update }
}

#[inline(always)]
fn over_grid<T, D, A, B, E, G>(d: D, ab: (A, B), e: E, p: Product<T>)
where
    T: Scalar,
    D: Device,
    A: Operand<D, T>,
    B: Operand<D, T>,
    E: Epilogue<D, T>,
    G: Engine<T>,
{
    let place = Place::of_grid(d, p.extent, side(G::R));
    product::<T, D, A, B, E, G>(d, ab, e, place, p.extent);
}

#[inline(always)]
fn over_triangle<T, D, A, B, G>(d: D, ab: (A, B), c: D::Array<T>, p: Product<T>)
where
    T: Scalar,
    D: Device,
    A: Operand<D, T>,
    B: Operand<D, T>,
    G: Engine<T>,
{
    let e = Symmetric::new(piece(d, c, p), p.strides.c, p.update);
    let place = Place::of_triangle(d, p.extent, side(G::R));
    product::<T, D, A, B, _, G>(d, ab, e, place, p.extent);
}
