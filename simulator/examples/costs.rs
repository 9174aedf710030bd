//! What the stand-in charges for each operation, beside what the real one takes on this machine.
//!
//! Time is that of this thread on the processor, and what is shown is the median over the rounds.
//! A ratio far from 1 in all rows says that this machine is another one; in one row, that the table is out of date.
//!
//! Usage: `cargo run --release -p nelumbo-simulator --example costs`
#![allow(clippy::print_stdout)]

#[path = "../../crypto/benches/crypto/clock.rs"]
mod clock;

use std::hint::black_box;
use std::time::Duration;

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    KeyAggContext, MessageKey, MessageSigner, NonceSlot, PartialSignature, PublicKey, PublicNonce, Secp256k1,
    SecretKey, Signature, Signer, SigningContext, SoftwareSigner, Suite, Tweak, Verifier,
};
use nelumbo_simulator::crypto::Operation;

const ROUNDS: usize = 49;
/// How many nanoseconds an operation is repeated for in each round, by the table.
const TURN: u64 = 4_000_000;
/// And how often at most: a signer keeps some thousand nonces open.
const MOST: u64 = 1_000;
const MESSAGE: [u8; 32] = [7; 32];
const ENTROPY: [u8; 32] = [5; 32];

/// Signers of one key, who have opened a round.
struct Group {
    authors: Vec<MessageKey>,
    signers: Vec<SoftwareSigner>,
    public: Vec<PublicKey>,
    keys: KeyAggContext,
    nonces: Vec<PublicNonce>,
    round: SigningContext,
    partials: Vec<PartialSignature>,
    claims: Vec<(PublicKey, [u8; 32], Signature)>,
    attempt: u32,
}

fn authenticate(author: &mut MessageKey) -> Signature {
    author.sign(&MESSAGE).expect("software signs")
}

const fn slot(attempt: u32) -> NonceSlot {
    NonceSlot { session: [1; 32], attempt }
}

impl Group {
    fn new(count: usize) -> Self {
        let secret = |number: usize| SecretKey::from_bytes(&[number as u8; 32]).expect("a key");
        let entropy = |number: usize| Entropy::new([number as u8; 32]).expect("not all zero");
        let mut numbers: Vec<_> = (1..=count).collect();
        numbers.sort_by_key(|number| secret(*number).public_key());
        let author = |number: &usize| MessageKey::new(secret(*number), entropy(*number).stream("messages"));
        let mut authors: Vec<_> = numbers.iter().map(author).collect();
        let signer = |number: &usize| SoftwareSigner::new(secret(*number), entropy(*number));
        let mut signers: Vec<_> = numbers.iter().map(signer).collect();
        let public: Vec<_> = signers.iter().map(SoftwareSigner::public_key).collect();
        let keys = Secp256k1.aggregate_keys(Suite::Lotus, &public, &Tweak::None).expect("distinct keys");
        let claims = authors.iter_mut().map(|author| (author.public_key(), MESSAGE, authenticate(author))).collect();
        let draw = |signer: &mut SoftwareSigner| signer.nonces(slot(0), &[(&keys, &MESSAGE)]).expect("a fresh slot")[0];
        let nonces: Vec<_> = signers.iter_mut().map(draw).collect();
        let round = Secp256k1.open_round(&keys, &nonces, &MESSAGE).expect("honest nonces");
        let sign = |signer: &mut SoftwareSigner| signer.sign(slot(0), &[(&keys, &round)]).expect("its nonce")[0];
        let partials = signers.iter_mut().map(sign).collect();
        Self { authors, signers, public, keys, nonces, round, partials, claims, attempt: 0 }
    }

    /// How long an operation takes this many times.
    fn time(&mut self, operation: Operation, times: u32) -> Duration {
        let Self { authors, signers, public, keys, nonces, round, partials, claims, attempt } = self;
        let (author, digest, signature) = &claims[0];
        let prepared = Secp256k1.prepare(author).expect("a key");
        let r#final = Secp256k1.combine(keys, round, partials).expect("honest signers");
        let slots: Vec<_> = (*attempt + 1..=*attempt + times).map(slot).collect();
        *attempt += times;
        let (own, signer) = (&mut authors[0], &mut signers[0]);
        let draw = |signer: &mut SoftwareSigner, slot| signer.nonces(slot, &[(keys, &MESSAGE)]).expect("a fresh slot");
        if operation == Operation::Sign {
            slots.iter().for_each(|slot| _ = draw(signer, *slot));
        }
        let aggregate = |tweak| Secp256k1.aggregate_keys(Suite::Lotus, public, &tweak).expect("distinct keys");
        let start = clock::now();
        for slot in slots.iter().copied() {
            match operation {
                Operation::Authenticate => drop(black_box(authenticate(own))),
                Operation::Verify => assert!(Secp256k1.verify(author, digest, signature)),
                Operation::Prepare => drop(black_box(Secp256k1.prepare(author))),
                Operation::VerifyPrepared => assert!(Secp256k1.verify_prepared(&prepared, digest, signature)),
                Operation::VerifyMany(_) => drop(black_box(Secp256k1.verify_many(claims, &ENTROPY))),
                Operation::AggregateKeys(_) => drop(black_box(aggregate(Tweak::None))),
                Operation::Tweak => drop(black_box(aggregate(Tweak::Taproot { merkle_root: None }))),
                Operation::Nonce => drop(black_box(draw(signer, slot))),
                Operation::OpenRound(_) => drop(black_box(Secp256k1.open_round(keys, nonces, &MESSAGE))),
                Operation::Sign => drop(black_box(signer.sign(slot, &[(keys, round)]))),
                Operation::VerifyPartial => {
                    assert!(Secp256k1.verify_partial(keys, round, 0, &nonces[0], &partials[0]));
                }
                Operation::Combine(_) => drop(black_box(Secp256k1.combine(keys, round, partials))),
                Operation::VerifyFinal => assert!(Secp256k1.verify_final(keys, &MESSAGE, &r#final)),
            }
        }
        let spent = clock::now() - start;
        slots.into_iter().for_each(|slot| Signer::<Secp256k1>::forget(&mut self.signers[0], slot));
        spent
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut rows: Vec<(Operation, usize)> = [
        Operation::Authenticate,
        Operation::Verify,
        Operation::Prepare,
        Operation::VerifyPrepared,
        Operation::Nonce,
        Operation::Sign,
        Operation::VerifyPartial,
        Operation::VerifyFinal,
    ]
    .map(|operation| (operation, 3))
    .into();
    // Aggregated with the keys of a session.
    rows.push((Operation::Tweak, 2));
    for count in [2, 3, 5, 10, 100] {
        let per_node: [fn(usize) -> Operation; 4] =
            [Operation::AggregateKeys, Operation::OpenRound, Operation::Combine, Operation::VerifyMany];
        rows.extend(per_node.map(|operation| (operation(count), count)));
    }
    println!("| operation | charged µs | real µs | charged over real |\n|---|---|---|---|");
    for (operation, signers) in rows {
        let mut group = Group::new(signers);
        let times = (TURN / operation.cost()).clamp(1, MOST) as u32;
        let round = |_| group.time(operation, times).as_secs_f64() * 1e6 / f64::from(times);
        let mut real = median((0..ROUNDS).map(round).collect());
        if operation == Operation::Tweak {
            // It is done to keys that have just been aggregated.
            let round = |_| group.time(Operation::AggregateKeys(signers), times).as_secs_f64() * 1e6 / f64::from(times);
            real -= median((0..ROUNDS).map(round).collect());
        }
        let charged = operation.cost() as f64 / 1e3;
        println!("| {operation:?} | {charged:.1} | {real:.1} | {:.2} |", charged / real);
    }
}
