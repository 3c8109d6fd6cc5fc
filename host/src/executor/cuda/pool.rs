//! Memory of the device that was freed and is given out again, and how much is in use.

use std::collections::BTreeMap;

use crate::driver::Address;

/// Sizes are rounded up to an eighth of their power of two, and to this.
const GRAIN: u64 = 512;

/// Memory that is free.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// By size; the newest last.
    free: BTreeMap<u64, Vec<Address>>,
    kept: u64,
    bound: u64,
    /// Bytes in use, by buffers and by graphs, and the most there were at once.
    used: u64,
    peak: u64,
    /// While work is captured: what was given back, which the graph will use again.
    held: Option<Held>,
}

/// Memory, by its size.
pub(super) type Held = Vec<(u64, Address)>;

impl Pool {
    /// A pool that keeps at most `bound` bytes.
    pub(super) fn new(bound: u64) -> Self {
        Self { bound, ..Self::default() }
    }

    /// The size that a request is rounded up to; less than an eighth more for large ones.
    pub(super) fn size(bytes: u64) -> u64 {
        let step = (bytes.next_power_of_two() / 16).max(GRAIN);
        bytes.max(1).div_ceil(step).saturating_mul(step)
    }

    /// Memory of this size, if there is any.
    pub(super) fn take(&mut self, size: u64) -> Option<Address> {
        if let Some(held) = &mut self.held
            && let Some(i) = held.iter().rposition(|(kept, _)| *kept == size)
        {
            return Some(held.swap_remove(i).1);
        }
        let list = self.free.get_mut(&size)?;
        let at = list.pop()?;
        if list.is_empty() {
            self.free.remove(&size);
        }
        self.kept -= size;
        self.using(size);
        Some(at)
    }

    /// Counts memory that the driver gave.
    pub(super) fn using(&mut self, size: u64) {
        self.used += size;
        self.peak = self.peak.max(self.used);
    }

    /// Keeps memory; false where the bound forbids it.
    pub(super) fn keep(&mut self, size: u64, at: Address) -> bool {
        if let Some(held) = &mut self.held {
            held.push((size, at));
            return true;
        }
        self.used = self.used.saturating_sub(size);
        if self.kept.saturating_add(size) > self.bound {
            return false;
        }
        self.kept += size;
        self.free.entry(size).or_default().push(at);
        true
    }

    /// Begins to hold what is given back.
    pub(super) fn hold(&mut self) {
        self.held = Some(Held::new());
    }

    /// What was held.
    pub(super) fn release(&mut self) -> Held {
        self.held.take().unwrap_or_default()
    }

    /// Everything that is kept.
    pub(super) fn drain(&mut self) -> Vec<Address> {
        self.kept = 0;
        std::mem::take(&mut self.free).into_values().flatten().collect()
    }

    /// Bytes that are kept.
    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    /// Bytes in use, and the most since [`Pool::restart`].
    pub(super) fn used(&self) -> (u64, u64) {
        (self.used, self.peak)
    }

    /// Begins to look for the most bytes anew.
    pub(super) fn restart(&mut self) {
        self.peak = self.used;
    }
}
