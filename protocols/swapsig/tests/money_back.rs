//! When a participant that is bound broadcasts what, to the second and to the block: its machine alone, told what there
//! is on the chain.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::Suite;
use nelumbo_core::crypto::lotus::{Transaction, Txid};
use nelumbo_swapsig::chain::{Found, Query, View};
use nelumbo_swapsig::content::{Content, Items, Place};
use nelumbo_swapsig::simulation::{Behaviour, Person, Setting, World};
use nelumbo_swapsig::{Effect, FINAL, Input, Phase, Plan, Pool, Signing, Status};

const DELAY: u32 = 20;

/// One of three that has signed its setup, and what it computes. The others have their setups' signatures too, and
/// have not shown them.
struct Bound {
    world: World,
    pool: Pool,
    plan: Plan,
    own: usize,
}

impl Bound {
    fn new() -> Self {
        let mut setting = Setting::calm(4, 3);
        setting.people = vec![Behaviour::Withholds; 3];
        let mut world = World::new(setting);
        while !world.people.iter().all(|person| person.phases.contains(&Phase::Setup)) {
            world.step();
            assert!(world.elapsed() < 1_000_000, "they are never bound");
        }
        let mut pool = world.people[1].restored().expect("it has a record");
        let _ = pool.handle(world.terms.created_at, Input::Tick);
        let plan = pool.plan().expect("all destinations are here").clone();
        let own = world.roster().iter().position(|key| *key == world.people[1].key).expect("it takes part");
        Self { world, pool, plan, own }
    }

    /// The same, once the others have shown their setups' signatures.
    fn complete() -> Self {
        let mut bound = Self::new();
        let effects = bound.pool.handle(bound.world.terms.created_at, bound.others_show());
        assert_eq!(sent(&effects).len(), 3, "W9: all setups at once");
        bound
    }

    fn others_show(&self) -> Input {
        let setups = self.others().into_iter().map(|place| {
            let signature = self.person(place).own_setup_signature().expect("it has signed");
            (u8::try_from(place).expect("a few"), signature)
        });
        let items = Items { setups: setups.collect(), ..Items::default() };
        Input::Message(self.person(self.others()[0]).key, Content::Items(items))
    }

    fn person(&self, place: usize) -> &Person {
        let key = self.world.roster()[place];
        self.world.people.iter().find(|person| person.key == key).expect("a person")
    }

    fn others(&self) -> Vec<usize> {
        (0..3).filter(|place| *place != self.own).collect()
    }

    /// All setups, so often confirmed.
    fn deposits(&self, confirmations: u32) -> View {
        self.setups(&[(0, confirmations), (1, confirmations), (2, confirmations)])
    }

    /// Some setups, each so often confirmed.
    fn setups(&self, there: &[(usize, u32)]) -> View {
        let mut view = View::default();
        for (place, confirmations) in there {
            let txid = *self.plan.setup_txid(*place).as_bytes();
            view.transactions.insert(txid, Found { bytes: Vec::new(), confirmations: *confirmations });
            view.spenders.insert(self.coin(*place), txid);
        }
        view
    }

    fn coin(&self, place: usize) -> Place {
        self.person(place).coin
    }

    /// What it does when the chain is so.
    fn sees(&self, now: Wall, view: View) -> (Vec<Effect>, Pool) {
        let mut pool = self.pool.clone();
        (pool.handle(now, Input::View(view)), pool)
    }

    fn asks(&self, now: Wall, view: View) -> Vec<Signing> {
        signed(&self.sees(now, view).0)
    }

    fn end(&self, end: fn(&nelumbo_swapsig::Terms) -> Wall) -> (Wall, Wall) {
        let end = end(&self.world.terms);
        (Wall::from_millis(end.as_millis() - 1), end)
    }
}

fn signed(effects: &[Effect]) -> Vec<Signing> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Sign(signing, _) = effect { Some(*signing) } else { None })
        .collect()
}

/// The ids of what is broadcast.
fn sent(effects: &[Effect]) -> BTreeSet<Txid> {
    let sent =
        effects.iter().filter_map(|effect| if let Effect::Broadcast(bytes) = effect { Some(bytes) } else { None });
    sent.map(|bytes| Transaction::parse(bytes).expect("a transaction").txid(Suite::Lotus)).collect()
}

fn over(effects: &[Effect]) -> Option<&Status> {
    effects.iter().find_map(|effect| if let Effect::Over(status) = effect { Some(&**status) } else { None })
}

/// W24: nobody has begun.
#[test]
fn a_coin_comes_back_when_the_time_to_begin_is_over() {
    let bound = Bound::new();
    let (before, end) = bound.end(nelumbo_swapsig::Terms::cancelled_from);
    assert_eq!(bound.asks(before, View::default()), []);
    assert_eq!(bound.asks(end, View::default()), [Signing::Cancel]);
    let (effects, pool) = bound.sees(end, View::default());
    assert!(matches!(effects[0], Effect::Persist(_)), "before anybody sees it");
    assert_eq!(pool.phase(), Phase::Cancelling);
    let blamed: BTreeSet<_> = bound.others().into_iter().map(|place| bound.world.roster()[place]).collect();
    assert_eq!(pool.status().blamed, blamed, "who has not shown its signature");
    // From now on no setup goes out, whatever the others give.
    let mut pool = pool;
    let (later, view) = (bound.end(nelumbo_swapsig::Terms::confirmed_until).1, bound.setups(&[(bound.others()[0], 1)]));
    let effects = pool.handle(later, Input::View(view));
    assert!(!sent(&effects).contains(&bound.plan.setup_txid(bound.own)));
}

/// W24, W21: others' setups are in blocks and the own one does not get into one.
#[test]
fn a_coin_comes_back_when_the_time_to_confirm_is_over() {
    let bound = Bound::complete();
    let (before, end) = bound.end(nelumbo_swapsig::Terms::confirmed_until);
    let view = || bound.setups(&bound.others().into_iter().map(|place| (place, 3)).collect::<Vec<_>>());
    let (effects, _) = bound.sees(before, view());
    assert_eq!(signed(&effects), []);
    assert_eq!(sent(&effects), [bound.plan.setup_txid(bound.own)].into(), "W21: it is tried again");
    assert_eq!(bound.asks(end, view()), [Signing::Cancel]);
    // Where the own setup is there, the coin is no more.
    assert_eq!(bound.asks(end, bound.setups(&[(bound.own, 0)])), []);
    // Nobody has to be told anything after that.
    let mut pool = bound.pool.clone();
    let says = |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::Send(..))).count();
    assert_eq!(says(&pool.handle(before, Input::Tick)), 2);
    assert_eq!(says(&pool.handle(end, Input::Tick)), 0);
}

/// W19, W21: whoever has a setup goes on where others have begun, in time or not.
#[test]
fn setups_follow_one_that_is_there() {
    let bound = Bound::new();
    let first = bound.others()[0];
    let (before, end) = bound.end(nelumbo_swapsig::Terms::cancelled_from);
    for now in [before, end] {
        let (effects, pool) = bound.sees(now, bound.setups(&[(first, 0)]));
        assert_eq!(sent(&effects), [bound.plan.setup_txid(bound.own)].into(), "the one that it has");
        assert_eq!((signed(&effects), pool.phase()), (vec![], Phase::SetupConfirm));
        assert_eq!(pool.status().done, 1);
    }
    // What was begun and is not there is broadcast again until coins are taken back.
    let begun = Bound::complete();
    assert_eq!(sent(&begun.sees(before, View::default()).0).len(), 3);
    let (effects, _) = begun.sees(end, View::default());
    assert_eq!((sent(&effects).len(), signed(&effects)), (0, vec![Signing::Cancel]));
    // What is there or was spent otherwise is not.
    let mut view = begun.setups(&[(begun.own, 0)]);
    view.spenders.insert(begun.coin(begun.others()[0]), [9; 32]);
    assert_eq!(sent(&begun.sees(before, view).0), [begun.plan.setup_txid(begun.others()[1])].into());
}

/// W9: not when the time for it is over.
#[test]
fn setups_are_not_begun_late() {
    let bound = Bound::new();
    let (before, end) = bound.end(nelumbo_swapsig::Terms::signed_until);
    for (now, count) in [(before, 3), (end, 0)] {
        let mut pool = bound.pool.clone();
        assert_eq!(sent(&pool.handle(now, bound.others_show())).len(), count);
    }
}

/// W22, W23: the settlement, and a deposit that it has not had.
#[test]
fn a_deposit_comes_back_when_the_delay_is_over() {
    let bound = Bound::complete();
    let now = bound.world.terms.created_at;
    assert_eq!(sent(&bound.sees(now, bound.deposits(0)).0).len(), 0, "not in a block yet");
    let settlement: BTreeSet<Txid> = [bound.plan.settlement_txid()].into();
    for confirmations in [1, DELAY - 1, DELAY, DELAY + 5] {
        let (effects, _) = bound.sees(now, bound.deposits(confirmations));
        assert_eq!((sent(&effects), signed(&effects)), (settlement.clone(), vec![]), "{confirmations}");
    }
    let (effects, pool) = bound.sees(now, bound.deposits(DELAY + 6));
    assert_eq!((sent(&effects), signed(&effects)), (settlement, vec![Signing::Reclaim]), "what was possible all along");
    assert_eq!(pool.phase(), Phase::Reclaiming);
    // Where it is not possible there is nothing to wait for.
    let taken = |confirmations| {
        let mut view = bound.deposits(confirmations);
        view.spenders.insert(Place::from(bound.plan.deposit(bound.others()[0])), [9; 32]);
        view
    };
    assert_eq!(bound.asks(now, taken(DELAY - 1)), []);
    assert_eq!(bound.sees(now, taken(DELAY - 1)).1.status().blocks_left, Some(1));
    assert_eq!(bound.asks(now, taken(DELAY)), [Signing::Reclaim]);
    assert_eq!(sent(&bound.sees(now, taken(DELAY)).0).len(), 0);
}

/// W25: its person does not have to wait for the settlement.
#[test]
fn who_asks_has_its_deposit_back_as_soon_as_the_delay_is_over() {
    let bound = Bound::complete();
    let now = bound.world.terms.created_at;
    let wants = |confirmations| {
        let mut pool = bound.sees(now, bound.deposits(confirmations)).1;
        assert!(!pool.can_leave(), "the deposit is made");
        signed(&pool.handle(now, Input::Reclaim))
    };
    assert_eq!((wants(DELAY - 1), wants(DELAY)), (vec![], vec![Signing::Reclaim]));
    assert!(bound.pool.can_leave());
    assert_eq!(signed(&bound.pool.clone().handle(now, Input::Reclaim)), [], "there is none yet");
    // What it broadcasts spends the deposit, with the signature that was asked for.
    let mut pool = bound.sees(now, bound.deposits(DELAY)).1;
    let effects = pool.handle(now, Input::Reclaim);
    let Some(Effect::Sign(_, single)) = effects.iter().find(|effect| matches!(effect, Effect::Sign(..))) else {
        panic!("{effects:?}")
    };
    let signature = bound.world.people[1].own_setup_signature().expect("a signature, if not the right one");
    let effects = pool.handle(now, Input::Signed(Signing::Reclaim, Some(signature)));
    let nelumbo_core::single::Single::Input(input) = &**single else { panic!("{single:?}") };
    let unsigned = Transaction::parse(&input.spending.transaction).expect("a transaction").txid(Suite::Lotus);
    assert_eq!(sent(&effects), [unsigned].into());
    // Again at the next look, without asking for another signature.
    let again = pool.handle(now, Input::View(bound.deposits(DELAY + 1)));
    assert_eq!((sent(&again), signed(&again)), ([unsigned].into(), vec![]), "and no settlement beside it");
}

/// What the chain shows when something is so often confirmed.
type Shown<'a> = &'a dyn Fn(u32) -> View;

/// W20: a hundred blocks lie on what has the money, and no fewer.
#[test]
fn a_pool_is_over_when_what_has_the_money_is_buried() {
    let bound = Bound::complete();
    let now = bound.world.terms.created_at;
    let settlement = *bound.plan.settlement_txid().as_bytes();
    let settled = |confirmations| {
        let mut view = bound.deposits(confirmations + 1);
        view.transactions.insert(settlement, Found { bytes: Vec::new(), confirmations });
        view.spenders.extend((0..3).map(|place| (Place::from(bound.plan.deposit(place)), settlement)));
        view
    };
    let back = |confirmations| {
        let mut view = bound.deposits(DELAY + confirmations);
        view.transactions.insert([8; 32], Found { bytes: Vec::new(), confirmations });
        view.spenders.insert(Place::from(bound.plan.deposit(bound.own)), [8; 32]);
        view
    };
    let cancelled = |confirmations| {
        let mut view = View::default();
        view.transactions.insert([8; 32], Found { bytes: Vec::new(), confirmations });
        view.spenders.insert(bound.coin(bound.own), [8; 32]);
        view
    };
    let ways: [(Shown<'_>, [Phase; 2]); 3] = [
        (&settled, [Phase::SettlementConfirm, Phase::Complete]),
        (&back, [Phase::Reclaiming, Phase::Refunded]),
        (&cancelled, [Phase::Cancelling, Phase::Refunded]),
    ];
    for (view, [going, done]) in ways {
        assert_eq!(bound.sees(now, view(0)).1.phase(), going);
        for confirmations in [1, FINAL - 1] {
            let (effects, pool) = bound.sees(now, view(confirmations));
            assert_eq!((over(&effects), pool.phase(), pool.is_over()), (None, done, false), "{confirmations}");
            assert!(!sent(&effects).contains(&bound.plan.settlement_txid()));
        }
        let (effects, mut pool) = bound.sees(now, view(FINAL));
        assert_eq!(over(&effects).map(|status| status.phase), Some(done));
        assert!(pool.is_over() && !pool.needs_coin() && pool.handle(now, Input::Tick).is_empty());
    }
    // A setup spends the coin, and is no end, however deep.
    assert_eq!(over(&bound.sees(now, bound.deposits(FINAL)).0), None);
}

/// Whose coin is spent otherwise where setups are there has cheated; who takes it back in time has not.
#[test]
fn a_double_spend_is_blamed_and_a_cancellation_in_time_is_not() {
    let bound = Bound::complete();
    let (victim, other) = (bound.others()[0], bound.others()[1]);
    let (before, end) = bound.end(nelumbo_swapsig::Terms::cancelled_from);
    let spent = |by: [u8; 32]| {
        let mut view = bound.setups(&[(bound.own, 1), (other, 1)]);
        view.spenders.insert(bound.coin(victim), by);
        view
    };
    let blamed = |now, view| bound.sees(now, view).1.status().blamed;
    let key = bound.world.roster()[victim];
    assert_eq!(blamed(before, spent([9; 32])), [key].into());
    assert_eq!(blamed(end, spent([9; 32])), [key].into());
    // What takes its coin back is the same for everybody: it is what that one's own machine signs.
    let back = cancellation_of(&bound, victim);
    assert_eq!(blamed(before, spent(back)), [key].into(), "too early");
    assert_eq!(blamed(end, spent(back)), BTreeSet::new());
    let spenders = BTreeMap::from([(bound.coin(victim), [9; 32])]);
    let nothing_begun = View { spenders, ..View::default() };
    assert_eq!(blamed(before, nothing_begun), BTreeSet::new(), "no setup is there");
}

/// The id of what somebody's machine takes its coin back with.
fn cancellation_of(bound: &Bound, place: usize) -> [u8; 32] {
    let mut pool = bound.person(place).restored().expect("it has a record");
    let now = bound.world.terms.cancelled_from();
    let _ = pool.handle(now, Input::Tick);
    let effects = pool.handle(now, Input::View(View::default()));
    let single = effects.iter().find_map(|effect| match effect {
        Effect::Sign(Signing::Cancel, single) => Some(single),
        _ => None,
    });
    let Some(nelumbo_core::single::Single::Input(input)) = single.map(|single| &**single) else {
        panic!("{effects:?}")
    };
    *Transaction::parse(&input.spending.transaction).expect("a transaction").txid(Suite::Lotus).as_bytes()
}

/// W13: what is asked of the chain.
#[test]
fn all_that_can_happen_to_the_money_is_asked_of_the_chain() {
    let bound = Bound::complete();
    let mut pool = bound.pool.clone();
    let effects = pool.handle(bound.world.terms.created_at, Input::Tick);
    let asked = effects.iter().find_map(|effect| if let Effect::Look(query) = effect { Some(query) } else { None });
    let Query { transactions, outputs } = asked.expect("it looks");
    let own = |place: usize| [Place::from(bound.plan.deposit(place)), bound.coin(place)];
    assert_eq!(*outputs, (0..3).flat_map(own).collect());
    let setups = (0..3).map(|place| bound.plan.setup_txid(place)).chain([bound.plan.settlement_txid()]);
    assert!(setups.into_iter().all(|txid| transactions.contains(txid.as_bytes())));
    assert!(transactions.contains(&cancellation_of(&bound, bound.own)));
    // Coins, setups, the settlement, and two ways back.
    assert_eq!(transactions.len(), 3 + 3 + 1 + 2);
}

/// W2: a record that does not hold together is none.
#[test]
fn a_record_that_was_changed_is_none() {
    let bound = Bound::complete();
    let record = bound.pool.record();
    assert!(Pool::restored(&record).is_some_and(|pool| pool.record() == record));
    assert!(Pool::restored(&record[..record.len() - 1]).is_none());
    assert!(Pool::restored(&[record.as_slice(), &[0]].concat()).is_none());
    assert!(Pool::restored(&[]).is_none());
}
