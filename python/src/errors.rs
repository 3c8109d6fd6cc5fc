//! Refusals as exceptions, and the place where work leaves the interpreter's lock.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::{PyArithmeticError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use relfisher::{CoreError, Error};

pyo3::create_exception!(
    relfisher,
    DivergenceError,
    PyArithmeticError,
    "A computation left the finite numbers, or did not converge."
);

/// What the library says of its program's options, and what it is called here.
const WORDS: [(&str, &str); 11] = [
    ("--quantity", "quantities"),
    ("--vectors", "vectors"),
    ("give a safetensors file that holds it with vectors", "add it to vectors"),
    ("give --targets y.npy", "give targets"),
    ("give them with --labels y_mc.npy", "give them as labels"),
    ("use --dtype f64", "use dtype=\"float64\""),
    (" (--samples)", ""),
    ("--memory", "memory"),
    (", or relfisher spectrum with more --products", ""),
    ("this network file", "this network"),
    ("the file that belongs to this network", "the weights that belong to this network"),
];

/// A refusal of the library as an exception; `argument` is where it happened, unless it says so itself.
pub(crate) fn refusal(argument: &str, error: Error) -> PyErr {
    let diverged = matches!(error, Error::Divergence(_));
    let mut line = error.to_string();
    for (option, name) in WORDS {
        line = line.replace(option, name);
    }
    if !argument.is_empty() && !line.starts_with(argument) {
        line = format!("{argument}: {line}");
    }
    if diverged { DivergenceError::new_err(line) } else { PyValueError::new_err(line) }
}

/// A refusal of the core as an exception.
pub(crate) fn core(function: &str, error: CoreError) -> PyErr {
    refusal(function, Error::core("", error))
}

/// An argument that cannot be used: what is wrong with it, and the remedy.
pub(crate) fn bad(argument: &str, problem: &str, remedy: &str) -> PyErr {
    PyValueError::new_err(format!("{argument}: {problem}; {remedy}"))
}

/// Runs `work` without the interpreter's lock. A panic, which would be a defect of the library, becomes
/// a `RuntimeError` too.
pub(crate) fn unlocked<R: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<R, PyErr> + Send,
) -> PyResult<R> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work)))
        .unwrap_or_else(|panic| Err(PyRuntimeError::new_err(defect(panic.as_ref()))))
}

fn defect(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    format!("defect of relfisher: {text}; please report it with the call that led to it")
}
