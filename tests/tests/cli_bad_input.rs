//! Bad input gets one clear line, what to do about it, and exit status 2.

mod cli_support;

use std::path::Path;

use cli_support::nelumbo;

const KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const OFF_CURVE: &str = "020000000000000000000000000000000000000000000000000000000000000005";

fn digest() -> String {
    "5a".repeat(32)
}

fn signature() -> String {
    "00".repeat(64)
}

#[test]
fn hexadecimal_that_is_none() {
    let odd = &KEY[..65];
    nelumbo(&["key", "aggregate", odd]).assert_refused(&[odd, "65 digits are odd"]);
    nelumbo(&["elect", "0z"]).assert_refused(&["character 2", "not a hexadecimal digit"]);
    // What begins with a letter is the name of somebody.
    nelumbo(&["elect", "zz"]).assert_refused(&["no contact called zz"]);
    let verify = |key: &str, message: &str, signature: &str| {
        nelumbo(&["verify", "--key", key, "--message", message, "--signature", signature])
    };
    verify(&KEY[..65], &digest(), &signature()).assert_refused(&["--key", "odd"]);
    verify(KEY, &digest()[1..], &signature()).assert_refused(&["--message", "odd"]);
    verify(KEY, &digest(), &signature()[1..]).assert_refused(&["--signature", "odd"]);
}

#[test]
fn byte_strings_of_the_wrong_length() {
    nelumbo(&["elect", &KEY[..64]]).assert_refused(&["33 bytes", "32 bytes"]);
    let verify = ["verify", "--key", KEY, "--message", &digest(), "--signature", "00"];
    nelumbo(&verify).assert_refused(&["64 bytes", "1 bytes"]);
    let verify = ["verify", "--key", KEY, "--message", "5a", "--signature", &signature()];
    nelumbo(&verify).assert_refused(&["32 bytes", "has 1", "--suite bip340"]);
    // Only BIP340 has keys of x alone.
    let verify = ["verify", "--key", &KEY[2..], "--message", &digest(), "--signature", &signature()];
    nelumbo(&verify).assert_refused(&["--key", "33 bytes"]);
}

#[test]
fn keys_off_the_curve() {
    nelumbo(&["key", "aggregate", KEY, OFF_CURVE]).assert_refused(&[OFF_CURVE, "no point of secp256k1"]);
    nelumbo(&["elect", OFF_CURVE]).assert_refused(&["no point"]);
    let verify = ["verify", "--key", OFF_CURVE, "--message", &digest(), "--signature", &signature()];
    nelumbo(&verify).assert_refused(&["no point"]);
    nelumbo(&["elect", &format!("04{}", &KEY[2..])]).assert_refused(&["02 or 03", "04"]);
}

#[test]
fn duplicate_keys_in_every_suite() {
    for suite in ["lotus", "bip340"] {
        nelumbo(&["key", "aggregate", "--suite", suite, KEY, KEY]).assert_refused(&[KEY, "twice"]);
    }
    nelumbo(&["elect", KEY, &KEY.to_uppercase()]).assert_refused(&[KEY, "twice"]);
}

#[test]
fn no_signers() {
    nelumbo(&["key", "aggregate"]).assert_refused(&["<KEY>..."]);
    nelumbo(&["elect", "--json"]).assert_refused(&["<KEY>..."]);
}

#[test]
fn unknown_words() {
    nelumbo(&["elect", "--method", "alphabetic", KEY]).assert_refused(&["alphabetic", "hash-based"]);
    nelumbo(&["key", "aggregate", "--suite", "ecdsa", KEY]).assert_refused(&["ecdsa", "bip340"]);
    nelumbo(&["key", "generate", "--network", "moon"]).assert_refused(&["moon", "regtest"]);
    nelumbo(&["sing"]).assert_refused(&["sing", "sign"]);
    nelumbo(&["verify", "--kee", KEY]).assert_refused(&["--kee"]);
    nelumbo(&["completions", "csh"]).assert_refused(&["csh", "bash"]);
}

fn generate(path: &Path) -> cli_support::Run {
    nelumbo(&["key", "generate", "--out", path.to_str().unwrap()])
}

#[test]
fn places_where_no_key_file_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.key");
    assert_eq!(generate(&file).status, 0);
    let before = std::fs::read(&file).unwrap();
    generate(&file).assert_refused(&["exists", "never overwritten", "--out"]);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    // A missing folder, and one that nobody can write to because it is a file.
    generate(&folder.path().join("missing/b.key")).assert_refused(&["cannot write", "--out"]);
    generate(&file.join("b.key")).assert_refused(&["cannot write", "--out"]);
}

#[test]
fn key_files_that_are_not_sound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    let file = path.to_str().unwrap();
    assert_eq!(generate(&path).status, 0);
    let sound = std::fs::read_to_string(&path).unwrap();
    let secret = sound.lines().find_map(|line| line.strip_prefix("secret-key ")).unwrap();
    let spoil = |from: &str, to: &str, problem: &str| {
        std::fs::write(&path, sound.replacen(from, to, 1)).unwrap();
        let run = nelumbo(&["key", "show", "--key-file", file]);
        run.assert_refused(&[file, problem, "backup"]);
        assert!(!run.stderr.contains(secret), "{}", run.stderr);
    };
    spoil("nelumbo-key 1", "nelumbo-key 2", "first line");
    spoil("network mainnet", "network moon", "unknown network");
    spoil("network mainnet", "network testnet", "not for testnet");
    spoil("public-key", "pubkey", "`public-key` is missing");
    spoil("secret-key ", "secret-key L", "checksum of the key is wrong");
    spoil("secret-key ", "public-key ", "`secret-key` is missing");
    std::fs::write(&path, format!("{sound}more\n")).unwrap();
    nelumbo(&["key", "show", "--key-file", file]).assert_refused(&["more after"]);
    std::fs::write(&path, "x".repeat(5000)).unwrap();
    nelumbo(&["key", "show", "--key-file", file]).assert_refused(&["too large"]);
    nelumbo(&["key", "show", "--key-file", "/no/such/file"]).assert_refused(&["/no/such/file", "cannot read"]);
    nelumbo(&["sign", "--key-file", folder.path().to_str().unwrap(), "--message", &digest()]).assert_refused(&[]);
}

#[cfg(unix)]
#[test]
fn key_files_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    assert_eq!(generate(&path).status, 0);
    for mode in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        nelumbo(&["key", "show", "--key-file", path.to_str().unwrap()])
            .assert_refused(&["open to others", "chmod 600"]);
    }
}
