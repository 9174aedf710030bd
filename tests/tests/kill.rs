//! Real processes are killed in the middle of signing, start again with what is on their disks, and sign after all.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const SIGNERS: usize = 3;
/// How long after the command the victim is killed, in microseconds: over a whole session and beyond.
const MOMENTS: [u64; 12] = [0, 300, 600, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 9_000, 14_000, 25_000];

/// A process that may be killed and started again.
struct Signer {
    number: usize,
    folder: PathBuf,
    process: Child,
    orders: ChildStdin,
    life: usize,
    lines: Sender<(usize, usize, Value)>,
}

impl Signer {
    fn start(number: usize, folder: PathBuf, through: Option<&str>, lines: &Sender<(usize, usize, Value)>) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder");
        let (process, orders) = spawn(number, 0, &folder, through, lines);
        Self { number, folder, process, orders, life: 0, lines: lines.clone() }
    }

    /// Kills the process as the system kills one: without a word, at whatever it is doing.
    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    fn restart(&mut self, through: Option<&str>) {
        self.life += 1;
        (self.process, self.orders) = spawn(self.number, self.life, &self.folder, through, &self.lines);
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").expect("it listens");
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

fn spawn(
    number: usize,
    life: usize,
    folder: &PathBuf,
    through: Option<&str>,
    lines: &Sender<(usize, usize, Value)>,
) -> (Child, ChildStdin) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_signer"))
        .arg(folder)
        .args(through)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the signer starts");
    let output = BufReader::new(process.stdout.take().expect("piped"));
    let lines = lines.clone();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if lines.send((number, life, value)).is_err() {
                break;
            }
        }
    });
    let orders = process.stdin.take().expect("piped");
    (process, orders)
}

/// The three processes and what they have said.
struct Stage {
    signers: Vec<Signer>,
    lines: Receiver<(usize, usize, Value)>,
    keys: Vec<String>,
    /// For each session, who has the signature, and which.
    signed: BTreeMap<String, BTreeMap<usize, String>>,
    known: BTreeSet<String>,
    attempts_started: usize,
    /// Which signers each signer is connected to.
    connected: Vec<BTreeSet<String>>,
    first_address: Option<String>,
    refusals: Vec<Value>,
    _folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (sender, lines) = channel();
        let first = Signer::start(0, folder.path().join("0"), None, &sender);
        let mut stage = Self {
            signers: vec![first],
            lines,
            keys: vec![String::new(); SIGNERS],
            signed: BTreeMap::new(),
            known: BTreeSet::new(),
            attempts_started: 0,
            connected: vec![BTreeSet::new(); SIGNERS],
            first_address: None,
            refusals: Vec::new(),
            _folder: folder,
        };
        stage.wait("the first address", |stage| stage.first_address.is_some());
        for number in 1..SIGNERS {
            let folder = stage._folder.path().join(number.to_string());
            let through = stage.first_address.clone();
            stage.signers.push(Signer::start(number, folder, through.as_deref(), &sender));
        }
        stage.wait_connected();
        stage
    }

    fn wait_connected(&mut self) {
        self.wait("all to be connected", |stage| {
            stage.connected.iter().all(|connected| connected.len() == SIGNERS - 1)
        });
    }

    fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        assert!(self.wait_for(PATIENCE, done), "waited in vain for {what}");
    }

    fn wait_for(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + time;
        while !done(self) {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((number, life, value)) => self.note(number, life, &value),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => panic!("no signer runs any more"),
            }
        }
        true
    }

    fn note(&mut self, number: usize, life: usize, value: &Value) {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        if let Some(key) = text("key").filter(|_| value.get("event").is_none()) {
            self.keys[number] = key;
        }
        if value.get("refusals").is_some() {
            self.refusals.push(value["refusals"].clone());
        }
        let of_this_life = self.signers.get(number).is_none_or(|signer| signer.life == life);
        match (value["event"].as_str(), text("session"), text("key")) {
            (Some("listening"), ..) if number == 0 => self.first_address = text("address"),
            (Some("session-created" | "session-announced"), Some(session), _) => drop(self.known.insert(session)),
            (Some("attempt-started"), ..) => self.attempts_started += 1,
            (Some("session-completed"), Some(session), _) => {
                let signature =
                    value["signatures"][0].as_str().expect("a completed session has a signature").to_owned();
                self.signed.entry(session).or_default().insert(number, signature);
            }
            (Some("signer-connected"), _, Some(key)) if of_this_life => drop(self.connected[number].insert(key)),
            (Some("signer-disconnected"), _, Some(key)) if of_this_life => drop(self.connected[number].remove(&key)),
            _ => {}
        }
    }

    /// One session whose victim is killed this long after the command, and starts again.
    fn kill_during(&mut self, victim: usize, creator: usize, after: Duration, message: u8) {
        let before: BTreeSet<String> = self.known.clone();
        let order = format!("{} {}", self.keys.join(" "), hex::encode([message; 32]));
        self.signers[creator].order(&order);
        // The one place where real time is let pass on purpose: it chooses the moment of the kill.
        std::thread::sleep(after);
        self.signers[victim].kill();
        self.wait_for(Duration::from_millis(50), |_| false);
        self.connected[victim].clear();
        let through = self.first_address.clone().filter(|_| victim != 0);
        self.signers[victim].restart(through.as_deref());
        let is_known = |stage: &Self| stage.known.difference(&before).next().is_some();
        if !self.wait_for(Duration::from_secs(3), is_known) {
            // The creator was killed before its record was on the disk: nobody has heard of the session.
            assert_eq!(victim, creator, "only its creator's death can undo a session");
            self.wait_connected();
            return;
        }
        let session = self.known.difference(&before).next().expect("it is known").clone();
        self.wait(&format!("the signature of {session} after killing {victim}"), |stage| {
            stage.signed.get(&session).is_some_and(|signed| signed.len() == SIGNERS)
        });
        let signatures: BTreeSet<&String> = self.signed[&session].values().collect();
        assert_eq!(signatures.len(), 1, "all have the same signature");
        self.wait_connected();
    }
}

#[test]
fn a_killed_signer_comes_back_and_signs_in_another_attempt() {
    let mut stage = Stage::new();
    let mut message = 0;
    for (round, moment) in MOMENTS.into_iter().enumerate() {
        for victim in [round % SIGNERS, (round + 1) % SIGNERS] {
            message += 1;
            stage.kill_during(victim, round % SIGNERS, Duration::from_micros(moment), message);
        }
    }
    assert!(stage.attempts_started > 0, "at least one kill must have hit an attempt");
    for signer in &mut stage.signers {
        signer.order("");
    }
    stage.wait("the refusals", |stage| stage.refusals.len() == SIGNERS);
    for refusals in &stage.refusals {
        assert!(refusals.get("Equivocation").is_none(), "a signer showed two nonces in one attempt: {refusals}");
    }
}
