// A node on js-libp2p, in browsers and in Node.js.
//
// Owns the machine and does what it wants: `network.js` has the connections, streams, gossip and DHT. Invariants: what
// happens is handed over in order; records go to the journal in order, and the machine hears of them when they are
// durable; after a fault of the library or the journal the node stops, and says nothing more to anybody.

import "./polyfill.js";
import { privateKeyFromProtobuf, privateKeyToProtobuf, generateKeyPair } from "@libp2p/crypto/keys";
import { NelumboError, load, random32 } from "./index.js";
import { MemoryJournal } from "./journal.js";
import { Network } from "./network.js";

export { NelumboError, load, random32 } from "./index.js";
export { FileJournal, IndexedDbJournal, MemoryJournal } from "./journal.js";

/** The longest that a timer waits: browsers take longer ones for none. */
const LONGEST_WAIT = 2 ** 31 - 1;
/** Events of which a session gets no further. */
const ENDS = ["session-aborted", "session-expired", "session-closed", "session-misdated"];

/** Starts a node; see `Options` in libp2p.d.ts. */
export async function start(options) {
  const { Machine, call } = await load(options.module);
  const journal = options.journal ?? new MemoryJournal();
  const { identity, records } = await journal.open();
  try {
    const kept = async (name, make) => {
      if (!identity.has(name)) {
        identity.set(name, await make());
        await journal.keep(name, identity.get(name));
      }
      return identity.get(name);
    };
    const secret = options.secret ?? (await kept(options.signer ? "message-secret" : "secret", random32));
    const peer = await kept("peer", async () => privateKeyToProtobuf(await generateKeyPair("Ed25519")));
    const network = await Network.start({ ...options, privateKey: privateKeyFromProtobuf(peer), call });
    return new Node({ Machine, journal, network, options, records, secret });
  } catch (error) {
    await journal.close();
    throw error;
  }
}

class Node {
  #machine;
  #journal;
  #network;
  #signer;
  #inputs = [];
  #isScheduled = false;
  #timer;
  #listeners = new Set();
  #created = new Map();
  #writing = Promise.resolve();
  #ending;
  /** Resolves when the node has stopped: with nothing, or with what made it stop. */
  closed;

  constructor({ Machine, journal, network, options, records, secret }) {
    this.#journal = journal;
    this.#network = network;
    this.#signer = options.signer;
    const params = {
      network: options.network,
      peer: network.peer,
      records,
      config: options.config ?? {},
      policy: options.policy ?? {},
      ...(options.signer && { signing_key: options.signer.key }),
    };
    this.#machine = new Machine(params, secret, random32(), performance.now(), Date.now());
    this.closed = new Promise((resolve) => (this.#ending = resolve));
    this.peer = network.peer;
    this.libp2p = network.libp2p;
    this.key = this.view().key;
    network.listen((input) => this.#give(input));
    this.#give({ type: "tick" });
  }

  /** Where everything stands. */
  view() {
    return this.#machine.view();
  }

  /** Tells the machine what is wanted; gives the command's number. */
  command(command) {
    const number = this.#machine.command(performance.now(), Date.now(), command);
    this.#give({ type: "tick" });
    return number;
  }

  /** Asks for a signature; gives the session's id. */
  create(session) {
    const number = this.command({ type: "create", ...session });
    return new Promise((resolve) => this.#created.set(number, resolve));
  }

  /** Approves a session. */
  join(session, allow = []) {
    this.command({ type: "join", session, allow });
  }

  /** Refuses a session. */
  decline(session) {
    this.command({ type: "abort", session, reason: "declined" });
  }

  /** Waits for the signatures of a session, one for each item; throws the event with which it ended otherwise. */
  completed(session) {
    return new Promise((resolve, reject) => {
      const look = (event) => {
        if (event.session !== session) return;
        if (event.type === "session-completed") resolve(event.signatures);
        else if (ENDS.includes(event.type) && !event.may_complete) reject(Object.assign(new Error(event.type), { event }));
        else return;
        leave();
      };
      const leave = this.on(look);
      const known = this.view().sessions.find(({ id }) => id === session);
      if (known?.phase === "complete") look({ type: "session-completed", session, signatures: known.signatures });
    });
  }

  /** Waits until a signer can be reached. */
  reached(key) {
    return new Promise((resolve) => {
      const leave = this.on((event) => event.type === "signer-connected" && event.key === key && done());
      const done = () => (leave(), resolve());
      if (this.view().signers.some((signer) => signer.key === key && signer.is_connected)) done();
    });
  }

  /** Calls a function with every event; gives a function that ends this. */
  on(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Connects to a multiaddr. */
  async dial(address) {
    await this.#network.connect(address);
  }

  /** Leaves the network. The journal has everything that it needs to go on. */
  async stop() {
    await this.#stop();
    await this.closed;
  }

  async #stop(error) {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    await this.#network.stop();
    await this.#writing.catch(() => {});
    await this.#journal.close();
    this.#ending(error);
  }

  #give(input) {
    this.#inputs.push(input);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => this.#turn());
  }

  #turn() {
    this.#isScheduled = false;
    if (this.#timer === null) return;
    const inputs = this.#inputs.splice(0);
    try {
      this.#machine.handle(performance.now(), Date.now(), inputs);
      this.#perform(this.#machine.poll());
      clearTimeout(this.#timer);
      const due = this.#machine.deadline();
      const wait = due === undefined ? LONGEST_WAIT : Math.max(0, due - performance.now());
      this.#timer = setTimeout(() => this.#give({ type: "tick" }), Math.min(wait, LONGEST_WAIT));
    } catch (error) {
      void this.#stop(error);
    }
  }

  #perform(outputs) {
    const changes = outputs.filter(({ type }) => type === "persist");
    if (changes.length > 0) this.#persist(changes);
    for (const output of outputs) {
      if (output.type === "event") this.#tell(output.event);
      else if (output.type === "sign") void this.#ask(output.request);
      else if (output.type !== "persist") this.#network.perform(output);
    }
  }

  #persist(changes) {
    const { sequence } = changes.at(-1);
    this.#writing = this.#journal.write(changes.map(({ key, value }) => [key, value]));
    this.#writing.then(
      () => this.#give({ type: "persisted", sequence }),
      (error) => this.#stop(error),
    );
  }

  async #ask(request) {
    try {
      const reply = await this.#signer.answer(request);
      if (reply) this.#give({ type: "signed", reply });
    } catch {
      const failed = { nonces: "no-nonces", partials: "no-partials", single: "no-single" }[request.type];
      const { slot, id } = request;
      const named = slot ? { slot } : { id };
      if (failed) this.#give({ type: "signed", reply: { type: failed, ...named, error: "unavailable" } });
    }
  }

  #tell(event) {
    if (event.type === "session-created") this.#created.get(event.command)?.(event.session);
    this.#created.delete(event.command);
    for (const listener of this.#listeners) {
      // One who fails does not keep the others from hearing of it.
      try {
        listener(event);
      } catch (error) {
        reportLater(error);
      }
    }
  }
}

function reportLater(error) {
  setTimeout(() => {
    throw error;
  });
}
