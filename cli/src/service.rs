//! What the service manager is told, where there is one: systemd, by the protocol of sd_notify(3).
//!
//! Owns those words, and the watchdog: as long as the node answers it is said to be alive, and one that hangs is
//! started again. Without a service manager nothing happens. The node's life drives it.

use std::time::Duration;

use nelumbo_tokio::Handle;
use sd_notify::NotifyState;

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// The node runs. It is asked from now on whether it still does, if somebody wants to know.
pub(crate) fn started(handle: &Handle) {
    ready();
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let handle = handle.clone();
    tokio::spawn(async move {
        let pause = patience / 3;
        while tokio::time::timeout(patience.max(Duration::from_secs(1)), handle.status())
            .await
            .is_ok_and(|it| it.is_ok())
        {
            tell(&[NotifyState::Watchdog]);
            tokio::time::sleep(pause).await;
        }
    });
}

pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is read again.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(since) => tell(&[NotifyState::Reloading, since]),
        Err(error) => tracing::warn!(%error, "there is no monotonic time"),
    }
}

pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}
