//! A fixed list of seeds, each of which draws a world of its own, with real cryptography: no checker finds anything.
//! And one seed gives one trace, in debug and release builds, in processes of their own, with one thread and with two,
//! and in global order.
//!
//! Takes an optimised build, therefore the feature `gate`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const SEEDS: u64 = 2_000;
const COMPARED: usize = 50;

/// Has cargo build the program, with the features that the rest of the gate builds it with.
fn built(profile: &str, command: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    let test = std::env::current_exe().expect("a running test has a file");
    let folder = test.ancestors().nth(3).expect("tests are three folders below the build folder");
    let status = nelumbo_tests::cargo()
        .args(command)
        .args(["--locked", "--target-dir"])
        .arg(folder)
        .current_dir(root)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "cargo built the program");
    folder.join(profile).join(format!("nelumbo{}", std::env::consts::EXE_SUFFIX))
}

/// What each seed came to.
fn swarm(program: &Path, seeds: u64, options: &[&str]) -> Vec<Value> {
    let seeds = format!("0..{seeds}");
    let run = Command::new(program)
        .args(["simulate", "swarm", "--json", "--seeds", &seeds])
        .args(options)
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&run.stderr);
    let results: Vec<Value> = String::from_utf8_lossy(&run.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{said}")))
        // Not what they come to together.
        .filter(|result: &Value| result.get("seed").is_some())
        .collect();
    let found: Vec<&Value> = results.iter().filter(|result| result["violations"] != Value::Array(vec![])).collect();
    assert!(run.status.success() && found.is_empty(), "{}: {found:?}\n{said}", run.status);
    results
}

fn traces(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["trace_hash"].as_str().expect("a trace has a hash")).collect()
}

#[test]
fn no_checker_finds_anything_and_one_seed_gives_one_trace() {
    let release = built("release", &["build", "--release"]);
    let debug = built("debug", &["test", "--workspace", "--no-run", "--test", "help"]);
    let results = swarm(&release, SEEDS, &[]);
    assert_eq!(results.len() as u64, SEEDS, "each seed was simulated");
    let expected = &traces(&results)[..COMPARED];
    for (program, options) in
        [(&release, &["--threads", "2"][..]), (&release, &["--sequential"]), (&debug, &["--threads", "1"])]
    {
        let again = swarm(program, COMPARED as u64, options);
        assert_eq!(traces(&again), expected, "{} {options:?}", program.display());
    }
}
