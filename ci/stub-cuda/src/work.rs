//! Streams, events and graphs.

use std::ffi::{c_int, c_uint};

use crate::context::within;
use crate::state::{State, Stream};
use crate::{
    CAPTURE_UNSUPPORTED, Code, ILLEGAL_STATE, INVALID_HANDLE, INVALID_VALUE, answer, get, note,
};

/// A piece of work of a stream. Addresses of the host are numbers, too.
#[derive(Clone)]
pub(crate) enum Work {
    Upload { to: u64, from: u64, bytes: usize },
    Download { to: u64, from: u64, bytes: usize },
    Copy { to: u64, from: u64, bytes: usize },
    Fill { to: u64, word: u32, words: usize },
    Launch { line: String },
    Record { event: u64 },
    Wait { event: u64 },
}

/// Puts work into a stream: it is done at once, or collected while the stream is captured.
pub(crate) fn submit(state: &mut State, stream: u64, work: Work) -> Result<(), Code> {
    match stream_of(state, stream)?.and_then(|stream| stream.captured.as_mut()) {
        Some(captured) => captured.push(work),
        None => perform(state, stream, &work)?,
    }
    Ok(())
}

/// A stream of its own, or none for the default stream.
fn stream_of(state: &mut State, stream: u64) -> Result<Option<&mut Stream>, Code> {
    if stream == 0 { Ok(None) } else { get(&mut state.streams, stream).map(Some) }
}

fn perform(state: &mut State, stream: u64, work: &Work) -> Result<(), Code> {
    let place = if stream == 0 { "on the default stream" } else { "on a stream" };
    match *work {
        Work::Upload { to, from, bytes } => {
            let device = state.device(to, bytes)?;
            // SAFETY: the caller of the copy promised that the host's range is valid.
            let host = unsafe { std::slice::from_raw_parts(from as *const u8, bytes) };
            device.copy_from_slice(host);
            note(&format!("upload {bytes} {place}"));
        }
        Work::Download { to, from, bytes } => {
            let device = state.device(from, bytes)?;
            // SAFETY: as above.
            let host = unsafe { std::slice::from_raw_parts_mut(to as *mut u8, bytes) };
            host.copy_from_slice(device);
            note(&format!("download {bytes} {place}"));
        }
        Work::Copy { to, from, bytes } => {
            let values = state.device(from, bytes)?.to_vec();
            state.device(to, bytes)?.copy_from_slice(&values);
            note(&format!("copy {bytes} {place}"));
        }
        Work::Fill { to, word, words } => {
            let bytes = words.checked_mul(4).ok_or(INVALID_VALUE)?;
            if to % 4 != 0 {
                return Err(INVALID_VALUE);
            }
            let device = state.device(to, bytes)?;
            device.chunks_exact_mut(4).for_each(|place| place.copy_from_slice(&word.to_ne_bytes()));
            note(&format!("fill {words} {word:08x} {place}"));
        }
        Work::Launch { ref line } => note(&format!("{line} {place}")),
        Work::Record { event } => {
            *get(&mut state.events, event)? = Some(state.clock);
            return Ok(());
        }
        Work::Wait { event } => {
            get(&mut state.events, event)?;
            note(&format!("wait {place}"));
        }
    }
    state.clock += 1;
    Ok(())
}

/// # Safety
/// The pointer is null, or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(stream: *mut u64, flags: c_uint) -> Code {
    within(|state| {
        if flags > 1 {
            return Err(INVALID_VALUE);
        }
        let handle = state.handle();
        state.streams.insert(handle, Stream::default());
        note(&format!("stream {flags}"));
        // SAFETY: as the caller promises.
        unsafe { answer(stream, handle) }
    })
}

/// The function of engines that give streams priorities.
///
/// # Safety
/// As [`cuStreamCreate`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreateWithPriority(
    stream: *mut u64,
    flags: c_uint,
    _priority: c_int,
) -> Code {
    // SAFETY: as the caller promises.
    unsafe { cuStreamCreate(stream, flags) }
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: u64) -> Code {
    within(|state| {
        state.streams.remove(&stream).ok_or(INVALID_HANDLE)?;
        note("destroy stream");
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: u64) -> Code {
    within(|state| {
        if stream_of(state, stream)?.is_some_and(|stream| stream.captured.is_some()) {
            return Err(CAPTURE_UNSUPPORTED);
        }
        note("synchronize");
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: u64, event: u64, flags: c_uint) -> Code {
    within(|state| {
        get(&mut state.events, event)?;
        if flags > 1 {
            return Err(INVALID_VALUE);
        }
        submit(state, stream, Work::Wait { event })
    })
}

/// # Safety
/// As [`cuStreamCreate`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(event: *mut u64, flags: c_uint) -> Code {
    within(|state| {
        // Flag 2 makes events that cannot be timed.
        if flags & !1 != 0 {
            return Err(INVALID_VALUE);
        }
        let handle = state.handle();
        state.events.insert(handle, None);
        // SAFETY: as the caller promises.
        unsafe { answer(event, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: u64) -> Code {
    within(|state| {
        state.events.remove(&event).ok_or(INVALID_HANDLE)?;
        note("destroy event");
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: u64, stream: u64) -> Code {
    within(|state| {
        get(&mut state.events, event)?;
        submit(state, stream, Work::Record { event })
    })
}

/// # Safety
/// As [`cuStreamCreate`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, from: u64, to: u64) -> Code {
    within(|state| {
        let from = get(&mut state.events, from)?.ok_or(INVALID_HANDLE)?;
        let to = get(&mut state.events, to)?.ok_or(INVALID_HANDLE)?;
        // SAFETY: as the caller promises.
        unsafe { answer(milliseconds, to as f32 - from as f32) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamBeginCapture_v2(stream: u64, mode: c_uint) -> Code {
    within(|state| {
        let stream = stream_of(state, stream)?.ok_or(CAPTURE_UNSUPPORTED)?;
        if stream.captured.is_some() {
            return Err(ILLEGAL_STATE);
        }
        stream.captured = Some(Vec::new());
        note(&format!("capture {mode}"));
        Ok(())
    })
}

/// # Safety
/// As [`cuStreamCreate`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamEndCapture(stream: u64, graph: *mut u64) -> Code {
    within(|state| {
        let stream = stream_of(state, stream)?.ok_or(ILLEGAL_STATE)?;
        let captured = stream.captured.take().ok_or(ILLEGAL_STATE)?;
        let handle = state.handle();
        note(&format!("captured {}", captured.len()));
        state.graphs.insert(handle, captured);
        // SAFETY: as the caller promises.
        unsafe { answer(graph, handle) }
    })
}

/// # Safety
/// As [`cuStreamCreate`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiateWithFlags(
    executable: *mut u64,
    graph: u64,
    flags: u64,
) -> Code {
    within(|state| {
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        let work = get(&mut state.graphs, graph)?.clone();
        let handle = state.handle();
        state.executables.insert(handle, work);
        // SAFETY: as the caller promises.
        unsafe { answer(executable, handle) }
    })
}

/// The function of CUDA 10.
///
/// # Safety
/// As [`cuStreamCreate`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiate(
    executable: *mut u64,
    graph: u64,
    _node: *mut u64,
    _log: *mut u8,
    _bytes: usize,
) -> Code {
    // SAFETY: as the caller promises.
    unsafe { cuGraphInstantiateWithFlags(executable, graph, 0) }
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphDestroy(graph: u64) -> Code {
    within(|state| {
        state.graphs.remove(&graph).ok_or(INVALID_HANDLE)?;
        note("destroy captured");
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphExecDestroy(executable: u64) -> Code {
    within(|state| {
        state.executables.remove(&executable).ok_or(INVALID_HANDLE)?;
        note("destroy graph");
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphLaunch(executable: u64, stream: u64) -> Code {
    within(|state| {
        let work = get(&mut state.executables, executable)?.clone();
        note(&format!("graph of {}", work.len()));
        work.into_iter().try_for_each(|work| submit(state, stream, work))
    })
}
