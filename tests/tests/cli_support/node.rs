//! Nodes as processes, driven by nothing but the command line.
//!
//! Owns their folders and processes. Invariant: no process outlives its [`Node`]. What a test waits for is an event;
//! time only bounds the waiting.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Run, command, finish};

pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PASSPHRASE: &str = "correct horse battery staple";

/// A node with a data folder of its own, running or not.
pub struct Node {
    pub folder: PathBuf,
    pub key: String,
    pub peer: String,
    process: Option<Lines>,
}

/// A process whose standard output is read line by line, each of them JSON.
pub struct Lines {
    process: Child,
    lines: Receiver<Value>,
}

impl Node {
    /// Makes a node on the regtest network that listens on loopback, and serves the DHT so that it is found by others.
    pub fn init(folder: &Path, arguments: &[&str]) -> Self {
        let data = folder.to_str().expect("test folders have plain names");
        let init = ["node", "init", "--json", "--data", data, "--preset", "full"];
        let network = if arguments.contains(&"--import") { &[][..] } else { &["--network", "regtest"] };
        let listen = if arguments.contains(&"--listen") { &[][..] } else { &["--listen", "/ip4/127.0.0.1/tcp/0"] };
        let made = finish(with_passphrase(&mut command(&[&init[..], network, listen, arguments].concat()))).json();
        let text = |field: &str| made[field].as_str().expect("a text").to_owned();
        Self { folder: folder.to_owned(), key: text("key"), peer: text("peer"), process: None }
    }

    /// Starts the node, and waits until it listens.
    pub fn start(&mut self) -> String {
        self.start_with(&[])
    }

    /// The same, with more arguments.
    pub fn start_with(&mut self, arguments: &[&str]) -> String {
        let mut node = Lines::spawn(with_passphrase(&mut self.command(&[&["node", "--json"], arguments].concat())));
        let listening =
            node.find(|line| (line["event"]["event"] == "listening").then(|| line["event"]["address"].clone()));
        self.process = Some(node);
        listening.as_str().expect("an address").to_owned()
    }

    /// A command to this node.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.arg("--data").arg(&self.folder);
        command
    }

    /// Runs a command to this node to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        finish(&mut self.command(arguments))
    }

    /// The same for a command that succeeds, with its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).json()
    }

    /// Waits until an event since the node's start is the one that is looked for.
    pub fn wait_for(&self, event: &str, fields: &[(&str, &str)]) -> Value {
        self.wait_for_after(0, event, fields)
    }

    /// The same, since the event with this number.
    pub fn wait_for_after(&self, number: u64, event: &str, fields: &[(&str, &str)]) -> Value {
        let after = number.to_string();
        let mut events = Lines::spawn(&mut self.command(&["events", "--follow", "--after", &after, "--json"]));
        events.find(|line| {
            let happened = &line["event"];
            let is_it = happened["event"] == event && fields.iter().all(|(field, value)| happened[*field] == *value);
            is_it.then(|| happened.clone())
        })
    }

    /// The number of the newest event.
    pub fn newest(&self) -> u64 {
        let lines = self.run(&["events", "--json"]).stdout;
        let newest: Value = serde_json::from_str(lines.lines().last().expect("an event")).expect("JSON");
        newest["number"].as_u64().expect("a number")
    }

    /// Waits until the node is connected to the holders of these keys.
    pub fn wait_for_signers(&self, keys: &[&str]) {
        for key in keys {
            self.wait_for("signer-connected", &[("key", key)]);
        }
    }

    /// Kills the process as the system kills one: without a word.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Has the node read its configuration again, with this text behind what there is, and waits until it has said what
    /// has come of it.
    pub fn reconfigure(&self, text: &str) -> Value {
        let config = self.folder.join("config.toml");
        let old = std::fs::read_to_string(&config).expect("it is there");
        std::fs::write(&config, format!("{old}\n{text}\n")).expect("it is ours");
        self.reload()
    }

    /// Has the node read its configuration again, and waits until it has said what has come of it.
    pub fn reload(&self) -> Value {
        let newest = self.newest().to_string();
        let mut events = Lines::spawn(&mut self.command(&["events", "--follow", "--after", &newest, "--json"]));
        self.process.as_ref().expect("it runs").signal("-HUP");
        events.find(|line| {
            let happened = &line["event"];
            let is_it = happened["event"].as_str().is_some_and(|event| event.starts_with("configuration-"));
            is_it.then(|| happened.clone())
        })
    }

    /// Sends a signal to the process, and waits until it has ended.
    pub fn signal(&mut self, signal: &str) -> Option<i32> {
        let process = self.process.take().expect("it runs");
        process.signal(signal);
        process.status()
    }

    /// Waits until the process has ended by itself.
    pub fn status(&mut self) -> Option<i32> {
        self.process.take().expect("it runs").status()
    }
}

impl Lines {
    pub fn spawn(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        Self { process, lines }
    }

    /// The next line.
    pub fn next(&mut self) -> Option<Value> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// The next line, if it is there already.
    pub fn next_now(&mut self) -> Option<Value> {
        self.lines.try_recv().ok()
    }

    /// What the first line that is looked for comes to.
    #[track_caller]
    pub fn find<T>(&mut self, mut look: impl FnMut(&Value) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if let Some(found) = look(&line) {
                return found;
            }
            seen.push(line.to_string());
        }
        panic!("waited in vain; there was only\n{}", seen.join("\n"));
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.id().to_string()]).status();
        assert!(sent.expect("there is a kill command").success());
    }

    /// The exit status, once the process has ended.
    pub fn status(mut self) -> Option<i32> {
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// Asks again until the answer is the one that is awaited.
#[track_caller]
pub fn until<T>(mut ask: impl FnMut() -> Value, awaited: impl Fn(&Value) -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = ask();
        if let Some(found) = awaited(&answer) {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain; the last answer was {answer}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The passphrase of all nodes, where commands find it.
pub fn with_passphrase(command: &mut Command) -> &mut Command {
    command.env("NELUMBO_PASSPHRASE", PASSPHRASE)
}
