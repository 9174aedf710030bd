//! Sending transactions.
//!
//! Owns what comes of a broadcast. Invariant: whatever a server answers, a transaction that it then knows counts as
//! sent, so that sending twice, or again after a broken connection, is no error. Whoever has signed drives it.

use std::fmt;

use nelumbo_crypto::Suite;
use nelumbo_crypto::lotus::{Transaction, Txid};
use tokio::time::sleep;

use super::client::ChronikClient;
use super::error::{ChronikError, Failure};

/// That a transaction was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub txid: Txid,
    /// Whether the servers had it already, as after an earlier attempt or from another sender.
    pub was_known: bool,
}

/// Why a transaction was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// It is not taken.
    #[error("the transaction is not taken: {rejection}{}", By(.conflict))]
    Rejected {
        /// Why.
        rejection: Rejection,
        /// Another transaction that spends one of the inputs, if there is one.
        conflict: Option<Txid>,
    },
    /// Too few servers said anything usable. Whether it was sent is not known: sending it again does no harm.
    #[error("whether the transaction was sent is not known: {0}")]
    Unknown(ChronikError),
    /// There is nothing to send, or too much at once.
    #[error("send 1 to {limit} transactions at once, not {found}")]
    Count {
        /// How many at most.
        limit: usize,
        /// How many there are.
        found: usize,
    },
}

struct By<'a>(&'a Option<Txid>);

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |txid| write!(f, "; {txid} spends the same output"))
    }
}

impl BroadcastError {
    /// What to do.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Rejected { rejection, .. } => rejection.reason.advice(),
            Self::Unknown(_) => "send it again, or look whether it is there: its id does not change",
            Self::Count { .. } => "send fewer at once",
        }
    }
}

/// What a node says of a transaction that it does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// The same in the node's words, printable and short.
    pub text: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.text)
    }
}

/// Why a node does not take a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Another transaction that waits spends one of its inputs.
    #[error("another transaction that waits spends the same output")]
    Conflict,
    /// What it spends is not there.
    #[error("an output that it spends is not there, or spent")]
    InputsMissing,
    /// The fee is below what nodes pass on.
    #[error("the fee is too low")]
    FeeTooLow,
    /// The fee is above what nodes take for meant.
    #[error("the fee is too high")]
    FeeTooHigh,
    /// An output is worth less than it costs to spend.
    #[error("an output is too small")]
    Dust,
    /// It spends what a block created less than 100 blocks ago.
    #[error("it spends what a block created less than 100 blocks ago")]
    Immature,
    /// Its lock time or a relative lock is not over.
    #[error("its time has not come")]
    NotFinal,
    /// Too many transactions that wait depend on each other.
    #[error("it depends on too many transactions that wait")]
    TooLongChain,
    /// A signature or a script is wrong.
    #[error("a signature or script is not valid")]
    Script,
    /// Its form is not one that nodes pass on.
    #[error("its form is against the rules")]
    Form,
    /// It is in the chain already.
    #[error("it is in the chain already")]
    InChain,
    /// The node is full, or something else.
    #[error("the node refuses it")]
    Other,
}

impl Reason {
    /// What to do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Conflict => {
                "there is no replacing by a higher fee on Lotus: wait for the other transaction, or sign a new one \
                 with other inputs"
            }
            Self::InputsMissing => {
                "wait for the transactions before it, or look whether its inputs have been spent and sign a new one"
            }
            Self::FeeTooLow => "sign a new one with a fee of at least one satoshi per byte",
            Self::FeeTooHigh => "sign a new one with a lower fee; at most 10,000 satoshi per byte are passed on",
            Self::Dust => {
                "leave the output out or make it larger: 546 satoshi, 540 to a script hash, 579 to Taproot, 678 with \
                 state"
            }
            Self::Immature => "wait until there are 100 blocks on the block that created the output",
            Self::NotFinal => "send it again when its lock time, or the age that its inputs need, is reached",
            Self::TooLongChain => "wait until the transactions before it are in a block, then send it again",
            Self::Script => {
                "sign it again over the outputs that it really spends; from 2026-12-24 01:03 UTC nodes that are not \
                 updated accept only signatures with replay protection"
            }
            Self::Form => "build it anew: it has a size, version or script that nodes do not take",
            Self::InChain => "nothing is to be done",
            Self::Other => "try again later, or with another server",
        }
    }

    fn of(text: &str) -> Self {
        const WORDS: [(&str, Reason); 29] = [
            ("txn-mempool-conflict", Reason::Conflict),
            ("missingorspent", Reason::InputsMissing),
            ("missing inputs", Reason::InputsMissing),
            ("min relay fee not met", Reason::FeeTooLow),
            ("mempool min fee not met", Reason::FeeTooLow),
            ("insufficient priority", Reason::FeeTooLow),
            ("fee exceeds maximum", Reason::FeeTooHigh),
            ("absurdly-high-fee", Reason::FeeTooHigh),
            ("max-fee-exceeded", Reason::FeeTooHigh),
            ("dust", Reason::Dust),
            ("premature-spend-of-coinbase", Reason::Immature),
            ("non-final", Reason::NotFinal),
            ("nonfinal", Reason::NotFinal),
            ("non-bip68-final", Reason::NotFinal),
            ("too-long-mempool-chain", Reason::TooLongChain),
            ("already in block chain", Reason::InChain),
            ("txn-already-known", Reason::InChain),
            ("script-verify-flag", Reason::Script),
            ("tx decode failed", Reason::Form),
            ("bad-txns", Reason::Form),
            ("bad-tx-coinbase", Reason::Form),
            ("version", Reason::Form),
            ("tx-size", Reason::Form),
            ("scriptsig-not-pushonly", Reason::Form),
            ("scriptpubkey", Reason::Form),
            ("multi-op-return", Reason::Form),
            ("taproot-not-active-yet", Reason::NotFinal),
            ("invalid tx encoding", Reason::Form),
            ("invalid-tx-encoding", Reason::Form),
        ];
        let text = text.to_ascii_lowercase();
        WORDS.iter().find(|(words, _)| text.contains(words)).map_or(Self::Other, |(_, reason)| *reason)
    }
}

impl Rejection {
    /// What a failure says about the transaction; nothing when it is about the server.
    fn of(failure: &Failure) -> Option<Self> {
        let Failure::Refused { status: 400, code, message } = failure else { return None };
        let text = message.strip_prefix("Bitcoind rejected tx: ").unwrap_or(message).to_owned();
        let reason = Reason::of(&text);
        let is_about_it = code == "bitcoind-rejected-tx" || reason != Reason::Other;
        is_about_it.then_some(Self { reason, text })
    }
}

impl ChronikClient {
    /// The most transactions that [`Self::broadcast_all`] takes.
    pub const MAX_BROADCAST: usize = 50;

    /// Sends a signed transaction, to as many servers as have to agree. Whatever they answer, it counts as sent where
    /// it is known afterwards.
    ///
    /// That a server takes it is its word. What settles it is a block: see
    /// [`TransactionMonitor`](crate::TransactionMonitor).
    ///
    /// # Errors
    ///
    /// [`BroadcastError`].
    pub async fn broadcast(&self, transaction: &Transaction) -> Result<Sent, BroadcastError> {
        self.send(std::slice::from_ref(transaction)).await
    }

    /// Sends several signed transactions, all or none where the server keeps to it. Each is judged before any is sent,
    /// so none may spend another: send those one after the other. The result names the first.
    ///
    /// # Errors
    ///
    /// [`BroadcastError`].
    pub async fn broadcast_all(&self, transactions: &[Transaction]) -> Result<Sent, BroadcastError> {
        let (limit, found) = (Self::MAX_BROADCAST, transactions.len());
        if found == 0 || found > limit {
            return Err(BroadcastError::Count { limit, found });
        }
        self.send(transactions).await
    }

    async fn send(&self, transactions: &[Transaction]) -> Result<Sent, BroadcastError> {
        let shared = &self.shared;
        let raw: Vec<Vec<u8>> = transactions.iter().map(Transaction::to_bytes).collect();
        let txids: Vec<Txid> = transactions.iter().map(|each| each.txid(Suite::Lotus)).collect();
        let (mut taken, mut was_known) = (vec![false; shared.servers.len()], false);
        let mut rejections: Vec<Option<Rejection>> = vec![None; shared.servers.len()];
        let mut failures = Vec::new();
        for round in 0..shared.config.rounds.max(1) {
            if round > 0 {
                sleep(shared.pause(round)).await;
            }
            failures.clear();
            for index in shared.order() {
                if taken[index] || rejections[index].is_some() {
                    continue;
                }
                let server = &shared.servers[index];
                let answer = match (&raw[..], &txids[..]) {
                    ([raw], [txid]) => server.broadcast(raw.clone(), *txid).await,
                    _ => server.broadcast_all(raw.clone(), &txids).await,
                };
                match answer {
                    Ok(()) => taken[index] = true,
                    Err(failure) => {
                        // It may have arrived all the same, now or before.
                        let mut all_known = true;
                        for txid in &txids {
                            all_known = all_known && matches!(server.transaction(*txid).await, Ok(Some(_)));
                        }
                        if all_known {
                            (taken[index], was_known) = (true, true);
                        } else if let Some(rejection) = Rejection::of(&failure) {
                            rejections[index] = Some(rejection);
                        } else {
                            failures.push(shared.failed(index, failure));
                        }
                    }
                }
                if taken[index] {
                    shared.succeeded(index);
                }
                if taken.iter().filter(|taken| **taken).count() >= self.quorum() {
                    return Ok(Sent { txid: txids[0], was_known });
                }
            }
            if failures.is_empty() {
                break;
            }
        }
        if let Some(rejection) = rejections.into_iter().flatten().next() {
            let conflict = self.conflict(transactions).await;
            return Err(BroadcastError::Rejected { rejection, conflict });
        }
        let agreeing = taken.iter().filter(|taken| **taken).count();
        let (asked, quorum) = (taken.len(), self.quorum());
        Err(BroadcastError::Unknown(match agreeing {
            0 => ChronikError::Unavailable(failures),
            agreeing => ChronikError::Disagreement { agreeing, asked, quorum, failures },
        }))
    }

    /// Another transaction that spends what one of these spends; none where no server says so.
    async fn conflict(&self, transactions: &[Transaction]) -> Option<Txid> {
        for transaction in transactions {
            let conflict = self.ask(|server| async move { server.conflict(transaction).await }).await;
            if let Ok(Some(conflict)) = conflict {
                return Some(conflict);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of lotusd 11.4.14, as a Chronik server passes them on.
    #[test]
    fn the_words_of_nodes_are_understood() {
        let cases = [
            ("txn-mempool-conflict", Reason::Conflict),
            ("bad-txns-inputs-missingorspent", Reason::InputsMissing),
            ("min relay fee not met, 161 < 162", Reason::FeeTooLow),
            ("Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)", Reason::FeeTooHigh),
            ("dust", Reason::Dust),
            ("bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 3", Reason::Immature),
            ("bad-txns-nonfinal, non-final transaction", Reason::NotFinal),
            ("non-BIP68-final", Reason::NotFinal),
            ("too-long-mempool-chain, too many descendants", Reason::TooLongChain),
            ("Transaction already in block chain", Reason::InChain),
            ("mandatory-script-verify-flag-failed (Invalid Taproot key spend signature)", Reason::Script),
            ("bad-txns-undersize", Reason::Form),
            ("multi-op-return", Reason::Form),
            ("mempool full", Reason::Other),
        ];
        for (text, reason) in cases {
            let message = format!("Bitcoind rejected tx: {text}");
            let failure = Failure::Refused { status: 400, code: "bitcoind-rejected-tx".to_owned(), message };
            let rejection = Rejection { reason, text: text.to_owned() };
            assert_eq!(Rejection::of(&failure), Some(rejection), "{text}");
        }
        let about_the_server =
            Failure::Refused { status: 500, code: "internal-server-error".to_owned(), message: "dust".to_owned() };
        assert_eq!(Rejection::of(&about_the_server), None);
    }
}
