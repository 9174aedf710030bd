//! What a command and a node say to each other.
//!
//! Owns the protocol. Each message is one line of JSON of bounded length. The command begins; each of its lines is a
//! [`Question`] with an id of its own choice:
//!
//! ```text
//! → {"version":1,"id":1,"request":"join","session":"9c…"}
//! ← {"id":1,"result":{"session":"9c…","summary":{…}}}
//! → {"version":1,"id":2,"request":"events","follow":true}
//! ← {"id":2,"event":{"number":7,"time":1760000000000,"event":{"event":"session-created",…}}}
//! ← {"id":2,"missed":12}
//! → {"version":1,"id":3,"request":"close","session":"77…"}
//! ← {"id":3,"error":{"kind":"refused","problem":"there is no session 77…","remedy":"…"}}
//! ```
//!
//! Every question ends in one `result` or one `error`; only `events` says something before. Fields that are not known
//! are an error, so that nothing is asked in vain.

use std::collections::BTreeSet;
use std::fmt;

use nelumbo_core::api::Phase;
use nelumbo_core::approval::Unusual;
use nelumbo_core::crypto::{PublicKey, Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{Label, Offer, SessionId, Text, TransactionType};
use nelumbo_swapsig::PoolId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::schemas;
use crate::group::Name;
use crate::node::Entry;
use crate::spending::SpendingFile;

/// The version of this protocol. Another one is refused.
pub(crate) const VERSION: u32 = 1;
/// The longest question: a session of as many signers and bytes as there may be, in hexadecimal, needs less than half
/// of this.
pub(crate) const MAX_QUESTION: usize = 512 * 1024;
/// The longest reply: the list of as many sessions as a node may know needs a fraction of this.
pub(crate) const MAX_REPLY: u64 = 64 * 1024 * 1024;

/// What stands in front of every request, and can be read whatever the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heading {
    pub(crate) version: u32,
    /// Comes back with everything that is said about this question.
    pub(crate) id: u64,
}

/// One line from a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Question<'a> {
    #[serde(flatten)]
    pub(crate) heading: Heading,
    #[serde(flatten)]
    pub(crate) request: &'a Request,
}

/// What a command wants of the node. Variants without fields have braces all the same: serde would let them have any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How the node is doing.
    Stats {},
    /// Who is connected.
    Peers {},
    /// The sessions that the node knows, in one of these phases if there are any.
    Sessions { phases: Vec<Phase> },
    /// One session, which is looked for in the network if the node does not know it.
    Session { session: SessionId },
    /// Offer to sign.
    Advertise {
        offer: Box<Offer>,
        /// For how long each advertisement of it is valid, which is renewed after half of that; if nothing is said, as
        /// long as the node is configured.
        #[serde(default)]
        lifetime_seconds: Option<u64>,
    },
    /// Offer nothing any more.
    Withdraw {},
    /// Signers that fit, which are looked for in the network too.
    Signers {
        kind: Option<TransactionType>,
        amount: Option<u64>,
        min_reputation: u8,
        max: usize,
        /// Only those with an identity.
        #[serde(default)]
        verified: bool,
    },
    /// Hear of signers for a type as they advertise, or no more.
    Subscribe { kind: TransactionType, off: bool },
    /// Sessions that wait for this node's approval, which are looked for in the network too: those of so many signers,
    /// which have so much time left.
    Requests {
        #[serde(default)]
        signers: Option<usize>,
        #[serde(default)]
        left_seconds: Option<u64>,
    },
    /// Start a session.
    Create(Box<NewSession>),
    /// Approve a session, allowing what is named.
    Join {
        session: SessionId,
        #[serde(default)]
        allow: BTreeSet<Unusual>,
    },
    /// Refuse a session, or leave it.
    Abort { session: SessionId },
    /// Make a new attempt.
    Retry { session: SessionId },
    /// Approve what a PSBT has this node sign, in a session that is carried by files, and give nonces for it.
    PsbtApprove {
        /// In base64.
        psbt: String,
        #[serde(default)]
        allow: BTreeSet<Unusual>,
        /// Whether all signers begin again.
        #[serde(default)]
        anew: bool,
    },
    /// Go on with such a session, with what others have added.
    PsbtImport {
        /// In base64.
        psbt: String,
    },
    /// The signature has been broadcast.
    Confirm { session: SessionId },
    /// Forget a session.
    Close { session: SessionId },
    /// Announce a resource, or announce it anew.
    AnnounceResource {
        kind: Label,
        name: Label,
        /// In hexadecimal.
        data: String,
        lifetime_seconds: u64,
    },
    /// Take a resource of this node's back.
    WithdrawResource { kind: Label, name: Label },
    /// Resources of a kind that fit, which are looked for in the network too, unless `local` says otherwise.
    Resources {
        kind: Label,
        #[serde(default)]
        author: Option<PublicKey>,
        #[serde(default)]
        name: Option<Label>,
        #[serde(default)]
        local: bool,
        /// How long the network is asked, at most.
        #[serde(default)]
        seconds: Option<u64>,
        max: usize,
    },
    /// Tell what is sent to this node by this protocol of other programs, or published on these topics of it, as events
    /// `message-received`.
    Listen {
        protocol: Label,
        #[serde(default)]
        topics: BTreeSet<Label>,
    },
    /// Listen to it no more.
    Unlisten { protocol: Label },
    /// Send a message by such a protocol, or publish it.
    Send {
        protocol: Label,
        to: Recipient,
        /// In hexadecimal.
        payload: String,
    },
    /// Create a pool that swaps coins, and take part in it.
    CreatePool(Box<NewPool>),
    /// Take part in a pool that was found.
    JoinPool {
        #[serde(deserialize_with = "pool_id", serialize_with = "shown")]
        pool: PoolId,
        /// The coin, as `TXID:INDEX`.
        coin: String,
        /// The address that the pool pays.
        to: String,
    },
    /// Leave a pool.
    LeavePool {
        #[serde(deserialize_with = "pool_id", serialize_with = "shown")]
        pool: PoolId,
    },
    /// Take a deposit back whose delay is over.
    ReclaimDeposit {
        #[serde(deserialize_with = "pool_id", serialize_with = "shown")]
        pool: PoolId,
    },
    /// Pools that one can register for, which are looked for in the network.
    DiscoverPools {
        /// In satoshi.
        #[serde(default)]
        denomination: Option<u64>,
        #[serde(default)]
        min_participants: Option<u8>,
    },
    /// Where the node's own pools stand.
    Pools {},
    /// Connect to a peer at this address, which ends with its peer id.
    Connect { address: String },
    /// Close all connections to a peer.
    Disconnect { peer: String },
    /// Close all connections to a peer, and allow none.
    Ban { peer: String },
    /// Forget what is held against a peer.
    Unban { peer: String },
    /// What has happened after the event with this number, as far as it is kept; if `follow`, also what happens from
    /// now on, and without a number only that.
    Events { follow: bool, after: Option<u64> },
    /// The contacts and groups that the data folder names.
    Contacts {},
    /// What a group has, by the servers of the chain.
    Balance { group: Name },
    /// Stop the node. The connection ends when it has stopped.
    Stop {},
}

/// A pool that is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPool {
    /// In satoshi: 100000, 1000000, 10000000 or 100000000.
    pub(crate) denomination: u64,
    /// How many take part at most: 3 to 10.
    pub(crate) participants: u8,
    /// How many confirmations count; 1 if nothing is said.
    #[serde(default)]
    pub(crate) confirmations: Option<u16>,
    /// After how many blocks a depositor takes its deposit back alone; 720 if nothing is said.
    #[serde(default)]
    pub(crate) delay: Option<u16>,
    /// How long people may register; 600 if nothing is said.
    #[serde(default)]
    pub(crate) registration_seconds: Option<u32>,
    /// How long after that until everything is signed; 600 if nothing is said.
    #[serde(default)]
    pub(crate) settlement_seconds: Option<u32>,
    /// How long after that until coins are taken back, if no deposit is to be seen; 300 if nothing is said.
    #[serde(default)]
    pub(crate) setup_seconds: Option<u32>,
    /// How long after that deposits may take to be in blocks; 3600 if nothing is said.
    #[serde(default)]
    pub(crate) confirmation_seconds: Option<u32>,
    /// The coin, as `TXID:INDEX`: paid to the node's key, worth exactly what the pool asks for, its burn beside it.
    pub(crate) coin: String,
    /// The address that the pool pays.
    pub(crate) to: String,
}

fn pool_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PoolId, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom("a pool's id has 64 hexadecimal digits"))
}

fn shown<S: serde::Serializer>(pool: &PoolId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(pool)
}

/// To whom a message of another program goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Recipient {
    /// To a signer, now or when it can be reached.
    Key(PublicKey),
    /// To a connected peer.
    Peer(String),
    /// To all who listen to this topic.
    Topic(Label),
}

/// A session that is to be signed. The node's own key is added if it is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSession {
    #[schema(value_type = schemas::Suite)]
    pub(crate) suite: Suite,
    #[schema(value_type = Vec<String>)]
    pub(crate) keys: Vec<PublicKey>,
    /// What the aggregate key is changed by before it signs.
    #[schema(value_type = Object)]
    pub(crate) tweak: Tweak,
    /// What is signed, in hexadecimal.
    pub(crate) message: String,
    /// How the signer who broadcasts is chosen; if nothing is said, as the node is configured.
    #[serde(default)]
    #[schema(value_type = Option<schemas::ElectionMethod>)]
    pub(crate) election: Option<Method>,
    /// What kind of transaction it is for.
    #[serde(default)]
    #[schema(value_type = Option<schemas::TransactionType>)]
    pub(crate) kind: Option<TransactionType>,
    /// What the others are told about it.
    #[serde(default)]
    #[schema(value_type = String)]
    pub(crate) description: Text<512>,
    /// The transaction whose inputs are signed; then the message says nothing.
    #[serde(default)]
    pub(crate) spending: Option<SpendingFile>,
    /// Whether it is asked for in public too.
    #[serde(default)]
    pub(crate) listed: bool,
    /// For how long it may be signed; if nothing is said, as long as the node is configured, which is also the most.
    #[serde(default)]
    pub(crate) lifetime_seconds: Option<u64>,
    /// What of it may be unusual. A request without a transaction is for a message: that it is opaque need not be said.
    #[serde(default)]
    #[schema(value_type = Vec<schemas::Unusual>)]
    pub(crate) allow: BTreeSet<Unusual>,
}

/// One line from the node. Exactly one of the last four is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// Of the question; none if it could not be read.
    pub(crate) id: Option<u64>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Box<RawValue>>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Problem>,
    /// Something that has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Entry>,
    /// How many events were lost here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missed: Option<u64>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) problem: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

/// Whose turn it is to do something about a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The question makes no sense to this node.
    Invalid,
    /// It does, and the node says no.
    Refused,
    /// What would be signed is unusual, and was not allowed by name.
    Unallowed,
    /// Nothing known lets whoever asks in. Over HTTP only.
    Unauthorized,
    /// What is known of whoever asks does not let them do that. Over HTTP only.
    Forbidden,
    /// Too much is asked at once. Over HTTP only.
    Busy,
    /// The node is stopping.
    Stopped,
}

impl Problem {
    pub(crate) fn invalid(problem: impl fmt::Display, remedy: &str) -> Self {
        Self { kind: Kind::Invalid, problem: problem.to_string(), remedy: remedy.to_owned() }
    }

    pub(crate) fn forbidden(problem: impl fmt::Display, remedy: &str) -> Self {
        Self { kind: Kind::Forbidden, problem: problem.to_string(), remedy: remedy.to_owned() }
    }

    pub(crate) fn refused(problem: impl fmt::Display, remedy: &str) -> Self {
        Self { kind: Kind::Refused, problem: problem.to_string(), remedy: remedy.to_owned() }
    }
}

/// Reads a line from a command: its id as far as there is one, and the request.
pub(crate) fn read(line: &str) -> (Option<u64>, Result<Request, Problem>) {
    let unreadable = |error: serde_json::Error| {
        Problem::invalid(format_args!("this is no request: {error}"), "see the chapter on operating in nelumbo's book")
    };
    let mut fields: Map<String, Value> = match serde_json::from_str(line) {
        Ok(fields) => fields,
        Err(error) => return (None, Err(unreadable(error))),
    };
    // Taken out, because a request allows no other fields than its own.
    let heading: Map<String, Value> = ["version", "id"].iter().filter_map(|name| fields.remove_entry(*name)).collect();
    let heading: Heading = match serde_json::from_value(heading.into()) {
        Ok(heading) => heading,
        Err(error) => return (None, Err(unreadable(error))),
    };
    if heading.version != VERSION {
        let versions = format!("the node speaks version {VERSION} of its protocol, not {}", heading.version);
        let remedy = "use the same nelumbo for the node and for its commands";
        return (Some(heading.id), Err(Problem::invalid(versions, remedy)));
    }
    (Some(heading.id), serde_json::from_value(fields.into()).map_err(unreadable))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(request: &Request) -> String {
        let heading = Heading { version: VERSION, id: 7 };
        serde_json::to_string(&Question { heading, request }).expect("questions are texts, numbers and lists")
    }

    #[test]
    fn every_request_survives_the_way_there() {
        let session = SessionId::from_bytes([7; 32]);
        let key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().expect("a key");
        let create = NewSession {
            suite: Suite::Bip340,
            keys: vec![key; nelumbo_core::wire::MAX_SIGNERS],
            tweak: Tweak::Taproot { merkle_root: Some([7; 32]) },
            message: hex::encode(vec![7; nelumbo_core::wire::MAX_MESSAGE]),
            election: Some(Method::Rotating),
            kind: Some(TransactionType::Spend),
            description: "x".repeat(512).parse().expect("text"),
            spending: None,
            listed: true,
            lifetime_seconds: Some(600),
            allow: Unusual::ALL.into(),
        };
        for request in [
            Request::Stats {},
            Request::Peers {},
            Request::Sessions { phases: vec![Phase::NonceExchange, Phase::Complete] },
            Request::Session { session },
            Request::Create(Box::new(create)),
            Request::Join { session, allow: [Unusual::Opaque].into() },
            Request::PsbtApprove { psbt: "cHNidP8=".to_owned(), allow: [Unusual::Opaque].into(), anew: true },
            Request::Ban { peer: "12D3".to_owned() },
            Request::Send {
                protocol: "chat".parse().expect("a label"),
                to: Recipient::Topic("lobby".parse().expect("a label")),
                payload: "00".to_owned(),
            },
            Request::Events { follow: true, after: Some(7) },
            Request::Events { follow: false, after: None },
            Request::Stop {},
        ] {
            let line = question(&request);
            assert!(line.len() <= MAX_QUESTION / 2 && !line.contains('\n'), "{line}");
            assert_eq!(read(&line), (Some(7), Ok(request)));
        }
    }

    #[test]
    fn the_book_shows_every_request_as_it_is() {
        let book = include_str!("../../../docs/src/socket.md");
        let shown = book.split('`').filter(|text| text.starts_with("{\"version\""));
        let requests: Vec<Request> = shown.map(|line| read(line).1.unwrap_or_else(|_| panic!("{line}"))).collect();
        let names: std::collections::BTreeSet<String> = requests
            .iter()
            .map(|request| serde_json::to_value(request).expect("JSON")["request"].as_str().expect("a name").to_owned())
            .collect();
        // What is unknown lists what is known.
        let known = read(r#"{"version":1,"id":1,"request":"?"}"#).1.expect_err("there is no such request").problem;
        let known = known.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        assert_eq!(names, known);
    }

    #[test]
    fn what_is_not_known_is_an_error_that_names_it() {
        let problem = |line: &str| match read(line) {
            (id, Err(problem)) => (id, problem.problem),
            (_, Ok(request)) => panic!("{request:?}"),
        };
        let (id, text) = problem(r#"{"version":1,"id":3,"request":"dance"}"#);
        assert!(id == Some(3) && text.contains("dance"), "{text}");
        let (id, text) = problem(r#"{"version":1,"id":3,"request":"stop","when":"now"}"#);
        assert!(id == Some(3) && text.contains("when"), "{text}");
        let (id, text) = problem(r#"{"version":2,"id":3,"request":"a word of the future"}"#);
        assert!(id == Some(3) && text.contains("version 1"), "{text}");
        assert_eq!(problem(r#"{"id":3}"#).0, None);
        assert_eq!(problem("stop").0, None);
    }
}
