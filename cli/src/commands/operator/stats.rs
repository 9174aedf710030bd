//! `nelumbo stats`: how the running node is doing.

use clap::Args;

use crate::control::{Request, Running, Stats as State};
use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo stats
  nelumbo stats --json | jq .dht.ready";

/// Says how the node is doing: addresses, peers, DHT, sessions, and what it has refused
///
/// What came from outside and was not taken is counted by the check that refused it and by reason. Most of it happens
/// among honest nodes too: duplicates, for example.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Stats {
    #[command(flatten)]
    node: Running,
}

impl Stats {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Stats {}, |state: State| {
            let mut rows = vec![("version", state.version), ("runs for", duration(state.uptime_seconds))];
            rows.extend([("peer", state.peer), ("key", state.key.to_string())]);
            rows.extend(state.listening.into_iter().map(|address| ("listens on", address)));
            rows.extend(state.addresses.into_iter().map(|address| ("reached at", address)));
            let reachability = state.reachability;
            rows.push(("reachability", format!("{}: {}", reachability.state, reachability.reason)));
            rows.extend(reachability.relays.into_iter().map(|relay| ("reached through", relay)));
            rows.push(("relays for others", reachability.relaying.to_string()));
            let peers = state.peers;
            let counts =
                [(peers.connected, "connected"), (peers.graylisted, "graylisted"), (peers.blacklisted, "banned")];
            rows.push(("peers", counts.map(|(count, what)| format!("{count} {what}")).join(", ")));
            let dht = state.dht;
            rows.push(("DHT", format!("{}, {}", dht.mode, dht.state)));
            rows.push(("routing table", format!("{} peers", dht.routing_table_size)));
            rows.push(("local records", dht.local_records.to_string()));
            let phases = state.sessions.by_phase.iter();
            let phases: Vec<String> = phases.map(|(phase, count)| format!("{count} {}", output::name(phase))).collect();
            let phases = if phases.is_empty() { "none".to_owned() } else { phases.join(", ") };
            rows.push(("sessions", phases));
            for (layer, refusals) in &state.refusals {
                for (refusal, count) in refusals {
                    let [layer, refusal] = [output::name(layer), output::name(refusal)];
                    rows.push(("refused", format!("{count} {refusal} ({layer})")));
                }
            }
            output::table(&rows)
        })?;
        Ok(Answer::Yes)
    }
}

/// Days, hours and minutes, or seconds where there is less.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_is_told_as_people_say_it() {
        for (seconds, text) in [(59, "59 s"), (60, "1 min"), (3_700, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(super::duration(seconds), text);
        }
    }
}
