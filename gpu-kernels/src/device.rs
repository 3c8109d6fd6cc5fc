//! The one trait that kernels are generic over: what a thread of a GPU can do.
//!
//! A kernel body is a function `fn body<D: Device>(d: D, …)` without unsafe code that every thread
//! of a launch calls. It names global memory by [`Device::Array`] handles and shared memory by
//! [`Shared`] ranges. On a GPU neither is checked: the caller of an entry point keeps the contract
//! of `crate::contract`, and the emulator, where every access is checked, is the proof that the
//! body stays inside it.
//!
//! A block has one dimension and a multiple of 32 threads. Barriers and all other collectives must
//! be reached by every thread of the block (or warp) at the same place of the program.

use core::marker::PhantomData;

use crate::word::Word;

/// The lanes of a warp.
pub const WARP: u32 = 32;

/// A range of the block's shared memory that holds values of type T, by its byte offset.
#[derive(Debug)]
pub struct Shared<T> {
    base: u32,
    values: PhantomData<T>,
}

impl<T> Clone for Shared<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}

impl<T: Word> Shared<T> {
    /// The range that begins `bytes` into the block's shared memory, a multiple of 16.
    #[inline(always)]
    pub const fn at(bytes: u32) -> Self {
        Self { base: bytes, values: PhantomData }
    }

    /// The same range, `values` further on.
    #[inline(always)]
    pub const fn skip(self, values: u32) -> Self {
        Self { base: self.base + values * T::BYTES, values: PhantomData }
    }

    /// The byte offset of value `index`.
    #[inline(always)]
    pub const fn address(self, index: u32) -> u32 {
        self.base + index * T::BYTES
    }
}

/// A thread of a launch.
pub trait Device: Copy {
    /// A range of global memory that holds values of type T.
    type Array<T: Word>: Copy;

    /// The thread in its block, counted from 0.
    fn thread(self) -> u32;
    /// The number of threads in the block.
    fn threads(self) -> u32;
    /// The block in the grid: x, y, z.
    fn block(self) -> [u32; 3];
    /// The number of blocks in the grid: x, y, z.
    fn blocks(self) -> [u32; 3];

    /// Waits for all threads of the block; their accesses to memory before it are seen after it.
    fn barrier(self);
    /// Waits for all lanes of the warp; their accesses to memory before it are seen after it.
    fn warp_barrier(self);
    /// The `bits` of the lane whose number differs by the exclusive or with `mask`.
    fn shuffle_xor_bits(self, bits: u32, mask: u32) -> u32;
    /// The `bits` of lane `lane` (mod 32).
    fn shuffle_from_bits(self, bits: u32, lane: u32) -> u32;
    /// The lanes of the warp for which the predicate holds, as bits.
    fn ballot(self, predicate: bool) -> u32;

    /// The array that begins `offset` values into this one.
    fn advance<T: Word>(self, array: Self::Array<T>, offset: u64) -> Self::Array<T>;
    /// The value at `index`.
    fn load<T: Word>(self, array: Self::Array<T>, index: u32) -> T;
    /// Writes the value at `index`.
    fn store<T: Word>(self, array: Self::Array<T>, index: u32, value: T);
    /// The 16 bytes of four words at `index`, a multiple of four in an array aligned to 16 bytes.
    fn load4(self, array: Self::Array<f32>, index: u32) -> [f32; 4];
    /// Writes 16 bytes, aligned like [`Device::load4`].
    fn store4(self, array: Self::Array<f32>, index: u32, values: [f32; 4]);
    /// Adds to the value at `index` in one step and returns the former value. Sums of integers do
    /// not depend on the order; there is no such operation on floating-point numbers here.
    fn atomic_add(self, array: Self::Array<u32>, index: u32, value: u32) -> u32;

    /// The value at `index` of a shared range.
    fn shared_load<T: Word>(self, range: Shared<T>, index: u32) -> T;
    /// Writes the value at `index` of a shared range.
    fn shared_store<T: Word>(self, range: Shared<T>, index: u32, value: T);
    /// Four values from `index`, a multiple of four in a range aligned to 16 bytes.
    fn shared_load4<T: Word>(self, range: Shared<T>, index: u32) -> [T; 4];
    /// Writes four values, aligned like [`Device::shared_load4`].
    fn shared_store4<T: Word>(self, range: Shared<T>, index: u32, values: [T; 4]);
    /// Adds to the value at `index` of a shared range in one step and returns the former value.
    fn shared_atomic_add(self, range: Shared<u32>, index: u32, value: u32) -> u32;

    /// Begins to copy one word from global to shared memory (compute capability 8.0); it is there
    /// after the group it belongs to was waited for, for other threads after a barrier.
    fn copy_async(self, to: Shared<f32>, at: u32, from: Self::Array<f32>, index: u32);
    /// Closes the group of the copies that this thread began since the last call.
    fn copy_commit(self);
    /// Waits until at most `PENDING` of the thread's newest groups are unfinished.
    fn copy_wait<const PENDING: u32>(self);

    /// C + A B over a warp with m16n8k8 fragments of tf32 (compute capability 8.0).
    fn mma_tf32(self, c: [f32; 4], a: [u32; 4], b: [u32; 2]) -> [f32; 4];
    /// C + A B over a warp with m16n8k16 fragments of pairs of bf16 (compute capability 8.0).
    fn mma_bf16(self, c: [f32; 4], a: [u32; 4], b: [u32; 2]) -> [f32; 4];

    /// The nearest bf16 numbers, ties to even, the first in the lower half (compute capability 8.0).
    #[inline(always)]
    fn pack_bf16(self, first: f32, second: f32) -> u32 {
        let nearest = |x: f32| {
            let bits = x.to_bits();
            bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16
        };
        nearest(first) | nearest(second) << 16
    }

    /// The same value, of which the compiler knows nothing: what is computed from it is computed
    /// there and then, instead of being kept in a register from before a loop.
    #[inline(always)]
    fn opaque(self, value: u32) -> u32 {
        value
    }
    /// The same value like [`Device::opaque`]: arithmetic with it stays where it is written, and does not
    /// move up to the load, where it would wait.
    #[inline(always)]
    fn hold<T: Word>(self, value: T) -> T {
        let [low, high] = value.to_words();
        let high = if T::WORDS == 2 { self.opaque(high) } else { 0 };
        T::from_words([self.opaque(low), high])
    }
    /// The thread in its warp.
    #[inline(always)]
    fn lane(self) -> u32 {
        self.thread() % WARP
    }
    /// The warp in its block.
    #[inline(always)]
    fn warp(self) -> u32 {
        self.thread() / WARP
    }
    /// The value of the lane whose number differs by the exclusive or with `mask`.
    #[inline(always)]
    fn shuffle_xor<T: Word>(self, value: T, mask: u32) -> T {
        let [low, high] = value.to_words();
        let low = self.shuffle_xor_bits(low, mask);
        let high = if T::WORDS == 2 { self.shuffle_xor_bits(high, mask) } else { 0 };
        T::from_words([low, high])
    }
    /// The value of lane `lane` (mod 32).
    #[inline(always)]
    fn shuffle_from<T: Word>(self, value: T, lane: u32) -> T {
        let [low, high] = value.to_words();
        let low = self.shuffle_from_bits(low, lane);
        let high = if T::WORDS == 2 { self.shuffle_from_bits(high, lane) } else { 0 };
        T::from_words([low, high])
    }
}
