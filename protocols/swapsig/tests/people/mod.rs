//! People of a pool at some moment, one of whom is asked what it does next.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses the part it needs")]

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{PublicKey, SecretKey};
use nelumbo_swapsig::chain::{View, look};
use nelumbo_swapsig::content::{Content, Have, Items, Roster};
use nelumbo_swapsig::simulation::{Behaviour, Setting, World};
use nelumbo_swapsig::{Effect, Input, Own, Phase, Pool, Signing, Status};

pub const PEOPLE: usize = 4;

/// People who all decline sessions, at a moment when this is so.
pub fn world(behaviour: Behaviour, is_so: impl Fn(&World) -> bool) -> World {
    let mut setting = Setting::calm(4, PEOPLE);
    setting.people = vec![behaviour; PEOPLE];
    let mut world = World::new(setting);
    while !is_so(&world) {
        world.step();
        assert!(world.elapsed() < 1_000_000, "it never is so");
    }
    world
}

pub fn all_in(phase: Phase) -> impl Fn(&World) -> bool {
    move |world| world.people.iter().all(|person| person.phases.contains(&phase))
}

pub fn is_registered(world: &World) -> bool {
    world.people[0].status.as_ref().is_some_and(|status| usize::from(status.done) == PEOPLE)
}

pub fn own(world: &World, person: usize) -> Own {
    let person = &world.people[person];
    Own { key: person.key, coin: person.coin, destination: person.destination.clone() }
}

/// A participant as a restart finds it, which has ticked once.
pub fn pool(world: &World, person: usize) -> Pool {
    let mut pool = world.people[person].restored().expect("it has a record");
    let _ = pool.handle(world.terms.created_at, Input::Tick);
    pool
}

pub fn said(effects: &[Effect]) -> Vec<(PublicKey, &Content)> {
    let said = effects.iter().filter_map(|effect| match effect {
        Effect::Send(to, content) => Some((*to, content)),
        _ => None,
    });
    said.collect()
}

pub fn over(effects: &[Effect]) -> &Status {
    let over = effects.iter().find_map(|effect| if let Effect::Over(status) = effect { Some(&**status) } else { None });
    over.expect("it is over")
}

pub fn stranger() -> PublicKey {
    SecretKey::from_bytes(&[99; 32]).expect("a key").public_key()
}

/// The time until something ends: just before, and then.
pub fn around(end: Wall) -> [Wall; 2] {
    [Wall::from_millis(end.as_millis() - 1), end]
}

pub fn hear(pool: &Pool, now: Wall, from: PublicKey, content: Content) -> (Vec<Effect>, Pool) {
    let mut pool = pool.clone();
    (pool.handle(now, Input::Message(from, content)), pool)
}

pub fn roster(world: &World) -> Roster {
    let mut one = pool(world, 0);
    let asks = Input::Message(world.people[1].key, Content::Have(Have::default()));
    let effects = one.handle(world.terms.created_at, asks);
    let roster = said(&effects).into_iter().find_map(|(_, content)| match content {
        Content::Items(items) => items.roster.clone(),
        _ => None,
    });
    roster.expect("it is given to who lacks it")
}

/// The second participant, once it has the roster, and what it will see of the chain.
pub fn before_reveal(world: &World) -> (Pool, View) {
    let now = world.terms.created_at;
    let roster = roster(world);
    let proof = roster.registrations.iter().find(|each| each.key == world.people[1].key).expect("it takes part").proof;
    let mut person = Pool::new(world.terms.clone(), own(world, 1));
    let _ = person.handle(now, Input::Tick);
    let _ = person.handle(now, Input::Signed(Signing::Registration, Some(proof)));
    let items = Items { roster: Some(roster), ..Items::default() };
    let _ = person.handle(now, Input::Message(world.people[0].key, Content::Items(items)));
    let asked = person.handle(now, Input::Tick);
    let query = asked.iter().find_map(|effect| if let Effect::Look(query) = effect { Some(query) } else { None });
    (person, look(&world.ledger, query.expect("it looks")))
}

pub fn asked(effects: &[Effect]) -> Vec<Signing> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Sign(signing, _) => Some(*signing),
        _ => None,
    });
    asked.collect()
}

/// What the creator sees of the coins of those who have registered.
pub fn coins(world: &World) -> View {
    let asks = pool(world, 0).handle(world.terms.created_at, Input::Tick);
    let query = asks.iter().find_map(|effect| if let Effect::Look(query) = effect { Some(query) } else { None });
    look(&world.ledger, query.expect("it looks"))
}
