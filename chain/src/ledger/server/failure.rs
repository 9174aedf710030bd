//! What the server says when it does not do what it is asked, in Chronik's words.

use std::fmt::Display;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use nelumbo_crypto::lotus::Txid;
use prost::Message;

use super::super::Reject;
use crate::proto::{CONTENT_TYPE, Error};
use crate::{ScriptError, ScriptPayload};

/// An answer that is none.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    status: StatusCode,
    pub(super) error: Error,
}

impl Failure {
    fn new(status: StatusCode, code: &str, msg: impl Display, is_user_error: bool) -> Self {
        Self { status, error: Error { error_code: code.to_owned(), msg: msg.to_string(), is_user_error } }
    }

    fn user(code: &str, msg: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, msg, true)
    }

    /// The program that asks is wrong, not who uses it.
    fn client(code: &str, msg: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, msg, false)
    }

    fn not_found(code: &str, msg: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, msg, true)
    }

    pub(super) fn tx_not_found(txid: &Txid) -> Self {
        Self::not_found("tx-not-found", format_args!("Txid not found: {txid}"))
    }

    pub(super) fn block_not_found(text: &str) -> Self {
        Self::not_found("block-not-found", format_args!("Block not found: {}", short(text)))
    }

    pub(super) fn invalid_hash_or_height(text: &str) -> Self {
        Self::user("invalid-hash-or-height", format_args!("Invalid hash or height: {}", short(text)))
    }

    pub(super) fn invalid_field(name: &str, value: &str) -> Self {
        Self::user("invalid-field", format_args!("Invalid {name}: {}", short(value)))
    }

    pub(super) fn page_size_too_large() -> Self {
        Self::user("page-size-too-large", "Page size too large")
    }

    pub(super) fn no_content_type() -> Self {
        Self::client("no-content-type-set", "No Content-Type set")
    }

    pub(super) fn wrong_content_type(actual: &str) -> Self {
        Self::client("wrong-content-type", format_args!("Content-Type must be {CONTENT_TYPE}, got {}", short(actual)))
    }

    pub(super) fn bad_protobuf(problem: impl Display) -> Self {
        Self::client("bad-protobuf", format_args!("Bad protobuf: {problem}"))
    }

    pub(super) fn unexpected_message(kind: &str) -> Self {
        Self::client("unexpected-message-type", format_args!("Unexpected message type {kind}"))
    }

    /// Chronik has no such limit.
    pub(super) fn too_many(what: &str, most: usize) -> Self {
        Self::client("too-many", format_args!("At most {most} {what}"))
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-server-error", "Internal server error", false)
    }

    /// What Chronik makes of the node's answer. It reads the transaction itself before.
    pub(super) fn rejected(reject: &Reject) -> Self {
        match reject {
            Reject::DecodeFailed => Self::user("invalid-tx-encoding", "Invalid tx encoding: not a transaction"),
            reject => Self::user("bitcoind-rejected-tx", format_args!("Bitcoind rejected tx: {reject}")),
        }
    }

    /// The same for `testmempoolaccept`, whose answer is the reason without its numbers.
    pub(super) fn rejected_in_test(reject: &Reject) -> Self {
        let mut failure = Self::rejected(reject);
        if let Some((reason, _)) = failure.error.msg.split_once(", ") {
            failure.error.msg = reason.to_owned();
        }
        failure
    }
}

impl Failure {
    /// For a kind of script and its payload that are none.
    pub(super) fn script(error: &ScriptError, kind: &str) -> Self {
        match error {
            ScriptError::Length { expected, found, .. } => {
                let expected = expected.replace(" or ", ", ");
                Self::client(
                    "invalid-script-payload-length",
                    format_args!("Invalid script payload: length expected to be one of [{expected}], got {found}"),
                )
            }
            _ => Self::invalid_field("script_type", kind),
        }
    }
}

/// Reads the two parts of a path or subscription.
pub(super) fn script(kind: &str, payload: &[u8]) -> Result<ScriptPayload, Failure> {
    ScriptPayload::parse(kind, payload).map_err(|error| Failure::script(&error, kind))
}

/// What others wrote is not repeated at length.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, CONTENT_TYPE)], self.error.encode_to_vec()).into_response()
    }
}
