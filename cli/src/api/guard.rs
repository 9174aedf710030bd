//! Who may ask.
//!
//! Owns the checks that stand before every handler. Invariants: a page of somebody else's cannot use the API through
//! its user's browser, because the name it is asked under and the page's origin have to be the API's own; nothing but
//! the page itself and the API's description is told without a token; a token asks for what its scopes allow, at a
//! bounded rate. The router drives it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Api;
use super::routes::failed;
use super::tokens::{Scope, Tokens};
use crate::control::{Kind, Problem};
use crate::group::Name;

/// How often a token may ask in a second, if nothing else is set; twice as many at once.
pub(super) const REQUESTS_PER_SECOND: u64 = 200;

/// See the module's documentation.
pub(super) struct Guard {
    address: SocketAddr,
    is_tls: bool,
    hosts: Vec<String>,
    tokens: Tokens,
    /// What is left of each token's burst, and since when. As many as there are tokens.
    asked: Mutex<BTreeMap<Name, (f64, Instant)>>,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, is_tls: bool, hosts: &[String], tokens: Tokens) -> Self {
        Self { address, is_tls, hosts: hosts.to_vec(), tokens, asked: Mutex::default() }
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.address)
    }

    const fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// Whether this is a name of this API, with its port if it is not the usual one, and its scheme where one is said.
    fn is_own(&self, scheme: Option<&str>, authority: &str) -> bool {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port.parse().ok()),
            _ => (authority, Some(if self.is_tls { 443 } else { 80 })),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let named = self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host));
        // Behind a proxy the scheme and the port that the world sees are the proxy's.
        if named {
            return true;
        }
        let is_address = host
            .parse::<IpAddr>()
            .is_ok_and(|host| host == self.address.ip() || (host.is_loopback() && self.address.ip().is_unspecified()));
        let is_local = host.eq_ignore_ascii_case("localhost")
            && (self.address.ip().is_loopback() || self.address.ip().is_unspecified());
        let is_scheme = scheme.is_none_or(|scheme| scheme == self.scheme());
        is_scheme && port == Some(self.address.port()) && (is_address || is_local)
    }

    /// Refuses what another page may have caused.
    fn check_origin(&self, uri: Option<&str>, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = uri.or_else(|| text(header::HOST)).unwrap_or_default();
        if !self.is_own(None, host) {
            return Err(Problem::forbidden(
                format_args!("this API is not called {host:?}"),
                "use the address that the node says, or add the name to `hosts` of `api` in config.toml",
            ));
        }
        match text(header::ORIGIN) {
            Some(origin) if !origin.split_once("://").is_some_and(|(scheme, host)| self.is_own(Some(scheme), host)) => {
                Err(Problem::forbidden(
                    format_args!("a page of {origin:?} may not use this API"),
                    "open the node's own page, or ask without a browser",
                ))
            }
            _ => Ok(()),
        }
    }

    fn check_token(&self, headers: &HeaderMap, scope: Scope, rate: u64) -> Result<(), Problem> {
        let remedy = "make one with `nelumbo token create`, and send it as `Authorization: Bearer TOKEN`";
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = given.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err(Problem {
                kind: Kind::Unauthorized,
                problem: "a token is needed".into(),
                remedy: remedy.into(),
            });
        };
        let found = self.tokens.find(token.trim()).map_err(|error| {
            tracing::error!(%error, "tokens.json cannot be read");
            Problem::refused("the node cannot read its tokens", "the node's own output says more")
        })?;
        let Some((name, scopes)) = found else {
            let problem = "the token is unknown or was revoked".into();
            return Err(Problem { kind: Kind::Unauthorized, problem, remedy: remedy.into() });
        };
        if !scopes.contains(&scope) {
            let scope = crate::output::name(&scope);
            return Err(Problem::forbidden(
                format_args!("the token {name} does not allow to {scope}"),
                &format!("use one that was made with --scope {scope}"),
            ));
        }
        self.take_turn(name, rate, Instant::now())
    }

    fn take_turn(&self, name: Name, per_second: u64, now: Instant) -> Result<(), Problem> {
        let rate = u32::try_from(per_second).map_or(f64::MAX, f64::from);
        let burst = 2.0 * rate;
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = asked.entry(name).or_insert((burst, now));
        *left = rate.mul_add(now.duration_since(*since).as_secs_f64(), *left).min(burst);
        *since = now;
        if *left < 1.0 {
            return Err(Problem {
                kind: Kind::Busy,
                problem: format!("more than {per_second} requests a second with one token"),
                remedy: "ask less often; /v1/events says at once what happens".to_owned(),
            });
        }
        *left -= 1.0;
        Ok(())
    }
}

/// For everything: the name and the origin.
pub(super) async fn own_pages(State(api): State<Api>, request: Request, next: Next) -> Response {
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    match api.guard.check_origin(host.as_deref(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => failed(problem),
    }
}

/// For what a token with this scope may ask.
pub(super) async fn scope(State((api, scope)): State<(Api, Scope)>, request: Request, next: Next) -> Response {
    // Read again at a hangup.
    let rate = api.answers.settings.borrow().api.as_ref().map_or(REQUESTS_PER_SECOND, |api| api.requests_per_second);
    match api.guard.check_token(request.headers(), scope, rate) {
        Ok(()) => next.run(request).await,
        Err(problem) => failed(problem),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_name_is_the_api_s_own_as_a_whole() {
        let guard = |hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let tokens = Tokens::of(std::path::Path::new("/nowhere"));
            Guard::new("127.0.0.1:7310".parse().expect("an address"), false, &hosts, tokens)
        };
        let plain = guard(&[]);
        assert!(plain.is_own(None, "127.0.0.1:7310") && plain.is_own(Some("http"), "localhost:7310"));
        assert!(!plain.is_own(Some("https"), "localhost:7310") && !plain.is_own(None, "localhost"));
        let named = guard(&["wallet.example.org"]);
        for (scheme, authority, expected) in [
            (Some("https"), "wallet.example.org", true),
            (Some("http"), "Wallet.Example.Org:8080", true),
            (Some("https"), "wallet.example.org.evil.net", false),
            (Some("https"), "evil.net", false),
            (None, "wallet.example.organic", false),
        ] {
            assert_eq!(named.is_own(scheme, authority), expected, "{authority}");
        }
    }

    #[test]
    fn a_token_asks_so_often_and_others_do_not_wait_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = "127.0.0.1:7310".parse().expect("an address");
        let guard = Guard::new(address, false, &[], Tokens::of(folder.path()));
        let (one, other): (Name, Name) = ("one".parse().expect("a name"), "other".parse().expect("a name"));
        let now = Instant::now();
        let turns = |at: Duration| (0..1_000).filter(|_| guard.take_turn(one.clone(), 200, now + at).is_ok()).count();
        assert_eq!(turns(Duration::ZERO), 400);
        assert_eq!(guard.take_turn(one.clone(), 200, now).expect_err("it is too much").kind, Kind::Busy);
        guard.take_turn(other, 200, now).expect("it has asked nothing");
        assert_eq!(turns(Duration::from_secs(1)), 200);
        assert_eq!(turns(Duration::from_secs(3_600)), 400);
    }
}
