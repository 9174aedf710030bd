//! `nelumbo doctor`: what is wrong with a node, or about to be.
//!
//! Owns the checks. Invariants: nothing is changed; each finding that is not good says what to do. What only a running
//! node knows is asked of it, and said to be unknown where none runs.

use std::fs;
use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;

use clap::Args;
use nelumbo_tokio::Multiaddr;
use serde::Serialize;
use serde_json::json;

use crate::commands::one_thread;
use crate::control::{Peers, Request, Running, Stats};
use crate::failure::{Answer, Failure};
use crate::node::{Chain, Config};
use crate::{key_file, output, private_file};

const GIB: u64 = 1024 * 1024 * 1024;
/// Below this a session more could fill the disk, and then the node stops.
const LEAST_DISK: u64 = GIB / 16;

const EXAMPLES: &str = "\
Examples:
  nelumbo doctor
  nelumbo doctor --json | jq '.checks[] | select(.state != \"good\")'";

/// Looks for what is wrong with a node: files, disk, ports, clock, network, chain
///
/// Works on a node that runs and on one that does not start. Exit status 0 when nothing is bad, 1 when something is.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    #[command(flatten)]
    node: Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    /// It works, and may not for long or for everyone.
    Doubtful,
    Bad,
    /// Only a running node knows.
    Unknown,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    found: String,
    remedy: String,
}

fn good(check: &'static str, found: impl ToString) -> Finding {
    Finding { check, state: State::Good, found: found.to_string(), remedy: String::new() }
}

fn finding(check: &'static str, state: State, found: impl ToString, remedy: impl ToString) -> Finding {
    Finding { check, state, found: found.to_string(), remedy: remedy.to_string() }
}

/// What a command would have failed with.
fn of(check: &'static str, failure: &Failure) -> Finding {
    let text = failure.to_string();
    let (found, remedy) = text.split_once("; ").unwrap_or((&text, "see the book's chapter on operating"));
    finding(check, State::Bad, found, remedy)
}

impl Doctor {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let folder = self.node.folder()?;
        let config = Config::read(&folder.config());
        let stats: Option<(Stats, Peers)> = self
            .node
            .connect()
            .ok()
            .and_then(|mut node| Some((node.get(&Request::Stats {}).ok()?, node.get(&Request::Peers {}).ok()?)));
        let mut findings = vec![permissions(folder.path()), disk(folder.path()), journal(folder.path())];
        match key_file::read(&folder.key()) {
            Ok(file) => findings.push(good("key", format_args!("{} for {}", file.public_key, file.network))),
            Err(failure) => findings.push(of("key", &failure)),
        }
        match &config {
            Ok(config) => {
                findings.push(good("configuration", "every setting is known and in its range"));
                findings.push(port(config, stats.as_ref().map(|(stats, _)| stats)));
                findings.push(names(config));
            }
            Err(failure) => findings.push(of("configuration", failure)),
        }
        match &stats {
            Some((stats, peers)) => findings.extend(running(stats, peers)),
            None => findings.push(finding(
                "node",
                State::Unknown,
                "no node is running: clock, reachability, relays, peers and DHT are not known",
                "start it with `nelumbo node`, then run this again",
            )),
        }
        if let Ok(config) = &config {
            findings.push(self.chain(config));
        }
        let is_sound = findings.iter().all(|finding| finding.state != State::Bad);
        if self.node.json {
            output::json(&json!({ "sound": is_sound, "checks": findings }))?;
        } else {
            let rows: Vec<[String; 4]> = findings
                .iter()
                .map(|it| [it.check.to_owned(), output::name(&it.state), it.found.clone(), it.remedy.clone()])
                .collect();
            output::columns(["CHECK", "STATE", "FOUND", "REMEDY"], &rows)?;
        }
        Ok(if is_sound { Answer::Yes } else { Answer::No })
    }

    fn chain(&self, config: &Config) -> Finding {
        let Some(chain) = &config.chain else {
            return finding(
                "chain",
                State::Unknown,
                "no server is set that knows the chain",
                "to pay and to see payments, set `chain` in config.toml",
            );
        };
        match self.tip(chain) {
            Ok(Some(height)) => good("chain", format_args!("the servers are at height {height}")),
            Ok(None) => finding("chain", State::Doubtful, "the servers have no block yet", "wait until they have some"),
            Err(failure) => of("chain", &failure),
        }
    }

    fn tip(&self, chain: &Chain) -> Result<Option<u32>, Failure> {
        let client = chain.client(key_file::read(&self.node.folder()?.key())?.network)?;
        let tip = one_thread()?.block_on(client.tip()).map_err(|error| Failure::unmet(&error, error.remedy()))?;
        Ok(tip.map(|block| block.height))
    }
}

fn permissions(folder: &Path) -> Finding {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let open: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_secret = ["signer.key", "message.key", "identity", "tokens.json"].contains(&name.as_str());
            is_secret && entry.metadata().is_ok_and(|metadata| private_file::open_to_others(&metadata).is_some())
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    if open.is_empty() {
        return good("permissions", "folder and keys are the owner's alone");
    }
    let files = open.join(", ");
    let remedy = format!("run `chmod 600` on them in {}, and replace what others may have read", folder.display());
    finding("permissions", State::Bad, format_args!("others may read {files}"), remedy)
}

fn disk(folder: &Path) -> Finding {
    let Ok(space) = rustix::fs::statvfs(folder) else {
        return finding("disk", State::Unknown, "the file system does not say how much is free", "look at it yourself");
    };
    judge_disk(space.f_bavail.saturating_mul(space.f_frsize))
}

fn judge_disk(free: u64) -> Finding {
    let found = format!("{} MiB are free", free / 1024 / 1024);
    let remedy = "make room: a node whose disk is full stops, and its sessions expire";
    match free {
        0..LEAST_DISK => finding("disk", State::Bad, found, remedy),
        LEAST_DISK..GIB => finding("disk", State::Doubtful, found, remedy),
        _ => good("disk", found),
    }
}

fn journal(folder: &Path) -> Finding {
    let [journal, commits] = ["journal.redb", "journal.commits"].map(|name| folder.join(name).exists());
    match (journal, commits) {
        (true, true) => good("journal", "it is whole, as far as can be seen without opening it"),
        (false, false) => good("journal", "there is none yet: the node has not run"),
        _ => finding(
            "journal",
            State::Bad,
            "journal.redb and journal.commits belong together, and one of them is missing",
            "see the chapter on operating, on the journal, before anything else is done",
        ),
    }
}

fn port(config: &Config, stats: Option<&Stats>) -> Finding {
    if let Some(stats) = stats {
        return match &stats.listening[..] {
            [] => finding("port", State::Bad, "the node listens nowhere", "change `listen` in config.toml"),
            addresses => good("port", format_args!("the node listens on {}", addresses.join(", "))),
        };
    }
    let taken =
        config.listen.iter().filter_map(socket_address).find_map(|address| match TcpListener::bind(&*address) {
            Err(error) => Some((address, error)),
            Ok(_) => None,
        });
    match taken {
        None => good("port", "what is listened on is free"),
        Some((address, error)) => finding(
            "port",
            State::Bad,
            format_args!("nobody can listen on {address}: {error}"),
            "stop what listens there, or change `listen` in config.toml",
        ),
    }
}

/// Host and port of an address over TCP.
fn socket_address(address: &Multiaddr) -> Option<String> {
    let text = address.to_string();
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["", "ip4", host, "tcp", port, ..] => Some(format!("{host}:{port}")),
        ["", "ip6", host, "tcp", port, ..] => Some(format!("[{host}]:{port}")),
        _ => None,
    }
}

fn names(config: &Config) -> Finding {
    let named = config.bootstrap.iter().filter_map(|address| {
        let text = address.to_string();
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["", "dns" | "dns4" | "dns6", name, ..] => Some(name.to_owned()),
            _ => None,
        }
    });
    let named: Vec<String> = named.collect();
    let failed = named.iter().find_map(|name| (name.as_str(), 0).to_socket_addrs().err().map(|error| (name, error)));
    match failed {
        None if named.is_empty() => good("DNS", "no bootstrap node has a name that must be looked up"),
        None => good("DNS", format_args!("{} have addresses", named.join(", "))),
        Some((name, error)) => finding(
            "DNS",
            State::Bad,
            format_args!("{name} has no address: {error}"),
            "see that the machine's resolver works, and that the name is right in `bootstrap` of config.toml",
        ),
    }
}

fn running(stats: &Stats, peers: &Peers) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own = env!("NELUMBO_VERSION");
    findings.push(if stats.version == own {
        good("version", format_args!("the node and this command are {own}"))
    } else {
        let found = format!("the node is {}, and this command {own}", stats.version);
        finding("version", State::Doubtful, found, "start the node again, so that both are the same")
    });
    // The core refuses what is dated too far from this clock; whose clock is wrong shows in how many it is.
    let misdated: u64 = stats
        .refusals
        .values()
        .flatten()
        .filter(|(refusal, _)| output::name(refusal) == "not-fresh")
        .map(|(_, count)| count)
        .sum();
    findings.push(if misdated == 0 {
        good("clock", "nothing of the others was dated too far from this clock")
    } else {
        finding(
            "clock",
            State::Doubtful,
            format_args!("{misdated} messages of others were too old, or from the future, by this clock"),
            "if it goes on, set the clock by NTP (`timedatectl set-ntp true`); five minutes are the most",
        )
    });
    let (state, reason) = (stats.reachability.state.as_str(), &stats.reachability.reason);
    let relays = stats.reachability.relays.len();
    let found = format!("{state}: {reason}");
    findings.push(match state {
        "public" | "mapped" | "local" | "private" => good("reachability", found),
        "no-route" => finding("reachability", State::Bad, found, "see that the machine is connected to the Internet"),
        _ => finding(
            "reachability",
            State::Doubtful,
            found,
            "forward the port that it listens on, or let it reach a relay (`nelumbo connect ADDRESS`)",
        ),
    });
    findings.push(match (state, relays) {
        ("behind-nat", 0) => finding(
            "relay",
            State::Bad,
            "others cannot reach the node, and no relay lets them in",
            "add a relay to `bootstrap` in config.toml, and do not set `relays` to false",
        ),
        (_, 0) => good("relay", "none is needed"),
        _ => good("relay", format_args!("others come in through {relays}")),
    });
    findings.push(match (state, &stats.reachability.relaying) {
        ("private", relaying) if !relaying.on && relays == 0 => finding(
            "relaying",
            State::Doubtful,
            format_args!("none of this private network relays, and this node does not either: {relaying}"),
            "where some cannot reach each other, set `preset = \"relay\"` in config.toml of one that all can reach",
        ),
        (_, relaying) => good("relaying", relaying),
    });
    findings.push(match peers.peers.len() {
        0 => finding(
            "peers",
            State::Bad,
            "nobody is connected",
            "add a node that runs to `bootstrap` in config.toml, or set `mdns = true`, or `nelumbo connect ADDRESS`",
        ),
        count => good("peers", format_args!("{count} connected")),
    });
    findings.push(if stats.dht.ready {
        good("DHT", format_args!("{}, {} peers in the table", stats.dht.state, stats.dht.routing_table_size))
    } else {
        finding("DHT", State::Doubtful, &stats.dht.state, "wait a minute; then see `peers`")
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(journal(folder.path()).state, State::Good);
        fs::write(folder.path().join("journal.redb"), b"").expect("it is ours");
        let found = journal(folder.path());
        assert!(found.state == State::Bad && !found.remedy.is_empty());

        private_file::create(&folder.path().join("signer.key"), b"").expect("it is ours");
        assert_eq!(permissions(folder.path()).state, State::Good);
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(folder.path().join("signer.key"), open).expect("it is ours");
        let found = permissions(folder.path());
        assert!(found.state == State::Bad && found.found.contains("signer.key"), "{found:?}");

        for (free, state) in [(0, State::Bad), (LEAST_DISK, State::Doubtful), (GIB, State::Good)] {
            assert_eq!(judge_disk(free).state, state);
        }
    }

    #[test]
    fn an_address_over_tcp_is_one_that_can_be_tried() {
        let of = |text: &str| socket_address(&text.parse().expect("an address"));
        assert_eq!(of("/ip4/127.0.0.1/tcp/4001/ws").as_deref(), Some("127.0.0.1:4001"));
        assert_eq!(of("/ip6/::1/tcp/4001").as_deref(), Some("[::1]:4001"));
        assert_eq!(of("/ip4/127.0.0.1/udp/4001/quic-v1"), None);
    }
}
