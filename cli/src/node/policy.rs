//! Which requests are approved, or declined, without asking.
//!
//! Owns the rules of config.toml and what they say about a request. Invariants: what is approved here is a transaction
//! of which every input and output is covered, with nothing unusual and no warning; what is said about a request names
//! the rule, and of each rule that does not fit what it is that does not; a rule that cannot be judged does not fit.
//! `approver` drives it.

use std::collections::BTreeMap;

use nelumbo_core::api::SessionView;
use nelumbo_core::approval::{Recipient, Signs, Summary, TransactionSummary};
use nelumbo_core::crypto::{PublicKey, Suite, Tweak};
use nelumbo_simulator::settings::Unsound;
use serde::{Deserialize, Serialize};

use crate::contacts::{Contacts, key_or_name};
use crate::group::Name;

/// The rules, and what holds where none fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct ApprovalPolicy {
    /// What becomes of a request that no rule fits: it waits for you, or it is declined.
    pub(crate) default: Decision,
    /// The rules, each a table `[[approval.rules]]`, in the order in which they are tried; the first that fits decides.
    pub(crate) rules: Vec<Rule>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decision {
    /// It waits for the owner.
    #[default]
    Ask,
    Decline,
    Approve,
}

/// One rule. It fits a request if all fit that it says; amounts are satoshi.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Rule {
    /// What it is called in events, and what its amounts are counted under.
    pub(crate) name: Name,
    /// What becomes of a request that it fits.
    pub(crate) decision: Decision,
    /// Who may ask: names of contacts, or public keys. Without it anyone.
    pub(crate) creators: Option<Vec<String>>,
    /// Which groups may be asked for, by the names that they have here. Without it any.
    pub(crate) groups: Option<Vec<Name>>,
    /// The addresses that may be paid, beside the group itself. Without it any.
    pub(crate) outputs: Option<Vec<String>>,
    /// The most that the group may lose by one request, with the fee.
    pub(crate) max_amount: Option<u64>,
    /// The most that may be left as a fee.
    pub(crate) max_fee: Option<u64>,
    /// The most that the groups may lose by this rule within 24 hours. A rule that approves needs it.
    pub(crate) max_amount_per_day: Option<u64>,
}

impl ApprovalPolicy {
    pub(super) fn check(&self) -> Result<(), Unsound> {
        let unsound = |setting: &str, value: &str, allowed: &str| {
            let setting = format!("approval.{setting}");
            Err(Unsound { setting, value: value.to_owned(), allowed: allowed.to_owned() })
        };
        if self.default == Decision::Approve {
            return unsound("default", "approve", "ask or decline: what is approved needs a rule");
        }
        for (place, rule) in self.rules.iter().enumerate() {
            let name = rule.name.to_string();
            if self.rules[..place].iter().any(|other| other.name == rule.name) {
                return unsound("rules.name", &name, "a name of its own for each rule");
            }
            if rule.decision == Decision::Approve && rule.max_amount_per_day.is_none() {
                return unsound("rules.max-amount-per-day", &format!("missing in {name}"), "a number of satoshi");
            }
            let lists = [rule.creators.as_ref().map(Vec::len), rule.groups.as_ref().map(Vec::len)];
            if lists.into_iter().chain([rule.outputs.as_ref().map(Vec::len)]).any(|length| length == Some(0)) {
                let allowed = "at least one in each list, or no list";
                return unsound("rules.creators", &format!("or groups or outputs empty in {name}"), allowed);
            }
            for creator in rule.creators.iter().flatten() {
                if key_or_name(creator).is_err() {
                    return unsound("rules.creators", creator, "the name of a contact, or a public key");
                }
            }
        }
        Ok(())
    }
}

/// What is judged of a request.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) creator: PublicKey,
    pub(crate) suite: Suite,
    /// In order.
    pub(crate) keys: &'a [PublicKey],
    pub(crate) tweaks: Vec<Tweak>,
    pub(crate) summary: &'a Summary,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(view: &'a SessionView, summary: &'a Summary) -> Self {
        let definition = &view.definition;
        Self {
            creator: *definition.creator_key(),
            suite: definition.suite,
            keys: &definition.keys,
            tweaks: definition.items.iter().map(|item| item.tweak).collect(),
            summary,
        }
    }

    /// The transaction, if there is nothing to be said about it.
    fn plain(&self) -> Result<&'a TransactionSummary, String> {
        let Signs::Transaction(transaction) = &self.summary.signs else {
            return Err("it is no transaction".to_owned());
        };
        if let Some(unusual) = self.summary.unusual.first() {
            return Err(format!("it is unusual: {unusual}"));
        }
        match self.summary.warnings.first() {
            Some(warning) => Err(warning.clone()),
            None => Ok(transaction),
        }
    }
}

/// What is said about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) decision: Decision,
    /// The rule that has decided; none where the default holds.
    pub(crate) rule: Option<Name>,
    /// What the group loses with the fee, if it is a transaction.
    pub(crate) amount: Option<u64>,
    /// Of each rule that was tried before, why it does not fit.
    pub(crate) others: BTreeMap<Name, String>,
}

/// What the group loses by a transaction, with the fee.
fn amount(transaction: &TransactionSummary) -> u64 {
    transaction.from_group.saturating_sub(transaction.to_group)
}

impl ApprovalPolicy {
    /// Judges a request. `spent` says what was approved by a rule within 24 hours, or why that is not known.
    pub(crate) fn judge(
        &self,
        asked: &Asked<'_>,
        contacts: &Contacts,
        spent: impl Fn(&Name) -> Result<u64, String>,
    ) -> Verdict {
        let amount = match &asked.summary.signs {
            Signs::Transaction(transaction) => Some(amount(transaction)),
            _ => None,
        };
        let mut others = BTreeMap::new();
        for rule in &self.rules {
            match rule.fits(asked, contacts, &spent) {
                Ok(()) => {
                    return Verdict { decision: rule.decision, rule: Some(rule.name.clone()), amount, others };
                }
                Err(reason) => others.insert(rule.name.clone(), reason),
            };
        }
        Verdict { decision: self.default, rule: None, amount, others }
    }
}

impl Rule {
    fn fits(
        &self,
        asked: &Asked<'_>,
        contacts: &Contacts,
        spent: impl Fn(&Name) -> Result<u64, String>,
    ) -> Result<(), String> {
        if let Some(creators) = &self.creators {
            let is_creator = |who: &String| {
                let known = key_or_name(who).ok().and_then(|who| contacts.key(&who).ok());
                known == Some(asked.creator)
            };
            if !creators.iter().any(is_creator) {
                return Err(format!("{} is not among its creators", asked.creator));
            }
        }
        if let Some(groups) = &self.groups {
            let is_asked = |name: &Name| {
                contacts.groups.get(name).is_some_and(|group| {
                    let is_signed = asked.tweaks.iter().all(|tweak| *tweak == group.tweak());
                    group.suite == asked.suite && group.keys == asked.keys && is_signed
                })
            };
            if !groups.iter().any(is_asked) {
                return Err("it is for none of its groups".to_owned());
            }
        }
        let says_amounts = self.max_amount.is_some() || self.max_fee.is_some() || self.max_amount_per_day.is_some();
        if self.decision != Decision::Approve && self.outputs.is_none() && !says_amounts {
            return Ok(());
        }
        // To approve, and wherever amounts are compared, they have to be what is signed.
        let transaction = asked.plain()?;
        if let Some(addresses) = &self.outputs {
            let is_meant = |output: &&nelumbo_core::approval::Output| {
                let is_listed = output.address.as_ref().is_some_and(|address| addresses.contains(address));
                output.to == Recipient::Group || is_listed
            };
            if let Some(other) = transaction.outputs.iter().find(|output| !is_meant(output)) {
                return Err(format!("{} is not among its outputs", other.recipient()));
            }
        }
        let amount = amount(transaction);
        let at_most = |what: &str, amount: u64, most: Option<u64>| match most {
            Some(most) if amount > most => Err(format!("{amount} satoshi {what} are more than {most}")),
            _ => Ok(()),
        };
        at_most("at once", amount, self.max_amount)?;
        at_most("as a fee", transaction.fee, self.max_fee)?;
        match self.max_amount_per_day {
            Some(_) => at_most("in a day", spent(&self.name)?.saturating_add(amount), self.max_amount_per_day),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "policy/tests.rs"]
mod tests;
