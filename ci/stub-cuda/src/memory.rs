//! Memory of the device and pinned memory of the host.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_uint;

use crate::context::within;
use crate::state::State;
use crate::work::{Work, submit};
use crate::{CAPTURE_UNSUPPORTED, Code, INVALID_VALUE, OUT_OF_MEMORY, answer, note, setting};

impl State {
    /// The `bytes` of device memory at an address; all of them lie in one piece.
    pub(crate) fn device(&mut self, at: u64, bytes: usize) -> Result<&mut [u8], Code> {
        let (start, piece) = self.memory.range_mut(..=at).next_back().ok_or(INVALID_VALUE)?;
        let from = (at - start) as usize;
        let to = from.checked_add(bytes).ok_or(INVALID_VALUE)?;
        piece.get_mut(from..to).ok_or(INVALID_VALUE)
    }

    /// Refuses what CUDA refuses on a thread that captures.
    pub(crate) fn not_capturing(&self) -> Result<(), Code> {
        let captures = self.streams.values().any(|stream| stream.captured.is_some());
        if captures { Err(CAPTURE_UNSUPPORTED) } else { Ok(()) }
    }
}

/// # Safety
/// The pointer is null, or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAlloc_v2(at: *mut u64, bytes: usize) -> Code {
    within(|state| {
        state.not_capturing()?;
        let used: usize = state.memory.values().map(Vec::len).sum();
        if bytes == 0 {
            return Err(INVALID_VALUE);
        }
        if used.saturating_add(bytes) > setting("MEMORY", 64 << 20) as usize {
            return Err(OUT_OF_MEMORY);
        }
        let address = state.address(bytes);
        state.memory.insert(address, vec![0xcd; bytes]);
        note(&format!("allocate {bytes}"));
        // SAFETY: as the caller promises.
        unsafe { answer(at, address) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(at: u64) -> Code {
    within(|state| {
        state.not_capturing()?;
        let piece = state.memory.remove(&at).ok_or(INVALID_VALUE)?;
        note(&format!("free {}", piece.len()));
        Ok(())
    })
}

/// # Safety
/// The pointer is null, or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostAlloc(at: *mut *mut u8, bytes: usize, flags: c_uint) -> Code {
    within(|state| {
        let layout = Layout::from_size_align(bytes, 4096).map_err(|_| OUT_OF_MEMORY)?;
        if bytes == 0 || flags > 7 {
            return Err(INVALID_VALUE);
        }
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc(layout) };
        if memory.is_null() {
            return Err(OUT_OF_MEMORY);
        }
        state.pinned.insert(memory as u64, layout);
        note(&format!("allocate pinned {bytes}"));
        // SAFETY: as the caller promises.
        unsafe { answer(at, memory) }
    })
}

/// # Safety
/// Nothing uses the memory any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeHost(at: *mut u8) -> Code {
    within(|state| {
        let layout = state.pinned.remove(&(at as u64)).ok_or(INVALID_VALUE)?;
        note(&format!("free pinned {}", layout.size()));
        // SAFETY: it was allocated with this layout, and is freed once.
        unsafe { dealloc(at, layout) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: u64) -> Code {
    within(|state| submit(state, stream, Work::Upload { to, from, bytes }))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoHAsync_v2(to: u64, from: u64, bytes: usize, stream: u64) -> Code {
    within(|state| submit(state, stream, Work::Download { to, from, bytes }))
}

/// The copy of engines that wait.
#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoD_v2(to: u64, from: u64, bytes: usize) -> Code {
    cuMemcpyHtoDAsync_v2(to, from, bytes, 0)
}

/// The copy of engines that wait.
#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoH_v2(to: u64, from: u64, bytes: usize) -> Code {
    cuMemcpyDtoHAsync_v2(to, from, bytes, 0)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: u64) -> Code {
    within(|state| submit(state, stream, Work::Copy { to, from, bytes }))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD32Async(to: u64, word: c_uint, words: usize, stream: u64) -> Code {
    within(|state| submit(state, stream, Work::Fill { to, word, words }))
}
