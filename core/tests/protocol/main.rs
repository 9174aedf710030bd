//! Scripts for one honest node: what it is told, and what must come of it.

mod approval;
mod attempts;
mod batch;
mod common;
mod discovery;
mod edges;
mod evidence;
mod gate;
mod history;
mod liars;
mod lifecycle;
mod protocols;
mod records;
mod threats;
