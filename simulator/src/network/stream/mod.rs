//! Streams as production has them: ordered, sent again when lost, with a congestion window and a handshake.
//!
//! A machine's [`Stack`] has a [`Connection`](connection::Connection) to each peer that it talks to. Each connection
//! cuts messages into packets, which the network delays and loses like any datagram, and puts them together at the
//! other end. TCP is one stream for everything, so that what is lost holds up all that was sent after it; QUIC has a
//! stream for each channel, or for a single message, and what is lost there holds up nothing else.
//!
//! Invariant: what arrives is what was sent, whole and once, in order where the stream is one, until a connection
//! closes, which both ends learn. No clock and no randomness: time is what callers say. Driven by the engine.

mod congestion;
mod connection;
mod packet;
mod ranges;
mod reassembly;
mod round_trips;
mod stack;

use serde::{Deserialize, Serialize};

use crate::engine::Nanos;
pub(crate) use stack::{Departure, Heard, Stack};

const MILLISECOND: Nanos = 1_000_000;

/// After how long without a sign of life a connection is given up, as our nodes do, and QUIC by itself.
pub const GIVE_UP: Nanos = 10_000 * MILLISECOND;

/// How many bytes wait for a link of limited bandwidth at most; what comes on top is lost, as routers have it.
pub const QUEUE: u64 = 150_000;

/// What carries messages from one machine to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Each message is a datagram of its own, which may be lost, doubled and overtaken.
    #[default]
    Datagram,
    /// One ordered stream between two machines, secured by Noise and shared by Yamux (RFC 9293, 5681, 6298, 6928,
    /// 8985).
    Tcp,
    /// Independent streams: one for each channel, or for a single message (RFC 9000, RFC 9002).
    Quic,
}

impl Transport {
    /// Its name in scenarios and summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Datagram => "datagram",
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        }
    }

    /// Its parameters; none for datagrams.
    pub(crate) const fn parameters(self) -> Option<&'static Parameters> {
        match self {
            Self::Datagram => None,
            Self::Tcp => Some(&TCP),
            Self::Quic => Some(&QUIC),
        }
    }
}

/// The parameters in which the two transports differ.
#[derive(Debug)]
pub(crate) struct Parameters {
    /// Bytes of streams in a packet at most: the maximum segment size.
    segment: usize,
    /// Bytes around them.
    headers: usize,
    /// How many round trips a handshake takes before the side that dials sends messages.
    round_trips: u8,
    /// The timeout before a round trip has been measured.
    first_timeout: Nanos,
    /// The least timeout after that.
    least_timeout: Nanos,
    /// How long the other end may wait with an acknowledgement.
    ack_delay: Nanos,
    /// After how many eighths of a round trip a packet is lost, when a later one has been acknowledged.
    patience: u64,
    /// Whether a timeout begins anew with one segment and everything that was not acknowledged; if not, the oldest
    /// packet probes the path.
    restarts: bool,
    /// Whether everything goes over one stream.
    is_ordered: bool,
}

/// A TCP of Linux under Noise and Yamux. It is dialled as our nodes dial: a round trip for TCP, another for Noise, and
/// what protocols have to agree on goes with these and with the first message.
const TCP: Parameters = Parameters {
    segment: 1460,
    headers: 40,
    round_trips: 2,
    first_timeout: 1_000 * MILLISECOND,
    least_timeout: 200 * MILLISECOND,
    ack_delay: 0,
    // RACK waits for a quarter of a round trip.
    patience: 10,
    restarts: true,
    is_ordered: true,
};

/// QUIC as quinn has it by default, before it has found a larger packet size.
const QUIC: Parameters = Parameters {
    segment: 1200,
    headers: 28,
    round_trips: 1,
    first_timeout: 999 * MILLISECOND,
    least_timeout: MILLISECOND,
    ack_delay: 25 * MILLISECOND,
    patience: 9,
    restarts: false,
    is_ordered: false,
};
