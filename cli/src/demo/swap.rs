//! The demonstration of a pool: people on a ledger of their own, in virtual time, one of whom may vanish.
//!
//! Owns what is shown of it. The machines, the transactions and the judge are the real ones; the network, the clock and
//! the people are simulated.

use std::time::Instant;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use nelumbo_swapsig::Phase;
use nelumbo_swapsig::simulation::{Behaviour, Fate, Setting, World};
use serde::Serialize;

use crate::failure::{Answer, Failure};
use crate::output;

/// A phase in which somebody can vanish, by its name.
pub(crate) fn phase() -> impl TypedValueParser<Value = Phase> {
    let of = |name: &str| Phase::STEPS.into_iter().find(|phase| phase.as_str() == name);
    PossibleValuesParser::new(Phase::STEPS.map(Phase::as_str)).map(move |name| of(&name).expect("one of them"))
}

/// What has become of a pool, as JSON.
#[derive(Debug, Serialize)]
struct Outcome {
    participants: usize,
    /// The phase in which the last of them vanished.
    vanished: Option<Phase>,
    completed: usize,
    refunded: usize,
    lost: usize,
    txids: Vec<String>,
    elapsed_ms: u64,
    /// How much time has passed for them.
    virtual_ms: u64,
}

/// Runs a pool of so many to its end.
pub(crate) fn perform(participants: usize, phase: Option<Phase>, json: bool) -> Result<Answer, Failure> {
    let begin = Instant::now();
    let mut setting = Setting::calm(1, participants);
    if let (Some(phase), Some(last)) = (phase, setting.people.last_mut()) {
        *last = Behaviour::Vanishes(phase);
    }
    let mut world = World::new(setting);
    world.run();
    let there = world.people.iter().filter(|person| person.behaviour.is_honest());
    let fates: Vec<Fate> = there.map(|person| world.fate(person)).collect();
    let count = |wanted: &[Fate]| fates.iter().filter(|fate| wanted.contains(fate)).count();
    let outcome = Outcome {
        participants,
        vanished: phase,
        completed: count(&[Fate::Completed]),
        // A coin that was never spent is where it was.
        refunded: count(&[Fate::Refunded, Fate::Untouched]),
        lost: count(&[Fate::Lost]),
        txids: world.transactions().iter().map(ToString::to_string).collect(),
        elapsed_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        virtual_ms: world.elapsed(),
    };
    if json {
        output::json(&outcome)?;
    } else {
        print(&outcome, &world)?;
    }
    // Whatever else is wrong is a fault of this program.
    let sound = world.audit();
    Ok(if outcome.lost == 0 && sound.is_ok() { Answer::Yes } else { Answer::No })
}

fn print(outcome: &Outcome, world: &World) -> Result<(), Failure> {
    let vanished = outcome.vanished.map_or(String::new(), |phase| format!(", of whom one vanishes in {phase}"));
    let mut rows = vec![
        ("participants", format!("{}{vanished}", outcome.participants)),
        ("denomination", format!("{} satoshi each, burned {}", world.terms.denomination, world.terms.burn())),
        ("completed", format!("{} have been paid", outcome.completed)),
        ("refunded", format!("{} have their coin or their deposit back", outcome.refunded)),
        ("lost", format!("{} have lost money", outcome.lost)),
    ];
    for (number, person) in world.people.iter().enumerate() {
        let names: Vec<&str> = person.phases.iter().map(|phase| phase.as_str()).collect();
        let mut names = names;
        names.dedup();
        let gone = if person.is_gone { ", gone" } else { "" };
        rows.push(("person", format!("{}: {}{gone}", number + 1, names.join(", "))));
    }
    rows.extend(outcome.txids.iter().map(|txid| ("transaction", txid.clone())));
    let minutes = outcome.virtual_ms / 60_000;
    rows.push((
        "took",
        format!("{} ms, for {minutes} minutes of theirs, until nothing can be undone", outcome.elapsed_ms),
    ));
    output::table(&rows)
}
