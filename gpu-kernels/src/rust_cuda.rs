//! The device trait over `cuda_std` 0.2.2, for engines whose kernels are built by Rust-CUDA's code
//! generator.
//!
//! That version has no shuffles, votes, asynchronous copies or tensor cores. Lanes exchange words
//! through shared memory instead: a launch adds [`SCRATCH`] bytes a thread behind what the contract
//! names, and passes the contract's size as [`RustCuda::new`]'s argument. Asynchronous copies are
//! done at once. A kernel that needs tensor cores ends with a trap.
//!
//! This module is type-checked on the host; no kernel was built with it yet.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};

use cuda_std::{shared, thread, warp};

use crate::device::{Device, Shared, WARP};
use crate::word::Word;

/// Bytes of shared memory for each thread's exchanges.
pub const SCRATCH: u32 = 4;

/// The calling thread.
#[derive(Clone, Copy, Debug)]
pub struct RustCuda {
    /// Where the words that lanes exchange stand in shared memory.
    scratch: u32,
}

impl RustCuda {
    /// The calling thread of a launch with `shared_bytes` bytes of shared memory and the scratch
    /// behind them.
    ///
    /// # Safety
    /// Called in a kernel, whose launch has that much shared memory.
    pub unsafe fn new(shared_bytes: u32) -> Self {
        Self { scratch: shared_bytes.next_multiple_of(16) }
    }

    fn shared<T>(byte: u32) -> *mut T {
        shared::dynamic_shared_mem::<u8>().wrapping_add(byte as usize).cast()
    }

    /// Offers a word to the warp, and reads those of other lanes.
    fn exchange<R>(self, bits: u32, read: impl FnOnce(&dyn Fn(u32) -> u32) -> R) -> R {
        let first = Self::shared::<u32>(self.scratch);
        let warp = self.thread() / WARP * WARP;
        // SAFETY: each lane writes its own word of the scratch, all lanes reach the barriers, as
        // the trait demands, and reads stand between two of them.
        unsafe {
            *first.wrapping_add(self.thread() as usize) = bits;
            warp::sync_warp(u32::MAX);
            let result = read(&|lane| *first.wrapping_add((warp + lane % WARP) as usize));
            warp::sync_warp(u32::MAX);
            result
        }
    }
}

/// A pointer into global memory: an argument of a kernel.
#[derive(Debug)]
#[repr(transparent)]
pub struct Array<T>(*mut T, PhantomData<T>);

impl<T> Array<T> {
    /// The array at a pointer.
    ///
    /// # Safety
    /// The pointer is to global memory that holds what the contract of the kernel says.
    pub unsafe fn new(pointer: *mut T) -> Self {
        Self(pointer, PhantomData)
    }
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Array<T> {}

impl Device for RustCuda {
    type Array<T: Word> = Array<T>;

    fn thread(self) -> u32 {
        thread::thread_idx_x()
    }
    fn threads(self) -> u32 {
        thread::block_dim_x()
    }
    fn block(self) -> [u32; 3] {
        [thread::block_idx_x(), thread::block_idx_y(), thread::block_idx_z()]
    }
    fn blocks(self) -> [u32; 3] {
        [thread::grid_dim_x(), thread::grid_dim_y(), thread::grid_dim_z()]
    }

    fn barrier(self) {
        thread::sync_threads();
    }
    fn warp_barrier(self) {
        // SAFETY: reached by every lane of the warp, as the trait demands.
        unsafe { warp::sync_warp(u32::MAX) }
    }
    fn shuffle_xor_bits(self, bits: u32, mask: u32) -> u32 {
        let lane = self.lane() ^ mask;
        self.exchange(bits, |of| of(lane))
    }
    fn shuffle_from_bits(self, bits: u32, lane: u32) -> u32 {
        self.exchange(bits, |of| of(lane))
    }
    fn ballot(self, predicate: bool) -> u32 {
        self.exchange(u32::from(predicate), |of| {
            (0..WARP).fold(0, |bits, lane| bits | of(lane) << lane)
        })
    }

    fn advance<T: Word>(self, array: Array<T>, offset: u64) -> Array<T> {
        Array(array.0.wrapping_add(offset as usize), PhantomData)
    }
    fn load<T: Word>(self, array: Array<T>, index: u32) -> T {
        // SAFETY: inside the array by the contract of the kernel (so below).
        unsafe { *array.0.wrapping_add(index as usize) }
    }
    fn store<T: Word>(self, array: Array<T>, index: u32, value: T) {
        // SAFETY: inside the array by the contract of the kernel.
        unsafe { *array.0.wrapping_add(index as usize) = value }
    }
    fn load4(self, array: Array<f32>, index: u32) -> [f32; 4] {
        [0, 1, 2, 3].map(|i| self.load(array, index + i))
    }
    fn store4(self, array: Array<f32>, index: u32, values: [f32; 4]) {
        for (i, value) in (index..).zip(values) {
            self.store(array, i, value);
        }
    }
    fn atomic_add(self, array: Array<u32>, index: u32, value: u32) -> u32 {
        let pointer = array.0.wrapping_add(index as usize);
        // SAFETY: inside the array, and reached by such additions only while the kernel runs.
        unsafe { AtomicU32::from_ptr(pointer) }.fetch_add(value, Ordering::Relaxed)
    }

    fn shared_load<T: Word>(self, range: Shared<T>, index: u32) -> T {
        // SAFETY: inside the block's shared memory by the contract of the kernel (so below).
        unsafe { *Self::shared(range.address(index)) }
    }
    fn shared_store<T: Word>(self, range: Shared<T>, index: u32, value: T) {
        // SAFETY: inside the block's shared memory by the contract of the kernel.
        unsafe { *Self::shared(range.address(index)) = value }
    }
    fn shared_load4<T: Word>(self, range: Shared<T>, index: u32) -> [T; 4] {
        [0, 1, 2, 3].map(|i| self.shared_load(range, index + i))
    }
    fn shared_store4<T: Word>(self, range: Shared<T>, index: u32, values: [T; 4]) {
        for (i, value) in (index..).zip(values) {
            self.shared_store(range, i, value);
        }
    }
    fn shared_atomic_add(self, range: Shared<u32>, index: u32, value: u32) -> u32 {
        // SAFETY: inside the block's shared memory, reached by such additions only between barriers.
        unsafe { AtomicU32::from_ptr(Self::shared(range.address(index))) }
            .fetch_add(value, Ordering::Relaxed)
    }

    fn copy_async(self, to: Shared<f32>, at: u32, from: Array<f32>, index: u32) {
        self.shared_store(to, at, self.load(from, index));
    }
    fn copy_commit(self) {}
    fn copy_wait<const PENDING: u32>(self) {}

    fn mma_tf32(self, _: [f32; 4], _: [u32; 4], _: [u32; 2]) -> [f32; 4] {
        panic!("tensor cores are not reached through cuda_std")
    }
    fn mma_bf16(self, _: [f32; 4], _: [u32; 4], _: [u32; 2]) -> [f32; 4] {
        panic!("tensor cores are not reached through cuda_std")
    }
}
