//! Whether what a server says can be true.
//!
//! Owns the way from messages to types: every rule that one answer can be judged by alone. Invariant: nothing leaves
//! this file whose id, header or root was not computed from its content. `server.rs` drives it, and judges there what
//! takes two answers.

use std::collections::BTreeSet;

use nelumbo_crypto::lotus::{OutPoint, Transaction, TxInput, TxOutput, Txid};
use nelumbo_crypto::{Suite, sha256, sha256d};

use super::error::Fault;
use super::types::{Block, BlockId, BlockSummary, ChainTx, OutputState, is_coinbase};
use crate::BlockHash;
use crate::ScriptPayload;
use crate::proto;

/// All the money there can be, in satoshi (lotusd's `MAX_MONEY`).
const MAX_MONEY: u64 = 2_100_000_000 * 1_000_000;

/// The first blocks are of 2021; nothing of this century is later.
const LATEST: i64 = 4_102_444_800;

/// The size of a header in bytes (lotusd's `CBlockHeader`).
const HEADER: usize = 160;

/// What a message about a transaction says of other transactions. It is checked against those before it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    /// What each input spends; nothing in a coinbase.
    pub(super) spent: Vec<TxOutput>,
    /// The input that spends each output.
    pub(super) spent_by: Vec<Option<OutPoint>>,
}

fn hash(bytes: &[u8], what: &'static str) -> Result<[u8; 32], Fault> {
    bytes.try_into().map_err(|_| Fault::Missing(what))
}

fn outpoint(message: &proto::OutPoint) -> Result<OutPoint, Fault> {
    Ok(OutPoint { txid: Txid::from_bytes(hash(&message.txid, "the id in an outpoint")?), index: message.out_idx })
}

fn height(height: i32) -> Result<u32, Fault> {
    u32::try_from(height).map_err(|_| Fault::Height(height.into()))
}

fn time(time: i64) -> Result<u64, Fault> {
    if (1..=LATEST).contains(&time) { Ok(time.unsigned_abs()) } else { Err(Fault::Time(time)) }
}

fn amount(value: i64) -> Result<u64, Fault> {
    u64::try_from(value).ok().filter(|value| *value <= MAX_MONEY).ok_or(Fault::Amount)
}

/// The sum, which is no more than there is.
fn sum<'a>(outputs: impl IntoIterator<Item = &'a TxOutput>) -> Result<u64, Fault> {
    let add = |sum: u64, output: &TxOutput| sum.checked_add(output.value).filter(|sum| *sum <= MAX_MONEY);
    outputs.into_iter().try_fold(0, add).ok_or(Fault::Amount)
}

fn network(network: i32) -> Result<(), Fault> {
    if network == proto::Network::Xpi as i32 { Ok(()) } else { Err(Fault::Network(network)) }
}

/// The last block of the chain; nothing when there is none.
pub(super) fn tip(message: &proto::BlockchainInfo) -> Result<Option<BlockId>, Fault> {
    let hash = hash(&message.tip_hash, "the hash of the last block")?;
    match (message.tip_height, hash == [0; 32]) {
        (-1, true) => Ok(None),
        (_, true) => Err(Fault::Missing("the hash of the last block")),
        (found, false) => Ok(Some(BlockId { height: height(found)?, hash: BlockHash::from_bytes(hash) })),
    }
}

/// A transaction, which is the one that was asked for if one was.
pub(super) fn transaction(message: proto::Tx, asked: Option<Txid>) -> Result<(ChainTx, Claims), Fault> {
    network(message.network)?;
    let txid = Txid::from_bytes(hash(&message.txid, "the id of a transaction")?);
    if asked.is_some_and(|asked| asked != txid) {
        return Err(Fault::Foreign("the transaction"));
    }
    let (mut inputs, mut spent) = (Vec::new(), Vec::new());
    for input in message.inputs {
        let outpoint = outpoint(input.prev_out.as_ref().ok_or(Fault::Missing("what an input spends"))?)?;
        inputs.push(TxInput { outpoint, script_sig: input.input_script, sequence: input.sequence_no });
        spent.push(TxOutput { value: amount(input.value)?, script_pubkey: input.output_script });
    }
    let (mut outputs, mut spent_by) = (Vec::new(), Vec::new());
    for output in message.outputs {
        outputs.push(TxOutput { value: amount(output.value)?, script_pubkey: output.output_script });
        spent_by.push(output.spent_by.as_ref().map(outpoint).transpose()?);
    }
    let transaction = Transaction { version: message.version, inputs, outputs, lock_time: message.lock_time };
    if transaction.inputs.is_empty() || transaction.txid(Suite::Lotus) != txid {
        return Err(Fault::Id(txid.to_string()));
    }
    if transaction.to_bytes().len() != message.size as usize {
        return Err(Fault::Size);
    }
    if message.is_coinbase != is_coinbase(&transaction) {
        return Err(Fault::Coinbase);
    }
    let created = sum(&transaction.outputs)?;
    if message.is_coinbase {
        if spent.iter().any(|spent| spent.value != 0 || !spent.script_pubkey.is_empty()) {
            return Err(Fault::Coinbase);
        }
        spent.clear();
    } else if sum(&spent)? < created {
        return Err(Fault::Amount);
    }
    // 0 where it came in a block.
    if message.time_first_seen != 0 {
        time(message.time_first_seen)?;
    }
    let (block, block_time) = match &message.block {
        Some(block) => {
            let hash = BlockHash::from_bytes(hash(&block.hash, "the hash of a block")?);
            (Some(BlockId { height: height(block.height)?, hash }), Some(time(block.timestamp)?))
        }
        None => (None, None),
    };
    Ok((ChainTx { txid, transaction, block, block_time }, Claims { spent, spent_by }))
}

/// The serialisation of the transaction that was asked for.
pub(super) fn raw_transaction(bytes: &[u8], asked: Txid) -> Result<Transaction, Fault> {
    let transaction = Transaction::parse(bytes)?;
    if transaction.txid(Suite::Lotus) == asked { Ok(transaction) } else { Err(Fault::Id(asked.to_string())) }
}

/// What a message says about an unspent output.
pub(super) struct ClaimedUtxo {
    pub(super) outpoint: OutPoint,
    pub(super) output: TxOutput,
    pub(super) height: Option<u32>,
    pub(super) is_coinbase: bool,
}

/// The unspent outputs with the script that was asked for.
pub(super) fn utxos(message: proto::Utxos, asked: &ScriptPayload, limit: usize) -> Result<Vec<ClaimedUtxo>, Fault> {
    if message.script_utxos.iter().map(|group| group.utxos.len()).sum::<usize>() > limit {
        return Err(Fault::Count("unspent outputs"));
    }
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for group in message.script_utxos {
        if !asked.is_of(&group.output_script) {
            return Err(Fault::Foreign("an output"));
        }
        for utxo in group.utxos {
            network(utxo.network)?;
            let outpoint = outpoint(utxo.outpoint.as_ref().ok_or(Fault::Missing("an outpoint"))?)?;
            if !seen.insert(outpoint) {
                return Err(Fault::Twice("an output"));
            }
            let output = TxOutput { value: amount(utxo.value)?, script_pubkey: group.output_script.clone() };
            let height = if utxo.block_height == -1 { None } else { Some(height(utxo.block_height)?) };
            found.push(ClaimedUtxo { outpoint, output, height, is_coinbase: utxo.is_coinbase });
        }
    }
    Ok(found)
}

/// A page of at most `page_size` transactions, each there once.
pub(super) fn history_page(message: proto::TxHistoryPage, page_size: u32) -> Result<Vec<(ChainTx, Claims)>, Fault> {
    let is_full = message.txs.len() > page_size as usize;
    if is_full || (message.num_pages == 0 && !message.txs.is_empty()) {
        return Err(Fault::Count("transactions on a page"));
    }
    let mut seen = BTreeSet::new();
    let judged = message.txs.into_iter().map(|message| {
        let judged = transaction(message, None)?;
        if seen.insert(judged.0.txid) { Ok(judged) } else { Err(Fault::Twice("a transaction")) }
    });
    judged.collect()
}

fn summary(message: &proto::BlockInfo) -> Result<BlockSummary, Fault> {
    let id = BlockId {
        height: height(message.height)?,
        hash: BlockHash::from_bytes(hash(&message.hash, "the hash of a block")?),
    };
    let previous = BlockHash::from_bytes(hash(&message.prev_hash, "the hash of the block before")?);
    let is_first = *previous.as_bytes() == [0; 32];
    let sums = [
        message.sum_input_sats,
        message.sum_coinbase_output_sats,
        message.sum_normal_output_sats,
        message.sum_burned_sats,
    ];
    if (id.height == 0) != is_first || sums.iter().any(|sum| *sum < 0) {
        return Err(Fault::Block(id.height));
    }
    // Every block has a coinbase, and every transaction an input.
    if message.num_txs == 0 || message.num_inputs < message.num_txs {
        return Err(Fault::Count("transactions in a block"));
    }
    Ok(BlockSummary { id, previous, time: time(message.timestamp)?, transactions: message.num_txs })
}

/// Consecutive blocks from height `first`, up to `last` or the end of the chain.
pub(super) fn blocks(message: &proto::Blocks, first: u32, last: u32) -> Result<Vec<BlockSummary>, Fault> {
    if message.blocks.len() as u64 > u64::from(last - first) + 1 {
        return Err(Fault::Count("blocks"));
    }
    let blocks: Vec<BlockSummary> = message.blocks.iter().map(summary).collect::<Result<_, _>>()?;
    for (expected, block) in (first..).zip(&blocks) {
        if block.id.height != expected {
            return Err(Fault::Height(block.id.height.into()));
        }
    }
    let broken = blocks.windows(2).find(|pair| pair[1].previous != pair[0].id.hash);
    broken.map_or(Ok(()), |pair| Err(Fault::Block(pair[1].id.height)))?;
    Ok(blocks)
}

/// A block with all its transactions, under a header whose hash is that of the block.
pub(super) fn block(message: proto::Block) -> Result<Block, Fault> {
    let info = message.block_info.as_ref().ok_or(Fault::Missing("what a block is"))?;
    let summary = summary(info)?;
    let (id, fault) = (summary.id, Fault::Block(summary.id.height));
    let header: &[u8; HEADER] = message.raw_header[..].try_into().map_err(|_| Fault::Missing("the header"))?;
    let header = Header::read(header);
    if header.hash != *id.hash.as_bytes()
        || header.previous != *summary.previous.as_bytes()
        || header.height != id.height
        || header.time != summary.time
        || header.n_bits != info.n_bits
        || header.size != info.block_size
        || message.txs.len() as u64 != summary.transactions
    {
        return Err(fault);
    }
    if let Some(details) = &message.block_details
        && (details.merkle_root != header.merkle_root
            || details.nonce != header.nonce
            || details.version != header.version)
    {
        return Err(fault);
    }
    let mut transactions = Vec::with_capacity(message.txs.len());
    let mut leaves = Vec::with_capacity(message.txs.len());
    for (position, message) in message.txs.into_iter().enumerate() {
        let (judged, _) = transaction(message, None)?;
        if judged.block != Some(id) || judged.block_time != Some(summary.time) {
            return Err(Fault::NotInBlock(judged.txid, id));
        }
        if judged.is_coinbase() != (position == 0) {
            return Err(Fault::Coinbase);
        }
        leaves.push(sha256d(&[judged.transaction.txhash().as_bytes(), judged.txid.as_bytes()]));
        transactions.push(judged.transaction);
    }
    if merkle_root(leaves) != header.merkle_root
        || transactions.iter().map(|each| each.inputs.len() as u64).sum::<u64>() != info.num_inputs
        || transactions.iter().map(|each| each.outputs.len() as u64).sum::<u64>() != info.num_outputs
    {
        return Err(fault);
    }
    Ok(Block { id, previous: summary.previous, time: summary.time, transactions })
}

/// The root over leaves, at least one; a level with an odd number of nodes ends with one of zeros (lotusd's
/// `BlockMerkleRoot`).
fn merkle_root(mut level: Vec<[u8; 32]>) -> [u8; 32] {
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| sha256d(&[&pair[0], pair.get(1).unwrap_or(&[0; 32])])).collect();
    }
    level[0]
}

/// What a header holds: three layers, each hashed by one SHA-256 together with the hash of the layer below.
struct Header {
    hash: [u8; 32],
    previous: [u8; 32],
    n_bits: u32,
    time: u64,
    nonce: u64,
    version: i32,
    size: u64,
    height: u32,
    merkle_root: [u8; 32],
}

impl Header {
    fn read(bytes: &[u8; HEADER]) -> Self {
        fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
            *bytes[at..].first_chunk().expect("a header has 160 bytes")
        }
        // Little-endian integers of 6 and 7 bytes.
        fn wide(bytes: &[u8]) -> u64 {
            bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
        }
        let third = sha256(&[&bytes[52..]]);
        let second = sha256(&[&bytes[32..52], &third]);
        Self {
            hash: sha256(&[&bytes[..32], &second]),
            previous: part(bytes, 0),
            n_bits: u32::from_le_bytes(part(bytes, 32)),
            time: wide(&bytes[36..42]),
            nonce: u64::from_le_bytes(part(bytes, 44)),
            version: bytes[52].into(),
            size: wide(&bytes[53..60]),
            height: u32::from_le_bytes(part(bytes, 60)),
            merkle_root: part(bytes, 96),
        }
    }
}

/// The ids that a server gives for the transactions that it was sent.
pub(super) fn broadcast(found: &[Vec<u8>], expected: &[Txid]) -> Result<(), Fault> {
    let is_same = |(found, expected): (&Vec<u8>, &Txid)| found == expected.as_bytes();
    if found.len() == expected.len() && found.iter().zip(expected).all(is_same) {
        Ok(())
    } else {
        Err(Fault::Foreign("the id of what was sent"))
    }
}

/// The states of `asked` outputs.
pub(super) fn states(message: &proto::ValidateUtxoResponse, asked: usize) -> Result<Vec<OutputState>, Fault> {
    use proto::UtxoStateVariant as Variant;
    if message.utxo_states.len() != asked {
        return Err(Fault::Count("states"));
    }
    let judged = message.utxo_states.iter().map(|state| {
        let height = match (state.height, state.is_confirmed) {
            (-1, false) => None,
            (found, true) => Some(height(found)?),
            (found, false) => return Err(Fault::Height(found.into())),
        };
        let variant = Variant::try_from(state.state).map_err(|_| Fault::Missing("a state"))?;
        Ok(match (variant, height) {
            (Variant::Unspent, height) => OutputState::Unspent { height },
            (Variant::Spent, height) => OutputState::Spent { height },
            (Variant::NoSuchTx, None) => OutputState::NoSuchTransaction,
            (Variant::NoSuchTx, Some(height)) => return Err(Fault::Height(height.into())),
            (Variant::NoSuchOutput, _) => OutputState::NoSuchOutput,
        })
    });
    judged.collect()
}
