//! The endpoints of Chronik.
//!
//! Owns the paths, and what is read of a request. Invariant: a request is answered from one state of the ledger.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use nelumbo_crypto::lotus::{OutPoint, Txid};
use prost::Message;

use super::super::{Operation, Outcome};
use super::failure::{Failure, script};
use super::{Shared, control, encode, socket};
use crate::BlockHash;
use crate::ledger::LedgerError;
use crate::proto::{
    self, BroadcastTxRequest, BroadcastTxResponse, BroadcastTxsRequest, BroadcastTxsResponse, CONTENT_TYPE,
    DEFAULT_PAGE_SIZE, MAX_BLOCKS, MAX_PAGE_SIZE, TxHistoryPage, ValidateUtxoRequest, ValidateUtxoResponse,
};

/// A transaction of the largest size, and what is around it.
const MAX_BODY: usize = 1_100_000;

/// How many outputs are asked about at once.
const MAX_OUTPOINTS: usize = 10_000;

type Host = State<Arc<Shared>>;
type Answer<T> = Result<Protobuf<T>, Failure>;

/// A message as an answer.
pub(super) struct Protobuf<T>(T);

impl<T: Message> IntoResponse for Protobuf<T> {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], self.0.encode_to_vec()).into_response()
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/blockchain-info", get(blockchain_info))
        .route("/block/{hash_or_height}", get(block))
        .route("/blocks/{first}/{last}", get(blocks))
        .route("/tx/{txid}", get(tx))
        .route("/raw-tx/{txid}", get(raw_tx))
        .route("/script/{kind}/{payload}/history", get(history))
        .route("/script/{kind}/{payload}/utxos", get(utxos))
        .route("/broadcast-tx", post(broadcast_tx))
        .route("/broadcast-txs", post(broadcast_txs))
        .route("/validate-utxos", post(validate_utxos))
        .route("/ws", get(socket::upgrade))
        .merge(control::router())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

async fn blockchain_info(State(shared): Host) -> Protobuf<proto::BlockchainInfo> {
    Protobuf(encode::blockchain_info(&shared.lock().ledger))
}

async fn block(State(shared): Host, Path(text): Path<String>) -> Answer<proto::Block> {
    let ledger = &shared.lock().ledger;
    let height = match text.parse::<i32>() {
        Ok(height) => u32::try_from(height).ok(),
        Err(_) => {
            let hash = displayed_hash(&text).ok_or_else(|| Failure::invalid_hash_or_height(&text))?;
            ledger.height_of(&BlockHash::from_bytes(hash))
        }
    };
    let block = height.and_then(|height| ledger.block(height)).ok_or_else(|| Failure::block_not_found(&text))?;
    Ok(Protobuf(encode::block(ledger, block)))
}

async fn blocks(State(shared): Host, Path((first, last)): Path<(String, String)>) -> Answer<proto::Blocks> {
    let first: u32 = first.parse().map_err(|_| Failure::invalid_field("start_height", &first))?;
    let last: u32 =
        last.parse().ok().filter(|last| *last >= first).ok_or_else(|| Failure::invalid_field("end_height", &last))?;
    if last - first >= MAX_BLOCKS {
        return Err(Failure::page_size_too_large());
    }
    let ledger = &shared.lock().ledger;
    let blocks = (first..=last).map_while(|height| ledger.block(height));
    Ok(Protobuf(proto::Blocks { blocks: blocks.map(|block| encode::block_info(ledger, block)).collect() }))
}

async fn tx(State(shared): Host, Path(txid): Path<String>) -> Answer<proto::Tx> {
    let txid = displayed_txid(&txid)?;
    encode::tx(&shared.lock().ledger, &txid).map(Protobuf).ok_or_else(|| Failure::tx_not_found(&txid))
}

/// Bytes, not a message.
async fn raw_tx(State(shared): Host, Path(txid): Path<String>) -> Result<Vec<u8>, Failure> {
    let txid = displayed_txid(&txid)?;
    let state = shared.lock();
    let located = state.ledger.transaction(&txid).ok_or_else(|| Failure::tx_not_found(&txid))?;
    Ok(located.transaction.to_bytes())
}

async fn history(
    State(shared): Host,
    Path((kind, payload)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer<TxHistoryPage> {
    let payload = hex::decode(&payload).map_err(|_| Failure::invalid_field("script payload", &payload))?;
    let script = script(&kind, &payload)?;
    let size = parameter(query.as_deref(), "page_size", DEFAULT_PAGE_SIZE)?;
    if size > MAX_PAGE_SIZE {
        return Err(Failure::page_size_too_large());
    }
    if size == 0 {
        // Chronik divides by it.
        return Err(Failure::invalid_field("page_size", "0"));
    }
    let page = parameter(query.as_deref(), "page", 0)?;
    let (size, page) = (size as usize, page as usize);
    let ledger = &shared.lock().ledger;
    let history = ledger.history(&script);
    let num_pages = u32::try_from(history.len().div_ceil(size)).unwrap_or(u32::MAX);
    let txids = history.skip(page.saturating_mul(size)).take(size);
    Ok(Protobuf(TxHistoryPage { txs: txids.filter_map(|txid| encode::tx(ledger, &txid)).collect(), num_pages }))
}

async fn utxos(State(shared): Host, Path((kind, payload)): Path<(String, String)>) -> Answer<proto::Utxos> {
    let payload = hex::decode(&payload).map_err(|_| Failure::invalid_field("payload", &payload))?;
    let script = script(&kind, &payload)?;
    Ok(Protobuf(encode::utxos(&shared.lock().ledger, &script)))
}

async fn broadcast_tx(State(shared): Host, headers: HeaderMap, body: Bytes) -> Answer<BroadcastTxResponse> {
    let BroadcastTxRequest { raw_tx, .. } = request(&headers, &body)?;
    Ok(Protobuf(BroadcastTxResponse { txid: submit(&shared, raw_tx)? }))
}

/// Each is judged alone before any is sent, so one that spends another's output is refused.
async fn broadcast_txs(State(shared): Host, headers: HeaderMap, body: Bytes) -> Answer<BroadcastTxsResponse> {
    let BroadcastTxsRequest { raw_txs, .. } = request(&headers, &body)?;
    let time = (shared.clock)();
    for raw in &raw_txs {
        shared.lock().ledger.test(raw, time).map_err(|reject| Failure::rejected_in_test(&reject))?;
    }
    let txids = raw_txs.into_iter().map(|raw| submit(&shared, raw)).collect::<Result<_, _>>()?;
    Ok(Protobuf(BroadcastTxsResponse { txids }))
}

fn submit(shared: &Shared, transaction: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let known = encode::id_of(&transaction).filter(|txid| {
        let located = shared.lock();
        located.ledger.transaction(txid).is_some_and(|located| located.height.is_none())
    });
    if let Some(txid) = known {
        // It waits already; nothing changes, so nothing is kept.
        return Ok(txid.as_bytes().to_vec());
    }
    match shared.apply(Operation::Submit { time: (shared.clock)(), transaction }) {
        Ok(Outcome::Transaction(txid)) => Ok(txid.as_bytes().to_vec()),
        Err(LedgerError::Reject(reject)) => Err(Failure::rejected(&reject)),
        Ok(Outcome::Blocks(_)) | Err(_) => Err(Failure::internal()),
    }
}

async fn validate_utxos(State(shared): Host, headers: HeaderMap, body: Bytes) -> Answer<ValidateUtxoResponse> {
    let ValidateUtxoRequest { outpoints } = request(&headers, &body)?;
    if outpoints.len() > MAX_OUTPOINTS {
        return Err(Failure::too_many("outpoints", MAX_OUTPOINTS));
    }
    let ledger = &shared.lock().ledger;
    let state = |outpoint: &proto::OutPoint| {
        let txid: [u8; 32] = outpoint.txid.as_slice().try_into().map_err(|_| Failure::internal())?;
        let outpoint = OutPoint { txid: Txid::from_bytes(txid), index: outpoint.out_idx };
        Ok(encode::utxo_state(ledger, &outpoint))
    };
    Ok(Protobuf(ValidateUtxoResponse { utxo_states: outpoints.iter().map(state).collect::<Result<_, Failure>>()? }))
}

/// Reads the message in a request of the right type.
fn request<T: Message + Default>(headers: &HeaderMap, body: &[u8]) -> Result<T, Failure> {
    let found = headers.get(header::CONTENT_TYPE).ok_or_else(Failure::no_content_type)?;
    if found != CONTENT_TYPE {
        return Err(Failure::wrong_content_type(&String::from_utf8_lossy(found.as_bytes())));
    }
    T::decode(body).map_err(Failure::bad_protobuf)
}

/// A number of the query. Names and numbers need no decoding.
fn parameter(query: Option<&str>, name: &str, default: u32) -> Result<u32, Failure> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.rfind(|(found, _)| *found == name);
    found.map_or(Ok(default), |(_, value)| value.parse().map_err(|_| Failure::invalid_field(name, value)))
}

fn displayed_txid(text: &str) -> Result<Txid, Failure> {
    displayed_hash(text).map(Txid::from_bytes).ok_or_else(|| Failure::invalid_field("txid", text))
}

fn displayed_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok()?;
    hash.reverse();
    Some(hash)
}
