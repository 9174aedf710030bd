//! The ready scenarios end as they should, the same in either engine.

use nelumbo_core::api::Event;
use nelumbo_simulator::network::Direction;
use nelumbo_simulator::peer::Observation;
use nelumbo_simulator::run::{Engine, Run, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::{Misbehaviour, Schedule, ScheduledEvent, SuiteChoice};

fn schedule(name: &str, seed: u64) -> Schedule {
    let text = Scenario::text(name).expect("a ready scenario");
    Scenario::from_toml(text, &[]).expect("a sound scenario").schedule(seed)
}

#[test]
fn in_a_quiet_world_every_signer_has_the_signature_after_three_one_way_delays() {
    let summary = run(&schedule("quiet", 1), Engine::Windowed(1));
    assert_eq!(summary.violations, []);
    assert_eq!((summary.sessions.started, summary.sessions.completed), (20, 20), "{summary}");
    assert!(summary.one_way_delays.max <= 3.0, "{summary}");
    assert_eq!((summary.broadcasts, summary.failovers), (20, 0), "{summary}");
}

#[test]
fn honest_sessions_survive_every_fault_of_network_and_machines() {
    for name in ["lossy", "partition", "crash-storm", "churn"] {
        for seed in 0..3 {
            let summary = run(&schedule(name, seed), Engine::Windowed(1));
            assert_eq!(summary.violations, [], "{summary}");
            assert!(summary.sessions.started > 0 && summary.sessions.failed == 0, "{summary}");
            let faults = summary.faults.values().sum::<u64>() + summary.sessions.by_reason.len() as u64;
            assert!(faults > 0 || name == "crash-storm", "{summary}");
        }
    }
}

#[test]
fn sessions_survive_people_devices_sleep_and_wrong_clocks() {
    let (mut started, mut completed) = (0, 0);
    for seed in 0..4 {
        let summary = run(&schedule("people", seed), Engine::Windowed(1));
        assert_eq!(summary.violations, [], "{summary}");
        assert!(summary.latency_ms.max > 600_000.0, "people take their time: {summary}");
        (started, completed) = (started + summary.sessions.started, completed + summary.sessions.completed);
    }
    assert!(completed * 10 > started * 7, "{completed} of {started}");
}

#[test]
fn a_hundred_and_twenty_signers_who_come_one_by_one_sign() {
    let settings = [String::from("crypto=toy")];
    let crowd = Scenario::from_toml(Scenario::text("crowd").expect("ready"), &settings).expect("sound");
    let summary = run(&crowd.schedule(0), Engine::Windowed(1));
    assert_eq!(summary.violations, [], "{summary}");
    assert_eq!((summary.sessions.started, summary.sessions.completed), (1, 1), "{summary}");
    assert!(summary.latency_ms.min > 500_000.0, "the last one comes after nine minutes: {summary}");
}

#[test]
fn a_session_of_a_hundred_messages_has_a_hundred_signatures() {
    let mut schedule = Schedule::new(1, 3);
    let suite = SuiteChoice::Bip340;
    let create = ScheduledEvent::Create { node: 0, signers: vec![0, 1, 2], suite, items: 100 };
    schedule = schedule.with(2_000, create);
    let mut counts = Vec::new();
    let summary = Run::new(&schedule)
        .measure(|observed| {
            if let Observation::Event(Event::SessionCompleted { signatures, .. }) = &observed.observation {
                counts.push(signatures.len());
            }
        })
        .summary();
    assert_eq!(summary.violations, [], "{summary}");
    assert_eq!(counts, [100; 3], "{summary}");
}

fn misbehaves(event: &ScheduledEvent, wanted: Misbehaviour) -> bool {
    matches!(event, ScheduledEvent::Misbehaviour { misbehaviour, .. } if *misbehaviour == wanted)
}

#[test]
fn the_swarm_draws_every_world() {
    let worlds: Vec<Schedule> = (0..3_000).map(|seed| Scenario::swarm(seed).schedule(seed)).collect();
    let drawn = |is: fn(&ScheduledEvent) -> bool| {
        worlds.iter().filter(|world| world.steps.iter().any(|step| is(&step.event))).count()
    };
    for (name, count) in [
        ("owners", drawn(|event| matches!(event, ScheduledEvent::Owner { .. }))),
        ("devices", drawn(|event| matches!(event, ScheduledEvent::Device { .. }))),
        ("devices that are away", drawn(|event| matches!(event, ScheduledEvent::DeviceAway { .. }))),
        ("devices that restart", drawn(|event| matches!(event, ScheduledEvent::DeviceRestart { .. }))),
        ("message keys", drawn(|event| matches!(event, ScheduledEvent::Delegate { .. }))),
        (
            "message keys of devices",
            worlds
                .iter()
                .filter(|world| {
                    let is_device = |node| {
                        world.steps.iter().any(
                            |step| matches!(&step.event, ScheduledEvent::Device { node: device, .. } if device == node),
                        )
                    };
                    world
                        .steps
                        .iter()
                        .any(|step| matches!(&step.event, ScheduledEvent::Delegate { node } if is_device(node)))
                })
                .count(),
        ),
        ("sleep", drawn(|event| matches!(event, ScheduledEvent::Sleep { .. }))),
        ("clocks", drawn(|event| matches!(event, ScheduledEvent::Jump { ms, .. } if ms.abs() > 3_600_000))),
        ("arrivals", drawn(|event| matches!(event, ScheduledEvent::Start { .. }))),
        ("items", drawn(|event| matches!(event, ScheduledEvent::Create { items: 2..=6, .. }))),
    ] {
        assert!(count > 150, "{name} in {count} of 3,000");
    }
    for (name, count) in [
        ("requests that nobody wants", drawn(|event| misbehaves(event, Misbehaviour::Pester))),
        ("censors", drawn(|event| misbehaves(event, Misbehaviour::Censor))),
        ("liars", drawn(|event| misbehaves(event, Misbehaviour::LyingCoordinator))),
    ] {
        assert!(count > 80, "{name} in {count} of 3,000");
    }
    assert!(drawn(|event| matches!(event, ScheduledEvent::Create { items: 50.., .. })) > 5);
    assert!(worlds.iter().any(|world| world.nodes >= 120));
}

#[test]
fn a_region_without_a_network_catches_up_when_it_has_one() {
    let settings = ["faults.partitions=0", "faults.outages=1", "nodes=16", "sessions=24"].map(String::from);
    let scenario = Scenario::from_toml(Scenario::text("partition").expect("ready"), &settings).expect("sound");
    let schedule = scenario.schedule(3);
    let outages = schedule.steps.iter().filter_map(|step| match &step.event {
        ScheduledEvent::Partition { members, direction: Direction::Everywhere, .. } => Some(members),
        _ => None,
    });
    let [members] = outages.collect::<Vec<_>>()[..] else { panic!("one outage is drawn") };
    assert!((2..16).contains(&members.len()), "of a region with more than one node: {members:?}");
    let summary = run(&schedule, Engine::Windowed(1));
    assert_eq!(summary.violations, [], "{summary}");
    assert_eq!(summary.sessions.completed, summary.sessions.started, "{summary}");
    assert!(summary.faults["cut"] > 0, "{summary}");
    let nowhere = [String::from("latency.kind=fixed"), String::from("latency.time=10ms")];
    let refused = Scenario::from_toml(Scenario::text("partition").expect("ready"), &nowhere);
    assert!(refused.is_err_and(|error| error.contains("regions")));
}

#[test]
fn adversaries_do_their_deeds_and_harm_none_but_their_own_sessions() {
    for (name, seeds) in [("byzantine", 3), ("eclipse", 1)] {
        for seed in 0..seeds {
            let summary = run(&schedule(name, seed), Engine::Windowed(1));
            assert_eq!(summary.violations, [], "{summary}");
            assert!(
                summary.misbehaviours.values().all(|count| *count > 0) && !summary.misbehaviours.is_empty(),
                "{summary}"
            );
        }
    }
}

#[test]
fn strangers_find_each_other_past_adversaries_beside_their_records() {
    let summary = run(&schedule("eclipse", 1), Engine::Windowed(1));
    assert_eq!((summary.sessions.started, summary.sessions.completed), (8, 8), "{summary}");
    assert!(
        summary.misbehaviours[&Misbehaviour::Eclipse] > 50 && summary.misbehaviours[&Misbehaviour::Poison] > 50,
        "{summary}"
    );
    assert!(summary.lookup_hops.count >= 8 && summary.lookup_hops.max >= 2.0, "they looked for each other: {summary}");
}

#[test]
fn more_strangers_than_a_node_remembers_keep_no_newcomer_from_being_known() {
    let mut known = 0;
    let schedule = schedule("strangers", 1);
    let summary = Run::new(&schedule)
        .measure(|observed| {
            known += usize::from(
                observed.node < 12 && matches!(observed.observation, Observation::Event(Event::SignerConnected { .. })),
            );
        })
        .summary();
    assert_eq!(summary.violations, [], "{summary}");
    assert!(summary.misbehaviours[&Misbehaviour::Strangers] > 4_096, "{summary}");
    assert!(summary.sessions.started > 0 && summary.sessions.completed == summary.sessions.started, "{summary}");
    assert!(known > 12, "{known}");
}

#[test]
fn requests_that_are_refused_by_the_thousand_keep_no_session_from_being_signed() {
    let (mut asked, mut refused) = (0, 0);
    let schedule = schedule("pester", 1);
    let summary = Run::new(&schedule)
        .measure(|observed| match &observed.observation {
            Observation::Event(Event::SessionAnnounced { .. }) if observed.node < 6 => asked += 1,
            Observation::Event(Event::SessionAborted { .. }) if observed.node < 6 => refused += 1,
            _ => {}
        })
        .summary();
    assert_eq!(summary.violations, [], "{summary}");
    assert!(asked > 6_000 && refused > 6_000, "each owner is asked a thousand times: {asked}, {refused}\n{summary}");
    assert_eq!((summary.sessions.started, summary.sessions.completed), (20, 20), "{summary}");
    assert!(summary.latency_ms.max < 2_000.0, "{summary}");
}

#[test]
fn what_the_only_carrier_censors_is_signed_when_it_no_longer_does() {
    let summary = run(&schedule("censor", 1), Engine::Windowed(1));
    assert_eq!(summary.violations, [], "{summary}");
    assert!(summary.misbehaviours[&Misbehaviour::Censor] > 100, "{summary}");
    assert_eq!((summary.sessions.started, summary.sessions.completed), (12, 12), "{summary}");
    assert!(summary.latency_ms.max > 10_000.0, "it carries nothing at first: {summary}");
}

#[test]
fn newcomers_find_each_other_past_nodes_that_have_gone() {
    let complete = |setting: &str| {
        let settings = [String::from("cooldown=2min"), setting.into()];
        let scenario = Scenario::from_toml(Scenario::text("discovery").expect("ready"), &settings).expect("sound");
        let summary = run(&scenario.schedule(4), Engine::Windowed(1));
        assert_eq!(summary.violations, [], "{summary}");
        let sessions = &summary.sessions;
        assert!(sessions.started >= 20 && sessions.completed == sessions.started, "{summary}");
        summary.latency_ms.max
    };
    // Where a put reached nobody when one of those near its key had gone, this took 95 seconds.
    let (newcomers, settled) = (complete("bootstrap=3"), complete("bootstrap=0"));
    assert!(newcomers < 1.5 * settled, "{newcomers} ms, and with full tables and free dials {settled}");
}

#[test]
fn every_deed_of_the_byzantine_is_done_at_some_seed() {
    let text = Scenario::text("byzantine").expect("a ready scenario");
    let settings = ["nodes=4".into(), "per-node=0".into(), "cooldown=10s".into()];
    let scenario = Scenario::from_toml(text, &settings).expect("sound");
    for misbehaviour in &scenario.adversaries.misbehaviours {
        let mut alone = scenario.clone();
        alone.adversaries.misbehaviours = vec![*misbehaviour];
        let is_done = |seed| run(&alone.schedule(seed), Engine::Windowed(1)).misbehaviours.contains_key(misbehaviour);
        assert!((0..10).any(is_done), "{misbehaviour:?}");
    }
}

#[test]
fn all_coordinators_but_one_fail_and_one_broadcasts() {
    // The one that speaks is last in turn at some seeds; those show the whole cascade.
    let summaries = (0..20).map(|seed| run(&schedule("failover-cascade", seed), Engine::Windowed(1)));
    let cascade = summaries.inspect(|summary| assert_eq!(summary.violations, [], "{summary}"));
    let cascade = cascade.max_by_key(|summary| summary.broadcasts).expect("twenty seeds");
    assert_eq!((cascade.broadcasts, cascade.misbehaviours[&Misbehaviour::SilentCoordinator]), (5, 4), "{cascade}");
    assert_eq!(cascade.failovers, 4 * 5, "each of five signers sees four fail: {cascade}");
}

#[test]
fn engines_threads_and_runs_agree_on_every_scenario() {
    for name in ["quiet", "lossy", "partition", "crash-storm", "byzantine", "churn", "discovery", "people"] {
        let mut schedule = schedule(name, 7);
        // Newcomers have the most to say at first.
        schedule.until_ms = if name == "discovery" { 20_000 } else { 120_000 };
        let summary = run(&schedule, Engine::Windowed(1));
        assert_eq!(run(&schedule, Engine::Sequential), summary, "{name}");
        assert_eq!(run(&schedule, Engine::Windowed(2)), summary, "{name}");
    }
}

#[test]
fn a_schedule_survives_being_written_down() {
    for seed in 0..200 {
        let schedule = Scenario::swarm(seed).schedule(seed);
        schedule.check().unwrap();
        assert_eq!(Schedule::from_toml(&schedule.to_toml()), Ok(schedule));
    }
}
