//! What fuzzing has found, the seeds that it begins with, and inputs that quickcheck draws, all without a fuzzer.
//!
//! The targets are those of `fuzz/`, included as they stand; `docs/src/fuzzing.md` says how a finding gets here.

// Written for a library of their own, with a feature of its own.
#[allow(unreachable_pub, unexpected_cfgs)]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fuzz::{Input, Open, Target, findings, outcomes, run_strictly, seeds};
use nelumbo_core::wire::Message;
use quickcheck::{Gen, QuickCheck};

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
    for &target in Target::ALL {
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
    for &target in Target::ALL {
        let seeds = inputs("seeds", target);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name());
        for (name, data) in seeds {
            run(target, &name, &data);
        }
    }
}

const WRITE_SEEDS: &str = "write them anew: cargo run --manifest-path fuzz/Cargo.toml --example seeds";

#[test]
fn the_kept_inputs_are_those_that_the_program_writes() {
    for (kind, written) in [("seeds", seeds()), ("findings", findings())] {
        let kept = Target::ALL.iter().filter(|target| target.folder() == target.name());
        let kept = kept.flat_map(|target| inputs(kind, *target).into_iter().map(|(name, data)| (*target, name, data)));
        let kept: Vec<_> = kept.collect();
        let names = |inputs: &[(Target, String, Vec<u8>)]| -> BTreeSet<_> {
            inputs.iter().map(|(target, name, _)| (target.folder(), name.clone())).collect()
        };
        let written: Vec<_> = written.into_iter().map(|(target, name, data)| (target, name.to_owned(), data)).collect();
        assert_eq!(names(&written), names(&kept), "{kind}: {WRITE_SEEDS}");
        // Bytes have another meaning whenever the language changes; what is recorded depends on the core besides.
        for (target, name, data) in written.iter().filter(|(target, ..)| *target == Target::Script) {
            assert!(inputs(kind, *target).contains(&(name.clone(), data.clone())), "{kind}, {name}: {WRITE_SEEDS}");
        }
    }
    for (name, data) in inputs("seeds", Target::Decode) {
        assert!(Message::decode(data.into()).is_ok(), "the seed {name} is no message any more; {WRITE_SEEDS}");
    }
}

/// So many inputs, as quickcheck draws and shrinks them.
fn quickcheck<const TARGET: usize>(inputs: u64) {
    let holds: fn(Input<TARGET>) -> bool = |input| {
        input.play();
        true
    };
    QuickCheck::new().rng(Gen::new(100)).tests(inputs).quickcheck(holds);
}

#[test]
fn every_target_holds_on_what_quickcheck_draws() {
    quickcheck::<{ Target::Decode as usize }>(2_000);
    quickcheck::<{ Target::Roundtrip as usize }>(2_000);
    quickcheck::<{ Target::NodeBytes as usize }>(30);
    quickcheck::<{ Target::Script as usize }>(200);
    quickcheck::<{ Target::ScriptCurve as usize }>(3);
    quickcheck::<{ Target::Journal as usize }>(50);
    quickcheck::<{ Target::Address as usize }>(1_000);
    quickcheck::<{ Target::Group as usize }>(50);
}

/// What `cargo fuzz fmt` and quickcheck print of an input is what happens in it.
#[test]
fn an_input_shows_its_moves() {
    let (_, _, data) =
        findings().into_iter().find(|(_, name, _)| *name == "closed-then-restarted").expect("it is kept");
    let shown = Target::Script.show(&data);
    assert!(shown.contains("Crash {") && shown.contains("command: Close"), "{shown}");
    let (_, data) = inputs("seeds", Target::Decode).into_iter().find(|(name, _)| name == "join").expect("a seed");
    assert!(Target::Decode.show(&data).contains("Join {"));
}

/// A fuzzer whose scripts never get to a signature, or never to a failure, would find nothing behind them.
#[test]
fn the_scripts_get_where_they_should() {
    for (name, played, expected) in outcomes() {
        assert_eq!(played, expected, "{name}: see fuzz/src/scripts.rs");
    }
}
