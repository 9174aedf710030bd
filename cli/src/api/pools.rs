//! What each path asks of the node about pools that swap coins.
//!
//! Owns the paths and what they take, as `handlers` does for everything else. `routes` puts them together.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::handlers::about;
use super::routes::{Body, Failed, Query};
use crate::control::{Done, NewPool, Pool, Pools, Request};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only of this denomination, in satoshi.
    denomination: Option<u64>,
    /// Only with room for so many.
    min_participants: Option<u8>,
}

/// Pools that one can register for, which are looked for in the network
#[utoipa::path(get, path = "/v1/pools", tag = "pools", security(("token" = ["read"])), params(Wanted), responses(
    (status = 200, body = Pools), (status = "4XX", body = Failed),
))]
pub(super) async fn discover(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Response {
    let Wanted { denomination, min_participants } = wanted;
    api.ask(Request::DiscoverPools { denomination, min_participants }).await
}

/// Where the node's own pools stand
#[utoipa::path(get, path = "/v1/pools/own", tag = "pools", security(("token" = ["read"])), responses(
    (status = 200, body = Pools), (status = "4XX", body = Failed),
))]
pub(super) async fn own(State(api): State<Api>) -> Response {
    api.ask(Request::Pools {}).await
}

/// Creates a pool, and takes part in it
#[utoipa::path(post, path = "/v1/pools", tag = "pools", security(("token" = ["approve"])),
    request_body = NewPool, responses((status = 200, body = Pool), (status = "4XX", body = Failed)))]
pub(super) async fn create(State(api): State<Api>, Body(new): Body<NewPool>) -> Response {
    api.ask(Request::CreatePool(Box::new(new))).await
}

/// What somebody takes part with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// The coin, as `TXID:INDEX`.
    coin: String,
    /// The address that the pool pays.
    to: String,
}

/// Takes part in a pool that was found
#[utoipa::path(post, path = "/v1/pools/{pool}/join", tag = "pools", security(("token" = ["approve"])), params(
    ("pool" = String, Path, description = "The pool's id, in hexadecimal"),
), request_body = Part, responses((status = 200, body = Pool), (status = "4XX", body = Failed)))]
pub(super) async fn join(State(api): State<Api>, Path(pool): Path<String>, Body(part): Body<Part>) -> Response {
    about(&api, &pool, |pool| Request::JoinPool { pool, coin: part.coin, to: part.to }).await
}

/// Leaves a pool
#[utoipa::path(post, path = "/v1/pools/{pool}/leave", tag = "pools", security(("token" = ["operate"])), params(
    ("pool" = String, Path, description = "The pool's id, in hexadecimal"),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn leave(State(api): State<Api>, Path(pool): Path<String>) -> Response {
    about(&api, &pool, |pool| Request::LeavePool { pool }).await
}

/// Takes a deposit back whose delay is over
///
/// It comes back by itself too, unless the settlement can still have it. Before that, the answer says after how many
/// blocks it can be done.
#[utoipa::path(post, path = "/v1/pools/{pool}/reclaim", tag = "pools", security(("token" = ["operate"])), params(
    ("pool" = String, Path, description = "The pool's id, in hexadecimal"),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn reclaim(State(api): State<Api>, Path(pool): Path<String>) -> Response {
    about(&api, &pool, |pool| Request::ReclaimDeposit { pool }).await
}
