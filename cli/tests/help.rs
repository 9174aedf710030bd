//! The help of every command teaches: it says what the command does, what each option means, and gives examples.
//!
//! As a test of this package it also makes `cargo test --workspace` build the binary before any test runs.

use std::process::Command;

fn help(command: &[&str], flag: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_nelumbo")).args(command).arg(flag).output().expect("the binary runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{command:?}");
    String::from_utf8(output.stdout).expect("help is text")
}

#[test]
fn every_command_explains_itself_with_examples() {
    let commands: [&[&str]; 10] = [
        &[],
        &["key", "generate"],
        &["key", "show"],
        &["key", "aggregate"],
        &["demo"],
        &["sign"],
        &["verify"],
        &["elect"],
        &["simulate"],
        &["completions"],
    ];
    for command in commands {
        for flag in ["-h", "--help"] {
            let text = help(command, flag);
            let example = format!("\n  nelumbo {}", command.join(" "));
            assert!(text.contains("Examples:") && text.contains(example.trim_end()), "{command:?} {flag}: {text}");
        }
    }
}

#[test]
fn the_help_documents_the_exit_status_and_the_key_file() {
    assert!(help(&[], "--help").contains("Exit status:"));
    assert!(help(&["verify"], "--help").contains("Exit status:"));
    for command in ["generate", "show"] {
        assert!(help(&["key", command], "--help").contains("nelumbo-key 1"));
    }
}

#[test]
fn no_option_takes_a_secret() {
    for command in [["key", "generate"], ["key", "show"]] {
        assert!(!help(&command, "--help").contains("--secret"));
    }
    assert!(!help(&["sign"], "--help").contains("--secret"));
}
