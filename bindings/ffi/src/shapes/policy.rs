//! The embedder's rules, as data: what gets in without asking, and what does not.
//!
//! Invariant: rules decide by their arguments alone, so that runs can be reproduced, and nothing unusual is approved
//! that a rule does not name.

use std::collections::BTreeSet;

use nelumbo_core::approval::{Signs, Summary, Unusual};
use nelumbo_core::wire::{Definition, PeerId, TransactionType};
use nelumbo_core::{Policy as CorePolicy, Review};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Key, Peer};
use super::words::Word;

/// What gets in without asking, and what does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// These peers may not talk to the node.
    pub refused_peers: Vec<Peer>,
    /// What becomes of a session that another signer asks for: what the first rule says that fits. Where none fits, the
    /// embedder is asked.
    pub rules: Vec<Rule>,
}

/// A rule on sessions that other signers ask for. It fits when all of its conditions do; what is not said is no
/// condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only sessions that one of these asks for.
    #[serde(default)]
    pub creators: Option<Vec<Key>>,
    /// Only sessions whose signers are all among these.
    #[serde(default)]
    pub signers: Option<Vec<Key>>,
    /// Only sessions of one of these kinds.
    #[serde(default)]
    pub kinds: Option<Vec<Word<TransactionType>>>,
    /// Only transactions that spend no more than this of the group's money, in satoshi: what leaves it, and the fee.
    #[serde(default)]
    pub max_spent: Option<u64>,
    /// Only transactions that pay nobody but the group and these addresses.
    #[serde(default)]
    pub addresses: Option<Vec<String>>,
    /// What is done.
    pub action: Action,
}

/// What is done with a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// The embedder is asked.
    Ask {},
    /// It is joined.
    Approve {
        /// What of it may be unusual. One that is unusual otherwise is not joined: the embedder is asked.
        #[serde(default)]
        allow: Vec<Word<Unusual>>,
    },
    /// It is refused, and the other signers are told.
    Decline {},
}

impl Rule {
    fn fits(&self, definition: &Definition, summary: &Summary) -> bool {
        fn all<T>(condition: &Option<T>, holds: impl Fn(&T) -> bool) -> bool {
            condition.as_ref().is_none_or(holds)
        }
        let transaction = match &summary.signs {
            Signs::Transaction(transaction) => Some(transaction),
            _ => None,
        };
        all(&self.creators, |creators| creators.iter().any(|Key(key)| key == definition.creator_key()))
            && all(&self.signers, |signers| definition.keys.iter().all(|key| signers.iter().any(|one| one.0 == *key)))
            && all(&self.kinds, |kinds| definition.details.kind.is_some_and(|kind| kinds.contains(&Word(kind))))
            && all(&self.max_spent, |most| {
                transaction.is_some_and(|known| known.from_group.saturating_sub(known.to_group) <= *most)
            })
            && all(&self.addresses, |addresses| {
                transaction.is_some_and(|known| {
                    let is_named =
                        |address: &Option<String>| address.as_ref().is_some_and(|one| addresses.contains(one));
                    known.outputs.iter().all(|output| {
                        output.to == nelumbo_core::approval::Recipient::Group || is_named(&output.address)
                    })
                })
            })
    }
}

impl CorePolicy for Policy {
    fn permits(&mut self, peer: &PeerId) -> bool {
        !self.refused_peers.iter().any(|refused| refused.0 == *peer)
    }

    fn review(&mut self, definition: &Definition, summary: &Summary) -> Review {
        match self.rules.iter().find(|rule| rule.fits(definition, summary)).map(|rule| &rule.action) {
            None | Some(Action::Ask {}) => Review::Ask,
            Some(Action::Approve { allow }) => {
                Review::Approve { allow: allow.iter().map(|word| word.0).collect::<BTreeSet<_>>() }
            }
            Some(Action::Decline {}) => Review::Decline,
        }
    }
}
