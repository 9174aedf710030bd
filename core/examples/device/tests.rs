//! Devices that are slow, silent, killed and restarted.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nelumbo_core::api::{Input, Phase, SignReply, SignRequest};
use nelumbo_core::crypto::{Network, SignerError};
use nelumbo_core::single::{Single, SingleId, Statement};

use crate::host::{Attached, World, boot, peer};
use crate::{SOCKET, stand_in};

/// For how long the other side of a pipe is waited for before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// The device of the tests: this program again, with a socket to connect to.
#[test]
fn as_device() {
    if let Ok(socket) = std::env::var(SOCKET) {
        stand_in::run(&socket);
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    socket: String,
    listener: UnixListener,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("device").display().to_string();
        let listener = UnixListener::bind(&socket).expect("a socket");
        Self { _folder: folder, socket, listener }
    }

    fn start(&self) -> Attached {
        self.start_with(&[])
    }

    fn start_with(&self, settings: &[(&str, &str)]) -> Attached {
        // The device of the tests: this program again.
        let arguments = ["tests::as_device", "--exact", "--nocapture"];
        Attached::start(&self.listener, &self.socket, &arguments, settings, true)
    }
}

#[test]
fn a_person_who_takes_long_holds_up_nothing_else() {
    let bench = Bench::new();
    let mut world = World::new(bench.start(), PATIENCE);
    world.ask(b"one");
    world.until(|world| world.screens.len() == 1);
    world.ask(b"two");
    world.until(|world| world.screens.len() == 2);
    world.device.as_mut().unwrap().press("y 3");
    world.until(|world| world.signature(b"two").is_some());
    assert_eq!(world.signature(b"one"), None, "nobody has answered");
    world.device.as_mut().unwrap().press("y 2");
    world.until(|world| world.signature(b"one").is_some());
    world.ask(b"three");
    world.until(|world| world.screens.len() == 3);
    world.device.as_mut().unwrap().press("n 4");
    let has_failed = |world: &World| {
        let view = world.nodes[0].view();
        view.sessions().any(|session| session.phase == Phase::Failed)
    };
    world.until(has_failed);
    world.device.take().unwrap().kill();
}

#[test]
fn a_device_that_is_killed_at_any_step_loses_nothing_and_shows_no_nonce_twice() {
    let bench = Bench::new();
    let message = b"agreed";
    for step in 0..4 {
        let mut world = World::new(bench.start(), PATIENCE);
        let of_nonce = |world: &World| world.shown.len() == 1;
        world.ask(message);
        world.until(|world| world.screens.len() == 1);
        if step > 0 {
            // Its own nonce is the last that is missing, so that what follows is the request for the partial signature.
            world.device.as_mut().unwrap().press("y 2");
            world.until(of_nonce);
        }
        match step {
            2 => world.until(|world| world.signature(message).is_some()),
            3 => {
                // The node is killed instead, and the device lives on.
                world.nodes[0] = boot(0, 2, world.now, &world.journals[0]);
                world.flight.clear();
                world.input(1, Input::Disconnected(peer(0)));
                world.drain(0);
                world.connect();
            }
            _ => {}
        }
        if step < 3 {
            world.device.take().unwrap().kill();
            world.device = Some(bench.start());
            world.input(0, Input::SignerReady);
        }
        world.says_yes = true;
        world.until(|world| world.signature(message).is_some());
        let distinct: BTreeSet<_> = world.shown.values().collect();
        assert_eq!(distinct.len(), world.shown.len(), "step {step}: {:?}", world.shown);
        world.device.take().unwrap().kill();
    }
}

/// The person takes twenty seconds for one thing and never answers another; the device itself takes a while too.
#[test]
fn a_device_that_takes_twenty_seconds_or_never_answers_slows_nothing_else() {
    let bench = Bench::new();
    let settings = [(stand_in::DELAYS, "slow=20,silent=never"), (stand_in::SIGNING, "0.05")];
    let mut world = World::new(bench.start_with(&settings), PATIENCE);
    world.ask(b"slow");
    world.ask(b"silent");
    world.until(|world| world.screens.len() == 2);
    // What is asked after them is signed before them.
    for message in [&b"rent"[..], b"bread", b"wine"] {
        world.ask(message);
        world.until(|world| world.signature(message).is_some());
    }
    // The node goes on with everything else that time brings.
    let before = world.nodes[0].view().own_records();
    world.pass(Duration::from_secs(5 * 60));
    assert_eq!(world.nodes[0].view().own_records(), before);
    assert_eq!([world.signature(b"slow"), world.signature(b"silent")], [None; 2]);
    let owes = |world: &World| {
        let view = world.nodes[0].view();
        view.sessions().filter(|session| session.signer_owes.is_some()).count()
    };
    assert_eq!(owes(&world), 2);
    world.until(|world| world.signature(b"slow").is_some());
    assert_eq!(owes(&world), 1);
    // Whom nobody answers, expires: two hours later, and for that alone.
    world.pass(Duration::from_secs(2 * 60 * 60));
    assert_eq!(owes(&world), 0);
    assert_eq!(world.signature(b"silent"), None);
    world.ask(b"more bread");
    world.until(|world| world.signature(b"more bread").is_some());
    world.device.take().unwrap().kill();
}

#[test]
fn a_device_is_asked_for_sessions_and_one_delegation_and_for_no_message() {
    let bench = Bench::new();
    let mut world = World::new(bench.start(), PATIENCE);
    world.says_yes = true;
    for message in [&b"one"[..], b"two"] {
        world.ask(message);
        world.until(|world| world.signature(message).is_some());
    }
    // A day of presences and more, of which the device hears nothing.
    world.pass(Duration::from_secs(24 * 60 * 60));
    let count = |is: fn(&SignRequest) -> bool| world.requests.iter().filter(|request| is(request)).count();
    assert_eq!(count(|request| matches!(request, SignRequest::Nonces { .. })), 2);
    assert_eq!(count(|request| matches!(request, SignRequest::Partials { .. })), 2);
    assert_eq!(count(|request| matches!(request, SignRequest::Single { .. })), 1);
    let delegation = world.nodes[0].view().delegation().copied().expect("it has one");
    // Asked for something else, it declines without showing it.
    let text = b"I owe you everything".to_vec();
    let statement = Statement { network: Network::Regtest, name: "ownership".parse().expect("a label"), text };
    let (id, single) = (SingleId([7; 32]), Single::Statement(statement).into());
    let shown = world.screens.len();
    let reply = world.device_says(&SignRequest::Single { id, single });
    assert!(matches!(reply, SignReply::Single { signature: Err(SignerError::Declined), .. }), "{reply:?}");
    assert_eq!(world.screens.len(), shown);
    assert_eq!(world.nodes[0].view().message_key(), delegation.mandate.message_key);
    assert_ne!(world.nodes[0].view().own_key(), delegation.mandate.message_key);
    world.device.take().unwrap().kill();
}
