//! Shared memory of one block, and the clocks by which accesses are ordered.

use std::collections::VecDeque;

use super::fault::{Kind, Memory};
use crate::device::WARP;

/// How many barriers a thread has passed: those of its block, and of its warp.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) block: u32,
    pub(super) warp: u32,
}

/// Who touched a word since the block's last barrier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Thread(u32),
    /// Several lanes of a warp.
    Warp(u32),
    /// Threads of several warps, one of them.
    Many(u32),
}

/// The accesses of one kind to a word, as far as they can still conflict.
#[derive(Clone, Copy)]
struct Access {
    who: Who,
    /// Of the latest.
    clock: Clock,
}

impl Access {
    const NONE: Self = Self { who: Who::Nobody, clock: Clock { block: 0, warp: 0 } };

    /// The other thread when an access by `thread` at `clock` is not ordered after these.
    fn conflict(&self, thread: u32, clock: Clock) -> Option<u32> {
        let (same_warp, other) = match self.who {
            Who::Nobody => return None,
            Who::Thread(t) if t == thread => return None,
            Who::Thread(t) => (t / WARP == thread / WARP, t),
            Who::Warp(w) => (w == thread / WARP, w * WARP),
            Who::Many(t) => (false, t),
        };
        let ordered = self.clock.block < clock.block || same_warp && self.clock.warp < clock.warp;
        if ordered { None } else { Some(other) }
    }

    fn record(&mut self, thread: u32, clock: Clock) {
        if self.clock.block < clock.block {
            self.who = Who::Nobody;
        }
        let warp = thread / WARP;
        self.who = match self.who {
            Who::Nobody => Who::Thread(thread),
            Who::Thread(t) if t == thread => Who::Thread(t),
            Who::Thread(t) if t / WARP == warp => Who::Warp(warp),
            Who::Warp(w) if w == warp => Who::Warp(w),
            Who::Thread(t) | Who::Many(t) => Who::Many(t),
            Who::Warp(w) => Who::Many(w * WARP),
        };
        self.clock = clock;
    }
}

#[derive(Clone, Copy)]
struct Cell {
    value: u32,
    written: bool,
    pending: bool,
    writes: Access,
    reads: Access,
}

const EMPTY: Cell = Cell {
    value: u32::MAX,
    written: false,
    pending: false,
    writes: Access::NONE,
    reads: Access::NONE,
};

/// A word on its way from global memory.
struct Copy {
    word: u32,
    value: u32,
}

/// The asynchronous copies of one thread.
#[derive(Default)]
struct Copies {
    open: Vec<Copy>,
    closed: VecDeque<Vec<Copy>>,
}

pub(super) struct SharedMemory {
    cells: Vec<Cell>,
    copies: Vec<Copies>,
}

impl SharedMemory {
    pub(super) fn new(bytes: u32, threads: u32) -> Self {
        let copies = (0..threads).map(|_| Copies::default()).collect();
        Self { cells: vec![EMPTY; bytes.div_ceil(4) as usize], copies }
    }

    /// The first word of an access of `bytes` bytes at a byte offset, checked.
    pub(super) fn locate(&self, byte: u32, bytes: u32) -> Result<u32, Kind> {
        let words = self.cells.len() as u64;
        if u64::from(byte) + u64::from(bytes) > 4 * words {
            let word = u64::from(byte / 4);
            return Err(Kind::OutOfBounds { memory: Memory::Shared, word, words });
        }
        // No access is wider than 16 bytes.
        let alignment = bytes.min(16);
        if !byte.is_multiple_of(alignment) {
            let byte = u64::from(byte);
            return Err(Kind::Misaligned { memory: Memory::Shared, byte, alignment });
        }
        Ok(byte / 4)
    }

    pub(super) fn read(&mut self, word: u32, thread: u32, clock: Clock) -> Result<u32, Kind> {
        let cell = &mut self.cells[word as usize];
        if cell.pending {
            return Err(Kind::CopyPending { word });
        }
        if !cell.written {
            return Err(Kind::Uninitialised { memory: Memory::Shared, word: u64::from(word) });
        }
        if let Some(other) = cell.writes.conflict(thread, clock) {
            return Err(Kind::Race { word, other });
        }
        cell.reads.record(thread, clock);
        Ok(cell.value)
    }

    pub(super) fn write(
        &mut self,
        word: u32,
        value: u32,
        thread: u32,
        clock: Clock,
    ) -> Result<(), Kind> {
        let cell = &mut self.cells[word as usize];
        if cell.pending {
            return Err(Kind::CopyPending { word });
        }
        let others = [cell.writes.conflict(thread, clock), cell.reads.conflict(thread, clock)];
        if let Some(other) = others.into_iter().flatten().next() {
            return Err(Kind::Race { word, other });
        }
        cell.writes = Access { who: Who::Thread(thread), clock };
        cell.written = true;
        cell.value = value;
        Ok(())
    }

    /// Additions in one step do not conflict with each other: they count as reads that change the
    /// value, so that a plain read or write beside them is still found.
    pub(super) fn add(
        &mut self,
        word: u32,
        value: u32,
        thread: u32,
        clock: Clock,
    ) -> Result<u32, Kind> {
        let former = self.read(word, thread, clock)?;
        self.cells[word as usize].value = former.wrapping_add(value);
        Ok(former)
    }

    /// Begins a copy of one word.
    pub(super) fn copy(
        &mut self,
        word: u32,
        value: u32,
        thread: u32,
        clock: Clock,
    ) -> Result<(), Kind> {
        self.write(word, value, thread, clock)?;
        self.cells[word as usize].pending = true;
        self.copies[thread as usize].open.push(Copy { word, value });
        Ok(())
    }

    pub(super) fn commit(&mut self, thread: u32) {
        let copies = &mut self.copies[thread as usize];
        let group = std::mem::take(&mut copies.open);
        copies.closed.push_back(group);
    }

    /// Ends all but the newest `pending` groups: their words count as written by the thread now.
    pub(super) fn wait(&mut self, pending: u32, thread: u32, clock: Clock) {
        let copies = &mut self.copies[thread as usize];
        while copies.closed.len() > pending as usize {
            for Copy { word, value } in copies.closed.pop_front().into_iter().flatten() {
                let cell = &mut self.cells[word as usize];
                cell.pending = false;
                cell.value = value;
                cell.writes = Access { who: Who::Thread(thread), clock };
            }
        }
    }
}
