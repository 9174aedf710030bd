//! Pools of simulated people, calm ones first.

use nelumbo_swapsig::Phase;
use nelumbo_swapsig::simulation::{Behaviour, Crash, Fate, Setting, World};

#[test]
fn pools_of_three_to_ten_complete_and_everybody_is_paid_once() {
    for people in 3..=10 {
        let mut world = World::new(Setting::calm(people as u64, people));
        world.run();
        let tally = world.audit().unwrap_or_else(|what| panic!("{people}: {what}"));
        assert_eq!(tally.fates.get(&Fate::Completed), Some(&people), "{people}: {tally:?}");
        assert_eq!(
            world.people[1].phases,
            [
                Phase::Registration,
                Phase::Reveal,
                Phase::Settlement,
                Phase::Setup,
                Phase::SetupConfirm,
                Phase::SettlementConfirm,
                Phase::Complete,
                Phase::Complete
            ]
        );
    }
}

fn calm(people: usize, change: impl FnOnce(&mut Setting)) -> World {
    let mut setting = Setting::calm(7, people);
    change(&mut setting);
    let mut world = World::new(setting);
    world.run_checked().unwrap_or_else(|what| panic!("{what}"));
    world
}

fn fates(world: &World) -> Vec<(Fate, usize)> {
    world.audit().unwrap_or_else(|what| panic!("{what}")).fates.into_iter().collect()
}

/// W1, W3, W4, W5, W6, W7, W8, W9, W13, W15, W16, W17, W18, W19, W22: the way of a pool
/// of which nothing is lost. What it takes is in the book.
#[test]
fn what_a_pool_costs_is_what_the_book_says() {
    let book = include_str!("../../../docs/src/swapsig.md");
    for people in [5, 10] {
        let world = calm(people, |_| {});
        assert_eq!(fates(&world), [(Fate::Completed, people)]);
        let seconds = world.settled_at.expect("it is settled") / 1_000;
        let (messages, bytes) = world.sent;
        let fees = world.terms.setup_fee() + world.terms.settlement_fee();
        let row = format!("| {people} | {seconds} | {messages} | {} | {fees} |", bytes / 1_000);
        assert!(book.lines().any(|line| line == row), "the book lacks {row}");
    }
}

/// W10, W11, W14, W20, W21, W23, W24: one vanishes in each phase in turn.
#[test]
fn one_who_vanishes_costs_nobody_its_money() {
    use Fate::{Completed, Untouched};
    let bound = [Phase::SetupConfirm, Phase::SettlementConfirm];
    for phase in [Phase::Registration, Phase::Reveal, Phase::Settlement, Phase::Setup].into_iter().chain(bound) {
        for who in [0, 2] {
            let world = calm(5, |setting| setting.people[who] = Behaviour::Vanishes(phase));
            let found = fates(&world);
            let expected = match (phase, who) {
                // Without its creator there is no pool; without another participant there is one of four.
                (Phase::Registration, 0) => (Untouched, 4),
                (Phase::Registration, _) => (Completed, 4),
                (Phase::Reveal | Phase::Settlement, _) => (Untouched, 4),
                // What it has signed the others finish with.
                (Phase::Setup, _) => (Completed, 4),
                _ => (Completed, 4),
            };
            assert_eq!(found, [expected], "{phase}, {who}");
        }
    }
}

/// W23: a deposit that is taken before the settlement sends everybody else home with the delay.
#[test]
fn a_group_that_takes_its_own_deposit_gives_the_others_theirs_back() {
    for seed in 0..10 {
        let mut setting = Setting::calm(seed, 5);
        setting.people[1] = Behaviour::Colludes;
        setting.people[3] = Behaviour::Colludes;
        setting.people[4] = Behaviour::Colludes;
        let mut world = World::new(setting);
        world.run();
        let found = fates(&world);
        assert!(found == [(Fate::Refunded, 2)] || found == [(Fate::Completed, 2)], "{found:?}");
    }
}

/// W24: whoever keeps its signature back has the others take their coins back, and has to do without theirs.
#[test]
fn who_withholds_its_signature_is_blamed_and_its_coin_avoided() {
    let world = calm(4, |setting| setting.people[2] = Behaviour::Withholds);
    assert_eq!(fates(&world), [(Fate::Refunded, 3)]);
    let coin = world.people[2].coin;
    for person in [0, 1, 3] {
        let status = world.people[person].status.as_ref().expect("it was told");
        assert_eq!(status.blamed, [world.people[2].key].into(), "{person}");
        assert_eq!(status.spoiled, [coin].into(), "{person}");
    }
}

/// W12: who leaves before anything is bound has its coin as before; afterwards it takes it back.
#[test]
fn who_leaves_has_its_coin() {
    for (steps, fate) in [(1, Fate::Untouched), (3, Fate::Untouched)] {
        let mut world = World::new(Setting::calm(9, 3));
        (0..steps).for_each(|_| world.step());
        world.leave(1);
        world.run();
        assert_eq!(fates(&world).first().map(|(fate, _)| *fate), Some(fate), "{steps}");
    }
}

/// W2, and all others once more: whoever crashes before any of its acts goes on where it was.
#[test]
fn a_crash_before_any_act_changes_nothing() {
    let acts = calm(3, |_| {}).people.iter().map(|person| person.acts).collect::<Vec<_>>();
    let mut count = 0;
    for (person, acts) in acts.into_iter().enumerate() {
        // After the settlement there is one look at the chain in each step.
        for act in 0..acts.min(130) {
            let world = calm(3, |setting| setting.crashes = vec![Crash { person, act }]);
            assert_eq!(fates(&world), [(Fate::Completed, 3)], "person {person}, act {act}");
            count += 1;
        }
    }
    assert!(count > 150, "{count} crashes");
}

/// The smallest pool: the two others vanish before every fifth of their acts, in every combination. The model below
/// leaves nothing out.
#[test]
fn whoever_is_left_alone_at_any_moment_has_its_money() {
    let acts = calm(3, |_| {}).people.iter().map(|person| person.acts).collect::<Vec<_>>();
    let mut found = std::collections::BTreeMap::<Fate, u32>::new();
    for honest in 0..3 {
        let others: Vec<usize> = (0..3).filter(|other| *other != honest).collect();
        for first in (0..acts[others[0]].min(90)).step_by(5) {
            for second in (0..acts[others[1]].min(90)).step_by(5) {
                let world = calm(3, |setting| {
                    setting.vanish =
                        vec![Crash { person: others[0], act: first }, Crash { person: others[1], act: second }];
                });
                for (fate, count) in fates(&world) {
                    *found.entry(fate).or_default() += count as u32;
                }
            }
        }
    }
    for fate in [Fate::Completed, Fate::Untouched, Fate::Refunded] {
        assert!(found.get(&fate).is_some_and(|count| *count > 10), "{found:?}");
    }
}

/// W23, W24: at whatever moment of a pool its signatures become void, everybody takes its money back with new ones.
#[test]
fn the_network_s_upgrade_in_the_middle_of_a_pool_costs_nobody_its_money() {
    let mut found = std::collections::BTreeSet::new();
    for second in (0..1_800).step_by(120) {
        let world = calm(3, |setting| setting.replay_protection = Some(second));
        found.extend(fates(&world));
    }
    assert_eq!(found, [(Fate::Completed, 3), (Fate::Refunded, 3)].into(), "before its end, and after");
}
