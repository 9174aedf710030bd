//! Programs outside the workspace that are timed in turn with ours: the musig2 crate, and xpi-ts on Node.js.
//!
//! Owns their processes. They read `OPERATION SIGNERS TIMES` and answer with nanoseconds, or with a dash for what they
//! do not do. Apart from the workspace, so that neither its lock file nor its policy of dependencies has anything to do
//! with what is only compared.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A program that answers.
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Those that could be started.
pub(crate) struct Rivals(Vec<Rival>);

impl Rivals {
    pub(crate) fn start() -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/rivals");
        let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/rivals");
        let mut cargo = Command::new(env!("CARGO"));
        let manifest = format!("{folder}/musig2/Cargo.toml");
        cargo.args(["build", "--release", "--quiet", "--manifest-path", &manifest, "--target-dir", target]);
        let mut rivals = Vec::new();
        if cargo.status().is_ok_and(|status| status.success()) {
            let program = format!("{target}/release/nelumbo-bench-musig2");
            rivals.extend(Rival::start("musig2", &mut Command::new(program)));
        }
        let script = format!("{folder}/xpi-ts.mjs");
        rivals.extend(Rival::start("xpi-ts", Command::new("node").arg(script)));
        Self(rivals)
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Rival> {
        self.0.iter_mut()
    }
}

impl Rival {
    /// Starts a program. None if it cannot be started or answers nothing.
    fn start(name: &'static str, command: &mut Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (questions, answers) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut rival = Self { name, child, questions, answers };
        if rival.ask("hello", 1, 1).is_none() {
            eprintln!("{name} does not answer; its column stays empty");
            return None;
        }
        Some(rival)
    }

    fn ask(&mut self, what: &str, signers: usize, times: u64) -> Option<String> {
        writeln!(self.questions, "{what} {signers} {times}").ok()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).ok()?;
        (!answer.is_empty()).then_some(answer)
    }

    /// How long an operation takes this many times; none if it cannot do it.
    pub(crate) fn run(&mut self, what: &str, signers: usize, times: u64) -> Option<Duration> {
        let answer = self.ask(what, signers, times)?;
        answer.trim().parse().ok().map(Duration::from_nanos)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
