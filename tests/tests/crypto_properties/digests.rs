//! What a signature covers: each part of a transaction changes the digests of those types that cover it, and no other.

use nelumbo_core::crypto::lotus::{Outputs, SighashError, Spend, Transaction, TxOutput};
use nelumbo_core::crypto::{bitcoin, lotus};
use quickcheck::QuickCheck;

use crate::encodings::AnyTransaction;

type Digest = Result<[u8; 32], SighashError>;

/// The digest of one input of a transaction.
#[derive(Clone, Copy)]
struct Request {
    input: usize,
    outputs: Outputs,
    anyone_can_pay: bool,
    spend: Spend,
}

fn of_lotus(transaction: &Transaction, spent: &[TxOutput], request: Request) -> Digest {
    let sighash_type = lotus::SighashType::new(request.outputs, request.anyone_can_pay);
    lotus::SighashCache::new(transaction, spent)?.sighash(request.input, sighash_type, request.spend)
}

fn of_bitcoin(transaction: &Transaction, spent: &[TxOutput], request: Request) -> Digest {
    let sighash_type = bitcoin::SighashType::new(request.outputs, request.anyone_can_pay);
    bitcoin::SighashCache::new(transaction, spent)?.sighash(request.input, sighash_type, request.spend)
}

/// A change to a transaction or to what it spends, and whether a request covers what is changed.
type Change = (fn(&mut Transaction, &mut Vec<TxOutput>, usize), fn(Request, usize) -> bool);

/// Each with the position of an input or output.
const CHANGES: [Change; 9] = [
    (|transaction, _, _| transaction.version ^= 1, |_, _| true),
    (|transaction, _, _| transaction.lock_time ^= 1, |_, _| true),
    (|transaction, _, at| transaction.inputs[at].script_sig.push(0), |_, _| false),
    (|transaction, _, at| transaction.inputs[at].outpoint.index ^= 1, covers_input),
    (|transaction, _, at| transaction.inputs[at].sequence ^= 1, covers_input),
    (|_, spent, at| spent[at].value ^= 1, covers_input),
    (|_, spent, at| spent[at].script_pubkey[33] ^= 1, covers_input),
    (|transaction, _, at| transaction.outputs[at].value ^= 1, covers_output),
    (|transaction, _, at| transaction.outputs[at].script_pubkey.push(0), covers_output),
];

fn covers_input(request: Request, at: usize) -> bool {
    !request.anyone_can_pay || request.input == at
}

fn covers_output(request: Request, at: usize) -> bool {
    match request.outputs {
        Outputs::All => true,
        Outputs::None => false,
        Outputs::Single => request.input == at,
    }
}

#[test]
fn a_digest_covers_what_its_type_says() {
    fn property(transaction: AnyTransaction, values: Vec<u16>) -> bool {
        let mut transaction = transaction.0;
        let places = transaction.inputs.len();
        // As many outputs as inputs, so that SINGLE has one, and values whose sums fit.
        let output = |at: usize| {
            let value = values.get(at).copied().unwrap_or(7).into();
            TxOutput { value, script_pubkey: [&[0x51, 0x20], [at as u8; 32].as_slice()].concat() }
        };
        let spent: Vec<_> = (0..places).map(output).collect();
        transaction.outputs = spent.clone();
        let script = Spend::Script { executed_script_hash: [7; 32], code_separator: Spend::NO_CODE_SEPARATOR };
        let mut digests = Vec::new();
        for digest in [of_lotus, of_bitcoin] {
            for outputs in [Outputs::All, Outputs::None, Outputs::Single] {
                for (anyone_can_pay, spend) in
                    [false, true].into_iter().flat_map(|own| [(own, Spend::KeyPath), (own, script)])
                {
                    for input in 0..places {
                        let request = Request { input, outputs, anyone_can_pay, spend };
                        let before = digest(&transaction, &spent, request).expect("a digest");
                        for (number, (change, covers)) in CHANGES.iter().enumerate() {
                            for at in 0..places {
                                let (mut transaction, mut spent) = (transaction.clone(), spent.clone());
                                change(&mut transaction, &mut spent, at);
                                let after = digest(&transaction, &spent, request).expect("a digest");
                                assert_eq!(after != before, covers(request, at), "change {number} at {at}");
                            }
                        }
                        digests.push(before);
                    }
                }
            }
        }
        // No two types, kinds of spend, inputs or ledgers have one digest.
        let count = digests.len();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), count);
        true
    }
    QuickCheck::new().tests(30).quickcheck(property as fn(AnyTransaction, Vec<u16>) -> bool);
}
