//! The data folder of a node.
//!
//! Owns what is where, and who may look. Invariants: the folder and everything in it are the owner's alone; a folder
//! becomes a node's when its key is there, which appears last and whole, so that what was begun and not finished can be
//! begun again; one process at a time holds the lock, which the operating system releases however the process ends. The
//! commands about nodes drive it.

use std::env;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{Network, SecretKey};
use nelumbo_tokio::identity::Keypair;
use zeroize::Zeroizing;

use crate::control::Server;
use crate::failure::Failure;
use crate::key_file;
use crate::passphrase::Passphrase;
use crate::private_file;

/// Which data folder.
#[derive(Args, Debug)]
pub(crate) struct DataFolder {
    /// The node's data folder; by default nelumbo in $XDG_DATA_HOME or in ~/.local/share
    #[arg(long, value_name = "DIR", env = "NELUMBO_DATA")]
    data: Option<PathBuf>,
}

impl DataFolder {
    /// Where it is, whether it is there or not.
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        // As the XDG base directory specification has it: what is not absolute does not count.
        let absolute = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let default = || absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
        self.data.clone().or_else(|| Some(default()?.join("nelumbo"))).ok_or_else(|| {
            Failure::input("there is no home folder to keep a node's data in", "say with --data where it is to be")
        })
    }

    /// A folder for a new node, which nobody else makes there meanwhile.
    pub(crate) fn create(&self) -> Result<(Folder, Lock), Failure> {
        Folder::create(self.path()?)
    }

    /// The folder of a node that has been made.
    pub(crate) fn open(&self) -> Result<Folder, Failure> {
        Folder::open(self.path()?)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// The right to run a node on a folder, or to make one in it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Folder {
    /// Makes a folder, or takes one that holds no node yet.
    fn create(path: PathBuf) -> Result<(Self, Lock), Failure> {
        Server::check_path(&path)?;
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|error| cannot("make", &path, &error))?;
        let folder = Self { path };
        folder.check_owner_only()?;
        let path = folder.path.display();
        if folder.key().exists() {
            return Err(Failure::input(
                format_args!("{} exists: the folder is a node's already", folder.key().display()),
                format_args!("start it with `nelumbo node --data {path}`, or choose another --data"),
            ));
        }
        let lock = folder.lock()?;
        for file in [folder.new_key(), folder.config(), folder.identity()].into_iter().filter(|file| file.exists()) {
            if !folder.unfinished().exists() {
                return Err(Failure::input(
                    format_args!(
                        "{} exists, but no signer.key: the folder is a node's without its key",
                        file.display()
                    ),
                    "restore signer.key from a backup, or choose another --data",
                ));
            }
            fs::remove_file(&file).map_err(|error| cannot("remove", &file, &error))?;
        }
        File::create(folder.unfinished()).map_err(|error| cannot("write", &folder.unfinished(), &error))?;
        Ok((folder, lock))
    }

    /// The key is written: the folder is a node's from here on.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        fs::rename(self.new_key(), self.key()).map_err(|error| cannot("write", &self.key(), &error))?;
        private_file::sync_folder(&self.path).map_err(|error| cannot("write", &self.path, &error))?;
        // It means nothing beside a key.
        let _ = fs::remove_file(self.unfinished());
        Ok(())
    }

    /// The folder of a node that has been made.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Failure> {
        let folder = Self { path };
        match folder.key().try_exists() {
            Ok(true) => {}
            Ok(false) => {
                let path = folder.path.display();
                let init = format!("make one with `nelumbo node init --data {path}`, or choose another --data");
                return Err(if folder.identity().exists() && !folder.unfinished().exists() {
                    Failure::input(
                        format_args!("the signer.key of the node in {path} is missing"),
                        "restore it from a backup, or choose another --data",
                    )
                } else {
                    Failure::input(format_args!("there is no node in {path}"), init)
                });
            }
            Err(error) => return Err(cannot("read", &folder.path, &error)),
        }
        folder.check_owner_only()?;
        Ok(folder)
    }

    fn check_owner_only(&self) -> Result<(), Failure> {
        let metadata = fs::metadata(&self.path).map_err(|error| cannot("read", &self.path, &error))?;
        let path = self.path.display();
        match private_file::open_to_others(&metadata) {
            None => Ok(()),
            Some(mode) => Err(Failure::input(
                format_args!("the data folder {path} is open to others (mode {mode:o})"),
                format_args!("run `chmod 700 {path}`, and replace the key if others may have read it"),
            )),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The signing key, in the format of key files.
    pub(crate) fn key(&self) -> PathBuf {
        self.path.join("signer.key")
    }

    /// The signing key before the folder is a node's.
    pub(crate) fn new_key(&self) -> PathBuf {
        self.path.join("signer.key.new")
    }

    /// Is there while a node is being made.
    fn unfinished(&self) -> PathBuf {
        self.path.join("init.unfinished")
    }

    /// What the operator has set.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    fn identity(&self) -> PathBuf {
        self.path.join("identity")
    }

    /// Writes a new file for the owner alone.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), Failure> {
        private_file::create(path, content).map_err(|error| cannot("write", path, &error))
    }

    /// Draws the node's identity on the network, and keeps it in libp2p's own encoding of keys.
    pub(crate) fn create_identity(&self, entropy: &mut Entropy) -> Result<Keypair, Failure> {
        let secret = Zeroizing::new(entropy.bytes32());
        let identity = Keypair::ed25519_from_bytes(*secret).expect("any 32 bytes are an Ed25519 key");
        let encoded = Zeroizing::new(identity.to_protobuf_encoding().expect("an Ed25519 key can be encoded"));
        self.write(&self.identity(), &encoded)?;
        Ok(identity)
    }

    /// The node's identity on the network.
    pub(crate) fn read_identity(&self) -> Result<Keypair, Failure> {
        let path = self.identity();
        let mut encoded = Zeroizing::new(Vec::with_capacity(1024));
        File::open(&path)
            .and_then(|file| file.take(1024).read_to_end(&mut encoded))
            .map_err(|error| cannot("read", &path, &error))?;
        Keypair::from_protobuf_encoding(&encoded).map_err(|error| {
            Failure::input(
                format_args!("{} holds no identity: {error}", path.display()),
                "restore it from a backup; without one remove it and start a node in a new folder with the same key",
            )
        })
    }

    /// The key that the node says things with, where its signing key delegates: sealed as the signing key is, and drawn
    /// when it is first needed. Another one does as well: nothing depends on it but what it has been delegated to.
    pub(crate) fn message_key(&self, network: Network, passphrase: Option<&Passphrase>) -> Result<SecretKey, Failure> {
        let path = self.path.join("message.key");
        if path.exists() {
            let of_another = |_: Failure| {
                Failure::input(
                    format_args!("{} cannot be opened with the passphrase of signer.key", path.display()),
                    "remove it: the node draws another one, and the signing key delegates to that",
                )
            };
            return key_file::read(&path)?.open(passphrase).map_err(of_another);
        }
        let entropy = nelumbo_tokio::fresh_entropy();
        let mut entropy = entropy.map_err(|error| Failure::input(error, "try again later"))?;
        let (key, new) = (SecretKey::generate(&mut entropy), self.path.join("message.key.new"));
        // Of a start that was cut short.
        let _ = fs::remove_file(&new);
        key_file::create(&new, network, &key, passphrase.map(|passphrase| (passphrase, &mut entropy)))?;
        fs::rename(&new, &path).map_err(|error| cannot("write", &path, &error))?;
        private_file::sync_folder(&self.path).map_err(|error| cannot("write", &self.path, &error))?;
        Ok(key)
    }

    /// Takes the folder for this process. The file stays: what counts is the lock on it, which dies with the process.
    pub(crate) fn lock(&self) -> Result<Lock, Failure> {
        let path = self.path.join("lock");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|error| cannot("open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // Only to help people; without it they still know that there is one.
                let _ = file.take(16).read_to_string(&mut process);
                return Err(Failure::input(
                    format_args!("a node is running in {} already, as process {process}", self.path.display()),
                    format_args!(
                        "stop it with `nelumbo stop --data {}`, or choose another --data",
                        self.path.display()
                    ),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &path, &error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(|error| cannot("write", &path, &error))?;
        Ok(Lock { _file: file })
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::input(format_args!("cannot {what} {}: {error}", path.display()), "choose a --data that is yours to use")
}
