//! Launches: a kernel by its name, its arguments in order, its grid.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use relfisher_kernels::Word;
use relfisher_kernels::contract::{Contract, Parameter, ParameterBytes};

use super::memory::{View, ViewMut};
use super::pool::Held;
use super::{Error, Gpu};
use crate::driver::{self, Address, Argument, Function, Graph, Grid};

/// A kernel that is loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    pub(super) function: Function,
    pub(super) contract: &'static Contract,
}

/// The most arrays, and values, of a kernel.
const MOST_ARRAYS: usize = 6;
const MOST_VALUES: usize = 2;

/// A launch that is being put together: arrays before values, in the order of the entry point.
pub(super) struct Launch<'a> {
    gpu: &'a Gpu,
    kernel: Kernel,
    shared_bytes: u32,
    arrays: [Argument<'static>; MOST_ARRAYS],
    array_count: usize,
    values: [ParameterBytes; MOST_VALUES],
    value_count: usize,
}

impl Gpu {
    /// Begins a launch of the named kernel with the shared memory of its contract.
    pub(super) fn kernel(&self, name: &'static str) -> Result<Launch<'_>, Error> {
        let kernel = *self.kernels.get(name).ok_or_else(|| missing(name))?;
        let none = Argument::Array { address: Address(0), bytes: 0 };
        Ok(Launch {
            gpu: self,
            kernel,
            shared_bytes: kernel.contract.shared_bytes,
            arrays: [none; MOST_ARRAYS],
            array_count: 0,
            values: [0u32.to_bytes(); MOST_VALUES],
            value_count: 0,
        })
    }
}

fn missing(name: &'static str) -> driver::Error {
    let problem = format!("the device has no kernel {name}");
    driver::Error::Call { call: "launch", problem }
}

impl Launch<'_> {
    /// Launches with less shared memory than the contract's most.
    pub(super) fn shared(mut self, bytes: u32) -> Self {
        self.shared_bytes = bytes;
        self
    }

    /// The most shared memory that the kernel may be launched with on this device.
    pub(super) fn most_shared(&self) -> u32 {
        self.kernel.contract.shared_bytes.min(self.gpu.driver.device().shared_bytes)
    }

    /// An array that the kernel reads.
    pub(super) fn read<T: Word>(self, view: View<'_, T>) -> Self {
        self.array(view.argument())
    }

    /// An array that the kernel writes.
    pub(super) fn write<T: Word>(self, view: &ViewMut<'_, T>) -> Self {
        self.array(view.argument())
    }

    fn array(mut self, argument: Argument<'static>) -> Self {
        if let Some(slot) = self.arrays.get_mut(self.array_count) {
            *slot = argument;
        }
        self.array_count += 1;
        self
    }

    /// A value.
    pub(super) fn value<P: Parameter>(mut self, value: &P) -> Self {
        if let Some(slot) = self.values.get_mut(self.value_count) {
            *slot = value.to_bytes();
        }
        self.value_count += 1;
        self
    }

    /// Launches so many blocks; nothing for none.
    ///
    /// # Safety
    /// The arguments are those of the kernel, in its order, and hold what its contract and its body
    /// demand for the values.
    pub(super) unsafe fn over(self, blocks: [u32; 3]) -> Result<(), Error> {
        if blocks.contains(&0) {
            return Ok(());
        }
        let name = self.kernel.contract.name;
        let arrays = self.arrays.get(..self.array_count).ok_or_else(|| missing(name))?;
        let values = self.values.get(..self.value_count).ok_or_else(|| missing(name))?;
        let mut arguments = [Argument::Value(&[]); MOST_ARRAYS + MOST_VALUES];
        for (slot, array) in arguments.iter_mut().zip(arrays) {
            *slot = *array;
        }
        let (_, rest) = arguments.split_at_mut(self.array_count);
        for (slot, value) in rest.iter_mut().zip(values) {
            *slot = Argument::Value(value.as_slice());
        }
        let count = self.array_count + self.value_count;
        let threads = self.kernel.contract.threads;
        let grid = Grid { blocks, threads, shared_bytes: self.shared_bytes };
        let Gpu { driver, stream, traffic, .. } = self.gpu;
        traffic.launches.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller vouches for the arguments, and the grid is the contract's.
        unsafe { driver.launch(*stream, self.kernel.function, grid, &arguments[..count])? };
        Ok(())
    }
}

/// Work that was captured and can be done again.
pub struct Captured {
    gpu: Arc<Gpu>,
    graph: Graph,
    /// Memory that the work takes for itself.
    held: Held,
}

impl Gpu {
    /// Captures what `body` puts into the stream, which may be launched many times afterwards.
    /// Nothing in it may wait for the device. Memory that it takes from the pool and gives back stays
    /// the captured work's own; a driver may refuse to allocate meanwhile, so do the work once before.
    ///
    /// # Safety
    /// The buffers that `body` uses outlive the result.
    ///
    /// # Errors
    /// The body's; work that cannot be captured.
    pub unsafe fn capture<E: From<Error>>(
        self: &Arc<Self>,
        body: impl FnOnce() -> Result<(), E>,
    ) -> Result<Captured, E> {
        self.driver.begin_capture(self.stream).map_err(Error::from)?;
        self.pool().hold();
        let outcome = body();
        let held = self.pool().release();
        // The stream must leave its capture, whatever became of the body.
        let graph = match self.driver.end_capture(self.stream) {
            Ok(graph) => graph,
            Err(e) => {
                held.into_iter().for_each(|(size, at)| self.give_back(size, at));
                return Err(outcome.err().unwrap_or_else(|| Error::from(e).into()));
            }
        };
        let captured = Captured { gpu: Arc::clone(self), graph, held };
        outcome.map(|()| captured)
    }
}

impl Captured {
    /// Does the captured work again.
    ///
    /// # Errors
    /// Failed calls; faults of emulated kernels.
    pub fn launch(&self) -> Result<(), Error> {
        self.gpu.traffic.graph_launches.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `capture`'s caller keeps the buffers.
        unsafe { self.gpu.driver.launch_graph(self.gpu.stream, self.graph)? };
        Ok(())
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.gpu.driver.synchronize(self.gpu.stream);
        // SAFETY: the graph is done and used by nobody else.
        let _ = unsafe { self.gpu.driver.destroy_graph(self.graph) };
        for (size, at) in std::mem::take(&mut self.held) {
            self.gpu.give_back(size, at);
        }
    }
}
