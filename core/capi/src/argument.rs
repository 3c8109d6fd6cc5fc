//! What C hands over: views as structs, and the checks that make slices of them.

use relfisher_core::{MatMut, MatRef, Real};

use crate::status::{Failure, Status};

/// A read-only matrix: element (i, j) is `data[i * row_stride + j * col_stride]`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Matrix<T> {
    /// Element (0, 0).
    pub data: *const T,
    /// The elements from `data` on that belong to the matrix's buffer.
    pub len: usize,
    /// The number of rows.
    pub rows: usize,
    /// The number of columns.
    pub cols: usize,
    /// The distance between two rows, in elements; `cols` for a plain row-major matrix.
    pub row_stride: usize,
    /// The distance between two columns, in elements; 1 for a plain row-major matrix.
    pub col_stride: usize,
}

/// A writable matrix: element (i, j) is `data[i * row_stride + j * col_stride]`; no two share a place.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MatrixMut<T> {
    /// Element (0, 0).
    pub data: *mut T,
    /// The elements from `data` on that belong to the matrix's buffer.
    pub len: usize,
    /// The number of rows.
    pub rows: usize,
    /// The number of columns.
    pub cols: usize,
    /// The distance between two rows, in elements; `cols` for a plain row-major matrix.
    pub row_stride: usize,
    /// The distance between two columns, in elements; 1 for a plain row-major matrix.
    pub col_stride: usize,
}

/// A read-only vector.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slice<T> {
    /// The first element.
    pub data: *const T,
    /// The number of elements.
    pub len: usize,
}

/// A writable vector.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SliceMut<T> {
    /// The first element.
    pub data: *mut T,
    /// The number of elements.
    pub len: usize,
}

/// The bytes of one view.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    start: usize,
    bytes: usize,
    writable: bool,
    what: &'static str,
}

impl Region {
    /// No memory.
    const EMPTY: Self = Self { start: 0, bytes: 0, writable: false, what: "" };

    /// The bytes of `len` elements at `data`, when they are memory that a slice can be made of.
    ///
    /// # Errors
    /// [`Failure::Memory`] for a null or misaligned pointer and a length that overflows.
    pub fn new<T>(
        data: *const T,
        len: usize,
        writable: bool,
        what: &'static str,
    ) -> Result<Self, Failure> {
        if len == 0 {
            return Ok(Self::EMPTY);
        }
        let fail = |status| Err(Failure::Memory { status, what });
        if data.is_null() {
            return fail(Status::Null);
        }
        if !data.is_aligned() {
            return fail(Status::Alignment);
        }
        let start = data.addr();
        match len.checked_mul(size_of::<T>()) {
            Some(bytes) if bytes <= isize::MAX as usize && start.checked_add(bytes).is_some() => {
                Ok(Self { start, bytes, writable, what })
            }
            _ => fail(Status::Layout),
        }
    }

    fn shares_bytes(&self, other: &Self) -> bool {
        self.bytes > 0
            && other.bytes > 0
            && self.start < other.start.wrapping_add(other.bytes)
            && other.start < self.start.wrapping_add(self.bytes)
    }
}

/// A region, or why it is none.
pub type Checked = Result<Region, Failure>;

/// Every argument, given by its regions, is valid memory, and what is written shares no byte with
/// anything else.
///
/// # Errors
/// [`Failure::Memory`] of the first argument that is at fault.
pub fn check(arguments: &[&[Checked]]) -> Result<(), Failure> {
    let regions = || arguments.iter().copied().flatten();
    for region in regions() {
        (*region)?;
    }
    for (i, a) in regions().flatten().enumerate() {
        for b in regions().flatten().take(i) {
            if (a.writable || b.writable) && a.shares_bytes(b) {
                let what = if a.writable { a.what } else { b.what };
                return Err(Failure::Memory { status: Status::Overlap, what });
            }
        }
    }
    Ok(())
}

/// A number of which any bits are one: what lies behind a pointer.
pub trait Element: Copy + 'static {}

macro_rules! elements {
    ($($t:ty)*) => { $(impl Element for $t {})* };
}

elements! { f32 f64 u32 usize }

/// A type that stands in a signature of the header.
pub trait Argument: Copy {
    /// What the core gets.
    type Lent<'a>;
    /// An array of as many regions as there are pointers in it.
    type Regions;

    /// The memory behind it.
    fn regions(&self, what: &'static str) -> Self::Regions;

    /// Makes what the core gets.
    ///
    /// # Errors
    /// [`Failure::Memory`] naming `what` for a shape that leaves its buffer, [`Failure::Core`] for an option
    /// without meaning.
    ///
    /// # Safety
    /// [`check`] has accepted the regions of all arguments of the call, the memory is alive for `'a`,
    /// and nothing else uses what is writable.
    unsafe fn lend<'a>(self, what: &'static str) -> Result<Self::Lent<'a>, Failure>;
}

/// The slice of a view.
///
/// # Safety
/// As [`Argument::lend`].
unsafe fn slice<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if len == 0 {
        return &[];
    }
    // SAFETY: not null, aligned and of a possible length (`Region::new`); the caller vouches for the rest.
    unsafe { core::slice::from_raw_parts(data, len) }
}

/// The writable slice of a view.
///
/// # Safety
/// As [`Argument::lend`].
unsafe fn slice_mut<'a, T>(data: *mut T, len: usize) -> &'a mut [T] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: not null, aligned and of a possible length (`Region::new`), sharing no byte with another
    // argument (`check`); the caller vouches for the rest.
    unsafe { core::slice::from_raw_parts_mut(data, len) }
}

impl<T: Real> Argument for Matrix<T> {
    type Lent<'a> = MatRef<'a, T>;
    type Regions = [Checked; 1];

    fn regions(&self, what: &'static str) -> Self::Regions {
        [Region::new(self.data, self.len, false, what)]
    }

    unsafe fn lend<'a>(self, what: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: as the caller says.
        let data = unsafe { slice(self.data, self.len) };
        let Self { rows, cols, row_stride, col_stride, .. } = self;
        MatRef::with_strides(data, rows, cols, row_stride, col_stride)
            .map_err(|_| Failure::Memory { status: Status::Layout, what })
    }
}

impl<T: Real> Argument for MatrixMut<T> {
    type Lent<'a> = MatMut<'a, T>;
    type Regions = [Checked; 1];

    fn regions(&self, what: &'static str) -> Self::Regions {
        [Region::new(self.data, self.len, true, what)]
    }

    unsafe fn lend<'a>(self, what: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: as the caller says.
        let data = unsafe { slice_mut(self.data, self.len) };
        let Self { rows, cols, row_stride, col_stride, .. } = self;
        MatMut::with_strides(data, rows, cols, row_stride, col_stride)
            .map_err(|_| Failure::Memory { status: Status::Layout, what })
    }
}

impl<T: Element> Argument for Slice<T> {
    type Lent<'a> = &'a [T];
    type Regions = [Checked; 1];

    fn regions(&self, what: &'static str) -> Self::Regions {
        [Region::new(self.data, self.len, false, what)]
    }

    unsafe fn lend<'a>(self, _: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: as the caller says.
        Ok(unsafe { slice(self.data, self.len) })
    }
}

impl<T: Element> Argument for SliceMut<T> {
    type Lent<'a> = &'a mut [T];
    type Regions = [Checked; 1];

    fn regions(&self, what: &'static str) -> Self::Regions {
        [Region::new(self.data, self.len, true, what)]
    }

    unsafe fn lend<'a>(self, _: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: as the caller says.
        Ok(unsafe { slice_mut(self.data, self.len) })
    }
}

/// A place for one number.
impl<T: Element> Argument for *mut T {
    type Lent<'a> = &'a mut T;
    type Regions = [Checked; 1];

    fn regions(&self, what: &'static str) -> Self::Regions {
        [Region::new(*self, 1, true, what)]
    }

    unsafe fn lend<'a>(self, _: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: checked as a slice of one element.
        Ok(unsafe { &mut *self })
    }
}

/// Arguments without memory, which the core gets as they are.
macro_rules! plain {
    ($($t:ty)*) => { $(
        impl Argument for $t {
            type Lent<'a> = $t;
            type Regions = [Checked; 0];

            fn regions(&self, _: &'static str) -> Self::Regions {
                []
            }

            unsafe fn lend<'a>(self, _: &'static str) -> Result<Self::Lent<'a>, Failure> {
                Ok(self)
            }
        }
    )* };
}

plain! { f32 f64 usize u32 u64 }

/// Exports the constructors of plain views.
macro_rules! constructors {
    ($t:ident, $suffix:literal) => {
        pub mod $t {
            //! Row-major views with contiguous rows.

            use super::{Matrix, MatrixMut, Slice, SliceMut};

            /// A read-only row-major matrix without gaps between its rows; `data` has `rows * cols`
            /// elements.
            #[unsafe(export_name = concat!("rf_view_", $suffix))]
            pub extern "C" fn view(data: *const $t, rows: usize, cols: usize) -> Matrix<$t> {
                let len = rows.checked_mul(cols).unwrap_or(0);
                Matrix { data, len, rows, cols, row_stride: cols, col_stride: 1 }
            }

            /// A writable row-major matrix without gaps between its rows; `data` has `rows * cols`
            /// elements.
            #[unsafe(export_name = concat!("rf_view_mut_", $suffix))]
            pub extern "C" fn view_mut(data: *mut $t, rows: usize, cols: usize) -> MatrixMut<$t> {
                let len = rows.checked_mul(cols).unwrap_or(0);
                MatrixMut { data, len, rows, cols, row_stride: cols, col_stride: 1 }
            }

            /// The transpose of a read-only matrix; nothing is moved.
            #[unsafe(export_name = concat!("rf_transposed_", $suffix))]
            pub extern "C" fn transposed(a: Matrix<$t>) -> Matrix<$t> {
                let Matrix { data, len, rows, cols, row_stride, col_stride } = a;
                Matrix {
                    data,
                    len,
                    rows: cols,
                    cols: rows,
                    row_stride: col_stride,
                    col_stride: row_stride,
                }
            }

            /// A read-only vector of `len` elements.
            #[unsafe(export_name = concat!("rf_vector_", $suffix))]
            pub extern "C" fn vector(data: *const $t, len: usize) -> Slice<$t> {
                Slice { data, len }
            }

            /// A writable vector of `len` elements.
            #[unsafe(export_name = concat!("rf_vector_mut_", $suffix))]
            pub extern "C" fn vector_mut(data: *mut $t, len: usize) -> SliceMut<$t> {
                SliceMut { data, len }
            }
        }
    };
}

constructors!(f32, "f32");
constructors!(f64, "f64");

#[cfg(test)]
mod tests {
    use super::*;

    fn status(outcome: Result<(), Failure>) -> Status {
        match outcome {
            Ok(()) => Status::Ok,
            Err(Failure::Memory { status, .. }) => status,
            Err(Failure::Core(_)) => Status::Other,
        }
    }

    /// The status of a read-only and a writable view of these elements of one buffer.
    fn pair(input: core::ops::Range<usize>, output: core::ops::Range<usize>) -> Status {
        let mut data = [0.0_f64; 8];
        let a = Slice { data: data[input.clone()].as_ptr(), len: input.len() };
        let b = SliceMut { data: data[output.clone()].as_mut_ptr(), len: output.len() };
        status(check(&[&a.regions("a"), &b.regions("b")]))
    }

    #[test]
    fn what_is_written_shares_no_byte() {
        assert_eq!(pair(0..4, 4..8), Status::Ok);
        assert_eq!(pair(4..8, 0..4), Status::Ok);
        assert_eq!(pair(0..5, 4..8), Status::Overlap);
        assert_eq!(pair(2..4, 0..8), Status::Overlap);
        assert_eq!(pair(0..8, 2..4), Status::Overlap);
        // An empty view lies nowhere.
        assert_eq!(pair(3..3, 0..8), Status::Ok);
        let data = [0.0_f32; 2];
        let a = Slice { data: data.as_ptr(), len: 2 };
        assert_eq!(status(check(&[&a.regions("a"), &a.regions("b")])), Status::Ok);
    }

    #[test]
    fn what_is_no_memory_is_refused_before_it_is_touched() {
        let data = [0.0_f64; 2];
        let of = |data: *const f64, len| status(Region::new(data, len, true, "a").map(|_| ()));
        assert_eq!(of(core::ptr::null(), 0), Status::Ok);
        assert_eq!(of(core::ptr::null(), 1), Status::Null);
        assert_eq!(of(data.as_ptr().wrapping_byte_add(4), 1), Status::Alignment);
        assert_eq!(of(data.as_ptr(), usize::MAX), Status::Layout);
        assert_eq!(of(data.as_ptr(), isize::MAX as usize / 8 + 1), Status::Layout);
        assert_eq!(of(core::ptr::without_provenance(usize::MAX - 7), 1), Status::Layout);
    }
}
