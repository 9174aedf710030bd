//! One request to one server.
//!
//! Owns the HTTP client and every bound on what comes back: time, size, content type, compression, redirections.
//! Invariant: no more than the limit is ever in memory. `server.rs` drives it.

use std::sync::Arc;

use prost::Message;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder, StatusCode};
use url::Url;

use super::config::ChronikConfig;
use super::error::{ConfigError, Failure, harmless};
use super::shape::{Shaped, decode};
use crate::proto;

const OCTETS: &str = "application/octet-stream";

/// TLS by ring, with Mozilla's root certificates; whatever else the program has chosen for itself.
pub(super) fn tls() -> Arc<rustls::ClientConfig> {
    tls_with(rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

pub(super) fn tls_with(roots: rustls::RootCertStore) -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of both versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

pub(super) fn client(config: &ChronikConfig, tls: &rustls::ClientConfig) -> Result<Client, ConfigError> {
    // A WebSocket takes no proxy either, and what was not asked to be compressed is no bomb.
    Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.connect_timeout)
        .timeout(config.request_timeout)
        .build()
        .map_err(|error| ConfigError::Http(harmless(&error.to_string())))
}

/// A server at its address.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    base: Url,
    max_bytes: usize,
}

impl Http {
    pub(super) fn new(client: Client, base: Url, max_bytes: usize) -> Self {
        Self { client, base, max_bytes }
    }

    /// The longest answer that is read.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The address below the base.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    /// Asks for a message. Nothing when the server knows nothing of that.
    pub(super) async fn get<M: Shaped>(&self, path: &str) -> Result<Option<M>, Failure> {
        let answer = self.answer(self.client.get(self.url(path)), proto::CONTENT_TYPE).await;
        found(answer)?.map(|body| decode(&body)).transpose()
    }

    /// Asks for bytes.
    pub(super) async fn get_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        found(self.answer(self.client.get(self.url(path)), OCTETS).await)
    }

    pub(super) async fn post<M: Shaped>(&self, path: &str, body: &impl Message) -> Result<M, Failure> {
        let request = self.client.post(self.url(path)).header(CONTENT_TYPE, proto::CONTENT_TYPE);
        let answer = self.answer(request.body(body.encode_to_vec()), proto::CONTENT_TYPE).await?;
        decode(&answer)
    }

    async fn answer(&self, request: RequestBuilder, content_type: &str) -> Result<Vec<u8>, Failure> {
        let mut response = request.send().await.map_err(failure)?;
        let status = response.status();
        let headers = response.headers();
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Failure::Compressed);
        }
        let expected = if status == StatusCode::OK { content_type } else { proto::CONTENT_TYPE };
        let found = content_type_of(headers);
        if found != expected {
            return Err(match status {
                StatusCode::OK => Failure::ContentType(harmless(&found)),
                status => refused(status, String::new(), harmless(&found)),
            });
        }
        let limit = self.max_bytes;
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(Failure::TooLarge { limit });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > limit {
                return Err(Failure::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        if status == StatusCode::OK {
            return Ok(body);
        }
        let error: proto::Error = decode(&body)?;
        Err(refused(status, harmless(&error.error_code), harmless(&error.msg)))
    }
}

fn refused(status: StatusCode, code: String, message: String) -> Failure {
    Failure::Refused { status: status.as_u16(), code, message }
}

/// Only an error of Chronik says that something is not there; a page of a proxy says nothing.
fn found<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(body) => Ok(Some(body)),
        Err(Failure::Refused { status: 404, code, .. }) if code.ends_with("not-found") => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Without parameters, which no server of Chronik adds but which change nothing.
fn content_type_of(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn failure(error: reqwest::Error) -> Failure {
    // The last of the causes is the one that says something.
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = harmless(&cause.to_string());
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        Failure::Connect(text)
    } else {
        Failure::Broken(text)
    }
}
