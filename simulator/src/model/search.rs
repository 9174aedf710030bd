//! Breadth-first search through all reachable states, and from each of them the fair continuation to its end.

use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

use super::{Counts, Violation};

/// After how many steps a fair continuation counts as one that does not end.
const FAIR_STEPS_MAX: usize = 1_000;

/// A state of the whole system that is explored. Invariant: equal states have equal futures.
pub(super) trait State: Clone + Eq + Hash {
    /// What all states share: the states of single nodes, and what messages say.
    type Shared;
    /// A step from one state to the next.
    type Step: Copy;

    /// The same state, in which nothing is lost, repeated or disturbed from here on.
    fn without_disturbances(&self) -> Self;

    /// All steps that are possible next.
    fn steps(&self, shared: &Self::Shared) -> Vec<Self::Step>;

    /// The next step of the fair continuation; `None` at its end.
    fn fair_step(&self, shared: &Self::Shared) -> Option<Self::Step>;

    /// The state after a step; `None` for a step that is the same as another one.
    fn after(&self, shared: &mut Self::Shared, step: Self::Step) -> Result<Option<Self>, String>;

    /// For a state at the end of a fair continuation: whether every node has what it wanted. The error is what is wrong
    /// with that end.
    fn check_end(&self, shared: &Self::Shared) -> Result<bool, String>;

    /// A step in words.
    fn describe(shared: &Self::Shared, step: Self::Step) -> String;

    /// How many states of single nodes there are.
    fn node_states(shared: &Self::Shared) -> usize;
}

/// Explores all states that are reachable from one state.
pub(super) fn explore<S: State>(start: Result<S, String>, shared: S::Shared) -> Result<Counts, Violation> {
    let start = start.map_err(|what| Violation { what, path: Vec::new() })?;
    let mut search = Search { shared, found: Vec::new(), numbers: HashMap::new(), fair: FairEnds::default() };
    search.add(start, None);
    search.run()
}

/// A state, and the step that led to it first.
struct Visited<S: State> {
    state: Rc<S>,
    from: Option<(u32, S::Step)>,
}

struct Search<S: State> {
    shared: S::Shared,
    found: Vec<Visited<S>>,
    numbers: HashMap<Rc<S>, u32>,
    fair: FairEnds<S>,
}

/// Where fair continuations end.
struct FairEnds<S> {
    /// Each state with the number of the continuation that reached it first.
    walked: HashMap<S, usize>,
    walks: usize,
    complete: usize,
    incomplete: usize,
}

impl<S> Default for FairEnds<S> {
    fn default() -> Self {
        Self { walked: HashMap::new(), walks: 0, complete: 0, incomplete: 0 }
    }
}

impl<S: State> Search<S> {
    fn add(&mut self, state: S, from: Option<(u32, S::Step)>) {
        let state = Rc::new(state);
        if !self.numbers.contains_key(&state) {
            let number = u32::try_from(self.found.len()).expect("memory is smaller");
            self.numbers.insert(state.clone(), number);
            self.found.push(Visited { state, from });
        }
    }

    fn run(mut self) -> Result<Counts, Violation> {
        let (mut counts, mut at, mut level_end) = (Counts::default(), 0, 1);
        while at < self.found.len() {
            if at == level_end {
                counts.depth += 1;
                level_end = self.found.len();
            }
            let state = self.found[at].state.clone();
            let number = u32::try_from(at).expect("counted above");
            if let Err((what, steps)) = self.follow(&state) {
                return Err(self.violation(what, number, &steps));
            }
            for step in state.steps(&self.shared) {
                match state.after(&mut self.shared, step) {
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
        let FairEnds { complete, incomplete, .. } = self.fair;
        let node_states = S::node_states(&self.shared);
        Ok(Counts { states: self.found.len(), node_states, complete, incomplete, ..counts })
    }

    /// Follows the fair continuation until its end, or until where it has been followed from before.
    fn follow(&mut self, state: &S) -> Result<(), (String, Vec<S::Step>)> {
        let (mut state, mut steps) = (state.without_disturbances(), Vec::new());
        self.fair.walks += 1;
        let walk = self.fair.walks;
        loop {
            match self.fair.walked.insert(state.clone(), walk) {
                None => {}
                // Whoever was here before has come to a good end.
                Some(before) if before != walk => return Ok(()),
                // A circle is an end too: the nodes wait for somebody who does not come back.
                Some(_) => return self.end(&state).map_err(|what| (what, steps)),
            }
            let Some(step) = state.fair_step(&self.shared) else {
                return self.end(&state).map_err(|what| (what, steps));
            };
            steps.push(step);
            if steps.len() > FAIR_STEPS_MAX {
                return Err((format!("no end after {FAIR_STEPS_MAX} fair steps"), steps));
            }
            state = match state.after(&mut self.shared, step) {
                Ok(next) => next.expect("a fair step is never another one too"),
                Err(what) => return Err((what, steps)),
            };
        }
    }

    fn end(&mut self, state: &S) -> Result<(), String> {
        match state.check_end(&self.shared)? {
            true => self.fair.complete += 1,
            false => self.fair.incomplete += 1,
        }
        Ok(())
    }

    fn violation(&self, what: String, mut at: u32, after: &[S::Step]) -> Violation {
        let mut path: Vec<String> = after.iter().rev().map(|step| S::describe(&self.shared, *step)).collect();
        while let Some((before, step)) = self.found[at as usize].from {
            path.push(S::describe(&self.shared, step));
            at = before;
        }
        path.reverse();
        Violation { what, path }
    }
}
