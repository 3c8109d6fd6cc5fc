//! Preconditioners with the exact Gauss–Newton matrix: blocks of layers, or the whole network in
//! sample space. The statistics of batch normalisations count as constants.

mod block;
mod recycled;
mod sample;

pub use block::GgnBlock;
pub use recycled::GgnRecycled;
pub use sample::GgnSample;
