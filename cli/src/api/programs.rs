//! What each path asks of the node for the protocols of other programs: their resources and messages.
//!
//! Owns the paths and what they take, as `handlers` does for everything else. `routes` puts them together.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::Response;
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::wire::Label;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::handlers::{about, most, read};
use super::routes::{Body, Failed, Query, failed};
use crate::control::{Done, Recipient, Request, Resources};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WantedResources {
    /// Only those of this signer.
    #[param(value_type = Option<String>)]
    author: Option<PublicKey>,
    /// Only those of this name.
    #[param(value_type = Option<String>)]
    name: Option<Label>,
    /// Whether nobody is asked.
    #[serde(default)]
    local: bool,
    /// How long the network is asked, at most.
    seconds: Option<u64>,
    /// At most this many.
    #[serde(default = "most")]
    max: usize,
}

/// Resources of a kind, which are looked for in the network too
#[utoipa::path(get, path = "/v1/resources/{kind}", tag = "programs", security(("token" = ["read"])), params(
    ("kind" = String, Path, description = "1 to 64 of a-z, 0-9, '-', '_' and '.'"), WantedResources,
), responses((status = 200, body = Resources), (status = "4XX", body = Failed)))]
pub(super) async fn resources(
    State(api): State<Api>,
    Path(kind): Path<String>,
    Query(wanted): Query<WantedResources>,
) -> Response {
    let WantedResources { author, name, local, seconds, max } = wanted;
    about(&api, &kind, |kind| Request::Resources { kind, author, name, local, seconds, max }).await
}

/// What is announced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Announced {
    /// In hexadecimal, of at most 8,192 bytes.
    data: String,
    /// How long it is valid: at most seven days.
    lifetime_seconds: u64,
}

/// Announces a resource, in place of the one of the same kind and name
#[utoipa::path(put, path = "/v1/resources/{kind}/{name}", tag = "programs", security(("token" = ["operate"])), params(
    ("kind" = String, Path), ("name" = String, Path),
), request_body = Announced, responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn announce_resource(
    State(api): State<Api>,
    Path((kind, name)): Path<(String, String)>,
    Body(Announced { data, lifetime_seconds }): Body<Announced>,
) -> Response {
    match read(&kind) {
        Ok(kind) => about(&api, &name, |name| Request::AnnounceResource { kind, name, data, lifetime_seconds }).await,
        Err(problem) => failed(problem),
    }
}

/// Takes a resource of this node's back
#[utoipa::path(delete, path = "/v1/resources/{kind}/{name}", tag = "programs", security(("token" = ["operate"])),
    params(("kind" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn withdraw_resource(State(api): State<Api>, Path((kind, name)): Path<(String, String)>) -> Response {
    match read(&kind) {
        Ok(kind) => about(&api, &name, |name| Request::WithdrawResource { kind, name }).await,
        Err(problem) => failed(problem),
    }
}

/// What of a protocol is listened to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listened {
    /// Its topics, beside messages to this node.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    topics: BTreeSet<Label>,
}

/// Tells messages of a protocol of other programs as events `message-received`
#[utoipa::path(put, path = "/v1/protocols/{protocol}", tag = "programs", security(("token" = ["operate"])), params(
    ("protocol" = String, Path, description = "1 to 64 of a-z, 0-9, '-', '_' and '.'"),
), request_body = Listened, responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn listen(
    State(api): State<Api>,
    Path(protocol): Path<String>,
    Body(Listened { topics }): Body<Listened>,
) -> Response {
    about(&api, &protocol, |protocol| Request::Listen { protocol, topics }).await
}

/// Listens to it no more
#[utoipa::path(delete, path = "/v1/protocols/{protocol}", tag = "programs", security(("token" = ["operate"])), params(
    ("protocol" = String, Path),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn unlisten(State(api): State<Api>, Path(protocol): Path<String>) -> Response {
    about(&api, &protocol, |protocol| Request::Unlisten { protocol }).await
}

/// A message of another program.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    /// `{"key": …}` for a signer, `{"peer": …}` for a connected peer, `{"topic": …}` for all who listen to it.
    #[schema(value_type = Object)]
    to: Recipient,
    /// In hexadecimal.
    payload: String,
}

/// Sends a message by a protocol of other programs, or publishes it
#[utoipa::path(post, path = "/v1/protocols/{protocol}/messages", tag = "programs", security(("token" = ["operate"])),
    params(("protocol" = String, Path)), request_body = Sent,
    responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn send(
    State(api): State<Api>,
    Path(protocol): Path<String>,
    Body(Sent { to, payload }): Body<Sent>,
) -> Response {
    about(&api, &protocol, |protocol| Request::Send { protocol, to, payload }).await
}
