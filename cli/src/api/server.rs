//! The listener.
//!
//! Owns where the API listens, its certificate, and the limits of connections. Invariants: nothing but loopback is
//! served without TLS; connections, their first bytes, their questions and the time for an answer are bounded, so that
//! slow clients harm nobody but themselves; what is asked is answered with the time that signing leaves. The node's
//! life drives it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum_server::tls_rustls::RustlsConfig;
use nelumbo_simulator::settings::Unsound;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::guard::{Guard, REQUESTS_PER_SECOND};
use super::metrics::Metrics;
use super::tokens::Tokens;
use super::{Api, routes};
use crate::control::{Answers, MAX_QUESTION};
use crate::failure::Failure;
use crate::node::within;

/// For the first request of a connection to begin, and for each handshake.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// For the head of each request.
const HEAD: Duration = Duration::from_secs(10);

/// What config.toml says about the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ApiConfig {
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// The certificate's file, in PEM; needed on any address that others can reach.
    #[serde(default)]
    pub(crate) certificate: Option<PathBuf>,
    /// The file of the certificate's key, in PEM.
    #[serde(default)]
    pub(crate) certificate_key: Option<PathBuf>,
    /// Names that it is asked under, beside its address and localhost.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    /// How many connections it takes at once; it hangs up on whoever comes when all are taken.
    #[serde(default = "connections")]
    pub(crate) connections: u64,
    /// How often a token may ask in a second; twice as many at once.
    #[serde(default = "requests_per_second")]
    pub(crate) requests_per_second: u64,
}

const fn connections() -> u64 {
    256
}

const fn requests_per_second() -> u64 {
    REQUESTS_PER_SECOND
}

impl ApiConfig {
    /// On this address, without a certificate.
    pub(crate) fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            certificate: None,
            certificate_key: None,
            hosts: Vec::new(),
            connections: connections(),
            requests_per_second: requests_per_second(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Unsound> {
        within("api.connections", self.connections, 1, 65_536)?;
        within("api.requests-per-second", self.requests_per_second, 1, 1_000_000)
    }
}

/// The API's listener, which has its port and does not answer yet.
pub(crate) struct ApiServer {
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    guard: Guard,
    connections: usize,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Takes the port, and reads the certificate. Files that are not absolute are in the data folder.
    pub(crate) fn bind(config: &ApiConfig, folder: &Path) -> Result<Self, Failure> {
        let ApiConfig { listen, certificate, certificate_key, hosts, connections, requests_per_second: _ } = config;
        let connections = usize::try_from(*connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let tls = match (certificate, certificate_key) {
            (Some(certificate), Some(key)) => Some(tls(&folder.join(certificate), &folder.join(key))?),
            (None, None) if listen.ip().is_loopback() => None,
            (None, None) => {
                return Err(Failure::input(
                    format_args!("the API on {listen} would send tokens where others can read them"),
                    "set `certificate` and `certificate-key` of `api` in config.toml, or listen on 127.0.0.1",
                ));
            }
            _ => {
                return Err(Failure::input(
                    "a certificate is of no use without its key, and a key without its certificate",
                    "set both `certificate` and `certificate-key` of `api` in config.toml",
                ));
            }
        };
        let listener = TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener = listener.map_err(|error| {
            Failure::input(format_args!("the API cannot listen on {listen}: {error}"), "choose another address or port")
        })?;
        let address = listener.local_addr().map_err(|error| Failure::input(error, "try again"))?;
        Ok(Self { listener, guard: Guard::new(address, tls.is_some(), hosts, Tokens::of(folder)), tls, connections })
    }

    /// Where it is found.
    pub(crate) fn url(&self) -> String {
        self.guard.url()
    }

    /// Answers for ever, on a thread of its own, which gives way to those that sign.
    pub(crate) async fn serve(self, answers: Answers) -> io::Result<()> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("api").on_thread_start(give_way).enable_all();
        let runtime = InBackground(Some(builder.build()?));
        let served = runtime.0.as_ref().map(|runtime| runtime.spawn(self.serve_here(answers)));
        served.expect("it is there until it is dropped").await.map_err(io::Error::other)?
    }

    async fn serve_here(self, answers: Answers) -> io::Result<()> {
        let metrics = Metrics::new();
        let events = answers.log.follow(Some(0));
        tokio::spawn(metrics.clone().follow(events, answers.handle.clone()));
        let api = Api { answers, metrics, guard: Arc::new(self.guard) };
        let router = routes::router(api).layer(DefaultBodyLimit::max(MAX_QUESTION));
        let places = Arc::new(Semaphore::new(self.connections));
        // Whoever comes when all places are taken is hung up on.
        let connections = tower::service_fn(move |_: SocketAddr| {
            let (router, places) = (router.clone(), places.clone());
            async move {
                let place = places.try_acquire_owned().map_err(|_| "too many connections")?;
                Ok::<Placed, &str>(Placed { router, _place: Arc::new(place) })
            }
        });
        match self.tls {
            Some(tls) => {
                let mut server = axum_server::from_tcp_rustls(self.listener, tls)?;
                limit(server.http_builder());
                server.first_request_timeout(FIRST_REQUEST).serve(connections).await
            }
            None => {
                let mut server = axum_server::from_tcp(self.listener)?;
                limit(server.http_builder());
                server.first_request_timeout(FIRST_REQUEST).serve(connections).await
            }
        }
    }
}

/// Clients may ask for as much as a processor can do. A thread that is nicer has what the others leave; only Linux has
/// threads that are.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        tracing::warn!(%error, "the API does not give way to sessions");
    }
}

/// A runtime that is not waited for when it ends, because it may end inside of another.
struct InBackground(Option<Runtime>);

impl Drop for InBackground {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// Answers what comes over one connection, and keeps its place until it has ended.
#[derive(Clone)]
struct Placed {
    router: Router,
    _place: Arc<OwnedSemaphorePermit>,
}

impl<R> tower::Service<R> for Placed
where
    Router: tower::Service<R>,
{
    type Response = <Router as tower::Service<R>>::Response;
    type Error = <Router as tower::Service<R>>::Error;
    type Future = <Router as tower::Service<R>>::Future;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        tower::Service::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.router.call(request)
    }
}

fn limit(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder.http1().timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 * 1024);
}

fn tls(certificate: &Path, key: &Path) -> Result<RustlsConfig, Failure> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let unusable = |path: &Path, problem: &dyn fmt::Display| {
        Failure::input(
            format_args!("{} cannot be used: {problem}", path.display()),
            "give a certificate and key in PEM",
        )
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| unusable(certificate, &error))?;
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
