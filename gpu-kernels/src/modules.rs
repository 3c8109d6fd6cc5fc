//! The compiled kernels.

use crate::contract::{Contract, Variant};

impl Variant {
    /// The kernels of this variant as PTX.
    pub const fn ptx(self) -> &'static str {
        match self {
            Self::Sm75 => include_str!("../ptx/sm_75.ptx"),
            Self::Sm80 => include_str!("../ptx/sm_80.ptx"),
        }
    }

    /// The newest variant that a device of this compute capability runs; none below 7.5.
    pub fn of_device(capability: (u32, u32)) -> Option<Self> {
        match capability {
            (8.., _) => Some(Self::Sm80),
            (7, 5..) => Some(Self::Sm75),
            _ => None,
        }
    }

    /// Whether this variant has the kernel.
    pub const fn has(self, contract: &Contract) -> bool {
        contract.since as u8 <= self as u8
    }
}
