//! Every function of the C interface with arguments of all kinds: shapes that fit and that do not, any
//! strides, null and misaligned pointers, outputs over inputs, lengths up to the largest, and any bits.
//!
//! The memory behind every pointer is of exactly the length that is stated, so that AddressSanitizer sees
//! a step beyond it. A refusal that comes before anything is touched must not have touched anything.
#![no_main]
// The sources of the library are not all used here.
#![allow(dead_code, unsafe_op_in_unsafe_fn)]

#[macro_use]
#[path = "../../core/capi/src/export.rs"]
mod export;
#[path = "../../core/capi/src/argument.rs"]
mod argument;
#[path = "../../core/capi/src/blas.rs"]
mod blas;
#[path = "../../core/capi/src/conv.rs"]
mod conv;
#[path = "../../core/capi/src/curvature.rs"]
mod curvature;
#[path = "../../core/capi/src/determinantal.rs"]
mod determinantal;
#[path = "../../core/capi/src/exact.rs"]
mod exact;
#[path = "../../core/capi/src/factor.rs"]
mod factor;
#[path = "../../core/capi/src/kron.rs"]
mod kron;
#[path = "../../core/capi/src/lanczos.rs"]
mod lanczos;
#[path = "../../core/capi/src/laplace.rs"]
mod laplace;
#[path = "../../core/capi/src/metric.rs"]
mod metric;
#[path = "../../core/capi/src/neuron.rs"]
mod neuron;
#[path = "../../core/capi/src/optim.rs"]
mod optim;
#[path = "../../core/capi/src/prune.rs"]
mod prune;
#[path = "../../core/capi/src/sample_space.rs"]
mod sample_space;
#[path = "../../core/capi/src/shared.rs"]
mod shared;
#[path = "../../core/capi/src/sparse.rs"]
mod sparse;
#[path = "../../core/capi/src/spectrum.rs"]
mod spectrum;
#[path = "../../core/capi/src/stats.rs"]
mod stats;
#[path = "../../core/capi/src/status.rs"]
mod status;
#[path = "../../core/capi/src/two_layer.rs"]
mod two_layer;

use argument::{Matrix, MatrixMut, Slice, SliceMut};
use conv::Window;
use determinantal::DeterminantalSums;
use lanczos::LanczosState;
use libfuzzer_sys::fuzz_target;
use relfisher_fuzz::{Bits, Input};
use sparse::MeanState;
use stats::{Frobenius, GradientNoise};
use status::{Detail, Status};

/// The precisions and names of all functions, by `build.rs`.
const FUNCTIONS: &[(&str, fn(&mut Call<'_>) -> Status)] =
    include!(concat!(env!("OUT_DIR"), "/functions.rs"));

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let dimensions = [(); 4].map(|()| usize::from(input.byte() % 9));
    let (_, function) = FUNCTIONS[usize::from(input.byte()) % FUNCTIONS.len()];
    let mut call = Call { input, dimensions, blocks: Vec::new() };
    function(&mut call);
});

/// What lies behind pointers.
trait Element: Copy {
    fn several(input: &mut Input<'_>, len: usize) -> Vec<Self>;
    fn word(self) -> u64;
}

/// Numbers of any bits, and places: mostly small ones.
macro_rules! elements {
    ($($t:ident)*; $($place:ident)*) => {
        $(impl Element for $t {
            fn several(input: &mut Input<'_>, len: usize) -> Vec<Self> {
                input.numbers(len)
            }
            fn word(self) -> u64 {
                Bits::word(self)
            }
        })*
        $(impl Element for $place {
            fn several(input: &mut Input<'_>, len: usize) -> Vec<Self> {
                let mut ascending = 0;
                (0..len)
                    .map(|_| match input.byte() {
                        0 => input.word() as $place,
                        byte @ 1..64 => $place::from(byte % 9),
                        byte => {
                            ascending += $place::from(byte % 4);
                            ascending
                        }
                    })
                    .collect()
            }
            fn word(self) -> u64 {
                self as u64
            }
        })*
    };
}

elements! { f32 f64; u32 usize }

/// Memory behind an argument: as words, so that it suits both precisions.
struct Block {
    words: Vec<u64>,
    before: Vec<u64>,
    written: bool,
}

/// The arguments of a call under construction.
struct Call<'a> {
    input: Input<'a>,
    dimensions: [usize; 4],
    blocks: Vec<Block>,
}

impl Call<'_> {
    fn dimension(&mut self) -> usize {
        match self.input.byte() {
            0 => usize::MAX,
            1 => 1 << 33,
            2 => isize::MAX as usize / 8 + 1,
            byte @ 3..8 => usize::from(byte),
            byte @ 8..24 => triangle(self.dimensions[usize::from(byte % 4)]),
            byte @ 24..40 => {
                let [a, b] = [byte % 4, byte / 4 % 4].map(|k| self.dimensions[usize::from(k)]);
                a * b
            }
            byte => self.dimensions[usize::from(byte % 4)],
        }
    }

    /// Memory for `len` numbers, its address, and the length that is stated.
    fn memory<T: Element>(&mut self, len: usize, written: bool) -> (*mut T, usize) {
        match self.input.byte() {
            0 => return (std::ptr::null_mut(), len),
            // Neither is ever read: one is misaligned, the other ends past all memory.
            1 => return (std::ptr::without_provenance_mut(size_of::<T>() + 1), len.max(1)),
            2 => {
                return (
                    std::ptr::without_provenance_mut(usize::MAX - (size_of::<T>() - 1)),
                    len.max(1),
                );
            }
            3 if !self.blocks.is_empty() => {
                // An earlier argument again: refused, unless both are only read.
                let block = usize::from(self.input.byte()) % self.blocks.len();
                let block = &mut self.blocks[block];
                let len = block.words.len() * (8 / size_of::<T>());
                // Written only if nothing else lies there, and then the call is refused.
                return (block.words.as_mut_ptr().cast(), len);
            }
            _ => {}
        }
        let len = len.min(1 << 12);
        let per_word = 8 / size_of::<T>();
        let mut words = vec![0_u64; len.div_ceil(per_word)];
        // The numbers end where the memory ends, also when their count is odd.
        let first = words.len() * per_word - len;
        for (k, number) in T::several(&mut self.input, len).into_iter().enumerate() {
            let place = first + k;
            words[place / per_word] |= number.word() << (64 / per_word * (place % per_word));
        }
        let before = words.clone();
        self.blocks.push(Block { words, before, written });
        let block = self.blocks.last_mut().expect("just pushed");
        (block.words.as_mut_ptr().cast::<T>().wrapping_add(first), len)
    }

    /// Memory without a stated length: of `len` numbers, or null.
    fn place<T: Element>(&mut self, len: usize) -> *mut T {
        match self.memory(len, true) {
            (data, enough) if enough >= len => data,
            _ => std::ptr::null_mut(),
        }
    }

    /// Memory that holds a struct of numbers and places, whose fields `write` sets, or no such memory.
    fn holding<S>(&mut self, write: impl FnOnce(&mut S)) -> *mut S {
        let before = self.blocks.len();
        let data = self.place::<usize>(size_of::<S>().div_ceil(8)).cast::<S>();
        if self.blocks.len() > before
            && let Some(block) = self.blocks.last_mut()
        {
            // SAFETY: words as many as the struct fills, of which any bits are numbers and places.
            write(unsafe { &mut *data });
            block.before.clone_from(&block.words);
        }
        data
    }

    /// Data, length, rows, columns and the two strides of a matrix.
    fn matrix<T: Element>(&mut self, written: bool) -> (*mut T, [usize; 5]) {
        let (mut rows, mut cols) = (self.dimension(), self.dimension());
        if rows == 0 || cols == 0 {
            // Valid whatever the other is, and gone through row by row: 2⁶⁴ empty rows take their time.
            (rows, cols) = (rows.min(64), cols.min(64));
        }
        let (row_stride, col_stride) = match self.input.byte() {
            0..8 => (self.dimension(), self.dimension()),
            8..24 => (1, rows),
            24..32 => (cols.wrapping_add(3), 1),
            _ => (cols, 1),
        };
        // So is a row or a column that stands for all.
        let rows = if row_stride == 0 { rows.min(64) } else { rows };
        let cols = if col_stride == 0 { cols.min(64) } else { cols };
        let last = |n: usize, stride: usize| n.saturating_sub(1).saturating_mul(stride);
        let need = last(rows, row_stride).saturating_add(last(cols, col_stride)).saturating_add(1);
        let need = if rows == 0 || cols == 0 { 0 } else { need };
        let len = match self.input.byte() {
            0 => need.saturating_sub(1),
            1 => self.dimension(),
            _ => need,
        };
        let (data, len) = self.memory(len, written);
        (data, [len, rows, cols, row_stride, col_stride])
    }

    fn vector<T: Element>(&mut self, written: bool) -> (*mut T, usize) {
        let len = match self.input.byte() {
            // Enough for any workspace of these dimensions.
            0..64 if written => 1 << 11,
            _ => self.dimension(),
        };
        self.memory(len, written)
    }

    /// After the call: what is only read is unchanged, and a refusal has touched nothing.
    fn check(&self, status: Status, detail: &Detail) {
        assert_eq!(status, detail.status);
        assert!(detail.what_len < 200, "{detail:?}");
        // SAFETY: text that is part of the library.
        let what = unsafe { std::slice::from_raw_parts(detail.what.cast(), detail.what_len) };
        assert!(std::str::from_utf8(what).is_ok());
        let untouched = matches!(status, Status::Null | Status::Alignment | Status::Overlap);
        for block in &self.blocks {
            assert!(block.words == block.before || block.written && !untouched, "{status:?}");
        }
    }
}

const fn triangle(d: usize) -> usize {
    d * (d + 1) / 2
}

/// An argument of a function.
trait Argument: Copy {
    fn make(call: &mut Call<'_>) -> Self;
}

macro_rules! arguments {
    ($($t:ident)*) => { $(
        impl Argument for Matrix<$t> {
            fn make(call: &mut Call<'_>) -> Self {
                let (data, [len, rows, cols, row_stride, col_stride]) = call.matrix::<$t>(false);
                Self { data, len, rows, cols, row_stride, col_stride }
            }
        }
        impl Argument for MatrixMut<$t> {
            fn make(call: &mut Call<'_>) -> Self {
                let (data, [len, rows, cols, row_stride, col_stride]) = call.matrix::<$t>(true);
                Self { data, len, rows, cols, row_stride, col_stride }
            }
        }
        impl Argument for *mut GradientNoise<$t> {
            fn make(call: &mut Call<'_>) -> Self {
                call.place::<$t>(8).cast()
            }
        }
        impl Argument for *mut Frobenius<$t> {
            fn make(call: &mut Call<'_>) -> Self {
                call.place::<$t>(4).cast()
            }
        }
        impl Argument for *mut LanczosState<$t> {
            fn make(call: &mut Call<'_>) -> Self {
                let made = LanczosState::<$t>::make(call);
                call.holding(|state: &mut LanczosState<$t>| {
                    (state.len, state.kept) = (made.len, made.kept);
                    (state.scale, state.next) = (made.scale, made.next);
                })
            }
        }
        impl Argument for $t {
            fn make(call: &mut Call<'_>) -> Self {
                call.input.number()
            }
        }
    )* };
}

arguments! { f32 f64 }

/// Vectors and single places.
macro_rules! vectors {
    ($($t:ident)*) => { $(
        impl Argument for Slice<$t> {
            fn make(call: &mut Call<'_>) -> Self {
                let (data, len) = call.vector::<$t>(false);
                Self { data, len }
            }
        }
        impl Argument for SliceMut<$t> {
            fn make(call: &mut Call<'_>) -> Self {
                let (data, len) = call.vector::<$t>(true);
                Self { data, len }
            }
        }
        impl Argument for *mut $t {
            fn make(call: &mut Call<'_>) -> Self {
                call.place::<$t>(1)
            }
        }
    )* };
}

vectors! { f32 f64 u32 usize }

impl Argument for *mut DeterminantalSums {
    /// Any numbers, or the sums of a few steps.
    fn make(call: &mut Call<'_>) -> Self {
        let [largest, total, squares] = [(); 3].map(|()| call.input.number());
        let few = f64::from(call.input.byte() % 4);
        let some = call.input.byte() % 4 > 0;
        call.holding(|sums: &mut DeterminantalSums| {
            (sums.largest, sums.total, sums.squares) =
                if some { (few, few, few) } else { (largest, total, squares) };
        })
    }
}

impl Argument for Window {
    /// Small, but for one of its numbers: a kernel and a padding that are both huge are a loop as long.
    fn make(call: &mut Call<'_>) -> Self {
        let extreme = call.input.byte() % 64;
        let mut which = 0;
        let mut next = |least: usize| {
            which += 1;
            let small = least + usize::from(call.input.byte() % 4);
            if which == extreme { call.dimension() } else { small }
        };
        Self {
            channels: next(1),
            height: next(1),
            width: next(1),
            kernel: [next(1), next(1)],
            stride: [next(1), next(1)],
            padding: [next(0), next(0)],
            dilation: [next(1), next(1)],
        }
    }
}

impl Argument for usize {
    fn make(call: &mut Call<'_>) -> Self {
        call.dimension()
    }
}

impl Argument for u64 {
    fn make(call: &mut Call<'_>) -> Self {
        call.input.word()
    }
}

impl Argument for u32 {
    fn make(call: &mut Call<'_>) -> Self {
        u32::from(call.input.byte() % 8)
    }
}

/// Structs of options, field by field.
macro_rules! structs {
    ($($module:ident $name:ident: $($field:ident)*;)*) => { $(
        structs! { @one f32 $module $name: $($field)* }
        structs! { @one f64 $module $name: $($field)* }
    )* };
    (@one $t:ident $module:ident $name:ident: $($field:ident)*) => {
        impl Argument for $module::$name<$t> {
            fn make(call: &mut Call<'_>) -> Self {
                Self { $($field: Argument::make(call)),* }
            }
        }
    };
}

/// A metric of inputs without elements is as valid with 2⁶⁴ outputs, which take their time.
macro_rules! metric {
    ($t:ident) => {
        impl Argument for metric::Metric<$t> {
            fn make(call: &mut Call<'_>) -> Self {
                let (kind, x) = (Argument::make(call), <Matrix<$t>>::make(call));
                let (weights, outputs) = (Argument::make(call), call.dimension());
                let outputs = if x.cols == 0 { outputs.min(64) } else { outputs };
                Self { kind, x, weights, outputs, sigma: Argument::make(call) }
            }
        }
    };
}

metric!(f32);
metric!(f64);

structs! {
    neuron Activation: kind parameter;
    neuron Response: kind activation smoothing sigma;
    optim Sgd: learning_rate momentum weight_decay form;
    optim Adam: learning_rate beta1 beta2 epsilon weight_decay decay_form;
    optim Schedule: kind warm_up steps base factor;
    optim LevenbergMarquardt: decay interval lower upper least greatest;
    curvature Loss: kind scale;
    sample_space LowRank: vectors values;
    sparse Sparse: starts indices values;
    sparse SparseMut: starts indices values;
    two_layer TwoLayer: x slope c upper;
    lanczos Lanczos: basis alpha beta locked work;
    lanczos LanczosState: len kept scale next;
}

impl Argument for MeanState {
    fn make(call: &mut Call<'_>) -> Self {
        Self {
            sums: Argument::make(call),
            peaks: Argument::make(call),
            counts: Argument::make(call),
        }
    }
}

/// A function that can be called with made arguments.
trait Fuzz {
    fn fuzz(self, call: &mut Call<'_>) -> Status;
}

macro_rules! arities {
    ($(($($a:ident)*))*) => { $(
        #[allow(non_snake_case)]
        impl<$($a: Argument),*> Fuzz for unsafe extern "C" fn($($a,)* *mut Detail) -> Status {
            fn fuzz(self, call: &mut Call<'_>) -> Status {
                $(let $a = $a::make(call);)*
                let what = c"".as_ptr();
                let mut detail =
                    Detail { status: Status::Other, expected: 0, found: 0, what, what_len: 0 };
                // SAFETY: every pointer is null, misaligned, past all memory, or has its length behind
                // it; the call must refuse all but the last, and those that it refuses it must not follow.
                let status = unsafe { self($($a,)* &raw mut detail) };
                call.check(status, &detail);
                status
            }
        }
    )* };
}

arities! {
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
    (A B C D E F G H I)
    (A B C D E F G H I J)
}
