/* nelumbo's core for C. Made by cbindgen from bindings/c/src; see docs/src/embedding-c.md for how to use it.
 *
 * Texts are UTF-8 in JSON, in the shapes of bindings/ffi/schema.json; those that go in have their lengths with them, and
 * need no zero at the end. Every function that fills an `out` fills it whatever its status, but for NELUMBO_STATUS_NULL;
 * it is given back with nelumbo_buffer_free. Nothing that was passed in is kept. No function blocks, and none unwinds into the caller. */

#ifndef NELUMBO_H
#define NELUMBO_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/*
 What a call came to.
 */
enum NelumboStatus {
  /*
   Done. What is asked for is in `out`.
   */
  NELUMBO_STATUS_OK = 0,
  /*
   Nothing was done. `out` has a JSON object with the fields `code`, `message` and `remedy`.
   */
  NELUMBO_STATUS_REFUSED = 1,
  /*
   A pointer that must not be null is. Nothing was done, and `out` was not written.
   */
  NELUMBO_STATUS_NULL = 2,
  /*
   The library has a fault; `out` has a JSON object as for `Refused`. Free the machine or signer, make another one
   (a machine from its journal), and report the fault. Every other call with it gives this again.
   */
  NELUMBO_STATUS_POISONED = 3,
};

/*
 One signer's node. It belongs to whoever made it, until `nelumbo_machine_free`. It may move between threads, and is
 for one thread at a time; different machines are independent.
 */
struct NelumboMachine;

/*
 A signing key that answers what a machine without it asks for. Owned and shared between threads like a machine.
 */
struct NelumboSigner;

/*
 Bytes that the library has allocated: JSON in UTF-8, and behind them a zero that `len` does not count. Whoever gets
 one gives it back with `nelumbo_buffer_free`, once.
 */
struct NelumboBuffer {
  /*
   Where they are.
   */
  uint8_t *data;
  /*
   How many.
   */
  size_t len;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Makes a node that remembers what the records in `params` say, and writes it to `machine`. `params` is JSON: `Params`
 in schema.json.

 `secret` are the 32 bytes of the key that signs, or, with a `signing_key` in `params`, of the one that signs
 messages only; they are copied, so wipe them. `seed` are 32 bytes from the operating system's source of randomness
 that were never used before: two boots with one seed can give the key away. `mono_ms` is milliseconds since an
 origin of yours, by a clock that never goes back; `wall_ms` is milliseconds since 1970. `out` has the error, if
 there is one.

 # Safety
 `params` has `params_len` bytes, `secret` and `seed` 32 each; `machine` and `out` can be written to.
 */
enum NelumboStatus nelumbo_machine_new(const uint8_t *params,
                                       size_t params_len,
                                       const uint8_t *secret,
                                       const uint8_t *seed,
                                       double mono_ms,
                                       double wall_ms,
                                       struct NelumboMachine **machine,
                                       struct NelumboBuffer *out);

/*
 Frees a machine. Null is no machine, and nothing happens.

 # Safety
 `machine` came from `nelumbo_machine_new`, and is not used any more.
 */
void nelumbo_machine_free(struct NelumboMachine *machine);

/*
 Tells a machine what has happened: a JSON array of `Input`, which are taken together, or none of them.

 # Safety
 `machine` came from `nelumbo_machine_new`; `inputs` has `len` bytes; `out` can be written to.
 */
enum NelumboStatus nelumbo_machine_handle(struct NelumboMachine *machine,
                                          double mono_ms,
                                          double wall_ms,
                                          const uint8_t *inputs,
                                          size_t len,
                                          struct NelumboBuffer *out);

/*
 Tells a machine what its owner wants: a JSON `Command`. The command's number, by which events answer to it, goes to
 `id`, unless that is null.

 # Safety
 `machine` came from `nelumbo_machine_new`; `command` has `len` bytes; `id` is null or can be written to; `out` can
 be written to.
 */
enum NelumboStatus nelumbo_machine_command(struct NelumboMachine *machine,
                                           double mono_ms,
                                           double wall_ms,
                                           const uint8_t *command,
                                           size_t len,
                                           uint64_t *id,
                                           struct NelumboBuffer *out);

/*
 Takes everything that a machine wants of its host: a JSON array of `Output`, in order, goes to `out`. Call it after
 each `nelumbo_machine_new`, `nelumbo_machine_handle` and `nelumbo_machine_command`.

 # Safety
 `machine` came from `nelumbo_machine_new`; `out` can be written to.
 */
enum NelumboStatus nelumbo_machine_poll(struct NelumboMachine *machine,
                                        struct NelumboBuffer *out);

/*
 When a machine is to be given the input `tick` if nothing else happens, in milliseconds of the caller's `mono_ms`;
 negative when it waits for the world alone.

 # Safety
 `machine` is null or came from `nelumbo_machine_new`.
 */
double nelumbo_machine_deadline(struct NelumboMachine *machine);

/*
 A machine's state: a JSON `View` goes to `out`.

 # Safety
 `machine` came from `nelumbo_machine_new`; `out` can be written to.
 */
enum NelumboStatus nelumbo_machine_view(struct NelumboMachine *machine, struct NelumboBuffer *out);

/*
 Makes a signer with the key of these 32 bytes, and writes it to `signer`; about `seed` see `nelumbo_machine_new`.

 # Safety
 `secret` and `seed` have 32 bytes; `signer` and `out` can be written to.
 */
enum NelumboStatus nelumbo_signer_new(const uint8_t *secret,
                                      const uint8_t *seed,
                                      struct NelumboSigner **signer,
                                      struct NelumboBuffer *out);

/*
 Frees a signer. Null is no signer, and nothing happens.

 # Safety
 `signer` came from `nelumbo_signer_new`, and is not used any more.
 */
void nelumbo_signer_free(struct NelumboSigner *signer);

/*
 What a person is to be asked before `nelumbo_signer_answer` is called with this JSON `SignRequest`: an `Approval`,
 or
 `null` when nobody is asked.

 # Safety
 `signer` came from `nelumbo_signer_new`; `request` has `len` bytes; `out` can be written to.
 */
enum NelumboStatus nelumbo_signer_describe(struct NelumboSigner *signer,
                                           const uint8_t *request,
                                           size_t len,
                                           struct NelumboBuffer *out);

/*
 Does what a JSON `SignRequest` asks, without asking anybody: a `SignReply` goes to `out`, or `null` when there is
 none.

 # Safety
 `signer` came from `nelumbo_signer_new`; `request` has `len` bytes; `out` can be written to.
 */
enum NelumboStatus nelumbo_signer_answer(struct NelumboSigner *signer,
                                         const uint8_t *request,
                                         size_t len,
                                         struct NelumboBuffer *out);

/*
 Answers a JSON `Call`, which needs no machine, with an `Answer`: aggregate keys, verification, records of a DHT.

 # Safety
 `question` has `len` bytes; `out` can be written to.
 */
enum NelumboStatus nelumbo_call(const uint8_t *question,
                                size_t len,
                                struct NelumboBuffer *out);

/*
 So many bytes of the library's memory, all zero, for callers who have none that it can read: those of WebAssembly.
 They are given back with `nelumbo_buffer_free`, in a buffer with this place and the same length.
 */
uint8_t *nelumbo_buffer_new(size_t len);

/*
 Frees what the library has allocated, and empties the buffer, so that freeing it again does nothing.

 # Safety
 `buffer` is null, or was filled by this library and its fields are as they were then, or names what
 `nelumbo_buffer_new` gave.
 */
void nelumbo_buffer_free(struct NelumboBuffer *buffer);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NELUMBO_H */
