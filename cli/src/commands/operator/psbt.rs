//! `nelumbo psbt`: signing by files, for Bitcoin.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nelumbo_chain::psbt::{Psbt, PsbtError};
use nelumbo_core::crypto::{PublicKey, Suite, Tweak};
use nelumbo_core::wire::SessionId;
use serde_json::json;

use crate::contacts::Contacts;
use crate::control::{Carried, Request, Running, Session};
use crate::failure::{Answer, Failure};
use crate::group::Name;
use crate::node::Stage;
use crate::summary::{self, Allowed};
use crate::{key_file, link, output, psbt};

const EXAMPLES: &str = "\
Examples, for a group of alice, bob and a wallet that knows MuSig2 (BIP373):
  nelumbo psbt show pay.psbt                             # what signing it does
  nelumbo psbt export pay.psbt --out alice.psbt          # alice approves, and gives her nonces
  nelumbo psbt export pay.psbt --out bob.psbt            # bob does the same at his node, the wallet in its way
  nelumbo psbt import alice.psbt bob.psbt wallet.psbt --out alice-2.psbt     # alice signs; the others do the same
  nelumbo psbt finalize alice-2.psbt bob-2.psbt wallet-2.psbt                # the transaction";

/// Signs PSBTs of Bitcoin with MuSig2 by files (BIP373), without the network of nelumbo
///
/// All signers give nonces first, then all of them sign. Files may be given in any order, and several at once become
/// one. What one of them says and another one contradicts is refused. A node's nonces are in the running node and
/// nowhere else: after a restart all signers begin anew.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PsbtCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Shows what signing a PSBT with this node's key does: who is paid what, the fee, and what is unusual
    #[command(after_help = "Examples:\n  nelumbo psbt show pay.psbt\n  nelumbo psbt show pay.psbt --group savings")]
    Show {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        node: Running,
    },
    Export(Export),
    Import(Import),
    Finalize(Finalize),
}

/// The PSBTs, and whose they are.
#[derive(Args, Debug)]
struct Files {
    /// PSBTs of one transaction, in base64, hexadecimal or binary
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The group that owns what is spent, for PSBTs of wallets that do not say whose keys it is of
    #[arg(long, value_name = "NAME")]
    group: Option<Name>,
}

/// Approves what a PSBT has this node sign, and adds the node's nonces
///
/// What is unusual has to be allowed by name, as for sessions of the network. Look at it first, with `nelumbo psbt
/// show`. When the nonces of all others are there already, it signs at once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo psbt export pay.psbt --out alice.psbt\n  nelumbo psbt export pay.psbt \
                        --group savings --json | jq -r .psbt")]
struct Export {
    #[command(flatten)]
    files: Files,
    /// Takes all nonces and partial signatures out and begins again, as all other signers have to as well
    #[arg(long)]
    anew: bool,
    #[command(flatten)]
    allowed: Allowed,
    #[command(flatten)]
    written: Written,
    #[command(flatten)]
    node: Running,
}

/// Takes in what other signers have added, and adds what follows
///
/// When all nonces are there, this node signs; when all partial signatures are, the signature of the group is made.
/// With --session the signatures of a session of the network are put into the PSBT, for other signers or wallets to go
/// on.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nelumbo psbt import alice.psbt bob.psbt wallet.psbt --out alice-2.psbt\n  nelumbo \
                        psbt import pay.psbt --session ID --out signed.psbt"
)]
struct Import {
    #[command(flatten)]
    files: Files,
    /// A session of the network that has signed it, by its id or a link to it
    #[arg(long, value_name = "ID", value_parser = link::session)]
    session: Option<SessionId>,
    #[command(flatten)]
    written: Written,
    #[command(flatten)]
    node: Running,
}

/// Prints the transaction of a PSBT that is signed, as nodes of Bitcoin take it
///
/// Needs no node, unless the signatures are those of a session of the network.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo psbt finalize alice-2.psbt bob-2.psbt wallet-2.psbt\n  bitcoin-cli \
                        sendrawtransaction $(nelumbo psbt finalize pay.psbt --session ID)")]
struct Finalize {
    #[command(flatten)]
    files: Files,
    /// A session of the network that has signed it, by its id or a link to it
    #[arg(long, value_name = "ID", value_parser = link::session)]
    session: Option<SessionId>,
    #[command(flatten)]
    node: Running,
}

/// Where a PSBT goes.
#[derive(Args, Debug)]
struct Written {
    /// The file that the PSBT is written to, in base64, over what is there; it is printed if none is named
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl PsbtCommand {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Show { files, node } => show(&files, &node)?,
            Action::Export(export) => export.run()?,
            Action::Import(import) => import.run()?,
            Action::Finalize(finalize) => finalize.run()?,
        }
        Ok(Answer::Yes)
    }
}

impl Files {
    fn read(&self, node: &Running) -> Result<Psbt, Failure> {
        let mut read = psbt::read(&self.files)?;
        if let Some(name) = &self.group {
            add_group(&mut read, name, node)?;
        }
        Ok(read)
    }
}

/// Says in a PSBT which of its outputs are those of a group.
pub(super) fn add_group(psbt: &mut Psbt, name: &Name, node: &Running) -> Result<(), Failure> {
    let contacts = Contacts::read(node.folder()?.path())?;
    let group = contacts.group(name)?;
    if group.suite != Suite::Bip340 {
        return Err(Failure::input(
            format_args!("the group {name} is on Lotus, and PSBTs are for Bitcoin"),
            "pay from it with `nelumbo spend`",
        ));
    }
    match psbt.add_group(&group.keys, None).map_err(|error| psbt::failure(&error))? {
        0 => Err(Failure::input(
            format_args!("the PSBT spends nothing of the group {name}"),
            format_args!("it has to spend outputs of {}", group.address()),
        )),
        _ => Ok(()),
    }
}

fn show(files: &Files, node: &Running) -> Result<(), Failure> {
    let file = key_file::read(&node.folder()?.key())?;
    let read = files.read(node)?;
    let tasks = psbt::tasks_of(&read, &file.public_key).map_err(|error| psbt::failure(&error))?;
    if tasks.is_empty() {
        return Err(Failure::unmet(
            "this node's key signs no input of the PSBT",
            "name the group with --group if the PSBT says nothing of it, or choose another --data",
        ));
    }
    let summary = psbt::summary(&read, &tasks, file.network);
    let summary = summary.map_err(|error| Failure::unmet(error, "do not sign it"))?;
    let (nonces, partials) = psbt::missing(&read, &tasks);
    if node.json {
        return output::json(&json!({ "summary": summary, "no_nonces_of": nonces, "no_partials_of": partials }));
    }
    let mut rows = summary::rows(&summary);
    rows.extend(waiting("no nonces of", &nonces).chain(waiting("no partial signature of", &partials)));
    output::table(&rows)
}

fn waiting<'a>(what: &'static str, keys: &'a [PublicKey]) -> impl Iterator<Item = (&'static str, String)> + 'a {
    keys.iter().map(move |key| (what, key.to_string()))
}

impl Export {
    fn run(self) -> Result<(), Failure> {
        let psbt = self.files.read(&self.node)?.to_base64();
        let allow = self.allowed.names.into_iter().collect();
        let carried = self.node.connect()?.get(&Request::PsbtApprove { psbt, allow, anew: self.anew })?;
        self.written.show(&carried, &self.node, true)
    }
}

impl Import {
    fn run(self) -> Result<(), Failure> {
        let mut read = self.files.read(&self.node)?;
        let Some(session) = self.session else {
            let carried = self.node.connect()?.get(&Request::PsbtImport { psbt: read.to_base64() })?;
            return self.written.show(&carried, &self.node, false);
        };
        let count = add_signatures(&mut read, session, &self.node)?;
        let psbt = read.to_base64();
        self.written.write(&psbt)?;
        match (self.node.json, &self.written.out) {
            (true, _) => output::json(&json!({ "signed": count, "psbt": psbt })),
            (false, None) => output::line(psbt),
            (false, Some(_)) => Ok(()),
        }
    }
}

impl Finalize {
    fn run(self) -> Result<(), Failure> {
        let mut read = self.files.read(&self.node)?;
        if let Some(session) = self.session {
            add_signatures(&mut read, session, &self.node)?;
        }
        let failed = |error: PsbtError| psbt::failure(&error);
        for task in read.tasks().map_err(failed)? {
            read.complete(&task).map_err(failed)?;
        }
        let signed = read.finalize().map_err(failed)?;
        let (txid, transaction) = (signed.txid.to_string(), hex::encode(signed.bytes));
        if self.node.json {
            output::json(&json!({ "txid": txid, "transaction": transaction }))
        } else {
            output::line(transaction)
        }
    }
}

/// Puts the signatures of a session of the network into the PSBT that it has signed; how many.
fn add_signatures(psbt: &mut Psbt, session: SessionId, node: &Running) -> Result<usize, Failure> {
    let session: Session = node.connect()?.get(&Request::Session { session })?;
    if session.signatures.len() != session.items.len() {
        return Err(Failure::unmet("the session has no signatures", "`nelumbo sessions show` says what it waits for"));
    }
    let failed = |error: PsbtError| psbt::failure(&error);
    let mut tasks = psbt.tasks().map_err(failed)?;
    if tasks.is_empty()
        && let Some(Tweak::Taproot { merkle_root }) = session.items.first().map(|item| item.tweak)
    {
        let keys: Vec<PublicKey> = session.signers.iter().map(|signer| signer.key).collect();
        psbt.add_group(&keys, merkle_root).map_err(failed)?;
        tasks = psbt.tasks().map_err(failed)?;
    }
    let mut count = 0;
    for task in tasks {
        let digest = hex::encode(task.digest);
        let signed = session.items.iter().zip(&session.signatures);
        if let Some((_, signature)) = signed.into_iter().find(|(item, _)| item.message == digest) {
            psbt.add_signature(&task, signature).map_err(failed)?;
            count += 1;
        }
    }
    match count {
        0 => Err(Failure::unmet("the session has signed something else", "give the PSBT that it was asked for with")),
        count => Ok(count),
    }
}

impl Written {
    fn write(&self, psbt: &str) -> Result<(), Failure> {
        self.out.as_deref().map_or(Ok(()), |path| psbt::write(path, psbt))
    }

    fn show(&self, carried: &Carried, node: &Running, is_approval: bool) -> Result<(), Failure> {
        self.write(&carried.psbt)?;
        if node.json {
            return output::json(carried);
        }
        let mut rows = if is_approval { summary::rows(&carried.summary) } else { Vec::new() };
        rows.push(("session", carried.session.to_string()));
        rows.push(("attempt", carried.attempt.to_string()));
        let what = match carried.stage {
            Stage::Nonces => "waits for the nonces of",
            Stage::Partials => "waits for the signature of",
            Stage::Signed => "signed",
        };
        rows.extend(waiting(what, &carried.waits_for));
        if carried.stage == Stage::Signed {
            rows.push((what, "yes: `nelumbo psbt finalize` makes the transaction of it".to_owned()));
        }
        if self.out.is_none() {
            rows.push(("PSBT", carried.psbt.clone()));
        }
        output::table(&rows)
    }
}
