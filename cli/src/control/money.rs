//! What a node answers about contacts, groups, and what groups have.
//!
//! Owns nothing: the data folder has the names, the chain's servers have the balances. `answers` drives it.

use nelumbo_core::crypto::Suite;

use super::answers::{Answer, Answers, result};
use super::messages::Problem;
use super::shapes::{NamedGroup, Names};
use crate::contacts::Contacts;
use crate::failure::Failure;
use crate::group::{Group, Name};
use crate::holdings::Holdings;

impl Answers {
    pub(super) fn names(&self) -> Result<Answer, Problem> {
        let Contacts { contacts, groups } = Contacts::read(&self.folder).map_err(unreadable)?;
        let group = |group: &Group| NamedGroup {
            id: group.id(),
            address: group.address(),
            network: group.network,
            suite: group.suite,
            keys: group.keys.clone(),
        };
        let groups = groups.iter().map(|(name, it)| (name.to_string(), group(it))).collect();
        result(Names { contacts: contacts.into_iter().map(|(name, key)| (name.into(), key)).collect(), groups })
    }

    pub(super) async fn balance(&self, name: &Name) -> Result<Answer, Problem> {
        let contacts = Contacts::read(&self.folder).map_err(unreadable)?;
        let group = contacts.group(name).map_err(unreadable)?;
        if group.suite != Suite::Lotus {
            let problem = format_args!("the group {name} is on Bitcoin, and Chronik servers know Lotus");
            return Err(Problem::refused(problem, "ask a wallet that knows its address"));
        }
        let client = self.chronik.as_ref().ok_or_else(|| {
            Problem::refused(
                "no server is set that knows the chain",
                "set `chain` in config.toml, and start the node again",
            )
        })?;
        let holdings = Holdings::of(client, &group.script(), &group.payload()).await;
        result(holdings.map_err(|error| Problem::refused(&error, error.remedy()))?.sums())
    }
}

fn unreadable(failure: Failure) -> Problem {
    let Failure { problem, remedy, .. } = failure;
    Problem::refused(problem, &remedy)
}
