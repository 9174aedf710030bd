// Where a node's identity and records are kept: in memory, in a file, in the browser's database.
//
// A journal belongs to one node at a time, and holds what belongs together: the keys, the libp2p identity and the records.
// Invariant: `write` resolves when all changes of that call, and all before it, would survive a loss of power.

import { NelumboError } from "./index.js";

const inUse = (name) =>
  new NelumboError({
    code: "journal-in-use",
    message: `the journal ${name} belongs to another tab or process`,
    remedy: "use the other one, or close it; a node with its key and journal can be there only once",
  });

/** Nothing outlasts the node: for tests, and for keys that are used once. */
export class MemoryJournal {
  #identity = new Map();
  #records = new Map();

  async open() {
    return { identity: new Map(this.#identity), records: [...this.#records] };
  }

  async keep(name, bytes) {
    this.#identity.set(name, bytes);
  }

  async write(changes) {
    for (const [key, value] of changes) value === null ? this.#records.delete(key) : this.#records.set(key, value);
  }

  async close() {}
}

/** A file of lines, for Node.js. A line that was not finished when the power went is as if it had not been begun. */
export class FileJournal {
  #path;
  #file;
  #queue = Promise.resolve();

  constructor(path) {
    this.#path = path;
  }

  async open() {
    const fs = await import("node:fs/promises");
    await lockFile(fs, this.#path);
    const identity = new Map();
    const records = new Map();
    const text = await fs.readFile(this.#path, "utf8").catch((error) => (error.code === "ENOENT" ? "" : Promise.reject(error)));
    const lines = text.split("\n");
    lines.pop();
    for (const line of lines) {
      const { keep, changes } = JSON.parse(line);
      if (keep) identity.set(keep[0], Uint8Array.from(Buffer.from(keep[1], "hex")));
      for (const [key, value] of changes ?? []) value === null ? records.delete(key) : records.set(key, value);
    }
    // Written anew, so that it does not grow for ever and begins with whole lines; then put in the old one's place.
    const fresh = `${this.#path}.new`;
    const whole = [...identity].map(([name, bytes]) => line({ keep: [name, Buffer.from(bytes).toString("hex")] }));
    whole.push(line({ changes: [...records] }));
    const file = await fs.open(fresh, "w", 0o600);
    await file.writeFile(whole.join(""));
    await file.sync();
    await file.close();
    await fs.rename(fresh, this.#path);
    const folder = await fs.open((await import("node:path")).dirname(this.#path));
    await folder.sync();
    await folder.close();
    this.#file = await fs.open(this.#path, "a", 0o600);
    return { identity, records: [...records] };
  }

  keep(name, bytes) {
    return this.#append({ keep: [name, Buffer.from(bytes).toString("hex")] });
  }

  write(changes) {
    return this.#append({ changes });
  }

  #append(what) {
    // One after the other. After one has failed none succeeds: the file may end anywhere.
    this.#queue = this.#queue.then(async () => {
      await this.#file.appendFile(line(what));
      await this.#file.datasync();
    });
    return this.#queue;
  }

  async close() {
    await this.#queue.catch(() => {});
    await this.#file?.close();
    const fs = await import("node:fs/promises");
    if (!this.#file) return;
    held.delete(`${this.#path}.lock`);
    await fs.rm(`${this.#path}.lock`, { force: true });
  }
}

const line = (what) => `${JSON.stringify(what)}\n`;

/** The locks that this process holds. */
const held = new Set();

/** Takes the lock beside the file, also from a process that is gone. */
async function lockFile(fs, path) {
  const lock = `${path}.lock`;
  if (held.has(lock)) throw inUse(path);
  const holder = Number(await fs.readFile(lock, "utf8").catch(() => ""));
  if (holder && isRunning(holder) && holder !== process.pid) throw inUse(path);
  if (holder) await fs.rm(lock, { force: true });
  try {
    await fs.writeFile(lock, `${process.pid}`, { flag: "wx" });
  } catch (error) {
    throw error.code === "EEXIST" ? inUse(path) : error;
  }
  held.add(lock);
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** The browser's database, and a Web Lock, so that two tabs do not run one node. */
export class IndexedDbJournal {
  #name;
  #database;
  #release;

  constructor(name = "nelumbo") {
    this.#name = name;
  }

  async open() {
    await this.#lock();
    this.#database = await request(indexedDB.open(this.#name, 1), (opening) => {
      opening.result.createObjectStore("identity");
      opening.result.createObjectStore("records");
    });
    const read = this.#database.transaction(["identity", "records"]);
    const all = async (store) => {
      const [keys, values] = await Promise.all([request(store.getAllKeys()), request(store.getAll())]);
      return keys.map((key, index) => [key, values[index]]);
    };
    const [identity, records] = await Promise.all(["identity", "records"].map((name) => all(read.objectStore(name))));
    return { identity: new Map(identity), records };
  }

  /** Held until `close`, or until the tab is gone. */
  #lock() {
    return new Promise((resolve, reject) => {
      const hold = (lock) => {
        if (!lock) return reject(inUse(this.#name));
        resolve();
        return new Promise((release) => (this.#release = release));
      };
      navigator.locks.request(`nelumbo:${this.#name}`, { ifAvailable: true }, hold).catch(reject);
    });
  }

  keep(name, bytes) {
    return this.#commit("identity", (store) => store.put(bytes, name));
  }

  write(changes) {
    return this.#commit("records", (store) => {
      for (const [key, value] of changes) value === null ? store.delete(key) : store.put(value, key);
    });
  }

  #commit(name, change) {
    return new Promise((resolve, reject) => {
      // Relaxed durability, the default of some browsers, would say so before it is on the disk.
      const transaction = this.#database.transaction(name, "readwrite", { durability: "strict" });
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      change(transaction.objectStore(name));
    });
  }

  async close() {
    this.#database?.close();
    this.#release?.();
  }
}

function request(request, upgrade) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    if (upgrade) request.onupgradeneeded = () => upgrade(request);
  });
}
