//! Several inputs at once.
//!
//! Owns the look ahead at what they bring: their signatures are verified together, for less than one by one. Invariant:
//! what comes of the inputs is what [`Node::handle`] makes of each in turn, whatever they are; the look ahead changes
//! nothing but the time it takes. Hosts drive it.

use alloc::vec::Vec;

use super::{Knowledge, Node};
use crate::api::Input;
use crate::base::Now;
use crate::crypto::Verifier;
use crate::effect::Environment;
use crate::gate::Channel;

impl<V: Verifier> Node<V> {
    /// Takes several facts about the world, as [`handle`](Self::handle) takes each, in this order and at this time.
    ///
    /// Messages of many authors cost about half of what they cost one by one. Best is what waits already; nothing is
    /// gained by waiting for more.
    pub fn handle_many(&mut self, now: Now, inputs: Vec<Input>) {
        let messages: Vec<_> = inputs
            .iter()
            .filter_map(|input| match input {
                Input::Received { from, bytes } => Some((Channel::Direct(from), bytes)),
                Input::Gossip { from, bytes, .. } => Some((Channel::Gossip(from), bytes)),
                _ => None,
            })
            .collect();
        let Self { environment, gate, sessions, discovery, protocols, .. } = self;
        let Environment { verifier, batch_entropy, now: before, .. } = environment;
        let known = Knowledge { sessions, discovery, protocols };
        let entropy = || batch_entropy.bytes32();
        gate.verify_ahead(verifier, &messages, &known, entropy, Now { mono: before.mono.max(now.mono), ..now });
        inputs.into_iter().for_each(|input| self.handle(now, input));
        self.gate.forget_verdicts();
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;

    use super::*;
    use crate::api::{Config, Quota};
    use crate::base::{Bytes, Mono, Wall};
    use crate::crypto::{Entropy, MessageKey, MessageSigner, Network, PublicNonce, Secp256k1, SecretKey, Suite, Tweak};
    use crate::election::Method;
    use crate::node::Boot;
    use crate::wire::{
        Body, Content, Definition, Delegation, Details, Item, Mandate, PeerId, Presence, SessionId, SessionMessage,
        seal, seal_delegated,
    };

    const NOW: Now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_000) };

    fn secret(number: u8) -> SecretKey {
        SecretKey::from_bytes(&[number; 32]).expect("a key")
    }

    fn author(number: u8) -> MessageKey {
        MessageKey::new(secret(number), Entropy::new([number; 32]).expect("not all zero"))
    }

    fn node(config: Config) -> Node<Secp256k1> {
        let entropy = Entropy::new([9; 32]).expect("not all zero");
        let peer = PeerId::from_bytes(&[9]).expect("a name");
        let boot =
            Boot { message_signer: Box::new(author(9)), verifier: Secp256k1, entropy, peer, records: Vec::new() };
        Node::new(config, boot, NOW).expect("an empty journal")
    }

    /// Presences of as many authors, all from one peer.
    fn presences(count: u8) -> Vec<Input> {
        let from = PeerId::from_bytes(&[1]).expect("a name");
        let (issued_at, expires_at) = (Wall::from_millis(1_000), Wall::from_millis(2_000));
        let presence = Presence { peer: from, addresses: Vec::new(), issued_at, expires_at };
        let one = |number| {
            let body = Body::Presence(presence.clone());
            let bytes = seal(&mut author(number), Network::Regtest, body).expect("software signs");
            Input::Received { from, bytes }
        };
        (1..=count).map(one).collect()
    }

    fn messages(inputs: &[Input]) -> Vec<(Channel<'_>, &Bytes)> {
        inputs
            .iter()
            .map(|input| match input {
                Input::Received { from, bytes } => (Channel::Direct(from), bytes),
                _ => unreachable!("all are received"),
            })
            .collect()
    }

    /// How many of these inputs' signatures would be verified together.
    fn claims(node: &Node<Secp256k1>, inputs: &[Input]) -> usize {
        let Node { gate, sessions, discovery, protocols, .. } = node;
        let known = Knowledge { sessions, discovery, protocols };
        gate.claims(&messages(inputs), &known, Now::default())
    }

    #[test]
    fn what_is_awaited_is_verified_ahead_once() {
        let mut node = node(Config::new(Network::Regtest));
        let inputs = presences(4);
        assert_eq!(claims(&node, &inputs), 4);
        assert!(claims(&node, &inputs[..1]) == 0, "there is nothing to verify it together with");
        let Node { gate, sessions, discovery, protocols, .. } = &mut node;
        let known = Knowledge { sessions, discovery, protocols };
        gate.verify_ahead(&Secp256k1, &messages(&inputs), &known, || [1; 32], NOW);
        assert_eq!(node.gate.verdicts(), 4);
        node.handle_many(NOW, inputs.clone());
        assert!(claims(&node, &inputs) == 0, "all are known");
        assert!(node.gate.verdicts() == 0, "and no verdict is kept");
    }

    /// Steps of a session by whom this signer has delegated to, with the numbers from `first` on.
    fn steps(signer: u8, session: SessionId, first: u64, contents: [Content; 2]) -> Vec<Input> {
        let from = PeerId::from_bytes(&[signer]).expect("a name");
        let (valid_from, expires_at) = (Wall::from_millis(0), Wall::from_millis(100_000));
        let mandate = Mandate { message_key: secret(100 + signer).public_key(), valid_from, expires_at };
        let signature = author(signer).sign(&mandate.statement(Network::Regtest).digest()).expect("software signs");
        let delegation = Delegation { mandate, signature };
        let say = |(sequence, content)| {
            let body = Body::Session(SessionMessage { session, attempt: 1, sequence, content });
            let (mut speaker, signer) = (author(100 + signer), secret(signer).public_key());
            let bytes = seal_delegated(&mut speaker, signer, &delegation, Network::Regtest, body);
            Input::Received { from, bytes: bytes.expect("software signs") }
        };
        (first..).zip(contents).map(say).collect()
    }

    #[test]
    fn a_delegation_is_verified_once_of_signers_and_each_time_of_strangers() {
        let mut node = node(Config::new(Network::Regtest));
        let mut keys = Vec::from([secret(1).public_key(), secret(9).public_key()]);
        keys.sort_unstable();
        let definition = Definition {
            network: Network::Regtest,
            suite: Suite::Lotus,
            creator: u16::from(keys[1] == secret(1).public_key()),
            keys,
            items: Vec::from([Item::message(Vec::from([9; 32]), Tweak::None)]),
            details: Details::default(),
            is_listed: false,
            election: Method::Lexicographic,
            created_at: Wall::from_millis(1_000),
            expires_at: Wall::from_millis(90_000),
            nonce: [3; 32],
        };
        let session = definition.id();
        let nonces = Vec::from([PublicNonce::from_bytes([2; 66])]);
        let announce = Content::Announce { definition: definition.into(), nonces };
        let others = || [Content::Confirmed, Content::Waiting];
        for (signer, session, first, expected) in
            [(1, session, [announce, Content::Confirmed], 2), (2, SessionId::from_bytes([7; 32]), others(), 4)]
        {
            node.handle_many(NOW, steps(signer, session, 1, first));
            assert_eq!(claims(&node, &steps(signer, session, 3, others())), expected);
        }
        assert_eq!(node.view().refusals().total(), 0);
    }

    #[test]
    fn a_flood_is_not_verified_ahead() {
        let mut config = Config::new(Network::Regtest);
        config.limits.messages_per_peer = Quota { burst: 3, every: core::time::Duration::from_secs(1) };
        let node = node(config);
        assert_eq!(claims(&node, &presences(3)), 3);
        assert!(claims(&node, &presences(4)) == 0);
    }

    #[test]
    fn what_all_together_may_send_counts_beyond_what_is_reserved() {
        let quota = |burst| Quota { burst, every: core::time::Duration::from_secs(1) };
        for (reserved, messages, bytes, expected) in
            [(4, 0, 0, 4), (3, 4, 10_000, 4), (3, 3, 10_000, 0), (3, 4, 10, 0), (3, 0, 0, 0)]
        {
            let mut config = Config::new(Network::Regtest);
            config.limits.messages_reserved_per_peer = quota(reserved);
            (config.limits.messages, config.limits.bytes) = (quota(messages), quota(bytes));
            assert_eq!(claims(&node(config), &presences(4)), expected);
        }
    }
}
