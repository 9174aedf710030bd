//! The one-shot stream protocol for direct messages.
//!
//! Owns the bytes on a stream of [`SESSION_PROTOCOL`]: the sender writes one message and closes its half, the receiver
//! reads to the end and closes its own. That close is the acknowledgement. Of a message over the limit a byte more than
//! [`MAX_DIRECT_MESSAGE`] is handed on: the core counts and charges it as on every other channel. Invariant: no more of
//! one message is ever held. Driven by libp2p's request-response handler.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};

/// The protocol of direct messages between nodes.
pub const SESSION_PROTOCOL: StreamProtocol = StreamProtocol::new("/nelumbo/session/1.0.0");

/// The largest direct message, in bytes.
pub const MAX_DIRECT_MESSAGE: usize = 100_000;

/// What stands for a message over the limit, of which nothing was read: the core looks at how long it is, counts it and
/// holds it against its sender.
pub(crate) fn oversized() -> Vec<u8> {
    vec![0; MAX_DIRECT_MESSAGE + 1]
}

/// One message, one stream, no framing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OneShot;

impl request_response::Codec for OneShot {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = ();

    async fn read_request<T>(&mut self, _: &Self::Protocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut message = Vec::new();
        io.take(MAX_DIRECT_MESSAGE as u64 + 1).read_to_end(&mut message).await?;
        match message.len() {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "an empty direct message")),
            _ => Ok(message),
        }
    }

    async fn read_response<T>(&mut self, _: &Self::Protocol, io: &mut T) -> io::Result<()>
    where
        T: AsyncRead + Unpin + Send,
    {
        // The end of the stream acknowledges; a reset comes as an error, and bytes are not part of the protocol.
        match io.read(&mut [0]).await? {
            0 => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "bytes in place of an acknowledgement")),
        }
    }

    async fn write_request<T>(&mut self, _: &Self::Protocol, io: &mut T, message: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&message).await
    }

    async fn write_response<T>(&mut self, _: &Self::Protocol, _: &mut T, (): ()) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        // The handler closes the stream right after, and that is the acknowledgement.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use libp2p::request_response::Codec;

    use super::*;

    fn read(bytes: usize) -> io::Result<Vec<u8>> {
        block_on(OneShot.read_request(&SESSION_PROTOCOL, &mut Cursor::new(vec![7; bytes])))
    }

    #[test]
    fn a_message_of_the_largest_size_is_read_whole() {
        assert_eq!(read(MAX_DIRECT_MESSAGE).expect("a message").len(), MAX_DIRECT_MESSAGE);
    }

    #[test]
    fn of_a_larger_message_a_byte_over_the_limit_is_read_and_an_empty_one_is_refused() {
        for bytes in [MAX_DIRECT_MESSAGE + 1, 3 * MAX_DIRECT_MESSAGE] {
            assert_eq!(read(bytes).expect("for the core to refuse").len(), oversized().len());
        }
        assert_eq!(read(0).expect_err("empty").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn only_the_end_of_the_stream_acknowledges() {
        let acknowledge =
            |bytes: &'static [u8]| block_on(OneShot.read_response(&SESSION_PROTOCOL, &mut Cursor::new(bytes)));
        assert!(acknowledge(b"").is_ok());
        assert!(acknowledge(b"x").is_err());
    }
}
