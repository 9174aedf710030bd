//! `nelumbo simulate`: summaries, traces, reports, replays, and where two traces part.

mod cli_support;

use cli_support::nelumbo;

const SMALL: [&str; 6] = ["simulate", "quiet", "--nodes", "3", "--sessions", "1"];

#[test]
fn the_summary_has_every_field_that_is_promised() {
    let summary = nelumbo(&[&SMALL[..], &["--json"]].concat()).json();
    for field in [
        "seed",
        "scenario",
        "trace_hash",
        "nodes",
        "events",
        "messages",
        "bytes",
        "virtual_ms",
        "latency_ms",
        "one_way_delays",
        "violations",
        "wall_ms",
        "events_per_second",
        "bytes_per_node",
    ] {
        assert!(summary.get(field).is_some(), "{field}");
    }
    for field in ["started", "completed", "failed", "by_reason"] {
        assert!(summary["sessions"].get(field).is_some(), "sessions.{field}");
    }
    assert_eq!(summary["sessions"]["completed"], 1);
    assert_eq!(summary["one_way_delays"]["max"], 3.0);
}

#[test]
fn traces_are_compared_and_reports_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("a plain name").to_owned();
    let (one, same, other, page) = (file("1.jsonl"), file("2.jsonl"), file("3.jsonl"), file("1.html"));
    for (trace, seed) in [(&one, "1"), (&same, "1"), (&other, "2")] {
        let run = nelumbo(&[&SMALL[..], &["--seed", seed, "--trace", trace, "--report", &page]].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
    }
    let text = std::fs::read_to_string(&page).expect("the report");
    assert!(text.starts_with("<!doctype html>") && text.trim_end().ends_with("</html>"));
    assert_eq!(nelumbo(&["simulate", "diff", &one, &same]).status, 0);
    let differs = nelumbo(&["simulate", "diff", &one, &other, "--json"]);
    assert_eq!(differs.status, 1);
    let told: serde_json::Value = serde_json::from_str(&differs.stdout).expect("one object");
    assert_eq!(told["same"], false);
    assert!(told["row"].as_u64().is_some_and(|row| row > 1) && told["left"] != told["right"]);
}

#[test]
fn a_failing_schedule_is_saved_small_and_fails_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("a plain name").to_owned();
    let (broken, saved) = (file("broken.toml"), file("saved.toml"));
    let schedule = "scenario = 'custom'\nseed = 1\nnodes = 3\nuntil_ms = 60000\nlatency = { kind = 'fixed', ms = 10 }\n\
        [[steps]]\nat_ms = 0\nevent = 'misbehaviour'\nnode = 1\nmisbehaviour = 'false-signature'\nbroken = true\n\
        [[steps]]\nat_ms = 0\nevent = 'jump'\nnode = 2\nms = 5\n\
        [[steps]]\nat_ms = 2000\nevent = 'create'\nnode = 0\nsigners = [0, 1, 2]\n";
    std::fs::write(&broken, schedule).expect("a file");
    let run = nelumbo(&["simulate", "replay", &broken, "--save", &saved]);
    assert_eq!(run.status, 1, "{}{}", run.stdout, run.stderr);
    let small = std::fs::read_to_string(&saved).expect("the schedule");
    assert!(small.contains("false-signature") && !small.contains("jump"), "{small}");
    assert_eq!(nelumbo(&["simulate", "replay", &saved]).status, 1);

    // Why: it was bound to fail from the first step on. Without it nothing is wrong.
    let why = nelumbo(&["simulate", "why", &broken, "--json"]);
    assert_eq!(why.status, 1, "{}", why.stderr);
    let why: serde_json::Value = serde_json::from_str(&why.stdout).expect("one object");
    assert_eq!((&why["bound"]["since"], &why["bound"]["number"]), (&"step".into(), &1.into()), "{why}");
    assert_eq!(why["checker"], "signatures", "{why}");
    let told = nelumbo(&["simulate", "why", &broken]);
    assert!(told.status == 1 && told.stdout.contains("from step 1 on"), "{}{}", told.stdout, told.stderr);
    std::fs::write(&broken, schedule.replace("broken = true", "broken = false")).expect("a file");
    let sound = nelumbo(&["simulate", "why", &broken]);
    assert!(sound.status == 0 && sound.stdout.contains("does not fail"), "{}{}", sound.stdout, sound.stderr);
}

#[test]
fn many_seeds_have_measures_with_intervals_and_designs_are_compared() {
    let many = [&SMALL[..], &["--seeds", "0..6", "--set", "loss=20%"]].concat();
    let run = nelumbo(&[&many[..], &["--json"]].concat());
    let lines: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert!(lines.len() == 7 && lines[..6].iter().all(|line| line["latency"].is_string()), "{}", run.stdout);
    let p50 = &lines[6]["measures"]["latency-p50"];
    let [low, value, high] = ["low", "value", "high"].map(|end| p50[end].as_f64().expect("a number"));
    assert!(low <= value && value <= high && low < high && p50["unit"] == "ms", "{p50}");
    let told = nelumbo(&many).stdout;
    assert!(told.contains("latency-p50") && told.contains(" to ") && told.contains("violations  "), "{told}");
    let compared = nelumbo(&[&many[..], &["--against", "stall=200ms", "--json"]].concat()).json();
    let latency = &compared["comparison"]["latency-mean"];
    assert!(latency["difference"]["value"].as_f64() < Some(0.0) && latency["p"].as_f64() < Some(1.0), "{latency}");
    let refused = nelumbo(&["simulate", "quiet", "--against", "stall=1s"]);
    assert!(refused.status == 2 && refused.stderr.contains("--seeds"), "{}", refused.stderr);
}

#[test]
fn parameters_are_set_by_name_with_units_and_printed() {
    let print = |scenario: &str, settings: &[&str]| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        nelumbo(&["simulate", scenario, "--print"].into_iter().chain(settings).collect::<Vec<_>>())
    };
    let plain = print("lossy", &[]);
    assert!(plain.stdout.starts_with("# A third of all messages"), "{}", plain.stdout);
    let set = print("lossy", &["stall=500ms", "loss=10%"]);
    for line in ["loss = \"10%\"", "[protocol]\nstall = \"500 ms\"", "workload = \"20 s\""] {
        assert!(set.stdout.contains(line), "{line}: {}{}", set.stdout, set.stderr);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("set.toml");
    std::fs::write(&file, &set.stdout).expect("a file");
    let again = print(file.to_str().expect("a plain name"), &[]);
    assert_eq!(again.stdout, set.stdout, "{}", again.stderr);
    assert!(print("swarm", &["nodes=9"]).stdout.contains("nodes = 9"));
    for (setting, problem) in [
        ("stal=500ms", "did you mean `protocol.stall`?"),
        ("loss=110%", "link.loss: "),
        ("stall=1h", "protocol.stall is 1 h; allowed is"),
    ] {
        let refused = print("lossy", &[setting]);
        assert!(refused.status == 2 && refused.stderr.contains(problem), "{setting}: {}", refused.stderr);
    }
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_simulated() {
    for (arguments, word) in [
        (&["simulate", "quiet", "--trace", "trace.txt"][..], ".jsonl"),
        (&["simulate", "swarm", "--seeds", "0..3", "--report", "a.html"], "--seed"),
        (&["simulate", "no-such-scenario"], "failover-cascade"),
        (&["simulate", "replay", "/no/such/file.toml"], "cannot be read"),
        (&["simulate", "diff", "a.parquet", "b.jsonl"], "JSON lines"),
    ] {
        let run = nelumbo(arguments);
        assert!(run.status > 1 && run.stderr.contains(word), "{arguments:?}: {} {}", run.status, run.stderr);
    }
}
