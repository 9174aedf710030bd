//! Pools of simulated people on a ledger of their own, in virtual time, from one seed.
//!
//! Owns the network between them, the chain, the sessions in which groups sign, and who behaves how. Signatures are
//! real, and so is what judges transactions; a session is what a session of the core promises: it signs when all of its
//! signers have approved, and never otherwise. Invariant: the same plan gives the same run. Tests, demonstrations
//! and measurements drive it, and [`audit`](World::audit) says what is wrong.

mod audit;
mod behaviour;
mod draw;
mod person;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

use nelumbo_chain::build::{Coin, Payment, Unlock, build};
use nelumbo_chain::ledger::{Ledger, Orphans, Rules};
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::lotus::{OutPoint, TxOutput, Txid, p2pkh_script, p2sh_script};
use nelumbo_core::crypto::{Network, PublicKey, SecretKey, Suite, schnorr, sha256};
use nelumbo_core::wire::{Definition, SessionId};
use nelumbo_simulator::Random;

use crate::content::{Content, Destination, Place, burn_script, coin_script};
use crate::{Input, MAX_PARTICIPANTS, Terms};

pub use audit::{Fate, Tally};
pub use behaviour::Behaviour;
pub use person::{Crash, Person};
use session::Session;

/// When the world begins, in seconds: after Taproot, before replay protection.
const BEGIN: i64 = 1_780_000_000;
/// Seconds between blocks.
const BLOCK: u64 = 120;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// How each of them behaves; the first is the creator.
    pub people: Vec<Behaviour>,
    /// How many messages of a million are lost.
    pub loss: u32,
    /// How long a message takes at most, in milliseconds.
    pub latency: u64,
    /// How many blocks of a million are followed by a reorganisation of one to three.
    pub reorganisations: u32,
    /// Who crashes at which of its acts, and comes back twenty seconds later.
    pub crashes: Vec<Crash>,
    /// Who vanishes for good before which of its acts.
    pub vanish: Vec<Crash>,
    /// From this second on nodes take replay-protected signatures only, and what was signed before is void.
    pub replay_protection: Option<u64>,
    /// From this second on everybody but this one is gone.
    pub alone: Option<(u64, usize)>,
}

impl Setting {
    /// So many honest people on a network that loses nothing.
    #[must_use]
    pub fn calm(seed: u64, people: usize) -> Self {
        Self {
            seed,
            people: vec![Behaviour::Honest; people],
            loss: 0,
            latency: 200,
            reorganisations: 0,
            crashes: Vec::new(),
            vanish: Vec::new(),
            replay_protection: None,
            alone: None,
        }
    }
}

/// Something on its way.
#[derive(Clone, Debug)]
enum Parcel {
    Said(PublicKey, Content),
    Announced(SessionId),
    Completed(SessionId),
    Ended(SessionId),
}

/// A message as it is seen by somebody who passes it on and cannot read it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// When it was sent, in milliseconds.
    pub at: u64,
    /// Who has sent it.
    pub from: usize,
    /// To whom.
    pub to: PublicKey,
    /// How large it is.
    pub bytes: usize,
    /// How much of that hides the kinds of destinations.
    pub padding: usize,
}

/// People, a chain, and what is between them.
#[derive(Debug)]
pub struct World {
    /// The chain.
    pub ledger: Ledger,
    /// The people.
    pub people: Vec<Person>,
    /// The terms of their pool.
    pub terms: Terms,
    setting: Setting,
    /// Milliseconds since it began.
    now: u64,
    random: Random,
    parcels: BTreeMap<(u64, u64), (usize, Parcel)>,
    count: u64,
    sessions: BTreeMap<SessionId, Session>,
    next_block: u64,
    /// When the settlement was seen first by somebody honest.
    pub settled_at: Option<u64>,
    /// Messages that were sent, and their bytes.
    pub sent: (u64, u64),
    /// What somebody sees who passes messages on and cannot read them.
    pub sightings: Vec<Sighting>,
    /// What was refused by the ledger for its script: nobody honest sends such a thing.
    pub broken: Vec<String>,
}

fn secret(number: usize) -> SecretKey {
    SecretKey::from_bytes(&sha256(&[b"pool person", &number.to_le_bytes()])).expect("below the order")
}

impl World {
    /// People with their coins in blocks, who are about to enter one pool.
    ///
    /// # Panics
    ///
    /// With fewer people than a pool has, or more than a ledger is made for.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let creator = secret(0).public_key();
        let participants = u8::try_from(setting.people.len()).expect("a few people");
        let mut terms =
            Terms::new(Network::Regtest, creator, 100_000, participants, sha256(&[&setting.seed.to_le_bytes()]));
        terms.delay = 20;
        terms.created_at = Wall::from_millis(u64::try_from(BEGIN).expect("after 1970") * 1_000);
        terms.check().expect("sound terms");
        let (ledger, coins) = match setting.replay_protection {
            None => {
                static FUNDED: OnceLock<(Ledger, Vec<Place>)> = OnceLock::new();
                FUNDED.get_or_init(|| funded(&terms, Rules::default())).clone()
            }
            Some(second) => {
                let from = BEGIN + i64::try_from(second).expect("a short run");
                funded(&terms, Rules { replay_protection: Some(from), ..Rules::default() })
            }
        };
        let random = Random::stream(setting.seed, "pool", 0);
        let mut world = Self {
            ledger,
            people: Vec::new(),
            terms,
            now: 0,
            random,
            parcels: BTreeMap::new(),
            count: 0,
            sessions: BTreeMap::new(),
            next_block: BLOCK * 1_000,
            settled_at: None,
            sent: (0, 0),
            sightings: Vec::new(),
            broken: Vec::new(),
            setting,
        };
        for (number, coin) in coins.into_iter().take(world.setting.people.len()).enumerate() {
            // Some are paid to hashes of scripts: what kind a destination has is seen on the chain.
            let hash = sha256(&[b"to", &number.to_le_bytes()])[..20].try_into().expect("20 bytes");
            let script = if number % 2 == 0 { p2pkh_script(&hash).to_vec() } else { p2sh_script(&hash).to_vec() };
            let destination = Destination { salt: world.random.bytes32(), script };
            let behaviour = world.setting.people[number];
            let mut person = Person::new(secret(number), behaviour, &world.terms, coin, destination);
            let crashes = world.setting.crashes.iter().filter(|crash| crash.person == number);
            person.crashes = crashes.map(|crash| crash.act).collect();
            person.vanishes = world.setting.vanish.iter().find(|each| each.person == number).map(|each| each.act);
            world.people.push(person);
        }
        world
    }

    /// The time of people's clocks.
    fn wall(&self) -> Wall {
        Wall::from_millis(self.terms.created_at.as_millis() + self.now)
    }

    /// The time of blocks.
    fn seconds(&self) -> i64 {
        BEGIN + i64::try_from(self.now / 1_000).expect("a short run")
    }

    /// How many milliseconds have passed.
    #[must_use]
    pub const fn elapsed(&self) -> u64 {
        self.now
    }

    /// Lets time pass until everybody who is still there has ended, or nothing can end any more.
    pub fn run(&mut self) {
        self.run_until(|_| Ok(())).expect("nothing is looked at");
    }

    /// The same, and looks at it at every step.
    ///
    /// # Errors
    ///
    /// What [`Self::check`] finds.
    pub fn run_checked(&mut self) -> Result<(), String> {
        self.run_until(Self::check)
    }

    fn run_until(&mut self, look: fn(&mut Self) -> Result<(), String>) -> Result<(), String> {
        // The delay, the depth at which a pool is over, and twice that for reorganisations and bad luck.
        let end = (7_200 + BLOCK * 3 * u64::from(u32::from(self.terms.delay) + crate::FINAL)) * 1_000;
        while self.now < end && self.people.iter().any(Person::is_busy) {
            self.step();
            look(self)?;
        }
        Ok(())
    }

    /// The keys of the participants by their places, once somebody knows them.
    #[must_use]
    pub fn roster(&self) -> Vec<PublicKey> {
        self.people.iter().filter_map(|person| person.pool.as_ref()).map(crate::Pool::keys).max().unwrap_or_default()
    }

    /// The sessions that were asked for.
    #[must_use]
    pub fn sessions(&self) -> Vec<Definition> {
        self.sessions.values().map(|session| session.definition.clone()).collect()
    }

    /// Somebody's person wants to leave.
    pub fn leave(&mut self, number: usize) {
        self.people[number].has_left = true;
        self.tell(number, Input::Leave);
    }

    /// Lets ten seconds pass; two minutes when only blocks matter any more; twenty when nothing is open.
    pub fn step(&mut self) {
        let is_late = self.wall() > self.terms.cancelled_from();
        let is_settled = self.people.iter().all(|person| !person.is_busy() || person.waits_for_burial());
        let seconds = if is_late && is_settled {
            BLOCK * 10
        } else if is_late {
            BLOCK
        } else {
            10
        };
        let until = self.now + seconds * 1_000;
        for number in 0..self.people.len() {
            self.wake(number);
        }
        while let Some(((at, _), (to, parcel))) = self.parcels.pop_first() {
            if at >= until {
                self.count += 1;
                self.parcels.insert((at, self.count), (to, parcel));
                break;
            }
            self.now = self.now.max(at);
            self.deliver(to, parcel);
        }
        self.now = until;
        while self.next_block <= self.now {
            self.next_block += BLOCK * 1_000;
            self.mine();
        }
    }

    fn mine(&mut self) {
        let (script, seconds) = (Ledger::faucet_script(), self.seconds());
        self.ledger.mine(1, &script, seconds).expect("a block");
        if self.random.chance(self.setting.reorganisations) {
            let depth = u32::try_from(self.random.within(1, 3)).expect("small");
            let orphans = [Orphans::Remined, Orphans::Pending, Orphans::Dropped][self.random.below(3) as usize];
            self.ledger.reorganise(depth, orphans, &script, seconds).expect("the chain is longer");
        }
        drop(self.ledger.take_events());
    }

    /// Time passes for somebody.
    fn wake(&mut self, number: usize) {
        if let Some((second, alone)) = self.setting.alone
            && self.now >= second * 1_000
            && number != alone
        {
            self.people[number].is_gone = true;
        }
        let restarts = self.people[number].restarts_at.is_some_and(|at| at <= self.now);
        if restarts {
            self.people[number].restart();
            let own = self.people[number].key;
            let there = |session: &&Session| session.signatures.is_some() && session.keys().contains(&own);
            let missed: Vec<SessionId> = self.sessions.values().filter(there).map(|session| session.id).collect();
            missed.into_iter().for_each(|session| self.post(number, 100, Parcel::Completed(session)));
        }
        self.remind(number);
        self.tell(number, Input::Tick);
        self.misbehave(number);
    }

    /// Sessions are announced again to those who have said nothing.
    fn remind(&mut self, number: usize) {
        let own = self.people[number].key;
        let open = self.sessions.values().filter(|session| session.waits_for(&own));
        let open: Vec<SessionId> = open.map(|session| session.id).collect();
        open.into_iter().for_each(|session| self.post(number, 100, Parcel::Announced(session)));
    }

    fn post(&mut self, to: usize, after: u64, parcel: Parcel) {
        self.count += 1;
        self.parcels.insert((self.now + after, self.count), (to, parcel));
    }

    /// A message, which may be lost.
    fn send(&mut self, from: usize, to: &PublicKey, content: Content) {
        let bytes = crate::content::Message { pool: self.terms.id(), content: content.clone() }.to_bytes().len();
        self.sent = (self.sent.0 + 1, self.sent.1 + bytes as u64);
        let padding = if let Content::Items(items) = &content { items.padded() } else { 0 };
        self.sightings.push(Sighting { at: self.now, from, to: *to, bytes, padding });
        let Some(to) = self.people.iter().position(|person| person.key == *to) else { return };
        if !self.random.chance(self.setting.loss) {
            let after = self.random.within(1, self.setting.latency);
            let from = self.people[from].key;
            self.post(to, after, Parcel::Said(from, content));
        }
    }

    fn deliver(&mut self, to: usize, parcel: Parcel) {
        let input = match parcel {
            Parcel::Said(from, content) => Input::Message(from, content),
            Parcel::Announced(session) => match self.sessions.get(&session) {
                Some(found) if found.waits_for(&self.people[to].key) => {
                    Input::Announced(session, Box::new(found.definition.clone()))
                }
                _ => return,
            },
            Parcel::Completed(session) => {
                let signatures = self.sessions.get(&session).and_then(|found| found.signatures.clone());
                Input::Completed(session, signatures.expect("it was completed"))
            }
            Parcel::Ended(session) => Input::Ended(session),
        };
        self.tell(to, input);
    }

    /// Somebody is told something, and does what its pool wants.
    fn tell(&mut self, number: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.wall();
            let Some(effects) = self.people[number].handle(now, input) else { return };
            for effect in effects {
                if !self.people[number].may_act(self.now) {
                    return;
                }
                inputs.extend(self.act(number, effect));
            }
        }
    }
}

/// A chain on which as many have coins as can be in a pool.
fn funded(terms: &Terms, rules: Rules) -> (Ledger, Vec<Place>) {
    let mut ledger = Ledger::new(rules);
    ledger.mine(120, &Ledger::faucet_script(), BEGIN).expect("blocks");
    let coins = (0..MAX_PARTICIPANTS).map(|number| coin(&mut ledger, terms, number)).collect();
    ledger.mine(6, &Ledger::faucet_script(), BEGIN).expect("blocks");
    drop(ledger.take_events());
    (ledger, coins)
}

/// The coin with which somebody registers, and beside it its burn.
fn coin(ledger: &mut Ledger, terms: &Terms, number: usize) -> Place {
    let key = secret(number);
    let own = coin_script(&key.public_key());
    let outputs = vec![
        TxOutput { value: terms.coin(), script_pubkey: own.clone() },
        TxOutput { value: terms.burn(), script_pubkey: burn_script(&key.public_key()) },
    ];
    // One input of a key's hash, an output to one, and a burn: nothing is left for change.
    let value = terms.coin() + terms.burn() + 243;
    let txid = ledger.fund(&own, value, BEGIN).expect("the faucet has coins");
    let funds = Coin {
        outpoint: OutPoint { txid, index: 0 },
        output: TxOutput { value, script_pubkey: own },
        unlock: Unlock::PublicKeyHash(key.public_key()),
    };
    let unsigned = build(&[funds], &Payment::new(outputs, Ledger::faucet_script())).expect("it is enough");
    let digest = unsigned.digests(ledger.replay_protected())[0];
    let signature = schnorr::sign(Suite::Lotus, &key, &digest, None).expect("32 bytes");
    let signed = unsigned.finalize(&[signature]).expect("one input");
    let txid: Txid = ledger.submit(&signed.to_bytes(), BEGIN).expect("it is sound");
    Place { txid: *txid.as_bytes(), index: 0 }
}
