//! A run that goes another way from some moment on: up to then it is the run of its schedule, event for event; after it
//! no further fault begins, and the network, applications and machines that boot have other random choices.
//!
//! Invariant: before its moment a fork's run cannot be told from the run it forks from. It begins at the beginning, so
//! that no secret nonce ever exists twice in one run.

use std::collections::BTreeMap;

use crate::engine::Nanos;
use crate::random::mix;
use crate::schedule::{MILLISECOND, Schedule, ScheduledEvent};

/// Where a run leaves its schedule, and which of the other ways it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    at: Nanos,
    key: u64,
    /// Whether each step of the schedule is left out.
    omitted: Vec<bool>,
}

impl Fork {
    /// The fork after the first so many steps, in the order of their times; 0 is the beginning.
    #[must_use]
    pub fn after_steps(schedule: &Schedule, steps: usize, number: u64) -> Self {
        let order = schedule.order();
        let last = steps.checked_sub(1).and_then(|last| order.get(last));
        let at = last.map_or(0, |last| schedule.steps[*last].at_ms * MILLISECOND + 1);
        Self::new(schedule, at, &order[..steps.min(order.len())], number)
    }

    /// The fork at this time, after the steps before it.
    #[must_use]
    pub fn at(schedule: &Schedule, at: Nanos, number: u64) -> Self {
        let mut order = schedule.order();
        order.retain(|step| schedule.steps[*step].at_ms * MILLISECOND < at);
        Self::new(schedule, at, &order, number)
    }

    fn new(schedule: &Schedule, at: Nanos, performed: &[usize], number: u64) -> Self {
        // How far each wall clock has been set off so far: what sets it right is no new fault.
        let mut ahead = BTreeMap::<u32, i64>::new();
        let mut omitted: Vec<bool> = schedule.steps.iter().map(|step| begins_fault(&step.event)).collect();
        for step in performed {
            omitted[*step] = false;
            if let ScheduledEvent::Jump { node, ms } = schedule.steps[*step].event {
                *ahead.entry(node).or_default() += ms;
            }
        }
        for (step, omitted) in schedule.steps.iter().zip(&mut omitted) {
            if let ScheduledEvent::Jump { node, ms } = step.event
                && ahead.get(&node).is_some_and(|ahead| *ahead == -ms && *ahead != 0)
            {
                *omitted = false;
            }
        }
        Self { at, key: mix(number.wrapping_add(1)), omitted }
    }

    /// When the run leaves its schedule.
    #[must_use]
    pub const fn time(&self) -> Nanos {
        self.at
    }

    /// Whether this step of the schedule does not happen.
    pub(crate) fn omits(&self, step: usize) -> bool {
        self.omitted.get(step) == Some(&true)
    }

    /// What random choices differ by at this time.
    #[inline]
    pub(crate) const fn key_at(&self, now: Nanos) -> u64 {
        if now < self.at { 0 } else { self.key }
    }
}

/// Whether something goes wrong from this event on, that does not without it.
const fn begins_fault(event: &ScheduledEvent) -> bool {
    match event {
        ScheduledEvent::Create { .. }
        | ScheduledEvent::Start { .. }
        | ScheduledEvent::Restart { .. }
        | ScheduledEvent::Owner { .. }
        | ScheduledEvent::Device { .. }
        | ScheduledEvent::Delegate { .. } => false,
        ScheduledEvent::Crash { .. }
        | ScheduledEvent::Fork { .. }
        | ScheduledEvent::Resume { .. }
        | ScheduledEvent::Sleep { .. }
        | ScheduledEvent::DeviceAway { .. }
        | ScheduledEvent::DeviceRestart { .. }
        | ScheduledEvent::Jump { .. }
        | ScheduledEvent::Drift { .. }
        | ScheduledEvent::Disk { .. }
        | ScheduledEvent::DiskFull { .. }
        | ScheduledEvent::Partition { .. }
        | ScheduledEvent::LinkConditions { .. }
        | ScheduledEvent::Misbehaviour { .. } => true,
    }
}
