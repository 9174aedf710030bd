//! Approves and declines requests as config.toml says.
//!
//! Owns what was approved by each rule, in `approved-amounts.json` in the data folder. Invariants: an amount is on the
//! disk before its session is approved, so that no crash and no restart makes a day's limit larger; where the file
//! cannot be read or written nothing is approved; each decision is told with the rule that has made it. Requests wait
//! for the owner meanwhile, who may be faster. The node's life drives it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nelumbo_core::api::{Phase, SessionView};
use nelumbo_core::wire::{AbortReason, SessionId};
use nelumbo_tokio::Handle;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::config::Config;
use super::event_log::EventLog;
use super::life::now;
use super::policy::{Asked, Decision, Verdict};
use crate::contacts::Contacts;
use crate::group::Name;
use crate::private_file;

/// How long an amount counts.
const DAY: u64 = 24 * 60 * 60 * 1000;
/// How many may count at once. Beyond them nothing is approved.
const MAX_ENTRIES: usize = 10_000;
const MAX_SIZE: u64 = 4 * 1024 * 1024;
/// How often requests that wait are judged again, because a day may have passed.
const ROUND: Duration = Duration::from_secs(60);
const NEWS: usize = 256;

/// The end that the node's life holds.
#[derive(Clone, Debug)]
pub(crate) struct Approver(mpsc::Sender<SessionId>);

impl Approver {
    /// Starts to judge requests, until the last clone is dropped.
    pub(crate) fn start(handle: Handle, log: EventLog, folder: &Path, settings: watch::Receiver<Arc<Config>>) -> Self {
        let (sender, news) = mpsc::channel(NEWS);
        let amounts = Amounts::of(folder);
        let worker = Worker { handle, log, folder: folder.to_owned(), amounts, settings, judged: BTreeMap::new() };
        tokio::spawn(worker.run(news));
        Self(sender)
    }

    /// A request waits. What does not fit is found at the next round.
    pub(crate) fn tell(&self, session: SessionId) {
        let _ = self.0.try_send(session);
    }
}

struct Worker {
    handle: Handle,
    log: EventLog,
    folder: PathBuf,
    amounts: Amounts,
    settings: watch::Receiver<Arc<Config>>,
    /// What was said about requests that still wait.
    judged: BTreeMap<SessionId, (Decision, Option<Name>)>,
}

impl Worker {
    async fn run(mut self, mut news: mpsc::Receiver<SessionId>) {
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                asked = news.recv() => match asked {
                    None => return,
                    Some(session) => {
                        if let Ok(Some(view)) = self.handle.session(session).await {
                            self.judge(&view).await;
                        }
                    }
                },
                changed = self.settings.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.judged.clear();
                    self.judge_all().await;
                }
                _ = round.tick() => self.judge_all().await,
            }
        }
    }

    async fn judge_all(&mut self) {
        let Ok(mut views) = self.handle.sessions().await else { return };
        views.retain(|view| view.phase == Phase::Announced);
        self.judged.retain(|session, _| views.iter().any(|view| view.id == *session));
        for view in views {
            self.judge(&view).await;
        }
    }

    async fn judge(&mut self, view: &SessionView) {
        let policy = self.settings.borrow_and_update().approval.clone();
        let is_silent = policy.rules.is_empty() && policy.default == Decision::Ask;
        let (Phase::Announced, Ok(summary), false) = (view.phase, view.summary(), is_silent) else { return };
        let (session, time) = (view.id, now());
        let contacts = match Contacts::read(&self.folder) {
            Ok(contacts) => contacts,
            Err(failure) => return self.fail(session, "contacts.toml", &failure.to_string()),
        };
        let entries = self.amounts.read();
        let spent = |rule: &Name| match &entries {
            Ok(entries) => Ok(spent(entries, rule, session, time)),
            Err(error) => Err(format!("approved-amounts.json cannot be read: {error}")),
        };
        let verdict = policy.judge(&Asked::of(view, &summary), &contacts, spent);
        let said = (verdict.decision, verdict.rule.clone());
        if self.judged.get(&session) == Some(&said) {
            return;
        }
        if let (Decision::Approve, Some(rule), Some(amount)) = (verdict.decision, &verdict.rule, verdict.amount) {
            let entry = Entry { rule: rule.clone(), session, time, amount };
            let amounts = self.amounts.clone();
            let kept = tokio::task::spawn_blocking(move || amounts.add(entry)).await.map_err(io::Error::other);
            if let Err(error) = kept.and_then(|kept| kept) {
                return self.fail(session, "approved-amounts.json", &error.to_string());
            }
        }
        self.judged.insert(session, said);
        self.note(session, &verdict);
        let done = match verdict.decision {
            Decision::Ask => Ok(()),
            Decision::Approve => self.handle.join(session, []).await,
            Decision::Decline => self.handle.abort(session, AbortReason::Declined).await.map(drop),
        };
        if let Err(error) = done {
            self.fail(session, "the node", &error.to_string());
        }
    }

    fn note(&self, session: SessionId, verdict: &Verdict) {
        let Verdict { decision, rule, amount, others } = verdict;
        let event = json!({
            "event": "approval-decided", "session": session, "decision": decision, "rule": rule, "amount": amount,
            "others": others,
        });
        self.log.note(now(), &event);
    }

    /// The request goes on waiting for the owner.
    fn fail(&mut self, session: SessionId, of: &str, error: &str) {
        tracing::error!(%session, error, "a request could not be judged");
        if self.judged.insert(session, (Decision::Ask, None)).is_none() {
            self.log.note(now(), &json!({ "event": "approval-failed", "session": session, "of": of, "error": error }));
        }
    }
}

/// What was approved by a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: Name,
    session: SessionId,
    /// Milliseconds since 1970-01-01 UTC.
    time: u64,
    /// In satoshi.
    amount: u64,
}

/// What counts of a rule, but for a session that is there already. What is dated in the future counts too: the clock
/// may have been wrong.
fn spent(entries: &[Entry], rule: &Name, but: SessionId, time: u64) -> u64 {
    let counts = |entry: &&Entry| entry.rule == *rule && entry.session != but && entry.time.saturating_add(DAY) > time;
    entries.iter().filter(counts).fold(0, |sum, entry| sum.saturating_add(entry.amount))
}

#[derive(Clone, Debug)]
struct Amounts(PathBuf);

impl Amounts {
    fn of(folder: &Path) -> Self {
        Self(folder.join("approved-amounts.json"))
    }

    fn read(&self) -> io::Result<Vec<Entry>> {
        match fs::metadata(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Ok(file) if file.len() > MAX_SIZE => return Err(io::Error::other("it is too large")),
            found => found?,
        };
        serde_json::from_slice(&fs::read(&self.0)?).map_err(io::Error::other)
    }

    /// Puts an amount on the disk, once for each session.
    fn add(&self, entry: Entry) -> io::Result<()> {
        let mut entries = self.read()?;
        entries.retain(|old| old.time.saturating_add(DAY) > entry.time && old.session != entry.session);
        if entries.len() >= MAX_ENTRIES {
            return Err(io::Error::other(format!("{MAX_ENTRIES} were approved within a day")));
        }
        entries.push(entry);
        let text = serde_json::to_vec(&entries).expect("entries are texts and numbers");
        private_file::replace(&self.0, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(rule: &str, session: u8, time: u64, amount: u64) -> Entry {
        Entry { rule: rule.parse().expect("a name"), session: SessionId::from_bytes([session; 32]), time, amount }
    }

    #[test]
    fn what_was_approved_counts_for_a_day_and_over_restarts() {
        let folder = tempfile::tempdir().expect("a folder");
        let amounts = Amounts::of(folder.path());
        assert_eq!(amounts.read().expect("no file is nothing"), []);
        for (session, amount) in [(1, 5), (2, 7), (2, 7)] {
            amounts.add(entry("rent", session, 1_000, amount)).expect("there is room");
        }
        amounts.add(entry("food", 3, 1_000, 100)).expect("there is room");
        let rent: Name = "rent".parse().expect("a name");
        let new = SessionId::from_bytes([9; 32]);
        let kept = || Amounts::of(folder.path()).read().expect("readable");
        assert_eq!(spent(&kept(), &rent, new, 1_000 + DAY - 1), 12);
        assert_eq!(spent(&kept(), &rent, SessionId::from_bytes([2; 32]), 1_001), 5, "a session is counted once");
        assert_eq!(spent(&kept(), &rent, new, 1_000 + DAY), 0);
        assert_eq!(spent(&kept(), &rent, new, 0), 12, "a clock that was set back gives nothing away");
        amounts.add(entry("rent", 4, 1_000 + DAY, 1)).expect("there is room");
        assert_eq!(kept(), [entry("rent", 4, 1_000 + DAY, 1)]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let amounts = Amounts::of(folder.path());
        fs::write(&amounts.0, b"[").expect("it is ours");
        amounts.read().expect_err("nobody knows what was approved");
        amounts.add(entry("rent", 1, 0, 1)).expect_err("nor may it be forgotten");
        assert_eq!(fs::read(&amounts.0).expect("it is there"), b"[");
    }

    #[test]
    fn a_day_has_an_end_of_approvals() {
        let folder = tempfile::tempdir().expect("a folder");
        let amounts = Amounts::of(folder.path());
        let many: Vec<Entry> = (0..MAX_ENTRIES).map(|_| entry("rent", 1, 0, 0)).collect();
        fs::write(&amounts.0, serde_json::to_vec(&many).expect("JSON")).expect("it is ours");
        amounts.add(entry("rent", 2, 0, 0)).expect_err("it is full");
        amounts.add(entry("rent", 2, DAY, 0)).expect("they count no more");
    }
}
