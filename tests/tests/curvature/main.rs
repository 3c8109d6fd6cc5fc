//! Curvature blocks against dense sums and derivatives by dual numbers, all in f64.

mod blocks;
mod eigenbasis;
mod net;
mod output;
mod sample_space;
mod strategy;
