//! Checks that no node keeps more than its limits allow, and that every node can start from what it wrote. Peers look
//! after every event and report both as a [`NodeFault`](crate::peer::NodeFault).

use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::Observation;

#[derive(Debug)]
pub(super) struct Limits;

impl Checker for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        match &seen.observed.observation {
            Observation::Fault(trouble, what) => Err(format!("{trouble:?}: {what}")),
            _ => Ok(()),
        }
    }
}
