//! Breadth first through everything that is reachable, and from everywhere to the fair end.

use std::collections::HashMap;
use std::rc::Rc;

use super::local::{Locals, MessageId};
use super::world::{Step, World};
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
    let mut locals = Locals::new(*scope);
    let start = World::start(scope, &mut locals).map_err(|what| Violation { what, path: Vec::new() })?;
    let mut search = Search { scope, locals, found: Vec::new(), numbers: HashMap::new(), fair: Fair::default() };
    search.add(start, None);
    search.run()
}

/// A state, and the step that led to it first.
struct Found {
    world: Rc<World>,
    from: Option<(u32, Step)>,
}

struct Search<'a> {
    scope: &'a Scope,
    locals: Locals,
    found: Vec<Found>,
    numbers: HashMap<Rc<World>, u32>,
    fair: Fair,
}

#[derive(Default)]
struct Fair {
    /// Each state with the number of the walk that has come by it.
    walked: HashMap<World, usize>,
    walks: usize,
    signed: usize,
    unsigned: usize,
}

impl Search<'_> {
    fn add(&mut self, world: World, from: Option<(u32, Step)>) {
        let world = Rc::new(world);
        if !self.numbers.contains_key(&world) {
            let number = u32::try_from(self.found.len()).expect("memory is smaller");
            self.numbers.insert(world.clone(), number);
            self.found.push(Found { world, from });
        }
    }

    fn run(mut self) -> Result<Counts, Violation> {
        let (mut counts, mut at, mut level_end) = (Counts::default(), 0, 1);
        while at < self.found.len() {
            if at == level_end {
                counts.depth += 1;
                level_end = self.found.len();
            }
            let world = self.found[at].world.clone();
            let number = u32::try_from(at).expect("counted above");
            if let Err((what, steps)) = self.follow(&world) {
                return Err(self.violation(what, number, &steps));
            }
            for step in world.steps(self.scope, &self.locals) {
                match world.after(&mut self.locals, step) {
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
        Ok(Counts { states: self.found.len(), locals: self.locals.len(), signed, unsigned, ..counts })
    }

    /// Follows the fair continuation until its end, or until where it has been followed from before.
    fn follow(&mut self, world: &World) -> Result<(), (String, Vec<Step>)> {
        let (mut world, mut steps) = (world.calm(), Vec::new());
        self.fair.walks += 1;
        let walk = self.fair.walks;
        loop {
            match self.fair.walked.insert(world.clone(), walk) {
                None => {}
                // Whoever was here before has come to a good end.
                Some(before) if before != walk => return Ok(()),
                // A circle is an end too: the nodes wait for somebody who does not come back.
                Some(_) => return self.end(&world).map_err(|what| (what, steps)),
            }
            let Some(step) = world.fair_step(self.scope, &self.locals) else {
                return self.end(&world).map_err(|what| (what, steps));
            };
            steps.push(step);
            world = match world.after(&mut self.locals, step) {
                Ok(next) => next.expect("only a crash can be no step"),
                Err(what) => return Err((what, steps)),
            };
        }
    }

    fn end(&mut self, world: &World) -> Result<(), String> {
        match world.judge_end(&self.locals)? {
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
        let saying = |message: MessageId| {
            let saying = self.locals.saying(message);
            let content = format!("{:?}", saying.content);
            let kind = content.split([' ', '{']).next().unwrap_or_default().to_owned();
            format!("{kind} of node {} in attempt {}", saying.author, saying.attempt)
        };
        match step {
            Step::Deliver { to, message, copy, crash } => {
                let copy = if copy { ", and again later" } else { "" };
                let crash = if crash { ", and it crashes after its records" } else { "" };
                format!("node {to} hears the {}{copy}{crash}", saying(message))
            }
            Step::Timer { node, crash: false } => format!("a timer of node {node}"),
            Step::Timer { node, crash: true } => format!("a timer of node {node}, and it crashes after its records"),
            other => format!("{other:?}"),
        }
    }
}
