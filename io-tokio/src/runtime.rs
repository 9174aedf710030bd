//! The one task that a node runs in.
//!
//! Owns the core, its host and the clock. Invariant: one input at a time, but for messages that wait already,
//! which are taken together, and everything that follows is on its way before the next; while the disk cannot keep up,
//! or once it has failed, no input is taken. Driven by tokio.

use std::{collections::VecDeque, future::poll_fn, panic::AssertUnwindSafe, pin::pin, task::Poll, time::Duration};

use futures::FutureExt;
use nelumbo_core::{
    api::{Command, CommandError, CommandId, Input, NewSession, RecordSequence, SignReply, SignRequest, View},
    crypto::{Secp256k1, Signer, SignerError},
    host::drain_watched,
    node::Node,
    single::SingleSigner,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    clock::Clock,
    event::NodeEvent,
    handle::{Answer, HandleError, Request, Status, StopError},
    host::Libp2pHost,
    journal::{Durable, JournalError},
    network::{DhtState, NetworkEvent},
    panics,
    recording::{End, Recorder},
};

/// How long a node that was asked to stop waits for its last records and messages.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long at most until the node sees both clocks again.
const CLOCKS_SEEN: Duration = Duration::from_secs(60);
/// How long it waits then for its connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// The most messages that are taken together: a turn takes about half a millisecond then.
const MAX_BATCH: usize = 32;

/// See the module's documentation.
pub(crate) struct Runtime {
    node: Node<Secp256k1>,
    signer: SessionSigner,
    host: Libp2pHost,
    clock: Clock,
    requests: mpsc::Receiver<Request>,
    durable: watch::Receiver<Durable>,
    dht: DhtState,
    stopping: Option<Stopping>,
    recorder: Option<Recorder>,
    /// Commands that were taken just now.
    taken: Vec<(CommandId, Answer<CommandId>)>,
    /// Commands that are answered when this record is durable.
    promised: VecDeque<(u64, CommandId, Answer<CommandId>)>,
}

/// Where the signer of sessions is.
pub(crate) enum SessionSigner {
    /// In this process: it answers at once. What is signed with its key alone the other one signs, if there is one.
    Here(Box<dyn Signer<Secp256k1> + Send>, Option<SingleSigner>),
    /// At the other end of this channel.
    Elsewhere(mpsc::Sender<SignRequest>),
}

impl SessionSigner {
    /// Hands a request over; the reply, if it is known at once.
    fn ask(&mut self, view: &View<'_, Secp256k1>, request: &SignRequest) -> Option<SignReply> {
        match self {
            Self::Here(_, Some(single)) if matches!(request, SignRequest::Single { .. }) => single.answer(request),
            Self::Here(signer, _) => view.answer(signer.as_mut(), request),
            Self::Elsewhere(requests) => match requests.try_send(request.clone()) {
                Ok(()) => None,
                Err(_) => request.failed(SignerError::Unavailable),
            },
        }
    }
}

/// What comes of a future without waiting; that it may come later wakes the task as ever.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

struct Stopping {
    until: Instant,
    waiting: Vec<oneshot::Sender<Result<(), StopError>>>,
}

/// What woke the task up.
enum Wakeup {
    Durable,
    Network(Box<NetworkEvent>),
    Request(Option<Request>),
    Time,
}

impl Runtime {
    pub(crate) fn new(
        (node, signer): (Node<Secp256k1>, SessionSigner),
        host: Libp2pHost,
        clock: Clock,
        requests: mpsc::Receiver<Request>,
        recorder: Option<Recorder>,
    ) -> Self {
        let durable = host.journal.durable();
        let dht = host.network.dht_state();
        Self {
            node,
            signer,
            host,
            clock,
            requests,
            durable,
            dht,
            stopping: None,
            recorder,
            taken: Vec::new(),
            promised: VecDeque::new(),
        }
    }

    /// Runs until the node is asked to stop, nobody holds a handle any more, the journal fails, or something panics.
    pub(crate) async fn run(mut self) {
        let ended = AssertUnwindSafe(self.run_until_stopped()).catch_unwind().await;
        // Neither the core nor the swarm is given anything after a panic.
        let ended = ended.unwrap_or_else(|panic| Err(StopError::Panicked(panics::message(&*panic))));
        self.end(ended).await;
    }

    async fn run_until_stopped(&mut self) -> Result<(), StopError> {
        loop {
            self.drain();
            self.promise();
            self.host.commit()?;
            if self.stopping.as_ref().is_some_and(|stopping| self.is_quiet() || stopping.until <= Instant::now()) {
                return Ok(());
            }
            match self.wait().await {
                Wakeup::Durable => self.on_durable()?,
                Wakeup::Network(event) => self.on_network_events(*event).await,
                Wakeup::Request(Some(request)) => self.on_request(request),
                Wakeup::Request(None) => self.stop(None),
                Wakeup::Time => self.handle(vec![Input::Tick]),
            }
        }
    }

    /// Waits for the next thing to do. Only the disk is listened to while it has too much to write.
    async fn wait(&mut self) -> Wakeup {
        let has_room = self.host.journal.has_room();
        let deadline = self.node.deadline().map(|deadline| self.clock.instant(deadline.at));
        let until = self.stopping.as_ref().map(|stopping| stopping.until);
        // A machine that has slept, or whose clock was set, has nothing due; the node is to notice all the same.
        let look = tokio::time::Instant::now() + CLOCKS_SEEN;
        let time = tokio::time::sleep_until(deadline.into_iter().chain(until).fold(look, Ord::min));
        tokio::select! {
            // A durable record lets messages go that others wait for, so it comes first.
            biased;
            _ = self.durable.changed() => Wakeup::Durable,
            event = self.host.network.next(), if has_room => Wakeup::Network(Box::new(event)),
            request = self.requests.recv(), if has_room && self.stopping.is_none() => Wakeup::Request(request),
            () = time, if has_room || self.stopping.is_some() => Wakeup::Time,
        }
    }

    /// Performs the node's outputs, until what the signer answers at once brings about no more.
    fn drain(&mut self) {
        loop {
            self.perform_outputs();
            let requests = self.host.take_requests();
            let view = self.node.view();
            let replies = requests.iter().filter_map(|request| self.signer.ask(&view, request));
            let replies: Vec<_> = replies.map(Input::Signed).collect();
            if replies.is_empty() {
                break;
            }
            self.handle(replies);
        }
    }

    fn perform_outputs(&mut self) {
        let Self { node, host, recorder, .. } = self;
        drain_watched(node, host, |output| {
            if let Some(recorder) = recorder {
                recorder.output(output);
            }
        });
        if let Some(recorder) = recorder {
            recorder.end_step();
        }
    }

    /// Everything that the commands taken just now promise is in the records that were handed out so far: they are
    /// answered when those are durable.
    fn promise(&mut self) {
        let newest = self.host.newest_record();
        self.promised.extend(self.taken.drain(..).map(|(command, answer)| (newest, command, answer)));
        let durable = self.durable.borrow().sequence;
        while self.promised.front().is_some_and(|(record, ..)| *record <= durable) {
            if let Some((_, command, answer)) = self.promised.pop_front() {
                let _ = answer.send(Ok(command));
            }
        }
    }

    /// Tells the node what has happened. Every input enters it here, every command in `command`.
    fn handle(&mut self, inputs: Vec<Input>) {
        let now = self.clock.now();
        if let Some(recorder) = &mut self.recorder {
            recorder.inputs(now, &inputs);
        }
        self.node.handle_many(now, inputs);
    }

    fn command(&mut self, command: Command) -> Result<CommandId, CommandError> {
        let now = self.clock.now();
        if let Some(recorder) = &mut self.recorder {
            recorder.command(now, &command);
        }
        let answer = self.node.command(now, command);
        if let Some(recorder) = &mut self.recorder {
            recorder.command_answer(&answer);
        }
        answer
    }

    fn on_durable(&mut self) -> Result<(), JournalError> {
        let (sequence, failure) = {
            let durable = self.durable.borrow_and_update();
            (durable.sequence, durable.failure.clone())
        };
        if let Some(failure) = failure {
            return Err(failure);
        }
        if self.durable.has_changed().is_err() {
            // The writer is gone without a word.
            return Err(JournalError::Closed);
        }
        self.handle(vec![Input::Persisted(RecordSequence::from_u64(sequence))]);
        Ok(())
    }

    /// Takes an event, and the messages that wait behind it: together they cost less to verify.
    async fn on_network_events(&mut self, first: NetworkEvent) {
        let (mut inputs, mut next) = (Vec::new(), Some(first));
        for _ in 0..MAX_BATCH {
            let Some(event) = next.take() else { break };
            let input = self.host.input(event);
            // What is nothing to the node need not end the batch.
            let goes_on = matches!(input, None | Some(Input::Received { .. } | Input::Gossip { .. }));
            inputs.extend(input);
            if goes_on {
                next = at_once(self.host.network.next()).await;
            }
        }
        if let Some(event) = next {
            inputs.extend(self.host.input(event));
        }
        if !inputs.is_empty() {
            self.handle(inputs);
        }
        let dht = self.host.network.dht_state();
        if dht != self.dht {
            self.dht = dht;
            self.host.emit(NodeEvent::DhtChanged { state: dht, peers: self.host.network.routing_peers() });
        }
    }

    fn on_request(&mut self, request: Request) {
        // An answer that nobody waits for any more is no error, here and below.
        match request {
            Request::Create { session, answer } => match self.create(session) {
                Ok(command) => drop(self.host.created.insert(command, answer)),
                Err(error) => drop(answer.send(Err(HandleError::Refused(error)))),
            },
            Request::Command { command, answer } => match self.command(command) {
                Ok(command) => self.taken.push((command, answer)),
                Err(error) => drop(answer.send(Err(HandleError::Refused(error)))),
            },
            Request::Signed(reply) => self.handle(vec![Input::Signed(reply)]),
            Request::SignerReady => self.handle(vec![Input::SignerReady]),
            Request::Identity { key, identity } => self.handle(vec![Input::Identity { key, identity }]),
            Request::WithView(closure) => closure(self.node.view()),
            Request::Status(answer) => {
                let _ = answer.send(self.status());
            }
            Request::Dial { peer, addresses } => self.host.network.dial(peer, addresses),
            Request::Connect { peer, address, answer } => {
                // Whoever has stopped to wait is forgotten here, so that there are as few as there are callers.
                self.host.connecting.retain(|(_, waiting)| !waiting.is_closed());
                match self.host.network.address_of(&peer) {
                    Some(address) => drop(answer.send(Ok(address))),
                    None => {
                        self.host.connecting.push((peer, answer));
                        self.host.network.dial(peer, vec![address]);
                    }
                }
            }
            Request::Disconnect { peer, answer } => {
                let _ = answer.send(self.host.network.disconnect(&peer));
            }
            Request::Register { protocol, answer } => {
                let name = protocol.name();
                self.change_protocols();
                let _ = answer.send(self.node.register(protocol).map_err(|_| name));
            }
            Request::Unregister { name, answer } => {
                self.change_protocols();
                let _ = answer.send(self.node.unregister(&name));
            }
            Request::Stop(waiting) => self.stop(Some(waiting)),
        }
    }

    /// A protocol comes or goes: what it sets a time for counts from now on.
    fn change_protocols(&mut self) {
        self.handle(vec![Input::Tick]);
        self.drain();
        if let Some(recorder) = self.recorder.take() {
            recorder.end_early(End::Protocols);
        }
    }

    fn create(&mut self, session: Box<NewSession>) -> Result<CommandId, CommandError> {
        // Whoever has stopped to wait is forgotten here, so that the map is as small as the number of callers.
        self.host.created.retain(|_, waiting| !waiting.is_closed());
        self.command(Command::Create(session))
    }

    fn status(&mut self) -> Status {
        self.host.network.measure();
        let (view, network) = (self.node.view(), &mut self.host.network);
        Status {
            peer: network.local_peer(),
            key: view.own_key(),
            listening: network.listeners().cloned().collect(),
            addresses: network.external_addresses().cloned().collect(),
            reachability: network.reachability(),
            relaying: network.relaying(),
            connected: network.connected_to().collect(),
            dht_mode: network.dht_mode(),
            gossip: network.gossips(),
            dht_state: network.dht_state(),
            routing_peers: network.routing_peers(),
            local_records: network.local_records(),
            sessions: view.sessions().len(),
            refusals: view.refusals().clone(),
            gossip_refusals: view.gossip_refusals().clone(),
        }
    }

    fn stop(&mut self, waiting: Option<oneshot::Sender<Result<(), StopError>>>) {
        let until = Instant::now() + FLUSH_TIMEOUT;
        let stopping = self.stopping.get_or_insert(Stopping { until, waiting: Vec::new() });
        stopping.waiting.extend(waiting);
    }

    /// Whether everything said so far is on the disk and with the peers.
    fn is_quiet(&self) -> bool {
        self.durable.borrow().sequence >= self.host.newest_record()
            && self.node.view().held() == 0
            && self.host.network.direct_backlog() == 0
    }

    async fn end(mut self, ended: Result<(), StopError>) {
        self.requests.close();
        let durable = self.durable.clone();
        let Libp2pHost { network, journal, events, created, connecting, .. } = self.host;
        let closed = journal.close().await;
        let ended = ended.and(closed.map_err(StopError::Journal));
        let why = match &ended {
            Err(failure) => HandleError::NotDurable(failure.to_string()),
            Ok(()) => HandleError::Stopped,
        };
        let durable = durable.borrow().sequence;
        for (record, command, answer) in self.promised {
            let _ = answer.send(if record <= durable { Ok(command) } else { Err(why.clone()) });
        }
        for (_, answer) in self.taken {
            let _ = answer.send(Err(why.clone()));
        }
        for answer in created.into_values() {
            let _ = answer.send(Err(why.clone()));
        }
        drop(connecting);
        if matches!(ended, Err(StopError::Panicked(_))) {
            drop(network);
        } else {
            network.close(CLOSE_TIMEOUT).await;
        }
        if let Some(recorder) = self.recorder {
            recorder.end().await;
        }
        if let Err(failure) = &ended {
            tracing::error!(%failure, "the node has stopped");
        }
        let _ = events.send(NodeEvent::Stopped { error: ended.as_ref().err().map(ToString::to_string) });
        for waiting in self.stopping.into_iter().flat_map(|stopping| stopping.waiting) {
            let _ = waiting.send(ended.clone());
        }
    }
}
