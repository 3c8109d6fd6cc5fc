//! What arrives at the driver of every call.

use relfisher::driver::cuda::{Cuda, current};
use relfisher::driver::{Address, Argument, Binding, Driver, Error, Grid, Stream, open, variant};
use relfisher_kernels::contract::{CONTRACTS, Variant};

use crate::{bindings, common, libraries, play};

const SM_75: &str = include_str!("../../../gpu-kernels/ptx/sm_75.ptx");
const SM_80: &str = include_str!("../../../gpu-kernels/ptx/sm_80.ptx");

/// Plays the scene for each binding, and returns what the driver wrote down.
fn played(scene: &str, settings: &[(&str, &str)]) -> Vec<(&'static str, Vec<String>)> {
    let name = scene.replace(' ', "-");
    let by_way_of = |binding: &Binding| {
        let log = common::folder(&format!("driver-{name}-{}", binding.name())).join("log");
        let own = [("LOG", log.to_str().unwrap()), ("BINDING", binding.name())];
        play(scene, &libraries().whole, &[settings, &own].concat());
        let text = std::fs::read_to_string(&log).unwrap();
        (binding.name(), text.lines().map(str::to_string).collect())
    };
    Binding::BUILT.iter().map(by_way_of).collect()
}

#[test]
fn every_call_arrives_with_its_arguments() {
    for (binding, lines) in played("called", &[("DEVICES", "1"), ("MEMORY", "1048576")]) {
        // Kernels are asked for in the order of their list, each with its shared memory.
        let (attributes, rest): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.starts_with("attribute "));
        let kernels = CONTRACTS.iter().map(|kernel| (kernel.name, kernel.shared_bytes));
        let wanted = kernels.chain([("activate_f32", 16)]);
        let wanted = wanted.map(|(name, bytes)| format!("attribute {name} shared {bytes}"));
        assert_eq!(attributes, wanted.collect::<Vec<_>>(), "{binding}");
        let wanted = EXPECTED.replace("ALL", &CONTRACTS.len().to_string());
        assert_eq!(rest, wanted.lines().map(str::trim).collect::<Vec<_>>(), "{binding}");
    }
}

/// What the driver is to write down of [`called`]. Device memory begins at 0x700000000, and streams
/// that do not wait for the default stream have flag 1; captures of the calling thread only are of
/// mode 1.
const EXPECTED: &str = "retain 0
    allocate 4096
    allocate 1000
    allocate pinned 4096
    upload 4096 on the default stream
    stream 1
    fill 100 deadbeef on a stream
    copy 400 on a stream
    download 4096 on a stream
    synchronize
    load ALL
    capture 1
    captured 2
    destroy captured
    graph of 2
    launch activate_f32 grid 3 2 1 block 256 1 1 shared 16 \
    0000000007000000 0012000007000000 0000000007000000 \
    0102030405060708090a0b0c0d0e0f101112131415161718 on a stream
    fill 1 00000007 on a stream
    graph of 2
    launch activate_f32 grid 3 2 1 block 256 1 1 shared 16 \
    0000000007000000 0012000007000000 0000000007000000 \
    0102030405060708090a0b0c0d0e0f101112131415161718 on a stream
    fill 1 00000007 on a stream
    wait on the default stream
    destroy graph
    destroy event
    destroy event
    destroy stream
    free pinned 4096
    free 1000
    free 4096
    unload
    release 0";

/// The scene: one of each call.
pub(crate) fn called() {
    let [binding] = bindings()[..] else { panic!("one binding") };
    let driver = open(binding, 0).unwrap();
    assert_eq!(variant(driver.device().capability), Some(Variant::Sm80));

    let memory = driver.allocate(4096).unwrap();
    let other = driver.allocate(1000).unwrap();
    assert_eq!(driver.allocate(1 << 20), Err(Error::OutOfMemory { bytes: 1 << 20 }));
    let pinned = driver.allocate_pinned(4096).unwrap();
    let values: Vec<u8> = (0..4096_u32).map(|i| (i * 7 % 251) as u8).collect();
    let mut back = vec![0; 4096];
    let stream;
    // SAFETY: every range lies inside its memory; the driver works at once.
    unsafe {
        pinned.copy_from_nonoverlapping(values.as_ptr(), 4096);
        driver.upload(Stream::DEFAULT, memory, pinned, 4096).unwrap();
        stream = driver.create_stream().unwrap();
        driver.fill(stream, Address(memory.0 + 400), 0xdead_beef, 100).unwrap();
        driver.copy(stream, Address(memory.0 + 1200), Address(memory.0 + 200), 400).unwrap();
        driver.download(stream, back.as_mut_ptr(), memory, 4096).unwrap();
        driver.synchronize(stream).unwrap();
    }
    let mut wanted = values;
    wanted[400..800].copy_from_slice(&0xdead_beef_u32.to_le_bytes().repeat(100));
    wanted.copy_within(200..600, 1200);
    assert!(back == wanted, "bytes come back as they were written");

    kernels(&*driver, stream, [memory, other, memory]);

    // SAFETY: each of these is given back once, and nothing uses it.
    unsafe {
        driver.destroy_stream(stream).unwrap();
        driver.free_pinned(pinned, 4096).unwrap();
        driver.free(other).unwrap();
        driver.free(memory).unwrap();
        assert!(matches!(driver.free(memory), Err(Error::Call { call: "cuMemFree", .. })));
    }
}

/// Loads, captures, launches and times.
fn kernels(driver: &dyn Driver, stream: Stream, [a, b, c]: [Address; 3]) {
    let problem = "CUDA_ERROR_INVALID_PTX (a PTX JIT compilation failed): \
                   line 1: fatal : Missing .version directive";
    let call = "cuModuleLoadDataEx";
    let refusal = Error::Call { call, problem: problem.to_string() };
    assert_eq!(driver.load("nothing").err(), Some(refusal), "with the compiler's log");
    assert!(matches!(driver.load("a\0b"), Err(Error::Call { .. })));

    let module = driver.load(SM_80).unwrap();
    for kernel in CONTRACTS {
        driver.function(module, kernel.name, kernel.shared_bytes).unwrap();
    }
    let missing = driver.function(module, "absent", 0).unwrap_err().to_string();
    assert!(missing.contains("absent") && missing.contains("NOT_FOUND"), "{missing}");

    let much = driver.function(module, "activate_f32", 1 << 20).unwrap_err().to_string();
    assert!(much.contains("cuFuncSetAttribute: activate_f32: CUDA_ERROR_INVALID"), "{much}");
    let function = driver.function(module, "activate_f32", 16).unwrap();
    let scalars: Vec<u8> = (1..=24).collect();
    let array = |address| Argument::Array { address, bytes: 0 };
    let arguments = [array(a), array(b), array(c), Argument::Value(&scalars)];
    let grid = Grid { blocks: [3, 2, 1], threads: 256, shared_bytes: 16 };
    let (from, to) = (driver.create_event().unwrap(), driver.create_event().unwrap());
    assert!(driver.elapsed(from, to).is_err(), "neither was recorded");

    driver.begin_capture(stream).unwrap();
    assert!(driver.begin_capture(stream).is_err(), "it is captured already");
    assert!(driver.synchronize(stream).is_err(), "nothing is done while it is captured");
    // SAFETY: the kernel takes three arrays and 24 bytes; nothing is run.
    unsafe {
        driver.launch(stream, function, grid, &arguments).unwrap();
        driver.fill(stream, b, 7, 1).unwrap();
        let more = Grid { shared_bytes: 17, ..grid };
        let refused = driver.launch(stream, function, more, &arguments);
        assert!(matches!(refused, Err(Error::Call { call: "cuLaunchKernel", .. })));
    }
    let graph = driver.end_capture(stream).unwrap();
    assert!(driver.end_capture(stream).is_err(), "it is captured no longer");

    driver.record(from, stream).unwrap();
    // SAFETY: what was captured is still there.
    unsafe {
        driver.launch_graph(stream, graph).unwrap();
        driver.launch_graph(stream, graph).unwrap();
    }
    driver.record(to, stream).unwrap();
    driver.wait(Stream::DEFAULT, to).unwrap();
    assert_eq!(driver.elapsed(from, to), Ok(4.0), "four pieces of work");
    // SAFETY: each is given back once.
    unsafe {
        driver.destroy_graph(graph).unwrap();
        driver.destroy_event(from).unwrap();
        driver.destroy_event(to).unwrap();
    }
}

#[test]
fn the_older_kernels_are_all_there_too() {
    let missing = |kernel: &&relfisher_kernels::contract::Contract| {
        !SM_75.contains(&format!(".entry {}(", kernel.name))
    };
    let old = CONTRACTS.iter().filter(|kernel| kernel.since == Variant::Sm75);
    assert_eq!(old.filter(missing).map(|kernel| kernel.name).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn contexts_are_entered_and_left() {
    for (binding, lines) in played("contexts", &[("DEVICES", "2")]) {
        let wanted = ["retain 0", "retain 1", "allocate 8", "allocate 16", "allocate 24"];
        assert_eq!(lines[..5], wanted, "{binding}");
        let wanted = ["free 24", "free 16", "free 8", "release 1", "release 0"];
        assert_eq!(lines[5..], wanted, "{binding}");
    }
}

/// The scene: two devices on one thread and one of them on another, whatever is current there.
pub(crate) fn contexts() {
    let [binding] = bindings()[..] else { panic!("one binding") };
    let [first, second] = [0, 1].map(|i| Cuda::open(binding, i).unwrap());
    assert_ne!(first.context(), second.context());
    assert_eq!(current(binding), Ok(None));
    let a = first.allocate(8).unwrap();
    assert_eq!(current(binding), Ok(Some(first.context())), "where none was current, it stays");
    let b = second.allocate(16).unwrap();
    assert_eq!(current(binding), Ok(Some(first.context())), "and is current again afterwards");
    // SAFETY: `first` lives longer than what adopts its context.
    let adopted = unsafe { Cuda::adopt(binding, first.context()) }.unwrap();
    assert_eq!(adopted.device(), first.device());
    let c = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            assert_eq!(current(binding), Ok(None), "a new thread has no context");
            adopted.allocate(24)
        });
        other.join().unwrap().unwrap()
    });
    // SAFETY: nothing uses the memory. A context that was destroyed is refused by the stub.
    unsafe {
        adopted.free(c).unwrap();
        drop(adopted);
        second.free(b).unwrap();
        first.free(a).unwrap();
        assert!(Cuda::adopt(binding, 0x10).is_err(), "no context");
    }
    drop(second);
}
