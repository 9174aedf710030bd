//! What each path asks of the node.
//!
//! Owns the paths and what they take. Invariant: each is one of the requests that the socket has, with the same answer;
//! nothing is decided here. `routes` puts them together.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use nelumbo_core::api::Phase;
use nelumbo_core::approval::Unusual;
use nelumbo_core::wire::{Offer, TransactionType};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::routes::{Body, Failed, Query, failed};
use super::{Api, schemas};
use crate::control::{
    Approved, Carried, Connected, Created, Done, Ended, Names, NewSession, Peers, Problem, Request, Session, Sessions,
    Signers, Stats,
};
use crate::holdings::Sums;
use crate::summary::rows;

pub(super) fn read<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| {
        let text: String = text.chars().take(80).collect();
        Problem::invalid(format_args!("{text:?}: {error}"), "/openapi.json describes what is expected")
    })
}

/// Asks about what is named in the path.
pub(super) async fn about<T>(api: &Api, named: &str, request: impl FnOnce(T) -> Request) -> Response
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    match read(named) {
        Ok(named) => api.ask(request(named)).await,
        Err(problem) => failed(problem),
    }
}

/// How the node is doing
#[utoipa::path(get, path = "/v1/stats", tag = "node", security(("token" = ["read"])), responses(
    (status = 200, body = Stats), (status = "4XX", body = Failed),
))]
pub(super) async fn stats(State(api): State<Api>) -> Response {
    api.ask(Request::Stats {}).await
}

/// Who is connected
#[utoipa::path(get, path = "/v1/peers", tag = "peers", security(("token" = ["read"])), responses(
    (status = 200, body = Peers), (status = "4XX", body = Failed),
))]
pub(super) async fn peers(State(api): State<Api>) -> Response {
    api.ask(Request::Peers {}).await
}

/// Where a peer is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Whereabouts {
    /// A multiaddress, which ends with the peer id.
    address: String,
}

/// Connects to a peer
#[utoipa::path(post, path = "/v1/peers", tag = "peers", security(("token" = ["operate"])),
    request_body = Whereabouts, responses((status = 200, body = Connected), (status = "4XX", body = Failed)))]
pub(super) async fn connect(State(api): State<Api>, Body(Whereabouts { address }): Body<Whereabouts>) -> Response {
    api.ask(Request::Connect { address }).await
}

/// Closes all connections to a peer
#[utoipa::path(delete, path = "/v1/peers/{peer}", tag = "peers", security(("token" = ["operate"])), params(
    ("peer" = String, Path, description = "Peer id, in base 58"),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn disconnect(State(api): State<Api>, Path(peer): Path<String>) -> Response {
    api.ask(Request::Disconnect { peer }).await
}

/// Closes all connections to a peer, and allows none
#[utoipa::path(put, path = "/v1/peers/{peer}/ban", tag = "peers", security(("token" = ["operate"])), params(
    ("peer" = String, Path, description = "Peer id, in base 58"),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn ban(State(api): State<Api>, Path(peer): Path<String>) -> Response {
    api.ask(Request::Ban { peer }).await
}

/// Forgets what is held against a peer
#[utoipa::path(delete, path = "/v1/peers/{peer}/ban", tag = "peers", security(("token" = ["operate"])), params(
    ("peer" = String, Path, description = "Peer id, in base 58"),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn unban(State(api): State<Api>, Path(peer): Path<String>) -> Response {
    api.ask(Request::Unban { peer }).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InPhase {
    /// Only sessions in this phase.
    #[param(value_type = Option<schemas::Phase>)]
    phase: Option<Phase>,
}

/// The sessions that the node knows
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", security(("token" = ["read"])), params(InPhase), responses(
    (status = 200, body = Sessions), (status = "4XX", body = Failed),
))]
pub(super) async fn sessions(State(api): State<Api>, Query(InPhase { phase }): Query<InPhase>) -> Response {
    api.ask(Request::Sessions { phases: phase.into_iter().collect() }).await
}

/// Creates a session, and asks its signers
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", security(("token" = ["approve"])),
    request_body = NewSession, responses((status = 200, body = Created), (status = "4XX", body = Failed)))]
pub(super) async fn create(State(api): State<Api>, Body(session): Body<NewSession>) -> Response {
    api.ask(Request::Create(Box::new(session))).await
}

/// Everything about one session, which is looked for in the network if the node does not know it
#[utoipa::path(get, path = "/v1/sessions/{session}", tag = "sessions", security(("token" = ["read"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), responses((status = 200, body = Session), (status = "4XX", body = Failed)))]
pub(super) async fn session(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Session { session }).await
}

/// What signing a session does, as it is shown to people.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Shown {
    /// What has to be allowed by name.
    #[schema(value_type = Vec<schemas::Unusual>)]
    unusual: BTreeSet<Unusual>,
    /// Names and texts, as `nelumbo sessions show` prints them.
    rows: Vec<(&'static str, String)>,
}

/// What signing a session does, line by line
#[utoipa::path(get, path = "/v1/sessions/{session}/summary", tag = "sessions", security(("token" = ["read"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), responses((status = 200, body = Shown), (status = "4XX", body = Failed)))]
pub(super) async fn summary(State(api): State<Api>, Path(session): Path<String>) -> Response {
    let session = match read(&session) {
        Ok(session) => session,
        Err(problem) => return failed(problem),
    };
    match api.answers.session(session).await.map(|view| view.summary()) {
        Ok(Ok(summary)) => Json(Shown { rows: rows(&summary), unusual: summary.unusual }).into_response(),
        Ok(Err(error)) => failed(Problem::refused(error, "nothing of it can be approved: abort it")),
        Err(problem) => failed(problem),
    }
}

/// What of a session may be unusual.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Allowed {
    /// Each by its name, as the refusal without it says.
    #[serde(default)]
    #[schema(value_type = Vec<schemas::Unusual>)]
    allow: BTreeSet<Unusual>,
}

/// Approves a session
#[utoipa::path(post, path = "/v1/sessions/{session}/join", tag = "sessions", security(("token" = ["approve"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), request_body = Allowed, responses((status = 200, body = Approved), (status = "4XX", body = Failed)))]
pub(super) async fn join(
    State(api): State<Api>,
    Path(session): Path<String>,
    Body(Allowed { allow }): Body<Allowed>,
) -> Response {
    about(&api, &session, |session| Request::Join { session, allow }).await
}

/// Declines a session, or leaves it
#[utoipa::path(post, path = "/v1/sessions/{session}/abort", tag = "sessions", security(("token" = ["operate"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), responses((status = 200, body = Ended), (status = "4XX", body = Failed)))]
pub(super) async fn abort(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Abort { session }).await
}

/// A PSBT that this node is to sign.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    /// In base64.
    psbt: String,
    /// What of it may be unusual, each by its name.
    #[serde(default)]
    #[schema(value_type = Vec<schemas::Unusual>)]
    allow: BTreeSet<Unusual>,
    /// Whether all signers begin again.
    #[serde(default)]
    anew: bool,
}

/// Approves what a PSBT has this node sign, in a session that is carried by files, and gives nonces for it
#[utoipa::path(post, path = "/v1/psbt/approve", tag = "sessions", security(("token" = ["approve"])),
    request_body = Approval, responses((status = 200, body = Carried), (status = "4XX", body = Failed)))]
pub(super) async fn approve_psbt(State(api): State<Api>, Body(approval): Body<Approval>) -> Response {
    let Approval { psbt, allow, anew } = approval;
    api.ask(Request::PsbtApprove { psbt, allow, anew }).await
}

/// A PSBT with what others have added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Returned {
    /// In base64.
    psbt: String,
}

/// Goes on with a session that is carried by files
#[utoipa::path(post, path = "/v1/psbt/import", tag = "sessions", security(("token" = ["approve"])),
    request_body = Returned, responses((status = 200, body = Carried), (status = "4XX", body = Failed)))]
pub(super) async fn import_psbt(State(api): State<Api>, Body(Returned { psbt }): Body<Returned>) -> Response {
    api.ask(Request::PsbtImport { psbt }).await
}

/// Makes a new attempt
#[utoipa::path(post, path = "/v1/sessions/{session}/retry", tag = "sessions", security(("token" = ["operate"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn retry(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Retry { session }).await
}

/// Says that the signature has been broadcast
#[utoipa::path(post, path = "/v1/sessions/{session}/confirm", tag = "sessions", security(("token" = ["operate"])),
    params(("session" = String, Path, description = "Session id, in hexadecimal")),
    responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn confirm(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Confirm { session }).await
}

/// Forgets a session
#[utoipa::path(delete, path = "/v1/sessions/{session}", tag = "sessions", security(("token" = ["operate"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), responses((status = 200, body = Ended), (status = "4XX", body = Failed)))]
pub(super) async fn close(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Close { session }).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Waiting {
    /// Only those of so many signers.
    signers: Option<usize>,
    /// Only those that have so much time left, in seconds.
    left_seconds: Option<u64>,
}

/// Sessions that wait for this node's approval, which are looked for in the network too
#[utoipa::path(get, path = "/v1/requests", tag = "sessions", security(("token" = ["read"])), params(Waiting), responses(
    (status = 200, body = Sessions), (status = "4XX", body = Failed),
))]
pub(super) async fn requests(State(api): State<Api>, Query(waiting): Query<Waiting>) -> Response {
    let Waiting { signers, left_seconds } = waiting;
    api.ask(Request::Requests { signers, left_seconds }).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// What they are to sign.
    #[param(value_type = Option<schemas::TransactionType>)]
    kind: Option<TransactionType>,
    /// For how much, in satoshi.
    amount: Option<u64>,
    /// At least this reputation, 0 to 100.
    #[serde(default)]
    #[param(maximum = 100)]
    min_reputation: u8,
    /// At most this many.
    #[serde(default = "most")]
    max: usize,
    /// Only those with an identity that money was burned for.
    #[serde(default)]
    verified: bool,
}

pub(super) const fn most() -> usize {
    100
}

/// Signers that fit, which are looked for in the network too
#[utoipa::path(get, path = "/v1/signers", tag = "offers", security(("token" = ["read"])), params(Wanted), responses(
    (status = 200, body = Signers), (status = "4XX", body = Failed),
))]
pub(super) async fn signers(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Response {
    let Wanted { kind, amount, min_reputation, max, verified } = wanted;
    api.ask(Request::Signers { kind, amount, min_reputation, max, verified }).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Valid {
    /// For how long each advertisement of the offer is valid, in seconds, which is renewed after half of that; if
    /// nothing is said, as long as the node is configured.
    lifetime_seconds: Option<u64>,
}

/// Offers to sign
#[utoipa::path(put, path = "/v1/offer", tag = "offers", security(("token" = ["operate"])), params(Valid),
    request_body(content = Object, description = "An offer, as `/v1/signers` shows those of others"),
    responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn advertise(
    State(api): State<Api>,
    Query(Valid { lifetime_seconds }): Query<Valid>,
    Body(offer): Body<Offer>,
) -> Response {
    api.ask(Request::Advertise { offer: Box::new(offer), lifetime_seconds }).await
}

/// Offers nothing any more
#[utoipa::path(delete, path = "/v1/offer", tag = "offers", security(("token" = ["operate"])), responses(
    (status = 200, body = Done), (status = "4XX", body = Failed),
))]
pub(super) async fn withdraw(State(api): State<Api>) -> Response {
    api.ask(Request::Withdraw {}).await
}

/// Hears of signers for a type of transaction as they advertise
#[utoipa::path(put, path = "/v1/subscriptions/{kind}", tag = "offers", security(("token" = ["operate"])), params(
    ("kind" = schemas::TransactionType, Path),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn subscribe(State(api): State<Api>, Path(kind): Path<String>) -> Response {
    change_subscription(&api, &kind, false).await
}

/// Hears of them no more
#[utoipa::path(delete, path = "/v1/subscriptions/{kind}", tag = "offers", security(("token" = ["operate"])), params(
    ("kind" = schemas::TransactionType, Path),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
pub(super) async fn unsubscribe(State(api): State<Api>, Path(kind): Path<String>) -> Response {
    change_subscription(&api, &kind, true).await
}

async fn change_subscription(api: &Api, kind: &str, off: bool) -> Response {
    about(api, kind, |kind| Request::Subscribe { kind, off }).await
}

/// Contacts and groups
#[utoipa::path(get, path = "/v1/contacts", tag = "node", security(("token" = ["read"])), responses(
    (status = 200, body = Names), (status = "4XX", body = Failed),
))]
pub(super) async fn contacts(State(api): State<Api>) -> Response {
    api.ask(Request::Contacts {}).await
}

/// What a group has, in satoshi, by the servers of the chain
#[utoipa::path(get, path = "/v1/groups/{group}/balance", tag = "node", security(("token" = ["read"])), params(
    ("group" = String, Path, description = "Its name at this node"),
), responses((status = 200, body = Sums), (status = "4XX", body = Failed)))]
pub(super) async fn balance(State(api): State<Api>, Path(group): Path<String>) -> Response {
    about(&api, &group, |group| Request::Balance { group }).await
}

/// Stops the node
#[utoipa::path(post, path = "/v1/stop", tag = "node", security(("token" = ["operate"])), responses(
    (status = 200, body = Done), (status = "4XX", body = Failed),
))]
pub(super) async fn stop(State(api): State<Api>) -> Response {
    api.ask(Request::Stop {}).await
}
