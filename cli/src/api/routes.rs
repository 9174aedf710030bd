//! What can be asked over HTTP.
//!
//! Owns the router, and how answers and problems look. Invariant: whatever is wrong is answered as everything is, in
//! JSON with a kind and a remedy. The description is generated from the handlers and from the shapes of the answers.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::ToSchema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::tokens::Scope;
use super::{Api, events, guard, handlers, metrics, page, pools, programs};
use crate::control::{Answer, Kind, Problem, Request};

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
        .method_not_allowed_fallback(|| async { not_allowed() })
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
            .routes(routes!(handlers::stats))
            .routes(routes!(handlers::peers))
            .routes(routes!(handlers::sessions))
            .routes(routes!(handlers::session))
            .routes(routes!(handlers::summary))
            .routes(routes!(handlers::requests))
            .routes(routes!(handlers::signers))
            .routes(routes!(programs::resources))
            .routes(routes!(pools::discover))
            .routes(routes!(pools::own))
            .routes(routes!(handlers::contacts))
            .routes(routes!(handlers::balance))
            .routes(routes!(metrics::metrics)),
        Scope::Operate => OpenApiRouter::new()
            .routes(routes!(handlers::advertise, handlers::withdraw))
            .routes(routes!(handlers::subscribe, handlers::unsubscribe))
            .routes(routes!(programs::announce_resource, programs::withdraw_resource))
            .routes(routes!(programs::listen, programs::unlisten))
            .routes(routes!(programs::send))
            .routes(routes!(pools::leave))
            .routes(routes!(pools::reclaim))
            .routes(routes!(handlers::connect))
            .routes(routes!(handlers::disconnect))
            .routes(routes!(handlers::ban, handlers::unban))
            .routes(routes!(handlers::retry))
            .routes(routes!(handlers::confirm))
            .routes(routes!(handlers::abort))
            .routes(routes!(handlers::close))
            .routes(routes!(handlers::stop)),
        Scope::Approve => OpenApiRouter::new()
            .routes(routes!(handlers::create))
            .routes(routes!(pools::create))
            .routes(routes!(pools::join))
            .routes(routes!(handlers::join))
            .routes(routes!(handlers::approve_psbt))
            .routes(routes!(handlers::import_psbt)),
    };
    let timed = timed.layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER));
    // Events have no end.
    if scope == Scope::Read { timed.routes(routes!(events::events)) } else { timed }
}

impl Api {
    /// Asks the node.
    pub(super) async fn ask(&self, request: Request) -> Response {
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

fn not_allowed() -> Response {
    let problem = Problem::invalid("this cannot be done here", "/openapi.json lists what can be done where");
    let mut response = failed(problem);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// JSON in a request, refused as everything is.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Unreadable))]
pub(super) struct Body<T>(pub(super) T);

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

    #[test]
    fn every_request_of_the_socket_can_be_made_over_http() {
        let handlers = concat!(include_str!("handlers.rs"), include_str!("programs.rs"), include_str!("pools.rs"));
        let messages = include_str!("../control/messages.rs");
        let (_, requests) = messages.split_once("enum Request {").expect("it is there");
        let (requests, _) = requests.split_once("\n}\n").expect("it ends");
        let names = requests
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
        let names: Vec<&str> = names.map(|line| line.split([' ', '(', '{']).next().expect("a name")).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names.into_iter().filter(|name| *name != "Events") {
            assert!(
                handlers.contains(&format!("Request::{name} ")) || handlers.contains(&format!("Request::{name}(")),
                "{name}"
            );
        }
    }
}
