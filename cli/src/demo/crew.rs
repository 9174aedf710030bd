//! The nodes of a demonstration, as tasks of this process or as processes of their own.
//!
//! Owns them. Invariant: no node outlives the crew: a process ends when its standard input does, is killed when the
//! crew is dropped, and is waited for when the crew is dismissed. `course` drives it.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Plan;
use super::messages::{Order, Report};
use super::signer;
use crate::failure::Failure;

/// How long nodes have to end well before they are ended.
const FAREWELL: Duration = Duration::from_secs(5);

/// A report, from whom, and when it was here.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) node: usize,
    pub(super) at: Instant,
    pub(super) report: Report,
}

enum Member {
    Task { orders: mpsc::Sender<Order>, task: JoinHandle<()>, mortal: Option<Mortal> },
    Process { child: Box<Child>, orders: ChildStdin },
    Dead,
}

/// The runtime of a node that may be killed: with it everything ends that the node consists of, wherever it stands.
struct Mortal(Option<Runtime>);

impl Mortal {
    fn new() -> Result<Self, Failure> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(|error| {
            Failure::input(format_args!("cannot start a thread for each node: {error}"), "lower --signers")
        })
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// See the module's documentation.
pub(super) struct Crew {
    members: Vec<Member>,
    // Not bounded: a node sends a handful of reports for each order.
    arrivals: mpsc::UnboundedReceiver<Arrival>,
}

impl Crew {
    /// Makes the nodes, which wait for their first order.
    pub(super) fn gather(plan: &Plan) -> Result<Self, Failure> {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let member = |node| if plan.processes { process(plan, node, &sender) } else { task(plan, node, &sender) };
        let members = (0..plan.nodes()).map(member).collect::<Result<_, _>>()?;
        Ok(Self { members, arrivals })
    }

    /// Tells a node to do something.
    pub(super) async fn order(&mut self, node: usize, order: Order) -> Result<(), Failure> {
        let told = match &mut self.members[node] {
            Member::Task { orders, .. } => orders.send(order).await.is_ok(),
            Member::Process { orders, .. } => {
                let mut line = serde_json::to_vec(&order).expect("orders are made of texts, numbers and lists");
                line.push(b'\n');
                orders.write_all(&line).await.is_ok()
            }
            Member::Dead => true,
        };
        // One that cannot be told has said why, or ended without a word.
        if told { Ok(()) } else { Err(self.last_words(node).await) }
    }

    /// Ends a node where it stands, without a word to anyone. Returns when it is gone.
    pub(super) async fn kill(&mut self, node: usize) {
        match std::mem::replace(&mut self.members[node], Member::Dead) {
            Member::Task { task, mortal, .. } => {
                drop(mortal);
                // An error says that it was killed.
                let _ = task.await;
            }
            Member::Process { mut child, .. } => {
                // It may have ended by itself, which is as dead.
                let _ = child.kill().await;
            }
            Member::Dead => {}
        }
    }

    /// The next report of a node that was not killed. Never ends: a node that is gone has reported so.
    pub(super) async fn next(&mut self) -> Arrival {
        loop {
            match self.arrivals.recv().await {
                Some(arrival) if matches!(self.members[arrival.node], Member::Dead) => {}
                Some(arrival) => return arrival,
                None => std::future::pending().await,
            }
        }
    }

    async fn last_words(&mut self, gone: usize) -> Failure {
        let heard = tokio::time::timeout(FAREWELL, async {
            loop {
                if let Arrival { node, report: Report::Failed { problem, remedy }, .. } = self.next().await
                    && node == gone
                {
                    return failed(node, &problem, remedy.as_deref());
                }
            }
        });
        heard.await.unwrap_or_else(|_| failed(gone, "it does not answer", None))
    }

    /// The resident memory of the largest node process in MiB, where the system tells.
    pub(super) fn largest_resident(&self) -> Option<f64> {
        let of_process = |member: &Member| match member {
            Member::Process { child, .. } => resident(child.id()?),
            Member::Task { .. } | Member::Dead => None,
        };
        self.members.iter().filter_map(of_process).reduce(f64::max)
    }

    /// Ends all nodes: well, if there is a reason to wait for that.
    pub(super) async fn dismiss(mut self, gently: bool) {
        if gently {
            for node in 0..self.members.len() {
                // One that has ended already needs no order.
                let _ = self.order(node, Order::Stop).await;
            }
        }
        let patience = if gently { FAREWELL } else { Duration::ZERO };
        let until = tokio::time::Instant::now() + patience;
        for member in self.members {
            match member {
                Member::Task { orders, mut task, mortal } => {
                    drop(orders);
                    if tokio::time::timeout_at(until, &mut task).await.is_err() {
                        task.abort();
                    }
                    drop(mortal);
                }
                Member::Dead => {}
                Member::Process { mut child, orders } => {
                    drop(orders);
                    if tokio::time::timeout_at(until, child.wait()).await.is_err() {
                        // It may have ended meanwhile, which is as good.
                        let _ = child.kill().await;
                    }
                }
            }
        }
    }
}

/// What it means for the demonstration that a node cannot go on.
pub(super) fn failed(node: usize, problem: &str, remedy: Option<&str>) -> Failure {
    let problem = format!("node {} cannot go on: {problem}", node + 1);
    match remedy {
        Some(remedy) => Failure::input(problem, remedy),
        None => Failure::unmet(problem, "-vv shows what it did"),
    }
}

fn task(plan: &Plan, node: usize, arrivals: &mpsc::UnboundedSender<Arrival>) -> Result<Member, Failure> {
    let (orders, received) = mpsc::channel(16);
    let arrivals = arrivals.clone();
    let report = move |report| {
        // Nobody listens any more when the crew is dismissed.
        let _ = arrivals.send(Arrival { node, at: Instant::now(), report });
    };
    let mortal = plan.kill.map(|_| Mortal::new()).transpose()?;
    let node = signer::run(received, report);
    let task = match mortal.as_ref().and_then(|mortal| mortal.0.as_ref()) {
        Some(runtime) => runtime.spawn(node),
        None => tokio::spawn(node),
    };
    Ok(Member::Task { orders, task, mortal })
}

fn process(plan: &Plan, node: usize, arrivals: &mpsc::UnboundedSender<Arrival>) -> Result<Member, Failure> {
    let no_process = |error| {
        Failure::input(
            format_args!("cannot start node {} as a process: {error}", node + 1),
            "leave out --processes, or lower --signers",
        )
    };
    let mut command = Command::new(std::env::current_exe().map_err(no_process)?);
    command.arg("demo-node").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.args((0..plan.verbose).map(|_| "-v"));
    // A group of its own, so that Ctrl-C reaches this process alone, which then ends the nodes.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(no_process)?;
    let (Some(orders), Some(reports)) = (child.stdin.take(), child.stdout.take()) else {
        unreachable!("both were asked for above")
    };
    let arrivals = arrivals.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(reports).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let at = Instant::now();
            let report = serde_json::from_str(&line).unwrap_or_else(|error| Report::Failed {
                problem: format!("it says what nobody understands: {error}"),
                remedy: None,
            });
            let _ = arrivals.send(Arrival { node, at, report });
        }
        // Heard by nobody if the node has said before why it ends.
        let report = Report::Failed { problem: "its process has ended".to_owned(), remedy: None };
        let _ = arrivals.send(Arrival { node, at: Instant::now(), report });
    });
    Ok(Member::Process { child: Box::new(child), orders })
}

/// The resident memory of a process in MiB.
fn resident(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kib: f64 =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}
