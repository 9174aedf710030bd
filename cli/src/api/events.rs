//! Events as they happen, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::routes::Query;
use crate::node::Next;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// Also what is kept of what came after the event with this number; 0 for all that is kept.
    after: Option<u64>,
}

/// What happens, as server-sent events
///
/// Each is named `entry` and has its number as its id, so that whoever was cut off goes on with `Last-Event-ID`. One
/// named `missed` says how many events were lost to a reader who was too slow. Numbers begin at 1 with each start of
/// the node.
#[utoipa::path(get, path = "/v1/events", tag = "node", security(("token" = ["read"])), params(
    After,
    ("Last-Event-ID" = Option<u64>, Header, description = "The number of the last event that was read"),
), responses(
    (status = 200, content_type = "text/event-stream", body = String),
    (status = "4XX", body = super::routes::Failed),
))]
pub(super) async fn events(State(api): State<Api>, headers: HeaderMap, Query(asked): Query<After>) -> Response {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let follower = api.answers.log.follow(last.or(asked.after));
    let events = stream::unfold(follower, |mut follower| async {
        let event = match follower.next().await? {
            Next::Entry(entry) => Event::default()
                .id(entry.number.to_string())
                .event("entry")
                .json_data(&*entry)
                .expect("entries are JSON"),
            Next::Missed(missed) => Event::default().event("missed").data(format!("{{\"missed\":{missed}}}")),
        };
        Some((Ok::<_, Infallible>(event), follower))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}
