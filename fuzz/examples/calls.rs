//! Plays random inputs of the target `ffi`, and prints every call with what it gave, for another build of the core to
//! be compared with: `bindings/js/test/compare.mjs` reads it.
//!
//! `cargo run --release --manifest-path fuzz/Cargo.toml --example calls -- INPUTS [SEED]`

use std::io::{BufWriter, Write};

use quickcheck::{Arbitrary, Gen};

/// How long an input is at most.
const LONGEST: usize = 800;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let inputs: u64 =
        arguments.first().ok_or("calls INPUTS [SEED]")?.parse().map_err(|error| format!("INPUTS: {error}"))?;
    let seed = arguments.get(1).map_or(Ok(1), |seed| seed.parse()).map_err(|error| format!("SEED: {error}"))?;
    let (mut gen_, mut out) = (Gen::from_size_and_seed(LONGEST, seed), BufWriter::new(std::io::stdout().lock()));
    for _ in 0..inputs {
        let length = usize::arbitrary(&mut gen_) % (LONGEST + 1);
        let data: Vec<u8> = (0..length).map(|_| u8::arbitrary(&mut gen_)).collect();
        for call in nelumbo_fuzz::ffi_calls(&data) {
            writeln!(out, "{call}").map_err(|error| error.to_string())?;
        }
        writeln!(out, "[\"end\"]").map_err(|error| error.to_string())?;
    }
    out.flush().map_err(|error| error.to_string())
}
