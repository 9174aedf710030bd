//! Waiting for a transaction, and for what happens at an address.
//!
//! Owns no state: what is told is asked for anew each time, with the quorum of the client. Invariant: a transaction
//! counts as confirmed only when its block was looked into and has as many blocks on it as were wanted, whatever
//! happened before; a reorganisation sets the count back, and the waiting goes on. Wallets and signers drive it.

use std::time::Duration;

use nelumbo_crypto::Network;
use nelumbo_crypto::lotus::{Address, Txid};
use tokio::time::{Instant, timeout_at};

use crate::chronik::{BlockId, ChainEvent, ChronikClient, ChronikError, Since, Status, Watch, Watched};

/// Where a transaction is, deep enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The transaction.
    pub txid: Txid,
    /// Its block.
    pub block: BlockId,
    /// How many blocks there are from this one on.
    pub confirmations: u32,
}

/// Why a transaction is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// The time is over.
    #[error("{txid} does not have {wanted} confirmations in time; it {}", said(.last))]
    Timeout {
        /// The transaction.
        txid: Txid,
        /// How many confirmations were wanted.
        wanted: u32,
        /// What was known of it last, or why nothing was.
        last: Result<Status, ChronikError>,
    },
    /// Another transaction spends the same output, and has as many confirmations as were wanted.
    #[error("{txid} cannot be confirmed: {by}, which spends the same output, is in block {}", .block.height)]
    Conflict {
        /// The transaction.
        txid: Txid,
        /// The other one.
        by: Txid,
        /// The block of the other one.
        block: BlockId,
    },
    /// The address is of another network.
    #[error("the address is of {address}, the servers are of {servers}; take an address of {servers}")]
    Network {
        /// That of the address.
        address: Network,
        /// That of the client.
        servers: Network,
    },
    /// The transaction is confirmed when it has at least one confirmation.
    #[error("a transaction is confirmed with 1 confirmation or more, not with 0")]
    NoConfirmations,
}

fn said(last: &Result<Status, ChronikError>) -> String {
    match last {
        Ok(Status::Unknown) => "is not known: send it again".to_owned(),
        Ok(Status::Waiting) => "waits: wait longer, or spend an output of it with a fee for both".to_owned(),
        Ok(Status::Confirmed { block, confirmations }) => {
            format!("has {confirmations}, in block {}: wait longer", block.height)
        }
        Err(error) => format!("could not be looked up: {error}; {}", error.remedy()),
    }
}

/// Waits for transactions and watches addresses.
#[derive(Clone, Debug)]
pub struct TransactionMonitor {
    client: ChronikClient,
}

impl TransactionMonitor {
    /// A monitor that asks through this client, with its quorum.
    #[must_use]
    pub fn new(client: ChronikClient) -> Self {
        Self { client }
    }

    /// Waits until a transaction is in the chain with so many confirmations, over reorganisations and failing servers.
    /// The transaction need not be known yet.
    ///
    /// # Errors
    ///
    /// [`MonitorError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn wait_for_confirmation(
        &self,
        txid: Txid,
        confirmations: u32,
        timeout: Duration,
    ) -> Result<Confirmation, MonitorError> {
        if confirmations == 0 {
            return Err(MonitorError::NoConfirmations);
        }
        let wanted = confirmations;
        let deadline = Instant::now() + timeout;
        let mut watch = self.client.watch(Watched { txids: vec![txid], ..Watched::default() });
        let (mut last, mut conflict) = (Ok(Status::Unknown), None);
        loop {
            let over = MonitorError::Timeout { txid, wanted, last: last.clone() };
            last = timeout_at(deadline, self.client.status(txid)).await.map_err(|_| over)?;
            if let Ok(Status::Confirmed { block, confirmations }) = last
                && confirmations >= wanted
            {
                return Ok(Confirmation { txid, block, confirmations });
            }
            let over = || MonitorError::Timeout { txid, wanted, last: last.clone() };
            if let (Ok(Status::Unknown), Some(by)) = (&last, conflict) {
                let other = timeout_at(deadline, self.client.status(by)).await.map_err(|_| over())?;
                if let Ok(Status::Confirmed { block, confirmations }) = other
                    && confirmations >= wanted
                {
                    return Err(MonitorError::Conflict { txid, by, block });
                }
            }
            // Blocks come as events, and a look of its own makes up for those that are missed.
            let look = Instant::now() + self.client.poll_interval();
            match timeout_at(deadline.min(look), watch.next()).await {
                Ok(Some(ChainEvent::Removed { conflict: Some(by), .. })) => conflict = Some(by),
                Ok(None) => return Err(over()),
                Ok(Some(_)) => {}
                Err(_) if Instant::now() >= deadline => return Err(over()),
                Err(_) => {}
            }
        }
    }

    /// Tells what happens to transactions that pay to an address or spend from it, beginning with what waits now.
    ///
    /// # Errors
    ///
    /// [`MonitorError::Network`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn monitor_address(&self, address: &Address, since: Since) -> Result<Watch, MonitorError> {
        let error = MonitorError::Network { address: address.network, servers: self.client.network() };
        let script = self.client.script_of(address).ok_or(error)?;
        Ok(self.client.watch(Watched { scripts: vec![script], since, ..Watched::default() }))
    }
}
