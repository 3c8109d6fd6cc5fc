//! The device trait on a GPU: LLVM intrinsics for whatever the threads of a warp or block do
//! together, inline assembly for memory spaces that Rust has no pointers for.
//!
//! The compiler does not mark inline assembly as convergent: it may sink it into a divergent branch
//! or duplicate it. So every collective below is an LLVM intrinsic (convergent by definition), and
//! assembly only addresses memory.

use core::arch::{asm, global_asm};
use core::marker::PhantomData;

use crate::device::{Device, Shared};
use crate::word::Word;

global_asm!(".extern .shared .align 16 .b8 dynamic_shared[];");

#[cfg(feature = "sm_80")]
#[repr(C)]
struct Fragment(f32, f32, f32, f32);

#[allow(improper_ctypes)]
unsafe extern "unadjusted" {
    #[link_name = "llvm.nvvm.barrier.cta.sync.aligned.all"]
    fn barrier_all(barrier: i32);
    #[link_name = "llvm.nvvm.bar.warp.sync"]
    fn bar_warp_sync(mask: u32);
    #[link_name = "llvm.nvvm.shfl.sync.bfly.i32"]
    fn shfl_bfly(mask: u32, value: u32, lane: u32, clamp: u32) -> u32;
    #[link_name = "llvm.nvvm.shfl.sync.idx.i32"]
    fn shfl_idx(mask: u32, value: u32, lane: u32, clamp: u32) -> u32;
    #[link_name = "llvm.nvvm.vote.ballot.sync"]
    fn vote_ballot(mask: u32, predicate: bool) -> u32;
    #[link_name = "llvm.nvvm.read.ptx.sreg.tid.x"]
    fn tid_x() -> u32;
    #[link_name = "llvm.nvvm.read.ptx.sreg.ntid.x"]
    fn ntid_x() -> u32;
    #[link_name = "llvm.nvvm.read.ptx.sreg.ctaid.x"]
    fn ctaid_x() -> u32;
    #[link_name = "llvm.nvvm.read.ptx.sreg.ctaid.y"]
    fn ctaid_y() -> u32;
    #[link_name = "llvm.nvvm.read.ptx.sreg.ctaid.z"]
    fn ctaid_z() -> u32;
    #[link_name = "llvm.nvvm.read.ptx.sreg.nctaid.x"]
    fn nctaid_x() -> u32;
    #[link_name = "llvm.nvvm.read.ptx.sreg.nctaid.y"]
    fn nctaid_y() -> u32;
    #[link_name = "llvm.nvvm.read.ptx.sreg.nctaid.z"]
    fn nctaid_z() -> u32;
}

#[cfg(feature = "sm_80")]
#[allow(improper_ctypes)]
unsafe extern "unadjusted" {
    #[link_name = "llvm.nvvm.mma.m16n8k8.row.col.tf32"]
    fn mma_m16n8k8_tf32(
        a0: u32,
        a1: u32,
        a2: u32,
        a3: u32,
        b0: u32,
        b1: u32,
        c0: f32,
        c1: f32,
        c2: f32,
        c3: f32,
    ) -> Fragment;
    #[link_name = "llvm.nvvm.mma.m16n8k16.row.col.bf16"]
    fn mma_m16n8k16_bf16(
        a0: u32,
        a1: u32,
        a2: u32,
        a3: u32,
        b0: u32,
        b1: u32,
        c0: f32,
        c1: f32,
        c2: f32,
        c3: f32,
    ) -> Fragment;
}

const ALL_LANES: u32 = u32::MAX;

/// The calling thread.
#[derive(Clone, Copy)]
pub(crate) struct Nvptx;

/// A pointer into global memory: an argument of an entry point.
#[repr(transparent)]
pub(crate) struct Array<T>(*mut T, PhantomData<T>);

impl<T> Clone for Array<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Array<T> {}

#[inline(always)]
fn shared_base() -> u32 {
    let address: u32;
    // SAFETY: reads the address of the symbol declared above.
    unsafe {
        asm!("mov.u32 {}, dynamic_shared;", out(reg32) address, options(pure, nomem, nostack))
    };
    address
}

impl Device for Nvptx {
    type Array<T: Word> = Array<T>;

    #[inline(always)]
    fn thread(self) -> u32 {
        // SAFETY: reads a special register (so below).
        unsafe { tid_x() }
    }
    #[inline(always)]
    fn threads(self) -> u32 {
        // SAFETY: reads a special register.
        unsafe { ntid_x() }
    }
    #[inline(always)]
    fn block(self) -> [u32; 3] {
        // SAFETY: reads special registers.
        unsafe { [ctaid_x(), ctaid_y(), ctaid_z()] }
    }
    #[inline(always)]
    fn blocks(self) -> [u32; 3] {
        // SAFETY: reads special registers.
        unsafe { [nctaid_x(), nctaid_y(), nctaid_z()] }
    }

    #[inline(always)]
    fn barrier(self) {
        // SAFETY: reached by every thread of the block, as the trait demands.
        unsafe { barrier_all(0) }
    }
    #[inline(always)]
    fn warp_barrier(self) {
        // SAFETY: reached by every lane of the warp, as the trait demands.
        unsafe { bar_warp_sync(ALL_LANES) }
    }
    #[inline(always)]
    fn shuffle_xor_bits(self, bits: u32, mask: u32) -> u32 {
        // SAFETY: reached by every lane of the warp, as the trait demands.
        unsafe { shfl_bfly(ALL_LANES, bits, mask, 31) }
    }
    #[inline(always)]
    fn shuffle_from_bits(self, bits: u32, lane: u32) -> u32 {
        // SAFETY: reached by every lane of the warp, as the trait demands.
        unsafe { shfl_idx(ALL_LANES, bits, lane, 31) }
    }
    #[inline(always)]
    fn ballot(self, predicate: bool) -> u32 {
        // SAFETY: reached by every lane of the warp, as the trait demands.
        unsafe { vote_ballot(ALL_LANES, predicate) }
    }

    #[inline(always)]
    fn opaque(self, value: u32) -> u32 {
        let same: u32;
        // SAFETY: copies a register. Not `pure`, or it would be moved out of loops itself.
        unsafe {
            asm!("mov.b32 {}, {};", out(reg32) same, in(reg32) value, options(nomem, nostack))
        };
        same
    }

    #[inline(always)]
    fn advance<T: Word>(self, array: Array<T>, offset: u64) -> Array<T> {
        Array(array.0.wrapping_add(offset as usize), PhantomData)
    }
    #[inline(always)]
    fn load<T: Word>(self, array: Array<T>, index: u32) -> T {
        // SAFETY: inside the array by the contract of the entry point.
        unsafe { *array.0.wrapping_add(index as usize) }
    }
    #[inline(always)]
    fn store<T: Word>(self, array: Array<T>, index: u32, value: T) {
        // SAFETY: inside the array by the contract of the entry point.
        unsafe { *array.0.wrapping_add(index as usize) = value }
    }
    #[inline(always)]
    fn load4(self, array: Array<f32>, index: u32) -> [f32; 4] {
        // SAFETY: inside the array and aligned by the contract of the entry point.
        unsafe { (*array.0.wrapping_add(index as usize).cast::<Aligned>()).0 }
    }
    #[inline(always)]
    fn store4(self, array: Array<f32>, index: u32, values: [f32; 4]) {
        // SAFETY: inside the array and aligned by the contract of the entry point.
        unsafe { *array.0.wrapping_add(index as usize).cast::<Aligned>() = Aligned(values) }
    }
    #[inline(always)]
    fn atomic_add(self, array: Array<u32>, index: u32, value: u32) -> u32 {
        let former: u32;
        let address = array.0.wrapping_add(index as usize);
        // SAFETY: inside the array by the contract of the entry point.
        unsafe {
            asm!("atom.add.u32 {}, [{}], {};", out(reg32) former, in(reg64) address, in(reg32) value,
                options(nostack));
        }
        former
    }

    #[inline(always)]
    fn shared_load<T: Word>(self, range: Shared<T>, index: u32) -> T {
        let address = shared_base() + range.address(index);
        let (low, mut high): (u32, u32);
        high = 0;
        // SAFETY: inside the block's shared memory by the contract of the entry point (so below).
        unsafe {
            if T::WORDS == 1 {
                asm!("ld.shared.b32 {}, [{}];", out(reg32) low, in(reg32) address,
                    options(pure, readonly, nostack));
            } else {
                asm!("ld.shared.v2.b32 {{{}, {}}}, [{}];", out(reg32) low, out(reg32) high,
                    in(reg32) address, options(pure, readonly, nostack));
            }
        }
        T::from_words([low, high])
    }
    #[inline(always)]
    fn shared_store<T: Word>(self, range: Shared<T>, index: u32, value: T) {
        let address = shared_base() + range.address(index);
        let [low, high] = value.to_words();
        // SAFETY: inside the block's shared memory by the contract of the entry point.
        unsafe {
            if T::WORDS == 1 {
                asm!("st.shared.b32 [{}], {};", in(reg32) address, in(reg32) low,
                    options(nostack));
            } else {
                asm!("st.shared.v2.b32 [{}], {{{}, {}}};", in(reg32) address, in(reg32) low,
                    in(reg32) high, options(nostack));
            }
        }
    }
    #[inline(always)]
    fn shared_load4<T: Word>(self, range: Shared<T>, index: u32) -> [T; 4] {
        if T::WORDS == 2 {
            let [a, b] = load_pair::<T>(shared_base() + range.address(index));
            let [c, d] = load_pair::<T>(shared_base() + range.address(index + 2));
            return [a, b, c, d];
        }
        let words = load_quad(shared_base() + range.address(index));
        words.map(|word| T::from_words([word, 0]))
    }
    #[inline(always)]
    fn shared_store4<T: Word>(self, range: Shared<T>, index: u32, values: [T; 4]) {
        let address = shared_base() + range.address(index);
        let [a, b, c, d] = values.map(T::to_words);
        if T::WORDS == 2 {
            store_quad(address, [a[0], a[1], b[0], b[1]]);
            store_quad(address + 16, [c[0], c[1], d[0], d[1]]);
        } else {
            store_quad(address, [a[0], b[0], c[0], d[0]]);
        }
    }
    #[inline(always)]
    fn shared_atomic_add(self, range: Shared<u32>, index: u32, value: u32) -> u32 {
        let address = shared_base() + range.address(index);
        let former: u32;
        // SAFETY: inside the block's shared memory by the contract of the entry point.
        unsafe {
            asm!("atom.shared.add.u32 {}, [{}], {};", out(reg32) former, in(reg32) address,
                in(reg32) value, options(nostack));
        }
        former
    }

    #[inline(always)]
    fn copy_async(self, to: Shared<f32>, at: u32, from: Array<f32>, index: u32) {
        let address = shared_base() + to.address(at);
        let source = from.0.wrapping_add(index as usize);
        // SAFETY: both inside their memory by the contract of the entry point; entries that copy
        // so exist from compute capability 8.0 on.
        unsafe {
            asm!("{{ .reg .u64 g; cvta.to.global.u64 g, {}; cp.async.ca.shared.global [{}], [g], 4; }}",
                in(reg64) source, in(reg32) address, options(nostack));
        }
    }
    #[inline(always)]
    fn copy_commit(self) {
        // SAFETY: closes a group; entries that copy so exist from compute capability 8.0 on.
        unsafe { asm!("cp.async.commit_group;", options(nostack)) }
    }
    #[inline(always)]
    fn copy_wait<const PENDING: u32>(self) {
        // SAFETY: waits; entries that copy so exist from compute capability 8.0 on.
        unsafe { asm!("cp.async.wait_group {};", const PENDING, options(nostack)) }
    }

    #[cfg(feature = "sm_80")]
    #[inline(always)]
    fn pack_bf16(self, first: f32, second: f32) -> u32 {
        let pair: u32;
        // SAFETY: arithmetic on registers.
        unsafe {
            asm!("cvt.rn.bf16x2.f32 {}, {}, {};", out(reg32) pair, in(reg32) second,
                in(reg32) first, options(pure, nomem, nostack));
        }
        pair
    }
    #[cfg(feature = "sm_80")]
    #[inline(always)]
    fn mma_tf32(self, c: [f32; 4], a: [u32; 4], b: [u32; 2]) -> [f32; 4] {
        // SAFETY: reached by every lane of the warp, as the trait demands.
        let d =
            unsafe { mma_m16n8k8_tf32(a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], c[2], c[3]) };
        [d.0, d.1, d.2, d.3]
    }
    #[cfg(feature = "sm_80")]
    #[inline(always)]
    fn mma_bf16(self, c: [f32; 4], a: [u32; 4], b: [u32; 2]) -> [f32; 4] {
        // SAFETY: reached by every lane of the warp, as the trait demands.
        let d = unsafe {
            mma_m16n8k16_bf16(a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], c[2], c[3])
        };
        [d.0, d.1, d.2, d.3]
    }
    // The older variant has no entry that reaches the tensor cores.
    #[cfg(not(feature = "sm_80"))]
    fn mma_tf32(self, _: [f32; 4], _: [u32; 4], _: [u32; 2]) -> [f32; 4] {
        trap()
    }
    #[cfg(not(feature = "sm_80"))]
    fn mma_bf16(self, _: [f32; 4], _: [u32; 4], _: [u32; 2]) -> [f32; 4] {
        trap()
    }
}

/// Four words as one access.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Aligned([f32; 4]);

#[inline(always)]
fn load_quad(address: u32) -> [u32; 4] {
    let (a, b, c, d): (u32, u32, u32, u32);
    // SAFETY: called with addresses inside the block's shared memory.
    unsafe {
        asm!("ld.shared.v4.b32 {{{}, {}, {}, {}}}, [{}];", out(reg32) a, out(reg32) b,
            out(reg32) c, out(reg32) d, in(reg32) address, options(pure, readonly, nostack));
    }
    [a, b, c, d]
}

#[inline(always)]
fn load_pair<T: Word>(address: u32) -> [T; 2] {
    let [a, b, c, d] = load_quad(address);
    [T::from_words([a, b]), T::from_words([c, d])]
}

#[inline(always)]
fn store_quad(address: u32, words: [u32; 4]) {
    let [a, b, c, d] = words;
    // SAFETY: called with addresses inside the block's shared memory.
    unsafe {
        asm!("st.shared.v4.b32 [{}], {{{}, {}, {}, {}}};", in(reg32) address, in(reg32) a,
            in(reg32) b, in(reg32) c, in(reg32) d, options(nostack));
    }
}

/// Ends the kernel with an error.
#[inline(always)]
fn trap() -> ! {
    // SAFETY: ends the launch.
    unsafe { asm!("trap;", options(noreturn, nostack)) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    trap()
}
