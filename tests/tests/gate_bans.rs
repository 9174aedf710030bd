//! Every rule of `core/clippy.toml` is reported when code breaks it.
//!
//! Clippy takes an entry that names nothing without a word, so `.ci/guards/core.rs` breaks each of them once. Needs
//! clippy and the registry, therefore the feature `gate`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The newest version of a crate in the lock file.
fn locked(lock: &str, crate_name: &str) -> String {
    let name = format!("name = \"{crate_name}\"");
    let mut versions: Vec<Vec<u64>> = lock
        .split("[[package]]")
        .filter(|package| package.lines().any(|line| line == name))
        .filter_map(|package| package.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"')))
        .map(|version| version.split('.').map(|part| part.parse().expect("a released version")).collect())
        .collect();
    versions.sort();
    let newest = versions.pop().unwrap_or_else(|| panic!("{crate_name} is not in Cargo.lock"));
    newest.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

/// What stands between two texts, wherever they surround something.
fn between(text: &str, before: &str, after: &str) -> BTreeSet<String> {
    text.split(before).skip(1).filter_map(|rest| Some(rest.split_once(after)?.0.to_owned())).collect()
}

#[test]
fn every_ban_is_reported_when_code_breaks_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    let lock = fs::read_to_string(root.join("Cargo.lock")).expect("the lock file can be read");
    let probe = tempfile::tempdir().expect("there is room for a package");
    let dependencies = [
        ("crypto-common", "getrandom"),
        ("getrandom", "sys_rng"),
        ("hashbrown", "default-hasher"),
        ("rand", "thread_rng"),
    ];
    let dependencies = dependencies.map(|(name, feature)| {
        format!("{name} = {{ version = \"={}\", features = [\"{feature}\"] }}\n", locked(&lock, name))
    });
    let manifest = format!(
        "[package]\nname = \"bans\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{}",
        dependencies.concat()
    );
    fs::create_dir(probe.path().join("src")).expect("a folder can be made");
    fs::write(probe.path().join("Cargo.toml"), manifest).expect("a file can be written");
    fs::copy(root.join("core/clippy.toml"), probe.path().join("clippy.toml")).expect("the rules can be copied");
    fs::copy(root.join(".ci/guards/core.rs"), probe.path().join("src/lib.rs")).expect("the code can be copied");

    let clippy = nelumbo_tests::cargo()
        .args(["clippy", "--quiet", "--target-dir", "target"])
        .current_dir(probe.path())
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&clippy.stderr);
    let read = |path| fs::read_to_string(root.join(path)).expect("the rules can be read");
    let rules = read("core/clippy.toml");
    assert_eq!(rules, read("crypto/clippy.toml"), "the cryptography is under the core's bans");
    let banned = between(&rules, "path = \"", "\"");
    let reported: BTreeSet<String> = ["type", "method"]
        .iter()
        .flat_map(|kind| between(&said, &format!("use of a disallowed {kind} `"), "`"))
        .collect();
    assert!(!banned.is_empty(), "the rules name what they ban");
    assert_eq!(banned, reported, "what is banned, and what clippy reports; it says:\n{said}");
}
