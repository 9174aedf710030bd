//! Who signs what when: registrations, the roster, sessions and setups, one machine at a time.

mod people;

use std::collections::BTreeSet;

use nelumbo_core::crypto::{PublicKey, Signature};
use nelumbo_core::wire::SessionId;
use nelumbo_swapsig::content::{Content, Destination, Have, Items, Reason};
use nelumbo_swapsig::simulation::{Behaviour, Setting, World};
use nelumbo_swapsig::{Effect, Input, Phase, Pool, Signing};
use people::*;

/// W10, W11: before there is a roster everybody waits until the creator must have said it, and is told then.
#[test]
fn without_a_roster_a_pool_ends_when_it_must_have_been_chosen() {
    let world = world(Behaviour::Declines, is_registered);
    for person in [0, 1] {
        let [before, end] = around(world.terms.chosen_until());
        assert!(!pool(&world, person).handle(before, Input::Tick).iter().any(|each| matches!(each, Effect::Over(_))));
        let mut pool = pool(&world, person);
        let effects = pool.handle(end, Input::Tick);
        let status = over(&effects);
        assert_eq!((status.phase, status.reason), (Phase::Aborted, Some(Reason::TooFew)));
        assert_eq!(status.blamed, BTreeSet::new());
        // The creator tells those who have registered; they tell the creator.
        let told: BTreeSet<PublicKey> = said(&effects).into_iter().map(|(to, _)| to).collect();
        let others = world.people.iter().map(|each| each.key).filter(|key| *key != world.people[person].key);
        let expected = if person == 0 { others.collect() } else { BTreeSet::from([world.people[0].key]) };
        assert_eq!(told, expected);
        assert!(said(&effects).iter().all(|(_, content)| **content == Content::PoolAbort(Reason::TooFew)));
    }
}

/// W3, W5, W10: one who has seen the roster and its coins shows its destination; who does not is named.
#[test]
fn who_does_not_show_its_destination_is_named() {
    let world = world(Behaviour::Declines, all_in(Phase::Settlement));
    let now = world.terms.created_at;
    let (mut person, view) = before_reveal(&world);
    assert_eq!(person.phase(), Phase::Registration, "its coins were not seen");
    let effects = person.handle(now, Input::View(view));
    assert!(matches!(effects[0], Effect::Persist(_)), "before anybody is told");
    let shown: Vec<_> = said(&effects).into_iter().map(|(to, _)| to).collect();
    assert_eq!((person.phase(), shown.len(), person.status().done), (Phase::Reveal, PEOPLE - 1, 1));
    assert_eq!(person.status().until, Some(world.terms.signed_until()));
    assert_eq!(person.status().otherwise(), "the pool ends, and the coin stays where it is");
    let places = world.roster();
    let place = places.iter().position(|key| *key == world.people[3].key).expect("it takes part");
    let destinations = vec![(u8::try_from(place).expect("a few"), world.people[3].destination.clone())];
    let other = Destination { salt: [1; 32], script: vec![1] };
    let wrong = Items { destinations: vec![(destinations[0].0, other)], ..Items::default() };
    assert_eq!(hear(&person, now, world.people[2].key, Content::Items(wrong)).1.status().done, 1);
    let items = Items { destinations, ..Items::default() };
    let (_, mut person) = hear(&person, now, world.people[2].key, Content::Items(items));
    assert_eq!(person.status().done, 2);
    let effects = person.handle(world.terms.signed_until(), Input::Tick);
    assert_eq!(over(&effects).blamed, [world.people[0].key, world.people[2].key].into());
}

/// W5, W11: whoever has kept a pool from its end before is not met again, and its own coin keeps nobody away.
#[test]
fn with_a_coin_that_is_avoided_nobody_goes_on() {
    let world = world(Behaviour::Declines, all_in(Phase::Settlement));
    let now = world.terms.created_at;
    let (person, view) = before_reveal(&world);
    let sees = |coins: &[usize]| {
        let mut person = person.clone();
        person.avoid(coins.iter().map(|other| world.people[*other].coin).collect());
        let _ = person.handle(now, Input::View(view.clone()));
        (person.phase(), person.status().blamed)
    };
    assert_eq!(sees(&[]), (Phase::Reveal, BTreeSet::new()));
    assert_eq!(sees(&[1]), (Phase::Reveal, BTreeSet::new()));
    assert_eq!(sees(&[3, 1]), (Phase::Aborted, [world.people[3].key].into()));
    // A coin that is not confirmed yet is waited for; one that is spent is not.
    let mut unconfirmed = view.clone();
    unconfirmed.transactions.get_mut(&world.people[2].coin.txid).expect("it is there").confirmations = 0;
    let mut waiting = person.clone();
    let _ = waiting.handle(now, Input::View(unconfirmed));
    assert_eq!(waiting.phase(), Phase::Registration);
    let mut spent = view.clone();
    spent.spenders.insert(world.people[2].coin, [1; 32]);
    let effects = waiting.handle(now, Input::View(spent));
    assert_eq!(over(&effects).reason, Some(Reason::BadCoin));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Persist(_))), "what is over needs no record");
}

/// W7: a session that comes to nothing is asked for again, and another one's end changes nothing.
#[test]
fn a_session_that_ended_is_opened_again() {
    let world = world(Behaviour::Declines, all_in(Phase::Settlement));
    let now = world.terms.created_at;
    let creates = |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::Create(_))).count();
    let mut person = world.people[1].restored().expect("it has a record");
    let session = SessionId::from_bytes([5; 32]);
    assert_eq!(creates(&person.handle(now, Input::Tick)), 1);
    assert_eq!(creates(&person.handle(now, Input::Tick)), 0, "once");
    let _ = person.handle(now, Input::Created(Some(session)));
    assert_eq!(creates(&person.handle(now, Input::Ended(SessionId::from_bytes([6; 32])))), 0);
    assert_eq!(creates(&person.handle(now, Input::Ended(session))), 1);
    assert_eq!(creates(&person.handle(now, Input::Created(None))), 1, "it could not be made");
    let late = world.terms.signed_until();
    let mut person = world.people[1].restored().expect("it has a record");
    assert_eq!(creates(&person.handle(late, Input::Tick)), 0);
}

/// W3: nobody registers late, and each once.
#[test]
fn a_registration_is_signed_in_time_and_once() {
    let world = World::new(Setting::calm(4, PEOPLE));
    let fresh = || Pool::new(world.terms.clone(), own(&world, 0));
    let [before, end] = around(world.terms.registered_until());
    assert_eq!(asked(&fresh().handle(before, Input::Tick)), [Signing::Registration]);
    assert_eq!(asked(&fresh().handle(end, Input::Tick)), []);
    let mut creator = fresh();
    for _ in 0..2 {
        let _ = creator.handle(before, Input::Signed(Signing::Registration, Some(Signature::from_bytes([1; 64]))));
        assert_eq!(creator.status().done, 1, "its own");
    }
}

/// W4: the creator takes who is sound, in time, with itself, and signs that.
#[test]
fn a_creator_chooses_in_time_among_sound_coins() {
    let world = world(Behaviour::Declines, is_registered);
    let view = coins(&world);
    let without = |person: usize| {
        let mut view = view.clone();
        view.spenders.insert(world.people[person].coin, [1; 32]);
        view
    };
    let chooses = |now, view| asked(&pool(&world, 0).handle(now, Input::View(view)));
    let terms = &world.terms;
    assert_eq!(chooses(terms.created_at, view.clone()), [Signing::Roster], "it is full");
    let [before, end] = around(terms.registered_until());
    assert_eq!(chooses(before, without(2)), [], "not full, and not late");
    assert_eq!(chooses(end, without(2)), [Signing::Roster], "three are enough");
    assert_eq!(chooses(end, without(0)), [], "not without itself");
    let [before, end] = around(terms.chosen_until());
    assert_eq!(chooses(before, view.clone()), [Signing::Roster]);
    assert_eq!(chooses(end, view.clone()), [], "too late");
    // What is signed is what was chosen when it was asked for, and one signature is enough.
    let late = terms.registered_until();
    let mut creator = pool(&world, 0);
    assert_eq!(asked(&creator.handle(late, Input::View(view.clone()))), [Signing::Roster]);
    assert_eq!(asked(&creator.handle(late, Input::View(without(2)))), []);
    for _ in 0..2 {
        let _ = creator.handle(late, Input::Signed(Signing::Roster, Some(Signature::from_bytes([1; 64]))));
    }
    // Whoever goes now is not forgotten: it has been chosen.
    let (_, after) = hear(&creator, late, world.people[2].key, Content::PoolAbort(Reason::Left));
    assert_eq!(usize::from(after.status().done), PEOPLE);
    let effects = creator.handle(late, Input::View(view));
    let spread = said(&effects).into_iter().find_map(|(_, content)| match content {
        Content::Items(items) => items.roster.clone(),
        _ => None,
    });
    assert_eq!((creator.phase(), spread.map(|roster| roster.registrations.len())), (Phase::Reveal, Some(PEOPLE)));
}

/// W8: the own setup is signed in time, when the settlement is, and shown when that is a signature.
#[test]
fn a_setup_is_signed_when_the_settlement_is_and_in_time() {
    let world = world(Behaviour::Withholds, all_in(Phase::Setup));
    let now = world.terms.created_at;
    let (mut person, view) = before_reveal(&world);
    let _ = person.handle(now, Input::View(view));
    let mut giver = pool(&world, 0);
    let from = world.people[0].key;
    let effects = giver.handle(now, Input::Message(world.people[1].key, Content::Have(Have::default())));
    let items = said(&effects).into_iter().find_map(|(_, content)| match content {
        Content::Items(items) => Some(items.clone()),
        _ => None,
    });
    let all = items.expect("it lacks everything");
    let [before, end] = around(world.terms.signed_until());
    // A signature that is none is nobody's.
    let wrong = Items { groups: vec![(0, vec![Signature::from_bytes([7; 64])])], ..Items::default() };
    let mut revealed = all.clone();
    (revealed.groups, revealed.setups) = (Vec::new(), Vec::new());
    let after = hear(&person, now, from, Content::Items(revealed)).1;
    assert_eq!((after.phase(), hear(&after, now, from, Content::Items(wrong)).1.status().done), (Phase::Settlement, 0));
    let asks = |now, items: Items| asked(&hear(&person, now, from, Content::Items(items)).0);
    assert_eq!(asks(before, all.clone()), [Signing::Setup]);
    assert_eq!(asks(end, all.clone()), []);
    let mut fewer = all.clone();
    fewer.groups.pop();
    assert_eq!(asks(before, fewer.clone()), [], "a group has not signed");
    assert_eq!(usize::from(hear(&person, now, from, Content::Items(fewer)).1.status().done), PEOPLE - 1);
    let mut person = hear(&person, now, from, Content::Items(all)).1;
    let _ = person.handle(now, Input::Signed(Signing::Setup, Some(Signature::from_bytes([7; 64]))));
    assert_eq!(person.phase(), Phase::Settlement, "that is none");
    assert_eq!(asked(&person.handle(now, Input::Signed(Signing::Setup, None))), [Signing::Setup], "asked again");
    let signature = world.people[1].own_setup_signature().expect("it has signed");
    let place = world.roster().iter().position(|key| *key == world.people[1].key).expect("it takes part");
    let given = Items { setups: vec![(u8::try_from(place).expect("a few"), signature)], ..Items::default() };
    let after = hear(&person, now, from, Content::Items(given)).1;
    assert_eq!(after.phase(), Phase::Settlement, "the own one comes from the own key alone");
    let effects = person.handle(now, Input::Signed(Signing::Setup, Some(signature)));
    let shown = said(&effects)
        .iter()
        .filter(|(_, content)| matches!(content, Content::Items(items) if items.setups.len() == 1))
        .count();
    assert_eq!((person.phase(), shown), (Phase::Setup, PEOPLE - 1));
}

/// What is asked for before its time is kept, up to a number, and refused when the pool ends.
#[test]
fn sessions_that_come_too_early_are_kept_up_to_thirty_two() {
    let world = world(Behaviour::Declines, all_in(Phase::Settlement));
    let now = world.terms.created_at;
    let definition = world.sessions().remove(0);
    let (mut person, _) = before_reveal(&world);
    for number in 0..40 {
        let announced = Input::Announced(SessionId::from_bytes([number; 32]), Box::new(definition.clone()));
        let effects = person.handle(now, announced);
        assert_eq!(effects.len(), 0, "nothing is changed, written or said");
    }
    let effects = person.handle(now, Input::Leave);
    let refused = effects.iter().filter(|effect| matches!(effect, Effect::Refuse(_))).count();
    assert_eq!(refused, 32);
}

/// W10: who was heard in the last minute is not silent, be it before there was a roster.
#[test]
fn the_creator_s_roster_is_a_sign_of_life() {
    let world = world(Behaviour::Declines, all_in(Phase::Settlement));
    let end = world.terms.signed_until();
    let lately = nelumbo_core::base::Wall::from_millis(end.as_millis() - 30_000);
    let (mut person, view) = before_reveal(&world);
    let items = Items { roster: Some(roster(&world)), ..Items::default() };
    let _ = person.handle(lately, Input::Message(world.people[0].key, Content::Items(items)));
    let _ = person.handle(lately, Input::View(view));
    let places = world.roster();
    let shown = (0u8..).zip(&places).map(|(place, key)| {
        let of = world.people.iter().find(|person| person.key == *key).expect("a person");
        (place, of.destination.clone())
    });
    let items = Items { destinations: shown.collect(), ..Items::default() };
    let _ = person.handle(lately, Input::Message(world.people[2].key, Content::Items(items)));
    assert_eq!(person.phase(), Phase::Settlement);
    let effects = person.handle(end, Input::Tick);
    assert_eq!(over(&effects).blamed, [world.people[3].key].into());
}

/// W16, W18: a roster may come from anybody; what is asked is answered to whom it concerns.
#[test]
fn a_roster_that_the_creator_keeps_back_comes_from_others() {
    let world = world(Behaviour::Declines, all_in(Phase::Settlement));
    let now = world.terms.created_at;
    let (has, lacks) = (Have { roster: Some([1; 32]), ..Have::default() }, Have::default());
    let answers = |pool: &Pool, from, have| said(&hear(pool, now, from, Content::Have(have)).0).len();
    let fresh = Pool::new(world.terms.clone(), own(&world, 1));
    assert_eq!((answers(&fresh, stranger(), has), answers(&fresh, stranger(), lacks)), (1, 0));
    assert_eq!(answers(&pool(&world, 1), stranger(), has), 0, "it has one");
    let registering = people::world(Behaviour::Declines, is_registered);
    let creator = pool(&registering, 0);
    assert_eq!(answers(&creator, stranger(), has), 1);
    assert_eq!(answers(&creator, registering.people[2].key, has), 0, "it will get it");
    // The roster itself, from a stranger.
    let (registered, _) = before_reveal(&world);
    let proof = roster(&world).registrations.iter().find(|each| each.key == world.people[1].key).expect("it").proof;
    let mut person = fresh;
    let _ = person.handle(now, Input::Tick);
    let _ = person.handle(now, Input::Signed(Signing::Registration, Some(proof)));
    let items = Items { roster: Some(roster(&world)), ..Items::default() };
    let _ = person.handle(now, Input::Message(stranger(), Content::Items(items)));
    assert_eq!(person.record(), registered.record());
    let asks = said(&person.handle(now, Input::Tick)).len();
    assert_eq!(asks, 0, "it has what it waits for, and looks at the coins");
}
