//! Every kernel on the emulator, against the core in f64 or against a naive definition, and the
//! emulator against planted bugs.

#[path = "../../../tests/src/compare.rs"]
#[allow(dead_code, unreachable_pub)]
mod compare;
#[path = "../../../tests/src/random.rs"]
#[allow(dead_code, unreachable_pub)]
mod random;
#[path = "../../../tests/src/tolerance/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod tolerance;

mod batch;
mod device;
mod elementwise;
mod faults;
mod gram;
mod matrix;
mod named;
mod patches;
mod product;
mod reduce;
mod rows;
mod run;
mod steps;
mod tensor;
mod training;
