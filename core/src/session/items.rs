//! What a session's items are signed with: the keys under each tweak, and the messages.
//!
//! Invariants: keys are aggregated once, and each distinct tweak is applied once; what a transaction's inputs share is
//! hashed once. Made when a session becomes known; its machine reads it.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::crypto::{KeyAggError, PublicKey, Signature, Tweak, Verifier};
use crate::wire::{Definition, DefinitionError, Item, Subject};

/// See the module's documentation.
pub(crate) struct Items<V: Verifier> {
    /// The keys under each distinct tweak.
    keys: Vec<V::Keys>,
    /// Which of them each item is signed with.
    of_item: Vec<usize>,
    /// The digests of a transaction's inputs; nothing for bare messages, which the definition has.
    digests: Vec<[u8; 32]>,
}

/// Why there is nothing to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemsError {
    Keys(KeyAggError),
    Definition(DefinitionError),
}

impl<V: Verifier> Items<V> {
    pub(crate) fn new(verifier: &V, definition: &Definition) -> Result<Self, ItemsError> {
        let Definition { suite, keys: signers, items, .. } = definition;
        let plain = verifier.aggregate_keys(*suite, signers, &Tweak::None).map_err(ItemsError::Keys)?;
        let mut tweaks: Vec<Tweak> = items.iter().map(|item| item.tweak).collect();
        tweaks.sort_unstable();
        tweaks.dedup();
        let tweaked = tweaks.iter().map(|tweak| verifier.tweak_keys(&plain, tweak)).collect::<Result<_, _>>();
        let place = |item: &Item| tweaks.binary_search(&item.tweak).expect("every tweak is among those of all items");
        let messages = definition.messages().map_err(ItemsError::Definition)?;
        let digest = |message: Cow<'_, [u8]>| match message {
            Cow::Owned(digest) => Some(digest.try_into().expect("a digest has 32 bytes")),
            Cow::Borrowed(_) => None,
        };
        Ok(Self {
            keys: tweaked.map_err(ItemsError::Keys)?,
            of_item: items.iter().map(place).collect(),
            digests: messages.into_iter().filter_map(digest).collect(),
        })
    }

    /// The keys that an item is signed with.
    pub(crate) fn keys(&self, item: usize) -> &V::Keys {
        &self.keys[self.of_item[item]]
    }

    /// The keys and the message of each item.
    pub(crate) fn iter<'a>(
        &'a self,
        definition: &'a Definition,
    ) -> impl ExactSizeIterator<Item = (&'a V::Keys, &'a [u8])> {
        definition.items.iter().enumerate().map(|(index, item)| match &item.subject {
            Subject::Message(message) => (self.keys(index), message.as_slice()),
            Subject::Input(_) => (self.keys(index), self.digests[index].as_slice()),
        })
    }

    /// The first item whose final signature is none; 0 when there are not as many as items. `entropy` is as in
    /// [`Verifier::verify_finals`].
    pub(crate) fn invalid(
        &self,
        verifier: &V,
        definition: &Definition,
        signatures: &[Signature],
        entropy: &[u8; 32],
    ) -> Option<usize> {
        if signatures.len() != definition.items.len() {
            return Some(0);
        }
        let claims = self.iter(definition).zip(signatures);
        let claims: Vec<_> = claims.map(|((keys, message), signature)| (keys, message, *signature)).collect();
        verifier.verify_finals(&claims, entropy)
    }

    /// The key that the signature of each item verifies under.
    pub(crate) fn challenge_keys(&self, verifier: &V) -> Vec<PublicKey> {
        let keys: Vec<_> = self.keys.iter().map(|keys| verifier.challenge_key(keys)).collect();
        self.of_item.iter().map(|place| keys[*place]).collect()
    }
}
