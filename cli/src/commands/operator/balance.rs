//! `nelumbo balance`, `nelumbo history` and `nelumbo receive`: what a group has, had and gets.

use clap::Args;
use nelumbo_chain::chronik::ChainTx;
use serde_json::json;

use super::money::OfGroup;
use crate::failure::{Answer, Failure};
use crate::holdings::{Shown, xpi};
use crate::output;

/// Shows what a group can spend, and what it waits for
///
/// Asks the servers that `chain` in config.toml names.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo balance family\n  nelumbo balance family --json | jq .spendable")]
pub(crate) struct Balance {
    #[command(flatten)]
    of: OfGroup,
}

impl Balance {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let (group, wallet) = self.of.wallet()?;
        let holdings = wallet.holdings()?;
        if self.of.node.json {
            let (name, address, sums) = (self.of.name, group.address(), holdings.sums());
            output::json(&Shown { group: Some(name), address, sums })?;
        } else {
            output::table(&holdings.rows())?;
        }
        Ok(Answer::Yes)
    }
}

/// Lists what a group was paid and has paid, the newest first
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo history family\n  nelumbo history family --json | jq '.transactions[0]'")]
pub(crate) struct History {
    #[command(flatten)]
    of: OfGroup,
}

impl History {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let (_, wallet) = self.of.wallet()?;
        let transactions = wallet.ask(async {
            let mut transactions = Vec::new();
            for transaction in wallet.client.history(&wallet.script).await? {
                let spent = wallet.client.spent_outputs(&transaction.transaction).await?;
                transactions.push((transaction, spent));
            }
            Ok(transactions)
        })?;
        let own = |outputs: &[nelumbo_core::crypto::lotus::TxOutput]| -> i128 {
            let own = outputs.iter().filter(|output| output.script_pubkey == wallet.own);
            own.map(|output| i128::from(output.value)).sum()
        };
        let rows: Vec<(&ChainTx, i128)> = transactions
            .iter()
            .map(|(transaction, spent)| (transaction, own(&transaction.transaction.outputs) - own(spent)))
            .collect();
        if self.of.node.json {
            let rows: Vec<_> = rows
                .iter()
                .map(|(transaction, change)| {
                    json!({
                        "txid": transaction.txid.to_string(),
                        "height": transaction.block.map(|block| block.height),
                        "time": transaction.block_time,
                        "change": i64::try_from(*change).unwrap_or_default(),
                    })
                })
                .collect();
            output::json(&json!({ "group": self.of.name, "transactions": rows }))?;
        } else {
            let row = |(transaction, change): &(&ChainTx, i128)| {
                let amount = xpi(u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX));
                let block = transaction.block.map_or_else(|| "waits".to_owned(), |block| block.height.to_string());
                [block, format!("{}{amount}", if *change < 0 { "-" } else { "+" }), transaction.txid.to_string()]
            };
            output::columns(["BLOCK", "CHANGE", "TRANSACTION"], &rows.iter().map(row).collect::<Vec<_>>())?;
        }
        Ok(Answer::Yes)
    }
}

/// Prints the address where a group is paid
///
/// It is the same at all members, and always the same: compare it with what another member sees before it is used.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo receive family")]
pub(crate) struct Receive {
    #[command(flatten)]
    of: OfGroup,
}

impl Receive {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let address = self.of.group()?.address();
        if self.of.node.json {
            output::json(&json!({ "group": self.of.name, "address": address }))?;
        } else {
            output::line(address)?;
        }
        Ok(Answer::Yes)
    }
}
