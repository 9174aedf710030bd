//! Burns on a ledger: each rule of a claim, and what a reorganisation does to one that counted.

use nelumbo_chain::build::burn_script;
use nelumbo_chain::crypto::lotus::{OutPoint, TxOutput};
use nelumbo_chain::crypto::{PublicKey, Suite};
use nelumbo_chain::ledger::Orphans;
use nelumbo_chain::{Burn, BurnClaim, BurnError, BurnVerifier, Purpose};

use super::ledger::{Wallet, fund, mine, reorganise, start};

#[test]
fn amounts_and_times_are_those_of_the_specification() {
    let all = [
        (Purpose::Registration, 50_000_000, 144),
        (Purpose::ExtraKey, 10_000_000, 6),
        (Purpose::SigningRequest, 5_000_000, 6),
        (Purpose::Advertisement, 1_000_000, 6),
        (Purpose::Rotation, 5_000_000, 72),
    ];
    for (purpose, amount, maturation) in all {
        assert_eq!((purpose.amount(), purpose.maturation()), (amount, maturation), "{purpose:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burn_counts_once_and_for_what_it_says() {
    let (server, client) = start().await;
    let wallet = Wallet::new(7);
    let (old, new) = (wallet.key(), Wallet::new(8).key());
    fund(&server, wallet.script(), 100_000_000);
    let burn = |key: &PublicKey, value| TxOutput { value, script_pubkey: burn_script(key.as_bytes()) };
    let outputs = vec![burn(&old, 50_000_000), burn(&new, 5_000_000), burn(&new, 4_999_999)];
    let transaction = wallet.pay(&client, &server, outputs).await;
    let txid = transaction.txid(Suite::Lotus);
    let claim = |index, purpose, key| BurnClaim { outpoint: OutPoint { txid, index }, purpose, key };
    let registration = claim(0, Purpose::Registration, old);
    let rotation = claim(1, Purpose::Rotation, new);
    let mut verifier = BurnVerifier::new(client.clone(), []);

    assert_eq!(verifier.claim(registration).await, Err(BurnError::Unknown));
    client.broadcast(&transaction).await.expect("it is good");
    assert_eq!(verifier.claim(registration).await, Err(BurnError::Immature { found: 0, wanted: 144 }));
    mine(&server, 71);
    assert_eq!(verifier.claim(rotation).await, Err(BurnError::Immature { found: 71, wanted: 72 }));
    mine(&server, 1);
    let counted = verifier.claim(rotation).await.expect("it is mature");
    assert_eq!((counted.amount, counted.confirmations, counted.claim), (5_000_000, 72, rotation));
    assert_eq!(verifier.claim(registration).await, Err(BurnError::Immature { found: 72, wanted: 144 }));
    mine(&server, 72);
    assert!(matches!(verifier.claim(registration).await, Ok(Burn { amount: 50_000_000, confirmations: 144, .. })));

    // The same claim is answered again; another use of the same burn is not, over a restart either.
    assert!(verifier.claim(registration).await.is_ok());
    let mut again = BurnVerifier::new(client.clone(), verifier.used().copied());
    let used = Err(BurnError::Used(Purpose::Registration));
    assert_eq!(again.claim(claim(0, Purpose::SigningRequest, old)).await, used);
    assert_eq!(again.claim(claim(0, Purpose::Rotation, old)).await, used);

    // For another key, too little, no burn, no output.
    let key = |found: PublicKey, expected| BurnError::Key { found: found.to_string(), expected };
    let mut fresh = BurnVerifier::new(client.clone(), []);
    assert_eq!(fresh.claim(claim(1, Purpose::Rotation, old)).await, Err(key(new, old)));
    assert_eq!(fresh.claim(claim(0, Purpose::Registration, new)).await, Err(key(old, new)));
    let amount = |found, wanted| Err(BurnError::Amount { found, wanted });
    assert_eq!(fresh.claim(claim(2, Purpose::Rotation, new)).await, amount(4_999_999, 5_000_000));
    assert_eq!(fresh.claim(claim(1, Purpose::Registration, new)).await, amount(5_000_000, 50_000_000));
    assert_eq!(fresh.claim(claim(3, Purpose::Rotation, new)).await, Err(BurnError::NotABurn));
    assert_eq!(fresh.claim(claim(4, Purpose::Rotation, new)).await, Err(BurnError::NoSuchOutput(4)));
    assert_eq!(fresh.used().count(), 0, "what does not count is not used");

    // All of it is taken back: what was used counts no more.
    reorganise(&server, 144, Orphans::Pending);
    assert_eq!(verifier.look(registration).await, Err(BurnError::Immature { found: 0, wanted: 144 }));
    assert_eq!(verifier.claim(registration).await, Err(BurnError::Immature { found: 0, wanted: 144 }));
    reorganise(&server, 1, Orphans::Dropped);
    assert_eq!(verifier.used().count(), 2);
}
