//! Signers that exchange files.

use nelumbo_core::crypto::bitcoin::{Address, OutPoint, Transaction, TxInput, TxOutput};
use nelumbo_core::crypto::{PublicNonce, Suite, Tweak};
use tempfile::TempDir;

use super::*;

struct World {
    folder: TempDir,
    keys: Vec<PublicKey>,
}

fn secret(number: usize) -> SecretKey {
    SecretKey::from_bytes(&[number as u8 + 1; 32]).expect("a key")
}

impl World {
    fn new() -> Self {
        let mut keys: Vec<PublicKey> = (0..3).map(|number| secret(number).public_key()).collect();
        keys.sort_unstable();
        Self { folder: tempfile::tempdir().expect("a folder"), keys }
    }

    fn node(&self, number: usize) -> FileSessions {
        let folder = self.folder.path().join(number.to_string());
        fs::create_dir_all(&folder).expect("a folder");
        FileSessions::new(&folder, Network::Regtest, secret(number))
    }

    fn records(&self, number: usize) -> String {
        fs::read_to_string(self.folder.path().join(number.to_string()).join("file-sessions.jsonl")).unwrap_or_default()
    }

    /// What a wallet has made: two outputs of the group pay somebody, and the group gets something back.
    fn psbt(&self, paid: u64) -> Psbt {
        let tweak = Tweak::Taproot { merkle_root: None };
        let group = KeyAggContext::new(Suite::Bip340, &self.keys).and_then(|keys| keys.with_tweak(&tweak));
        let own = Address::taproot(Network::Regtest, &group.expect("a key").challenge_key());
        let input = |index| {
            let outpoint = OutPoint { txid: "5b".repeat(32).parse().expect("an id"), index };
            TxInput { outpoint, script_sig: vec![], sequence: 0xffff_fffd }
        };
        let output = |value, script: &[u8]| TxOutput { value, script_pubkey: script.to_vec() };
        let outputs = vec![output(paid, &[&[0, 20][..], &[7; 20]].concat()), output(20_000, own.script_pubkey())];
        let transaction = Transaction { version: 2, inputs: vec![input(0), input(1)], outputs, lock_time: 0 };
        let spent = [output(50_000, own.script_pubkey()), output(70_000, own.script_pubkey())];
        let mut psbt = Psbt::new(&transaction, &spent).expect("it has no scripts");
        assert_eq!(psbt.add_group(&self.keys, None), Ok(2));
        psbt
    }
}

fn nothing() -> BTreeSet<Unusual> {
    BTreeSet::new()
}

/// What all have said so far.
fn together(steps: &[Step]) -> Psbt {
    let mut all = steps[0].psbt.clone();
    steps[1..].iter().for_each(|step| all.combine(step.psbt.clone()).expect("they agree"));
    all
}

#[test]
fn three_signers_make_a_transaction_by_files() {
    let world = World::new();
    let mut nodes: Vec<FileSessions> = (0..3).map(|number| world.node(number)).collect();
    let psbt = world.psbt(99_000);
    let approve = |node: &mut FileSessions| node.approve(psbt.clone(), &nothing(), false).expect("it is usual");
    let nonces: Vec<Step> = nodes.iter_mut().map(approve).collect();
    for (number, step) in nonces.iter().enumerate() {
        assert_eq!((step.stage, step.attempt, step.is_new), (Stage::Nonces, 1, true));
        assert!(step.waits_for.len() == 2 && !step.waits_for.contains(&secret(number).public_key()));
        assert_eq!((step.session, &step.summary), (nonces[0].session, &nonces[0].summary));
        assert_eq!(world.records(number).matches("begun").count(), 1);
    }
    // Once more, with and without what is known: the same nonces.
    for given in [psbt.clone(), nonces[0].psbt.clone()] {
        let again = nodes[0].approve(given, &nothing(), false).expect("it was approved");
        assert_eq!((&again.psbt, again.is_new), (&nonces[0].psbt, false));
    }
    let all = together(&nonces);
    let sign = |node: &mut FileSessions| node.go_on(all.clone()).expect("all nonces are there");
    let partials: Vec<Step> = nodes.iter_mut().map(sign).collect();
    for (number, step) in partials.iter().enumerate() {
        assert_eq!((step.stage, step.waits_for.len()), (Stage::Partials, 2));
        assert_eq!(world.records(number).matches("spent").count(), 1);
    }
    assert_eq!(nodes[0].go_on(all).expect("asked again").psbt, partials[0].psbt, "the same answer");
    let signed = nodes[1].go_on(together(&partials)).expect("all partial signatures are there");
    assert_eq!((signed.stage, signed.waits_for.len()), (Stage::Signed, 0));
    assert_eq!(world.records(1).lines().count(), 2, "nothing was signed again");
    let transaction = signed.psbt.finalize().expect("both inputs are signed");
    assert_eq!(transaction.txid, psbt.transaction().txid(Suite::Bip340));
    // One that was restarted needs nothing of its own any more.
    assert_eq!(world.node(0).go_on(signed.psbt).expect("it is signed").stage, Stage::Signed);
}

#[test]
fn the_last_one_who_approves_signs_at_once() {
    let world = World::new();
    let mut nodes: Vec<FileSessions> = (0..3).map(|number| world.node(number)).collect();
    let mut psbt = world.psbt(99_000);
    for node in &mut nodes {
        psbt = node.approve(psbt, &nothing(), false).expect("it is usual").psbt;
    }
    let signed = nodes[2].go_on(psbt.clone()).expect("nothing is new");
    assert_eq!((signed.stage, signed.waits_for.len()), (Stage::Partials, 2));
    for node in &mut nodes[..2] {
        psbt = node.go_on(psbt).expect("all nonces are there").psbt;
    }
    assert!(psbt.finalize().is_ok());
}

#[test]
fn nonces_die_with_the_process_and_attempts_are_counted_on() {
    let world = World::new();
    let (mut one, mut two) = (world.node(0), world.node(1));
    let first = one.approve(world.psbt(99_000), &nothing(), false).expect("it is usual");
    let both = two.approve(first.psbt.clone(), &nothing(), false).expect("it is usual").psbt;
    drop(one);
    let mut one = world.node(0);
    for refused in [one.approve(both.clone(), &nothing(), false), one.go_on(both.clone())] {
        assert!(matches!(refused, Err(StepError::NonceGone)), "{refused:?}");
    }
    assert!(matches!(one.go_on(world.psbt(99_000)), Err(StepError::NotApproved)));
    let anew = one.approve(both.clone(), &nothing(), true).expect("all begin again");
    assert_eq!((anew.attempt, anew.session, anew.stage), (2, first.session, Stage::Nonces));
    // The other one is told that a nonce has changed, and begins again as well.
    let conflict = two.go_on(anew.psbt.clone());
    assert!(matches!(conflict, Err(StepError::Psbt(PsbtError::Conflict { .. }))), "{conflict:?}");
    let second = two.approve(world.psbt(99_000), &nothing(), true).expect("it begins again");
    assert_eq!(second.attempt, 2);
    assert_eq!(one.go_on(second.psbt).expect("they agree").waits_for, [secret(2).public_key()]);
    // A line that a crash has torn is no line.
    let path = world.folder.path().join("0/file-sessions.jsonl");
    let torn = format!("{}{{\"session\":\"", world.records(0));
    fs::write(&path, torn).expect("a file");
    let third = world.node(0).approve(world.psbt(99_000), &nothing(), false).expect("nothing is in the way");
    assert_eq!((third.attempt, world.records(0).lines().count()), (3, 3));
    fs::write(&path, "no record\n").expect("a file");
    let refused = world.node(0).approve(world.psbt(99_000), &nothing(), false);
    assert!(matches!(refused, Err(StepError::Record(_))), "{refused:?}");
}

#[test]
fn a_nonce_signs_once_whatever_the_others_send() {
    let world = World::new();
    let mut nodes: Vec<FileSessions> = (0..3).map(|number| world.node(number)).collect();
    let approve = |node: &mut FileSessions| node.approve(world.psbt(99_000), &nothing(), false).expect("usual");
    let nonces: Vec<Step> = nodes.iter_mut().map(approve).collect();
    let mut own = nonces[0].psbt.clone();
    own.combine(nonces[1].psbt.clone()).expect("they agree");
    let (mut all, mut other) = (own.clone(), own);
    all.combine(nonces[2].psbt.clone()).expect("they agree");
    let signed = nodes[0].go_on(all).expect("all nonces are there");
    // The third one gives other nonces: those of an attempt of its own.
    let changed = nodes[2].approve(world.psbt(99_000), &nothing(), true).expect("it begins again");
    other.combine(changed.psbt).expect("it has no other");
    let refused = nodes[0].go_on(other.clone());
    assert!(matches!(refused, Err(StepError::Psbt(PsbtError::Conflict { .. }))), "{refused:?}");
    // What is no nonce is said to be none, and is not kept.
    let mut nonsense = nonces[1].psbt.clone();
    for task in nonsense.tasks().expect("sound") {
        nonsense.add_nonce(&task, secret(2).public_key(), &PublicNonce::from_bytes([5; 66])).expect("the first");
    }
    let mut honest = nonces[1].psbt.clone();
    honest.combine(nonces[0].psbt.clone()).expect("they agree");
    nonsense.combine(nonces[0].psbt.clone()).expect("they agree");
    let refused = nodes[1].go_on(nonsense);
    let Err(StepError::Psbt(PsbtError::Culprits { signers, .. })) = refused else { panic!("{refused:?}") };
    assert_eq!(signers, [secret(2).public_key()]);
    assert_eq!(nodes[1].go_on(honest).expect("nothing was kept").waits_for, [secret(2).public_key()]);
    assert_eq!(world.records(0).matches("spent").count(), 1);
    assert_eq!(signed.stage, Stage::Partials);
}

#[test]
fn what_is_unusual_is_allowed_by_name_and_nothing_leaves_before_it_is_on_the_disk() {
    let world = World::new();
    let mut node = world.node(0);
    // 100 satoshi more than there are.
    let over = node.approve(world.psbt(100_100), &nothing(), false);
    assert!(matches!(over, Err(StepError::Summary(_))), "{over:?}");
    let foreign = world.node(3).approve(world.psbt(99_000), &nothing(), false);
    assert!(matches!(foreign, Err(StepError::NotASigner)), "{foreign:?}");
    // Hash type NONE, behind the key 0x03 of each input.
    let mut bytes = world.psbt(99_000).to_bytes();
    let value: Vec<u8> = 50_000_u64.to_le_bytes().to_vec();
    let utxo = bytes.windows(8).position(|window| window == value).expect("the first spent output");
    let end = utxo + 8 + 1 + 34;
    bytes.splice(end..end, [1, 3, 4, 2, 0, 0, 0]);
    let none = Psbt::from_bytes(&bytes).expect("it is sound");
    let refused = node.approve(none.clone(), &nothing(), false);
    let Err(StepError::Unusual(unusual)) = refused else { panic!("{refused:?}") };
    assert_eq!(unusual, BTreeSet::from([Unusual::SighashNone]));
    assert!(world.records(0).is_empty(), "nothing was begun");
    assert_eq!(node.approve(none, &unusual, false).expect("it is allowed").attempt, 1);

    let folder = world.folder.path().join("1");
    let mut node = world.node(1);
    fs::create_dir(folder.join("file-sessions.jsonl")).expect("a folder in the way");
    let refused = node.approve(world.psbt(99_000), &nothing(), false);
    assert!(matches!(refused, Err(StepError::Record(_))), "{refused:?}");
    fs::remove_dir(folder.join("file-sessions.jsonl")).expect("it is empty");
    let step = node.approve(world.psbt(99_000), &nothing(), false).expect("there is room now");
    assert_eq!(step.attempt, 1);
}

#[test]
fn the_oldest_session_makes_room_and_the_records_stay_short() {
    let world = World::new();
    let mut node = world.node(0);
    let first = node.approve(world.psbt(90_000), &nothing(), false).expect("it is usual");
    for more in 1..=MAX_OPEN as u64 {
        node.approve(world.psbt(90_000 + more), &nothing(), false).expect("it is usual");
    }
    assert_eq!((node.open.len(), node.order.len()), (MAX_OPEN, MAX_OPEN));
    assert_eq!(node.signer.open_nonces(), 2 * MAX_OPEN);
    assert!(matches!(node.go_on(first.psbt), Err(StepError::NonceGone)));
    let path = world.folder.path().join("0/file-sessions.jsonl");
    let line = world.records(0).lines().next().expect("a line").to_owned() + "\n";
    fs::write(&path, line.repeat(1 + MAX_FILE as usize / line.len())).expect("a file");
    let step = world.node(0).approve(world.psbt(90_000), &nothing(), false).expect("it is usual");
    assert_eq!((step.attempt, world.records(0).lines().count()), (2, 2));
}
