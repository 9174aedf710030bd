//! What Bitcoin needs around a test: a wallet that hands over a PSBT, and the consensus rules of Bitcoin Core as the
//! judge of final transactions.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses the part it needs")]

use bitcoinconsensus::Utxo;
use nelumbo_chain::psbt::Psbt;
use nelumbo_core::crypto::Network;
use nelumbo_core::crypto::bitcoin::{Address, OutPoint, Transaction, TxInput, TxOutput};

/// What a wallet of no group hands over: outputs of these values at an address of regtest pay somebody, and what is
/// left but 1,000 satoshi comes back. It says nothing of whose keys are behind the address.
pub fn wallet(address: &str, values: &[u64], paid: u64) -> Psbt {
    let own = Address::parse(Network::Regtest, address).expect("an address");
    let output = |value: u64, script: &[u8]| TxOutput { value, script_pubkey: script.to_vec() };
    let spent: Vec<TxOutput> = values.iter().map(|value| output(*value, own.script_pubkey())).collect();
    let input = |index: usize| {
        let outpoint = OutPoint { txid: "5b".repeat(32).parse().expect("an id"), index: index as u32 };
        TxInput { outpoint, script_sig: vec![], sequence: 0xffff_fffd }
    };
    let back = values.iter().sum::<u64>() - paid - 1_000;
    let outputs = vec![output(paid, &[&[0, 20][..], &[7; 20]].concat()), output(back, own.script_pubkey())];
    let inputs = (0..values.len()).map(input).collect();
    Psbt::new(&Transaction { version: 2, inputs, outputs, lock_time: 0 }, &spent).expect("it has no scripts")
}

/// Whether every input of a transaction may spend what it spends. Without the spent outputs the library would not look
/// at Taproot at all, and say yes to anything.
pub fn judge(transaction: &[u8], spent: &[TxOutput]) -> Result<(), bitcoinconsensus::Error> {
    // They point into `spent`, which outlives them.
    let utxo = |output: &TxOutput| Utxo {
        script_pubkey: output.script_pubkey.as_ptr(),
        script_pubkey_len: u32::try_from(output.script_pubkey.len()).expect("scripts are short"),
        value: i64::try_from(output.value).expect("amounts are small"),
    };
    let utxos: Vec<Utxo> = spent.iter().map(utxo).collect();
    spent.iter().enumerate().try_for_each(|(index, TxOutput { value, script_pubkey })| {
        bitcoinconsensus::verify(script_pubkey, *value, transaction, Some(&utxos), index)
    })
}
