//! Scratch that outlives the calls: after the first calls nothing is allocated any more.

use std::sync::{Mutex, PoisonError};

/// A store of scratch buffers of one type. A task borrows a buffer, and gives it back when done; so
/// there are as many buffers as tasks ran at once, each as long as the longest request it met.
#[derive(Debug)]
pub struct Arena<T> {
    free: Mutex<Vec<Vec<T>>>,
}

/// Elements of padding, so that a buffer can start on a cache line.
const PAD: usize = 64;

impl<T: Copy> Arena<T> {
    pub(super) const fn new() -> Self {
        Self { free: Mutex::new(Vec::new()) }
    }

    /// Calls `f` with a buffer of `len` elements that starts on a cache line and holds arbitrary
    /// (initialised) values; `fill` is what new elements are made of.
    pub(super) fn with<R>(&self, len: usize, fill: T, f: impl FnOnce(&mut [T]) -> R) -> R {
        let mut buffer = self.lock().pop().unwrap_or_default();
        let needed = len + PAD;
        if buffer.len() < needed {
            buffer.clear();
            buffer.shrink_to_fit();
            buffer.resize(needed, fill);
        }
        let start = buffer.as_ptr().align_offset(64).min(PAD);
        let result = f(&mut buffer[start..start + len]);
        self.lock().push(buffer);
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<T>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
