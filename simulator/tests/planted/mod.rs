//! Schedules with many faults, one of which is a defect that was planted at a known step.

use nelumbo_simulator::Random;
use nelumbo_simulator::network::Direction;
use nelumbo_simulator::run::SETTLING_MS;
use nelumbo_simulator::schedule::{CryptoChoice, LatencyChoice, Misbehaviour, Schedule, ScheduledEvent, SuiteChoice};

/// How many there are.
pub(crate) const COUNT: u64 = 20;

const MISBEHAVIOURS: [Misbehaviour; 9] = [
    Misbehaviour::Equivocate,
    Misbehaviour::SignTwice,
    Misbehaviour::FalseSignature,
    Misbehaviour::InvalidPartials,
    Misbehaviour::InvalidNonces,
    Misbehaviour::WithholdPartials,
    Misbehaviour::WithholdNonces,
    Misbehaviour::BroadcastOutOfTurn,
    Misbehaviour::Panic,
];

/// A schedule that fails, its defect, and the number of the step from which it is bound to, from 1 in the order of
/// times.
pub(crate) fn planted(number: u64) -> (Schedule, String, usize) {
    let mut random = Random::stream(number, "planted", 0);
    let mut schedule = Schedule::new(100 + number, 6);
    schedule.crypto = CryptoChoice::Toy;
    schedule.latency = LatencyChoice::LogNormal { least_ms: 5, median_ms: 30, sigma: 0.7 };
    let lossy = ScheduledEvent::LinkConditions {
        until_ms: 40_000,
        loss: 50_000,
        duplication: 20_000,
        reordering: 50_000,
        reorder_delay_ms: 500,
    };
    schedule = schedule.with(0, lossy);
    for _ in 0..4 {
        let (at, node) = (random.within(2_000, 39_000), random.within(3, 5) as u32);
        schedule = schedule.with(at, ScheduledEvent::Crash { node, silent: random.below(2) == 0 });
        schedule = schedule.with(at + random.within(100, 900), ScheduledEvent::Restart { node });
        let (at, members, direction) =
            (random.within(2_000, 39_000), vec![random.within(3, 5) as u32], Direction::Both);
        let until_ms = at + random.within(100, 3_000);
        schedule = schedule.with(at, ScheduledEvent::Partition { until_ms, members, direction, flapping_ms: 0 });
        let (at, node) = (random.within(2_000, 39_000), random.below(6) as u32);
        schedule = schedule.with(at, ScheduledEvent::Jump { node, ms: random.below(400) as i64 - 200 });
        let create = ScheduledEvent::create(3, vec![0, 2, 3], SuiteChoice::Bip340);
        schedule = schedule.with(random.within(2_000, 39_000), create);
    }
    let (node, at) = (2, random.within(8_000, 30_000));
    let ours = || ScheduledEvent::create(node, vec![0, 1, node], SuiteChoice::Lotus);
    schedule = schedule.with(2_500, ours());
    let (name, last) = match MISBEHAVIOURS.get(number as usize % 10) {
        Some(misbehaviour) => {
            for later in [500, 1_500, 2_500, 3_500, 4_500, 5_500, 6_500, 7_500] {
                schedule = schedule.with(at + later, ours());
            }
            let defect = ScheduledEvent::Misbehaviour { node, misbehaviour: *misbehaviour, broken: true };
            (format!("{misbehaviour:?}"), (at, defect))
        }
        // Its disk loses what was not there when the defect began; nobody knows before it has restarted.
        None => {
            let misbehaviour = Misbehaviour::LosesRecords;
            schedule = schedule
                .with(0, ScheduledEvent::Owner { node, least_ms: 5_000, most_ms: 5_000 })
                .with(at - 6_500, ScheduledEvent::Misbehaviour { node, misbehaviour, broken: true })
                .with(at - 6_000, ScheduledEvent::create(0, vec![0, 1, node], SuiteChoice::Lotus))
                .with(at - 5_700, ScheduledEvent::create(0, vec![0, 1, node], SuiteChoice::Lotus))
                .with(at + 500, ScheduledEvent::Restart { node });
            ("LosesRecords".to_owned(), (at, ScheduledEvent::Crash { node, silent: false }))
        }
    };
    let schedule = {
        let mut schedule = schedule.with(last.0, last.1.clone());
        schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
        schedule
    };
    let earlier = schedule.steps[..schedule.steps.len() - 1].iter().filter(|step| step.at_ms <= last.0).count();
    (schedule, name, earlier + 1)
}
