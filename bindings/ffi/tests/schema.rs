//! The schema that is committed is the one of the code, and what machines say is as it says.

use std::fs;

use nelumbo_ffi::schema;

/// `NELUMBO_BLESS=1` writes it anew.
#[test]
fn the_schema_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.json");
    let now = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    if std::env::var_os("NELUMBO_BLESS").is_some() {
        fs::write(path, &now).expect("the folder can be written to");
    }
    let committed = fs::read_to_string(path).expect("the schema is committed");
    assert!(
        committed == now,
        "the shapes have changed: look at the difference after running this with NELUMBO_BLESS=1"
    );
}

/// Every definition says what it is, and every field of every object.
#[test]
fn everything_is_described() {
    let schema = schema();
    let mut missing = Vec::new();
    for (name, definition) in schema["$defs"].as_object().expect("an object") {
        if definition["description"].is_null() {
            missing.push(name.clone());
        }
        let variants = definition["oneOf"].as_array().cloned().unwrap_or_default();
        for part in variants.iter().chain([definition]) {
            for (field, content) in part["properties"].as_object().into_iter().flatten() {
                if field != "type" && content["description"].is_null() && content["$ref"].is_null() {
                    missing.push(format!("{name}.{field}"));
                }
            }
        }
    }
    assert_eq!(missing, [""; 0]);
    assert!(schema["$defs"].as_object().expect("an object").len() > 40);
}

/// The core may get events without that the compiler says so here.
#[test]
fn every_event_of_the_core_has_a_shape() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/src/api/event.rs");
    let text = fs::read_to_string(path).expect("the core lies beside");
    let (_, events) = text.split_once("pub enum Event {").expect("the core has events");
    let names = events.lines().filter_map(|line| line.strip_prefix("    ")?.trim_end_matches([',', '{', ' ']).into());
    let names: Vec<String> = names
        .filter(|name: &&str| name.starts_with(char::is_uppercase) && name.chars().all(char::is_alphanumeric))
        .map(|name| name.chars().map(|c| if c.is_uppercase() { format!("-{}", c.to_lowercase()) } else { c.into() }))
        .map(|letters| letters.collect::<String>().trim_start_matches('-').to_owned())
        .collect();
    assert!(names.len() > 40, "the events have been found: {}", names.len());
    let shapes = schema()["$defs"]["Event"].to_string();
    let missing: Vec<_> = names.iter().filter(|name| !shapes.contains(&format!("{{\"const\":\"{name}\""))).collect();
    assert!(missing.is_empty(), "add to bindings/ffi/src/shapes/event.rs: {missing:?}");
}
