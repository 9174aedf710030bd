//! What an owner of money has on the chain.
//!
//! Owns which outputs can be spent. The commands about money drive it, and a node that is asked for a balance.

use nelumbo_chain::ScriptPayload;
use nelumbo_chain::chronik::{ChronikClient, ChronikError, Unspent};
use nelumbo_chain::ledger::COINBASE_MATURITY;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::group::Name;

/// What an owner has.
pub(crate) struct Holdings {
    pub(crate) spendable: Vec<Unspent>,
    /// Too young, or with a state.
    others: Vec<Unspent>,
}

/// The same in satoshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Sums {
    pub(crate) spendable: u64,
    /// Of all, what is in no block yet.
    pub(crate) unconfirmed: u64,
    pub(crate) total: u64,
    /// In how many outputs the spendable is.
    pub(crate) outputs: usize,
}

/// The same, with whose it is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<Name>,
    pub(crate) address: String,
    #[serde(flatten)]
    pub(crate) sums: Sums,
}

impl Holdings {
    /// What the owner of this script has now; servers find it by its payload.
    pub(crate) async fn of(client: &ChronikClient, own: &[u8], script: &ScriptPayload) -> Result<Self, ChronikError> {
        let unspent = client.utxos(script).await?;
        let tip = client.tip().await?.map_or(0, |tip| tip.height);
        let is_mature = |height: Option<u32>| height.is_some_and(|height| tip + 1 >= height + COINBASE_MATURITY);
        let can_be_spent = |coin: &Unspent| {
            coin.output.script_pubkey == own && (!coin.is_coinbase || is_mature(coin.block.map(|block| block.height)))
        };
        let (spendable, others) = unspent.into_iter().partition(can_be_spent);
        Ok(Self { spendable, others })
    }

    pub(crate) fn sums(&self) -> Sums {
        let sum = |coins: &mut dyn Iterator<Item = &Unspent>| coins.map(|coin| coin.output.value).sum::<u64>();
        let all = || self.spendable.iter().chain(&self.others);
        Sums {
            spendable: sum(&mut self.spendable.iter()),
            unconfirmed: sum(&mut all().filter(|coin| coin.block.is_none())),
            total: sum(&mut all()),
            outputs: self.spendable.len(),
        }
    }

    /// For people.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let Sums { spendable, unconfirmed, total, outputs } = self.sums();
        let mut rows = vec![("spendable", format!("{}, in {outputs} outputs", xpi(spendable)))];
        if unconfirmed > 0 {
            rows.push(("of that unconfirmed", xpi(unconfirmed)));
        }
        if total > spendable {
            rows.push(("not spendable yet", xpi(total - spendable)));
        }
        rows
    }
}

/// An amount as people write it.
pub(crate) fn xpi(satoshi: u64) -> String {
    let (whole, part) = (satoshi / 1_000_000, satoshi % 1_000_000);
    let part = format!("{part:06}");
    match part.trim_end_matches('0') {
        "" => format!("{whole} XPI"),
        part => format!("{whole}.{part} XPI"),
    }
}
