//! The target `journal`, driven by libFuzzer. Its body is in `src/`, where the stable replay drives it too.
#![no_main]

use nelumbo_fuzz::{Input, Target};

libfuzzer_sys::fuzz_target!(|input: Input<{ Target::Journal as usize }>| input.play());
