//! The messages of Chronik for Lotus, as they are on the wire.
//!
//! Owns the numbers of the fields. They are those of the server that talks to `lotusd` over NNG, `chronik.proto` of
//! raipay/chronik, which `chronik-client` of npm speaks up to 0.28 in its class `ChronikClient`; servers for eCash have
//! another dialect at the same paths. Written by hand, so that no build needs a compiler for protocol buffers. Fields
//! about SLP tokens, which Lotus does not have, are left out and skipped where they come.
//!
//! Ids and hashes are in the byte order of serialisations, 32 bytes; in paths they are hexadecimal and reversed.
//! Amounts are satoshi, a million to one XPI. Times are seconds since 1970. What is read is as the server says it: the
//! client judges it.

use prost::{Enumeration, Message, Oneof};

/// The MIME type of every message over HTTP; a server refuses requests of another.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// The most transactions on a page of a history.
pub const MAX_PAGE_SIZE: u32 = 200;

/// The transactions on a page of a history when nothing is asked.
pub const DEFAULT_PAGE_SIZE: u32 = 25;

/// The most blocks in an answer to `/blocks/{first}/{last}`.
pub const MAX_BLOCKS: u32 = 500;

/// Why a server did not do what it was asked: the body of every answer but 200, and alone, without
/// [`SubscribeMsg`] around it, on a WebSocket.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Error {
    /// What went wrong, such as `tx-not-found`.
    #[prost(string, tag = "1")]
    pub error_code: String,
    /// The same for people.
    #[prost(string, tag = "2")]
    pub msg: String,
    /// Whether the request is to blame, and not the server.
    #[prost(bool, tag = "3")]
    pub is_user_error: bool,
}

/// `GET /blockchain-info`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BlockchainInfo {
    /// The hash of the last block; zeros without blocks.
    #[prost(bytes = "vec", tag = "1")]
    pub tip_hash: Vec<u8>,
    /// Its height; -1 without blocks.
    #[prost(int32, tag = "2")]
    pub tip_height: i32,
}

/// Which coin a server is about. A message that does not say it says [`Network::Bch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Network {
    /// Bitcoin Cash.
    Bch = 0,
    /// eCash.
    Xec = 1,
    /// Lotus.
    Xpi = 2,
    /// Ergon.
    Xrg = 3,
}

/// An output of a transaction, or in [`TxOutput::spent_by`] an input.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OutPoint {
    /// The transaction.
    #[prost(bytes = "vec", tag = "1")]
    pub txid: Vec<u8>,
    /// The position in it.
    #[prost(uint32, tag = "2")]
    pub out_idx: u32,
}

/// The block that a transaction is in.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BlockMetadata {
    /// Its height.
    #[prost(int32, tag = "1")]
    pub height: i32,
    /// Its hash.
    #[prost(bytes = "vec", tag = "2")]
    pub hash: Vec<u8>,
    /// Its time.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// An input.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TxInput {
    /// What it spends.
    #[prost(message, optional, tag = "1")]
    pub prev_out: Option<OutPoint>,
    /// The script that proves the right to.
    #[prost(bytes = "vec", tag = "2")]
    pub input_script: Vec<u8>,
    /// The script of what is spent; empty in a coinbase.
    #[prost(bytes = "vec", tag = "3")]
    pub output_script: Vec<u8>,
    /// The amount of what is spent; 0 in a coinbase.
    #[prost(int64, tag = "4")]
    pub value: i64,
    /// The relative lock.
    #[prost(uint32, tag = "5")]
    pub sequence_no: u32,
}

/// An output.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TxOutput {
    /// The amount.
    #[prost(int64, tag = "1")]
    pub value: i64,
    /// The script.
    #[prost(bytes = "vec", tag = "2")]
    pub output_script: Vec<u8>,
    /// The input that spends it, in the chain or waiting.
    #[prost(message, optional, tag = "4")]
    pub spent_by: Option<OutPoint>,
}

/// `GET /tx/{txid}`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Tx {
    /// The id.
    #[prost(bytes = "vec", tag = "1")]
    pub txid: Vec<u8>,
    /// The version.
    #[prost(int32, tag = "2")]
    pub version: i32,
    /// What it spends.
    #[prost(message, repeated, tag = "3")]
    pub inputs: Vec<TxInput>,
    /// What it creates.
    #[prost(message, repeated, tag = "4")]
    pub outputs: Vec<TxOutput>,
    /// The height or time before which it is not final.
    #[prost(uint32, tag = "5")]
    pub lock_time: u32,
    /// The block that it is in; nothing while it waits.
    #[prost(message, optional, tag = "8")]
    pub block: Option<BlockMetadata>,
    /// When the server saw it first; 0 when it came in a block.
    #[prost(int64, tag = "9")]
    pub time_first_seen: i64,
    /// The coin.
    #[prost(enumeration = "Network", tag = "10")]
    pub network: i32,
    /// The size of its serialisation, in bytes.
    #[prost(uint32, tag = "11")]
    pub size: u32,
    /// Whether it is the first of its block.
    #[prost(bool, tag = "12")]
    pub is_coinbase: bool,
}

/// An output that nothing spends.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Utxo {
    /// Where it is.
    #[prost(message, optional, tag = "1")]
    pub outpoint: Option<OutPoint>,
    /// The height of its block; -1 while it waits.
    #[prost(int32, tag = "2")]
    pub block_height: i32,
    /// Whether a coinbase made it, so that it can be spent a hundred blocks later only.
    #[prost(bool, tag = "3")]
    pub is_coinbase: bool,
    /// The amount.
    #[prost(int64, tag = "5")]
    pub value: i64,
    /// The coin.
    #[prost(enumeration = "Network", tag = "9")]
    pub network: i32,
}

/// The unspent outputs with one script.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ScriptUtxos {
    /// The whole script. Outputs of one Taproot commitment have several when they have states.
    #[prost(bytes = "vec", tag = "1")]
    pub output_script: Vec<u8>,
    /// The outputs.
    #[prost(message, repeated, tag = "2")]
    pub utxos: Vec<Utxo>,
}

/// `GET /script/{type}/{payload}/utxos`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Utxos {
    /// By script.
    #[prost(message, repeated, tag = "1")]
    pub script_utxos: Vec<ScriptUtxos>,
}

/// `GET /script/{type}/{payload}/history?page=&page_size=`: pages count from 0, the newest first.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TxHistoryPage {
    /// The transactions.
    #[prost(message, repeated, tag = "1")]
    pub txs: Vec<Tx>,
    /// How many pages there are.
    #[prost(uint32, tag = "2")]
    pub num_pages: u32,
}

/// A block in short.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BlockInfo {
    /// Its hash.
    #[prost(bytes = "vec", tag = "1")]
    pub hash: Vec<u8>,
    /// The hash of the block before; zeros before the first.
    #[prost(bytes = "vec", tag = "2")]
    pub prev_hash: Vec<u8>,
    /// Its height.
    #[prost(int32, tag = "3")]
    pub height: i32,
    /// The target, in the short form of headers.
    #[prost(uint32, tag = "4")]
    pub n_bits: u32,
    /// Its time.
    #[prost(int64, tag = "5")]
    pub timestamp: i64,
    /// Its size in bytes, with the header.
    #[prost(uint64, tag = "6")]
    pub block_size: u64,
    /// How many transactions it has.
    #[prost(uint64, tag = "7")]
    pub num_txs: u64,
    /// How many inputs they have, with the coinbase's.
    #[prost(uint64, tag = "8")]
    pub num_inputs: u64,
    /// How many outputs they have, with the coinbase's.
    #[prost(uint64, tag = "9")]
    pub num_outputs: u64,
    /// What the inputs spend.
    #[prost(int64, tag = "10")]
    pub sum_input_sats: i64,
    /// What the coinbase creates.
    #[prost(int64, tag = "11")]
    pub sum_coinbase_output_sats: i64,
    /// What the other transactions create.
    #[prost(int64, tag = "12")]
    pub sum_normal_output_sats: i64,
    /// What outputs with `OP_RETURN` burn.
    #[prost(int64, tag = "13")]
    pub sum_burned_sats: i64,
}

/// What else the header of a block holds.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BlockDetails {
    /// The version.
    #[prost(int32, tag = "1")]
    pub version: i32,
    /// The root over the transactions.
    #[prost(bytes = "vec", tag = "2")]
    pub merkle_root: Vec<u8>,
    /// The nonce.
    #[prost(uint64, tag = "3")]
    pub nonce: u64,
    /// The median of the times of the last eleven blocks.
    #[prost(int64, tag = "4")]
    pub median_timestamp: i64,
}

/// `GET /block/{hash or height}`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Block {
    /// The block in short.
    #[prost(message, optional, tag = "1")]
    pub block_info: Option<BlockInfo>,
    /// Its transactions.
    #[prost(message, repeated, tag = "2")]
    pub txs: Vec<Tx>,
    /// What else the header holds.
    #[prost(message, optional, tag = "3")]
    pub block_details: Option<BlockDetails>,
    /// The header as it is serialised.
    #[prost(bytes = "vec", tag = "4")]
    pub raw_header: Vec<u8>,
}

/// `GET /blocks/{first height}/{last height}`, both included.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Blocks {
    /// The blocks, in order.
    #[prost(message, repeated, tag = "1")]
    pub blocks: Vec<BlockInfo>,
}

/// `POST /broadcast-tx`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BroadcastTxRequest {
    /// The transaction as it is serialised.
    #[prost(bytes = "vec", tag = "1")]
    pub raw_tx: Vec<u8>,
    /// Whether to send a transaction that burns SLP tokens. Lotus has none.
    #[prost(bool, tag = "2")]
    pub skip_slp_check: bool,
}

/// What comes of [`BroadcastTxRequest`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BroadcastTxResponse {
    /// The id.
    #[prost(bytes = "vec", tag = "1")]
    pub txid: Vec<u8>,
}

/// `POST /broadcast-txs`: all or none, each judged before any is sent, so that none may spend another.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BroadcastTxsRequest {
    /// The transactions as they are serialised.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub raw_txs: Vec<Vec<u8>>,
    /// As for one transaction.
    #[prost(bool, tag = "2")]
    pub skip_slp_check: bool,
}

/// What comes of [`BroadcastTxsRequest`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BroadcastTxsResponse {
    /// The ids, in the order of the request.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub txids: Vec<Vec<u8>>,
}

/// `POST /validate-utxos`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ValidateUtxoRequest {
    /// The outputs that are asked about.
    #[prost(message, repeated, tag = "1")]
    pub outpoints: Vec<OutPoint>,
}

/// What comes of [`ValidateUtxoRequest`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ValidateUtxoResponse {
    /// The states, in the order of the request.
    #[prost(message, repeated, tag = "1")]
    pub utxo_states: Vec<UtxoState>,
}

/// What has become of an output.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct UtxoState {
    /// The height of the block that it is in; -1 while it waits or when there is no such output.
    #[prost(int32, tag = "1")]
    pub height: i32,
    /// Whether it is in a block.
    #[prost(bool, tag = "2")]
    pub is_confirmed: bool,
    /// The state.
    #[prost(enumeration = "UtxoStateVariant", tag = "3")]
    pub state: i32,
}

/// The states of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum UtxoStateVariant {
    /// It can be spent.
    Unspent = 0,
    /// It is spent, in the chain or by a transaction that waits.
    Spent = 1,
    /// The server does not know the transaction.
    NoSuchTx = 2,
    /// The transaction has fewer outputs.
    NoSuchOutput = 3,
}

/// What a client sends over the WebSocket `/ws`, in a binary message.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Subscription {
    /// A name of [`ScriptPayload::kind`](crate::ScriptPayload::kind).
    #[prost(string, tag = "1")]
    pub script_type: String,
    /// The payload.
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
    /// Whether to begin, not to end.
    #[prost(bool, tag = "3")]
    pub is_subscribe: bool,
}

/// What a server sends over the WebSocket `/ws`, in a binary message. Errors really come as a bare [`Error`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SubscribeMsg {
    /// What happened.
    #[prost(oneof = "MsgType", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub msg_type: Option<MsgType>,
}

/// What happened, without a height and in no order that one could rely on.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub enum MsgType {
    /// The message that the client sent was no good.
    #[prost(message, tag = "1")]
    Error(Error),
    /// A transaction waits.
    #[prost(message, tag = "2")]
    AddedToMempool(MsgTx),
    /// A transaction waits no more, and is in no block.
    #[prost(message, tag = "3")]
    RemovedFromMempool(MsgTx),
    /// A transaction is in a block.
    #[prost(message, tag = "4")]
    Confirmed(MsgTx),
    /// The block of a transaction is not in the chain any more.
    #[prost(message, tag = "5")]
    Reorg(MsgTx),
    /// There is a new block.
    #[prost(message, tag = "6")]
    BlockConnected(MsgBlock),
    /// A block is not in the chain any more.
    #[prost(message, tag = "7")]
    BlockDisconnected(MsgBlock),
}

/// Something happened to this transaction.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MsgTx {
    /// The transaction.
    #[prost(bytes = "vec", tag = "1")]
    pub txid: Vec<u8>,
}

/// Something happened to this block.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MsgBlock {
    /// The block.
    #[prost(bytes = "vec", tag = "1")]
    pub block_hash: Vec<u8>,
}
