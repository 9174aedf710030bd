//! A node's HTTP API: the same requests and answers as over its socket, events as they happen, metrics, and a page.
//!
//! Owns the listener and what every request has to pass. Reading order: `server` for how connections are taken, `guard`
//! for who may ask, `routes` and `handlers` for what can be asked, `events`, `metrics` and `page` for what is no
//! request. Off unless config.toml or the command line says where it listens. The node's life drives it.

mod events;
mod guard;
mod handlers;
mod metrics;
mod page;
mod pools;
mod programs;
mod routes;
pub(crate) mod schemas;
mod server;
mod tokens;

use std::sync::Arc;

use crate::control::Answers;

pub(crate) use server::{ApiConfig, ApiServer};
pub(crate) use tokens::{Scope, Token, Tokens};

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    answers: Answers,
    metrics: metrics::Metrics,
    guard: Arc<guard::Guard>,
}
