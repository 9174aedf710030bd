//! What nodes are charged for cryptography is what they did, by the table, and it delays what they do.

mod counted;

use nelumbo_simulator::crypto::{Operation, Toy};
use nelumbo_simulator::run::{Engine, Run, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::Schedule;

use counted::{Counted, take_counts};

fn quiet(settings: &[&str]) -> Schedule {
    let settings: Vec<String> = settings.iter().map(|setting| (*setting).into()).collect();
    let text = Scenario::text("quiet").expect("a ready scenario");
    Scenario::from_toml(text, &settings).expect("a sound scenario").schedule(1)
}

#[test]
fn nodes_are_charged_for_exactly_what_they_did() {
    for (slowness, setting) in [(1, "crypto-slowness=1"), (4, "crypto-slowness=4")] {
        let schedule = quiet(&["crypto=toy-charged", setting]);
        let summary = Run::new(&schedule).engine(Engine::Sequential).summary_with::<Counted<Toy>>();
        let done = take_counts();
        assert_eq!((summary.violations.len(), summary.sessions.completed), (0, 20), "{summary}");
        let price: u64 = done.iter().map(|(operation, times)| operation.cost() * times).sum();
        assert_eq!(summary.crypto_ns, slowness * price, "{done:?}");
        // Each of three signers in each of twenty sessions.
        for once in [Operation::Nonce, Operation::Sign, Operation::OpenRound(3), Operation::Combine(3)] {
            assert_eq!(done.get(&once), Some(&60), "{once:?} in {done:?}");
        }
        let familiar = [Operation::Prepare, Operation::VerifyPrepared].map(|operation| done[&operation]);
        assert!(familiar[0] > 0 && familiar[1] > familiar[0], "keys are prepared and used: {done:?}");
    }
}

#[test]
fn a_session_takes_longer_by_what_its_signers_compute_one_after_the_other() {
    let latency = |settings: &[&str]| {
        let summary = run(&quiet(&[&["sessions=1", "signers=2", "nodes=2"], settings].concat()), Engine::Windowed(1));
        assert_eq!(summary.sessions.completed, 1, "{summary}");
        [summary.latency_ms.min, summary.latency_ms.max].map(|ms| (ms * 1e6).round() as u64)
    };
    use Operation::{AggregateKeys, Authenticate, Combine, Nonce, OpenRound, Sign, Verify};
    // The creator announces; the other joins; the creator signs, while the other does, completes, and says so for those
    // who ask later. The nonce leaves before its signer signs, because that waits for the disk.
    let announces = [AggregateKeys(2), Nonce, Authenticate];
    let joins = [Verify, AggregateKeys(2), Nonce, Authenticate, OpenRound(2)];
    let signs = [Verify, OpenRound(2), Sign, Authenticate, Verify];
    let completes = [Combine(2), Authenticate];
    let price = |operations: &[Operation]| operations.iter().map(|operation| operation.cost()).sum::<u64>();
    let creator = price(&[&announces[..], &joins, &signs, &completes].concat());
    let other = creator + price(&[Verify]) + price(&completes);
    let [two_delays, three_delays] = latency(&["crypto=toy"]);
    assert_eq!(latency(&["crypto=toy-charged"]), [two_delays + creator, three_delays + other]);
    let slow = latency(&["crypto=toy-charged", "crypto-slowness=10"]);
    assert_eq!(slow, [two_delays + 10 * creator, three_delays + 10 * other]);
}

#[test]
fn devices_that_take_no_time_are_refused() {
    let text = Scenario::text("quiet").expect("a ready scenario");
    let refused = Scenario::from_toml(text, &["crypto-slowness=0".into()]);
    assert!(refused.is_err_and(|error| error.contains("crypto-slowness")));
}
