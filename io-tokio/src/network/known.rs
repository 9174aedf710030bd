//! Peers that were of use, remembered over restarts.
//!
//! Owns who they are, where they were reached and how that went, and the file with it. Invariant: only whom this node
//! has called itself, and who spoke its protocols then, gets in, so that nobody gets in by calling or by telling; their
//! number is bounded, the crowd of one subnet makes room first, and whoever cannot be reached [`MAX_FAILURES`] times
//! while others can is forgotten. Losing the file costs nothing but the way back. Driven by [`super::Network`].

use std::{
    cmp::Reverse,
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::addresses::{DecidedFilter, Origin, host};

const MAX_KNOWN: usize = 64;
const MAX_ADDRESSES: usize = 4;
const MAX_FAILURES: u8 = 5;
const SAVE_AFTER: Duration = Duration::from_secs(60);
/// A file of ours is never longer.
const MAX_FILE: u64 = 256 * 1024;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct KnownPeers {
    peers: HashMap<PeerId, Known>,
    file: Option<PathBuf>,
    /// When to write what has changed.
    save_at: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// The newest last.
    addresses: Vec<Multiaddr>,
    /// In seconds since 1970.
    reached: u64,
    failures: u8,
    tried: Option<Instant>,
}

impl KnownPeers {
    /// Those of an earlier run, as far as their addresses may still be dialled.
    pub(crate) fn open(file: Option<PathBuf>, filter: &DecidedFilter) -> Self {
        let mut known = Self { peers: HashMap::new(), file, save_at: None };
        if let Some(file) = &known.file {
            match read(file) {
                Ok(text) => {
                    let peers = text.lines().filter_map(|line| parse(line, filter));
                    known.peers = peers.take(MAX_KNOWN).collect();
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(file = %file.display(), %error, "known peers cannot be read"),
            }
        }
        known
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// The peer was reached at this address, and speaks the protocols of this network.
    pub(crate) fn on_reached(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        if !self.peers.contains_key(&peer) && self.peers.len() >= MAX_KNOWN {
            self.make_room();
        }
        let reached = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let known =
            self.peers.entry(peer).or_insert(Known { addresses: Vec::new(), reached, failures: 0, tried: None });
        known.addresses.retain(|one| *one != address);
        known.addresses.push(address);
        if known.addresses.len() > MAX_ADDRESSES {
            known.addresses.remove(0);
        }
        (known.reached, known.failures) = (reached, 0);
        self.save_at.get_or_insert(now + SAVE_AFTER);
    }

    /// The peer could not be reached, while others could.
    pub(crate) fn on_failed(&mut self, peer: &PeerId, now: Instant) {
        let Some(known) = self.peers.get_mut(peer) else { return };
        known.failures += 1;
        if known.failures >= MAX_FAILURES {
            self.peers.remove(peer);
        }
        self.save_at.get_or_insert(now + SAVE_AFTER);
    }

    /// Whom to call: those not tried for the longest time first, of these the one that was reached last.
    pub(crate) fn call(
        &mut self,
        most: usize,
        now: Instant,
        is_wanted: impl Fn(&PeerId) -> bool,
    ) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut wanted: Vec<_> = self.peers.iter_mut().filter(|(peer, _)| is_wanted(peer)).collect();
        wanted.sort_by_key(|(peer, known)| (known.tried, Reverse(known.reached), **peer));
        let called = wanted.into_iter().take(most).map(|(peer, known)| {
            known.tried = Some(now);
            (*peer, known.addresses.clone())
        });
        called.collect()
    }

    /// When [`save`](Self::save) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.save_at
    }

    /// Writes what has changed. That it cannot is no reason to stop.
    pub(crate) fn save(&mut self) {
        if self.save_at.take().is_some()
            && let Some(file) = &self.file
            && let Err(error) = self.write(file)
        {
            tracing::warn!(file = %file.display(), %error, "known peers cannot be written");
        }
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        let mut lines: Vec<_> = self.peers.iter().map(|(peer, known)| line(peer, known)).collect();
        lines.sort_unstable();
        let new = file.with_extension("new");
        fs::write(&new, lines.concat())?;
        fs::rename(new, file)
    }

    fn make_room(&mut self) {
        let last = |known: &Known| known.addresses.last().and_then(host);
        let origins = Origin::count(self.peers.values().map(last));
        let key =
            |peer: &PeerId, known: &Known| (origins.of(last(known)), known.failures, Reverse(known.reached), *peer);
        if let Some(peer) = self.peers.iter().max_by_key(|(peer, known)| key(peer, known)).map(|(peer, _)| *peer) {
            self.peers.remove(&peer);
        }
    }
}

fn read(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > MAX_FILE {
        return Err(io::Error::other("it is longer than any that was written"));
    }
    fs::read_to_string(file)
}

/// The peer, when it was reached, how often not since then, and where.
fn line(peer: &PeerId, Known { addresses, reached, failures, .. }: &Known) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    format!("{peer} {reached} {failures} {}\n", addresses.join(" "))
}

fn parse(line: &str, filter: &DecidedFilter) -> Option<(PeerId, Known)> {
    let mut parts = line.split(' ');
    let peer = parts.next()?.parse().ok()?;
    let (reached, failures) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let addresses =
        filter.select(parts.filter(|part| !part.is_empty()).filter_map(|part| part.parse().ok()), MAX_ADDRESSES);
    let known = Known { addresses, reached, failures, tried: None };
    (!known.addresses.is_empty() && failures < MAX_FAILURES).then_some((peer, known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::AddressFilter;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    fn all() -> DecidedFilter {
        AddressFilter::All.decide([], [])
    }

    #[test]
    fn who_was_reached_is_there_after_a_restart_and_rubbish_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("known-peers");
        let (now, peers) = (Instant::now(), [PeerId::random(), PeerId::random()]);
        let mut known = KnownPeers::open(Some(file.clone()), &all());
        known.on_reached(peers[0], address("/ip4/9.9.9.9/tcp/1"), now);
        known.on_reached(peers[1], address("/ip4/10.0.0.1/tcp/1"), now);
        (2..9).for_each(|port| known.on_reached(peers[0], address(&format!("/ip4/9.9.9.9/tcp/{port}")), now));
        assert_eq!(known.deadline(), Some(now + SAVE_AFTER));
        known.save();
        assert_eq!(known.deadline(), None);
        let mut again = KnownPeers::open(Some(file.clone()), &all());
        let called = again.call(9, now, |peer| *peer == peers[0]);
        let ports = [5, 6, 7, 8].map(|port| address(&format!("/ip4/9.9.9.9/tcp/{port}")));
        assert_eq!(called, [(peers[0], ports.to_vec())]);
        assert_eq!(again.peers.len(), 2);
        // A node that is on the internet now does not call what was private.
        let public = KnownPeers::open(Some(file.clone()), &AddressFilter::PublicOnly.decide([], []));
        assert_eq!(public.peers.keys().collect::<Vec<_>>(), [&peers[0]]);
        let rubbish = format!("\n{} 1 0 \nx 1 0 /ip4/9.9.9.9/tcp/1\n{} 1 77 /ip4/9.9.9.9/tcp/1", peers[0], peers[1]);
        fs::write(&file, rubbish).expect("a file");
        assert!(KnownPeers::open(Some(file), &all()).is_empty());
    }

    #[test]
    fn who_fails_is_forgotten_and_crowds_make_room() {
        let (mut known, now, peer) = (KnownPeers::open(None, &all()), Instant::now(), PeerId::random());
        known.on_reached(peer, address("/ip4/9.9.9.9/tcp/1"), now);
        (1..MAX_FAILURES).for_each(|_| known.on_failed(&peer, now));
        assert!(!known.is_empty());
        known.on_reached(peer, address("/ip4/9.9.9.9/tcp/1"), now);
        (1..MAX_FAILURES).for_each(|_| known.on_failed(&peer, now));
        assert!(!known.is_empty(), "in a row");
        for host in 0..2 * MAX_KNOWN {
            known.on_reached(PeerId::random(), address(&format!("/ip4/5.5.5.{host}/tcp/1")), now);
        }
        assert!(known.peers.len() == MAX_KNOWN && known.peers.contains_key(&peer));
        known.on_failed(&peer, now);
        assert!(!known.peers.contains_key(&peer));
        // Everyone has a turn.
        let mut called = std::collections::HashSet::new();
        for _ in 0..MAX_KNOWN.div_ceil(4) {
            called.extend(known.call(4, now, |_| true).into_iter().map(|(peer, _)| peer));
        }
        assert_eq!(called.len(), MAX_KNOWN - 1);
    }
}
