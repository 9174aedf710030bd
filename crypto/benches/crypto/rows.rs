//! The rows of the table: what is compared with what, and its targets.
//!
//! Both sides start from decoded values wherever both keep them decoded, and from bytes where ours does not:
//! aggregation of keys, opening a session. A final signature is verified from a decoded key, once more from bytes.

use std::rc::Rc;

use nelumbo_crypto::{
    KeyAggContext, Signed, SigningContext, Suite, combine, generate_nonce, partial_sign, schnorr, verify_many,
    verify_partial, verify_partials,
};

use crate::clock;
use crate::contest::{Operation, Row, operation};
use crate::library::Library;
use crate::session::{Raw, Session, entropy, signatures};

type Make = Box<dyn Fn() -> Row>;

pub(crate) fn all() -> Vec<Make> {
    let mut rows: Vec<Make> = vec![Box::new(final_verify), Box::new(final_from_bytes), Box::new(final_with_table)];
    rows.push(Box::new(one_partial));
    for (n, first, second) in [(2, 0.36, 0.30), (3, 0.25, 0.20), (5, 0.15, 0.12), (10, 0.08, 0.06), (100, 0.01, 0.01)] {
        rows.push(Box::new(move || accept(n, [Some(first), Some(second)])));
    }
    let batches =
        [(2, 0.78, 0.60), (3, 0.73, 0.57), (5, 0.70, 0.54), (10, 0.65, 0.50), (100, 0.45, 0.32), (1000, 0.30, 0.20)];
    for (n, first, second) in batches {
        rows.push(Box::new(move || batch(n, [Some(first), Some(second)])));
    }
    let aggregations =
        [(2, 1.15, 0.92), (3, 0.88, 0.70), (5, 0.72, 0.57), (10, 0.62, 0.48), (100, 0.52, 0.40), (1000, 0.30, 0.24)];
    for (n, first, second) in aggregations {
        rows.push(Box::new(move || aggregate(n, [Some(first), Some(second)])));
    }
    for (n, first, second) in [(10, 0.95, 0.70), (100, 0.70, 0.53), (1000, 0.55, 0.40)] {
        rows.push(Box::new(move || many(n, [Some(first), Some(second)])));
    }
    rows.push(Box::new(nonce));
    rows.push(Box::new(session_and_sign));
    rows
}

fn row(name: impl Into<String>, targets: [Option<f64>; 2], ours: Operation, secp: Operation) -> Row {
    Row { name: name.into(), ours, secp, k256: None, asked: None, targets, times_xpi: None }
}

fn pair(count: usize) -> (Rc<Session>, Rc<Raw>) {
    let ours = Session::new(count);
    let raw = Raw::new(&ours);
    (Rc::new(ours), Rc::new(raw))
}

fn raw_final(session: Rc<Session>, raw: Rc<Raw>) -> Operation {
    operation(move || assert!(raw.context.verify(session.signature.as_bytes(), &session.message, &raw.key)))
}

fn final_verify() -> Row {
    let (session, raw) = pair(3);
    let secp = raw_final(session.clone(), raw);
    let ours = operation(move || assert!(session.keys.verify(&session.message, &session.signature)));
    let library = Library::new(1);
    let mut row = row("final verify", [Some(1.2), Some(0.95)], ours, secp);
    row.k256 = Some(operation(move || library.verify()));
    row.asked = Some(("final", 1));
    row.times_xpi = Some(70.0);
    row
}

fn final_from_bytes() -> Row {
    let (session, raw) = pair(3);
    let (key, by) = (session.keys.challenge_key(), session.clone());
    let secp = operation(move || {
        let key = raw.context.xonly(&key.x_only());
        assert!(raw.context.verify(by.signature.as_bytes(), &by.message, &key));
    });
    let ours = operation(move || assert!(schnorr::verify(Suite::Bip340, &key, &session.message, &session.signature)));
    row("final verify, key from bytes", [None, None], ours, secp)
}

fn final_with_table() -> Row {
    let (session, raw) = pair(3);
    let secp = raw_final(session.clone(), raw);
    let key = schnorr::PreparedKey::new(Suite::Bip340, &session.keys.challenge_key()).expect("a point");
    let ours = operation(move || assert!(key.verify(&session.message, &session.signature)));
    row("final verify, key with table", [None, Some(0.5)], ours, secp)
}

fn one_partial() -> Row {
    let (session, raw) = pair(3);
    let secp = operation(move || assert!(raw.verify_partial(1)));
    let ours = operation(move || {
        let Session { keys, round, nonces, partials, .. } = &*session;
        assert!(verify_partial(keys, round, 2, &nonces[2], &partials[2]));
    });
    let library = Library::new(4);
    let mut row = row("one partial verify", [Some(0.9), Some(0.7)], ours, secp);
    row.k256 = Some(operation(move || library.sum()));
    row.asked = Some(("partial", 3));
    row.times_xpi = Some(110.0);
    row
}

fn raw_partials(raw: Rc<Raw>) -> Operation {
    operation(move || assert!((0..raw.partials.len()).all(|index| raw.verify_partial(index))))
}

fn accept(n: usize, targets: [Option<f64>; 2]) -> Row {
    let (session, raw) = pair(n);
    let ours = operation(move || combine(&session.keys, &session.round, &session.partials).expect("honest signers"));
    row(format!("accept all partials, n = {n}"), targets, ours, raw_partials(raw))
}

fn batch(n: usize, targets: [Option<f64>; 2]) -> Row {
    let (session, raw) = pair(n);
    let ours = operation(move || {
        let Session { keys, round, nonces, partials, .. } = &*session;
        assert!(verify_partials(keys, round, nonces, partials, &[5; 32]));
    });
    row(format!("batch-verify partials, n = {n}"), targets, ours, raw_partials(raw))
}

fn aggregate(n: usize, targets: [Option<f64>; 2]) -> Row {
    let session = Rc::new(Session::new(n));
    let (by, context) = (session.clone(), nelumbo_bench_raw::Context::new());
    let secp = operation(move || {
        let keys: Vec<_> = by.public.iter().map(|key| context.public_key(key.as_bytes())).collect();
        context.aggregate(&keys.iter().collect::<Vec<_>>())
    });
    let ours = operation(move || KeyAggContext::new(Suite::Bip340, &session.public).expect("points"));
    let library = Library::new(n);
    let mut row = row(format!("key aggregation, n = {n}"), targets, ours, secp);
    row.k256 = Some(operation(move || library.sum()));
    row.asked = (n <= 10).then_some(("aggregate", n));
    row.times_xpi = (n == 2).then_some(100.0);
    row
}

fn many(n: usize, targets: [Option<f64>; 2]) -> Row {
    let claims = signatures(n);
    let context = nelumbo_bench_raw::Context::new();
    let keys: Vec<_> = claims.iter().map(|(key, ..)| context.xonly(&key.x_only())).collect();
    let by = claims.clone();
    let secp = operation(move || {
        for ((_, message, signature), key) in by.iter().zip(&keys) {
            assert!(context.verify(signature.as_bytes(), message, key));
        }
    });
    let ours = operation(move || {
        let items: Vec<_> = claims
            .iter()
            .map(|(key, message, signature)| Signed { key: *key, message, signature: *signature })
            .collect();
        assert!(verify_many(Suite::Bip340, &items, &[5; 32]).iter().all(|valid| *valid));
    });
    row(format!("many final signatures, N = {n}"), targets, ours, secp)
}

fn nonce() -> Row {
    let (session, raw) = pair(3);
    let (by, mut random) = (session.clone(), entropy("theirs"));
    let secret = session.secrets[0].expose_secret_bytes_for_storage();
    let secp = operation(move || {
        let (nonce, public) = raw.context.nonce(random.bytes32(), &secret, &raw.public[0], &by.message, &raw.cache);
        (nonce, raw.context.encode_nonce(&public))
    });
    let mut random = entropy("ours");
    let ours = operation(move || {
        generate_nonce(random.bytes32(), &session.secrets[0], &session.keys, Some(&session.message), &[])
    });
    let library = Library::new(1);
    let mut row = row("nonce generation", [Some(1.5), Some(1.25)], ours, secp);
    row.k256 = Some(operation(move || library.nonces()));
    row.asked = Some(("nonce", 3));
    row
}

fn session_and_sign() -> Row {
    let (session, raw) = pair(3);
    let by = session.clone();
    let secret = session.secrets[0].expose_secret_bytes_for_storage();
    let keypair = raw.context.keypair(&secret);
    let (nonce, _) = raw.context.nonce([9; 32], &secret, &raw.public[0], &session.message, &raw.cache);
    let secp = operation(move || {
        let sum = raw.context.aggregate_nonce(by.round.aggregate_nonce().as_bytes());
        let open = raw.context.session(&sum, &by.message, &raw.cache);
        raw.context.sign(nonce, &keypair, &raw.cache, &open)
    });
    let mut random = entropy("signing");
    let ours: Operation = Box::new(move |times| {
        let Session { secrets, keys, message, round, .. } = &*session;
        let draw = |_| generate_nonce(random.bytes32(), &secrets[0], keys, Some(message), &[]).0;
        let nonces: Vec<_> = (0..times).map(draw).collect();
        let start = clock::now();
        for nonce in nonces {
            let round = SigningContext::new(keys, &round.aggregate_nonce(), message).expect("honest nonces");
            std::hint::black_box(partial_sign(nonce, &secrets[0], keys, &round).expect("its own"));
        }
        clock::now() - start
    });
    let mut row = row("session and sign", [Some(1.2), Some(1.0)], ours, secp);
    row.asked = Some(("sign", 3));
    row
}
