//! No instruction, and no address that is read or written, depends on a secret.
//!
//! valgrind's lackey prints every one of them. Processes that differ in their secret alone must print the same; a
//! computation in variable time, which does not, shows that the trace would tell. One trace that all secrets have in
//! common is enough.

use std::collections::BTreeSet;
use std::env;
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use super::operations::{CONTROL, SIGNER, masked};

/// Nearly all bits clear, the order less one, and one of no shape.
const SECRETS: [[u8; 32]; 3] = [
    {
        let mut one = [0; 32];
        one[31] = 1;
        one
    },
    [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae,
        0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x40,
    ],
    *b"\x3b no shape at all, just letters.",
];

/// How often a secret is used at most. What the kernel answers to a process that starts differs now and then, by an
/// access or two; what depends on a secret differs every time.
const RUNS: usize = 4;

pub(super) fn no_operation_on_a_secret_depends_on_it() {
    let depends = |operations: &str, secrets: &[[u8; 32]]| {
        let mut seen = vec![BTreeSet::new(); secrets.len()];
        (0..RUNS).all(|_| {
            for (traces, secret) in seen.iter_mut().zip(secrets) {
                traces.insert(trace(operations, secret));
            }
            println!("{operations}: {} secrets, traces of (accesses, digest) {seen:?}", secrets.len());
            let (first, others) = seen.split_first().expect("there are secrets");
            first.iter().all(|trace| others.iter().any(|traces| !traces.contains(trace)))
        })
    };
    assert!(depends(CONTROL, &SECRETS[..2]), "the trace does not see what is computed in variable time");
    if depends(&SIGNER.join(","), &SECRETS) {
        let guilty: Vec<_> = SIGNER.into_iter().filter(|operation| depends(operation, &SECRETS)).collect();
        panic!("what the machine does depends on the secret in: {guilty:?}");
    }
}

/// How many instructions and accesses there are, and a digest of where.
fn trace(operations: &str, secret: &[u8; 32]) -> (u64, u64) {
    let child = Command::new("valgrind")
        .args(["--tool=lackey", "--trace-mem=yes", "--basic-counts=no", "--log-fd=2"])
        .arg(env::current_exe().expect("this program has a path"))
        .args(["--perform", operations])
        .arg(std::ffi::OsStr::from_bytes(&masked(secret)))
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("valgrind is installed: apt-get install valgrind");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped"));
    let (mut count, mut digest, mut line) = (0, DefaultHasher::new(), Vec::new());
    while lines.read_until(b'\n', &mut line).expect("it can be read") > 0 {
        // Neither valgrind's own words, which name the process, nor what the loader does before the program's first
        // instruction, which depends on random bytes that the kernel hands over.
        let is_ours = || line.strip_prefix(b"I  00").is_some();
        if (count > 0 || is_ours()) && !line.starts_with(b"==") {
            count += 1;
            digest.write(&line);
        }
        line.clear();
    }
    assert!(child.wait().expect("it ends").success(), "{operations} ended badly");
    (count, digest.finish())
}
