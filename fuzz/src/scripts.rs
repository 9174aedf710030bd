//! Scripts that get far by themselves, which fuzzing begins with, and those that once broke a promise.
//!
//! Both are written here as moves, and to files as the bytes that read as these; so they keep their meaning when the
//! language changes. Driven by `seeds` and by the stable replay.

use nelumbo_core::crypto::{Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::AbortReason;

use super::input::Fixed;
use super::node_bytes::SessionCommand;
use super::script::moves::{Attempt, Move, NewSessionOf, Nonces, Partials, Said, Script, Span};
use Move::{Advance, Command, DeliverAll, JoinAll};

/// So many participants, all honest but those with a bit in `scripted`; records are durable at once, wall clocks agree.
fn script<const N: usize>(participants: u8, scripted: u8, parts: [&[Move]; N]) -> Script {
    Script { more: participants - 2, scripted, slow_disks: 0, apart: 0, moves: parts.concat() }
}

const fn session(suite: Suite, tweak: Tweak, election: Method, items: u8) -> NewSessionOf {
    NewSessionOf { suite, tweak, election, items }
}

/// Lotus, no tweak, lexicographic election, a message of sevens and one of eights.
const SESSION: NewSessionOf = session(Suite::Lotus, Tweak::None, Method::Lexicographic, 7);
/// The first participant creates a session of all, and they hear of it.
const CREATED: [Move; 2] = [Move::Create { by: 0, without: 0, session: SESSION }, DeliverAll];
const SIGNED: [Move; 2] = [JoinAll { session: 0 }, DeliverAll];
/// Two attempts to be connected, two seconds apart.
const WAIT: [Move; 4] = [Advance { by: Span::TwoSeconds }, DeliverAll, Advance { by: Span::TwoSeconds }, DeliverAll];
const FIVE_MINUTES: Move = Advance { by: Span::FiveMinutes };

const fn command(by: u8, command: SessionCommand) -> Move {
    Command { by, session: 0, command }
}

const fn restart(who: u8) -> [Move; 2] {
    [Move::Crash { who, kept: 0 }, Move::Start { who }]
}

const fn joins(by: u8) -> [Move; 2] {
    [Move::ScriptedJoin { by, to: 0, session: 0 }, DeliverAll]
}

const fn signs(by: u8) -> [Move; 2] {
    [Move::ScriptedSign { by, to: 0, session: 0 }, DeliverAll]
}

fn says(by: u8, to: u8, said: Said) -> Move {
    Move::ScriptedSay { by, to, session: 0, attempt: Attempt::Newest, skip: None, said }
}

/// A script's name, the script; how often a node reports a final signature in it, and how often a failed attempt.
pub(crate) type Known = (&'static str, Script, usize, usize);

/// What fuzzing begins with.
pub(crate) fn seeds() -> Vec<Known> {
    let mut scripts = honest();
    scripts.extend(scripted());
    scripts
}

fn honest() -> Vec<Known> {
    use SessionCommand::{Abort, Close, ConfirmBroadcast, Join, Retry};
    let bip340 = session(Suite::Bip340, Tweak::Taproot { merkle_root: None }, Method::Rotating, 7);
    let bip340 = [Move::Create { by: 0, without: 0, session: bip340 }, DeliverAll];
    let sync = |more| [Move::Sync { who: 1, more }, DeliverAll];
    let replays = [
        Move::Replay { to: 1, back: 3, by_gossip: false },
        Move::Replay { to: 2, back: 5, by_gossip: true },
        Move::Duplicate { place: 1 },
        Move::Delay { place: 0 },
        Move::Corrupt { place: 0, bit: 99 },
        DeliverAll,
    ];
    let absent = Move::CreateWithAbsent { by: 0, absent: 5, suite: Suite::Lotus, election: Method::Lexicographic };
    let parted = [Move::Disconnect { one: 0, other: 1 }, DeliverAll];
    let joined = [Move::Connect { one: 0, other: 1 }, DeliverAll, JoinAll { session: 0 }, DeliverAll];
    let banned = [Move::Ban { by: 0, peer: 2 }, Move::Unban { by: 0, peer: 2 }, Move::Deadline, DeliverAll];
    vec![
        ("completes", script(3, 0, [&CREATED, &SIGNED]), 3, 0),
        ("completes-bip340-taproot", script(2, 0, [&bip340, &SIGNED]), 2, 0),
        (
            "completes-late",
            script(3, 0, [&CREATED, &[Move::ToggleSync { who: 1 }], &SIGNED, &sync(0), &sync(3), &sync(3)]),
            3,
            0,
        ),
        (
            "loses-and-asks-again",
            script(
                3,
                0,
                [
                    &CREATED[..1],
                    &[Move::Drop { place: 0 }, DeliverAll, JoinAll { session: 0 }],
                    &[Move::Drop { place: 1 }, DeliverAll],
                    &WAIT,
                    &[JoinAll { session: 0 }],
                    &WAIT,
                ],
            ),
            3,
            0,
        ),
        (
            "restarts-between-the-rounds",
            script(
                3,
                0,
                [
                    &CREATED,
                    &[command(1, Join), DeliverAll],
                    &restart(1),
                    &[Advance { by: Span::TenthOfASecond }, DeliverAll],
                    &WAIT,
                    &[command(2, Join), DeliverAll],
                    &WAIT,
                    &WAIT,
                    &[command(2, Retry), DeliverAll],
                ],
            ),
            3,
            0,
        ),
        (
            "confirms-in-turn",
            script(
                3,
                0,
                [
                    &CREATED,
                    &SIGNED,
                    &[command(0, ConfirmBroadcast), DeliverAll, FIVE_MINUTES, DeliverAll],
                    &[command(1, Close), DeliverAll],
                ],
            ),
            3,
            0,
        ),
        ("closes", script(3, 0, [&CREATED, &SIGNED, &[command(0, Close)], &restart(0)]), 3, 0),
        ("aborts", script(3, 0, [&CREATED, &[command(2, Abort { reason: AbortReason::Declined }), DeliverAll]]), 0, 0),
        (
            "expires",
            script(
                3,
                0,
                [&CREATED, &[Advance { by: Span::TwoHours }, DeliverAll, Advance { by: Span::TwoHours }, DeliverAll]],
            ),
            0,
            0,
        ),
        ("replays", script(3, 0, [&CREATED, &SIGNED[..1], &replays, &WAIT]), 3, 0),
        (
            "waits-for-absent-signers",
            script(
                3,
                0,
                [&[absent, DeliverAll], &SIGNED, &WAIT, &WAIT, &[Advance { by: Span::TenMinutes }, DeliverAll]],
            ),
            0,
            0,
        ),
        ("connections-come-and-go", script(3, 0, [&CREATED[..1], &parted, &SIGNED, &joined, &banned]), 3, 0),
    ]
}

/// The second of two, and the third of three, is a scripted peer.
fn scripted() -> Vec<Known> {
    let announces = [Move::ScriptedAnnounce { by: 1, to: 0, session: SESSION, nonce: 3 }, DeliverAll];
    let wrong = Said::Partial { partials: Partials::Any { partial: Fixed([0; 32]) }, hash: None };
    let splits = [
        Move::ScriptedJoin { by: 2, to: 1, session: 0 },
        says(2, 2, Said::Join { nonces: Nonces::Second }),
        DeliverAll,
    ];
    let off_the_curve = says(1, 0, Said::Join { nonces: Nonces::OffTheCurve });
    vec![
        ("scripted-peer-is-honest", script(3, 2, [&CREATED, &SIGNED, &joins(2), &signs(2)]), 2, 0),
        ("scripted-peer-announces", script(2, 1, [&announces, &SIGNED, &signs(1)]), 1, 0),
        (
            "scripted-peer-signs-badly",
            script(3, 2, [&CREATED, &SIGNED, &joins(2), &[says(2, 0, wrong), DeliverAll], &WAIT, &WAIT]),
            0,
            2,
        ),
        ("scripted-peer-splits-the-view", script(3, 2, [&CREATED, &SIGNED, &splits, &signs(2), &WAIT]), 0, 2),
        (
            "scripted-peers-send-no-nonce",
            script(3, 3, [&CREATED, &[off_the_curve], &joins(2), &WAIT, &joins(1), &joins(2), &signs(1), &signs(2)]),
            1,
            1,
        ),
    ]
}

/// What fuzzing has found, each fixed since: the name says what was wrong.
pub(crate) fn findings() -> Vec<(&'static str, Script)> {
    use SessionCommand::{Abort, Close, ConfirmBroadcast, Join};
    let deadlines = |count: usize| vec![Move::Deadline; count];
    let crowd = Move::CreateWithAbsent { by: 0, absent: 124, suite: Suite::Lotus, election: Method::FirstSigner };
    let piling = session(Suite::Lotus, Tweak::None, Method::FirstSigner, 12);
    let piling = [Move::Create { by: 0, without: 0, session: piling }];
    vec![
        (
            "sequence-after-restart",
            script(3, 0, [&CREATED, &SIGNED, &restart(0), &[DeliverAll, command(0, ConfirmBroadcast)]]),
        ),
        (
            "closed-then-restarted",
            script(3, 0, [&CREATED, &SIGNED[..1], &[command(1, Close)], &restart(1), &[DeliverAll, command(1, Join)]]),
        ),
        ("numbers-for-nobody", script(2, 0, [&[crowd], &deadlines(4)])),
        ("questions-pile-up", Script { slow_disks: 1, ..script(2, 0, [&piling, &deadlines(6)]) }),
        (
            "refusal-forgotten",
            script(
                3,
                0,
                [
                    &CREATED,
                    &[command(1, Abort { reason: AbortReason::Left })],
                    &restart(1),
                    &[DeliverAll, JoinAll { session: 0 }],
                ],
            ),
        ),
    ]
}
