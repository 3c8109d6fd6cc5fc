//! The IDX format (LeCun, Cortes & Burges): `00 00 TYPE DIMENSIONS`, one big-endian u32 for each
//! dimension, then the bytes, row-major.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::Error;

/// The type byte of unsigned bytes, the only type of images and labels.
const UNSIGNED_BYTE: u8 = 8;
/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An array of unsigned bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// The length of each dimension; the first counts the samples.
    pub shape: Vec<usize>,
    /// The bytes, row-major.
    pub data: Vec<u8>,
}

impl Idx {
    /// Parses an IDX file of unsigned bytes; gzip is recognised by its first bytes.
    ///
    /// # Errors
    /// Not an IDX file, another type, a truncated or damaged file, or bytes after the end.
    ///
    /// ```
    /// use relfisher::dataset::Idx;
    /// let idx = Idx::parse(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 3])?;
    /// assert_eq!((idx.shape, idx.data), (vec![2], vec![7, 3]));
    /// assert!(Idx::parse(&[0, 0, 8, 1, 0, 0, 0, 2, 7]).is_err());
    /// # Ok::<(), relfisher::Error>(())
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.starts_with(&GZIP) {
            Self::read(MultiGzDecoder::new(bytes))
        } else {
            Self::read(bytes)
        }
    }

    /// An IDX file of images: the first of two or more dimensions counts the samples.
    ///
    /// # Errors
    /// Those of [`Idx::parse`]; a file of labels; no samples or empty images.
    pub fn images(bytes: &[u8]) -> Result<Self, Error> {
        let idx = Self::parse(bytes)?;
        if idx.shape.len() < 2 {
            return Err(Error::input(
                "",
                "byte 3 (dimensions)",
                "1 dimension: these are labels, but images are needed",
                "swap the files, or give the file of images",
            ));
        }
        idx.filled()
    }

    /// An IDX file of labels: one dimension.
    ///
    /// # Errors
    /// Those of [`Idx::parse`]; a file of images; no labels.
    pub fn labels(bytes: &[u8]) -> Result<Self, Error> {
        let idx = Self::parse(bytes)?;
        if idx.shape.len() != 1 {
            return Err(Error::input(
                "",
                "byte 3 (dimensions)",
                format_args!(
                    "{} dimensions: these are images, but labels are needed",
                    idx.shape.len()
                ),
                "swap the files, or give the file of labels",
            ));
        }
        idx.filled()
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    fn filled(self) -> Result<Self, Error> {
        if self.data.is_empty() {
            return Err(Error::input(
                "",
                "byte 4 (shape)",
                format_args!("shape {:?} holds nothing", self.shape),
                "give a file with at least one sample",
            ));
        }
        Ok(self)
    }

    fn read(mut source: impl Read) -> Result<Self, Error> {
        let magic: [u8; 4] = header(&mut source, 0)?;
        let [0, 0, kind, dimensions] = magic else {
            return Err(Error::input(
                "",
                "byte 0",
                format_args!("not an IDX file: it starts with {magic:02x?}"),
                "give an IDX file, plain or gzip",
            ));
        };
        if kind != UNSIGNED_BYTE {
            return Err(Error::input(
                "",
                "byte 2 (type)",
                format_args!("type 0x{kind:02x} is not supported"),
                "store unsigned bytes (type 0x08)",
            ));
        }
        if dimensions == 0 {
            return Err(Error::input(
                "",
                "byte 3 (dimensions)",
                "no dimensions",
                "give a file of images or labels",
            ));
        }
        let mut shape = Vec::with_capacity(usize::from(dimensions));
        for k in 0..usize::from(dimensions) {
            shape.push(u32::from_be_bytes(header(&mut source, 4 + 4 * k)?) as usize);
        }
        let wanted = shape.iter().try_fold(1_usize, |p, &side| p.checked_mul(side));
        let Some(wanted) = wanted.filter(|&w| w < isize::MAX as usize) else {
            return Err(Error::input(
                "",
                "byte 4 (shape)",
                format_args!("shape {shape:?} is too large"),
                "the header is damaged: fetch the file again",
            ));
        };
        // Nothing is allocated on the word of the header alone.
        let mut data = Vec::new();
        source
            .take(wanted as u64 + 1)
            .read_to_end(&mut data)
            .map_err(|e| damaged(data.len(), &e))?;
        let start = 4 + 4 * shape.len();
        if data.len() < wanted {
            return Err(Error::input(
                "",
                format_args!("byte {}", start + data.len()),
                format_args!("truncated: {} of {wanted} bytes of data", data.len()),
                "fetch the file again",
            ));
        }
        if data.len() > wanted {
            return Err(Error::input(
                "",
                format_args!("byte {}", start + wanted),
                format_args!("more data than shape {shape:?} holds"),
                "the header or the file is damaged: fetch it again",
            ));
        }
        Ok(Self { shape, data })
    }
}

fn header(source: &mut impl Read, offset: usize) -> Result<[u8; 4], Error> {
    let mut bytes = [0; 4];
    source.read_exact(&mut bytes).map_err(|e| damaged(offset, &e))?;
    Ok(bytes)
}

fn damaged(offset: usize, source: &std::io::Error) -> Error {
    let problem = match source.kind() {
        std::io::ErrorKind::UnexpectedEof => "truncated".to_owned(),
        _ => format!("damaged: {source}"),
    };
    Error::input("", format_args!("byte {offset}"), problem, "fetch the file again")
}
