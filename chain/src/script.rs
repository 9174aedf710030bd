//! What a Chronik server finds outputs by.
//!
//! Owns the kinds of scripts and their names in paths and subscriptions. Invariant: a payload is as long as its kind
//! wants it. Clients name with it what they ask, and judge with it whether an output belongs to that; a server files
//! outputs under what [`ScriptPayload::of`] says.

use nelumbo_crypto::lotus::{Payload, TaprootOutput, p2pkh_script, p2sh_script};

/// The part of an output's script that it is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScriptPayload {
    /// A public key, 33 or 65 bytes: `p2pk`.
    PublicKey(Vec<u8>),
    /// The hash of a public key: `p2pkh`.
    PublicKeyHash([u8; 20]),
    /// The hash of a script: `p2sh`.
    ScriptHash([u8; 20]),
    /// The commitment of a Taproot output, with whatever state: `p2tr-commitment`.
    TaprootCommitment([u8; 33]),
    /// The state of a Taproot output, under whatever commitment: `p2tr-state`.
    TaprootState([u8; 32]),
    /// Any other script, whole: `other`. Those that begin with `OP_RETURN` are found by their transactions only.
    Other(Vec<u8>),
}

/// Why a name and bytes are no [`ScriptPayload`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// No kind of script has this name.
    #[error("unknown script type {0:?}; use other, p2pk, p2pkh, p2sh, p2tr-commitment or p2tr-state")]
    Kind(String),
    /// The payload is too long or too short: it is a key, a hash, a commitment or a state, not the script around it.
    #[error("a payload of {kind} has {expected} bytes, not {found}: give the payload, not the script around it")]
    Length {
        /// The kind.
        kind: &'static str,
        /// How many bytes it wants.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
}

const OP_RETURN: u8 = 0x6a;
const OP_CHECKSIG: u8 = 0xac;

impl ScriptPayload {
    /// The name of the kind, as it stands in paths and subscriptions.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PublicKey(_) => "p2pk",
            Self::PublicKeyHash(_) => "p2pkh",
            Self::ScriptHash(_) => "p2sh",
            Self::TaprootCommitment(_) => "p2tr-commitment",
            Self::TaprootState(_) => "p2tr-state",
            Self::Other(_) => "other",
        }
    }

    /// The payload, as it stands in subscriptions, and as hexadecimal in paths.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::PublicKey(bytes) | Self::Other(bytes) => bytes,
            Self::PublicKeyHash(bytes) | Self::ScriptHash(bytes) => bytes,
            Self::TaprootCommitment(bytes) => bytes,
            Self::TaprootState(bytes) => bytes,
        }
    }

    /// The payload with this name of a kind and these bytes.
    ///
    /// # Errors
    ///
    /// [`ScriptError`].
    pub fn parse(kind: &str, payload: &[u8]) -> Result<Self, ScriptError> {
        fn sized<const N: usize>(
            kind: &'static str,
            expected: &'static str,
            payload: &[u8],
        ) -> Result<[u8; N], ScriptError> {
            payload.try_into().map_err(|_| ScriptError::Length { kind, expected, found: payload.len() })
        }
        Ok(match kind {
            "p2pk" if [33, 65].contains(&payload.len()) => Self::PublicKey(payload.to_vec()),
            "p2pk" => return Err(ScriptError::Length { kind: "p2pk", expected: "33 or 65", found: payload.len() }),
            "p2pkh" => Self::PublicKeyHash(sized("p2pkh", "20", payload)?),
            "p2sh" => Self::ScriptHash(sized("p2sh", "20", payload)?),
            "p2tr-commitment" => Self::TaprootCommitment(sized("p2tr-commitment", "33", payload)?),
            "p2tr-state" => Self::TaprootState(sized("p2tr-state", "32", payload)?),
            "other" => Self::Other(payload.to_vec()),
            kind => return Err(ScriptError::Kind(kind.chars().take(40).collect())),
        })
    }

    /// Everything that an output with this script is found by: the commitment and the state of a Taproot output,
    /// nothing for one that begins with `OP_RETURN`, otherwise one payload.
    #[must_use]
    pub fn of(script: &[u8]) -> Vec<Self> {
        if let Some(output) = TaprootOutput::from_script_pubkey(script) {
            let commitment = Self::TaprootCommitment(output.commitment.to_bytes());
            return [Some(commitment), output.state.map(Self::TaprootState)].into_iter().flatten().collect();
        }
        match script {
            [OP_RETURN, ..] => Vec::new(),
            [0x76, 0xa9, 0x14, hash @ .., 0x88, 0xac] if hash.len() == 20 => {
                vec![Self::PublicKeyHash(hash.try_into().expect("20 bytes were matched"))]
            }
            [0xa9, 0x14, hash @ .., 0x87] if hash.len() == 20 => {
                vec![Self::ScriptHash(hash.try_into().expect("20 bytes were matched"))]
            }
            [33, key @ .., OP_CHECKSIG] if key.len() == 33 => vec![Self::PublicKey(key.to_vec())],
            [65, key @ .., OP_CHECKSIG] if key.len() == 65 => vec![Self::PublicKey(key.to_vec())],
            script => vec![Self::Other(script.to_vec())],
        }
    }

    /// Whether an output with this script is found by this payload.
    #[must_use]
    pub fn is_of(&self, script: &[u8]) -> bool {
        match self {
            Self::PublicKeyHash(hash) => script == p2pkh_script(hash),
            Self::ScriptHash(hash) => script == p2sh_script(hash),
            _ => Self::of(script).contains(self),
        }
    }
}

/// What outputs to an address are found by.
impl From<&Payload> for ScriptPayload {
    fn from(payload: &Payload) -> Self {
        match payload {
            Payload::PublicKeyHash(hash) => Self::PublicKeyHash(*hash),
            Payload::ScriptHash(hash) => Self::ScriptHash(*hash),
            Payload::Taproot(commitment) => Self::TaprootCommitment(commitment.to_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taproot(state: Option<[u8; 32]>) -> Vec<u8> {
        let mut commitment = [7; 33];
        commitment[0] = 2;
        let commitment = nelumbo_crypto::PublicKey::from_bytes(commitment).expect("the prefix is one of a key");
        TaprootOutput { commitment, state }.script_pubkey()
    }

    /// Of every kind: the script is found by its payload, the payload by its name, and no other script by it.
    #[test]
    fn each_script_is_found_by_its_payload_alone() {
        let key = |length: u8| [&[length], &vec![5; length.into()][..], &[OP_CHECKSIG]].concat();
        let scripts = [
            (p2pkh_script(&[1; 20]).to_vec(), vec!["p2pkh"]),
            (p2sh_script(&[1; 20]).to_vec(), vec!["p2sh"]),
            (key(33), vec!["p2pk"]),
            (key(65), vec!["p2pk"]),
            (key(34), vec!["other"]),
            (taproot(None), vec!["p2tr-commitment"]),
            (taproot(Some([1; 32])), vec!["p2tr-commitment", "p2tr-state"]),
            (vec![], vec!["other"]),
            (vec![0x51], vec!["other"]),
            ([&p2pkh_script(&[1; 20])[..], &[0x51]].concat(), vec!["other"]),
            (vec![OP_RETURN, 1, 1], vec![]),
        ];
        for (script, kinds) in &scripts {
            let payloads = ScriptPayload::of(script);
            assert_eq!(payloads.iter().map(ScriptPayload::kind).collect::<Vec<_>>(), *kinds, "{script:02x?}");
            for payload in payloads {
                assert_eq!(ScriptPayload::parse(payload.kind(), payload.bytes()), Ok(payload.clone()));
                for (other, _) in &scripts {
                    let same_commitment = payload.kind() == "p2tr-commitment" && other.starts_with(&[0x62]);
                    assert_eq!(payload.is_of(other), other == script || same_commitment, "{payload:?} {other:02x?}");
                }
            }
        }
    }

    #[test]
    fn whole_scripts_and_unknown_kinds_are_refused_with_what_to_do() {
        let refused = ScriptPayload::parse("p2pkh", &p2pkh_script(&[1; 20])).expect_err("25 bytes are a script");
        assert_eq!(
            refused.to_string(),
            "a payload of p2pkh has 20 bytes, not 25: give the payload, not the script around it"
        );
        for (kind, good) in [("p2pk", 33), ("p2sh", 20), ("p2tr-commitment", 33), ("p2tr-state", 32)] {
            assert!(ScriptPayload::parse(kind, &vec![2; good]).is_ok(), "{kind}");
            assert!(ScriptPayload::parse(kind, &vec![2; good + 1]).is_err(), "{kind}");
        }
        assert!(matches!(ScriptPayload::parse("p2wpkh", &[]), Err(ScriptError::Kind(_))));
    }
}
