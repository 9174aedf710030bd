//! A key alone, behind text: for a device, another process, or a storage that a page cannot reach.
//!
//! Owns the key and the nonces that are open. Invariants: whatever is in a request is checked here; what is shown is
//! what is signed; a request that is repeated has the same answer. Driven by the shells for C, WebAssembly and Python.

use nelumbo_core::api;
use nelumbo_core::crypto::{Secp256k1, SoftwareSigner};
use nelumbo_core::device::Device;
use nelumbo_core::single::SingleSigner;

use crate::Error;
use crate::machine::secrets;
use crate::shapes::{Approval, Key, SignReply, SignRequest};

/// A signing key that answers the output `sign` of a machine whose `signing_key` it is.
#[derive(Debug)]
pub struct Signer {
    device: Device<Secp256k1, SoftwareSigner>,
    key: Key,
}

impl Signer {
    /// A signer with this key. `seed` must be fresh for each start, from the operating system.
    ///
    /// # Errors
    /// `bad-argument`, `bad-secret`, `bad-seed`.
    pub fn new(secret: &[u8], seed: &[u8]) -> Result<Self, Error> {
        let (key, entropy) = secrets(secret, seed)?;
        let public = Key(key.public_key());
        let single = SingleSigner::new(key.clone(), entropy.stream("ffi/single"));
        let device = Device::new(Secp256k1, SoftwareSigner::new(key, entropy.stream("ffi/sessions")));
        Ok(Self { device: device.with_single(single), key: public })
    }

    /// The public key, in hexadecimal.
    pub fn key(&self) -> String {
        self.key.to_string()
    }

    /// What a person is to be asked before [`answer`](Self::answer): an [`Approval`](crate::shapes::Approval), or
    /// `null` for a [`SignRequest`](crate::shapes::SignRequest) about which nobody is asked.
    ///
    /// # Errors
    /// `bad-json`; `signer` with why the request is refused whatever the person says.
    pub fn describe(&self, request: &str) -> Result<String, Error> {
        let approval = self.device.summary(&read(request)?).map_err(|error| {
            Error::new("signer", error, "do not sign: answer the node with this error, and ask who wants this signed")
        })?;
        Ok(serde_json::to_string(&approval.map(Approval::from)).expect("an approval is texts and numbers"))
    }

    /// Does what is asked, without asking anybody: a [`SignReply`](crate::shapes::SignReply) for the input `signed`, or
    /// `null` for requests that have no reply.
    ///
    /// # Errors
    /// `bad-json`. What the signer refuses is a reply too.
    pub fn answer(&mut self, request: &str) -> Result<String, Error> {
        let reply = self.device.answer(&read(request)?).map(SignReply::from);
        Ok(serde_json::to_string(&reply).expect("a reply is texts and numbers"))
    }
}

fn read(request: &str) -> Result<api::SignRequest, Error> {
    serde_json::from_str::<SignRequest>(request)?.try_into()
}
