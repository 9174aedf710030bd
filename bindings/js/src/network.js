// Connections, direct messages, gossip and the DHT, on js-libp2p.
//
// Owns the libp2p node, whom to stay connected to, and whom to refuse. Invariants: a banned peer has no connection; what
// comes in is bounded before it is read; what cannot be sent is dropped, and the machine asks for it again. Driven by
// libp2p.js, which hears of everything through `listen`.

import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { gossipsub } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import { kadDHT, passthroughMapper } from "@libp2p/kad-dht";
import { noise } from "@libp2p/noise";
import { ping } from "@libp2p/ping";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const DHT_PROTOCOL = "/lotus/kad/1.0.0";
const SESSION_PROTOCOL = "/nelumbo/session/1.0.0";
/** As io-tokio has it: the most bytes of a direct message. */
const MAX_DIRECT = 100_000;
/** Streams to one peer at a time; a receiver accepts a few more. */
const STREAMS = 24;
const PATIENCE_MS = 10_000;
const LOOKUP_MS = 5_000;
const [FIRST_RETRY_MS, LAST_RETRY_MS] = [1_000, 60_000];
const P2P_CODE = 421;

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));
const patience = (ms = PATIENCE_MS) => ({ signal: AbortSignal.timeout(ms) });

export class Network {
  libp2p;
  #tell = () => {};
  #call;
  #log;
  #banned;
  #kept = new Map();
  #queues = new Map();
  #stored = new Map();
  #verdicts = new Map();
  #gossip = 0;
  #isStopped = false;

  static async start(options) {
    const banned = new Set();
    const { call } = options;
    const check = (key, value) =>
      call({ type: "check-record", network: options.network, key, value: hex(value), wall_ms: Date.now() });
    const text = (key) => new TextDecoder().decode(key);
    const libp2p = await createLibp2p({
      privateKey: options.privateKey,
      addresses: { listen: [...(options.listen ?? []), ...(options.relays ?? []).map((relay) => `${relay}/p2p-circuit`)] },
      transports: [webSockets(), circuitRelayTransport(), ...(options.transports ?? [])],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      connectionGater: {
        // By default pages refuse private addresses and plain WebSockets. Browsers themselves refuse the latter where
        // they must.
        denyDialMultiaddr: () => false,
        denyDialPeer: (peer) => banned.has(peer.toString()),
        denyInboundEncryptedConnection: (peer) => banned.has(peer.toString()),
      },
      services: {
        identify: identify(),
        ping: ping(),
        dht: kadDHT({
          protocol: DHT_PROTOCOL,
          clientMode: true,
          peerInfoMapper: passthroughMapper,
          // Whoever finds an older record would write it back to those who have the newer.
          validators: { lotus: async (key, value) => void check(text(key), value) },
          selectors: { lotus: (key, values) => newest(values, (value) => check(text(key), value).issued_at_ms) },
        }),
        pubsub: gossipsub(),
      },
    });
    return new Network(libp2p, banned, options);
  }

  constructor(libp2p, banned, { bootstrap = [], call, log = () => {} }) {
    Object.assign(this, { libp2p });
    this.#banned = banned;
    this.#call = call;
    this.#log = log;
    this.bootstrap = bootstrap;
  }

  get peer() {
    return this.libp2p.peerId.toString();
  }

  /** From now on everything that happens is told, beginning with who is connected. */
  listen(tell) {
    this.#tell = tell;
    const { libp2p } = this;
    const { routingTable } = libp2p.services.dht;
    libp2p.addEventListener("peer:connect", ({ detail }) => tell({ type: "connected", peer: detail.toString() }));
    libp2p.addEventListener("peer:disconnect", ({ detail }) => this.#onDisconnected(detail.toString()));
    libp2p.addEventListener("self:peer:update", () => this.#tellAddresses());
    const routes = () => tell({ type: "routing-table", peers: routingTable.size });
    for (const change of ["peer:add", "peer:remove"]) routingTable.addEventListener?.(change, routes);
    void libp2p.handle(SESSION_PROTOCOL, (stream, connection) => this.#receive(stream, connection), {
      maxInboundStreams: 64,
      runOnLimitedConnection: true,
    });
    for (const peer of libp2p.getPeers()) tell({ type: "connected", peer: peer.toString() });
    this.#tellAddresses();
    for (const address of this.bootstrap) this.#keepBootstrap(address, FIRST_RETRY_MS);
  }

  async connect(address) {
    await this.libp2p.dial(multiaddr(address), patience());
  }

  async stop() {
    this.#isStopped = true;
    for (const { timer } of this.#kept.values()) clearTimeout(timer);
    await this.libp2p.stop();
  }

  /** Does what a machine wants of the network. */
  perform(output) {
    const done = this.#act(output);
    done?.catch?.((error) => this.#log(`${output.type}: ${error.message}`));
  }

  #act(output) {
    const { pubsub } = this.libp2p.services;
    switch (output.type) {
      case "send":
        return this.#send(output.peer, unhex(output.bytes));
      case "subscribe":
        pubsub.topicValidators.set(output.topic, (from, { data }) => this.#judge(from, data));
        return pubsub.subscribe(output.topic);
      case "unsubscribe":
        pubsub.topicValidators.delete(output.topic);
        return pubsub.unsubscribe(output.topic);
      case "publish":
        return this.#publish(output.topic, unhex(output.bytes));
      case "verdict":
        this.#verdicts.get(output.id)?.(output.verdict);
        return this.#verdicts.delete(output.id);
      case "dial":
        return this.#keep(output.peer, output.addresses);
      case "release":
        clearTimeout(this.#kept.get(output.peer)?.timer);
        return this.#kept.delete(output.peer);
      case "ban":
        this.#banned.add(output.peer);
        return this.#hangUp(output.peer);
      case "unban":
        return this.#banned.delete(output.peer);
      case "lookup":
        return this.#lookup(output);
      case "store":
        return this.#store(output);
      default:
        // Records of others: a client of the DHT is asked to store none.
        return this.#log(`${output.type} is not for a client of the DHT`);
    }
  }

  #tellAddresses() {
    const own = this.libp2p.getMultiaddrs().map((address) => hex(address.decapsulateCode(P2P_CODE).bytes));
    this.#tell({ type: "addresses", addresses: [...new Set(own)].filter((address) => address.length > 0) });
  }

  #judge(from, data) {
    return new Promise((resolve) => {
      const id = ++this.#gossip;
      this.#verdicts.set(id, resolve);
      this.#tell({ type: "gossip", peer: from.toString(), id, bytes: hex(data) });
    });
  }

  async #publish(topic, bytes) {
    try {
      await this.libp2p.services.pubsub.publish(topic, bytes);
    } catch (error) {
      if (!/NoPeersSubscribed|PublishError/.test(`${error.name} ${error.message}`)) throw error;
    }
  }

  #connection(peer) {
    const all = this.libp2p.getConnections().filter(({ remotePeer, status }) => remotePeer.toString() === peer && status === "open");
    return all.find(({ limits }) => !limits) ?? all[0];
  }

  /** So many streams at a time; the rest waits its turn. */
  #send(peer, bytes) {
    const queue = this.#queues.get(peer) ?? { waiting: [], running: 0 };
    this.#queues.set(peer, queue);
    queue.waiting.push(bytes);
    const work = async () => {
      while (queue.waiting.length > 0) await this.#sendOne(peer, queue.waiting.shift()).catch((error) => this.#log(`send: ${error.message}`));
    };
    if (queue.running >= STREAMS) return undefined;
    queue.running += 1;
    return work().finally(() => (queue.running -= 1));
  }

  async #sendOne(peer, bytes) {
    const connection = this.#connection(peer);
    if (!connection) throw new Error(`${peer} is not connected`);
    const options = { ...patience(), maxOutboundStreams: 64, runOnLimitedConnection: true };
    const stream = await connection.newStream(SESSION_PROTOCOL, options);
    try {
      stream.send(bytes);
      await stream.close(patience());
      // The receiver's end is the acknowledgement.
      await readToEnd(stream, 0);
    } catch (error) {
      stream.abort(error);
      throw error;
    }
  }

  async #receive(stream, { remotePeer }) {
    try {
      const bytes = await readToEnd(stream, MAX_DIRECT);
      this.#tell({ type: "received", peer: remotePeer.toString(), bytes: hex(bytes) });
      await stream.close(patience());
    } catch (error) {
      stream.abort(error);
    }
  }

  /** Connects, and connects again when it is lost. */
  #keep(peer, addresses) {
    clearTimeout(this.#kept.get(peer)?.timer);
    this.#kept.set(peer, { addresses, timer: undefined, wait: FIRST_RETRY_MS, since: -Infinity });
    return this.#reach(peer);
  }

  async #reach(peer) {
    const kept = this.#kept.get(peer);
    if (!kept || this.#isStopped || this.#connection(peer)) return;
    try {
      const known = kept.addresses.map((address) => multiaddr(unhex(address))).map(String);
      const named = known.map((address) => multiaddr(address.includes("/p2p/") && !address.endsWith("p2p-circuit") ? address : `${address}/p2p/${peer}`));
      if (named.length === 0) throw new Error(`no address of ${peer} is known`);
      await this.libp2p.dial(named, patience());
      kept.since = performance.now();
    } catch (error) {
      this.#log(`dial: ${error.message}`);
      if (this.#kept.get(peer) !== kept || this.#isStopped) return;
      kept.timer = setTimeout(() => this.#reach(peer), kept.wait);
      kept.wait = Math.min(2 * kept.wait, LAST_RETRY_MS);
    }
  }

  async #keepBootstrap(address, wait) {
    if (this.#isStopped) return;
    try {
      const name = address.split("/p2p/").at(-1);
      if (!this.#connection(name)) await this.connect(address);
      setTimeout(() => this.#keepBootstrap(address, FIRST_RETRY_MS), LAST_RETRY_MS / 4).unref?.();
    } catch (error) {
      this.#log(`bootstrap: ${error.message}`);
      setTimeout(() => this.#keepBootstrap(address, Math.min(2 * wait, LAST_RETRY_MS)), wait).unref?.();
    }
  }

  #onDisconnected(peer) {
    this.#queues.delete(peer);
    this.#tell({ type: "disconnected", peer });
    const kept = this.#kept.get(peer);
    if (!kept) return;
    // Who hangs up at once, as one that has banned this node, is called less and less often.
    const hasLasted = performance.now() - kept.since > LAST_RETRY_MS;
    if (hasLasted) kept.wait = FIRST_RETRY_MS;
    kept.timer = setTimeout(() => this.#reach(peer), kept.wait);
    kept.wait = Math.min(2 * kept.wait, LAST_RETRY_MS);
  }

  async #hangUp(peer) {
    await Promise.all(this.libp2p.getConnections().filter(({ remotePeer }) => remotePeer.toString() === peer).map((one) => one.close()));
  }

  async #lookup({ operation, key }) {
    try {
      for await (const event of this.libp2p.services.dht.get(new TextEncoder().encode(key), patience(LOOKUP_MS))) {
        if (event.name === "VALUE") this.#tell({ type: "found", operation, bytes: hex(event.value) });
      }
    } catch (error) {
      this.#log(`lookup: ${error.message}`);
    }
    this.#tell({ type: "lookup-finished", operation });
  }

  async #store({ key, value, lifetime_ms }) {
    const now = Date.now();
    for (const [name, { until }] of this.#stored) if (until <= now) this.#stored.delete(name);
    const stored = this.#stored.get(key)?.value;
    const merged = stored ? this.#call({ type: "merge-own", stored, value }).value : value;
    this.#stored.set(key, { value: merged, until: now + lifetime_ms });
    // The answers of those who store it end with it; what counts is that it is found.
    for await (const event of this.libp2p.services.dht.put(new TextEncoder().encode(key), unhex(merged), patience())) void event;
  }
}

/** The place of the value that was signed last; those that are not valid count least. */
function newest(values, signedAt) {
  const dates = values.map((value) => {
    try {
      return signedAt(value);
    } catch {
      return -1;
    }
  });
  return dates.indexOf(Math.max(...dates));
}

/** All bytes of a stream, at most so many. Its end may have come before anybody listens: `for await` would wait for ever. */
function readToEnd(stream, most) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let length = 0;
    const timer = setTimeout(() => reject(new Error("the other side says nothing")), PATIENCE_MS);
    const end = (act) => (clearTimeout(timer), act());
    const look = (error) => {
      if (error || ["aborted", "reset"].includes(stream.status)) end(() => reject(error ?? new Error("the stream was reset")));
      else if (length > most) end(() => reject(new Error(`more than ${most} bytes`)));
      else if (stream.remoteWriteStatus === "closed" && stream.readBufferLength === 0) end(() => resolve(join(chunks, length)));
    };
    stream.addEventListener("message", ({ data }) => {
      const chunk = data.subarray();
      length += chunk.length;
      if (length <= most) chunks.push(chunk);
      look();
    });
    stream.addEventListener("remoteCloseWrite", () => look());
    stream.addEventListener("close", ({ error }) => look(error));
    setTimeout(look);
  });
}

function join(chunks, length) {
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
