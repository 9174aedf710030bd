//! The book's table of settings and its ceiling of memory are what the code says.

use std::fmt::Write;
use std::time::Duration;

use nelumbo_core::api::{Config, Quota};
use nelumbo_core::crypto::Network;
use serde_json::{Value, json};

const SOURCE: &str = include_str!("../src/api/config.rs");
const PAGE: &str = include_str!("../../docs/src/configuration-core.md");
const EMBEDDING: &str = include_str!("../../docs/src/embedding.md");
const BEGIN: &str = "<!-- From here on written by core/tests/configuration.rs. -->\n";

/// Name, type and meaning of each field of a structure, as its source says.
fn fields(structure: &str) -> Vec<(&str, &str, String)> {
    let (_, rest) = SOURCE.split_once(&format!("pub struct {structure} {{\n")).expect("it is there");
    let (body, _) = rest.split_once("\n}\n").expect("it ends");
    let (mut fields, mut meaning) = (Vec::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            meaning.push(text);
        } else {
            let field = line.strip_prefix("pub ").and_then(|field| field.strip_suffix(',')).expect("a public field");
            let (name, kind) = field.split_once(": ").expect("a type");
            // Of a link to an item its text.
            let text = meaning.join(" ").replace("[`Policy`](crate::Policy)", "`Policy`");
            assert!(!text.is_empty() && !text.contains("]("), "{name}: {text}");
            fields.push((name, kind, text));
            meaning.clear();
        }
    }
    fields
}

fn thousands(number: u128) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

fn time(time: Duration) -> String {
    let units = [(86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s")];
    let mut units = units.into_iter().chain([(1_000_000, "ms"), (1_000, "µs"), (1, "ns")]);
    let nanos = time.as_nanos();
    let (unit, name) =
        units.find(|(unit, _)| nanos.is_multiple_of(*unit)).expect("of nanoseconds it is a whole number");
    format!("{} {name}", thousands(nanos / unit))
}

/// The value of a field in words, and values that no field could have if anything is forbidden at all.
fn shown(value: &Value, kind: &str) -> (String, Vec<Value>) {
    let parsed = |value: &Value| serde_json::from_value::<Duration>(value.clone()).expect("a time");
    match kind {
        "Duration" => (time(parsed(value)), vec![json!(Duration::ZERO), json!(Duration::MAX)]),
        "Quota" => {
            let Quota { burst, every } = serde_json::from_value(value.clone()).expect("a quota");
            let text = format!("{} at once, then one every {}", thousands(burst.into()), time(every));
            (text, vec![json!(Quota { burst, every: Duration::ZERO })])
        }
        "usize" | "u32" | "u64" => {
            let most = if kind == "u32" { u64::from(u32::MAX) } else { u64::MAX };
            (thousands(value.as_u64().expect("a number").into()), vec![json!(0), json!(most)])
        }
        _ => panic!("{kind} has no words yet"),
    }
}

fn allowed(config: &Value, path: &str, tries: Vec<Value>) -> String {
    for value in tries {
        let mut config = config.clone();
        *config.pointer_mut(&format!("/{}", path.replace('.', "/"))).expect("the field is there") = value;
        let config: Config = serde_json::from_value(config).expect("the value has the type");
        if let Err(error) = config.check().map_err(|error| (error.field, error.allowed))
            && error.0 == path
        {
            return error.1;
        }
    }
    "any".to_owned()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it says in a file what the page should be")]
fn the_book_s_table_of_settings_is_what_the_code_says() {
    let config = serde_json::to_value(Config::new(Network::Regtest)).expect("an object");
    let mut expected = String::new();
    for (structure, prefix) in [("Config", ""), ("Limits", "limits.")] {
        writeln!(expected, "\n## `{structure}`\n\n| field | default | allowed | meaning |\n|---|---|---|---|").unwrap();
        for (name, kind, meaning) in fields(structure) {
            let path = format!("{prefix}{name}");
            let value = config.pointer(&format!("/{}", path.replace('.', "/"))).expect("every field is serialised");
            let (default, allowed) = match kind {
                "Network" => ("what `Config::new` is given".to_owned(), "any".to_owned()),
                "Limits" => ("`Limits::default()`".to_owned(), "see below".to_owned()),
                _ => {
                    let (default, tries) = shown(value, kind);
                    (default, self::allowed(&config, &path, tries))
                }
            };
            writeln!(expected, "| `{path}` | {default} | {allowed} | {meaning} |").unwrap();
        }
    }
    let (head, found) = PAGE.split_once(BEGIN).expect("the page says where the tables begin");
    if found != expected {
        let new = std::env::temp_dir().join("nelumbo-configuration-core.md");
        std::fs::write(&new, format!("{head}{BEGIN}{expected}")).expect("there is a temporary folder");
        panic!("docs/src/configuration-core.md is not what the code says; {} is", new.display());
    }
}

#[test]
fn the_book_s_ceiling_of_memory_is_the_code_s() {
    let ceiling = Config::new(Network::Regtest).limits.ceiling() as u128;
    let text = format!("{} bytes", thousands(ceiling));
    for (name, page) in [("embedding.md", EMBEDDING), ("configuration-core.md", PAGE)] {
        assert!(page.contains(&text), "{name} does not say that the ceiling is {text}");
    }
}
