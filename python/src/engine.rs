//! The threads that compute.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use relfisher::Error;
use relfisher::executor::{Choice, Engine};

use crate::errors::refusal;

/// The engine of all processors, and the process that made it: a fork has its memory but not its
/// threads.
static SHARED: Mutex<Option<(u32, Arc<Engine>)>> = Mutex::new(None);

/// An engine of so many threads; `None` for the one that all calls share, of all processors.
pub(crate) fn engine(threads: Option<usize>) -> PyResult<Arc<Engine>> {
    let open = |threads| Engine::open(Choice::Cpu, threads).map(Arc::new);
    shared(threads, open).map_err(|e| refusal("threads", e))
}

fn shared(
    threads: Option<usize>,
    open: impl Fn(Option<usize>) -> Result<Arc<Engine>, Error>,
) -> Result<Arc<Engine>, Error> {
    if threads.is_some() {
        return open(threads);
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((process, engine)) = shared.as_ref()
        && *process == process::id()
    {
        return Ok(engine.clone());
    }
    let engine = open(None)?;
    // Dropping the engine of the parent process would wait for threads that are not here.
    if let Some(old) = shared.replace((process::id(), engine.clone())) {
        std::mem::forget(old);
    }
    Ok(engine)
}
