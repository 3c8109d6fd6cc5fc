//! Kernels: what PTX says of them, and what a launch gives them.

use std::ffi::{CStr, c_char, c_int, c_uint};

use crate::context::within;
use crate::state::Function;
use crate::work::{Work, submit};
use crate::{Code, INVALID_HANDLE, INVALID_PTX, INVALID_VALUE, NOT_FOUND, answer, get, note};

/// An entry point of a PTX file.
#[derive(Clone)]
pub(crate) struct Kernel {
    name: String,
    /// The bytes of its parameters, in order.
    parameters: Vec<usize>,
    /// The most threads of a block.
    threads: u32,
}

/// What a file of PTX declares, or what is wrong with it.
fn kernels(ptx: &str) -> Result<Vec<Kernel>, String> {
    if !ptx.lines().any(|line| line.starts_with(".version ")) {
        return Err("line 1: fatal : Missing .version directive".to_string());
    }
    let mut found = Vec::new();
    for piece in ptx.split(".visible .entry ").skip(1) {
        let (head, rest) = piece.split_once(")\n").ok_or("an entry without an end")?;
        let (name, list) = head.split_once('(').ok_or("an entry without parameters")?;
        let parameters = list.split(",\n").map(bytes).collect::<Result<_, _>>()?;
        let bound = rest.lines().next().and_then(|line| line.strip_prefix(".maxntid "));
        let threads = bound.and_then(|bound| bound.split(',').next()?.parse().ok());
        found.push(Kernel { name: name.to_string(), parameters, threads: threads.unwrap_or(1024) });
    }
    Ok(found)
}

/// The bytes of a parameter as `.param .u64 …` or `.param .align 8 .b8 name[24]`.
fn bytes(parameter: &str) -> Result<usize, String> {
    let bits: usize = parameter
        .split_whitespace()
        .find_map(|word| word.strip_prefix('.')?.strip_prefix(['u', 'b', 'f', 's'])?.parse().ok())
        .ok_or_else(|| format!("no type: {parameter}"))?;
    let count = match parameter.trim_end().strip_suffix(']') {
        Some(array) => array.rsplit_once('[').and_then(|(_, count)| count.parse().ok()),
        None => Some(1),
    };
    Ok(bits / 8 * count.ok_or_else(|| format!("no length: {parameter}"))?)
}

/// # Safety
/// `image` is a text that ends in 0; options and values are `count` each, among them a log's
/// beginning and length.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut u64,
    image: *const c_char,
    count: c_uint,
    options: *const c_uint,
    values: *const u64,
) -> Code {
    within(|state| {
        state.not_capturing()?;
        // SAFETY: as the caller promises.
        let text = unsafe { CStr::from_ptr(image) }.to_str().map_err(|_| INVALID_PTX)?;
        match kernels(text) {
            Ok(kernels) => {
                let handle = state.handle();
                note(&format!("load {}", kernels.len()));
                state.modules.insert(handle, kernels);
                // SAFETY: as the caller promises.
                unsafe { answer(module, handle) }
            }
            Err(problem) => {
                let option = |wanted: c_uint| {
                    // SAFETY: as the caller promises.
                    (0..count as usize)
                        .find(|&i| unsafe { options.add(i).read() } == wanted)
                        .map(|i| unsafe { values.add(i).read() })
                };
                if let (Some(log), Some(most)) = (option(5), option(6)) {
                    let length = problem.len().min(most.saturating_sub(1) as usize);
                    // SAFETY: as the caller promises, the log is so long.
                    unsafe {
                        std::ptr::copy_nonoverlapping(problem.as_ptr(), log as *mut u8, length);
                        (log as *mut u8).add(length).write(0);
                    }
                }
                Err(INVALID_PTX)
            }
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(module: u64) -> Code {
    within(|state| {
        state.modules.remove(&module).ok_or(INVALID_HANDLE)?;
        note("unload");
        Ok(())
    })
}

/// # Safety
/// `name` is a text that ends in 0; `function` is null, or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(
    function: *mut u64,
    module: u64,
    name: *const c_char,
) -> Code {
    within(|state| {
        // SAFETY: as the caller promises.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        let kernel = get(&mut state.modules, module)?.iter().find(|k| k.name == name);
        let kernel = kernel.cloned().ok_or(NOT_FOUND)?;
        let handle = state.handle();
        state.functions.insert(handle, Function { kernel, shared_bytes: 49_152 });
        // SAFETY: as the caller promises.
        unsafe { answer(function, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(function: u64, attribute: c_uint, value: c_int) -> Code {
    within(|state| {
        let function = get(&mut state.functions, function)?;
        let most = u32::try_from(value).map_err(|_| INVALID_VALUE)?;
        if attribute != 8 || most > 101_376 {
            return Err(INVALID_VALUE);
        }
        function.shared_bytes = most;
        note(&format!("attribute {} shared {most}", function.kernel.name));
        Ok(())
    })
}

/// # Safety
/// `parameters` points to a pointer for every parameter of the kernel, each to as many bytes as the
/// parameter has.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernel(
    function: u64,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: u64,
    parameters: *const *const u8,
    extra: *const u8,
) -> Code {
    within(|state| {
        let function = get(&mut state.functions, function)?;
        let kernel = &function.kernel;
        let threads = block_x.saturating_mul(block_y).saturating_mul(block_z);
        let empty = threads == 0 || [grid_x, grid_y, grid_z].contains(&0);
        if empty
            || threads > kernel.threads
            || grid_y.max(grid_z) > 65_535
            || shared_bytes > function.shared_bytes
            || !extra.is_null()
        {
            return Err(INVALID_VALUE);
        }
        let mut line = format!(
            "launch {} grid {grid_x} {grid_y} {grid_z} block {block_x} {block_y} {block_z} \
             shared {shared_bytes}",
            kernel.name
        );
        for (i, &bytes) in kernel.parameters.iter().enumerate() {
            line.push(' ');
            // SAFETY: as the caller promises.
            let value = unsafe { std::slice::from_raw_parts(parameters.add(i).read(), bytes) };
            for byte in value {
                line.push_str(&format!("{byte:02x}"));
            }
        }
        submit(state, stream, Work::Launch { line })
    })
}
