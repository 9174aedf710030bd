//! Gives a target inputs that are drawn at random, without a fuzzer and its instrumentation, which arithmetic is slow
//! under: `cargo run --manifest-path fuzz/Cargo.toml --example draw -- TARGET INPUTS [SEED]`.
//!
//! The same seed draws the same inputs. One that breaks a promise is written to `fuzz/artifacts/TARGET/drawn`.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::Instant;

use nelumbo_fuzz::Target;
use quickcheck::{Arbitrary, Gen};

/// How long an input is at most.
const LONGEST: usize = 800;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "draw TARGET INPUTS [SEED]";
    let name = arguments.first().ok_or(usage)?;
    let target = Target::ALL.iter().find(|target| target.name() == name).ok_or_else(|| format!("no target {name}"))?;
    let inputs: u64 = arguments.get(1).ok_or(usage)?.parse().map_err(|error| format!("INPUTS: {error}"))?;
    let seed = arguments.get(2).map_or(Ok(1), |seed| seed.parse()).map_err(|error| format!("SEED: {error}"))?;
    let (mut gen_, began) = (Gen::from_size_and_seed(LONGEST, seed), Instant::now());
    for number in 1..=inputs {
        let length = usize::arbitrary(&mut gen_) % (LONGEST + 1);
        let data: Vec<u8> = (0..length).map(|_| u8::arbitrary(&mut gen_)).collect();
        if catch_unwind(|| target.run(&data)).is_err() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
            fs::create_dir_all(&folder)
                .and_then(|()| fs::write(folder.join("drawn"), &data))
                .map_err(|e| e.to_string())?;
            return Err(format!("input {number} of seed {seed} breaks a promise: {}", target.show(&data)));
        }
        if number % (inputs / 20).max(1) == 0 {
            println!("{number} inputs, {:.0} a second", number as f64 / began.elapsed().as_secs_f64());
        }
    }
    println!("{inputs} inputs of seed {seed}: nothing found");
    Ok(())
}
