//! What an embedder wants of its node.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::approval::{Unusual, names};
use crate::crypto::{KeyAggError, PublicKey, SignerError, Suite, Tweak};
use crate::election::Method;
use crate::wire::{
    AbortReason, Data, DefinitionError, Details, Item, Label, Offer, OfferError, PeerId, SessionId, TransactionType,
};

/// Names a command, so that the event that answers it is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CommandId(pub u64);

/// A wish. The command's effect comes back as an event; a refusal changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command {
    /// Start a session, and announce it to its other signers.
    Create(Box<NewSession>),
    /// Take part in a session that was announced. This is the approval: the embedder has looked at what is signed,
    /// which [`SessionView::summary`](super::SessionView::summary) says.
    Join {
        /// Which session.
        session: SessionId,
        /// What of it may be unusual. A session that is unusual otherwise is not joined, and goes on waiting.
        allow: BTreeSet<Unusual>,
    },
    /// Refuse a session, or stop one that has not completed. The other signers are told.
    Abort(SessionId, AbortReason),
    /// Make a new attempt at a session whose last one failed.
    Retry(SessionId),
    /// The final signature has been broadcast, by this node or as seen where it belongs: nobody else needs to.
    ConfirmBroadcast(SessionId),
    /// Forget a session; one that has not ended is aborted first.
    Close(SessionId),
    /// Offer to sign, from now on and over restarts, until it is withdrawn.
    Advertise {
        /// What it signs for.
        offer: Box<Offer>,
        /// For how long each advertisement of it is valid, which is renewed after half of that; without, as long as
        /// [`Config::advertisement_lifetime`](super::Config::advertisement_lifetime) says.
        lifetime: Option<Duration>,
    },
    /// Offer nothing any more.
    Withdraw,
    /// Hear of signers for this type: of those who advertise already, and of others as soon as they do.
    Subscribe(TransactionType),
    /// Hear of them no more.
    Unsubscribe(TransactionType),
    /// Look for signers: among those already known, then in the DHT.
    FindSigners(SignerFilter),
    /// Look for signing requests that need this node's key. A node does so by itself when it comes into the network and
    /// every hour.
    FindRequests,
    /// Look for a session by its id, as it stands in a link.
    FindSession(SessionId),
    /// Announce a resource, or announce it anew.
    AnnounceResource {
        /// Of which kind.
        kind: Label,
        /// What it is called; another one of the same kind and name is replaced.
        name: Label,
        /// The data; without, the resource is withdrawn.
        data: Option<Data>,
        /// How long it is valid.
        lifetime: Duration,
    },
    /// Look for resources of a kind.
    FindResources(Label),
    /// Tell a protocol of this node's something, in its own words.
    ProtocolCommand {
        /// The protocol.
        protocol: Label,
        /// What.
        payload: Vec<u8>,
    },
    /// Listen to a peer no more, until it is unbanned.
    Ban(PeerId),
    /// Forget what is held against a peer.
    Unban(PeerId),
}

/// A session that is to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSession {
    /// The rules.
    pub suite: Suite,
    /// All signers, this node's own key among them, in any order.
    pub keys: Vec<PublicKey>,
    /// What is signed, item by item: bare messages, or inputs of the transaction in the details, in ascending order.
    pub items: Vec<Item>,
    /// What it is for, for the others to see and to check.
    pub details: Details,
    /// Whether to ask in public too, by gossip and in the DHT, so that signers who are away find the request.
    pub is_listed: bool,
    /// How the coordinator is chosen.
    pub election: Method,
    /// For how long it may be signed; without, as long as [`Config::session_timeout`](super::Config::session_timeout)
    /// says, which is also the most.
    pub lifetime: Option<Duration>,
    /// What of it may be unusual. A session that is unusual otherwise is not created.
    pub allow: BTreeSet<Unusual>,
}

impl NewSession {
    /// A session of these signers for this message, without a tweak or details, not listed, with the default election.
    /// To ask for a message is to allow that it is [`Unusual::Opaque`]; the other signers have to do so themselves.
    pub fn new(suite: Suite, keys: Vec<PublicKey>, message: Vec<u8>) -> Self {
        Self {
            suite,
            keys,
            items: Vec::from([Item::message(message, Tweak::None)]),
            details: Details::default(),
            is_listed: false,
            election: Method::Lexicographic,
            lifetime: None,
            allow: BTreeSet::from([Unusual::Opaque]),
        }
    }

    /// The same with this tweak for every item.
    #[must_use]
    pub fn with_tweak(mut self, tweak: Tweak) -> Self {
        self.items.iter_mut().for_each(|item| item.tweak = tweak);
        self
    }
}

/// Which signers are looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerFilter {
    /// For this type; any when there is none.
    pub kind: Option<TransactionType>,
    /// For this amount, in satoshi; any when there is none.
    pub amount: Option<u64>,
    /// Whose reputation with this node is at least this, 0 to 100. Whoever this node has never signed with has 50.
    pub min_reputation: u8,
    /// Only those with an identity that money was burned for.
    pub is_verified: bool,
    /// No more than so many.
    pub max_results: usize,
}

impl Default for SignerFilter {
    fn default() -> Self {
        Self { kind: None, amount: None, min_reputation: 0, is_verified: false, max_results: 100 }
    }
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// The session cannot be defined like this.
    Definition(DefinitionError),
    /// The keys cannot be aggregated.
    Keys(KeyAggError),
    /// What would be signed is unusual in these ways, and they were not allowed by name.
    Unusual(BTreeSet<Unusual>),
    /// This node's key is none of the signers'.
    NotASigner,
    /// There are as many sessions that have not ended as `limits.sessions` allows.
    TooManySessions(usize),
    /// All sessions that have not ended have as many nonces as [`Limits::slots`](super::Limits::slots) allows.
    TooManyItems(usize),
    /// There are as many sessions that have ended and whose ids protect a nonce as `limits.closed` allows.
    TooManyEnded(usize),
    /// No such session.
    UnknownSession(SessionId),
    /// The session has completed or was aborted.
    Ended(SessionId),
    /// The session's time is over by this node's clock.
    Expired(SessionId),
    /// There is no final signature to broadcast.
    NotComplete(SessionId),
    /// The attempt is still running, or this node has not joined: there is nothing to retry.
    NothingToRetry(SessionId),
    /// All attempts that the limits allow have been made.
    NoAttemptsLeft(SessionId),
    /// Nobody could take this offer.
    Offer(OfferError),
    /// No advertisement is valid for so long.
    OfferLifetime {
        /// The shortest that is taken: others take no more of them, and clocks may differ by so much.
        least: Duration,
    },
    /// Nothing is offered.
    NothingOffered,
    /// The session is known already.
    KnownSession(SessionId),
    /// As many searches are under way as the limits allow.
    TooManySearches,
    /// This node announces as many resources as it may, in all or of one kind.
    TooManyResources,
    /// No protocol of this name is registered.
    UnknownProtocol(Label),
    /// Nothing stays announced for no time, or for longer than a week.
    Lifetime,
    /// As many peers are remembered as the limits allow, all of them for a reason.
    TooManyPeers,
    /// Nothing is held against this peer.
    NotBanned(PeerId),
    /// A protocol wants something of a session that does not belong to it.
    NotOwned(SessionId),
    /// The embedder's policy does not let a protocol sign this.
    Policy,
    /// Protocols await as many signatures of this node's key alone as may be awaited.
    TooManySignatures(usize),
    /// The signer cannot.
    Signer(SignerError),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definition(error) => error.fmt(f),
            Self::Keys(error) => error.fmt(f),
            Self::Unusual(unusual) => {
                write!(f, "what is signed is unusual ({}): ", names(unusual.iter().copied()))?;
                let mut meanings = unusual.iter().map(|unusual| unusual.meaning());
                f.write_str(meanings.next().unwrap_or_default())?;
                meanings.try_for_each(|meaning| write!(f, "; {meaning}"))
            }
            Self::NotASigner => f.write_str("this node's own key must be among the signers"),
            Self::TooManySessions(most) => {
                write!(
                    f,
                    "{most} sessions have not ended, and limits.sessions allows no more; abort or close some first"
                )
            }
            Self::TooManyItems(most) => write!(
                f,
                "items times signers of all sessions that have not ended may be {most} (limits.slots); abort or close \
                 some sessions first"
            ),
            Self::TooManyEnded(most) => write!(
                f,
                "{most} sessions have ended and are remembered until they expire, and limits.closed allows no more; \
                 wait until some expire"
            ),
            Self::UnknownSession(session) => write!(f, "there is no session {session}"),
            Self::Ended(session) => write!(f, "session {session} has ended"),
            Self::Expired(session) => write!(
                f,
                "session {session} has expired by this machine's clock; if the clock is right, ask its creator to \
                 create it again"
            ),
            Self::NotComplete(session) => write!(f, "session {session} has no final signature"),
            Self::NothingToRetry(session) => write!(f, "session {session} has no failed attempt to retry"),
            Self::NoAttemptsLeft(session) => write!(f, "session {session} has used all its attempts; create a new one"),
            Self::Offer(error) => error.fmt(f),
            Self::OfferLifetime { least } => {
                write!(f, "an advertisement is valid for {} s to seven days", least.as_millis().div_ceil(1000))
            }
            Self::NothingOffered => f.write_str("this node advertises nothing"),
            Self::KnownSession(session) => write!(f, "session {session} is already here"),
            Self::TooManySearches => f.write_str("too many searches are under way; wait for one to end"),
            Self::TooManyResources => f.write_str("too many resources are announced; withdraw some first"),
            Self::UnknownProtocol(name) => write!(f, "no protocol {name} is registered"),
            Self::Lifetime => f.write_str("an announcement is valid for a millisecond to seven days"),
            Self::TooManyPeers => f.write_str("too many peers are banned; unban some first"),
            Self::NotBanned(peer) => write!(f, "nothing is held against {peer}"),
            Self::NotOwned(session) => write!(f, "session {session} does not belong to this protocol"),
            Self::Policy => f.write_str("the policy of this node does not let a protocol sign this"),
            Self::TooManySignatures(most) => {
                write!(f, "{most} signatures are awaited for protocols; wait until the signer has answered")
            }
            Self::Signer(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for CommandError {}
