//! Sweeps: whoever runs what, the same bytes come of it; what has ended is not run again; and enough is enough.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::statistics::Measure;
use nelumbo_simulator::sweep::{Folder, Plan, Row, Shard, Sweep, work};

const PLAN: &str = "
scenario = 'quiet'
seeds = '3..9'
set = { nodes = 3, sessions = 2, crypto = 'toy' }
vary = { loss = ['0%', '20%'], stall = ['500 ms', '2 s'] }
";

fn sweep(text: &str) -> Sweep {
    let plan = Plan::from_toml(text).expect("a plan");
    let base = Scenario::from_toml(Scenario::text(&plan.scenario).expect("ready"), &[]).expect("sound");
    Sweep::new(plan, Some(&base), "code").expect("sound")
}

/// Runs a part in this folder until so many runs have ended; returns whether all have, and how many ran.
fn part(sweep: &Sweep, path: &Path, shard: Shard, threads: usize, most: usize) -> (bool, usize) {
    let mut folder = Folder::open(path, shard).expect("a folder");
    let ran = AtomicUsize::new(0);
    let goes_on = || ran.load(Ordering::Relaxed) < most;
    let tell = |_| {
        ran.fetch_add(1, Ordering::Relaxed);
    };
    let rows = work(sweep, &mut folder, shard, threads, goes_on, tell).expect("the folder can be written");
    if let Some(rows) = &rows {
        folder.write(sweep, rows).expect("the folder can be written");
    }
    (rows.is_some(), ran.into_inner())
}

/// The tables of a folder.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(path)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.to_string_lossy().contains("-of-") && path.extension().is_some_and(|kind| kind != "jsonl"))
        .map(|path| (path.file_name().expect("a file").to_string_lossy().into_owned(), fs::read(path).expect("a file")))
        .collect();
    files.sort();
    files
}

#[test]
fn parts_and_what_was_killed_come_to_the_same_bytes_as_one_process() {
    let (sweep, folder) = (sweep(PLAN), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name);
    assert_eq!(part(&sweep, &path("one"), Shard::WHOLE, 1, 99), (true, 24));
    let expected = files(&path("one"));
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let tables = if cfg!(feature = "parquet") { &["runs.csv", "runs.parquet"][..] } else { &["runs.csv"] };
    assert_eq!(names, [&["cells.csv", "plot.svg"], tables, &["sweep.json"]].concat());
    // What has ended is not run again.
    assert_eq!(part(&sweep, &path("one"), Shard::WHOLE, 2, 99), (true, 0));
    assert_eq!(files(&path("one")), expected);

    for index in 0..4 {
        let shard = Shard { index, count: 4 };
        assert_eq!(part(&sweep, &path("parts"), shard, 1, 99), (true, 6));
        assert!(path("parts").join(format!("runs-{index}-of-4.csv")).exists());
    }
    assert_eq!(part(&sweep, &path("parts"), Shard::WHOLE, 1, 99), (true, 0), "to merge is to run what is missing");
    assert_eq!(files(&path("parts")), expected);

    // Killed again and again, at last in the middle of a line.
    for most in [1, 5, 2] {
        let (has_ended, ran) = part(&sweep, &path("killed"), Shard::WHOLE, 2, most);
        assert!(!has_ended && (most..most + 2).contains(&ran), "{ran} of {most}");
    }
    let journal = path("killed").join("runs.jsonl");
    let kept = fs::read(&journal).expect("the journal");
    let ended = kept.iter().filter(|byte| **byte == b'\n').count();
    fs::write(&journal, &kept[..kept.len() - 40]).expect("the journal");
    assert_eq!(part(&sweep, &path("killed"), Shard::WHOLE, 2, 99), (true, 24 - (ended - 1)));
    assert_eq!(files(&path("killed")), expected);
}

#[test]
fn a_combination_ends_when_its_interval_is_narrow_enough_whoever_runs_it() {
    let text = PLAN.replace("3..9", "0..60") + "stop = { width = '10%', batch = 6 }\nmeasure = 'latency-mean'\n";
    let (sweep, folder) = (sweep(&text), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name);
    let (has_ended, ran) = part(&sweep, &path("one"), Shard::WHOLE, 2, 999);
    assert!(has_ended && (24..240).contains(&ran), "{ran} runs");
    let mut sum = 0;
    for index in 0..2 {
        sum += part(&sweep, &path("parts"), Shard { index, count: 2 }, 1, 999).1;
    }
    assert_eq!(sum, ran);
    assert_eq!(part(&sweep, &path("parts"), Shard::WHOLE, 1, 999), (true, 0));
    assert_eq!(files(&path("parts")), files(&path("one")));
    let rows: Vec<Row> = fs::read_to_string(path("one").join("runs.jsonl"))
        .expect("the journal")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    let seeds: Vec<u64> = sweep.results(&rows).iter().map(|result| result.seeds).collect();
    assert!(seeds[0] == 6 && seeds[1] == 6, "without loss all seeds are alike: {seeds:?}");
    for result in sweep.results(&rows) {
        let width = result.measures[&Measure::LatencyMean].relative_width().expect("many seeds");
        assert!(width <= 0.1 || result.seeds == 60, "{width} after {} seeds", result.seeds);
    }
}

#[test]
fn a_run_is_known_by_its_parameters_its_seed_and_the_code() {
    let one = sweep(PLAN);
    let mut ids: BTreeSet<String> = (0..4).flat_map(|cell| [3, 4].map(|seed| one.id(cell, seed))).collect();
    let base = Scenario::from_toml(Scenario::text("quiet").expect("ready"), &[]).expect("sound");
    let plan = Plan::from_toml(PLAN).expect("a plan");
    ids.insert(Sweep::new(plan.clone(), Some(&base), "other code").expect("sound").id(0, 3));
    let more = Plan { seeds: "0..500".parse().expect("seeds"), ..plan };
    let more = Sweep::new(more, Some(&base), "code").expect("sound");
    assert_eq!(ids.len(), 9);
    assert_eq!(more.id(0, 3), one.id(0, 3), "more seeds leave those alone that were there");
    assert_eq!(one.run(1, 5, || true), one.run(1, 5, || true));
    assert_eq!(one.run(1, 5, || false), None);
}

#[test]
fn points_are_drawn_between_bounds_and_the_swarm_draws_its_own_worlds() {
    let text = "scenario = 'quiet'\npoints = 40\ndraw = { loss = ['5%', '15%'], stall = ['1 s', '3 s'], \
                signers = [2, 4], election = ['rotating', 'hash-based', 'lexicographic'] }";
    let drawn = sweep(text);
    assert_eq!(drawn.cells().len(), 40);
    let of = |name: &str| -> BTreeSet<String> {
        let value = |(own, value): &(String, toml::Value)| (own == name).then(|| value.to_string());
        drawn.cells().iter().filter_map(|cell| cell.settings.iter().find_map(value)).collect()
    };
    assert!(of("link.loss").len() > 30 && of("protocol.stall").len() > 30);
    assert_eq!((of("signers").len(), of("election").len()), (3, 3));
    let swarm = Plan::from_toml("scenario = 'swarm'\nset = { crypto = 'toy' }\nseeds = '0..2'").expect("a plan");
    let swarm = Sweep::new(swarm, None, "code").expect("sound");
    assert_ne!(swarm.run(0, 0, || true).expect("it ends").trace, swarm.run(0, 1, || true).expect("it ends").trace);
}

#[test]
fn a_wrong_plan_is_refused_before_anything_runs() {
    for (change, problem) in [
        ("scenario = 'quiet'\nseed = '0..3'", "line 2: unknown field `seed`; did you mean `seeds`?"),
        ("scenario = 'quiet'\nseeds = '3..3'", "the range is empty"),
        ("scenario = 'quiet'\nmeasure = 'latency-p5'", "did you mean `latency-p50`?"),
        ("scenario = 'quiet'\nvary = { los = ['1%'] }", "did you mean `link.loss`?"),
        ("scenario = 'quiet'\nvary = { loss = '1%' }", "varies over a list"),
        ("scenario = 'quiet'\nvary = { loss = ['1%', '200%'] }", "link.loss: \"200%\" is no share"),
        ("scenario = 'quiet'\nvary = { stall = ['1 h'] }", "protocol.stall is 1 h; allowed is"),
        ("scenario = 'quiet'\nx = 'stall'\nvary = { loss = ['1%'] }", "does not vary"),
        ("scenario = 'quiet'\npoints = 3", "both or none"),
        ("scenario = 'quiet'\nseeds = '0..99999999999'", "at most"),
        ("scenario = 'quiet'\nstop = { width = '5%', batch = 1 }", "stop.batch"),
        ("scenario = 'quiet'\npoints = 2\ndraw = { loss = ['9%', '1%'] }", "above the second"),
    ] {
        let base = Scenario::from_toml(Scenario::text("quiet").expect("ready"), &[]).expect("sound");
        let said = Plan::from_toml(change).and_then(|plan| Sweep::new(plan, Some(&base), "code").map(drop));
        let said = said.expect_err(change);
        assert!(said.contains(problem), "{change}: {said}");
    }
    let mut plan = Plan::new("quiet");
    plan.vary("loss=0%,10%").and_then(|()| plan.set("stall=500ms")).expect("parameters");
    assert_eq!(Plan::from_toml(&plan.to_toml()), Ok(plan));
}

#[test]
fn tables_have_units_and_the_plot_has_every_interval() {
    let sweep = sweep(PLAN);
    let rows: Vec<Row> = (0..4)
        .flat_map(|cell| (3..6).map(move |seed| (cell, seed)))
        .filter_map(|(cell, seed)| sweep.run(cell, seed, || true))
        .collect();
    let csv = sweep.table(&rows).csv();
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().expect("a heading").split(',').collect();
    assert_eq!(names[..7], ["id", "cell", "seed", "link.loss", "protocol.stall", "started", "completed"]);
    assert!(lines.clone().count() == 12 && lines.all(|line| line.split(',').count() == names.len()), "{csv}");
    let units = sweep.metadata().into_iter().find(|(name, _)| name == "nelumbo.units").expect("units").1;
    assert!(units.contains("\"link.loss\":\"%\"") && units.contains("\"protocol.stall\":\"ms\""), "{units}");
    let cells = sweep.cell_table(&rows).csv();
    assert!(cells.starts_with("link.loss,protocol.stall,measure,unit,value,low,high,seeds\n0,500,"), "{cells}");
    let plot = sweep.plot(&rows);
    assert_eq!((plot.matches("<circle").count(), plot.matches("class=\"band\"").count()), (4, 2), "{plot}");
    for part in ["stall 500 ms", "link.loss (%)", "Time to signature, median (ms)", "prefers-color-scheme:dark"] {
        assert!(plot.contains(part), "{part}");
    }
    for broken in ["NaN", "inf\"", "http://www.w3.org/1999", "href"] {
        assert!(!plot.contains(broken), "{broken}");
    }
    assert!(sweep.plot(&[]).contains("nothing to measure"));
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_has_the_plan_and_the_units_beside_its_columns() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let sweep = sweep(PLAN);
    let rows: Vec<Row> = (3..6).filter_map(|seed| sweep.run(0, seed, || true)).collect();
    let bytes = sweep.table(&rows).parquet(&sweep.metadata()).expect("it can be written");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("runs.parquet");
    fs::write(&file, bytes).expect("a file");
    let reader = SerializedFileReader::new(fs::File::open(&file).expect("a file")).expect("a table");
    let metadata = reader.metadata().file_metadata();
    assert_eq!(metadata.num_rows(), 3);
    let pairs = metadata.key_value_metadata().expect("it has some");
    let value = |name: &str| {
        let pair = pairs.iter().find(|pair| pair.key == name).unwrap_or_else(|| panic!("{name}"));
        pair.value.clone().expect("a text")
    };
    assert_eq!(Plan::from_toml(&value("nelumbo.plan")).as_ref(), Ok(sweep.plan()));
    assert_eq!((value("nelumbo.commit"), value("nelumbo.seeds")), ("code".to_owned(), "3..9".to_owned()));
    let first = reader.get_row_iter(None).expect("rows").next().expect("a row").expect("it can be read").to_string();
    assert!(first.contains("seed: 3") && first.contains("completed: 2") && first.contains("link.loss: 0"), "{first}");
}
