//! Rules fire where they fit, and nowhere else.

use std::collections::BTreeSet;

use nelumbo_core::approval::{Output, Unusual};
use nelumbo_core::crypto::{Network, SecretKey};

use super::*;
use crate::group::Group;

const FRIEND: &str = "lotusR16PSJNXGeBvtwFcrdouuG1PPPQUeV8aZDGHad7xjd";

fn key(number: u8) -> PublicKey {
    SecretKey::from_bytes(&[number; 32]).expect("a key").public_key()
}

fn group() -> Group {
    Group::new(Network::Regtest, Suite::Lotus, vec![key(1), key(2), key(3)], None).expect("a group")
}

fn contacts() -> Contacts {
    let mut contacts = Contacts::default();
    contacts.contacts.insert("alice".parse().expect("a name"), key(1));
    contacts.groups.insert("family".parse().expect("a name"), group());
    contacts
}

fn rules(text: &str) -> ApprovalPolicy {
    let policy: ApprovalPolicy = toml::from_str(text).expect("rules");
    policy.check().expect("sound rules");
    policy
}

fn rent() -> ApprovalPolicy {
    rules(&format!(
        "[[rules]]\nname = \"rent\"\ndecision = \"approve\"\ncreators = [\"alice\"]\ngroups = [\"family\"]\n\
         outputs = [\"{FRIEND}\"]\nmax-amount = 1_100\nmax-fee = 100\nmax-amount-per-day = 2_500\n"
    ))
}

fn output(value: u64, address: &str, to: Recipient) -> Output {
    let address = (!address.is_empty()).then(|| address.to_owned());
    Output { value, address, script: String::new(), text: None, to, is_covered: true }
}

/// A group that has 10,000 pays 1,000 to the friend, and 100 as a fee.
fn pays() -> Summary {
    Summary {
        unusual: BTreeSet::new(),
        warnings: Vec::new(),
        description: String::new(),
        signs: Signs::Transaction(Box::new(TransactionSummary {
            suite: Suite::Lotus,
            txid: String::new(),
            signed: Vec::new(),
            inputs: Vec::new(),
            outputs: vec![output(1_000, FRIEND, Recipient::Other), output(8_900, "group", Recipient::Group)],
            total_in: 10_000,
            total_out: 9_900,
            from_group: 10_000,
            to_group: 8_900,
            fee: 100,
            size: 200,
            fee_rate: String::new(),
            lock_time: None,
        })),
    }
}

fn changed(change: impl FnOnce(&mut TransactionSummary)) -> Summary {
    let mut summary = pays();
    let Signs::Transaction(transaction) = &mut summary.signs else { panic!("it is one") };
    change(transaction);
    summary
}

fn judge(policy: &ApprovalPolicy, creator: u8, summary: &Summary, spent: Result<u64, String>) -> Verdict {
    let group = group();
    let asked =
        Asked { creator: key(creator), suite: group.suite, keys: &group.keys, tweaks: vec![group.tweak()], summary };
    policy.judge(&asked, &contacts(), |_| spent.clone())
}

#[test]
fn a_rule_fits_what_it_says_and_nothing_else() {
    let policy = rent();
    let verdict = judge(&policy, 1, &pays(), Ok(1_400));
    assert_eq!((verdict.decision, verdict.amount), (Decision::Approve, Some(1_100)));
    assert_eq!(verdict.rule.map(String::from).as_deref(), Some("rent"));

    let mut unusual = pays();
    unusual.unusual.insert(Unusual::SighashNone);
    let warned = Summary { warnings: vec!["the fee is above a tenth".to_owned()], ..pays() };
    let message = Summary { signs: Signs::Messages(Vec::new()), ..pays() };
    let stranger = output(1, "lotusR_stranger", Recipient::Other);
    let data = output(0, "", Recipient::Nobody);
    for (creator, summary, spent, reason) in [
        (2, pays(), Ok(0), "is not among its creators"),
        (1, unusual, Ok(0), "unusual: sighash-none"),
        (1, warned, Ok(0), "above a tenth"),
        (1, message, Ok(0), "no transaction"),
        (1, changed(|it| it.outputs.push(stranger)), Ok(0), "not among its outputs"),
        (1, changed(|it| it.outputs.push(data)), Ok(0), "not among its outputs"),
        (1, changed(|it| it.to_group = 8_899), Ok(0), "1101 satoshi at once are more than 1100"),
        (1, changed(|it| it.fee = 101), Ok(0), "101 satoshi as a fee"),
        (1, pays(), Ok(1_401), "2501 satoshi in a day are more than 2500"),
        (1, pays(), Ok(u64::MAX), "in a day"),
        (1, pays(), Err("the file is damaged".to_owned()), "damaged"),
    ] {
        let verdict = judge(&policy, creator, &summary, spent);
        assert_eq!((verdict.decision, &verdict.rule), (Decision::Ask, &None), "{reason}");
        let said: Vec<&String> = verdict.others.values().collect();
        assert!(said.len() == 1 && said[0].contains(reason), "{said:?}: {reason}");
    }
}

#[test]
fn another_group_of_the_same_people_is_another() {
    let (policy, group, summary) = (rent(), group(), pays());
    let asked = |suite, keys, tweaks| Asked { creator: key(1), suite, keys, tweaks, summary: &summary };
    let two = [group.keys[0], group.keys[1]];
    for asked in [
        asked(Suite::Bip340, &group.keys[..], vec![group.tweak()]),
        asked(group.suite, &two[..], vec![group.tweak()]),
        asked(group.suite, &group.keys[..], vec![group.tweak(), Tweak::None]),
        asked(group.suite, &group.keys[..], vec![Tweak::Taproot { merkle_root: Some([7; 32]) }]),
    ] {
        let verdict = policy.judge(&asked, &contacts(), |_| Ok(0));
        assert_eq!(verdict.decision, Decision::Ask, "{asked:?}");
    }
    let unknown = policy.judge(&asked(group.suite, &group.keys, vec![group.tweak()]), &Contacts::default(), |_| Ok(0));
    assert_eq!(unknown.decision, Decision::Ask, "names that mean nothing here fit nobody");
}

#[test]
fn the_first_rule_that_fits_decides_and_the_default_holds_otherwise() {
    let policy = rules(
        "default = \"decline\"\n\
         [[rules]]\nname = \"large\"\ndecision = \"ask\"\nmax-amount = 10\n\
         [[rules]]\nname = \"alice\"\ndecision = \"ask\"\ncreators = [\"alice\"]\n\
         [[rules]]\nname = \"never\"\ndecision = \"approve\"\nmax-amount-per-day = 1_000_000\n",
    );
    let names = |verdict: Verdict| (verdict.decision, verdict.rule.map(String::from), verdict.others.len());
    assert_eq!(names(judge(&policy, 1, &pays(), Ok(0))), (Decision::Ask, Some("alice".to_owned()), 1));
    assert_eq!(names(judge(&policy, 2, &pays(), Ok(0))), (Decision::Approve, Some("never".to_owned()), 2));
    assert_eq!(names(judge(&policy, 2, &pays(), Ok(1_000_000))), (Decision::Decline, None, 3));
    let decision = ApprovalPolicy::default().judge(
        &Asked { creator: key(1), suite: Suite::Lotus, keys: &[], tweaks: Vec::new(), summary: &pays() },
        &Contacts::default(),
        |_| Ok(0),
    );
    assert_eq!(decision.decision, Decision::Ask, "who has set nothing is asked");
}

#[test]
fn rules_that_mean_nothing_are_refused() {
    let rule = |fields: &str| format!("[[rules]]\nname = \"one\"\n{fields}\n");
    for text in [
        "default = \"approve\"".to_owned(),
        rule("decision = \"approve\""),
        rule("decision = \"ask\"\ncreators = []"),
        rule("decision = \"ask\"\noutputs = []"),
        rule("decision = \"ask\"\ncreators = [\"02\"]"),
        rule("decision = \"ask\"") + &rule("decision = \"ask\""),
    ] {
        let policy: ApprovalPolicy = toml::from_str(&text).expect("TOML");
        assert!(policy.check().is_err(), "{text}");
    }
}
