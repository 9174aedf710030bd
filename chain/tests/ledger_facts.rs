//! What lotusd 11.4.14 was seen to do on regtest, asked of the ledger.

mod support;

use nelumbo_chain::build::{BuildError, Coin, Delay, Payment, Unlock, build, burn_script, dust};
use nelumbo_chain::ledger::{Event, Happening, Ledger, LedgerError, Orphans, Reject, Rules};
use nelumbo_crypto::Suite;
use nelumbo_crypto::lotus::{OutPoint, Transaction, TxOutput};
use support::*;

/// One key-path input, everything but the fee to one output.
fn spend(coin: &Owned, fee: u64) -> Transaction {
    let mut transaction = unsigned(&[coin], vec![key_path(99).output(coin.output.value - fee)]);
    sign(&mut transaction, &[coin], LOTUS);
    transaction
}

fn data(script: Vec<u8>, value: u64) -> TxOutput {
    TxOutput { value, script_pubkey: script }
}

#[test]
fn a_fee_of_one_satoshi_a_byte_is_enough_and_one_less_is_not() {
    let mut ledger = ledger();
    let coin = fund(&mut ledger, key_path(1), 1_000_000);
    assert_eq!(spend(&coin, 162).to_bytes().len(), 162);
    assert_eq!(verdict(&ledger, &spend(&coin, 161)).as_deref(), Some("min relay fee not met, 161 < 162"));
    assert_eq!(verdict(&ledger, &spend(&coin, 162)), None);
    // 10 XPI a kilobyte are the most that Chronik lets through.
    assert_eq!(verdict(&ledger, &spend(&coin, 1_000_000 - 579)), None);
    let coin = fund(&mut ledger, key_path(2), 10_000_000);
    assert_eq!(verdict(&ledger, &spend(&coin, 1_620_000)), None);
    assert_eq!(
        verdict(&ledger, &spend(&coin, 1_620_001)).as_deref(),
        Some("Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
    );
}

#[test]
fn dust_is_measured_by_the_size_of_the_output() {
    let mut ledger = ledger();
    let coin = fund(&mut ledger, key_path(1), 1_000_000);
    let pay = |output: TxOutput| {
        let mut transaction = unsigned(&[&coin], vec![key_path(9).output(900_000), output]);
        sign(&mut transaction, &[&coin], LOTUS);
        transaction
    };
    for (owner, least) in [
        (Owner { number: 5, way: Way::SchnorrHash }, 546),
        (key_path(5), 579),
        (Owner { number: 5, way: Way::KeyPath { state: true } }, 678),
    ] {
        assert_eq!(dust(&owner.script()), least);
        assert_eq!(verdict(&ledger, &pay(owner.output(least - 1))).as_deref(), Some("dust"));
        assert_eq!(verdict(&ledger, &pay(owner.output(least))), None);
    }
    assert_eq!(verdict(&ledger, &pay(data(vec![0x6a], 0))), None);
}

/// A burn of 50 XPI for a key, of 213 bytes; half of its fee is burned as well.
#[test]
fn burns_burn_and_half_of_the_fees_does() {
    let mut ledger = ledger();
    let coin = fund(&mut ledger, key_path(1), 60_000_000);
    let burn = data(burn_script(key(3).public_key().as_bytes()), 50_000_000);
    let change = key_path(2).output(10_000_000 - 1_000);
    let mut transaction = unsigned(&[&coin], vec![change, burn]);
    sign(&mut transaction, &[&coin], LOTUS);
    assert_eq!(transaction.to_bytes().len(), 213);
    ledger.submit(&transaction.to_bytes(), NOW).expect("a burn");
    let before = ledger.money();
    ledger.mine(1, &Ledger::faucet_script(), NOW).expect("a block");
    let coinbase = &ledger.tip().transactions[0];
    assert_eq!(coinbase.outputs.iter().map(|output| output.value).collect::<Vec<_>>(), [0, 260_000_500]);
    assert_eq!(ledger.money(), before + 260_000_000 - 50_000_000 - 500);
}

#[test]
fn a_coinbase_has_to_mature() {
    let mut ledger = Ledger::new(Rules { second_samuel: 0, ..Rules::default() });
    let owner = key_path(1);
    ledger.mine(1, &owner.script(), NOW).expect("a block");
    let coinbase = &ledger.tip().transactions[0];
    let outpoint = OutPoint { txid: coinbase.txid(Suite::Lotus), index: 1 };
    let transaction = spend(&Owned { outpoint, output: coinbase.outputs[1].clone(), owner }, 1_000);
    ledger.mine(98, &Ledger::faucet_script(), NOW).expect("blocks");
    assert_eq!(
        verdict(&ledger, &transaction).as_deref(),
        Some("bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 99")
    );
    ledger.mine(1, &Ledger::faucet_script(), NOW).expect("a block");
    assert_eq!(verdict(&ledger, &transaction), None);
}

#[test]
fn taproot_begins_with_an_upgrade() {
    let mut ledger = Ledger::new(Rules::default());
    assert_eq!(ledger.mine(1, &key_path(1).script(), NOW), Err(LedgerError::Reject(Reject::TaprootNotActive)));
    let owner = Owner { number: 1, way: Way::SchnorrHash };
    let coinbase = |ledger: &Ledger| {
        let transaction = &ledger.block(1).expect("mined").transactions[0];
        let outpoint = OutPoint { txid: transaction.txid(Suite::Lotus), index: 1 };
        Owned { outpoint, output: transaction.outputs[1].clone(), owner }
    };
    // The coin matures while the median time is still the one of 2025.
    let before = Rules::SECOND_SAMUEL - 1_000;
    ledger.mine(101, &owner.script(), before).expect("blocks");
    assert!(!ledger.taproot_active());
    let coin = coinbase(&ledger);
    let to = |output: TxOutput, style| {
        let mut transaction = unsigned(&[&coin], vec![output]);
        sign(&mut transaction, &[&coin], style);
        transaction
    };
    let value = coin.output.value - 1_000;
    assert_eq!(verdict(&ledger, &to(key_path(2).output(value), FORKID)).as_deref(), Some("taproot-not-active-yet"));
    assert_eq!(verdict(&ledger, &to(owner.output(value), FORKID)), None);
    assert_eq!(
        verdict(&ledger, &to(owner.output(value), LOTUS)).as_deref(),
        Some("non-mandatory-script-verify-flag (Signature must be zero for failed CHECK(MULTI)SIG operation)")
    );
    // Six of the last eleven blocks are after the moment.
    ledger.mine(6, &owner.script(), NOW).expect("blocks");
    assert!(ledger.taproot_active());
    assert_eq!(verdict(&ledger, &to(key_path(2).output(value), FORKID)), None);
    assert_eq!(verdict(&ledger, &to(owner.output(value), LOTUS)), None);
}

/// The moment itself: what waits for the digest of before is gone, and the other one is taken.
#[test]
fn replay_protection_changes_the_digest_at_its_moment() {
    let moment = NOW + 10_000;
    let mut ledger = Ledger::new(Rules { replay_protection: Some(moment), ..Rules::default() });
    ledger.mine(120, &Ledger::faucet_script(), NOW).expect("blocks");
    let owners = [key_path(1), Owner { number: 2, way: Way::SchnorrHash }, Owner { number: 3, way: Way::EcdsaHash }];
    let coins = owners.map(|owner| fund(&mut ledger, owner, 1_000_000));
    let signed = |coin: &Owned, style| {
        let mut transaction = unsigned(&[coin], vec![key_path(9).output(900_000)]);
        sign(&mut transaction, &[coin], style);
        transaction
    };
    let [early, late] =
        [false, true].map(|replay_protected| [0x61, 0x61, 0x41].map(|hash_type| Style { hash_type, replay_protected }));
    let broken = |taproot: bool| {
        let why = if taproot {
            "Invalid Taproot key spend signature"
        } else {
            "Signature must be zero for failed CHECK(MULTI)SIG operation"
        };
        Some(format!("mandatory-script-verify-flag-failed ({why})"))
    };
    for (coin, (early, late)) in coins.iter().zip(early.into_iter().zip(late)) {
        assert_eq!(verdict(&ledger, &signed(coin, early)), None);
        assert_eq!(verdict(&ledger, &signed(coin, late)), broken(coin.owner == owners[0]));
    }
    let waiting = ledger.submit(&signed(&coins[0], early[0]).to_bytes(), NOW).expect("valid before");
    // Its parent is in a block; the block that brings the moment mines nothing else.
    ledger.take_events();
    let mut blocks = 0;
    while !ledger.replay_protected() {
        let orphans = Orphans::Pending;
        ledger.reorganise(0, orphans, &Ledger::faucet_script(), moment).expect("a block");
        blocks += 1;
    }
    assert_eq!(blocks, 6, "the median of eleven");
    assert_eq!(ledger.waiting().count(), 0);
    let events = ledger.take_events();
    let removed = events.iter().filter(
        |event| matches!(event, Event::Transaction { happening: Happening::Removed, txid, .. } if *txid == waiting),
    );
    assert_eq!(removed.count(), 1);
    for (coin, (early, late)) in coins.iter().zip(early.into_iter().zip(late)) {
        assert_eq!(verdict(&ledger, &signed(coin, early)), broken(coin.owner == owners[0]));
        assert_eq!(verdict(&ledger, &signed(coin, late)), None);
    }
    assert_eq!(Rules::default().replay_protection, Some(1_798_074_180));
}

/// The id does not cover the script, so a broken copy of what waits is the same transaction.
#[test]
fn sending_again_is_no_error_until_it_is_mined() {
    let mut ledger = ledger();
    let coin = fund(&mut ledger, key_path(1), 1_000_000);
    let good = spend(&coin, 500);
    let mut broken = good.clone();
    broken.inputs[0].script_sig[5] ^= 1;
    assert_eq!(
        verdict(&ledger, &broken).as_deref(),
        Some("mandatory-script-verify-flag-failed (Invalid Taproot key spend signature)")
    );
    let txid = ledger.submit(&good.to_bytes(), NOW).expect("valid");
    assert_eq!(ledger.submit(&good.to_bytes(), NOW), Ok(txid));
    assert_eq!(ledger.submit(&broken.to_bytes(), NOW), Ok(txid));
    assert_eq!(verdict(&ledger, &good).as_deref(), Some("txn-already-in-mempool"));
    assert_eq!(ledger.submit(&spend(&coin, 600).to_bytes(), NOW), Err(Reject::MempoolConflict));
    ledger.mine(1, &Ledger::faucet_script(), NOW).expect("a block");
    assert_eq!(ledger.submit(&good.to_bytes(), NOW), Err(Reject::AlreadyInChain));
    // Once its output is spent, the node has forgotten that it knows it.
    let coin = Owned { outpoint: OutPoint { txid, index: 0 }, output: good.outputs[0].clone(), owner: key_path(99) };
    ledger.submit(&spend(&coin, 500).to_bytes(), NOW).expect("valid");
    ledger.mine(1, &Ledger::faucet_script(), NOW).expect("a block");
    assert_eq!(ledger.submit(&good.to_bytes(), NOW), Err(Reject::InputsMissingOrSpent));
}

#[test]
fn fifty_unconfirmed_transactions_in_a_row_are_enough() {
    let mut ledger = ledger();
    let mut coin = fund(&mut ledger, key_path(99), 1_000_000);
    for _ in 0..50 {
        let transaction = spend(&coin, 200);
        let txid = ledger.submit(&transaction.to_bytes(), NOW).expect("still short enough");
        coin =
            Owned { outpoint: OutPoint { txid, index: 0 }, output: transaction.outputs[0].clone(), owner: coin.owner };
    }
    let next = spend(&coin, 200);
    let too_long = "too-long-mempool-chain, too many unconfirmed ancestors [limit: 50]";
    assert_eq!(verdict(&ledger, &next).as_deref(), Some(too_long));
    ledger.mine(1, &Ledger::faucet_script(), NOW).expect("a block");
    assert_eq!(ledger.tip().transactions.len(), 51, "children beside their parents, in the order of ids");
    assert_eq!(verdict(&ledger, &next), None);
}

/// A member that waits long enough takes what the group holds, and no earlier.
#[test]
fn a_recovery_waits_for_its_delay() {
    for delay in [Delay::Blocks(12), Delay::Intervals(2)] {
        let mut ledger = ledger();
        let coin = fund(&mut ledger, Owner { number: 1, way: Way::Leaf(delay) }, 1_000_000);
        let funded = ledger.height();
        let transaction = spend(&coin, 500);
        assert_eq!(verdict(&ledger, &transaction).as_deref(), Some("non-BIP68-final"));
        let mut hasty = unsigned(&[&coin], vec![key_path(99).output(999_000)]);
        hasty.inputs[0].sequence = delay.to_sequence() - 1;
        sign(&mut hasty, &[&coin], LOTUS);
        let why = verdict(&ledger, &hasty);
        let early = "mandatory-script-verify-flag-failed (Locktime requirement not satisfied)";
        assert!([Some("non-BIP68-final"), Some(early)].contains(&why.as_deref()), "{why:?}");
        let mut time = NOW;
        while verdict(&ledger, &transaction).is_some() {
            time += 120;
            ledger.mine(1, &Ledger::faucet_script(), time).expect("a block");
            assert!(ledger.height() < funded + 100);
        }
        assert_eq!(verdict(&ledger, &hasty).as_deref(), Some(early));
        match delay {
            Delay::Blocks(blocks) => assert_eq!(ledger.height() - funded, u32::from(blocks) - 1),
            // The median time of the block before the coin's, and 1024 seconds.
            Delay::Intervals(_) => {
                let median = |height| ledger.median_time(height);
                assert!(median(ledger.height()) >= median(funded - 1) + 1_024);
                assert!(median(ledger.height() - 1) < median(funded - 1) + 1_024);
            }
        }
    }
}

#[test]
fn a_transaction_waits_for_two_weeks() {
    let mut ledger = ledger();
    let coin = fund(&mut ledger, key_path(1), 1_000_000);
    let txid = ledger.submit(&spend(&coin, 500).to_bytes(), NOW).expect("valid");
    ledger.take_events();
    let expiry = 336 * 3600;
    ledger.submit(&[], NOW + expiry).expect_err("no transaction, but a time");
    assert_eq!(ledger.waiting().collect::<Vec<_>>(), [txid], "to the second");
    ledger.submit(&[], NOW + expiry + 1).expect_err("no transaction, but a time");
    assert_eq!((ledger.waiting().count(), ledger.transaction(&txid)), (0, None));
    assert_eq!(ledger.take_events().len(), 1);
    assert_eq!(verdict(&ledger, &spend(&coin, 500)), None, "its coin is free");
}

/// Six blocks go, with their transactions, and come back in the three ways.
#[test]
fn blocks_are_replaced_with_or_without_their_transactions() {
    for orphans in [Orphans::Remined, Orphans::Pending, Orphans::Dropped] {
        let mut ledger = ledger();
        let coin = fund(&mut ledger, key_path(1), 1_000_000);
        let money = ledger.money();
        let parent = spend(&coin, 1_000);
        let txid = ledger.submit(&parent.to_bytes(), NOW).expect("valid");
        ledger.mine(1, &Ledger::faucet_script(), NOW).expect("a block");
        let owned =
            Owned { outpoint: OutPoint { txid, index: 0 }, output: parent.outputs[0].clone(), owner: key_path(99) };
        let child = ledger.submit(&spend(&owned, 1_000).to_bytes(), NOW).expect("valid");
        ledger.mine(5, &Ledger::faucet_script(), NOW).expect("blocks");
        let (tip, height) = (ledger.tip().hash, ledger.height());
        ledger.take_events();
        let blocks = ledger.reorganise(6, orphans, &Ledger::faucet_script(), NOW).expect("deep enough");
        assert_eq!((blocks.len(), ledger.height()), (7, height + 1));
        assert_eq!((ledger.height_of(&tip), ledger.height_of(&blocks[6])), (None, Some(height + 1)));
        let events = ledger.take_events();
        let told = |wanted: Happening, id| {
            events.iter().filter(|event| {
            matches!(event, Event::Transaction { happening, txid, .. } if *happening == wanted && *txid == id)
        }).count()
        };
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Disconnected(_))).count(), 6);
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Connected(_))).count(), 7);
        assert_eq!((told(Happening::Reorganised, txid), told(Happening::Reorganised, child)), (1, 1));
        let heights = [txid, child].map(|txid| ledger.transaction(&txid).map(|located| located.height));
        match orphans {
            Orphans::Remined => {
                assert_eq!(heights, [Some(Some(height - 5)); 2]);
                assert_eq!(told(Happening::Confirmed, txid), 1);
                assert_eq!(ledger.money(), money + 7 * 260_000_000 - 1_000);
            }
            Orphans::Pending => {
                assert_eq!(heights, [Some(None); 2]);
                assert_eq!((told(Happening::Added, txid), told(Happening::Added, child)), (1, 1));
                assert_eq!(ledger.money(), money + 7 * 260_000_000);
            }
            Orphans::Dropped => {
                assert_eq!(heights, [None; 2]);
                assert_eq!(verdict(&ledger, &spend(&coin, 2_000)), None, "the coin is there again");
            }
        }
        assert_eq!(
            ledger.reorganise(height + 2, orphans, &Ledger::faucet_script(), NOW),
            Err(LedgerError::TooDeep { height: height + 1 })
        );
    }
}

/// The node does not look whether a commitment is a key until somebody wants to spend it, and then it is too late.
#[test]
fn money_can_be_paid_to_what_is_no_key() {
    let mut ledger = ledger();
    let coin = fund(&mut ledger, key_path(1), 1_000_000);
    let nowhere = data([&[0x62, 0x51, 0x21, 4][..], &[1; 32]].concat(), 999_000);
    let mut transaction = unsigned(&[&coin], vec![nowhere.clone()]);
    sign(&mut transaction, &[&coin], LOTUS);
    let txid = ledger.submit(&transaction.to_bytes(), NOW).expect("it has the form of an output");
    let lost = Owned { outpoint: OutPoint { txid, index: 0 }, output: nowhere, owner: key_path(1) };
    let broken = |text: &str| Some(format!("mandatory-script-verify-flag-failed ({text})"));
    let by_key = spend(&lost, 500);
    assert_eq!(verdict(&ledger, &by_key), broken("Public key is neither compressed or uncompressed"));
    let owner = Owner { number: 1, way: Way::Leaf(Delay::Blocks(0)) };
    let by_leaf = spend(&Owned { owner, ..lost }, 500);
    assert_eq!(verdict(&ledger, &by_leaf), broken("Taproot control does not verify the script"));
    // The builder does look.
    let payment = Payment::new(transaction.outputs, key_path(1).script());
    let coin = Coin { outpoint: coin.outpoint, output: coin.output, unlock: Unlock::KeyPath };
    assert_eq!(build(&[coin], &payment), Err(BuildError::Script { output: Some(0) }));
}

/// Outputs to a key and to a script are not a group's, but others have them.
#[test]
fn keys_and_scripts_are_paid_and_spent_too() {
    let mut ledger = ledger();
    let owner = Owner { number: 1, way: Way::SchnorrHash };
    let mut redeem = vec![33];
    redeem.extend_from_slice(owner.public_key().as_bytes());
    redeem.push(0xac);
    let hash = nelumbo_chain::build::hash160(&redeem);
    for (script, executed, is_hash) in
        [(redeem.clone(), &redeem, false), (nelumbo_crypto::lotus::p2sh_script(&hash).to_vec(), &redeem, true)]
    {
        ledger.mine(1, &script, NOW).expect("a script that nodes take");
        let coinbase = &ledger.tip().transactions[0];
        let outpoint = OutPoint { txid: coinbase.txid(Suite::Lotus), index: 1 };
        let output = coinbase.outputs[1].clone();
        ledger.mine(99, &Ledger::faucet_script(), NOW).expect("blocks");
        let coin = Owned { outpoint, output: output.clone(), owner };
        let mut transaction = unsigned(&[&coin], vec![key_path(2).output(200_000_000)]);
        let spend = nelumbo_crypto::lotus::Spend::Script {
            executed_script_hash: nelumbo_crypto::sha256d(&[executed]),
            code_separator: u32::MAX,
        };
        let kind = nelumbo_crypto::lotus::SighashType::ALL;
        let digest = nelumbo_crypto::lotus::sighash(&transaction, &[output], 0, kind, spend).expect("one input");
        let signature = nelumbo_crypto::schnorr::sign(Suite::Lotus, &owner.key(), &digest, None).expect("32 bytes");
        let mut script = Vec::new();
        push(&mut script, &[signature.as_bytes().as_slice(), &[0x61]].concat());
        if is_hash {
            push(&mut script, &redeem);
        }
        transaction.inputs[0].script_sig = script;
        let refused = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
        assert_eq!(verdict(&ledger, &transaction).as_deref(), Some(refused), "everything else is right");
        transaction.inputs[0].script_sig[9] ^= 1;
        let broken =
            "mandatory-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)";
        assert_eq!(verdict(&ledger, &transaction).as_deref(), Some(broken));
    }
}

quickcheck::quickcheck! {
    /// Whatever is sent, there is an answer, and nothing that was changed is taken.
    fn anything_can_be_sent(bytes: Vec<u8>, changes: Vec<(u16, u8)>, which: u8) -> bool {
        thread_local! {
            static WORLD: (Ledger, Vec<Transaction>) = {
                let mut ledger = ledger();
                let ways = [
                    Way::KeyPath { state: true },
                    Way::Leaf(Delay::Blocks(1)),
                    Way::SchnorrHash,
                    Way::EcdsaHash,
                ];
                let coins: Vec<Owned> = (0..)
                    .zip(ways)
                    .map(|(number, way)| fund(&mut ledger, Owner { number, way }, 1_000_000))
                    .collect();
                let valid = coins.iter().map(|coin| spend(coin, 700)).collect();
                (ledger, valid)
            };
        }
        WORLD.with(|(ledger, valid)| {
            let original = &valid[usize::from(which) % valid.len()];
            let mut changed = original.to_bytes();
            for (place, change) in changes {
                let length = changed.len();
                changed[usize::from(place) % length] ^= change;
            }
            let is_changed = changed != original.to_bytes();
            assert!(ledger.test(&original.to_bytes(), NOW).is_ok());
            ledger.test(&bytes, NOW).is_err() && ledger.test(&changed, NOW).is_err() == is_changed
        })
    }
}
