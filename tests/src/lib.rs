//! Whole-product tests live in `tests/tests`. This library compiles and runs the code of the book, and holds what
//! several of those tests need.

use std::process::Command;

/// Cargo as a shell starts it. The cargo that runs a test tells it about the test's package in the environment, which
/// build scripts of libraries watch: half of the workspace would be compiled again, and again when a shell asks next.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)).for_each(|(name, _)| {
        cargo.env_remove(name);
    });
    cargo
}

/// The book's chapter on embedding the core.
#[doc = include_str!("../../docs/src/embedding.md")]
pub struct Embedding;

/// The book's chapter on embedding a node on libp2p and tokio.
#[doc = include_str!("../../docs/src/embedding-tokio.md")]
pub struct EmbeddingTokio;

/// The book's chapter on embedding the Lotus chain.
#[doc = include_str!("../../docs/src/embedding-chain.md")]
pub struct EmbeddingChain;

/// The book's chapter on discovery.
#[doc = include_str!("../../docs/src/discovery.md")]
pub struct Discovery;
