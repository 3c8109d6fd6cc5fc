//! What a launch can do wrong.

use std::fmt;
use std::panic::Location;

/// A broken rule, with the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule.
    pub kind: Kind,
    /// The block, x, y, z.
    pub block: [u32; 3],
    /// The thread in the block.
    pub thread: u32,
    /// The line of the access or collective.
    pub place: &'static Location<'static>,
}

/// The rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An access outside its memory: word `word` of `words`.
    OutOfBounds {
        /// The memory.
        memory: Memory,
        /// The first 32-bit word of the access.
        word: u64,
        /// The words that there are.
        words: u64,
    },
    /// An access at a byte offset that is not a multiple of its size.
    Misaligned {
        /// The memory.
        memory: Memory,
        /// The byte offset.
        byte: u64,
        /// The alignment of the access.
        alignment: u32,
    },
    /// A read of a word that nobody wrote.
    Uninitialised {
        /// The memory.
        memory: Memory,
        /// The 32-bit word.
        word: u64,
    },
    /// A write to an array that was passed for reading.
    ReadOnly,
    /// Two threads of a block touch a word of shared memory without a barrier between.
    Race {
        /// The 32-bit word.
        word: u32,
        /// The other thread, or the first of several.
        other: u32,
    },
    /// Two blocks of a launch touch a word of global memory.
    BlockRace {
        /// The 32-bit word of the array.
        word: u64,
        /// The other block, by its linear number.
        other: u32,
    },
    /// A word of shared memory is touched while an asynchronous copy into it is under way.
    CopyPending {
        /// The 32-bit word.
        word: u32,
    },
    /// Threads that must wait together wait at different places, or ended.
    Divergence {
        /// What this thread does and what another one does.
        what: String,
    },
}

/// A memory of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// An array in global memory.
    Global,
    /// The block's shared memory.
    Shared,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kind, block, thread, place } = self;
        write!(f, "{place}: block {block:?}, thread {thread}: ")?;
        match kind {
            Kind::OutOfBounds { memory, word, words } => {
                write!(f, "word {word} of {words} in {memory:?} memory")
            }
            Kind::Misaligned { memory, byte, alignment } => {
                write!(f, "byte {byte} of {memory:?} memory is not a multiple of {alignment}")
            }
            Kind::Uninitialised { memory, word } => {
                write!(f, "word {word} of {memory:?} memory is read but was never written")
            }
            Kind::ReadOnly => f.write_str("write to an array that is an input"),
            Kind::Race { word, other } => {
                write!(f, "word {word} of shared memory: race with thread {other}")
            }
            Kind::BlockRace { word, other } => {
                write!(f, "word {word} of an array: race with block {other}")
            }
            Kind::CopyPending { word } => {
                write!(f, "word {word} of shared memory: a copy into it is under way")
            }
            Kind::Divergence { what } => f.write_str(what),
        }
    }
}

impl std::error::Error for Fault {}
