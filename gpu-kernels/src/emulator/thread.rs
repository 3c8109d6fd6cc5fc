//! The device trait for a coroutine.

use std::marker::PhantomData;
use std::panic::{Location, resume_unwind};

use corosensei::Yielder;

use super::block::{Block, Offer, Wait};
use super::buffer::View;
use super::fault::{Fault, Kind};
use super::shared::{Clock, SharedMemory};
use crate::device::{Device, Shared, WARP};
use crate::word::Word;

/// A thread of an emulated launch; `'m` is the life of the arrays it may touch.
#[derive(Clone, Copy)]
pub struct Thread<'m, 'b> {
    block: &'b Block,
    yielder: &'b Yielder<(), Wait>,
    thread: u32,
    memory: PhantomData<View<'m, u32>>,
}

impl<'b> Thread<'_, 'b> {
    pub(super) fn new(block: &'b Block, yielder: &'b Yielder<(), Wait>, thread: u32) -> Self {
        Self { block, yielder, thread, memory: PhantomData }
    }

    /// Ends the launch.
    #[track_caller]
    fn fail(self, kind: Kind) -> ! {
        let place = Location::caller();
        let fault = Fault { kind, block: self.block.index, thread: self.thread, place };
        // No message: the fault is a value that the launch returns.
        resume_unwind(Box::new(fault))
    }

    #[track_caller]
    fn check<R>(self, result: Result<R, Kind>) -> R {
        match result {
            Ok(value) => value,
            Err(kind) => self.fail(kind),
        }
    }

    fn clock(self) -> Clock {
        self.block.clocks[self.thread as usize].get()
    }

    #[track_caller]
    fn shared<R>(self, f: impl FnOnce(&mut SharedMemory, Clock) -> Result<R, Kind>) -> R {
        let result = f(&mut self.block.shared.borrow_mut(), self.clock());
        self.check(result)
    }

    #[track_caller]
    fn shared_read<T: Word, const N: usize>(self, range: Shared<T>, index: u32) -> [T; N] {
        let size = T::WORDS;
        self.shared(|memory, clock| {
            let mut word = memory.locate(range.address(index), N as u32 * size * 4)?;
            let mut values = [T::from_words([0, 0]); N];
            for value in &mut values {
                let mut words = [0; 2];
                for w in words.iter_mut().take(size as usize) {
                    *w = memory.read(word, self.thread, clock)?;
                    word += 1;
                }
                *value = T::from_words(words);
            }
            Ok(values)
        })
    }

    #[track_caller]
    fn shared_write<T: Word>(self, range: Shared<T>, index: u32, values: &[T]) {
        let size = T::WORDS;
        self.shared(|memory, clock| {
            let mut word = memory.locate(range.address(index), values.len() as u32 * size * 4)?;
            for value in values {
                for bits in value.to_words().into_iter().take(size as usize) {
                    memory.write(word, bits, self.thread, clock)?;
                    word += 1;
                }
            }
            Ok(())
        });
    }

    /// Offers words to the warp and returns when all lanes have offered theirs; the answer reads
    /// the offer of a lane.
    #[track_caller]
    fn exchange(self, what: &'static str, offer: Offer) -> impl Fn(u32) -> Offer {
        let place = Location::caller();
        let turn = &self.block.turns[self.thread as usize];
        let slot = (turn.get() % 2) as usize;
        turn.set(turn.get().wrapping_add(1));
        self.block.offers[self.thread as usize][slot].set(offer);
        self.yielder.suspend(Wait::Warp(what, place));
        let (block, first) = (self.block, self.thread / WARP * WARP);
        move |lane| block.offers[(first + lane % WARP) as usize][slot].get()
    }
}

impl<'m> Device for Thread<'m, '_> {
    type Array<T: Word> = View<'m, T>;

    fn thread(self) -> u32 {
        self.thread
    }
    fn threads(self) -> u32 {
        self.block.grid.threads
    }
    fn block(self) -> [u32; 3] {
        self.block.index
    }
    fn blocks(self) -> [u32; 3] {
        self.block.grid.blocks
    }

    #[track_caller]
    fn barrier(self) {
        self.yielder.suspend(Wait::Block(Location::caller()));
    }
    #[track_caller]
    fn warp_barrier(self) {
        let _ = self.exchange("the warp's barrier", Offer::default());
        let clock = &self.block.clocks[self.thread as usize];
        let Clock { block, warp } = clock.get();
        clock.set(Clock { block, warp: warp + 1 });
    }
    #[track_caller]
    fn shuffle_xor_bits(self, bits: u32, mask: u32) -> u32 {
        let lane = self.lane() ^ mask;
        self.exchange("a shuffle", [bits, 0, 0, 0, 0, 0])(lane)[0]
    }
    #[track_caller]
    fn shuffle_from_bits(self, bits: u32, lane: u32) -> u32 {
        self.exchange("a shuffle", [bits, 0, 0, 0, 0, 0])(lane)[0]
    }
    #[track_caller]
    fn ballot(self, predicate: bool) -> u32 {
        let of = self.exchange("a ballot", [u32::from(predicate), 0, 0, 0, 0, 0]);
        (0..WARP).fold(0, |bits, lane| bits | of(lane)[0] << lane)
    }

    fn advance<T: Word>(self, array: View<'m, T>, offset: u64) -> View<'m, T> {
        array.advance(offset)
    }
    #[track_caller]
    fn load<T: Word>(self, array: View<'m, T>, index: u32) -> T {
        self.check(array.load(index, self.block.number))
    }
    #[track_caller]
    fn store<T: Word>(self, array: View<'m, T>, index: u32, value: T) {
        self.check(array.store(index, self.block.number, value));
    }
    #[track_caller]
    fn load4(self, array: View<'m, f32>, index: u32) -> [f32; 4] {
        self.check(array.check4(index));
        [0, 1, 2, 3].map(|i| self.load(array, index + i))
    }
    #[track_caller]
    fn store4(self, array: View<'m, f32>, index: u32, values: [f32; 4]) {
        self.check(array.check4(index));
        for (i, value) in (index..).zip(values) {
            self.store(array, i, value);
        }
    }
    #[track_caller]
    fn atomic_add(self, array: View<'m, u32>, index: u32, value: u32) -> u32 {
        self.check(array.atomic_add(index, value))
    }

    #[track_caller]
    fn shared_load<T: Word>(self, range: Shared<T>, index: u32) -> T {
        self.shared_read::<T, 1>(range, index)[0]
    }
    #[track_caller]
    fn shared_store<T: Word>(self, range: Shared<T>, index: u32, value: T) {
        self.shared_write(range, index, &[value]);
    }
    #[track_caller]
    fn shared_load4<T: Word>(self, range: Shared<T>, index: u32) -> [T; 4] {
        self.shared_read(range, index)
    }
    #[track_caller]
    fn shared_store4<T: Word>(self, range: Shared<T>, index: u32, values: [T; 4]) {
        self.shared_write(range, index, &values);
    }
    #[track_caller]
    fn shared_atomic_add(self, range: Shared<u32>, index: u32, value: u32) -> u32 {
        self.shared(|memory, clock| {
            let word = memory.locate(range.address(index), 4)?;
            memory.add(word, value, self.thread, clock)
        })
    }

    #[track_caller]
    fn copy_async(self, to: Shared<f32>, at: u32, from: View<'m, f32>, index: u32) {
        let value = self.load(from, index).to_bits();
        self.shared(|memory, clock| {
            let word = memory.locate(to.address(at), 4)?;
            memory.copy(word, value, self.thread, clock)
        });
    }
    fn copy_commit(self) {
        self.block.shared.borrow_mut().commit(self.thread);
    }
    fn copy_wait<const PENDING: u32>(self) {
        self.block.shared.borrow_mut().wait(PENDING, self.thread, self.clock());
    }

    #[track_caller]
    fn mma_tf32(self, c: [f32; 4], a: [u32; 4], b: [u32; 2]) -> [f32; 4] {
        let of = self.exchange("a product of tiles", [a[0], a[1], a[2], a[3], b[0], b[1]]);
        // Lane 4g + t holds A at rows g, g + 8 and columns t, t + 4; B at rows t, t + 4, column g;
        // C at rows g, g + 8 and columns 2t, 2t + 1 (PTX ISA, fragments of mma.m16n8k8).
        let value = |bits: u32| f64::from(f32::from_bits(bits & TF32));
        let left =
            |row: u32, k: u32| value(of(4 * (row % 8) + k % 4)[(row / 8 + 2 * (k / 4)) as usize]);
        let right = |k: u32, column: u32| value(of(4 * column + k % 4)[(4 + k / 4) as usize]);
        self.fragment(c, |row, column| (0..8).map(|k| left(row, k) * right(k, column)).sum())
    }
    #[track_caller]
    fn mma_bf16(self, c: [f32; 4], a: [u32; 4], b: [u32; 2]) -> [f32; 4] {
        let of = self.exchange("a product of tiles", [a[0], a[1], a[2], a[3], b[0], b[1]]);
        // As above with 16 columns of A: a register holds columns 2t, 2t + 1 (+ 8), low half first.
        let half = |bits: u32, k: u32| f64::from(f32::from_bits(bits >> (16 * (k % 2)) << 16));
        let left = |row: u32, k: u32| {
            half(of(4 * (row % 8) + k % 8 / 2)[(row / 8 + 2 * (k / 8)) as usize], k)
        };
        let right = |k: u32, column: u32| half(of(4 * column + k % 8 / 2)[(4 + k / 8) as usize], k);
        self.fragment(c, |row, column| (0..16).map(|k| left(row, k) * right(k, column)).sum())
    }
}

/// The bits of an f32 that a tensor core reads as tf32.
const TF32: u32 = !0x1fff;

impl Thread<'_, '_> {
    /// The lane's four elements of C + AB, one rounding each.
    fn fragment(self, c: [f32; 4], product: impl Fn(u32, u32) -> f64) -> [f32; 4] {
        let (group, t) = (self.lane() / 4, self.lane() % 4);
        [0, 1, 2, 3].map(|i: u32| {
            let (row, column) = (group + 8 * (i / 2), 2 * t + i % 2);
            (f64::from(c[i as usize]) + product(row, column)) as f32
        })
    }
}
