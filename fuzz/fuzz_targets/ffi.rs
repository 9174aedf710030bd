//! The target `ffi`, driven by libFuzzer. Its body is in `src/`, where tests drive it too.
#![no_main]

use nelumbo_fuzz::{Input, Target};

libfuzzer_sys::fuzz_target!(|input: Input<{ Target::Ffi as usize }>| input.play());
