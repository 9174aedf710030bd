// The core as WebAssembly: machines, signers, and questions that need neither.
//
// Owns the instance and its memory. Texts go in and out as UTF-8; JSON is read and written here, so that callers have
// objects. After a fault of the library the instance is not used any more: everything that it made says `poisoned`.

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const OK = 0;
const STATUSES = ["ok", "refused", "null", "poisoned"];

/** Why nothing was done: `code` stays the same in later versions, `message` and `remedy` are for people. */
export class NelumboError extends Error {
  name = "NelumboError";
  constructor({ code, message, remedy }, text = JSON.stringify({ code, message, remedy })) {
    super(`${message} (${code}); ${remedy}`);
    this.code = code;
    this.remedy = remedy;
    /** As the core has written it. */
    this.text = text;
  }
}

/** One instance of the core; see `load`. */
class Core {
  #exports;
  #scratch;
  #fault;

  constructor(exports) {
    this.#exports = exports;
    // Room for the functions' results: a buffer, a pointer, a number.
    this.#scratch = this.#allocate(64);
  }

  #view() {
    return new DataView(this.#exports.memory.buffer);
  }

  #allocate(length) {
    return this.#exports.nelumbo_buffer_new(length);
  }

  /** Puts bytes where the core can read them, calls, and takes them away again. */
  #with(inputs, act) {
    const places = inputs.map((bytes) => {
      const place = this.#allocate(bytes.length);
      new Uint8Array(this.#exports.memory.buffer, place, bytes.length).set(bytes);
      return place;
    });
    try {
      return act(...places);
    } finally {
      places.forEach((place, index) => this.#free(place, inputs[index].length));
    }
  }

  #free(place, length) {
    if (this.#fault) return;
    new Uint8Array(this.#exports.memory.buffer, place, length).fill(0);
    const at = this.#scratch + 32;
    this.#view().setUint32(at, place, true);
    this.#view().setUint32(at + 4, length, true);
    this.#exports.nelumbo_buffer_free(at);
  }

  /** What the function left at the start of the scratch room, as text. */
  #taken() {
    const view = this.#view();
    const [place, length] = [view.getUint32(this.#scratch, true), view.getUint32(this.#scratch + 4, true)];
    const text = decoder.decode(new Uint8Array(this.#exports.memory.buffer, place, length).slice());
    this.#exports.nelumbo_buffer_free(this.#scratch);
    return text;
  }

  /** Calls a function with texts and bytes; `act` gets their places, and where the result goes. */
  run(inputs, act) {
    if (this.#fault) throw this.#fault;
    try {
      return this.#with(
        inputs.map((input) => (typeof input === "string" ? encoder.encode(input) : input)),
        (...places) => {
          const status = act(this.#exports, this.#scratch, ...places);
          if (STATUSES[status] === "null") throw new TypeError("it was freed, or is nothing that nelumbo made");
          const text = this.#taken();
          if (status !== OK) throw new NelumboError(JSON.parse(text), text);
          return text;
        },
      );
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) this.#fault = poisoned(error);
      throw this.#fault ?? error;
    }
  }

  /** Calls a function that gives a number. */
  ask(act) {
    if (this.#fault) throw this.#fault;
    return act(this.#exports);
  }

  /** The pointer, or the low 53 bits of the number, behind the buffer in the scratch room. */
  pointer() {
    return this.#view().getUint32(this.#scratch + 8, true);
  }

  number() {
    return Number(this.#view().getBigUint64(this.#scratch + 16, true));
  }
}

function poisoned(error) {
  return new NelumboError({
    code: "poisoned",
    message: `an assertion of the library has failed: ${error.message}`,
    remedy: "load the core anew, make the machine from its journal, and report the fault",
  });
}

let loaded;

/** The bytes of the module: next to this file, whether that lies on a disk or on a server. */
async function fetchModule() {
  const url = new URL("./nelumbo.wasm", import.meta.url);
  if (url.protocol !== "file:") return WebAssembly.compileStreaming(fetch(url));
  const { readFile } = await import("node:fs/promises");
  return WebAssembly.compile(await readFile(url));
}

/**
 * Loads the core, once for all that call this: `{ Machine, Signer, call }`. With a module, a new instance of it.
 * @param {WebAssembly.Module} [module]
 */
export async function load(module) {
  if (module) return surface(await WebAssembly.instantiate(module, {}));
  loaded ??= fetchModule().then((module) => load(module));
  return loaded;
}

function surface({ exports }) {
  const core = new Core(exports);

  /** One signer's node. Give it back with `free`, or leave it to the end of the page. */
  class Machine {
    #pointer = 0;

    constructor(params, secret, seed, monoMs, wallMs) {
      const text = JSON.stringify(params);
      core.run([text, of32(secret, "secret"), of32(seed, "seed")], (wasm, out, place, key, fresh) =>
        wasm.nelumbo_machine_new(place, length(text), key, fresh, monoMs, wallMs, out + 8, out),
      );
      this.#pointer = core.pointer();
    }

    handle(monoMs, wallMs, inputs) {
      this.handleText(monoMs, wallMs, JSON.stringify(inputs));
    }

    handleText(monoMs, wallMs, text) {
      core.run([text], (wasm, out, place) =>
        wasm.nelumbo_machine_handle(this.#pointer, monoMs, wallMs, place, length(text), out),
      );
    }

    command(monoMs, wallMs, command) {
      return this.commandText(monoMs, wallMs, JSON.stringify(command));
    }

    commandText(monoMs, wallMs, text) {
      core.run([text], (wasm, out, place) =>
        wasm.nelumbo_machine_command(this.#pointer, monoMs, wallMs, place, length(text), out + 16, out),
      );
      return core.number();
    }

    poll() {
      return JSON.parse(this.pollText());
    }

    pollText() {
      return core.run([], (wasm, out) => wasm.nelumbo_machine_poll(this.#pointer, out));
    }

    deadline() {
      const at = core.ask((wasm) => wasm.nelumbo_machine_deadline(this.#pointer));
      return at < 0 ? undefined : at;
    }

    view() {
      return JSON.parse(this.viewText());
    }

    viewText() {
      return core.run([], (wasm, out) => wasm.nelumbo_machine_view(this.#pointer, out));
    }

    free() {
      core.ask((wasm) => wasm.nelumbo_machine_free(this.#pointer));
      this.#pointer = 0;
    }
  }

  /** A signing key that answers the output `sign` of a machine that has it not. */
  class Signer {
    #pointer = 0;

    constructor(secret, seed) {
      core.run([of32(secret, "secret"), of32(seed, "seed")], (wasm, out, key, fresh) =>
        wasm.nelumbo_signer_new(key, fresh, out + 8, out),
      );
      this.#pointer = core.pointer();
    }

    describe(request) {
      return JSON.parse(this.describeText(JSON.stringify(request)));
    }

    describeText(text) {
      return core.run([text], (wasm, out, place) =>
        wasm.nelumbo_signer_describe(this.#pointer, place, length(text), out),
      );
    }

    answer(request) {
      return JSON.parse(this.answerText(JSON.stringify(request)));
    }

    answerText(text) {
      return core.run([text], (wasm, out, place) => wasm.nelumbo_signer_answer(this.#pointer, place, length(text), out));
    }

    free() {
      core.ask((wasm) => wasm.nelumbo_signer_free(this.#pointer));
      this.#pointer = 0;
    }
  }

  const callText = (text) => core.run([text], (wasm, out, place) => wasm.nelumbo_call(place, length(text), out));
  const call = (question) => JSON.parse(callText(JSON.stringify(question)));
  return { Machine, Signer, call, callText };
}

const length = (text) => encoder.encode(text).length;

function of32(bytes, name) {
  if (!(bytes instanceof Uint8Array) || bytes.length !== 32) {
    throw new NelumboError({
      code: "bad-argument",
      message: `the ${name} is not a Uint8Array of 32 bytes`,
      remedy: "see the function's documentation",
    });
  }
  return bytes;
}

/** 32 bytes that nobody has seen before, for a secret or a seed. */
export const random32 = () => crypto.getRandomValues(new Uint8Array(32));
