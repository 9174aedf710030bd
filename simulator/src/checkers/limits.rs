//! No node keeps more than its limits allow, and every node can boot from what it wrote. Peers look after every event
//! and tell.

use super::{Checker, Facts, Sight};
use crate::peer::Note;

#[derive(Debug)]
pub(super) struct Limits;

impl Checker for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn see(&mut self, _: &Facts, sight: &Sight<'_>) -> Result<(), String> {
        match &sight.noted.note {
            Note::Trouble(trouble, what) => Err(format!("{trouble:?}: {what}")),
            _ => Ok(()),
        }
    }
}
