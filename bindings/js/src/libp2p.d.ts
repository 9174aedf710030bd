import type { Command, Event, Key, Network, Policy, Session, Settings, SignatureHex, SignReply } from "./shapes.js";
import type { SignRequest, Unusual, View } from "./shapes.js";
import type { Journal } from "./journal.js";

export * from "./index.js";
export * from "./journal.js";

/** A session that is to be signed. */
export type CreateSession = Omit<Extract<Command, { type: "create" }>, "type">;

/** How a node is started. */
export interface Options {
  /** The network that the keys belong to. */
  network: Network;
  /** Where keys and records are kept; in memory unless it is said. */
  journal?: Journal;
  /** Multiaddrs with peer ids of nodes to stay connected to: at least one, to find the others. */
  bootstrap?: string[];
  /** Multiaddrs of relays, by which those are reached who cannot be dialled, such as pages. */
  relays?: string[];
  /** Multiaddrs to listen on; pages cannot. */
  listen?: string[];
  /** The secret key; unless it is said, one is drawn and kept in the journal. */
  secret?: Uint8Array;
  /** Who has the signing key, when it is not here: a device, another process, a worker. */
  signer?: { key: Key; answer(request: SignRequest): Promise<SignReply | null> | SignReply | null };
  /** What gets in without anybody being asked. */
  policy?: Policy;
  /** How the node behaves, where it differs from the defaults. */
  config?: Settings;
  /** More transports of js-libp2p than WebSocket and relays. */
  transports?: unknown[];
  /** The module `nelumbo.wasm`, where it does not lie beside this one. */
  module?: WebAssembly.Module;
  /** Hears what went wrong on the network, for debugging. */
  log?(text: string): void;
}

/** A node on js-libp2p. */
export interface Node {
  /** Its signing key. */
  readonly key: Key;
  /** Its libp2p peer id. */
  readonly peer: string;
  /** What it runs on. */
  readonly libp2p: unknown;
  /** Resolves when the node has stopped: with nothing, or with what made it stop. */
  readonly closed: Promise<Error | undefined>;
  /** Where everything stands. */
  view(): View;
  /** Tells it what is wanted; gives the command's number. Throws a `NelumboError`. */
  command(command: Command): number;
  /** Asks for a signature; gives the session's id. */
  create(session: CreateSession): Promise<Session>;
  /** Approves a session, whose `summary` somebody has looked at; `allow` names what of it may be unusual. */
  join(session: Session, allow?: Unusual[]): void;
  /** Refuses a session. */
  decline(session: Session): void;
  /** The signatures of a session, one for each item; rejects with an error that has the `event` by which it ended. */
  completed(session: Session): Promise<SignatureHex[]>;
  /** Waits until a signer can be reached. */
  reached(key: Key): Promise<void>;
  /** Calls a function with every event; gives a function that ends this. */
  on(listener: (event: Event) => void): () => void;
  /** Connects to a multiaddr. */
  dial(address: string): Promise<void>;
  /** Leaves the network. */
  stop(): Promise<void>;
}

/** Starts a node. */
export function start(options: Options): Promise<Node>;
