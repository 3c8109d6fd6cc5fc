//! What an optimiser must remember so that a resumed run gives the same bits.

use std::collections::BTreeMap;

use crate::random::Rng;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Named tensors, counters and generators: the whole memory of an optimiser between two steps.
///
/// Tensors are flat and keep their exact bits; a name is `optimizer.quantity` or
/// `optimizer.quantity.block`. The maps are ordered, so a file made of a state is reproducible.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State<T> {
    /// Flat tensors by name.
    pub tensors: BTreeMap<String, Vec<T>>,
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
    /// Random generators by name, at the point where they stood.
    pub generators: BTreeMap<String, Rng>,
}

impl<T: Copy> State<T> {
    /// An empty state.
    pub fn new() -> Self {
        Self { tensors: BTreeMap::new(), counters: BTreeMap::new(), generators: BTreeMap::new() }
    }

    /// Stores a copy of a tensor under `name`.
    pub fn put(&mut self, name: impl Into<String>, values: &[T]) {
        self.tensors.insert(name.into(), values.to_vec());
    }

    /// Stores a counter under `name`.
    pub fn put_counter(&mut self, name: impl Into<String>, value: u64) {
        self.counters.insert(name.into(), value);
    }

    /// Stores a copy of a generator under `name`.
    pub fn put_generator(&mut self, name: impl Into<String>, generator: &Rng) {
        self.generators.insert(name.into(), generator.clone());
    }

    /// The tensor `name`, which must have `len` elements.
    ///
    /// # Errors
    /// One line that names the missing tensor, or the length that does not fit.
    pub fn tensor(&self, name: &str, len: usize) -> Result<&[T], Error> {
        let found = self.tensors.get(name).ok_or_else(|| missing("tensor", name))?;
        if found.len() == len {
            Ok(found)
        } else {
            Err(Error::input(
                "optimiser state",
                name,
                format!("{} elements where {len} are needed", found.len()),
                "resume with the network and the optimiser that wrote the checkpoint",
            ))
        }
    }

    /// Copies the tensor `name` into `out`.
    ///
    /// # Errors
    /// As [`State::tensor`]; `out` is unchanged then.
    pub fn read(&self, name: &str, out: &mut [T]) -> Result<(), Error> {
        let found = self.tensor(name, out.len())?;
        out.copy_from_slice(found);
        Ok(())
    }

    /// The counter `name`.
    ///
    /// # Errors
    /// One line that names the missing counter.
    pub fn counter(&self, name: &str) -> Result<u64, Error> {
        self.counters.get(name).copied().ok_or_else(|| missing("counter", name))
    }

    /// The generator `name`.
    ///
    /// # Errors
    /// One line that names the missing generator.
    pub fn generator(&self, name: &str) -> Result<&Rng, Error> {
        self.generators.get(name).ok_or_else(|| missing("generator", name))
    }
}

fn missing(kind: &str, name: &str) -> Error {
    Error::input(
        "optimiser state",
        name,
        format!("the {kind} is missing"),
        "resume with the optimiser that wrote the checkpoint",
    )
}
