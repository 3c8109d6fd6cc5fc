//! The Lanczos recurrence: the caller owns its memory and its state, and multiplies the vectors.

use relfisher_core::stats::{self, Lanczos as Recurrence};
use relfisher_core::{Error, MatMut, MatRef, Portable, Real};

use crate::argument::{Argument, Checked, Element, Matrix, MatrixMut, Region, Slice, SliceMut};
use crate::status::Failure;

/// What to do after a step of a Lanczos recurrence.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanczosStep {
    /// Multiply the next vector (`rf_lanczos_next_f32`) and call `rf_lanczos_advance_f32`.
    Continue = 0,
    /// The basis spans an invariant subspace: its Ritz pairs are eigenpairs. Finish, or go on in the
    /// complement with another vector (`rf_lanczos_start_f32`), where repeated eigenvalues are.
    Breakdown = 1,
    /// The basis is full: finish, or `rf_lanczos_restart_f32`.
    Full = 2,
}

choice! {
    /// Whether the row of the basis behind the steps taken holds the vector to multiply.
    enum NextVector: "lanczos: next must be an rf_next_vector" {
        /// It does not: the recurrence was not started, or broke down.
        Vacant = 0,
        /// It does.
        Ready = 1,
    }
}

/// The memory of a Lanczos recurrence of at most k steps for a symmetric matrix A of order n. Between the
/// calls nothing else may write to it. After the first `len` steps, `len` of the state, the rows v_0 ...
/// of the basis are orthonormal and `V A V^T` is T: its diagonal is alpha; beta_i couples rows i and i + 1,
/// but row i with row `kept` for i < `kept`; the last beta is the norm of the residual.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Lanczos<T> {
    /// (k + 1)*n with contiguous rows.
    pub basis: MatrixMut<T>,
    /// k elements.
    pub alpha: SliceMut<T>,
    /// k elements.
    pub beta: SliceMut<T>,
    /// l*n with orthonormal rows, which are projected out of every product; 0*n for none.
    pub locked: Matrix<T>,
    /// `rf_lanczos_workspace_len(k, l)` elements, free for other use between the calls.
    pub work: SliceMut<T>,
}

/// What a Lanczos recurrence knows beside its memory; all zeros before the first step.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LanczosState<T> {
    /// The steps taken.
    pub len: usize,
    /// The first rows of the basis that are kept Ritz vectors.
    pub kept: usize,
    /// A lower bound of the norm of A, at first one that is known from before, or 0.
    pub scale: T,
    /// An `rf_next_vector`.
    pub next: u32,
}

impl<T: Element> Element for LanczosState<T> {}

options! {
    LanczosState => stats::LanczosState<T>, |s| stats::LanczosState {
        len: s.len,
        kept: s.kept,
        next: match NextVector::read(s.next)? {
            NextVector::Vacant => stats::NextVector::Vacant,
            NextVector::Ready => stats::NextVector::Ready,
        },
        scale: s.scale,
    };
}

/// The lent memory of a recurrence.
#[derive(Debug)]
pub struct Memory<'a, T: Real> {
    basis: MatMut<'a, T>,
    alpha: &'a mut [T],
    beta: &'a mut [T],
    locked: MatRef<'a, T>,
    work: &'a mut [T],
}

impl<'a, T: Real> Memory<'a, T> {
    /// Takes the recurrence up again.
    fn resume(self, state: stats::LanczosState<T>) -> Result<Recurrence<'a, T>, Failure> {
        let Self { basis, alpha, beta, locked, work } = self;
        Ok(Recurrence::resume(basis, alpha, beta, locked, state, work)?)
    }
}

impl<T: Real + Element> Argument for Lanczos<T> {
    type Lent<'a> = Memory<'a, T>;
    type Regions = [Checked; 5];

    fn regions(&self, what: &'static str) -> Self::Regions {
        let Self { basis, alpha, beta, locked, work } = self;
        [
            Region::new(basis.data, basis.len, true, what),
            Region::new(alpha.data, alpha.len, true, what),
            Region::new(beta.data, beta.len, true, what),
            Region::new(locked.data, locked.len, false, what),
            Region::new(work.data, work.len, true, what),
        ]
    }

    unsafe fn lend<'a>(self, what: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: as the caller says.
        let (basis, locked) = unsafe {
            (
                self.basis.lend("basis of the iteration")?,
                self.locked.lend("locked vectors of the iteration")?,
            )
        };
        // SAFETY: as the caller says.
        let (alpha, beta) = unsafe { (self.alpha.lend(what)?, self.beta.lend(what)?) };
        // SAFETY: as the caller says.
        let work = unsafe { self.work.lend(what) }?;
        Ok(Memory { basis, alpha, beta, locked, work })
    }
}

/// Takes a recurrence up, a step with it, and writes what that led to.
fn advance<T: Real>(
    (step, state): (&mut u32, &mut LanczosState<T>),
    of: Memory<'_, T>,
    go: impl FnOnce(&mut Recurrence<'_, T>) -> Result<stats::Step, Error>,
) -> Result<(), Failure> {
    // SAFETY: no memory is behind a state.
    let mut lanczos = of.resume(unsafe { Argument::lend(*state, "state") }?)?;
    *step = match go(&mut lanczos)? {
        stats::Step::Continue => LanczosStep::Continue,
        stats::Step::Breakdown => LanczosStep::Breakdown,
        stats::Step::Full => LanczosStep::Full,
    } as u32;
    let stats::LanczosState { len, kept, next, scale } = lanczos.state();
    let next = match next {
        stats::NextVector::Vacant => NextVector::Vacant,
        stats::NextVector::Ready => NextVector::Ready,
    };
    *state = LanczosState { len, kept, scale, next: next as u32 };
    Ok(())
}

/// The vector to multiply.
fn next<T>(of: Lanczos<T>, state: LanczosState<T>) -> Slice<T> {
    let MatrixMut { data, len, rows, cols, row_stride, .. } = of.basis;
    let ready = state.next == NextVector::Ready as u32 && state.len < of.alpha.len;
    let start = state.len.checked_mul(row_stride).filter(|_| ready && state.len < rows);
    match start.and_then(|start| Some((start, start.checked_add(cols)?))) {
        // No further than the buffer goes, by what it says of itself.
        Some((start, end)) if end <= len => Slice { data: data.wrapping_add(start), len: cols },
        _ => Slice { data: core::ptr::null(), len: 0 },
    }
}

lengths! {
    /// The elements of a recurrence's `work`, for `locked` locked vectors.
    fn lanczos_workspace_len(capacity, locked) = stats::lanczos_workspace_len;

    /// The elements of `work` that `rf_lanczos_restart_f32` needs to keep `kept` vectors of order n.
    fn lanczos_restart_workspace_len(kept, n) = stats::lanczos_restart_workspace_len;
}

/// The unit vector to multiply by A, inside the basis; empty when there is none: before the start, after a
/// breakdown, and in a full basis.
#[unsafe(export_name = "rf_lanczos_next_f32")]
pub extern "C" fn next_f32(of: Lanczos<f32>, state: LanczosState<f32>) -> Slice<f32> {
    next(of, state)
}

/// As `rf_lanczos_next_f32`, in double precision.
#[unsafe(export_name = "rf_lanczos_next_f64")]
pub extern "C" fn next_f64(of: Lanczos<f64>, state: LanczosState<f64>) -> Slice<f64> {
    next(of, state)
}

export! {
    /// Begins a Lanczos recurrence (with full reorthogonalisation) with the direction of v (n), or goes on
    /// with it after a breakdown, orthogonal to everything before. `step` gets an `rf_lanczos_step`:
    /// `BREAKDOWN` when nothing of v is left; try another, unless basis and locked vectors are n by now.
    /// `state` is read; after a refusal it and the recurrence are as they were.
    fn lanczos_start(step: CodeOut, state: LanczosStateOut, v: Slice, of: Lanczos) {
        advance((step, state), of, |lanczos| lanczos.start(&Portable, v))
    }

    /// Takes the product of A and `rf_lanczos_next_f32` (n) and prepares the next vector. `step` gets an
    /// `rf_lanczos_step`. `state` is read; after a refusal it and the recurrence are as they were.
    fn lanczos_advance(step: CodeOut, state: LanczosStateOut, product: Slice, of: Lanczos) {
        advance((step, state), of, |lanczos| lanczos.advance(&Portable, product))
    }

    /// The Ritz values (ascending), the bounds of the residuals |A x_i - values_i x_i|, and S, whose columns
    /// hold the Ritz vectors in the basis. An eigenvalue of A lies within its bound of each. Shapes, after k
    /// steps: values and bounds k, s k*k with contiguous rows. The recurrence is read. Work:
    /// `rf_eigh_workspace_len(k)`.
    fn lanczos_ritz(
        values: SliceMut, bounds: SliceMut, s: MatrixMut, of: Lanczos, state: LanczosState,
        work: SliceMut,
    ) {
        Ok(of.resume(state)?.ritz(&Portable, values, bounds, s, work)?)
    }

    /// `out <- C^T V`: the vectors with these coefficients in the basis, a row each; the Ritz vectors for
    /// columns of S. Shapes, after k steps: out p*n with contiguous rows, coefficients k*p. The recurrence is
    /// read.
    fn lanczos_combine(out: MatrixMut, coefficients: Matrix, of: Lanczos, state: LanczosState) {
        Ok(of.resume(state)?.combine(&Portable, out, coefficients)?)
    }

    /// Replaces the basis by p of its Ritz vectors and goes on from there (thick restart: Wu and Simon 2000):
    /// the space loses the others and nothing else. Shapes, after k steps: values p, those kept, and
    /// coefficients k*p, their columns of S; p is less than the basis has room for. `step` gets an
    /// `rf_lanczos_step`. `state` is read. Work: `rf_lanczos_restart_workspace_len(p, n)`.
    fn lanczos_restart(
        step: CodeOut, state: LanczosStateOut, values: Slice, coefficients: Matrix, of: Lanczos,
        work: SliceMut,
    ) {
        advance((step, state), of, |lanczos| {
            lanczos.restart(&Portable, values, coefficients, work)
        })
    }
}
