//! The commands' end of the socket.
//!
//! Owns what all commands to a running node have in common: which node, how its answers are shown, and what its
//! refusals mean for the exit status. Invariant: a command ends, because the node answers, its connection ends, or time
//! is over. The commands drive it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::messages::{Heading, Kind, MAX_REPLY, Problem, Question, Reply, Request, VERSION};
use super::server::Server;
use crate::failure::Failure;
use crate::node::{DataFolder, Entry, Folder};
use crate::output;

/// How long a node may take to answer: what it does meanwhile is write to its disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which node, and how its answer is shown.
#[derive(Args, Debug)]
pub(crate) struct Running {
    #[command(flatten)]
    pub(crate) data: DataFolder,
    /// Prints JSON, one object in each line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Running {
    /// Asks for one thing and shows the answer: as it is with --json, otherwise as `show` does.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        request: &Request,
        show: impl FnOnce(T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let answer = self.connect()?.ask(request)?;
        if self.json { output::json(&answer) } else { show(read(&answer)?) }
    }

    /// The node's data folder.
    pub(crate) fn folder(&self) -> Result<Folder, Failure> {
        self.data.open()
    }

    /// Opens a connection to the node.
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        Client::connect(self.data.path()?)
    }
}

/// A connection to a running node.
#[derive(Debug)]
pub(crate) struct Client {
    folder: PathBuf,
    stream: BufReader<UnixStream>,
    questions: u64,
}

/// What is heard while events are followed.
#[derive(Debug)]
pub(crate) enum Heard {
    Event(Entry),
    /// So many events were lost because this command was too slow.
    Missed(u64),
    /// Nothing follows.
    End,
}

impl Client {
    fn connect(folder: PathBuf) -> Result<Self, Failure> {
        let stream = UnixStream::connect(Server::path(&folder)).map_err(|error| match error.kind() {
            // No socket, or one that a node has left behind that did not end well.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                let folder = folder.display();
                Failure::no_node(
                    format_args!("no node is running in {folder}"),
                    format_args!("start one with `nelumbo node --data {folder}`"),
                )
            }
            _ => Failure::input(
                format_args!("cannot talk to the node in {}: {error}", folder.display()),
                "choose the --data of a node of yours",
            ),
        })?;
        Ok(Self { folder, stream: BufReader::new(stream), questions: 0 })
    }

    /// Asks for something, and waits for the answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Box<RawValue>, Failure> {
        self.send(request)?;
        let until = Instant::now() + PATIENCE;
        loop {
            // Events may come in between.
            if let Some(result) = self.next(Some(until))?.result {
                return Ok(result);
            }
        }
    }

    /// The same, for an answer that is looked at.
    pub(crate) fn get<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        read(&self.ask(request)?)
    }

    /// Asks for events, which [`hear`](Self::hear) then gives.
    pub(crate) fn send(&mut self, request: &Request) -> Result<(), Failure> {
        self.questions += 1;
        let heading = Heading { version: VERSION, id: self.questions };
        let mut line = serde_json::to_vec(&Question { heading, request }).expect("questions are texts and numbers");
        line.push(b'\n');
        match self.stream.get_mut().write_all(&line) {
            // It may have said why before it hung up, which is read next.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(self.broken(&error)),
            _ => Ok(()),
        }
    }

    /// The next event, for which it waits until the given time or for ever.
    pub(crate) fn hear(&mut self, until: Option<Instant>) -> Result<Heard, Failure> {
        match self.next(until)? {
            Reply { event: Some(entry), .. } => Ok(Heard::Event(entry)),
            Reply { missed: Some(missed), .. } => Ok(Heard::Missed(missed)),
            _ => Ok(Heard::End),
        }
    }

    /// Waits until the node has gone.
    pub(crate) fn wait_for_end(mut self) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        while self.line(Some(until))?.is_some() {}
        Ok(())
    }

    fn next(&mut self, until: Option<Instant>) -> Result<Reply, Failure> {
        let gone = io::Error::from(io::ErrorKind::UnexpectedEof);
        let line = self.line(until)?.ok_or_else(|| self.broken(&gone))?;
        let reply: Reply = serde_json::from_slice(&line).map_err(unknown)?;
        match reply.error {
            Some(problem) => Err(self.failure(problem)),
            None => Ok(reply),
        }
    }

    /// One line, or `None` when the node has closed the connection.
    fn line(&mut self, until: Option<Instant>) -> Result<Option<Vec<u8>>, Failure> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        // No time at all would mean for ever.
        let left = left.map(|left| left.max(Duration::from_millis(1)));
        self.stream.get_ref().set_read_timeout(left).map_err(|error| self.broken(&error))?;
        let mut line = Vec::new();
        match self.stream.by_ref().take(MAX_REPLY).read_until(b'\n', &mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Failure::unmet(
                format_args!("nothing came from the node in {} in time", self.folder.display()),
                "give it more time, or see with `nelumbo events` and `nelumbo stats` what it does",
            )),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let folder = self.folder.display();
        Failure::no_node(
            format_args!("the node in {folder} has gone: {error}"),
            format_args!("start it again with `nelumbo node --data {folder}`"),
        )
    }

    fn failure(&self, problem: Problem) -> Failure {
        let Problem { kind, problem, remedy } = problem;
        match kind {
            Kind::Invalid => Failure::input(problem, remedy),
            Kind::Refused | Kind::Unauthorized | Kind::Forbidden | Kind::Busy => Failure::unmet(problem, remedy),
            Kind::Unallowed => Failure::unallowed(problem, remedy),
            Kind::Stopped => Failure::no_node(problem, remedy),
        }
    }
}

fn read<T: DeserializeOwned>(answer: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(answer.get()).map_err(unknown)
}

fn unknown(error: serde_json::Error) -> Failure {
    Failure::input(
        format_args!("the node says something that this version does not know: {error}"),
        "use the same nelumbo for the node and for its commands",
    )
}
