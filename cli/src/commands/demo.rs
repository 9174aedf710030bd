//! `nelumbo demo`: nodes on this machine find each other and sign together.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use nelumbo_core::crypto::{Suite, sha256};
use nelumbo_core::wire::{MAX_MESSAGE, MAX_SLOTS};
use nelumbo_swapsig::Phase;
use tokio::runtime;

use crate::demo::swap;
use crate::demo::{self, Plan, Progress, Transport};
use crate::failure::{Answer, Failure};
use crate::values::{self, HexBytes};

/// What is signed when nothing is given.
const TEXT: &str = "Several keys, one signature.";

const EXAMPLES: &str = "\
Examples:
  nelumbo demo
  nelumbo demo --signers 10 --suite bip340 --transport quic --text \"pay the piper\"
  nelumbo demo --processes --repeat 50 --json
  nelumbo demo --signers 5 --items 100
  nelumbo demo --processes --repeat 20000 --parallel 16
  nelumbo demo --signers 5 --kill-coordinator 2 --processes
  nelumbo demo --discover --signers 5
  nelumbo demo --spend
  nelumbo demo --spend --suite bip340
  nelumbo demo --swap --participants 5 --vanish reveal
  nelumbo demo --record recordings";

const JSON: &str = "\
With --json, standard output is one object:
  suite, message, signers, transport, processes   what was asked for
  public_keys, aggregate_key, address             the sorted keys, their aggregate, its address on the regtest network
  signature, verified, coordinator                the result, and whose turn it is to publish it
  items, signatures                               how many messages the first session has signed, and the signature of
                                                  each; `message` and `signature` are the first
  elapsed_ms                                      from the start to the last signature at the last node
  phases_ms     start               until every node listens
                discovery           until every node is connected to every other
                nonce_exchange      from the command until every node has all nonces, in the first session
                partial_signatures  from there until every node has the signature, in the first session
                repeats             all further sessions; only with --repeat
                failover            until every node left knows of the broadcast; only with --kill-coordinator
  session_ms    first, median, p99: from the command to the signature at every node; only with --repeat
  sessions_per_second                             of all sessions after the first; only with --repeat above 1
  broadcast_by, failovers                         who broadcast, and how many coordinators it saw fail
  timeline      ms (since the command), node, event, and the coordinator or signer that the event is about
                these three only with --kill-coordinator
  bystanders, timeline                            nodes that sign nothing; ms (since the start), node, event
                these two only with --discover, where `discovery` is until every signer has found the request
  txid, fee, size, inputs, confirmations          of the payment, in satoshi and bytes; only with --spend, which has the
                                                  fields of --kill-coordinator too
  psbt, judged_by                                 instead of confirmations with --suite bip340: the signed PSBT, and
                                                  the library that takes its transaction, if it is in the build
  rss_mib       resident memory of the largest node process after the sessions; null without --processes
With --swap it is another one:
  participants, vanished                          what was asked for
  completed, refunded, lost                       how many of those who are there were paid, have their coin or their
                                                  deposit back, or neither
  txids                                           of setups, settlement and what took money back
  elapsed_ms, virtual_ms                          how long it took, and how much time passed in it

Exit status: 0 when all sessions completed, 1 when one did not in time, 2 when the demonstration could not begin as
given, 130 after Ctrl-C.";

/// Starts nodes on this machine that find each other and sign together
///
/// Each node has a key, a port on 127.0.0.1 and a journal of its own, in a temporary folder that is removed at the end.
/// The address of the first node is all that the others know; they find each other through it. Then the first one
/// creates a session, the others approve it, and all of them get the signature.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{JSON}\n\n{EXAMPLES}"))]
pub(crate) struct Demo {
    /// How many nodes, from 2 to 100
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u16).range(2..=100))]
    signers: u16,
    /// The signature scheme
    #[arg(long, value_parser = values::suite(), default_value = "lotus")]
    suite: Suite,
    /// What is signed: for lotus a digest of 32 bytes, for bip340 up to 4096 bytes
    #[arg(long, value_name = "HEX", group = "what")]
    message: Option<HexBytes>,
    /// Signs the SHA-256 of this text
    #[arg(long, value_name = "STR", group = "what")]
    text: Option<String>,
    /// Signs the SHA-256 of this file
    #[arg(long, value_name = "PATH", group = "what")]
    file: Option<PathBuf>,
    /// How the nodes are connected
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    transport: Transport,
    /// Runs each node as a process of its own
    #[arg(long)]
    processes: bool,
    /// The first node's port, the others have those that follow; any free ones by default
    #[arg(long, value_name = "P", value_parser = value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Signs M messages in each session, the given one and digests of it, all of them or none: at most 1024, and with
    /// all signers together at most 4096 partial signatures
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = value_parser!(u16).range(1..=1024))]
    items: u16,
    /// Signs different messages in R sessions, and says how long the first took, the median, and 99 %, and how many a
    /// second
    #[arg(long, value_name = "R", value_parser = value_parser!(u32).range(1..=1_000_000))]
    repeat: Option<u32>,
    /// Keeps P of these sessions going at once, after the first one
    #[arg(long, value_name = "P", default_value_t = 1, requires = "repeat",
        value_parser = value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// Kills the first K coordinators (1 without a number) after everyone has signed, each when it is to broadcast:
    /// the next one takes over after two seconds
    #[arg(long, value_name = "K", num_args = 0..=1, default_missing_value = "1", conflicts_with = "repeat",
        value_parser = value_parser!(u16).range(1..))]
    kill_coordinator: Option<u16>,
    /// Lets the signers be strangers: they advertise, one of them finds the others, asks them, they approve and sign;
    /// three more nodes sign nothing, and the address of one of these is all that anybody knows
    #[arg(long, conflicts_with_all = ["repeat", "kill_coordinator"])]
    discover: bool,
    /// Lets the signers pay: they are given three coins on a ledger of the demonstration's own, and spend them in one
    /// session; the coordinator is killed before it broadcasts, the next one does, and the payment is confirmed.
    /// With --suite bip340 the three coins are Bitcoin's, in a PSBT, and the library of Bitcoin Core is the judge
    #[arg(long, conflicts_with_all = ["repeat", "discover", "message", "text", "file", "items"])]
    spend: bool,
    /// Lets people swap coins in a pool instead, on a ledger of the demonstration's own and in virtual time
    #[arg(long, conflicts_with_all = ["repeat", "discover", "spend", "message", "text", "file", "kill_coordinator",
        "processes", "record"])]
    swap: bool,
    /// How many people are in the pool, from 3 to 10
    #[arg(long, value_name = "N", default_value_t = 5, requires = "swap",
        value_parser = value_parser!(u8).range(3..=10))]
    participants: u8,
    /// Lets the last of them vanish for good in this phase
    #[arg(long, value_name = "PHASE", requires = "swap", value_parser = swap::phase())]
    vanish: Option<Phase>,
    /// Records each node in this folder, for `nelumbo simulate replay`
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// How many seconds each phase may take
    #[arg(long, value_name = "S", default_value = "120", value_parser = values::seconds)]
    timeout: Duration,
    /// Prints one JSON object, described in --help
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) fn run(self, verbose: u8) -> Result<Answer, Failure> {
        let json = self.json;
        if self.swap {
            return swap::perform(self.participants.into(), self.vanish, json);
        }
        let plan = self.plan(verbose)?;
        let progress = if json { Progress::Silent } else { Progress::fitting() };
        let mut runtime =
            if plan.processes { runtime::Builder::new_current_thread() } else { runtime::Builder::new_multi_thread() };
        let runtime = runtime.enable_all().build();
        let runtime = runtime.map_err(|error| Failure::input(error, "free some memory or file handles"))?;
        let outcome = runtime.block_on(demo::perform(&plan, progress));
        // What a node still does in the background is of no interest any more.
        runtime.shutdown_background();
        let outcome = outcome?;
        if json {
            outcome.print_json()?
        } else {
            outcome.print()?
        }
        Ok(Answer::Yes)
    }

    fn plan(self, verbose: u8) -> Result<Plan, Failure> {
        let message = match (self.message, self.text, self.file) {
            (Some(HexBytes(message)), ..) => message,
            (_, Some(text), _) => sha256(&[text.as_bytes()]).to_vec(),
            (_, _, Some(file)) => values::digest_of(&file)?,
            _ => sha256(&[TEXT.as_bytes()]).to_vec(),
        };
        values::check_message(self.suite, &message)?;
        if message.len() > MAX_MESSAGE {
            return Err(Failure::input(
                format_args!("the message has {} bytes, and a session signs at most {MAX_MESSAGE}", message.len()),
                "sign its digest instead: --text and --file do so",
            ));
        }
        let (items, signers) = (usize::from(self.items), usize::from(self.signers));
        if items * signers > MAX_SLOTS {
            return Err(Failure::input(
                format_args!("{items} messages of {signers} signers are more than {MAX_SLOTS} partial signatures"),
                "sign fewer --items in a session, and more sessions with --repeat",
            ));
        }
        if self.port.is_some_and(|port| port.checked_add(self.signers - 1).is_none()) {
            return Err(Failure::input(
                format_args!("{} ports from --port on go beyond 65535", self.signers),
                "choose a lower --port, or leave it out",
            ));
        }
        if let Some(kill) = self.kill_coordinator.filter(|kill| *kill >= self.signers) {
            let (signers, most) = (self.signers, self.signers - 1);
            return Err(Failure::input(
                format_args!("--kill-coordinator {kill} leaves none of {signers} signers to broadcast"),
                format_args!("kill at most {most}, or raise --signers"),
            ));
        }
        if let Some(folder) = &self.record {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::input(format_args!("cannot make {}: {error}", folder.display()), "choose another --record")
            })?;
        }
        Ok(Plan {
            suite: self.suite,
            message,
            items,
            signers,
            transport: self.transport,
            processes: self.processes,
            port: self.port,
            repeat: self.repeat.map(|repeat| usize::try_from(repeat).unwrap_or(usize::MAX)),
            parallel: usize::from(self.parallel),
            kill: self.kill_coordinator.map(usize::from).or(self.spend.then_some(1)),
            spend: self.spend,
            discover: self.discover,
            patience: self.timeout,
            record: self.record,
            verbose,
        })
    }
}
