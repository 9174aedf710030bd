//! The signals by which somebody wants the program to end.
//!
//! Owns their numbers. Demonstrations and nodes wait for them.

#[cfg(unix)]
use std::io::{self, IsTerminal};

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
            signal = interrupt_or_terminate() => signal,
            _ = hangup.recv() => HANGUP,
        };
    }
    interrupt_or_terminate().await
}

/// The same for what outlives its terminal when it is started so, as by `nohup`.
#[cfg(unix)]
pub(crate) async fn termination() -> u8 {
    if ignores_hangup() { interrupt_or_terminate().await } else { interruption().await }
}

/// Whether whoever started the program wanted it to go on without its terminal. Where that cannot be told, it ends.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 << (HANGUP - 1) != 0)
}

/// Hangups, for what reads its settings again at one: a node.
#[cfg(unix)]
pub(crate) struct Hangups {
    /// None where whoever started the program wanted it to ignore them.
    signal: Option<tokio::signal::unix::Signal>,
    had_terminal: bool,
}

#[cfg(unix)]
impl Hangups {
    pub(crate) fn new() -> Self {
        let signal = if ignores_hangup() { None } else { signal(SignalKind::hangup()).ok() };
        Self { signal, had_terminal: io::stdin().is_terminal() }
    }

    /// Waits for the next one. Whether the settings are to be read again; otherwise it is the end, because the terminal
    /// that the program was started in is gone.
    pub(crate) async fn next(&mut self) -> bool {
        match &mut self.signal {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
        !self.had_terminal || io::stdin().is_terminal()
    }
}

/// Waits until somebody wants the program to end, and says by which signal.
#[cfg(unix)]
pub(crate) async fn interrupt_or_terminate() -> u8 {
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
pub(crate) use interruption as termination;

#[cfg(not(unix))]
async fn interrupt_or_terminate() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => INTERRUPT,
        Err(_) => std::future::pending().await,
    }
}
