//! The two ends of a channel's stream.
//!
//! Owns what goes over one stream: frames one way, and the other way how many of them have been taken, as numbers of
//! four bytes, big endian. Invariant: neither end holds more than one write or one batch beside the message that is on
//! its way, and what the other end may not say ends the stream. Driven by [`super::handler`].
//!
//! An acknowledgement says that the application has the message. It leaves together with what is sent the other way, or
//! when [`ACK_FRAMES`] or [`ACK_BYTES`] have been taken, or after [`ACK_DELAY`], whatever is first: whoever answers
//! pays nothing for it.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    BatchQueue,
    frames::{self, Decoder, HEADER},
};

/// As much as this is collected for one write.
const WRITE_BYTES: usize = 64 * 1024;
/// As much as this is read before it is handed on.
const BATCH_BYTES: usize = 64 * 1024;
/// As much is read at a time: it is cleared first, and most messages are shorter.
const CHUNK: usize = 2 * 1024;
const ACK_FRAMES: u32 = 64;
const ACK_BYTES: usize = 128 * 1024;
/// Longer than a session of many signers takes, in which everyone answers everyone; short of the second after which
/// messages move to another connection.
const ACK_DELAY: Duration = Duration::from_millis(200);
const ACK: usize = 4;

/// The end that messages go into.
#[derive(Debug)]
pub(super) struct Sending<S> {
    stream: S,
    buffer: Vec<u8>,
    written: usize,
    is_flushed: bool,
    unacknowledged: u32,
    ack: [u8; ACK],
    ack_filled: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sending<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            written: 0,
            is_flushed: true,
            unacknowledged: 0,
            ack: [0; ACK],
            ack_filled: 0,
        }
    }

    /// Whether there is something to write.
    pub(super) fn is_writing(&self, queue: &BatchQueue) -> bool {
        !queue.is_empty() || self.written < self.buffer.len()
    }

    /// Writes what is queued; ready with a number of messages that the other end has taken, or when the stream is over.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, queue: &mut BatchQueue) -> Poll<io::Result<u32>> {
        if let Poll::Ready(Err(error)) = self.poll_write(context, queue) {
            return Poll::Ready(Err(error));
        }
        let mut taken = 0;
        loop {
            match Pin::new(&mut self.stream).poll_read(context, &mut self.ack[self.ack_filled..])? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(read) => self.ack_filled += read,
                Poll::Pending if taken > 0 => return Poll::Ready(Ok(taken)),
                Poll::Pending => return Poll::Pending,
            }
            if self.ack_filled == ACK {
                self.ack_filled = 0;
                let more = u32::from_be_bytes(self.ack);
                if more == 0 || more > self.unacknowledged {
                    let text = "an acknowledgement of what was not sent";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                self.unacknowledged -= more;
                taken += more;
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, queue: &mut BatchQueue) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.buffer.len() {
                self.buffer.clear();
                self.written = 0;
                while self.buffer.len() < WRITE_BYTES {
                    let Some(message) = queue.pop_front() else { break };
                    frames::encode(&message, &mut self.buffer);
                    self.unacknowledged += 1;
                }
                if self.buffer.is_empty() {
                    break;
                }
            }
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.buffer[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
            self.is_flushed = false;
        }
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.is_flushed = true;
            // A burst is rare; its buffer need not stay.
            self.buffer.shrink_to(CHUNK);
        }
        Poll::Ready(Ok(()))
    }
}

/// What came of reading.
#[derive(Debug)]
pub(super) enum Received {
    Messages(Vec<Vec<u8>>),
    /// The other end has closed its half, between two frames.
    Ended,
}

/// The end that messages come out of.
#[derive(Debug)]
pub(super) struct Receiving<S> {
    stream: S,
    decoder: Decoder,
    /// Messages that were handed on and are not acknowledged yet.
    taken: u32,
    taken_bytes: usize,
    acks: Vec<u8>,
    is_flushed: bool,
    delay: Option<Pin<Box<Sleep>>>,
    is_delayed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiving<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            taken: 0,
            taken_bytes: 0,
            acks: Vec::new(),
            is_flushed: true,
            delay: None,
            is_delayed: false,
        }
    }

    /// Ready with messages, or when the stream is over. `answers` says that something leaves for the other end now.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, answers: bool) -> Poll<io::Result<Received>> {
        if let Poll::Ready(Err(error)) = self.poll_acknowledge(context, answers) {
            return Poll::Ready(Err(error));
        }
        let (mut messages, mut bytes, mut chunk) = (Vec::new(), 0, [0; CHUNK]);
        while bytes < BATCH_BYTES {
            match Pin::new(&mut self.stream).poll_read(context, &mut chunk) {
                Poll::Ready(Ok(0)) if messages.is_empty() => {
                    if !self.decoder.is_between_frames() {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    // A full stream has no room for it, and then it is lost; the sender sends again.
                    let _ = self.poll_acknowledge(context, true)?;
                    return Poll::Ready(Ok(Received::Ended));
                }
                Poll::Ready(Ok(read)) if read > 0 => {
                    bytes += read;
                    let pushed = self.decoder.push(&chunk[..read], &mut messages);
                    pushed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                }
                // What came before is handed on first; the end is there the next time too.
                Poll::Ready(Ok(_)) => break,
                Poll::Ready(Err(error)) if messages.is_empty() => return Poll::Ready(Err(error)),
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        if messages.is_empty() {
            if bytes >= BATCH_BYTES {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        self.taken += u32::try_from(messages.len()).expect("a batch is small");
        self.taken_bytes += messages.iter().map(|message| message.len() + HEADER).sum::<usize>();
        Poll::Ready(Ok(Received::Messages(messages)))
    }

    #[cfg(test)]
    pub(super) fn held_acknowledgements(&self) -> usize {
        self.acks.len()
    }

    fn poll_acknowledge(&mut self, context: &mut Context<'_>, now: bool) -> Poll<io::Result<()>> {
        if self.taken > 0 && (now || self.taken >= ACK_FRAMES || self.taken_bytes >= ACK_BYTES || self.is_due(context))
        {
            // As long as the last one cannot leave, they add up.
            if self.acks.is_empty() {
                self.acks.extend_from_slice(&self.taken.to_be_bytes());
                (self.taken, self.taken_bytes, self.is_delayed) = (0, 0, false);
            }
        }
        while !self.acks.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.acks))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => drop(self.acks.drain(..written)),
            }
            self.is_flushed = false;
        }
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the messages that were taken have waited long enough for something to go the other way.
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        let delay = self.delay.get_or_insert_with(|| Box::pin(sleep(ACK_DELAY)));
        if !self.is_delayed {
            delay.as_mut().reset(Instant::now() + ACK_DELAY);
            self.is_delayed = true;
        }
        pin!(delay).poll(context).is_ready()
    }
}
