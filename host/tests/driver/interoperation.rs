//! Engines that hold contexts, memory and streams of `cust` or `rustacuda`.

use relfisher::driver::cuda::Cuda;
use relfisher::driver::{Address, Binding, Driver, Stream};

use crate::{libraries, play};

/// What an engine has, what is written there, what the engine reads.
const BEFORE: [u32; 4] = [1, 2, 3, 4];
const AFTER: [u32; 4] = [1, 9, 9, 4];

/// Writes into the engine's memory, on its stream.
///
/// # Safety
/// `at` is the address of four words.
unsafe fn write(driver: &Cuda, stream: Stream, at: u64) {
    let mut words = [0_u32; 4];
    // SAFETY: as the caller promises; the stub works at once.
    unsafe {
        driver.download(stream, words.as_mut_ptr().cast(), Address(at), 16).unwrap();
        driver.fill(stream, Address(at + 4), 9, 2).unwrap();
    }
    driver.synchronize(stream).unwrap();
    assert_eq!(words, BEFORE);
}

#[cfg(feature = "cust")]
#[test]
fn memory_and_streams_of_cust_are_used() {
    play("beside cust", &libraries().whole, &[("DEVICES", "1")]);
}

#[cfg(feature = "cust")]
pub(crate) fn beside_cust() {
    use cust::memory::{CopyDestination, DeviceBuffer};
    use cust::stream::StreamFlags;

    cust::init(cust::CudaFlags::empty()).unwrap();
    let context =
        cust::context::Context::new(cust::device::Device::get_device(0).unwrap()).unwrap();
    let stream = cust::stream::Stream::new(StreamFlags::NON_BLOCKING, None).unwrap();
    let buffer = DeviceBuffer::from_slice(&BEFORE).unwrap();
    // SAFETY: the engine's context outlives the driver, its stream and memory are used only here.
    unsafe {
        let driver = Cuda::adopt(Binding::Cust, context.as_raw() as u64).unwrap();
        let own = Stream::from_raw(stream.as_inner() as u64);
        write(&driver, own, buffer.as_device_ptr().as_raw());
        // Both are the primary context.
        assert_eq!(Cuda::open(Binding::Cust, 0).unwrap().context(), driver.context());
    }
    let mut words = [0; 4];
    buffer.copy_to(&mut words).unwrap();
    assert_eq!(words, AFTER);
}

#[cfg(feature = "rustacuda")]
#[test]
fn memory_of_rustacuda_is_used_in_its_own_context() {
    play("beside rustacuda", &libraries().whole, &[("DEVICES", "1")]);
}

#[cfg(feature = "rustacuda")]
pub(crate) fn beside_rustacuda() {
    use relfisher::driver::cuda::current;
    use rustacuda::context::{Context, ContextFlags};
    use rustacuda::memory::{CopyDestination, DeviceBuffer};

    rustacuda::init(rustacuda::CudaFlags::empty()).unwrap();
    let device = rustacuda::device::Device::get_device(0).unwrap();
    let context = Context::create_and_push(ContextFlags::SCHED_AUTO, device).unwrap();
    let mut buffer = DeviceBuffer::from_slice(&BEFORE).unwrap();
    let number = current(Binding::Rustacuda).unwrap().expect("the engine's context");
    // SAFETY: the engine's context outlives the driver, its memory is used only here.
    unsafe {
        let driver = Cuda::adopt(Binding::Rustacuda, number).unwrap();
        write(&driver, Stream::DEFAULT, buffer.as_device_ptr().as_raw() as u64);
        let primary = Cuda::open(Binding::Rustacuda, 0).unwrap();
        assert_ne!(primary.context(), driver.context(), "the engine has one of its own");
    }
    assert_eq!(current(Binding::Rustacuda), Ok(Some(number)), "the engine's is current again");
    let mut words = [0; 4];
    buffer.copy_to(&mut words).unwrap();
    assert_eq!(words, AFTER);
    drop(buffer);
    drop(context);
}
