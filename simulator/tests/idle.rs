//! What a node takes that has nothing to do, to the byte: with the stand-in for the curve, and with everything that the
//! simulation keeps for it.

use nelumbo_simulator::run::{Engine, Run};
use nelumbo_simulator::scenario::Scenario;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What is allocated once so many nodes have been idle for six seconds.
fn kept(nodes: u32, services: &str) -> usize {
    let settings = [
        format!("nodes={nodes}"),
        format!("services={services}"),
        "sessions=0".into(),
        "workload=5s".into(),
        "cooldown=1s".into(),
    ];
    let scenario = Scenario::from_toml(Scenario::text("million").unwrap(), &settings).unwrap();
    let schedule = scenario.schedule(1);
    let (before, mut kept) = (ALLOCATOR.current_usage(), 0);
    let run = Run::new(&schedule).engine(Engine::Windowed(1)).run_while(|_| {
        kept = ALLOCATOR.current_usage();
        true
    });
    assert_eq!(run.summary().violations, []);
    kept - before
}

/// What each of a thousand nodes adds to as many.
fn kept_per_node(services: &str) -> usize {
    (kept(2_000, services) - kept(1_000, services)) / 1_000
}

#[test]
fn an_idle_node_takes_four_kilobytes_and_what_it_keeps_for_others() {
    let (alone, with_services) = (kept_per_node("none"), kept_per_node("ideal"));
    assert!(alone <= 4_096, "{alone} bytes");
    // A node in the hash table keeps three presences of others as they were signed, its accounts of who handed them
    // over, and its lookups.
    assert!(with_services <= 9_984, "{with_services} bytes with services");
}
