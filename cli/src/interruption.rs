//! The signals by which somebody wants the program to end.
//!
//! Owns their numbers. Demonstrations and nodes wait for them.

#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};

/// The numbers of the signals, as exit statuses have them.
const INTERRUPT: u8 = 2;
#[cfg(unix)]
const TERMINATE: u8 = 15;
#[cfg(unix)]
const HANGUP: u8 = 1;

/// Waits until somebody wants the program to end, or its terminal is gone, and says by which signal.
pub(crate) async fn interruption() -> u8 {
    #[cfg(unix)]
    if let Ok(mut hangup) = signal(SignalKind::hangup()) {
        return tokio::select! {
            signal = termination() => signal,
            _ = hangup.recv() => HANGUP,
        };
    }
    termination().await
}

/// The same for what outlives its terminal, if it is started so: a hangup has the effect that `nohup` wants.
#[cfg(unix)]
pub(crate) async fn termination() -> u8 {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        // Then the signals have their usual effect.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => INTERRUPT,
        _ = terminate.recv() => TERMINATE,
    }
}

#[cfg(not(unix))]
pub(crate) async fn termination() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => INTERRUPT,
        Err(_) => std::future::pending().await,
    }
}
