//! Scripts for one honest node: what it is told, and what must come of it.

mod common;
mod gate;
mod liars;
mod lifecycle;
