use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

fn connection(number: usize) -> ConnectionId {
    ConnectionId::new_unchecked(number)
}

fn queue() -> (DirectQueue, PeerId, Instant) {
    (DirectQueue::new(TIMEOUT), PeerId::random(), Instant::now())
}

fn push(queue: &mut DirectQueue, peer: PeerId, operations: std::ops::Range<u64>) {
    for operation in operations {
        queue.push(peer, OperationId(operation), Bytes::from(operation.to_be_bytes())).expect("room");
    }
}

/// What is sent next: over which connection, in which epoch, and which messages by their numbers.
fn sent(queue: &mut DirectQueue, now: Instant) -> Option<(ConnectionId, u32, Vec<u64>)> {
    while let Some(action) = queue.next(now) {
        if let Action::Send { connection, epoch, messages, .. } = action {
            let number = |bytes: &Bytes| u64::from_be_bytes(bytes[..].try_into().expect("eight bytes"));
            return Some((connection, epoch, messages.iter().map(number).collect()));
        }
    }
    None
}

fn failed(queue: &mut DirectQueue, now: Instant) -> Vec<(u64, DirectFailure)> {
    let mut failed = Vec::new();
    while let Some(action) = queue.next(now) {
        if let Action::Failed { operation, failure, .. } = action {
            failed.push((operation.0, failure));
        }
    }
    failed
}

#[test]
fn messages_wait_for_a_connection_and_leave_together_in_order() {
    let (mut queue, peer, now) = queue();
    push(&mut queue, peer, 0..3);
    assert_eq!(queue.next(now), None);
    queue.on_connected(peer, connection(1), false, now);
    assert_eq!(sent(&mut queue, now), Some((connection(1), 0, vec![0, 1, 2])));
    push(&mut queue, peer, 3..4);
    assert_eq!(sent(&mut queue, now), Some((connection(1), 0, vec![3])));
    let two = queue.on_acknowledged(&peer, connection(1), 0, 2, now);
    assert_eq!((two, queue.len()), (vec![OperationId(0), OperationId(1)], 2));
    let more = queue.on_acknowledged(&peer, connection(1), 0, 9, now);
    assert_eq!((more, queue.len()), (vec![OperationId(2), OperationId(3)], 0), "no more than was sent");
    queue.on_disconnected(&peer, connection(1));
    assert!(queue.peers.is_empty(), "nothing is kept for who is gone");
}

#[test]
fn a_cut_connection_loses_nothing_and_a_direct_one_is_preferred() {
    let (mut queue, peer, now) = queue();
    queue.on_connected(peer, connection(1), true, now);
    push(&mut queue, peer, 0..3);
    assert_eq!(sent(&mut queue, now), Some((connection(1), 0, vec![0, 1, 2])));
    queue.on_acknowledged(&peer, connection(1), 0, 1, now);

    queue.on_connected(peer, connection(2), false, now);
    queue.on_connected(peer, connection(3), true, now);
    push(&mut queue, peer, 3..5);
    assert_eq!(sent(&mut queue, now), Some((connection(2), 0, vec![3, 4])), "direct, though not the newest");
    queue.on_disconnected(&peer, connection(1));
    assert_eq!(sent(&mut queue, now), Some((connection(2), 0, vec![1, 2])), "what was not acknowledged");
    queue.on_disconnected(&peer, connection(2));
    assert_eq!(sent(&mut queue, now), Some((connection(3), 0, vec![3, 4, 1, 2])));
    queue.on_disconnected(&peer, connection(3));
    assert!(queue.has_waiting(&peer) && queue.next(now).is_none() && queue.len() == 4);
    queue.on_connected(peer, connection(4), false, now);
    queue.on_connected(peer, connection(5), false, now);
    assert_eq!(sent(&mut queue, now).map(|(connection, ..)| connection), Some(connection(5)), "the newest");
}

#[test]
fn a_message_is_not_tried_for_ever() {
    let (mut queue, peer, now) = queue();
    queue.on_connected(peer, connection(1), false, now);
    queue.on_speaks(&peer, true);
    push(&mut queue, peer, 7..8);
    for epoch in 0..u32::from(MAX_TRIES) {
        assert_eq!(sent(&mut queue, now), Some((connection(1), epoch, vec![7])));
        queue.on_broken(&peer, connection(1), epoch, false);
        queue.on_broken(&peer, connection(1), epoch, false);
    }
    assert_eq!(failed(&mut queue, now), [(7, DirectFailure::StreamBroken)]);
    assert_eq!((queue.len(), queue.total), (0, Held::default()));
}

#[test]
fn what_shows_no_life_gives_its_messages_to_another_connection() {
    let (mut queue, peer, mut now) = queue();
    queue.on_connected(peer, connection(1), false, now);
    push(&mut queue, peer, 0..2);
    assert!(sent(&mut queue, now).is_some());
    queue.on_connected(peer, connection(2), true, now);
    now += MOVE_AFTER;
    assert!(queue.deadline().is_some_and(|deadline| deadline <= now));
    queue.due(now);
    assert_eq!(queue.next(now), Some(Action::Reset { peer, connection: connection(1), epoch: 1 }));
    assert_eq!(sent(&mut queue, now), Some((connection(2), 0, vec![0, 1])));
    assert_eq!(queue.on_acknowledged(&peer, connection(1), 0, 2, now), [], "of an epoch that is over");
    assert_eq!(queue.on_acknowledged(&peer, connection(2), 0, 2, now).len(), 2);
    push(&mut queue, peer, 2..3);
    assert_eq!(sent(&mut queue, now), Some((connection(2), 0, vec![2])), "the silent one is the last resort");
}

#[test]
fn the_only_connection_has_until_the_timeout() {
    let (mut queue, peer, start) = queue();
    queue.on_connected(peer, connection(1), false, start);
    push(&mut queue, peer, 0..2);
    assert!(sent(&mut queue, start).is_some());
    let mut now = start;
    while now < start + TIMEOUT {
        assert_eq!(failed(&mut queue, now), []);
        now = queue.deadline().expect("something is on its way");
        queue.due(now);
    }
    assert_eq!(failed(&mut queue, now), [(0, DirectFailure::TimedOut), (1, DirectFailure::TimedOut)]);
    assert_eq!((queue.len(), queue.deadline()), (0, None), "an idle node has no timer");
}

#[test]
fn who_does_not_speak_the_protocol_gets_a_bounded_number_of_streams() {
    for is_unsupported in [false, true] {
        let (mut queue, peer, now) = queue();
        queue.on_connected(peer, connection(1), false, now);
        push(&mut queue, peer, 0..40);
        assert!(sent(&mut queue, now).is_some());
        queue.on_broken(&peer, connection(1), 0, is_unsupported);
        let mut shots: Vec<u64> = Vec::new();
        let take = |queue: &mut DirectQueue, shots: &mut Vec<u64>| {
            while let Some(Action::OneShot { operation, .. }) = queue.next(now) {
                shots.push(operation.0);
            }
        };
        take(&mut queue, &mut shots);
        assert_eq!(shots, (0..MAX_ONE_SHOTS as u64).collect::<Vec<_>>());
        queue.on_one_shot_ended(&peer);
        take(&mut queue, &mut shots);
        assert_eq!((shots.len(), queue.len()), (MAX_ONE_SHOTS + 1, 39));
        queue.on_speaks(&peer, true);
        assert_eq!(sent(&mut queue, now).map(|(.., messages)| messages.len()), Some(11), "it was an error");
    }
}

#[test]
fn number_and_bytes_are_bounded_per_connection_per_peer_and_in_total() {
    let (mut queue, _, now) = queue();
    let mut accepted = 0;
    for _ in 0..20 {
        let peer = PeerId::random();
        while queue.push(peer, OperationId(0), Bytes::from([0])).is_ok() {
            accepted += 1;
        }
    }
    assert_eq!(accepted, MAX_IN_TOTAL);

    let mut queue = DirectQueue::new(TIMEOUT);
    let peer = PeerId::random();
    let largest = Bytes::from(vec![0; MAX_DIRECT_MESSAGE]);
    while queue.push(peer, OperationId(0), largest.clone()).is_ok() {}
    assert!((MAX_BYTES_PER_PEER - MAX_DIRECT_MESSAGE..=MAX_BYTES_PER_PEER).contains(&queue.total.bytes));
    queue.on_connected(peer, connection(1), false, now);
    let Some(Action::Send { messages, .. }) = queue.next(now) else { panic!("something is sent") };
    assert_eq!(messages.len(), MAX_BYTES_ON_LINK / MAX_DIRECT_MESSAGE);
    assert_eq!(queue.next(now), None);
    assert_eq!(queue.push(peer, OperationId(0), Bytes::from([])), Err(DirectFailure::Size));
    let larger = Bytes::from(vec![0; MAX_DIRECT_MESSAGE + 1]);
    assert_eq!(queue.push(peer, OperationId(0), larger), Err(DirectFailure::Size));

    let mut queue = DirectQueue::new(TIMEOUT);
    queue.on_connected(peer, connection(1), false, now);
    push(&mut queue, peer, 0..1000);
    assert_eq!(sent(&mut queue, now).map(|(.., messages)| messages.len()), Some(MAX_ON_LINK));
    assert_eq!(queue.next(now), None, "until something is acknowledged");
    queue.on_acknowledged(&peer, connection(1), 0, 3, now);
    assert_eq!(sent(&mut queue, now).map(|(.., messages)| messages), Some(vec![256, 257, 258]));
}

#[test]
fn giving_up_returns_everything_and_frees_its_room() {
    let (mut queue, peer, now) = queue();
    queue.on_connected(peer, connection(1), false, now);
    push(&mut queue, peer, 0..MAX_ON_LINK as u64 + 2);
    assert!(sent(&mut queue, now).is_some());
    assert_eq!(queue.give_up(&peer).len(), MAX_ON_LINK + 2);
    assert_eq!(queue.total, Held::default());
    assert_eq!(queue.next(now), Some(Action::Reset { peer, connection: connection(1), epoch: 1 }));
    assert!(queue.give_up(&PeerId::random()).is_empty());
    assert_eq!(queue.on_acknowledged(&peer, connection(1), 0, 1, now), []);
}
