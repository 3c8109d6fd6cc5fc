//! What an entry point takes: arrays first, then values.

/// The type of the values of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordKind {
    /// `u32`.
    U32,
    /// `f32`.
    F32,
    /// `f64`.
    F64,
}

impl WordKind {
    /// The size and alignment of a value in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// What an entry point does with an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only reads; the array may overlap with others that are only read.
    Read,
    /// It writes, and perhaps reads; the array overlaps with no other.
    Write,
}

/// An array that an entry point takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayParameter {
    /// Its name in the body's documentation.
    pub name: &'static str,
    /// The type of its values.
    pub word: WordKind,
    /// What is done with it.
    pub access: Access,
}

/// A structure of scalars, or a scalar, that an entry point takes by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueParameter {
    /// Its name.
    pub name: &'static str,
    /// Its size.
    pub bytes: usize,
}

/// The parameters of an entry point: all arrays, then all values, each in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the entry point.
    pub name: &'static str,
    /// The arrays.
    pub arrays: &'static [ArrayParameter],
    /// The values.
    pub values: &'static [ValueParameter],
}

/// The signature of an entry point of any variant.
#[cfg(not(target_arch = "nvptx64"))]
pub fn signature(name: &str) -> Option<&'static Signature> {
    crate::entry::find(name).map(|entry| &entry.signature)
}
