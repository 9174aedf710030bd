//! The musig2 crate on libsecp256k1, answering the benchmark's questions.
//!
//! Reads `OPERATION SIGNERS TIMES` and answers with nanoseconds. Driven by the benchmark of nelumbo-crypto.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::BufRead;

use musig2::secp::{Point, Scalar};
use musig2::{
    AggNonce, CompactSignature, KeyAggContext, PartialSignature, PubNonce, SecNonce, aggregate_partial_signatures,
    sign_partial, verify_partial, verify_single,
};

#[path = "../../../crypto/clock.rs"]
mod clock;

const MESSAGE: [u8; 32] = [3; 32];

struct Session {
    secrets: Vec<Scalar>,
    points: Vec<Point>,
    keys: KeyAggContext,
    seeds: Vec<[u8; 32]>,
    nonces: Vec<PubNonce>,
    sum: AggNonce,
    partials: Vec<PartialSignature>,
    signature: CompactSignature,
}

fn bytes(label: u8, index: usize) -> [u8; 32] {
    let mut bytes = [label; 32];
    bytes[24..].copy_from_slice(&(index as u64).to_be_bytes());
    bytes
}

fn nonce(seed: [u8; 32], secret: Scalar, keys: &KeyAggContext) -> SecNonce {
    let key: Point = keys.aggregated_pubkey();
    SecNonce::build_with_seckey(seed, secret).with_aggregated_pubkey(key).with_message(&MESSAGE).build()
}

impl Session {
    fn new(signers: usize) -> Self {
        let secrets: Vec<Scalar> = (0..signers).map(|index| Scalar::reduce_from(&bytes(1, index))).collect();
        let points: Vec<Point> = secrets.iter().map(|secret| secret.base_point_mul()).collect();
        let keys = KeyAggContext::new(points.iter().copied()).expect("points");
        let seeds: Vec<_> = (0..signers).map(|index| bytes(2, index)).collect();
        let drawn = || seeds.iter().zip(&secrets).map(|(seed, secret)| nonce(*seed, *secret, &keys));
        let nonces: Vec<_> = drawn().map(|nonce| nonce.public_nonce()).collect();
        let sum = AggNonce::sum(&nonces);
        let sign = |(nonce, secret): (SecNonce, &Scalar)| {
            sign_partial(&keys, *secret, nonce, &sum, MESSAGE).expect("its own nonce")
        };
        let partials: Vec<PartialSignature> = drawn().zip(&secrets).map(sign).collect();
        let signature =
            aggregate_partial_signatures(&keys, &sum, partials.iter().copied(), MESSAGE).expect("honest signers");
        Self { secrets, points, keys, seeds, nonces, sum, partials, signature }
    }

    fn run(&self, operation: &str, times: u64) -> Option<u128> {
        let time = |once: &dyn Fn()| {
            let start = clock::now();
            (0..times).for_each(|_| once());
            Some((clock::now() - start).as_nanos())
        };
        let key: Point = self.keys.aggregated_pubkey();
        match operation {
            "hello" => Some(0),
            "final" => time(&|| verify_single(key, self.signature, MESSAGE).expect("valid")),
            "partial" => time(&|| {
                verify_partial(&self.keys, self.partials[0], &self.sum, self.points[0], &self.nonces[0], MESSAGE)
                    .expect("valid");
            }),
            "aggregate" => {
                let encoded: Vec<_> = self.points.iter().map(Point::serialize).collect();
                time(&|| {
                    let points = encoded.iter().map(|bytes| Point::from_slice(bytes).expect("a point"));
                    black_box(KeyAggContext::new(points).expect("points"));
                })
            }
            "nonce" => time(&|| {
                black_box(nonce(self.seeds[0], self.secrets[0], &self.keys).public_nonce());
            }),
            "sign" => {
                let draw = |_| nonce(self.seeds[0], self.secrets[0], &self.keys);
                let nonces: Vec<_> = (0..times).map(draw).collect();
                let start = clock::now();
                for nonce in nonces {
                    let partial: PartialSignature =
                        sign_partial(&self.keys, self.secrets[0], nonce, &self.sum, MESSAGE).expect("its own nonce");
                    black_box(partial);
                }
                Some((clock::now() - start).as_nanos())
            }
            _ => None,
        }
    }
}

fn main() {
    let mut sessions = BTreeMap::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<_> = line.split(' ').collect();
        let [operation, signers, times] = words[..] else { return };
        let (Ok(signers), Ok(times)) = (signers.parse(), times.parse()) else { return };
        let session: &Session = sessions.entry(signers).or_insert_with(|| Session::new(signers));
        match session.run(operation, times) {
            Some(nanoseconds) => println!("{nanoseconds}"),
            None => println!("-"),
        }
    }
}
