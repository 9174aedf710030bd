//! The HTTP API of a node that runs is what its description says: schemathesis makes thousands of requests of it, sound
//! and not, and finds nothing.
#![cfg(unix)]

mod cli_support;

use std::path::Path;
use std::process::Command;

use cli_support::api::Api;

#[test]
fn the_api_does_what_its_description_says_and_refuses_the_rest() {
    let api = Api::start(&[]);
    let token = api.token("all", &["read", "operate", "approve"]);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    // It keeps what it has found where it runs.
    let scratch = tempfile::tempdir().expect("a folder");
    let run = Command::new("python3")
        .args(["-m", "schemathesis.cli", "run", "--no-color", "--max-examples", "50"])
        .arg(tests.join("../docs/openapi.json"))
        .args(["--url", &format!("http://{}", api.address), "--header", &format!("Authorization: Bearer {token}")])
        // Events have no end, and a node that has stopped answers nothing. A token may ask 200 times a second.
        .args(["--exclude-path", "/v1/events", "--exclude-path", "/v1/stop", "--rate-limit", "150/s"])
        // A key, a peer or a session is a text in the description, and whether there is such a one is not.
        .args(["--exclude-checks", "positive_data_acceptance", "--request-timeout", "70", "--seed", "1"])
        .env("PYTHONPATH", tests.join("schemathesis/python"))
        .current_dir(scratch.path())
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    let tested = said.split("Tested: ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok());
    assert!(tested > Some(20), "more than twenty operations are tested: {said}");
    assert!(api.node.json(&["stats"])["started"].is_u64(), "it still runs");
}
