//! What a ledger of one's own can do and a Chronik server cannot: mine, give money, take blocks back.
//!
//! Owns the form: JSON in, JSON out, and `{"error": …}` when it is not done. Invariant: nothing is done for a request
//! that does not say it is JSON, so that no web page can make a browser send it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use nelumbo_crypto::Network;
use nelumbo_crypto::lotus::Address;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::{Ledger, Operation, Orphans, Outcome};
use super::Shared;

const JSON: &str = "application/json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mine {
    #[serde(default = "one")]
    count: u32,
    address: Option<String>,
    time: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fund {
    address: String,
    /// In satoshi.
    amount: u64,
    time: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reorganize {
    #[serde(default = "one")]
    depth: u32,
    #[serde(default)]
    orphans: Orphans,
    address: Option<String>,
    time: Option<i64>,
}

const fn one() -> u32 {
    1
}

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/ledger", get(status))
        .route("/mine", post(mine))
        .route("/fund", post(fund))
        .route("/reorganize", post(reorganize))
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let ledger = &shared.lock().ledger;
    answer(
        StatusCode::OK,
        &json!({
            "height": ledger.height(),
            "tip": ledger.tip().hash.to_string(),
            "median_time": ledger.median_time(ledger.height()),
            "second_samuel": ledger.rules().second_samuel,
            "taproot_active": ledger.taproot_active(),
            "replay_protection": ledger.rules().replay_protection,
            "replay_protected": ledger.replay_protected(),
            "waiting": ledger.waiting().map(|txid| txid.to_string()).collect::<Vec<_>>(),
            "money": ledger.money(),
        }),
    )
}

async fn mine(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    respond(shared, &headers, &body, |Mine { count, address, time }, now| {
        Ok(Operation::Mine { time: time.unwrap_or(now), count, script: miner(address.as_deref())? })
    })
    .await
}

async fn fund(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    respond(shared, &headers, &body, |Fund { address, amount, time }, now| {
        Ok(Operation::Fund { time: time.unwrap_or(now), script: script(&address)?, value: amount })
    })
    .await
}

async fn reorganize(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    respond(shared, &headers, &body, |Reorganize { depth, orphans, address, time }, now| {
        Ok(Operation::Reorganise { time: time.unwrap_or(now), depth, orphans, script: miner(address.as_deref())? })
    })
    .await
}

async fn respond<T: DeserializeOwned>(
    shared: Arc<Shared>,
    headers: &HeaderMap,
    body: &[u8],
    operation: impl FnOnce(T, i64) -> Result<Operation, String>,
) -> Response {
    match done(shared, headers, body, operation).await {
        Ok(value) => answer(StatusCode::OK, &value),
        Err(error) => answer(StatusCode::BAD_REQUEST, &json!({ "error": error })),
    }
}

async fn done<T: DeserializeOwned>(
    shared: Arc<Shared>,
    headers: &HeaderMap,
    body: &[u8],
    operation: impl FnOnce(T, i64) -> Result<Operation, String>,
) -> Result<Value, String> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|found| found != JSON) {
        return Err(format!("the request is not JSON; send it with Content-Type: {JSON}"));
    }
    let request = serde_json::from_slice(body).map_err(|error| format!("the request cannot be read: {error}"))?;
    let operation = operation(request, (shared.clock)())?;
    // Mining takes a while.
    let apply = move || {
        let outcome = shared.apply(operation);
        (outcome, shared.lock().ledger.height())
    };
    let (outcome, height) = tokio::task::spawn_blocking(apply).await.map_err(|_| "the ledger failed".to_owned())?;
    Ok(match outcome.map_err(|error| error.to_string())? {
        Outcome::Transaction(txid) => json!({ "txid": txid.to_string(), "height": height }),
        Outcome::Blocks(blocks) => {
            json!({ "blocks": blocks.iter().map(ToString::to_string).collect::<Vec<_>>(), "height": height })
        }
    })
}

fn miner(address: Option<&str>) -> Result<Vec<u8>, String> {
    address.map_or_else(|| Ok(Ledger::faucet_script()), script)
}

fn script(address: &str) -> Result<Vec<u8>, String> {
    let address: Address = address.parse().map_err(|error| format!("{error}; give an address"))?;
    if address.network != Network::Regtest {
        return Err(format!("an address of {} is no good here; give one of regtest", address.network));
    }
    Ok(address.script_pubkey())
}

fn answer(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], value.to_string()).into_response()
}
