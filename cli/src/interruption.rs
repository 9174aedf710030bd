//! The signals by which somebody wants the program to end.
//!
//! Owns their numbers. Demonstrations and nodes wait for them.

/// The numbers of the signals, as exit statuses have them.
const INTERRUPT: u8 = 2;
#[cfg(unix)]
const TERMINATE: u8 = 15;
#[cfg(unix)]
const HANGUP: u8 = 1;

/// Waits until somebody wants the program to end, and says by which signal.
#[cfg(unix)]
pub(crate) async fn interruption() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        // Then the signals have their usual effect.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => INTERRUPT,
        _ = terminate.recv() => TERMINATE,
        _ = hangup.recv() => HANGUP,
    }
}

#[cfg(not(unix))]
pub(crate) async fn interruption() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => INTERRUPT,
        Err(_) => std::future::pending().await,
    }
}
