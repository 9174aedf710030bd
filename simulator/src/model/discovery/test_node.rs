//! A node with a host that is driven by hand, for the model of discovery.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::{Command, CommandId, Input, OperationId, Output};
use nelumbo_core::node::Node;

use super::super::test_node::now;
use crate::crypto::ToyVerifier;

/// A node and its host. Its records are durable at once, and lookups of names that nobody stores end at once.
pub(super) struct TestNode {
    pub(super) node: Node<ToyVerifier>,
    pub(super) names: BTreeSet<String>,
    pub(super) clock: u64,
    /// The lookups under way, by the record's name.
    pub(super) lookups: BTreeMap<String, OperationId>,
    pub(super) outputs: Vec<Output>,
    /// The searches that have begun.
    pub(super) searches: Vec<CommandId>,
}

impl TestNode {
    pub(super) fn input(&mut self, input: Input) {
        self.node.handle(now(self.clock), input);
        self.settle();
    }

    pub(super) fn command(&mut self, command: Command) {
        let is_search = matches!(command, Command::FindSigners(_));
        // One that is refused changes nothing, and leads back to the same state.
        let id = self.node.command(now(self.clock), command).ok();
        self.searches.extend(id.filter(|_| is_search));
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        while let Some(output) = self.node.poll() {
            match &output {
                Output::Persist { sequence, .. } => self.node.handle(now(self.clock), Input::Persisted(*sequence)),
                Output::Lookup { operation, key } if self.names.contains(key) => {
                    self.lookups.insert(key.clone(), *operation);
                }
                Output::Lookup { operation, .. } => {
                    self.node.handle(now(self.clock), Input::LookupFinished(*operation));
                }
                _ => {}
            }
            self.outputs.push(output);
        }
    }
}
