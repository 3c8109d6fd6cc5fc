//! Global memory without types: allocations that a host names by addresses.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::buffer::{Cells, View};

/// The address of the first allocation.
const FIRST: u64 = 1 << 36;
/// Every allocation begins at a multiple of it, and at least so much lies between two.
const ALIGNMENT: u64 = 256;
const WORD: u64 = 4;

/// The emulated device's memory. Addresses are never used twice: one that was freed is unknown.
pub struct Heap {
    state: Mutex<State>,
}

pub(super) struct State {
    allocations: BTreeMap<u64, Cells>,
    next: u64,
    left: u64,
}

/// What a host can do wrong with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapError {
    /// An allocation of no bytes.
    Empty,
    /// No room for an allocation of so many bytes.
    OutOfMemory {
        /// The bytes.
        bytes: u64,
    },
    /// Not in an allocation; of [`Heap::free`]: not the start of one.
    UnknownAddress {
        /// The address.
        address: u64,
    },
    /// A range that runs past the end of its allocation.
    OutOfBounds {
        /// Where it begins.
        address: u64,
        /// The bytes of the range.
        bytes: u64,
        /// The bytes from there to the end of the allocation.
        left: u64,
    },
    /// A range that is not of whole 32-bit words.
    Misaligned {
        /// Where it begins.
        address: u64,
        /// The bytes of the range.
        bytes: u64,
    },
    /// A read of a word that nobody wrote.
    Unwritten {
        /// The address of the word.
        address: u64,
    },
    /// A copy between ranges that share words.
    Overlap,
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl Heap {
    /// A memory that is bounded by that of the machine.
    pub fn new() -> Self {
        Self::with_capacity(u64::MAX)
    }

    /// A memory of so many bytes.
    pub fn with_capacity(bytes: u64) -> Self {
        let state = State { allocations: BTreeMap::new(), next: FIRST, left: bytes };
        Self { state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No access leaves the memory in a state that another one could not bear.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of new memory that nobody wrote: a multiple of 256. The bytes are rounded up to
    /// whole words.
    ///
    /// # Errors
    /// [`HeapError::Empty`], [`HeapError::OutOfMemory`].
    pub fn allocate(&self, bytes: u64) -> Result<u64, HeapError> {
        let full = HeapError::OutOfMemory { bytes };
        let state = &mut *self.lock();
        let taken = bytes.checked_next_multiple_of(WORD).ok_or(full)?;
        if taken == 0 {
            return Err(HeapError::Empty);
        }
        let left = state.left.checked_sub(taken).ok_or(full)?;
        let after = taken.checked_next_multiple_of(ALIGNMENT);
        let next = after.and_then(|after| state.next.checked_add(after + ALIGNMENT)).ok_or(full)?;
        let count = usize::try_from(taken / WORD).map_err(|_| full)?;
        let cells = Cells::unwritten(count).ok_or(full)?;
        let address = state.next;
        state.allocations.insert(address, cells);
        (state.next, state.left) = (next, left);
        Ok(address)
    }

    /// Gives memory back.
    ///
    /// # Errors
    /// [`HeapError::UnknownAddress`].
    pub fn free(&self, address: u64) -> Result<(), HeapError> {
        let state = &mut *self.lock();
        let cells = state.allocations.remove(&address);
        let cells = cells.ok_or(HeapError::UnknownAddress { address })?;
        state.left += cells.len() as u64 * WORD;
        Ok(())
    }

    /// Writes bytes, a multiple of four, for the host.
    ///
    /// # Errors
    /// A range that is not inside an allocation, or not of whole words.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), HeapError> {
        let state = self.lock();
        let (cells, range) = state.locate(address, bytes.len() as u64)?;
        for (word, bytes) in range.zip(bytes.as_chunks().0) {
            cells.set(word, Some(u32::from_ne_bytes(*bytes)));
        }
        Ok(())
    }

    /// Reads bytes, a multiple of four.
    ///
    /// # Errors
    /// A range that is not inside an allocation or not of whole words; a word that nobody wrote.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), HeapError> {
        let state = self.lock();
        let (cells, range) = state.locate(address, bytes.len() as u64)?;
        let from = address - range.start as u64 * WORD;
        for (word, bytes) in range.zip(bytes.as_chunks_mut().0) {
            let unwritten = HeapError::Unwritten { address: from + word as u64 * WORD };
            *bytes = cells.get(word).ok_or(unwritten)?.to_ne_bytes();
        }
        Ok(())
    }

    /// Copies bytes, a multiple of four; of words that nobody wrote, the copies are unwritten too.
    ///
    /// # Errors
    /// A range that is not inside an allocation or not of whole words; ranges that overlap.
    pub fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), HeapError> {
        let state = self.lock();
        let (target, to_range) = state.locate(to, bytes)?;
        let (source, from_range) = state.locate(from, bytes)?;
        if overlap([to, bytes], [from, bytes]) {
            return Err(HeapError::Overlap);
        }
        for (to, from) in to_range.zip(from_range) {
            target.set(to, source.get(from));
        }
        Ok(())
    }

    /// Writes one 32-bit word `count` times.
    ///
    /// # Errors
    /// A range that is not inside an allocation, or not of whole words.
    pub fn fill(&self, address: u64, word: u32, count: u64) -> Result<(), HeapError> {
        self.set(address, count.saturating_mul(WORD), Some(word))
    }

    /// Makes memory count as never written.
    ///
    /// # Errors
    /// A range that is not inside an allocation, or not of whole words.
    pub fn forget(&self, address: u64, bytes: u64) -> Result<(), HeapError> {
        self.set(address, bytes, None)
    }

    fn set(&self, address: u64, bytes: u64, value: Option<u32>) -> Result<(), HeapError> {
        let state = self.lock();
        let (cells, range) = state.locate(address, bytes)?;
        range.for_each(|word| cells.set(word, value));
        Ok(())
    }
}

impl State {
    /// The allocation that holds a range, and the words of the range in it.
    fn locate(&self, address: u64, bytes: u64) -> Result<(&Cells, Range<usize>), HeapError> {
        let unknown = HeapError::UnknownAddress { address };
        let (start, cells) = self.allocations.range(..=address).next_back().ok_or(unknown)?;
        let (offset, size) = (address - start, cells.len() as u64 * WORD);
        let left = size.checked_sub(offset).filter(|left| *left > 0).ok_or(unknown)?;
        if bytes > left {
            return Err(HeapError::OutOfBounds { address, bytes, left });
        }
        if !offset.is_multiple_of(WORD) || !bytes.is_multiple_of(WORD) {
            return Err(HeapError::Misaligned { address, bytes });
        }
        let first = (offset / WORD) as usize;
        Ok((cells, first..first + (bytes / WORD) as usize))
    }

    /// A handle of exactly a range.
    pub(super) fn view(
        &self,
        address: u64,
        bytes: u64,
        writable: bool,
    ) -> Result<View<'_, u32>, HeapError> {
        let (cells, range) = self.locate(address, bytes)?;
        Ok(cells.view(range, writable))
    }
}

/// Whether two ranges, [address, bytes] each, share a byte.
pub(super) fn overlap([a, a_bytes]: [u64; 2], [b, b_bytes]: [u64; 2]) -> bool {
    a < b.saturating_add(b_bytes) && b < a.saturating_add(a_bytes) && a_bytes > 0 && b_bytes > 0
}

impl fmt::Display for HeapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("an allocation of no bytes"),
            Self::OutOfMemory { bytes } => write!(f, "no memory for {bytes} bytes"),
            Self::UnknownAddress { address } => write!(f, "{address:#x} is in no allocation"),
            Self::OutOfBounds { address, bytes, left } => {
                write!(f, "{bytes} bytes at {address:#x}, but the allocation ends after {left}")
            }
            Self::Misaligned { address, bytes } => {
                write!(f, "{bytes} bytes at {address:#x} are not whole words")
            }
            Self::Unwritten { address } => {
                write!(f, "the word at {address:#x} is read but was never written")
            }
            Self::Overlap => f.write_str("a copy between ranges that overlap"),
        }
    }
}

impl std::error::Error for HeapError {}
