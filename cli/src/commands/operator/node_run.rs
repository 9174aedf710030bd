//! `nelumbo node run`: the node itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use nelumbo_simulator::settings::Setting;

use crate::api::{ApiConfig, ApiServer};
use crate::failure::{Answer, Failure};
use crate::node::{self, DataFolder, Plan, Record, Source};
use crate::passphrase::PassphraseSource;
use crate::{key_file, logging};

/// Runs the node until it is stopped
///
/// Prints what happens, one line each. SIGINT, SIGTERM and `nelumbo stop` end it well.
#[derive(Args, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// Records everything that enters the node, for `nelumbo simulate replay`; no secrets, but much that is nobody's
    /// business
    ///
    /// A recording that is there already is kept with .1 behind its name.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// How large the recording may become, in MiB; then it ends, and the node goes on
    #[arg(long, value_name = "MIB", default_value_t = 256, requires = "record")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    record_limit: u32,
    /// Serves the HTTP API, the page and the metrics here: address and port, such as 127.0.0.1:7310; comes before `api`
    /// in config.toml
    #[arg(long, value_name = "ADDRESS")]
    api: Option<SocketAddr>,
    /// Sets this for this run, before what config.toml says: `protocol.session-timeout="30 min"`; may be given several
    /// times
    #[arg(long = "set", value_name = "SETTING=VALUE")]
    overrides: Vec<Setting>,
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
        let settings = Source { file: path.clone(), overrides: self.overrides };
        let config = settings.read()?;
        logging::configure(&config.log, folder.path())
            .map_err(|error| Failure::input(error, "change `log` in config.toml, or make the folder yours to write"))?;
        let (chronik, api, delegates) = (config.chain.clone(), config.api.clone(), config.delegate);
        let api = match (self.api, api) {
            (Some(listen), Some(config)) => Some(ApiConfig { listen, ..config }),
            (Some(listen), None) => Some(ApiConfig::on(listen)),
            (None, config) => config,
        };
        let api = api.map(|config| ApiServer::bind(&config, folder.path())).transpose()?;
        let network = config
            .clone()
            .network(folder.read_identity()?, folder.path())
            .map_err(|error| Failure::input(error, format_args!("change {} or the environment", path.display())))?;
        let file = key_file::read(&folder.key())?;
        let chain = file.network;
        let chronik = chronik.map(|servers| servers.client(chain)).transpose()?;
        let passphrase = file.passphrase(&self.passphrase)?;
        let key = file.open(passphrase.as_ref())?;
        let message_key = delegates.then(|| folder.message_key(chain, passphrase.as_ref())).transpose()?;
        let record = self.record.map(|file| Record { file, limit: u64::from(self.record_limit) << 20 });
        let plan = Plan {
            folder,
            lock,
            settings,
            config,
            network,
            chain,
            chronik,
            key,
            message_key,
            record,
            api,
            json: self.json,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::input(error, "free some memory or file handles"))?;
        let ended = runtime.block_on(node::live(plan));
        // What still goes on in the background is of no interest any more.
        runtime.shutdown_background();
        ended
    }
}
