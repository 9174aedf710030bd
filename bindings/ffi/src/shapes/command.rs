//! What an embedder wants of its node.

use std::time::Duration;

use nelumbo_core::api::{self, NewSession, SignerFilter};
use nelumbo_core::approval::Unusual;
use nelumbo_core::crypto::Suite;
use nelumbo_core::election::Method;
use nelumbo_core::wire::{AbortReason, Data, TransactionType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::offer::Offer;
use super::policy::Policy;
use super::session::{Details, Item};
use super::text::{Hex, Key, Name, Peer, Session, To};
use super::words::Word;
use crate::Error;

/// A wish. What comes of it is told by events; a refusal changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Start a session, and announce it to its other signers.
    Create(CreateSession),
    /// Take part in a session that was announced. This is the approval: the embedder has looked at what is signed.
    Join {
        /// Which session.
        session: Session,
        /// What of it may be unusual.
        #[serde(default)]
        allow: Vec<Word<Unusual>>,
    },
    /// Refuse a session, or stop one that has not completed.
    Abort {
        /// Which session.
        session: Session,
        /// Why.
        reason: Word<AbortReason>,
    },
    /// Make a new attempt at a session whose last one failed.
    Retry {
        /// Which session.
        session: Session,
    },
    /// The final signature has been broadcast.
    ConfirmBroadcast {
        /// Of which session.
        session: Session,
    },
    /// Forget a session; one that has not ended is aborted first.
    Close {
        /// Which session.
        session: Session,
    },
    /// Offer to sign, from now on and over restarts.
    Advertise {
        /// What.
        offer: Offer,
        /// For how long each advertisement of it is valid, in milliseconds; without, as the settings say.
        #[serde(default)]
        lifetime_ms: Option<u64>,
    },
    /// Offer nothing any more.
    Withdraw {},
    /// Hear of signers for this type.
    Subscribe {
        /// Which.
        kind: Word<TransactionType>,
    },
    /// Hear of them no more.
    Unsubscribe {
        /// Which.
        kind: Word<TransactionType>,
    },
    /// Look for signers.
    FindSigners {
        /// For this type; any when there is none.
        #[serde(default)]
        kind: Option<Word<TransactionType>>,
        /// For this amount, in satoshi; any when there is none.
        #[serde(default)]
        amount: Option<u64>,
        /// Whose reputation with this node is at least this, 0 to 100.
        #[serde(default)]
        min_reputation: u8,
        /// Only those with an identity that money was burned for.
        #[serde(default)]
        is_verified: bool,
        /// No more than so many; 100 unless it is said.
        #[serde(default)]
        max_results: Option<u32>,
    },
    /// Look for signing requests that need this node's key.
    FindRequests {},
    /// Look for a session by its id.
    FindSession {
        /// Which.
        session: Session,
    },
    /// Announce a resource, or announce it anew.
    AnnounceResource {
        /// Of which kind.
        kind: Name,
        /// What it is called.
        name: Name,
        /// The data, at most 8,192 bytes; without, the resource is withdrawn.
        #[serde(default)]
        data: Option<Hex>,
        /// How long it is valid.
        lifetime_ms: u64,
    },
    /// Look for resources of a kind.
    FindResources {
        /// Which.
        kind: Name,
    },
    /// Listen to a peer no more, until it is unbanned.
    Ban {
        /// Which.
        peer: Peer,
    },
    /// Forget what is held against a peer.
    Unban {
        /// Which.
        peer: Peer,
    },
    /// From now on these rules decide what gets in. No event answers it.
    SetPolicy {
        /// The rules.
        policy: Policy,
    },
}

/// A session that is to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// The rules.
    pub suite: Word<Suite>,
    /// All signers, this node's own key among them, in any order.
    pub keys: Vec<Key>,
    /// What is signed, item by item.
    pub items: Vec<Item>,
    /// What it is for.
    #[serde(default)]
    pub details: Details,
    /// Whether to ask in public too, so that signers who are away find the request.
    #[serde(default)]
    pub is_listed: bool,
    /// How the coordinator is chosen; `lexicographic` unless it is said.
    #[serde(default)]
    pub election: Option<Word<Method>>,
    /// For how long it may be signed, in milliseconds; without, as long as the configuration says, which is the most.
    #[serde(default)]
    pub lifetime_ms: Option<u64>,
    /// What of it may be unusual. A session that is unusual otherwise is not created; a bare message is `opaque`.
    #[serde(default)]
    pub allow: Vec<Word<Unusual>>,
}

impl TryFrom<CreateSession> for NewSession {
    type Error = Error;

    fn try_from(from: CreateSession) -> Result<Self, Error> {
        Ok(Self {
            suite: from.suite.0,
            keys: from.keys.to(),
            items: from.items.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            details: from.details.try_into()?,
            is_listed: from.is_listed,
            election: from.election.map_or_else(Method::default, |method| method.0),
            lifetime: from.lifetime_ms.map(Duration::from_millis),
            allow: from.allow.into_iter().map(|word| word.0).collect(),
        })
    }
}

/// What a command is to the machine.
pub(crate) enum Wish {
    /// The node's.
    Core(api::Command),
    /// Rules for its gate.
    Policy(Policy),
}

impl TryFrom<Command> for Wish {
    type Error = Error;

    fn try_from(from: Command) -> Result<Self, Error> {
        use nelumbo_core::api::Command as Core;
        Ok(Self::Core(match from {
            Command::SetPolicy { policy } => return Ok(Self::Policy(policy)),
            Command::Create(session) => Core::Create(Box::new(session.try_into()?)),
            Command::Join { session, allow } => {
                Core::Join { session: session.0, allow: allow.into_iter().map(|word| word.0).collect() }
            }
            Command::Abort { session, reason } => Core::Abort(session.0, reason.0),
            Command::Retry { session } => Core::Retry(session.0),
            Command::ConfirmBroadcast { session } => Core::ConfirmBroadcast(session.0),
            Command::Close { session } => Core::Close(session.0),
            Command::Advertise { offer, lifetime_ms } => {
                Core::Advertise { offer: Box::new(offer.try_into()?), lifetime: lifetime_ms.map(Duration::from_millis) }
            }
            Command::Withdraw {} => Core::Withdraw,
            Command::Subscribe { kind } => Core::Subscribe(kind.0),
            Command::Unsubscribe { kind } => Core::Unsubscribe(kind.0),
            Command::FindSigners { kind, amount, min_reputation, is_verified, max_results } => {
                let default = SignerFilter::default();
                Core::FindSigners(SignerFilter {
                    kind: kind.to(),
                    amount,
                    min_reputation,
                    is_verified,
                    max_results: max_results.map_or(default.max_results, |most| most as usize),
                })
            }
            Command::FindRequests {} => Core::FindRequests,
            Command::FindSession { session } => Core::FindSession(session.0),
            Command::AnnounceResource { kind, name, data, lifetime_ms } => {
                let data = data.map(|data| Data::new(data.0).ok_or_else(|| Error::shape("data: at most 8,192 bytes")));
                let lifetime = Duration::from_millis(lifetime_ms);
                Core::AnnounceResource { kind: kind.0, name: name.0, data: data.transpose()?, lifetime }
            }
            Command::FindResources { kind } => Core::FindResources(kind.0),
            Command::Ban { peer } => Core::Ban(peer.0),
            Command::Unban { peer } => Core::Unban(peer.0),
        }))
    }
}
