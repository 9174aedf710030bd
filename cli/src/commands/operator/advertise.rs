//! `nelumbo advertise`: the offer to sign with others.

use clap::Args;
use nelumbo_core::wire::{Offer, TransactionType};
use nelumbo_simulator::settings::Time;

use crate::control::{Done, Request, Running};
use crate::failure::{Answer, Failure};
use crate::values;

const EXAMPLES: &str = "\
Examples:
  nelumbo advertise --type spend --max-amount 1000000
  nelumbo advertise --type escrow --type custody --fee 500 --nickname \"Ada\" --description \"within the hour\"
  nelumbo advertise --type custody --lifetime '6 h'
  nelumbo advertise --withdraw";

/// Offers to sign, in public: everyone can find this node's key and what it signs for
///
/// The offer holds over restarts, is renewed before it expires, and replaces the one before. All of it is signed.
/// Nobody is obliged by it: every session still has to be approved.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Advertise {
    /// What it signs for: spend, swap, coinjoin, custody, escrow or channel; may be given several times
    #[arg(long = "type", value_name = "TYPE", value_parser = values::parsed::<TransactionType>,
        required_unless_present = "withdraw")]
    types: Vec<TransactionType>,
    /// The smallest amount, in satoshi
    #[arg(long, value_name = "SAT")]
    min_amount: Option<u64>,
    /// The largest amount, in satoshi
    #[arg(long, value_name = "SAT")]
    max_amount: Option<u64>,
    /// What it charges, in satoshi
    #[arg(long, value_name = "SAT")]
    fee: Option<u64>,
    /// How soon it usually answers, in seconds
    #[arg(long, value_name = "S")]
    response_seconds: Option<u32>,
    /// Declines requests of creators whose reputation with this node, 0 to 100, is below; whoever it never signed
    /// with has 50
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u8).range(..=100))]
    min_reputation: Option<u8>,
    /// Declines requests of creators without an identity that money was burned for; see `nelumbo identity verify`
    #[arg(long)]
    requires_verification: bool,
    /// What it wants to be called
    #[arg(long, value_name = "TEXT", default_value = "")]
    nickname: String,
    /// What it has to say about itself
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// For how long each advertisement of it is valid, such as '6 h', which is renewed after half of that as long as
    /// the node runs: 5 min to 7 d; by default as config.toml says in `protocol.advertisement-lifetime`
    #[arg(long, value_name = "TIME", value_parser = values::parsed::<Time>)]
    lifetime: Option<Time>,
    /// Takes the offer back instead
    #[arg(long, conflicts_with = "types")]
    withdraw: bool,
    #[command(flatten)]
    node: Running,
}

impl Advertise {
    pub(super) fn run(mut self) -> Result<Answer, Failure> {
        let request = if self.withdraw {
            Request::Withdraw {}
        } else {
            self.types.sort_unstable();
            self.types.dedup();
            let offer = Offer {
                types: self.types,
                min_amount: self.min_amount,
                max_amount: self.max_amount,
                min_reputation: self.min_reputation,
                requires_verification: self.requires_verification,
                nickname: values::text(&self.nickname)?,
                description: values::text(&self.description)?,
                fee: self.fee,
                response_seconds: self.response_seconds,
            };
            offer.check().map_err(|error| Failure::input(error, "see --help"))?;
            let lifetime_seconds = self.lifetime.map(|Time(lifetime)| lifetime.as_secs());
            Request::Advertise { offer: Box::new(offer), lifetime_seconds }
        };
        self.node.ask(&request, |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}
