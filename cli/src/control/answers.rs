//! What a node does about each request.
//!
//! Owns the one match on [`Request`]. Invariant: a request is answered once what it asks for is done or refused; it
//! holds up nothing but the connection that it came over. `server` drives it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nelumbo_chain::chronik::ChronikClient;
use nelumbo_chain::psbt::{Psbt, PsbtError};
use nelumbo_core::api::{Phase, SessionView, SignerFilter, Standing, Traffic};
use nelumbo_core::approval::Unusual;
use nelumbo_core::crypto::{KeyAggContext, Network, PublicKey};
use nelumbo_core::wire::{AbortReason, Details, Harmless, Item, Label, SessionId};
use nelumbo_swapsig::Command as PoolCommand;
use nelumbo_tokio::network::{DhtMode, DhtState};
use nelumbo_tokio::{Handle, HandleError, NewSession as SessionWanted, PeerId};
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{Notify, watch};

use super::messages::{Kind, NewSession, Problem, Request};
use super::shapes::{
    Advertised, Approved, Carried, Connected, Created, Dht, Done, Ended, KnownIdentity, Peer, PeerCounts, Peers,
    Resource, Session, SessionCounts, SessionSummary, Sessions, Signers, Stats,
};
use super::{Reachability, Relaying};
use crate::link::SessionLink;
use crate::node::{Approvals, Config, EventLog, FileSessions, Follower, PaymentCounts, Pools, Step, StepError, now};
use crate::psbt;

/// See the module's documentation. Clones answer for the same node.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub(crate) handle: Handle,
    pub(crate) log: EventLog,
    pub(crate) approvals: Approvals,
    /// Sessions that are carried by files.
    pub(crate) files: Arc<Mutex<FileSessions>>,
    /// When the node started, in milliseconds since 1970-01-01 UTC.
    pub(crate) started: u64,
    /// The protocols of other programs that the node listens to.
    pub(crate) mailboxes: Arc<tokio::sync::Mutex<BTreeSet<Label>>>,
    /// Told when the node is to stop.
    pub(crate) stop: Arc<Notify>,
    /// The node's data folder, which has its contacts and groups.
    pub(crate) folder: PathBuf,
    /// The network that the node's key is for.
    pub(crate) network: Network,
    /// The servers of the chain, if any are set.
    pub(crate) chronik: Option<ChronikClient>,
    /// What is counted of payments.
    pub(crate) payments: PaymentCounts,
    /// The node's pools, if it can have any.
    pub(crate) pools: Option<Pools>,
    /// What config.toml says.
    pub(crate) settings: watch::Receiver<Arc<Config>>,
}

/// What the core knows of a connected peer.
#[derive(Default)]
struct Known {
    keys: Vec<PublicKey>,
    standing: (Standing, u32),
    traffic: Traffic,
}

/// What comes of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The result.
    Result(Box<RawValue>),
    /// Events first: those of this follower, all that there are or for ever.
    Events { follower: Follower, follow: bool },
}

impl Answers {
    pub(crate) async fn answer(&self, request: Request) -> Result<Answer, Problem> {
        match request {
            Request::Stats {} => result(self.stats().await?),
            Request::Peers {} => result(self.peers().await?),
            Request::Sessions { phases } => result(self.sessions(&phases).await?),
            Request::Session { session } => {
                let view = match self.session(session).await {
                    // A link may lead to a session that nobody has told this node of.
                    Err(_) if self.handle.find_session(session).await == Ok(true) => self.session(session).await?,
                    known => known?,
                };
                result(Session::new(&view, &self.handle.key()))
            }
            Request::Advertise { offer, lifetime_seconds: None } => done(self.handle.advertise(*offer).await),
            Request::Advertise { offer, lifetime_seconds: Some(seconds) } => {
                done(self.handle.advertise_for(*offer, Duration::from_secs(seconds)).await)
            }
            Request::Withdraw {} => done(self.handle.withdraw().await),
            Request::Signers { min_reputation: 101.., .. } => {
                Err(Problem::invalid("a reputation is a number from 0 to 100", "ask for one of these"))
            }
            Request::Signers { kind, amount, min_reputation, max, verified } => {
                let filter = SignerFilter { kind, amount, min_reputation, is_verified: verified, max_results: max };
                result(self.signers(filter).await?)
            }
            Request::Subscribe { kind, off: false } => done(self.handle.subscribe(kind).await),
            Request::Subscribe { kind, off: true } => done(self.handle.unsubscribe(kind).await),
            Request::Requests { signers, left_seconds } => {
                self.handle.find_requests().await.map_err(problem)?;
                let mut found = self.sessions(&[Phase::Announced]).await?;
                let until = now().saturating_add(left_seconds.unwrap_or(0).saturating_mul(1000));
                found.sessions.retain(|session| {
                    signers.is_none_or(|signers| session.signer_count == signers) && session.expires >= until
                });
                result(found)
            }
            Request::AnnounceResource { kind, name, data, lifetime_seconds } => {
                self.announce_resource(kind, name, &data, lifetime_seconds).await
            }
            Request::WithdrawResource { kind, name } => self.withdraw_resource(kind, name).await,
            Request::Resources { kind, author, name, local, seconds, max } => {
                let fits = |found: &Resource| {
                    author.is_none_or(|author| found.author == author)
                        && name.as_ref().is_none_or(|name| found.name == *name)
                };
                self.resources(kind, local, seconds, fits, max).await
            }
            Request::Listen { protocol, topics } => self.listen(protocol, topics).await,
            Request::Unlisten { protocol } => self.unlisten(protocol).await,
            Request::Send { protocol, to, payload } => self.send(protocol, to, &payload).await,
            Request::Create(session) => {
                let session = self.create(*session).await?;
                result(Created { session, link: SessionLink(session) })
            }
            Request::Join { session, allow } => {
                self.handle.join(session, allow).await.map_err(problem)?;
                let summary = self.session(session).await?.summary().ok();
                result(Approved { session, summary })
            }
            Request::Abort { session } => {
                let joined = self.session(session).await?.phase != Phase::Announced;
                let reason = if joined { AbortReason::Left } else { AbortReason::Declined };
                ended(self.handle.abort(session, reason).await)
            }
            Request::Retry { session } => done(self.handle.retry(session).await),
            Request::PsbtApprove { psbt, allow, anew } => {
                self.carry(&psbt, move |files, psbt| files.approve(psbt, &allow, anew)).await
            }
            Request::PsbtImport { psbt } => self.carry(&psbt, FileSessions::go_on).await,
            Request::Confirm { session } => done(self.handle.confirm_broadcast(session).await),
            Request::Close { session } => ended(self.handle.close(session).await),
            Request::Connect { address } => {
                let address = address.parse().map_err(|error| {
                    Problem::invalid(format_args!("{address:?} is not an address: {error}"), ADDRESS)
                })?;
                let address = self.handle.connect(address).await.map_err(problem)?;
                result(Connected { address: Harmless(&address.to_string()).to_string() })
            }
            Request::Disconnect { peer } => match self.handle.disconnect(peer_id(&peer)?).await.map_err(problem)? {
                true => result(Done {}),
                false => Err(Problem::refused(
                    format_args!("the node is not connected to {peer}"),
                    "`nelumbo peers` shows who is",
                )),
            },
            Request::Ban { peer } => done(self.handle.ban(peer_id(&peer)?).await),
            Request::Unban { peer } => done(self.handle.unban(peer_id(&peer)?).await),
            Request::Events { follow, after } => {
                let after = if follow { after } else { Some(after.unwrap_or(0)) };
                Ok(Answer::Events { follower: self.log.follow(after), follow })
            }
            Request::CreatePool(new) => self.create_pool(*new).await,
            Request::JoinPool { pool, coin, to } => self.join_pool(pool, &coin, &to).await,
            Request::LeavePool { pool } => self.change_pool(pool, PoolCommand::LeavePool(pool)).await,
            Request::ReclaimDeposit { pool } => self.change_pool(pool, PoolCommand::ReclaimDeposit(pool)).await,
            Request::DiscoverPools { denomination, min_participants } => {
                self.discover_pools(denomination, min_participants).await
            }
            Request::Pools {} => self.own_pools().await,
            Request::Contacts {} => self.names(),
            Request::Balance { group } => self.balance(&group).await,
            Request::Stop {} => {
                self.stop.notify_one();
                result(Done {})
            }
        }
    }

    /// Takes a step of a session that is carried by files. It writes to the disk and computes, so nobody else waits.
    async fn carry(
        &self,
        psbt: &str,
        step: impl FnOnce(&mut FileSessions, Psbt) -> Result<Step, StepError> + Send + 'static,
    ) -> Result<Answer, Problem> {
        let psbt = Psbt::read(psbt.as_bytes()).map_err(|error| step_problem(&error.into()))?;
        let files = self.files.clone();
        let step = move || step(&mut files.lock().unwrap_or_else(PoisonError::into_inner), psbt);
        let step = tokio::task::spawn_blocking(step).await;
        let step = step.map_err(|error| Problem::refused(error, "this is a bug: report it"))?;
        let Step { session, attempt, psbt, stage, waits_for, summary, is_new } =
            step.map_err(|error| step_problem(&error))?;
        if is_new {
            let event = json!({
                "event": "file-session-approved", "session": session, "attempt": attempt, "summary": summary,
            });
            self.approvals.keep(&self.log, now(), &event);
        }
        result(Carried { session, attempt, stage, waits_for, psbt: psbt.to_base64(), summary })
    }

    pub(crate) async fn stats(&self) -> Result<Stats, Problem> {
        let status = self.handle.status().await.map_err(problem)?;
        let seen = self.handle.with_view(|view| {
            let (mut by_phase, mut signer_owes) = (BTreeMap::new(), BTreeMap::new());
            for (_, phase, owes) in view.phases() {
                *by_phase.entry(phase).or_default() += 1;
                if let Some(task) = owes {
                    *signer_owes.entry(task).or_default() += 1;
                }
            }
            let standing = |standing| view.peers_in_standing(standing);
            (by_phase, signer_owes, standing(Standing::Graylisted), standing(Standing::Blacklisted))
        });
        let (by_phase, signer_owes, graylisted, blacklisted) = seen.await.map_err(problem)?;
        let mut refusals = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (refusal, count) in status.refusals.iter() {
            refusals.entry(refusal.layer()).or_default().insert(refusal, count);
        }
        Ok(Stats {
            peer: status.peer.to_string(),
            key: status.key,
            version: env!("NELUMBO_VERSION").to_owned(),
            started: self.started,
            uptime_seconds: now().saturating_sub(self.started) / 1000,
            listening: status.listening.iter().map(|at| with_peer(at, status.peer)).collect(),
            addresses: status.addresses.iter().map(|at| with_peer(at, status.peer)).collect(),
            reachability: Reachability {
                state: status.reachability.state.name().to_owned(),
                reason: status.reachability.reason,
                relays: status.reachability.relays.iter().map(ToString::to_string).collect(),
                relaying: Relaying {
                    on: status.relaying.is_on,
                    small: status.relaying.small,
                    reservations: status.relaying.reservations,
                    circuits: status.relaying.circuits,
                },
            },
            peers: PeerCounts { connected: status.connected.len(), graylisted, blacklisted },
            dht: Dht {
                enabled: status.dht_mode != DhtMode::Off,
                mode: match status.dht_mode {
                    DhtMode::Off => "off".to_owned(),
                    DhtMode::Client => "client".to_owned(),
                    DhtMode::Server => "server".to_owned(),
                },
                state: status.dht_state.name().to_owned(),
                ready: status.dht_state == DhtState::Ready,
                routing_table_size: status.routing_peers,
                local_records: status.local_records,
            },
            gossip_refusals: status.gossip_refusals.iter().collect(),
            gossip: status.gossip,
            sessions: SessionCounts { total: by_phase.values().sum(), by_phase, signer_owes },
            refusals,
        })
    }

    async fn peers(&self) -> Result<Peers, Problem> {
        let connected = self.handle.status().await.map_err(problem)?.connected;
        let known = self.handle.with_view(|view| {
            let of_connected = |peer: &nelumbo_core::wire::PeerId| {
                let known = Known { keys: Vec::new(), standing: view.standing(peer), traffic: view.traffic(peer) };
                (peer.to_string(), known)
            };
            let mut known: BTreeMap<String, Known> = view.connected().map(of_connected).collect();
            for (key, peer, _) in view.signers().filter(|(.., connected)| *connected) {
                known.entry(peer.to_string()).or_default().keys.push(key);
            }
            known
        });
        let mut known = known.await.map_err(problem)?;
        let mut peers: Vec<Peer> = connected
            .into_iter()
            .map(|connected| {
                let peer = connected.peer.to_string();
                let Known { keys, standing, traffic } = known.remove(&peer).unwrap_or_default();
                let ((standing, penalty), Traffic { messages, bytes, refused }) = (standing, traffic);
                Peer {
                    peer,
                    address: Harmless(&connected.address.to_string()).to_string(),
                    relayed: connected.is_relayed,
                    outbound: connected.is_outbound,
                    round_trip_ms: connected.round_trip.map(|time| (time.as_secs_f64() * 1e6).round() / 1e3),
                    keys,
                    standing,
                    penalty,
                    messages,
                    bytes,
                    refused,
                }
            })
            .collect();
        peers.sort_by(|one, other| one.peer.cmp(&other.peer));
        Ok(Peers { peers })
    }

    async fn sessions(&self, phases: &[Phase]) -> Result<Sessions, Problem> {
        let phases = phases.to_vec();
        let wanted = self.handle.with_view(move |view| {
            let wanted = view.phases().filter(|(_, phase, _)| phases.is_empty() || phases.contains(phase));
            wanted.filter_map(|(session, ..)| view.session(&session)).collect::<Vec<_>>()
        });
        let mut sessions: Vec<SessionSummary> =
            wanted.await.map_err(problem)?.iter().map(SessionSummary::from).collect();
        sessions.sort_by_key(|session| (session.expires, session.session));
        Ok(Sessions { sessions })
    }

    async fn signers(&self, filter: SignerFilter) -> Result<Signers, Problem> {
        let found = self.handle.find_signers(filter).await.map_err(problem)?;
        let signers = self.handle.with_view(move |view| {
            let advertised = |(key, advertisement): (PublicKey, nelumbo_core::wire::Advertisement)| {
                let (peer, expires) = (advertisement.peer.to_string(), advertisement.expires_at.as_millis());
                let (reputation, identity) = (view.reputation(&key), view.identity(&key));
                let identity = identity.map(|(id, tier)| KnownIdentity { id, tier });
                advertisement.offer.map(|offer| Advertised { key, peer, reputation, identity, offer, expires })
            };
            found.into_iter().filter_map(advertised).collect()
        });
        Ok(Signers { signers: signers.await.map_err(problem)? })
    }

    pub(crate) async fn session(&self, session: SessionId) -> Result<SessionView, Problem> {
        let view = self.handle.session(session).await.map_err(problem)?;
        view.ok_or_else(|| Problem::refused(format_args!("there is no session {session}"), NO_SESSION))
    }

    async fn create(&self, session: NewSession) -> Result<SessionId, Problem> {
        let NewSession {
            suite,
            mut keys,
            tweak,
            message,
            election,
            kind,
            description,
            spending,
            listed,
            lifetime_seconds,
            allow,
        } = session;
        let not_hex =
            |error| Problem::invalid(format_args!("what is not hexadecimal should be: {error}"), "see --help");
        if !keys.contains(&self.handle.key()) {
            keys.push(self.handle.key());
        }
        let (spending, items) = match spending {
            Some(file) => {
                let aggregate = KeyAggContext::new(suite, &keys).and_then(|keys| keys.with_tweak(&tweak));
                let own = aggregate.ok().map(|keys| keys.challenge_key());
                let (spending, items) = file.items(suite, own, tweak).map_err(not_hex)?;
                (Some(Box::new(spending)), items)
            }
            None => (None, vec![Item::message(hex::decode(message).map_err(not_hex)?, tweak)]),
        };
        let mut wanted = SessionWanted::new(suite, keys, Vec::new());
        wanted.allow.extend(allow);
        wanted.lifetime = lifetime_seconds.map(Duration::from_secs);
        let details = Details { kind, description, spending };
        let election = election.unwrap_or_else(|| self.settings.borrow().election);
        self.handle
            .create(SessionWanted { items, election, details, is_listed: listed, ..wanted })
            .await
            .map_err(problem)
    }
}

const ADDRESS: &str = "it looks like /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…; `nelumbo stats` shows those of a node";

const NO_SESSION: &str = "`nelumbo sessions` lists those that the node knows, and `nelumbo sessions show` looks for \
                          others in the network";

pub(super) fn result(result: impl Serialize) -> Result<Answer, Problem> {
    Ok(Answer::Result(to_raw_value(&result).expect("results are made of texts, numbers and lists")))
}

pub(super) fn done(done: Result<(), HandleError>) -> Result<Answer, Problem> {
    done.map_err(problem)?;
    result(Done {})
}

fn ended(ended: Result<nelumbo_tokio::Ended, HandleError>) -> Result<Answer, Problem> {
    let may_complete = ended.map_err(problem)?.may_complete;
    result(Ended { may_complete })
}

pub(super) fn problem(error: HandleError) -> Problem {
    use nelumbo_core::api::CommandError;
    match &error {
        HandleError::Refused(CommandError::UnknownSession(_)) => Problem::refused(error, NO_SESSION),
        HandleError::Refused(CommandError::Unusual(unusual)) => unallowed(&error, unusual),
        HandleError::Refused(CommandError::Definition(_)) => {
            Problem::refused(error, "see `nelumbo create --help`, and check keys and --transaction")
        }
        HandleError::Refused(
            CommandError::NothingOffered | CommandError::Offer(_) | CommandError::OfferLifetime { .. },
        ) => Problem::refused(error, "see `nelumbo advertise --help`"),
        HandleError::Refused(CommandError::NotBanned(_)) => Problem::refused(error, "`nelumbo peers` shows standings"),
        HandleError::Refused(_) => Problem::refused(error, "`nelumbo sessions` shows where each session stands"),
        HandleError::NoPeerId { .. } => Problem::invalid(error, ADDRESS),
        HandleError::NotConnected(_) => {
            Problem::refused(error, "check that the address is right, and that the peer runs and can be reached there")
        }
        HandleError::PeerId => Problem::invalid(error, "take a peer id from `nelumbo peers`"),
        HandleError::Stopped => {
            Problem { kind: Kind::Stopped, problem: error.to_string(), remedy: "start it again".to_owned() }
        }
        _ => Problem::refused(error, "the node's own output says more"),
    }
}

fn step_problem(error: &StepError) -> Problem {
    let remedy = match error {
        StepError::Psbt(error @ (PsbtError::Conflict { .. } | PsbtError::Culprits { .. } | PsbtError::Unsigned(_))) => {
            return Problem::refused(error, psbt::remedy(error));
        }
        StepError::Psbt(error) => return Problem::invalid(error, psbt::remedy(error)),
        StepError::Unusual(unusual) => return unallowed(error, unusual),
        StepError::NotASigner => "name the group with --group if the PSBT says nothing of it, or choose another --data",
        StepError::Summary(_) => "do not sign it: what it would do is not what a session of the network would allow",
        StepError::NonceGone | StepError::Spent => {
            "begin anew with all signers: `nelumbo psbt export --anew`; nothing is lost but their time"
        }
        StepError::NotApproved => "look at it with `nelumbo psbt show`, then approve it with `nelumbo psbt export`",
        StepError::Record(_) => "make room on the disk, or restore file-sessions.jsonl in the data folder",
        StepError::Signer(_) => "begin anew with `nelumbo psbt export --anew`",
    };
    Problem::refused(error, remedy)
}

fn unallowed(problem: impl std::fmt::Display, unusual: &BTreeSet<Unusual>) -> Problem {
    let names: Vec<String> = unusual.iter().map(|unusual| format!("--allow {unusual}")).collect();
    let remedy = format!("if that is meant, add {}", names.join(" "));
    Problem { kind: Kind::Unallowed, problem: problem.to_string(), remedy }
}

pub(super) fn peer_id(text: &str) -> Result<PeerId, Problem> {
    text.parse().map_err(|_| {
        Problem::invalid(format_args!("{text:?} is not a peer id"), "take one from `nelumbo peers`, or from an address")
    })
}

fn with_peer(address: &nelumbo_tokio::Multiaddr, peer: PeerId) -> String {
    address.clone().with_p2p(peer).unwrap_or_else(|address| address).to_string()
}
