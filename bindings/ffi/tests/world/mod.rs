//! A few machines, a network between them that loses nothing, and the script of every call that was made.
//!
//! Owns the script's words, which `same/` has for other languages too: a step names what is called and with which
//! texts, and what comes back is one line of text.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, VecDeque};

use nelumbo_ffi::{Error, Machine, Signer, call};
use serde_json::{Value, json};

pub(crate) const START: f64 = 1_800_000_000_000.0;

/// Plays steps, and so calls machines and signers by name.
#[derive(Default)]
pub(crate) struct Player {
    machines: BTreeMap<String, Machine>,
    signers: BTreeMap<String, Signer>,
}

fn text(step: &Value, field: &str) -> String {
    step[field].as_str().unwrap_or_else(|| panic!("{field} of {step}")).to_owned()
}

fn bytes(step: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(step, field)).expect("hexadecimal")
}

impl Player {
    /// What the call gives back: text as it is, a number as a whole one, nothing as `null`, an error as its JSON.
    pub(crate) fn play(&mut self, step: &Value) -> String {
        self.try_play(step).unwrap_or_else(|error| error.to_json())
    }

    fn try_play(&mut self, step: &Value) -> Result<String, Error> {
        let name = step["name"].as_str().unwrap_or_default();
        let time = |field: &str| step[field].as_f64().unwrap_or(f64::NAN);
        let (mono, wall) = (time("mono_ms"), time("wall_ms"));
        if step["do"] == "call" {
            return call(&text(step, "text"));
        }
        if step["do"] == "machine" {
            let machine = Machine::new(&text(step, "text"), &bytes(step, "secret"), &bytes(step, "seed"), mono, wall)?;
            self.machines.insert(name.into(), machine);
            return Ok("null".into());
        }
        if step["do"] == "signer" {
            self.signers.insert(name.into(), Signer::new(&bytes(step, "secret"), &bytes(step, "seed"))?);
            return Ok(self.signers[name].key());
        }
        if let Some(signer) = self.signers.get_mut(name) {
            return match &step["do"] {
                what if what == "describe" => signer.describe(&text(step, "text")),
                what if what == "answer" => signer.answer(&text(step, "text")),
                _ => panic!("no such step: {step}"),
            };
        }
        let machine = self.machines.get_mut(name).unwrap_or_else(|| panic!("no machine for {step}"));
        match step["do"].as_str() {
            Some("handle") => machine.handle(mono, wall, &text(step, "text")).map(|()| "null".into()),
            Some("command") => machine.command(mono, wall, &text(step, "text")).map(|id| id.to_string()),
            Some("poll") => Ok(machine.poll()),
            Some("view") => Ok(machine.view()),
            Some("deadline") => Ok(machine.deadline().map_or("null".into(), |at| format!("{at:.0}"))),
            _ => panic!("no such step: {step}"),
        }
    }
}

/// One signer of a world.
pub(crate) struct Node {
    pub(crate) peer: String,
    pub(crate) key: String,
    secret: [u8; 32],
    /// The name of the signer that has its key, if it has none itself.
    signer: Option<String>,
    pub(crate) journal: BTreeMap<String, String>,
    pub(crate) events: Vec<Value>,
    boots: u8,
}

/// Machines that are all connected.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) player: Player,
    /// Every step, and what came of it.
    pub(crate) script: Vec<(Value, String)>,
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) clock: f64,
    gossip: u64,
    pub(crate) config: BTreeMap<String, u64>,
}

impl World {
    /// Makes a call and writes it down.
    pub(crate) fn step(&mut self, step: Value) -> String {
        let result = self.player.play(&step);
        self.script.push((step, result.clone()));
        result
    }

    /// One more machine; with `signer`, its key is with a signer, and it has a message key.
    pub(crate) fn add(&mut self, name: &str, has_signer: bool) {
        let number = self.nodes.len() as u8 + 1;
        let secret = [number; 32];
        let mut node = Node {
            peer: name.repeat(8).to_uppercase(),
            key: String::new(),
            secret,
            signer: None,
            journal: BTreeMap::new(),
            events: Vec::new(),
            boots: 0,
        };
        if has_signer {
            let signer = format!("signer of {name}");
            let (secret, seed) = (hex::encode([number + 100; 32]), hex::encode([number + 50; 32]));
            node.key = self.step(json!({"do": "signer", "name": signer, "secret": secret, "seed": seed}));
            node.signer = Some(signer);
        } else {
            let question = json!({"type": "public-key", "secret": hex::encode(secret)}).to_string();
            let answer: Value =
                serde_json::from_str(&self.step(json!({"do": "call", "text": question}))).expect("JSON");
            node.key = answer["key"].as_str().expect("a key").into();
        }
        self.nodes.insert(name.into(), node);
        self.boot(name);
    }

    /// Makes the machine of a node, from its journal.
    pub(crate) fn boot(&mut self, name: &str) {
        let node = self.nodes.get_mut(name).expect("it was added");
        node.boots += 1;
        let mut params = json!({
            "network": "regtest", "peer": node.peer, "config": self.config,
            "records": node.journal.iter().collect::<Vec<_>>(),
        });
        if node.signer.is_some() {
            params["signing_key"] = node.key.clone().into();
        }
        let step = json!({
            "do": "machine", "name": name, "text": params.to_string(), "secret": hex::encode(node.secret),
            "seed": hex::encode([node.boots; 32]), "mono_ms": self.clock, "wall_ms": START + self.clock,
        });
        assert_eq!(self.step(step), "null");
        let peers: Vec<_> =
            self.nodes.iter().filter(|(other, _)| *other != name).map(|(other, _)| other.clone()).collect();
        for other in peers {
            let (own, theirs) = (self.nodes[name].peer.clone(), self.nodes[&other].peer.clone());
            self.give(name, json!([{"type": "connected", "peer": theirs}]));
            self.give(&other, json!([{"type": "disconnected", "peer": own}, {"type": "connected", "peer": own}]));
        }
    }

    pub(crate) fn give(&mut self, name: &str, inputs: Value) -> String {
        let step = json!({
            "do": "handle", "name": name, "text": inputs.to_string(), "mono_ms": self.clock,
            "wall_ms": START + self.clock,
        });
        self.step(step)
    }

    pub(crate) fn command(&mut self, name: &str, command: Value) -> String {
        let step = json!({
            "do": "command", "name": name, "text": command.to_string(), "mono_ms": self.clock,
            "wall_ms": START + self.clock,
        });
        self.step(step)
    }

    pub(crate) fn view(&mut self, name: &str) -> Value {
        serde_json::from_str(&self.step(json!({"do": "view", "name": name}))).expect("JSON")
    }

    /// Does what the machines want until they want nothing. Whoever is in `silent` sends nothing.
    pub(crate) fn settle(&mut self, silent: &[&str]) {
        let names: Vec<_> = self.nodes.keys().cloned().collect();
        loop {
            let mut work = VecDeque::new();
            for name in &names {
                let outputs: Vec<Value> =
                    serde_json::from_str(&self.step(json!({"do": "poll", "name": name}))).expect("JSON");
                work.extend(outputs.into_iter().map(|output| (name.clone(), output)));
            }
            if work.is_empty() {
                return;
            }
            for (name, output) in work {
                self.act(&name, &output, silent);
            }
        }
    }

    fn act(&mut self, name: &str, output: &Value, silent: &[&str]) {
        let own = self.nodes[name].peer.clone();
        let is_silent = silent.contains(&name);
        match output["type"].as_str().expect("an output has a type") {
            "persist" => {
                let node = self.nodes.get_mut(name).expect("it is there");
                let key = output["key"].as_str().expect("a key").to_owned();
                match output["value"].as_str() {
                    Some(value) => drop(node.journal.insert(key, value.into())),
                    None => drop(node.journal.remove(&key)),
                }
                self.give(name, json!([{"type": "persisted", "sequence": output["sequence"]}]));
            }
            "sign" => {
                let signer = self.nodes[name].signer.clone().expect("a machine with its key asks nobody");
                let request = output["request"].to_string();
                self.step(json!({"do": "describe", "name": signer, "text": request}));
                let reply = self.step(json!({"do": "answer", "name": signer, "text": request}));
                let reply: Value = serde_json::from_str(&reply).expect("JSON");
                if !reply.is_null() {
                    self.give(name, json!([{"type": "signed", "reply": reply}]));
                }
            }
            "send" if !is_silent => {
                let to = self.nodes.iter().find(|(_, node)| node.peer == output["peer"]).map(|(name, _)| name.clone());
                let input = json!([{"type": "received", "peer": own, "bytes": output["bytes"]}]);
                self.give(&to.expect("it sends to those who are there"), input);
            }
            "publish" if !is_silent => {
                let others: Vec<_> = self.nodes.keys().filter(|other| *other != name).cloned().collect();
                for other in others {
                    self.gossip += 1;
                    let (id, bytes) = (self.gossip, &output["bytes"]);
                    self.give(&other, json!([{"type": "gossip", "peer": own, "id": id, "bytes": bytes}]));
                }
            }
            "lookup" => drop(self.give(name, json!([{"type": "lookup-finished", "operation": output["operation"]}]))),
            "event" => self.nodes.get_mut(name).expect("it is there").events.push(output["event"].clone()),
            _ => {}
        }
    }

    /// Lets time pass, to where something happens, until `is_done` or too much of it is over.
    pub(crate) fn run_until(&mut self, is_done: impl Fn(&Self) -> bool, silent: &[&str]) {
        let names: Vec<_> = self.nodes.keys().cloned().collect();
        self.settle(silent);
        for _ in 0..1_000 {
            if is_done(self) {
                return;
            }
            let mut next = f64::INFINITY;
            for name in &names {
                next = next.min(self.step(json!({"do": "deadline", "name": name})).parse().unwrap_or(f64::INFINITY));
            }
            self.clock = self.clock.max(next);
            names.iter().for_each(|name| drop(self.give(name, json!([{"type": "tick"}]))));
            self.settle(silent);
        }
        panic!("it is not done after {} ms", self.clock);
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.nodes.values().map(|node| node.key.clone()).collect()
    }

    /// The event of this type that a node has been told last.
    pub(crate) fn told(&self, name: &str, kind: &str) -> Option<&Value> {
        self.nodes[name].events.iter().rev().find(|event| event["type"] == kind)
    }

    /// Whether all have been told an event of this type.
    pub(crate) fn all_told(&self, kind: &str) -> bool {
        self.nodes.keys().all(|name| self.told(name, kind).is_some())
    }

    /// Has `a` ask all for a signature of this, waits until all know of it, and gives back the session's id.
    pub(crate) fn ask(&mut self, session: Value) -> String {
        self.run_until(
            |world| {
                let others = world.nodes.len() - 1;
                let events = world.nodes["a"].events.iter();
                events.filter(|event| event["type"] == "signer-connected").count() >= others
            },
            &[],
        );
        let command = self.command("a", session);
        assert!(command.parse::<u64>().is_ok(), "{command}");
        self.settle(&[]);
        self.told("a", "session-created").expect("it is created")["session"].as_str().expect("an id").into()
    }
}

/// The command that asks for a signature of a message.
pub(crate) fn create(suite: &str, keys: &[String], message: &str) -> Value {
    json!({
        "type": "create", "suite": suite, "keys": keys, "items": [{"type": "message", "message": message}],
        "allow": ["opaque"],
    })
}
