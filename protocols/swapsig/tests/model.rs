//! Everything that can happen between three participants, one of them honest and bound, and the chain, explored to the
//! end: the two others broadcast, double-spend, take deposits and settle at any moment, blocks come and are taken back,
//! and time passes. The honest one is the machine itself. Numbers of states stand in `docs/src/machines.md`.
//!
//! W9, W19, W20, W21, W22, W23, W24: after each step, whoever is left alone from there on has its money in the end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::lotus::{Transaction, Txid};
use nelumbo_core::crypto::{Signature, Suite, sha256};
use nelumbo_swapsig::chain::{Found, View};
use nelumbo_swapsig::content::{Content, Items, Place};
use nelumbo_swapsig::simulation::{Behaviour, Setting, World};
use nelumbo_swapsig::{Effect, Input, Phase, Pool};

const BOOK: &str = include_str!("../../../docs/src/machines.md");
const DELAY: u32 = 20;
/// How deep something is buried: waiting, in a block, past the delay, past the delay and the grace, for good.
const DEPTHS: [u32; 5] = [0, 1, DELAY, DELAY + 6, 100];

/// What a coin or a deposit was spent by, and how deep that is, as a place in [`DEPTHS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spent {
    No,
    /// A coin by its setup, a deposit by the settlement.
    AsPlanned(u8),
    /// By its owner alone.
    Back(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Chain {
    coins: [Spent; 3],
    deposits: [Spent; 3],
    /// In time; too late to begin; coins are taken back; setups are given up.
    epoch: u8,
}

/// The honest one's place is `own`.
#[derive(Clone)]
struct State {
    chain: Chain,
    pool: Pool,
}

type Key = (Chain, [u8; 32], bool);

struct World3 {
    own: usize,
    epochs: [Wall; 4],
    coins: Vec<Place>,
    deposits: Vec<Place>,
    setups: Vec<Txid>,
    settlement: Txid,
    /// What the others give the honest one at any moment, or never.
    given: Content,
    giver: nelumbo_core::crypto::PublicKey,
}

fn depth(spent: Spent) -> Option<u8> {
    match spent {
        Spent::No => None,
        Spent::AsPlanned(depth) | Spent::Back(depth) => Some(depth),
    }
}

impl Chain {
    fn has_deposit(&self, place: usize) -> bool {
        matches!(self.coins[place], Spent::AsPlanned(_)) && self.deposits[place] == Spent::No
    }

    fn settle(&mut self) {
        if (0..3).all(|place| self.has_deposit(place)) {
            self.deposits = [Spent::AsPlanned(0); 3];
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Spent> {
        self.coins.iter_mut().chain(&mut self.deposits)
    }

    fn each(&mut self, change: impl Fn(u8) -> u8) {
        self.all().for_each(|spent| match spent {
            Spent::No => {}
            Spent::AsPlanned(depth) | Spent::Back(depth) => *depth = change(*depth),
        });
    }

    /// A block takes what waits.
    fn mine(&mut self) {
        self.each(|depth| depth.max(1));
    }

    /// Many blocks.
    fn bury(&mut self) {
        self.each(|depth| if depth == 0 { 0 } else { (depth + 1).min(4) });
    }

    /// The last block is taken back, and what was in it waits again.
    fn reorganise(&mut self) {
        self.each(|depth| if depth == 1 { 0 } else { depth });
    }

    /// How deep others' money is buried matters no more than this.
    fn simplify(&mut self, own: usize) {
        let cap = |spent: &mut Spent, most: u8| match spent {
            Spent::No => {}
            Spent::AsPlanned(depth) | Spent::Back(depth) => *depth = (*depth).min(most),
        };
        for place in (0..3).filter(|place| *place != own) {
            cap(&mut self.coins[place], 2);
            // The settlement is one transaction, and as deep everywhere.
            match self.deposits[own] {
                settled @ Spent::AsPlanned(_) => self.deposits[place] = settled,
                _ => cap(&mut self.deposits[place], 2),
            }
        }
    }

    /// What waits is forgotten, and what spends from it.
    fn forget(&mut self) {
        let is_gone = self.deposits.contains(&Spent::AsPlanned(0))
            || (0..3).any(|place| {
                self.coins[place] == Spent::AsPlanned(0) && matches!(self.deposits[place], Spent::AsPlanned(_))
            });
        for place in 0..3 {
            let is_taken = matches!(self.deposits[place], Spent::AsPlanned(_)) && is_gone;
            if self.deposits[place] == Spent::Back(0) || is_taken || depth(self.coins[place]) == Some(0) {
                self.deposits[place] = Spent::No;
            }
            if depth(self.coins[place]) == Some(0) {
                self.coins[place] = Spent::No;
            }
        }
    }
}

impl World3 {
    /// What the honest one sees of it.
    fn view(&self, state: &State) -> View {
        let mut view = View::default();
        let mut see = |txid: Txid, depth: u8| {
            let found = Found { bytes: Vec::new(), confirmations: DEPTHS[usize::from(depth)] };
            view.transactions.insert(*txid.as_bytes(), found);
            *txid.as_bytes()
        };
        let mut spenders = BTreeMap::new();
        for place in 0..3u8 {
            let at = usize::from(place);
            let coin = match state.chain.coins[at] {
                Spent::No => None,
                Spent::AsPlanned(depth) => Some((self.setups[at], depth)),
                Spent::Back(depth) => Some((Txid::from_bytes([place; 32]), depth)),
            };
            let deposit = match state.chain.deposits[at] {
                Spent::No => None,
                Spent::AsPlanned(depth) => Some((self.settlement, depth)),
                Spent::Back(depth) => Some((Txid::from_bytes([9 + place; 32]), depth)),
            };
            spenders.extend(coin.map(|(txid, depth)| (self.coins[at], see(txid, depth))));
            spenders.extend(deposit.map(|(txid, depth)| (self.deposits[at], see(txid, depth))));
        }
        view.spenders = spenders;
        view
    }

    /// The honest one looks, and does what it wants. What it must not do is an error.
    fn act(&self, state: &mut State) -> Result<(), String> {
        state.chain.simplify(self.own);
        let now = self.epochs[usize::from(state.chain.epoch)];
        let was_cancelling = state.pool.phase() == Phase::Cancelling;
        let mut inputs = VecDeque::from([Input::View(self.view(state))]);
        while let Some(input) = inputs.pop_front() {
            let before = state.chain;
            let is_any_seen = before.coins.iter().any(|coin| matches!(coin, Spent::AsPlanned(_)));
            for effect in state.pool.handle(now, input) {
                match effect {
                    Effect::Sign(signing, _) => {
                        inputs.push_back(Input::Signed(signing, Some(Signature::from_bytes([1; 64]))));
                    }
                    Effect::Broadcast(bytes) => {
                        let transaction = Transaction::parse(&bytes).map_err(|error| error.to_string())?;
                        self.broadcast(state, &transaction, (is_any_seen, was_cancelling, before))?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn broadcast(
        &self,
        state: &mut State,
        transaction: &Transaction,
        (is_any_seen, was_cancelling, before): (bool, bool, Chain),
    ) -> Result<(), String> {
        let (txid, chain) = (transaction.txid(Suite::Lotus), &mut state.chain);
        let spends = Place::from(transaction.inputs[0].outpoint);
        if let Some(place) = self.setups.iter().position(|setup| *setup == txid) {
            if before.epoch > 1 && !is_any_seen {
                return Err("it begins when it is too late".into());
            }
            if chain.coins[place] == Spent::No {
                chain.coins[place] = Spent::AsPlanned(0);
            }
        } else if txid == self.settlement {
            chain.settle();
        } else if spends == self.coins[self.own] {
            if before.epoch < 2 || before.epoch == 2 && is_any_seen && !was_cancelling {
                return Err("it takes its coin back too early".into());
            }
            if chain.coins[self.own] == Spent::No {
                chain.coins[self.own] = Spent::Back(0);
            }
        } else if spends == self.deposits[self.own] {
            let is_due = matches!(chain.coins[self.own], Spent::AsPlanned(depth) if depth >= 2);
            if !is_due {
                return Err("it takes its deposit back before the delay is over".into());
            }
            if chain.has_deposit(self.own) {
                chain.deposits[self.own] = Spent::Back(0);
            }
        } else {
            return Err("it broadcasts something that is none of its own".into());
        }
        Ok(())
    }

    /// Everything that the two others and the world can do.
    fn steps(&self, state: &State) -> Vec<State> {
        let mut next = Vec::new();
        let mut add = |change: &dyn Fn(&mut Chain)| {
            let mut state = state.clone();
            change(&mut state.chain);
            next.push(state);
        };
        for place in 0..3 {
            add(&|chain| {
                if chain.coins[place] == Spent::No {
                    chain.coins[place] = Spent::AsPlanned(0)
                }
            });
            if place == self.own {
                continue;
            }
            add(&|chain| {
                if chain.coins[place] == Spent::No {
                    chain.coins[place] = Spent::Back(0)
                }
            });
            // Two who are a group take a deposit at any moment; whoever is in one with the honest one, after the delay.
            let is_alone = (place + 1) % 3 == self.own;
            add(&|chain| {
                let is_due = matches!(chain.coins[place], Spent::AsPlanned(depth) if depth >= 2 || !is_alone);
                if chain.has_deposit(place) && is_due {
                    chain.deposits[place] = Spent::Back(0);
                }
            });
        }
        add(&|chain| chain.settle());
        add(&|chain| chain.mine());
        add(&|chain| chain.bury());
        add(&|chain| chain.reorganise());
        add(&|chain| chain.forget());
        add(&|chain| chain.epoch = (chain.epoch + 1).min(3));
        let mut given = state.clone();
        let now = self.epochs[usize::from(given.chain.epoch)];
        for effect in given.pool.handle(now, Input::Message(self.giver, self.given.clone())) {
            // It begins at once when it can.
            if let Effect::Broadcast(bytes) = effect {
                let txid = Transaction::parse(&bytes).expect("it was made here").txid(Suite::Lotus);
                let place = self.setups.iter().position(|setup| *setup == txid).expect("it begins with setups");
                if given.chain.coins[place] == Spent::No {
                    given.chain.coins[place] = Spent::AsPlanned(0);
                }
            }
        }
        next.push(given);
        next
    }

    /// What tells a state from others: the chain, what the honest one remembers, and whether it is over.
    fn key(&self, state: &mut State) -> Key {
        state.chain.simplify(self.own);
        (state.chain, sha256(&[&state.pool.record()]), state.pool.is_over())
    }

    /// From here on nobody else does anything: blocks come, time passes, and the honest one has its money.
    fn is_safe_alone(&self, state: &State, safe: &mut BTreeSet<Key>) -> Result<(), String> {
        let mut state = state.clone();
        let mut path = Vec::new();
        for _ in 0..12 {
            let key = self.key(&mut state);
            if safe.contains(&key) {
                safe.extend(path);
                return Ok(());
            }
            path.push(key);
            self.act(&mut state)?;
            state.chain.mine();
            self.act(&mut state)?;
            state.chain.bury();
            state.chain.epoch = (state.chain.epoch + 1).min(3);
        }
        self.act(&mut state)?;
        let (coin, deposit) = (state.chain.coins[self.own], state.chain.deposits[self.own]);
        let has_its_money = match (coin, deposit) {
            (Spent::Back(4), _) | (Spent::AsPlanned(_), Spent::Back(4)) => true,
            (Spent::AsPlanned(_), Spent::AsPlanned(4)) => {
                state.chain.deposits.iter().all(|spent| matches!(spent, Spent::AsPlanned(_)))
            }
            _ => false,
        };
        if has_its_money && state.pool.is_over() {
            safe.extend(path);
            Ok(())
        } else {
            Err(format!("its money is stuck: {:?}, {}", state.chain, state.pool.phase()))
        }
    }

    fn explore(&self, pool: Pool) -> (usize, usize) {
        let chain = Chain { coins: [Spent::No; 3], deposits: [Spent::No; 3], epoch: 0 };
        let mut first = State { chain, pool };
        self.act(&mut first).unwrap_or_else(|what| panic!("at the beginning: {what}"));
        let mut safe = BTreeSet::new();
        let mut seen = BTreeSet::from([self.key(&mut first)]);
        let mut open = VecDeque::from([first]);
        let mut steps = 0;
        while let Some(state) = open.pop_front() {
            self.is_safe_alone(&state, &mut safe)
                .unwrap_or_else(|what| panic!("left alone from {:?}: {what}", state.chain));
            for mut next in self.steps(&state) {
                steps += 1;
                let before = next.chain;
                self.act(&mut next).unwrap_or_else(|what| panic!("{before:?}: {what}"));
                if seen.insert(self.key(&mut next)) {
                    open.push_back(next);
                }
            }
        }
        (seen.len(), steps)
    }
}

/// The honest one, bound. The others have not given it their signatures yet.
fn bound(own: usize) -> (World3, Pool) {
    let mut setting = Setting::calm(3, 3);
    // Whoever is there does not pass on its setup, so that nobody begins.
    setting.people = vec![Behaviour::Withholds; 3];
    let mut world = World::new(setting);
    while world.people.iter().any(|person| person.phases.last() != Some(&Phase::Setup)) {
        world.step();
        assert!(world.elapsed() < 1_200_000, "{:?}", world.people.iter().map(|each| &each.phases).collect::<Vec<_>>());
    }
    let keys = world.roster();
    let person = |place: usize| world.people.iter().find(|person| person.key == keys[place]).expect("a person");
    let mut pool = person(own).restored().expect("it has a record");
    let terms = world.terms.clone();
    let _ = pool.handle(terms.created_at, Input::Tick);
    let plan = pool.plan().expect("it is bound").clone();
    let setups = (0u8..3).filter(|place| usize::from(*place) != own);
    let setups = setups.map(|place| (place, person(place.into()).own_setup_signature().expect("it is bound")));
    let given = Content::Items(Items { setups: setups.collect(), ..Items::default() });
    let giver = keys[(own + 1) % 3];
    let model = World3 {
        own,
        epochs: [terms.created_at, terms.signed_until(), terms.cancelled_from(), terms.confirmed_until()],
        coins: (0..3).map(|place| person(place).coin).collect(),
        deposits: (0..3).map(|place| Place::from(plan.deposit(place))).collect(),
        setups: (0..3).map(|place| plan.setup_txid(place)).collect(),
        settlement: plan.settlement_txid(),
        given,
        giver,
    };
    (model, pool)
}

#[test]
fn whoever_is_bound_has_a_way_out_of_every_state() {
    // The three stand in a circle: what one of them can meet each of them can.
    let (model, pool) = bound(0);
    let (states, steps) = model.explore(pool);
    let row = format!("| 3 participants | {states} | {steps} |");
    assert!(BOOK.lines().any(|line| line == row), "the book lacks this row:\n{row}");
}
