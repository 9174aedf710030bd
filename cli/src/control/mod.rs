//! How commands talk to a running node: JSON lines over a Unix domain socket in its data folder.
//!
//! Owns both ends and what they say. Reading order: `messages` for the protocol, `shapes` for what is in its answers,
//! `answers` for what a node does about each request, with `carriage` for those of other programs and `money` for those
//! about the chain, `server` and `client` for the two ends. A new request is a variant in `messages`, an
//! arm in `answers`, and a file for its command.

mod answers;
mod carriage;
mod client;
mod messages;
mod money;
mod pools;
mod reachability;
mod server;
mod shapes;

pub(crate) use answers::{Answer, Answers};
pub(crate) use client::{Client, Heard, Running};
pub(crate) use messages::{Kind, MAX_QUESTION, NewPool, NewSession, Problem, Recipient, Request};
pub(crate) use reachability::{Reachability, Relaying};
pub(crate) use server::{Server, serve};
pub(crate) use shapes::{
    Approved, Carried, Connected, Created, Done, Ended, Names, Peers, Pool, PoolTerms, Pools, Resources, Session,
    SessionSummary, Sessions, Signers, Stats,
};
