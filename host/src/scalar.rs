//! The scalar types of the host: the core's [`Real`] numbers that the dense library, the files and
//! the command line know too.

use std::str::FromStr;

use relfisher_core::Real;
use relfisher_core::factor::batch::Transpose;
use safetensors::Dtype;

use crate::executor::{Arena, Cpu, Shuffles};

/// `f32` or `f64` with everything that the host needs of a number: the kernels of `faer`, a name
/// for the command line and a byte format for files. Sealed: no other type can implement it.
pub trait Scalar:
    Real
    + faer::traits::RealField
    + pulp::bytemuck::Pod
    + serde::Serialize
    + serde::de::DeserializeOwned
    + FromStr
    + relfisher_kernels::Scalar
    + relfisher_kernels::contract::Parameter
    + sealed::Scratch
{
    /// `"f32"` or `"f64"`: the spelling of `--dtype` and of records.
    const NAME: &'static str;
    /// The type's name in a safetensors header.
    const DTYPE: Dtype;

    /// How squares of this type are transposed.
    type Squares: Transpose<Self>;

    /// Appends the little-endian bytes of self.
    fn write_le(self, out: &mut Vec<u8>);

    /// The number whose little-endian representation the first `size_of::<Self>()` bytes are; `None`
    /// when there are fewer.
    fn read_le(bytes: &[u8]) -> Option<Self>;
}

pub(crate) mod sealed {
    use super::{Arena, Cpu};

    /// Where an executor keeps this type's scratch buffers.
    pub trait Scratch: Sized {
        /// This type's arena.
        fn arena(cpu: &Cpu) -> &Arena<Self>;
    }
}

macro_rules! impl_scalar {
    ($t:ident, $dtype:expr, $arena:ident) => {
        impl sealed::Scratch for $t {
            #[inline]
            fn arena(cpu: &Cpu) -> &Arena<Self> {
                cpu.$arena()
            }
        }

        impl Scalar for $t {
            const NAME: &'static str = stringify!($t);
            const DTYPE: Dtype = $dtype;
            type Squares = Shuffles;

            fn write_le(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read_le(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().map(|b| $t::from_le_bytes(*b))
            }
        }
    };
}

impl_scalar!(f32, Dtype::F32, arena_f32);
impl_scalar!(f64, Dtype::F64, arena_f64);
