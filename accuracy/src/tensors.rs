//! Named tensors in f64, read from safetensors files.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// A tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f64>,
}

impl Tensor {
    /// The rows and columns of a matrix; `None` when it has not two axes.
    pub fn sides(&self) -> Option<(usize, usize)> {
        match self.shape[..] {
            [rows, columns] => Some((rows, columns)),
            _ => None,
        }
    }

    /// max |x|.
    pub fn largest(&self) -> f64 {
        self.data.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
    }

    /// max |self − want| / scale, absolute when the scale is 0; infinite when the shapes differ or
    /// an element is not finite.
    pub fn error(&self, want: &Tensor, scale: f64) -> f64 {
        if self.shape != want.shape {
            return f64::INFINITY;
        }
        relative(&self.data, &want.data, scale)
    }
}

/// max |got − want| / scale, absolute when the scale is 0; infinite when the lengths differ or a
/// difference is not finite.
pub(crate) fn relative(got: &[f64], want: &[f64], scale: f64) -> f64 {
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    let mut worst = 0.0_f64;
    for (g, w) in got.iter().zip(want) {
        let difference = (g - w).abs();
        if !difference.is_finite() {
            return f64::INFINITY;
        }
        worst = worst.max(difference);
    }
    if scale > 0.0 { worst / scale } else { worst }
}

/// The most tensors of the wrong type that an error names.
const ODD: usize = 5;

/// The tensors of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors(pub BTreeMap<String, Tensor>);

impl Tensors {
    /// Reads a file of f32, f64 and i64 tensors.
    ///
    /// # Errors
    /// A file that is missing or damaged, a tensor of another type.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let bytes = std::fs::read(path).map_err(|e| format!("{name}: {e}"))?;
        Self::parse(&bytes).map_err(|e| format!("{name}: {e}"))
    }

    /// [`Tensors::read`] for bytes that are at hand.
    ///
    /// # Errors
    /// As [`Tensors::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let mut tensors = BTreeMap::new();
        for (tensor, view) in file.iter() {
            let bytes = view.data();
            let eight = || bytes.as_chunks::<8>().0.iter();
            let data = match view.dtype() {
                Dtype::F64 => eight().map(|b| f64::from_le_bytes(*b)).collect(),
                Dtype::I64 => eight().map(|b| i64::from_le_bytes(*b) as f64).collect(),
                Dtype::F32 => {
                    let four = bytes.as_chunks::<4>().0.iter();
                    four.map(|b| f64::from(f32::from_le_bytes(*b))).collect()
                }
                other => return Err(format!("{tensor} has type {other:?}")),
            };
            tensors.insert(tensor.to_owned(), Tensor { shape: view.shape().to_vec(), data });
        }
        Ok(Self(tensors))
    }

    /// [`Tensors::parse`], and the dtype that all numbers were stored in.
    ///
    /// # Errors
    /// As [`Tensors::parse`]; no tensor of floating-point numbers; tensors of both types, with the names
    /// of the fewer.
    pub fn parse_typed(bytes: &[u8]) -> Result<(Self, crate::Dtype), String> {
        let tensors = Self::parse(bytes)?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let stored = |dtype: Dtype| {
            let own = file.iter().filter(|(_, view)| view.dtype() == dtype);
            let mut names: Vec<String> = own.map(|(name, _)| format!("{name:?}")).collect();
            names.sort();
            names
        };
        let (double, single) = (stored(Dtype::F64), stored(Dtype::F32));
        match (double.is_empty(), single.is_empty()) {
            (false, true) => Ok((tensors, crate::Dtype::F64)),
            (true, false) => Ok((tensors, crate::Dtype::F32)),
            (true, true) => Err("no tensor of floating-point numbers".into()),
            (false, false) => {
                let fewer = double.len() <= single.len();
                let (odd, names) = if fewer { ("F64", &double) } else { ("F32", &single) };
                let (rest, more) = (if fewer { "F32" } else { "F64" }, names.len().min(ODD));
                let etc = if names.len() > ODD { ", …" } else { "" };
                let names = names[..more].join(", ");
                Err(format!("tensors of two types: {names}{etc} of {odd}, all others of {rest}"))
            }
        }
    }

    /// The bytes of a file of f64 tensors.
    ///
    /// # Errors
    /// A tensor whose data does not fill its shape.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let raw = |t: &Tensor| t.data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let encoded: Vec<(&String, &Tensor, Vec<u8>)> =
            self.0.iter().map(|(name, t)| (name, t, raw(t))).collect();
        let mut views = Vec::with_capacity(encoded.len());
        for (name, tensor, bytes) in &encoded {
            let view = TensorView::new(Dtype::F64, tensor.shape.clone(), bytes);
            views.push((*name, view.map_err(|e| format!("{name}: {e}"))?));
        }
        safetensors::serialize(views, None).map_err(|e| e.to_string())
    }

    /// Adds a tensor, or replaces the one of that name.
    pub fn insert(&mut self, name: impl Into<String>, shape: &[usize], data: Vec<f64>) {
        self.0.insert(name.into(), Tensor { shape: shape.to_vec(), data });
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What is not finite: tensor, index, value; one line for each such tensor.
    pub fn not_finite(&self) -> Vec<String> {
        let first = self.0.iter().filter_map(|(name, tensor)| {
            let index = tensor.data.iter().position(|x| !x.is_finite())?;
            Some(format!("{name}: element {index} is {}", tensor.data[index]))
        });
        first.collect()
    }
}
