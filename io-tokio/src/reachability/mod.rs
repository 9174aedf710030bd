//! Whether others can reach this node, and through whom.
//!
//! Owns what the node believes about its own reachability, and at which relays it reserves. Invariant: unless the node
//! is public it holds reservations at two relays, or a relay is being asked, or no relay that is connected is left to
//! ask before a time that is set; it lets go of relays only on evidence that a stranger could reach it. Pure: it is
//! told the time and what happened, and says what to do. Driven by [`crate::network::Network`]; the book numbers its
//! transitions.
//!
//! A dial back is no such evidence. It comes from a peer that the node is connected to, for which many routers let
//! everything in. What counts is an address of the node's own, the word of who runs it, a port that a gateway has
//! mapped and through which a dial back came, or a connection from an address that the node has never called. An own
//! IPv6 address counts with a dial back or such a connection alone.

mod relays;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, time::Duration};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use tokio::time::Instant;

pub(crate) use self::relays::Reserve;
use self::relays::{RELAYS, Relays};

/// A node that has been connected for as long, without any sign that it can be reached, cannot be reached: AutoNAT
/// says nothing of what it could not reach.
const JUDGED_AFTER: Duration = Duration::from_secs(15);
/// A node that has been without a connection for as long has no route.
const LOST_AFTER: Duration = Duration::from_secs(30);
/// As many addresses of each kind are remembered.
const MAX_ADDRESSES: usize = 16;

/// Whether others can reach a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reachability {
    /// Not known yet.
    Unknown,
    /// By those on the same machine or network, for which alone the node is configured.
    Local,
    /// By those of the private network that it is in with everybody that it is connected to.
    Private,
    /// By everyone.
    Public,
    /// By everyone, at a port that the gateway forwards.
    Mapped,
    /// Through relays only, until a peer and the node have made a direct connection together.
    BehindNat,
    /// By nobody: no connection can be made.
    NoRoute,
}

impl Reachability {
    /// The state's name, for people and for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Local => "local",
            Self::Private => "private",
            Self::Public => "public",
            Self::Mapped => "mapped",
            Self::BehindNat => "behind-nat",
            Self::NoRoute => "no-route",
        }
    }
}

/// What a node's reachability is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reached {
    /// The state.
    pub state: Reachability,
    /// Why, for people.
    pub reason: String,
    /// The relays with a reservation, through which others can reach the node.
    pub relays: Vec<PeerId>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask this relay for a reservation.
    Reserve(Reserve),
    /// Let go of the reservation at this relay.
    Release(PeerId),
    /// Tell the embedder.
    Tell(Reached),
}

/// What speaks for being reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    Announced,
    OwnAddress,
    Mapped,
    Stranger,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Machine {
    state: Reachability,
    evidence: Option<Evidence>,
    told: Option<Reached>,
    relays: Relays,
    connected: usize,
    /// When the node is judged, or given up; what it waits for depends on the state.
    due: Option<Instant>,
    announced: BTreeSet<Multiaddr>,
    own: BTreeSet<Multiaddr>,
    mapped: BTreeSet<Multiaddr>,
    /// Addresses that a dial back has come through.
    confirmed: BTreeSet<Multiaddr>,
    has_gateway: Option<bool>,
    strangers: bool,
    /// Whether everybody that the node is connected to is in a private network with it, and whether one of them has
    /// come in.
    private: (bool, bool),
}

impl Machine {
    /// N1: a node starts. One that is configured for this machine or network alone looks for nothing.
    pub(crate) fn new(is_local: bool, uses_relays: bool, now: Instant) -> Self {
        Self {
            state: if is_local { Reachability::Local } else { Reachability::Unknown },
            evidence: None,
            told: None,
            relays: Relays::new(if uses_relays && !is_local { RELAYS } else { 0 }),
            connected: 0,
            due: (!is_local).then_some(now + LOST_AFTER),
            announced: BTreeSet::new(),
            own: BTreeSet::new(),
            mapped: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            has_gateway: None,
            strangers: false,
            private: (false, false),
        }
    }

    /// N2: who runs the node says that it can be reached at this address.
    pub(crate) fn on_announced(&mut self, address: Multiaddr) {
        remember(&mut self.announced, address);
    }

    /// N2, N14: the node listens at this address, which is public.
    pub(crate) fn on_own_address(&mut self, address: Multiaddr) {
        remember(&mut self.own, address);
    }

    /// N3: a dial back has come through this address.
    pub(crate) fn on_confirmed(&mut self, address: Multiaddr) {
        remember(&mut self.confirmed, address);
    }

    /// N3: the gateway forwards this address.
    pub(crate) fn on_mapped(&mut self, address: Multiaddr) {
        self.has_gateway = Some(true);
        remember(&mut self.mapped, address);
    }

    /// No gateway forwards anything: it cannot be asked, or is behind another one.
    pub(crate) fn on_no_gateway(&mut self) {
        self.has_gateway = Some(false);
    }

    /// N5: an address is no longer what it was.
    pub(crate) fn on_address_gone(&mut self, address: &Multiaddr) {
        self.own.remove(address);
        self.mapped.remove(address);
        self.confirmed.remove(address);
    }

    /// N3: a peer has connected to the node from an address that the node has never called.
    pub(crate) fn on_stranger(&mut self) {
        self.strangers = true;
    }

    /// N6: the node has so many connected peers.
    pub(crate) fn on_connections(&mut self, connected: usize, now: Instant) {
        let before = std::mem::replace(&mut self.connected, connected);
        if self.state == Reachability::Local || (before == 0) == (connected == 0) {
            return;
        }
        if connected == 0 {
            // Whatever it was, it may be somewhere else when it comes back.
            self.due = Some(now + LOST_AFTER);
        } else {
            if self.state == Reachability::NoRoute {
                self.state = Reachability::Unknown;
            }
            self.due = (self.state == Reachability::Unknown).then_some(now + JUDGED_AFTER);
        }
    }

    /// N13: everybody that the node is connected to is in a private network with it, or that is over; and whether
    /// others come in.
    pub(crate) fn on_private(&mut self, is_private: bool, has_come_in: bool, now: Instant) {
        self.private = (is_private, is_private && has_come_in);
        if !is_private && self.state == Reachability::Private {
            self.state = Reachability::Unknown;
            self.due = Some(now + JUDGED_AFTER);
        }
    }

    pub(crate) fn state(&self) -> Reachability {
        self.state
    }

    /// Whether this node can do for others what it does not need itself.
    pub(crate) fn lets_others_in(&self) -> bool {
        match self.state {
            Reachability::Public | Reachability::Mapped => true,
            Reachability::Private => self.private.1,
            _ => false,
        }
    }

    /// N8: a peer that is connected relays for others, at this address of its.
    pub(crate) fn on_relay(&mut self, relay: PeerId, address: Multiaddr, is_configured: bool, now: Instant) {
        self.relays.on_known(relay, address, is_configured, now);
    }

    /// N9: the relay has accepted.
    pub(crate) fn on_reserved(&mut self, relay: &PeerId) {
        self.relays.on_reserved(relay);
    }

    /// N10: the relay has refused, or the reservation has ended.
    pub(crate) fn on_reservation_ended(&mut self, relay: &PeerId, now: Instant) {
        self.relays.on_ended(relay, now);
    }

    /// N11: the peer is not connected any more.
    pub(crate) fn on_relay_gone(&mut self, relay: &PeerId) {
        self.relays.on_gone(relay);
    }

    /// What it is now, and why.
    pub(crate) fn reached(&self) -> Reached {
        Reached { state: self.state, reason: self.reason().to_string(), relays: self.relays.reserved().collect() }
    }

    /// Whether it is still that. Asked for between any two events.
    fn is_as(&self, told: &Reached) -> bool {
        let Reached { state, reason, relays } = told;
        *state == self.state && reason == self.reason() && self.relays.reserved().eq(relays.iter().copied())
    }

    /// When [`next`](Self::next) has something to say, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.relays.deadline(self.wanted())).min()
    }

    /// The next thing to do, until there is none.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Action> {
        self.judge(now);
        if let Some(action) = self.relays.next(self.wanted(), now) {
            return Some(action);
        }
        if !self.told.as_ref().is_some_and(|told| self.is_as(told)) {
            let reached = self.reached();
            let is_first = self.told.is_none() && matches!(self.state, Reachability::Unknown | Reachability::Local);
            self.told = Some(reached.clone());
            return (!is_first).then_some(Action::Tell(reached));
        }
        None
    }

    fn judge(&mut self, now: Instant) {
        if self.state == Reachability::Local {
            return;
        }
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
        }
        if is_due && self.connected == 0 {
            // N7: nothing gets through. What was evidence is of a place where the node may be no longer.
            self.state = Reachability::NoRoute;
            self.evidence = None;
            self.strangers = false;
            return;
        }
        if self.state == Reachability::NoRoute {
            return;
        }
        self.evidence = self.evidence();
        self.state = match self.evidence {
            Some(Evidence::Mapped) => Reachability::Mapped,
            // N2, N3: the relays are let go.
            Some(_) => Reachability::Public,
            None if self.private.0 => Reachability::Private,
            // N4: judged by time. N5: what spoke for it is gone.
            None if is_due || !matches!(self.state, Reachability::Unknown) => Reachability::BehindNat,
            None => Reachability::Unknown,
        };
    }

    fn evidence(&self) -> Option<Evidence> {
        let is_confirmed = |addresses: &BTreeSet<Multiaddr>| !addresses.is_disjoint(&self.confirmed);
        if !self.announced.is_empty() {
            Some(Evidence::Announced)
        } else if self.own.iter().any(|address| self.is_open(address)) {
            Some(Evidence::OwnAddress)
        } else if is_confirmed(&self.mapped) {
            Some(Evidence::Mapped)
        } else if self.strangers && !self.confirmed.is_empty() {
            Some(Evidence::Stranger)
        } else {
            None
        }
    }

    /// Whether others get through to an address of the node's own. With IPv6 every host at home has a public one, and a
    /// router in front of it that lets nobody in.
    fn is_open(&self, own: &Multiaddr) -> bool {
        let is_ipv6 = matches!(own.iter().next(), Some(Protocol::Ip6(_)));
        !is_ipv6 || self.strangers || self.confirmed.contains(own)
    }

    fn wanted(&self) -> bool {
        !matches!(self.state, Reachability::Public | Reachability::Mapped | Reachability::Local)
    }

    fn reason(&self) -> &'static str {
        match (self.state, self.evidence) {
            (Reachability::Local, _) => "it listens for this machine or network only",
            (Reachability::NoRoute, _) => "no peer could be reached for half a minute",
            (Reachability::Unknown, _) => "nothing is known yet",
            (Reachability::Private, _) => "all that it is connected to are in its private network",
            (_, Some(Evidence::Announced)) => "an address is announced in its configuration",
            (_, Some(Evidence::OwnAddress)) => "it listens at a public address",
            (_, Some(Evidence::Mapped)) => "the gateway forwards a port, and a peer has come through it",
            (_, Some(Evidence::Stranger)) => "peers have come in that it had never called",
            _ if !self.mapped.is_empty() => "the gateway forwards a port, and nobody has come through it",
            _ if !self.confirmed.is_empty() => "only peers that it is connected to can call it",
            _ if self.has_gateway == Some(false) => "no peer could call it, and no gateway forwards a port",
            _ => "no peer could call it",
        }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.state.name(), self.reason)?;
        match self.relays.len() {
            0 => Ok(()),
            1 => write!(f, "; 1 relay"),
            relays => write!(f, "; {relays} relays"),
        }
    }
}

fn remember(addresses: &mut BTreeSet<Multiaddr>, address: Multiaddr) {
    if addresses.len() < MAX_ADDRESSES {
        addresses.insert(address);
    }
}
