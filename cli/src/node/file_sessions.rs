//! Sessions that are carried by files: PSBTs that go from signer to signer in whatever way people like.
//!
//! Owns their secret nonces, which are in this process and nowhere else, and the file `file-sessions.jsonl`, a line for
//! each attempt and each time that its nonces are spent. Invariants: the line is on the disk before a nonce or a
//! partial signature leaves; an attempt has its number once; a nonce signs once, and after a restart never; nothing
//! that another signer has given is replaced by something else. The socket's answers drive it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nelumbo_chain::psbt::{Psbt, PsbtError, Task};
use nelumbo_core::approval::{Summary, Unusual};
use nelumbo_core::crypto::{
    KeyAggContext, Network, NonceSlot, PublicKey, SecretKey, Signer, SignerError, SigningContext, SoftwareSigner,
    tagged_hash,
};
use nelumbo_core::wire::SessionId;
use nelumbo_tokio::SystemEntropy;
use serde::{Deserialize, Serialize};

use crate::{private_file, psbt};

/// How many sessions have open nonces or are remembered for one who asks again; the oldest makes room.
const MAX_OPEN: usize = 64;
/// How many sessions the records are kept of.
const MAX_RECORDS: usize = 10_000;
/// How large the file of records may become before it is written anew.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// See the module's documentation.
pub(crate) struct FileSessions {
    own: PublicKey,
    network: Network,
    signer: SoftwareSigner,
    records: Records,
    open: BTreeMap<SessionId, Open>,
    /// The open ones, oldest first.
    order: VecDeque<SessionId>,
}

struct Open {
    attempt: u32,
    /// Everything that is known of it.
    psbt: Psbt,
    tasks: Vec<Task>,
    has_signed: bool,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// It waits for nonces.
    Nonces,
    /// It waits for partial signatures.
    Partials,
    /// Everything that this node's groups sign in it is signed.
    Signed,
}

/// What comes of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) session: SessionId,
    pub(crate) attempt: u32,
    pub(crate) psbt: Psbt,
    pub(crate) stage: Stage,
    /// Whose nonces or partial signatures are missing.
    pub(crate) waits_for: Vec<PublicKey>,
    pub(crate) summary: Summary,
    /// Whether this step was the approval.
    pub(crate) is_new: bool,
}

/// Why there is no next step.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Psbt(#[from] PsbtError),
    #[error("this node's key signs no input of the PSBT")]
    NotASigner,
    #[error("what would be signed cannot be shown: {0}")]
    Summary(String),
    #[error("what would be signed is unusual: {}", nelumbo_core::approval::names(.0.iter().copied()))]
    Unusual(BTreeSet<Unusual>),
    #[error("the PSBT has a nonce of this node's that is gone: it was restarted, or has begun anew since")]
    NonceGone,
    #[error("the session has not been approved here since the node was started")]
    NotApproved,
    #[error("the nonces of this attempt are spent on other nonces of the others")]
    Spent,
    #[error("the signer refuses: {0}")]
    Signer(SignerError),
    #[error("what has to be on the disk first cannot be written: {0}")]
    Record(String),
}

impl FileSessions {
    pub(crate) fn new(folder: &Path, network: Network, key: impl Into<std::sync::Arc<SecretKey>>) -> Self {
        let signer = SoftwareSigner::new(key, SystemEntropy);
        Self {
            own: signer.public_key(),
            network,
            signer,
            records: Records { path: folder.join("file-sessions.jsonl"), known: None },
            open: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Approves what is signed, and gives this node's nonces; with `anew` in a new attempt, for which all signers begin
    /// again.
    pub(crate) fn approve(&mut self, given: Psbt, allow: &BTreeSet<Unusual>, anew: bool) -> Result<Step, StepError> {
        let (session, tasks, summary) = self.look(&given)?;
        let missing = summary.missing(allow);
        if !missing.is_empty() {
            return Err(StepError::Unusual(missing));
        }
        if self.open.contains_key(&session) && !anew {
            return self.advance(session, given, summary, false);
        }
        let mut psbt = given;
        if anew {
            tasks.iter().for_each(|task| psbt.begin_anew(task));
        }
        let own_place = |task: &Task| task.keys.index_of(&self.own).expect("it is one of the signers");
        if tasks.iter().any(|task| psbt.nonces(task)[own_place(task)].is_some()) {
            return Err(StepError::NonceGone);
        }
        if let Some(Open { attempt, .. }) = self.open.remove(&session) {
            self.signer_forget(NonceSlot { session: *session.as_bytes(), attempt });
            self.order.retain(|other| *other != session);
        }
        while self.open.len() >= MAX_OPEN
            && let Some(oldest) = self.order.pop_front()
            && let Some(Open { attempt, .. }) = self.open.remove(&oldest)
        {
            self.signer_forget(NonceSlot { session: *oldest.as_bytes(), attempt });
        }
        let attempt = self.records.begin(session).map_err(StepError::Record)?;
        let slot = NonceSlot { session: *session.as_bytes(), attempt };
        let items: Vec<(&KeyAggContext, &[u8])> = tasks.iter().map(|task| (&task.keys, &task.digest[..])).collect();
        let nonces = self.signer.nonces(slot, &items).map_err(StepError::Signer)?;
        for (task, nonce) in tasks.iter().zip(&nonces) {
            psbt.add_nonce(task, self.own, nonce)?;
        }
        self.open.insert(session, Open { attempt, psbt: psbt.clone(), tasks, has_signed: false });
        self.order.push_back(session);
        self.advance(session, psbt, summary, true)
    }

    /// Takes in what others have added to a session that is approved, and adds what follows: this node's partial
    /// signatures when all nonces are there, the signatures when all partial signatures are.
    pub(crate) fn go_on(&mut self, given: Psbt) -> Result<Step, StepError> {
        let (session, tasks, summary) = self.look(&given)?;
        if !self.open.contains_key(&session) {
            let own_place = |task: &Task| task.keys.index_of(&self.own).expect("it is one of the signers");
            let has_nonce = tasks.iter().any(|task| given.nonces(task)[own_place(task)].is_some());
            let mut psbt = given;
            // For one that needs nothing of this node any more it does not matter what the node has forgotten.
            if tasks.iter().all(|task| psbt.complete(task) == Ok(true)) {
                let (attempt, stage, waits_for) = (self.records.attempt(session), Stage::Signed, Vec::new());
                let attempt = attempt.map_err(StepError::Record)?;
                return Ok(Step { session, attempt, psbt, stage, waits_for, summary, is_new: false });
            }
            return Err(if has_nonce { StepError::NonceGone } else { StepError::NotApproved });
        }
        self.advance(session, given, summary, false)
    }

    /// What this node signs, what that is called, and what it does.
    fn look(&self, psbt: &Psbt) -> Result<(SessionId, Vec<Task>, Summary), StepError> {
        let tasks = psbt::tasks_of(psbt, &self.own)?;
        if tasks.is_empty() {
            return Err(StepError::NotASigner);
        }
        let summary = psbt::summary(psbt, &tasks, self.network).map_err(StepError::Summary)?;
        // The digests cover the transaction and what it spends.
        let of_task = |task: &Task| {
            let keys = task.keys.keys().iter().flat_map(|key| *key.as_bytes());
            let count = (task.keys.keys().len() as u64).to_be_bytes().into_iter();
            let key = *task.keys.challenge_key().as_bytes();
            task.digest.into_iter().chain(key).chain(count).chain(keys).collect::<Vec<u8>>()
        };
        let parts: Vec<Vec<u8>> = tasks.iter().map(of_task).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let session = SessionId::from_bytes(tagged_hash("nelumbo/file-session/1", &parts));
        Ok((session, tasks, summary))
    }

    fn signer_forget(&mut self, slot: NonceSlot) {
        self.signer.forget(slot);
    }

    fn advance(&mut self, session: SessionId, given: Psbt, summary: Summary, is_new: bool) -> Result<Step, StepError> {
        let Open { attempt, psbt, tasks, has_signed } = self.open.get_mut(&session).expect("the caller has looked");
        let attempt = *attempt;
        // On a copy: what is refused leaves nothing behind.
        let mut known = psbt.clone();
        known.combine(given)?;
        let rounds = tasks.iter().map(|task| known.round(task)).collect::<Result<Option<Vec<_>>, _>>()?;
        if let Some(rounds) = rounds
            && !*has_signed
        {
            self.records.spend(session, attempt).map_err(StepError::Record)?;
            // Whatever comes of it, these nonces are spent now.
            *has_signed = true;
            let slot = NonceSlot { session: *session.as_bytes(), attempt };
            let items: Vec<(&KeyAggContext, &SigningContext)> =
                tasks.iter().zip(&rounds).map(|(task, round)| (&task.keys, round)).collect();
            let partials = self.signer.sign(slot, &items).map_err(|error| match error {
                SignerError::NonceSpent => StepError::Spent,
                error => StepError::Signer(error),
            })?;
            for (task, partial) in tasks.iter().zip(&partials) {
                known.add_partial(task, self.own, partial)?;
            }
        }
        // Kept before anybody is found wrong: the partial signatures have been made.
        *psbt = known.clone();
        let mut is_signed = true;
        for task in tasks.iter() {
            is_signed &= known.complete(task)?;
        }
        *psbt = known.clone();
        let (nonces, partials) = psbt::missing(&known, tasks);
        let (stage, waits_for) = match (is_signed, nonces.is_empty()) {
            (true, _) => (Stage::Signed, Vec::new()),
            (false, true) => (Stage::Partials, partials),
            (false, false) => (Stage::Nonces, nonces),
        };
        Ok(Step { session, attempt, psbt: known, stage, waits_for, summary, is_new })
    }
}

impl std::fmt::Debug for FileSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSessions").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

/// What is on the disk.
struct Records {
    path: PathBuf,
    /// The last attempt of each session, in the order of their last lines; none before it was read.
    known: Option<Known>,
}

#[derive(Default)]
struct Known {
    attempts: BTreeMap<SessionId, u32>,
    order: VecDeque<SessionId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    session: SessionId,
    attempt: u32,
    step: Recorded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Recorded {
    /// Nonces may have left.
    Begun,
    /// They are spent.
    Spent,
}

impl Known {
    fn take(&mut self, session: SessionId, attempt: u32) {
        if let Some(last) = self.attempts.get_mut(&session) {
            *last = attempt.max(*last);
            return;
        }
        if self.order.len() >= MAX_RECORDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.attempts.remove(&oldest);
        }
        self.order.push_back(session);
        self.attempts.insert(session, attempt);
    }
}

impl Records {
    /// The session's last attempt; 0 for none.
    fn attempt(&mut self, session: SessionId) -> Result<u32, String> {
        Ok(self.known()?.attempts.get(&session).copied().unwrap_or_default())
    }

    /// The number of the session's next attempt, which is written down.
    fn begin(&mut self, session: SessionId) -> Result<u32, String> {
        let attempt = self.attempt(session)?.checked_add(1).ok_or("there were too many attempts")?;
        self.write(Record { session, attempt, step: Recorded::Begun })?;
        self.known()?.take(session, attempt);
        Ok(attempt)
    }

    fn spend(&mut self, session: SessionId, attempt: u32) -> Result<(), String> {
        self.write(Record { session, attempt, step: Recorded::Spent })
    }

    fn known(&mut self) -> Result<&mut Known, String> {
        if self.known.is_none() {
            self.known = Some(self.read()?);
        }
        Ok(self.known.as_mut().expect("it was read just now"))
    }

    fn read(&self) -> Result<Known, String> {
        let mut known = Known::default();
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(known),
            text => text.map_err(|error| format!("{}: {error}", self.path.display()))?,
        };
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for (number, line) in (1..).zip(lines) {
            match serde_json::from_str::<Record>(line) {
                Ok(Record { session, attempt, .. }) => known.take(session, attempt),
                // A crash in the middle of a line: nothing left before it was whole.
                Err(_) if !line.ends_with('\n') => {}
                Err(error) => return Err(format!("{}, line {number}: {error}", self.path.display())),
            }
        }
        Ok(known)
    }

    fn write(&mut self, record: Record) -> Result<(), String> {
        let cannot = |error: io::Error| error.to_string();
        if fs::metadata(&self.path).is_ok_and(|file| file.len() >= MAX_FILE) {
            self.shorten()?;
        }
        let mut line = serde_json::to_vec(&record).expect("names and numbers");
        line.push(b'\n');
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let is_new = !self.path.exists();
        let mut file = options.open(&self.path).map_err(cannot)?;
        cut_torn_line(&file, &self.path).map_err(cannot)?;
        file.write_all(&line).and_then(|()| file.sync_all()).map_err(cannot)?;
        match self.path.parent() {
            Some(folder) if is_new => private_file::sync_folder(folder).map_err(cannot),
            _ => Ok(()),
        }
    }

    /// Writes the last attempt of each session to a new file, which takes the place of the old one.
    fn shorten(&mut self) -> Result<(), String> {
        let (path, known) = (self.path.clone(), self.known()?);
        let mut text = String::new();
        for session in &known.order {
            let record = Record { session: *session, attempt: known.attempts[session], step: Recorded::Spent };
            text += &serde_json::to_string(&record).expect("names and numbers");
            text.push('\n');
        }
        let new = path.with_extension("jsonl.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
            _ => {}
        }
        private_file::create(&new, text.as_bytes()).map_err(|error| error.to_string())?;
        fs::rename(&new, &path).map_err(|error| error.to_string())?;
        private_file::sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(|error| error.to_string())
    }
}

/// What a crash has left of a line is taken away, so that the next one stands alone.
fn cut_torn_line(file: &File, path: &Path) -> io::Result<()> {
    let content = fs::read(path)?;
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    if whole < content.len() { file.set_len(whole as u64) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
