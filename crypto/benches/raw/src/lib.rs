//! libsecp256k1's functions as they are, for the benchmark alone.
//!
//! Owns one context. The safe crate randomises its context anew after each operation with a secret, which costs as much
//! as the operation; a fair comparison leaves that out, and only raw calls can. Invariant: every pointer handed over is
//! to a value that lives across the call, and every output is read only if the call says that it was written. The
//! benchmark of nelumbo-crypto drives it.

use std::mem::MaybeUninit;
use std::ptr::{NonNull, null};

use secp256k1_sys as ffi;
pub use secp256k1_sys::{
    Keypair, MusigAggNonce, MusigKeyAggCache, MusigPartialSignature, MusigPubNonce, MusigSecNonce, MusigSession,
    PublicKey, XOnlyPublicKey,
};

/// A context for signing and verifying.
pub struct Context(NonNull<ffi::Context>);

/// Calls with an output, and checks that it was written.
fn output<T>(call: impl FnOnce(*mut T) -> i32) -> T {
    let mut value = MaybeUninit::uninit();
    assert_eq!(call(value.as_mut_ptr()), 1, "libsecp256k1 refused what the benchmark gave it");
    // SAFETY: the library writes its outputs whenever it returns 1.
    unsafe { value.assume_init() }
}

impl Context {
    /// A context, randomised once as the library's documentation asks.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        // SAFETY: the context is never destroyed, and the seed has 32 bytes.
        unsafe {
            let context = ffi::secp256k1_context_create(ffi::SECP256K1_START_SIGN | ffi::SECP256K1_START_VERIFY);
            assert_eq!(ffi::secp256k1_context_randomize(context, [7; 32].as_ptr()), 1);
            Self(context)
        }
    }

    fn ptr(&self) -> *const ffi::Context {
        self.0.as_ptr()
    }

    /// Decodes a compressed key.
    pub fn public_key(&self, bytes: &[u8; 33]) -> PublicKey {
        // SAFETY: the length is that of the bytes.
        output(|key| unsafe { ffi::secp256k1_ec_pubkey_parse(self.ptr(), key, bytes.as_ptr(), 33) })
    }

    /// Decodes a key of BIP340.
    pub fn xonly(&self, bytes: &[u8; 32]) -> XOnlyPublicKey {
        // SAFETY: the input has 32 bytes.
        output(|key| unsafe { ffi::secp256k1_xonly_pubkey_parse(self.ptr(), key, bytes.as_ptr()) })
    }

    /// A key pair of a secret key.
    pub fn keypair(&self, secret: &[u8; 32]) -> Keypair {
        // SAFETY: the input has 32 bytes.
        output(|pair| unsafe { ffi::secp256k1_keypair_create(self.ptr(), pair, secret.as_ptr()) })
    }

    /// Verifies a signature of a message of 32 bytes.
    pub fn verify(&self, signature: &[u8; 64], message: &[u8; 32], key: &XOnlyPublicKey) -> bool {
        // SAFETY: the lengths are those of the types.
        unsafe { ffi::secp256k1_schnorrsig_verify(self.ptr(), signature.as_ptr(), message.as_ptr(), 32, key) == 1 }
    }

    /// Aggregates keys.
    pub fn aggregate(&self, keys: &[&PublicKey]) -> (XOnlyPublicKey, MusigKeyAggCache) {
        let mut cache = MaybeUninit::uninit();
        let pointers = keys.as_ptr().cast::<*const PublicKey>();
        // SAFETY: a reference has the layout of a pointer; there are as many as the length says.
        let key = output(|key| unsafe {
            ffi::secp256k1_musig_pubkey_agg(self.ptr(), key, cache.as_mut_ptr(), pointers, keys.len())
        });
        // SAFETY: written together with the key.
        (key, unsafe { cache.assume_init() })
    }

    /// Draws a nonce from 32 random bytes, which it wipes.
    pub fn nonce(
        &self,
        mut random: [u8; 32],
        secret: &[u8; 32],
        key: &PublicKey,
        message: &[u8; 32],
        cache: &MusigKeyAggCache,
    ) -> (MusigSecNonce, MusigPubNonce) {
        let mut public = MaybeUninit::uninit();
        // SAFETY: the lengths are those of the types; the extra input may be null.
        let nonce = output(|nonce| unsafe {
            let (random, secret) = (random.as_mut_ptr(), secret.as_ptr());
            let public = public.as_mut_ptr();
            ffi::secp256k1_musig_nonce_gen(
                self.ptr(),
                nonce,
                public,
                random,
                secret,
                key,
                message.as_ptr(),
                cache,
                null(),
            )
        });
        // SAFETY: written together with the secret half.
        (nonce, unsafe { public.assume_init() })
    }

    /// Decodes a public nonce.
    pub fn public_nonce(&self, bytes: &[u8; 66]) -> MusigPubNonce {
        // SAFETY: the input has 66 bytes.
        output(|nonce| unsafe { ffi::secp256k1_musig_pubnonce_parse(self.ptr(), nonce, bytes.as_ptr()) })
    }

    /// Encodes a public nonce.
    pub fn encode_nonce(&self, nonce: &MusigPubNonce) -> [u8; 66] {
        output(|bytes: *mut [u8; 66]| {
            // SAFETY: the output has 66 bytes.
            unsafe { ffi::secp256k1_musig_pubnonce_serialize(self.ptr(), bytes.cast(), nonce) }
        })
    }

    /// Decodes an aggregate nonce.
    pub fn aggregate_nonce(&self, bytes: &[u8; 66]) -> MusigAggNonce {
        // SAFETY: the input has 66 bytes.
        output(|nonce| unsafe { ffi::secp256k1_musig_aggnonce_parse(self.ptr(), nonce, bytes.as_ptr()) })
    }

    /// Opens a session.
    pub fn session(&self, nonce: &MusigAggNonce, message: &[u8; 32], cache: &MusigKeyAggCache) -> MusigSession {
        // SAFETY: the message has 32 bytes.
        output(|session| unsafe {
            ffi::secp256k1_musig_nonce_process(self.ptr(), session, nonce, message.as_ptr(), cache)
        })
    }

    /// Signs, and wipes this copy of the nonce.
    pub fn sign(
        &self,
        mut nonce: MusigSecNonce,
        pair: &Keypair,
        cache: &MusigKeyAggCache,
        session: &MusigSession,
    ) -> MusigPartialSignature {
        // SAFETY: all of them were written by the library.
        output(|partial| unsafe {
            ffi::secp256k1_musig_partial_sign(self.ptr(), partial, &mut nonce, pair, cache, session)
        })
    }

    /// Decodes a partial signature.
    pub fn partial(&self, bytes: &[u8; 32]) -> MusigPartialSignature {
        // SAFETY: the input has 32 bytes.
        output(|partial| unsafe { ffi::secp256k1_musig_partial_sig_parse(self.ptr(), partial, bytes.as_ptr()) })
    }

    /// Verifies a partial signature.
    pub fn verify_partial(
        &self,
        partial: &MusigPartialSignature,
        nonce: &MusigPubNonce,
        key: &PublicKey,
        cache: &MusigKeyAggCache,
        session: &MusigSession,
    ) -> bool {
        // SAFETY: all of them were written by the library.
        unsafe { ffi::secp256k1_musig_partial_sig_verify(self.ptr(), partial, nonce, key, cache, session) == 1 }
    }
}
