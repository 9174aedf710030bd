//! Breadth first through everything that is reachable, and from everywhere to the fair end.

use std::collections::HashMap;
use std::rc::Rc;

use super::node_states::{MessageId, NodeStates};
use super::system::{Step, SystemState};
use super::{Counts, Scope, Violation};

/// Tries everything in this scope.
///
/// # Errors
/// The first violation, by one of the shortest ways.
///
/// # Panics
/// For a scope with no signers or with more than 8.
pub fn explore(scope: &Scope) -> Result<Counts, Violation> {
    assert!((1..=8).contains(&scope.signers), "from 1 to 8 signers");
    let mut node_states = NodeStates::new(*scope);
    let start = SystemState::start(scope, &mut node_states).map_err(|what| Violation { what, path: Vec::new() })?;
    let mut search = Search { scope, node_states, found: Vec::new(), numbers: HashMap::new(), fair: Fair::default() };
    search.add(start, None);
    search.run()
}

/// A state, and the step that led to it first.
struct Visited {
    system: Rc<SystemState>,
    from: Option<(u32, Step)>,
}

struct Search<'a> {
    scope: &'a Scope,
    node_states: NodeStates,
    found: Vec<Visited>,
    numbers: HashMap<Rc<SystemState>, u32>,
    fair: Fair,
}

#[derive(Default)]
struct Fair {
    /// Each state with the number of the walk that has come by it.
    walked: HashMap<SystemState, usize>,
    walks: usize,
    signed: usize,
    unsigned: usize,
}

impl Search<'_> {
    fn add(&mut self, system: SystemState, from: Option<(u32, Step)>) {
        let system = Rc::new(system);
        if !self.numbers.contains_key(&system) {
            let number = u32::try_from(self.found.len()).expect("memory is smaller");
            self.numbers.insert(system.clone(), number);
            self.found.push(Visited { system, from });
        }
    }

    fn run(mut self) -> Result<Counts, Violation> {
        let (mut counts, mut at, mut level_end) = (Counts::default(), 0, 1);
        while at < self.found.len() {
            if at == level_end {
                counts.depth += 1;
                level_end = self.found.len();
            }
            let system = self.found[at].system.clone();
            let number = u32::try_from(at).expect("counted above");
            if let Err((what, steps)) = self.follow(&system) {
                return Err(self.violation(what, number, &steps));
            }
            for step in system.steps(self.scope, &self.node_states) {
                match system.after(&mut self.node_states, step) {
                    Ok(Some(next)) => {
                        counts.steps += 1;
                        self.add(next, Some((number, step)));
                    }
                    Ok(None) => {}
                    Err(what) => return Err(self.violation(what, number, &[step])),
                }
            }
            at += 1;
        }
        let Fair { signed, unsigned, .. } = self.fair;
        Ok(Counts { states: self.found.len(), node_states: self.node_states.len(), signed, unsigned, ..counts })
    }

    /// Follows the fair continuation until its end, or until where it has been followed from before.
    fn follow(&mut self, system: &SystemState) -> Result<(), (String, Vec<Step>)> {
        let (mut system, mut steps) = (system.without_disturbances(), Vec::new());
        self.fair.walks += 1;
        let walk = self.fair.walks;
        loop {
            match self.fair.walked.insert(system.clone(), walk) {
                None => {}
                // Whoever was here before has come to a good end.
                Some(before) if before != walk => return Ok(()),
                // A circle is an end too: the nodes wait for somebody who does not come back.
                Some(_) => return self.end(&system).map_err(|what| (what, steps)),
            }
            let Some(step) = system.fair_step(self.scope, &self.node_states) else {
                return self.end(&system).map_err(|what| (what, steps));
            };
            steps.push(step);
            system = match system.after(&mut self.node_states, step) {
                Ok(next) => next.expect("only a crash can be no step"),
                Err(what) => return Err((what, steps)),
            };
        }
    }

    fn end(&mut self, system: &SystemState) -> Result<(), String> {
        match system.check_end(&self.node_states)? {
            true => self.fair.signed += 1,
            false => self.fair.unsigned += 1,
        }
        Ok(())
    }

    fn violation(&self, what: String, mut at: u32, after: &[Step]) -> Violation {
        let mut path: Vec<String> = after.iter().rev().map(|step| self.describe(*step)).collect();
        while let Some((before, step)) = self.found[at as usize].from {
            path.push(self.describe(step));
            at = before;
        }
        path.reverse();
        Violation { what, path }
    }

    fn describe(&self, step: Step) -> String {
        let statement = |message: MessageId| {
            let statement = self.node_states.statement(message);
            let content = format!("{:?}", statement.content);
            let kind = content.split([' ', '{']).next().unwrap_or_default().to_owned();
            format!("{kind} of node {} in attempt {}", statement.author, statement.attempt)
        };
        match step {
            Step::Deliver { to, message, duplicate, crash } => {
                let duplicate = if duplicate { ", and again later" } else { "" };
                let crash = if crash { ", and it crashes after its records" } else { "" };
                format!("node {to} hears the {}{duplicate}{crash}", statement(message))
            }
            Step::Timer { node, crash: false } => format!("a timer of node {node}"),
            Step::Timer { node, crash: true } => format!("a timer of node {node}, and it crashes after its records"),
            other => format!("{other:?}"),
        }
    }
}
