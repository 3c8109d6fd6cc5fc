//! What the project's checks share with its tests: the comparison of the program
//! `relfisher curvature` with the golden cases.

pub mod golden;
