//! Schedules that failed once stay silent.

use nelumbo_simulator::run::{Engine, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::Schedule;

fn replay(text: &str) {
    let schedule = Schedule::from_toml(text).expect("a saved schedule");
    let summary = run(&schedule, Engine::Windowed(1));
    assert_eq!(summary.violations, [], "{summary}");
}

#[test]
fn a_lost_presence_does_not_keep_signers_apart() {
    replay(include_str!("../schedules/lost-presence.toml"));
}

#[test]
fn a_last_word_of_a_life_before_is_not_too_old() {
    replay(include_str!("../schedules/final-message-too-old.toml"));
}

#[test]
fn a_creator_whose_clock_was_set_while_it_was_down_is_told_to_ask_again() {
    replay(include_str!("../schedules/misdated-before-restart.toml"));
}

#[test]
fn seeds_of_the_swarm_are_silent() {
    // One more, whose nodes once had 19 bytes a second, which is no fault of theirs.
    for seed in (0..100).chain([220_115]) {
        let summary = run(&Scenario::swarm(seed).schedule(seed), Engine::Windowed(1));
        assert_eq!(summary.violations, [], "{summary}");
    }
}
