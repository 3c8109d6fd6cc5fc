//! What the engines' tests and examples read: the golden cases of `tests/golden` (see its
//! `CONVENTIONS.md`) and the digits of `host/data/mnist10k`; and how near two arrays are.

mod network;

pub use network::Pass;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use safetensors::{Dtype, SafeTensors};

/// How far a value may be from a golden one in double precision, relative to the largest one: what
/// `tests/golden/CONVENTIONS.md` suggests; the packages that computed them agree to 8e-13.
pub const GOLDEN_TOLERANCE: f64 = 1e-9;

/// The same for a preconditioned gradient.
pub const GOLDEN_SOLVE_TOLERANCE: f64 = 1e-8;

/// A tensor in double precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub data: Vec<f64>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The little-endian words of eight bytes.
fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 8]> {
    bytes.as_chunks::<8>().0.iter().copied()
}

/// The shape and the words of an npy file of version 1 whose elements are `kind`, row-major. By hand: a
/// library for it would be most of what the engines' tests compile.
fn npy(path: &Path, kind: &str) -> (Vec<usize>, Vec<[u8; 8]>) {
    let bytes = read(path);
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"), "{}: not npy 1.0", path.display());
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..start]).into_owned();
    let fits = header.contains(&format!("'{kind}'")) && header.contains("'fortran_order': False");
    assert!(fits, "{}: {header}", path.display());
    let shape = header.split(['(', ')']).nth(1).unwrap_or_default();
    let shape: Vec<usize> = shape.split(',').filter_map(|d| d.trim().parse().ok()).collect();
    let data = words(&bytes[start..]).collect::<Vec<_>>();
    assert_eq!(data.len(), shape.iter().product::<usize>(), "{}: elements", path.display());
    (shape, data)
}

/// A case of fully connected layers.
#[derive(Clone, Debug)]
pub struct Golden {
    /// Its name.
    pub name: String,
    /// The inputs, n × d.
    pub x: Tensor,
    /// The classes.
    pub y: Vec<u32>,
    /// Classes drawn from the network's own soft-max.
    pub y_mc: Vec<u32>,
    tensors: Vec<(String, Tensor)>,
}

impl Golden {
    /// Reads `tests/golden/NAME`.
    ///
    /// # Panics
    /// When a file is missing, damaged or of another type.
    pub fn read(name: &str) -> Self {
        let folder = root().join("tests/golden").join(name);
        let mut tensors = Vec::new();
        for file in ["model.safetensors", "expected.safetensors"] {
            let bytes = read(&folder.join(file));
            let parsed =
                SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{name}/{file}: {e}"));
            for (key, view) in parsed.iter() {
                if view.dtype() == Dtype::F64 {
                    let data = words(view.data()).map(f64::from_le_bytes).collect();
                    let tensor = Tensor { shape: view.shape().to_vec(), data };
                    tensors.push((key.to_owned(), tensor));
                }
            }
        }
        let (shape, data) = npy(&folder.join("x.npy"), "<f8");
        let x = Tensor { shape, data: data.into_iter().map(f64::from_le_bytes).collect() };
        let classes = |file: &str| {
            npy(&folder.join(file), "<i8")
                .1
                .into_iter()
                .map(|b| i64::from_le_bytes(b) as u32)
                .collect()
        };
        let (y, y_mc) = (classes("y.npy"), classes("y_mc.npy"));
        Self { name: name.to_owned(), x, y, y_mc, tensors }
    }

    /// A tensor of the model or of what is expected.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn get(&self, key: &str) -> &Tensor {
        let found = self.tensors.iter().find(|(name, _)| name == key);
        found.map(|(_, t)| t).unwrap_or_else(|| panic!("{}: no tensor {key}", self.name))
    }

    /// How many layers the model has.
    pub fn layers(&self) -> usize {
        let weight = |name: &str| name.starts_with("layers.") && name.ends_with(".weight");
        self.tensors.iter().filter(|(name, _)| weight(name)).count()
    }
}

/// Images and their classes.
#[derive(Clone, Debug)]
pub struct Digits {
    /// Pixels in [0, 1], one image of 784 a row.
    pub images: Vec<f32>,
    /// Classes 0 … 9.
    pub labels: Vec<u32>,
}

/// The pixels of an image.
pub const PIXELS: usize = 784;

impl Digits {
    /// The first `count` of the 8,000 images to train with (`part` = "train") or of the 2,000 to test
    /// with ("t10k"), as the files have them: classes interleaved.
    ///
    /// # Panics
    /// When a file is missing, damaged or shorter.
    pub fn read(part: &str, count: usize) -> Self {
        let folder = root().join("host/data/mnist10k");
        let part = |kind: &str, header: usize, bytes: usize| -> Vec<u8> {
            let path = folder.join(format!("{part}-{kind}-ubyte.gz"));
            let mut data = Vec::new();
            let outcome = GzDecoder::new(&read(&path)[..]).read_to_end(&mut data);
            outcome.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(data.len() >= header + bytes, "{}: {} bytes", path.display(), data.len());
            data[header..header + bytes].to_vec()
        };
        let images = part("images-idx3", 16, count * PIXELS);
        let images = images.into_iter().map(|p| f32::from(p) / 255.0).collect();
        let labels = part("labels-idx1", 8, count).into_iter().map(u32::from).collect();
        Self { images, labels }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The images and classes of these rows.
    pub fn batch(&self, rows: &[usize]) -> Self {
        let image = |r: &usize| &self.images[r * PIXELS..(r + 1) * PIXELS];
        Self {
            images: rows.iter().flat_map(image).copied().collect(),
            labels: rows.iter().map(|r| self.labels[*r]).collect(),
        }
    }
}

/// Numbers that a seed fixes: the generator SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A permutation of 0 … n − 1.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, (self.uniform() * (i + 1) as f64) as usize);
        }
        order
    }

    /// `out × inputs` weights, uniform with variance 2/inputs (He et al. 2015).
    pub fn he(&mut self, outputs: usize, inputs: usize) -> Vec<f32> {
        let bound = (6.0 / inputs as f64).sqrt();
        (0..outputs * inputs).map(|_| ((2.0 * self.uniform() - 1.0) * bound) as f32).collect()
    }
}

/// max |found − wanted| / max |wanted| (the largest deviation itself where all are 0).
///
/// # Panics
/// When the lengths differ.
pub fn deviation(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len(), "elements");
    let largest = |values: &mut dyn Iterator<Item = f64>| {
        values.fold(0.0_f64, |m, v| if v.is_nan() { f64::INFINITY } else { m.max(v.abs()) })
    };
    let size = largest(&mut wanted.iter().copied());
    let apart = largest(&mut found.iter().zip(wanted).map(|(f, w)| f - w));
    if size > 0.0 { apart / size } else { apart }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_what_their_readme_says() {
        let (train, test) = (Digits::read("train", 8000), Digits::read("t10k", 2000));
        assert_eq!((train.len(), test.len()), (8000, 2000));
        assert!(train.images.iter().all(|p| (0.0..=1.0).contains(p)));
        let tens = (0..10).map(|c| test.labels.iter().filter(|l| **l == c).count());
        assert!(tens.into_iter().all(|n| n > 150), "a class is missing");
        let two = train.batch(&[7, 0]);
        assert_eq!(two.labels, [train.labels[7], train.labels[0]]);
        assert_eq!(two.images[PIXELS..], train.images[..PIXELS]);
    }

    #[test]
    fn deviations_see_every_element() {
        assert_eq!(deviation(&[1.0, 2.0], &[1.0, 4.0]), 0.5);
        assert_eq!(deviation(&[0.5], &[0.0]), 0.5);
        assert_eq!(deviation(&[f64::NAN, 4.0], &[1.0, 4.0]), f64::INFINITY);
    }

    #[test]
    fn permutations_hold_every_row_once() {
        let mut order = Rng(1).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
