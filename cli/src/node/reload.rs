//! Reading config.toml again while the node runs.
//!
//! Owns what happens at a hangup. Invariant: a file that cannot be read, or that no node could live with, changes
//! nothing; either way it is told what has come of it. The node's life drives it.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;

use super::config::{Config, Source, is_reloaded};
use super::event_log::EventLog;
use super::life::now;
use crate::interruption::Hangups;
use crate::{logging, service};

/// Reads the configuration again at each hangup, until one means that the terminal is gone.
pub(super) async fn reload_at_hangups(
    source: &Source,
    folder: &Path,
    settings: &watch::Sender<Arc<Config>>,
    log: &EventLog,
) {
    let mut hangups = Hangups::new();
    while hangups.next().await {
        service::reloading();
        reload(source, folder, settings, log);
        service::ready();
    }
}

fn reload(source: &Source, folder: &Path, settings: &watch::Sender<Arc<Config>>, log: &EventLog) {
    let old = settings.borrow().clone();
    let new = source.read().map_err(|failure| failure.to_string());
    let new = new.and_then(|new| {
        if new.log != old.log {
            logging::configure(&new.log, folder)?;
        }
        Ok(new)
    });
    match new {
        Ok(new) => {
            let (changed, later): (Vec<String>, Vec<String>) =
                old.differences(&new).into_iter().partition(|setting| is_reloaded(setting));
            tracing::info!(?changed, after_restart = ?later, "config.toml was read again");
            log.note(now(), &json!({ "event": "configuration-reloaded", "changed": changed, "after_restart": later }));
            // What counts after a restart only is kept as it was read, so that the next difference is told once.
            settings.send_replace(Arc::new(new));
        }
        Err(error) => {
            tracing::error!(%error, "config.toml was read again and is not used");
            log.note(now(), &json!({ "event": "configuration-refused", "error": error }));
        }
    }
}
