//! What a participant takes from others, and what it does not.

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{PublicKey, SecretKey};
use nelumbo_core::wire::{Definition, SessionId, Spent};
use nelumbo_swapsig::content::{Content, Have, Items, Reason};
use nelumbo_swapsig::simulation::{Behaviour, Setting, World};
use nelumbo_swapsig::{Effect, Input, Phase, Pool};

/// A participant in this phase, and the world around it.
fn at(phase: Phase) -> (World, Pool) {
    let mut setting = Setting::calm(4, 4);
    // Nobody passes its setup on, and so nobody begins; or nobody signs the settlement.
    let behaviour = if phase == Phase::Setup { Behaviour::Withholds } else { Behaviour::Declines };
    setting.people = vec![behaviour; 4];
    let mut world = World::new(setting);
    while !world.people[1].phases.contains(&phase) {
        world.step();
        assert!(world.elapsed() < 1_000_000, "it never is in {phase}");
    }
    let mut pool = world.people[1].restored().expect("it has a record");
    let _ = pool.handle(world.terms.created_at, Input::Tick);
    assert_eq!(pool.phase(), phase);
    (world, pool)
}

fn is_joined(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Join(_)))
}

/// A key that is nobody's.
fn stranger() -> PublicKey {
    SecretKey::from_bytes(&[99; 32]).expect("a key").public_key()
}

/// W7: a session is approved when it is that of a group to the letter, and refused otherwise.
#[test]
fn a_session_that_is_changed_in_any_field_is_refused() {
    let (world, pool) = at(Phase::Setup);
    let now = world.terms.created_at;
    let own = world.people[1].key;
    let definition = world.sessions().into_iter().find(|each| each.keys.contains(&own)).expect("it is in a group");
    let ask = |definition: Definition| {
        let announced = Input::Announced(SessionId::from_bytes([1; 32]), Box::new(definition));
        is_joined(&pool.clone().handle(now, announced))
    };
    assert!(ask(definition.clone()));
    let changed = |change: &dyn Fn(&mut Definition)| {
        let mut definition = definition.clone();
        change(&mut definition);
        assert!(!ask(definition));
    };
    changed(&|definition| definition.keys.reverse());
    changed(&|definition| definition.keys[0] = stranger());
    changed(&|definition| definition.items.clear());
    changed(&|definition| definition.items[0].tweak = nelumbo_core::crypto::Tweak::None);
    changed(&|definition| definition.network = nelumbo_core::crypto::Network::Mainnet);
    changed(&|definition| definition.suite = nelumbo_core::crypto::Suite::Bip340);
    changed(&|definition| definition.details.spending = None);
    changed(&|definition| {
        let spending = definition.details.spending.as_mut().expect("it has one");
        *spending.transaction.last_mut().expect("bytes") ^= 1;
    });
    changed(&|definition| {
        let spending = definition.details.spending.as_mut().expect("it has one");
        spending.spent.push(Spent { value: 1, script: Vec::new() });
    });
    let late = Input::Announced(SessionId::from_bytes([1; 32]), Box::new(definition.clone()));
    assert!(!is_joined(&pool.clone().handle(world.terms.signed_until(), late)), "when its time is over");
    let foreign = world.sessions().into_iter().find(|each| !each.keys.contains(&own)).expect("others have groups too");
    assert!(!ask(foreign), "of another group");
}

/// W12, W14: once this node is bound nobody ends its pool by words.
#[test]
fn who_is_bound_does_not_leave_because_somebody_says_so() {
    let (world, mut pool) = at(Phase::Setup);
    let now = world.terms.created_at;
    let from = world.people[0].key;
    let _ = pool.handle(now, Input::Message(from, Content::PoolAbort(Reason::Left)));
    let _ = pool.handle(world.terms.signed_until(), Input::Tick);
    assert_eq!((pool.phase(), pool.is_over()), (Phase::Setup, false));
    assert!(pool.needs_coin());
}

/// W14, W11: before that, a participant that leaves ends it, and a stranger does not.
#[test]
fn a_participant_s_word_ends_a_pool_that_binds_nobody_and_a_stranger_s_does_not() {
    let (world, pool) = at(Phase::Settlement);
    let now = world.terms.created_at;
    let told = |from, content| {
        let mut pool = pool.clone();
        let _ = pool.handle(now, Input::Message(from, content));
        pool.phase()
    };
    assert_eq!(told(world.people[2].key, Content::PoolAbort(Reason::Left)), Phase::Aborted);
    assert_eq!(told(stranger(), Content::PoolAbort(Reason::Left)), Phase::Settlement);
}

/// W16: who lacks something gets it, if it takes part.
#[test]
fn items_go_to_participants() {
    let (world, mut pool) = at(Phase::Setup);
    let now: Wall = world.terms.created_at;
    let mut items = |from, have| {
        let effects = pool.handle(now, Input::Message(from, Content::Have(have)));
        effects.into_iter().find_map(|effect| match effect {
            Effect::Send(to, Content::Items(items)) if to == from => Some(items),
            _ => None,
        })
    };
    let given: Items = items(world.people[2].key, Have::default()).expect("it lacks everything");
    assert_eq!((given.destinations.len(), given.groups.len(), given.setups.len()), (4, 4, 1));
    assert!(given.roster.is_some());
    assert_eq!(items(stranger(), Have::default()), None);
}
