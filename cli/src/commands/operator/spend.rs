//! `nelumbo spend`: a group pays. `nelumbo recover`: one member takes what the others left behind.

use clap::Args;
use nelumbo_chain::build::{self, BuildError, Coin, FeeRate, Payment, Selection, Unlock, Unsigned};
use nelumbo_chain::crypto::lotus::{OutPoint, Transaction, TxOutput, Txid};
use nelumbo_core::crypto::{KeyAggContext, SecretKey, Suite, schnorr};
use nelumbo_core::election::Method;
use nelumbo_core::wire::TransactionType;
use serde_json::json;

use super::money::{Fee, OfGroup, Payee, Wallet, payee};
use crate::control::{Created, NewSession, Request};
use crate::failure::{Answer, Failure};
use crate::holdings::xpi;
use crate::passphrase::PassphraseSource;
use crate::spending::SpendingFile;
use crate::summary::Allowed;
use crate::{key_file, output, values};

const SPEND: &str = "\
Examples:
  nelumbo spend family --to ADDRESS=25.5
  nelumbo spend family --to ADDRESS=1 --to ADDRESS=2 --fee-rate 2 --description \"rent and water\"
  nelumbo spend family --to ADDRESS=25.5 --json | jq -r .session

The other members see the request with `nelumbo requests` and approve it with `nelumbo approve`. When all have, one of
the nodes broadcasts the transaction by itself, and another one if that node vanishes. `nelumbo events --follow` tells
payment-broadcast, payment-seen and payment-confirmed.";

/// Pays from a group: builds the transaction, and asks the other members to sign it
///
/// Chooses what is spent, returns the rest to the group, pays the fee of the exact size, and signs all inputs in one
/// session.
#[derive(Args, Debug)]
#[command(after_help = SPEND)]
pub(crate) struct Spend {
    #[command(flatten)]
    of: OfGroup,
    /// Who is paid how much: an address, and XPI with up to six decimals, or satoshi with sat behind; may be given
    /// several times
    #[arg(long = "to", value_name = "ADDRESS=AMOUNT", required = true, value_parser = payee)]
    to: Vec<Payee>,
    #[command(flatten)]
    fee: Fee,
    /// Spends these outputs, all of them, instead of those that fit: transaction and index
    #[arg(long = "from", value_name = "TXID:INDEX", value_parser = outpoint)]
    from: Vec<OutPoint>,
    /// What the others are told about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// How the signer who broadcasts is chosen; by default as config.toml of the node says
    #[arg(long, value_parser = values::method())]
    election: Option<Method>,
    #[command(flatten)]
    allowed: Allowed,
}

impl Spend {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let (group, wallet) = self.of.wallet()?;
        let outputs = self.to.iter().map(|payee| payee.output(wallet.network)).collect::<Result<_, _>>()?;
        let unsigned = wallet.build(outputs, self.fee.rate, &self.from, Unlock::KeyPath)?;
        let session = NewSession {
            suite: group.suite,
            tweak: group.tweak(),
            keys: group.keys,
            message: String::new(),
            election: self.election,
            kind: Some(TransactionType::Spend),
            description: values::text(&self.description)?,
            spending: Some(SpendingFile::new(&unsigned, wallet.replay_protection()?)),
            listed: false,
            lifetime_seconds: None,
            allow: self.allowed.names.into_iter().collect(),
        };
        let Created { session, link } = self.of.node.connect()?.get(&Request::Create(Box::new(session)))?;
        let txid = unsigned.transaction.txid(Suite::Lotus).to_string();
        if self.of.node.json {
            output::json(&json!({
                "session": session, "link": link, "txid": txid, "fee": unsigned.fee, "size": unsigned.size,
                "inputs": unsigned.spent.len(),
            }))?;
        } else {
            output::table(&[
                ("session", session.to_string()),
                ("link", link.to_string()),
                ("transaction", txid),
                ("inputs", unsigned.spent.len().to_string()),
                ("fee", format!("{}, for {} bytes", xpi(unsigned.fee), unsigned.size)),
            ])?;
        }
        Ok(Answer::Yes)
    }
}

const RECOVER: &str = "\
Examples:
  nelumbo recover family --to ADDRESS

Takes everything that has waited for the group's delay, and broadcasts at once: no other member is asked.";

/// Takes a group's money alone, with the key that its recovery names, after its delay
///
/// For groups that were created with --recovery, when a member has vanished.
#[derive(Args, Debug)]
#[command(after_help = RECOVER)]
pub(crate) struct Recover {
    #[command(flatten)]
    of: OfGroup,
    /// The address that gets everything
    #[arg(long = "to", value_name = "ADDRESS")]
    to: nelumbo_core::crypto::lotus::Address,
    #[command(flatten)]
    fee: Fee,
    #[command(flatten)]
    passphrase: PassphraseSource,
}

impl Recover {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let (group, wallet) = self.of.wallet()?;
        let recovery = group.leaf().ok_or_else(|| {
            Failure::input(
                format_args!("the group {} has no recovery", self.of.name),
                "all of its keys are needed; such a group is made with --recovery",
            )
        })?;
        let file = key_file::read(&self.of.node.folder()?.key())?;
        if file.public_key != recovery.key {
            return Err(Failure::input(
                format_args!("only {} may recover the money of {}", recovery.key, self.of.name),
                "run it with the --data of the node that has this key",
            ));
        }
        let aggregate = KeyAggContext::new(group.suite, &group.keys);
        let internal_key = aggregate.expect("a group's keys aggregate").aggregate_key();
        if self.to.network != wallet.network {
            return Err(Failure::input("the address is of another network", "give one of the group's network"));
        }
        let coins = wallet.coins(Unlock::Recovery { recovery, internal_key })?;
        let mut payment = Payment::new(Vec::new(), self.to.script_pubkey());
        (payment.fee_rate, payment.selection) = (self.fee.rate, Selection::All);
        let unsigned = build::build(&coins, &payment).map_err(|error| cannot_build(&error))?;
        wallet.send(&unsigned, &file.unlock(&self.passphrase)?, self.of.node.json)?;
        Ok(Answer::Yes)
    }
}

impl Wallet {
    pub(super) fn build(
        &self,
        outputs: Vec<TxOutput>,
        rate: FeeRate,
        from: &[OutPoint],
        unlock: Unlock,
    ) -> Result<Unsigned, Failure> {
        let mut coins = self.coins(unlock)?;
        let mut payment = Payment::new(outputs, self.own.clone());
        payment.fee_rate = rate;
        if !from.is_empty() {
            let known = |outpoint: &&OutPoint| coins.iter().any(|coin: &Coin| coin.outpoint == **outpoint);
            if let Some(missing) = from.iter().find(|outpoint| !known(outpoint)) {
                return Err(Failure::input(
                    format_args!("{}:{} cannot be spent", missing.txid, missing.index),
                    "`nelumbo history` shows its transactions; what is spent or too young cannot be given",
                ));
            }
            coins.retain(|coin| from.contains(&coin.outpoint));
            payment.selection = Selection::All;
        }
        build::build(&coins, &payment).map_err(|error| cannot_build(&error))
    }

    /// Signs with one key, broadcasts, and says so.
    pub(super) fn send(&self, unsigned: &Unsigned, key: &SecretKey, json: bool) -> Result<(), Failure> {
        let transaction = self.sign(unsigned, key)?;
        let sent = self.run(self.client.broadcast(&transaction));
        let sent = sent.map_err(|error| Failure::unmet(&error, error.advice()))?;
        if json {
            output::json(&json!({ "txid": sent.txid.to_string(), "fee": unsigned.fee, "size": unsigned.size }))
        } else {
            output::table(&[("transaction", sent.txid.to_string()), ("fee", xpi(unsigned.fee))])
        }
    }

    /// Signs with one key.
    pub(super) fn sign(&self, unsigned: &Unsigned, key: &SecretKey) -> Result<Transaction, Failure> {
        let sign = |digest: [u8; 32]| {
            let hedge = nelumbo_tokio::fresh_entropy().ok().map(|mut entropy| entropy.bytes32());
            schnorr::sign(Suite::Lotus, key, &digest, hedge).expect("a digest has 32 bytes")
        };
        let signatures: Vec<_> = unsigned.digests(self.replay_protection()?).into_iter().map(sign).collect();
        unsigned.finalize(&signatures).map_err(|error| cannot_build(&error))
    }
}

pub(super) fn cannot_build(error: &BuildError) -> Failure {
    let remedy = match error {
        BuildError::Insufficient { .. } => {
            "pay less, or wait for more: `nelumbo receive` and `nelumbo wallet address` show where to pay"
        }
        BuildError::Dust { .. } => "pay more, or leave this payment out",
        _ => "change what is paid, or --from",
    };
    Failure::unmet(error, remedy)
}

pub(super) fn outpoint(text: &str) -> Result<OutPoint, String> {
    let wrong = || format!("{text:?} is no output; write the transaction's id, a colon and the index");
    let (txid, index) = text.split_once(':').ok_or_else(wrong)?;
    Ok(OutPoint { txid: txid.parse::<Txid>().map_err(|_| wrong())?, index: index.parse().map_err(|_| wrong())? })
}
