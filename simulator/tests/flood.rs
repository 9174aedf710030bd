//! A hundred peers, each of which sends a hundred times as much as an honest one, neither delay honest sessions much
//! nor fill anybody's memory.

use nelumbo_core::api::Config;
use nelumbo_core::crypto::Network;
use nelumbo_simulator::run::{Engine, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::{CryptoChoice, Misbehaviour, Schedule, ScheduledEvent};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The scenario, each node charged what real cryptography costs: whoever is flooded has less time for others.
fn flood(seed: u64) -> Schedule {
    let scenario = Scenario::from_toml(Scenario::text("flood").unwrap(), &["workload=5s".into()]).unwrap();
    let mut schedule = scenario.schedule(seed);
    schedule.crypto = CryptoChoice::ToyCharged;
    schedule.until_ms = 20_000;
    schedule
}

#[test]
fn honest_sessions_hardly_notice_a_hundred_flooders() {
    let loud = flood(1);
    let mut quiet = loud.clone();
    quiet.steps.retain(|step| !matches!(step.event, ScheduledEvent::Misbehaviour { .. }));
    let quiet = run(&quiet, Engine::Windowed(1));
    assert_eq!((quiet.sessions.completed, quiet.sessions.started), (20, 20), "{quiet}");
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let loud = run(&loud, Engine::Windowed(1));
    let peak = ALLOCATOR.peak_usage() - before;
    assert_eq!((loud.violations.len(), loud.sessions.completed), (0, 20), "{loud}");
    // A strike is fifty messages, four times a second; an honest node sends two a second here.
    let seconds = loud.virtual_ms / 1000;
    assert!(loud.misbehaviours[&Misbehaviour::Flood] >= 100 * 4 * (seconds - 1), "{loud}");
    assert!(loud.refusals > 50_000, "the flood arrives: {loud}");
    assert!(loud.latency_ms.p99 < 2.0 * quiet.latency_ms.p99, "{loud}\n\nwithout the flood\n\n{quiet}");
    // All 109 nodes, with everything that is under way, stay below what a single one may keep.
    let ceiling = Config::new(Network::Regtest).limits.ceiling();
    assert!(peak < ceiling, "{peak} bytes, and the ceiling is {ceiling}");
}
