//! A stream whose other end is far away: what arrives is held back for as long as it would have travelled.
//!
//! Invariant: bytes come in order, each once, and none before its time.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite, FutureExt};
use tokio::time::{Instant, Sleep, sleep_until};

const CHUNK: usize = 4096;
/// How many chunks are under way at the most.
const MAX_CHUNKS_IN_FLIGHT: usize = 256;

pub(crate) struct DelayedStream<S> {
    stream: S,
    delay: Duration,
    in_flight: VecDeque<(Instant, Vec<u8>)>,
    arrival: Pin<Box<Sleep>>,
    is_over: bool,
}

impl<S> DelayedStream<S> {
    pub(crate) fn new(stream: S, delay: Duration) -> Self {
        let arrival = Box::pin(sleep_until(Instant::now()));
        Self { stream, delay, in_flight: VecDeque::new(), arrival, is_over: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for DelayedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        while !this.is_over && this.in_flight.len() < MAX_CHUNKS_IN_FLIGHT {
            let mut chunk = vec![0; CHUNK];
            let Poll::Ready(length) = Pin::new(&mut this.stream).poll_read(cx, &mut chunk)? else { break };
            chunk.truncate(length);
            this.is_over = length == 0;
            this.in_flight.push_back((Instant::now() + this.delay, chunk));
        }
        let Some((arrives, chunk)) = this.in_flight.front_mut() else { return Poll::Pending };
        if this.arrival.deadline() != *arrives {
            this.arrival.as_mut().reset(*arrives);
        }
        ready!(this.arrival.poll_unpin(cx));
        let length = chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&chunk[..length]);
        chunk.drain(..length);
        if chunk.is_empty() && !(this.is_over && this.in_flight.len() == 1) {
            this.in_flight.pop_front();
        }
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for DelayedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
