//! What the three libraries have in common: BIP327, from bytes to bytes.
//!
//! Invariant: none accepts what BIP327 refuses, and all answer the same. Where a library leaves a check to its caller,
//! its implementation of this trait makes it, and says so. Driven by the target.

pub(crate) type Key = [u8; 33];
pub(crate) type Nonce = [u8; 66];

/// A library of MuSig2. Nothing here is secret; none of it is constant in time.
pub(crate) trait Library {
    /// Aggregated keys, with the tweaks so far.
    type Keys: Clone;
    /// A secret nonce, which signs once.
    type SecretNonce;
    /// Keys, aggregate nonce and message.
    type Round;

    /// The public key; none for a secret that is zero or not below the group order.
    fn public_key(secret: &[u8; 32]) -> Option<Key>;

    /// Aggregates keys in this order (KeyAgg); none when one of them is no point. There is at least one.
    fn aggregate(keys: &[Key]) -> Option<Self::Keys>;

    /// The aggregate key, with the tweaks so far.
    fn key(keys: &Self::Keys) -> Key;

    /// Applies a tweak (ApplyTweak); none when it is not below the group order or the sum is infinity.
    fn tweak(keys: &Self::Keys, tweak: &[u8; 32], is_xonly: bool) -> Option<Self::Keys>;

    /// Applies the tweak of a Taproot output (BIP341).
    fn taproot(keys: &Self::Keys, merkle_root: Option<&[u8; 32]>) -> Option<Self::Keys>;

    /// Draws a nonce (NonceGen) with all of its inputs. `secret` is a key, `randomness` is not zero.
    fn nonce(
        secret: &[u8; 32],
        randomness: &[u8; 32],
        keys: &Self::Keys,
        message: &[u8],
        extra: Option<&[u8; 32]>,
    ) -> (Self::SecretNonce, Nonce);

    /// Sums nonces (NonceAgg); none when one of them is not two points.
    fn sum(nonces: &[Nonce]) -> Option<Nonce>;

    /// Opens a round (GetSessionValues); none when the sum is not two points or infinities.
    fn open(keys: &Self::Keys, sum: &Nonce, message: &[u8]) -> Option<Self::Round>;

    /// Signs (Sign); none when the key is not among the round's.
    fn sign(round: &Self::Round, keys: &Self::Keys, nonce: Self::SecretNonce, secret: &[u8; 32]) -> Option<[u8; 32]>;

    /// Whether the signer at this index made the partial signature with this nonce (PartialSigVerify).
    fn verify_partial(round: &Self::Round, keys: &Self::Keys, index: usize, nonce: &Nonce, partial: &[u8; 32]) -> bool;

    /// The signature (PartialSigAgg), if it verifies. There are as many partial signatures as keys.
    fn combine(round: &Self::Round, keys: &Self::Keys, partials: &[[u8; 32]]) -> Option<[u8; 64]>;

    /// Asserts that a library's answers for many at once are those for one.
    fn check_batches(_: &Self::Keys, _message: &[u8], _: &[Nonce], _partials: &[[u8; 32]]) {}

    /// Whether a signature is valid under the aggregate key (BIP340).
    fn verify(keys: &Self::Keys, message: &[u8], signature: &[u8; 64]) -> bool;
}
