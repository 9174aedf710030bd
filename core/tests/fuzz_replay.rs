//! Everything that fuzzing has found, and the seeds that it begins with, without a fuzzer.
//!
//! The targets are those of `fuzz/`, included as they stand; `docs/src/fuzzing.md` says how a finding gets here.

// Written for a library of their own.
#[allow(unreachable_pub)]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fuzz::{Open, Target, outcomes, run_strictly, seeds};
use nelumbo_core::wire::Message;

fn folder(kind: &str, target: Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(kind).join(target.folder())
}

/// The inputs of this kind for a target, by name.
#[expect(clippy::disallowed_methods, reason = "what is replayed lies in files")]
fn inputs(kind: &str, target: Target) -> Vec<(String, Vec<u8>)> {
    // A target that nothing was found with has no folder.
    let Ok(entries) = std::fs::read_dir(folder(kind, target)) else { return Vec::new() };
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("the entry can be read").path();
            let name = path.file_name().expect("files have names").to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect();
    inputs.sort();
    inputs
}

/// Runs a target and says on which file it fails.
fn run(target: Target, name: &str, data: &[u8]) {
    let failed = catch_unwind(|| target.run(data)).is_err();
    assert!(!failed, "{} fails on {}/{name}", target.name(), target.folder());
}

#[test]
fn what_was_found_stays_fixed_and_what_is_open_still_fails() {
    for target in Target::ALL {
        for (name, data) in inputs("findings", target) {
            run(target, &name, &data);
        }
    }
    for open in Open::ALL {
        assert!(open.is_forgiven(), "outside of a strict run a campaign goes on behind it");
        let (target, name) = open.file();
        let (_, data) = inputs("findings", target)
            .into_iter()
            .find(|(found, _)| found == name)
            .expect("every finding has its file");
        let fails = catch_unwind(|| run_strictly(open, &data)).is_err();
        assert!(fails, "{open:?} does not fail any more: delete it from fuzz/src/open.rs, and keep its file");
    }
}

#[test]
fn every_seed_holds() {
    for target in Target::ALL {
        let seeds = inputs("seeds", target);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name());
        for (name, data) in seeds {
            run(target, &name, &data);
        }
    }
}

const WRITE_SEEDS: &str = "write the seeds anew: cargo run --manifest-path fuzz/Cargo.toml --example seeds";

#[test]
fn the_seeds_are_those_that_the_program_writes() {
    let written: BTreeSet<_> =
        seeds().into_iter().map(|(target, name, _)| (target.folder(), name.to_owned())).collect();
    let kept: BTreeSet<_> = Target::ALL
        .into_iter()
        .flat_map(|target| inputs("seeds", target).into_iter().map(move |(name, _)| (target.folder(), name)))
        .collect();
    assert_eq!(written, kept, "{WRITE_SEEDS}");
    for (name, data) in inputs("seeds", Target::Decode) {
        assert!(Message::decode(data.into()).is_ok(), "the seed {name} is no message any more; {WRITE_SEEDS}");
    }
}

/// A fuzzer whose scripts never get to a signature, or never to a failure, would find nothing behind them.
#[test]
fn the_scripts_get_where_they_should() {
    for (name, played, expected) in outcomes() {
        assert_eq!(played, expected, "{name}: see SCRIPTS in fuzz/src/seeds.rs");
    }
}
