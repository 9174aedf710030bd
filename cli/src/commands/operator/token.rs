//! `nelumbo token`: who may use a node's HTTP API.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::api::{Scope, Tokens};
use crate::failure::{Answer, Failure};
use crate::group::Name;
use crate::node::DataFolder;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo token create page --scope read --scope approve
  nelumbo token create prometheus --scope read > prometheus.token
  curl -H \"Authorization: Bearer $(cat prometheus.token)\" http://127.0.0.1:7310/metrics
  nelumbo token list
  nelumbo token revoke prometheus";

/// Makes and revokes the tokens that let programs use the node's HTTP API
///
/// The API is on when config.toml or `nelumbo node --api` says where it listens. Tokens work at once, and are refused
/// as soon as they are revoked, without a restart. Their hashes are in tokens.json in the data folder.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Makes a token and prints it, once
    #[command(after_help = "Examples:\n  nelumbo token create page --scope read --scope approve")]
    Create {
        /// What it is called, to revoke it by
        name: Name,
        /// What it allows; may be repeated
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
        #[command(flatten)]
        data: DataFolder,
        /// Prints JSON: `name`, `token`, `scopes`
        #[arg(long)]
        json: bool,
    },
    /// Lists the tokens, without what it takes to use them
    #[command(after_help = "Examples:\n  nelumbo token list --json | jq -r '.tokens | keys[]'")]
    List {
        #[command(flatten)]
        data: DataFolder,
        /// Prints JSON: an object `tokens` of names, each with `scopes` and `created` in milliseconds since 1970
        #[arg(long)]
        json: bool,
    },
    /// Refuses a token from now on
    #[command(after_help = "Examples:\n  nelumbo token revoke page")]
    Revoke {
        /// The name
        name: Name,
        #[command(flatten)]
        data: DataFolder,
    },
}

impl Token {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Create { name, scopes, data, json } => {
                let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let created = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                let token = Tokens::of(data.open()?.path()).create(name.clone(), scopes.clone(), created)?;
                if json {
                    output::json(&json!({ "name": name, "token": token, "scopes": scopes }))?;
                } else {
                    output::line(token)?;
                }
            }
            Action::List { data, json } => {
                let folder = data.open()?;
                let tokens = Tokens::of(folder.path()).list();
                let tokens = tokens.map_err(|error| {
                    Failure::input(
                        format_args!("cannot read tokens.json in {}: {error}", folder.path().display()),
                        "restore it, or remove it and make new tokens",
                    )
                })?;
                if json {
                    let shown = |token: &crate::api::Token| json!({ "scopes": token.scopes, "created": token.created });
                    let tokens: BTreeMap<_, _> = tokens.iter().map(|(name, token)| (name, shown(token))).collect();
                    output::json(&json!({ "tokens": tokens }))?;
                } else {
                    let scopes =
                        |scopes: &BTreeSet<Scope>| scopes.iter().map(output::name).collect::<Vec<_>>().join(", ");
                    let rows: Vec<[String; 2]> =
                        tokens.iter().map(|(name, token)| [name.to_string(), scopes(&token.scopes)]).collect();
                    output::columns(["TOKEN", "ALLOWS"], &rows)?;
                }
            }
            Action::Revoke { name, data } => Tokens::of(data.open()?.path()).revoke(&name)?,
        }
        Ok(Answer::Yes)
    }
}
