//! Tells the program which commit it is built from.
//!
//! In optimised builds only: a debug build would be made anew after each commit. Without a repository, as in a package,
//! nothing is said but what the package says of itself.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=NELUMBO_COMMIT");
    let is_debug = std::env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    let commit = std::env::var("NELUMBO_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = commit.or_else(|| {
        if is_debug {
            return None;
        }
        // A package carries the commit that it was made from.
        if let Ok(text) = std::fs::read_to_string(".cargo_vcs_info.json") {
            let commit = text.split("\"sha1\": \"").nth(1)?.split('"').next()?;
            return Some(commit.chars().take(12).collect());
        }
        // Not of a repository that only happens to hold this folder.
        git(&["ls-files", "--error-unmatch", "build.rs"])?;
        if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
            println!("cargo::rerun-if-changed={log}");
        }
        git(&["rev-parse", "--short=12", "HEAD"])
    });
    let version = std::env::var("CARGO_PKG_VERSION").expect("cargo says it");
    let version = match commit {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=NELUMBO_VERSION={version}");
}
