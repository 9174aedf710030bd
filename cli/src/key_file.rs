//! Key files: one secret key each, as text.
//!
//! Owns the format and the rules around it. Invariants: a file is created for its owner alone and never overwritten; one
//! that others can read is refused; buffers that held the secret are wiped, and no message repeats what a line with the
//! secret says. Commands that need a key drive it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use nelumbo_core::crypto::lotus::wif;
use nelumbo_core::crypto::{Network, PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The format, for the help.
pub(crate) const FORMAT: &str = "\
A key file is text with four lines:
  nelumbo-key 1            the format and its version
  network mainnet          mainnet, testnet or regtest
  public-key 02c6047f...   66 hexadecimal digits
  secret-key L3hVubad...   wallet import format (WIF), compressed
Whoever reads it can sign. It is created with mode 600, and refused when others may read it.";

const HEADER: &str = "nelumbo-key 1";
const MAX_SIZE: usize = 4096;

/// What a key file holds.
#[derive(Debug)]
pub(crate) struct KeyFile {
    pub(crate) network: Network,
    pub(crate) key: SecretKey,
}

/// Writes a new key file.
pub(crate) fn create(path: &Path, network: Network, key: &SecretKey) -> Result<(), Failure> {
    let secret = wif::encode(key, network, true);
    let text = Zeroizing::new(format!(
        "{HEADER}\nnetwork {network}\npublic-key {}\nsecret-key {}\n",
        key.public_key(),
        secret.as_str()
    ));
    let mut file = open_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::input(
            format_args!("{} exists, and a key file is never overwritten", path.display()),
            "choose another name with --out",
        ),
        _ => cannot_write(path, &error),
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a key is of no use; that this may fail too changes nothing.
        let _ = fs::remove_file(path);
        cannot_write(path, &error)
    })
}

/// Reads a key file.
pub(crate) fn read(path: &Path) -> Result<KeyFile, Failure> {
    let cannot_read = |error: io::Error| {
        Failure::input(
            format_args!("cannot read the key file {}: {error}", path.display()),
            "give --key-file a file made by `nelumbo key generate`",
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
    parse(text).map_err(|problem| unusable(&problem))
}

fn parse(text: &str) -> Result<KeyFile, String> {
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
    let imported = wif::decode(field("secret-key")?).map_err(|error| format!("{error}"))?;
    if lines.next().is_some() {
        return Err("there is more after the secret key".to_owned());
    }
    if !imported.is_for(network) {
        return Err(format!("the secret key is not for {network}"));
    }
    if imported.key.public_key() != public_key {
        return Err("the public key is not that of the secret key".to_owned());
    }
    Ok(KeyFile { network, key: imported.key })
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::input(
        format_args!("cannot write the key file {}: {error}", path.display()),
        "choose a place where you may write with --out",
    )
}

#[cfg(unix)]
fn open_new(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn check_owner_only(path: &Path, metadata: &fs::Metadata) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::input(
        format_args!("the key file {} is open to others (mode {mode:o})", path.display()),
        format_args!("run `chmod 600 {0}`, and replace the key if {0} was ever shared", path.display()),
    ))
}

#[cfg(not(unix))]
fn check_owner_only(_: &Path, _: &fs::Metadata) -> Result<(), Failure> {
    Ok(())
}
