//! The page of the book on events: every event of the code stands there, with the code's own words and a real example.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use nelumbo_core::api::{AttemptCause, AttemptFailure, CommandId, Event, IdentityId, Phase, Refusal, SignerTask, Tier};
use nelumbo_core::approval::Summary;
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::lotus::{OutPoint, TaprootOutput, Transaction, TxInput, TxOutput, Txid, p2pkh_script};
use nelumbo_core::crypto::{Network, PublicKey, Secp256k1, SecretKey, Signature, SignerError, Suite, Tweak, Verifier};
use nelumbo_core::election::Method;
use nelumbo_core::evidence::{Evidence, Exhibit};
use nelumbo_core::wire::{
    AbortReason, Address, Advertisement, Definition, Details, Item, Offer, PeerId, ResourceId, SessionId, SignedInput,
    SpendPath, Spending, Spent, TransactionType,
};
use nelumbo_tokio::network::DhtState;
use nelumbo_tokio::{NodeEvent, Reachability};

/// Where the descriptions begin; above stands what people wrote.
const BEGIN: &str = "<!-- From here on as the code says: the test `every_event_is_described_as_it_is` writes it. -->\n";
const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
const ADDRESS: &str = "/ip4/192.0.2.7/tcp/4001";

fn key(number: u8) -> PublicKey {
    SecretKey::from_bytes(&[number; 32]).expect("a small number is a key").public_key()
}

const TWEAK: Tweak = Tweak::Taproot { merkle_root: None };

fn keys() -> Vec<PublicKey> {
    let mut keys = vec![key(1), key(2)];
    keys.sort_unstable();
    keys
}

/// The key that the session signs under.
fn own_key() -> PublicKey {
    Secp256k1.challenge_key(&Secp256k1.aggregate_keys(Suite::Lotus, &keys(), &TWEAK).expect("two keys"))
}

/// A session that pays somebody and gets the rest back.
fn session_that_pays() -> Definition {
    let own = TaprootOutput { commitment: own_key(), state: None }.script_pubkey();
    let outpoint = OutPoint { txid: Txid::from_bytes([0x11; 32]), index: 0 };
    let output = |value, script_pubkey| TxOutput { value, script_pubkey };
    let transaction = Transaction {
        version: 2,
        inputs: vec![TxInput { outpoint, script_sig: Vec::new(), sequence: u32::MAX }],
        outputs: vec![output(1_000, p2pkh_script(&[0xb0; 20]).to_vec()), output(99_998_000, own.clone())],
        lock_time: 0,
    };
    let spending = Spending {
        transaction: transaction.to_bytes(),
        spent: vec![Spent { value: 100_000_000, script: own }],
        replay_protection: false,
    };
    let input = SignedInput { input: 0, sighash_type: 0x61, path: SpendPath::Key };
    let details = Details {
        kind: Some(TransactionType::Spend),
        description: "rent".parse().expect("a text"),
        spending: Some(Box::new(spending)),
    };
    Definition {
        network: Network::Regtest,
        suite: Suite::Lotus,
        keys: keys(),
        items: vec![Item::input(input, TWEAK)],
        details,
        is_listed: false,
        election: Method::Lexicographic,
        creator: 0,
        created_at: Wall::default(),
        expires_at: Wall::default(),
        nonce: [0; 32],
    }
}

/// An example of each.
fn examples() -> Vec<NodeEvent> {
    let (session, signature) = (SessionId::from_bytes([0x5e; 32]), Signature::from_bytes([0x51; 64]));
    let (peer, command, attempt) =
        (PeerId::from_bytes(&[&[0, 36, 8, 1, 18, 32][..], &[7; 32]].concat()).expect("short enough"), CommandId(7), 1);
    let (key, creator, refusal) = (key(1), key(2), Refusal::Signature);
    let label = |text: &str| text.parse().expect("a label");
    let resource = ResourceId { author: key, kind: label("price"), name: label("xpi-usd") };
    let offer = Offer {
        types: vec![TransactionType::Spend],
        min_amount: Some(1_000),
        max_amount: None,
        min_reputation: None,
        requires_verification: false,
        nickname: "signer 7".parse().expect("a text"),
        description: "".parse().expect("a text"),
        fee: Some(100),
        response_seconds: Some(30),
    };
    let (issued_at, expires_at) = (Wall::from_millis(1_767_225_600_000), Wall::from_millis(1_767_229_200_000));
    let addresses = Vec::from_iter(Address::from_bytes(vec![4, 192, 0, 2, 7, 6, 15, 161]));
    let advertisement = Box::new(Advertisement { peer, addresses, offer: Some(offer), issued_at, expires_at });
    let definition = session_that_pays();
    let (first, second) = (Exhibit([1, 2, 3][..].into()), Exhibit([4, 5][..].into()));
    let summary = Box::new(Summary::of(&definition, &[own_key()]).expect("it is sound"));
    let evidence = Box::new(Evidence::Equivocation { definition, first, second });
    let of_core = [
        Event::SignerConnected { key, peer },
        Event::SignerDisconnected { key, peer },
        Event::KeyInUseTwice { peer, issued_at },
        Event::PeerGraylisted { peer, seconds: 3_600, refusal },
        Event::ShouldBan { peer, refusal },
        Event::PeerBlacklisted { peer, seconds: Some(86_400), refusal: Some(refusal) },
        Event::PeerUnbanned { peer },
        Event::PeerUngraylisted { peer },
        Event::Delegated { message_key: creator, expires_at },
        Event::DelegationAwaited { message_key: creator, error: Some(SignerError::Declined) },
        Event::IdentityVerified { key, id: IdentityId::from_bytes([0x1d; 32]), tier: Tier::Verified },
        Event::IdentityLost { key, id: IdentityId::from_bytes([0x1d; 32]) },
        Event::Advertised { expires_at },
        Event::Withdrawn,
        Event::SignerDiscovered { key, advertisement },
        Event::SignerWithdrawn { key },
        Event::SignerFound { command, key },
        Event::RequestFound { command, session },
        Event::ResourceFound { command, resource: resource.clone() },
        Event::SearchFinished { command, found: 3 },
        Event::ResourceDiscovered { resource },
        Event::ProtocolEvent { protocol: label("price"), payload: vec![1, 2, 3] },
        Event::RequestListed { session },
        Event::SessionCreated { command, session },
        Event::SessionAnnounced { session, creator, summary: summary.clone() },
        Event::SessionApproved { session, summary },
        Event::SignerJoined { session, attempt, signer: key },
        Event::SignerBusy { session, signer: key },
        Event::PhaseChanged { session, attempt, phase: Phase::NonceExchange },
        Event::SignerAwaited { session, attempt, task: SignerTask::Nonces },
        Event::AttemptStarted { session, attempt: 2, cause: AttemptCause::Followed(key) },
        Event::AttemptLapsed { session, attempt, missing: vec![key] },
        Event::AttemptFailed { session, attempt, failure: AttemptFailure::Stuck(vec![key]) },
        Event::SignerMisbehaved { session, signer: key, evidence },
        Event::SessionCompleted { session, attempt, signatures: vec![signature] },
        Event::ShouldBroadcast { session },
        Event::CoordinatorFailed { session, coordinator: key, failures: 1 },
        Event::FailoverExhausted { session, failures: 3 },
        Event::BroadcastClaimed { session, by: key },
        Event::BroadcastUnconfirmed { session, by: key },
        Event::SessionAborted { session, by: key, reason: AbortReason::Declined, may_complete: false },
        Event::SessionMisdated { session },
        Event::SessionExpired { session, may_complete: true },
        Event::SessionClosed { session },
    ];
    let address = || ADDRESS.parse().expect("an address");
    let of_the_node = [
        NodeEvent::Listening { address: format!("{ADDRESS}/p2p/{PEER}").parse().expect("an address") },
        NodeEvent::ListenerClosed { addresses: vec![address()], error: None },
        NodeEvent::AddressesChanged { addresses: vec![address()] },
        NodeEvent::ReachabilityChanged {
            state: Reachability::BehindNat,
            reason: "no peer could call it".to_owned(),
            relays: vec![PEER.parse().expect("a peer")],
        },
        NodeEvent::PeerPathChanged { peer: PEER.parse().expect("a peer"), address: address(), relayed: false },
        NodeEvent::HolePunchFailed { peer: PEER.parse().expect("a peer"), reason: "three attempts failed".to_owned() },
        NodeEvent::PeerConnected { peer: PEER.parse().expect("a peer"), address: address() },
        NodeEvent::PeerDisconnected { peer: PEER.parse().expect("a peer"), reason: "it was idle".to_owned() },
        NodeEvent::PeerUpdated {
            peer: PEER.parse().expect("a peer"),
            addresses: vec![address()],
            protocols: vec!["/ipfs/ping/1.0.0".to_owned()],
            agent: "nelumbo/0.1.0".to_owned(),
        },
        NodeEvent::DialFailed { peer: PEER.parse().expect("a peer"), reason: "connection refused".to_owned() },
        NodeEvent::DhtChanged { state: DhtState::Ready, peers: 12 },
        NodeEvent::RecordingEnded { reason: "it has reached its limit".to_owned() },
        NodeEvent::Stopped { error: None },
    ];
    of_core.into_iter().map(NodeEvent::Core).chain(of_the_node).collect()
}

/// A variant as the source has it: its name in JSON, what is said of it, and the same of its fields.
struct Described {
    name: String,
    meaning: String,
    fields: Vec<(String, String)>,
}

/// Reads the variants of an enumeration out of formatted code.
fn described(path: &str, enumeration: &str) -> Vec<Described> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let code = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, body) = code.split_once(&format!("pub enum {enumeration} {{\n")).expect("the enumeration is there");
    let (mut all, mut words) = (Vec::<Described>::new(), String::new());
    for line in body.lines().take_while(|line| *line != "}") {
        let depth = line.len() - line.trim_start().len();
        if let Some(comment) = line.trim().strip_prefix("///") {
            words.push_str(comment);
        } else if line.trim().starts_with('#') || line.trim() == "}," {
        } else if depth == 4 {
            let variant: String = line.trim().chars().take_while(char::is_ascii_alphanumeric).collect();
            let meaning = without_links(std::mem::take(&mut words).trim());
            // What is untagged stands for another enumeration.
            if !line.trim().starts_with("Core(") {
                all.push(Described { name: kebab(&variant), meaning, fields: Vec::new() });
            }
        } else if let Some((field, _)) = line.trim().split_once(':') {
            let meaning = without_links(std::mem::take(&mut words).trim());
            all.last_mut().expect("fields follow a variant").fields.push((field.to_owned(), meaning));
        }
    }
    all
}

fn kebab(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// [`Name`](path) is `Name`.
fn without_links(text: &str) -> String {
    let mut plain = text.replace("[`", "`");
    while let Some(start) = plain.find("`](") {
        let end = start + plain[start..].find(')').expect("links end");
        plain.replace_range(start + 1..=end, "");
    }
    plain.replace("`]", "`")
}

/// What fields may say: of which they are, and where the source has it.
const VALUES: [(&str, &str, &str); 8] = [
    ("`phase`: where a session stands", "core/src/api/event.rs", "Phase"),
    ("`cause`: why an attempt began", "core/src/api/event.rs", "AttemptCause"),
    ("`failure`: why an attempt failed", "core/src/api/event.rs", "AttemptFailure"),
    ("`reason` of `session-aborted`: why a signer does not sign", "core/src/wire/session.rs", "AbortReason"),
    ("`error` of a signer", "crypto/src/signer.rs", "SignerError"),
    ("`refusal`: why a message or record was refused", "core/src/api/refusal.rs", "Refusal"),
    ("`state` of `dht-changed`", "io-tokio/src/network/event.rs", "DhtState"),
    ("`state` of `reachability-changed`", "io-tokio/src/reachability/mod.rs", "Reachability"),
];

/// What the program tells beside what the node does, by name: the files that do so write it as text.
#[test]
fn every_event_of_the_program_is_on_the_page() {
    let page = include_str!("../../docs/src/events.md");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/src");
    let files =
        ["node/approvals", "node/approver", "node/life", "node/mailbox", "node/payments", "node/pools", "node/reload"];
    let mut found = BTreeSet::new();
    for file in files.iter().chain(&["control/answers"]) {
        let text = std::fs::read_to_string(folder.join(file).with_extension("rs")).expect("the file is there");
        let told = text.lines().filter(|line| ["\"event\":", "note(", "\"payment-"].iter().any(|it| line.contains(it)));
        let names = told.flat_map(|line| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
        found.extend(names.filter(|name| name == "started" || name.contains('-')));
    }
    assert!(found.len() >= 13 && found.contains("message-received"), "{found:?}");
    for name in found {
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
    }
}

#[test]
fn every_event_is_described_as_it_is() {
    let page = include_str!("../../docs/src/events.md");
    let mut expected = String::new();
    let mut known = BTreeSet::new();
    let examples: Vec<(serde_json::Value, String)> = examples()
        .iter()
        .map(|event| serde_json::to_string(event).expect("an object"))
        .map(|text| (serde_json::from_str(&text).expect("it was an object"), text))
        .collect();
    let parts = [
        ("Signers, sessions, searches", described("core/src/api/event.rs", "Event")),
        ("The node itself", described("io-tokio/src/event.rs", "NodeEvent")),
    ];
    for (title, part) in parts {
        write!(expected, "\n## {title}\n").expect("a text takes what is written");
        for Described { name, meaning, fields } in part {
            let example = examples.iter().find(|(example, _)| example["event"] == name.as_str());
            let (example, text) = example.unwrap_or_else(|| panic!("there is no example of {name}"));
            let names: BTreeSet<_> = fields.iter().map(|(field, _)| field.as_str()).chain(["event"]).collect();
            let shown: BTreeSet<_> = example.as_object().expect("an object").keys().map(String::as_str).collect();
            assert_eq!(names, shown, "{name}");
            write!(expected, "\n### `{name}`\n\n{meaning}\n").expect("a text takes what is written");
            for (place, (field, meaning)) in fields.iter().enumerate() {
                let before = if place == 0 { "\n" } else { "" };
                writeln!(expected, "{before}- `{field}`: {meaning}").expect("a text takes what is written");
            }
            write!(expected, "\n```json\n{text}\n```\n").expect("a text takes what is written");
            known.insert(name);
        }
    }
    assert_eq!(known.len(), examples.len(), "an example of each, and each once");
    expected.push_str("\n## What fields may say\n\n");
    expected.push_str("A value with more to say, as whom a failure is due to, is an object, in a field of its name.\n");
    for (title, path, enumeration) in VALUES {
        write!(expected, "\n### {title}\n\n| value | meaning |\n|---|---|\n").expect("a text takes what is written");
        for Described { name, meaning, .. } in described(path, enumeration) {
            writeln!(expected, "| `{name}` | {meaning} |").expect("a text takes what is written");
        }
    }
    let (_, found) = page.split_once(BEGIN).expect("the page says where the descriptions begin");
    if found != expected {
        let new = std::env::temp_dir().join("nelumbo-events.md");
        let (written, _) = page.split_once(BEGIN).expect("seen above");
        std::fs::write(&new, format!("{written}{BEGIN}{expected}")).expect("there is a temporary folder");
        panic!("docs/src/events.md is not what the code says; {} is", new.display());
    }
}
