//! Whole-product tests live in `tests/tests`. This library compiles and runs the code of the book.

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
