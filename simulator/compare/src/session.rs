//! Sessions of three signers with real cryptography, whole in the simulator and their cryptographic operations alone.
//! What a run without sessions does is taken off, in operations and in time.

#[path = "../../tests/counted/mod.rs"]
mod counted;

use std::time::Duration;

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    MessageKey, MessageSigner, NonceSlot, PublicKey, Secp256k1, SecretKey, Signer, SoftwareSigner, Suite, Tweak,
    Verifier,
};
use nelumbo_simulator::crypto::{Operation, Real};
use nelumbo_simulator::run::Run;
use nelumbo_simulator::schedule::{CryptoChoice, LatencyChoice, Schedule, ScheduledEvent, SuiteChoice};

use counted::{Counted, Counts, take_counts};

use crate::clock;

const SIGNERS: u32 = 3;
const SESSIONS: u64 = 40;

/// A run without faults in which three signers sign this many times.
fn schedule(sessions: u64) -> Schedule {
    let mut schedule = Schedule::new(1, SIGNERS);
    schedule.crypto = CryptoChoice::Real;
    schedule.latency = LatencyChoice::Fixed { ms: 10 };
    schedule.until_ms = 5_000 + SESSIONS * 1_000;
    let create = || ScheduledEvent::create(0, (0..SIGNERS).collect(), SuiteChoice::Lotus);
    (0..sessions).fold(schedule, |schedule, session| schedule.with(3_000 + session * 1_000, create()))
}

fn operations_of(schedule: &Schedule) -> Counts {
    let summary = Run::new(schedule).summary_with::<Counted<Real>>();
    assert!(summary.violations.is_empty(), "{summary}");
    take_counts()
}

fn time(schedule: &Schedule) -> Duration {
    let start = clock::now();
    std::hint::black_box(Run::new(schedule).summary());
    clock::now() - start
}

/// Sessions by hand: their operations, in an order in which they can be done, and nothing else.
struct Alone {
    authors: Vec<MessageKey>,
    signers: Vec<SoftwareSigner>,
    keys: Vec<PublicKey>,
    attempt: u32,
}

impl Alone {
    fn new() -> Self {
        let signer = |number: u8| {
            let entropy = Entropy::new([number; 32]).expect("not all zero");
            SoftwareSigner::new(SecretKey::from_bytes(&[number; 32]).expect("a key"), entropy)
        };
        let mut signers: Vec<_> = (1..=SIGNERS as u8).map(signer).collect();
        signers.sort_by_key(SoftwareSigner::public_key);
        let keys = signers.iter().map(SoftwareSigner::public_key).collect();
        let author = |number: u8| {
            let entropy = Entropy::new([number; 32]).expect("not all zero");
            MessageKey::new(SecretKey::from_bytes(&[number; 32]).expect("a key"), entropy.stream("messages"))
        };
        let mut authors: Vec<_> = (1..=SIGNERS as u8).map(author).collect();
        authors.sort_by_key(MessageKey::public_key);
        Self { authors, signers, keys, attempt: 0 }
    }

    fn run(&mut self, counts: &Counts) -> Duration {
        let of = |operation| counts.get(&operation).copied().unwrap_or_default();
        let message = [7; 32];
        let sign = |author: &mut MessageKey| author.sign(&message).expect("software signs");
        let signatures: Vec<_> = self.authors.iter_mut().map(sign).collect();
        let prepared: Vec<_> = self.keys.iter().map(|key| Secp256k1.prepare(key).expect("a key")).collect();
        // Signers take turns.
        let turn = |at: u64| (at % u64::from(SIGNERS)) as usize;
        let aggregate = || Secp256k1.aggregate_keys(Suite::Lotus, &self.keys, &Tweak::None).expect("distinct keys");
        let keys = aggregate();
        let start = clock::now();
        for _ in 0..of(Operation::AggregateKeys(SIGNERS as usize)) {
            std::hint::black_box(aggregate());
        }
        let mut last = None;
        for _ in 0..of(Operation::Nonce) / u64::from(SIGNERS) {
            self.attempt += 1;
            let slot = NonceSlot { session: [1; 32], attempt: self.attempt };
            let nonces: Vec<_> = self
                .signers
                .iter_mut()
                .map(|signer| Signer::<Secp256k1>::nonce(signer, slot, &keys, &message).expect("a fresh slot"))
                .collect();
            let signs = |signer: &mut SoftwareSigner| {
                let round = Secp256k1.open_round(&keys, &nonces, &message).expect("honest nonces");
                let partial = Signer::<Secp256k1>::sign(signer, slot, &keys, &round).expect("its nonce");
                (round, partial)
            };
            let (rounds, partials): (Vec<_>, Vec<_>) = self.signers.iter_mut().map(signs).unzip();
            for round in &rounds {
                last = Some(Secp256k1.combine(&keys, round, &partials).expect("honest signers"));
            }
        }
        for _ in 0..of(Operation::VerifyFinal) {
            assert!(Secp256k1.verify_final(&keys, &message, &last.expect("a session")));
        }
        for at in 0..of(Operation::Authenticate) {
            std::hint::black_box(sign(&mut self.authors[turn(at)]));
        }
        for at in 0..of(Operation::Verify) {
            assert!(Secp256k1.verify(&self.keys[turn(at)], &message, &signatures[turn(at)]));
        }
        for at in 0..of(Operation::Prepare) {
            std::hint::black_box(Secp256k1.prepare(&self.keys[turn(at)]));
        }
        for at in 0..of(Operation::VerifyPrepared) {
            assert!(Secp256k1.verify_prepared(&prepared[turn(at)], &message, &signatures[turn(at)]));
        }
        clock::now() - start
    }
}

/// The medians over the rounds.
pub struct Outcome {
    pub simulated_us: f64,
    pub alone_us: f64,
    /// What the stand-in's table charges for the same operations.
    pub charged_us: f64,
    pub charged_over_alone: f64,
    pub ratio: f64,
    /// The operations of a session, in words.
    pub operations: String,
}

pub fn measure(rounds: usize) -> Outcome {
    let (with, without) = (schedule(SESSIONS), schedule(0));
    let (all, none) = (operations_of(&with), operations_of(&without));
    let without_sessions = |operation| none.get(operation).copied().unwrap_or_default();
    let counts: Counts =
        all.iter().map(|(operation, count)| (*operation, count - without_sessions(operation))).collect();
    let of = |operation| counts.get(&operation).copied().unwrap_or_default();
    let signers = SIGNERS as usize;
    assert_eq!(of(Operation::VerifyPartial), 0, "honest sessions verify no partial signature apart");
    for once in [Operation::Nonce, Operation::OpenRound(signers), Operation::Sign, Operation::Combine(signers)] {
        assert_eq!(of(once), SESSIONS * u64::from(SIGNERS), "{once:?} once for each signer");
    }
    let mut alone = Alone::new();
    let sessions = SESSIONS as f64;
    let rounds: Vec<[f64; 2]> = (0..rounds)
        .map(|_| {
            let whole = time(&with).saturating_sub(time(&without));
            [whole, alone.run(&counts)].map(|spent| spent.as_secs_f64() * 1e6 / sessions)
        })
        .collect();
    let charged_ns: u64 = counts.iter().map(|(operation, count)| operation.cost() * count).sum();
    let charged_us = charged_ns as f64 / 1e3 / sessions;
    let each = |operation| of(operation) as f64 / sessions;
    Outcome {
        simulated_us: crate::median(rounds.iter().map(|round| round[0])),
        alone_us: crate::median(rounds.iter().map(|round| round[1])),
        charged_us,
        charged_over_alone: crate::median(rounds.iter().map(|round| charged_us / round[1])),
        ratio: crate::median(rounds.iter().map(|round| round[0] / round[1])),
        operations: format!(
            "{} key aggregations, {} nonces, rounds, partial and final signatures each, {} messages signed, \
             {} verified, {} of them under prepared keys, {} keys prepared, {} final signatures verified again",
            each(Operation::AggregateKeys(signers)),
            each(Operation::Nonce),
            each(Operation::Authenticate),
            each(Operation::Verify) + each(Operation::VerifyPrepared),
            each(Operation::VerifyPrepared),
            each(Operation::Prepare),
            each(Operation::VerifyFinal),
        ),
    }
}
