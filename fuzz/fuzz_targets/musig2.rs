//! The target `musig2`, driven by libFuzzer. Its body is in `src/`, where the stable replay drives it too.
#![no_main]

use nelumbo_fuzz::{Input, Target};

libfuzzer_sys::fuzz_target!(|input: Input<{ Target::Musig2 as usize }>| input.play());
