//! The HTTP API of a node that runs, asked byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use tempfile::TempDir;

use super::node::{Node, PATIENCE};

/// What an API answers.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn kind(&self) -> String {
        self.json()["error"]["kind"].as_str().expect("a problem has a kind").to_owned()
    }
}

/// A node with an API.
pub struct Api {
    pub node: Node,
    pub address: String,
    _folder: TempDir,
}

impl Api {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_configured(arguments, "")
    }

    /// The same with more in config.toml.
    pub fn start_configured(arguments: &[&str], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut node = Node::init(&folder.path().join("node"), arguments);
        let config = node.folder.join("config.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{text}\n{more}\n")).unwrap();
        node.start_with(&["--api", "127.0.0.1:0"]);
        let started = node.wait_for("started", &[]);
        let url = started["api"].as_str().expect("it says where").to_owned();
        let address = url.strip_prefix("http://").expect("loopback needs no certificate").to_owned();
        Self { node, address, _folder: folder }
    }

    pub fn token(&self, name: &str, scopes: &[&str]) -> String {
        let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
        let arguments: Vec<&str> = ["token", "create", name].into_iter().chain(scopes).collect();
        self.node.run(&arguments).stdout.trim().to_owned()
    }

    pub fn connect(&self) -> TcpStream {
        connect(&self.address)
    }

    /// Asks with these lines in the head.
    pub fn ask_with(&self, head: &str, lines: &[String], body: &str) -> Answer {
        ask_with(&self.address, head, lines, body)
    }

    pub fn ask(&self, head: &str, token: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask_with(head, &usual(&self.address, token), &body)
    }

    pub fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(&format!("GET {path}"), token, &Value::Null)
    }
}

/// The head of what a program asks.
fn usual(address: &str, token: &str) -> [String; 3] {
    [format!("host: {address}"), format!("authorization: Bearer {token}"), "content-type: application/json".to_owned()]
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks the API at this address.
pub fn get(address: &str, path: &str, token: &str) -> Answer {
    ask_with(address, &format!("GET {path}"), &usual(address, token), "")
}

fn ask_with(address: &str, head: &str, lines: &[String], body: &str) -> Answer {
    let mut stream = connect(address);
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\n{lines}connection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer in time");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    assert!(!is_chunked, "answers have a length");
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}
