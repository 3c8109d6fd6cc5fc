//! The gate on accuracy: as a library with executors that are right and wrong, and as a program.

#[path = "../common/mod.rs"]
mod common;

mod actual;
mod executors;
mod files;
mod gate;
mod lab;
