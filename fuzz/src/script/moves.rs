//! The script's language.
//!
//! Owns what can happen in a script. Participants, sessions and messages in flight are counted modulo their number, so
//! that every move means something. Driven by the target `script`.

use nelumbo_core::crypto::{Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{AbortReason, Bits};

use super::super::input::{Encode, Fixed, Number, choose, draw, input};
use super::super::node_bytes::SessionCommand;
use super::super::values::Wire;

input! {
    /// Some signers, and what happens to them.
    pub struct Script {
        /// How many participants there are beyond two, modulo three.
        pub(crate) more: u8,
        /// A bit for each participant but the first: whether it is a scripted peer.
        pub(crate) scripted: u8,
        /// A bit for each participant: whether records become durable only when the script says so.
        pub(crate) slow_disks: u8,
        /// By how many times 16 seconds the clocks of every other participant are ahead, modulo 16.
        pub(crate) apart: u8,
        pub(crate) moves: Vec<Move>,
    }

    pub enum Move {
        /// Delivers what is oldest.
        Next,
        DeliverAll,
        Deliver { place: u8 },
        Drop { place: u8 },
        Duplicate { place: u8 },
        Delay { place: u8 },
        /// Delivers again what was sent so many messages ago.
        Replay { to: u8, back: u16, by_gossip: bool },
        Corrupt { place: u8, bit: u16 },
        /// `without` has a bit for each participant that has no part.
        Create { by: u8, without: u8, session: NewSessionOf },
        CreateWithAbsent {
            by: u8,
            absent: u8,
            #[arbitrary(with = draw)] suite: Suite,
            #[arbitrary(with = draw)] election: Method,
        },
        Command { by: u8, session: u8, command: SessionCommand },
        JoinAll { session: u8 },
        Advance { by: Span },
        /// Time passes until somebody's next deadline.
        Deadline,
        /// So many of the records that wait reach the disk.
        Crash { who: u8, kept: u8 },
        Start { who: u8 },
        /// One record becomes durable, and `more` of them.
        Sync { who: u8, more: u8 },
        ToggleSync { who: u8 },
        Disconnect { one: u8, other: u8 },
        Connect { one: u8, other: u8 },
        Ban { by: u8, peer: u8 },
        Unban { by: u8, peer: u8 },
        /// `to` has a bit for each participant that is told; all are when it is zero.
        ScriptedAnnounce { by: u8, to: u8, session: NewSessionOf, nonce: u8 },
        ScriptedJoin { by: u8, to: u8, session: u8 },
        ScriptedSign { by: u8, to: u8, session: u8 },
        ScriptedSay { by: u8, to: u8, session: u8, attempt: Attempt, skip: Option<Number>, said: Said },
        ScriptedPresence { by: u8, of: u8, to: u8, later: Number, by_gossip: bool },
    }

    /// One to three messages of 32 bytes, which begin with this byte.
    pub struct NewSessionOf {
        #[arbitrary(with = draw)] pub(crate) suite: Suite,
        #[arbitrary(with = draw)] pub(crate) tweak: Tweak,
        #[arbitrary(with = draw)] pub(crate) election: Method,
        pub(crate) items: u8,
    }

    pub enum Span {
        Millisecond,
        TenthOfASecond,
        TwoSeconds,
        FiveSeconds,
        HalfAMinute,
        Minute,
        FiveMinutes,
        TenMinutes,
        Hour,
        TwoHours,
    }

    pub enum Attempt {
        Newest,
        Next,
        Number { number: u8 },
    }

    /// What a scripted peer says about a session.
    pub enum Said {
        /// That it is another one, almost, if there is a change.
        Announce { change: Option<Change>, nonces: Nonces },
        Join { nonces: Nonces },
        /// The hash is that of the nonces unless there is another.
        Partial { partials: Partials, hash: Option<Fixed<32>> },
        /// The right signatures, if there are any, or others.
        Finalized { other: Option<Fixed<64>> },
        Abort { #[arbitrary(with = draw)] reason: AbortReason },
        Confirmed,
        Waiting,
        Busy,
        Status { nonces: Wire<Bits>, partials: Wire<Bits> },
    }

    pub struct Change {
        pub(crate) items: u8,
        pub(crate) creator: u8,
    }

    pub enum Nonces {
        /// Its own, the first or a second list.
        Own,
        Second,
        OfSigner { place: u8 },
        OffTheCurve,
        Any { nonce: Fixed<66> },
    }

    pub enum Partials {
        Own,
        /// As if everyone had seen the second list of nonces.
        OfSecond,
        OfSigner { place: u8 },
        Any { partial: Fixed<32> },
    }
}

impl Span {
    pub(super) const fn millis(&self) -> u64 {
        match self {
            Self::Millisecond => 1,
            Self::TenthOfASecond => 100,
            Self::TwoSeconds => 2_000,
            Self::FiveSeconds => 5_000,
            Self::HalfAMinute => 30_000,
            Self::Minute => 60_000,
            Self::FiveMinutes => 300_000,
            Self::TenMinutes => 600_000,
            Self::Hour => 3_600_000,
            Self::TwoHours => 7_200_000,
        }
    }
}
