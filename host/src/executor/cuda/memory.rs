//! Memory of the device: buffers from a pool, views of them, copies that are counted.
//!
//! Freed memory stays with the pool, up to a bound, and is given out again without a call to the
//! driver. All work of a [`Gpu`] is in one stream, so memory that is given out again is not touched
//! before the work that used it before is done.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use relfisher_kernels::Word;

use super::pool::Pool;
use super::{Error, Gpu};
use crate::driver::{self, Address, Argument};

/// An array on the device.
pub struct Buffer<T> {
    gpu: Arc<Gpu>,
    address: Address,
    len: usize,
    /// Bytes of the allocation; 0 for memory of another owner.
    size: u64,
    values: PhantomData<T>,
}

impl<T: Word> Buffer<T> {
    /// `len` values that hold anything.
    ///
    /// # Errors
    /// [`driver::Error::OutOfMemory`], after everything that the pool kept was given back.
    pub fn new(gpu: &Arc<Gpu>, len: usize) -> Result<Self, Error> {
        let bytes = (len as u64).saturating_mul(u64::from(T::BYTES));
        let size = Pool::size(bytes);
        let address = gpu.take(size)?;
        Ok(Self { gpu: Arc::clone(gpu), address, len, size, values: PhantomData })
    }

    /// The values of a slice.
    ///
    /// # Errors
    /// As [`Buffer::new`]; a failed copy.
    pub fn from_slice(gpu: &Arc<Gpu>, values: &[T]) -> Result<Self, Error> {
        let mut buffer = Self::new(gpu, values.len())?;
        buffer.view_mut().upload(values)?;
        Ok(buffer)
    }

    /// `len` values of zero bits.
    ///
    /// # Errors
    /// As [`Buffer::new`]; a failed call.
    pub fn zeros(gpu: &Arc<Gpu>, len: usize) -> Result<Self, Error> {
        let mut buffer = Self::new(gpu, len)?;
        buffer.view_mut().clear()?;
        Ok(buffer)
    }

    /// An array that an engine owns, on the context that the device was opened with.
    ///
    /// # Safety
    /// `address` is that of `len` values, aligned to their size, which nobody else uses as long as
    /// the buffer and work with it lives.
    pub unsafe fn borrow(gpu: &Arc<Gpu>, address: Address, len: usize) -> Self {
        Self { gpu: Arc::clone(gpu), address, len, size: 0, values: PhantomData }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// All values, for reading.
    pub fn view(&self) -> View<'_, T> {
        View { gpu: &self.gpu, address: self.address, len: self.len, life: PhantomData }
    }

    /// All values, for writing.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut { gpu: &self.gpu, address: self.address, len: self.len, life: PhantomData }
    }

    /// A copy on the host.
    ///
    /// # Errors
    /// A failed copy, or failed work before it.
    pub fn to_vec(&self) -> Result<Vec<T>, Error> {
        self.view().to_vec()
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.size > 0 {
            self.gpu.give_back(self.size, self.address);
        }
    }
}

impl Gpu {
    /// Memory of this size, from the pool or the driver.
    fn take(&self, size: u64) -> Result<Address, driver::Error> {
        if let Some(at) = self.pool().take(size) {
            self.driver.forget(at, size);
            return Ok(at);
        }
        let at = self.driver.allocate(size).or_else(|e| {
            let kept = self.pool().drain();
            if kept.is_empty() {
                return Err(e);
            }
            self.driver.synchronize(self.stream)?;
            for at in kept {
                // SAFETY: the pool owned it, and all work that touched it is done.
                unsafe { self.driver.free(at)? };
            }
            self.driver.allocate(size)
        })?;
        self.pool().using(size);
        Ok(at)
    }

    pub(super) fn give_back(&self, size: u64, at: Address) {
        if self.pool().keep(size, at) {
            return;
        }
        // Nobody is left to tell; memory of a broken context is gone anyway.
        let _ = self.driver.synchronize(self.stream);
        // SAFETY: its buffer is gone, and all work that touched it is done.
        let _ = unsafe { self.driver.free(at) };
    }

    /// Bytes that were freed and are kept for reuse.
    pub fn kept_bytes(&self) -> u64 {
        self.pool().kept()
    }

    /// Bytes of the device that buffers, and graphs of captured work, use now.
    pub fn used_bytes(&self) -> u64 {
        self.pool().used().0
    }

    /// The most bytes that they used at once since [`Gpu::restart_peak`].
    pub fn peak_bytes(&self) -> u64 {
        self.pool().used().1
    }

    /// Begins to look for the most bytes anew.
    pub fn restart_peak(&self) {
        self.pool().restart();
    }
}

/// Part of an array on the device, for reading.
pub struct View<'a, T> {
    gpu: &'a Arc<Gpu>,
    address: Address,
    len: usize,
    life: PhantomData<&'a [T]>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for View<'_, T> {}

/// Part of an array on the device, for writing.
pub struct ViewMut<'a, T> {
    gpu: &'a Arc<Gpu>,
    address: Address,
    len: usize,
    life: PhantomData<&'a mut [T]>,
}

/// The address of value `start` of `len`, and how many there are up to `end`.
fn part<T: Word>(address: Address, len: usize, range: Range<usize>) -> (Address, usize) {
    let end = range.end.min(len);
    let start = range.start.min(end);
    (Address(address.0 + start as u64 * u64::from(T::BYTES)), end - start)
}

impl<'a, T: Word> View<'a, T> {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values of a range, as far as there are.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        let (address, len) = part::<T>(self.address, self.len, range);
        Self { address, len, ..self }
    }

    /// A copy on the host. Waits for all work.
    ///
    /// # Errors
    /// A failed copy, or failed work before it.
    pub fn to_vec(self) -> Result<Vec<T>, Error> {
        let mut values = vec![T::from_words([0, 0]); self.len];
        self.download(&mut values)?;
        Ok(values)
    }

    /// Copies to the host as many values as both have. Waits for all work.
    ///
    /// # Errors
    /// A failed copy, or failed work before it.
    pub fn download(self, to: &mut [T]) -> Result<(), Error> {
        let bytes = self.len.min(to.len()) * T::BYTES as usize;
        if bytes == 0 {
            return Ok(());
        }
        self.gpu.traffic.downloaded(bytes);
        let (driver, stream) = (&self.gpu.driver, self.gpu.stream);
        // SAFETY: both ranges have that many bytes, any bits are a `Word`, and the copy is done
        // before the call returns.
        unsafe { driver.download(stream, to.as_mut_ptr().cast(), self.address, bytes)? };
        Ok(driver.synchronize(stream)?)
    }

    pub(super) fn argument(&self) -> Argument<'static> {
        Argument::Array { address: self.address, bytes: self.len as u64 * u64::from(T::BYTES) }
    }
}

impl<'a, T: Word> ViewMut<'a, T> {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same view for a shorter time.
    pub fn again(&mut self) -> ViewMut<'_, T> {
        ViewMut { gpu: self.gpu, address: self.address, len: self.len, life: PhantomData }
    }

    /// The same values for reading.
    pub fn read(&self) -> View<'_, T> {
        View { gpu: self.gpu, address: self.address, len: self.len, life: PhantomData }
    }

    /// The values of a range, as far as there are.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> ViewMut<'a, T> {
        let (address, len) = part::<T>(self.address, self.len, range);
        Self { address, len, ..self }
    }

    /// The first values, and the others.
    pub fn split(self, at: usize) -> (ViewMut<'a, T>, ViewMut<'a, T>) {
        let (first, at) = part::<T>(self.address, self.len, 0..at);
        let (second, rest) = part::<T>(self.address, self.len, at..self.len);
        let gpu = self.gpu;
        (
            ViewMut { gpu, address: first, len: at, life: PhantomData },
            ViewMut { gpu, address: second, len: rest, life: PhantomData },
        )
    }

    /// Copies from the host as many values as both have. The values may be changed afterwards.
    ///
    /// # Errors
    /// A failed copy.
    pub fn upload(self, from: &[T]) -> Result<(), Error> {
        let bytes = self.len.min(from.len()) * T::BYTES as usize;
        if bytes == 0 {
            return Ok(());
        }
        self.gpu.traffic.uploaded(bytes);
        let (driver, stream) = (&self.gpu.driver, self.gpu.stream);
        // SAFETY: both ranges have that many bytes. The driver reads memory that is not page-locked
        // before the call returns.
        unsafe { driver.upload(stream, self.address, from.as_ptr().cast(), bytes)? };
        Ok(())
    }

    /// Copies inside the device as many values as both have.
    ///
    /// # Errors
    /// A failed call.
    pub fn copy_from(self, from: View<'_, T>) -> Result<(), Error> {
        let bytes = self.len.min(from.len) as u64 * u64::from(T::BYTES);
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: both ranges have that many bytes, and a view for writing overlaps no other.
        unsafe { self.gpu.driver.copy(self.gpu.stream, self.address, from.address, bytes)? };
        Ok(())
    }

    /// Writes zero bits.
    ///
    /// # Errors
    /// A failed call.
    pub fn clear(self) -> Result<(), Error> {
        let count = self.len as u64 * u64::from(T::WORDS);
        if count == 0 {
            return Ok(());
        }
        // SAFETY: the range has that many words.
        unsafe { self.gpu.driver.fill(self.gpu.stream, self.address, 0, count)? };
        Ok(())
    }

    pub(super) fn argument(&self) -> Argument<'static> {
        self.read().argument()
    }
}

/// Page-locked memory of the host: copies from it are under way while the host goes on.
pub struct Pinned<T> {
    gpu: Arc<Gpu>,
    at: *mut u8,
    len: usize,
    values: PhantomData<T>,
}

// SAFETY: it owns its memory, and its values are plain words.
unsafe impl<T: Word + Send> Send for Pinned<T> {}

impl<T: Word> Pinned<T> {
    /// `len` values of zero bits.
    ///
    /// # Errors
    /// [`driver::Error::OutOfMemory`].
    pub fn new(gpu: &Arc<Gpu>, len: usize) -> Result<Self, Error> {
        let bytes = len.saturating_mul(T::BYTES as usize).max(1);
        let at = gpu.driver.allocate_pinned(bytes)?;
        // SAFETY: the driver just gave that many bytes.
        unsafe { std::ptr::write_bytes(at, 0, bytes) };
        Ok(Self { gpu: Arc::clone(gpu), at, len, values: PhantomData })
    }

    /// The values, after the copies from them are done.
    ///
    /// # Errors
    /// Failed work before.
    pub fn values(&mut self) -> Result<&mut [T], Error> {
        self.gpu.driver.synchronize(self.gpu.stream)?;
        // SAFETY: `len` initialised values, aligned to 256 bytes, and no copy is under way.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.at.cast::<T>(), self.len) })
    }

    /// Copies as many values as both have to the device, while the host goes on.
    ///
    /// # Errors
    /// A failed copy.
    pub fn upload(&self, to: ViewMut<'_, T>) -> Result<(), Error> {
        let bytes = self.len.min(to.len) * T::BYTES as usize;
        if bytes == 0 {
            return Ok(());
        }
        self.gpu.traffic.uploaded(bytes);
        // SAFETY: both ranges have that many bytes; `values` and `drop` wait before they are changed.
        unsafe { self.gpu.driver.upload(self.gpu.stream, to.address, self.at, bytes)? };
        Ok(())
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        let bytes = self.len.saturating_mul(size_of::<T>()).max(1);
        // Nobody is left to tell.
        let _ = self.gpu.driver.synchronize(self.gpu.stream);
        // SAFETY: allocated with that many bytes, and no copy is under way.
        let _ = unsafe { self.gpu.driver.free_pinned(self.at, bytes) };
    }
}
