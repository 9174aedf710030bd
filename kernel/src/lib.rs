//! Bitcoin Core's own validation, as the judge of what groups pay: see `tests/regtest.rs`.
