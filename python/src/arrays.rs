//! numpy arrays as views of the core, and results as numpy arrays.

use std::borrow::Cow;

use numpy::{
    Element, PyArray1, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn,
    PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use relfisher::Scalar;
use relfisher_core::MatRef;

use crate::errors::bad;

/// `f32` or `f64`, for numpy and for the library.
pub(crate) trait Number: Scalar + Element {
    /// numpy's name.
    const NUMPY: &'static str;
}

impl Number for f32 {
    const NUMPY: &'static str = "float32";
}

impl Number for f64 {
    const NUMPY: &'static str = "float64";
}

/// A precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// float32.
    Single,
    /// float64.
    Double,
}

/// Calls a function for the precision: `dispatch!(precision, function(arguments))`.
macro_rules! dispatch {
    ($precision:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $precision {
            $crate::arrays::Precision::Single => $function::<f32>($($argument),*),
            $crate::arrays::Precision::Double => $function::<f64>($($argument),*),
        }
    };
}
pub(crate) use dispatch;

/// The most dimensions that views of arrays can have.
const MOST_DIMENSIONS: usize = 32;

fn untyped<'a, 'py>(
    name: &str,
    object: &'a Bound<'py, PyAny>,
) -> PyResult<&'a Bound<'py, PyUntypedArray>> {
    object.cast::<PyUntypedArray>().map_err(|_| {
        let kind = object.get_type();
        PyTypeError::new_err(format!("{name}: {kind} is no numpy array; use numpy.asarray({name})"))
    })
}

/// The precision of an array that decides it for a call.
pub(crate) fn precision(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Precision> {
    let array = untyped(name, object)?;
    let dtype = array.dtype();
    if dtype.is_equiv_to(&numpy::dtype::<f32>(object.py())) {
        Ok(Precision::Single)
    } else if dtype.is_equiv_to(&numpy::dtype::<f64>(object.py())) {
        Ok(Precision::Double)
    } else {
        let problem = format!("dtype {dtype}, but float32 or float64 is needed");
        Err(bad(name, &problem, &format!("use {name}.astype(numpy.float64)")))
    }
}

/// An array of numbers that is borrowed for a call.
pub(crate) struct Array<'py, T: Number> {
    name: String,
    borrowed: PyReadonlyArrayDyn<'py, T>,
}

/// A borrowed array as a matrix for the library, moved only where it cannot be addressed in place.
pub(crate) struct Matrix<'a, T: Number> {
    data: Cow<'a, [T]>,
    rows: usize,
    cols: usize,
    strides: (usize, usize),
}

impl<'py, T: Number> Array<'py, T> {
    /// Borrows `object`, which must be an array of `T`.
    pub(crate) fn new(name: impl Into<String>, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        let name = name.into();
        let array = untyped(&name, object)?;
        let Ok(typed) = array.cast::<PyArrayDyn<T>>() else {
            let problem = format!("dtype {}, but {} is needed here", array.dtype(), T::NUMPY);
            return Err(bad(&name, &problem, &format!("use {name}.astype(numpy.{})", T::NUMPY)));
        };
        if !array.is_aligned() {
            return Err(bad(&name, "its elements are not aligned", &format!("use {name}.copy()")));
        }
        if array.ndim() > MOST_DIMENSIONS {
            return Err(bad(&name, "too many dimensions", "reshape it"));
        }
        let borrowed = typed
            .try_readonly()
            .map_err(|e| PyValueError::new_err(format!("{name}: {e}; give a copy of it")))?;
        Ok(Self { name, borrowed })
    }

    /// The length of each dimension.
    pub(crate) fn shape(&self) -> &[usize] {
        self.borrowed.shape()
    }

    /// The elements in row-major order, in place where they lie so.
    pub(crate) fn elements(&self) -> Cow<'_, [T]> {
        match self.borrowed.as_slice() {
            Ok(slice) if self.borrowed.is_c_contiguous() => Cow::Borrowed(slice),
            _ => Cow::Owned(self.gathered()),
        }
    }

    fn gathered(&self) -> Vec<T> {
        self.borrowed.as_array().iter().copied().collect()
    }

    /// A row for each index of the first dimension, the others side by side: rows that lie in one
    /// piece are read in place.
    pub(crate) fn rows(&self) -> PyResult<Matrix<'_, T>> {
        let Some((&rows, rest)) = self.shape().split_first() else {
            return Err(bad(&self.name, "a single number", "give a row for each sample"));
        };
        Ok(self.view(rows, rest.iter().product(), false))
    }

    /// A matrix of two dimensions with rows that lie in one piece.
    pub(crate) fn matrix(&self) -> PyResult<Matrix<'_, T>> {
        let (rows, cols) = self.two()?;
        Ok(self.view(rows, cols, false))
    }

    /// A matrix of two dimensions, its transpose and other strided views read in place too.
    pub(crate) fn strided(&self) -> PyResult<Matrix<'_, T>> {
        let (rows, cols) = self.two()?;
        Ok(self.view(rows, cols, true))
    }

    fn two(&self) -> PyResult<(usize, usize)> {
        match self.shape() {
            &[rows, cols] => Ok((rows, cols)),
            shape => {
                let problem = format!("shape {shape:?}, but a matrix is needed");
                Err(bad(&self.name, &problem, "give two dimensions"))
            }
        }
    }

    fn view(&self, rows: usize, cols: usize, any_stride: bool) -> Matrix<'_, T> {
        match self.in_place(rows, cols).filter(|m| any_stride || m.strides.1 == 1) {
            Some(matrix) => matrix,
            None => {
                Matrix { data: Cow::Owned(self.gathered()), rows, cols, strides: (cols.max(1), 1) }
            }
        }
    }

    /// The array where it lies, when strides of a view can say how.
    fn in_place(&self, rows: usize, cols: usize) -> Option<Matrix<'_, T>> {
        let size = size_of::<T>() as isize;
        let (shape, strides) = (self.borrowed.shape(), self.borrowed.strides());
        if rows == 0 || cols == 0 {
            return None;
        }
        let step = |bytes: isize| {
            let whole = bytes >= 0 && bytes % size == 0;
            whole.then(|| bytes.unsigned_abs() / size_of::<T>())
        };
        let down = if rows == 1 { cols } else { step(*strides.first()?)? };
        let across = match strides.len() {
            2 if cols > 1 => step(strides[1])?,
            _ => 1,
        };
        if strides.len() != 2 {
            // Further dimensions must lie in one piece, the last one fastest.
            let mut length = 1_isize;
            for (&n, &stride) in shape.iter().zip(strides).skip(1).rev() {
                if n > 1 && stride != length * size {
                    return None;
                }
                length *= n as isize;
            }
        }
        let span = (rows - 1) * down + (cols - 1) * across + 1;
        let start = self.borrowed.as_array().as_ptr();
        // SAFETY: the first and the last element of the array lie inside one allocation that numpy keeps
        // alive while it is borrowed, `span` elements apart at strides that are not negative; it is
        // aligned, and no Rust code can borrow it for writing meanwhile.
        let data = unsafe { std::slice::from_raw_parts(start, span) };
        Some(Matrix { data: Cow::Borrowed(data), rows, cols, strides: (down, across) })
    }
}

impl<T: Number> Matrix<'_, T> {
    /// The view.
    pub(crate) fn view(&self) -> PyResult<MatRef<'_, T>> {
        let (down, across) = self.strides;
        MatRef::with_strides(&self.data, self.rows, self.cols, down, across)
            .map_err(|e| PyRuntimeError::new_err(e.to_string()))
    }

    /// (rows, columns).
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// A row-major copy, for work in place.
    pub(crate) fn to_vec(&self) -> Vec<T> {
        let (down, across) = self.strides;
        let mut out = Vec::with_capacity(self.rows * self.cols);
        for i in 0..self.rows {
            out.extend((0..self.cols).map(|j| self.data[i * down + j * across]));
        }
        out
    }
}

/// A result, which numpy takes over without a copy.
pub(crate) fn output<'py, T: Number>(
    py: Python<'py>,
    shape: &[usize],
    data: Vec<T>,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    PyArray1::from_vec(py, data).reshape(shape)
}
