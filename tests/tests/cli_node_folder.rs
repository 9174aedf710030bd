//! The data folder of a node: who may read it, who may run on it, and what is wrong with it.
#![cfg(unix)]

mod cli_support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use cli_support::node::{Lines, Node, PASSPHRASE, with_passphrase};
use cli_support::{Run, command, fields, finish, nelumbo};

fn init(folder: &Path, arguments: &[&str]) -> Run {
    let data = folder.to_str().unwrap();
    finish(with_passphrase(&mut command(&[&["node", "init", "--data", data], arguments].concat())))
}

/// Tries to start a node that cannot.
fn start(node: &Node) -> Run {
    finish(with_passphrase(&mut node.command(&["node"])))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn everything_in_it_is_the_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::init(&folder.path().join("a/b"), &[]);
    node.start();
    assert_eq!(mode(&node.folder), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&node.folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    let expected = ["config.toml", "identity", "journal.commits", "journal.redb", "lock", "signer.key", "socket"];
    assert_eq!(names, expected);
    assert!(fs::metadata(node.folder.join("socket")).unwrap().file_type().is_socket());
    node.json(&["stop"]);

    fs::set_permissions(&node.folder, Permissions::from_mode(0o750)).unwrap();
    start(&node).assert_refused(&["open to others (mode 750)", "chmod 700"]);
    fs::set_permissions(&node.folder, Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(node.folder.join("signer.key"), Permissions::from_mode(0o640)).unwrap();
    start(&node).assert_refused(&["signer.key", "open to others (mode 640)", "chmod 600"]);
}

/// Killed at any point, or out of disk, it can be run again; and what belongs to a node is never mistaken for rests.
#[test]
fn what_init_has_begun_it_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let (key, identity) = (node.folder.join("signer.key"), node.folder.join("identity"));
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    start(&node).assert_refused(&["signer.key of the node", "missing", "backup"]);
    init(&node.folder, &[]).assert_refused(&["exists, but no signer.key", "backup", "--data"]);

    let unfinished = node.folder.join("init.unfinished");
    fs::write(&unfinished, "").unwrap();
    fs::write(node.folder.join("signer.key.new"), &kept[..40]).unwrap();
    start(&node).assert_refused(&["there is no node in", "nelumbo node init --data"]);
    let before = fs::read(&identity).unwrap();
    assert_eq!(init(&node.folder, &["--network", "regtest"]).status, 0);
    assert!(!unfinished.exists() && fs::read(&identity).unwrap() != before);
    // It is a node's as soon as its key is there.
    fs::write(&unfinished, "").unwrap();
    init(&node.folder, &[]).assert_refused(&["signer.key exists"]);
}

#[test]
fn a_folder_whose_name_is_too_long_for_a_socket_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("x".repeat(100));
    init(&long, &[]).assert_refused(&["too long a name for a socket", "--data"]);
    assert!(!long.exists());
}

/// Others are told the address of a node: it stays.
#[test]
fn a_node_listens_at_the_same_port_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("node");
    assert_eq!(init(&data, &["--network", "regtest"]).status, 0);
    let port = || {
        let mut command = command(&["node", "--json", "--data", data.to_str().unwrap()]);
        let mut node = Lines::spawn(with_passphrase(&mut command));
        let address = node.find(|line| line["event"]["address"].as_str().map(str::to_owned));
        address.split('/').nth(4).unwrap().to_owned()
    };
    let first = port();
    assert_ne!(first, "0");
    assert_eq!(port(), first);
}

#[test]
fn one_node_at_a_time_and_a_dead_one_is_not_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::init(&folder.path().join("node"), &[]);
    node.start();
    start(&node).assert_refused(&["running", "already", "nelumbo stop --data"]);
    init(&node.folder, &[]).assert_refused(&["signer.key exists", "choose another --data"]);
    node.json(&["stats"]);
    node.kill();
    assert!(node.folder.join("socket").exists() && node.folder.join("lock").exists(), "it could not clean up");
    node.run(&["stop"]).assert_failed(3, &["no node is running in"]);
    node.start();
    assert_eq!(node.json(&["stats"])["key"], node.key.as_str());
    node.json(&["stop"]);
    node.run(&["stats"]).assert_failed(3, &["no node is running in"]);

    // Whatever is there under the socket's name gives way, and somebody else's socket is not mistaken for a node.
    drop(UnixListener::bind(node.folder.join("socket")).unwrap());
    node.run(&["stats"]).assert_failed(3, &["no node is running in"]);
    node.start();
    node.json(&["stats"]);
}

#[test]
fn two_nodes_on_one_port() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Node::init(&folder.path().join("1"), &[]);
    let address = first.start();
    let address = address.split("/p2p/").next().unwrap();
    let second = Node::init(&folder.path().join("2"), &["--listen", address]);
    start(&second).assert_refused(&[address, "in use", "config.toml"]);
}

#[test]
fn the_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let [right, wrong] = [file("right", &format!("{PASSPHRASE}\nmore\n")), file("wrong", "Correct horse\n")];
    let [empty, missing] = [file("empty", "\n"), "/no/such/file".to_owned()];
    let data = folder.path().join("node");
    let made =
        nelumbo(&["node", "init", "--json", "--data", data.to_str().unwrap(), "--passphrase-file", &right]).json();
    assert_eq!(fields(&made), ["data", "key", "network", "peer"]);
    let node = |passphrase: &str| nelumbo(&["node", "--data", data.to_str().unwrap(), "--passphrase-file", passphrase]);
    node(&wrong).assert_failed(4, &["the passphrase does not open", "signer.key"]);
    node(&empty).assert_refused(&["passphrase is empty"]);
    fs::set_permissions(&right, Permissions::from_mode(0o640)).unwrap();
    node(&right).assert_refused(&["others may read", &right, "mode 640", "chmod 600"]);
    fs::set_permissions(&right, Permissions::from_mode(0o600)).unwrap();
    node(&missing).assert_refused(&["/no/such/file", "NELUMBO_PASSPHRASE"]);
    let from_variable = |passphrase: &str| {
        finish(command(&["node", "--data", data.to_str().unwrap()]).env("NELUMBO_PASSPHRASE", passphrase))
    };
    from_variable("wrong").assert_failed(4, &["signer.key"]);
    from_variable("").assert_refused(&["empty"]);

    // A sealed key is a key file like any other, and a node's key can come from one.
    let key = data.join("signer.key");
    let key = key.to_str().unwrap();
    assert_eq!(nelumbo(&["key", "show", "--key-file", key, "--json"]).json()["public_key"], made["key"]);
    let sign = |passphrase: &str| {
        let message = "00".repeat(32);
        nelumbo(&["sign", "--key-file", key, "--message", &message, "--json", "--passphrase-file", passphrase])
    };
    assert_eq!(sign(&right).json()["public_key"], made["key"]);
    sign(&wrong).assert_failed(4, &["signer.key"]);
    let sealed = fs::read_to_string(key).unwrap();
    assert!(sealed.lines().last().unwrap().starts_with("sealed-key argon2id-"), "{sealed}");

    let plain = folder.path().join("plain.key");
    let plain = plain.to_str().unwrap();
    let made = nelumbo(&["key", "generate", "--out", plain, "--network", "testnet", "--json"]).json();
    let secret = fs::read_to_string(plain).unwrap();
    let secret = secret.lines().find_map(|line| line.strip_prefix("secret-key ")).unwrap();
    let imported = Node::init(&folder.path().join("imported"), &["--import", plain]);
    assert_eq!(made["public_key"], imported.key.as_str());
    let sealed = fs::read_to_string(imported.folder.join("signer.key")).unwrap();
    assert!(sealed.contains("network testnet") && !sealed.contains(secret), "{sealed}");
    let resealed = folder.path().join("signer.key");
    let generate = ["key", "generate", "--out", resealed.to_str().unwrap(), "--seal"];
    assert_eq!(finish(with_passphrase(&mut command(&generate))).status, 0);
    assert!(fs::read_to_string(&resealed).unwrap().contains("sealed-key "));
}

/// Without a terminal nobody can be asked.
#[cfg(target_os = "linux")]
#[test]
fn no_passphrase_from_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let mut alone = std::process::Command::new("setsid");
    alone.arg("--wait").arg(cli_support::binary()).args(["node", "--data"]).arg(&node.folder);
    finish(alone.env_remove("NELUMBO_PASSPHRASE").stdin(std::process::Stdio::null())).assert_refused(&[
        "cannot ask for the passphrase",
        "--passphrase-file",
        "NELUMBO_PASSPHRASE",
    ]);
}

#[test]
fn settings_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let config = node.folder.join("config.toml");
    let sound = fs::read_to_string(&config).unwrap();
    let refused = |text: String, texts: &[&str]| {
        fs::write(&config, text).unwrap();
        start(&node).assert_refused(&[&["config.toml"], texts].concat());
    };
    let last = format!("line {}", sound.lines().count() + 1);
    refused(format!("{sound}bootstraps = []\n"), &["unknown field `bootstraps`", &last]);
    refused(format!("{sound}connections = {{ most = 7 }}\n"), &["unknown field `most`", &last]);
    refused(sound.replace("\"full\"", "\"fool\""), &["fool", "did you mean `full`?"]);
    refused(sound.replace("preset = \"full\"", ""), &["missing field `preset`"]);
    let listen = sound.lines().position(|line| line.contains("/tcp/0")).expect("it listens") + 1;
    refused(sound.replace("/tcp/0", "/tpc/0"), &[&format!("line {listen}:"), "tpc"]);
    refused(sound.replace("bootstrap = [", "bootstrap = [\"/ip4/127.0.0.1/tcp/1\""), &["/p2p/<peer id>"]);
    refused(format!("{sound}connections = {{ minimum = 9, maximum = 8 }}\n"), &["9 connections", "8"]);
    fs::remove_file(&config).unwrap();
    start(&node).assert_refused(&["config.toml", "cannot read"]);
    fs::write(&config, &sound).unwrap();
    let variable = ("P2P_MAX_CONNECTIONS", "many");
    finish(with_passphrase(&mut node.command(&["node"])).env(variable.0, variable.1))
        .assert_refused(&[variable.0, "many"]);
    fs::write(node.folder.join("identity"), "nobody").unwrap();
    start(&node).assert_refused(&["identity", "backup"]);
}

#[test]
fn folders_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let data = nowhere.to_str().unwrap();
    nelumbo(&["node", "--data", data]).assert_refused(&["there is no node in", data, "nelumbo node init --data"]);
    nelumbo(&["stats", "--data", data]).assert_failed(3, &["no node is running in", data]);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    init(&file, &[]).assert_refused(&["cannot make"]);
    init(&nowhere, &["--bootstrap", "/ip4/127.0.0.1/tcp/1"]).assert_refused(&["--bootstrap", "/p2p/"]);
    init(&nowhere, &["--listen", "here"]).assert_refused(&["--listen"]);
    assert!(!nowhere.exists());

    // The default is where the XDG specification has it.
    let home = folder.path().join("home");
    let mut init = command(&["node", "init", "--json"]);
    let made = finish(with_passphrase(&mut init).env("XDG_DATA_HOME", &home)).json();
    assert_eq!(made["data"], home.join("nelumbo").to_str().unwrap());
    let run = finish(command(&["stats"]).env("XDG_DATA_HOME", &home));
    run.assert_failed(3, &[home.join("nelumbo").to_str().unwrap()]);
    let mut init = command(&["node", "init", "--json"]);
    let made = finish(with_passphrase(&mut init).env("XDG_DATA_HOME", "relative").env("HOME", &home)).json();
    assert_eq!(made["data"], home.join(".local/share/nelumbo").to_str().unwrap());
}
