//! Sessions that fuzzing begins with: honest ones, and one for each kind of thing that can be wrong.
//!
//! Driven by the crate's list of seeds, and by this target's tests.

use super::{Fault, Message, Scalar, Session, Signer, Tweak};
use crate::input::{Bytes, Fixed};

pub(super) fn signer(number: u8) -> Signer {
    Signer { secret: Scalar::Small { number }, randomness: Fixed([number; 4]), extra: Some(Fixed([3; 32])) }
}

/// Two signers of 32 bytes.
pub(super) fn session(tweaks: Vec<Tweak>, faults: Vec<Fault>) -> Session {
    let message = Message::Digest { digest: Fixed([9; 32]) };
    Session { message, first: signer(1), signers: vec![signer(2)], tweaks, faults }
}

pub(crate) fn seeds() -> Vec<(&'static str, Session)> {
    let scalar = |byte| Scalar::Any { scalar: Fixed([byte; 32]) };
    let tweaks = vec![
        Tweak::Plain { tweak: scalar(1) },
        Tweak::XOnly { tweak: scalar(2) },
        Tweak::Taproot { merkle_root: Some(Fixed([4; 32])) },
        Tweak::XOnly { tweak: Scalar::NearOrder { above: false, by: 1 } },
    ];
    let cancelling = [false, true].map(|is_xonly| Tweak::Cancelling { is_xonly });
    let any_message = Message::Any { message: Bytes(b"of any length".to_vec()) };
    let crowd = Session { signers: (2..6).map(signer).collect(), ..session(vec![], vec![]) };
    let faulty = |fault| session(vec![], vec![fault]);
    vec![
        ("honest", session(vec![], vec![])),
        ("tweaked", session(tweaks, vec![])),
        ("tweaked-to-infinity", session(cancelling.to_vec(), vec![])),
        ("any-message", Session { message: any_message, ..session(vec![], vec![]) }),
        ("crowd", crowd),
        ("key-off-the-curve", faulty(Fault::Key { signer: 1, key: Fixed([0xff; 33]) })),
        ("key-twice", faulty(Fault::KeyOf { signer: 1, of: 0 })),
        ("key-negated", faulty(Fault::KeyNegated { signer: 0 })),
        ("nonce-of-another", faulty(Fault::NonceOf { signer: 0, of: 1 })),
        ("nonces-cancel", faulty(Fault::NoncesCancel { first: true, second: true })),
        ("sum-of-others", faulty(Fault::Sum { sum: Fixed([5; 66]) })),
        ("partial-too-large", faulty(Fault::Partial { signer: 0, partial: Scalar::NearOrder { above: true, by: 0 } })),
        ("partial-of-another", faulty(Fault::PartialOf { signer: 0, of: 1 })),
        ("partial-of-zero", faulty(Fault::Partial { signer: 1, partial: Scalar::Small { number: 0 } })),
        ("signature-altered", faulty(Fault::SignatureBit { bit: 300 })),
    ]
}
