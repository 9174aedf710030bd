//! What a node says about itself, its peers and its sessions.
//!
//! Owns the fields of the answers, which are also those of the commands' `--json`. Times are milliseconds since
//! 1970-01-01 UTC, byte strings hexadecimal. `answers` makes them, commands show them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use nelumbo_core::api::{IdentityId, Layer, Phase, Refusal, SessionView, SignerTask, Standing, Tier};
use nelumbo_core::approval::Summary;
use nelumbo_core::crypto::{Network, PublicKey, Signature, Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{self, Label, Offer, SessionId, Subject, TransactionType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Reachability;
use crate::api::schemas;
use crate::link::SessionLink;
use crate::node::Stage;
use crate::payment;
use crate::spending::SpendingShape;

/// A connection that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Connected {
    /// Its other end.
    pub(crate) address: String,
}

/// There is nothing to say but that it is done.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Done {}

/// A session was ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Ended {
    /// Whether a signature may still appear: this node's partial signature may have left before.
    pub(crate) may_complete: bool,
}

/// The session that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Created {
    #[schema(value_type = String)]
    pub(crate) session: SessionId,
    #[schema(value_type = String)]
    pub(crate) link: SessionLink,
}

/// The session that was approved, and what signing it does.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Approved {
    #[schema(value_type = String)]
    pub(crate) session: SessionId,
    #[schema(value_type = Option<Object>)]
    pub(crate) summary: Option<Summary>,
}

/// A session that is carried by files, after a step.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Carried {
    #[schema(value_type = String)]
    pub(crate) session: SessionId,
    pub(crate) attempt: u32,
    /// What it waits for; `signed` when nothing.
    pub(crate) stage: Stage,
    /// Of whom.
    #[schema(value_type = Vec<String>)]
    pub(crate) waits_for: Vec<PublicKey>,
    /// In base64, for the other signers.
    pub(crate) psbt: String,
    /// What signing it does.
    #[schema(value_type = Object)]
    pub(crate) summary: Summary,
}

/// How a node is doing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Stats {
    pub(crate) peer: String,
    #[schema(value_type = String)]
    pub(crate) key: PublicKey,
    /// What it is, with its commit where that is known.
    #[serde(default)]
    pub(crate) version: String,
    /// Since when it runs.
    pub(crate) started: u64,
    /// For how long it has.
    #[serde(default)]
    pub(crate) uptime_seconds: u64,
    pub(crate) listening: Vec<String>,
    /// Where others can reach it, as far as is known.
    pub(crate) addresses: Vec<String>,
    pub(crate) reachability: Reachability,
    pub(crate) peers: PeerCounts,
    pub(crate) dht: Dht,
    /// Whether it takes part in gossip.
    pub(crate) gossip: bool,
    pub(crate) sessions: SessionCounts,
    /// What came from outside and was not taken: how often, by the check that refused it and by reason.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, u64>>)]
    pub(crate) refusals: BTreeMap<Layer, BTreeMap<Refusal, u64>>,
    /// Of these, what came by gossip, by reason.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub(crate) gossip_refusals: BTreeMap<Refusal, u64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PeerCounts {
    pub(crate) connected: usize,
    /// Not listened to for a while.
    pub(crate) graylisted: usize,
    /// Banned.
    pub(crate) blacklisted: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Dht {
    pub(crate) enabled: bool,
    /// `off`, `client` or `server`.
    pub(crate) mode: String,
    /// How far the node is on its way into the DHT: stopped, initialised, bootstrapping, populating or ready.
    pub(crate) state: String,
    pub(crate) ready: bool,
    pub(crate) routing_table_size: usize,
    pub(crate) local_records: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionCounts {
    pub(crate) total: usize,
    #[schema(value_type = BTreeMap<String, usize>)]
    pub(crate) by_phase: BTreeMap<Phase, usize>,
    /// How many wait for this node's own signer, by what it has to do.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, usize>)]
    pub(crate) signer_owes: BTreeMap<SignerTask, usize>,
}

/// Who is connected.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Peers {
    pub(crate) peers: Vec<Peer>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Peer {
    pub(crate) peer: String,
    /// The other end of the best connection, or the relay's.
    pub(crate) address: String,
    /// Whether that is a circuit through a relay.
    pub(crate) relayed: bool,
    /// Whether this node has made it.
    pub(crate) outbound: bool,
    /// The last round trip.
    pub(crate) round_trip_ms: Option<f64>,
    /// The signing keys that it has shown to be its own.
    #[schema(value_type = Vec<String>)]
    pub(crate) keys: Vec<PublicKey>,
    #[schema(value_type = schemas::Standing)]
    pub(crate) standing: Standing,
    /// What is held against it; it fades.
    pub(crate) penalty: u32,
    /// How many messages have come from it, how many bytes they had, and how many of them were refused; since the node
    /// has heard of it.
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) refused: u64,
}

/// The sessions that a node knows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Sessions {
    pub(crate) sessions: Vec<SessionSummary>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionSummary {
    #[schema(value_type = String)]
    pub(crate) session: SessionId,
    #[schema(value_type = String)]
    pub(crate) link: SessionLink,
    #[schema(value_type = schemas::Phase)]
    pub(crate) phase: Phase,
    pub(crate) attempt: u32,
    #[schema(value_type = schemas::Suite)]
    pub(crate) suite: Suite,
    #[schema(value_type = String)]
    pub(crate) creator: PublicKey,
    pub(crate) signer_count: usize,
    /// How many signers take part in this attempt.
    pub(crate) joined_count: usize,
    pub(crate) expires: u64,
    /// What its creator has to say about it, harmless to show.
    pub(crate) description: String,
    /// What signing it does; where many sessions are listed, only of those that wait for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) summary: Option<Summary>,
}

/// Signers that were found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Signers {
    pub(crate) signers: Vec<Advertised>,
}

/// A signer, and what it says about itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Advertised {
    #[schema(value_type = String)]
    pub(crate) key: PublicKey,
    pub(crate) peer: String,
    /// What this node has seen of it, 0 to 100.
    pub(crate) reputation: u8,
    /// What money was burned for, as the node has verified it.
    pub(crate) identity: Option<KnownIdentity>,
    #[schema(value_type = Object)]
    pub(crate) offer: Offer,
    pub(crate) expires: u64,
}

/// A name that money was burned for.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct KnownIdentity {
    #[schema(value_type = String)]
    pub(crate) id: IdentityId,
    /// verified or institutional.
    #[schema(value_type = String)]
    pub(crate) tier: Tier,
}

/// Pools that swap coins: those that were found, or the node's own.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Pools {
    /// Pools that one can register for.
    #[serde(default)]
    pub(crate) found: Vec<PoolTerms>,
    /// Those that the node takes part in.
    #[serde(default)]
    pub(crate) own: Vec<Pool>,
}

/// What a pool is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PoolTerms {
    pub(crate) pool: String,
    /// Who has made it.
    #[schema(value_type = String)]
    pub(crate) creator: PublicKey,
    /// What each gives and gets, in satoshi.
    pub(crate) denomination: u64,
    /// How many take part at most.
    pub(crate) participants: u8,
    /// What the coin is worth that one registers with, exactly, and what has to be burned beside it, in satoshi.
    pub(crate) coin: u64,
    pub(crate) burn: u64,
    /// The most that somebody pays in fees, whatever the others do.
    pub(crate) max_fees: u64,
    /// How many confirmations count.
    pub(crate) confirmations: u16,
    /// After how many blocks a depositor takes its deposit back alone.
    pub(crate) delay: u16,
    /// Until when one may register.
    pub(crate) registered_until: u64,
    /// How long after that until everything is signed; if it is not, the pool ends.
    pub(crate) settlement_seconds: u32,
    /// How long after that until coins are taken back, if no deposit is to be seen.
    pub(crate) setup_seconds: u32,
    /// How long after that deposits may take to be in blocks; a coin whose deposit is not is taken back.
    pub(crate) confirmation_seconds: u32,
}

/// Where a pool stands that the node takes part in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Pool {
    #[serde(flatten)]
    pub(crate) terms: PoolTerms,
    /// registration, reveal, settlement, setup, setup-confirm, settlement-confirm, complete, cancelling, reclaiming,
    /// refunded or aborted.
    pub(crate) phase: String,
    /// How many of those whose turn it is have done their part.
    pub(crate) done: u8,
    /// How many take part, once that is fixed.
    pub(crate) taking_part: Option<u8>,
    /// Until when the step may take; then what `otherwise` says happens.
    pub(crate) until: Option<u64>,
    pub(crate) otherwise: String,
    /// Who has kept it from its end, as far as this node saw.
    #[schema(value_type = Vec<String>)]
    pub(crate) blamed: Vec<PublicKey>,
    /// The coin that this node has registered, as `TXID:INDEX`.
    pub(crate) own_coin: String,
    /// The transaction that pays everybody, once it is known.
    pub(crate) settlement: Option<String>,
}

/// The names that a data folder knows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Names {
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) contacts: BTreeMap<String, PublicKey>,
    pub(crate) groups: BTreeMap<String, NamedGroup>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct NamedGroup {
    /// The same at every member.
    pub(crate) id: String,
    /// Where it is paid.
    pub(crate) address: String,
    #[schema(value_type = schemas::Network)]
    pub(crate) network: Network,
    #[schema(value_type = schemas::Suite)]
    pub(crate) suite: Suite,
    #[schema(value_type = Vec<String>)]
    pub(crate) keys: Vec<PublicKey>,
}

/// Resources that were found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Resources {
    pub(crate) resources: Vec<Resource>,
}

/// Something of another program's that a signer announces.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Resource {
    #[schema(value_type = String)]
    pub(crate) author: PublicKey,
    #[schema(value_type = String)]
    pub(crate) kind: Label,
    #[schema(value_type = String)]
    pub(crate) name: Label,
    /// In hexadecimal.
    pub(crate) data: String,
    pub(crate) issued: u64,
    pub(crate) expires: u64,
    /// Whether this node announces it.
    pub(crate) own: bool,
}

/// Everything about one session.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Session {
    #[serde(flatten)]
    pub(crate) head: SessionSummary,
    #[schema(value_type = schemas::Network)]
    pub(crate) network: Network,
    /// What is signed, in order.
    pub(crate) items: Vec<Item>,
    /// What kind of transaction it belongs to.
    #[schema(value_type = Option<schemas::TransactionType>)]
    pub(crate) kind: Option<TransactionType>,
    /// The transaction that is signed; the items' messages are digests of its inputs.
    pub(crate) spending: Option<SpendingShape>,
    /// The value of the outputs that are spent, in satoshi.
    pub(crate) amount: Option<u64>,
    /// Whether it is asked for in public too.
    pub(crate) listed: bool,
    #[schema(value_type = schemas::ElectionMethod)]
    pub(crate) election: Method,
    pub(crate) created: u64,
    /// In the order of their keys.
    pub(crate) signers: Vec<Signer>,
    /// The signature, once there is one, if there is one item.
    #[schema(value_type = Option<String>)]
    pub(crate) signature: Option<Signature>,
    /// The signature of each item, once there are any.
    #[schema(value_type = Vec<String>)]
    pub(crate) signatures: Vec<Signature>,
    /// Whether a signature may still appear although the session was aborted or has expired.
    pub(crate) may_complete: bool,
    /// What the session waits for at this node's own signer.
    #[schema(value_type = Option<schemas::SignerTask>)]
    pub(crate) signer_owes: Option<SignerTask>,
    /// Whose turn it is to broadcast.
    #[schema(value_type = Option<String>)]
    pub(crate) coordinator: Option<PublicKey>,
    /// What can be broadcast, once it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) final_transaction: Option<FinalTransaction>,
}

/// A transaction as nodes take it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct FinalTransaction {
    pub(crate) txid: String,
    /// In hexadecimal.
    pub(crate) transaction: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Signer {
    #[schema(value_type = String)]
    pub(crate) key: PublicKey,
    /// Whether the signer takes part in this attempt; unknown once the session has ended.
    pub(crate) joined: Option<bool>,
    /// Whether this is the node itself.
    pub(crate) own: bool,
}

/// One thing that is signed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Item {
    /// What is signed.
    pub(crate) message: String,
    /// The input of the transaction whose digest it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<u32>,
    /// What the signature covers, as the byte that is appended to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sighash_type: Option<u8>,
    #[schema(value_type = Object)]
    pub(crate) tweak: Tweak,
    /// The key that the signature verifies under.
    #[schema(value_type = String)]
    pub(crate) challenge_key: PublicKey,
}

impl From<&SessionView> for SessionSummary {
    fn from(view: &SessionView) -> Self {
        let definition = &view.definition;
        Self {
            session: view.id,
            link: SessionLink(view.id),
            phase: view.phase,
            attempt: view.attempt,
            suite: definition.suite,
            creator: *definition.creator_key(),
            signer_count: definition.keys.len(),
            // Of a session that has ended it is known no more, but a signature is everybody's.
            joined_count: match view.phase {
                Phase::Complete => definition.keys.len(),
                _ => view.joined.iter().filter(|joined| **joined).count(),
            },
            expires: definition.expires_at.as_millis(),
            description: definition.details.description.to_string(),
            summary: (view.phase == Phase::Announced).then(|| view.summary().ok()).flatten(),
        }
    }
}

impl Session {
    pub(crate) fn new(view: &SessionView, own_key: &PublicKey) -> Self {
        let definition = &view.definition;
        let signer = |(place, key): (usize, &PublicKey)| Signer {
            key: *key,
            joined: view.joined.get(place).copied(),
            own: key == own_key,
        };
        let messages = definition.messages().unwrap_or_default();
        let items = definition.items.iter().zip(&messages).zip(&view.challenge_keys);
        let item = |((item, message), key): ((&wire::Item, &Cow<'_, [u8]>), &PublicKey)| {
            let signed = match item.subject {
                Subject::Input(signed) => Some(signed),
                Subject::Message(_) => None,
            };
            Item {
                message: hex::encode(message),
                input: signed.map(|signed| signed.input),
                sighash_type: signed.map(|signed| signed.sighash_type),
                tweak: item.tweak,
                challenge_key: *key,
            }
        };
        Self {
            head: SessionSummary { summary: view.summary().ok(), ..view.into() },
            network: definition.network,
            items: items.map(item).collect(),
            kind: definition.details.kind,
            spending: definition.details.spending.as_deref().map(SpendingShape::from),
            amount: definition.amount(),
            listed: definition.is_listed,
            election: definition.election,
            created: definition.created_at.as_millis(),
            signers: definition.keys.iter().enumerate().map(signer).collect(),
            signature: view.signatures.first().filter(|_| definition.items.len() == 1).copied(),
            signatures: view.signatures.clone(),
            may_complete: view.may_complete,
            signer_owes: view.signer_owes,
            coordinator: view.coordinator,
            final_transaction: payment::finalize(definition, &view.signatures).map(|signed| FinalTransaction {
                txid: signed.txid.to_string(),
                transaction: hex::encode(signed.bytes),
            }),
        }
    }
}
