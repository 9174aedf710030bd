//! What participants say to each other, whom they believe, and what they tell their person: one machine at a time.

mod people;

use std::collections::BTreeSet;

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{PublicKey, SecretKey, Signature};
use nelumbo_swapsig::chain::{View, look};
use nelumbo_swapsig::content::{Content, Destination, Have, Items, Reason, Registration};
use nelumbo_swapsig::simulation::{Behaviour, Setting, World};
use nelumbo_swapsig::{Effect, Input, Own, Phase, Pool, Terms};
use people::*;

/// W10: whoever has not shown its destination, or is silent while its group has not signed, is named.
#[test]
fn who_has_kept_a_pool_from_its_end_is_named() {
    // Nobody signs: those who were heard lately are not to blame.
    let world = world(Behaviour::Declines, all_in(Phase::Settlement));
    let [before, end] = around(world.terms.signed_until());
    let blamed = |heard: &[(usize, Wall)]| {
        let mut pool = pool(&world, 1);
        for (person, at) in heard {
            let _ = pool.handle(*at, Input::Message(world.people[*person].key, Content::RegistrationAck));
        }
        let effects = pool.handle(end, Input::Tick);
        assert_eq!(over(&effects).reason, Some(Reason::TimeOver));
        over(&effects).blamed.clone()
    };
    let keys = |people: &[usize]| people.iter().map(|person| world.people[*person].key).collect::<BTreeSet<_>>();
    assert_eq!(blamed(&[]), keys(&[0, 2, 3]));
    assert_eq!(blamed(&[(0, before), (2, before)]), keys(&[3]));
    let a_minute_ago = Wall::from_millis(end.as_millis() - 60_000);
    let later = Wall::from_millis(a_minute_ago.as_millis() + 1);
    assert_eq!(blamed(&[(0, a_minute_ago), (2, later), (3, before)]), keys(&[0]));
    assert!(pool(&world, 1).handle(before, Input::Tick).iter().all(|each| !matches!(each, Effect::Over(_))));
}

/// W12: leaving.
#[test]
fn who_leaves_says_so_and_a_bound_one_takes_its_coin_back() {
    let world_before = world(Behaviour::Declines, all_in(Phase::Settlement));
    let mut leaver = pool(&world_before, 1);
    let effects = leaver.handle(world_before.terms.created_at, Input::Leave);
    assert_eq!(over(&effects).reason, Some(Reason::Left));
    assert_eq!(said(&effects).len(), PEOPLE - 1);
    let bound = world(Behaviour::Withholds, all_in(Phase::Setup));
    let mut leaver = pool(&bound, 1);
    let _ = leaver.handle(bound.terms.created_at, Input::View(View::default()));
    let effects = leaver.handle(bound.terms.created_at, Input::Leave);
    assert!(matches!(effects[0], Effect::Persist(_)));
    assert_eq!((leaver.phase(), leaver.is_over()), (Phase::Cancelling, false));
}

/// W14: a participant's word that it leaves ends a pool, and names it; any other reason names nobody. A creator's ends
/// it before there is a roster too; one that has registered and goes makes room.
#[test]
fn words_end_a_pool_when_they_are_a_participant_s() {
    let world = world(Behaviour::Declines, is_registered);
    let now = world.terms.created_at;
    let (creator, other) = (world.people[0].key, world.people[2].key);
    let person = pool(&world, 1);
    let ends = |from, reason| hear(&person, now, from, Content::PoolAbort(reason)).1.status();
    assert_eq!(ends(creator, Reason::TooFew).phase, Phase::Aborted);
    assert_eq!(ends(creator, Reason::TooFew).blamed, BTreeSet::new());
    assert_eq!(ends(creator, Reason::Left).blamed, [creator].into());
    for from in [other, stranger()] {
        assert_eq!(ends(from, Reason::Left).phase, Phase::Registration, "not one that it knows of");
    }
    // The creator forgets who goes, and nobody else.
    let (_, after) = hear(&pool(&world, 0), now, other, Content::PoolAbort(Reason::Left));
    assert_eq!((after.phase(), usize::from(after.status().done)), (Phase::Registration, PEOPLE - 1));
    let (_, after) = hear(&pool(&world, 0), now, stranger(), Content::PoolAbort(Reason::Left));
    assert_eq!(usize::from(after.status().done), PEOPLE);
}

/// W13, W15: one that registers is told so; then it asks for what there is.
#[test]
fn a_registration_is_said_until_the_creator_has_it() {
    let world = world(Behaviour::Declines, is_registered);
    let now = world.terms.created_at;
    let creator = world.people[0].key;
    let asks = |pool: &Pool| {
        let effects = pool.clone().handle(now, Input::Tick);
        said(&effects).iter().map(|(to, content)| (*to, matches!(content, Content::PoolJoin(_)))).collect::<Vec<_>>()
    };
    let person = pool(&world, 1);
    assert_eq!(asks(&person), [(creator, true)]);
    assert_eq!(person.status().until, Some(world.terms.registered_until()));
    let (_, known) = hear(&person, now, creator, Content::RegistrationAck);
    assert_eq!((asks(&known), known.status().until), (vec![(creator, false)], Some(world.terms.chosen_until())));
    let (_, unknown) = hear(&person, now, world.people[2].key, Content::RegistrationAck);
    assert_eq!(asks(&unknown), [(creator, true)], "only the creator's word counts");
    assert_eq!(pool(&world, 0).status().until, Some(world.terms.chosen_until()), "the creator knows");
    assert_eq!(asks(&pool(&world, 0)), [], "and asks nobody");
}

/// A registration with this key, whose proof is its own.
fn registration(terms: &Terms, number: u8, coin: nelumbo_swapsig::content::Place) -> (PublicKey, Registration) {
    let secret = SecretKey::from_bytes(&[number; 32]).expect("a key");
    let statement = Registration::statement(terms, coin, [number; 32]);
    let suite = nelumbo_core::crypto::Suite::Lotus;
    let proof = nelumbo_core::crypto::schnorr::sign(suite, &secret, &statement.digest(), None).expect("32 bytes");
    (secret.public_key(), Registration { key: secret.public_key(), coin, commitment: [number; 32], proof })
}

/// W15: whom a creator takes down.
#[test]
fn a_creator_remembers_who_is_proven_and_has_a_coin_of_its_own() {
    let world = World::new(Setting::calm(4, PEOPLE));
    let terms = world.terms.clone();
    let now = terms.created_at;
    let mut lonely = Pool::new(terms.clone(), own(&world, 0));
    let _ = lonely.handle(now, Input::Tick);
    let place = |number| nelumbo_swapsig::content::Place { txid: [number; 32], index: 0 };
    let joins = |pool: &Pool, now, from, registration| {
        let (effects, pool) = hear(pool, now, from, Content::PoolJoin(registration));
        let is_told = said(&effects).iter().any(|(to, content)| *to == from && **content == Content::RegistrationAck);
        (is_told, pool.status().done, pool)
    };
    let (key, sound) = registration(&terms, 51, place(1));
    let (is_told, count, with_one) = joins(&lonely, now, key, sound.clone());
    assert_eq!((is_told, count), (true, 1));
    assert!(joins(&with_one, now, key, sound.clone()).0, "again, if the answer was lost");
    assert_eq!(joins(&with_one, now, key, sound.clone()).1, 1, "and once");
    let refused = |pool: &Pool, now, from, registration: Registration, why: &str| {
        let before = pool.status().done;
        let (is_told, count, _) = joins(pool, now, from, registration);
        assert_eq!((is_told, count), (false, before), "{why}");
    };
    let (other, same_coin) = registration(&terms, 52, place(1));
    refused(&with_one, now, other, same_coin, "a coin of somebody else's");
    let (_, of_other) = registration(&terms, 52, place(2));
    refused(&with_one, now, key, of_other.clone(), "in somebody else's name");
    refused(&lonely, now, stranger(), of_other.clone(), "in somebody else's name");
    refused(&lonely, now, other, Registration { commitment: [0; 32], ..of_other.clone() }, "not proven");
    let [before, end] = around(terms.registered_until());
    refused(&lonely, end, other, of_other.clone(), "too late");
    assert_eq!(joins(&lonely, before, other, of_other).1, 1);
    // Forty, and no more.
    let mut full = lonely;
    for number in 1..=40 {
        let (key, registration) = registration(&terms, 100 + number, place(100 + number));
        let (is_told, count, pool) = joins(&full, now, key, registration);
        assert_eq!((is_told, count), (true, number));
        full = pool;
    }
    let (key, registration) = registration(&terms, 200, place(200));
    refused(&full, now, key, registration, "forty are enough");
}

/// W16, W18: rosters.
#[test]
fn a_second_roster_ends_a_pool_and_a_wrong_one_is_none() {
    let world = world(Behaviour::Declines, all_in(Phase::Settlement));
    let now = world.terms.created_at;
    let (roster, mut one) = (roster(&world), pool(&world, 0));
    // Somebody who has it needs it no more.
    let have = Have { roster: Some(roster.hash()), destinations: u16::MAX, groups: u16::MAX, setups: u16::MAX };
    let effects = one.handle(now, Input::Message(world.people[1].key, Content::Have(have)));
    assert_eq!(said(&effects).len(), 0);
    // Item by item, with its place.
    let have = Have { destinations: 0b1011, ..have };
    let effects = one.handle(now, Input::Message(world.people[1].key, Content::Have(have)));
    let given = said(&effects).into_iter().find_map(|(_, content)| match content {
        Content::Items(items) => Some(items.clone()),
        _ => None,
    });
    let given = given.expect("it lacks one");
    assert_eq!((given.roster, given.destinations.len(), given.destinations[0].0), (None, 1, 2));
    // The same once more changes nothing, and neither does one whose signature is wrong.
    let items = |roster| Content::Items(Items { roster: Some(roster), ..Items::default() });
    let creator = world.people[0].key;
    let person = pool(&world, 1);
    assert_eq!(hear(&person, now, creator, items(roster.clone())).1.phase(), Phase::Settlement);
    let mut wrong = roster.clone();
    wrong.registrations.pop();
    assert_eq!(hear(&person, now, creator, items(wrong)).1.phase(), Phase::Settlement);
    // One who is not in it is out.
    let key = SecretKey::from_bytes(&[77; 32]).expect("a key").public_key();
    let mut outsider = Pool::new(world.terms.clone(), Own { key, ..own(&world, 1) });
    let _ = outsider.handle(now, Input::Tick);
    let effects = outsider.handle(now, Input::Message(creator, items(roster)));
    assert_eq!(over(&effects).reason, Some(Reason::NotChosen));
}

/// W17: what proves itself is taken, whoever sends it, and nothing else.
#[test]
fn items_that_prove_nothing_are_not_taken() {
    let world = world(Behaviour::Withholds, all_in(Phase::Setup));
    let now = world.terms.created_at;
    let person = pool(&world, 1);
    let from = world.people[0].key;
    let wrong = Signature::from_bytes([7; 64]);
    for place in [0, 1, 2, 3, 4, 255] {
        let destination = Destination { salt: [1; 32], script: vec![1] };
        let items = Items {
            destinations: vec![(place, destination)],
            groups: vec![(place, vec![wrong]), (place, vec![])],
            setups: vec![(place, wrong)],
            ..Items::default()
        };
        let after = hear(&person, now, from, Content::Items(items)).1;
        assert_eq!(after.record(), person.record(), "{place}");
    }
    // A setup of somebody's is at its place alone.
    let roster = world.roster();
    let place_of = |person: usize| roster.iter().position(|key| *key == world.people[person].key).expect("a place");
    let signature = world.people[2].own_setup_signature().expect("it has signed");
    let gives = |place: usize, from| {
        let setups = vec![(u8::try_from(place).expect("a few"), signature)];
        hear(&person, now, from, Content::Items(Items { setups, ..Items::default() })).1.status().done
    };
    assert_eq!(gives(place_of(2), from), 2);
    assert_eq!(gives(place_of(3), from), 1);
    assert_eq!(gives(place_of(2), stranger()), 1, "strangers are not listened to");
}

/// What a person reads, in each phase.
#[test]
fn a_person_is_told_how_far_it_is_until_when_and_what_happens_otherwise() {
    let told = |world: &World, person: usize| {
        let status = pool(world, person).status();
        (status.phase, status.done, status.until, status.otherwise())
    };
    let end = "the pool ends, and the coin stays where it is";
    let settling = world(Behaviour::Declines, all_in(Phase::Settlement));
    let until = Some(settling.terms.signed_until());
    assert_eq!(told(&settling, 1), (Phase::Settlement, 0, until, end.into()));
    let bound = world(Behaviour::Withholds, all_in(Phase::Setup));
    let until = Some(bound.terms.cancelled_from());
    assert_eq!(told(&bound, 1), (Phase::Setup, 1, until, "this node takes its coin back, for a fee".into()));
    // Deposits.
    let mining = world(Behaviour::Honest, all_in(Phase::SetupConfirm));
    let mut person = mining.people[1].restored().expect("it has a record");
    let asked = person.handle(mining.terms.created_at, Input::Tick);
    let query = asked.iter().find_map(|effect| if let Effect::Look(query) = effect { Some(query) } else { None });
    let view = look(&mining.ledger, query.expect("it looks"));
    let _ = person.handle(mining.terms.created_at, Input::View(view));
    let status = person.status();
    assert_eq!((status.phase, usize::from(status.done)), (Phase::SetupConfirm, PEOPLE));
    assert!(status.otherwise().starts_with("this node takes its deposit back alone, in "), "{}", status.otherwise());
    assert_eq!(status.until, None);
    let names: Vec<String> = Phase::ALL.iter().map(Phase::to_string).collect();
    assert_eq!(names[4], "setup-confirm");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert_eq!(Reason::TimeOver.to_string(), "not everything was signed in time");
    let destination = Destination { salt: [1; 32], script: vec![2] };
    assert_eq!(format!("{destination:?}"), "Destination(…)", "it is nobody's to read");
}
