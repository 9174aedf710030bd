//! Everything that can be set in a scenario: the book's tables are what the code says, and settings replace values.

use std::collections::BTreeMap;
use std::fmt::Write;

use nelumbo_core::api::Limits;
use nelumbo_simulator::run::{Engine, run};
use nelumbo_simulator::scenario::{Scenario, parameter_names};
use nelumbo_simulator::schedule::Schedule;
use nelumbo_simulator::settings::{Overlay, Protocol};
use toml::{Table, Value};

const PAGE: &str = include_str!("../../docs/src/parameters.md");
const BEGIN: &str = "<!-- From here on written by simulator/tests/parameters.rs. -->\n";
const SCENARIO: &str = include_str!("../src/scenario/mod.rs");
const PARAMS: &str = include_str!("../src/scenario/params.rs");
const CORE: &str = include_str!("../../core/src/api/config.rs");

/// What a scenario has to say.
const LEAST: &str = "name = 'x'\nnodes = 3\nsessions = 1\nsigners = 3\nworkload = '20 s'\n";

/// A field as its source says: name, type, what reads it, and what it means.
struct Field {
    name: String,
    kind: String,
    unit: String,
    meaning: String,
}

/// The fields of a structure, or of a variant.
fn fields(source: &str, structure: &str, end: &str) -> Vec<Field> {
    let (_, rest) = source.split_once(structure).unwrap_or_else(|| panic!("{structure} is there"));
    let (body, _) = rest.split_once(end).expect("it ends");
    let (mut fields, mut meaning, mut attribute) = (Vec::new(), Vec::new(), "");
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(text) = line.strip_prefix("/// ") {
            meaning.push(text);
        } else if line.starts_with("#[") {
            attribute = line;
        } else {
            let field = line.strip_prefix("pub ").unwrap_or(line).strip_suffix(',').expect("a field");
            let (name, kind) = field.split_once(": ").expect("a type");
            let quoted = |key: &str| Some(attribute.split_once(key)?.1.split('"').nth(1)?.to_owned());
            let name = quoted("rename = ").unwrap_or_else(|| name.replace('_', "-"));
            let unit = quoted("with = ").filter(|_| attribute.contains("units::")).unwrap_or_default();
            let text = meaning.join(" ").replace("[`Policy`](crate::Policy)", "`Policy`");
            assert!(!text.is_empty() && !text.contains("]("), "{name}: {text}");
            fields.push(Field { name, kind: kind.to_owned(), unit, meaning: text });
            (meaning, attribute) = (Vec::new(), "");
        }
    }
    fields
}

fn with_latency(kind: &str) -> Scenario {
    Scenario::from_toml(&format!("{LEAST}latency = {kind}"), &[]).expect("sound")
}

fn flat(of: &Scenario) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    for (name, value) in Table::try_from(of).expect("TOML") {
        match value {
            Value::Table(fields) => {
                flat.extend(fields.into_iter().map(|(field, value)| (format!("{name}.{field}"), value)))
            }
            value => drop(flat.insert(name, value)),
        }
    }
    flat
}

/// What a parameter may be, found by trying what none could be if anything is forbidden at all.
fn allowed(name: &str, field: &Field) -> String {
    match (field.unit.as_str(), field.kind.as_str()) {
        ("units::share", _) => return "0% to 100%".to_owned(),
        ("units::millis", _) => return "a time, in whole milliseconds".to_owned(),
        ("units::micros", _) => return "a time, in whole microseconds".to_owned(),
        ("units::rate", _) => return "`unlimited`, or such as `1 MB/s`".to_owned(),
        (_, "bool") => return "true, false".to_owned(),
        _ => {}
    }
    let scenario = with_latency("{ kind = 'regions' }");
    for value in ["?", "['?']", "0", "18446744073709551615", "0 s", "100000 d", "-1"] {
        // No scenario can have more nodes than a machine has memory for; that is not asked here.
        let Err(error) = scenario.with(&[format!("{name}={value}")]) else { continue };
        if let Some((_, list)) = error.split_once("expected one of ").filter(|_| error.contains("unknown variant")) {
            let list = list.replace('`', "");
            return if value.starts_with('[') { format!("a list of {list}") } else { list };
        }
        if let Some((_, allowed)) = error.split_once("allowed is ") {
            return allowed.to_owned();
        }
    }
    match field.kind.as_str() {
        "u32" | "u64" | "usize" => "0 or more".to_owned(),
        "String" => "any text".to_owned(),
        _ => "any".to_owned(),
    }
}

fn row(table: &mut String, name: &str, default: &str, field: &Field) {
    writeln!(table, "| `{name}` | {default} | {} | {} |", allowed(name, field), field.meaning).expect("memory");
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        value => value.to_string(),
    }
}

#[test]
fn the_book_s_tables_of_parameters_are_what_the_code_says() {
    let usual = flat(&with_latency("{ kind = 'regions' }"));
    let required = ["name", "nodes", "sessions", "signers", "workload"];
    let (mut expected, mut listed) = (String::new(), Vec::new());
    let sections = [
        ("", "The network, its sessions and nodes", SCENARIO, "Scenario"),
        ("nat", "[nat]", PARAMS, "NatParams"),
        ("link", "[link]", PARAMS, "LinkParams"),
        ("faults", "[faults]", PARAMS, "FaultParams"),
        ("people", "[people]", PARAMS, "PeopleParams"),
        ("adversaries", "[adversaries]", PARAMS, "AdversaryParams"),
        ("protocol", "[protocol]", CORE, "Config"),
        ("limits", "[limits]", CORE, "Limits"),
    ];
    let core: BTreeMap<String, Value> = Overlay::<Protocol>::default()
        .flat()
        .map(|(name, value)| (format!("protocol.{name}"), value))
        .chain(Overlay::<Limits>::default().flat().map(|(name, value)| (format!("limits.{name}"), value)))
        .map(|(name, value)| (name, Value::try_from(value).expect("a text or a number")))
        .collect();
    for (section, title, source, structure) in sections {
        let head = "| parameter | default | allowed | meaning |\n|---|---|---|---|";
        writeln!(expected, "\n## `{title}`\n\n{head}").expect("memory");
        for field in fields(source, &format!("pub struct {structure} {{\n"), "\n}\n") {
            let is_table = sections.iter().any(|(other, ..)| *other == field.name) || field.name == "latency";
            if (section.is_empty() && is_table) || field.kind == "Limits" || field.kind == "Network" {
                continue;
            }
            let name = if section.is_empty() { field.name.clone() } else { format!("{section}.{}", field.name) };
            let parts = if field.kind == "Quota" { &["burst", "every"][..] } else { &[] };
            for part in parts {
                let (name, default) = (format!("{name}.{part}"), &core[&format!("{name}.{part}")]);
                let what = if *part == "burst" { "how much at once" } else { "after how long there is one more" };
                let meaning = format!("{} Here {what}.", field.meaning);
                let field = Field { name: name.clone(), kind: "u64".into(), unit: String::new(), meaning };
                row(&mut expected, &name, &shown(default), &field);
                listed.push(name);
            }
            if parts.is_empty() {
                let default = core.get(&name).or(usual.get(&name)).unwrap_or_else(|| panic!("{name} has a value"));
                let default =
                    if required.contains(&name.as_str()) { "has to be set".to_owned() } else { shown(default) };
                row(&mut expected, &name, &default, &field);
                listed.push(name);
            }
        }
        if section.is_empty() {
            writeln!(expected, "\n## `[latency]`\n\n{head}").expect("memory");
            expected.push_str(&latency(&mut listed));
        }
    }
    let mut names = parameter_names().to_vec();
    names.sort();
    listed.sort();
    assert_eq!(listed, names, "the tables have each parameter once");
    let (start, found) = PAGE.split_once(BEGIN).expect("the page says where the tables begin");
    if found != expected {
        let new = std::env::temp_dir().join("nelumbo-parameters.md");
        std::fs::write(&new, format!("{start}{BEGIN}{expected}")).expect("there is a temporary folder");
        panic!("docs/src/parameters.md is not what the code says; {} is", new.display());
    }
}

/// The rows of the latency, whose fields depend on its kind.
fn latency(listed: &mut Vec<String>) -> String {
    let kinds = ["fixed", "uniform", "log-normal", "regions"];
    let mut by_name = BTreeMap::<String, (Field, String)>::new();
    for (kind, variant) in [("fixed", "Fixed {\n"), ("uniform", "Uniform {\n"), ("log-normal", "LogNormal {\n")] {
        for field in fields(PARAMS, variant, "\n    },\n") {
            let meaning = format!("`{kind}`: {}", field.meaning);
            let known = by_name.entry(field.name.clone()).or_insert((field, String::new()));
            known.1 = [known.1.as_str(), &meaning].join(" ").trim().to_owned();
        }
    }
    let mut rows = format!(
        "| `latency.kind` | has to be set | {} | How long messages take: always as long, drawn evenly, log-normal, or \
         as measured between regions, over which the nodes are spread. |\n",
        kinds.join(", ")
    );
    listed.push("latency.kind".to_owned());
    for (name, (mut field, meaning)) in by_name {
        let name = format!("latency.{name}");
        field.meaning = meaning;
        if field.unit.is_empty() {
            let error = with_latency("{ kind = 'log-normal', least = '1 ms', median = '1 ms', sigma = 1.0 }");
            let error = error.with(&[format!("{name}=99.0")]).expect_err("far too much");
            let allowed = error.split_once("allowed is ").expect("it says").1.to_owned();
            writeln!(rows, "| `{name}` | has to be set | {allowed} | {} |", field.meaning).expect("memory");
        } else {
            row(&mut rows, &name, "has to be set", &field);
        }
        listed.push(name);
    }
    rows
}

fn lossy(settings: &[&str]) -> Result<Scenario, String> {
    let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
    Scenario::from_toml(Scenario::text("lossy").expect("ready"), &settings)
}

#[test]
fn settings_replace_values_and_wrong_ones_are_refused_by_name() {
    let scenario = lossy(&["loss=0.0005%", "crypto=toy", "nodes=20", "stall=500ms", "workload=1 min"]).expect("sound");
    assert_eq!((scenario.link.loss, scenario.nodes, scenario.workload_ms), (5, 20, 60_000));
    let stall = scenario.schedule(1).config().expect("sound").stall;
    assert_eq!(stall.as_millis(), 500);
    let fixed = lossy(&["latency.kind=fixed", "latency.time=10ms"]).expect("another kind has other fields");
    assert!(fixed.to_toml().contains("[latency]\nkind = \"fixed\"\ntime = \"10 ms\"\n"), "{}", fixed.to_toml());
    for (setting, problem) in [
        ("nodes", "not SETTING=VALUE"),
        ("nodes=many", "nodes: "),
        ("signers=1", "signers"),
        ("no_such_parameter=1", "unknown parameter"),
        ("link.los=1%", "did you mean `link.loss`?"),
        ("max_signers=3", "did you mean `max-signers`?"),
        ("workload_ms=5", "did you mean `workload`?"),
        ("stal=1s", "did you mean `protocol.stall`?"),
        ("loss=150%", "link.loss: \"150%\" is no share"),
        ("loss=1", "link.loss: "),
        ("stall=5", "write its unit, such as \"500ms\""),
        ("stall=1h", "protocol.stall is 1 h; allowed is 1 ms to 30 s, which is stall-max"),
        ("workload=500us", "workload: 500 us is finer than milliseconds"),
        ("limits.sessions=0", "limits.sessions is 0; allowed is 1 or more"),
        ("crypto=toi", "crypto: unknown variant `toi`; did you mean `toy`?"),
        ("latency.least=1 d", "latency"),
    ] {
        match lossy(&[setting]) {
            Err(said) => assert!(said.contains(problem), "{setting}: {said}"),
            Ok(_) => assert_eq!(setting, "latency.least=1 d"),
        }
    }
    let text = format!("{LEAST}latency = {{ kind = 'regions' }}\n[faults]\ncrashs = 1");
    let said = Scenario::from_toml(&text, &[]).expect_err("no such field");
    assert!(said.starts_with("line 8: unknown field `crashs`; did you mean `crashes`?"), "{said}");
}

#[test]
fn a_scenario_and_its_schedule_survive_being_written_down() {
    let mut all: Vec<Scenario> = (0..200).map(Scenario::swarm).collect();
    all.push(
        lossy(&["stall=1s", "limits.messages.burst=9", "election=rotating", "loses-presences=true"]).expect("sound"),
    );
    for scenario in all {
        let text = scenario.to_toml();
        assert_eq!(Scenario::from_toml(&text, &[]).as_ref(), Ok(&scenario), "{text}");
        let schedule = scenario.schedule(1);
        assert_eq!(Schedule::from_toml(&schedule.to_toml()), Ok(schedule));
    }
    let usual = with_latency("{ kind = 'regions' }").to_toml();
    assert_eq!(usual.lines().count(), 8, "what is as usual is not said: {usual}");
}

#[test]
fn what_is_set_counts_in_the_run() {
    let p90 = |settings: &[&str]| {
        let summary = run(&lossy(settings).expect("sound").schedule(3), Engine::Windowed(1));
        assert_eq!(summary.violations, [], "{summary}");
        summary.latency_ms.p90
    };
    let (usual, quick) = (p90(&[]), p90(&["stall=200ms"]));
    assert!(quick < usual, "who asks sooner for what is lost has it sooner: {quick} ms, {usual} ms");
    // Where sessions may rest for longer, nothing has to have ended sooner.
    let patient = lossy(&["stuck-timeout=1h"]).expect("sound").schedule(3);
    assert_eq!(patient.until_ms, patient.healed_ms() + 7_200_000);
    let one = lossy(&["limits.sessions=1", "limits.unapproved=1", "limits.unapproved-per-creator=1"]).expect("sound");
    let summary = run(&one.schedule(3), Engine::Windowed(1));
    assert!(summary.sessions.by_reason.contains_key("refused-command"), "{summary}");
}
