//! `nelumbo key`: the commands about keys.

use clap::Subcommand;

use super::key_aggregate::Aggregate;
use super::key_generate::Generate;
use super::key_passphrase::ChangePassphrase;
use super::key_show::Show;

/// Makes, shows and aggregates keys
#[derive(Subcommand, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) enum Key {
    Generate(Generate),
    Show(Show),
    #[command(name = "passphrase")]
    Passphrase(ChangePassphrase),
    Aggregate(Aggregate),
}
