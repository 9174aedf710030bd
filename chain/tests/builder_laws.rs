//! What holds of every transaction that the builder makes, whatever is to be paid from whatever coins.

mod support;

use std::sync::OnceLock;

use nelumbo_chain::build::{
    BuildError, Coin, Delay, FeeRate, Payment, Selection, Unlock, build, burn_script, dust, input_bytes, output_bytes,
    transaction_bytes,
};
use nelumbo_chain::ledger::Ledger;
use nelumbo_crypto::lotus::{OutPoint, TxOutput};
use nelumbo_crypto::{KeyAggContext, PublicKey, Signature, SigningContext, Suite, Tweak};
use quickcheck::quickcheck;
use support::*;

/// A ledger with thirty coins that can be spent, small and large, in three ways.
fn world() -> &'static (Ledger, Vec<Owned>) {
    static WORLD: OnceLock<(Ledger, Vec<Owned>)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut ledger = ledger();
        let ways = [Way::KeyPath { state: false }, Way::SchnorrHash, Way::Leaf(Delay::Blocks(1))];
        let coins = (0..30).map(|number: u64| {
            let value = 700 << (number % 15);
            fund(&mut ledger, Owner { number, way: ways[number as usize % 3] }, value)
        });
        let coins = coins.collect();
        (ledger, coins)
    })
}

fn unlock(owner: &Owner) -> Unlock {
    match owner.way {
        Way::KeyPath { .. } => Unlock::KeyPath,
        Way::SchnorrHash | Way::EcdsaHash => Unlock::PublicKeyHash(owner.public_key()),
        Way::Leaf(_) => Unlock::Recovery { recovery: owner.recovery(), internal_key: owner.public_key() },
    }
}

fn coin(owned: &Owned) -> Coin {
    Coin { outpoint: owned.outpoint, output: owned.output.clone(), unlock: unlock(&owned.owner) }
}

/// What is drawn from numbers: which coins there are, and what is to be paid.
fn drawn(numbers: &[u32]) -> (Vec<&'static Owned>, Payment) {
    let mut numbers = numbers.iter().copied().chain((0..).map(|number: u32| number.wrapping_mul(0x9e37_79b9)));
    let mut draw = |end: u32| numbers.next().expect("there are always more") % end;
    let mut coins: Vec<&Owned> = world().1.iter().filter(|_| draw(3) != 0).collect();
    if draw(2) == 0 {
        coins.reverse();
    }
    let mut outputs: Vec<TxOutput> = (0..draw(4))
        .map(|_| {
            let owner = [key_path(70), Owner { number: 71, way: Way::SchnorrHash }][draw(2) as usize];
            let bits = 1 + draw(24);
            owner.output(500 + u64::from(draw(1 << bits)))
        })
        .collect();
    if draw(4) == 0 {
        outputs.push(TxOutput { value: u64::from(draw(5_000)), script_pubkey: burn_script(&[1; 33]) });
    }
    let mut payment = Payment::new(outputs, key_path(80).script());
    payment.fee_rate = FeeRate::per_kilobyte(1_000 + u64::from(draw(2) * draw(9_000)));
    payment.selection = if draw(5) == 0 { Selection::All } else { Selection::Fitting };
    payment.lock_time = draw(2) * draw(100);
    (coins, payment)
}

/// Whether all laws hold; panics where one does not. Says whether there was a transaction.
fn laws_hold(numbers: &[u32]) -> bool {
    let (owned, payment) = drawn(numbers);
    let coins: Vec<Coin> = owned.iter().map(|owned| coin(owned)).collect();
    let rate = payment.fee_rate;
    let bytes = |coin: &Coin| input_bytes(coin.unlock.script_bytes());
    let paid: u64 = payment.outputs.iter().map(|output| output.value).sum();
    let built = match build(&coins, &payment) {
        Ok(built) => built,
        Err(BuildError::Dust { output, least }) => {
            assert!(payment.outputs[output].value < least);
            assert_eq!(least, dust(&payment.outputs[output].script_pubkey));
            return false;
        }
        Err(BuildError::Insufficient { .. }) => {
            // Not all coins together would do, each for what it adds; every fee is rounded up.
            let adds = |coin: &Coin| coin.output.value.saturating_sub(rate.fee(bytes(coin)));
            let outputs = payment.outputs.iter().map(|output| output_bytes(output.script_pubkey.len())).sum();
            let base = rate.fee(transaction_bytes((0, 0), (payment.outputs.len(), outputs)));
            let least = if paid == 0 { 579 } else { 0 };
            let all = coins.iter().map(|coin| coin.output.value).sum::<u64>();
            let everything = rate.fee(coins.iter().map(bytes).sum::<usize>());
            assert!(
                coins.iter().map(adds).sum::<u64>() < paid + base + least + 60 + coins.len() as u64
                    || payment.selection == Selection::All && all < paid + base + least + everything + 60
            );
            return false;
        }
        Err(error) => panic!("{error}"),
    };
    let created: u64 = built.transaction.outputs.iter().map(|output| output.value).sum();
    let spent: u64 = built.spent.iter().map(|output| output.value).sum();
    assert_eq!(spent, created + built.fee, "inputs are outputs and fee");
    assert!(built.fee >= rate.fee(built.size) && built.fee >= built.size as u64, "never below what is asked");
    assert!(built.transaction.outputs.iter().all(|output| output.value >= dust(&output.script_pubkey)), "no dust");
    assert_eq!(built.transaction.outputs[..payment.outputs.len()], payment.outputs, "everybody gets what they should");
    match built.change {
        Some(change) => {
            assert_eq!(change, payment.outputs.len());
            assert_eq!(built.transaction.outputs[change].script_pubkey, payment.change, "the rest comes back");
            assert_eq!(built.fee, rate.fee(built.size), "and nothing is given away");
        }
        None => {
            assert_eq!(built.transaction.outputs.len(), payment.outputs.len());
            // Less than an output of change and its own spend would cost, or than is worth an output.
            let change = rate.fee(output_bytes(36) + input_bytes(66));
            let given_away = built.fee - rate.fee(built.size);
            let slack = built.spent.len() as u64 + 2;
            assert!(given_away <= change.max(rate.fee(output_bytes(36)) + 579) + slack, "{given_away}");
        }
    }
    assert!(built.transaction.inputs.is_sorted_by_key(|input| input.outpoint));
    if payment.selection == Selection::All {
        assert_eq!(built.spent.len(), coins.len());
    }
    let of = |outpoint: OutPoint| *owned.iter().find(|owned| owned.outpoint == outpoint).expect("one of ours");
    let spenders: Vec<&Owned> = built.transaction.inputs.iter().map(|input| of(input.outpoint)).collect();
    let sign = |(input, owned): (usize, &&Owned)| {
        let signature = owned.owner.signature(&built.transaction, &built.spent, input, LOTUS);
        Signature::from_bytes(signature[..64].try_into().expect("64 bytes and the type"))
    };
    let signatures: Vec<Signature> = spenders.iter().enumerate().map(sign).collect();
    assert!(built.finalize(&signatures[1..]).is_err(), "one signature is missing");
    let signed = built.finalize(&signatures).expect("one for each input");
    assert_eq!(signed.to_bytes().len(), built.size, "the size was known");
    assert_eq!(signed.txid(Suite::Lotus), built.transaction.txid(Suite::Lotus));
    assert_eq!(verdict(&world().0, &signed), None, "the ledger takes it");
    assert_eq!(build(&coins, &payment), Ok(built), "the same again");
    true
}

quickcheck! {
    fn what_is_built_is_right_and_the_ledger_takes_it(numbers: Vec<u32>) -> bool {
        laws_hold(&numbers);
        true
    }
}

/// So that the laws are not about nothing.
#[test]
fn most_payments_can_be_made() {
    let sample =
        |seed: u32| -> Vec<u32> { (0..60).map(|step: u32| (seed + 1).wrapping_mul(step * step + 7) >> 3).collect() };
    let made = (0..100).filter(|seed| laws_hold(&sample(*seed))).count();
    assert!((40..100).contains(&made), "{made}");
}

/// A group of three pays: its digest is what its session signs, and the ledger takes the signature.
#[test]
fn a_group_pays_with_one_signature() {
    let mut ledger = ledger();
    let secrets = [41, 42, 43].map(key);
    let mut keys: Vec<PublicKey> = secrets.iter().map(|secret| secret.public_key()).collect();
    nelumbo_crypto::sort_keys(&mut keys);
    let recovery = nelumbo_chain::build::Recovery { delay: Delay::Blocks(3), key: key(44).public_key() };
    let plain = KeyAggContext::new(Suite::Lotus, &keys).expect("three keys");
    let internal_key = plain.aggregate_key();
    let group = plain.with_tweak(&Tweak::Taproot { merkle_root: Some(recovery.merkle_root()) }).expect("a tweak");
    let own = recovery.output(&internal_key).expect("a point");
    assert_eq!(own.commitment, group.challenge_key());
    let script = own.script_pubkey();
    let txid = ledger.fund(&script, 5_000_000, NOW).expect("the faucet has coins");
    let outpoint = OutPoint { txid, index: 0 };
    let output = TxOutput { value: 5_000_000, script_pubkey: script.clone() };
    let by_key = Coin { outpoint, output: output.clone(), unlock: Unlock::KeyPath };
    let payment = Payment::new(vec![key_path(9).output(1_000_000)], script.clone());
    let unsigned = build(&[by_key], &payment).expect("enough");
    let digest = unsigned.digests(false)[0];

    let secret_of = |public: &PublicKey| secrets.iter().find(|secret| secret.public_key() == *public).expect("ours");
    let nonces = (1..).zip(&keys).map(|(number, public)| {
        nelumbo_crypto::generate_nonce([number; 32], secret_of(public), &group, Some(&digest), &[])
    });
    let (secret_nonces, public_nonces): (Vec<_>, Vec<_>) = nonces.unzip();
    let round = SigningContext::from_nonces(&group, &public_nonces, &digest).expect("sound nonces");
    let partials: Vec<_> = secret_nonces
        .into_iter()
        .zip(&keys)
        .map(|(nonce, public)| nelumbo_crypto::partial_sign(nonce, secret_of(public), &group, &round).expect("ours"))
        .collect();
    let signature = nelumbo_crypto::combine(&group, &round, &partials).expect("all are sound");
    let signed = unsigned.finalize(&[signature]).expect("one input");
    assert_eq!(verdict(&ledger, &signed), None);

    // Two members vanish: the third takes everything after the delay, and not before.
    let unlock = Unlock::Recovery { recovery, internal_key };
    let rescue =
        build(&[Coin { outpoint, output, unlock }], &Payment::new(Vec::new(), key_path(9).script())).expect("enough");
    let digest = rescue.digests(false)[0];
    let signature = nelumbo_crypto::schnorr::sign(Suite::Lotus, &key(44), &digest, None).expect("32 bytes");
    let rescued = rescue.finalize(&[signature]).expect("one input");
    assert_eq!(verdict(&ledger, &rescued).as_deref(), Some("non-BIP68-final"));
    ledger.mine(2, &Ledger::faucet_script(), NOW).expect("blocks");
    ledger.submit(&rescued.to_bytes(), NOW).expect("the third block after the coin's");
    ledger.mine(1, &Ledger::faucet_script(), NOW).expect("a block");
    assert_eq!(ledger.tip().transactions.len(), 2);
}
