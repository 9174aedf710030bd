//! What the repository promises about itself: numbers that agree, files of a readable size, nothing left lying about.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository").to_path_buf()
}

/// All files below `folder` with this ending, generated ones left out.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("the entry can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir()
                && !["node_modules", ".git", "corpus", "book"].contains(&name)
                && !name.starts_with("target")
            {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "there are no files {ending} below {}", folder.display());
    found.sort();
    found
}

/// The workspace's code.
fn sources() -> Vec<PathBuf> {
    let parts = ["crypto", "core", "chain", "io-tokio", "simulator", "cli", "bindings", "protocols", "tests"];
    parts.iter().flat_map(|part| files(&root().join(part), ".rs")).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The transition numbers (S1, E2, D3, …) that stand as words in a text.
fn numbers(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| {
            let (kind, number) = word.split_at(word.len().min(1));
            "SRETFDPNKW".contains(kind) && !kind.is_empty() && number.len() < 3 && number.parse::<u32>().is_ok()
        })
        .map(str::to_owned)
        .collect()
}

/// The numbers in the comments of these files.
fn numbers_in_comments(files: &[PathBuf]) -> BTreeSet<String> {
    let texts = files.iter().map(|path| read(path));
    texts
        .flat_map(|text| {
            let comments: Vec<String> = text.lines().filter_map(|line| Some(line.split_once("//")?.1.into())).collect();
            comments
        })
        .flat_map(|comment| numbers(&comment))
        .collect()
}

#[test]
fn every_transition_stands_in_the_book_at_the_code_and_in_a_test() {
    let book = read(&root().join("docs/src/machines.md"));
    let in_tables: BTreeSet<String> =
        book.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).flat_map(numbers).collect();
    assert!(in_tables.len() >= 20, "{in_tables:?}");
    let mut code = files(&root().join("core/src/session"), ".rs");
    code.extend(files(&root().join("core/src/discovery"), ".rs"));
    code.extend(files(&root().join("core/src/protocol"), ".rs"));
    code.extend(files(&root().join("io-tokio/src/reachability"), ".rs"));
    code.extend(files(&root().join("protocols/swapsig/src/pool"), ".rs"));
    code.push(root().join("core/src/node/protocols.rs"));
    code.push(root().join("core/src/node/delegation.rs"));
    code.push(root().join("core/src/election/failover.rs"));
    let at_code: BTreeSet<String> = code
        .iter()
        .flat_map(|path| read(path).lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| {
            // "/// S4: …" or "// S9: …" marks a transition; a mention in running text does not.
            let comment = line.trim().strip_prefix("//")?.trim_start_matches('/').trim().to_owned();
            let (number, _) = comment.split_once(':')?;
            numbers(number).into_iter().next().filter(|found| found == number)
        })
        .collect();
    assert_eq!(in_tables, at_code, "the book's tables and the code name different transitions");
    let mut tests = files(&root().join("core/tests/protocol"), ".rs");
    tests.extend(files(&root().join("protocols/swapsig/tests"), ".rs"));
    tests.push(root().join("core/src/election/failover.rs"));
    tests.push(root().join("io-tokio/src/reachability/tests.rs"));
    let in_tests = numbers_in_comments(&tests);
    let untested: Vec<_> = in_tables.difference(&in_tests).collect();
    assert!(untested.is_empty(), "no test names the transitions {untested:?}");
}

/// The text files of the repository, each with its path from the root. What cargo and npm write is left out.
fn texts() -> Vec<(String, String)> {
    let endings = [".rs", ".md", ".toml", ".sh", ".mjs"];
    let all = files(&root(), "").into_iter().filter_map(|path| {
        let name = path.strip_prefix(root()).ok()?.to_str()?.replace('\\', "/");
        let is_text = name.starts_with(".ci/") || endings.iter().any(|ending| name.ends_with(ending));
        is_text.then(|| (name, read(&path)))
    });
    all.collect()
}

/// What is wrong with a file's size, its lines' width and its head.
fn unreadable(name: &str, text: &str) -> Vec<String> {
    let is_rust = name.ends_with(".rs");
    if !is_rust && !name.ends_with(".sh") && !name.starts_with(".ci/") {
        return Vec::new();
    }
    let wide = (1..).zip(text.lines()).filter(|(_, line)| line.chars().count() > 120);
    let mut faults: Vec<_> = wide.map(|(number, _)| format!("{name}:{number}: wider than 120 columns")).collect();
    let lines = text.lines().count();
    if lines > 500 {
        faults.push(format!("{name}: {lines} lines; split it by what it owns"));
    }
    let says = ["//!", "#![doc = include_str!("].iter().any(|start| text.starts_with(start));
    if is_rust && !says && !name.starts_with("fuzz/fuzz_targets/") {
        faults.push(format!("{name}: does not say what it owns"));
    }
    faults
}

/// What nobody has come back to, and paths that are there on somebody's machine alone.
fn left_over(name: &str, text: &str) -> Vec<String> {
    let in_code = ["todo!", "unimplemented!", "dbg!", "#[ignore", "FIXME", "XXX:"];
    let folders = ["home", "root", "work", "Users", "mnt"].map(|folder| format!("/{folder}/"));
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let in_code = in_code.iter().filter(|_| name.ends_with(".rs")).filter(|left_over| line.contains(**left_over));
        // Within a longer path or an address the names mean nothing.
        let begins = |at: usize| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '.');
        let folders = folders.iter().filter(|folder| line.match_indices(folder.as_str()).any(|(at, _)| begins(at)));
        let found = in_code.copied().chain(folders.map(String::as_str));
        faults.extend(found.map(|found| format!("{name}:{number}: {found}")));
    }
    faults
}

/// Of all files but this one, which names what it looks for.
fn faults(of: fn(&str, &str) -> Vec<String>) -> String {
    let texts = texts().into_iter().filter(|(name, _)| name != "tests/tests/tidy.rs");
    texts.flat_map(|(name, text)| of(&name, &text)).collect::<Vec<_>>().join("\n")
}

#[test]
fn source_files_have_a_readable_size_and_say_what_they_are() {
    assert_eq!(faults(unreadable), "");
    assert_eq!(unreadable("tests/tests/tidy.rs", &read(&root().join("tests/tests/tidy.rs"))), [""; 0]);
}

/// The files that a text cites by names that end in `.md` or `.rs`, without links to elsewhere.
fn cited(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
    let elsewhere = |word: &&str| !word.contains("://");
    let words = text.split_whitespace().filter(elsewhere).flat_map(|word| word.split(|letter| !is_part(letter)));
    words
        .map(|word| word.trim_end_matches('.').trim_start_matches("../"))
        .filter(|word| {
            word.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && ["md", "rs"].contains(&ending))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn citations_are_found_and_links_are_not_citations() {
    let text = "See `gate/seen.rs` (../docs/src/lotus.md, section 5), node.rs. Not https://docs.rs, .rs or a.rst.";
    assert_eq!(cited(text), ["docs/src/lotus.md", "gate/seen.rs", "node.rs"].map(str::to_owned).into());
}

#[test]
fn every_file_that_a_comment_or_a_page_cites_is_there() {
    let (code, pages) = (files(&root(), ".rs"), files(&root(), ".md"));
    let exists = |citation: &str| code.iter().chain(&pages).any(|path| path.ends_with(citation));
    // A link in a string is no comment.
    let comment = |line: &str| {
        let (before, comment) = line.split_once("//")?;
        (!before.ends_with(':')).then(|| format!("{comment}\n"))
    };
    let comments = code.iter().map(|path| (path, read(path).lines().filter_map(comment).collect()));
    let mut found = 0;
    for (path, text) in comments.chain(pages.iter().map(|path| (path, read(path)))) {
        let cited = cited(&text);
        let missing: Vec<_> = cited.iter().filter(|citation| !exists(citation)).collect();
        assert!(missing.is_empty(), "{} cites {missing:?}, which the repository does not have", path.display());
        found += cited.len();
    }
    assert!(found > 100, "{found} citations");
}

#[test]
fn the_numbers_of_the_formats_are_those_of_the_code() {
    let rows = rows(&read(&root().join("docs/src/versions.md")));
    let formats: Vec<_> = rows.iter().filter(|row| row.len() == 4).collect();
    assert_eq!(formats.len(), 11, "the table has been found");
    for row in formats {
        let [_, path, _, words, _] = row[2].split('`').collect::<Vec<_>>()[..] else { panic!("{row:?}") };
        assert!(words.contains(&row[1]), "{row:?}: the code's words do not give the number");
        assert!(read(&root().join(path)).contains(words), "{path} does not say {words}: see docs/src/versions.md");
    }
}

#[test]
fn nothing_is_left_lying_about() {
    assert_eq!(faults(left_over), "");
}

#[test]
fn what_is_untidy_is_found() {
    let (narrow, wide) = ("//! x\n".to_owned() + &"é".repeat(120), "//! x\n".to_owned() + &"x".repeat(121));
    assert_eq!(unreadable("a.rs", &narrow), [""; 0]);
    assert_eq!(unreadable("a.rs", &wide), ["a.rs:2: wider than 120 columns"]);
    assert_eq!(unreadable(".ci/run", &wide).len(), 1);
    assert_eq!(unreadable("a.rs", &("//! x\n".to_owned() + &"\n".repeat(499))), [""; 0]);
    assert_eq!(unreadable("a.rs", &("//! x\n".to_owned() + &"\n".repeat(500))).len(), 1);
    assert_eq!(unreadable("a.rs", "fn main() {}").len(), 1);
    assert_eq!(left_over("a.rs", "todo!()"), ["a.rs:1: todo!"]);
    assert_eq!(left_over("a.md", "in `/home/me/x`"), ["a.md:1: /home/"]);
    assert_eq!(left_over("a.md", "https://example.org/home/x, a todo! list, ../work/x"), [""; 0]);
}

#[test]
fn the_book_links_to_what_is_there_and_its_code_is_compiled() {
    let pages = files(&root().join("docs/src"), ".md");
    let code = code();
    for page in &pages {
        let text = read(page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
            assert!(root().join("docs/src").join(link).exists(), "{}: {link} does not exist", page.display());
        }
        let name = page.file_name().and_then(|name| name.to_str()).expect("pages have plain names");
        let is_compiled = code.contains(&format!("include_str!(\"../../docs/src/{name}\")"));
        assert!(is_compiled || !text.contains("\n```rust"), "{name} holds Rust code that no test compiles");
        assert!(
            name == "SUMMARY.md" || read(&root().join("docs/src/SUMMARY.md")).contains(&format!("({name})")),
            "{name} is in no table of contents"
        );
    }
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = read(&root().join("README.md"));
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert!(readme.lines().any(|line| line == command), "README.md does not show `{command}` on a line of its own");
    }
}

/// The rows of a page's tables, without their heads.
fn rows(page: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = page.lines().collect();
    let is_head = |index: usize| lines.get(index + 1).is_some_and(|next| next.starts_with("|---"));
    let rows = (0..lines.len()).filter(|index| !lines[*index].starts_with("|---") && !is_head(*index));
    rows.filter_map(|index| lines[index].strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| row.split(" | ").map(str::to_owned).collect())
        .collect()
}

/// All of the workspace's code.
fn code() -> String {
    sources().iter().map(|path| read(path)).collect()
}

#[test]
fn every_failure_of_the_past_is_listed_once_with_tests_that_exist() {
    let book = read(&root().join("docs/src/failure-history.md"));
    let rows = rows(&book);
    let listed: Vec<String> = rows.iter().flat_map(|row| row[0].split(", ").map(str::to_owned)).collect();
    // P has a paragraph.
    let all = (0..=32)
        .map(|number| number.to_string())
        .chain(('A'..='Q').filter(|letter| *letter != 'P').map(String::from))
        .chain((1..=42).map(|trial| format!("T{trial}")));
    for number in all {
        let times = listed.iter().filter(|listed| **listed == number).count();
        assert_eq!(times, 1, "failure {number} is listed {times} times");
    }
    let code = code();
    for row in &rows {
        let [_, _, _, tests] = &row[..] else { panic!("{row:?}: four columns") };
        for test in tests.split(", ").filter(|test| *test != "not yet") {
            let name = test.trim_matches('`');
            assert!(code.contains(&format!("fn {name}(")), "there is no test {name}");
        }
    }
}

#[test]
fn every_threat_names_its_defence_and_tests_that_exist() {
    let page = read(&root().join("docs/src/threat-model.md"));
    // Behind it is another table: of what attacks cost.
    let (threats, _) = page.split_once("## What an attack costs").expect("the page has both");
    let (rows, code) = (rows(threats), code());
    assert!(rows.len() > 20, "the table has been found");
    for row in &rows {
        let [threat, _, places, tests] = &row[..] else { panic!("{row:?}: four columns") };
        let named = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        for place in named(places).iter().filter(|place| place.contains('/')) {
            assert!(root().join(place).exists(), "{threat}: there is no {place}");
        }
        for test in named(tests).iter().filter(|test| test.contains('_')) {
            assert!(code.contains(&format!("fn {test}(")), "{threat}: there is no test {test}");
        }
    }
}
