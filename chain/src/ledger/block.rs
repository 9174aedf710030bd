//! Blocks: their header, their hash, their coinbase.
//!
//! Owns the form of lotusd's blocks with an easy proof of work, so that what clients compute of a real chain they can
//! compute of this one. Invariant: [`genesis`] is lotusd's on regtest, byte for byte. The chain drives it.

use nelumbo_crypto::lotus::{OutPoint, Transaction, TxInput, TxOutput, Txid};
use nelumbo_crypto::{Suite, sha256, sha256d};

use super::rules::SUBSIDY;
use crate::BlockHash;
use crate::build::{MIN_BYTES, OP_RETURN, push, push_number};

/// The easiest difficulty, compact (lotusd on regtest).
pub(super) const N_BITS: u32 = 0x207f_ffff;

/// The blocks of an epoch, whose header points at the block before its first.
const EPOCH: u32 = 5040;

/// What every coinbase begins with, so that it is of no other chain.
const COINBASE_PREFIX: &[u8; 5] = b"logos";

/// A block of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its hash.
    pub hash: BlockHash,
    /// The header: 160 bytes.
    pub header: Header,
    /// Its transactions, the coinbase first, the others in the order of their ids.
    pub transactions: Vec<Transaction>,
    /// Their ids.
    pub txids: Vec<Txid>,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The block below.
    pub previous: BlockHash,
    /// When it was mined, in seconds.
    pub timestamp: i64,
    /// What makes the hash small.
    pub nonce: u64,
    /// The bytes of the whole block.
    pub size: u64,
    /// Its place in the chain.
    pub height: u32,
    /// The block below the epoch's first.
    pub epoch: BlockHash,
    /// The root of the transactions.
    pub merkle_root: [u8; 32],
    /// The hash of the block's further fields, of which there are none.
    pub metadata: [u8; 32],
}

impl Header {
    /// The size of the encoding in bytes.
    pub const BYTES: usize = 160;

    /// The encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.previous.as_bytes().as_slice(), &self.second_layer(), &self.third_layer()].concat()
    }

    fn second_layer(&self) -> Vec<u8> {
        let time = &self.timestamp.to_le_bytes()[..6];
        [N_BITS.to_le_bytes().as_slice(), time, &[0; 2], &self.nonce.to_le_bytes()].concat()
    }

    fn third_layer(&self) -> Vec<u8> {
        let size = &self.size.to_le_bytes()[..7];
        [&[1], size, &self.height.to_le_bytes(), self.epoch.as_bytes(), &self.merkle_root, &self.metadata].concat()
    }

    /// The hash, in three layers of single SHA-256.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        let third = sha256(&[&self.third_layer()]);
        let second = sha256(&[&self.second_layer(), &third]);
        BlockHash::from_bytes(sha256(&[self.previous.as_bytes(), &second]))
    }

    /// Whether the hash is below the target of [`N_BITS`], which asks for its highest bit only.
    fn is_mined(hash: &BlockHash) -> bool {
        hash.as_bytes()[31] & 0x80 == 0
    }
}

/// Mines a block on `parent`. The search for a nonce begins at `nonce`, so that two blocks can have the same content.
pub(super) fn mine(parent: &Header, timestamp: i64, nonce: u64, transactions: Vec<Transaction>) -> Block {
    let previous = parent.hash();
    let height = parent.height + 1;
    let epoch = if height.is_multiple_of(EPOCH) { previous } else { parent.epoch };
    // An empty list of further fields is one byte, their count.
    let metadata = sha256d(&[&[0]]);
    let txids: Vec<Txid> = transactions.iter().map(|transaction| transaction.txid(Suite::Lotus)).collect();
    let size = serialized_size(&transactions);
    let merkle_root = merkle_root(&transactions, &txids);
    let mut header = Header { previous, timestamp, nonce, size, height, epoch, merkle_root, metadata };
    let hash = loop {
        let hash = header.hash();
        if Header::is_mined(&hash) {
            break hash;
        }
        header.nonce += 1;
    };
    Block { hash, header, transactions, txids }
}

/// The block that every regtest chain begins with. Its output cannot be spent.
pub(super) fn genesis() -> Block {
    let mut script_sig = Vec::new();
    push(&mut script_sig, b"John 1:1 In the beginning was the Logos");
    let mut mark = coinbase_mark(0);
    push(&mut mark, &decode("ffe330c4b7643e554c62adcbe0b80537435d888b5c33d5e29a70cdd743e3a093"));
    let mut pay = Vec::new();
    let key = [
        "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6",
        "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f",
    ]
    .concat();
    push(&mut pay, &decode(&key));
    pay.push(0xac);
    let output = |script_pubkey| TxOutput { value: SUBSIDY / 2, script_pubkey };
    let transaction = Transaction {
        version: 1,
        inputs: vec![TxInput { outpoint: NULL, script_sig, sequence: u32::MAX }],
        outputs: vec![output(mark), output(pay)],
        lock_time: 0,
    };
    let txids = vec![transaction.txid(Suite::Lotus)];
    let transactions = vec![transaction];
    let header = Header {
        previous: BlockHash::from_bytes([0; 32]),
        timestamp: 1_600_000_000,
        nonce: 16_293_725,
        size: serialized_size(&transactions),
        height: 0,
        epoch: BlockHash::from_bytes([0; 32]),
        merkle_root: merkle_root(&transactions, &txids),
        metadata: sha256d(&[&[0]]),
    };
    Block { hash: header.hash(), header, transactions, txids }
}

fn decode(hexadecimal: &str) -> Vec<u8> {
    hex::decode(hexadecimal).expect("it is written in this file")
}

/// What a coinbase spends.
pub(super) const NULL: OutPoint = OutPoint { txid: Txid::from_bytes([0; 32]), index: u32::MAX };

fn coinbase_mark(height: u32) -> Vec<u8> {
    let mut script = vec![OP_RETURN];
    push(&mut script, COINBASE_PREFIX);
    push_number(&mut script, height);
    script
}

/// What a block pays its miner: the subsidy and half of the fees. The other half is burned.
pub(super) fn coinbase(height: u32, fees: u64, miner: &[u8]) -> Transaction {
    let outputs = vec![
        TxOutput { value: 0, script_pubkey: coinbase_mark(height) },
        TxOutput { value: SUBSIDY + fees / 2, script_pubkey: miner.to_vec() },
    ];
    let input = TxInput { outpoint: NULL, script_sig: vec![0, 0], sequence: u32::MAX };
    let mut transaction = Transaction { version: 2, inputs: vec![input], outputs, lock_time: 0 };
    let size = transaction.to_bytes().len();
    if size < MIN_BYTES {
        push(&mut transaction.inputs[0].script_sig, &vec![0; MIN_BYTES - size - 1]);
    }
    transaction
}

/// The bytes of a block: header, the count of its further fields, and its transactions behind their count.
fn serialized_size(transactions: &[Transaction]) -> u64 {
    let count = match transactions.len() {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        _ => 5,
    };
    let bytes: usize = transactions.iter().map(|transaction| transaction.to_bytes().len()).sum();
    (Header::BYTES + 1 + count + bytes) as u64
}

/// The root over hash and id of each transaction; an odd level ends with 32 zero bytes (`BlockMerkleRoot`).
fn merkle_root(transactions: &[Transaction], txids: &[Txid]) -> [u8; 32] {
    let leaf =
        |(transaction, txid): (&Transaction, &Txid)| sha256d(&[transaction.txhash().as_bytes(), txid.as_bytes()]);
    let mut level: Vec<[u8; 32]> = transactions.iter().zip(txids).map(leaf).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| sha256d(&[&pair[0], pair.get(1).unwrap_or(&[0; 32])])).collect();
    }
    level[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(hash: &[u8; 32]) -> String {
        BlockHash::from_bytes(*hash).to_string()
    }

    /// The numbers that lotusd asserts of its regtest genesis.
    #[test]
    fn the_first_block_is_that_of_the_real_node() {
        let genesis = genesis();
        assert_eq!(genesis.header.size, 379);
        assert_eq!(shown(&genesis.header.metadata), "9a538906e6466ebd2617d321f71bc94e56056ce213d366773699e28158e00614");
        assert_eq!(
            shown(&genesis.header.merkle_root),
            "37f392d88f70cdada6d366a25a7ef90b6711bf2d6b5ffea4f39727dcb90af34c"
        );
        assert_eq!(genesis.hash.to_string(), "106050de32db2a668422cc34aa0f96d739d4189b8e5d6e763deeca527bba9c9f");
        assert!(Header::is_mined(&genesis.hash));
        assert_eq!(genesis.header.to_bytes().len(), Header::BYTES);
    }

    #[test]
    fn a_coinbase_is_never_too_small_to_be_a_transaction() {
        for (height, script) in [(1, 25), (17, 23), (40_000, 36), (1, 69)] {
            let coinbase = coinbase(height, 1_001, &vec![0x51; script]);
            assert!(coinbase.to_bytes().len() >= MIN_BYTES);
            assert_eq!(coinbase.outputs[1].value, 260_000_500);
            assert!(coinbase.inputs[0].script_sig.len() <= 100);
        }
    }

    #[test]
    fn the_same_content_can_be_mined_twice() {
        let parent = genesis().header;
        let mine = |nonce| mine(&parent, 1_700_000_000, nonce, vec![coinbase(1, 0, &[0x51])]);
        let (one, other) = (mine(0), mine(1_000));
        assert_ne!(one.hash, other.hash);
        assert_eq!((one.txids, one.header.merkle_root), (other.txids, other.header.merkle_root));
        assert!(Header::is_mined(&one.hash) && Header::is_mined(&other.hash));
    }
}
