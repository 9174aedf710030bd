//! That the target finds what differs: a library that errs in one step, for each step.

use super::seeds::session;
use super::*;

/// Our library, which does one thing wrong.
struct Erring<const STEP: usize>;

const AGGREGATE: usize = 0;
const TWEAK: usize = 1;
const NONCE: usize = 2;
const SUM: usize = 3;
const OPEN: usize = 4;
const SIGN: usize = 5;
const VERIFY_PARTIAL: usize = 6;
const COMBINE: usize = 7;
const VERIFY: usize = 8;

fn spoiled<const N: usize>(mut bytes: [u8; N], is_wrong: bool) -> [u8; N] {
    bytes[N - 1] ^= u8::from(is_wrong);
    bytes
}

impl<const STEP: usize> Library for Erring<STEP> {
    type Keys = <Ours as Library>::Keys;
    type SecretNonce = <Ours as Library>::SecretNonce;
    type Round = <Ours as Library>::Round;

    fn public_key(secret: &[u8; 32]) -> Option<Key> {
        Ours::public_key(secret)
    }

    fn aggregate(keys: &[Key]) -> Option<Self::Keys> {
        // Takes what is no point for another key.
        if STEP == AGGREGATE {
            Ours::aggregate(keys).or_else(|| Ours::aggregate(&keys[1..]))
        } else {
            Ours::aggregate(keys)
        }
    }

    fn key(keys: &Self::Keys) -> Key {
        Ours::key(keys)
    }

    fn tweak(keys: &Self::Keys, tweak: &[u8; 32], is_xonly: bool) -> Option<Self::Keys> {
        Ours::tweak(keys, tweak, is_xonly && STEP != TWEAK)
    }

    fn taproot(keys: &Self::Keys, merkle_root: Option<&[u8; 32]>) -> Option<Self::Keys> {
        Ours::taproot(keys, merkle_root)
    }

    fn nonce(
        secret: &[u8; 32],
        randomness: &[u8; 32],
        keys: &Self::Keys,
        message: &[u8],
        extra: Option<&[u8; 32]>,
    ) -> (Self::SecretNonce, Nonce) {
        Ours::nonce(secret, randomness, keys, message, extra.filter(|_| STEP != NONCE))
    }

    fn sum(nonces: &[Nonce]) -> Option<Nonce> {
        // Skips what is no point.
        if STEP == SUM { Ours::sum(nonces).or_else(|| Ours::sum(&nonces[1..])) } else { Ours::sum(nonces) }
    }

    fn open(keys: &Self::Keys, sum: &Nonce, message: &[u8]) -> Option<Self::Round> {
        // Knows no infinity.
        Ours::open(keys, sum, message).filter(|_| STEP != OPEN || sum[0] != 0)
    }

    fn sign(round: &Self::Round, keys: &Self::Keys, nonce: Self::SecretNonce, secret: &[u8; 32]) -> Option<[u8; 32]> {
        Ours::sign(round, keys, nonce, secret).map(|partial| spoiled(partial, STEP == SIGN))
    }

    fn verify_partial(round: &Self::Round, keys: &Self::Keys, index: usize, nonce: &Nonce, partial: &[u8; 32]) -> bool {
        STEP == VERIFY_PARTIAL || Ours::verify_partial(round, keys, index, nonce, partial)
    }

    fn combine(round: &Self::Round, keys: &Self::Keys, partials: &[[u8; 32]]) -> Option<[u8; 64]> {
        // Does not verify.
        Ours::combine(round, keys, partials).or_else(|| (STEP == COMBINE).then_some([7; 64]))
    }

    fn verify(keys: &Self::Keys, message: &[u8], signature: &[u8; 64]) -> bool {
        Ours::verify(keys, message, &spoiled(*signature, STEP == VERIFY && signature[63] & 1 == 1))
    }
}

/// The step in which a library differs from ours, if it does.
fn difference<L: Library>(session: &Session) -> Option<&'static str> {
    let plan = Plan::new(session);
    let (ours, theirs) = (plan.play::<Ours>(), plan.play::<L>());
    ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs).map(|((step, _), _)| *step)
}

#[test]
fn each_step_in_which_a_library_errs_is_found() {
    let honest = session(vec![], vec![]);
    let off_the_curve = || Fault::Key { signer: 0, key: Fixed([0xff; 33]) };
    let wrong_nonce = || Fault::Nonce { signer: 0, nonce: Fixed([0xff; 66]) };
    let tweaks = || (1..9).map(|number| Tweak::XOnly { tweak: Scalar::Small { number } }).take(4).collect();
    let partial = || Fault::PartialBit { signer: 0, bit: 250 };
    let cancel = || Fault::NoncesCancel { first: true, second: false };
    assert_eq!(difference::<Ours>(&honest), None);
    assert_eq!(difference::<Erring<AGGREGATE>>(&session(vec![], vec![off_the_curve()])), Some("aggregate"));
    assert_eq!(difference::<Erring<TWEAK>>(&session(tweaks(), vec![])), Some("tweak"));
    assert_eq!(difference::<Erring<NONCE>>(&honest), Some("nonce"));
    assert_eq!(difference::<Erring<SUM>>(&session(vec![], vec![wrong_nonce()])), Some("sum of nonces"));
    assert_eq!(difference::<Erring<OPEN>>(&session(vec![], vec![cancel()])), Some("round"));
    assert_eq!(difference::<Erring<SIGN>>(&honest), Some("partial signature"));
    let verification = Some("verification of a partial signature");
    assert_eq!(difference::<Erring<VERIFY_PARTIAL>>(&session(vec![], vec![partial()])), verification);
    assert_eq!(difference::<Erring<COMBINE>>(&session(vec![], vec![partial()])), Some("signature"));
    // Of two signatures that differ in the last bit one is odd.
    let altered = session(vec![], vec![Fault::SignatureBit { bit: 504 }]);
    assert!([honest, altered].iter().any(|session| difference::<Erring<VERIFY>>(session) == Some("verification")));
}

#[test]
fn an_honest_session_is_signed() {
    let plan_of = |session: &Session| Plan::new(session).play::<Ours>();
    for tweaks in [
        vec![],
        vec![Tweak::Taproot { merkle_root: None }],
        vec![
            Tweak::Plain { tweak: Scalar::Small { number: 3 } },
            Tweak::XOnly { tweak: Scalar::Any { scalar: Fixed([1; 32]) } },
        ],
    ] {
        let session = session(tweaks, vec![]);
        run(&session);
        let answers = plan_of(&session);
        assert!(answers.iter().all(|(_, answer)| answer.is_some()));
        assert_eq!(answers.last(), Some(&("verification", Some(vec![1]))));
    }
}

#[test]
fn every_kind_of_fault_is_refused_alike() {
    let refused = |session: Session, step: &str| {
        run(&session);
        let answers = Plan::new(&session).play::<Ours>();
        answers.iter().any(|(name, answer)| *name == step && answer.as_ref().is_none_or(|bytes| bytes[..] == [0]))
    };
    for is_xonly in [false, true] {
        assert!(refused(session(vec![Tweak::Cancelling { is_xonly }], vec![]), "tweak"), "to infinity");
    }
    let too_large = Scalar::NearOrder { above: true, by: 0 };
    assert!(refused(session(vec![Tweak::Plain { tweak: too_large.clone() }], vec![]), "tweak"));
    let partial = |partial| session(vec![], vec![Fault::Partial { signer: 1, partial }]);
    assert!(refused(partial(too_large), "signature"));
    assert!(refused(partial(Scalar::Small { number: 0 }), "verification of a partial signature"));
    let off_the_curve = Fault::Sum { sum: Fixed([0xff; 66]) };
    assert!(refused(session(vec![], vec![off_the_curve]), "round"));
    for (first, second) in [(true, false), (false, true), (true, true)] {
        let cancel = session(vec![], vec![Fault::NoncesCancel { first, second }]);
        assert!(!refused(cancel, "round"), "BIP340 goes on with infinity, and fails at the end");
    }
}

#[test]
fn every_seed_holds_and_reads_as_it_was_written() {
    for (name, session) in seeds() {
        let mut bytes = Vec::new();
        session.encode(&mut bytes);
        assert_eq!(crate::input::read::<Session>(&bytes), session, "{name}");
        run(&session);
    }
}
