//! `nelumbo sweep`: a question in one command, in parts on a cluster, and interrupted.

mod cli_support;

use std::fs;
use std::path::Path;
use std::process::Command;

use cli_support::{binary, nelumbo};

const QUESTION: [&str; 8] = ["sweep", "quiet", "--vary", "loss=0%,10%,20%", "--seeds", "0..4", "--set", "crypto=toy"];

fn table(folder: &Path) -> [String; 3] {
    ["runs.csv", "cells.csv", "plot.svg"].map(|name| fs::read_to_string(folder.join(name)).expect(name))
}

/// A folder with a plan, its path, and what one process makes of it.
fn planned(folder: &Path) -> (String, [String; 3]) {
    let (plan, whole) = (folder.join("plan.toml"), folder.join("whole"));
    let printed = nelumbo(&[&QUESTION[..], &["--print"]].concat());
    assert_eq!(printed.status, 0, "{}", printed.stderr);
    fs::write(&plan, &printed.stdout).expect("a file");
    let plan = plan.to_str().expect("a plain name").to_owned();
    let run = nelumbo(&["sweep", &plan, "--out", whole.to_str().expect("a plain name")]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    (plan, table(&whole))
}

#[test]
fn a_question_is_one_command_with_a_table_and_a_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("loss");
    let arguments = [&QUESTION[..], &["--out", out.to_str().expect("a plain name")]].concat();
    let run = nelumbo(&arguments);
    assert!(run.status == 0 && run.stdout.contains("link.loss 20%"), "{}{}", run.stdout, run.stderr);
    let [runs, cells, plot] = table(&out);
    assert_eq!((runs.lines().count(), plot.matches("<circle").count()), (13, 3));
    assert!(cells.contains("20,latency-p50,ms,") && cells.contains("20,completed,%,100,100,100,4"), "{cells}");
    // The same again runs nothing, and says the same.
    let told = nelumbo(&[&arguments[..], &["--json"]].concat()).json();
    assert_eq!((&told["runs"], &told["cells"][2]["parameters"]["link.loss"]), (&12.into(), &"20%".into()));
    assert_eq!(fs::read_to_string(out.join("runs.jsonl")).expect("the journal").lines().count(), 12);
    for (change, problem) in [
        (&["--vary", "los=1%"][..], "did you mean `link.loss`?"),
        (&["--vary", "loss=1%,200%"], "link.loss: \"200%\" is no share"),
        (&["--measure", "latency"], "latency-p50"),
        (&["--shard", "4/4"], "0 to N - 1"),
        (&["--seeds", "5..5"], "empty"),
    ] {
        let start: &[&str] = if change[0] == "--seeds" { &["sweep", "quiet", "--out", "/nowhere"] } else { &arguments };
        let refused = nelumbo(&[start, change].concat());
        assert!(refused.status == 2 && refused.stderr.contains(problem), "{change:?}: {}", refused.stderr);
    }
    let unwritable = nelumbo(&["sweep", "quiet", "--out", "/proc/nowhere"]);
    assert!(unwritable.status == 2 && unwritable.stderr.contains("/proc/nowhere"), "{}", unwritable.stderr);
}

#[test]
fn the_examples_for_slurm_and_kubernetes_come_to_what_one_process_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, expected) = planned(folder.path());
    let out = |name: &str| folder.path().join(name).to_str().expect("a plain name").to_owned();

    let program = binary();
    let path = format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").expect("a path"));
    for task in ["0", "1", "2"] {
        let status = Command::new("bash")
            .arg(root.join("docs/cluster/sweep.sbatch"))
            .envs([("PLAN", plan.as_str()), ("OUT", &out("slurm")), ("PATH", &path)])
            .envs([("SLURM_ARRAY_TASK_ID", task), ("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_CPUS_PER_TASK", "1")])
            .output()
            .expect("bash runs");
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    }
    let manifest = fs::read_to_string(root.join("docs/cluster/sweep.yaml")).expect("the manifest");
    let of = |key: &str| {
        let line = manifest.lines().find_map(|line| line.trim().strip_prefix(key)).expect("a line");
        line.trim().to_owned()
    };
    let count: u32 = of("completions:").parse().expect("a number");
    for index in 0..count {
        let arguments: Vec<String> = serde_json::from_str(&of("args:")).expect("a list");
        let own = |argument: String| {
            let argument = argument.replace("$(JOB_COMPLETION_INDEX)", &index.to_string());
            argument.replace("/plan/plan.toml", &plan).replace("/out", &out("kubernetes"))
        };
        let arguments: Vec<String> = arguments.into_iter().map(own).collect();
        let run = nelumbo(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(run.status, 0, "{arguments:?}: {}", run.stderr);
    }
    for name in ["slurm", "kubernetes"] {
        let before = fs::read_dir(out(name)).expect("a folder").count();
        let merged = nelumbo(&["sweep", &plan, "--out", &out(name)]);
        assert_eq!(merged.status, 0, "{}", merged.stderr);
        assert!(before > 0 && table(Path::new(&out(name))) == expected, "{name}");
        assert_eq!(fs::read_to_string(Path::new(&out(name)).join("runs.jsonl")).expect("the journal"), "");
    }
}

#[cfg(unix)]
#[test]
fn a_sweep_that_is_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, expected) = planned(folder.path());
    let out = folder.path().join("killed");
    let journal = out.join("runs.jsonl");
    let ended = || fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    let mut child = Command::new(binary())
        .args(["sweep", &plan, "--threads", "1", "--out"])
        .arg(&out)
        .spawn()
        .expect("the program runs");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while ended() < 2 && child.try_wait().expect("it is ours").is_none() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    let before = ended();
    let run = nelumbo(&["sweep", &plan, "--out", out.to_str().expect("a plain name")]);
    assert!(run.status == 0 && before >= 2, "{before}: {}", run.stderr);
    assert_eq!(table(&out), expected);
    assert!((12..=13).contains(&ended()), "at most a torn line is more: {}", ended());
}
