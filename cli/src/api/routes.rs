//! What can be asked over HTTP.
//!
//! Owns the paths. Invariant: each is one of the requests that the socket has, with the same answer; nothing is decided
//! here. The description is generated from this file and from the shapes of the answers.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use nelumbo_core::api::Phase;
use nelumbo_core::approval::Unusual;
use nelumbo_core::wire::{Offer, SessionId, TransactionType};
use serde::{Deserialize, Serialize};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::tokens::Scope;
use super::{Api, events, guard, metrics, page, schemas};
use crate::control::{
    Answer, Approved, Created, Done, Ended, Kind, NewSession, Peers, Problem, Request, Session, Sessions, Signers,
    Stats,
};
use crate::summary::rows;

/// For an answer; the longest search takes less.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(60);

/// A problem, as it stands in an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Failed {
    error: Problem,
}

/// The whole API.
pub(super) fn router(api: Api) -> axum::Router {
    let (router, mut openapi) = all(&api).split_for_parts();
    complete(&mut openapi);
    let description = openapi.to_pretty_json().expect("a description is JSON");
    let json = [(header::CONTENT_TYPE, "application/json")];
    let described = get(move || async move { (json, description.clone()) });
    let constant = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    router
        .with_state(api.clone())
        .route("/openapi.json", described)
        .merge(page::router())
        .fallback(|| async { not_found() })
        .method_not_allowed_fallback(|| async { not_found() })
        .layer(from_fn_with_state(api, guard::own_pages))
        .layer(constant(header::CACHE_CONTROL, "no-store"))
        .layer(constant(header::CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY))
        .layer(constant(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(constant(header::X_FRAME_OPTIONS, "DENY"))
        .layer(constant(header::REFERRER_POLICY, "no-referrer"))
}

fn all(api: &Api) -> OpenApiRouter<Api> {
    let scopes = [Scope::Read, Scope::Operate, Scope::Approve];
    scopes.into_iter().fold(base(), |router, scope| {
        router.merge(of_scope(scope).layer(from_fn_with_state((api.clone(), scope), guard::scope)))
    })
}

fn base() -> OpenApiRouter<Api> {
    let info = InfoBuilder::new()
        .title("nelumbo")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("What a nelumbo node is asked over HTTP. Times are milliseconds since 1970-01-01 UTC."))
        .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build()));
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info.build()).build())
}

fn complete(openapi: &mut OpenApi) {
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    openapi.components.get_or_insert_default().add_security_scheme("token", bearer);
}

/// What a token with this scope may ask.
fn of_scope(scope: Scope) -> OpenApiRouter<Api> {
    let timed = match scope {
        Scope::Read => OpenApiRouter::new()
            .routes(routes!(stats))
            .routes(routes!(peers))
            .routes(routes!(sessions))
            .routes(routes!(session))
            .routes(routes!(summary))
            .routes(routes!(requests))
            .routes(routes!(signers))
            .routes(routes!(metrics::metrics)),
        Scope::Operate => OpenApiRouter::new()
            .routes(routes!(advertise, withdraw))
            .routes(routes!(subscribe, unsubscribe))
            .routes(routes!(ban, unban))
            .routes(routes!(retry))
            .routes(routes!(confirm))
            .routes(routes!(abort))
            .routes(routes!(close))
            .routes(routes!(stop)),
        Scope::Approve => OpenApiRouter::new().routes(routes!(create)).routes(routes!(join)),
    };
    let timed = timed.layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER));
    // Events have no end.
    if scope == Scope::Read { timed.routes(routes!(events::events)) } else { timed }
}

impl Api {
    /// Asks the node.
    async fn ask(&self, request: Request) -> Response {
        match self.answers.answer(request).await {
            Ok(Answer::Result(result)) => {
                ([(header::CONTENT_TYPE, "application/json")], result.get().to_owned()).into_response()
            }
            Ok(Answer::Events { .. }) => unreachable!("only `events` asks for events"),
            Err(problem) => failed(problem),
        }
    }
}

/// Why there is no answer.
pub(super) fn failed(problem: Problem) -> Response {
    let status = match problem.kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Refused | Kind::Unallowed => StatusCode::CONFLICT,
        Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
        Kind::Stopped => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = (status, Json(Failed { error: problem })).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn not_found() -> Response {
    let problem = Problem::invalid("there is nothing here", "/openapi.json lists what there is");
    let mut response = failed(problem);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// JSON in a request, refused as everything is.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Unreadable))]
struct Body<T>(T);

/// What stands behind the question mark.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Unreadable))]
pub(super) struct Query<T>(pub(super) T);

pub(super) struct Unreadable(String);

impl From<JsonRejection> for Unreadable {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.body_text())
    }
}

impl From<QueryRejection> for Unreadable {
    fn from(rejection: QueryRejection) -> Self {
        Self(rejection.body_text())
    }
}

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        failed(Problem::invalid(self.0, "/openapi.json describes what is expected"))
    }
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Response> {
    text.parse().map_err(|error| {
        let text: String = text.chars().take(80).collect();
        failed(Problem::invalid(format_args!("{text:?}: {error}"), "/openapi.json describes what is expected"))
    })
}

/// Asks about the session in the path.
async fn about(api: &Api, session: &str, request: impl FnOnce(SessionId) -> Request) -> Response {
    match read(session) {
        Ok(session) => api.ask(request(session)).await,
        Err(response) => response,
    }
}

/// How the node is doing
#[utoipa::path(get, path = "/v1/stats", tag = "node", security(("token" = ["read"])), responses(
    (status = 200, body = Stats), (status = "4XX", body = Failed),
))]
async fn stats(State(api): State<Api>) -> Response {
    api.ask(Request::Stats {}).await
}

/// Who is connected
#[utoipa::path(get, path = "/v1/peers", tag = "peers", security(("token" = ["read"])), responses(
    (status = 200, body = Peers), (status = "4XX", body = Failed),
))]
async fn peers(State(api): State<Api>) -> Response {
    api.ask(Request::Peers {}).await
}

/// Closes all connections to a peer, and allows none
#[utoipa::path(put, path = "/v1/peers/{peer}/ban", tag = "peers", security(("token" = ["operate"])), params(
    ("peer" = String, Path, description = "Peer id, in base 58"),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
async fn ban(State(api): State<Api>, Path(peer): Path<String>) -> Response {
    api.ask(Request::Ban { peer }).await
}

/// Forgets what is held against a peer
#[utoipa::path(delete, path = "/v1/peers/{peer}/ban", tag = "peers", security(("token" = ["operate"])), params(
    ("peer" = String, Path, description = "Peer id, in base 58"),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
async fn unban(State(api): State<Api>, Path(peer): Path<String>) -> Response {
    api.ask(Request::Unban { peer }).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InPhase {
    /// Only sessions in this phase.
    #[param(value_type = Option<schemas::Phase>)]
    phase: Option<Phase>,
}

/// The sessions that the node knows
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", security(("token" = ["read"])), params(InPhase), responses(
    (status = 200, body = Sessions), (status = "4XX", body = Failed),
))]
async fn sessions(State(api): State<Api>, Query(InPhase { phase }): Query<InPhase>) -> Response {
    api.ask(Request::Sessions { phases: phase.into_iter().collect() }).await
}

/// Creates a session, and asks its signers
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", security(("token" = ["approve"])),
    request_body = NewSession, responses((status = 200, body = Created), (status = "4XX", body = Failed)))]
async fn create(State(api): State<Api>, Body(session): Body<NewSession>) -> Response {
    api.ask(Request::Create(Box::new(session))).await
}

/// Everything about one session, which is looked for in the network if the node does not know it
#[utoipa::path(get, path = "/v1/sessions/{session}", tag = "sessions", security(("token" = ["read"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), responses((status = 200, body = Session), (status = "4XX", body = Failed)))]
async fn session(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Session { session }).await
}

/// What signing a session does, as it is shown to people.
#[derive(Debug, Serialize, ToSchema)]
struct Shown {
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
async fn summary(State(api): State<Api>, Path(session): Path<String>) -> Response {
    let session = match read(&session) {
        Ok(session) => session,
        Err(response) => return response,
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
struct Allowed {
    /// Each by its name, as the refusal without it says.
    #[serde(default)]
    #[schema(value_type = Vec<schemas::Unusual>)]
    allow: BTreeSet<Unusual>,
}

/// Approves a session
#[utoipa::path(post, path = "/v1/sessions/{session}/join", tag = "sessions", security(("token" = ["approve"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), request_body = Allowed, responses((status = 200, body = Approved), (status = "4XX", body = Failed)))]
async fn join(State(api): State<Api>, Path(session): Path<String>, Body(Allowed { allow }): Body<Allowed>) -> Response {
    about(&api, &session, |session| Request::Join { session, allow }).await
}

/// Declines a session, or leaves it
#[utoipa::path(post, path = "/v1/sessions/{session}/abort", tag = "sessions", security(("token" = ["operate"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), responses((status = 200, body = Ended), (status = "4XX", body = Failed)))]
async fn abort(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Abort { session }).await
}

/// Makes a new attempt
#[utoipa::path(post, path = "/v1/sessions/{session}/retry", tag = "sessions", security(("token" = ["operate"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
async fn retry(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Retry { session }).await
}

/// Says that the signature has been broadcast
#[utoipa::path(post, path = "/v1/sessions/{session}/confirm", tag = "sessions", security(("token" = ["operate"])),
    params(("session" = String, Path, description = "Session id, in hexadecimal")),
    responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
async fn confirm(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Confirm { session }).await
}

/// Forgets a session
#[utoipa::path(delete, path = "/v1/sessions/{session}", tag = "sessions", security(("token" = ["operate"])), params(
    ("session" = String, Path, description = "Session id, in hexadecimal"),
), responses((status = 200, body = Ended), (status = "4XX", body = Failed)))]
async fn close(State(api): State<Api>, Path(session): Path<String>) -> Response {
    about(&api, &session, |session| Request::Close { session }).await
}

/// Sessions that wait for this node's approval, which are looked for in the network too
#[utoipa::path(get, path = "/v1/requests", tag = "sessions", security(("token" = ["read"])), responses(
    (status = 200, body = Sessions), (status = "4XX", body = Failed),
))]
async fn requests(State(api): State<Api>) -> Response {
    api.ask(Request::Requests {}).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
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
}

const fn most() -> usize {
    100
}

/// Signers that fit, which are looked for in the network too
#[utoipa::path(get, path = "/v1/signers", tag = "offers", security(("token" = ["read"])), params(Wanted), responses(
    (status = 200, body = Signers), (status = "4XX", body = Failed),
))]
async fn signers(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Response {
    let Wanted { kind, amount, min_reputation, max } = wanted;
    api.ask(Request::Signers { kind, amount, min_reputation, max }).await
}

/// Offers to sign
#[utoipa::path(put, path = "/v1/offer", tag = "offers", security(("token" = ["operate"])),
    request_body(content = Object, description = "An offer, as `/v1/signers` shows those of others"),
    responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
async fn advertise(State(api): State<Api>, Body(offer): Body<Offer>) -> Response {
    api.ask(Request::Advertise { offer: Box::new(offer) }).await
}

/// Offers nothing any more
#[utoipa::path(delete, path = "/v1/offer", tag = "offers", security(("token" = ["operate"])), responses(
    (status = 200, body = Done), (status = "4XX", body = Failed),
))]
async fn withdraw(State(api): State<Api>) -> Response {
    api.ask(Request::Withdraw {}).await
}

/// Hears of signers for a type of transaction as they advertise
#[utoipa::path(put, path = "/v1/subscriptions/{kind}", tag = "offers", security(("token" = ["operate"])), params(
    ("kind" = schemas::TransactionType, Path),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
async fn subscribe(State(api): State<Api>, Path(kind): Path<String>) -> Response {
    change_subscription(&api, &kind, false).await
}

/// Hears of them no more
#[utoipa::path(delete, path = "/v1/subscriptions/{kind}", tag = "offers", security(("token" = ["operate"])), params(
    ("kind" = schemas::TransactionType, Path),
), responses((status = 200, body = Done), (status = "4XX", body = Failed)))]
async fn unsubscribe(State(api): State<Api>, Path(kind): Path<String>) -> Response {
    change_subscription(&api, &kind, true).await
}

async fn change_subscription(api: &Api, kind: &str, off: bool) -> Response {
    match read(kind) {
        Ok(kind) => api.ask(Request::Subscribe { kind, off }).await,
        Err(response) => response,
    }
}

/// Stops the node
#[utoipa::path(post, path = "/v1/stop", tag = "node", security(("token" = ["operate"])), responses(
    (status = 200, body = Done), (status = "4XX", body = Failed),
))]
async fn stop(State(api): State<Api>) -> Response {
    api.ask(Request::Stop {}).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The description of the API, in OpenAPI 3.1, as the API itself tells it.
    fn description() -> String {
        let scopes = [Scope::Read, Scope::Operate, Scope::Approve];
        let router = scopes.into_iter().map(of_scope).fold(base(), OpenApiRouter::merge);
        let mut openapi = router.into_openapi();
        complete(&mut openapi);
        openapi.to_pretty_json().expect("a description is JSON") + "\n"
    }

    #[test]
    fn the_description_in_the_book_is_this_one() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let new = path.with_extension("json.new");
        if kept != description() {
            std::fs::write(&new, description()).expect("the repository can be written");
            panic!("if it is meant to change: mv {} {}", new.display(), path.display());
        }
    }
}
