//! Panics of code that is not this crate's: closures, policies, protocols, signers.
//!
//! Invariant: a panic becomes an error that says what it said. Pure.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The result, or the message of a panic. What the panic may have left half done must not be used afterwards.
pub(crate) fn catch_panic<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| message(&*panic))
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
