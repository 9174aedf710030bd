//! What nodes are charged for cryptography is what they did, by the table, and it delays what they do.

use std::cell::RefCell;
use std::collections::BTreeMap;

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    CombineError, KeyAggError, NonceError, NonceSlot, PartialSignature, PublicKey, PublicNonce, Signature, Signer,
    SignerError, Suite, Tweak, Verifier,
};
use nelumbo_core::wire::Definition;
use nelumbo_simulator::crypto::{Crypto, Meter, Operation, Toy, ToyVerifier};
use nelumbo_simulator::run::{Engine, Run, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::Schedule;

type Keys = <ToyVerifier as Verifier>::Keys;
type Round = <ToyVerifier as Verifier>::Round;

thread_local! {
    /// What nodes on this thread have done, counted apart from any meter.
    static DONE: RefCell<BTreeMap<Operation, u64>> = const { RefCell::new(BTreeMap::new()) };
}

fn count(operation: Operation) {
    DONE.with_borrow_mut(|done| *done.entry(operation).or_default() += 1);
}

/// The stand-in, with each operation counted.
struct Counted;

struct CountedSigner(Box<dyn Signer<ToyVerifier> + Send>);
struct CountedVerifier(ToyVerifier);

impl Signer<CountedVerifier> for CountedSigner {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn authenticate(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        count(Operation::Authenticate);
        self.0.authenticate(digest)
    }

    fn nonce(&mut self, slot: NonceSlot, keys: &Keys, message: &[u8]) -> Result<PublicNonce, SignerError> {
        count(Operation::Nonce);
        self.0.nonce(slot, keys, message)
    }

    fn sign(&mut self, slot: NonceSlot, keys: &Keys, round: &Round) -> Result<PartialSignature, SignerError> {
        count(Operation::Sign);
        self.0.sign(slot, keys, round)
    }

    fn forget(&mut self, slot: NonceSlot) {
        self.0.forget(slot);
    }
}

impl Verifier for CountedVerifier {
    type Keys = Keys;
    type Round = Round;
    type Prepared = <ToyVerifier as Verifier>::Prepared;

    fn verify(&self, author: &PublicKey, digest: &[u8; 32], signature: &Signature) -> bool {
        count(Operation::Verify);
        self.0.verify(author, digest, signature)
    }

    fn prepare(&self, author: &PublicKey) -> Option<Self::Prepared> {
        count(Operation::Prepare);
        self.0.prepare(author)
    }

    fn verify_prepared(&self, author: &Self::Prepared, digest: &[u8; 32], signature: &Signature) -> bool {
        count(Operation::VerifyPrepared);
        self.0.verify_prepared(author, digest, signature)
    }

    fn verify_many(&self, claims: &[(PublicKey, [u8; 32], Signature)], entropy: &[u8; 32]) -> Vec<bool> {
        count(Operation::VerifyMany(claims.len()));
        self.0.verify_many(claims, entropy)
    }

    fn aggregate_keys(&self, suite: Suite, keys: &[PublicKey], tweak: &Tweak) -> Result<Keys, KeyAggError> {
        count(Operation::AggregateKeys(keys.len()));
        self.0.aggregate_keys(suite, keys, tweak)
    }

    fn aggregate_key(&self, keys: &Keys) -> PublicKey {
        self.0.aggregate_key(keys)
    }

    fn challenge_key(&self, keys: &Keys) -> PublicKey {
        self.0.challenge_key(keys)
    }

    fn open_round(&self, keys: &Keys, nonces: &[PublicNonce], message: &[u8]) -> Result<Round, NonceError> {
        count(Operation::OpenRound(nonces.len()));
        self.0.open_round(keys, nonces, message)
    }

    fn verify_partial(
        &self,
        keys: &Keys,
        round: &Round,
        index: usize,
        nonce: &PublicNonce,
        partial: &PartialSignature,
    ) -> bool {
        count(Operation::VerifyPartial);
        self.0.verify_partial(keys, round, index, nonce, partial)
    }

    fn combine(&self, keys: &Keys, round: &Round, partials: &[PartialSignature]) -> Result<Signature, CombineError> {
        count(Operation::Combine(partials.len()));
        self.0.combine(keys, round, partials)
    }

    fn verify_final(&self, keys: &Keys, message: &[u8], signature: &Signature) -> bool {
        count(Operation::VerifyFinal);
        self.0.verify_final(keys, message, signature)
    }
}

impl Crypto for Counted {
    type V = CountedVerifier;

    const NAME: &'static str = "counted";

    fn public_key(secret: &[u8; 32]) -> Option<PublicKey> {
        Toy::public_key(secret)
    }

    fn boot(
        secret: &[u8; 32],
        entropy: Entropy,
        meter: &Meter,
    ) -> (Box<dyn Signer<CountedVerifier> + Send>, CountedVerifier) {
        let (signer, verifier) = Toy::boot(secret, entropy, meter);
        (Box::new(CountedSigner(signer)), CountedVerifier(verifier))
    }

    /// What checkers verify is no node's work.
    fn is_final(definition: &Definition, signature: &Signature) -> bool {
        Toy::is_final(definition, signature)
    }
}

fn quiet(settings: &[&str]) -> Schedule {
    let settings: Vec<String> = settings.iter().map(|setting| (*setting).into()).collect();
    let text = Scenario::text("quiet").expect("a ready scenario");
    Scenario::from_toml(text, &settings).expect("a sound scenario").schedule(1)
}

#[test]
fn nodes_are_charged_for_exactly_what_they_did() {
    for (slowness, setting) in [(1, "crypto_slowness=1"), (4, "crypto_slowness=4")] {
        DONE.take();
        let schedule = quiet(&["crypto=toy-charged", setting]);
        let summary = Run::new(&schedule).engine(Engine::Global).summary_with::<Counted>();
        let done = DONE.take();
        assert_eq!((summary.violations.len(), summary.sessions.completed), (0, 20), "{summary}");
        let price: u64 = done.iter().map(|(operation, times)| operation.cost() * times).sum();
        assert_eq!(summary.crypto_ns, slowness * price, "{done:?}");
        // Each of three signers in each of twenty sessions.
        for once in [Operation::Nonce, Operation::Sign, Operation::OpenRound(3), Operation::Combine(3)] {
            assert_eq!(done.get(&once), Some(&60), "{once:?} in {done:?}");
        }
        let familiar = [Operation::Prepare, Operation::VerifyPrepared].map(|operation| done[&operation]);
        assert!(familiar[0] > 0 && familiar[1] > familiar[0], "keys are prepared and used: {done:?}");
    }
}

#[test]
fn a_session_takes_longer_by_what_its_signers_compute_one_after_the_other() {
    let latency = |settings: &[&str]| {
        let summary = run(&quiet(&[&["sessions=1", "signers=2", "nodes=2"], settings].concat()), Engine::Windowed(1));
        assert_eq!(summary.sessions.completed, 1, "{summary}");
        [summary.latency_ms.min, summary.latency_ms.max].map(|ms| (ms * 1e6).round() as u64)
    };
    use Operation::{AggregateKeys, Authenticate, Combine, Nonce, OpenRound, Sign, Verify};
    // The creator announces; the other joins and signs; the creator signs, completes, and says so for those who ask later.
    let announces = [AggregateKeys(2), Nonce, Authenticate];
    let joins = [Verify, AggregateKeys(2), Nonce, Authenticate, OpenRound(2), Sign, Authenticate];
    let signs = [Verify, OpenRound(2), Sign, Authenticate, Verify];
    let completes = [Combine(2), Authenticate];
    let price = |operations: &[Operation]| operations.iter().map(|operation| operation.cost()).sum::<u64>();
    let creator = price(&[&announces[..], &joins, &signs, &completes].concat());
    let other = creator + price(&[Verify]) + price(&completes);
    let [two_delays, three_delays] = latency(&["crypto=toy"]);
    assert_eq!(latency(&["crypto=toy-charged"]), [two_delays + creator, three_delays + other]);
    let slow = latency(&["crypto=toy-charged", "crypto_slowness=10"]);
    assert_eq!(slow, [two_delays + 10 * creator, three_delays + 10 * other]);
}

#[test]
fn devices_that_take_no_time_are_refused() {
    let text = Scenario::text("quiet").expect("a ready scenario");
    let refused = Scenario::from_toml(text, &["crypto_slowness=0".into()]);
    assert!(refused.is_err_and(|error| error.contains("crypto_slowness")));
}
