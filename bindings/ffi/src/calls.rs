//! What needs no machine: keys, signatures, records of the DHT, evidence.
//!
//! Invariant: every call is a function of what it is given. Driven by the shells for C, WebAssembly and Python.

use nelumbo_core::api::Config;
use nelumbo_core::crypto::{KeyAggContext, Network, Secp256k1, SecretKey, Suite, bitcoin, lotus, schnorr, sort_keys};
use nelumbo_core::evidence::{self, Evidence, Offence};
use nelumbo_core::{check_record, wire};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::machine::wall;
use crate::shapes::{Bytes32, Hex, Key, Session, SignatureHex, To, Tweak, Word, word};

/// A question that needs no machine.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Call {
    /// Which version this is.
    Version {},
    /// The public key of a secret.
    PublicKey {
        /// The secret.
        secret: Bytes32,
    },
    /// The key that several signers have together.
    Aggregate {
        /// The rules.
        suite: Word<Suite>,
        /// Their keys, in any order.
        keys: Vec<Key>,
        /// What is added to the aggregate key.
        #[serde(default)]
        tweak: Tweak,
        /// For which network's Lotus address; `mainnet` unless it is said.
        #[serde(default)]
        network: Option<Word<Network>>,
    },
    /// Whether a signature is valid under a challenge key.
    Verify {
        /// The rules.
        suite: Word<Suite>,
        /// The key that it is to verify under.
        key: Key,
        /// What was signed.
        message: Hex,
        /// The signature.
        signature: SignatureHex,
    },
    /// Whether a value belongs under a key of the DHT, and when it was signed: for a DHT's validator and selector.
    CheckRecord {
        /// The network.
        network: Word<Network>,
        /// The DHT key.
        key: String,
        /// The value.
        value: Hex,
        /// The time, in milliseconds since 1970.
        wall_ms: f64,
    },
    /// What a host stores that already has a value under a DHT key and is to store another one of its own.
    MergeOwn {
        /// What is stored.
        stored: Hex,
        /// What is to be stored.
        value: Hex,
    },
    /// Whether evidence of misbehaviour holds, and against whom.
    CheckEvidence {
        /// The evidence, as the event `signer-misbehaved` has it.
        evidence: serde_json::Value,
    },
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Answer {
    /// To `version`.
    Version {
        /// Of this library.
        version: String,
        /// Of the messages between nodes.
        wire: u8,
    },
    /// To `public-key`.
    PublicKey {
        /// The public key.
        key: Key,
    },
    /// To `aggregate`.
    Aggregate {
        /// The keys in the order in which a session has them.
        keys: Vec<Key>,
        /// The aggregate key.
        aggregate_key: Key,
        /// The key that signatures verify under: the aggregate key with the tweak.
        challenge_key: Key,
        /// The address of the Taproot output with the challenge key; none without a Taproot tweak, since no such output
        /// should be paid.
        address: Option<String>,
    },
    /// To `verify`.
    Verify {
        /// Whether the signature is valid.
        is_valid: bool,
    },
    /// To `check-record`: the value is valid.
    CheckRecord {
        /// When the newest of what it says was signed.
        issued_at_ms: u64,
    },
    /// To `merge-own`.
    MergeOwn {
        /// What to store.
        value: Hex,
    },
    /// To `check-evidence`: the evidence holds.
    CheckEvidence {
        /// The guilty signer.
        signer: Key,
        /// The message keys with which it was said; none where the signing key itself has.
        message_keys: Vec<Key>,
        /// Of what.
        offence: Word<Offence>,
        /// In which session.
        session: Session,
        /// In which attempt.
        attempt: u32,
    },
}

/// Answers a question that needs no machine: JSON of [`shapes`](crate::shapes), see `Call` and `Answer` in the schema.
///
/// # Errors
/// `bad-json`; `bad-keys`, `bad-secret`, `bad-time`; `bad-record` and `no-evidence` with why.
pub fn call(question: &str) -> Result<String, Error> {
    let answer = answer(serde_json::from_str(question)?)?;
    Ok(serde_json::to_string(&answer).expect("an answer is texts and numbers"))
}

fn answer(call: Call) -> Result<Answer, Error> {
    Ok(match call {
        Call::Version {} => Answer::Version { version: env!("CARGO_PKG_VERSION").into(), wire: wire::VERSION },
        Call::PublicKey { secret } => {
            let key = SecretKey::from_bytes(&secret.0)
                .map_err(|error| Error::new("bad-secret", error, "draw 32 other bytes"))?;
            Answer::PublicKey { key: Key(key.public_key()) }
        }
        Call::Aggregate { suite, keys, tweak, network } => {
            let mut keys: Vec<_> = keys.to();
            sort_keys(&mut keys);
            let bad = |error| Error::new("bad-keys", error, "check the keys, and that none is there twice");
            let aggregate = KeyAggContext::new(suite.0, &keys).map_err(bad)?;
            let is_tweaked = tweak != Tweak::default();
            let tweaked = aggregate.clone().with_tweak(&tweak.into()).map_err(bad)?;
            let challenge_key = tweaked.challenge_key();
            let network = network.map_or(Network::Mainnet, |network| network.0);
            let address = match suite.0 {
                Suite::Lotus => {
                    let output = lotus::TaprootOutput { commitment: challenge_key, state: None };
                    lotus::Address::from_script_pubkey(network, &output.script_pubkey()).map(|one| one.to_string())
                }
                Suite::Bip340 => Some(bitcoin::Address::taproot(network, &challenge_key).to_string()),
            };
            Answer::Aggregate {
                keys: keys.to(),
                aggregate_key: Key(aggregate.aggregate_key()),
                challenge_key: Key(challenge_key),
                address: address.filter(|_| is_tweaked),
            }
        }
        Call::Verify { suite, key, message, signature } => {
            Answer::Verify { is_valid: schnorr::verify(suite.0, &key.0, &message.0, &signature.0) }
        }
        Call::CheckRecord { network, key, value, wall_ms } => {
            let config = Config::new(network.0);
            let issued_at = check_record(&Secp256k1, &config, &key, value.0.into(), wall(wall_ms)?);
            let issued_at =
                issued_at.map_err(|refusal| Error::new("bad-record", word(&refusal), "take another value, or none"))?;
            Answer::CheckRecord { issued_at_ms: issued_at.as_millis() }
        }
        Call::MergeOwn { stored, value } => Answer::MergeOwn { value: Hex(wire::merge_own(&stored.0, &value.0)) },
        Call::CheckEvidence { evidence } => {
            let evidence: Evidence = serde_json::from_value(evidence)?;
            let conviction = evidence::verify(&Secp256k1, &evidence)
                .map_err(|error| Error::new("no-evidence", error, "hold nothing against the signer"))?;
            Answer::CheckEvidence {
                signer: Key(conviction.signer),
                message_keys: conviction.message_keys.to(),
                offence: Word(conviction.offence),
                session: Session(conviction.session),
                attempt: conviction.attempt,
            }
        }
    })
}
