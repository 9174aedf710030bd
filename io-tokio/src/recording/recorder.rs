//! Writes a recording while the node lives.
//!
//! Owns the file and the thread that writes it. Invariants: the node never waits for the file, and goes on whatever
//! becomes of it; the file is the owner's alone and never larger than its limit; what the node was given has left the
//! process as soon as the thread has caught up, so that a crash loses little. Driven by the runtime.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use nelumbo_core::{
    api::{Command, CommandError, CommandId, Input, Output},
    base::Now,
};
use tokio::sync::oneshot;

use super::{Answer, CHAIN, Chain, End, Frame, MAGIC, OutputDigest, Start, StepInput, encode, encode_frame};

/// So many bytes may wait for the disk.
const MAX_WAITING: usize = 16 << 20;
/// So many are written at once.
const BLOCK: usize = 64 << 10;

/// Sends frames to the thread that writes them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct FrameSender {
    frames: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: AtomicUsize,
    has_ended: AtomicBool,
}

/// Records one node.
#[derive(Debug)]
pub(crate) struct Recorder {
    sender: FrameSender,
    /// The outputs since the step began, if one has.
    outputs: Option<Vec<OutputDigest>>,
    written: oneshot::Receiver<()>,
}

impl FrameSender {
    pub(super) fn write(&self, frame: &Frame<'_>) {
        if self.shared.has_ended.load(Ordering::Relaxed) {
            return;
        }
        let body = encode(frame);
        let waiting = self.shared.waiting.fetch_add(body.len(), Ordering::Relaxed);
        let is_behind = waiting > MAX_WAITING;
        if is_behind {
            self.shared.has_ended.store(true, Ordering::Relaxed);
        }
        // Nobody takes it once the thread has ended, which it has told.
        let _ended = self.frames.send(if is_behind { encode(&Frame::End(End::Overrun)) } else { body });
    }

    pub(super) fn answer(&self, answer: Answer) {
        self.write(&Frame::Answer(answer));
    }

    /// Without a thread: the frames are the caller's.
    #[cfg(test)]
    pub(super) fn without_writer() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (frames, waiting) = mpsc::channel();
        (Self { frames, shared: Arc::default() }, waiting)
    }
}

impl Recorder {
    /// Begins a recording. One that is there already is kept, with `.1` behind its name, in the place of an older one.
    /// When it ends before the node, `on_early_end` is told why.
    pub(crate) fn begin(
        path: &Path,
        limit: u64,
        start: Start<'_>,
        on_early_end: impl FnOnce(String) + Send + 'static,
    ) -> io::Result<Self> {
        let file = create(path)?;
        let (frames, waiting) = mpsc::channel();
        let (done, written) = oneshot::channel();
        let shared = Arc::<Shared>::default();
        let sender = FrameSender { frames, shared: shared.clone() };
        let mut writer = Writer { file, path: path.to_owned(), limit, written: 0, chain: [0; CHAIN], shared };
        writer.put(MAGIC)?;
        thread::Builder::new().name("recorder".into()).spawn(move || {
            if let Some(reason) = writer.run(&waiting) {
                tracing::warn!(file = %writer.path.display(), reason, "the recording has ended; the node goes on");
                on_early_end(reason);
            }
            // Nobody may wait for it.
            let _ = done.send(());
        })?;
        sender.write(&Frame::Start(Box::new(start)));
        // The node's first outputs belong to no input.
        Ok(Self { sender, outputs: Some(Vec::new()), written })
    }

    pub(crate) fn sender(&self) -> FrameSender {
        self.sender.clone()
    }

    /// The node is about to be given these.
    pub(crate) fn inputs(&mut self, now: Now, inputs: &[Input]) {
        self.step(now, StepInput::Inputs(inputs.into()));
    }

    /// The node is about to be given this.
    pub(crate) fn command(&mut self, now: Now, command: &Command) {
        self.step(now, StepInput::Command(std::borrow::Cow::Borrowed(command)));
    }

    /// What the node has answered.
    pub(crate) fn command_answer(&mut self, answer: &Result<CommandId, CommandError>) {
        self.outputs.get_or_insert_default().push(OutputDigest::answer(answer));
    }

    /// The node has this output.
    pub(crate) fn output(&mut self, output: &Output) {
        self.outputs.get_or_insert_default().push(OutputDigest::output(output));
    }

    /// The step, if one was taken, has no more outputs.
    pub(crate) fn end_step(&mut self) {
        if let Some(outputs) = self.outputs.take() {
            self.sender.write(&Frame::Done(outputs));
        }
    }

    /// Ends the recording, and returns when it is on the disk.
    pub(crate) async fn end(self) {
        self.sender.write(&Frame::End(End::Stopped));
        // The thread that is gone has written what it could.
        let _ = self.written.await;
    }

    /// Ends the recording while the node goes on.
    pub(crate) fn end_early(self, why: End) {
        self.sender.write(&Frame::End(why));
    }

    /// Goes without an end, as in a crash, and waits until everything is on the disk.
    #[cfg(test)]
    pub(super) async fn abandoned(self) {
        drop(self.sender);
        let _ = self.written.await;
    }

    fn step(&mut self, now: Now, input: StepInput<'_>) {
        self.outputs = Some(Vec::new());
        self.sender.write(&Frame::Step { now, input });
    }
}

struct Writer {
    file: File,
    path: PathBuf,
    limit: u64,
    written: u64,
    chain: Chain,
    shared: Arc<Shared>,
}

impl Writer {
    /// Writes until the recording ends, and returns why it ended before the node, if it did.
    fn run(&mut self, waiting: &mpsc::Receiver<Vec<u8>>) -> Option<String> {
        let ended = self.write_all(waiting);
        self.shared.has_ended.store(true, Ordering::Relaxed);
        match ended {
            Ok(Some(End::Stopped)) => None,
            Ok(Some(End::Full)) => Some(format!("it has reached its limit of {} bytes", self.limit)),
            Ok(Some(End::Protocols)) => Some("a protocol was registered or taken out".to_owned()),
            Ok(Some(End::Overrun)) => Some("the disk is too slow for it".to_owned()),
            Ok(None) => Some("nobody ended it".to_owned()),
            Err(error) => Some(format!("it cannot be written any more: {error}")),
        }
    }

    /// Writes what waits, as much as there is at once, until somebody has ended it or nobody is left who could.
    fn write_all(&mut self, waiting: &mpsc::Receiver<Vec<u8>>) -> io::Result<Option<End>> {
        let end_size = encode(&Frame::End(End::Full)).len() + 4 + CHAIN;
        let mut block = Vec::new();
        while let Ok(first) = waiting.recv() {
            for body in std::iter::once(first).chain(waiting.try_iter()) {
                self.shared
                    .waiting
                    .fetch_sub(body.len().min(self.shared.waiting.load(Ordering::Relaxed)), Ordering::Relaxed);
                let size = (block.len() + 4 + CHAIN + body.len() + end_size) as u64;
                let is_full = self.written + size > self.limit;
                let body = if is_full { encode(&Frame::End(End::Full)) } else { body };
                block.extend(encode_frame(&mut self.chain, &body));
                if let Ok(Frame::End(end)) = postcard::from_bytes(&body) {
                    self.put(&block)?;
                    self.file.sync_all()?;
                    return Ok(Some(end));
                }
                if block.len() >= BLOCK {
                    self.put(&std::mem::take(&mut block))?;
                }
            }
            self.put(&std::mem::take(&mut block))?;
        }
        self.file.sync_all()?;
        Ok(None)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

/// A new file for the owner alone. An older recording makes room; anything else stays.
fn create(path: &Path) -> io::Result<File> {
    if let Ok(mut older) = File::open(path) {
        let mut head = [0; 17];
        if older.read_exact(&mut head).is_err() || head != MAGIC[..17] {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already, and no recording"));
        }
        let mut kept = OsString::from(path);
        kept.push(".1");
        fs::rename(path, kept)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
