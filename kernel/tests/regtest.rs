//! Payments of a group on a chain of the test's own, whose blocks Bitcoin Core's validation library judges.
//!
//! A block with what is wrong may be called new; whether it counts, only the tip says.

use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Witness,
};
use bitcoinkernel::prelude::*;
use bitcoinkernel::{ChainType, ChainstateManager, ChainstateManagerBuilder, Context, ContextBuilder};
use nelumbo_chain::build::Delay;
use nelumbo_chain::psbt::{Psbt, Task};
use nelumbo_core::crypto::bitcoin::{
    self as ours, SighashCache, SighashType, Spend, TxInput, TxOutput, control_block, taproot_script,
};
use nelumbo_core::crypto::taproot::{LEAF_VERSION, leaf_hash};
use nelumbo_core::crypto::{
    Entropy, KeyAggContext, NonceSlot, PublicKey, SecretKey, Signer, SoftwareSigner, Suite, Tweak, schnorr, sort_keys,
};

/// The members, who sign together.
const MEMBERS: [u8; 3] = [1, 2, 3];
/// Who takes back alone what the others have left behind.
const RECOVERER: u8 = 2;
/// How many blocks after.
const DELAY: u16 = 120;
/// How old a coinbase must be.
const MATURITY: usize = 100;

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).expect("a key")
}

/// `DELAY OP_CHECKSEQUENCEVERIFY OP_DROP <x-only key> OP_CHECKSIG`.
fn leaf() -> Vec<u8> {
    let key = secret(RECOVERER).public_key().x_only();
    [&[1, DELAY as u8, 0xb2, 0x75, 32][..], &key, &[0xac]].concat()
}

fn merkle_root() -> [u8; 32] {
    leaf_hash(LEAF_VERSION, &leaf())
}

fn members() -> Vec<PublicKey> {
    let mut keys = MEMBERS.map(|number| secret(number).public_key()).to_vec();
    sort_keys(&mut keys);
    keys
}

fn group(tweak: &Tweak) -> KeyAggContext {
    KeyAggContext::new(Suite::Bip340, &members()).and_then(|keys| keys.with_tweak(tweak)).expect("three keys")
}

fn script() -> Vec<u8> {
    taproot_script(&group(&Tweak::Taproot { merkle_root: Some(merkle_root()) }).challenge_key()).to_vec()
}

/// A chain whose blocks all pay to the group.
struct Chain {
    manager: ChainstateManager,
    _context: Arc<Context>,
    _folder: tempfile::TempDir,
    /// The blocks that count, from the first after the genesis on.
    blocks: Vec<Block>,
}

impl Chain {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
        let context = Arc::new(ContextBuilder::new().chain_type(ChainType::Regtest).build().expect("a context"));
        let manager = ChainstateManagerBuilder::new(&context, &path("data"), &path("blocks"))
            .map(|builder| builder.block_tree_db_in_memory(true).chainstate_db_in_memory(true))
            .and_then(ChainstateManagerBuilder::build)
            .expect("a chain");
        manager.import_blocks().expect("the genesis block");
        Self { manager, _context: context, _folder: folder, blocks: Vec::new() }
    }

    fn tip(&self) -> usize {
        usize::try_from(self.manager.active_chain().height()).expect("not negative")
    }

    /// A block on the tip with these transactions.
    fn block(&self, transactions: &[Transaction]) -> Block {
        let genesis = bitcoin::constants::genesis_block(Network::Regtest);
        let before = self.blocks.last().unwrap_or(&genesis);
        let height = self.blocks.len() + 1;
        let reserved = [0; 32];
        let coinbase = |commitment: Option<[u8; 32]>| {
            let mut witness = Witness::new();
            let subsidy = TxOut { value: Amount::from_sat(5_000_000_000), script_pubkey: ScriptBuf::from(script()) };
            let mut output = vec![subsidy];
            if let Some(commitment) = commitment {
                witness.push(reserved);
                let text = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &commitment].concat();
                output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from(text) });
            }
            let script_sig = Builder::new().push_int(height as i64).push_int(0).into_script();
            let input = TxIn { previous_output: OutPoint::null(), script_sig, sequence: Sequence::MAX, witness };
            let version = bitcoin::transaction::Version::TWO;
            Transaction { version, lock_time: LockTime::ZERO, input: vec![input], output }
        };
        let header = Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: before.block_hash(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: before.header.time + 600,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        let txdata = [&[coinbase(None)], transactions].concat();
        let mut block = Block { header, txdata };
        let root = block.witness_root().expect("it has a coinbase");
        let commitment = Block::compute_witness_commitment(&root, &reserved);
        block.txdata[0] = coinbase(Some(commitment.to_byte_array()));
        block.header.merkle_root = block.compute_merkle_root().expect("it has a coinbase");
        while block.header.validate_pow(block.header.target()).is_err() {
            block.header.nonce += 1;
        }
        block
    }

    /// Whether a block with these transactions counts.
    fn mine(&mut self, transactions: &[Transaction]) -> bool {
        let (block, before) = (self.block(transactions), self.tip());
        let given = bitcoinkernel::Block::new(&serialize(&block)).expect("it is one");
        let _ = self.manager.process_block(&given);
        let counts = self.tip() == before + 1;
        if counts {
            let tip = BlockHash::from_byte_array(self.manager.active_chain().tip().block_hash().to_bytes());
            assert_eq!(tip, block.block_hash());
            self.blocks.push(block);
        }
        counts
    }

    /// What spends the coinbase of the block at this height, and the output that it spends. All but a fee is for
    /// others.
    fn spend(&self, height: usize, sequence: u32) -> (ours::Transaction, Vec<TxOutput>) {
        let coinbase = &self.blocks[height - 1].txdata[0];
        let txid = coinbase.compute_txid().to_byte_array();
        let outpoint = ours::OutPoint { txid: ours::Txid::from_bytes(txid), index: 0 };
        let value = coinbase.output[0].value.to_sat();
        let to = TxOutput { value: value - 1_000, script_pubkey: [&[0, 20][..], &[7; 20]].concat() };
        let inputs = vec![TxInput { outpoint, script_sig: vec![], sequence }];
        let transaction = ours::Transaction { version: 2, inputs, outputs: vec![to], lock_time: 0 };
        (transaction, vec![TxOutput { value, script_pubkey: script() }])
    }
}

/// The group signs by its key path, as a PSBT that goes round.
fn signed_by_all(transaction: &ours::Transaction, spent: &[TxOutput]) -> Transaction {
    let mut psbt = Psbt::new(transaction, spent).expect("it has no scripts");
    assert_eq!(psbt.add_group(&members(), Some(merkle_root())), Ok(1));
    let tasks: Vec<Task> = psbt.tasks().expect("sound");
    let [task] = &tasks[..] else { panic!("one input") };
    let slot = NonceSlot { session: task.digest, attempt: 1 };
    let mut signers = MEMBERS.map(|number| {
        SoftwareSigner::new(secret(number), Entropy::new([number ^ task.digest[0] | 1; 32]).expect("not all zero"))
    });
    for signer in &mut signers {
        let nonces = signer.nonces(slot, &[(&task.keys, &task.digest[..])]).expect("the slot is new");
        psbt.add_nonce(task, signer.public_key(), &nonces[0]).expect("it is the first");
    }
    let round = psbt.round(task).expect("points").expect("all nonces");
    for signer in &mut signers {
        let partials = signer.sign(slot, &[(&task.keys, &round)]).expect("the nonces are fresh");
        psbt.add_partial(task, signer.public_key(), &partials[0]).expect("it is the first");
    }
    assert_eq!(psbt.complete(task), Ok(true));
    deserialize(&psbt.finalize().expect("all is there").bytes).expect("a transaction")
}

/// One member signs the leaf alone.
fn recovered(transaction: &ours::Transaction, spent: &[TxOutput], by: u8) -> Transaction {
    let spend = Spend::Script { executed_script_hash: merkle_root(), code_separator: Spend::NO_CODE_SEPARATOR };
    let cache = SighashCache::new(transaction, spent).expect("one output for one input");
    let digest = cache.sighash(0, SighashType::DEFAULT, spend).expect("a Taproot output");
    let signature = schnorr::sign(Suite::Bip340, &secret(by), &digest, Some([9; 32])).expect("32 bytes");
    let internal = group(&Tweak::None).challenge_key();
    let control = control_block(&internal, LEAF_VERSION, &leaf(), &[]).expect("an output key");
    let mut signed: Transaction = deserialize(&transaction.to_bytes()).expect("a transaction");
    signed.input[0].witness = Witness::from_slice(&[&signature.to_bytes()[..], &leaf(), &control]);
    signed
}

fn corrupted(mut transaction: Transaction) -> Transaction {
    let mut witness = transaction.input[0].witness.to_vec();
    witness[0][40] ^= 1;
    transaction.input[0].witness = Witness::from_slice(&witness);
    transaction
}

#[test]
fn what_a_group_pays_is_mined_and_nothing_else() {
    let mut chain = Chain::new();
    while chain.tip() < MATURITY + 1 {
        assert!(chain.mine(&[]), "block {}", chain.tip() + 1);
    }
    // All members, by the key path.
    let (transaction, spent) = chain.spend(1, 0xffff_fffd);
    let paid = signed_by_all(&transaction, &spent);
    assert_eq!(paid.input[0].witness.len(), 1);
    assert!(!chain.mine(&[corrupted(paid.clone())]), "a bit of the signature is wrong");
    let mut more = paid.clone();
    more.output[0].value = Amount::from_sat(1);
    assert!(!chain.mine(&[more]), "the signature is over other outputs");
    assert!(!chain.mine(&[paid.clone(), paid.clone()]), "it is spent once");
    assert!(chain.mine(std::slice::from_ref(&paid)));
    assert!(!chain.mine(&[paid]), "it has been spent");

    // One member alone, by the leaf, once the coin is old enough.
    let old_enough = Delay::Blocks(DELAY).to_sequence();
    let (transaction, spent) = chain.spend(2, old_enough);
    let alone = recovered(&transaction, &spent, RECOVERER);
    let (sooner, _) = chain.spend(2, old_enough - 1);
    // In the block at height h + 120 for a coin of height h.
    while chain.tip() + 1 < 2 + usize::from(DELAY) {
        assert!(!chain.mine(std::slice::from_ref(&alone)), "at {} it is too young", chain.tip() + 1);
        assert!(chain.mine(&[]));
    }
    assert!(!chain.mine(&[recovered(&sooner, &spent, RECOVERER)]), "its sequence waits less than the leaf demands");
    assert!(!chain.mine(&[recovered(&transaction, &spent, 3)]), "another member's key is not in the leaf");
    assert!(!chain.mine(&[corrupted(alone.clone())]));
    assert!(chain.mine(&[alone]));
    // The group itself needs no leaf and no delay.
    let (transaction, spent) = chain.spend(3, 0xffff_fffd);
    assert!(chain.mine(&[signed_by_all(&transaction, &spent)]));
    println!("{} blocks, judged by Bitcoin Core", chain.tip());
}
