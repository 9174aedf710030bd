//! Elections against vectors.
//!
//! `election.json` has sorted keys, which is all that sessions know; every field of it is followed but one: the
//! reference lets the backup of the last signer wrap around to an earlier one in two of the methods, while here the
//! priority list ends, so that failover ends after each signer had its turn. The other two files record what the
//! reference did with unsorted keys, in two versions that disagree; here unsorted keys are refused, and sorting them
//! gives the canonical result.

mod vectors_support;

use std::collections::BTreeMap;

use nelumbo_core::crypto::{PublicKey, sort_keys};
use nelumbo_core::election::{Election, ElectionError, Method};
use serde_json::Value;
use vectors_support::{array, list, load, number, public_key, public_keys, text};

fn numbers(case: &Value, key: &str) -> Vec<usize> {
    let number = |value: &Value| usize::try_from(value.as_u64().expect(key)).expect(key);
    list(case, key).iter().map(number).collect()
}

fn method(case: &Value) -> Method {
    let method: Method = text(case, "method").parse().expect("a method");
    assert_eq!(method.to_string(), text(case, "method"));
    assert_eq!(serde_json::to_value(method).expect("a name"), case["method"]);
    method
}

#[test]
fn sorted_keys() {
    let file = load("election.json");
    let mut cases = BTreeMap::new();
    let mut wrapped = 0;
    for case in list(&file, "cases") {
        let keys = public_keys(case, "signers");
        assert_eq!(keys, public_keys(case, "sorted_signers"));
        let election = Election::new(method(case), &keys).expect("sorted keys");
        let coordinator = usize::try_from(number(case, "coordinator_index")).expect("small");
        assert_eq!(election.method(), method(case));
        assert_eq!(election.coordinator(), coordinator);
        assert_eq!(keys[coordinator], public_key(&case["coordinator_pubkey"]));
        assert_eq!(election.priority(), numbers(case, "priority_list"));
        assert_eq!(election.proof(), array(case, "election_proof"));
        let last = election.priority()[keys.len() - 1];
        for (index, backup) in case["backup_of_index"].as_object().expect("backups") {
            let index: usize = index.parse().expect("an index");
            let theirs = backup.as_u64().map(|backup| usize::try_from(backup).expect("small"));
            if index == last {
                assert_eq!(election.backup_of(index), None);
                wrapped += usize::from(theirs.is_some());
            } else {
                assert_eq!(election.backup_of(index), theirs, "signer {index}");
            }
        }
        assert_eq!(election.backup_of(keys.len()), None);
        *cases.entry(text(case, "method")).or_insert(0) += 1;
    }
    assert_eq!(
        cases,
        BTreeMap::from([("first-signer", 10), ("hash-based", 10), ("last-signer", 10), ("lexicographic", 10)])
    );
    assert_eq!(wrapped, 18, "cases where the reference wraps around");
}

/// Counts the cases whose keys were refused as unsorted, and those that happened to be sorted.
fn unsorted(path: &str) -> (usize, usize) {
    let file = load(path);
    let (mut refused, mut taken) = (0, 0);
    for case in list(&file, "cases") {
        let given = public_keys(case, "signers");
        let mut keys = given.clone();
        sort_keys(&mut keys);
        let election = Election::new(method(case), &keys).expect("sorted keys");
        assert!(covers(election.priority(), &keys));
        if given == keys {
            taken += 1;
        } else {
            let first = given.windows(2).position(|pair| pair[0] > pair[1]).expect("unsorted") + 1;
            assert_eq!(Election::new(method(case), &given), Err(ElectionError::NotAscending(first)));
            refused += 1;
        }
        // Whatever they did with the order, they meant these signers.
        let mut named = public_keys(case, "sorted_signers");
        sort_keys(&mut named);
        assert_eq!(named, keys);
    }
    (refused, taken)
}

fn covers(priority: &[usize], keys: &[PublicKey]) -> bool {
    let mut sorted = priority.to_vec();
    sorted.sort_unstable();
    sorted == (0..keys.len()).collect::<Vec<_>>()
}

#[test]
fn unsorted_keys_of_november_2025() {
    assert_eq!(unsorted("election_2025-11-04_unsorted.json"), (32, 8));
}

#[test]
fn unsorted_keys_of_later_versions() {
    assert_eq!(unsorted("election_sdk_quirk_unsorted_input.json"), (32, 8));
}

#[test]
fn no_keys_and_duplicate_keys() {
    let file = load("election.json");
    let case = list(&file, "cases").iter().max_by_key(|case| list(case, "signers").len()).expect("cases");
    let mut keys = public_keys(case, "signers");
    assert_eq!(Election::new(Method::default(), &[]), Err(ElectionError::Empty));
    assert!(keys.len() > 2);
    keys[2] = keys[1];
    for method in [Method::Lexicographic, Method::HashBased, Method::FirstSigner, Method::LastSigner] {
        assert_eq!(Election::new(method, &keys), Err(ElectionError::NotAscending(2)));
    }
    assert_eq!(Method::default(), Method::Lexicographic);
}
