//! What can be linked in pools that have run: for each kind of observer, among how many outputs that of an honest
//! participant may be, and how often the observer's best guess is right. The numbers stand in `docs/src/swapsig.md`.

mod orders;

use std::collections::BTreeMap;

use nelumbo_core::crypto::Suite;
use nelumbo_core::crypto::lotus::{OutPoint, Transaction};
use nelumbo_swapsig::Phase;
use nelumbo_swapsig::simulation::{Behaviour, Setting, Sighting, World};
use orders::orders;

const BOOK: &str = include_str!("../../../docs/src/swapsig.md");
const POOLS: u64 = 60;

/// A pool that was settled, as its chain shows it and as it was.
struct Settled {
    world: World,
    /// Who stands at which input and output of the settlement.
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    /// The scripts of the outputs.
    scripts: Vec<Vec<u8>>,
}

impl Settled {
    fn new(world: World) -> Option<Self> {
        let spender = |outpoint: OutPoint| -> Option<Transaction> {
            let (txid, _) = world.ledger.spender(&outpoint)?;
            Some(world.ledger.transaction(&txid)?.transaction.clone())
        };
        let setup = |person: usize| Some(spender(world.people[person].coin.into())?.txid(Suite::Lotus));
        let deposit = |person: usize| Some(OutPoint { txid: setup(person)?, index: 0 });
        let settlement = (0..world.people.len())
            .find_map(|person| spender(deposit(person)?).filter(|settlement| settlement.outputs.len() > 1))?;
        let who = |outpoint: OutPoint| (0..world.people.len()).find(|person| deposit(*person) == Some(outpoint));
        let inputs = settlement.inputs.iter().map(|input| who(input.outpoint)).collect::<Option<Vec<_>>>()?;
        let scripts: Vec<Vec<u8>> = settlement.outputs.iter().map(|output| output.script_pubkey.clone()).collect();
        let paid = |script: &Vec<u8>| world.people.iter().position(|person| person.destination.script == *script);
        let outputs = scripts.iter().map(paid).collect::<Option<Vec<_>>>()?;
        Some(Self { world, inputs, outputs, scripts })
    }

    /// The first message that an input's owner has sent to all others at once: it shows its destination, and one sees
    /// that without reading it.
    fn reveal(&self, input: usize) -> Sighting {
        let (who, others) = (self.inputs[input], self.inputs.len() - 1);
        let mine: Vec<&Sighting> = self.world.sightings.iter().filter(|seen| seen.from == who).collect();
        let is_alike = |one: &Sighting, other: &Sighting| (one.at, one.bytes) == (other.at, other.bytes);
        let is_to_all = |seen: &&&Sighting| mine.iter().filter(|other| is_alike(other, seen)).count() == others;
        **mine.iter().find(is_to_all).expect("everybody has shown its destination")
    }

    /// The orders in which the kinds of outputs are those that sizes of messages tell. A creator's message has the list
    /// of participants too, and another size.
    fn by_size(&self, orders: &[Vec<usize>], size: fn(&Sighting) -> usize) -> Vec<(Vec<usize>, f64)> {
        let sizes: Vec<usize> = (0..self.inputs.len()).map(|input| size(&self.reveal(input))).collect();
        let least = *sizes.iter().min().expect("there are some");
        let shortest = self.scripts.iter().map(Vec::len).min().expect("there are some");
        let is_told = sizes.iter().any(|size| (least + 1..least + 20).contains(size));
        let fits = |order: &&Vec<usize>| {
            order.iter().zip(&self.scripts).all(|(receiver, script)| {
                let size = sizes[*receiver];
                !is_told || size >= least + 20 || (size == least) == (script.len() == shortest)
            })
        };
        evenly(orders.iter().filter(fits).cloned().collect())
    }
}

/// What an observer has made of pools.
#[derive(Default)]
struct Tally {
    sets: Vec<f64>,
    right: u32,
    guesses: u32,
}

impl Tally {
    /// Adds a pool of which an observer holds these orders for possible, each with a weight.
    fn add(&mut self, settled: &Settled, orders: &[(Vec<usize>, f64)], is_hidden: impl Fn(usize) -> bool) {
        let total: f64 = orders.iter().map(|(_, weight)| weight).sum();
        for input in (0..settled.inputs.len()).filter(|input| is_hidden(settled.inputs[*input])) {
            let mut places = BTreeMap::<usize, f64>::new();
            for (order, weight) in orders {
                let output = order.iter().position(|receiver| *receiver == input).expect("each has one");
                *places.entry(output).or_default() += weight / total;
            }
            let entropy: f64 =
                places.values().filter(|chance| **chance > 0.0).map(|chance| -chance * chance.log2()).sum();
            self.sets.push(entropy.exp2());
            let best = places.iter().max_by(|one, other| one.1.total_cmp(other.1)).expect("there is an output");
            self.right += u32::from(settled.outputs[*best.0] == settled.inputs[input]);
            self.guesses += 1;
        }
    }

    /// The mean of the sets, and in how many of a hundred cases the guess is right, with their intervals of 95 %.
    fn row(&self, observer: &str) -> String {
        let count = self.sets.len() as f64;
        let mean = self.sets.iter().sum::<f64>() / count;
        let deviation = (self.sets.iter().map(|set| (set - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
        // Wilson's interval.
        let (n, p, z) = (f64::from(self.guesses), f64::from(self.right) / f64::from(self.guesses), 1.96);
        let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        format!(
            "| {observer} | {mean:.2} ± {:.2} | {:.0} % ({:.0} to {:.0}) |",
            1.96 * deviation / count.sqrt(),
            100.0 * p,
            100.0 * (middle - half).max(0.0),
            100.0 * (middle + half).min(1.0)
        )
    }
}

fn calm(seed: u64) -> Settled {
    let mut setting = Setting::calm(seed, 5);
    setting.latency = 2_000;
    let mut world = World::new(setting);
    while world.people.iter().any(|person| !person.phases.contains(&Phase::Complete)) {
        world.step();
    }
    Settled::new(world).expect("it is settled")
}

fn evenly(orders: Vec<Vec<usize>>) -> Vec<(Vec<usize>, f64)> {
    orders.into_iter().map(|order| (order, 1.0)).collect()
}

/// The places of inputs in the order of something that was seen of their owners.
fn ranks(settled: &Settled, key: impl Fn(usize) -> u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..settled.inputs.len()).collect();
    order.sort_by_key(|input| key(*input));
    order
}

#[test]
fn what_observers_can_link_is_what_the_book_says() {
    let names = [
        "an outsider with the chain",
        "a peer that takes no part: the chain, keys of nodes, announcements",
        "a relay, by the order in which destinations are shown",
        "a relay, by how much each has sent",
        "a relay, by the sizes of messages",
        "a relay, by the sizes that messages would have without padding",
        "a participant, or three of the five together",
        "an outsider whom two of five participants have told their outputs",
    ];
    let mut tallies: [Tally; 8] = Default::default();
    for seed in 0..POOLS {
        let settled = calm(seed);
        let all = |_| true;
        let orders = orders(settled.inputs.len());
        let [outsider, peer, times, traffic, sizes, unpadded, majority, told] = &mut tallies;
        outsider.add(&settled, &evenly(orders.clone()), all);
        // It knows whose each coin is, and that is all: no more orders are impossible.
        peer.add(&settled, &evenly(orders.clone()), all);
        // Whoever shows its destination first stands first, or so it guesses where the chain does not speak against it.
        let weigh = |ranked: &[usize]| -> Vec<(Vec<usize>, f64)> {
            let fits = |order: &Vec<usize>| order.iter().zip(ranked).filter(|(one, other)| one == other).count();
            orders.iter().map(|order| (order.clone(), 1.0 + fits(order) as f64)).collect()
        };
        times.add(&settled, &weigh(&ranks(&settled, |input| settled.reveal(input).at)), all);
        // Or whoever has said most.
        let bytes = |input: usize| {
            let mine = settled.world.sightings.iter().filter(|seen| seen.from == settled.inputs[input]);
            mine.map(|seen| seen.bytes as u64).sum()
        };
        traffic.add(&settled, &weigh(&ranks(&settled, bytes)), all);
        sizes.add(&settled, &settled.by_size(&orders, |seen| seen.bytes), all);
        unpadded.add(&settled, &settled.by_size(&orders, |seen| seen.bytes - seen.padding), all);
        // Everybody is shown everybody's destination.
        let places = |person: &usize| settled.inputs.iter().position(|input| input == person).expect("it takes part");
        let truth: Vec<usize> = settled.outputs.iter().map(places).collect();
        majority.add(&settled, &evenly(vec![truth.clone()]), |person| person > 2);
        let known = |order: &&Vec<usize>| {
            let told = |place: usize| settled.inputs[place] < 2;
            order.iter().zip(&truth).all(|(one, other)| (one == other) || !told(*one) && !told(*other))
        };
        told_add(told, &settled, orders.iter().filter(known).cloned().collect());
    }
    let mut rows: Vec<String> = names.iter().zip(&tallies).map(|(name, tally)| tally.row(name)).collect();
    rows.push(with_cheats().row("an outsider with the chain, in pools with cheats who tell it their outputs"));
    let missing: Vec<&String> = rows.iter().filter(|row| !BOOK.lines().any(|line| line == row.as_str())).collect();
    assert!(missing.is_empty(), "the book lacks these rows:\n{}", rows.join("\n"));
}

fn told_add(tally: &mut Tally, settled: &Settled, orders: Vec<Vec<usize>>) {
    tally.add(settled, &evenly(orders), |person| person > 1);
}

/// Pools of three to seven drawn at random, as far as they come to a settlement.
fn with_cheats() -> Tally {
    let mut tally = Tally::default();
    for seed in 0..POOLS {
        let mut setting = Setting::drawn(seed);
        if setting.people.len() > 7 {
            continue;
        }
        (setting.alone, setting.reorganisations) = (None, 0);
        let mut world = World::new(setting);
        world.run();
        let Some(settled) = Settled::new(world) else { continue };
        let is_cheat = |person: usize| settled.world.people[person].behaviour != Behaviour::Honest;
        let places = |person: &usize| settled.inputs.iter().position(|input| input == person).expect("it takes part");
        let truth: Vec<usize> = settled.outputs.iter().map(places).collect();
        let known = |order: &Vec<usize>| {
            let told = |place: usize| is_cheat(settled.inputs[place]);
            order.iter().zip(&truth).all(|(one, other)| (one == other) || !told(*one) && !told(*other))
        };
        let orders = orders(settled.inputs.len()).into_iter().filter(known).collect();
        tally.add(&settled, &evenly(orders), |person| !is_cheat(person));
    }
    tally
}
