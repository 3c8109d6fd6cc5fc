//! An emulated device as a host sees it: memory by addresses, launches by name.

use relfisher_kernels::body::{elementwise, reduce};
use relfisher_kernels::contract::ParameterBytes;
use relfisher_kernels::emulator::{Argument, Grid, Heap, launch_entry};
use relfisher_kernels::{Scalar, Word};

use crate::run::contract;

/// The bytes of words.
pub(crate) fn bytes<T: Word>(values: &[T]) -> Vec<u8> {
    let words = values.iter().flat_map(|v| v.to_words().into_iter().take(T::WORDS as usize));
    words.flat_map(u32::to_ne_bytes).collect()
}

/// An array of a heap.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) address: u64,
    pub(crate) bytes: u64,
}

impl Place {
    pub(crate) fn new(heap: &Heap, bytes: u64) -> Self {
        Self { address: heap.allocate(bytes).expect("memory"), bytes }
    }

    pub(crate) fn with<T: Word>(heap: &Heap, values: &[T]) -> Self {
        let bytes = bytes(values);
        let place = Self::new(heap, bytes.len() as u64);
        heap.write(place.address, &bytes).expect("a range of the allocation");
        place
    }

    pub(crate) fn argument(self) -> Argument<'static> {
        Argument::Array { address: self.address, bytes: self.bytes }
    }

    pub(crate) fn read<T: Word>(self, heap: &Heap) -> Vec<T> {
        let mut bytes = vec![0; self.bytes as usize];
        heap.read(self.address, &mut bytes).expect("what was written");
        let words: Vec<u32> =
            bytes.chunks(4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect();
        let value = |w: &[u32]| T::from_words([w[0], w.get(1).copied().unwrap_or(0)]);
        words.chunks(T::WORDS as usize).map(value).collect()
    }

    /// `count` values of T from value `first` on.
    pub(crate) fn part<T: Word>(self, first: usize, count: usize) -> Self {
        let size = u64::from(T::BYTES);
        Self { address: self.address + first as u64 * size, bytes: count as u64 * size }
    }
}

/// The name of an entry point for a type.
fn entry<T: Word>(stem: &str) -> String {
    format!("{stem}_{}", if T::WORDS == 2 { "f64" } else { "f32" })
}

/// The blocks of a launch.
#[derive(Clone, Copy)]
pub(crate) enum Blocks {
    /// Chunks of a vector of so many elements, element by element.
    Elements(usize),
    /// Chunks of a sum of so many terms.
    Terms(usize),
    /// Tiles of a product of so many rows and columns.
    Tiles(usize, usize),
    /// Tiles of the lower triangle of a product of this order.
    Triangle(usize),
    /// A block a matrix, and right side.
    Matrices(usize, usize),
    /// Eight rows a block.
    Rows(usize),
}

impl Blocks {
    fn of<T: Word>(self) -> [u32; 3] {
        let side = if T::WORDS == 2 { 64 } else { 128 };
        let cut = |count: usize, chunk: u32| (count as u32).div_ceil(chunk);
        match self {
            Self::Elements(count) => [cut(count, elementwise::CHUNK), 1, 1],
            Self::Terms(count) => [cut(count, reduce::CHUNK), 1, 1],
            Self::Tiles(rows, columns) => [cut(columns, side), cut(rows, side), 1],
            Self::Triangle(order) => {
                let tiles = cut(order, side);
                [tiles * (tiles + 1) / 2, 1, 1]
            }
            Self::Matrices(count, sides) => [count as u32, sides as u32, 1],
            Self::Rows(count) => [cut(count, 8), 1, 1],
        }
    }
}

/// A device.
#[derive(Default)]
pub(crate) struct Device {
    pub(crate) heap: Heap,
}

impl Device {
    /// An array with values.
    pub(crate) fn with<T: Word>(&self, values: &[T]) -> Place {
        Place::with(&self.heap, values)
    }

    /// An array of so many values that nobody wrote.
    pub(crate) fn empty<T: Word>(&self, len: usize) -> Place {
        Place::new(&self.heap, u64::from(T::BYTES) * len as u64)
    }

    /// The values of an array.
    pub(crate) fn read<T: Word>(&self, place: Place) -> Vec<T> {
        place.read(&self.heap)
    }

    /// Launches the entry point of a type.
    pub(crate) fn launch<T: Scalar>(
        &self,
        stem: &str,
        blocks: Blocks,
        arrays: &[Place],
        values: &[ParameterBytes],
    ) {
        self.launch_named(&entry::<T>(stem), blocks.of::<T>(), arrays, values);
    }

    /// Launches an entry point.
    pub(crate) fn launch_named(
        &self,
        name: &str,
        blocks: [u32; 3],
        arrays: &[Place],
        values: &[ParameterBytes],
    ) {
        let contract = contract(name);
        let grid = Grid { blocks, threads: contract.threads, shared_bytes: contract.shared_bytes };
        let arrays = arrays.iter().map(|place| place.argument());
        let values = values.iter().map(|value| Argument::Value(value.as_slice()));
        let arguments: Vec<Argument<'_>> = arrays.chain(values).collect();
        launch_entry(&self.heap, name, grid, &arguments)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
