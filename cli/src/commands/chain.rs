//! `nelumbo chain`: a Lotus chain of one's own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use nelumbo_chain::ledger::{Rules, Server, Settings};
use serde_json::json;

use super::chain_call::{Fund, Mine, Reorganize, Status};
use crate::failure::{Answer, Failure};
use crate::{interruption, output, values};

const EXAMPLES: &str = "\
A block is mined when you say so, or every few seconds with --mine-every. Money comes from `fund`, which mines what it
takes and pays as anybody would. Programs that speak Chronik, such as chronik-client 0.28 of npm, take the URL that is
printed; their addresses are those of regtest and begin with lotusR.

Examples:
  nelumbo chain                              a chain that is forgotten when it ends
  nelumbo chain --data chain.jsonl           one that is there again the next time
  nelumbo chain --mine-every 10              one that goes on by itself
  nelumbo chain fund lotusR… 100             100 XPI to an address, confirmed
  nelumbo chain mine 6
  nelumbo chain reorganize 2 --orphans dropped

Exit status: 0 when it was ended by a signal or, of the other commands, done; 1 when the ledger refuses; 2 when the
command makes no sense; 3 when no ledger is there.";

/// Runs a Lotus chain of your own behind the endpoints of a Chronik server, for first steps and for tests
///
/// The chain is small and strict: it judges transactions as lotusd does on regtest, in its words. It is no node of any
/// network: its money is worth nothing, and nothing reaches it but over its URL, by default from this machine only.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Chain {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand, Debug)]
enum Command {
    Mine(Mine),
    Fund(Fund),
    Reorganize(Reorganize),
    Status(Status),
}

#[derive(Args, Debug)]
struct Run {
    /// Where it listens; whoever reaches it can mine and reorganise, so keep it on this machine
    #[arg(long, value_name = "ADDRESS:PORT", default_value = super::chain_call::DEFAULT)]
    listen: SocketAddr,
    /// A file that keeps the chain; made if it is not there
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Mines a block so often by itself
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    mine_every: Option<Duration>,
    /// From which median time on only replay-protected signatures are valid, in seconds since 1970, or `never`
    ///
    /// Nodes of lotusd 11.4.14 have 1798074180, 24 December 2026; newer ones will have another moment.
    #[arg(long, value_name = "TIME", value_parser = moment, default_value = "1798074180")]
    replay_protection: Moment,
    /// From which median time on there is Taproot, in seconds since 1970; 0 for always
    #[arg(long, value_name = "TIME", default_value_t = Rules::SECOND_SAMUEL)]
    second_samuel: i64,
    /// Prints one JSON object when it is ready: `url`, `height`, `replay_protection`, `replay_protected`
    #[arg(long)]
    json: bool,
}

/// A time or never.
#[derive(Clone, Copy, Debug)]
struct Moment(Option<i64>);

fn moment(text: &str) -> Result<Moment, String> {
    if text == "never" {
        return Ok(Moment(None));
    }
    text.parse().map(|time| Moment(Some(time))).map_err(|_| "neither a number of seconds nor `never`".to_owned())
}

impl Chain {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.command {
            Some(Command::Mine(mine)) => mine.run(),
            Some(Command::Fund(fund)) => fund.run(),
            Some(Command::Reorganize(reorganize)) => reorganize.run(),
            Some(Command::Status(status)) => status.run(),
            None => self.run.run(),
        }
    }
}

impl Run {
    fn run(self) -> Result<Answer, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| Failure::input(error, "free some memory or file handles"))?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<Answer, Failure> {
        let mut settings = Settings::default();
        settings.address = self.listen;
        settings.file = self.data;
        settings.interval = self.mine_every;
        settings.rules = Rules { second_samuel: self.second_samuel, replay_protection: self.replay_protection.0 };
        // The error says what to do.
        let server = Server::start(settings).await.map_err(|error| {
            let text = error.to_string();
            let (problem, remedy) = text.split_once("; ").unwrap_or((&text, "see --help"));
            Failure::input(problem, remedy)
        })?;
        let (height, replay_protected) = server.with(|ledger| (ledger.height(), ledger.replay_protected()));
        if self.json {
            output::json(&json!({
                "url": server.url(),
                "height": height,
                "replay_protection": self.replay_protection.0,
                "replay_protected": replay_protected,
            }))?;
        } else {
            output::table(&[
                ("chain", server.url()),
                ("height", height.to_string()),
                ("signatures", if replay_protected { "replay-protected" } else { "not replay-protected" }.to_owned()),
                ("next", "nelumbo chain fund ADDRESS AMOUNT, and nelumbo chain mine; Ctrl-C ends it".to_owned()),
            ])?;
        }
        interruption::termination().await;
        server.stop().await;
        Ok(Answer::Yes)
    }
}
