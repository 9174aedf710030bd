//! The ledger in Chronik's messages.

use nelumbo_crypto::Suite;
use nelumbo_crypto::lotus::{OutPoint, Transaction, Txid};

use super::super::block::N_BITS;
use super::super::{Block, Event, Happening, Ledger, Located};
use crate::ScriptPayload;
use crate::build::is_data;
use crate::proto::{self, MsgBlock, MsgTx, MsgType, Network, UtxoStateVariant};

pub(super) fn outpoint(outpoint: &OutPoint) -> proto::OutPoint {
    proto::OutPoint { txid: outpoint.txid.as_bytes().to_vec(), out_idx: outpoint.index }
}

/// No ledger is so long, and no amount so large, that this loses something.
fn signed<T, U: TryFrom<T>>(value: T) -> U {
    U::try_from(value).ok().expect("heights, sizes and amounts fit their messages")
}

pub(super) fn height(height: Option<u32>) -> i32 {
    height.map_or(-1, signed)
}

pub(super) fn blockchain_info(ledger: &Ledger) -> proto::BlockchainInfo {
    proto::BlockchainInfo { tip_hash: ledger.tip().hash.as_bytes().to_vec(), tip_height: signed(ledger.height()) }
}

pub(super) fn tx(ledger: &Ledger, txid: &Txid) -> Option<proto::Tx> {
    let Located { transaction, spent, height, first_seen, is_coinbase } = ledger.transaction(txid)?;
    let inputs = transaction.inputs.iter().enumerate().map(|(number, input)| {
        let spent = spent.get(number);
        proto::TxInput {
            prev_out: Some(outpoint(&input.outpoint)),
            input_script: input.script_sig.clone(),
            output_script: spent.map(|spent| spent.script_pubkey.clone()).unwrap_or_default(),
            value: spent.map_or(0, |spent| signed(spent.value)),
            sequence_no: input.sequence,
        }
    });
    let outputs = (0..).zip(&transaction.outputs).map(|(index, output)| {
        let spender = ledger.spender(&OutPoint { txid: *txid, index });
        proto::TxOutput {
            value: signed(output.value),
            output_script: output.script_pubkey.clone(),
            spent_by: spender.map(|(txid, index)| outpoint(&OutPoint { txid, index })),
        }
    });
    let block = height.and_then(|height| ledger.block(height)).map(|block| proto::BlockMetadata {
        height: signed(block.header.height),
        hash: block.hash.as_bytes().to_vec(),
        timestamp: block.header.timestamp,
    });
    Some(proto::Tx {
        txid: txid.as_bytes().to_vec(),
        version: transaction.version,
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        lock_time: transaction.lock_time,
        block,
        time_first_seen: first_seen,
        network: Network::Xpi.into(),
        size: signed(transaction.to_bytes().len()),
        is_coinbase,
    })
}

pub(super) fn block_info(ledger: &Ledger, block: &Block) -> proto::BlockInfo {
    let created = |transaction: &Transaction| transaction.outputs.iter().map(|output| output.value).sum::<u64>();
    let (coinbase, others) = block.transactions.split_first().expect("a block has a coinbase");
    let outputs = || block.transactions.iter().flat_map(|transaction| &transaction.outputs);
    let spent = block.txids.iter().filter_map(|txid| ledger.transaction(txid)).flat_map(|located| located.spent);
    proto::BlockInfo {
        hash: block.hash.as_bytes().to_vec(),
        prev_hash: block.header.previous.as_bytes().to_vec(),
        height: signed(block.header.height),
        n_bits: N_BITS,
        timestamp: block.header.timestamp,
        block_size: block.header.size,
        num_txs: block.transactions.len() as u64,
        num_inputs: block.transactions.iter().map(|transaction| transaction.inputs.len() as u64).sum(),
        num_outputs: outputs().count() as u64,
        sum_input_sats: signed(spent.map(|output| output.value).sum::<u64>()),
        sum_coinbase_output_sats: signed(created(coinbase)),
        sum_normal_output_sats: signed(others.iter().map(created).sum::<u64>()),
        sum_burned_sats: signed(
            outputs().filter(|output| is_data(&output.script_pubkey)).map(|output| output.value).sum::<u64>(),
        ),
    }
}

pub(super) fn block(ledger: &Ledger, block: &Block) -> proto::Block {
    proto::Block {
        block_info: Some(block_info(ledger, block)),
        txs: block.txids.iter().filter_map(|txid| tx(ledger, txid)).collect(),
        block_details: Some(proto::BlockDetails {
            version: 1,
            merkle_root: block.header.merkle_root.to_vec(),
            nonce: block.header.nonce,
            median_timestamp: ledger.median_time(block.header.height),
        }),
        raw_header: block.header.to_bytes(),
    }
}

/// By script, in the order of scripts.
pub(super) fn utxos(ledger: &Ledger, script: &ScriptPayload) -> proto::Utxos {
    let mut groups = std::collections::BTreeMap::<&[u8], Vec<proto::Utxo>>::new();
    for unspent in ledger.unspent(script) {
        groups.entry(&unspent.output.script_pubkey).or_default().push(proto::Utxo {
            outpoint: Some(outpoint(&unspent.outpoint)),
            block_height: height(unspent.height),
            is_coinbase: unspent.is_coinbase,
            value: signed(unspent.output.value),
            network: Network::Xpi.into(),
        });
    }
    let group = |(script, utxos): (&[u8], _)| proto::ScriptUtxos { output_script: script.to_vec(), utxos };
    proto::Utxos { script_utxos: groups.into_iter().map(group).collect() }
}

pub(super) fn utxo_state(ledger: &Ledger, outpoint: &OutPoint) -> proto::UtxoState {
    let Some(located) = ledger.transaction(&outpoint.txid) else {
        return proto::UtxoState { height: -1, is_confirmed: false, state: UtxoStateVariant::NoSuchTx.into() };
    };
    let exists = usize::try_from(outpoint.index).is_ok_and(|index| index < located.transaction.outputs.len());
    let state = match (exists, ledger.spender(outpoint)) {
        (false, _) => UtxoStateVariant::NoSuchOutput,
        (true, Some(_)) => UtxoStateVariant::Spent,
        (true, None) => UtxoStateVariant::Unspent,
    };
    proto::UtxoState { height: height(located.height), is_confirmed: located.height.is_some(), state: state.into() }
}

/// What a subscriber of these scripts is told of an event: once for each that it concerns, and of blocks once.
pub(super) fn messages<'a>(
    event: &Event,
    mut is_subscribed: impl FnMut(&ScriptPayload) -> bool + 'a,
) -> Vec<proto::SubscribeMsg> {
    let (message, times) = match event {
        Event::Transaction { happening, txid, scripts } => {
            let of_tx = match happening {
                Happening::Added => MsgType::AddedToMempool,
                Happening::Removed => MsgType::RemovedFromMempool,
                Happening::Confirmed => MsgType::Confirmed,
                Happening::Reorganised => MsgType::Reorg,
            };
            let times = scripts.iter().filter(|script| is_subscribed(script)).count();
            (of_tx(MsgTx { txid: txid.as_bytes().to_vec() }), times)
        }
        Event::Connected(hash) => (MsgType::BlockConnected(MsgBlock { block_hash: hash.as_bytes().to_vec() }), 1),
        Event::Disconnected(hash) => (MsgType::BlockDisconnected(MsgBlock { block_hash: hash.as_bytes().to_vec() }), 1),
    };
    vec![proto::SubscribeMsg { msg_type: Some(message) }; times]
}

/// The id of a transaction as it is sent.
pub(super) fn id_of(raw: &[u8]) -> Option<Txid> {
    Some(Transaction::parse(raw).ok()?.txid(Suite::Lotus))
}
