//! The book's tables of settings are what the code says.

use std::fmt::Write;

use nelumbo_simulator::settings::Time;
use serde_json::{Value, json};

use super::*;
use crate::node::policy::Rule;

const BEGIN: &str = "<!-- From here on written by cli/src/node/config/reference.rs. -->\n";
const CORE: &str = include_str!("../../../../core/src/api/config.rs");
const CONFIG: &str = include_str!("../config.rs");
const SECTIONS: &str = include_str!("sections.rs");
const POLICY: &str = include_str!("../policy.rs");
const API: &str = include_str!("../../api/server.rs");

/// Name, type and meaning of each field of a structure, as its source says.
fn fields(source: &'static str, structure: &str) -> Vec<(String, &'static str, String)> {
    let (_, rest) = source.split_once(&format!("struct {structure} {{\n")).expect("it is there");
    let (body, _) = rest.split_once("\n}\n").expect("it ends");
    let (mut fields, mut meaning) = (Vec::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            meaning.push(text);
        } else if !line.starts_with("#[") {
            let field = line.strip_suffix(',').expect("a field");
            let field = field.strip_prefix("pub(crate) ").or(field.strip_prefix("pub ")).unwrap_or(field);
            let (name, kind) = field.split_once(": ").expect("a type");
            let text = meaning.join(" ").replace("[`Policy`](crate::Policy)", "`Policy`");
            assert!(!text.is_empty() && !text.contains("]("), "{name}: {text}");
            fields.push((name.replace('_', "-"), kind, text));
            meaning.clear();
        }
    }
    fields
}

/// A configuration in which everything is there that there can be.
fn whole() -> Value {
    let mut config = Config::new(Preset::Wallet, Vec::new(), Vec::new());
    config.chain = Some(Chain::default());
    config.api = Some(ApiConfig::on("127.0.0.1:7310".parse().expect("an address")));
    serde_json::to_value(config).expect("settings are JSON")
}

fn read(config: &Value) -> Result<Config, String> {
    serde_json::from_value(config.clone()).map_err(|error| error.to_string())
}

/// What a setting may be, found by trying what no setting could be if anything is forbidden at all.
fn allowed(path: &str, kind: &str) -> String {
    if kind == "bool" || kind == "Option<bool>" {
        return "true, false".to_owned();
    }
    let mut config = whole();
    config["chain"]["servers"] = json!(["http://127.0.0.1", "http://127.0.0.2"]);
    let quota = |burst: u64, every: &str| json!({ "burst": burst, "every": every });
    let tries = [
        json!("?"),
        json!(0),
        json!(u64::MAX),
        json!("0 s"),
        json!("100000 d"),
        quota(0, "0 s"),
        json!(""),
        json!("x".repeat(1000)),
    ];
    for value in tries {
        let mut config = config.clone();
        let pointer = format!("/{}", path.replace('.', "/"));
        *config.pointer_mut(&pointer).unwrap_or_else(|| panic!("{path} is a setting")) = value;
        match read(&config).map(|config| config.check()) {
            Ok(Err(unsound)) if unsound.setting == path => {
                return unsound.allowed.split(" (").next().expect("a text").to_owned();
            }
            Err(error) if error.starts_with("unknown variant") => {
                let names: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
                return names.join(", ");
            }
            _ => {}
        }
    }
    "any".to_owned()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Object(quota) if quota.contains_key("burst") => {
            format!("{} at once, then one every {}", quota["burst"], quota["every"].as_str().expect("a time"))
        }
        value => value.to_string(),
    }
}

#[test]
fn the_book_s_tables_of_settings_are_what_the_code_says() {
    let config = whole();
    let mut expected = String::new();
    let tables = [
        ("", "What the node is", CONFIG, "Config"),
        ("connections", "connections", CONFIG, "Wanted"),
        ("network", "[network]", SECTIONS, "NetworkSettings"),
        ("chain", "[chain]", SECTIONS, "Chain"),
        ("api", "[api]", API, "ApiConfig"),
        ("log", "[log]", SECTIONS, "LogSettings"),
        ("approval", "[approval]", POLICY, "ApprovalPolicy"),
        ("approval.rules", "[[approval.rules]]", POLICY, "Rule"),
        ("protocol", "[protocol]", CORE, "Config"),
        ("limits", "[limits]", CORE, "Limits"),
    ];
    for (table, title, source, structure) in tables {
        writeln!(
            expected,
            "\n## `{title}`\n\n| setting | default | allowed | counts | meaning |\n|---|---|---|---|---|"
        )
        .unwrap();
        for (name, kind, meaning) in fields(source, structure) {
            let path = if table.is_empty() { name.clone() } else { format!("{table}.{name}") };
            let is_table = table.is_empty() && tables.iter().any(|(table, ..)| *table == name);
            let is_core_s = source == CORE && ["network", "limits"].contains(&name.as_str());
            if is_table || is_core_s {
                continue;
            }
            let (default, allowed) = match table {
                "connections" => ("as the preset".to_owned(), "0 to 4294967295".to_owned()),
                "approval.rules" => {
                    let is_needed = !kind.starts_with("Option");
                    let default = if is_needed { "has to be set" } else { "not set" };
                    let rule: Result<Rule, _> = serde_json::from_value(json!({ "name": "a", "decision": "?" }));
                    let decisions = rule.expect_err("there is no such decision").to_string();
                    let decisions: Vec<&str> = decisions.split('`').skip(3).step_by(2).collect();
                    let allowed = if name == "decision" { decisions.join(", ") } else { "any".to_owned() };
                    (default.to_owned(), allowed)
                }
                _ => {
                    let value = config.pointer(&format!("/{}", path.replace('.', "/")));
                    (shown(value.unwrap_or_else(|| panic!("{path}"))), allowed(&path, kind))
                }
            };
            let default = if ["listen", "bootstrap", "preset", "api.listen", "chain.servers"].contains(&path.as_str()) {
                "has to be set".to_owned()
            } else {
                default
            };
            let counts = if is_reloaded(&path) { "at SIGHUP" } else { "at start" };
            writeln!(expected, "| `{path}` | {default} | {allowed} | {counts} | {meaning} |").unwrap();
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/configuration.md");
    let page = fs::read_to_string(&path).expect("the page is there");
    let (head, found) = page.split_once(BEGIN).expect("the page says where the tables begin");
    if found != expected {
        let new = path.with_extension("md.new");
        fs::write(&new, format!("{head}{BEGIN}{expected}")).expect("the repository can be written");
        panic!("docs/src/configuration.md is not what the code says; if it is meant to change: mv {}", new.display());
    }
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let mut config = Config::new(Preset::Wallet, Vec::new(), Vec::new());
    config.chain = None;
    let mut fields = serde_json::to_value(&config).expect("settings are JSON");
    fields.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    assert_eq!(read(&fields), Ok(config.clone()));
    // What the core has as its defaults is what a node has that sets nothing.
    assert_eq!(config.core(Network::Regtest), Ok(CoreConfig::new(Network::Regtest)));
    assert!(config.flat().len() > 80, "{}", config.flat().len());
}

#[test]
fn what_is_wrong_is_named_with_what_was_meant() {
    let problem = |text: &str| {
        let whole = format!("preset = \"wallet\"\nlisten = []\nbootstrap = []\n{text}");
        match Config::parse(&whole) {
            Err((line, problem)) => format!("{line}: {problem}"),
            Ok(config) => match config.check() {
                Err(unsound) => format!("{} is {}; {}", unsound.setting, unsound.value, unsound.allowed),
                Ok(()) => panic!("{text} is sound"),
            },
        }
    };
    for (text, expected) in [
        ("lisen = []", "4: unknown field `lisen`; did you mean `listen`?"),
        ("port_mapping = true", "4: unknown field `port_mapping`; did you mean `port-mapping`?"),
        ("[limits]\nsesions = 5", "5: unknown field `sesions`; did you mean `sessions`?"),
        ("[protocol]\nsession-timout = \"1 h\"", "5: unknown field `session-timout`; did you mean `session-timeout`?"),
        ("election = \"last-siner\"", "4: unknown variant `last-siner`; did you mean `last-signer`?"),
        ("[network]\nagentt = \"x\"", "5: unknown field `agentt`; did you mean `agent`?"),
        ("[limits]\nsessions = 0", "limits.sessions is 0; 1 or more"),
        ("[protocol]\nstall = \"1 h\"", "protocol.stall is 1 h; 1 ms to 30 s, which is stall-max"),
        ("[network]\ndial-timeout = \"0 s\"", "network.dial-timeout is 0 s; 1 s to 1 h"),
        ("connections = { minimum = 9, maximum = 8 }", "connections is 9 to 8; "),
        ("[chain]\nservers = []", "chain.servers is empty; "),
        ("[chain]\nservers = [\"http://a\"]\nquorum = 2", "chain.quorum is 2; 1 to 1"),
        ("[protocol]\nretries = 5000000000", "limits.a number is too large; "),
    ] {
        let said = problem(text);
        assert!(said.starts_with(expected), "{text}: {said}");
    }
    let far = problem("colour = \"blue\"");
    assert!(far.contains("expected one of") && !far.contains("did you mean"), "{far}");
}

#[test]
fn what_differs_is_named_and_whether_it_counts_at_once() {
    let one = Config::new(Preset::Wallet, Vec::new(), Vec::new());
    let mut other = one.clone();
    other.log.filter = "info".to_owned();
    other.election = Method::Rotating;
    other.network.dial_timeout = Time::secs(7);
    other.relays = false;
    assert_eq!(one.differences(&other), ["election", "log.filter", "network.dial-timeout", "relays"]);
    let reloaded: Vec<String> = one.differences(&other).into_iter().filter(|name| is_reloaded(name)).collect();
    assert_eq!(reloaded, ["election", "log.filter"]);
    assert!(one.differences(&one.clone()).is_empty());
}
