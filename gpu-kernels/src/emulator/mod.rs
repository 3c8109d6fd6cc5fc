//! The device trait on the CPU: one stackful coroutine a GPU thread, blocks spread over OS threads.
//!
//! A coroutine runs until its thread must wait for others, so the order of execution is fixed and
//! every result has the same bits on every run. What the emulator checks, and reports as a
//! [`Fault`] that names the thread and the line:
//! - **bounds and alignment** of every access to global and shared memory;
//! - **initialisation**: no word is read that nobody wrote;
//! - **races in shared memory**: two threads touch a word, one of them writing, without a barrier
//!   of the block (or, within a warp, of the warp) between;
//! - **races between blocks** in global memory: a word that one block wrote is not touched by
//!   another in the same launch, atomic additions apart;
//! - **asynchronous copies**: the destination is not touched before its group was waited for;
//! - **divergence**: all threads of a block reach the same barrier, all lanes of a warp the same
//!   collective.
//!
//! A kernel is launched as a body with [`Buffer`]s ([`launch`]), or as a host launches it on a GPU: by
//! the name of its entry point, with addresses in a [`Heap`] and the bytes of its parameters
//! ([`launch_entry`]).
//!
//! What it does not model: time, the memory system below the visibility rules above, and races of
//! the threads of one block in global memory. Tensor-core products are computed in f64 with one
//! rounding, which no hardware promises: compare those by tolerance.

mod block;
mod buffer;
mod fault;
mod heap;
mod named;
mod shared;
mod thread;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub use buffer::{Buffer, View};
pub use fault::{Fault, Kind, Memory};
pub use heap::{Heap, HeapError};
pub(crate) use named::Arguments;
pub use named::{Argument, LaunchError, launch_entry};
pub use thread::Thread;

/// The shape of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks along x, y, z.
    pub blocks: [u32; 3],
    /// Threads of a block, a multiple of 32 up to 1024.
    pub threads: u32,
    /// Bytes of shared memory of a block.
    pub shared_bytes: u32,
}

/// Runs `body` in every thread of the grid and returns when all have ended.
///
/// # Errors
/// The fault of the lowest block that had one; what the launch wrote before is unspecified.
///
/// # Panics
/// When the number of threads is not a multiple of 32 between 32 and 1024.
pub fn launch<'m, F>(grid: Grid, body: F) -> Result<(), Fault>
where
    F: Fn(Thread<'m, '_>) + Sync,
{
    let whole_warps = grid.threads.is_multiple_of(32) && (32..=1024).contains(&grid.threads);
    assert!(whole_warps, "a block has 32, 64 … 1024 threads, not {}", grid.threads);
    let [x, y, z] = grid.blocks.map(u64::from);
    let (count, next) = (x * y * z, AtomicU64::new(0));
    let first: Mutex<Option<(u64, Fault)>> = Mutex::new(None);
    let work = || {
        let mut stacks = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return;
            }
            let index = [(at % x) as u32, (at / x % y) as u32, (at / (x * y)) as u32];
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                block::run(grid, index, at as u32, &body, &mut stacks)
            }));
            let fault = match outcome {
                Ok(Ok(())) => continue,
                Ok(Err(fault)) => fault,
                Err(payload) => resume_unwind(payload),
            };
            // Blocks beyond the fault need not run; those before it decide which one is reported.
            next.fetch_max(count, Ordering::Relaxed);
            let mut first = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if first.as_ref().is_none_or(|(block, _)| at < *block) {
                *first = Some((at, fault));
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(count as usize);
    if workers <= 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(work);
            }
        });
    }
    let first = first.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    first.map_or(Ok(()), |(_, fault)| Err(fault))
}
