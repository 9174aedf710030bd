//! The demonstration in the build that README.md gives people, with all that it can be asked for: what it prints is one
//! JSON object, and the Lotus wallet SDK `xpi-ts` accepts what it signed.
//!
//! Takes an optimised build, Node.js and `npm --prefix tests/xpi-ts ci`, therefore the feature `gate`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs the demonstration and has it judged; what is wrong, if something is.
fn fault(folder: &Path, options: &[&str]) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    let demo = nelumbo_tests::cargo()
        .args(["run", "--locked", "--release", "--", "demo", "--json"])
        .args(options)
        .current_dir(root)
        .output()
        .expect("cargo runs");
    if !demo.status.success() {
        return Some(format!("{}\n{}", demo.status, String::from_utf8_lossy(&demo.stderr)));
    }
    let printed = folder.join("demo.json");
    fs::write(&printed, demo.stdout).expect("a file can be written");
    let judge = Command::new("node")
        .arg(root.join("tests/xpi-ts/check-demo.mjs"))
        .arg(printed)
        .args(options)
        .output()
        .expect("Node.js is installed");
    (!judge.status.success()).then(|| String::from_utf8_lossy(&judge.stderr).into_owned())
}

#[test]
fn every_demonstration_signs_what_xpi_ts_accepts() {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let pairs = ["lotus", "bip340"].iter().flat_map(|suite| ["tcp", "quic", "ws"].map(|transport| (suite, transport)));
    let mut variants: Vec<String> = pairs
        .flat_map(|(suite, transport)| {
            ["", " --processes"].map(|more| format!("--suite {suite} --transport {transport}{more}"))
        })
        .collect();
    let others = [
        "",
        "--signers 10 --processes",
        "--signers 5 --kill-coordinator",
        "--signers 5 --kill-coordinator 4 --processes",
        "--discover --signers 5 --processes",
        "--signers 30",
    ];
    variants.extend(others.map(str::to_owned));
    let faults: Vec<String> = variants
        .iter()
        .filter_map(|variant| {
            let options: Vec<&str> = variant.split_whitespace().collect();
            fault(folder.path(), &options).map(|fault| format!("demo {variant}: {fault}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
