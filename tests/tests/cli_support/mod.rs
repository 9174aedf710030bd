//! Running the real `nelumbo` binary.
//!
//! Owns how the binary is found and what a run of it came to. Invariant: the binary is the one of this build folder and
//! profile. `cargo test --workspace` has built it before any test runs, because its package has a test of its own;
//! where only this package is tested, it is built here.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses the part it needs")]

#[cfg(unix)]
pub mod api;
pub mod node;
#[cfg(unix)]
pub mod proxy;
#[cfg(unix)]
pub mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The binary.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a running test has a file");
        // target/<profile>/deps/<test>
        let profile = test.parent().and_then(Path::parent).expect("tests are two folders below the build folder");
        let binary = profile.join(format!("nelumbo{}", std::env::consts::EXE_SUFFIX));
        if !binary.exists() {
            build(profile);
        }
        assert!(binary.exists(), "{} was not built", binary.display());
        binary
    })
}

fn build(profile: &Path) {
    let folder = profile.parent().expect("a profile's folder is in the build folder");
    let name = profile.file_name().and_then(|name| name.to_str()).expect("profiles have plain names");
    let name = if name == "debug" { "dev" } else { name };
    let built = nelumbo_tests::cargo()
        .args(["build", "--package", "nelumbo", "--bin", "nelumbo", "--profile", name, "--target-dir"])
        .arg(folder)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "cargo built the binary");
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A run that can be told more before it starts.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    for variable in ["RUST_LOG", "NELUMBO_DATA", "NELUMBO_PASSPHRASE", "P2P_MIN_CONNECTIONS", "P2P_MAX_CONNECTIONS"] {
        command.env_remove(variable);
    }
    command
}

/// Runs the binary to its end.
pub fn nelumbo(arguments: &[&str]) -> Run {
    finish(&mut command(arguments))
}

/// Runs a prepared command to its end.
pub fn finish(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    Run {
        status: status.code().expect("no signal ended the run"),
        stdout: String::from_utf8(stdout).expect("standard output is text"),
        stderr: String::from_utf8(stderr).expect("standard error is text"),
    }
}

impl Run {
    /// The one JSON object on standard output of a run that succeeded in silence.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!((self.status, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        assert_eq!(self.stdout.lines().count(), 1, "one line: {}", self.stdout);
        let value: Value = serde_json::from_str(&self.stdout).expect("standard output is JSON");
        assert!(value.is_object(), "{value}");
        value
    }

    /// Asserts that it failed with this exit status and one line that contains every one of these texts.
    #[track_caller]
    pub fn assert_failed(&self, status: i32, texts: &[&str]) {
        assert_eq!((self.status, self.stdout.as_str()), (status, ""), "{}", self.stderr);
        assert!(self.stderr.starts_with("error: ") && self.stderr.ends_with('\n'), "{:?}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "one line: {}", self.stderr);
        assert!(self.stderr.contains("; "), "what to do: {}", self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} in {:?}", self.stderr);
        }
    }

    /// Asserts that the input was refused: nothing on standard output, and on standard error one line that begins with
    /// `error: `, contains every one of these texts, and says what to do.
    #[track_caller]
    pub fn assert_refused(&self, texts: &[&str]) {
        self.assert_failed(2, texts);
    }
}

/// The names of an object's fields, in alphabetical order.
pub fn fields(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}
