//! nelumbo's core as a C library; `include/nelumbo.h` is made of this file, and WebAssembly has the same functions.
//!
//! Owns the border: pointers become slices here, panics end here, and memory that goes out comes back here. Invariants:
//! nothing unwinds into the caller; a machine or signer in which something has panicked answers nothing any more; no
//! pointer is kept after a call has returned, but those that `*_new` hand out. Everything else is [`nelumbo_ffi`].

mod border;

use std::ptr;

use nelumbo_ffi::{Guarded, Machine, Signer, call, guard};

use border::{bytes, give, hand_out, on, text};

/// What a call came to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NelumboStatus {
    /// Done. What is asked for is in `out`.
    Ok = 0,
    /// Nothing was done. `out` has a JSON object with the fields `code`, `message` and `remedy`.
    Refused = 1,
    /// A pointer that must not be null is. Nothing was done, and `out` was not written.
    Null = 2,
    /// The library has a fault; `out` has a JSON object as for `Refused`. Free the machine or signer, make another one
    /// (a machine from its journal), and report the fault. Every other call with it gives this again.
    Poisoned = 3,
}

/// Bytes that the library has allocated: JSON in UTF-8, and behind them a zero that `len` does not count. Whoever gets
/// one gives it back with `nelumbo_buffer_free`, once.
#[repr(C)]
#[derive(Debug)]
pub struct NelumboBuffer {
    /// Where they are.
    pub data: *mut u8,
    /// How many.
    pub len: usize,
}

/// One signer's node. It belongs to whoever made it, until `nelumbo_machine_free`. It may move between threads, and is
/// for one thread at a time; different machines are independent.
#[derive(Debug)]
pub struct NelumboMachine(Guarded<Machine>);

/// A signing key that answers what a machine without it asks for. Owned and shared between threads like a machine.
#[derive(Debug)]
pub struct NelumboSigner(Guarded<Signer>);

/// Makes a node that remembers what the records in `params` say, and writes it to `machine`. `params` is JSON: `Params`
/// in schema.json.
///
/// `secret` are the 32 bytes of the key that signs, or, with a `signing_key` in `params`, of the one that signs
/// messages only; they are copied, so wipe them. `seed` are 32 bytes from the operating system's source of randomness
/// that were never used before: two boots with one seed can give the key away. `mono_ms` is milliseconds since an
/// origin of yours, by a clock that never goes back; `wall_ms` is milliseconds since 1970. `out` has the error, if
/// there is one.
///
/// # Safety
/// `params` has `params_len` bytes, `secret` and `seed` 32 each; `machine` and `out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_machine_new(
    params: *const u8,
    params_len: usize,
    secret: *const u8,
    seed: *const u8,
    mono_ms: f64,
    wall_ms: f64,
    machine: *mut *mut NelumboMachine,
    out: *mut NelumboBuffer,
) -> NelumboStatus {
    if secret.is_null() || seed.is_null() || machine.is_null() || out.is_null() {
        return NelumboStatus::Null;
    }
    // SAFETY: the caller promises so many bytes.
    let (params, secret, seed) = unsafe { (bytes(params, params_len), bytes(secret, 32), bytes(seed, 32)) };
    let made = guard(|| Machine::new(text(params)?, secret, seed, mono_ms, wall_ms));
    // SAFETY: the caller promises that both can be written to.
    unsafe { hand_out(made, |one| NelumboMachine(Guarded::new(one)), machine, out) }
}

/// Frees a machine. Null is no machine, and nothing happens.
///
/// # Safety
/// `machine` came from `nelumbo_machine_new`, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_machine_free(machine: *mut NelumboMachine) {
    // SAFETY: the caller promises that it came from `Box::into_raw` and comes back once.
    unsafe { border::take_back(machine) }
}

/// Tells a machine what has happened: a JSON array of `Input`, which are taken together, or none of them.
///
/// # Safety
/// `machine` came from `nelumbo_machine_new`; `inputs` has `len` bytes; `out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_machine_handle(
    machine: *mut NelumboMachine,
    mono_ms: f64,
    wall_ms: f64,
    inputs: *const u8,
    len: usize,
    out: *mut NelumboBuffer,
) -> NelumboStatus {
    // SAFETY: the caller promises a machine, so many bytes, and a place for the result.
    unsafe {
        on(
            machine,
            |one| &mut one.0,
            out,
            |machine| machine.handle(mono_ms, wall_ms, text(bytes(inputs, len))?).map(|()| String::new()),
        )
    }
}

/// Tells a machine what its owner wants: a JSON `Command`. The command's number, by which events answer to it, goes to
/// `id`, unless that is null.
///
/// # Safety
/// `machine` came from `nelumbo_machine_new`; `command` has `len` bytes; `id` is null or can be written to; `out` can
/// be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_machine_command(
    machine: *mut NelumboMachine,
    mono_ms: f64,
    wall_ms: f64,
    command: *const u8,
    len: usize,
    id: *mut u64,
    out: *mut NelumboBuffer,
) -> NelumboStatus {
    // SAFETY: the caller promises a machine, so many bytes, and places for the results.
    unsafe {
        on(
            machine,
            |one| &mut one.0,
            out,
            |machine| {
                let number = machine.command(mono_ms, wall_ms, text(bytes(command, len))?)?;
                if !id.is_null() {
                    ptr::write_unaligned(id, number);
                }
                Ok(String::new())
            },
        )
    }
}

/// Takes everything that a machine wants of its host: a JSON array of `Output`, in order, goes to `out`. Call it after
/// each `nelumbo_machine_new`, `nelumbo_machine_handle` and `nelumbo_machine_command`.
///
/// # Safety
/// `machine` came from `nelumbo_machine_new`; `out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_machine_poll(machine: *mut NelumboMachine, out: *mut NelumboBuffer) -> NelumboStatus {
    // SAFETY: the caller promises a machine and a place for the result.
    unsafe { on(machine, |one| &mut one.0, out, |machine| Ok(machine.poll())) }
}

/// When a machine is to be given the input `tick` if nothing else happens, in milliseconds of the caller's `mono_ms`;
/// negative when it waits for the world alone.
///
/// # Safety
/// `machine` is null or came from `nelumbo_machine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_machine_deadline(machine: *mut NelumboMachine) -> f64 {
    // SAFETY: the caller promises a machine, which nobody else uses meanwhile.
    let machine = unsafe { machine.as_mut() };
    machine.and_then(|machine| machine.0.run(|machine| Ok(machine.deadline())).ok().flatten()).unwrap_or(-1.0)
}

/// A machine's state: a JSON `View` goes to `out`.
///
/// # Safety
/// `machine` came from `nelumbo_machine_new`; `out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_machine_view(machine: *mut NelumboMachine, out: *mut NelumboBuffer) -> NelumboStatus {
    // SAFETY: the caller promises a machine and a place for the result.
    unsafe { on(machine, |one| &mut one.0, out, |machine| Ok(machine.view())) }
}

/// Makes a signer with the key of these 32 bytes, and writes it to `signer`; about `seed` see `nelumbo_machine_new`.
///
/// # Safety
/// `secret` and `seed` have 32 bytes; `signer` and `out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_signer_new(
    secret: *const u8,
    seed: *const u8,
    signer: *mut *mut NelumboSigner,
    out: *mut NelumboBuffer,
) -> NelumboStatus {
    if secret.is_null() || seed.is_null() || signer.is_null() || out.is_null() {
        return NelumboStatus::Null;
    }
    // SAFETY: the caller promises so many bytes.
    let (secret, seed) = unsafe { (bytes(secret, 32), bytes(seed, 32)) };
    let made = guard(|| Signer::new(secret, seed));
    // SAFETY: the caller promises that both can be written to.
    unsafe { hand_out(made, |one| NelumboSigner(Guarded::new(one)), signer, out) }
}

/// Frees a signer. Null is no signer, and nothing happens.
///
/// # Safety
/// `signer` came from `nelumbo_signer_new`, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_signer_free(signer: *mut NelumboSigner) {
    // SAFETY: the caller promises that it came from `Box::into_raw` and comes back once.
    unsafe { border::take_back(signer) }
}

/// What a person is to be asked before `nelumbo_signer_answer` is called with this JSON `SignRequest`: an `Approval`,
/// or
/// `null` when nobody is asked.
///
/// # Safety
/// `signer` came from `nelumbo_signer_new`; `request` has `len` bytes; `out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_signer_describe(
    signer: *mut NelumboSigner,
    request: *const u8,
    len: usize,
    out: *mut NelumboBuffer,
) -> NelumboStatus {
    // SAFETY: the caller promises a signer, so many bytes, and a place for the result.
    unsafe { on(signer, |one| &mut one.0, out, |signer| signer.describe(text(bytes(request, len))?)) }
}

/// Does what a JSON `SignRequest` asks, without asking anybody: a `SignReply` goes to `out`, or `null` when there is
/// none.
///
/// # Safety
/// `signer` came from `nelumbo_signer_new`; `request` has `len` bytes; `out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_signer_answer(
    signer: *mut NelumboSigner,
    request: *const u8,
    len: usize,
    out: *mut NelumboBuffer,
) -> NelumboStatus {
    // SAFETY: the caller promises a signer, so many bytes, and a place for the result.
    unsafe { on(signer, |one| &mut one.0, out, |signer| signer.answer(text(bytes(request, len))?)) }
}

/// Answers a JSON `Call`, which needs no machine, with an `Answer`: aggregate keys, verification, records of a DHT.
///
/// # Safety
/// `question` has `len` bytes; `out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_call(question: *const u8, len: usize, out: *mut NelumboBuffer) -> NelumboStatus {
    if out.is_null() {
        return NelumboStatus::Null;
    }
    // SAFETY: the caller promises so many bytes.
    let question = unsafe { bytes(question, len) };
    let answer = guard(|| call(text(question)?));
    // SAFETY: the caller promises that it can be written to.
    unsafe { give(answer, out) }
}

/// So many bytes of the library's memory, all zero, for callers who have none that it can read: those of WebAssembly.
/// They are given back with `nelumbo_buffer_free`, in a buffer with this place and the same length.
#[unsafe(no_mangle)]
pub extern "C" fn nelumbo_buffer_new(len: usize) -> *mut u8 {
    border::buffer(vec![0; len]).data
}

/// Frees what the library has allocated, and empties the buffer, so that freeing it again does nothing.
///
/// # Safety
/// `buffer` is null, or was filled by this library and its fields are as they were then, or names what
/// `nelumbo_buffer_new` gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nelumbo_buffer_free(buffer: *mut NelumboBuffer) {
    // SAFETY: the caller promises that it can be read and written to.
    let Some(buffer) = (unsafe { buffer.as_mut() }) else { return };
    let filled = std::mem::replace(buffer, NelumboBuffer { data: ptr::null_mut(), len: 0 });
    // SAFETY: the caller promises that it was filled by `border::buffer`, and it is emptied before it is freed.
    unsafe { border::free(filled) }
}
