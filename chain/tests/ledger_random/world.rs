//! A ledger with many owners, and transactions among them that are drawn at random.
//!
//! Owns who can spend what. Invariant: what [`World::draft`] makes is valid once it is signed.

use nelumbo_chain::build::{Delay, burn_script};
use nelumbo_chain::ledger::{Event, Happening, Ledger, Orphans, Rules};
use nelumbo_crypto::Suite;
use nelumbo_crypto::lotus::{OutPoint, Transaction, TxOutput};

use crate::support::{NOW, Owned, Owner, Style, Way, unsigned};

/// SplitMix64 (Steele, Lea, Flood, 2014).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        (!list.is_empty()).then(|| &list[self.below(list.len())])
    }
}

/// The ledger, and who owns what on it.
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) random: Random,
    /// Everything that an owner ever got.
    pub(crate) coins: Vec<Owned>,
    pub(crate) time: i64,
    owners: u64,
    /// The height that the events tell of.
    told: i64,
    newest: Vec<Owner>,
}

/// A transaction before it is signed, and what it spends.
pub(crate) struct Draft {
    pub(crate) transaction: Transaction,
    pub(crate) coins: Vec<Owned>,
}

impl Draft {
    pub(crate) fn spent(&self) -> Vec<TxOutput> {
        self.coins.iter().map(|coin| coin.output.clone()).collect()
    }

    /// Signs all inputs over everything, in the way that each owner's output wants.
    pub(crate) fn sign(&mut self, replay_protected: bool) {
        for input in 0..self.coins.len() {
            self.sign_input(input, Style { hash_type: 0x61, replay_protected });
        }
    }

    pub(crate) fn sign_input(&mut self, input: usize, style: Style) {
        let script = self.coins[input].owner.unlock(&self.transaction, &self.spent(), input, style);
        self.transaction.inputs[input].script_sig = script;
    }

    /// Leaves so much to the miner, whatever the size.
    pub(crate) fn set_fee(&mut self, fee: u64) {
        let total: u64 = self.coins.iter().map(|coin| coin.output.value).sum();
        let others: u64 = self.transaction.outputs.iter().skip(1).map(|output| output.value).sum();
        self.transaction.outputs[0].value = total - others - fee;
    }
}

/// What every draft leaves to the miner at least: more than any size that a case adds.
pub(crate) const FEE: u64 = 3_000;

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let rules = Rules { replay_protection: Some(NOW + 40_000), ..Rules::default() };
        let mut ledger = Ledger::new(rules);
        ledger.mine(120, &Ledger::faucet_script(), NOW).expect("blocks");
        let mut world =
            Self { ledger, random: Random(seed), coins: Vec::new(), time: NOW, owners: 0, told: 0, newest: Vec::new() };
        for _ in 0..60 {
            let owner = world.owner();
            let value = 3_000_000 + world.random.next() % 30_000_000;
            let txid = world.ledger.fund(&owner.script(), value, world.time).expect("the faucet has coins");
            world.coins.push(Owned { outpoint: OutPoint { txid, index: 0 }, output: owner.output(value), owner });
        }
        world
    }

    /// Somebody new.
    pub(crate) fn owner(&mut self) -> Owner {
        self.owners += 1;
        let way = match self.random.below(6) {
            0 => Way::SchnorrHash,
            1 => Way::EcdsaHash,
            2 => Way::Leaf(Delay::Blocks(1 + self.random.below(20) as u16)),
            3 => Way::Leaf(Delay::Intervals(self.random.below(3) as u16)),
            4 => Way::KeyPath { state: true },
            _ => Way::KeyPath { state: false },
        };
        let owner = Owner { number: self.owners, way };
        self.newest.push(owner);
        owner
    }

    /// The last ones, among them all of the last draft.
    pub(crate) fn newest_owners(&self) -> Vec<Owner> {
        self.newest.clone()
    }

    /// The coins that can be spent in the next block and satisfy a condition.
    pub(crate) fn ripe(&self, wanted: impl Fn(&Owned) -> bool) -> Vec<Owned> {
        let is_free = |coin: &&Owned| self.ledger.spender(&coin.outpoint).is_none();
        self.coins.iter().filter(is_free).filter(|coin| self.is_ripe(coin) && wanted(coin)).cloned().collect()
    }

    /// BIP68 and the maturity of coinbases, a second time.
    pub(crate) fn is_ripe(&self, coin: &Owned) -> bool {
        let Some(located) = self.ledger.transaction(&coin.outpoint.txid) else { return false };
        let next = self.ledger.height() + 1;
        let height = located.height.unwrap_or(next);
        if located.is_coinbase && next - height < 100 {
            return false;
        }
        match coin.owner.way {
            Way::Leaf(Delay::Blocks(blocks)) => height + u32::from(blocks) <= next,
            Way::Leaf(Delay::Intervals(intervals)) => {
                let since = self.ledger.median_time(height - 1);
                self.ledger.median_time(self.ledger.height()) - since >= 512 * i64::from(intervals)
            }
            _ => true,
        }
    }

    /// A payment of some of these coins, the first one certainly, to some new owners.
    pub(crate) fn draft(&mut self, from: &[Owned]) -> Option<Draft> {
        self.newest.clear();
        let mut coins = vec![self.random.pick(from)?.clone()];
        let more = self.ripe(|coin| coin.outpoint != coins[0].outpoint);
        for _ in 0..self.random.below(3) {
            if let Some(coin) = self.random.pick(&more)
                && !coins.contains(coin)
            {
                coins.push(coin.clone());
            }
        }
        let total: u64 = coins.iter().map(|coin| coin.output.value).sum();
        let mut left = total.checked_sub(FEE + 1_000)?;
        let mut outputs = vec![self.owner().output(0)];
        for _ in 0..self.random.below(4) {
            let value = 700 + self.random.next() % (left / 2 + 1);
            if value + 700 < left {
                left -= value;
                outputs.push(self.owner().output(value));
            }
        }
        if self.random.below(5) == 0 && left > 1_500 {
            let script_pubkey = burn_script(self.owner().public_key().as_bytes());
            outputs.push(TxOutput { value: self.random.next() % 500, script_pubkey });
        }
        let borrowed: Vec<&Owned> = coins.iter().collect();
        let transaction = unsigned(&borrowed, outputs);
        let mut draft = Draft { transaction, coins };
        draft.set_fee(FEE);
        if self.random.below(4) == 0 {
            draft.transaction.lock_time = 1 + self.random.below(self.ledger.height() as usize) as u32;
            draft.transaction.inputs.iter_mut().for_each(|input| input.sequence = input.sequence.min(u32::MAX - 1));
        }
        Some(draft)
    }

    /// Sends what is valid, and notes who owns its outputs.
    pub(crate) fn send(&mut self, draft: &Draft, owners: &[Owner]) -> Result<(), String> {
        let sent = self.ledger.submit(&draft.transaction.to_bytes(), self.time);
        let txid = sent.map_err(|reject| reject.to_string())?;
        assert_eq!(txid, draft.transaction.txid(Suite::Lotus));
        for (output, index) in draft.transaction.outputs.iter().zip(0..) {
            let owner = owners.iter().find(|owner| owner.script() == output.script_pubkey);
            let owned =
                |owner: &Owner| Owned { outpoint: OutPoint { txid, index }, output: output.clone(), owner: *owner };
            self.coins.extend(owner.map(owned));
        }
        Ok(())
    }

    /// A minute passes, and somebody mines.
    pub(crate) fn mine(&mut self) {
        self.time += 60;
        let owner = self.owner();
        self.ledger.mine(1, &owner.script(), self.time).expect("a block");
        let coinbase = &self.ledger.tip().transactions[0];
        let outpoint = OutPoint { txid: coinbase.txid(Suite::Lotus), index: 1 };
        let coin = Owned { outpoint, output: coinbase.outputs[1].clone(), owner };
        self.coins.push(coin);
        // Of what was spent, some is kept to be spent again.
        let ledger = &self.ledger;
        let surplus = self.coins.len().saturating_sub(300);
        let mut number = 0;
        self.coins.retain(|coin| {
            number += 1;
            number > surplus || ledger.spender(&coin.outpoint).is_none()
        });
        if self.coins.len() > 400 {
            self.coins.drain(..100);
        }
    }

    /// The last blocks are replaced.
    pub(crate) fn reorganise(&mut self) {
        let orphans = [Orphans::Remined, Orphans::Pending, Orphans::Dropped][self.random.below(3)];
        let depth = 1 + self.random.below(6) as u32;
        self.ledger.reorganise(depth, orphans, &Ledger::faucet_script(), self.time).expect("not so deep");
        // What is gone is owned by nobody.
        let ledger = &self.ledger;
        self.coins.retain(|coin| ledger.transaction(&coin.outpoint.txid).is_some());
    }

    /// What all blocks created, less what was burned, is what there is; and everybody is told what they can see.
    pub(crate) fn check(&mut self) {
        let ledger = &self.ledger;
        let (mut created, mut burned) = (0, 0);
        for height in 1..=ledger.height() {
            let block = ledger.block(height).expect("a block below the tip");
            created += 260_000_000;
            let value = |outputs: &[TxOutput]| outputs.iter().map(|output| output.value).sum::<u64>();
            let located = block.txids.iter().map(|txid| ledger.transaction(txid).expect("of the chain"));
            let fees: u64 = located
                .skip(1)
                .map(|located| {
                    let spent: u64 = located.spent.iter().map(|output| output.value).sum();
                    spent - value(&located.transaction.outputs)
                })
                .sum();
            assert_eq!(value(&block.transactions[0].outputs), 260_000_000 + fees / 2, "half of the fees");
            burned += fees - fees / 2;
            let outputs = block.transactions.iter().flat_map(|transaction| &transaction.outputs);
            burned += outputs.filter(|output| output.script_pubkey[0] == 0x6a).map(|output| output.value).sum::<u64>();
        }
        assert_eq!(ledger.money(), created - burned);
        for coin in &self.coins {
            let script = &nelumbo_chain::ScriptPayload::of(&coin.output.script_pubkey)[0];
            let is_listed = ledger.unspent(script).any(|unspent| unspent.outpoint == coin.outpoint);
            let exists = ledger.transaction(&coin.outpoint.txid).is_some();
            assert_eq!(is_listed, exists && ledger.spender(&coin.outpoint).is_none());
        }
        // What subscribers heard of blocks leads to the tip.
        let mut balance = 0;
        for event in self.ledger.take_events() {
            match event {
                Event::Connected(_) => balance += 1,
                Event::Disconnected(_) => balance -= 1,
                Event::Transaction { happening: Happening::Confirmed | Happening::Reorganised, scripts, .. } => {
                    assert!(!scripts.is_empty(), "every transaction concerns somebody");
                }
                Event::Transaction { .. } => {}
            }
        }
        self.told += balance;
        assert_eq!(self.told, i64::from(self.ledger.height()));
    }
}
