//! The page of a node in Chromium, against three nodes that run: what waits is shown and approved there, and the
//! signature appears at all three.
//!
//! Needs Chromium (Debian's package `chromium`), Node.js and `npm --prefix tests/page ci`, therefore the feature
//! `page`. Pictures go to `target/page`.
#![cfg(unix)]

mod cli_support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use cli_support::api::Api;
use cli_support::finish;
use cli_support::node::with_passphrase;
use cli_support::world::{World, bob};
use serde_json::{Value, json};

const CHROMIUM: &str = "/usr/bin/chromium";

/// A browser in a process of its own. What it can be told is listed in `tests/page/browser.mjs`.
struct Browser {
    process: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
    pictures: PathBuf,
}

impl Browser {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        assert!(folder.join("node_modules").is_dir(), "run `npm ci` in tests/page first");
        assert!(Path::new(CHROMIUM).exists(), "install Chromium first: apt-get install chromium");
        let mut process = Command::new("node")
            .arg(folder.join("browser.mjs"))
            .arg(CHROMIUM)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js is installed");
        let told = process.stdin.take().expect("piped");
        let says = BufReader::new(process.stdout.take().expect("piped"));
        let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/page");
        std::fs::create_dir_all(&pictures).expect("a folder for pictures");
        Self { process, told, says, pictures }
    }

    fn tell(&mut self, what: &Value) -> Value {
        writeln!(self.told, "{what}").expect("it listens");
        let mut line = String::new();
        self.says.read_line(&mut line).expect("it answers");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        assert!(answer["failed"].is_null(), "{what}: {}", answer["failed"]);
        answer["done"].clone()
    }

    fn open(&mut self, address: &str) {
        self.tell(&json!({ "do": "open", "url": format!("http://{address}/") }));
    }

    fn enter(&mut self, token: &str) {
        self.tell(&json!({ "do": "fill", "selector": "#token", "text": token }));
        self.tell(&json!({ "do": "click", "selector": "#enter button" }));
    }

    fn click(&mut self, selector: &str) {
        self.tell(&json!({ "do": "click", "selector": selector }));
    }

    fn wait(&mut self, selector: &str, text: &str) {
        self.tell(&json!({ "do": "wait", "selector": selector, "text": text }));
    }

    /// Takes pictures for large and small screens, light and dark, and sees that nothing is wider than the screen.
    fn pictures(&mut self, name: &str) {
        for (width, height) in [(1440, 1000), (360, 800)] {
            for scheme in ["light", "dark"] {
                let file = self.pictures.join(format!("{name}-{width}-{scheme}.png"));
                let (size, wider) = ((width, height), json!(0));
                let overflow = self.tell(&json!({
                    "do": "picture", "file": file, "width": size.0, "height": size.1, "scheme": scheme,
                }));
                assert_eq!(overflow, wider, "{name} at {width} pixels");
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_request_is_approved_on_the_page_and_signed_by_all() {
    let bob = &Api::start(&[]);
    let address = bob.node.json(&["stats"])["listening"][0].as_str().unwrap().to_owned();
    let [mut alice, carol] = [(); 2].map(|()| Api::start(&["--bootstrap", &address]));
    let carol = &carol;
    let key = |api: &Api| api.node.json(&["stats"])["key"].as_str().unwrap().to_owned();
    let keys = [key(&alice), key(bob), key(carol)];
    bob.node.wait_for_signers(&[&keys[0], &keys[2]]);

    let mut browser = Browser::start();
    browser.open(&alice.address);
    browser.pictures("token");
    browser.enter("nelumbo_0000");
    browser.wait("#refused", "unknown or was revoked");
    let token = alice.token("page", &["read", "approve", "operate"]);
    browser.enter(&token);
    browser.wait("#link", "live");
    browser.wait("#peers", "direct");

    // One that is declined, and one that is approved with a second look at what is unusual.
    let ask = |message: &str| {
        let message = message.repeat(32);
        let created = bob.node.json(&["create", &keys[0], &keys[2], "--message", &message, "--suite", "bip340"]);
        created["session"].as_str().unwrap().to_owned()
    };
    let (declined, approved) = (ask("05"), ask("07"));
    carol.node.wait_for("session-announced", &[("session", &approved)]);
    carol.node.run(&["join", &approved, "--allow", "opaque"]);
    let card = |session: &str, button: &str| format!("#requests [data-session='{session}'] {button}");
    browser.wait(&card(&approved, "dl"), &"07".repeat(32));
    browser.wait(&card(&approved, ".risk"), "opaque");
    browser.pictures("request");
    browser.click(&card(&declined, "button:not(.approve):not(.copy)"));
    browser.click(&card(&approved, ".approve"));
    browser.wait(&card(&approved, ".approve"), "although opaque");
    browser.click(&card(&approved, ".approve"));
    let signed = format!("#sessions [data-session='{approved}']");
    browser.wait(&format!("{signed} .chip"), "complete");
    browser.wait(&format!("{signed} .signature"), "signature");
    assert!(browser.tell(&json!({ "do": "count", "selector": format!("{signed} svg circle") })).as_u64() >= Some(2));
    browser.pictures("signed");
    let signature = |api: &Api| {
        api.node.wait_for("session-completed", &[("session", &approved)]);
        api.node.json(&["sessions", "show", &approved])["signature"].clone()
    };
    let signatures = [&alice, bob, carol].map(signature);
    assert!(signatures[0].is_string() && signatures.iter().all(|signature| *signature == signatures[0]));
    bob.node.wait_for("session-aborted", &[("session", &declined)]);

    // The node goes, and comes back at its place.
    alice.node.kill();
    browser.wait("#link", "connection lost");
    let at = alice.address.clone();
    alice.node.start_with(&["--api", &at]);
    browser.wait("#link", "live");
    browser.wait(&format!("{signed} .chip"), "complete");
    assert_eq!(browser.tell(&json!({ "do": "faults" })), json!([]), "nothing is wrong in the page, or asked elsewhere");

    // By keyboard alone.
    let third = ask("09");
    browser.wait(&card(&third, "h3"), &third[..10]);
    browser.click("#waiting-title");
    browser.tell(&json!({ "do": "press", "key": "Tab" }));
    browser.tell(&json!({ "do": "press", "key": "Tab" }));
    browser.tell(&json!({ "do": "press", "key": "Enter" }));
    browser.wait(&card(&third, ".approve"), "although opaque");
}

#[test]
fn what_a_group_has_and_a_payment_s_confirmation_are_on_the_page() {
    let mut world = World::start(2);
    let address = world.group(&[]);
    world.fund(&address, 90_000_000);
    world.mine(1);
    assert_eq!(world.nodes[1].run(&["contact", "add", "Alice", &world.nodes[0].key]).status, 0);
    world.nodes[1].kill();
    world.nodes[1].start_with(&["--api", "127.0.0.1:0"]);
    let started = world.nodes[1].wait_for("started", &[]);
    let url = started["api"].as_str().expect("it says where").strip_prefix("http://").expect("loopback");
    let token = world.nodes[1].run(&["token", "create", "page", "--scope", "read", "--scope", "approve"]).stdout;
    world.wait_for_others(&world.nodes[1]);

    let mut browser = Browser::start();
    browser.open(url);
    browser.enter(token.trim());
    let group = "#groups [data-group='family']";
    browser.wait(&format!("{group} .balance"), "90 XPI");
    browser.wait(group, "you");
    browser.wait(group, "Alice");
    browser.wait("#contacts", "Alice");
    let to = format!("{}=75.5", bob());
    let asked = world.nodes[0].json(&["spend", "family", "--to", &to, "--description", "rent"]);
    let session = asked["session"].as_str().unwrap();
    let card = format!("#requests [data-session='{session}']");
    browser.wait(&card, "asked by Alice");
    browser.wait(&card, &bob());
    browser.pictures("payment");
    browser.click(&format!("{card} .approve"));
    let signed = format!("#sessions [data-session='{session}']");
    world.nodes[0].wait_for("payment-seen", &[("session", session)]);
    browser.wait(&signed, "seen");
    world.mine(1);
    browser.wait(&signed, "confirmed in block");
    let rest = 90_000_000 - 75_500_000 - asked["fee"].as_u64().unwrap();
    browser.wait(&format!("{group} .balance"), &format!("{}", rest as f64 / 1e6));
    browser.pictures("confirmed");
    assert_eq!(browser.tell(&json!({ "do": "faults" })), json!([]), "nothing is wrong in the page");
}

#[test]
fn a_pool_that_the_node_takes_part_in_is_on_the_page() {
    let mut world = World::start_with(1, str::to_owned, "pools = true");
    let node = &mut world.nodes[0];
    node.kill();
    node.start_with(&["--api", "127.0.0.1:0"]);
    let started = node.wait_for("started", &[]);
    let url = started["api"].as_str().expect("it says where").strip_prefix("http://").expect("loopback").to_owned();
    let address = node.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
    world.fund(&address, 1_000_000);
    world.mine(1);
    let node = &world.nodes[0];
    let create = ["pool", "create", "--denomination", "0.1", "--participants", "3", "--to", &bob(), "--json"];
    let made = finish(with_passphrase(&mut node.command(&create))).json();
    let token = node.run(&["token", "create", "page", "--scope", "read"]).stdout;
    let mut browser = Browser::start();
    browser.open(&url);
    browser.enter(token.trim());
    let card = format!("#pools [data-pool='{}']", made["pool"].as_str().unwrap());
    browser.wait(&card, "0.1 XPI");
    browser.wait(&card, "of 3 have done their part");
    browser.wait(&card, "the coin stays where it is");
    browser.pictures("pool");
    assert_eq!(browser.tell(&json!({ "do": "faults" })), json!([]), "nothing is wrong in the page");
}
