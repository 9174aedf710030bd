//! nelumbo on libp2p and tokio: a real network, a durable journal, an async handle.
//!
//! ```
//! use nelumbo_tokio::{
//!     Builder, NodeEvent,
//!     core::{
//!         api::Config,
//!         crypto::{Network, SecretKey},
//!     },
//!     fresh_entropy,
//!     network::NetworkConfig,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let key = SecretKey::generate(&mut fresh_entropy()?);
//! let network = NetworkConfig::full().listen_on("/ip4/127.0.0.1/tcp/0".parse()?);
//! let (node, mut events) = Builder::with_key(Config::new(Network::Regtest), network, folder, key)?.start()?;
//! while let Ok(event) = events.next().await {
//!     match event {
//!         NodeEvent::Listening { address } => {
//!             println!("{} signs for {} at {address}", node.peer(), node.key());
//!             # let node = node.clone();
//!             // Here it would `create` sessions, or `join` those that others announce.
//!             tokio::spawn(async move { node.stop().await });
//!         }
//!         NodeEvent::Stopped { error } => assert_eq!(error, None),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Builder`] starts a node; a [`Handle`] asks it for things; [`Events`] say what happens. `examples/sign.rs` has
//! three nodes that sign together, and the book a chapter on embedding. Inside, one task owns the core's state machine
//! and everything around it, so that there are no locks and no races to think about:
//!
//! ```text
//! Handle ── requests ─► Runtime ── Input, Command ─► Node ── Output ─► Libp2pHost ─┬─► Network (libp2p)
//!    ▲                     ▲ ▲                                                     ├─► Journal (redb)
//!    └────── Events ◄──────┼─┼─────────────────────────────────────────────────────┘
//!                          │ └── NetworkEvent
//!                          └──── what has become durable
//! ```
//!
//! Reading order: `runtime` for the loop, `host` for the core's outputs, `inputs` for its inputs, [`network`] and
//! [`journal`] for how things are done, [`recording`] for recordings of live nodes. [`network`] and [`journal`] can be
//! used alone, and both together as a [`Libp2pHost`] by whoever drives a node without the runtime.

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
mod panics;
mod reachability;
pub mod recording;
mod runtime;

pub use self::{
    builder::{Builder, StartError, SystemEntropy, fresh_entropy},
    event::{Events, EventsError, NodeEvent},
    handle::{Ended, Handle, HandleError, NoSignature, Status, StopError},
    host::Libp2pHost,
    reachability::{Reachability, Reached},
};
pub use libp2p::{Multiaddr, PeerId, identity};
pub use nelumbo_core as core;
pub use nelumbo_core::api::NewSession;
pub use nelumbo_core::approval::{Summary, Unusual};
