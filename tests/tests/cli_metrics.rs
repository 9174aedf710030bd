//! The metrics of nodes that run, pay and are cut off from their chain: what is counted, and that the book, the
//! dashboard and the alerts name what there is, all of it and nothing else.
#![cfg(unix)]

mod cli_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cli_support::api::{Api, get};
use cli_support::node::{Node, PATIENCE};
use cli_support::world::{World, bob};

const BEGIN: &str = "<!-- From here on written by tests/tests/cli_metrics.rs. -->\n";

/// What a node serves, in the order in which it does.
struct Metrics {
    text: String,
}

impl Metrics {
    fn of(api: &str, token: &str) -> Self {
        let answer = get(api, "/metrics", token);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.head.contains("application/openmetrics-text"), "{}", answer.head);
        assert!(answer.body.ends_with("# EOF\n") && answer.body.matches("# EOF").count() == 1);
        Self { text: answer.body }
    }

    /// The sum of a metric over all samples with these labels.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let samples = self.text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(|label| line.contains(label))
        });
        samples.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")).sum()
    }

    /// Name, as it is asked for, type, labels and meaning of each metric of ours.
    fn described(&self) -> Vec<(String, String, BTreeSet<String>, String)> {
        let (mut all, mut help) = (Vec::new(), BTreeMap::new());
        for line in self.text.lines().filter(|line| !line.contains(" libp2p_") && !line.starts_with("libp2p_")) {
            if let Some((name, text)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
                help.insert(name, text.to_owned());
            } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
                let end = match kind {
                    "counter" => "_total",
                    "info" => "_info",
                    _ => "",
                };
                let meaning = help.remove(name).expect("each is explained");
                all.push((format!("{name}{end}"), kind.to_owned(), BTreeSet::new(), meaning));
            } else if let Some((_, labels)) = line.split_once('{') {
                let labels = labels.split("=\"").filter_map(|part| part.rsplit([',', '{', '"']).next());
                let is_name = |name: &&str| !name.is_empty() && *name != "le" && !name.starts_with(['}', ' ']);
                let of: &mut (_, _, BTreeSet<String>, _) = all.last_mut().expect("a type stands before its samples");
                let count = line.matches("=\"").count();
                of.2.extend(labels.take(count).filter(is_name).map(str::to_owned));
            }
        }
        all
    }
}

fn api_of(node: &Node) -> (String, String) {
    let url = node.wait_for("started", &[])["api"].as_str().expect("it says where").to_owned();
    let token = node.run(&["token", "create", "prometheus", "--scope", "read"]).stdout.trim().to_owned();
    (url.strip_prefix("http://").expect("loopback").to_owned(), token)
}

/// Looks again until there is something.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn what_a_node_counts_of_chain_dht_and_gossip_is_what_has_happened_and_all_of_it_is_in_the_book() {
    let world = World::start_with(2, str::to_owned, "api = { listen = \"127.0.0.1:0\" }");
    let address = world.group(&[]);
    world.fund(&address, 20_000_000);
    let spent = world.nodes[0].json(&["spend", "family", "--to", &format!("{}=8", bob())]);
    let session = spent["session"].as_str().unwrap().to_owned();
    world.nodes[1].wait_for("session-announced", &[("session", &session)]);
    assert_eq!(world.nodes[1].run(&["approve", &session]).status, 0);
    world.nodes[0].wait_for("payment-seen", &[("session", &session)]);
    world.mine(1);
    world.nodes[0].wait_for("payment-confirmed", &[("session", &session)]);
    world.nodes[1].wait_for("payment-confirmed", &[("session", &session)]);

    let apis: Vec<(String, String)> = world.nodes.iter().map(api_of).collect();
    let all = || apis.iter().map(|(api, token)| Metrics::of(api, token)).collect::<Vec<_>>();
    // Each asks for something in public, which goes by gossip.
    for (one, other) in [(0, 1), (1, 0)] {
        let (one, other) = (&world.nodes[one], &world.nodes[other]);
        one.json(&["create", &other.key, "--text", "hear, hear", "--listed"]);
    }
    // The height is asked for every minute, and when somebody wants a balance.
    let balance = |(api, token): &(String, String)| get(api, "/v1/groups/family/balance", token);
    assert!(apis.iter().all(|api| balance(api).status == 200));
    let seen = eventually(|| {
        let metrics = all();
        let has = |name: &str, labels: &[&str]| metrics.iter().all(|of| of.sum(name, labels) > 0.0);
        (has("nelumbo_chain_height", &[])
            && has("nelumbo_network_gossip_mesh_peers", &["topic=\"presence\""])
            && has("nelumbo_network_gossip_received_total", &["topic=\"requests\""])
            && has("nelumbo_network_dht_queries_total", &["query=\"put\"", "outcome=\"completed\""])
            && has("nelumbo_network_dht_records", &["of=\"others\""])
            && has("nelumbo_dht_ready", &[]))
        .then_some(metrics)
    });
    let server = format!("server=\"{}", world.server.url());
    for of in &seen {
        assert!(of.sum("nelumbo_chain_answers_total", &[&server]) > 0.0, "{}", of.text);
        assert_eq!(of.sum("nelumbo_chain_failures_total", &[&server]), 0.0);
        assert_eq!(of.sum("nelumbo_payments", &["state=\"confirmed\""]), 1.0);
        assert_eq!(of.sum("nelumbo_dht_state", &[]), 1.0, "one state holds");
        assert_eq!(of.sum("nelumbo_dht_state", &["state=\"ready\""]), 1.0);
        assert_eq!(of.sum("nelumbo_reachability", &["state=\"local\""]), 1.0);
        let [received, judged] = ["received", "judged"].map(|what| {
            let name = format!("nelumbo_network_gossip_{what}_total");
            of.sum(&name, &["topic=\"requests\""])
        });
        assert_eq!(received, judged, "{}", of.text);
        assert!(of.sum("nelumbo_network_dht_query_seconds_count", &["query=\"put\""]) > 0.0);
        assert!(of.sum("nelumbo_network_dht_records", &["of=\"own\""]) > 0.0);
        assert!(of.sum("nelumbo_network_dht_requests_total", &["request=\"put\""]) > 0.0);
    }
    let sum = |name: &str, labels: &[&str]| seen.iter().map(|of| of.sum(name, labels)).sum::<f64>();
    assert_eq!(sum("nelumbo_broadcasts_total", &["outcome=\"sent\""]), 1.0, "one signer broadcasts");
    assert!(sum("nelumbo_network_gossip_judged_total", &["verdict=\"accept\""]) > 0.0);

    named_everywhere(&seen[0]);

    // The server is gone.
    let _nodes = world.stop_server();
    let unanswered = balance(&apis[0]);
    assert_eq!(unanswered.status, 409, "{}", unanswered.body);
    let failures = all()[0].sum("nelumbo_chain_failures_total", &["reason=\"connect\""]);
    assert!(failures >= 3.0, "each round asks it: {failures}");
}

#[test]
fn a_node_that_takes_no_part_in_the_dht_and_in_gossip_says_so() {
    let api = Api::start_configured(&[], "dht = \"off\"\ngossip = false");
    let of = Metrics::of(&api.address, &api.token("prometheus", &["read"]));
    assert_eq!(of.sum("nelumbo_dht_state", &["state=\"stopped\""]), 1.0);
    assert_eq!((of.sum("nelumbo_dht_state", &[]), of.sum("nelumbo_dht_ready", &[])), (1.0, 0.0));
    assert_eq!(of.sum("nelumbo_gossip_enabled", &[]), 0.0);
}

/// The book has a row for each metric and no others, and what the dashboard and the alerts ask for is there.
fn named_everywhere(metrics: &Metrics) {
    let described = metrics.described();
    let mut expected = String::from("\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for (name, kind, labels, meaning) in &described {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        expected += &format!("| `{name}` | {kind} | {} | {meaning} |\n", labels.join(", "));
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/metrics.md");
    let text = fs::read_to_string(&page).expect("the page is there");
    let (head, found) = text.split_once(BEGIN).expect("the page says where the table begins");
    if found != expected {
        let new = page.with_extension("md.new");
        fs::write(&new, format!("{head}{BEGIN}{expected}")).expect("the repository can be written");
        panic!("docs/src/metrics.md is not what a node serves; if it is meant to change: mv {}", new.display());
    }

    let mut asked = BTreeSet::new();
    for text in [
        include_str!("../../docs/monitoring/nelumbo.rules.yml"),
        include_str!("../../docs/monitoring/nelumbo.dashboard.json"),
        head,
    ] {
        let names = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        asked.extend(names.filter(|name| name.starts_with("nelumbo_")));
    }
    assert!(asked.len() > 30, "{asked:?}");
    for name in asked {
        let is_of = |(of, kind, ..): &(String, String, BTreeSet<String>, String)| {
            let ends = if kind == "histogram" { &["_bucket", "_count", "_sum"][..] } else { &[""] };
            // Where no series is asked for, a histogram has one name.
            let ends = if head.contains(&format!("`{name}`")) { &[""][..] } else { ends };
            name.strip_prefix(of.as_str()).is_some_and(|end| ends.contains(&end))
        };
        assert!(described.iter().any(is_of), "{name} is served by no node");
    }
}
