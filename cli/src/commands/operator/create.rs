//! `nelumbo create`: a session among signers whose keys are known.

use std::path::PathBuf;

use clap::Args;
use nelumbo_core::crypto::{Suite, Tweak, sha256};
use nelumbo_core::election::Method;
use nelumbo_core::wire::TransactionType;
use nelumbo_simulator::settings::Time;

use crate::contacts::{Contacts, KeyOrName, key_or_name};
use crate::control::{Created, NewSession, Request, Running};
use crate::failure::{Answer, Failure};
use crate::group::Name;
use crate::spending::SpendingFile;
use crate::summary::Allowed;
use crate::values::{self, HexBytes};
use crate::{key_file, output, psbt};

/// What can be signed instead of --message.
const WHAT: [&str; 4] = ["text", "file", "transaction", "psbt"];

const EXAMPLES: &str = "\
Examples:
  nelumbo create KEY KEY --message 9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50
  nelumbo create KEY --suite bip340 --file contract.pdf --election rotating
  nelumbo create KEY KEY --message HEX --taproot --json | jq -r .session
  nelumbo request KEY KEY --type spend --taproot --transaction spend.json --description \"rent\" --listed
  nelumbo create KEY --suite bip340 --taproot --merkle-root HEX --transaction bitcoin.json
  nelumbo request --psbt pay.psbt --group savings && nelumbo psbt finalize pay.psbt --group savings --session ID";

const TRANSACTION: &str = "\
The file of --transaction is a JSON object, with byte strings in hexadecimal and amounts in satoshi. With --suite lotus
it is a transaction of Lotus, with --suite bip340 one of Bitcoin:
  transaction    the transaction as it is serialised, without witnesses
  spent          the outputs that its inputs spend, in order, each with value and script
  inputs         which inputs are signed, in ascending order, from 0; if nothing is said all that spend the group's own
                 outputs. They are signed together: all of them or none
  sighash_type   the byte that says what is covered; if nothing is said all inputs and outputs: 97 for Lotus and 0, no
                 byte, for Bitcoin. What covers less is created and approved only with --allow
  replay_protection  true for digests that only nodes take which were not updated for the network's next upgrade; false
                 if nothing is said, and always for Bitcoin
  script         hash and code_separator of the script that is run, with --allow script-path; of a Taproot leaf the hash
                 is the leaf hash. Without, a Taproot output is spent by its key, and has to be the session's own: of
                 all its keys, and of --taproot if wallets made it, with --merkle-root if it has scripts too

The outputs may not be more than the inputs. What is unusual about it has to be allowed here and by all who approve.
Without a transaction a bare message is signed, which the others have to allow as opaque: give one where there is one.";

/// Creates a session among signers with these keys, and announces it to them
///
/// The node's own key is one of the signers and need not be given. The node takes part at once; the others are asked,
/// and there is a signature when all of them have joined.
#[derive(Args, Debug)]
#[command(visible_alias = "request", after_help = EXAMPLES, after_long_help = format!("{TRANSACTION}\n\n{EXAMPLES}"))]
pub(crate) struct Create {
    /// The other signers: names of contacts, or public keys of 66 hexadecimal digits
    #[arg(value_name = "KEY", required_unless_present_any = ["group", "psbt"], value_parser = key_or_name)]
    keys: Vec<KeyOrName>,
    /// The members of this group, its suite and its output, instead of keys, --suite and --taproot
    #[arg(long, value_name = "NAME", conflicts_with_all = ["keys", "suite", "taproot", "merkle_root"])]
    group: Option<Name>,
    /// What is signed: for lotus a digest of 32 bytes, for bip340 up to 4096 bytes
    #[arg(long, value_name = "HEX", group = "what", required_unless_present_any = WHAT)]
    message: Option<HexBytes>,
    /// Signs the SHA-256 of this text
    #[arg(long, value_name = "STR", group = "what")]
    text: Option<String>,
    /// Signs the SHA-256 of this file
    #[arg(long, value_name = "PATH", group = "what")]
    file: Option<PathBuf>,
    /// The signature scheme
    #[arg(long, value_parser = values::suite(), default_value = "lotus")]
    suite: Suite,
    /// Signs under the aggregate key tweaked as the key of a Taproot output without scripts
    #[arg(long)]
    taproot: bool,
    /// The root of that output's script tree, such as the leaf hash of the one script by which it can be recovered
    #[arg(long, value_name = "HEX", requires = "taproot", value_parser = values::bytes32)]
    merkle_root: Option<[u8; 32]>,
    /// A JSON file with the transaction that is signed, described below: every signer computes the digest itself
    #[arg(long, value_name = "PATH", group = "what")]
    transaction: Option<PathBuf>,
    /// A PSBT of Bitcoin, in base64, hexadecimal or binary, all of whose inputs are signed that this node's key belongs
    /// to; keys and tweak are those that it says (BIP373), or those of --group
    #[arg(long, value_name = "PATH", group = "what", conflicts_with_all = ["keys", "suite", "taproot", "merkle_root"])]
    psbt: Option<PathBuf>,
    /// What it is for: spend, swap, coinjoin, custody, escrow or channel
    #[arg(long = "type", value_name = "TYPE", value_parser = values::parsed::<TransactionType>)]
    kind: Option<TransactionType>,
    /// What the others are told about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Asks in public too, so that signers who are away find the request when they return, and links to it lead there;
    /// whoever stores it sees who signs with whom
    #[arg(long)]
    listed: bool,
    /// How the signer who broadcasts is chosen; by default as config.toml of the node says
    #[arg(long, value_parser = values::method())]
    election: Option<Method>,
    /// For how long it may be signed, such as '30 min'; by default, and at most, as config.toml says in
    /// `protocol.session-timeout`
    #[arg(long, value_name = "TIME", value_parser = values::parsed::<Time>)]
    lifetime: Option<Time>,
    #[command(flatten)]
    allowed: Allowed,
    #[command(flatten)]
    node: Running,
}

impl Create {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let message = match (self.message, self.text, self.file) {
            (Some(HexBytes(message)), ..) => message,
            (_, Some(text), _) => sha256(&[text.as_bytes()]).to_vec(),
            (_, _, Some(file)) => values::digest_of(&file)?,
            _ => Vec::new(),
        };
        let mut spending = self.transaction.map(|path| SpendingFile::read(&path)).transpose()?;
        let (suite, keys, tweak) = match &self.group {
            _ if self.psbt.is_some() => {
                let mut psbt = psbt::read(self.psbt.as_slice())?;
                if let Some(name) = &self.group {
                    super::psbt::add_group(&mut psbt, name, &self.node)?;
                }
                let own = key_file::read(&self.node.folder()?.key())?.public_key;
                let tasks = psbt::tasks_of(&psbt, &own).map_err(|error| psbt::failure(&error))?;
                let (keys, tweak, signed) = psbt::session(&psbt, &tasks)?;
                spending = Some(signed);
                (Suite::Bip340, keys, tweak)
            }
            Some(name) => {
                let group = Contacts::read(self.node.folder()?.path())?.group(name)?.clone();
                (group.suite, group.keys.clone(), group.tweak())
            }
            None => {
                let tweak = if self.taproot { Tweak::Taproot { merkle_root: self.merkle_root } } else { Tweak::None };
                (self.suite, values::sorted(KeyOrName::keys(&self.keys, &self.node.data)?)?, tweak)
            }
        };
        if spending.is_none() {
            values::check_message(suite, &message)?;
        }
        let session = NewSession {
            suite,
            keys,
            tweak,
            message: hex::encode(message),
            election: self.election,
            kind: self.kind,
            description: values::text(&self.description)?,
            spending,
            listed: self.listed,
            lifetime_seconds: self.lifetime.map(|Time(lifetime)| lifetime.as_secs()),
            allow: self.allowed.names.into_iter().collect(),
        };
        self.node.ask(&Request::Create(Box::new(session)), |Created { session, link }| {
            output::table(&[("session", session.to_string()), ("link", link.to_string())])
        })?;
        Ok(Answer::Yes)
    }
}
