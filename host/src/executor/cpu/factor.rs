//! Factorisations and solves of single matrices with `faer`.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::{cholesky::llt, evd};
use faer::{Par, Spec};
use relfisher_core::blas::vector::all_finite;
use relfisher_core::{Error, MatMut, MatRef, Real, factor};

use super::pool::RowsMut;
use super::product::{each_lower, mirror};
use super::views::{check_layout, check_len, dense, dense_mut};
use super::{Cpu, triangular};
use crate::{Scalar, vectorised};

/// Below this order the core's own factorisation is faster than a call of `faer`.
const SMALL: usize = 32;

pub(super) fn check_damping<T: Real>(damping: T) -> Result<(), Error> {
    if damping >= T::ZERO && damping.is_finite() {
        Ok(())
    } else {
        Err(Error::Parameter { what: "damping must be finite and >= 0" })
    }
}

/// Scratch of one factorisation of order d.
pub(super) fn stack<T: Scalar, R>(cpu: &Cpu, d: usize, f: impl FnOnce(&mut MemStack) -> R) -> R {
    let needs = llt::factor::cholesky_in_place_scratch::<T>(d, Par::Seq, Spec::default())
        .or(llt::inverse::inverse_scratch::<T>(d, Par::Seq));
    cpu.stacks.with(needs, f)
}

/// `A + λI = L Lᵀ` on a column-major square whose lower triangle holds A; the strict upper triangle
/// is unspecified. `diagonal` is scratch of d elements. The first refused pivot on failure.
pub(super) fn cholesky_in_place<T: Scalar>(
    stack: &mut MemStack,
    a: &mut [T],
    diagonal: &mut [T],
    damping: T,
) -> Result<(), usize> {
    let d = diagonal.len();
    for (i, kept) in diagonal.iter_mut().enumerate() {
        a[i * d + i] += damping;
        *kept = a[i * d + i];
    }
    let outcome = llt::factor::cholesky_in_place(
        faer::MatMut::from_column_major_slice_mut(&mut *a, d, d),
        llt::factor::LltRegularization::default(),
        Par::Seq,
        stack,
        Spec::default(),
    );
    let done = match outcome {
        Ok(_) => d,
        Err(llt::factor::LltError::NonPositivePivot { index }) => index,
    };
    // as in the core, a pivot that lost all its digits is refused
    let tolerance = factor::pivot_tolerance::<T>(d);
    for (i, kept) in diagonal.iter().enumerate().take(done) {
        let pivot = a[i * d + i] * a[i * d + i];
        if !(pivot > tolerance * *kept && pivot.is_finite()) {
            return Err(i);
        }
    }
    if done < d { Err(done) } else { Ok(()) }
}

fn check_square<T: Real>(what: &'static str, a: &MatMut<'_, T>) -> Result<(), Error> {
    check_len(what, a.rows(), a.cols())?;
    check_layout(what, a.rows_contiguous())
}

pub(super) fn check_lower<T: Real>(what: &'static str, a: MatRef<'_, T>) -> Result<(), Error> {
    let d = a.rows();
    for i in 0..d {
        let row = &a.row(i)[..=i];
        if !vectorised!(all_finite(row)) {
            let j = row.iter().position(|x| !x.is_finite()).unwrap_or(0);
            return Err(Error::NonFinite { what, index: i * d + j });
        }
    }
    Ok(())
}

/// [`MatRef::check_finite`] along whichever lines are contiguous, in vectors; a fault is looked for
/// only where there is one.
fn check_all<T: Real>(what: &'static str, a: MatRef<'_, T>) -> Result<(), Error> {
    let lines = if a.rows_contiguous() { a } else { a.t() };
    let mut rows = 0..lines.rows();
    if lines.rows_contiguous() && rows.all(|i| vectorised!(all_finite(lines.row(i)))) {
        return Ok(());
    }
    a.check_finite(what)
}

/// The column-major lower triangle of `a` in `square`.
pub(super) fn load<T: Real>(square: &mut [T], a: MatRef<'_, T>) {
    let (d, stride, data) = (a.rows(), a.row_stride(), a.data());
    each_lower(d, |i, j| square[j * d + i] = data[i * stride + j]);
}

/// The lower triangle of `a` from the column-major `square`.
pub(super) fn store<T: Real>(a: &mut MatMut<'_, T>, square: &[T]) {
    let (d, stride) = (a.rows(), a.row_stride());
    let data = a.data_mut();
    each_lower(d, |i, j| data[i * stride + j] = square[j * d + i]);
}

pub(super) fn cholesky<T: Scalar>(
    cpu: &Cpu,
    mut a: MatMut<'_, T>,
    damping: T,
) -> Result<(), Error> {
    let d = a.rows();
    if d < SMALL {
        return vectorised!(factor::cholesky(a, damping));
    }
    check_square("cholesky: a", &a)?;
    check_damping(damping)?;
    check_lower("cholesky: a", a.rb())?;
    T::arena(cpu).with(d * d + d, T::ZERO, |work| {
        let (square, diagonal) = work.split_at_mut(d * d);
        load(square, a.rb());
        stack::<T, _>(cpu, d, |stack| cholesky_in_place(stack, square, diagonal, damping))
            .map_err(|pivot| Error::NotPositiveDefinite { block: 0, pivot })?;
        store(&mut a, square);
        for i in 0..d {
            a.row_mut(i)[i + 1..].fill(T::ZERO);
        }
        Ok(())
    })
}

pub(super) fn cholesky_solve<T: Scalar>(
    cpu: &Cpu,
    mut b: MatMut<'_, T>,
    l: MatRef<'_, T>,
) -> Result<(), Error> {
    let d = l.rows();
    if d < SMALL {
        return vectorised!(factor::cholesky_solve(b, l));
    }
    check_len(SOLVE, d, b.rows())?;
    check_all(SOLVE, b.rb())?;
    let l = checked_factor(l)?;
    let out = dense_mut(&mut b).ok_or(Error::Layout { what: SOLVE })?;
    triangular::cholesky_solve(cpu, out, l)
}

pub(super) fn cholesky_solve_stacked<T: Scalar>(
    cpu: &Cpu,
    mut b: MatMut<'_, T>,
    l: MatRef<'_, T>,
) -> Result<(), Error> {
    let (d, k) = (l.rows(), b.cols());
    check_layout(SOLVE, b.rows_contiguous())?;
    check_len("stacked solve: rows of b", b.rows() / d.max(1) * d, b.rows())?;
    if d < SMALL {
        let some = triangular::matrices_of_a_task(d, k) * d;
        let rows = RowsMut::new(&mut b, SOLVE)?;
        return cpu.pool.for_each(rows, some, &|_, mut rows: RowsMut<'_, T>| {
            factor::for_each_stacked(rows.view()?, d, |part| {
                vectorised!(factor::cholesky_solve(part, l))
            })
        });
    }
    check_all(SOLVE, b.rb())?;
    let l = checked_factor(l)?;
    let out = dense_mut(&mut b).ok_or(Error::Layout { what: SOLVE })?;
    triangular::cholesky_solve_stacked(cpu, out, l)
}

/// What errors call the right sides.
const SOLVE: &str = "triangular solve: b";

/// A factor for `faer`: finite, its diagonal positive.
fn checked_factor<T: Scalar>(l: MatRef<'_, T>) -> Result<faer::MatRef<'_, T>, Error> {
    let (d, what) = (l.rows(), "triangular solve: l");
    check_len(what, d, l.cols())?;
    check_layout(what, l.rows_contiguous())?;
    for i in 0..d {
        let pivot = l.at(i, i);
        if !(pivot > T::ZERO && pivot.is_finite()) {
            return Err(Error::NotPositiveDefinite { block: 0, pivot: i });
        }
    }
    check_lower(what, l)?;
    dense(l).ok_or(Error::Layout { what })
}

/// The inverse of the matrix whose factor `square` holds, column-major, lower triangle.
pub(super) fn invert<T: Scalar>(stack: &mut MemStack, out: &mut [T], square: &[T], d: usize) {
    llt::inverse::inverse(
        faer::MatMut::from_column_major_slice_mut(out, d, d),
        faer::MatRef::from_column_major_slice(square, d, d),
        Par::Seq,
        stack,
    );
}

pub(super) fn spd_inverse<T: Scalar>(
    cpu: &Cpu,
    mut a: MatMut<'_, T>,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    let d = a.rows();
    if d < SMALL {
        return vectorised!(factor::spd_inverse(a, damping, work));
    }
    check_square("spd_inverse: a", &a)?;
    check_damping(damping)?;
    check_lower("spd_inverse: a", a.rb())?;
    T::arena(cpu).with(2 * d * d + d, T::ZERO, |work| {
        let (square, work) = work.split_at_mut(d * d);
        let (inverse, diagonal) = work.split_at_mut(d * d);
        load(square, a.rb());
        stack::<T, _>(cpu, d, |stack| {
            cholesky_in_place(stack, square, diagonal, damping)?;
            invert(stack, inverse, square, d);
            Ok(())
        })
        .map_err(|pivot| Error::NotPositiveDefinite { block: 0, pivot })?;
        store(&mut a, inverse);
        mirror(&cpu.pool, &mut a)
    })
}

/// Divides the lower triangle of a column-major square by the power of two below its largest
/// element, and returns it: the divide and conquer of `faer`, from order 129 on, is right for
/// elements of about 1 only. No digit changes.
#[inline(always)]
fn normalise<T: Scalar>(square: &mut [T], d: usize) -> T {
    let mut largest = T::ZERO;
    for (j, column) in square.chunks_exact(d).enumerate() {
        largest = column[j..].iter().fold(largest, |m, x| if x.abs() > m { x.abs() } else { m });
    }
    if largest == T::ZERO {
        return T::ONE;
    }
    let exponent = largest.to_f64().log2().floor().clamp(-1022.0, 1023.0);
    let unit = T::from_f64(exponent.exp2()).max(T::MIN_POSITIVE);
    for (j, column) in square.chunks_exact_mut(d).enumerate() {
        for x in &mut column[j..] {
            *x /= unit;
        }
    }
    unit
}

pub(super) fn eigh<T: Scalar>(
    cpu: &Cpu,
    mut a: MatMut<'_, T>,
    values: &mut [T],
    work: &mut [T],
) -> Result<(), Error> {
    let d = a.rows();
    if d < SMALL {
        return vectorised!(factor::eigh(a, values, work));
    }
    check_square("eigh: a", &a)?;
    check_len("eigh: values", d, values.len())?;
    check_lower("eigh: a", a.rb())?;
    let params = Spec::default();
    let needs =
        evd::self_adjoint_evd_scratch::<T>(d, evd::ComputeEigenvectors::Yes, Par::Seq, params);
    T::arena(cpu).with(2 * d * d, T::ZERO, |both| {
        let (square, vectors) = both.split_at_mut(d * d);
        load(square, a.rb());
        let unit = vectorised!(normalise(square, d));
        cpu.stacks
            .with(needs, |stack| {
                evd::self_adjoint_evd(
                    faer::MatRef::from_column_major_slice(square, d, d),
                    faer::ColMut::from_slice_mut(values).as_diagonal_mut(),
                    Some(faer::MatMut::from_column_major_slice_mut(vectors, d, d)),
                    Par::Seq,
                    stack,
                    params,
                )
            })
            .map_err(|_| Error::NoConvergence { iterations: 0 })?;
        for value in values.iter_mut() {
            *value *= unit;
        }
        let stride = a.row_stride();
        let data = a.data_mut();
        for (i, row) in data.chunks_mut(stride).take(d).enumerate() {
            for (j, x) in row[..d].iter_mut().enumerate() {
                *x = vectors[j * d + i];
            }
        }
        Ok(())
    })
}

/// Stacks of `faer` that outlive the calls.
pub(super) struct Stacks(std::sync::Mutex<Vec<MemBuffer>>);

impl Stacks {
    pub(super) const fn new() -> Self {
        Self(std::sync::Mutex::new(Vec::new()))
    }

    fn with<R>(&self, needs: StackReq, f: impl FnOnce(&mut MemStack) -> R) -> R {
        let bytes = needs.unaligned_bytes_required();
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let kept = lock().pop();
        let mut buffer = match kept {
            Some(buffer) if buffer.len() >= bytes => buffer,
            // one that is too short goes first: they are never held at once
            short => {
                drop(short);
                MemBuffer::new(StackReq::new_aligned::<u8>(bytes, 64))
            }
        };
        let result = f(MemStack::new(&mut buffer));
        lock().push(buffer);
        result
    }
}
