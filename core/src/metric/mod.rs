//! Relative Fisher information metrics.
pub mod neuron;
