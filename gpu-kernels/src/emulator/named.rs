//! Launches by the name of an entry point, checked against its signature and its contract.

use std::fmt;
use std::vec::IntoIter;

use super::buffer::View;
use super::heap::{Heap, HeapError, State, overlap};
use super::{Fault, Grid};
use crate::contract::{Access, ArrayParameter, CONTRACTS, Contract, Parameter, Signature};
use crate::entry;
use crate::word::Word;

/// An argument of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// An array: the kernel may touch these bytes of a [`Heap`] and no others.
    Array {
        /// Where it begins; unused when it has no bytes.
        address: u64,
        /// Its size, a multiple of that of a value.
        bytes: u64,
    },
    /// The bytes of a value, as [`Parameter::to_bytes`] gives them.
    Value(&'a [u8]),
}

/// Why a launch by name was refused, or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchError {
    /// There is no such entry point.
    UnknownEntry {
        /// The name.
        name: String,
    },
    /// The grid breaks the contract of the entry point, or has no blocks.
    Grid {
        /// What is wrong with it.
        what: &'static str,
        /// The grid.
        grid: Grid,
    },
    /// Another number of arguments.
    Count {
        /// How many the entry point takes.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A value where an array belongs, or an array where a value belongs.
    Kind {
        /// The parameter.
        parameter: &'static str,
    },
    /// A value of another size or without meaning, or an array that is not of whole values.
    Bytes {
        /// The parameter.
        parameter: &'static str,
        /// The size of a value.
        expected: u64,
        /// The bytes that were given.
        found: u64,
    },
    /// An array whose address is not a multiple of the size of its values.
    Misaligned {
        /// The parameter.
        parameter: &'static str,
        /// The address.
        address: u64,
    },
    /// An array that is not inside an allocation.
    Memory {
        /// The parameter.
        parameter: &'static str,
        /// What is wrong.
        error: HeapError,
    },
    /// An array that is written overlaps with another.
    Overlap {
        /// The array that is written.
        written: &'static str,
        /// The other.
        other: &'static str,
    },
    /// The kernel broke a rule.
    Fault(Fault),
}

/// The arguments of an entry point, handed out in order.
pub(crate) struct Arguments<'m> {
    arrays: IntoIter<(&'static str, View<'m, u32>)>,
    values: IntoIter<(&'static str, &'m [u8])>,
}

impl<'m> Arguments<'m> {
    /// The next array.
    pub(crate) fn array<T: Word>(&mut self) -> Result<View<'m, T>, LaunchError> {
        // The signature that was checked has exactly the arrays that are asked for.
        let (_, view) = self.arrays.next().ok_or(LaunchError::Count { expected: 1, found: 0 })?;
        Ok(view.retyped())
    }

    /// The next value.
    pub(crate) fn value<T: Parameter>(&mut self) -> Result<T, LaunchError> {
        let next = self.values.next().ok_or(LaunchError::Count { expected: 1, found: 0 });
        let (parameter, bytes) = next?;
        let (expected, found) = (size_of::<T>() as u64, bytes.len() as u64);
        T::from_bytes(bytes).ok_or(LaunchError::Bytes { parameter, expected, found })
    }
}

/// Launches an entry point of any variant. Each argument is checked against the signature; what earlier
/// launches wrote counts as written by the host. Launches of one heap follow one another.
///
/// # Errors
/// Whatever is wrong with name, grid or arguments: nothing was written then. A [`Fault`] of the
/// kernel: what it wrote is unspecified.
pub fn launch_entry(
    heap: &Heap,
    name: &str,
    grid: Grid,
    arguments: &[Argument<'_>],
) -> Result<(), LaunchError> {
    let unknown = || LaunchError::UnknownEntry { name: name.to_owned() };
    let entry = entry::find(name).ok_or_else(unknown)?;
    let contract = CONTRACTS.iter().find(|contract| contract.name == name).ok_or_else(unknown)?;
    check_grid(grid, contract)?;
    let Signature { arrays, values, .. } = entry.signature;
    let (expected, found) = (arrays.len() + values.len(), arguments.len());
    if expected != found {
        return Err(LaunchError::Count { expected, found });
    }
    let (of_arrays, of_values) = arguments.split_at(arrays.len());
    let ranges = check_arrays(arrays, of_arrays)?;
    let mut bytes = Vec::with_capacity(values.len());
    for (parameter, argument) in values.iter().zip(of_values) {
        let Argument::Value(value) = *argument else {
            return Err(LaunchError::Kind { parameter: parameter.name });
        };
        if value.len() != parameter.bytes {
            let (expected, found) = (parameter.bytes as u64, value.len() as u64);
            return Err(LaunchError::Bytes { parameter: parameter.name, expected, found });
        }
        bytes.push((parameter.name, value));
    }
    let memory = heap.lock();
    let mut views = Vec::with_capacity(arrays.len());
    for (parameter, range) in arrays.iter().zip(ranges) {
        views.push((parameter.name, view(&memory, parameter, range)?));
    }
    let arguments = Arguments { arrays: views.into_iter(), values: bytes.into_iter() };
    (entry.launch)(grid, arguments)
}

/// A GPU's limits, and those of the contract.
fn check_grid(grid: Grid, contract: &Contract) -> Result<(), LaunchError> {
    let [x, y, z] = grid.blocks;
    let what = if grid.threads != contract.threads {
        "not the threads of the contract"
    } else if grid.shared_bytes > contract.shared_bytes {
        "more shared memory than in the contract"
    } else if x == 0 || y == 0 || z == 0 {
        "no blocks"
    } else if x > i32::MAX as u32 || y > 65_535 || z > 65_535 {
        "more blocks than a GPU takes"
    } else {
        return Ok(());
    };
    Err(LaunchError::Grid { what, grid })
}

/// The ranges of the arrays, [address, bytes] each, when they fit their parameters.
fn check_arrays(
    parameters: &[ArrayParameter],
    arguments: &[Argument<'_>],
) -> Result<Vec<[u64; 2]>, LaunchError> {
    let mut ranges = Vec::with_capacity(parameters.len());
    for (&ArrayParameter { name: parameter, word, .. }, argument) in
        parameters.iter().zip(arguments)
    {
        let Argument::Array { address, bytes } = *argument else {
            return Err(LaunchError::Kind { parameter });
        };
        let expected = word.bytes();
        if !bytes.is_multiple_of(expected) {
            return Err(LaunchError::Bytes { parameter, expected, found: bytes });
        }
        if bytes > 0 && !address.is_multiple_of(expected) {
            return Err(LaunchError::Misaligned { parameter, address });
        }
        ranges.push([address, bytes]);
    }
    for (i, written) in parameters.iter().enumerate().filter(|(_, p)| p.access == Access::Write) {
        let others = parameters.iter().enumerate().filter(|(j, _)| *j != i);
        if let Some((_, other)) = others.into_iter().find(|(j, _)| overlap(ranges[i], ranges[*j])) {
            return Err(LaunchError::Overlap { written: written.name, other: other.name });
        }
    }
    Ok(ranges)
}

fn view<'m>(
    memory: &'m State,
    parameter: &ArrayParameter,
    [address, bytes]: [u64; 2],
) -> Result<View<'m, u32>, LaunchError> {
    if bytes == 0 {
        return Ok(View::empty());
    }
    let view = memory.view(address, bytes, parameter.access == Access::Write);
    view.map_err(|error| LaunchError::Memory { parameter: parameter.name, error })
}

impl From<Fault> for LaunchError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEntry { name } => write!(f, "there is no kernel `{name}`"),
            Self::Grid { what, grid } => write!(f, "{what}: {grid:?}"),
            Self::Count { expected, found } => write!(f, "{found} arguments, not {expected}"),
            Self::Kind { parameter } => {
                write!(f, "`{parameter}`: an array where a value belongs, or the reverse")
            }
            Self::Bytes { parameter, expected, found } => {
                write!(f, "`{parameter}`: {found} bytes, but a value has {expected}")
            }
            Self::Misaligned { parameter, address } => {
                write!(f, "`{parameter}`: {address:#x} is not a multiple of the size of a value")
            }
            Self::Memory { parameter, error } => write!(f, "`{parameter}`: {error}"),
            Self::Overlap { written, other } => {
                write!(f, "`{written}`, which is written, overlaps with `{other}`")
            }
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for LaunchError {}
