//! Frames of a channel.
//!
//! Owns how messages lie one after the other in a stream: four bytes, big endian, with the length, then as many bytes.
//! Invariant: no more than [`MAX_DIRECT_MESSAGE`] bytes of one message are ever held, and memory is taken for bytes
//! that have come, never for a length that was only claimed. Pure. Driven by [`super::stream`].

use super::super::codec::MAX_DIRECT_MESSAGE;

pub(super) const HEADER: usize = 4;

/// What is no frame. The stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("an empty frame")]
    Empty,
    #[error("a frame of {0} bytes, where {MAX_DIRECT_MESSAGE} are allowed")]
    Oversize(u32),
}

/// Appends a message as a frame. Its length has been checked by whoever took it in.
pub(super) fn encode(message: &[u8], into: &mut Vec<u8>) {
    let length = u32::try_from(message.len()).expect("a direct message is below its limit");
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(message);
}

/// Takes frames apart, however the stream has cut them.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    header: [u8; HEADER],
    /// How much of the header is here.
    filled: usize,
    /// Its length, once the header is complete.
    length: usize,
    message: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes of the stream, and adds each message that is complete.
    pub(super) fn push(&mut self, mut bytes: &[u8], into: &mut Vec<Vec<u8>>) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if self.filled < HEADER {
                let taken = bytes.len().min(HEADER - self.filled);
                self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
                self.filled += taken;
                bytes = &bytes[taken..];
                if self.filled == HEADER {
                    self.length = checked(u32::from_be_bytes(self.header))?;
                }
                continue;
            }
            let taken = bytes.len().min(self.length - self.message.len());
            self.message.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.message.len() == self.length {
                into.push(std::mem::take(&mut self.message));
                self.filled = 0;
            }
        }
        Ok(())
    }

    /// Whether the stream may end here.
    pub(super) fn is_between_frames(&self) -> bool {
        self.filled == 0
    }
}

fn checked(length: u32) -> Result<usize, FrameError> {
    match usize::try_from(length) {
        Ok(0) => Err(FrameError::Empty),
        Ok(length) if length <= MAX_DIRECT_MESSAGE => Ok(length),
        _ => Err(FrameError::Oversize(length)),
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn decode(stream: &[u8], cut: usize) -> (Vec<Vec<u8>>, Result<(), FrameError>, Decoder) {
        let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
        let outcome = stream.chunks(cut.max(1)).try_for_each(|bytes| decoder.push(bytes, &mut messages));
        (messages, outcome, decoder)
    }

    quickcheck! {
        fn what_was_encoded_is_decoded_however_it_is_cut(messages: Vec<Vec<u8>>, cut: u8) -> bool {
            let messages: Vec<_> = messages.into_iter().filter(|message| !message.is_empty()).collect();
            let mut stream = Vec::new();
            messages.iter().for_each(|message| encode(message, &mut stream));
            let (decoded, outcome, decoder) = decode(&stream, cut.into());
            decoded == messages && outcome == Ok(()) && decoder.is_between_frames()
        }

        fn garbage_never_holds_more_than_a_message(garbage: Vec<u8>, cut: u8) -> bool {
            let (messages, _, decoder) = decode(&garbage, cut.into());
            let held = messages.iter().map(|message| message.len() + HEADER).sum::<usize>() + decoder.message.len();
            held <= garbage.len() && decoder.message.len() <= MAX_DIRECT_MESSAGE
        }
    }

    #[test]
    fn the_largest_message_passes_and_a_larger_or_empty_one_ends_the_stream() {
        let mut stream = Vec::new();
        encode(&vec![7; MAX_DIRECT_MESSAGE], &mut stream);
        let (messages, outcome, _) = decode(&stream, 8192);
        assert_eq!((messages.len(), messages[0].len(), outcome), (1, MAX_DIRECT_MESSAGE, Ok(())));
        let over = MAX_DIRECT_MESSAGE as u32 + 1;
        assert_eq!(decode(&over.to_be_bytes(), 1).1, Err(FrameError::Oversize(over)));
        assert_eq!(decode(&[0; 4], 4).1, Err(FrameError::Empty));
        assert_eq!(decode(b"GET / HTTP/1.1", 3).1, Err(FrameError::Oversize(u32::from_be_bytes(*b"GET "))));
    }

    #[test]
    fn a_claimed_length_takes_no_memory_and_a_cut_frame_is_noticed() {
        let (messages, outcome, decoder) = decode(&(MAX_DIRECT_MESSAGE as u32).to_be_bytes(), 4);
        assert_eq!((messages.len(), outcome), (0, Ok(())));
        assert!(decoder.message.capacity() == 0 && !decoder.is_between_frames());
        assert!(!decode(&[0, 0], 1).2.is_between_frames());
    }
}
