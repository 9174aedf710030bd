// A peer on js-libp2p: one JSON object per line on standard input, one answer per line on standard output.
//
//   node peer.mjs old|new        the folder with the versions to use, after `npm ci` there
//
// Every request has an `op` and an `id`; the answer repeats the `id` and holds either the result or `error`. Requests run
// side by side and are answered as they end. Payloads and DHT values are opaque here: lower-case hex, both ways.
//
//   info       {}                           -> peer, addresses, versions, node
//   connections {}                          -> connections: [{peer, address, id, direction}]
//   routes     peer                         -> known             (whether it is in the DHT's routing table)
//   dial       address                      -> (nothing)
//   put        key, value                   -> acknowledged, failed    (nodes asked to store the record)
//   get        key                          -> value or null     (what the selector picked of all that was found)
//   subscribe  topic                        -> (nothing)
//   subscribers topic                       -> peers
//   publish    topic, payload               -> recipients        (how many)
//   heard      {}                           -> messages: [{topic, payload}]     (gossip since the last time)
//   send       peer, protocol, payloads     -> acknowledged      (one stream each, in order, a few at a time)
//   received   {}                           -> messages: [{peer, payload}]      (direct ones since the last time)
//
// The process ends with its standard input.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

// js-libp2p asks for Node.js 22; these two are what it misses in 20.
Promise.withResolvers ??= function withResolvers() {
  const parts = {}
  parts.promise = new this((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
const set = process.argv[2]
if (!['old', 'new'].includes(set)) throw new Error('usage: node peer.mjs old|new')
const libraries = await import(`./${set}/libraries.mjs`)
globalThis.WebSocket ??= libraries.WebSocket

const {
  createLibp2p, gossipsub, identify, kadDHT, multiaddr, noise, passthroughMapper, ping, tcp, webSockets, yamux,
} = libraries

const DHT_PROTOCOL = '/lotus/kad/1.0.0'
const SESSION_PROTOCOL = '/nelumbo/session/1.0.0'
const PATIENCE = 60_000
/** Streams of one protocol and connection that are open at a time: both sides accept a few more. */
const STREAMS = 16

const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'] },
  transports: [tcp(), webSockets()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    dht: kadDHT({
      protocol: DHT_PROTOCOL,
      clientMode: false,
      // The default drops private addresses, and with them everybody on this machine.
      peerInfoMapper: passthroughMapper,
      // Without these two no record under /lotus/ is stored or found. What is valid is not this peer's to say.
      validators: { lotus: async () => {} },
      selectors: { lotus: () => 0 },
    }),
    pubsub: gossipsub(),
  },
})

const hex = bytes => Buffer.from(bytes).toString('hex')
const bytes = text => Uint8Array.from(Buffer.from(text, 'hex'))
const withPatience = () => ({ signal: AbortSignal.timeout(PATIENCE) })

let heard = []
node.services.pubsub.addEventListener('message', ({ detail: { topic, data } }) => {
  heard.push({ topic, payload: hex(data) })
})

/** All bytes of a stream. Its end may have come before anybody listens: `for await` would wait for it for ever. */
function readToEnd(stream) {
  const { promise, resolve, reject } = Promise.withResolvers()
  const chunks = []
  const look = error => {
    if (error || ['aborted', 'reset'].includes(stream.status)) reject(error ?? new Error('the stream was reset'))
    if (stream.remoteWriteStatus === 'closed' && stream.readBufferLength === 0) resolve(Buffer.concat(chunks))
  }
  stream.addEventListener('message', ({ data }) => {
    chunks.push(data.subarray())
    look()
  })
  stream.addEventListener('remoteCloseWrite', () => look())
  stream.addEventListener('close', ({ error }) => look(error))
  setTimeout(look)
  return promise
}

let received = []
async function onDirect(stream, connection) {
  try {
    const message = await readToEnd(stream)
    received.push({ peer: connection.remotePeer.toString(), payload: hex(message) })
    // The acknowledgement. Whoever does not close runs out of streams after the 32nd message.
    await stream.close()
  } catch (error) {
    stream.abort(error)
  }
}
await node.handle(SESSION_PROTOCOL, onDirect, { maxInboundStreams: 64 })

async function sendOne(connection, protocol, payload) {
  const stream = await connection.newStream(protocol, { ...withPatience(), maxOutboundStreams: 64 })
  try {
    stream.send(bytes(payload))
    await stream.close(withPatience())
    const answer = await readToEnd(stream)
    if (answer.length > 0) throw new Error('bytes in place of an acknowledgement')
  } catch (error) {
    stream.abort(error)
    throw error
  }
}

async function send({ peer, protocol, payloads }) {
  const connection = node.getConnections().find(({ remotePeer }) => remotePeer.toString() === peer)
  if (!connection) throw new Error(`peer: not connected to ${peer}`)
  let next = 0
  const worker = async () => {
    while (next < payloads.length) await sendOne(connection, protocol ?? SESSION_PROTOCOL, payloads[next++])
  }
  await Promise.all(Array.from({ length: STREAMS }, worker))
  return { acknowledged: payloads.length }
}

async function isRouted(peer) {
  const connection = node.getConnections().find(({ remotePeer }) => remotePeer.toString() === peer)
  return connection ? await node.services.dht.routingTable.find(connection.remotePeer) !== undefined : false
}

async function put({ key, value }) {
  const seen = { acknowledged: 0, failed: 0 }
  for await (const event of node.services.dht.put(Buffer.from(key), bytes(value), withPatience())) {
    // Looking for the nodes near the key makes answers of other types.
    if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') seen.acknowledged += 1
    if (event.name === 'QUERY_ERROR') seen.failed += 1
  }
  return seen
}

async function get({ key }) {
  let value = null
  try {
    for await (const event of node.services.dht.get(Buffer.from(key), withPatience())) {
      if (event.name === 'VALUE') value = hex(event.value)
    }
  } catch (error) {
    if (error.name !== 'NotFoundError') throw error
  }
  return { value }
}

const version = name => createRequire(import.meta.url)(`./${set}/node_modules/${name}/package.json`).version
const packages = ['libp2p', '@libp2p/kad-dht', '@libp2p/gossipsub']

const operations = {
  info: () => ({
    peer: node.peerId.toString(),
    addresses: node.getMultiaddrs().map(String),
    versions: Object.fromEntries(packages.map(name => [name, version(name)])),
    node: process.version,
  }),
  connections: () => ({
    connections: node.getConnections().map(({ remotePeer, remoteAddr, id, direction }) => ({
      peer: remotePeer.toString(), address: remoteAddr.toString(), id, direction,
    })),
  }),
  routes: async ({ peer }) => ({ known: await isRouted(peer) }),
  dial: async ({ address }) => void await node.dial(multiaddr(address), withPatience()),
  put,
  get,
  subscribe: ({ topic }) => void node.services.pubsub.subscribe(topic),
  subscribers: ({ topic }) => ({ peers: node.services.pubsub.getSubscribers(topic).map(String) }),
  publish: async ({ topic, payload }) => {
    const { recipients } = await node.services.pubsub.publish(topic, bytes(payload))
    return { recipients: recipients.length }
  },
  heard: () => {
    const messages = heard
    heard = []
    return { messages }
  },
  send,
  received: () => {
    const messages = received
    received = []
    return { messages }
  },
}

async function answer(line) {
  let id = null
  try {
    const request = JSON.parse(line)
    id = request.id ?? null
    if (!Object.hasOwn(operations, request.op)) throw new Error(`op: ${request.op} is not known`)
    return { id, ...(await operations[request.op](request)) }
  } catch (error) {
    return { id, error: error.message }
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  answer(line).then(result => process.stdout.write(`${JSON.stringify(result)}\n`))
}
await node.stop()
