//! The node's own page: three files, made by hand, that ask for nothing outside.

use axum::Router;
use axum::http::header;
use axum::routing::get;

/// Nothing comes from elsewhere, and nothing goes there.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let file =
        |kind: &'static str, text: &'static str| get(move || async move { ([(header::CONTENT_TYPE, kind)], text) });
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/page.js", file("text/javascript; charset=utf-8", include_str!("page/page.js")))
        .route("/sequence.js", file("text/javascript; charset=utf-8", include_str!("page/sequence.js")))
        .route("/page.css", file("text/css; charset=utf-8", include_str!("page/page.css")))
}
