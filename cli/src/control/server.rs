//! The node's end of the socket.
//!
//! Owns the socket file and the connections. Invariants: the file is the owner's alone from the moment it is there, and
//! what an earlier process left is replaced; lines, connections and what waits in each are bounded; a command that
//! reads slowly, says nonsense, or nothing at all, harms nobody but itself. The node's life drives it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use serde_json::value::to_raw_value;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::answers::{Answer, Answers};
use super::messages::{self, MAX_QUESTION, Problem, Reply};
use super::shapes::Done;
use crate::failure::Failure;
use crate::node::{Follower, Next};

const MAX_CONNECTIONS: usize = 64;

/// The socket, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    path: PathBuf,
    listener: UnixListener,
}

impl Server {
    /// Where the socket of the node in this folder is.
    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join("socket")
    }

    /// Whether the socket of the node in this folder can have a name: systems allow it about a hundred bytes.
    pub(crate) fn check_path(folder: &Path) -> Result<(), Failure> {
        SocketAddr::from_pathname(Self::unfinished(folder)).map(drop).map_err(|_| {
            let path = Self::path(folder);
            Failure::input(
                format_args!("{} is too long a name for a socket", path.display()),
                "choose a --data that is shorter",
            )
        })
    }

    /// Its name until it has its permissions.
    fn unfinished(folder: &Path) -> PathBuf {
        folder.join("socket.new")
    }

    /// Makes the socket. Only whoever has the lock of the folder may do so: what is there is thrown away.
    pub(crate) fn bind(folder: &Path) -> io::Result<Self> {
        let path = Self::path(folder);
        // Renamed when it has its permissions, so that nobody ever sees it with others.
        let unfinished = Self::unfinished(folder);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&unfinished)?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))?;
        fs::rename(&unfinished, &path)?;
        Ok(Self { path, listener })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that is left over does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes connections for ever, and answers what comes over them. Where there are too many, the oldest that asks for
/// nothing gives way.
pub(crate) async fn serve(server: &Server, answers: &Answers, connections: &mut JoinSet<()>) {
    let mut open: Vec<(AbortHandle, Arc<AtomicBool>)> = Vec::new();
    loop {
        tokio::select! {
            accepted = server.listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.retain(|(task, _)| !task.is_finished());
                    if open.len() >= MAX_CONNECTIONS {
                        let Some(oldest) = open.iter().position(|(_, is_idle)| is_idle.load(Ordering::Relaxed)) else {
                            refuse(&stream);
                            continue;
                        };
                        open.remove(oldest).0.abort();
                    }
                    let (answers, is_idle) = (answers.clone(), Arc::new(AtomicBool::new(false)));
                    let connection = Connection::new(stream, is_idle.clone());
                    let task = connections.spawn(async move {
                        // An error says that the other end is gone, and that ends it.
                        let _ = connection.run(&answers).await;
                    });
                    open.push((task, is_idle));
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection could be taken");
                    // Too many open files: some of them may be closed soon.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

fn refuse(stream: &UnixStream) {
    let problem = Problem::refused("too many commands talk to the node at once", "wait until some have ended");
    // A buffer that is empty takes one line; if not, the end of the connection says enough.
    let _ = stream.try_write(&line(&Reply { error: Some(problem), ..Reply::default() }));
}

struct Connection {
    questions: FramedRead<OwnedReadHalf, LinesCodec>,
    replies: OwnedWriteHalf,
    /// Who wanted events, and gets them from here.
    following: Option<(u64, Follower)>,
    /// Whether it neither has a question that is open nor gets events.
    is_idle: Arc<AtomicBool>,
}

impl Connection {
    fn new(stream: UnixStream, is_idle: Arc<AtomicBool>) -> Self {
        let (questions, replies) = stream.into_split();
        let lines = LinesCodec::new_with_max_length(MAX_QUESTION);
        Self { questions: FramedRead::new(questions, lines), replies, following: None, is_idle }
    }

    /// One thing at a time: what is not read yet waits in the socket, and events in the log.
    async fn run(mut self, answers: &Answers) -> io::Result<()> {
        loop {
            let is_following = self.following.is_some();
            let event = async {
                match &mut self.following {
                    Some((id, follower)) => (*id, follower.next().await),
                    None => std::future::pending().await,
                }
            };
            self.is_idle.store(!is_following, Ordering::Relaxed);
            tokio::select! {
                question = self.questions.next() => match question {
                    Some(Ok(line)) => {
                        self.is_idle.store(false, Ordering::Relaxed);
                        self.on_line(&line, answers).await?;
                    }
                    Some(Err(LinesCodecError::MaxLineLengthExceeded)) => {
                        let text = format!("a line has more than {MAX_QUESTION} bytes");
                        self.fail(None, Problem::invalid(text, "ask for less at once")).await?;
                        // After an error the stream ends once, and goes on behind what was wrong.
                        self.questions.next().await;
                    }
                    Some(Err(LinesCodecError::Io(error))) => return Err(error),
                    None => return Ok(()),
                },
                (id, event) = event => match event {
                    Some(event) => self.tell(id, event).await?,
                    None => {
                        self.end_events(id).await?;
                        self.following = None;
                    }
                },
            }
        }
    }

    async fn on_line(&mut self, line: &str, answers: &Answers) -> io::Result<()> {
        let (id, request) = messages::read(line);
        let answer = match request {
            Ok(request) => answers.answer(request).await,
            Err(problem) => Err(problem),
        };
        match (answer, id) {
            (Ok(Answer::Result(result)), _) => {
                self.reply(&Reply { id, result: Some(result), ..Reply::default() }).await
            }
            (Ok(Answer::Events { follow: true, .. }), Some(_)) if self.following.is_some() => {
                let text = "this connection has events already";
                self.fail(id, Problem::invalid(text, "open another one")).await
            }
            (Ok(Answer::Events { follower, follow: true }), Some(id)) => {
                self.following = Some((id, follower));
                Ok(())
            }
            (Ok(Answer::Events { mut follower, .. }), id) => {
                let id = id.unwrap_or_default();
                while let Some(event) = follower.try_next() {
                    self.tell(id, event).await?;
                }
                self.end_events(id).await
            }
            (Err(problem), id) => self.fail(id, problem).await,
        }
    }

    async fn tell(&mut self, id: u64, event: Next) -> io::Result<()> {
        let id = Some(id);
        match event {
            Next::Entry(entry) => self.reply(&Reply { id, event: Some((*entry).clone()), ..Reply::default() }).await,
            Next::Missed(missed) => self.reply(&Reply { id, missed: Some(missed), ..Reply::default() }).await,
        }
    }

    async fn end_events(&mut self, id: u64) -> io::Result<()> {
        let done = to_raw_value(&Done {}).expect("an empty object");
        self.reply(&Reply { id: Some(id), result: Some(done), ..Reply::default() }).await
    }

    async fn fail(&mut self, id: Option<u64>, problem: Problem) -> io::Result<()> {
        self.reply(&Reply { id, error: Some(problem), ..Reply::default() }).await
    }

    async fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        self.replies.write_all(&line(reply)).await
    }
}

fn line(reply: &Reply) -> Vec<u8> {
    let mut line = serde_json::to_vec(reply).expect("replies are made of texts, numbers and lists");
    line.push(b'\n');
    line
}
