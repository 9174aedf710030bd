//! Which keys have an identity that money was burned for, as the chain has it now.
//!
//! Owns the way from the identities that the data folder has, the node's own and those of others that were verified, to
//! what the node's core is told of keys. Invariants: every new block, and every change of the files, has all of them
//! judged again; what does not count any more is told, and so is that there is nobody to ask; as long as no server
//! answers, what was said last holds. The node's life drives it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nelumbo_chain::BurnError;
use nelumbo_chain::chronik::{BlockId, ChronikClient, ChronikError};
use nelumbo_chain::identity::{Identity, IdentityError, Verified, verify_newest};
use nelumbo_core::api;
use nelumbo_core::crypto::PublicKey;
use nelumbo_tokio::{Handle, HandleError};
use tokio::time::{MissedTickBehavior, interval};

use crate::failure::Failure;
use crate::identity::{Judged, Own};

/// How often it is looked whether there is a new block, or another file.
const PAUSE: Duration = Duration::from_secs(5);
/// From how many satoshi on a key is one of somebody with many: ten names.
const INSTITUTIONAL: u64 = 500_000_000;

/// See the module's documentation. Runs until the node has stopped.
pub(crate) async fn watch(client: Option<ChronikClient>, handle: Handle, folder: PathBuf) {
    let mut watcher = Watcher { client, handle, folder, judged: None };
    let mut round = interval(PAUSE);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        match watcher.look().await {
            Ok(()) => {}
            Err(Trouble::Stopped) => return,
            Err(Trouble::Folder(failure)) => tracing::warn!(%failure, "identities cannot be read"),
            Err(Trouble::Chain(error)) => tracing::warn!(%error, "identities cannot be verified yet"),
        }
    }
}

#[derive(Debug)]
struct Watcher {
    client: Option<ChronikClient>,
    handle: Handle,
    folder: PathBuf,
    /// What was judged last, and on which block.
    judged: Option<(Option<BlockId>, Vec<Identity>)>,
}

/// Why nothing can be said now.
enum Trouble {
    Stopped,
    Folder(Failure),
    Chain(ChronikError),
}

impl From<HandleError> for Trouble {
    fn from(_: HandleError) -> Self {
        Self::Stopped
    }
}

impl Watcher {
    async fn look(&mut self) -> Result<(), Trouble> {
        let folder = self.folder.clone();
        let known = tokio::task::spawn_blocking(move || known(&folder)).await.map_err(|_| Trouble::Stopped)?;
        let known = known.map_err(Trouble::Folder)?;
        let tip = match &self.client {
            Some(client) if !known.is_empty() => client.tip().await.map_err(Trouble::Chain)?,
            _ => None,
        };
        if self.judged.as_ref().is_some_and(|(block, judged)| (block, judged) == (&tip, &known)) {
            return Ok(());
        }
        let mut counting = BTreeMap::new();
        for identity in &known {
            if let Some(verified) = self.judge(identity).await? {
                counting.insert(verified.key, told(identity, &verified));
            }
        }
        let before = self.handle.with_view(|view| view.identities().map(|(key, _)| *key).collect::<Vec<_>>()).await?;
        for key in before.into_iter().filter(|key| !counting.contains_key(key)) {
            self.handle.set_identity(key, None).await?;
        }
        for (key, identity) in counting {
            self.handle.set_identity(key, Some(identity)).await?;
        }
        // A block that came meanwhile has it judged again.
        self.judged = Some((tip, known));
        Ok(())
    }

    /// What counts of an identity now, if anything does.
    async fn judge(&self, identity: &Identity) -> Result<Option<Verified>, Trouble> {
        let Some(client) = &self.client else { return Ok(None) };
        match verify_newest(identity, client).await {
            Ok(verified) => Ok(Some(verified)),
            Err(IdentityError::Burn { error: BurnError::Chronik(error), .. }) => Err(Trouble::Chain(error)),
            Err(error) => {
                tracing::debug!(key = %identity.current_key(), %error, "an identity does not count now");
                Ok(None)
            }
        }
    }
}

/// What the core is told of an identity that counts.
fn told(identity: &Identity, verified: &Verified) -> api::Identity {
    let keys = [identity.key].into_iter().chain(identity.rotations.iter().map(|rotation| rotation.key));
    let former: Vec<PublicKey> = keys.take_while(|key| *key != verified.key).collect();
    let tier = if verified.burned >= INSTITUTIONAL { api::Tier::Institutional } else { api::Tier::Verified };
    api::Identity { id: api::IdentityId::from_bytes(*verified.id.as_bytes()), tier, former }
}

/// The identities in the data folder, each once.
fn known(folder: &Path) -> Result<Vec<Identity>, Failure> {
    let mut all = Judged::read(folder)?.identities()?;
    if let Some(own) = Own::read(folder)? {
        let own = own.identity.read()?;
        let longest = |other: &Identity| other.burn == own.burn && other.rotations.len() > own.rotations.len();
        if !all.iter().any(longest) {
            all.retain(|other| other.burn != own.burn);
            all.push(own);
        }
    }
    Ok(all)
}
