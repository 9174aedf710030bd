//! Three people hold a Taproot output together. One of them cheats and is found; then they sign.
//!
//! `cargo run -p nelumbo-crypto --example musig2`. What the three would send each other is passed in lists here, which
//! are in the order of their keys.
#![allow(clippy::print_stdout, reason = "an example shows what happens")]
#![allow(clippy::disallowed_methods, reason = "a program may ask the operating system for entropy; the crate may not")]

use std::error::Error;

use nelumbo_crypto::{
    Entropy, KeyAggContext, NonceSlot, PartialSignature, Secp256k1, SecretKey, Signature, Signer, SoftwareSigner,
    Suite, Tweak, Verifier, schnorr, sha256,
};

/// Somebody with a key of their own.
fn signer() -> Result<SoftwareSigner, Box<dyn Error>> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let entropy = Entropy::new(seed)?;
    Ok(SoftwareSigner::new(SecretKey::generate(&mut entropy.stream("key")), entropy.stream("nonces")))
}

/// Both rounds. The inner error names those whose partial signatures are wrong.
fn attempt(
    signers: &mut [SoftwareSigner],
    slot: NonceSlot,
    keys: &KeyAggContext,
    message: &[u8],
    tamper: impl FnOnce(&mut [PartialSignature]),
) -> Result<Result<Signature, Vec<usize>>, Box<dyn Error>> {
    let mut nonces = Vec::new();
    for signer in signers.iter_mut() {
        nonces.extend(signer.nonces(slot, &[(keys, message)])?);
    }
    let round = Secp256k1.open_round(keys, &nonces, message)?;
    let mut partials = Vec::new();
    for signer in signers.iter_mut() {
        partials.extend(signer.sign(slot, &[(keys, &round)])?);
    }
    tamper(&mut partials);
    // A signature that does not verify is never returned, so looking for the liars can wait until it fails.
    let combined = Secp256k1.combine(keys, &round, &partials);
    Ok(combined.map_err(|_| Secp256k1.culprits(keys, &round, &nonces, &partials, &[0; 32])))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut signers = [signer()?, signer()?, signer()?];
    signers.sort_by_key(SoftwareSigner::public_key);
    let public = signers.each_ref().map(SoftwareSigner::public_key);
    let keys = Secp256k1.aggregate_keys(Suite::Bip340, &public, &Tweak::Taproot { merkle_root: None })?;
    println!("internal key: {}", keys.aggregate_key());
    println!("output key:   {}", keys.challenge_key());

    let message = sha256(&[b"the digest of a transaction"]);
    let session = sha256(&[b"whatever names this signature among all that these signers make"]);
    let slot = NonceSlot { session, attempt: 1 };
    let first = attempt(&mut signers, slot, &keys, &message, |partials| partials[2] = partials[1])?;
    assert_eq!(first, Err(vec![2]));
    println!("attempt 1:    signer 2 sent a wrong partial signature");

    // The nonces of the first attempt are spent: these signers sign with them no more, whoever asks.
    assert!(signers[0].nonces(slot, &[(&keys, &message)]).is_err());
    let slot = NonceSlot { session, attempt: 2 };
    let signature = attempt(&mut signers, slot, &keys, &message, |_| ())?.expect("all three are honest now");
    assert!(schnorr::verify(Suite::Bip340, &keys.challenge_key(), &message, &signature));
    println!("attempt 2:    {signature}");
    Ok(())
}

#[test]
fn it_runs_to_its_end() -> Result<(), Box<dyn Error>> {
    main()
}
