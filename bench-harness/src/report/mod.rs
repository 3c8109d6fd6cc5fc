//! What becomes of the records: a page, a gate, and a part of the README.
//!
//! | module | what |
//! | --- | --- |
//! | [`folder`] | the committed results, which are the history too |
//! | [`summary`] | what page, JSON and README say, computed once |
//! | [`page`] | one self-contained HTML page; [`plot`] its pictures |
//! | [`counterpart`] | what the CPU reaches beside a row of a GPU |
//! | [`compare`](mod@compare) | a record against an earlier one; [`junit`](mod@junit) the outcome as XML |
//! | [`readme`] | the performance section of the README |
//! | [`program`] | the commands `report`, `compare` and `readme` |

pub mod compare;
pub mod counterpart;
pub mod folder;
pub mod gpu;
mod html;
pub mod junit;
pub mod key;
pub mod page;
pub mod plot;
pub mod program;
pub mod readme;
mod sections;
pub mod summary;
pub mod units;

pub use compare::{Comparison, compare};
pub use key::Key;
pub use program::{Ended, Gate};

/// The command that measures a group with these options; all of them without a name.
#[must_use]
pub fn command(group: &str, options: &str) -> String {
    let run = "cargo run --release -p relfisher-bench --bin relfisher-bench -- measure";
    let words = [run, group, options, "--out FILE"];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
