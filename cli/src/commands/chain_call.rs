//! `nelumbo chain mine`, `fund`, `reorganize` and `status`: what is said to a running chain.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use nelumbo_core::crypto::Network;
use nelumbo_core::crypto::lotus::Address;
use serde_json::{Value, json};

use crate::failure::{Answer, Failure};
use crate::{output, values};

/// Where a chain listens when nothing is said.
pub(crate) const DEFAULT: &str = "127.0.0.1:12606";

/// Longer than mining a thousand blocks takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// No answer is longer.
const MAX_ANSWER: u64 = 1 << 20;

#[derive(Args, Debug)]
struct Connection {
    /// Where the chain listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT)]
    chain: SocketAddr,
    /// Prints one JSON object, as the chain answers
    #[arg(long)]
    json: bool,
}

/// Mines blocks, the first with everything that waits
#[derive(Args, Debug)]
pub(crate) struct Mine {
    /// How many, up to 1000
    #[arg(value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    count: u32,
    /// Who gets the 260 XPI of each, after a hundred more blocks; the chain's own faucet if nothing is said
    #[arg(long, value_name = "ADDRESS", value_parser = regtest_address)]
    to: Option<Address>,
    #[command(flatten)]
    connection: Connection,
}

/// Pays to an address and mines the payment
#[derive(Args, Debug)]
pub(crate) struct Fund {
    /// An address of regtest; it begins with lotusR
    #[arg(value_name = "ADDRESS", value_parser = regtest_address)]
    address: Address,
    /// How much, in XPI such as 25.5 or in satoshi such as 25500000sat, up to 100000 XPI
    #[arg(value_name = "AMOUNT", value_parser = values::amount)]
    amount: u64,
    #[command(flatten)]
    connection: Connection,
}

/// Replaces the last blocks by one more, as when somebody else was faster
#[derive(Args, Debug)]
pub(crate) struct Reorganize {
    /// How many blocks go
    #[arg(value_name = "DEPTH", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..1_000))]
    depth: u32,
    /// What becomes of their transactions: they are in the new blocks, wait again, or have never been sent
    #[arg(long, default_value = "remined", value_parser = PossibleValuesParser::new(["remined", "pending", "dropped"]))]
    orphans: String,
    #[command(flatten)]
    connection: Connection,
}

/// Shows the tip, the rules and what waits
#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    connection: Connection,
}

fn regtest_address(text: &str) -> Result<Address, String> {
    let address: Address = text.parse().map_err(|error| format!("{error}"))?;
    if address.network == Network::Regtest {
        Ok(address)
    } else {
        Err(format!(
            "it is of {}, and a chain of one's own is regtest: such addresses begin with lotusR",
            address.network
        ))
    }
}

impl Mine {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let to = self.to.map(|address| address.to_string());
        let done = self.connection.ask("POST /mine", &json!({ "count": self.count, "address": to }))?;
        self.connection.tell(&done, |done| blocks(done, "mined"))
    }
}

impl Fund {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let request = json!({ "address": self.address.to_string(), "amount": self.amount });
        let done = self.connection.ask("POST /fund", &request)?;
        self.connection
            .tell(&done, |done| vec![("transaction", text(&done["txid"])), ("height", text(&done["height"]))])
    }
}

impl Reorganize {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let request = json!({ "depth": self.depth, "orphans": self.orphans });
        let done = self.connection.ask("POST /reorganize", &request)?;
        self.connection.tell(&done, |done| blocks(done, "replaced by"))
    }
}

impl Status {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let status = self.connection.ask("GET /ledger", &Value::Null)?;
        self.connection.tell(&status, |status| {
            let fields = ["height", "tip", "median_time", "taproot_active", "replay_protected"];
            let mut rows: Vec<(&str, String)> = fields.map(|field| (field, text(&status[field]))).into();
            let waiting = status["waiting"].as_array().into_iter().flatten();
            rows.extend(waiting.map(|txid| ("waiting", text(txid))));
            rows
        })
    }
}

/// The first and the last of the new blocks.
fn blocks(done: &Value, first: &'static str) -> Vec<(&'static str, String)> {
    let blocks = done["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rows: Vec<_> = blocks.first().map(|block| (first, text(block))).into_iter().collect();
    if let [_, .., last] = blocks {
        rows.push(("to", text(last)));
    }
    rows.push(("height", text(&done["height"])));
    rows
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Connection {
    fn tell(&self, done: &Value, rows: impl FnOnce(&Value) -> Vec<(&'static str, String)>) -> Result<Answer, Failure> {
        if self.json {
            output::json(done)?
        } else {
            output::table(&rows(done))?
        }
        Ok(Answer::Yes)
    }

    /// Sends a request and reads its answer, which is JSON.
    fn ask(&self, request: &str, body: &Value) -> Result<Value, Failure> {
        let (status, answer) = self.exchange(request, body).map_err(|error| {
            Failure::no_node(
                format_args!("no chain answers at {}: {error}", self.chain),
                "start one with `nelumbo chain`, or say where it is with --chain",
            )
        })?;
        let strange = || Failure::no_node(format_args!("{} is no chain of nelumbo", self.chain), "see --chain");
        let answer: Value = serde_json::from_slice(&answer).map_err(|_| strange())?;
        match (status, &answer["error"]) {
            (200, Value::Null) => Ok(answer),
            (400, Value::String(error)) => {
                let (problem, remedy) = error.split_once("; ").unwrap_or((error, "see --help"));
                Err(Failure::unmet(problem, remedy))
            }
            _ => Err(strange()),
        }
    }

    /// One request on a connection of its own (RFC 9112).
    fn exchange(&self, request: &str, body: &Value) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect_timeout(&self.chain, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let host = self.chain;
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        let no_answer = || io::Error::new(io::ErrorKind::InvalidData, "no answer over HTTP");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(no_answer)?;
        let status = answer.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        Ok((status.ok_or_else(no_answer)?, answer.split_off(end + 4)))
    }
}
