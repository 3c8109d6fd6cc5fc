//! Embeddings in a safetensors file.

use std::borrow::Cow;
use std::path::Path;

use safetensors::{Dtype, View};

use super::Embedding;
use crate::Scalar;
use crate::error::Error;
use crate::format::replace_file;

/// A tensor whose bytes are made when they are written, so that only one is in memory twice.
enum Lazy<'a, T> {
    Starts(&'a [usize], [usize; 1]),
    Indices(&'a [u32], [usize; 1]),
    Values(&'a [T], Vec<usize>),
}

impl<T: Scalar> View for Lazy<'_, T> {
    fn dtype(&self) -> Dtype {
        match self {
            Lazy::Starts(..) | Lazy::Indices(..) => Dtype::I64,
            Lazy::Values(..) => T::DTYPE,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Lazy::Starts(_, shape) | Lazy::Indices(_, shape) => shape,
            Lazy::Values(_, shape) => shape,
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut out = Vec::with_capacity(self.data_len());
        match self {
            Lazy::Starts(x, _) => {
                x.iter().for_each(|x| out.extend((*x as i64).to_le_bytes()));
            }
            Lazy::Indices(x, _) => {
                x.iter().for_each(|x| out.extend(i64::from(*x).to_le_bytes()));
            }
            Lazy::Values(x, _) => x.iter().for_each(|x| x.write_le(&mut out)),
        }
        Cow::Owned(out)
    }

    fn data_len(&self) -> usize {
        match self {
            Lazy::Starts(x, _) => 8 * x.len(),
            Lazy::Indices(x, _) => 8 * x.len(),
            Lazy::Values(x, _) => size_of_val(*x),
        }
    }
}

/// Writes `indptr` and `indices` (i64), `data` and, where there is one, `kernel`, whole or not at all.
///
/// # Errors
/// What the system said, with the file's name.
pub fn save<T: Scalar>(embedding: &Embedding<T>, path: &Path) -> Result<(), Error> {
    let rows = &embedding.rows;
    let mut tensors = vec![
        ("indptr", Lazy::Starts(&rows.starts, [rows.starts.len()])),
        ("indices", Lazy::Indices(&rows.indices, [rows.indices.len()])),
        ("data", Lazy::Values(&rows.values, vec![rows.values.len()])),
    ];
    if let Some(kernel) = &embedding.kernel {
        tensors.push(("kernel", Lazy::Values(kernel, vec![rows.rows(); 2])));
    }
    if let Some(joint) = &embedding.joint {
        tensors.push(("metric.indptr", Lazy::Starts(&joint.starts, [joint.starts.len()])));
        tensors.push(("metric.indices", Lazy::Indices(&joint.indices, [joint.indices.len()])));
        tensors.push(("metric.data", Lazy::Values(&joint.values, vec![joint.values.len()])));
    }
    replace_file(path, |temporary| {
        safetensors::serialize_to_file(tensors, None, temporary)
            .map_err(|e| std::io::Error::other(e.to_string()))
    })
}
