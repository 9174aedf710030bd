//! `nelumbo signers`: who offers to sign.

use clap::Args;
use nelumbo_core::api::Tier;
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::wire::TransactionType;
use serde::Deserialize;

use crate::control::{Request, Running};
use crate::failure::{Answer, Failure};
use crate::output;
use crate::values;

const EXAMPLES: &str = "\
Examples:
  nelumbo signers --type spend --amount 250000
  nelumbo signers --verified --min-reputation 60
  nelumbo signers --json | jq -r '.signers[].key'";

/// Finds signers: among those that the node knows, then in the network, for at most five seconds
///
/// What signers say about themselves is signed by them, and not checked by anyone. A reputation is what this node
/// itself has seen of a signer: 50 for whom it never signed with, more for sessions that completed, less for faults.
/// Offers that want verified creators are shown to a node that has an identity itself.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Signers {
    /// For this type: spend, swap, coinjoin, custody, escrow or channel
    #[arg(long = "type", value_name = "TYPE", value_parser = values::parsed::<TransactionType>)]
    kind: Option<TransactionType>,
    /// For this amount, in satoshi
    #[arg(long, value_name = "SAT")]
    amount: Option<u64>,
    /// With at least this reputation, 0 to 100
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    min_reputation: u8,
    /// Only those with an identity that money was burned for, which this node has verified
    #[arg(long)]
    verified: bool,
    /// No more than so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    max: usize,
    #[command(flatten)]
    node: Running,
}

/// What is shown of the answer. Texts are as they are shown, which can be longer than what was signed.
#[derive(Deserialize)]
struct Found {
    signers: Vec<Signer>,
}

#[derive(Deserialize)]
struct Signer {
    key: PublicKey,
    reputation: u8,
    identity: Option<Verified>,
    offer: Offered,
}

#[derive(Deserialize)]
struct Verified {
    tier: Tier,
}

#[derive(Deserialize)]
struct Offered {
    types: Vec<TransactionType>,
    min_amount: Option<u64>,
    max_amount: Option<u64>,
    fee: Option<u64>,
    nickname: String,
}

impl Signers {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let (kind, amount, min_reputation, max) = (self.kind, self.amount, self.min_reputation, self.max);
        let request = Request::Signers { kind, amount, min_reputation, max, verified: self.verified };
        self.node.ask(&request, |Found { signers }| {
            let rows: Vec<_> = signers
                .iter()
                .map(|signer| {
                    let offer = &signer.offer;
                    let types: Vec<&str> = offer.types.iter().map(|kind| kind.as_str()).collect();
                    let bound = |amount: Option<u64>| amount.map_or(String::new(), |amount| amount.to_string());
                    let amounts = format!("{}–{}", bound(offer.min_amount), bound(offer.max_amount));
                    let fee = offer.fee.map_or(String::new(), |fee| fee.to_string());
                    let reputation = signer.reputation.to_string();
                    let verified = match &signer.identity {
                        None => "",
                        Some(Verified { tier: Tier::Verified }) => "yes",
                        Some(Verified { tier: Tier::Institutional }) => "institutional",
                    };
                    let (key, types, name) = (signer.key.to_string(), types.join(","), offer.nickname.clone());
                    [key, types, amounts, fee, reputation, verified.to_owned(), name]
                })
                .collect();
            output::columns(["KEY", "SIGNS FOR", "AMOUNT", "FEE", "REPUTATION", "VERIFIED", "NAME"], &rows)
        })?;
        Ok(Answer::Yes)
    }
}
