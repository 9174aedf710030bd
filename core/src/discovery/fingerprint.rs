//! All that decides what discovery does next, as a text: for model checkers, which must see when different orders of
//! events have led to the same state.
//!
//! Times of this node count from now; the times at which announcements were signed are told as they are, because which
//! of two is newer decides. Left out are the numbers of lookups and the times at which announcements expire.

use core::fmt::{self, Write};

use super::Discovery;
use crate::base::{Mono, Wall};
use crate::crypto::sha256;

impl Discovery {
    pub(crate) fn fingerprint(&self, text: &mut impl Write, now: Mono) -> fmt::Result {
        let Self { peers, publisher, search, reputations, identities } = self;
        write!(text, "connected {:?}", peers.connected)?;
        for (key, known) in &peers.presences.by_key {
            let presence = known.presence.value();
            write!(text, " presence {key} {:?} {:?}", presence.peer, presence.issued_at)?;
            write!(text, " {} {} {:?}", known.is_first_hand, known.is_gossip, known.room)?;
        }
        for (peer, shown) in peers.backoff.iter() {
            write!(text, " shown {peer} {:?} {:?}", shown.at.after(shown.pause).since(now), shown.pause)?;
        }
        for (key, wanted) in peers.wanted.iter() {
            let seek = wanted.seek.map(|(at, pause)| (at.since(now), pause));
            write!(text, " wanted {key} {} {seek:?}", wanted.sessions)?;
        }
        for (key, until) in peers.fetching.iter().flat_map(|fetching| fetching.from.iter()) {
            write!(text, " fetched {key} {:?}", until.since(now))?;
        }
        let routes = &publisher.routes;
        let quiet = routes.quiet_until.since(now);
        write!(text, " routes {} {} {:?} {quiet:?}", routes.peers, routes.told, routes.pause)?;
        write!(text, " own {:?} {}", publisher.addresses, publisher.is_presence_gossiped)?;
        write!(text, " {:?} {:?}", publisher.offered, publisher.advertised)?;
        for (key, record) in publisher.records.iter() {
            write!(text, " record {key} {:?}", sha256(&[&record.value]))?;
        }
        let quotas = [publisher.presences, publisher.advertisements, search.lookups.begun];
        write!(text, " quotas {:?}", quotas.map(|bucket| bucket.debt(now)))?;
        for (key, known) in search.advertisements.iter(Wall::default()) {
            write!(text, " advertisement {key} {:?}", known.issued_at)?;
        }
        for (id, known) in search.resources.iter(Wall::default()) {
            write!(text, " resource {id:?} {:?}", known.issued_at)?;
        }
        let lookups = &search.lookups;
        lookups.under_way.values().try_for_each(|key| write!(text, " lookup {key} {:?}", lookups.listed(key)))?;
        lookups.waiting.iter().try_for_each(|key| write!(text, " waiting {key} {:?}", lookups.listed(key)))?;
        identities.fingerprint(text)?;
        write!(text, " searches {:?} subscribed {:?} {reputations:?}", search.searches, search.subscribed)
    }
}
