//! The three nodes, their clients, and how long sessions take.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cli_support::api::Api;
use super::cli_support::node::PATIENCE;

/// Of each kind: those that send their request a byte a second, and those that read their events so.
const SLOW: usize = 64;
/// Each with a token and a connection of its own, because a token may ask 200 times a second.
const ASKERS: u32 = 8;
const REQUESTS_A_SECOND: u32 = 1_000;
/// How many sessions each of the four parts of a run has.
const SESSIONS: usize = 250;
const WARM_UP: usize = 50;
/// Between two sessions.
const PAUSE: Duration = Duration::from_millis(20);
/// How often as long sessions may take.
const MOST: f64 = 2.0;

/// One connection over a node's socket.
struct Socket {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Socket {
    fn of(api: &Api) -> Self {
        let stream = UnixStream::connect(api.node.folder.join("socket")).expect("it runs");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        let lines = BufReader::new(stream.try_clone().expect("a second handle"));
        Self { stream, lines }
    }

    fn ask(&mut self, mut request: Value) -> Value {
        (request["version"], request["id"]) = (1.into(), 1.into());
        self.stream.write_all(format!("{request}\n").as_bytes()).expect("it listens");
        self.read().expect("it answers")
    }

    fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("JSON")),
        }
    }

    /// What happens from now on, as long as somebody wants it.
    fn follow(api: &Api, mut wants: impl FnMut(&Value) -> bool + Send + 'static) {
        let mut socket = Self::of(api);
        let question = json!({ "version": 1, "id": 1, "request": "events", "follow": true, "after": null });
        socket.stream.write_all(format!("{question}\n").as_bytes()).expect("it listens");
        socket.stream.set_read_timeout(None).expect("a time");
        thread::spawn(move || while socket.read().is_some_and(|line| wants(&line["event"]["event"])) {});
    }
}

/// Three nodes that sign whatever the first asks for.
struct Signers {
    apis: Vec<Api>,
    keys: Vec<String>,
    asks: Socket,
    completed: Receiver<(String, Instant)>,
    number: u32,
}

impl Signers {
    fn start() -> Self {
        let first = Api::start(&[]);
        let address = first.node.json(&["stats"])["listening"][0].as_str().expect("an address").to_owned();
        let mut apis = vec![first];
        apis.extend((0..2).map(|_| Api::start(&["--bootstrap", &address])));
        let keys: Vec<String> = apis.iter().map(|api| api.node.key.clone()).collect();
        for api in &apis {
            let others: Vec<&str> = keys.iter().filter(|key| **key != api.node.key).map(String::as_str).collect();
            api.node.wait_for_signers(&others);
        }
        for api in &apis[1..] {
            let mut joins = Socket::of(api);
            Socket::follow(api, move |event| {
                if event["event"] == "session-announced" {
                    let answer =
                        joins.ask(json!({ "request": "join", "session": event["session"], "allow": ["opaque"] }));
                    assert!(answer["error"].is_null(), "{answer}");
                }
                true
            });
        }
        let (sender, completed) = channel();
        Socket::follow(&apis[0], move |event| {
            let session = event["session"].as_str().unwrap_or_default().to_owned();
            event["event"] != "session-completed" || sender.send((session, Instant::now())).is_ok()
        });
        let asks = Socket::of(&apis[0]);
        Self { apis, keys, asks, completed, number: 0 }
    }

    /// Signs one session. How long it took, from the question to the signature.
    fn sign(&mut self) -> Duration {
        self.number += 1;
        let message = format!("{:064x}", self.number);
        let began = Instant::now();
        let created = self.asks.ask(json!({
            "request": "create", "suite": "lotus", "keys": self.keys, "tweak": "None", "message": message,
            "allow": ["opaque"],
        }));
        let session = created["result"]["session"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
        loop {
            let (completed, at) = self.completed.recv_timeout(PATIENCE).expect("it is signed in time");
            if completed == session {
                return at - began;
            }
        }
    }

    fn sign_many(&mut self, count: usize) -> Vec<Duration> {
        let one = |_| {
            sleep(PAUSE);
            self.sign()
        };
        (0..count).map(one).collect()
    }
}

/// What clients have seen.
#[derive(Default)]
struct Seen {
    /// Answers by status.
    answers: Mutex<BTreeMap<u16, u64>>,
    /// How often a connection of a slow client was closed by the node, and made anew.
    cut: AtomicU64,
    /// Bytes of events that slow readers have read.
    events: AtomicU64,
}

/// What one of them does until it is told to end.
type Client = Box<dyn FnOnce(&AtomicBool, &Seen) + Send>;

/// Clients of one node's API, until they are dropped.
struct Load {
    ends: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(api: &Api, tokens: &[String], paths: &[String], seen: &Arc<Seen>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        let mut client = |run: Client| {
            let (ends, seen) = (ends.clone(), seen.clone());
            clients.push(thread::spawn(move || run(&ends, &seen)));
        };
        for token in &tokens[..ASKERS as usize] {
            let (address, token, paths) = (api.address.clone(), token.clone(), paths.to_vec());
            client(Box::new(move |ends, seen| ask(&address, &token, &paths, ends, seen)));
        }
        let (address, token) = (api.address.clone(), tokens[0].clone());
        client(Box::new(move |ends, seen| dribble(&address, &token, ends, seen)));
        let (address, token) = (api.address.clone(), tokens[0].clone());
        client(Box::new(move |ends, seen| sip(&address, &token, ends, seen)));
        Self { ends, clients }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("clients go on whatever the node does");
        }
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("TCP");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    stream
}

/// Asks for one thing after the other, so many times a second.
fn ask(address: &str, token: &str, paths: &[String], ends: &AtomicBool, seen: &Seen) {
    let mut lines = BufReader::new(connect(address));
    let (began, each) = (Instant::now(), Duration::from_secs(1) * ASKERS / REQUESTS_A_SECOND);
    for (number, path) in (0..).zip(paths.iter().cycle()) {
        if ends.load(Ordering::Relaxed) {
            return;
        }
        sleep((began + each * number).saturating_duration_since(Instant::now()));
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
        let status = match lines.get_mut().write_all(request.as_bytes()).ok().and_then(|()| answer(&mut lines)) {
            Some(status) => status,
            None => {
                lines = BufReader::new(connect(address));
                0
            }
        };
        *seen.answers.lock().expect("nobody panics").entry(status).or_default() += 1;
    }
}

/// The status of the next answer, which is read to its end.
fn answer(lines: &mut BufReader<TcpStream>) -> Option<u16> {
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        status = status.or_else(|| line.strip_prefix("http/1.1 ")?.get(..3)?.parse().ok());
    }
    std::io::copy(&mut lines.take(length), &mut std::io::sink()).ok()?;
    status
}

/// Sends requests a byte a second. The node hangs up on each before its head is there.
fn dribble(address: &str, token: &str, ends: &AtomicBool, seen: &Seen) {
    let request = format!("GET /v1/stats HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut clients: Vec<(TcpStream, usize)> = (0..SLOW).map(|_| (connect(address), 0)).collect();
    while !ends.load(Ordering::Relaxed) {
        for (stream, sent) in &mut clients {
            sleep(Duration::from_secs(1) / SLOW as u32);
            if stream.write_all(&request.as_bytes()[*sent..=*sent]).is_ok() {
                *sent = (*sent + 1) % request.len();
            } else {
                seen.cut.fetch_add(1, Ordering::Relaxed);
                (*stream, *sent) = (connect(address), 0);
            }
        }
    }
}

/// Reads all that happens, a byte a second.
fn sip(address: &str, token: &str, ends: &AtomicBool, seen: &Seen) {
    let follow = || {
        let mut stream = connect(address);
        let path = "/v1/events?after=0";
        let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it listens");
        stream
    };
    let mut clients: Vec<TcpStream> = (0..SLOW).map(|_| follow()).collect();
    while !ends.load(Ordering::Relaxed) {
        for stream in &mut clients {
            sleep(Duration::from_secs(1) / SLOW as u32);
            match stream.read(&mut [0]) {
                Ok(1) => drop(seen.events.fetch_add(1, Ordering::Relaxed)),
                _ => {
                    seen.cut.fetch_add(1, Ordering::Relaxed);
                    *stream = follow();
                }
            }
        }
    }
}

fn percentile(times: &mut [Duration], of_a_hundred: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() * of_a_hundred).div_ceil(100) - 1].as_secs_f64() * 1e3
}

pub(crate) fn run() -> ExitCode {
    let mut signers = Signers::start();
    let asked = &signers.apis[0];
    let tokens: Vec<String> = (0..ASKERS).map(|number| asked.token(&format!("asker-{number}"), &["read"])).collect();
    signers.sign_many(WARM_UP);
    // The newest, so that it does not make room for those that follow.
    let sessions = signers.asks.ask(json!({ "request": "sessions", "phases": [] }));
    let newest = sessions["result"]["sessions"].as_array().and_then(|sessions| sessions.last());
    let session = newest.and_then(|newest| newest["session"].as_str()).expect("there are some").to_owned();
    let paths: Vec<String> = [
        "/v1/stats",
        "/v1/peers",
        "/v1/sessions",
        "/v1/sessions?phase=announced",
        &format!("/v1/sessions/{session}"),
        &format!("/v1/sessions/{session}/summary"),
        "/v1/contacts",
        "/metrics",
        "/openapi.json",
        "/",
    ]
    .map(str::to_owned)
    .into();

    let (mut quiet, mut loaded, seen, mut lasted) = (Vec::new(), Vec::new(), Arc::new(Seen::default()), 0.0);
    for _ in 0..2 {
        for is_loaded in [false, true] {
            let began = Instant::now();
            let load = is_loaded.then(|| Load::start(&signers.apis[0], &tokens, &paths, &seen));
            // Until all who are slow have come.
            sleep(Duration::from_secs(2));
            let mut times = signers.sign_many(SESSIONS);
            drop(load);
            let name = if is_loaded { "loaded" } else { "quiet" };
            let [half, most] = [50, 99].map(|of| percentile(&mut times, of));
            println!("{name}: {} sessions, p50 {half:.1} ms, p99 {most:.1} ms", times.len());
            if is_loaded {
                lasted += began.elapsed().as_secs_f64();
                loaded.append(&mut times);
            } else {
                quiet.append(&mut times);
            }
        }
    }
    let answers = seen.answers.lock().expect("nobody panics").clone();
    let all: u64 = answers.values().sum();
    let good = answers.get(&200).copied().unwrap_or_default();
    let (cut, events) = (seen.cut.load(Ordering::Relaxed), seen.events.load(Ordering::Relaxed));
    println!("{all} requests in {lasted:.0} s, by status {answers:?}; {cut} slow connections cut, {events} bytes read");
    let [quiet_half, loaded_half] = [&mut quiet, &mut loaded].map(|times| percentile(times, 50));
    let [quiet_most, loaded_most] = [&mut quiet, &mut loaded].map(|times| percentile(times, 99));
    let ratio = loaded_most / quiet_most;
    println!(
        "p99 {ratio:.2} times the quiet one: {quiet_most:.1} ms and {loaded_most:.1} ms, p50 {quiet_half:.1} ms and \
         {loaded_half:.1} ms, {:.0} requests a second, {:.0} answered with 200",
        all as f64 / lasted,
        good as f64 / lasted
    );
    if ratio < MOST { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
