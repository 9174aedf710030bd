//! A signer in a process of its own, over a Unix socket, which asks its person before it signs.
//!
//! `cargo run -p nelumbo-core --example device`. The node of Alice has no key but one for messages: it hands its
//! requests to the device, which shows what they would sign, and goes on with everything else until the person has
//! answered. First of all the device is asked to let that message key speak, for a month; of everything else that the
//! node says it hears nothing. The device has nothing but the requests to go by, and keeps its nonces in memory.
//!
//! `--delay 20` plays the person: it says yes to everything after so many seconds; `--delay never` does not answer, and
//! `--delay rent=60,0` takes a minute for whatever has "rent" in it. `--signing-delay 2` is the device's own time.
#![allow(clippy::print_stdout, reason = "the screen of the device")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a host and a device have what the core may not"
)]

mod host;
mod stand_in;
#[cfg(test)]
mod tests;

use std::os::unix::net::UnixListener;
use std::time::Duration;

use nelumbo_core::api::Phase;
use nelumbo_core::crypto::SecretKey;

use host::{Attached, World};

/// Where a device is told to connect to.
const SOCKET: &str = "NELUMBO_DEVICE";

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).expect("a small number is a key")
}

fn main() {
    if let Ok(socket) = std::env::var(SOCKET) {
        return stand_in::run(&socket);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut settings = Vec::new();
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--delay" => settings.push((stand_in::DELAYS, value.as_str())),
            [name, value] if name == "--signing-delay" => settings.push((stand_in::SIGNING, value.as_str())),
            _ => return println!("device [--delay SECONDS|never|TEXT=SECONDS,…] [--signing-delay SECONDS]"),
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("device").display().to_string();
    let listener = UnixListener::bind(&socket).expect("a socket");
    let device = Attached::start(&listener, &socket, &[], &settings, false);
    println!("Alice's node wants to speak for her. Her device:");
    let mut world = World::new(device, Duration::from_secs(24 * 60 * 60));
    world.ask(b"what both have agreed to");
    println!("Bob asks Alice to sign. Her device:");
    world.until(|world| {
        let has_ended = |phase| matches!(phase, Phase::Failed | Phase::Complete);
        world.nodes[0].view().sessions().any(|session| has_ended(session.phase))
    });
    match world.signature(b"what both have agreed to") {
        Some(signature) => println!("Both have signed: {signature}"),
        None => println!("The device has declined, and there is no signature."),
    }
    world.device.take().into_iter().for_each(Attached::kill);
}
