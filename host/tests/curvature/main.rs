//! `relfisher curvature` and `relfisher spectrum` as a user who makes mistakes sees them.

#[path = "../common/mod.rs"]
mod common;
mod degenerate;
mod input;
mod lab;
mod request;
