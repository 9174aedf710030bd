//! The transactions of a pool, which every participant computes by itself from the roster and the destinations.
//!
//! Owns deposits, setups, the settlement, and what takes a coin or a deposit back. Invariants: the settlement spends
//! the deposits of all and nothing else, and pays the denomination once to each destination; nobody is shown a
//! transaction to sign that it has not made itself. It is a pure function of what it is made of. [`Pool`](crate::Pool)
//! drives it.

use std::collections::BTreeSet;

use nelumbo_chain::build::{Coin, FeeRate, Payment, Recovery, Selection, Unlock, build};
use nelumbo_core::api::NewSession;
use nelumbo_core::approval::Unusual;
use nelumbo_core::crypto::lotus::{
    OutPoint, SighashCache, SighashType, Spend, Transaction, TxInput, TxOutput, Txid, key_path_script_sig,
};
use nelumbo_core::crypto::{KeyAggContext, PublicKey, Signature, Suite, Tweak, schnorr, tagged_hash};
use nelumbo_core::election::Method;
use nelumbo_core::single::{Single, SingleInput};
use nelumbo_core::wire::{Definition, Details, Item, SignedInput, SpendPath, Spending, Spent};

use crate::content::{Destination, Reason, Roster, coin_script};
use crate::terms::{Group, Terms, groups};

const SUITE: Suite = Suite::Lotus;

/// Who is out for what.
pub(crate) type Culprit = (Reason, BTreeSet<usize>);

/// What one key signs: a transaction with one input, and how that is spent.
#[derive(Clone, Debug)]
pub(crate) struct Alone {
    pub(crate) transaction: Transaction,
    spent: TxOutput,
    unlock: Unlock,
}

/// A participant's deposit.
#[derive(Clone, Debug)]
struct Deposit {
    setup: Alone,
    txid: Txid,
    /// The group's aggregate before its tweak.
    internal_key: PublicKey,
    recovery: Recovery,
    /// The key of the output.
    output_key: PublicKey,
    output: TxOutput,
}

/// Everything that is signed in a pool.
#[derive(Clone, Debug)]
pub struct Plan {
    terms: Terms,
    keys: Vec<PublicKey>,
    groups: Vec<Group>,
    deposits: Vec<Deposit>,
    settlement: Transaction,
    /// What the settlement's inputs spend, in their order.
    spent: Vec<TxOutput>,
    /// Which input of the settlement spends whose deposit, by place.
    inputs: Vec<usize>,
    /// What the groups sign, by place.
    digests: Vec<[u8; 32]>,
    txid: Txid,
}

impl Plan {
    /// The transactions of these participants.
    ///
    /// # Errors
    ///
    /// Whose destination or key makes none.
    pub(crate) fn new(terms: &Terms, roster: &Roster, destinations: &[Destination]) -> Result<Self, Culprit> {
        let registrations = &roster.registrations;
        let keys: Vec<PublicKey> = registrations.iter().map(|registration| registration.key).collect();
        check(terms, roster, destinations)?;
        let groups = groups(keys.len());
        let mut deposits: Vec<Option<Deposit>> = vec![None; keys.len()];
        for group in &groups {
            let members: Vec<PublicKey> = group.signers.iter().map(|place| keys[*place]).collect();
            let bad_keys = || (Reason::BadKeys, group.signers.iter().copied().collect());
            let internal_key = KeyAggContext::new(SUITE, &members).map_err(|_| bad_keys())?.challenge_key();
            for place in &group.depositors {
                let coin = registrations[*place].coin.into();
                let deposit = Deposit::new(terms, coin, keys[*place], internal_key);
                deposits[*place] = Some(deposit.ok_or_else(bad_keys)?);
            }
        }
        let deposits: Vec<Deposit> = deposits.into_iter().map(|each| each.expect("each is in a group")).collect();
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|place| deposits[*place].outpoint());
        let mut inputs = vec![0; keys.len()];
        order.iter().enumerate().for_each(|(input, place)| inputs[*place] = input);
        let receivers = cycle(&seed(terms, roster, destinations), keys.len());
        let pay = |receiver: &usize| TxOutput {
            value: terms.denomination,
            script_pubkey: destinations[order[*receiver]].script.clone(),
        };
        let settlement = Transaction {
            version: 2,
            inputs: order.iter().map(|place| input(deposits[*place].outpoint())).collect(),
            outputs: receivers.iter().map(pay).collect(),
            lock_time: 0,
        };
        let spent: Vec<TxOutput> = order.iter().map(|place| deposits[*place].output.clone()).collect();
        let cache = SighashCache::new(&settlement, &spent).expect("each input has what it spends");
        let kind = sighash_type(terms.replay_protection);
        let digest = |input: &usize| cache.sighash(*input, kind, Spend::KeyPath).expect("the amounts are small");
        let digests = inputs.iter().map(digest).collect();
        let txid = settlement.txid(SUITE);
        Ok(Self { terms: terms.clone(), keys, groups, deposits, settlement, spent, inputs, digests, txid })
    }

    /// Who signs together for which deposits.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// How many take part.
    #[must_use]
    pub fn participants(&self) -> usize {
        self.keys.len()
    }

    /// The settlement without its signatures. Its id is already what it will be.
    #[must_use]
    pub fn settlement(&self) -> &Transaction {
        &self.settlement
    }

    /// The settlement's id.
    #[must_use]
    pub fn settlement_txid(&self) -> Txid {
        self.txid
    }

    /// The id of a participant's setup.
    #[must_use]
    pub fn setup_txid(&self, place: usize) -> Txid {
        self.deposits[place].txid
    }

    /// Where a participant's deposit is.
    #[must_use]
    pub fn deposit(&self, place: usize) -> OutPoint {
        self.deposits[place].outpoint()
    }

    /// The session in which a group signs its inputs, as one list.
    pub(crate) fn session(&self, group: usize) -> NewSession {
        let pool = self.terms.id();
        let description =
            format!("{}{pool} {group}", DESCRIPTION).parse().expect("short, and without control characters");
        let spent = |output: &TxOutput| Spent { value: output.value, script: output.script_pubkey.clone() };
        let spending = Spending {
            transaction: self.settlement.to_bytes(),
            spent: self.spent.iter().map(spent).collect(),
            replay_protection: self.terms.replay_protection,
        };
        NewSession {
            suite: SUITE,
            keys: self.groups[group].signers.iter().map(|place| self.keys[*place]).collect(),
            items: self.items(group),
            details: Details { kind: None, description, spending: Some(Box::new(spending)) },
            is_listed: false,
            election: Method::Lexicographic,
            allow: allowed(),
            lifetime: None,
        }
    }

    fn items(&self, group: usize) -> Vec<Item> {
        let mut places = self.groups[group].depositors.clone();
        places.sort_by_key(|place| self.inputs[*place]);
        let item = |place: usize| {
            let input = u32::try_from(self.inputs[place]).expect("a few inputs");
            let signed = SignedInput { input, sighash_type: SighashType::ALL.to_byte(), path: SpendPath::Key };
            let merkle_root = Some(self.deposits[place].recovery.merkle_root());
            Item::input(signed, Tweak::Taproot { merkle_root })
        };
        places.into_iter().map(item).collect()
    }

    /// Which group's session somebody asks for, if it is one of these to the letter.
    pub(crate) fn group_of(&self, definition: &Definition) -> Option<usize> {
        (0..self.groups.len()).find(|group| {
            let own = self.session(*group);
            let mut keys = own.keys;
            keys.sort_unstable();
            definition.network == self.terms.network
                && definition.suite == own.suite
                && definition.keys == keys
                && definition.items == own.items
                && definition.details == own.details
        })
    }

    /// Whether these are the signatures of a group over its inputs, in the order of its session's items.
    pub(crate) fn is_signed_by_group(&self, group: usize, signatures: &[Signature]) -> bool {
        let Some(places) = self.groups.get(group).map(|group| &group.depositors) else { return false };
        let mut places = places.clone();
        places.sort_by_key(|place| self.inputs[*place]);
        let is_signed = |(place, signature): (&usize, &Signature)| {
            schnorr::verify(SUITE, &self.deposits[*place].output_key, &self.digests[*place], signature)
        };
        signatures.len() == places.len() && places.iter().zip(signatures).all(is_signed)
    }

    /// Whether a participant has signed its setup.
    pub(crate) fn is_signed_setup(&self, place: usize, signature: &Signature) -> bool {
        let Some(deposit) = self.deposits.get(place) else { return false };
        let digest = deposit.setup.digest(self.terms.replay_protection);
        schnorr::verify(SUITE, &self.keys[place], &digest, signature)
    }

    /// A setup, to be signed by its participant.
    pub(crate) fn setup(&self, place: usize) -> Single {
        self.deposits[place].setup.single(&self.terms, self.terms.replay_protection)
    }

    /// A setup that was signed.
    pub(crate) fn signed_setup(&self, place: usize, signature: &Signature) -> Vec<u8> {
        self.deposits[place].setup.signed(signature)
    }

    /// The settlement that all groups have signed, each in the order of its session's items.
    pub(crate) fn signed_settlement<'a>(&self, signatures: impl Iterator<Item = &'a [Signature]>) -> Vec<u8> {
        let mut settlement = self.settlement.clone();
        for (group, signatures) in self.groups.iter().zip(signatures) {
            let mut inputs: Vec<usize> = group.depositors.iter().map(|place| self.inputs[*place]).collect();
            inputs.sort_unstable();
            for (input, signature) in inputs.into_iter().zip(signatures) {
                settlement.inputs[input].script_sig = key_path_script_sig(signature, SighashType::ALL).to_vec();
            }
        }
        settlement.to_bytes()
    }

    /// What takes a participant's deposit back after the delay.
    pub(crate) fn reclaim(&self, place: usize) -> Alone {
        let deposit = &self.deposits[place];
        let unlock = Unlock::Recovery { recovery: deposit.recovery, internal_key: deposit.internal_key };
        let coin = Coin { outpoint: deposit.outpoint(), output: deposit.output.clone(), unlock };
        Alone::back(&self.terms, coin, &self.keys[place])
    }
}

/// How the description of a pool's session begins; the pool's id and the number of the group follow.
pub(crate) const DESCRIPTION: &str = "swapsig ";

/// What is unusual about a pool's transactions by intention: they run scripts, and may pay one of the signers.
pub(crate) fn allowed() -> BTreeSet<Unusual> {
    [Unusual::PaysSigner, Unusual::ScriptPath].into()
}

fn sighash_type(replay_protection: bool) -> SighashType {
    if replay_protection { SighashType::ALL.with_replay_protection() } else { SighashType::ALL }
}

const fn input(outpoint: OutPoint) -> TxInput {
    TxInput { outpoint, script_sig: Vec::new(), sequence: u32::MAX }
}

/// Whose destination is not what was committed to, cannot be paid, or is another's too.
fn check(terms: &Terms, roster: &Roster, destinations: &[Destination]) -> Result<(), Culprit> {
    let pool = terms.id();
    let is_bad = |place: &usize| {
        let (own, registration) = (&destinations[*place], &roster.registrations[*place]);
        let is_shared = || destinations.iter().filter(|other| other.script == own.script).count() > 1;
        own.commitment(&pool, &registration.key) != registration.commitment || !own.is_standard() || is_shared()
    };
    let bad: BTreeSet<usize> = (0..destinations.len()).filter(is_bad).collect();
    if bad.is_empty() { Ok(()) } else { Err((Reason::BadDestination, bad)) }
}

/// What nobody has chosen: everybody had committed to its salt before it saw another's.
fn seed(terms: &Terms, roster: &Roster, destinations: &[Destination]) -> [u8; 32] {
    let salts: Vec<u8> = destinations.iter().flat_map(|destination| destination.salt).collect();
    tagged_hash("swapsig/order", &[&terms.id().0, &roster.hash(), &salts])
}

/// For each output of the settlement, whose it is by the place of an input: one cycle through all, so that no output
/// stands opposite the input of its receiver (S. Sattolo, "An algorithm to generate a random cyclic permutation").
fn cycle(seed: &[u8; 32], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let hash = tagged_hash("swapsig/draw", &[seed, &(last as u64).to_be_bytes()]);
        let drawn = u64::from_be_bytes(hash[..8].try_into().expect("eight bytes"));
        places.swap(last, (drawn % last as u64) as usize);
    }
    places
}

impl Deposit {
    fn new(terms: &Terms, coin: OutPoint, key: PublicKey, internal_key: PublicKey) -> Option<Self> {
        let recovery = Recovery { delay: terms.blocks(), key };
        let output = recovery.output(&internal_key).ok()?;
        let output_key = output.commitment;
        let output = TxOutput { value: terms.deposit(), script_pubkey: output.script_pubkey() };
        let transaction =
            Transaction { version: 2, inputs: vec![input(coin)], outputs: vec![output.clone()], lock_time: 0 };
        let txid = transaction.txid(SUITE);
        let spent = TxOutput { value: terms.coin(), script_pubkey: coin_script(&key) };
        let setup = Alone { transaction, spent, unlock: Unlock::PublicKeyHash(key) };
        Some(Self { setup, txid, internal_key, recovery, output_key, output })
    }

    const fn outpoint(&self) -> OutPoint {
        OutPoint { txid: self.txid, index: 0 }
    }
}

/// What takes a coin back that somebody else could still put into the pool.
pub(crate) fn cancellation(terms: &Terms, coin: OutPoint, key: &PublicKey) -> Alone {
    let output = TxOutput { value: terms.coin(), script_pubkey: coin_script(key) };
    Alone::back(terms, Coin { outpoint: coin, output, unlock: Unlock::PublicKeyHash(*key) }, key)
}

impl Alone {
    /// Pays a coin, less the fee, to the key that spends it.
    fn back(terms: &Terms, coin: Coin, key: &PublicKey) -> Self {
        let payment = Payment {
            fee_rate: FeeRate::per_kilobyte(terms.fee_rate.into()),
            selection: Selection::All,
            ..Payment::new(Vec::new(), coin_script(key))
        };
        let mut built = build(&[coin], &payment).expect("terms that were checked leave more than a fee");
        Self { transaction: built.transaction, spent: built.spent.remove(0), unlock: built.unlocks.remove(0) }
    }

    fn digest(&self, replay_protection: bool) -> [u8; 32] {
        let spent = std::slice::from_ref(&self.spent);
        let cache = SighashCache::new(&self.transaction, spent).expect("there is one input");
        let spend = self.unlock.spend(&self.spent.script_pubkey);
        cache.sighash(0, sighash_type(replay_protection), spend).expect("the amount is small")
    }

    /// As a node's key signs it.
    pub(crate) fn single(&self, terms: &Terms, replay_protection: bool) -> Single {
        let path = match self.unlock.spend(&self.spent.script_pubkey) {
            Spend::KeyPath => SpendPath::Key,
            Spend::Script { executed_script_hash, code_separator } => {
                SpendPath::Script { executed_script_hash, code_separator }
            }
        };
        Single::Input(Box::new(SingleInput {
            network: terms.network,
            suite: SUITE,
            spending: Spending {
                transaction: self.transaction.to_bytes(),
                spent: vec![Spent { value: self.spent.value, script: self.spent.script_pubkey.clone() }],
                replay_protection,
            },
            input: SignedInput { input: 0, sighash_type: SighashType::ALL.to_byte(), path },
            tweak: Tweak::None,
        }))
    }

    pub(crate) fn signed(&self, signature: &Signature) -> Vec<u8> {
        let mut transaction = self.transaction.clone();
        transaction.inputs[0].script_sig = self.unlock.script_sig(signature);
        transaction.to_bytes()
    }

    pub(crate) fn txid(&self) -> Txid {
        self.transaction.txid(SUITE)
    }
}

#[cfg(test)]
mod tests {
    use nelumbo_core::crypto::lotus::p2pkh_script;

    use super::*;
    use crate::content::{Place, Registration};

    /// Three with these scripts; a salt of zeros is another one than was committed to.
    fn checked(scripts: [&[u8]; 3], salts: [u8; 3]) -> Result<(), Culprit> {
        let key = |number: u8| nelumbo_core::crypto::SecretKey::from_bytes(&[number; 32]).expect("a key").public_key();
        let terms = Terms::new(nelumbo_core::crypto::Network::Regtest, key(1), 100_000, 3, [0; 32]);
        let shown = |number: usize, salt: u8| Destination { salt: [salt; 32], script: scripts[number].to_vec() };
        let register = |(number, place): (u8, usize)| Registration {
            key: key(number),
            coin: Place { txid: [number; 32], index: 0 },
            commitment: shown(place, number).commitment(&terms.id(), &key(number)),
            proof: Signature::from_bytes([1; 64]),
        };
        let registrations = (1..).zip(0..3).map(register).collect();
        let roster = Roster { registrations, signature: Signature::from_bytes([1; 64]) };
        let destinations: Vec<Destination> = (0..3).map(|place| shown(place, salts[place])).collect();
        check(&terms, &roster, &destinations)
    }

    #[test]
    fn destinations_are_those_committed_to_payable_and_each_s_own() {
        let script = |number| p2pkh_script(&[number; 20]).to_vec();
        let (one, two, three) = (script(1), script(2), script(3));
        let bad = |places: &[usize]| Err((Reason::BadDestination, places.iter().copied().collect()));
        assert_eq!(checked([&one, &two, &three], [1, 2, 3]), Ok(()));
        assert_eq!(checked([&one, &two, &three], [1, 0, 3]), bad(&[1]));
        assert_eq!(checked([&one, &[0x51], &three], [1, 2, 3]), bad(&[1]));
        assert_eq!(checked([&one, &two, &one], [1, 2, 3]), bad(&[0, 2]));
    }

    #[test]
    fn every_salt_changes_the_order_s_seed() {
        let key = nelumbo_core::crypto::SecretKey::from_bytes(&[1; 32]).expect("a key").public_key();
        let terms = Terms::new(nelumbo_core::crypto::Network::Regtest, key, 100_000, 3, [0; 32]);
        let roster = Roster { registrations: Vec::new(), signature: Signature::from_bytes([1; 64]) };
        let salted = |salts: [u8; 3]| {
            let shown: Vec<Destination> =
                salts.iter().map(|salt| Destination { salt: [*salt; 32], script: Vec::new() }).collect();
            seed(&terms, &roster, &shown)
        };
        let seeds = [[1, 2, 3], [0, 2, 3], [1, 0, 3], [1, 2, 0]].map(salted);
        assert_eq!(seeds.into_iter().collect::<BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn no_output_stands_opposite_its_receiver_and_each_has_one() {
        for count in 3..=10 {
            let mut seen = BTreeSet::new();
            for number in 0..200u8 {
                let places = cycle(&[number; 32], count);
                assert!(places.iter().enumerate().all(|(output, receiver)| output != *receiver), "{places:?}");
                assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), count);
                seen.insert(places);
            }
            assert!(seen.len() > if count == 3 { 1 } else { 5 }, "{count}: {} orders", seen.len());
        }
    }
}
