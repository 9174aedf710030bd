//! What many runs come to: measures with intervals, and whether two designs differ.
//!
//! Owns what a run contributes ([`Sample`]), what is asked of all of them ([`Measure`]), and how sure the answer is.
//! Invariants: samples merge in any order to the same; the same samples in the same order give the same interval on
//! every machine. Runs of different seeds are independent and those of one seed are not, so seeds are what is drawn
//! again, never single sessions.

mod estimate;
mod measure;
mod sketch;

pub use estimate::{Comparison, Estimate, RESAMPLES, compare, estimate, overview};
pub use measure::{Measure, Sample};
pub use sketch::Sketch;
