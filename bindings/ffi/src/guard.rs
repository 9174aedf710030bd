//! Where panics end, for shells whose callers must not see them.
//!
//! Invariant: what has panicked once is not used any more, because it may be halfway through a change.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Error;

/// Something that answers nothing any more once it has panicked.
#[derive(Debug)]
pub struct Guarded<T> {
    value: T,
    /// What it has said when it panicked.
    panic: Option<Error>,
}

/// Runs what may panic.
///
/// # Errors
/// What it says, or `poisoned`.
pub fn guard<T>(act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| Err(Error::poisoned(said(&*panic))))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it says nothing")
}

impl<T> Guarded<T> {
    /// Guards this from now on.
    pub const fn new(value: T) -> Self {
        Self { value, panic: None }
    }

    /// Does something with it.
    ///
    /// # Errors
    /// What that says, or `poisoned` when it panics or anything has before.
    pub fn run<U>(&mut self, act: impl FnOnce(&mut T) -> Result<U, Error>) -> Result<U, Error> {
        if let Some(panic) = &self.panic {
            return Err(panic.clone());
        }
        let outcome = guard(|| act(&mut self.value));
        self.panic = outcome.as_ref().err().filter(|error| error.is_poisoned()).cloned();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_panicked_answers_nothing_any_more() {
        let mut guarded = Guarded::new(1);
        assert_eq!(guarded.run(|value| Ok(*value)), Ok(1));
        let refused = guarded.run(|_| Err::<(), _>(Error::argument("no")));
        assert_eq!(refused.map_err(|error| error.code), Err("bad-argument".into()));
        let panicked = guarded.run(|value| -> Result<(), Error> {
            *value = 2;
            panic!("on purpose {value}")
        });
        let error = panicked.expect_err("it panics");
        assert!(error.is_poisoned() && error.message.contains("on purpose 2"), "{error}");
        assert_eq!(guarded.run(|value| Ok(*value)), Err(error), "though this would not panic");
    }
}
