//! What a host, a peer and an embedder can do to one node.
//!
//! Owns the language of the target `node_bytes`. Driven by it; `script` shares the commands.

use core::time::Duration;

use nelumbo_core::api::{Command, SignerFilter};
use nelumbo_core::approval::Unusual;
use nelumbo_core::crypto::{PublicKey, Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{AbortReason, Body, Data, Label, Offer, PeerId, SessionId, TransactionType};

use super::super::input::{Bytes, Encode, Fixed, Number, choose, draw, input};
use super::super::values::Wire;

input! {
    /// What a node is put through.
    pub struct Moves {
        pub(crate) moves: Vec<Move>,
    }

    pub enum Move {
        /// Time passes until the next deadline.
        Deadline,
        Receive { from: Peer, message: Said },
        Gossip { from: Peer, message: Said },
        Find { operation: u8, message: Said },
        Connect { peer: Peer },
        Disconnect { peer: Peer },
        Advance { step: Span, times: u8 },
        Create { session: Created },
        Command { session: u8, command: SessionCommand },
        Sync { count: u8 },
        /// The disk says again that a record is durable, never that one is which is not.
        SyncAgain { sequence: u8 },
        LookupFinished { operation: Number },
        RoutingTable { size: u8 },
        Addresses { addresses: Vec<Bytes> },
        Ban { peer: Peer },
        Unban { peer: Peer },
        SetWall { millis: Number },
        /// More than any channel takes.
        ReceiveTooLong { from: Peer, beyond: u16 },
        Put { from: Peer, subnet: Option<u8>, record: Record, stored: Option<Record>, is_misplaced: bool },
        Discover { command: Discovery },
        /// The signer answers one of the requests that wait.
        Answer { request: u8, answer: Answer },
        AnswerAgain { reply: u8 },
        SignerReady,
    }

    /// One of a few peers.
    pub struct Peer {
        pub(crate) number: u8,
    }

    /// What somebody says.
    pub enum Said {
        /// Signed by a stranger with a key of its own.
        ByStranger { body: Wire<Body> },
        /// The same, of a body as it comes from another message.
        Resigned { unsigned: Bytes },
        Bytes { bytes: Bytes },
    }

    pub enum Span {
        Zero,
        Millisecond,
        TenthOfASecond,
        TwoSeconds,
        HalfAMinute,
        TenMinutes,
        Hour,
        Day,
    }

    pub struct Created {
        #[arbitrary(with = draw)] pub(crate) suite: Suite,
        #[arbitrary(with = draw)] pub(crate) tweak: Tweak,
        #[arbitrary(with = draw)] pub(crate) election: Method,
        #[arbitrary(with = draw)] pub(crate) third: Option<PublicKey>,
        /// A message of 32 such bytes, or any message.
        pub(crate) byte: u8,
        pub(crate) message: Option<Bytes>,
    }

    pub enum SessionCommand {
        Join,
        Abort { #[arbitrary(with = draw)] reason: AbortReason },
        Retry,
        ConfirmBroadcast,
        Close,
    }

    /// What the hash table is given.
    pub enum Record {
        Message { body: Wire<Body> },
        /// A list with one entry.
        List { body: Wire<Body> },
        Bytes { bytes: Bytes },
    }

    pub enum Discovery {
        Advertise { offer: Wire<Offer> },
        Withdraw,
        Subscribe { #[arbitrary(with = draw)] kind: TransactionType },
        FindSigners {
            #[arbitrary(with = draw)] kind: Option<TransactionType>,
            amount: Option<Number>,
            min_reputation: u8,
            max_results: u8,
        },
        FindRequests,
        FindSession { id: Fixed<32> },
        AnnounceResource {
            #[arbitrary(with = draw)] kind: Label,
            #[arbitrary(with = draw)] name: Label,
            data: Option<Bytes>,
            millis: Number,
        },
        FindResources { #[arbitrary(with = draw)] kind: Label },
    }

    pub enum Answer {
        Right,
        Spoiled { partial: Fixed<32> },
        Unavailable,
        Declined,
        Lost,
    }
}

impl Discovery {
    pub(super) fn command(&self) -> Command {
        match self {
            Self::Advertise { offer: Wire(offer) } => {
                Command::Advertise { offer: Box::new(offer.clone()), lifetime: None }
            }
            Self::Withdraw => Command::Withdraw,
            Self::Subscribe { kind } => Command::Subscribe(*kind),
            Self::FindSigners { kind, amount, min_reputation, max_results } => Command::FindSigners(SignerFilter {
                kind: *kind,
                amount: amount.map(|amount| amount.0),
                min_reputation: *min_reputation,
                is_verified: max_results & 4 != 0,
                max_results: usize::from(max_results % 4),
            }),
            Self::FindRequests => Command::FindRequests,
            Self::FindSession { id } => Command::FindSession(SessionId::from_bytes(id.0)),
            Self::AnnounceResource { kind, name, data, millis } => Command::AnnounceResource {
                kind: kind.clone(),
                name: name.clone(),
                data: data.as_ref().and_then(|data| Data::new(data.0.clone())),
                lifetime: Duration::from_millis(millis.0),
            },
            Self::FindResources { kind } => Command::FindResources(kind.clone()),
        }
    }
}

impl Span {
    pub(super) const fn millis(&self) -> u64 {
        match self {
            Self::Zero => 0,
            Self::Millisecond => 1,
            Self::TenthOfASecond => 100,
            Self::TwoSeconds => 2_000,
            Self::HalfAMinute => 30_000,
            Self::TenMinutes => 600_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

impl SessionCommand {
    pub(crate) fn on(&self, session: SessionId) -> Command {
        match self {
            Self::Join => Command::Join { session, allow: Unusual::ALL.into() },
            Self::Abort { reason } => Command::Abort(session, *reason),
            Self::Retry => Command::Retry(session),
            Self::ConfirmBroadcast => Command::ConfirmBroadcast(session),
            Self::Close => Command::Close(session),
        }
    }
}

impl Peer {
    pub(super) fn id(&self) -> PeerId {
        PeerId::from_bytes(&[2 + self.number % 6]).expect("one byte names a peer")
    }
}
