//! `nelumbo node run`: the node itself.

use clap::Args;

use crate::failure::{Answer, Failure};
use crate::key_file;
use crate::node::{self, Config, DataFolder, Plan};
use crate::passphrase::PassphraseSource;

/// Runs the node until it is stopped
///
/// Prints what happens, one line each. SIGINT, SIGTERM and `nelumbo stop` end it well.
#[derive(Args, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// Prints events as JSON lines: `number`, `time` in milliseconds since 1970, `event`
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let folder = self.data.open()?;
        // Before the passphrase: nobody should type it for nothing.
        let lock = folder.lock()?;
        let path = folder.config();
        let network = Config::read(&path)?
            .network(folder.read_identity()?)
            .map_err(|error| Failure::input(error, format_args!("change {} or the environment", path.display())))?;
        let file = key_file::read(&folder.key())?;
        let chain = file.network;
        let key = file.unlock(&self.passphrase)?;
        let plan = Plan { folder, lock, network, chain, key, json: self.json };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::input(error, "free some memory or file handles"))?;
        let ended = runtime.block_on(node::live(plan));
        // What still goes on in the background is of no interest any more.
        runtime.shutdown_background();
        ended
    }
}
