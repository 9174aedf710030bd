//! Tests of the journal: what survives, who may open it, what a broken disk does.

use std::time::Duration;

use tokio::time::timeout;

use super::{full_disk::FullDisk, *};

const PATIENCE: Duration = Duration::from_secs(10);

fn set(key: &str, value: &str) -> Change {
    (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
}

fn open(folder: &Path) -> (Journal, Vec<StoredRecord>) {
    Journal::open(folder, &Metrics::new()).expect("a journal")
}

async fn wait_for(journal: &Journal, sequence: u64) -> Durable {
    let mut durable = journal.durable();
    let reached = durable.wait_for(|durable| durable.sequence >= sequence || durable.failure.is_some());
    timeout(PATIENCE, reached).await.expect("in time").expect("the writer runs").clone()
}

#[tokio::test]
async fn the_last_value_of_each_key_survives() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new").join("journal");
    let (journal, records) = open(&path);
    assert!(records.is_empty());
    journal.append(1, vec![set("a", "1"), set("b", "1"), set("c", "1")]).expect("room");
    journal.append(2, vec![set("a", "2"), (b"b".to_vec(), None)]).expect("room");
    assert_eq!(wait_for(&journal, 2).await.sequence, 2);
    journal.close().await.expect("a clean end");

    let (journal, records) = open(&path);
    assert_eq!(records, [(b"a".to_vec(), b"2".to_vec()), (b"c".to_vec(), b"1".to_vec())]);
    journal.close().await.expect("a clean end");
}

#[tokio::test]
async fn closing_writes_what_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(folder.path());
    for sequence in 1..=500 {
        journal.append(sequence, vec![set(&format!("{sequence:03}"), "x")]).expect("room");
    }
    journal.close().await.expect("a clean end");
    assert_eq!(open(folder.path()).1.len(), 500);
}

#[tokio::test]
async fn a_second_opener_is_told_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(folder.path());
    let error = Journal::open(folder.path(), &Metrics::new()).expect_err("it is in use");
    assert!(matches!(error, JournalError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
    journal.close().await.expect("a clean end");
    open(folder.path());
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let (_journal, _) = open(&path);
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join(JOURNAL_FILE))), (0o700, 0o600));
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(JOURNAL_FILE), vec![7; 8192]).expect("a file");
    let error = Journal::open(folder.path(), &Metrics::new()).expect_err("no journal");
    assert!(matches!(error, JournalError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn a_journal_of_another_format_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(folder.path());
    journal.append(1, vec![set("a", "1")]).expect("room");
    journal.close().await.expect("a clean end");
    let write_format = |format| {
        let database = Database::open(folder.path().join(JOURNAL_FILE)).expect("a journal");
        let transaction = database.begin_write().expect("nobody else writes");
        let mut meta = transaction.open_table(META).expect("a table");
        let before = meta.insert("format", format).expect("it is written").expect("it was there").value();
        drop(meta);
        transaction.commit().expect("a disk");
        before
    };
    assert_eq!(write_format(FORMAT + 1), FORMAT);
    let error = Journal::open(folder.path(), &Metrics::new()).expect_err("a format of the future");
    assert!(matches!(error, JournalError::Format { found } if found == FORMAT + 1), "{error:?}");
    assert_eq!(write_format(FORMAT), FORMAT + 1);
    assert_eq!(open(folder.path()).1, [(b"a".to_vec(), b"1".to_vec())]);
}

#[tokio::test]
async fn a_full_disk_ends_it_and_nothing_is_acknowledged() {
    let disk = FullDisk::default();
    let (journal, _) = Journal::open_on(disk.clone(), &Metrics::new()).expect("a journal");
    journal.append(1, vec![set("a", "1")]).expect("room");
    assert_eq!(wait_for(&journal, 1).await.sequence, 1);

    disk.fill(true);
    journal.append(2, vec![set("a", "2")]).expect("room");
    let durable = wait_for(&journal, 2).await;
    assert_eq!(durable.sequence, 1);
    assert!(matches!(durable.failure, Some(JournalError::Storage(_))), "{durable:?}");

    disk.fill(false);
    let refused = timeout(PATIENCE, async {
        while journal.append(3, vec![set("a", "3")]).is_ok() {
            tokio::task::yield_now().await;
        }
    });
    refused.await.expect("a failed journal takes no more");
    assert_eq!(wait_for(&journal, 3).await.sequence, 1);
    assert!(matches!(journal.close().await, Err(JournalError::Storage(_))));
}

#[tokio::test]
async fn a_disk_that_does_not_keep_up_is_no_reason_to_hoard() {
    let disk = FullDisk::default();
    let (journal, _) = Journal::open_on(disk.clone(), &Metrics::new()).expect("a journal");
    let held = disk.hold();
    let mut sequence = 0;
    let refusal = loop {
        match journal.append(sequence + 1, vec![set("a", "1")]) {
            Ok(()) => sequence += 1,
            Err(refusal) => break refusal,
        }
        // One commit's worth may be in the writer's hands beside what waits.
        assert!(sequence <= 2 * MAX_WAITING as u64);
    };
    assert!(matches!(refusal, JournalError::Backlog), "{refusal}");
    assert_eq!(journal.durable().borrow().sequence, 0);
    drop(held);
    assert_eq!(wait_for(&journal, sequence).await.sequence, sequence);
    assert!(journal.has_room());
    journal.close().await.expect("a clean end");
}

/// Single bits of both files, one after the other: what is read then is what was written, or nothing.
fn flip_bits(folder: &Path, written: &[StoredRecord]) -> (usize, usize) {
    let (mut refused, mut unharmed) = (0, 0);
    for name in [JOURNAL_FILE, seal::COMMITS_FILE] {
        let sound = fs::read(folder.join(name)).expect("a file");
        // A sample, denser where the store's header and roots are.
        let bits = (0..8 * sound.len()).filter(|bit| bit % if *bit < 8 * 512 { 17 } else { 20_011 } == 0);
        for bit in bits {
            let copy = tempfile::tempdir().expect("a folder");
            for other in [JOURNAL_FILE, seal::COMMITS_FILE] {
                fs::copy(folder.join(other), copy.path().join(other)).expect("a copy");
            }
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(copy.path().join(name), bytes).expect("a file");
            match Journal::open(copy.path(), &Metrics::new()) {
                Ok((_, read)) => {
                    assert_eq!(read, written, "bit {bit} of {name}");
                    unharmed += 1;
                }
                Err(error @ (JournalError::Damaged { .. } | JournalError::Format { .. })) => {
                    assert!(error.to_string().len() > 20);
                    refused += 1;
                }
                Err(error) => panic!("bit {bit} of {name}: {error}"),
            }
        }
    }
    (refused, unharmed)
}

async fn written(folder: &Path) -> (Journal, Vec<StoredRecord>) {
    let (journal, _) = open(folder);
    for sequence in 1..=20 {
        journal.append(sequence, vec![set(&format!("{:02}", sequence % 7), &"x".repeat(200 + 7))]).expect("room");
        wait_for(&journal, sequence).await;
    }
    let records = (0..7).map(|key| set(&format!("{key:02}"), &"x".repeat(207)));
    (journal, records.map(|(key, value)| (key, value.expect("a value"))).collect())
}

#[tokio::test]
async fn a_flipped_bit_of_a_closed_journal_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, records) = written(folder.path()).await;
    journal.close().await.expect("a clean end");
    let (refused, unharmed) = flip_bits(folder.path(), &records);
    assert!(refused > 50 && unharmed > 50, "{refused} refused, {unharmed} unharmed");
}

#[tokio::test]
async fn a_flipped_bit_of_a_journal_whose_node_was_killed_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_running, records) = written(folder.path()).await;
    let copy = tempfile::tempdir().expect("a folder");
    for name in [JOURNAL_FILE, seal::COMMITS_FILE] {
        fs::copy(folder.path().join(name), copy.path().join(name)).expect("a copy");
    }
    let (refused, unharmed) = flip_bits(copy.path(), &records);
    assert!(refused > 50 && unharmed > 50, "{refused} refused, {unharmed} unharmed");
}

#[tokio::test]
async fn a_journal_that_went_back_is_not_taken_for_the_newest() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(JOURNAL_FILE);
    let (journal, _) = open(folder.path());
    journal.append(1, vec![set("a", "1")]).expect("room");
    journal.close().await.expect("a clean end");
    let older = fs::read(&path).expect("a file");
    let (journal, _) = open(folder.path());
    journal.append(1, vec![set("a", "2")]).expect("room");
    journal.close().await.expect("a clean end");

    for (contents, what) in [(older, "its last 1 commits of 2 are missing"), (Vec::new(), "its last 2 commits of 2")] {
        fs::write(&path, contents).expect("a file");
        let error = Journal::open(folder.path(), &Metrics::new()).expect_err("it has gone back");
        assert!(matches!(error, JournalError::Damaged { .. }) && error.to_string().contains(what), "{error}");
    }
}

#[tokio::test]
async fn a_store_by_itself_is_no_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path()).await.0.close().await.expect("a clean end");
    fs::remove_file(folder.path().join(seal::COMMITS_FILE)).expect("it was there");
    let error = Journal::open(folder.path(), &Metrics::new()).expect_err("half of it is missing");
    assert!(error.to_string().contains("journal.commits is missing"), "{error}");
}

#[test]
fn records_whose_sum_differs_are_refused() {
    let mut seal = Seal::default();
    seal.toggle(b"a", b"1");
    seal.toggle(b"b", b"2");
    let record = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    let (a, b) = (record("a", "1"), record("b", "2"));
    assert!(seal.fits(&[b.clone(), a.clone()]));
    for others in [vec![], vec![b.clone(), b.clone()], vec![record("b", "1")], vec![record("b2", "")]] {
        assert!(!seal.fits(&[vec![a.clone()], others].concat()));
    }
    seal.toggle(b"b", b"2");
    assert!(seal.fits(&[a]));
}
