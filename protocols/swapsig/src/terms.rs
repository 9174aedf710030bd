//! What a pool is: amounts, numbers of people, times. Its id is a hash of all of it.
//!
//! Owns what every participant computes alike from the announcement: fees, burns, deadlines, groups. Invariant: terms
//! that [`Terms::check`] takes make transactions that nodes relay. The creator writes them; everybody else judges them.

use std::fmt;
use std::time::Duration;

use nelumbo_chain::build::{Delay, FeeRate, Recovery, Unlock, input_bytes, output_bytes, transaction_bytes};
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{Network, PublicKey, tagged_hash};
use serde::{Deserialize, Serialize};

use crate::encode;

/// The amounts that pools have, in satoshi: 0.1, 1, 10 and 100 XPI.
pub const DENOMINATIONS: [u64; 4] = [100_000, 1_000_000, 10_000_000, 100_000_000];
/// The fewest participants: with two, each knows whose the other output is.
pub const MIN_PARTICIPANTS: usize = 3;
/// The most participants.
pub const MAX_PARTICIPANTS: usize = 10;
/// The least burn, in satoshi.
pub const MIN_BURN: u64 = 100;
/// The largest burn, in satoshi.
pub const MAX_BURN: u64 = 10_000;
/// From when the settlement of a pool was buried so deep that nobody looks after it any more.
pub const FINAL: u32 = 100;
/// By how many blocks a settlement that still is possible may come later than the delay.
pub(crate) const GRACE: u32 = 6;

/// The bytes of the script of a Taproot output.
const TAPROOT: usize = 36;
/// The bytes of the script of an output to a key's hash.
const KEY_HASH: usize = 25;
/// The bytes of the script of a key-path input: a push of signature and hash type.
const KEY_PATH: usize = 66;

/// Names a pool: a tagged hash of its terms.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolId(pub [u8; 32]);

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}{:02x}…", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

impl std::str::FromStr for PoolId {
    type Err = nelumbo_core::crypto::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        nelumbo_core::crypto::parse_hex(text).map(Self)
    }
}

/// What the creator of a pool announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The network.
    pub network: Network,
    /// Who has created the pool and fixes who takes part.
    pub creator: PublicKey,
    /// What each gives and gets, in satoshi: one of [`DENOMINATIONS`].
    pub denomination: u64,
    /// How many take part at most. The pool begins with [`MIN_PARTICIPANTS`] when its time for registration is over.
    pub participants: u8,
    /// What is burned for a coin, in hundredths of a percent of the denomination: 5 to 100.
    pub burn_rate: u16,
    /// What transactions pay, in satoshi a kilobyte: 1,000 to 100,000.
    pub fee_rate: u32,
    /// How many confirmations count.
    pub confirmations: u16,
    /// After how many blocks a depositor takes its deposit back alone. 720 blocks are about a day.
    pub delay: u16,
    /// Whether the pool's transactions are signed for nodes that have not been updated at the network's next upgrade.
    pub replay_protection: bool,
    /// When the pool was created.
    pub created_at: Wall,
    /// How long people may register, in seconds.
    pub registration: u32,
    /// How long they may take after that until the settlement and all setups are signed, in seconds.
    pub settlement: u32,
    /// How long after that whoever has everything may broadcast the setups before the others take their coins back, in
    /// seconds.
    pub setup: u32,
    /// How long after that setups may take to be in blocks before a coin that its setup has not spent is taken back, in
    /// seconds.
    pub confirmation: u32,
    /// Makes the pool another one than all before.
    pub nonce: [u8; 32],
}

/// What is wrong with terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TermsError {
    /// The amount is none of [`DENOMINATIONS`].
    Denomination(u64),
    /// Too few or too many participants.
    Participants(u8),
    /// The burn is too small or too large.
    BurnRate(u16),
    /// The fee is too low or too high.
    FeeRate(u32),
    /// The delay is so short that a settlement may not be confirmed before it is over, or there are no confirmations.
    Delay,
    /// A time is shorter than ten seconds or longer than a day.
    Time(u32),
}

impl fmt::Display for TermsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denomination(amount) => {
                write!(f, "{amount} satoshi is no denomination; take 100000, 1000000, 10000000 or 100000000")
            }
            Self::Participants(count) => {
                write!(f, "a pool has {MIN_PARTICIPANTS} to {MAX_PARTICIPANTS} participants, not {count}")
            }
            Self::BurnRate(rate) => write!(f, "a burn is 5 to 100 hundredths of a percent, not {rate}"),
            Self::FeeRate(rate) => write!(f, "a fee is 1000 to 100000 satoshi a kilobyte, not {rate}"),
            Self::Delay => {
                f.write_str("the delay is at least 12 blocks and 8 times the confirmations, which are 1 to 100")
            }
            Self::Time(seconds) => write!(f, "each time is 10 to 86400 seconds, not {seconds}"),
        }
    }
}

impl std::error::Error for TermsError {}

impl Terms {
    /// A pool with the usual numbers.
    #[must_use]
    pub fn new(network: Network, creator: PublicKey, denomination: u64, participants: u8, nonce: [u8; 32]) -> Self {
        Self {
            network,
            creator,
            denomination,
            participants,
            burn_rate: 10,
            fee_rate: 1_000,
            confirmations: 1,
            delay: 720,
            replay_protection: false,
            created_at: Wall::default(),
            registration: 600,
            settlement: 600,
            setup: 300,
            confirmation: 3_600,
            nonce,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> PoolId {
        PoolId(tagged_hash("swapsig/pool", &[&encode(self)]))
    }

    /// Whether such a pool can be.
    ///
    /// # Errors
    ///
    /// [`TermsError`].
    pub fn check(&self) -> Result<(), TermsError> {
        if !DENOMINATIONS.contains(&self.denomination) {
            return Err(TermsError::Denomination(self.denomination));
        }
        if !(MIN_PARTICIPANTS..=MAX_PARTICIPANTS).contains(&usize::from(self.participants)) {
            return Err(TermsError::Participants(self.participants));
        }
        if !(5..=100).contains(&self.burn_rate) {
            return Err(TermsError::BurnRate(self.burn_rate));
        }
        // At a hundred satoshi a byte the fees are less than half of the smallest denomination.
        if !(1_000..=100_000).contains(&self.fee_rate) {
            return Err(TermsError::FeeRate(self.fee_rate));
        }
        let least = 12.max(u32::from(self.confirmations) * 8);
        if !(1..=100).contains(&self.confirmations) || u32::from(self.delay) < least {
            return Err(TermsError::Delay);
        }
        let times = [self.registration, self.settlement, self.setup, self.confirmation];
        times.into_iter().find(|time| !(10..=86_400).contains(time)).map_or(Ok(()), |time| Err(TermsError::Time(time)))
    }

    fn rate(&self) -> FeeRate {
        FeeRate::per_kilobyte(self.fee_rate.into())
    }

    /// What has to be burned for a coin, in satoshi.
    #[must_use]
    pub fn burn(&self) -> u64 {
        (self.denomination * u64::from(self.burn_rate) / 10_000).clamp(MIN_BURN, MAX_BURN)
    }

    /// What a setup pays for its size, in satoshi.
    #[must_use]
    pub fn setup_fee(&self) -> u64 {
        // A coin of a key's hash, to one Taproot output.
        let input = input_bytes(KEY_PATH + 34);
        self.rate().fee(transaction_bytes((1, input), (1, output_bytes(TAPROOT))))
    }

    /// What each pays of the settlement's size, in satoshi: its input and an output of the largest kind.
    #[must_use]
    pub fn settlement_fee(&self) -> u64 {
        self.rate().fee(transaction_bytes((1, input_bytes(KEY_PATH)), (1, output_bytes(TAPROOT))))
    }

    /// What each deposits: the denomination and its share of the settlement.
    #[must_use]
    pub fn deposit(&self) -> u64 {
        self.denomination + self.settlement_fee()
    }

    /// What the coin is worth with which somebody registers, exactly.
    #[must_use]
    pub fn coin(&self) -> u64 {
        self.deposit() + self.setup_fee()
    }

    /// The most that somebody pays in fees, whatever the others do: its setup, and then its share of the settlement or
    /// what takes its deposit back. Besides there is the burn, which was paid before.
    #[must_use]
    pub fn max_fees(&self) -> u64 {
        let recovery = Recovery { delay: self.blocks(), key: self.creator };
        let unlock = Unlock::Recovery { recovery, internal_key: self.creator };
        let input = input_bytes(unlock.script_bytes());
        let reclaim = self.rate().fee(transaction_bytes((1, input), (1, output_bytes(KEY_HASH))));
        self.setup_fee() + reclaim.max(self.settlement_fee())
    }

    /// The delay as scripts have it.
    #[must_use]
    pub const fn blocks(&self) -> Delay {
        Delay::Blocks(self.delay)
    }

    fn after(&self, seconds: u64) -> Wall {
        self.created_at.checked_add(Duration::from_secs(seconds)).unwrap_or(Wall::from_millis(u64::MAX))
    }

    /// Until when people may register.
    #[must_use]
    pub fn registered_until(&self) -> Wall {
        self.after(self.registration.into())
    }

    /// Until when the creator says who takes part: half of the time for signing later.
    #[must_use]
    pub fn chosen_until(&self) -> Wall {
        self.after(u64::from(self.registration) + u64::from(self.settlement) / 2)
    }

    /// Until when everything must be signed, and the first setup broadcast.
    #[must_use]
    pub fn signed_until(&self) -> Wall {
        self.after(u64::from(self.registration) + u64::from(self.settlement))
    }

    /// From when on whoever has signed its setup takes its coin back, if no setup is to be seen.
    #[must_use]
    pub fn cancelled_from(&self) -> Wall {
        let times = [self.registration, self.settlement, self.setup];
        self.after(times.into_iter().map(u64::from).sum())
    }

    /// From when on a coin is taken back that is not spent by its setup, whatever else is to be seen.
    #[must_use]
    pub fn confirmed_until(&self) -> Wall {
        let times = [self.registration, self.settlement, self.setup, self.confirmation];
        self.after(times.into_iter().map(u64::from).sum())
    }
}

/// What is looked for among pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolFilter {
    /// Only of this denomination.
    pub denomination: Option<u64>,
    /// Only with room for so many.
    pub min_participants: Option<u8>,
    /// Only those whose delay is at most so many blocks.
    pub max_delay: Option<u16>,
    /// Only those that one may still register for at this time.
    pub open_at: Option<Wall>,
}

impl PoolFilter {
    /// Whether a pool is one of them.
    #[must_use]
    pub fn takes(&self, terms: &Terms) -> bool {
        self.denomination.is_none_or(|amount| terms.denomination == amount)
            && self.min_participants.is_none_or(|least| terms.participants >= least)
            && self.max_delay.is_none_or(|most| terms.delay <= most)
            && self.open_at.is_none_or(|now| terms.created_at <= now && now < terms.registered_until())
    }
}

/// People who together sign for the deposits of some of them. Numbers are places in the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Whose keys make the group's.
    pub signers: Vec<usize>,
    /// Whose deposits it signs for; the first opens the session.
    pub depositors: Vec<usize>,
}

/// How many sign together in a pool of so many.
#[must_use]
pub const fn group_size(participants: usize) -> usize {
    match participants {
        0..=9 => 2,
        10..=14 => 3,
        15..=49 => 5,
        _ => 10,
    }
}

/// The groups of a pool of so many: for up to nine pairs in a circle, each for the first's deposit; for more
/// consecutive groups, the last filled from the beginning.
#[must_use]
pub fn groups(participants: usize) -> Vec<Group> {
    let size = group_size(participants);
    let signers = |first: usize| (first..first + size).map(|place| place % participants).collect();
    if size == 2 {
        return (0..participants).map(|own| Group { signers: signers(own), depositors: vec![own] }).collect();
    }
    let firsts = (0..participants).step_by(size);
    firsts
        .map(|first| Group { signers: signers(first), depositors: (first..participants.min(first + size)).collect() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deposit_has_one_group_and_its_depositor_is_in_it() {
        for participants in MIN_PARTICIPANTS..=60 {
            let groups = groups(participants);
            let mut depositors: Vec<usize> = groups.iter().flat_map(|group| group.depositors.clone()).collect();
            depositors.sort_unstable();
            assert_eq!(depositors, (0..participants).collect::<Vec<_>>());
            for group in &groups {
                let mut signers = group.signers.clone();
                signers.sort_unstable();
                signers.dedup();
                assert_eq!(signers.len(), group_size(participants), "{participants}: {group:?}");
                assert!(group.depositors.iter().all(|own| signers.contains(own)), "{participants}: {group:?}");
            }
        }
    }

    fn terms(denomination: u64) -> Terms {
        let creator = "031363dca4bed3e7d0ad34d14bbcb785e78cf2928da241f2aba5e8ac78bd3e33a4".parse().expect("a key");
        Terms::new(Network::Regtest, creator, denomination, 5, [7; 32])
    }

    #[test]
    fn amounts_are_those_of_the_specification() {
        let burns = DENOMINATIONS.map(|denomination| terms(denomination).burn());
        assert_eq!(burns, [100, 1_000, 10_000, 10_000]);
        let terms = terms(1_000_000);
        // Sizes that lotusd has counted: a key-path spend to one Taproot output has 162 bytes.
        assert_eq!((terms.settlement_fee(), terms.setup_fee()), (162, 196));
        assert_eq!((terms.deposit(), terms.coin()), (1_000_162, 1_000_358));
        assert_eq!(terms.max_fees(), 196 + 226);
    }

    #[test]
    fn terms_that_cannot_be_are_refused() {
        let good = terms(100_000);
        assert_eq!(good.check(), Ok(()));
        let wrong = |change: fn(&mut Terms)| {
            let mut terms = good.clone();
            change(&mut terms);
            assert_ne!(terms.id(), good.id());
            terms.check().expect_err("it is wrong")
        };
        assert_eq!(wrong(|terms| terms.denomination = 1), TermsError::Denomination(1));
        assert_eq!(wrong(|terms| terms.participants = 2), TermsError::Participants(2));
        assert_eq!(wrong(|terms| terms.participants = 11), TermsError::Participants(11));
        assert_eq!(wrong(|terms| terms.burn_rate = 4), TermsError::BurnRate(4));
        assert_eq!(wrong(|terms| terms.burn_rate = 101), TermsError::BurnRate(101));
        assert_eq!(wrong(|terms| terms.fee_rate = 999), TermsError::FeeRate(999));
        assert_eq!(wrong(|terms| terms.fee_rate = 100_001), TermsError::FeeRate(100_001));
        assert_eq!(wrong(|terms| terms.confirmations = 0), TermsError::Delay);
        assert_eq!(wrong(|terms| terms.confirmations = 101), TermsError::Delay);
        assert_eq!(wrong(|terms| terms.delay = 11), TermsError::Delay);
        let mut least = good.clone();
        (least.confirmations, least.delay, least.fee_rate) = (2, 16, 2_000);
        assert_eq!((least.check(), least.settlement_fee()), (Ok(()), 324));
        assert!(TermsError::Participants(2).to_string().contains("3 to 10") && !format!("{:?}", good.id()).is_empty());
        assert_eq!(wrong(|terms| (terms.confirmations, terms.delay) = (2, 15)), TermsError::Delay);
        assert_eq!(wrong(|terms| terms.registration = 9), TermsError::Time(9));
        assert_eq!(wrong(|terms| terms.settlement = 86_401), TermsError::Time(86_401));
        assert_eq!(wrong(|terms| terms.setup = 0), TermsError::Time(0));
        assert_eq!(wrong(|terms| terms.confirmation = 9), TermsError::Time(9));
    }

    #[test]
    fn a_time_follows_the_other() {
        let mut terms = terms(100_000);
        terms.created_at = Wall::from_millis(5);
        (terms.registration, terms.settlement, terms.setup, terms.confirmation) = (10, 86_400, 30, 40);
        assert_eq!(terms.check(), Ok(()), "the bounds are possible");
        let ends = [
            Terms::registered_until,
            Terms::chosen_until,
            Terms::signed_until,
            Terms::cancelled_from,
            Terms::confirmed_until,
        ];
        let seconds = ends.map(|end| (end(&terms).as_millis() - 5) / 1_000);
        assert_eq!(seconds, [10, 43_210, 86_410, 86_440, 86_480]);
        terms.created_at = Wall::from_millis(u64::MAX);
        assert_eq!(terms.confirmed_until(), Wall::from_millis(u64::MAX), "never");
    }

    #[test]
    fn filters_take_what_fits() {
        let mut terms = terms(100_000);
        terms.created_at = Wall::from_millis(1_000);
        let at = |millis| PoolFilter { open_at: Some(Wall::from_millis(millis)), ..PoolFilter::default() };
        let taken = [at(999), at(1_000), at(600_999), at(601_000)].map(|filter| filter.takes(&terms));
        assert_eq!(taken, [false, true, true, false]);
        let filter = PoolFilter::default();
        assert!(
            PoolFilter { denomination: Some(100_000), min_participants: Some(5), max_delay: Some(720), ..filter }
                .takes(&terms)
        );
        assert!(!PoolFilter { denomination: Some(1_000_000), ..filter }.takes(&terms));
        assert!(!PoolFilter { min_participants: Some(6), ..filter }.takes(&terms));
        assert!(!PoolFilter { max_delay: Some(719), ..filter }.takes(&terms));
    }
}
