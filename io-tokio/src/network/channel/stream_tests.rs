//! Both ends of a stream, against another end that does as the test says.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use futures::{AsyncRead, AsyncWrite};

use super::{
    frames::encode,
    stream::{Received, Receiving, Sending},
    *,
};
use crate::network::MAX_DIRECT_MESSAGE;

/// The other end: what it sends, piece by piece, and how much it still takes.
#[derive(Debug, Default)]
struct Other {
    sends: VecDeque<Vec<u8>>,
    ends: bool,
    room: usize,
    got: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct End(Rc<RefCell<Other>>);

impl End {
    fn new(other: Other) -> Self {
        Self(Rc::new(RefCell::new(other)))
    }

    fn got(&self) -> Vec<u8> {
        self.0.borrow().got.clone()
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut other = self.0.borrow_mut();
        let Some(mut piece) = other.sends.pop_front() else {
            return if other.ends { Poll::Ready(Ok(0)) } else { Poll::Pending };
        };
        let read = piece.len().min(into.len());
        into[..read].copy_from_slice(&piece[..read]);
        if read < piece.len() {
            other.sends.push_front(piece.split_off(read));
        }
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut other = self.0.borrow_mut();
        let written = bytes.len().min(other.room);
        if written == 0 {
            return Poll::Pending;
        }
        other.room -= written;
        other.got.extend_from_slice(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn framed(messages: &[&[u8]]) -> Vec<u8> {
    let mut stream = Vec::new();
    messages.iter().for_each(|message| encode(message, &mut stream));
    stream
}

#[test]
fn several_messages_are_one_write_and_a_slow_reader_stops_the_next() {
    let other = End::new(Other { room: 25, ..Other::default() });
    let mut queue: BatchQueue = (0..20_000_u32).map(|number| Bytes::from(number.to_be_bytes())).collect();
    let mut sending = Sending::new(other.clone());
    assert!(sending.poll(&mut context(), &mut queue).is_pending());
    // One write is ahead of the reader, and no more.
    let ahead = 20_000 - queue.len();
    assert!((8_000..8_300).contains(&ahead), "{ahead}");
    assert!(sending.poll(&mut context(), &mut queue).is_pending());
    assert_eq!(20_000 - queue.len(), ahead);
    assert_eq!(other.got()[..24], framed(&[&[0; 4], &[0, 0, 0, 1], &[0, 0, 0, 2]]));
}

#[test]
fn acknowledgements_count_and_more_than_was_sent_ends_the_stream() {
    let ack = |messages: u32| messages.to_be_bytes().to_vec();
    let queue = || BatchQueue::from(vec![Bytes::from([1]); 5]);
    let other = End::new(Other { room: 999, sends: [ack(2), vec![0, 0], vec![0, 3]].into(), ..Other::default() });
    assert!(matches!(Sending::new(other.clone()).poll(&mut context(), &mut queue()), Poll::Ready(Ok(5))));
    for wrong in [ack(6), ack(0), b"HTTP".to_vec()] {
        let other = End::new(Other { room: 999, sends: [wrong].into(), ..Other::default() });
        let Poll::Ready(Err(error)) = Sending::new(other.clone()).poll(&mut context(), &mut queue()) else {
            panic!("it is refused")
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    let other = End::new(Other { room: 999, ends: true, ..Other::default() });
    assert!(matches!(Sending::new(other.clone()).poll(&mut context(), &mut queue()), Poll::Ready(Err(_))));
}

#[tokio::test]
async fn an_acknowledgement_goes_with_an_answer_or_a_little_later() {
    let other = End::new(Other { room: 999, sends: [framed(&[b"one", b"two"])].into(), ..Other::default() });
    let mut receiving = Receiving::new(other.clone());
    let Poll::Ready(Ok(Received::Messages(messages))) = receiving.poll(&mut context(), false) else {
        panic!("two messages")
    };
    assert_eq!(messages, [b"one", b"two"]);
    assert!(receiving.poll(&mut context(), false).is_pending() && other.got().is_empty());
    poll_fn(|context| {
        assert!(receiving.poll(context, false).is_pending());
        if other.got().is_empty() { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    assert_eq!(other.got(), [0, 0, 0, 2]);

    let other = End::new(Other { room: 999, sends: [framed(&[b"one"])].into(), ..Other::default() });
    let mut receiving = Receiving::new(other.clone());
    assert!(receiving.poll(&mut context(), false).is_ready());
    assert!(receiving.poll(&mut context(), true).is_pending());
    assert_eq!(other.got(), [0, 0, 0, 1]);
}

#[test]
fn who_takes_no_acknowledgements_gets_their_sum_later_and_costs_nothing() {
    let sends = (0..500).map(|_| framed(&[&[7; 1000]])).collect();
    let other = End::new(Other { sends, ..Other::default() });
    let mut receiving = Receiving::new(other.clone());
    let mut messages = 0;
    while let Poll::Ready(Ok(Received::Messages(batch))) = receiving.poll(&mut context(), true) {
        assert!(batch.len() <= 74, "a batch is bounded: {}", batch.len());
        messages += batch.len();
    }
    assert_eq!(messages, 500);
    assert_eq!(receiving.held_acknowledgements(), 4, "one number waits, however many it stands for");
}

#[tokio::test]
async fn a_stream_may_end_between_frames_and_nowhere_else() {
    let ended = |bytes: Vec<u8>| {
        let other = End::new(Other { room: 999, sends: [bytes].into(), ends: true, ..Other::default() });
        let mut receiving = Receiving::new(other.clone());
        let mut messages = 0;
        let end = loop {
            match receiving.poll(&mut context(), false) {
                Poll::Ready(Ok(Received::Messages(batch))) => messages += batch.len(),
                Poll::Ready(Ok(Received::Ended)) => break None,
                Poll::Ready(Err(error)) => break Some(error.kind()),
                Poll::Pending => panic!("it is over"),
            }
        };
        (messages, end, other.got())
    };
    let whole = framed(&[b"one", b"two"]);
    assert_eq!(ended(whole.clone()), (2, None, vec![0, 0, 0, 2]), "and acknowledges what it has at once");
    for cut in 8..whole.len() {
        assert_eq!(ended(whole[..cut].to_vec()).1, Some(io::ErrorKind::UnexpectedEof), "{cut}");
    }
    assert_eq!(ended(framed(&[b""])).1, Some(io::ErrorKind::InvalidData));
    assert_eq!(ended((MAX_DIRECT_MESSAGE as u32 + 1).to_be_bytes().to_vec()).1, Some(io::ErrorKind::InvalidData));
}
