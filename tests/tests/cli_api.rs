//! The HTTP API of nodes that run, at the settings that users have: who may ask, what is told, and what cannot be done
//! to a node through it.
#![cfg(unix)]

mod cli_support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use cli_support::api::Api;
use cli_support::node::{Node, PATIENCE};
use serde_json::{Value, json};

#[test]
fn a_request_is_created_shown_and_approved_over_http() {
    let alice = Api::start(&[]);
    let address = alice.node.json(&["stats"])["listening"][0].as_str().unwrap().to_owned();
    let bob = Api::start(&["--bootstrap", &address]);
    let keys: Vec<String> =
        [&alice, &bob].iter().map(|api| api.node.json(&["stats"])["key"].as_str().unwrap().to_owned()).collect();
    alice.node.wait_for_signers(&[&keys[1]]);
    let (asks, approves) = (alice.token("all", &["read", "approve"]), bob.token("all", &["read", "approve"]));

    let session = json!({
        "suite": "bip340", "keys": keys, "tweak": "None", "message": "07".repeat(32), "election": "lexicographic",
    });
    let created = alice.ask("POST /v1/sessions", &asks, &session);
    assert_eq!(created.status, 200, "{}", created.body);
    let id = created.json()["session"].as_str().unwrap().to_owned();
    bob.node.wait_for("session-announced", &[("session", &id)]);
    assert_eq!(bob.get("/v1/sessions?phase=announced", &approves).json()["sessions"][0]["session"], *id);
    let summary = bob.get(&format!("/v1/sessions/{id}/summary"), &approves).json();
    assert_eq!(summary["unusual"], json!(["opaque"]));
    assert!(summary["rows"].as_array().unwrap().iter().any(|row| row[1] == "07".repeat(32)), "{summary}");

    let join = format!("POST /v1/sessions/{id}/join");
    let refused = bob.ask(&join, &approves, &json!({}));
    assert_eq!((refused.status, refused.kind().as_str()), (409, "unallowed"));
    let joined = bob.ask(&join, &approves, &json!({ "allow": ["opaque"] }));
    assert_eq!(joined.status, 200, "{}", joined.body);
    bob.node.wait_for("session-completed", &[("session", &id)]);
    let signature = bob.get(&format!("/v1/sessions/{id}"), &approves).json()["signature"].clone();
    assert_eq!(signature, bob.node.json(&["sessions", "show", &id])["signature"]);
    assert_eq!(signature.as_str().map(str::len), Some(128));

    // What is counted of it, for Prometheus.
    let counted = |metrics: &str| metrics.contains("nelumbo_session_seconds_count{outcome=\"complete\"} 1");
    let until = Instant::now() + PATIENCE;
    // Whoever counts reads the events as anybody does.
    while !counted(&bob.get("/metrics", &approves).body) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let metrics = bob.get("/metrics", &approves);
    assert!(metrics.head.contains("application/openmetrics-text"), "{}", metrics.head);
    for line in [
        "nelumbo_events_total{event=\"session-completed\"} 1",
        "nelumbo_session_seconds_count{outcome=\"complete\"} 1",
        "nelumbo_phase_seconds_count{phase=\"announced\"} 1",
        "nelumbo_build_info{version=\"0.",
        "nelumbo_sessions{phase=\"complete\"} 1",
    ] {
        assert!(metrics.body.contains(line), "{line}: {}", metrics.body);
    }
}

#[test]
fn nobody_is_told_anything_without_a_token_that_allows_it() {
    let api = Api::start(&[]);
    let read = api.token("reader", &["read"]);
    let strange = format!("nelumbo_{}", "0".repeat(64));
    for path in ["/v1/stats", "/v1/peers", "/v1/sessions", "/v1/requests", "/v1/events", "/metrics"] {
        let none = api.ask_with(&format!("GET {path}"), &[format!("host: {}", api.address)], "");
        assert_eq!((none.status, none.kind().as_str()), (401, "unauthorized"), "{path}");
        assert!(none.head.contains("www-authenticate: bearer"));
        assert_eq!(api.get(path, &strange).status, 401, "{path}");
    }
    assert_eq!(api.get("/v1/stats", &read).status, 200);
    let stop = api.ask("POST /v1/stop", &read, &Value::Null);
    assert_eq!((stop.status, stop.kind().as_str()), (403, "forbidden"));
    let create = api.ask("POST /v1/sessions", &read, &json!({}));
    assert_eq!(create.status, 403, "scopes come before what is asked");

    // It is refused at once when it is revoked.
    api.node.run(&["token", "revoke", "reader"]);
    assert_eq!(api.get("/v1/stats", &read).status, 401);
    let listed = api.node.run(&["token", "list", "--json"]).json();
    assert_eq!(listed, json!({ "tokens": {} }));
}

#[test]
fn a_page_of_somebody_else_cannot_use_it() {
    let api = Api::start(&[]);
    let token = api.token("page", &["read"]);
    let ask = |host: &str, origin: Option<&str>| {
        let mut lines = vec![format!("host: {host}"), format!("authorization: Bearer {token}")];
        lines.extend(origin.map(|origin| format!("origin: {origin}")));
        api.ask_with("GET /v1/stats", &lines, "").status
    };
    let (own, port) = (api.address.clone(), api.address.rsplit_once(':').unwrap().1);
    assert_eq!(ask(&own, None), 200);
    assert_eq!(ask(&format!("localhost:{port}"), Some(&format!("http://localhost:{port}"))), 200);
    assert_eq!(ask(&format!("wallet.example.org:{port}"), None), 403, "a name that was bound to loopback");
    assert_eq!(ask("127.0.0.1:1", None), 403);
    for origin in ["https://example.org", "null", &format!("http://localhost.example.org:{port}"), "http://127.0.0.1:1"]
    {
        assert_eq!(ask(&own, Some(origin)), 403, "{origin}");
    }
    let page = api.ask_with("GET /", &[format!("host: {own}")], "");
    assert!(page.status == 200 && page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(!page.body.contains("http://") || page.body.matches("http://").count() == 1, "an SVG's name space alone");
    let described = api.ask_with("GET /openapi.json", &[format!("host: {own}")], "").json();
    assert_eq!(described["openapi"], "3.1.0");
}

#[test]
fn events_go_on_where_a_reader_was_cut_off() {
    let api = Api::start(&[]);
    let token = api.token("reader", &["read"]);
    let follow = |last: Option<u64>| {
        let mut stream = api.connect();
        let last = last.map_or_else(String::new, |last| format!("last-event-id: {last}\r\n"));
        let (host, path) = (&api.address, "/v1/events?after=0");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n{last}\r\n").unwrap();
        let lines = BufReader::new(stream).lines().map(|line| line.expect("in time"));
        lines.filter_map(|line| line.strip_prefix("data: ").or(line.strip_prefix("data:")).map(str::to_owned))
    };
    let entry = |text: String| serde_json::from_str::<Value>(&text).expect("an entry");
    let first = entry(follow(None).next().expect("it has started"));
    assert_eq!((&first["number"], &first["event"]["event"]), (&json!(1), &json!("started")));
    let mut events = follow(Some(1));
    let next = entry(events.next().expect("it listens"));
    assert_eq!(next["number"], 2);
}

#[test]
fn what_makes_no_sense_is_answered_and_harms_nothing() {
    let api = Api::start(&[]);
    let token = api.token("all", &["read", "operate", "approve"]);
    for (head, body, status) in [
        ("GET /v1/nothing", Value::Null, 404),
        ("DELETE /v1/stats", Value::Null, 405),
        ("GET /v1/sessions?phase=dancing", Value::Null, 400),
        ("GET /v1/sessions?shape=round", Value::Null, 400),
        ("GET /v1/sessions/77", Value::Null, 400),
        ("GET /v1/signers?max=-1", Value::Null, 400),
        ("GET /v1/signers?min_reputation=101", Value::Null, 400),
        ("POST /v1/sessions", json!({ "suite": "rsa" }), 400),
        ("PUT /v1/peers/me/ban", Value::Null, 400),
        ("PUT /v1/subscriptions/war", Value::Null, 400),
    ] {
        let answer = api.ask(head, &token, &body);
        assert_eq!(answer.status, status, "{head}: {}", answer.body);
        let error = &answer.json()["error"];
        assert!(error["problem"].is_string() && error["remedy"].is_string(), "{head}: {}", answer.body);
    }
    let large = json!({ "message": "0".repeat(600_000) });
    assert_eq!(api.ask("POST /v1/sessions", &token, &large).status, 400);

    // As many as may be connected, and none of them says anything.
    let slow: Vec<TcpStream> = (0..64).map(|_| api.connect()).collect();
    assert_eq!(api.get("/v1/stats", &token).status, 200);
    drop(slow);
}

#[test]
fn an_offer_is_valid_for_as_long_as_is_said() {
    let api = Api::start(&[]);
    let token = api.token("operator", &["operate"]);
    let offer = json!({
        "types": ["spend"], "min_amount": null, "max_amount": null, "min_reputation": null,
        "requires_verification": false, "nickname": "", "description": "", "fee": null, "response_seconds": null,
    });
    for (query, status) in
        [("?lifetime_seconds=299", 409), ("?lifetime_seconds=x", 400), ("?lifetime_seconds=300", 200)]
    {
        let answer = api.ask(&format!("PUT /v1/offer{query}"), &token, &offer);
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        if status == 409 {
            let problem = answer.json()["error"]["problem"].as_str().unwrap().to_owned();
            assert_eq!(problem, "an advertisement is valid for 300 s to seven days");
        }
    }
    let short = api.node.wait_for("advertised", &[])["expires_at"].as_u64().unwrap();
    let newest = api.node.newest();
    assert_eq!(api.ask("PUT /v1/offer", &token, &offer).status, 200);
    let usual = api.node.wait_for_after(newest, "advertised", &[])["expires_at"].as_u64().unwrap();
    assert!(usual - short > 23 * 3_600_000, "a day if nothing is said: {usual} and {short}");
}

#[test]
fn what_others_can_reach_needs_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let run =
        cli_support::finish(cli_support::node::with_passphrase(&mut node.command(&["node", "--api", "0.0.0.0:0"])));
    run.assert_failed(2, &["would send tokens", "certificate"]);
}
