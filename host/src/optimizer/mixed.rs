//! Mixed training: groups of layers, each with an optimiser of its own, say the first layers on a
//! first-order method and the rest on a second-order one.
//!
//! Every group sees the mini-batch, its gradient and the parameters as they were before the step, and
//! moves the parameters of its own layers: with optimisers that treat layers one by one the step is,
//! bit by bit, what each would do alone. KL clips count the layers of the group. K-FAC measures only
//! the factors of its group, but its derivatives come back through the whole network.

use super::scope::Scope;
use super::subsystem::check_finite;
use super::{LayerConfig, MixedConfig, Optimizer, State, Step};
use crate::Scalar;
use crate::error::Error;
use crate::network::Network;

/// A group of layers with its optimiser.
struct Group<T: Scalar> {
    scope: Scope,
    optimizer: Box<dyn Optimizer<T>>,
    /// Its learning rate, relative to that of the step.
    rate: T,
}

/// Optimisers by groups of layers.
pub struct Mixed<T: Scalar> {
    groups: Vec<Group<T>>,
    gradient: Vec<T>,
    /// The parameters before the step, and those after it.
    before: Vec<T>,
    after: Vec<T>,
}

impl<T: Scalar> Mixed<T> {
    /// An optimiser for `network`.
    ///
    /// # Errors
    /// A layer that does not exist or is in two groups, a group without layers, layers in no group;
    /// those of the optimisers.
    pub fn new(config: &MixedConfig, network: &Network<T>) -> Result<Self, Error> {
        let owner = owners(config, network)?;
        let mut groups = Vec::new();
        for (i, group) in config.groups.iter().enumerate() {
            let scope = Scope::of(network, |block| owner[block] == i);
            if scope.is_empty() {
                let place = format!("groups.{i}");
                let remedy = "name some layers, or remove the group";
                return Err(Error::input("optimiser mixed", place, "has no layers", remedy));
            }
            let optimizer = group.optimizer.build_within(network, &scope);
            groups.push(Group {
                optimizer: optimizer.map_err(|e| e.at(format!("optimiser mixed: group {i}")))?,
                rate: T::from_f64(group.optimizer.learning_rate()),
                scope,
            });
        }
        Ok(Self { groups, gradient: Vec::new(), before: Vec::new(), after: Vec::new() })
    }
}

/// The group of every block.
fn owners<T: Scalar>(config: &MixedConfig, network: &Network<T>) -> Result<Vec<usize>, Error> {
    let blocks = network.blocks();
    let mut owner: Vec<Option<usize>> = vec![None; blocks.len()];
    let refuse = |i: usize, problem: String, remedy: &str| {
        Err(Error::input("optimiser mixed", format!("groups.{i}.layers"), problem, remedy))
    };
    for (i, group) in config.groups.iter().enumerate() {
        for layer in group.layers.iter().flatten() {
            let found = match layer {
                LayerConfig::Index(index) => (*index < blocks.len()).then_some(*index),
                LayerConfig::Name(name) => blocks.iter().position(|block| block.name == *name),
            };
            let Some(found) = found else {
                let names: Vec<&str> = blocks.iter().map(|block| block.name.as_str()).collect();
                let remedy = format!("use an index from 0, or one of {}", names.join(", "));
                return refuse(i, format!("{layer} is no layer with parameters"), &remedy);
            };
            if owner[found].replace(i).is_some() {
                let problem = format!("{} is in two groups", blocks[found].name);
                return refuse(i, problem, "name each layer once");
            }
        }
    }
    let rest = config.groups.iter().position(|group| group.layers.is_none());
    let mut owners = Vec::new();
    for (block, owner) in blocks.iter().zip(owner) {
        match owner.or(rest) {
            Some(owner) => owners.push(owner),
            None => {
                let problem = format!("{} is in no group", block.name);
                let remedy = "name it, or leave `layers` out of one group, which then has the rest";
                return Err(Error::input("optimiser mixed", "groups", problem, remedy));
            }
        }
    }
    Ok(owners)
}

/// The key of a tensor, counter or generator of a group's optimiser.
fn prefixed(group: usize, key: &str) -> String {
    format!("mixed.{group}.{key}")
}

impl<T: Scalar> Optimizer<T> for Mixed<T> {
    fn name(&self) -> &'static str {
        "mixed"
    }

    fn step(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        check_finite(step.network, "gradient", step.gradient)?;
        let Self { groups, gradient, before, after } = self;
        let values = &step.parameters.values[..];
        for (kept, values) in [(&mut *gradient, &*step.gradient), (&mut *before, values)] {
            kept.clear();
            kept.extend_from_slice(values);
        }
        after.clone_from(before);
        let rate = step.learning_rate;
        for group in groups {
            step.gradient.copy_from_slice(gradient);
            step.parameters.values.copy_from_slice(before);
            step.learning_rate = rate * group.rate;
            group.optimizer.step(step)?;
            for range in group.scope.ranges() {
                after[range.clone()].copy_from_slice(&step.parameters.values[range.clone()]);
            }
        }
        step.learning_rate = rate;
        step.parameters.values.copy_from_slice(after);
        Ok(())
    }

    fn save(&self, state: &mut State<T>) {
        for (i, group) in self.groups.iter().enumerate() {
            let mut own = State::new();
            group.optimizer.save(&mut own);
            let State { tensors, counters, generators } = own;
            let key = |(name, value): (String, _)| (prefixed(i, &name), value);
            state.tensors.extend(tensors.into_iter().map(key));
            let key = |(name, value): (String, _)| (prefixed(i, &name), value);
            state.counters.extend(counters.into_iter().map(key));
            let key = |(name, value): (String, _)| (prefixed(i, &name), value);
            state.generators.extend(generators.into_iter().map(key));
        }
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        for (i, group) in self.groups.iter_mut().enumerate() {
            let prefix = prefixed(i, "");
            let name = |key: &String| key.strip_prefix(&prefix).map(str::to_owned);
            let own = State {
                tensors: state
                    .tensors
                    .iter()
                    .filter_map(|(k, v)| Some((name(k)?, v.clone())))
                    .collect(),
                counters: state.counters.iter().filter_map(|(k, v)| Some((name(k)?, *v))).collect(),
                generators: state
                    .generators
                    .iter()
                    .filter_map(|(k, v)| Some((name(k)?, v.clone())))
                    .collect(),
            };
            group.optimizer.load(&own).map_err(|e| e.at(format!("mixed: group {i}")))?;
        }
        Ok(())
    }
}
