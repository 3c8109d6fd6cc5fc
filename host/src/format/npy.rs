//! NumPy arrays: `.npy` and `.npz`.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder};

use super::atomic::write_atomic;
use crate::{Error, Scalar};

/// An array of numbers, row-major. Integers up to 2⁵³ in magnitude are exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The length of each dimension.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f64>,
}

impl Array {
    /// Reads the bytes of a `.npy` file of floats (32 or 64 bits), integers or booleans.
    ///
    /// # Errors
    /// Not a `.npy` file, another element type, Fortran order, or a length that does not match.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let bad = |problem: String, remedy: &str| Err(Error::input("", "header", problem, remedy));
        // The length of the header comes first in the file: it is checked before anyone trusts it.
        let header = match bytes {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, rest @ ..] => {
                rest.split_at_checked(usize::from(u16::from_le_bytes([*a, *b])))
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, rest @ ..] => {
                rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize)
            }
            _ => None,
        };
        let Some((text, payload)) = header else {
            return bad(
                "not a .npy file, or truncated".into(),
                "save the array again with numpy.save",
            );
        };
        // An array of numbers has one dictionary with one shape. Its parser takes a time that doubles
        // with every bracket that others open within each other.
        if text.contains(&b'[') {
            return bad("a structured array".into(), "save a plain array of numbers");
        }
        let opened = text.iter().filter(|c| matches!(c, b'{' | b'(')).count();
        if opened > 2 {
            return bad(
                format!("damaged: {opened} brackets are opened in it"),
                "save the array again with numpy.save",
            );
        }
        // The library multiplies the sides without a check.
        let sides = text.split(|c| matches!(c, b'(' | b')')).nth(1).unwrap_or(&[]);
        let sides = String::from_utf8_lossy(sides);
        let count = sides
            .split(',')
            .filter_map(|side| side.trim().parse::<usize>().ok())
            .try_fold(1_usize, usize::checked_mul);
        if count.is_none() {
            return bad(
                format!("a shape of ({sides}) exceeds all memory"),
                "the file is damaged: save it again with numpy.save",
            );
        }
        let file = match NpyFile::new(bytes) {
            Ok(file) => file,
            Err(e) => return bad(format!("damaged: {e}"), "save the array again with numpy.save"),
        };
        let mut shape = Vec::new();
        for &side in file.shape() {
            shape.push(usize::try_from(side).unwrap_or(usize::MAX));
        }
        let count = shape.iter().try_fold(1_usize, |p, &side| p.checked_mul(side));
        let DType::Plain(kind) = file.dtype() else {
            return bad("a structured array".into(), "save a plain array of numbers");
        };
        let size = kind.num_bytes();
        let expected = count.and_then(|c| c.checked_mul(size?));
        if expected != Some(payload.len()) {
            return bad(
                format!("shape {shape:?} of {kind} does not match {} bytes", payload.len()),
                "the file is truncated or damaged: save it again",
            );
        }
        if file.order() == Order::Fortran && shape.len() > 1 {
            return bad("Fortran order".into(), "save numpy.ascontiguousarray(array)");
        }
        macro_rules! read {
            ($t:ty, $convert:expr) => {
                file.into_vec::<$t>().map(|v| v.into_iter().map($convert).collect())
            };
        }
        let data = match (kind.type_char(), size) {
            (TypeChar::Float, Some(8)) => file.into_vec::<f64>(),
            (TypeChar::Float, Some(4)) => read!(f32, f64::from),
            (TypeChar::Int, Some(8)) => read!(i64, |x| x as f64),
            (TypeChar::Int, Some(4)) => read!(i32, f64::from),
            (TypeChar::Int, Some(2)) => read!(i16, f64::from),
            (TypeChar::Int, Some(1)) => read!(i8, f64::from),
            (TypeChar::Uint, Some(8)) => read!(u64, |x| x as f64),
            (TypeChar::Uint, Some(4)) => read!(u32, f64::from),
            (TypeChar::Uint, Some(2)) => read!(u16, f64::from),
            (TypeChar::Uint, Some(1)) => read!(u8, f64::from),
            (TypeChar::Bool, _) => read!(bool, |x| f64::from(u8::from(x))),
            _ => {
                return bad(
                    format!("element type {kind} is not supported"),
                    "save floats of 32 or 64 bits, or integers",
                );
            }
        };
        match data {
            Ok(data) => Ok(Self { shape, data }),
            Err(e) => bad(format!("damaged: {e}"), "save the array again with numpy.save"),
        }
    }

    /// The elements as classes.
    ///
    /// # Errors
    /// More than one dimension, or an element that is not a whole number ≥ 0: by index.
    pub fn classes(&self) -> Result<Vec<usize>, Error> {
        if self.shape.len() != 1 {
            return Err(Error::input(
                "",
                "header",
                format_args!("shape {:?}, but classes have one dimension", self.shape),
                "give one class for each sample",
            ));
        }
        let mut classes = Vec::with_capacity(self.data.len());
        for (i, &x) in self.data.iter().enumerate() {
            if !(x >= 0.0 && x.fract() == 0.0 && x < 9e15) {
                return Err(Error::input(
                    "",
                    format_args!("element {i}"),
                    format_args!("{x} is not a class"),
                    "classes are whole numbers from 0",
                ));
            }
            classes.push(x as usize);
        }
        Ok(classes)
    }

    /// The elements as a matrix, one row for each index of the first dimension: (elements, rows,
    /// columns).
    ///
    /// # Errors
    /// No dimensions, or an element that is not finite as `T`: by index.
    pub fn matrix<T: Scalar>(&self) -> Result<(Vec<T>, usize, usize), Error> {
        let Some((&rows, rest)) = self.shape.split_first() else {
            return Err(Error::input(
                "",
                "header",
                "a single number",
                "give a row for each sample",
            ));
        };
        let data: Vec<T> = self.data.iter().map(|&x| T::from_f64(x)).collect();
        if let Some(i) = data.iter().position(|x| !x.is_finite()) {
            return Err(Error::input(
                "",
                format_args!("element {i}"),
                format_args!("is {} as {}", data[i], T::NAME),
                "remove or replace numbers that are not finite",
            ));
        }
        Ok((data, rows, rest.iter().fold(1, |p: usize, &side| p.saturating_mul(side))))
    }
}

/// Reads a `.npy` file.
///
/// # Errors
/// A file that cannot be read, or one of [`Array::parse`], with the file's name.
pub fn read_npy(path: &Path) -> Result<Array, Error> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
    Array::parse(&bytes).map_err(|e| e.in_file(path.display()))
}

/// Reads every array of a `.npz` file, by name.
///
/// # Errors
/// A file that cannot be read or is damaged, or an array of [`Array::parse`], with its name.
pub fn read_npz(path: &Path) -> Result<BTreeMap<String, Array>, Error> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
    parse_npz(&bytes).map_err(|e| e.in_file(path.display()))
}

fn parse_npz(bytes: &[u8]) -> Result<BTreeMap<String, Array>, Error> {
    let damaged = |place: &str, e: &dyn std::fmt::Display| {
        let problem = format!("not a whole .npz file: {e}");
        Error::input("", place, problem, "save the arrays again with numpy.savez")
    };
    let mut archive =
        npyz::npz::NpzArchive::new(Cursor::new(bytes)).map_err(|e| damaged("", &e))?;
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let mut arrays = BTreeMap::new();
    for name in names {
        let entry = npyz::npz::file_name_from_array_name(&name);
        let mut content = Vec::new();
        let mut file = archive.zip_archive().by_name(&entry).map_err(|e| damaged(&name, &e))?;
        file.read_to_end(&mut content).map_err(|e| damaged(&name, &e))?;
        drop(file);
        let array = Array::parse(&content).map_err(|e| e.at(format_args!("array {name:?}")))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// Writes a `.npy` file of `T`, row-major, whole or not at all.
///
/// # Errors
/// Data that does not fill the shape, or a file that cannot be written.
pub fn write_npy<T: Scalar>(path: &Path, shape: &[usize], data: &[T]) -> Result<(), Error> {
    if shape.iter().product::<usize>() != data.len() {
        return Err(Error::input(
            path.display(),
            "",
            format_args!("{} numbers do not fill shape {shape:?}", data.len()),
            "make the data fill the shape",
        ));
    }
    let shape: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
    write_atomic(path, |out| {
        let options = npyz::WriteOptions::<f64>::new().shape(&shape);
        match T::NAME {
            "f64" => {
                let mut file = options.default_dtype().writer(out).begin_nd()?;
                file.extend(data.iter().map(|x| x.to_f64()))?;
                file.finish()
            }
            _ => {
                let options = npyz::WriteOptions::<f32>::new().shape(&shape);
                let mut file = options.default_dtype().writer(out).begin_nd()?;
                file.extend(data.iter().map(|x| x.to_f64() as f32))?;
                file.finish()
            }
        }
    })
}
