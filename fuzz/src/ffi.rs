//! Target `ffi`: two machines and a signer behind text, called in any order with any times and any JSON.
//!
//! Invariants: no panic; what a machine says is as the shapes say and is written again as it was; an error has a code
//! and a remedy; a call that fails changes nothing. Texts are put together from pieces of the right ones, so that the
//! fuzzer gets behind the parser, or are any bytes.

use nelumbo_ffi::Error;
use nelumbo_ffi::shapes::{Output, View};
use serde_json::{Value, json};

use super::input::{Bytes, Encode, Number, choose, input};
use super::recorded::{self, Machine, Signer};

/// How many calls are made.
const MAX_CALLS: usize = 48;
/// How often two machines tell each other what they have to say.
const MAX_ROUNDS: usize = 12;
const START: f64 = 1_800_000_000_000.0;
const PEERS: [&str; 2] = ["AAAA", "BBBB"];

input! {
    /// Calls, one after the other.
    pub struct Calls {
        pub(crate) calls: Vec<Call>,
    }

    pub enum Call {
        /// Any text.
        Handle { to: bool, at: Time, text: Bytes },
        Command { to: bool, at: Time, text: Bytes },
        Ask { text: Bytes },
        Describe { text: Bytes },
        Answer { text: Bytes },
        /// A text of the right form.
        Input { to: bool, at: Time, input: Shape, number: Number, bytes: Bytes },
        Wish { to: bool, at: Time, wish: Shape, number: Number, bytes: Bytes },
        /// Everyone hears what everyone has to say, and joins what it is asked for.
        Settle { at: Time },
        /// A machine is made anew from its journal.
        Restart { of: bool },
    }

    /// A time, as a host may have it by mistake.
    pub enum Time {
        Later { ms: u16 },
        Bits { bits: Number },
    }

    /// One of the shapes, by its place.
    pub struct Shape {
        pub(crate) place: u8,
    }
}

/// What begins far inside.
pub(crate) fn seeds() -> Vec<(&'static str, Calls)> {
    let at = || Time::Later { ms: 500 };
    let wish =
        |place| Call::Wish { to: false, at: at(), wish: Shape { place }, number: Number(1), bytes: Bytes(vec![7; 32]) };
    let settle = || Call::Settle { at: at() };
    vec![
        ("session", Calls { calls: vec![settle(), settle(), wish(0), settle(), settle()] }),
        (
            "restart",
            Calls { calls: vec![settle(), settle(), wish(0), settle(), Call::Restart { of: false }, settle()] },
        ),
        ("text", Calls { calls: vec![Call::Ask { text: Bytes(br#"{"type":"version"}"#.to_vec()) }] }),
    ]
}

struct World {
    machines: [Machine; 2],
    keys: [String; 2],
    /// Has the key of the second machine.
    signer: Signer,
    journals: [Vec<(String, Option<String>)>; 2],
    clock: f64,
    boots: u8,
    /// How often a signature was told.
    completed: usize,
}

pub(crate) fn run(calls: &Calls) {
    count(calls);
}

/// Makes the calls; gives how often a signature was told.
fn count(calls: &Calls) -> usize {
    let signer = Signer::new(&[3; 32], &[4; 32]).expect("a key");
    let mut world = World {
        keys: [String::new(), signer.key()],
        machines: [0, 1].map(|place| boot(place, &signer.key(), 1, &[], 0.0)),
        signer,
        journals: [Vec::new(), Vec::new()],
        clock: 0.0,
        boots: 1,
        completed: 0,
    };
    world.keys = world.machines.each_ref().map(|machine| {
        let view: Value = serde_json::from_str(&machine.view()).expect("JSON");
        view["key"].as_str().expect("a key").to_owned()
    });
    world.connect();
    for call in calls.calls.iter().take(MAX_CALLS) {
        world.play(call);
        world.check();
    }
    world.completed
}

fn boot(place: usize, key: &str, boots: u8, records: &[(String, Option<String>)], clock: f64) -> Machine {
    let mut newest = std::collections::BTreeMap::new();
    for (key, value) in records {
        newest.insert(key, value.as_ref());
    }
    let records: Vec<_> = newest.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let mut params = json!({"network": "regtest", "peer": PEERS[place], "records": records});
    if place == 1 {
        params["signing_key"] = key.into();
    }
    Machine::new(&params.to_string(), &[1 + place as u8; 32], &[boots; 32], clock, START + clock)
        .expect("what a machine wants to remember makes a machine")
}

/// What was wrong is said in full.
fn refused<T>(outcome: Result<T, Error>) -> Option<T> {
    outcome.map_err(|error| assert!(!error.code.is_empty() && !error.remedy.is_empty(), "{error:?}")).ok()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(&bytes.0).into_owned()
}

impl World {
    fn time(&mut self, time: &Time) -> f64 {
        match time {
            Time::Later { ms } => {
                self.clock += f64::from(*ms);
                self.clock
            }
            Time::Bits { bits } => f64::from_bits(bits.0),
        }
    }

    fn play(&mut self, call: &Call) {
        match call {
            Call::Handle { to, at, text: bytes } => {
                let at = self.time(at);
                refused(self.machines[usize::from(*to)].handle(at, START + at, &text(bytes)));
            }
            Call::Command { to, at, text: bytes } => {
                let at = self.time(at);
                refused(self.machines[usize::from(*to)].command(at, START + at, &text(bytes)));
            }
            Call::Ask { text: bytes } => {
                refused(recorded::call(&text(bytes)).map(|answer| serde_json::from_str::<Value>(&answer)));
            }
            Call::Describe { text: bytes } => drop(refused(self.signer.describe(&text(bytes)))),
            Call::Answer { text: bytes } => drop(refused(self.signer.answer(&text(bytes)))),
            Call::Input { to, at, input, number, bytes } => {
                let at = self.time(at);
                let inputs = json!([self.input(input.place, number.0, &bytes.0)]).to_string();
                refused(self.machines[usize::from(*to)].handle(at, START + at, &inputs));
            }
            Call::Wish { to, at, wish, number, bytes } => {
                let at = self.time(at);
                let wish = self.wish(wish.place, number.0, &bytes.0).to_string();
                refused(self.machines[usize::from(*to)].command(at, START + at, &wish));
            }
            Call::Settle { at } => {
                self.time(at);
                self.settle();
            }
            Call::Restart { of } => {
                let place = usize::from(*of);
                self.boots = self.boots.wrapping_add(1).max(1);
                self.machines[place] =
                    boot(place, &self.keys[1], self.boots, &self.journals[place], self.clock.min(1e12));
                self.connect();
            }
        }
    }

    fn connect(&mut self) {
        for place in 0..2 {
            let input = json!([{"type": "connected", "peer": PEERS[1 - place]}]).to_string();
            refused(self.machines[place].handle(self.clock.min(1e12), START, &input));
        }
    }

    fn input(&self, place: u8, number: u64, bytes: &[u8]) -> Value {
        let (peer, bytes) = (PEERS[number as usize % 2], hex::encode(bytes));
        match place % 11 {
            0 => json!({"type": "connected", "peer": peer}),
            1 => json!({"type": "disconnected", "peer": peer}),
            2 => json!({"type": "received", "peer": peer, "bytes": bytes}),
            3 => json!({"type": "gossip", "peer": peer, "id": number, "bytes": bytes}),
            4 => json!({"type": "found", "operation": number, "bytes": bytes}),
            5 => json!({"type": "lookup-finished", "operation": number}),
            6 => json!({"type": "put-requested", "peer": peer, "id": number, "key": bytes, "bytes": bytes}),
            7 => json!({"type": "addresses", "addresses": [bytes]}),
            8 => json!({"type": "persisted", "sequence": number}),
            9 => json!({"type": "signer-ready"}),
            _ => json!({"type": "routing-table", "peers": number}),
        }
    }

    fn wish(&self, place: u8, number: u64, bytes: &[u8]) -> Value {
        let bytes = hex::encode(bytes);
        let message = json!([{"type": "message", "message": bytes, "tweak": {"type": "none"}}]);
        match place % 10 {
            0 => json!({"type": "create", "suite": "lotus", "keys": self.keys, "items": message, "allow": ["opaque"]}),
            1 => json!({"type": "create", "suite": "bip340", "keys": self.keys, "items": message, "is_listed": true}),
            2 => json!({"type": "join", "session": bytes, "allow": ["opaque"]}),
            3 => json!({"type": "abort", "session": bytes, "reason": "left"}),
            4 => json!({"type": "advertise", "offer": {"types": ["spend"], "min_amount": number, "nickname": bytes}}),
            5 => json!({"type": "find-signers", "amount": number}),
            6 => json!({"type": "announce-resource", "kind": "x", "name": "y", "data": bytes, "lifetime_ms": number}),
            7 => json!({"type": "ban", "peer": PEERS[number as usize % 2]}),
            8 => {
                let rule = json!({"max_spent": number, "action": {"type": "decline"}});
                json!({"type": "set-policy", "policy": {"rules": [rule]}})
            }
            _ => json!({"type": "find-session", "session": bytes}),
        }
    }

    fn settle(&mut self) {
        // A time that was wrong may be later than this one; a machine takes none for less.
        let at = self.clock.min(1e12);
        for _ in 0..MAX_ROUNDS {
            for place in 0..2 {
                for output in self.poll(place) {
                    self.act(place, &output, at);
                }
            }
        }
    }

    fn poll(&mut self, place: usize) -> Vec<Value> {
        let text = self.machines[place].poll();
        let outputs: Vec<Output> = serde_json::from_str(&text).expect("outputs are as the shapes say");
        assert_eq!(serde_json::to_string(&outputs).expect("JSON"), text, "outputs are written in one way");
        serde_json::from_str(&text).expect("JSON")
    }

    fn act(&mut self, place: usize, output: &Value, at: f64) {
        let (own, other) = (place, 1 - place);
        let machines = &mut self.machines;
        let mut give = |to: usize, input: Value| {
            refused(machines[to].handle(at, START + at, &json!([input]).to_string()));
        };
        match output["type"].as_str().expect("outputs have types") {
            "persist" => {
                give(own, json!({"type": "persisted", "sequence": output["sequence"]}));
                let text = |field: &str| output[field].as_str().map(str::to_owned);
                self.journals[own].push((text("key").expect("records have keys"), text("value")));
            }
            "send" => give(other, json!({"type": "received", "peer": PEERS[own], "bytes": output["bytes"]})),
            "sign" => {
                let reply = self.signer.answer(&output["request"].to_string()).expect("a machine asks soundly");
                let reply: Value = serde_json::from_str(&reply).expect("JSON");
                if !reply.is_null() {
                    give(own, json!({"type": "signed", "reply": reply}));
                }
            }
            "publish" => give(other, json!({"type": "gossip", "peer": PEERS[own], "id": 1, "bytes": output["bytes"]})),
            "event" if output["event"]["type"] == "session-announced" => {
                let join = json!({"type": "join", "session": output["event"]["session"], "allow": ["opaque"]});
                refused(self.machines[own].command(at, START + at, &join.to_string()));
            }
            "event" if output["event"]["type"] == "session-completed" => self.completed += 1,
            _ => {}
        }
    }

    fn check(&self) {
        for machine in &self.machines {
            let text = machine.view();
            let view: View = serde_json::from_str(&text).expect("a view is as the shapes say");
            assert_eq!(serde_json::to_string(&view).expect("JSON"), text, "a view is written in one way");
            assert!(machine.deadline().is_none_or(|at| at.is_finite() && at >= 0.0), "a deadline is a time");
        }
        assert_eq!(refused(recorded::call("{")), None);
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::{Gen, QuickCheck};

    use super::super::{Input, Target};
    use super::*;

    #[test]
    fn seeds_sign() {
        for (name, calls) in seeds() {
            let expected = if name == "text" { 0 } else { 2 };
            assert!(count(&calls) >= expected, "{name}");
            let mut bytes = Vec::new();
            calls.encode(&mut bytes);
            Target::Ffi.run(&bytes);
            assert!(!Target::Ffi.show(&bytes).is_empty(), "{name}");
        }
    }

    #[test]
    fn what_quickcheck_draws_holds() {
        fn holds(input: Input<{ Target::Ffi as usize }>) {
            input.play();
        }
        QuickCheck::new().rng(Gen::new(100)).tests(200).quickcheck(holds as fn(_));
    }
}
