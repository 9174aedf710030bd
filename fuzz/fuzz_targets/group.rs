//! The target `group`, driven by libFuzzer. Its body is in `src/`, where the stable replay drives it too.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nelumbo_fuzz::Target::Group.run(data));
