//! What holds of every summary, and of every policy that decides by one.

use std::collections::BTreeSet;

use nelumbo_core::api::Phase;
use nelumbo_core::approval::{Recipient, Summary, Unusual};
use nelumbo_core::crypto::Tweak;
use nelumbo_core::crypto::lotus::{Transaction, TxInput};
use nelumbo_core::wire::{Definition, DefinitionError, Item, SpendPath, SpendingError, Spent};
use nelumbo_core::{Policy, Review};
use quickcheck::quickcheck;

use super::approval::{announce, own, rent, session, signing, spending, summary, transaction, unusual};
use super::common::{ScriptedPeer, TestNode, phase};

/// Approves whatever is asked for, and allows one thing.
struct Allows(BTreeSet<Unusual>);

impl Policy for Allows {
    fn review(&mut self, definition: &Definition, summary: &Summary) -> Review {
        assert_eq!(Ok(summary), self::summary(definition).as_ref(), "the same as a person sees");
        Review::Approve { allow: self.0.clone() }
    }
}

#[test]
fn a_policy_says_by_name_what_it_allows() {
    for allowed in Unusual::ALL.map(|unusual| BTreeSet::from([unusual])).into_iter().chain([BTreeSet::new()]) {
        let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
        node.node.set_policy(Box::new(Allows(allowed.clone())));
        let session = session(&node, &alice);
        let mut cases = unusual(&session);
        cases.push((signing(&session, spending(&session, &rent(&session), 0x61)), BTreeSet::new()));
        for (number, (definition, names)) in cases.into_iter().enumerate() {
            let definition = Definition { nonce: [number as u8; 32], ..definition };
            let id = announce(&mut node, &mut alice, &definition);
            let is_approved = names.is_subset(&allowed);
            assert_eq!(phase(&node, id) != Phase::Announced, is_approved, "{names:?} with {allowed:?}");
        }
    }
}

#[test]
fn what_deceives_is_escaped_in_json() {
    let text: nelumbo_core::wire::Text<64> = "Bob\u{202e}ecilA".parse().expect("no control character");
    assert_eq!(serde_json::to_value(text).expect("a text"), r"Bob\u{202e}ecilA");
}

quickcheck! {
    /// Every satoshi that is spent is paid or left, and all that is paid is the group's or somebody else's.
    fn outputs_and_fee_are_the_inputs(values: Vec<(u64, bool)>, others: Vec<u64>, byte: u8, state: bool) -> bool {
        let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
        let session = session(&node, &alice);
        let outputs: Vec<_> = values
            .iter()
            .map(|(value, is_group)| (value >> 8, if *is_group { own(&session) } else { vec![0x51] }))
            .collect();
        let mut spending = spending(&session, &outputs, [0x61, 0x62, 0x63, 0xe1, 0xe2, 0xe3][usize::from(byte % 6)]);
        let mut spends = Transaction::parse(&spending.transaction).expect("a transaction");
        for (number, value) in others.iter().enumerate() {
            let input = TxInput { sequence: number as u32, ..spends.inputs[0].clone() };
            spends.inputs.push(input);
            spending.spent.push(Spent { value: value >> 8, script: if state { own(&session) } else { vec![0x52] } });
        }
        spending.transaction = spends.to_bytes();
        spending.spent[0].value = u64::from(byte) << 48;
        let (total_in, total_out): (u64, u64) = (
            spending.spent.iter().map(|spent| spent.value).sum(),
            outputs.iter().map(|(value, _)| value).sum(),
        );
        match summary(&signing(&session, spending)) {
            Ok(summary) => {
                let seen = transaction(&summary);
                let to_others = seen.outputs.iter().filter(|output| output.to != Recipient::Group);
                (seen.total_in, seen.total_out) == (total_in, total_out)
                    && seen.total_out + seen.fee == seen.total_in
                    && seen.to_group + to_others.map(|output| output.value).sum::<u64>() == seen.total_out
            }
            Err(DefinitionError::Spending(SpendingError::Overspent { inputs, outputs })) => {
                (inputs, outputs) == (total_in, total_out) && outputs > inputs
            }
            // SINGLE without an output at the input's place.
            Err(DefinitionError::Spending(SpendingError::Sighash(_))) => outputs.is_empty(),
            Err(_) => false,
        }
    }

    /// There is no definition of which a summary could not be asked.
    fn no_definition_is_too_odd(bytes: Vec<u8>, scripts: Vec<(u64, Vec<u8>)>, input: u32, byte: u8, by: bool) -> bool {
        let (node, alice) = (TestNode::new(), ScriptedPeer::new(1));
        let session = session(&node, &alice);
        let mut spending = spending(&session, &scripts, if byte & 1 == 0 { byte } else { 0x61 });
        if byte & 2 == 0 {
            let end = bytes.len().min(spending.transaction.len());
            spending.transaction[..end].iter_mut().zip(&bytes).for_each(|(old, new)| *old ^= new & 0x11);
        }
        spending.spent.extend(scripts.into_iter().map(|(value, script)| Spent { value, script }));
        spending.input = input % 4;
        if by {
            spending.path = SpendPath::Script { executed_script_hash: [byte; 32], code_separator: input };
        }
        let mut odd = signing(&session, spending);
        if byte & 8 == 0 {
            odd.items.push(Item::message(bytes, Tweak::None));
        }
        if byte & 16 == 0 {
            odd.items.push(odd.items[0].clone());
        }
        if byte & 4 == 0 {
            odd.keys.clear();
        }
        odd.creator = input as u16;
        [alice.key(), node.key].iter().all(|key| match Summary::of(&odd, &vec![*key; odd.items.len()]) {
            Ok(summary) => !summary.to_string().chars().any(char::is_control),
            Err(error) => !error.to_string().is_empty(),
        })
    }
}
