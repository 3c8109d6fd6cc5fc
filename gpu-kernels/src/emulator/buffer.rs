//! Global memory: words with a shadow that knows who wrote each, and the handles of kernels.

use std::marker::PhantomData;
use std::ops::Range;
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

/// What a word holds that nobody wrote: as a number it is NaN.
const NOTHING: u32 = u32::MAX;

/// Words that begin at an address which is a multiple of every alignment.
pub(super) struct Cells {
    words: Box<[AtomicU32]>,
    shadow: Box<[AtomicU32]>,
}

impl Cells {
    /// Words that the host wrote.
    pub(super) fn written(words: impl Iterator<Item = u32>) -> Self {
        let words: Box<[AtomicU32]> = words.map(AtomicU32::new).collect();
        let shadow = words.iter().map(|_| AtomicU32::new(SETTLED)).collect();
        Self { words, shadow }
    }

    /// `count` words that nobody wrote; `None` when there is no memory for them.
    pub(super) fn unwritten(count: usize) -> Option<Self> {
        let of = |value| {
            let mut words = Vec::new();
            words.try_reserve_exact(count).ok()?;
            words.resize_with(count, || AtomicU32::new(value));
            Some(words.into_boxed_slice())
        };
        Some(Self { words: of(NOTHING)?, shadow: of(UNWRITTEN)? })
    }

    /// How many words there are.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// A handle of a range of words, which has to lie inside. What was written before this call counts
    /// as written by the host.
    pub(super) fn view<T>(&self, range: Range<usize>, writable: bool) -> View<'_, T> {
        let (words, shadow) = (&self.words[range.clone()], &self.shadow[range.clone()]);
        for state in shadow {
            if state.load(Relaxed) > SETTLED {
                state.store(SETTLED, Relaxed);
            }
        }
        View { words, shadow, origin: range.start as u64, base: 0, writable, values: PhantomData }
    }

    /// A word, unless nobody wrote it.
    pub(super) fn get(&self, word: usize) -> Option<u32> {
        let written = self.shadow[word].load(Relaxed) != UNWRITTEN;
        written.then(|| self.words[word].load(Relaxed))
    }

    /// Writes a word for the host, or with `None` forgets that it was written.
    pub(super) fn set(&self, word: usize, value: Option<u32>) {
        let state = if value.is_some() { SETTLED } else { UNWRITTEN };
        self.shadow[word].store(state, Relaxed);
        self.words[word].store(value.unwrap_or(NOTHING), Relaxed);
    }
}

/// An array in the emulated device's global memory.
pub struct Buffer<T> {
    cells: Cells,
    values: PhantomData<T>,
}

impl<T: Word> Buffer<T> {
    /// An array with these values.
    pub fn from_slice(values: &[T]) -> Self {
        let words = values.iter().flat_map(|v| v.to_words().into_iter().take(T::WORDS as usize));
        Self { cells: Cells::written(words), values: PhantomData }
    }

    /// An array of `len` values that nobody wrote; read back as they are, they are NaN.
    ///
    /// # Panics
    /// When there is no memory for them.
    pub fn unwritten(len: usize) -> Self {
        let cells = Cells::unwritten(len * T::WORDS as usize).expect("memory for an array");
        Self { cells, values: PhantomData }
    }

    /// A handle for kernels that read it. What was written before this call counts as written by the
    /// host.
    pub fn input(&self) -> View<'_, T> {
        self.cells.view(0..self.cells.len(), false)
    }

    /// A handle for kernels that write it, and perhaps read it. What was written before this call
    /// counts as written by the host.
    pub fn output(&mut self) -> View<'_, T> {
        self.cells.view(0..self.cells.len(), true)
    }

    /// The values.
    pub fn to_vec(&self) -> Vec<T> {
        let size = T::WORDS as usize;
        let value = |w: &[AtomicU32]| {
            T::from_words([w[0].load(Relaxed), w.get(1).map_or(0, |w| w.load(Relaxed))])
        };
        self.cells.words.chunks_exact(size).map(value).collect()
    }
}

/// A handle of an array, from some element on.
pub struct View<'m, T> {
    words: &'m [AtomicU32],
    shadow: &'m [AtomicU32],
    /// The words before it, which only matter for its alignment.
    origin: u64,
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

impl<'m> View<'m, u32> {
    /// A handle of no words.
    pub(super) fn empty() -> Self {
        let (words, shadow) = (&[], &[]);
        Self { words, shadow, origin: 0, base: 0, writable: false, values: PhantomData }
    }

    /// The same words as values of another type.
    pub(super) fn retyped<T: Word>(self) -> View<'m, T> {
        let Self { words, shadow, origin, base: _, writable, values: _ } = self;
        View { words, shadow, origin, base: 0, writable, values: PhantomData }
    }
}

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
        let place = self.origin + word;
        if !place.is_multiple_of(count * size) {
            let alignment = (count * size * 4) as u32;
            return Err(Kind::Misaligned { memory: Memory::Global, byte: place * 4, alignment });
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
