//! A group of two of our nodes and a signer of another make: `@scure/btc-signer` of npm. They finish a transaction by
//! files, and the PSBT class of `hwi` on PyPI takes every file.
//!
//! The signer is a Node.js process (`tests/psbt-signers/cosigner.mjs`), the referee one of Python
//! (`tests/psbt-signers/referee.py`). Needs both, and `npm ci` and `pip install` as they say, therefore the feature
//! `psbt-signers`.

mod bitcoin_support;
mod cli_support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bitcoin_support::{judge, wallet};
use cli_support::node::Node;

fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("psbt-signers")
}

/// The signer of another make.
struct Cosigner {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Cosigner {
    fn start() -> (Self, String) {
        assert!(packages().join("node_modules").is_dir(), "run `npm ci` in tests/psbt-signers first");
        let mut node = Command::new("node");
        node.arg(packages().join("cosigner.mjs")).arg("07".repeat(32)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = node.spawn().expect("Node.js is installed");
        let (input, output) = (process.stdin.take().expect("piped"), process.stdout.take().expect("piped"));
        let mut this = Self { process, input, output: BufReader::new(output) };
        let key = this.line();
        (this, key)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it speaks");
        line.trim().to_owned()
    }

    /// Gives it a PSBT, and writes what it makes of it to a file.
    fn pass(&mut self, from: &str, to: &str) {
        let psbt = fs::read_to_string(from).expect("it was written");
        writeln!(self.input, "{}", psbt.trim()).expect("it listens");
        fs::write(to, self.line()).expect("there is room");
    }
}

impl Drop for Cosigner {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

#[test]
fn a_signer_of_another_make_and_two_of_ours_finish_a_transaction_by_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut nodes: Vec<Node> = ["alice", "bob"].iter().map(|name| Node::init(&folder.path().join(name), &[])).collect();
    nodes.iter_mut().for_each(|node| drop(node.start()));
    let (mut cosigner, key) = Cosigner::start();
    let made = nodes[0].json(&["group", "create", "savings", &nodes[1].key, &key, "--suite", "bip340"]);
    fs::write(path("group"), nodes[0].run(&["group", "export", "savings"]).stdout).unwrap();
    assert_eq!(nodes[1].run(&["group", "import", &path("group"), "--yes"]).status, 0);

    let psbt = wallet(made["address"].as_str().unwrap(), &[50_000, 60_000], 80_000);
    fs::write(path("pay"), psbt.to_base64()).unwrap();
    let export = |node: usize, out: &str| {
        nodes[node].json(&["psbt", "export", &path("pay"), "--group", "savings", "--out", &path(out)])
    };
    assert_eq!((&export(0, "a1")["stage"], &export(1, "b1")["stage"]), (&"nonces".into(), &"nonces".into()));
    cosigner.pass(&path("a1"), &path("c1"));
    let import = |node: usize, files: [&str; 3], out: &str| {
        let files = files.map(path);
        let [one, two, three] = files.each_ref().map(String::as_str);
        nodes[node].json(&["psbt", "import", one, two, three, "--out", &path(out)])
    };
    assert_eq!(import(0, ["a1", "b1", "c1"], "a2")["stage"], "partials");
    cosigner.pass(&path("a2"), &path("c2"));
    // The last one who signs has the signature.
    assert_eq!(import(1, ["a2", "b1", "c2"], "b2")["stage"], "signed");
    let final_transaction = nodes[0].run(&["psbt", "finalize", &path("b2")]).stdout;
    let bytes = hex::decode(final_transaction.trim()).expect("hexadecimal");
    assert_eq!(judge(&bytes, &psbt.spent().expect("two outputs")), Ok(()));

    let library = packages().join("python");
    assert!(
        library.join("hwilib").is_dir(),
        "run pip as tests/psbt-signers/referee.py says, with --target {library:?}"
    );
    let mut referee = Command::new("python3");
    referee.arg(packages().join("referee.py")).env("PYTHONPATH", library).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut referee = referee.spawn().expect("Python is installed");
    let mut input = referee.stdin.take().expect("piped");
    for name in ["pay", "a1", "b1", "c1", "a2", "c2", "b2"] {
        writeln!(input, "{}", fs::read_to_string(path(name)).unwrap().trim()).expect("it listens");
    }
    drop(input);
    let said = referee.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "7 taken");
}
