//! Pointers in and out. Driven by the functions of the library.

use std::{ptr, slice, str};

use nelumbo_ffi::{Error, Guarded};

use crate::{NelumboBuffer, NelumboStatus};

/// The bytes at this place. Nothing is read where there are none.
///
/// # Safety
/// There are `len` bytes at `data`, which stay as they are for `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(data, len) }
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Error> {
    str::from_utf8(bytes).map_err(Error::argument)
}

/// Bytes that the caller is to give back. A zero stands behind them, so that functions for C's strings stop there.
pub(crate) fn buffer(mut bytes: Vec<u8>) -> NelumboBuffer {
    let len = bytes.len();
    bytes.push(0);
    NelumboBuffer { data: Box::into_raw(bytes.into_boxed_slice()).cast(), len }
}

/// Drops what [`buffer`] has handed out.
///
/// # Safety
/// It came from there with these fields, and comes back once; or it is empty.
pub(crate) unsafe fn free(NelumboBuffer { data, len }: NelumboBuffer) {
    if !data.is_null() {
        // SAFETY: the caller's promise; the box had one byte more.
        unsafe { take_back(ptr::slice_from_raw_parts_mut(data, len + 1)) };
    }
}

/// Writes what a call came to.
///
/// # Safety
/// `out` can be written to.
pub(crate) unsafe fn give(outcome: Result<String, Error>, out: *mut NelumboBuffer) -> NelumboStatus {
    let (status, text) = match outcome {
        Ok(text) => (NelumboStatus::Ok, text),
        Err(error) if error.is_poisoned() => (NelumboStatus::Poisoned, error.to_json()),
        Err(error) => (NelumboStatus::Refused, error.to_json()),
    };
    // In WebAssembly the place is one that `nelumbo_buffer_new` gave, which promises no alignment.
    // SAFETY: the caller's promise.
    unsafe { ptr::write_unaligned(out, buffer(text.into_bytes())) };
    status
}

/// Hands a new thing to the caller, or says why there is none, with null in its place.
///
/// # Safety
/// `place` and `out` can be written to.
pub(crate) unsafe fn hand_out<T, U>(
    made: Result<T, Error>,
    wrap: impl FnOnce(T) -> U,
    place: *mut *mut U,
    out: *mut NelumboBuffer,
) -> NelumboStatus {
    let mut pointer = ptr::null_mut();
    let outcome = made.map(|value| {
        pointer = Box::into_raw(Box::new(wrap(value)));
        String::new()
    });
    // SAFETY: the caller's promise.
    unsafe { ptr::write_unaligned(place, pointer) };
    // SAFETY: the caller's promise.
    unsafe { give(outcome, out) }
}

/// Does something with a machine or signer of the caller's.
///
/// # Safety
/// `pointer` is null or came from [`hand_out`], and nobody else uses it meanwhile; `out` can be written to.
pub(crate) unsafe fn on<T, U>(
    pointer: *mut T,
    guarded: impl FnOnce(&mut T) -> &mut Guarded<U>,
    out: *mut NelumboBuffer,
    act: impl FnOnce(&mut U) -> Result<String, Error>,
) -> NelumboStatus {
    // SAFETY: the caller's promise.
    let Some(value) = (unsafe { pointer.as_mut() }) else { return NelumboStatus::Null };
    if out.is_null() {
        return NelumboStatus::Null;
    }
    // SAFETY: the caller's promise.
    unsafe { give(guarded(value).run(act), out) }
}

/// Drops what was handed out.
///
/// # Safety
/// `pointer` is null, or came from a box, and comes back once.
pub(crate) unsafe fn take_back<T: ?Sized>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(pointer) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_status_and_says_what_to_do() {
        let mut out = NelumboBuffer { data: ptr::null_mut(), len: 0 };
        // SAFETY: it can be written to.
        let status = unsafe { give(nelumbo_ffi::guard(|| panic!("on purpose")), &raw mut out) };
        // SAFETY: it was filled just now.
        let said = unsafe { bytes(out.data, out.len) }.to_vec();
        // SAFETY: the same, and once.
        unsafe { crate::nelumbo_buffer_free(&raw mut out) };
        let said = String::from_utf8(said).expect("JSON");
        assert_eq!(status, NelumboStatus::Poisoned);
        assert!(said.contains(r#""code":"poisoned""#) && said.contains("on purpose"), "{said}");
        // SAFETY: it is empty now.
        unsafe { crate::nelumbo_buffer_free(&raw mut out) };
    }
}
