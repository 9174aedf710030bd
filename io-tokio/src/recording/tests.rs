//! A node without a network is recorded, and what was recorded is replayed, altered, cut short and searched.

use std::{fs, path::Path};

use nelumbo_core::{
    api::{CommandError, CommandId, NewSession, RecordSequence, SignReply, SignRequest},
    base::{Entropy, Mono, Wall},
    crypto::{
        KeyAggContext, MessageKey, Network as Chain, Secp256k1, SecretKey, SoftwareSigner, Suite, Tweak,
        generate_nonce, hazmat::scalars_of_nonce,
    },
    host::drain_watched,
    node::{Boot, Node},
    wire::Item,
};

use super::*;

const KEY: [u8; 32] = [0x5e; 32];
const SIGNER_SEED: [u8; 32] = [0xa7; 32];
const MESSAGE: [u8; 32] = [3; 32];

/// Keeps the events alone.
#[derive(Default)]
struct EventLog(Vec<nelumbo_core::api::Event>, Vec<SignRequest>);

impl nelumbo_core::host::Host for EventLog {
    fn persist(&mut self, _: RecordSequence, _: Vec<u8>, _: Option<Vec<u8>>) {}
    fn send(&mut self, _: PeerId, _: nelumbo_core::base::Bytes) {}
    fn sign(&mut self, request: SignRequest) {
        self.1.push(request);
    }
    fn event(&mut self, event: nelumbo_core::api::Event) {
        self.0.push(event);
    }
}

/// A node that is recorded, as the runtime does it.
struct Live {
    node: Node<Secp256k1>,
    signer: SoftwareSigner,
    recorder: Recorder,
    /// Why the recording ended before the node.
    ended: std::sync::mpsc::Receiver<String>,
    now: u64,
}

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes(&[number; 8]).expect("a name")
}

fn public(key: [u8; 32]) -> PublicKey {
    SecretKey::from_bytes(&key).expect("a key").public_key()
}

impl Live {
    fn begin(file: &Path, limit: u64) -> Self {
        let config = Config::new(Chain::Regtest);
        let now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_000_000) };
        let (seed, records) = ([9; 32], Vec::new());
        let start = Start {
            version: "test".into(),
            now,
            config: Cow::Borrowed(&config),
            key: public(KEY),
            peer: peer(1),
            seed,
            records: Cow::Borrowed(&records),
            has_custom_code: false,
            message_key: public(KEY),
        };
        let (tell, ended) = std::sync::mpsc::channel();
        let tell = move |reason| tell.send(reason).expect("the test listens");
        let recorder = Recorder::begin(file, limit, start, tell).expect("a new file");
        let signer_entropy = Entropy::new(SIGNER_SEED).expect("not all zero");
        let key = || SecretKey::from_bytes(&KEY).expect("a key");
        let messages = Box::new(MessageKey::new(key(), signer_entropy.stream("messages")));
        let signer = SoftwareSigner::new(key(), signer_entropy);
        let message_signer = Box::new(RecordingMessageSigner { signer: messages, sender: recorder.sender() });
        let entropy = Entropy::new(seed).expect("not all zero");
        let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer: peer(1), records };
        let node = Node::new(config, boot, now).expect("an empty journal");
        let mut live = Self { node, signer, recorder, ended, now: 0 };
        live.drain();
        live
    }

    fn tick(&mut self) -> Now {
        self.now += 1;
        Now { mono: Mono::from_nanos(self.now * 1_000_000_000), wall: Wall::from_millis(1_000_000 + self.now * 1_000) }
    }

    fn drain(&mut self) {
        loop {
            let mut log = EventLog::default();
            drain_watched(&mut self.node, &mut log, |output| self.recorder.output(output));
            self.recorder.end_step();
            let view = self.node.view();
            let replies = log.1.iter().filter_map(|request| view.answer(&mut self.signer, request));
            let replies: Vec<_> = replies.map(Input::Signed).collect();
            if replies.is_empty() {
                break;
            }
            let now = self.tick();
            self.recorder.inputs(now, &replies);
            self.node.handle_many(now, replies);
        }
    }

    fn give(&mut self, input: Input) {
        let now = self.tick();
        self.recorder.inputs(now, std::slice::from_ref(&input));
        self.node.handle_many(now, vec![input]);
        self.drain();
    }

    fn command(&mut self, command: Command) -> Result<CommandId, CommandError> {
        let now = self.tick();
        self.recorder.command(now, &command);
        let answer = self.node.command(now, command);
        self.recorder.command_answer(&answer);
        self.drain();
        answer
    }

    /// Something of everything: a peer, a presence, garbage, a session, a refused command.
    fn live(&mut self) {
        self.give(Input::Addresses(vec![nelumbo_core::wire::Address::from_bytes(vec![4]).expect("an address")]));
        self.give(Input::Connected(peer(2)));
        self.give(Input::Received { from: peer(2), bytes: [7; 40].as_slice().into() });
        let keys = vec![public(KEY), public([2; 32])];
        let session = NewSession::new(Suite::Bip340, keys, MESSAGE.to_vec());
        self.command(Command::Create(Box::new(session))).expect("a session");
        // The definition, and the attempt.
        self.give(Input::Persisted(RecordSequence::from_u64(2)));
        self.command(Command::Withdraw).expect_err("nothing is offered");
        self.give(Input::Tick);
    }
}

/// Records a node in a file of this folder, and returns what is in it.
async fn recorded(folder: &Path, limit: u64) -> Vec<u8> {
    let file = folder.join("recording");
    let mut live = Live::begin(&file, limit);
    live.live();
    live.recorder.end().await;
    let bytes = fs::read(file).expect("a recording");
    let told = live.ended.try_recv().ok();
    let is_full = postcard::from_bytes(bodies(&bytes).last().expect("frames")) == Ok(Frame::End(End::Full));
    assert_eq!(told.is_some_and(|reason| reason.contains("limit")), is_full);
    bytes
}

/// How many steps there were, the first difference, and the end.
type Lived = (u64, Option<(u64, Difference)>, Option<End>);

fn replayed(bytes: &[u8]) -> Result<Lived, ReplayError> {
    let mut replay = Replay::open(bytes)?;
    let mut steps = 0;
    while let Some(step) = replay.next(&mut EventLog::default())? {
        assert_eq!(step.number, steps, "in order");
        steps += 1;
        if let Some(difference) = step.difference {
            return Ok((steps, Some((step.number, difference)), replay.end()));
        }
    }
    Ok((steps, None, replay.end()))
}

/// The bodies of all frames.
fn bodies(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes = &bytes[MAGIC.len()..];
    let mut bodies = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (body, rest) = rest[CHAIN..].split_at(u32::from_le_bytes(*length) as usize);
        bodies.push(body.to_vec());
        bytes = rest;
    }
    bodies
}

fn rewritten(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut chain = [0; CHAIN];
    let frames = bodies.iter().flat_map(|body| encode_frame(&mut chain, body));
    MAGIC.iter().copied().chain(frames).collect()
}

#[tokio::test]
async fn a_recording_is_lived_through_again_without_a_difference() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = recorded(folder.path(), DEFAULT_LIMIT).await;
    assert_eq!(replayed(&bytes).expect("sound"), (9, None, Some(End::Stopped)));
    assert_eq!(rewritten(&bodies(&bytes)), bytes);
    let mut replay = Replay::open(&bytes[..]).expect("sound");
    assert_eq!((replay.key(), replay.peer(), replay.version()), (public(KEY), peer(1), "test"));
    let mut heard = EventLog::default();
    let mut compared = 0;
    while let Some(step) = replay.next(&mut heard).expect("sound") {
        assert!(step.is_complete);
        compared += step.compared;
    }
    assert!(compared >= 8, "outputs and answers were compared: {compared}");
    assert!(
        heard.0.iter().any(|event| matches!(event, nelumbo_core::api::Event::SessionCreated { .. })),
        "{:?}",
        heard.0
    );
}

#[tokio::test]
async fn what_was_altered_is_noticed_at_its_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = recorded(folder.path(), DEFAULT_LIMIT).await;
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 0x10;
        match replayed(&altered) {
            Err(ReplayError::NoRecording) => assert!(at < MAGIC.len()),
            Err(ReplayError::Altered { step }) => assert!(step <= 9 && at >= MAGIC.len()),
            // A length that has grown looks like a cut end.
            Err(ReplayError::Empty) => {}
            Ok((steps, None, None)) => assert!(steps <= 9),
            other => panic!("byte {at}: {other:?}"),
        }
    }
    // In the middle of the third step's input, which is a message of forty sevens.
    let at = bytes.windows(40).position(|window| window == [7; 40]).expect("the message");
    let mut altered = bytes.clone();
    altered[at] ^= 1;
    assert!(matches!(replayed(&altered), Err(ReplayError::Altered { step: 3 })));
}

#[tokio::test]
async fn what_was_rewritten_with_care_comes_out_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let bodies = bodies(&recorded(folder.path(), DEFAULT_LIMIT).await);
    let with = |alter: &dyn Fn(&mut Frame<'static>)| {
        let altered = bodies.iter().map(|body| {
            let mut frame = postcard::from_bytes(body).expect("a frame");
            alter(&mut frame);
            encode(&frame)
        });
        replayed(&rewritten(&altered.collect::<Vec<_>>())).expect("well formed").1.expect("a difference")
    };
    let (step, difference) = with(&|frame| {
        if let Frame::Step { input: StepInput::Inputs(inputs), .. } = frame
            && let Input::Connected(other) = &mut inputs.to_mut()[0]
        {
            *other = peer(5);
        }
    });
    assert_eq!((step, difference.to_string().contains("expected Send ")), (2, true), "{difference}");
    let (step, difference) = with(&|frame| {
        if let Frame::Step { input: StepInput::Command(command), .. } = frame
            && let Command::Create(session) = command.to_mut()
        {
            session.items[0] = Item::message(vec![0; 32], Tweak::None);
        }
    });
    assert_eq!((step, difference.to_string().contains("expected Persist ")), (4, true), "{difference}");
    let (step, difference) = with(&|frame| {
        if let Frame::Done(said) = frame {
            said.retain(|said| said.name != "Err");
        }
    });
    assert_eq!((step, difference.to_string().contains("got Err ")), (7, true), "a command was refused: {difference}");
}

#[tokio::test]
async fn a_recording_that_is_cut_anywhere_is_lived_through_up_to_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = recorded(folder.path(), DEFAULT_LIMIT).await;
    let mut most = 0;
    for length in 0..bytes.len() {
        match replayed(&bytes[..length]) {
            Err(ReplayError::NoRecording) => assert!(length < MAGIC.len()),
            Err(ReplayError::Empty) => assert_eq!(most, 0),
            Ok((steps, None, None)) => {
                assert!(steps >= most, "more of the file is as many steps or more");
                most = steps;
            }
            other => panic!("{length} bytes: {other:?}"),
        }
    }
    assert_eq!(most, 9);
}

#[test]
fn what_is_no_recording_is_refused() {
    for bytes in
        [&b""[..], b"nelumbo", b"scenario = \"quiet\"\nseed = 1\n", b"nelumbo recording 1\nxxxxxxxxxxxxxxxxxxxxxxxxxxx"]
    {
        assert!(matches!(replayed(bytes), Err(ReplayError::NoRecording)));
    }
    assert!(matches!(replayed(MAGIC), Err(ReplayError::Empty)));
    let garbage = [&MAGIC[..], &[0x11; 500]].concat();
    assert!(matches!(replayed(&garbage), Err(ReplayError::Empty)), "a frame of 286 MB that is not there");
    let no_frame = rewritten(&[vec![0xff; 20]]);
    assert!(matches!(replayed(&no_frame), Err(ReplayError::Altered { step: 0 })));
}

#[tokio::test]
async fn at_its_limit_a_recording_ends_and_the_node_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = recorded(folder.path(), DEFAULT_LIMIT).await.len() as u64;
    let mut seen = std::collections::BTreeSet::new();
    for limit in (200..=whole).step_by(50) {
        let bytes = recorded(folder.path(), limit).await;
        assert!(bytes.len() as u64 <= limit, "{} bytes, {limit} allowed", bytes.len());
        if let Ok((steps, difference, end)) = replayed(&bytes) {
            assert_eq!((difference, end), (None, Some(End::Full)));
            seen.insert(steps);
        }
    }
    assert!(seen.len() > 3, "it was full at different steps: {seen:?}");
}

#[test]
fn a_disk_that_falls_behind_ends_the_recording_and_not_the_node() {
    let (sender, frames) = FrameSender::without_writer();
    let inputs = [Input::Received { from: peer(2), bytes: vec![0; 1 << 20].into() }];
    for _ in 0..40 {
        sender.write(&Frame::Step { now: Now::default(), input: StepInput::Inputs(Cow::Borrowed(&inputs)) });
    }
    let waiting: Vec<_> = frames.try_iter().collect();
    assert!(waiting.len() < 20, "{} wait", waiting.len());
    assert_eq!(postcard::from_bytes(waiting.last().expect("frames")), Ok(Frame::End(End::Overrun)));
}

#[tokio::test]
async fn a_step_that_the_node_did_not_survive_is_in_the_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("recording");
    let mut live = Live::begin(&file, DEFAULT_LIMIT);
    live.give(Input::Connected(peer(2)));
    let now = live.tick();
    live.recorder.inputs(now, &[Input::Disconnected(peer(2))]);
    // The task ends here, as after a panic; the thread writes what it has.
    let Live { node, recorder, .. } = live;
    drop(node);
    recorder.abandoned().await;
    let bytes = fs::read(file).expect("a recording");
    let mut replay = Replay::open(&bytes[..]).expect("sound");
    let mut last = None;
    while let Some(step) = replay.next(&mut EventLog::default()).expect("sound") {
        assert_eq!(step.difference, None);
        last = Some(step);
    }
    let last = last.expect("steps");
    assert_eq!((last.number, last.is_complete, replay.end()), (2, false, None));
    assert_eq!(last.input, Some(StepInput::Inputs(vec![Input::Disconnected(peer(2))].into())));
}

/// Breaks when a peer says something.
struct Broken;

impl nelumbo_core::Policy for Broken {
    fn permits(&mut self, _: &PeerId) -> bool {
        panic!("broken on purpose")
    }
}

#[tokio::test]
async fn a_node_that_panics_is_told_with_its_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = recorded(folder.path(), DEFAULT_LIMIT).await;
    let mut replay = Replay::open(&bytes[..]).expect("sound");
    replay.node().set_policy(Box::new(Broken));
    for number in 0..3 {
        let step = replay.next(&mut EventLog::default()).expect("sound").expect("a step");
        assert_eq!((step.number, step.difference), (number, None));
    }
    let step = replay.next(&mut EventLog::default()).expect("sound").expect("the step with the message");
    assert_eq!((step.number, step.difference), (3, Some(Difference::Panic("broken on purpose".into()))));
    assert!(replay.next(&mut EventLog::default()).expect("sound").is_none(), "nothing of the node can be trusted");
}

#[tokio::test]
async fn the_file_is_the_owner_s_alone_and_takes_the_place_of_a_recording_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = recorded(folder.path(), DEFAULT_LIMIT).await;
    let (file, older) = (folder.path().join("recording"), folder.path().join("recording.1"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    }
    recorded(folder.path(), 1_000).await;
    assert!(fs::read(older).expect("the older one") == first);
    fs::write(&file, "a letter").expect("it can be written");
    let (config, records) = (Config::new(Chain::Regtest), Vec::new());
    let start = Start {
        version: "test".into(),
        now: Now::default(),
        config: Cow::Borrowed(&config),
        key: public(KEY),
        peer: peer(1),
        seed: [9; 32],
        records: Cow::Borrowed(&records),
        has_custom_code: false,
        message_key: public(KEY),
    };
    let refused = Recorder::begin(&file, DEFAULT_LIMIT, start, drop).expect_err("it is a letter");
    assert!(refused.to_string().contains("no recording"));
    assert_eq!(fs::read(&file).expect("it stays"), b"a letter");
}

/// These bytes in the forms in which somebody could have written them.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let hex = hex::encode(secret);
    let reversed: Vec<u8> = secret.iter().rev().copied().collect();
    let mut forms = vec![secret.to_vec(), reversed, hex.to_uppercase().into_bytes(), hex.into_bytes()];
    // Base64, at each of the three places in a group; what is around it would change the first and last digits.
    for skipped in 0..3 {
        let groups = secret[skipped..].chunks_exact(3);
        forms.push(
            groups
                .flat_map(|group| {
                    let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
                    [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift) as usize & 63])
                })
                .collect(),
        );
    }
    forms
}

#[tokio::test]
async fn neither_the_key_nor_a_nonce_nor_what_it_is_drawn_from_is_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = recorded(folder.path(), DEFAULT_LIMIT).await;
    let has = |secret: &[u8]| forms(secret).iter().any(|form| bytes.windows(form.len()).any(|window| window == form));
    // The nonce of the session's first attempt, drawn as the signer has drawn it.
    let answers = bodies(&bytes);
    let nonce = answers.iter().find_map(|body| match postcard::from_bytes(body) {
        Ok(Frame::Step { input: StepInput::Inputs(inputs), .. }) => inputs.iter().find_map(|input| match input {
            Input::Signed(SignReply::Nonces { slot, nonces: Ok(nonces) }) => Some((*slot, nonces[0])),
            _ => None,
        }),
        _ => None,
    });
    let (slot, public_nonce) = nonce.expect("the signer was asked for a nonce");
    let key = SecretKey::from_bytes(&KEY).expect("a key");
    let mut keys = vec![public(KEY), public([2; 32])];
    keys.sort_unstable();
    let keys = KeyAggContext::new(Suite::Bip340, &keys).expect("valid keys");
    let mut source = Entropy::new(SIGNER_SEED).expect("not all zero");
    let mut pool = Entropy::new(source.bytes32()).expect("not all zero");
    let drawn = tagged_hash("nelumbo/entropy/draw", &[&pool.bytes32(), &source.bytes32()]);
    let item = 0_u32;
    let extra = [&slot.session[..], &slot.attempt.to_be_bytes(), &item.to_be_bytes()].concat();
    let (secret_nonce, same) = generate_nonce(drawn, &key, &keys, Some(&MESSAGE), &extra);
    assert_eq!(same, public_nonce, "this is the nonce");
    assert!(has(public_nonce.as_bytes()), "what is public is found");
    let scalars = scalars_of_nonce(&secret_nonce);
    for secret in [&KEY, &SIGNER_SEED, &drawn, &scalars[0], &scalars[1]] {
        assert!(!has(secret));
    }
    assert!(has(SoftwareSigner::new(key, Entropy::new([1; 32]).expect("not all zero"))
        .public_key()
        .to_bytes()
        .as_slice()));
}
