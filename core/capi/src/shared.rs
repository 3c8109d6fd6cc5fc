//! The portable backend with every operation compiled once for each precision: the formulas call it
//! instead of holding a copy each.

use relfisher_core::{Backend, Error, MatMut, MatRef, Portable, Real};

/// [`Portable`] behind calls.
#[derive(Clone, Copy, Debug)]
pub struct Shared;

/// Methods of the backend that are not inlined.
macro_rules! once {
    ($(fn $name:ident($($arg:ident: $kind:ty),*);)*) => {
        impl<T: Real> Backend<T> for Shared { $(
            #[inline(never)]
            fn $name(&self, $($arg: $kind),*) -> Result<(), Error> {
                Portable.$name($($arg),*)
            }
        )* }
    };
}

once! {
    fn gemm(c: MatMut<'_, T>, beta: T, alpha: T, a: MatRef<'_, T>, b: MatRef<'_, T>);
    fn gram(
        c: MatMut<'_, T>, beta: T, alpha: T, x: MatRef<'_, T>, weights: Option<&[T]>,
        work: &mut [T]
    );
    fn packed_grams(
        out: MatMut<'_, T>, beta: T, alpha: T, x: MatRef<'_, T>, nu: MatRef<'_, T>,
        work: &mut [T]
    );
    fn cholesky(a: MatMut<'_, T>, damping: T);
    fn cholesky_solve(b: MatMut<'_, T>, l: MatRef<'_, T>);
    fn spd_inverse(a: MatMut<'_, T>, damping: T, work: &mut [T]);
    fn eigh(a: MatMut<'_, T>, values: &mut [T], work: &mut [T]);
    fn packed_cholesky(blocks: MatMut<'_, T>, d: usize, damping: T);
    fn packed_cholesky_solve(v: MatMut<'_, T>, factors: MatRef<'_, T>);
    fn packed_inverse(blocks: MatMut<'_, T>, d: usize, damping: T, work: &mut [T]);
    fn cholesky_batch(matrices: MatMut<'_, T>, n: usize, damping: T, work: &mut [T]);
    fn eigh_batch(matrices: MatMut<'_, T>, values: MatMut<'_, T>, n: usize, work: &mut [T]);
    fn packed_symv(out: MatMut<'_, T>, blocks: MatRef<'_, T>, v: MatRef<'_, T>);
    fn scaled_gram_solve(
        z: MatMut<'_, T>, k: MatRef<'_, T>, s: MatRef<'_, T>, damping: T, work: &mut [T]
    );
}
