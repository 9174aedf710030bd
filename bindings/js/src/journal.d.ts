/** Where a node's identity and records are kept. It belongs to one node at a time. */
export interface Journal {
  /** Takes the journal, and reads it. Rejects with the code `journal-in-use` when somebody else has it. */
  open(): Promise<{ identity: Map<string, Uint8Array>; records: [key: string, value: string][] }>;
  /** Keeps a part of the identity; resolves when it is durable. */
  keep(name: string, bytes: Uint8Array): Promise<void>;
  /** Changes records, in order; null removes one. Resolves when these and all before are durable. */
  write(changes: [key: string, value: string | null][]): Promise<void>;
  /** Gives the journal back. */
  close(): Promise<void>;
}

/** Nothing outlasts the node. */
export class MemoryJournal implements Journal {
  open: Journal["open"];
  keep: Journal["keep"];
  write: Journal["write"];
  close: Journal["close"];
}

/** A file, for Node.js. It has the secret key in it, and is readable for its owner only. */
export class FileJournal extends MemoryJournal {
  constructor(path: string);
}

/** The browser's database. It has the secret key in it, for every script of its origin; see `Options.signer`. */
export class IndexedDbJournal extends MemoryJournal {
  constructor(name?: string);
}
