//! nelumbo on libp2p and tokio: a real network, a durable journal, an async handle.
//!
//! A [`Builder`] starts a node; a [`Handle`] asks it for things; [`Events`] say what happens. Inside, one task owns the
//! core's state machine and everything around it, so that there are no locks and no races to think about:
//!
//! ```text
//! Handle ── requests ─► Runtime ── Input, Command ─► Node ── Output ─► World ─┬─► Network (libp2p)
//!    ▲                     ▲ ▲                                                ├─► Journal (redb)
//!    └────── Events ◄──────┼─┼────────────────────────────────────────────────┘
//!                          │ └── NetworkEvent
//!                          └──── what has become durable
//! ```
//!
//! Reading order: `runtime` for the loop, `host` for what the core asks for, `inputs` for what it is told, [`network`] and
//! [`journal`] for how it is done; [`recording`] for what is kept of it to be looked into later. Each of the last two can be used on its own, and both together as a [`World`] by whoever
//! drives a node without the runtime.

mod builder;
mod clock;
mod discovery;
mod event;
mod handle;
mod host;
mod inputs;
pub mod journal;
pub mod metrics;
mod names;
pub mod network;
pub mod recording;
mod runtime;

pub use self::{
    builder::{Builder, StartError, fresh_entropy},
    event::{Events, EventsError, NodeEvent},
    handle::{Handle, HandleError, NoSignature, Status, StopError},
    host::World,
};
pub use libp2p::{Multiaddr, PeerId, identity};
pub use nelumbo_core as core;
pub use nelumbo_core::api::NewSession;
pub use nelumbo_core::approval::{Summary, Unusual};
