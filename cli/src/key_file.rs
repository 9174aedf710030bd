//! Key files: one secret key each, as text, plain or sealed with a passphrase.
//!
//! Owns the format and the rules around it. Invariants: a file is created for its owner alone and never overwritten;
//! one that others can read is refused; buffers that held the secret are wiped, and no message repeats what a line with
//! the secret says. Commands that need a key and nodes drive it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nelumbo_core::base::{Entropy, scrubbed};
use nelumbo_core::crypto::lotus::wif;
use nelumbo_core::crypto::{Network, PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::passphrase::{Passphrase, PassphraseSource};
use crate::private_file;
use crate::sealing::Sealed;

/// The format, for the help.
pub(crate) const FORMAT: &str = "\
A key file is text with four lines:
  nelumbo-key 1            the format and its version
  network mainnet          mainnet, testnet or regtest
  public-key 02c6047f...   66 hexadecimal digits
  secret-key L3hVubad...   wallet import format (WIF), compressed
or, as the last one, when it is sealed with a passphrase:
  sealed-key argon2id-xchacha20poly1305 65536 3 4 SALT NONCE SEALED
Whoever reads a key that is not sealed can sign. Files are created with mode 600, and refused when others may read
them.";

const HEADER: &str = "nelumbo-key 1";
const MAX_SIZE: usize = 4096;

/// What a key file holds.
#[derive(Debug)]
pub(crate) struct KeyFile {
    pub(crate) network: Network,
    pub(crate) public_key: PublicKey,
    path: PathBuf,
    secret: Secret,
}

#[derive(Debug)]
enum Secret {
    Plain(SecretKey),
    Sealed(Sealed),
}

impl KeyFile {
    /// Whether it takes a passphrase to use it.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.secret, Secret::Sealed(_))
    }

    /// The secret key. The passphrase is asked for only if there is one.
    pub(crate) fn unlock(self, passphrase: &PassphraseSource) -> Result<SecretKey, Failure> {
        let passphrase = self.passphrase(passphrase)?;
        self.open(passphrase.as_ref())
    }

    /// The passphrase that it is sealed with, if it is.
    pub(crate) fn passphrase(&self, source: &PassphraseSource) -> Result<Option<Passphrase>, Failure> {
        match self.secret {
            Secret::Plain(_) => Ok(None),
            Secret::Sealed(_) => source.known(self.path.display()).map(Some),
        }
    }

    /// The secret key, with the passphrase that it is sealed with, if it is.
    pub(crate) fn open(self, passphrase: Option<&Passphrase>) -> Result<SecretKey, Failure> {
        let sealed = match self.secret {
            Secret::Plain(key) => return Ok(key),
            Secret::Sealed(sealed) => sealed,
        };
        let context = public_part(self.network, &self.public_key);
        let key = scrubbed(|| {
            let opened = passphrase.and_then(|passphrase| sealed.open(passphrase, context.as_bytes()));
            opened.and_then(|secret| SecretKey::from_bytes(&secret).ok())
        });
        key.filter(|key| key.public_key() == self.public_key).ok_or_else(|| Failure::passphrase(self.path.display()))
    }
}

/// Writes a new key file, sealed if there is a passphrase.
pub(crate) fn create(
    path: &Path,
    network: Network,
    key: &SecretKey,
    seal: Option<(&Passphrase, &mut Entropy)>,
) -> Result<(), Failure> {
    private_file::create(path, text(network, key, seal).as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::input(
            format_args!("{} exists, and a key file is never overwritten", path.display()),
            "choose another one with --out or --data",
        ),
        _ => cannot_write(path, &error),
    })
}

/// Writes a key file in the place of another of the same key, sealed with another passphrase.
pub(crate) fn replace(
    path: &Path,
    network: Network,
    key: &SecretKey,
    passphrase: &Passphrase,
    entropy: &mut Entropy,
) -> Result<(), Failure> {
    let text = text(network, key, Some((passphrase, entropy)));
    private_file::replace(path, text.as_bytes()).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::input(
        format_args!("cannot write the key file {}: {error}", path.display()),
        "choose a place where you may write with --out or --data",
    )
}

fn text(network: Network, key: &SecretKey, seal: Option<(&Passphrase, &mut Entropy)>) -> Zeroizing<String> {
    let public = public_part(network, &key.public_key());
    let secret = match seal {
        Some((passphrase, entropy)) => {
            let secret = key.expose_secret_bytes_for_storage();
            let sealed = Sealed::seal(&secret, passphrase, public.as_bytes(), entropy);
            Zeroizing::new(format!("sealed-key {sealed}\n"))
        }
        None => Zeroizing::new(format!("secret-key {}\n", wif::encode(key, network, true).as_str())),
    };
    Zeroizing::new([public.as_str(), secret.as_str()].concat())
}

/// Everything but the secret. A sealed secret belongs to it, and does not open under another.
fn public_part(network: Network, public_key: &PublicKey) -> String {
    format!("{HEADER}\nnetwork {network}\npublic-key {public_key}\n")
}

/// Reads a key file.
pub(crate) fn read(path: &Path) -> Result<KeyFile, Failure> {
    let cannot_read = |error: io::Error| {
        Failure::input(
            format_args!("cannot read the key file {}: {error}", path.display()),
            "give a file made by `nelumbo key generate`",
        )
    };
    let file = File::open(path).map_err(cannot_read)?;
    check_owner_only(path, &file.metadata().map_err(cannot_read)?)?;
    // In one piece from the start, so that growing leaves no copy of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SIZE + 1));
    file.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
    let unusable = |problem: &str| {
        Failure::input(
            format_args!("the key file {} is damaged or none: {problem}", path.display()),
            "restore it from a backup, or see `nelumbo help key generate` for the format",
        )
    };
    if bytes.len() > MAX_SIZE {
        return Err(unusable("it is too large"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| unusable("it is not text"))?;
    parse(path, text).map_err(|problem| unusable(&problem))
}

fn parse(path: &Path, text: &str) -> Result<KeyFile, String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    if lines.next() != Some(HEADER) {
        return Err(format!("its first line is not `{HEADER}`"));
    }
    let mut field = |name: &str| {
        let line = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(str::trim).ok_or_else(|| format!("the line `{name}` is missing or not in its place"))
    };
    let network: Network = field("network")?.parse().map_err(|error| format!("{error}"))?;
    let public_key: PublicKey = field("public-key")?.parse().map_err(|error| format!("{error}"))?;
    let secret = match lines.next().and_then(|line| line.split_once(' ')) {
        Some(("secret-key", wif)) => Secret::Plain(plain(wif.trim(), network, &public_key)?),
        Some(("sealed-key", sealed)) => Secret::Sealed(sealed.trim().parse()?),
        _ => return Err("the line `secret-key` is missing or not in its place, and so is `sealed-key`".to_owned()),
    };
    if lines.next().is_some() {
        return Err("there is more after the secret key".to_owned());
    }
    Ok(KeyFile { network, public_key, path: path.to_owned(), secret })
}

fn plain(wif: &str, network: Network, public_key: &PublicKey) -> Result<SecretKey, String> {
    let imported = wif::decode(wif).map_err(|error| format!("{error}"))?;
    if !imported.is_for(network) {
        return Err(format!("the secret key is not for {network}"));
    }
    if imported.key.public_key() != *public_key {
        return Err("the public key is not that of the secret key".to_owned());
    }
    Ok(imported.key)
}

fn check_owner_only(path: &Path, metadata: &fs::Metadata) -> Result<(), Failure> {
    match private_file::open_to_others(metadata) {
        None => Ok(()),
        Some(mode) => Err(Failure::input(
            format_args!("the key file {} is open to others (mode {mode:o})", path.display()),
            format_args!("run `chmod 600 {0}`, and replace the key if {0} was ever shared", path.display()),
        )),
    }
}
