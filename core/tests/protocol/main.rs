//! Scripts for one honest node: what it is told, and what must come of it.

mod announcements;
mod approval;
mod attempts;
mod batch;
mod byzantine;
mod clocks;
mod common;
mod discovery;
mod evidence;
mod extremes;
mod gate;
mod history;
mod items;
mod lifecycle;
mod limits;
mod protocols;
mod records;
mod relay;
mod requests;
mod resources;
mod searches;
mod seeking;
mod strangers;
mod threats;
