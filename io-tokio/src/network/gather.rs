//! Several frames in one write.
//!
//! Owns the place between yamux and what encrypts. Invariant: whatever has been written is flushed before yamux waits.
//! yamux flushes after each of its frames, so that a message and the acknowledgement that goes with it would be two
//! encrypted messages, two writes and two packets. It turns to reading when nothing is left to write, and never waits
//! without; so what it wrote is flushed then, at once. Driven by yamux.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};

/// The upgrade to a multiplexer whose frames are gathered.
#[derive(Clone, Debug)]
pub(crate) struct Gathering<U>(pub(crate) U);

impl<U: UpgradeInfo> UpgradeInfo for Gathering<U> {
    type Info = U::Info;
    type InfoIter = U::InfoIter;

    fn protocol_info(&self) -> U::InfoIter {
        self.0.protocol_info()
    }
}

impl<S, U: InboundConnectionUpgrade<Gathered<S>>> InboundConnectionUpgrade<S> for Gathering<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_inbound(self, stream: S, info: U::Info) -> U::Future {
        self.0.upgrade_inbound(Gathered::new(stream), info)
    }
}

impl<S, U: OutboundConnectionUpgrade<Gathered<S>>> OutboundConnectionUpgrade<S> for Gathering<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_outbound(self, stream: S, info: U::Info) -> U::Future {
        self.0.upgrade_outbound(Gathered::new(stream), info)
    }
}

/// A stream whose flushes wait for the next read.
#[derive(Debug)]
pub(crate) struct Gathered<S> {
    inner: S,
    owes_flush: bool,
}

impl<S> Gathered<S> {
    fn new(inner: S) -> Self {
        Self { inner, owes_flush: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.owes_flush {
            // While it cannot be flushed it can be read: the other end may wait for that.
            self.owes_flush = Pin::new(&mut self.inner).poll_flush(context)?.is_pending();
        }
        Pin::new(&mut self.inner).poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.owes_flush = true;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(Pin::new(&mut self.inner).poll_flush(context))?;
        self.owes_flush = false;
        Pin::new(&mut self.inner).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        task::Waker,
    };

    use futures::FutureExt;
    use libp2p::{core::muxing::StreamMuxer, yamux};

    use super::*;

    #[derive(Default)]
    struct Written {
        unflushed: Vec<u8>,
        packets: Vec<usize>,
    }

    /// Counts what was written between two flushes.
    #[derive(Clone, Default)]
    struct Wire(Arc<Mutex<Written>>);

    impl AsyncRead for Wire {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Wire {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.lock().expect("whole").unflushed.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            let Written { unflushed, packets } = &mut *self.0.lock().expect("whole");
            if !unflushed.is_empty() {
                packets.push(std::mem::take(unflushed).len());
            }
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(context)
        }
    }

    /// Two streams say something at once; then one more, and the connection is closed. How large the packets are.
    fn packets<M: StreamMuxer + Unpin>(mut muxer: M, wire: &Wire) -> Vec<usize>
    where
        M::Substream: Unpin,
    {
        let context = &mut Context::from_waker(Waker::noop());
        let mut open = || match Pin::new(&mut muxer).poll_outbound(context) {
            Poll::Ready(Ok(stream)) => stream,
            _ => panic!("a stream can be opened"),
        };
        let mut streams = [open(), open()];
        for stream in &mut streams {
            assert!(matches!(Pin::new(stream).poll_write(context, b"message"), Poll::Ready(Ok(7))));
        }
        assert!(Pin::new(&mut muxer).poll(context).is_pending());
        assert!(matches!(Pin::new(&mut streams[0]).poll_write(context, b"last"), Poll::Ready(Ok(4))));
        let _ = Pin::new(&mut muxer).poll_close(context);
        wire.0.lock().expect("whole").packets.clone()
    }

    #[test]
    fn frames_of_several_streams_are_one_write_and_nothing_is_left_behind() {
        // Of yamux: a header, and another for its first ping.
        const FRAME: usize = 12;
        let wire = Wire::default();
        let muxer = Gathering(yamux::Config::default()).upgrade_outbound(wire.clone(), "/yamux/1.0.0");
        let sizes = packets(muxer.now_or_never().expect("at once").expect("a connection"), &wire);
        assert_eq!(sizes[0], FRAME + 2 * (FRAME + 7), "{sizes:?}");
        assert!(wire.0.lock().expect("whole").unflushed.is_empty(), "what is closed is flushed");
        let wire = Wire::default();
        let muxer = yamux::Config::default().upgrade_outbound(wire.clone(), "/yamux/1.0.0");
        let by_itself = packets(muxer.now_or_never().expect("at once").expect("a connection"), &wire);
        assert!(by_itself[0] < sizes[0] && by_itself.len() > sizes.len(), "yamux by itself: {by_itself:?}");
    }
}
