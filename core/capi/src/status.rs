//! What a call returns: a code, and on demand what it is about.

use core::ffi::c_char;

use relfisher_core::Error;

/// The outcome of a call.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The outputs are the result.
    Ok = 0,
    /// An argument has `found` elements, rows or columns where `expected` are needed.
    Shape = 1,
    /// A shape leaves its buffer or overflows, rows of an output share places, or the function does
    /// not support the strides.
    Layout = 2,
    /// `work` holds `found` elements, fewer than the `expected` ones.
    Workspace = 3,
    /// The input element at the row-major index `found` is NaN or infinite.
    NonFinite = 4,
    /// Matrix `expected` of a batch (0 for a single one) is not positive definite at pivot `found`:
    /// use a larger damping.
    NotPositiveDefinite = 5,
    /// An iteration did not converge within `found` steps.
    NoConvergence = 6,
    /// A scalar or an option is outside its domain.
    Parameter = 7,
    /// A pointer is null though elements are expected behind it.
    Null = 8,
    /// A pointer is not aligned to its element type.
    Alignment = 9,
    /// An output or `work` shares memory with another argument.
    Overlap = 10,
    /// Header and library do not belong together.
    Abi = 11,
    /// An error that this version of the header has no code for.
    Other = 12,
}

/// What a status is about.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Detail {
    /// The status that was returned too.
    pub status: Status,
    /// The number that was needed, as the status says, or 0.
    pub expected: usize,
    /// The number that was found, as the status says, or 0.
    pub found: usize,
    /// The argument or parameter, `what_len` bytes of UTF-8, **not** null-terminated, valid for ever.
    pub what: *const c_char,
    /// The bytes of `what`.
    pub what_len: usize,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The core refused or could not finish.
    Core(Error),
    /// What was handed over is no memory that can be read or written.
    Memory {
        /// [`Status::Null`], [`Status::Alignment`], [`Status::Layout`] or [`Status::Overlap`].
        status: Status,
        /// The argument.
        what: &'static str,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl Failure {
    /// An option with a code that has no meaning.
    pub const fn choice(what: &'static str) -> Self {
        Self::Core(Error::Parameter { what })
    }

    fn detail(self) -> Detail {
        let (status, what, expected, found) = match self {
            Self::Memory { status, what } => (status, what, 0, 0),
            Self::Core(error) => match error {
                Error::Shape { what, expected, found } => (Status::Shape, what, expected, found),
                Error::Layout { what } => (Status::Layout, what, 0, 0),
                Error::Workspace { needed, found } => (Status::Workspace, "work", needed, found),
                Error::NonFinite { what, index } => (Status::NonFinite, what, 0, index),
                Error::NotPositiveDefinite { block, pivot } => {
                    (Status::NotPositiveDefinite, "matrix", block, pivot)
                }
                Error::NoConvergence { iterations } => {
                    (Status::NoConvergence, "iteration", 0, iterations)
                }
                Error::Parameter { what } => (Status::Parameter, what, 0, 0),
                _ => (Status::Other, "relfisher", 0, 0),
            },
        };
        Detail { status, expected, found, what: what.as_ptr().cast(), what_len: what.len() }
    }
}

/// The status of an outcome; `error`, unless null, gets the detail.
///
/// # Safety
/// `error` is null or points to memory for a [`Detail`].
pub unsafe fn report(outcome: Result<(), Failure>, error: *mut Detail) -> Status {
    let detail = match outcome {
        Ok(()) => {
            Detail { status: Status::Ok, expected: 0, found: 0, what: c"".as_ptr(), what_len: 0 }
        }
        Err(failure) => failure.detail(),
    };
    if !error.is_null() {
        // SAFETY: not null; the caller vouches for the memory, and alignment is not needed.
        unsafe { error.write_unaligned(detail) };
    }
    detail.status
}

/// Writes text into a buffer of C and counts what did not fit.
struct Text<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Text<'_> {
    fn push(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(place) = self.buffer.get_mut(self.len) {
                *place = *byte;
            }
            self.len = self.len.saturating_add(1);
        }
    }

    fn push_number(&mut self, number: usize) {
        let (mut digits, mut rest) = ([0_u8; 20], number);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let leading = digits.iter().take_while(|d| **d == b'0').count().min(19);
        self.push(digits.get(leading..).unwrap_or(&[]));
    }
}

/// What a status means, in English, null-terminated, valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn rf_status_text(status: i32) -> *const c_char {
    let text = match status {
        0 => c"success",
        1 => c"a wrong shape",
        2 => c"unsupported or invalid strides, or a view outside its buffer",
        3 => c"workspace too small",
        4 => c"an element is not finite",
        5 => c"a matrix is not positive definite: use a larger damping",
        6 => c"no convergence",
        7 => c"a parameter is outside its domain",
        8 => c"a null pointer",
        9 => c"a misaligned pointer",
        10 => c"an output shares memory with another argument",
        11 => c"header and library do not belong together",
        12 => c"an error unknown to this header",
        _ => c"not a status of this library",
    };
    text.as_ptr()
}

/// Writes the message of an error into `buffer` (`capacity` bytes, null-terminated unless the capacity
/// is 0, cut where it does not fit) and returns the bytes of the whole message without the
/// terminator, as `snprintf` does. A null `error` has an empty message.
///
/// # Safety
/// `error` is null, all zeros, or was filled by a function of this library; `buffer` is null or has `capacity`
/// bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rf_error_message(
    buffer: *mut c_char,
    error: *const Detail,
    capacity: usize,
) -> usize {
    let room = if buffer.is_null() || capacity > isize::MAX as usize { 0 } else { capacity };
    let bytes: &mut [u8] = if room == 0 {
        &mut []
    } else {
        // SAFETY: not null, and the caller vouches for `capacity` bytes that nothing else uses.
        unsafe { core::slice::from_raw_parts_mut(buffer.cast(), room) }
    };
    let mut text = Text { buffer: bytes, len: 0 };
    if !error.is_null() {
        // SAFETY: not null, and filled by `report` or all zeros.
        let detail = unsafe { error.read_unaligned() };
        let what = if detail.what.is_null() {
            &[]
        } else {
            // SAFETY: `what` is one of this library's own texts.
            unsafe { core::slice::from_raw_parts(detail.what.cast(), detail.what_len) }
        };
        write(&mut text, &detail, what);
    }
    let len = text.len;
    let end = len.min(room.saturating_sub(1));
    if let Some(place) = text.buffer.get_mut(end) {
        *place = 0;
    }
    len
}

/// The functions that ask more of strides than a view does all want contiguous rows.
const LAYOUT: &str = ": a view outside its buffer, rows of an output that share places, or strides that \
                      the function does not take (it wants contiguous rows)";

fn write(text: &mut Text<'_>, detail: &Detail, what: &[u8]) {
    let (expected, found) = (detail.expected, detail.found);
    let parts: [(&str, Option<usize>); 2] = match detail.status {
        Status::Ok => [("success", None), ("", None)],
        Status::Shape => [(": expected ", Some(expected)), (", found ", Some(found))],
        Status::Workspace => [(": elements needed ", Some(expected)), (", given ", Some(found))],
        Status::NonFinite => [(": not finite, element ", Some(found)), ("", None)],
        Status::NotPositiveDefinite => {
            [(" not positive definite, block ", Some(expected)), (", pivot ", Some(found))]
        }
        Status::NoConvergence => [(": no convergence within steps ", Some(found)), ("", None)],
        Status::Null => [(": a null pointer", None), ("", None)],
        Status::Alignment => [(": a misaligned pointer", None), ("", None)],
        Status::Overlap => [(": shares memory with another argument", None), ("", None)],
        Status::Layout => [(LAYOUT, None), ("", None)],
        Status::Abi => [("header and library do not belong together", None), ("", None)],
        Status::Parameter | Status::Other => [("", None), ("", None)],
    };
    text.push(what);
    for (words, number) in parts {
        text.push(words.as_bytes());
        if let Some(number) = number {
            text.push_number(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(failure: Failure, capacity: usize) -> (String, usize) {
        let mut detail = Failure::choice("").detail();
        let mut buffer = vec![b'#' as c_char; capacity];
        // SAFETY: both point to memory of the test.
        let len = unsafe {
            report(Err(failure), &mut detail);
            rf_error_message(buffer.as_mut_ptr(), &detail, capacity)
        };
        let bytes: Vec<u8> = buffer.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
        (String::from_utf8(bytes).expect("UTF-8"), len)
    }

    #[test]
    fn a_message_names_argument_and_numbers_and_is_cut_where_it_must_be() {
        let error = Error::Shape { what: "gemm: rows of a", expected: 10, found: 0 };
        let whole = "gemm: rows of a: expected 10, found 0";
        assert_eq!(message(error.into(), 99), (whole.to_owned(), whole.len()));
        assert_eq!(message(error.into(), 5), ("gemm".to_owned(), whole.len()));
        let error = Error::Workspace { needed: usize::MAX, found: 1 };
        let text = format!("work: elements needed {}, given 1", usize::MAX);
        assert_eq!(message(error.into(), 99).0, text);
    }
}
