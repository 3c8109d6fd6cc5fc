//! The bytes of what an entry point takes by value.
//!
//! The structures have padding, which has no value: they are written field by field into zeros, and
//! read back field by field.

use core::mem::{align_of, offset_of};

use relfisher_core::optim::{Adam, AdamStep, WeightDecay};

use super::parameters::{
    AdamScalars, Backward, Batch, Classes, Combination, Divided, Extent, Join, Layer, Masked,
    NeuronRows, Neurons, Patched, Product, RightSides, Rows, Samples, Selection, SgdScalars,
    Strides, Targets, Triangles, Update, Window,
};

/// The most bytes of a parameter.
const MOST: usize = 128;

/// The bytes of a parameter, at an address that is a multiple of 16; its padding is 0.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub struct ParameterBytes {
    bytes: [u8; MOST],
    length: usize,
}

impl ParameterBytes {
    /// The bytes, as many as the parameter has.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What an entry point takes by value: a scalar, or a structure of [`crate::contract`].
pub trait Parameter: Fields {
    /// The value as a kernel sees it.
    fn to_bytes(&self) -> ParameterBytes {
        const { assert!(size_of::<Self>() <= MOST && align_of::<Self>() <= 16) };
        let mut bytes = [0; MOST];
        self.write(&mut bytes);
        ParameterBytes { bytes, length: size_of::<Self>() }
    }

    /// The value of these bytes; `None` when they are not as many as it has, or not a value.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() == size_of::<Self>() { Self::read(bytes) } else { None }
    }
}

impl<T: Fields> Parameter for T {}

use sealed::Fields;

mod sealed {
    /// A value that can be written into zeros, and read back.
    pub trait Fields: Copy {
        /// Writes the value to the first bytes.
        fn write(&self, to: &mut [u8]);
        /// Reads the value from the first bytes.
        fn read(from: &[u8]) -> Option<Self>;
    }
}

macro_rules! numbers {
    ($($t:ident)*) => { $(
        impl Fields for $t {
            fn write(&self, to: &mut [u8]) {
                for (to, byte) in to.iter_mut().zip(self.to_ne_bytes()) {
                    *to = byte;
                }
            }
            fn read(from: &[u8]) -> Option<Self> {
                from.first_chunk().map(|bytes| Self::from_ne_bytes(*bytes))
            }
        }
    )* };
}
numbers!(u32 u64 f32 f64);

impl Fields for [u32; 2] {
    fn write(&self, to: &mut [u8]) {
        self[0].write(to);
        self[1].write(after(to, size_of::<u32>()));
    }
    fn read(from: &[u8]) -> Option<Self> {
        Some([u32::read(from)?, u32::read(from.get(size_of::<u32>()..)?)?])
    }
}

/// The bytes from `offset` on; none when there are fewer.
fn after(bytes: &mut [u8], offset: usize) -> &mut [u8] {
    bytes.get_mut(offset..).unwrap_or_default()
}

/// Structures with `#[repr(C)]`, by their fields.
macro_rules! structures {
    ($($name:ident$(<$t:ident>)? { $($field:ident)* })*) => { $(
        impl$(<$t: Fields>)? Fields for $name$(<$t>)? {
            fn write(&self, to: &mut [u8]) {
                $( self.$field.write(after(to, offset_of!(Self, $field))); )*
            }
            fn read(from: &[u8]) -> Option<Self> {
                Some(Self { $( $field: Fields::read(from.get(offset_of!(Self, $field)..)?)? ),* })
            }
        }
    )* };
}
structures! {
    Neurons<T> { count kind leak_or_alpha smoothing sigma }
    Extent { rows columns inner piece }
    Strides { a b c }
    Update<T> { alpha beta }
    Product<T> { extent strides update }
    Masked<T> { product h repeat }
    Backward<T> { product neurons t }
    Divided<T> { product damping }
    Layer<T> { product neurons activated }
    Join<T> { count pieces update }
    Rows { count columns y x }
    Combination<T> { rows update }
    NeuronRows<T> { rows neurons }
    SgdScalars<T> { count learning_rate momentum weight_decay nesterov }
    AdamScalars<T> { count rule }
    AdamStep<T> { rule learning_rate rate scale }
    Adam<T> { beta1 beta2 epsilon weight_decay }
    Batch<T> { distance order row damping }
    RightSides { distance side element }
    Triangles { order l w }
    Samples<T> { samples neurons damping }
    Classes<T> { samples classes scale }
    Targets<T> { samples outputs weight scale }
    Selection { distance length kept }
    Window { channels size kernel stride padding dilation positions }
    Patched<T> { product window }
}

/// The layout of `#[repr(C)]`: the number of the variant as an `int`, then the variant's value.
impl<T: Fields> Fields for WeightDecay<T> {
    fn write(&self, to: &mut [u8]) {
        let (variant, decay): (u32, T) = match *self {
            Self::L2(decay) => (0, decay),
            Self::Decoupled(decay) => (1, decay),
        };
        variant.write(to);
        decay.write(after(to, payload::<T>()));
    }
    fn read(from: &[u8]) -> Option<Self> {
        let decay = T::read(from.get(payload::<T>()..)?)?;
        match u32::read(from)? {
            0 => Some(Self::L2(decay)),
            1 => Some(Self::Decoupled(decay)),
            _ => None,
        }
    }
}

/// Where the value of a variant stands behind its number.
const fn payload<T>() -> usize {
    size_of::<u32>().next_multiple_of(align_of::<T>())
}
