#!/usr/bin/env python3
"""Which mutants no test notices: all of them in one build, switched on one after another.

    .ci/mutants.py LIST OUT TARGET... [-- ARGUMENT...]

LIST is what `cargo mutants --list --json` says, OUT a folder for what comes of it, each TARGET what cargo test is told
to build (`--lib`, `--test=protocol`), each ARGUMENT what a test program is told that lists its tests (`--skip`,
`slow`). Run in the root of a copy of the repository, whose files it changes.

A function that has mutants gets one copy of its body for each, and does which it is told by NELUMBO_MUTANT: all takes
as long as one build. Mutants that do not compile are taken out, until everything does. Each test is run alone once, to
learn which functions it reaches; then each mutant meets the tests that reach its function, the quickest first, until
one fails. OUT has the names of the mutants in `caught.txt`, `missed.txt`, `unviable.txt` and `unswitched.txt`: those
outside of functions, or in functions that cannot be switched.
"""

import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SWITCH = """
#[doc(hidden)]
pub mod mutants {
    extern crate std;
    pub use std::boxed::Box;
    use std::{collections::BTreeSet, env, fs::OpenOptions, io::Write, path::PathBuf, string::String};
    use std::sync::{Mutex, OnceLock};

    static ACTIVE: OnceLock<(u32, Option<PathBuf>)> = OnceLock::new();
    static REACHED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

    /// Which mutant is active; `function` has been reached.
    pub fn at(function: u32) -> u32 {
        let (mutant, reached) = ACTIVE.get_or_init(|| {
            let mutant = env::var("NELUMBO_MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            (mutant, env::var_os("NELUMBO_REACHED").map(PathBuf::from))
        });
        if let Some(path) = reached {
            if REACHED.lock().unwrap().insert(function) {
                let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
                file.write_all(std::format!("{function}\\n").as_bytes()).unwrap();
            }
        }
        *mutant
    }
}
"""


# A test that takes longer than this without a mutant, in seconds, is left out.
LONGEST = 60.0
# A mutant that tests for so many seconds have not noticed has survived.
SECONDS = float(os.environ.get("NELUMBO_SECONDS", "inf"))


class Function:
    """A function with mutants: where it is, where its body begins, and its mutants' places in the list."""

    def __init__(self, number, source, span, mutant):
        self.number, self.start, self.end = number, *span
        self.name = mutant["function"]["function_name"].split("::")[-1].split("<")[0]
        declaration = re.compile(rf"^[^/\n]*\bfn\s+{re.escape(self.name)}\s*[<(]", re.M)
        declared = declaration.search(source, source.rfind("\n", 0, self.start) + 1)
        self.declared = max(declared.start(), self.start)
        depth, self.body = 0, declared.end() - 1
        while source[self.body] != "{" or depth:
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(source[self.body], 0)
            self.body += 1
        self.body += 1
        self.returns, self.mutants, self.is_switched = mutant["function"]["return_type"], [], True

    def switched(self, source, mutants, out):
        """Appends the function with a copy of its body for each mutant, and returns which lines are whose."""
        body, lines = source[self.body : self.end - 1], {}
        out.append(source[self.start : self.declared])
        out.append(re.sub(r"\bconst (?=fn\b)", "", source[self.declared : self.body], count=1))
        wrap = "{}"
        if self.returns.startswith("-> impl "):
            bounds = re.sub(r"\s*\+\s*use\s*<[^>]*>", "", self.returns[len("-> impl ") :])
            bounds = bounds if "'" in bounds else f"{bounds} + '_"
            wrap = "crate::mutants::Box::new({}) as crate::mutants::Box<dyn %s>" % bounds
        out.append(f"match crate::mutants::at({self.number}) {{\n")
        for place in [*self.mutants, None]:
            text = body
            if place is not None:
                start, end = (offset - self.body for offset in mutants[place]["offsets"])
                text = body[:start] + mutants[place]["replacement"] + body[end:]
            first = sum(piece.count("\n") for piece in out) + 1
            out.append(f"{'_' if place is None else place + 1} => {wrap.format('{' + text + chr(10) + '}')},\n")
            lines[place] = range(first, sum(piece.count("\n") for piece in out) + 1)
        out.append("}\n}")
        return lines


def offsets(source, span):
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return tuple(starts[span[end]["line"] - 1] + span[end]["column"] - 1 for end in ("start", "end"))


def read(mutants):
    """The sources, and the functions of each; those inside of another one belong to it."""
    sources, functions = {}, defaultdict(list)
    for mutant in mutants:
        source = sources.setdefault(mutant["file"], Path(mutant["file"]).read_text())
        mutant["offsets"] = offsets(source, mutant["span"])
    of = lambda mutant: offsets(sources[mutant["file"]], mutant["function"]["span"])
    in_functions = [place for place, mutant in enumerate(mutants) if mutant["function"]]
    number = 0
    for place in sorted(in_functions, key=lambda place: (mutants[place]["file"], of(mutants[place])[0])):
        mutant, file = mutants[place], mutants[place]["file"]
        span = of(mutant)
        if not functions[file] or functions[file][-1].end < span[1]:
            number += 1
            functions[file].append(Function(number, sources[file], span, mutant))
        functions[file][-1].mutants.append(place)
    return sources, functions


def write(sources, functions, mutants):
    """Writes the switched sources, and returns whose each line is: a function's, and a mutant's or nobody's."""
    owners = {}
    for file, source in sources.items():
        out, at, owners[file] = [], 0, {}
        for function in functions[file]:
            if not function.is_switched or not function.mutants:
                continue
            out.append(source[at : function.start])
            first = sum(piece.count("\n") for piece in out) + 1
            lines = function.switched(source, mutants, out)
            for line in range(first, sum(piece.count("\n") for piece in out) + 2):
                owners[file][line] = (function, None)
            for place, range_ in lines.items():
                owners[file].update((line, (function, place)) for line in range_)
            at = function.end
        Path(file).write_text("".join(out) + source[at:])
    return owners


def cargo(package, arguments):
    # Unoptimised, what the tests take would be most of the time.
    optimised = f"profile.dev.package.{package}.opt-level=1"
    command = ["cargo", "--config", optimised, *arguments, "-p", package, "--message-format=json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode == 0, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def errors(messages, owners):
    """The owners of the lines that errors are about, and the texts of errors about others' lines."""
    found, others = set(), []
    for message in (message["message"] for message in messages if message["reason"] == "compiler-message"):
        if message["level"] != "error" or not message["spans"]:
            continue
        owner, spans = None, sorted(message["spans"], key=lambda span: not span["is_primary"])
        spans += [span for child in message["children"] for span in child["spans"]]
        for span in spans:
            while span["expansion"] and span["file_name"] not in owners:
                span = span["expansion"]["span"]
            owner = owner or owners.get(span["file_name"], {}).get(span["line_start"])
        (found.add(owner) if owner else others.append(message["rendered"]))
    return found, others


def compile_all(package, targets, sources, functions, mutants):
    """Takes out what does not compile; returns the test programs, and the mutants that were taken out."""
    unviable = []
    while True:
        owners = write(sources, functions, mutants)
        # Not only the library is checked: what tests depend on may switch on features, and more of its code with them.
        done, messages = cargo(package, ["test", *targets, "--no-run"])
        if done:
            return [message["executable"] for message in messages if message.get("executable")], unviable
        found, others = errors(messages, owners)
        for name in re.findall(r"non-const (?:associated )?(?:function|method) `[^`]*?(\w+)`", "".join(others)):
            of_name = [function for of_file in functions.values() for function in of_file if function.name == name]
            found.update((function, None) for function in of_name if function.is_switched)
        if not found:
            sys.exit("this does not compile, and it is nobody's mutant:\n" + "\n".join(others))
        print(f"{len(found)} do not compile", flush=True)
        for function, place in found:
            if place is None:
                # What it has besides its mutants compiles no more once it is switched.
                if not any(other is function and place is not None for other, place in found):
                    function.is_switched = False
            elif place in function.mutants:
                function.mutants.remove(place)
                unviable.append(place)


def run(program, tests, limit, mutant=0, reached=""):
    """Whether these tests of a program pass."""
    program, folder = program
    environment = os.environ | {"NELUMBO_MUTANT": str(mutant), "RUST_BACKTRACE": "0"}
    if reached:
        environment["NELUMBO_REACHED"] = reached
    command = [program, "--exact", *tests, "--test-threads=1", "-q"]
    try:
        done = subprocess.run(command, env=environment, cwd=folder, timeout=limit, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def learn(programs, arguments, pool, folder):
    """For each function the tests that reach it, the quickest first, as (seconds, program, name)."""
    jobs = []
    for program in programs:
        command = [program[0], "--list", "--format=terse", *arguments]
        listed = subprocess.run(command, capture_output=True, text=True, check=True)
        jobs += [(program, line[:-6]) for line in listed.stdout.splitlines() if line.endswith(": test")]

    def alone(job):
        number, (program, name) = job
        reached, began = os.path.join(folder, str(number)), time.monotonic()
        passes = run(program, [name], LONGEST, reached=reached)
        took = time.monotonic() - began
        lines = Path(reached).read_text().split() if passes and os.path.exists(reached) else []
        return (took, program, name), passes, lines

    tests = defaultdict(list)
    for test, passes, lines in pool.map(alone, enumerate(jobs)):
        if not passes:
            print(f"left out: {test[2]} fails without a mutant, or takes long", flush=True)
        for line in lines:
            tests[int(line)].append(test)
    print(f"{len(jobs)} tests", flush=True)
    return {function: sorted(reaching) for function, reaching in tests.items()}


def meet(mutant, reaching):
    """Whether one of these tests notices a mutant."""
    spent = itertools.accumulate(took for took, *_ in reaching)
    reaching, size = [test for test, seconds in zip(reaching, spent) if seconds <= SECONDS], 4
    while reaching:
        some, reaching, size = reaching[:size], reaching[size:], size * 2
        for program in {program for _, program, _ in some}:
            mine = [(took, name) for took, of, name in some if of == program]
            # Who is not done by then never is.
            limit = 10 + 10 * sum(took for took, _ in mine)
            if not run(program, [name for _, name in mine], limit, mutant):
                return True
    return False


def keep(out, mutants, results):
    for name, places in results.items():
        (out / f"{name}.txt").write_text("".join(mutants[place]["name"] + "\n" for place in sorted(places)))


def main(listed, out, arguments):
    at = [*arguments, "--"].index("--")
    targets, arguments = arguments[:at], arguments[at + 1 :]
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    mutants = json.loads(Path(listed).read_text())
    [package] = {mutant["package"] for mutant in mutants}
    folder = Path(mutants[0]["file"].split("/src/")[0])
    root = folder / "src/lib.rs"
    root.write_text(root.read_text() + SWITCH)
    sources, functions = read(mutants)
    built, unviable = compile_all(package, targets, sources, functions, mutants)
    # Kept beside the results: the next build would take their place.
    programs = [(shutil.copy(program, out), folder) for program in built]
    switched = {
        place: function.number
        for of_file in functions.values()
        for function in of_file
        if function.is_switched
        for place in function.mutants
    }
    with ThreadPoolExecutor(int(os.environ.get("NELUMBO_JOBS", os.cpu_count() or 1))) as pool:
        with tempfile.TemporaryDirectory() as folder:
            tests = learn(programs, arguments, pool, folder)
        # In any order, so that what is done so far is a sample of all.
        order = random.Random(0).sample(list(switched), len(switched))
        caught = pool.map(lambda place: meet(place + 1, tests.get(switched[place], [])), order)
        unswitched = sorted({*range(len(mutants))} - {*switched, *unviable})
        results = {"caught": [], "missed": [], "unviable": unviable, "unswitched": unswitched}
        for done, (place, is_caught) in enumerate(zip(order, caught)):
            results["caught" if is_caught else "missed"].append(place)
            if not is_caught:
                print(f"missed {place + 1}: {mutants[place]['name']}", flush=True)
            if done % 50 == 49:
                print(f"{done + 1} of {len(order)}", flush=True)
                keep(out, mutants, results)
    keep(out, mutants, results)
    for name, places in results.items():
        print(f"{len(places)} {name}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
