//! A chain that nobody mines, as one server or several see it.
//!
//! Owns blocks with true headers and transactions with true ids; signatures, fees and work are left out, since no
//! client judges them.

use nelumbo_chain::ScriptPayload;
use nelumbo_chain::chronik::{BlockHash, BlockId};
use nelumbo_chain::crypto::lotus::{OutPoint, Transaction, TxInput, TxOutput, Txid, p2pkh_script};
use nelumbo_chain::crypto::{Suite, sha256, sha256d};
use nelumbo_chain::proto;

#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) hash: [u8; 32],
    previous: [u8; 32],
    header: Vec<u8>,
    time: i64,
    nonce: u64,
    merkle_root: [u8; 32],
    pub(crate) transactions: Vec<Transaction>,
}

#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) blocks: Vec<Block>,
    pub(crate) mempool: Vec<Transaction>,
    mined: u64,
}

const N_BITS: u32 = 0x207f_ffff;

/// The script of the tests' wallet.
pub(crate) fn own() -> Vec<u8> {
    p2pkh_script(&[7; 20]).to_vec()
}

/// The script of somebody else.
pub(crate) fn other() -> Vec<u8> {
    p2pkh_script(&[8; 20]).to_vec()
}

pub(crate) fn own_payload() -> ScriptPayload {
    ScriptPayload::PublicKeyHash([7; 20])
}

pub(crate) fn txid(transaction: &Transaction) -> Txid {
    transaction.txid(Suite::Lotus)
}

pub(crate) fn pay(from: OutPoint, outputs: &[(u64, Vec<u8>)]) -> Transaction {
    let input = TxInput { outpoint: from, script_sig: vec![0x51; 100], sequence: u32::MAX };
    let outputs =
        outputs.iter().map(|(value, script)| TxOutput { value: *value, script_pubkey: script.clone() }).collect();
    Transaction { version: 2, inputs: vec![input], outputs, lock_time: 0 }
}

fn merkle_root(transactions: &[Transaction]) -> [u8; 32] {
    let leaf = |each: &Transaction| sha256d(&[each.txhash().as_bytes(), txid(each).as_bytes()]);
    let mut level: Vec<[u8; 32]> = transactions.iter().map(leaf).collect();
    while level.len() > 1 {
        if level.len() % 2 == 1 {
            level.push([0; 32]);
        }
        level = level.chunks(2).map(|pair| sha256d(&[&pair[0], &pair[1]])).collect();
    }
    level[0]
}

impl World {
    /// A chain of so many blocks, whose coinbases pay to somebody else.
    pub(crate) fn new(blocks: usize) -> Self {
        let mut world = Self::default();
        (0..blocks).for_each(|_| world.mine(&other()));
        world
    }

    pub(crate) fn height(&self) -> u32 {
        self.blocks.len() as u32 - 1
    }

    pub(crate) fn id(&self, height: u32) -> BlockId {
        BlockId { height, hash: BlockHash::from_bytes(self.blocks[height as usize].hash) }
    }

    pub(crate) fn tip(&self) -> BlockId {
        self.id(self.height())
    }

    /// A block with everything that waits.
    pub(crate) fn mine(&mut self, script: &[u8]) {
        let transactions = std::mem::take(&mut self.mempool);
        self.mine_these(script, transactions);
    }

    pub(crate) fn mine_these(&mut self, script: &[u8], transactions: Vec<Transaction>) {
        self.mined += 1;
        let height = self.blocks.len() as u32;
        let mark = [&[0x6a, 5][..], b"logos", &[4], &height.to_le_bytes()].concat();
        let null = OutPoint { txid: Txid::from_bytes([0; 32]), index: u32::MAX };
        // The number of all blocks ever mined tells coinbases apart.
        let script_sig = [&[8][..], &self.mined.to_le_bytes(), &[0; 30]].concat();
        let coinbase = Transaction {
            version: 2,
            inputs: vec![TxInput { outpoint: null, script_sig, sequence: u32::MAX }],
            outputs: vec![
                TxOutput { value: 0, script_pubkey: mark },
                TxOutput { value: 260_000_000, script_pubkey: script.to_vec() },
            ],
            lock_time: self.mined as u32,
        };
        let transactions: Vec<Transaction> = std::iter::once(coinbase).chain(transactions).collect();
        let previous = self.blocks.last().map_or([0; 32], |block| block.hash);
        let (time, nonce) = (1_780_000_000 + i64::from(height) * 120, self.mined);
        let size = 160 + transactions.iter().map(|each| each.to_bytes().len() as u64).sum::<u64>();
        let merkle_root = merkle_root(&transactions);
        let second = [&N_BITS.to_le_bytes()[..], &time.to_le_bytes()[..6], &[0; 2], &nonce.to_le_bytes()].concat();
        let epoch = [9; 32];
        let third =
            [&[1][..], &size.to_le_bytes()[..7], &height.to_le_bytes(), &epoch, &merkle_root, &[3; 32]].concat();
        let hash = sha256(&[&previous, &sha256(&[&second, &sha256(&[&third])])]);
        let header = [&previous[..], &second, &third].concat();
        self.blocks.push(Block { hash, previous, header, time, nonce, merkle_root, transactions });
    }

    /// Replaces the last blocks by one more. What they held waits again, or is mined again.
    pub(crate) fn reorganise(&mut self, depth: usize, is_mined_again: bool) {
        let gone = self.blocks.split_off(self.blocks.len() - depth);
        let orphans = gone.into_iter().flat_map(|block| block.transactions.into_iter().skip(1));
        self.mempool.splice(0..0, orphans);
        self.drop_orphans();
        let waiting = if is_mined_again { Vec::new() } else { std::mem::take(&mut self.mempool) };
        (0..=depth).for_each(|_| self.mine(&other()));
        self.mempool.extend(waiting);
    }

    /// What spends something that is not there any more is gone.
    pub(crate) fn drop_orphans(&mut self) {
        let mut left = std::mem::take(&mut self.mempool);
        loop {
            let (good, bad): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|each| each.inputs.iter().all(|input| self.is_unspent(input.outpoint)));
            left = bad;
            if good.is_empty() {
                return;
            }
            for each in good {
                // Two that were good before may spend the same.
                if each.inputs.iter().all(|input| self.is_unspent(input.outpoint)) {
                    self.mempool.push(each);
                }
            }
        }
    }

    pub(crate) fn find(&self, wanted: Txid) -> Option<(&Transaction, Option<u32>)> {
        self.everything().find(|(each, _)| txid(each) == wanted)
    }

    fn everything(&self) -> impl Iterator<Item = (&Transaction, Option<u32>)> {
        let mined = (0..).zip(&self.blocks);
        let mined = mined.flat_map(|(height, block)| block.transactions.iter().map(move |each| (each, Some(height))));
        mined.chain(self.mempool.iter().map(|each| (each, None)))
    }

    pub(crate) fn spender(&self, outpoint: OutPoint) -> Option<OutPoint> {
        self.everything().find_map(|(each, _)| {
            let index = each.inputs.iter().position(|input| input.outpoint == outpoint)?;
            Some(OutPoint { txid: txid(each), index: index as u32 })
        })
    }

    pub(crate) fn is_unspent(&self, outpoint: OutPoint) -> bool {
        let is_there = self.find(outpoint.txid).is_some_and(|(each, _)| (outpoint.index as usize) < each.outputs.len());
        is_there && self.spender(outpoint).is_none()
    }

    /// The outputs that somebody can still spend.
    pub(crate) fn unspent(&self) -> Vec<OutPoint> {
        let all = self.everything().flat_map(|(each, _)| {
            let txid = txid(each);
            (0..each.outputs.len() as u32).map(move |index| OutPoint { txid, index })
        });
        all.filter(|outpoint| self.is_unspent(*outpoint) && self.output(*outpoint).value > 0).collect()
    }

    pub(crate) fn output(&self, outpoint: OutPoint) -> TxOutput {
        let (transaction, _) = self.find(outpoint.txid).expect("the transaction is there");
        transaction.outputs[outpoint.index as usize].clone()
    }

    /// The newest first.
    pub(crate) fn history(&self, script: &ScriptPayload) -> Vec<(&Transaction, Option<u32>)> {
        let pays = |each: &Transaction| each.outputs.iter().any(|output| script.is_of(&output.script_pubkey));
        let spends = |each: &Transaction| {
            let spent = each.inputs.iter().filter(|input| input.outpoint.index != u32::MAX);
            spent.map(|input| self.output(input.outpoint)).any(|output| script.is_of(&output.script_pubkey))
        };
        let mut found: Vec<_> = self.everything().filter(|(each, _)| pays(each) || spends(each)).collect();
        found.reverse();
        found
    }
}

// As messages.
impl World {
    fn message_outpoint(outpoint: OutPoint) -> proto::OutPoint {
        proto::OutPoint { txid: outpoint.txid.as_bytes().to_vec(), out_idx: outpoint.index }
    }

    pub(crate) fn message(&self, transaction: &Transaction, height: Option<u32>) -> proto::Tx {
        let txid = txid(transaction);
        let is_coinbase = transaction.inputs[0].outpoint.index == u32::MAX;
        let inputs = transaction.inputs.iter().map(|input| {
            let spent = (!is_coinbase).then(|| self.output(input.outpoint));
            proto::TxInput {
                prev_out: Some(Self::message_outpoint(input.outpoint)),
                input_script: input.script_sig.clone(),
                output_script: spent.as_ref().map(|spent| spent.script_pubkey.clone()).unwrap_or_default(),
                value: spent.map_or(0, |spent| spent.value as i64),
                sequence_no: input.sequence,
            }
        });
        let outputs = (0..).zip(&transaction.outputs).map(|(index, output)| proto::TxOutput {
            value: output.value as i64,
            output_script: output.script_pubkey.clone(),
            spent_by: self.spender(OutPoint { txid, index }).map(Self::message_outpoint),
        });
        let block = height.map(|height| {
            let block = &self.blocks[height as usize];
            proto::BlockMetadata { height: height as i32, hash: block.hash.to_vec(), timestamp: block.time }
        });
        proto::Tx {
            txid: txid.as_bytes().to_vec(),
            version: transaction.version,
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            lock_time: transaction.lock_time,
            block,
            time_first_seen: 1_780_000_000,
            network: proto::Network::Xpi as i32,
            size: transaction.to_bytes().len() as u32,
            is_coinbase,
        }
    }

    pub(crate) fn message_tip(&self) -> proto::BlockchainInfo {
        match self.blocks.last() {
            Some(block) => proto::BlockchainInfo { tip_hash: block.hash.to_vec(), tip_height: self.height() as i32 },
            None => proto::BlockchainInfo { tip_hash: vec![0; 32], tip_height: -1 },
        }
    }

    pub(crate) fn message_info(&self, height: u32) -> proto::BlockInfo {
        let block = &self.blocks[height as usize];
        let count = |number: fn(&Transaction) -> usize| block.transactions.iter().map(number).sum::<usize>() as u64;
        proto::BlockInfo {
            hash: block.hash.to_vec(),
            prev_hash: block.previous.to_vec(),
            height: height as i32,
            n_bits: N_BITS,
            timestamp: block.time,
            block_size: 160 + count(|each| each.to_bytes().len()),
            num_txs: block.transactions.len() as u64,
            num_inputs: count(|each| each.inputs.len()),
            num_outputs: count(|each| each.outputs.len()),
            sum_input_sats: 0,
            sum_coinbase_output_sats: 260_000_000,
            sum_normal_output_sats: 0,
            sum_burned_sats: 0,
        }
    }

    pub(crate) fn message_block(&self, height: u32) -> proto::Block {
        let block = &self.blocks[height as usize];
        proto::Block {
            block_info: Some(self.message_info(height)),
            txs: block.transactions.iter().map(|each| self.message(each, Some(height))).collect(),
            block_details: Some(proto::BlockDetails {
                version: 1,
                merkle_root: block.merkle_root.to_vec(),
                nonce: block.nonce,
                median_timestamp: block.time,
            }),
            raw_header: block.header.clone(),
        }
    }

    pub(crate) fn message_utxos(&self, script: &ScriptPayload) -> proto::Utxos {
        let mut groups: Vec<proto::ScriptUtxos> = Vec::new();
        for outpoint in self.unspent() {
            let (transaction, height) = self.find(outpoint.txid).expect("it is unspent");
            let output = &transaction.outputs[outpoint.index as usize];
            if !script.is_of(&output.script_pubkey) {
                continue;
            }
            let utxo = proto::Utxo {
                outpoint: Some(Self::message_outpoint(outpoint)),
                block_height: height.map_or(-1, |height| height as i32),
                is_coinbase: transaction.inputs[0].outpoint.index == u32::MAX,
                value: output.value as i64,
                network: proto::Network::Xpi as i32,
            };
            match groups.iter_mut().find(|group| group.output_script == output.script_pubkey) {
                Some(group) => group.utxos.push(utxo),
                None => {
                    groups.push(proto::ScriptUtxos { output_script: output.script_pubkey.clone(), utxos: vec![utxo] })
                }
            }
        }
        proto::Utxos { script_utxos: groups }
    }

    pub(crate) fn message_state(&self, outpoint: OutPoint) -> proto::UtxoState {
        use proto::UtxoStateVariant as Variant;
        let Some((transaction, height)) = self.find(outpoint.txid) else {
            return proto::UtxoState { height: -1, is_confirmed: false, state: Variant::NoSuchTx as i32 };
        };
        let state = if outpoint.index as usize >= transaction.outputs.len() {
            Variant::NoSuchOutput
        } else if self.spender(outpoint).is_some() {
            Variant::Spent
        } else {
            Variant::Unspent
        };
        let number = height.map_or(-1, |height| height as i32);
        proto::UtxoState { height: number, is_confirmed: height.is_some(), state: state as i32 }
    }
}
