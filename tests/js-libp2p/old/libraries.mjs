// What peer.mjs is built from, in the versions of this folder.

export { noise } from '@chainsafe/libp2p-noise'
export { yamux } from '@chainsafe/libp2p-yamux'
export { gossipsub } from '@libp2p/gossipsub'
export { identify } from '@libp2p/identify'
export { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
export { ping } from '@libp2p/ping'
export { tcp } from '@libp2p/tcp'
export { webSockets } from '@libp2p/websockets'
export { multiaddr } from '@multiformats/multiaddr'
export { createLibp2p } from 'libp2p'
export { WebSocket } from 'ws'
