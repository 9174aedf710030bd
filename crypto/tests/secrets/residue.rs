//! No secret is in memory once it has been used.
//!
//! A process plants a key and a seed, stops at each stage of a signature, and is searched from outside: every writable
//! page, for any eight bytes of any secret, in either byte order. The searcher knows the secrets because it makes the
//! same signature itself. Before its use each of them must be found, so that a search that sees nothing fails.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use nelumbo_crypto::group::PublicScalar;
use nelumbo_crypto::hazmat::scalars_of_nonce;
use nelumbo_crypto::{Entropy, scrubbed};
use nelumbo_crypto::{
    KeyAggContext, MessageKey, MessageSigner, NonceSlot, PublicNonce, SecretKey, Signer, SigningContext,
    SoftwareSigner, Suite, generate_nonce, sha256, sort_keys, tagged_hash,
};
use zeroize::Zeroizing;

const KEY: [u8; 32] = *b"\x3b planted: the key of one signer";
const SEED: [u8; 32] = *b"\x71 planted: what is drawn from it";
const MESSAGE: [u8; 32] = *b"a digest that everyone may know.";
const SLOT: NonceSlot = NonceSlot { session: [7; 32], attempt: 1 };
/// Over the secrets on their way to the process, so that they are in it only where it has put them.
const MASK: u8 = 0xa5;

/// A process that holds the secrets: plants them, signs, and waits at each stage to be searched.
pub(super) fn hold(key: &str, seed: &str) {
    let (mut author, mut signer) = plant(key, seed);
    pause("planted");
    let keys = keys(&signer);
    let nonce = signer.nonces(SLOT, &[(&keys, &MESSAGE)]).expect("a nonce")[0];
    pause("drawn");
    signer.sign(SLOT, &[(&keys, &round(&keys, nonce))]).expect("a partial signature");
    author.sign(&MESSAGE).expect("software signs");
    pause("signed");
    drop((author, signer));
    pause("dropped");
}

fn plant(key: &str, seed: &str) -> (MessageKey, SoftwareSigner) {
    scrubbed(|| {
        let [key, seed] = [key, seed].map(|hex| {
            let mut bytes = Zeroizing::new([0; 32]);
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).expect("hexadecimal") ^ MASK;
            }
            bytes
        });
        let key = Arc::new(SecretKey::from_bytes(&key).expect("below the order"));
        let entropy = Entropy::new(*seed).expect("not zero");
        (MessageKey::new(key.clone(), entropy.stream("messages")), SoftwareSigner::new(key, entropy.stream("signer")))
    })
}

fn masked() -> [String; 2] {
    [KEY, SEED].map(|secret| secret.map(|byte| format!("{:02x}", byte ^ MASK)).concat())
}

fn pause(stage: &str) {
    println!("{stage}");
    io::stdin().read_line(&mut String::new()).expect("whoever searches is there");
}

/// Together with a signer whose secrets everybody knows.
fn keys(signer: &SoftwareSigner) -> KeyAggContext {
    let mut keys = [signer.public_key(), known().0.public_key()];
    sort_keys(&mut keys);
    KeyAggContext::new(Suite::Lotus, &keys).expect("two keys")
}

fn round(keys: &KeyAggContext, nonce: PublicNonce) -> SigningContext {
    let (key, entropy) = known();
    let (_, other) = generate_nonce(entropy, &key, keys, Some(&MESSAGE), &[]);
    let nonces = if keys.index_of(&key.public_key()) == Some(0) { [other, nonce] } else { [nonce, other] };
    SigningContext::from_nonces(keys, &nonces, &MESSAGE).expect("two nonces")
}

fn known() -> (SecretKey, [u8; 32]) {
    (SecretKey::from_bytes(&[1; 32]).expect("below the order"), [2; 32])
}

/// A secret, everything that gives it away, and the stages at which it is, and is no longer, in memory.
struct Secret {
    name: &'static str,
    values: Vec<[u8; 32]>,
    present: &'static [&'static str],
    gone: &'static [&'static str],
}

/// What the process plants and computes, by making the same signature here.
fn secrets() -> Vec<Secret> {
    let root = tagged_hash("nelumbo/entropy/seed", &[&SEED]);
    let streams = ["messages", "signer"];
    let streams = streams.map(|label| tagged_hash("nelumbo/entropy/stream", &[&root, label.as_bytes()])).to_vec();

    let [key, seed] = masked();
    let (mut author, mut twin) = plant(&key, &seed);
    let keys = keys(&twin);
    let public_nonce = twin.nonces(SLOT, &[(&keys, &MESSAGE)]).expect("a nonce")[0];
    let mut source = Entropy::new(SEED).expect("not zero").stream("signer");
    let pool_seed = source.bytes32();
    let pool = tagged_hash("nelumbo/entropy/seed", &[&pool_seed]);
    let parts = [Entropy::new(pool_seed).expect("not zero").bytes32(), source.bytes32()];
    let randomness = tagged_hash("nelumbo/entropy/draw", &[&parts[0], &parts[1]]);
    let item = 0_u32;
    let extra = [&SLOT.session[..], &SLOT.attempt.to_be_bytes(), &item.to_be_bytes()].concat();
    let key = SecretKey::from_bytes(&KEY).expect("below the order");
    let (nonce, same) = generate_nonce(randomness, &key, &keys, Some(&MESSAGE), &extra);
    assert_eq!(same, public_nonce, "the searcher draws the nonce that it searches for");
    let scalar = |bytes: [u8; 32]| PublicScalar::from_bytes(bytes).expect("below the order");
    let [k1, k2] = scalars_of_nonce(&nonce).map(scalar);
    let bound = scalar(round(&keys, public_nonce).nonce_coefficient()) * k2;

    let d = scalar(KEY);
    let signature = author.sign(&MESSAGE).expect("software signs").to_bytes();
    let [r, s] = [&signature[..32], &signature[32..]].map(|half| <[u8; 32]>::try_from(half).expect("32 bytes"));
    let ed = PublicScalar::reduce(sha256(&[&r, twin.public_key().as_bytes(), &MESSAGE])) * d;
    let k = scalar(s) - ed;

    let both_signs = |scalars: &[PublicScalar]| {
        scalars.iter().flat_map(|scalar| [scalar.to_bytes(), (-*scalar).to_bytes()]).collect::<Vec<_>>()
    };
    let secret = |name, values, present, gone| Secret { name, values, present, gone };
    vec![
        secret("the key", both_signs(&[d]), &["planted", "drawn", "signed"], &["dropped"]),
        secret("the streams of entropy", streams, &["planted", "drawn", "signed"], &["dropped"]),
        secret("the pool of entropy", vec![pool], &["drawn", "signed"], &["dropped"]),
        secret("what began it", vec![pool_seed], &[], &["drawn", "signed", "dropped"]),
        secret("the seed", vec![SEED, root], &[], &["planted", "drawn", "signed", "dropped"]),
        secret("the nonce's randomness", vec![randomness, parts[0], parts[1]], &[], &["drawn", "signed", "dropped"]),
        secret("the nonce", both_signs(&[k1, k2]), &["drawn"], &["signed", "dropped"]),
        secret("what the nonce becomes", both_signs(&[bound, k1 + bound]), &[], &["signed", "dropped"]),
        secret("the author's nonce", both_signs(&[k, ed]), &[], &["signed", "dropped"]),
    ]
}

pub(super) fn no_secret_outlives_its_use() {
    let own = env::current_exe().expect("this program has a path");
    let child = Command::new(own).arg("--hold").args(masked()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("this program starts");
    let mut input: ChildStdin = child.stdin.take().expect("it is piped");
    let mut output: BufReader<ChildStdout> = BufReader::new(child.stdout.take().expect("it is piped"));
    let secrets = secrets();
    let mut faults = Vec::new();
    for stage in ["planted", "drawn", "signed", "dropped"] {
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it is");
        assert_eq!(line.trim_end(), stage);
        let pages = Page::all(child.id());
        for Secret { name, values, present, gone } in &secrets {
            let places = Needles::new(values).places(&pages);
            if gone.contains(&stage) && !places.is_empty() {
                faults.push(format!("{stage}: {name} is in {places:?}"));
            }
            if present.contains(&stage) && places.is_empty() {
                faults.push(format!("{stage}: {name} is not found, so the search is blind"));
            }
        }
        println!("{stage}: {} bytes searched", pages.iter().map(|page| page.bytes.len()).sum::<usize>());
        input.write_all(b"\n").expect("it waits");
    }
    assert!(child.wait().expect("it ends").success());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A run of writable memory of another process.
struct Page {
    name: String,
    bytes: Vec<u8>,
}

impl Page {
    fn all(process: u32) -> Vec<Self> {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("Linux shows a process's memory");
        let mut memory = File::open(format!("/proc/{process}/mem")).expect("a process may read its child's memory");
        let writable = maps.lines().filter(|line| line.contains(" rw"));
        let pages = writable.map(|line| {
            let (range, rest) = line.split_once(' ').expect("a range, then the rest");
            let (from, to) = range.split_once('-').expect("two ends");
            let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).expect("an address"));
            let mut bytes = vec![0; usize::try_from(to - from).expect("it fits")];
            memory.seek(SeekFrom::Start(from)).expect("an address");
            memory.read_exact(&mut bytes).expect("it is mapped");
            Self { name: rest.split_whitespace().nth(4).unwrap_or("memory without a name").into(), bytes }
        });
        pages.collect()
    }
}

/// Any eight bytes of these, forwards and backwards: as the library's words hold them, and as bytes.
struct Needles {
    words: BTreeSet<[u8; 8]>,
    /// Whether a word begins with these two bytes: nearly nothing does.
    first: Vec<bool>,
}

impl Needles {
    fn new(values: &[[u8; 32]]) -> Self {
        let mut words = BTreeSet::new();
        for value in values {
            for word in value.chunks_exact(8) {
                let mut word: [u8; 8] = word.try_into().expect("eight");
                words.insert(word);
                word.reverse();
                words.insert(word);
            }
        }
        let mut first = vec![false; 1 << 16];
        words.iter().for_each(|word| first[usize::from(u16::from_le_bytes([word[0], word[1]]))] = true);
        Self { words, first }
    }

    fn places(&self, pages: &[Page]) -> Vec<String> {
        let mut places = Vec::new();
        for Page { name, bytes } in pages {
            for (at, window) in bytes.windows(8).enumerate() {
                if self.first[usize::from(u16::from_le_bytes([window[0], window[1]]))] && self.words.contains(window) {
                    places.push(format!("{name}, {} bytes before its end", bytes.len() - at));
                }
            }
        }
        places
    }
}
