//! TLS of WebSocket connections.
//!
//! Owns the certificate that this node shows, and whom it believes beside the usual authorities. Invariant: what is
//! taken here can be used, so that a network with it starts. TLS is for proxies and browsers: who a peer is, Noise says
//! inside of it. Driven by the transports.

use std::{fmt, sync::Arc};

use libp2p::websocket::tls;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::config::{ConfigError, NetworkConfig};

/// See the module's documentation.
#[derive(Clone, Default)]
pub(crate) struct WebSocketTls {
    server: Option<Arc<(tls::PrivateKey, Vec<tls::Certificate>)>>,
    trusted: Vec<tls::Certificate>,
}

impl fmt::Debug for WebSocketTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketTls").field("server", &self.server.is_some()).finish_non_exhaustive()
    }
}

impl WebSocketTls {
    pub(crate) fn config(&self) -> Result<tls::Config, ConfigError> {
        let mut builder = tls::Config::builder();
        if let Some(server) = &self.server {
            let (key, chain) = &**server;
            builder.server(key.clone(), chain.iter().cloned()).map_err(|error| unusable(&error))?;
        }
        for trusted in &self.trusted {
            builder.add_trust(trusted).map_err(|error| unusable(&error))?;
        }
        Ok(builder.finish())
    }
}

impl NetworkConfig {
    /// Has the node show this certificate, with those that lead from it to an authority, where it listens on
    /// `…/tcp/443/wss`; both in PEM.
    pub fn websocket_certificate(mut self, chain: &[u8], key: &[u8]) -> Result<Self, ConfigError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(&error))?;
        let server = (tls::PrivateKey::new(key.secret_der().to_vec()), certificates(chain)?);
        self.websocket_tls.server = Some(Arc::new(server));
        self.websocket_tls.config()?;
        Ok(self)
    }

    /// Believes these authorities, in PEM, beside those that browsers do, of who listens on `…/wss`.
    pub fn websocket_authorities(mut self, trusted: &[u8]) -> Result<Self, ConfigError> {
        self.websocket_tls.trusted.extend(certificates(trusted)?);
        self.websocket_tls.config()?;
        Ok(self)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<tls::Certificate>, ConfigError> {
    let read = CertificateDer::pem_slice_iter(pem).map(|read| read.map(|read| tls::Certificate::new(read.to_vec())));
    let read = read.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(&error))?;
    if read.is_empty() { Err(unusable(&"there is none in it")) } else { Ok(read) }
}

fn unusable(error: &dyn fmt::Display) -> ConfigError {
    ConfigError::Certificate { reason: error.to_string() }
}
