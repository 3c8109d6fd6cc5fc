//! Global memory: arrays of words with a shadow that knows who wrote each.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::fault::{Kind, Memory};
use crate::word::Word;

/// Nobody wrote the word.
const UNWRITTEN: u32 = 0;
/// The host wrote it, or an earlier launch.
const SETTLED: u32 = 1;
/// Only atomic additions reached it in this launch.
const ATOMIC: u32 = 2;
/// Block b of this launch wrote it: FIRST_BLOCK + b.
const FIRST_BLOCK: u32 = 3;

/// An array in the emulated device's global memory.
pub struct Buffer<T> {
    words: Box<[AtomicU32]>,
    shadow: Box<[AtomicU32]>,
    values: PhantomData<T>,
}

impl<T: Word> Buffer<T> {
    /// An array with these values.
    pub fn from_slice(values: &[T]) -> Self {
        let words = values.iter().flat_map(|v| v.to_words().into_iter().take(T::WORDS as usize));
        let words: Box<[AtomicU32]> = words.map(AtomicU32::new).collect();
        let shadow = words.iter().map(|_| AtomicU32::new(SETTLED)).collect();
        Self { words, shadow, values: PhantomData }
    }

    /// An array of `len` values that nobody wrote; read back as they are, they are NaN.
    pub fn unwritten(len: usize) -> Self {
        let count = len * T::WORDS as usize;
        let words = (0..count).map(|_| AtomicU32::new(u32::MAX)).collect();
        let shadow = (0..count).map(|_| AtomicU32::new(UNWRITTEN)).collect();
        Self { words, shadow, values: PhantomData }
    }

    /// A handle for kernels that read it. What was written before this call counts as written by the
    /// host.
    pub fn input(&self) -> View<'_, T> {
        for state in &self.shadow {
            if state.load(Relaxed) != UNWRITTEN {
                state.store(SETTLED, Relaxed);
            }
        }
        View {
            words: &self.words,
            shadow: &self.shadow,
            base: 0,
            writable: false,
            values: PhantomData,
        }
    }

    /// A handle for kernels that write it, and perhaps read it. What was written before this call
    /// counts as written by the host.
    pub fn output(&mut self) -> View<'_, T> {
        for state in &mut self.shadow {
            if *state.get_mut() != UNWRITTEN {
                *state.get_mut() = SETTLED;
            }
        }
        View {
            words: &self.words,
            shadow: &self.shadow,
            base: 0,
            writable: true,
            values: PhantomData,
        }
    }

    /// The values.
    pub fn to_vec(&self) -> Vec<T> {
        let size = T::WORDS as usize;
        let value = |w: &[AtomicU32]| {
            T::from_words([w[0].load(Relaxed), w.get(1).map_or(0, |w| w.load(Relaxed))])
        };
        self.words.chunks_exact(size).map(value).collect()
    }
}

/// A handle of an array, from some element on.
pub struct View<'m, T> {
    words: &'m [AtomicU32],
    shadow: &'m [AtomicU32],
    base: u64,
    writable: bool,
    values: PhantomData<T>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for View<'_, T> {}

impl<T: Word> View<'_, T> {
    pub(super) fn advance(self, offset: u64) -> Self {
        Self { base: self.base.wrapping_add(offset), ..self }
    }

    /// The first word of `count` values at `index`, checked.
    fn locate(&self, index: u32, count: u64) -> Result<usize, Kind> {
        let size = u64::from(T::WORDS);
        let word = self.base.wrapping_add(u64::from(index)).wrapping_mul(size);
        let words = self.words.len() as u64;
        if word.checked_add(count * size).is_none_or(|end| end > words) {
            return Err(Kind::OutOfBounds { memory: Memory::Global, word, words });
        }
        if !word.is_multiple_of(count * size) {
            let alignment = (count * size * 4) as u32;
            return Err(Kind::Misaligned { memory: Memory::Global, byte: word * 4, alignment });
        }
        Ok(word as usize)
    }

    /// Reads one word for a block.
    fn read(&self, word: usize, block: u32) -> Result<u32, Kind> {
        let state = self.shadow[word].load(Relaxed);
        let at = word as u64;
        if state == UNWRITTEN {
            return Err(Kind::Uninitialised { memory: Memory::Global, word: at });
        }
        if state >= FIRST_BLOCK && state != FIRST_BLOCK + block {
            return Err(Kind::BlockRace { word: at, other: state - FIRST_BLOCK });
        }
        Ok(self.words[word].load(Relaxed))
    }

    /// Writes one word for a block.
    fn write(&self, word: usize, block: u32, value: u32) -> Result<(), Kind> {
        let mine = FIRST_BLOCK + block;
        let former = self.shadow[word].swap(mine, Relaxed);
        if former >= FIRST_BLOCK && former != mine {
            return Err(Kind::BlockRace { word: word as u64, other: former - FIRST_BLOCK });
        }
        self.words[word].store(value, Relaxed);
        Ok(())
    }

    pub(super) fn load(&self, index: u32, block: u32) -> Result<T, Kind> {
        let word = self.locate(index, 1)?;
        let low = self.read(word, block)?;
        let high = if T::WORDS == 2 { self.read(word + 1, block)? } else { 0 };
        Ok(T::from_words([low, high]))
    }

    pub(super) fn store(&self, index: u32, block: u32, value: T) -> Result<(), Kind> {
        let word = self.locate(index, 1)?;
        self.check_writable()?;
        for (i, bits) in value.to_words().into_iter().take(T::WORDS as usize).enumerate() {
            self.write(word + i, block, bits)?;
        }
        Ok(())
    }

    /// Refuses an access of four values that hardware would refuse.
    pub(super) fn check4(&self, index: u32) -> Result<(), Kind> {
        self.locate(index, 4).map(|_| ())
    }

    fn check_writable(&self) -> Result<(), Kind> {
        if self.writable { Ok(()) } else { Err(Kind::ReadOnly) }
    }
}

impl View<'_, u32> {
    pub(super) fn atomic_add(&self, index: u32, value: u32) -> Result<u32, Kind> {
        let word = self.locate(index, 1)?;
        self.check_writable()?;
        match self.shadow[word].swap(ATOMIC, Relaxed) {
            UNWRITTEN => Err(Kind::Uninitialised { memory: Memory::Global, word: word as u64 }),
            SETTLED | ATOMIC => Ok(self.words[word].fetch_add(value, Relaxed)),
            block => Err(Kind::BlockRace { word: word as u64, other: block - FIRST_BLOCK }),
        }
    }
}
