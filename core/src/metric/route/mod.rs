//! Four ways to the relative natural gradient `(Ḡ + λI)⁻¹ G`, none of which forms the dense matrix
//! of a non-linear layer.
//!
//! | route | what it costs | kept between steps |
//! | --- | --- | --- |
//! | [`block`] | m·n·d̃(d̃+1) to build, m·d̃³/3 to factor, 2m·d̃² to apply | m packed triangles |
//! | [`sample`] | 4n·m·d̃ + 2n²·d̃ + m·n³/3 | nothing: cheap enough for every step |
//! | [`conjugate_gradient`] | 4n·m·d̃ an iteration | nothing |
//! | [`kronecker`] | n·d̃² to build, about 10d̃³ to factor, 4m·d̃² to apply; an approximation | d̃² |
//!
//! The soft-max layer alike, its block being (C·d̃)² and its sample space of dimension n(C − 1).
//! [`super::cost`] compares them.

pub mod block;
pub mod conjugate_gradient;
pub mod kronecker;
pub mod sample;
