//! Settings drawn from a seed: how many people, who cheats and how, the network, the chain, crashes.

use nelumbo_simulator::Random;

use super::{Behaviour, Crash, Setting};
use crate::Phase;

impl Setting {
    /// Anything that can happen.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut random = Random::stream(seed, "setting", 0);
        let people = if random.chance(800_000) { random.within(3, 5) } else { random.within(6, 10) };
        let people = usize::try_from(people).expect("small");
        let mut setting = Self::calm(seed, people);
        // In a fifth of all worlds everybody is honest, and in some all but one cheat.
        let cheats = if random.chance(200_000) { 0 } else { random.within(1, people as u64 - 1) };
        for _ in 0..cheats {
            let who = random.below(people as u64) as usize;
            setting.people[who] = behaviour(&mut random, people);
        }
        if random.chance(500_000) {
            setting.loss = u32::try_from(random.below(300_000)).expect("small");
            setting.latency = random.within(10, 5_000);
        }
        if random.chance(500_000) {
            setting.reorganisations = u32::try_from(random.below(200_000)).expect("small");
        }
        if random.chance(500_000) {
            for _ in 0..random.within(1, 4) {
                let person = random.below(people as u64) as usize;
                setting.crashes.push(Crash { person, act: u32::try_from(random.below(400)).expect("small") });
            }
        }
        if random.chance(200_000) {
            setting.alone = Some((random.below(3_000), random.below(people as u64) as usize));
        }
        setting
    }
}

fn behaviour(random: &mut Random, people: usize) -> Behaviour {
    let phase = Phase::STEPS[random.below(Phase::STEPS.len() as u64) as usize];
    match random.below(9) {
        0 => Behaviour::Vanishes(phase),
        1 => Behaviour::Lies,
        2 => Behaviour::DoubleSpends(phase),
        3 => Behaviour::Hoards,
        4 => Behaviour::Declines,
        5 => Behaviour::Censors(random.below(people as u64) as usize),
        6 => Behaviour::Equivocates,
        7 => Behaviour::Withholds,
        _ => Behaviour::Colludes,
    }
}
