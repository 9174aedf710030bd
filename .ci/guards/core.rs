//! Breaks every rule of core/clippy.toml once. Compiled by the gate only, in a scratch package beside a copy of that
//! file, to see that each rule is reported.
#![allow(unused_imports, unused_must_use, dead_code, path_statements, clippy::all)]
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod types {
    use getrandom::SysRng as _;
    use hashbrown::DefaultHashBuilder as _;
    use hashbrown::HashMap as _;
    use hashbrown::HashSet as _;
    use rand::rngs::ThreadRng as _;
    use std::collections::HashMap as _;
    use std::collections::HashSet as _;
    use std::fs::File as _;
    use std::hash::DefaultHasher as _;
    use std::hash::RandomState as _;
    use std::net::TcpListener as _;
    use std::net::TcpStream as _;
    use std::net::UdpSocket as _;
    use std::process::Command as _;
    use std::sync::Mutex as _;
    use std::sync::RwLock as _;
    use std::thread::JoinHandle as _;
    use std::time::Instant as _;
    use std::time::SystemTime as _;
}

fn methods() {
    std::time::Instant::now;
    std::time::Instant::elapsed;
    std::time::SystemTime::now;
    std::time::SystemTime::elapsed;
    std::thread::spawn::<fn(), ()>;
    std::thread::scope::<fn(&std::thread::Scope<'_, '_>), ()>;
    std::thread::sleep;
    std::thread::current;
    std::thread::park;
    std::thread::yield_now;
    std::thread::available_parallelism;
    std::env::var::<&str>;
    std::env::var_os::<&str>;
    std::env::args;
    std::fs::read::<&str>;
    std::fs::write::<&str, &str>;
    std::process::id;
    std::process::exit;
    std::process::abort;
    getrandom::fill;
    getrandom::u32;
    getrandom::u64;
    <u32 as crypto_common::Generate>::generate;
    <u32 as crypto_common::Generate>::try_generate;
    rand::rng;
    rand::random::<u8>;
}
