//! What goes wrong with servers, and what to do about it.
//!
//! Owns the kinds of errors. Invariant: what a server says appears only as a short text of printable ASCII. The client
//! and whoever watches through it drive this.

use std::fmt;

use nelumbo_crypto::lotus::{TransactionError, Txid};

use super::types::BlockId;

/// Why a configuration is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no server.
    #[error("no server is given; name at least one, such as https://chronik.lotusia.org")]
    NoServers,
    /// The text is no address of a server.
    #[error("{text:?} is no address of a Chronik server ({reason}); write it as https://chronik.example.org")]
    Url {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One server is listed twice, so that its word would count twice.
    #[error("{0} is listed twice; its word would count twice")]
    Twice(String),
    /// More servers have to agree than there are, or none.
    #[error("{quorum} of {servers} servers cannot agree; ask for 1 to {servers}")]
    Quorum {
        /// How many have to agree.
        quorum: usize,
        /// How many there are.
        servers: usize,
    },
    /// The HTTP client does not start.
    #[error("the HTTP client does not start: {0}")]
    Http(String),
}

/// Why no answer can be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChronikError {
    /// No server gave an answer that one could believe, over all rounds.
    #[error("no Chronik server gave a usable answer: {}", List(.0))]
    Unavailable(Vec<(String, Failure)>),
    /// Fewer servers said the same than have to.
    #[error("{agreeing} of {asked} servers agree where {quorum} have to{}", Others(.failures))]
    Disagreement {
        /// The most that said the same.
        agreeing: usize,
        /// How many were asked.
        asked: usize,
        /// How many have to say the same.
        quorum: usize,
        /// What the others did instead of answering.
        failures: Vec<(String, Failure)>,
    },
    /// The request asks for more than one answer can hold.
    #[error("{what}: at most {limit} at once; ask several times")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}

impl ChronikError {
    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unavailable(failures) => failures.first().map_or("name a server", |(_, failure)| failure.remedy()),
            Self::Disagreement { .. } => {
                "servers that are behind catch up within minutes: try again; if it stays, look at the chain elsewhere \
                 and remove the servers that are wrong"
            }
            Self::TooMuch { .. } => "ask for less at once",
        }
    }
}

struct List<'a>(&'a [(String, Failure)]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (server, failure)) in self.0.iter().enumerate() {
            write!(f, "{}{server}: {failure}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

struct Others<'a>(&'a [(String, Failure)]);

impl fmt::Display for Others<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; {}", List(self.0)) }
    }
}

/// Why one server gave no answer that one could believe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// There is no connection, or none that is secure.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The connection ended in the middle of the answer.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// An answer, or several together, are longer than what is held.
    #[error("more than {limit} bytes are in the answer")]
    TooLarge {
        /// How many bytes are held.
        limit: usize,
    },
    /// The answer is of another kind, as from a proxy or a wrong address.
    #[error("the answer has the content type {0:?}, not that of Chronik")]
    ContentType(String),
    /// The answer is compressed, which was not asked for.
    #[error("the answer is compressed, which was not asked for")]
    Compressed,
    /// The server says that it cannot.
    #[error("status {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code of the error, such as `internal-server-error`.
        code: String,
        /// The same for people.
        message: String,
    },
    /// The answer is no message of Chronik.
    #[error("the answer is no message of Chronik")]
    Undecodable,
    /// The answer cannot be true.
    #[error("the answer is false: {0}")]
    False(#[from] Fault),
    /// A watched script has more transactions than are kept in memory.
    #[error("a script has more than {limit} transactions that are news")]
    TooMuch {
        /// How many are kept.
        limit: usize,
    },
    /// The chain of the server ends in what is known as an earlier block.
    #[error("the server is behind, at height {0}")]
    Behind(u32),
    /// The chain changed each time while it was looked at.
    #[error("the chain changed while it was looked at")]
    Unsteady,
}

impl Failure {
    /// The names of all kinds.
    pub(super) const KINDS: [&'static str; 12] = [
        "connect",
        "timeout",
        "broken",
        "too-large",
        "content-type",
        "compressed",
        "refused",
        "undecodable",
        "false",
        "too-much",
        "behind",
        "unsteady",
    ];

    /// Its kind's name, for those who count.
    pub(super) fn kind(&self) -> &'static str {
        Self::KINDS[match self {
            Self::Connect(_) => 0,
            Self::Timeout => 1,
            Self::Broken(_) => 2,
            Self::TooLarge { .. } => 3,
            Self::ContentType(_) => 4,
            Self::Compressed => 5,
            Self::Refused { .. } => 6,
            Self::Undecodable => 7,
            Self::False(_) => 8,
            Self::TooMuch { .. } => 9,
            Self::Behind(_) => 10,
            Self::Unsteady => 11,
        }]
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Connect(_) => "check the address of the server and the network, or name another server",
            Self::Timeout | Self::Broken(_) => "try again, or name a server that is closer or less busy",
            Self::TooLarge { .. } => "ask for less at once, or raise max_response_bytes",
            Self::ContentType(_) | Self::Undecodable => {
                "the address is probably not that of a Chronik server for Lotus; servers for eCash speak another \
                 dialect"
            }
            Self::Compressed => "a proxy between compresses; reach the server without it",
            Self::Refused { status: 500.., .. } => "the server has a fault of its own: try again, or name another one",
            Self::Refused { .. } => "the server does not take this request: name another one",
            Self::False(_) => "do not trust this server: remove it, and compare with others by a quorum",
            Self::Behind(_) => "wait until the server has caught up, or name another one",
            Self::TooMuch { .. } => "watch from a later height on, or raise max_history",
            Self::Unsteady => "try again",
        }
    }

    /// Whether the server is to be avoided for long, since it says what is not.
    pub(crate) fn is_lie(&self) -> bool {
        matches!(self, Self::False(_) | Self::Compressed)
    }
}

/// What is false in an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It is about another coin. One that is not named is Bitcoin Cash.
    #[error("it is about network {0}, not XPI")]
    Network(i32),
    /// A hash or an id does not have 32 bytes, or a part is missing.
    #[error("{0} is missing or has the wrong length")]
    Missing(&'static str),
    /// The content has another id than it is said to have, or than was asked for.
    #[error("the content is not that of {0}")]
    Id(String),
    /// Bytes are no transaction.
    #[error("it is no transaction: {0}")]
    Transaction(#[from] TransactionError),
    /// An amount is negative, more than there is, or more than comes in.
    #[error("an amount is out of range")]
    Amount,
    /// A size is not that of the content.
    #[error("the size is wrong")]
    Size,
    /// A coinbase is said to be none, or something else to be one.
    #[error("what is a coinbase is not said to be one, or the other way round")]
    Coinbase,
    /// A height cannot be.
    #[error("height {0} cannot be")]
    Height(i64),
    /// A time cannot be.
    #[error("time {0} cannot be")]
    Time(i64),
    /// Something does not belong to what was asked.
    #[error("{0} does not belong to what was asked")]
    Foreign(&'static str),
    /// Something is there twice.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// There is more, or less, than there can be.
    #[error("the number of {0} cannot be")]
    Count(&'static str),
    /// Blocks do not follow on each other, or a header is not that of its block.
    #[error("the block at height {0} does not fit those around it, its header or its content")]
    Block(u32),
    /// A transaction is not in the block in which it is said to be, or that block is not in the chain.
    #[error("{0} is not in the block at height {height}", height = .1.height)]
    NotInBlock(Txid, BlockId),
    /// What was in the chain is gone, while its block is still there.
    #[error("{0} is gone from a block that is still in the chain")]
    Gone(Txid),
    /// Two answers of the server, or an answer and a transaction, say different things.
    #[error("two answers say different things about {0}")]
    Contradiction(&'static str),
    /// The chain has nothing in common with what is known of the last blocks.
    #[error("the chain of the server forks off below height {0}")]
    ForkTooDeep(u32),
}

/// The beginning of what others say, as printable ASCII.
pub(crate) fn harmless(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut out = String::new();
    for character in text.chars() {
        if out.len() >= LONGEST {
            out.push_str("...");
            break;
        }
        if character == ' ' || character.is_ascii_graphic() {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_is_short_and_printable() {
        let said = harmless(&format!("a\u{1b}[2Jb\u{202e}c {}", "x".repeat(1_000_000)));
        assert!(said.starts_with("a\\u{1b}[2Jb\\u{202e}c x") && said.ends_with("x...") && said.len() < 220);
    }

    #[test]
    fn errors_say_who_did_what_and_what_to_do() {
        let failures = vec![("https://a".to_owned(), Failure::Timeout), ("https://b".to_owned(), Fault::Amount.into())];
        let error = ChronikError::Unavailable(failures);
        let text = "no Chronik server gave a usable answer: https://a: no answer in time; \
                    https://b: the answer is false: an amount is out of range";
        assert_eq!(error.to_string(), text);
        assert!(error.remedy().starts_with("try again"));
    }
}
