// Runs the test vectors and the refusals through peer.mjs.
//
//   node selftest.mjs [FOLDER WITH THE VECTORS]        (default: ../vectors)
//
// Prints what fails, then `N passed, N failed`; exit status 1 when something failed or nothing ran.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

const here = fileURLToPath(new URL('.', import.meta.url))
const vectors = process.argv[2] ?? join(here, '..', 'vectors')
const read = name => JSON.parse(readFileSync(join(vectors, name), 'utf8'))

/** A running peer.mjs: requests in, answers out, in order. */
class Peer {
  constructor(...flags) {
    this.child = spawn(process.execPath, [join(here, 'peer.mjs'), ...flags], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]()
    this.asked = 0
  }

  async line(text) {
    this.child.stdin.write(text + '\n')
    const { value, done } = await this.lines.next()
    if (done) throw new Error('the peer has stopped')
    return JSON.parse(value)
  }

  async ask(op, request = {}) {
    const id = (this.asked += 1)
    const reply = await this.line(JSON.stringify({ ...request, id, op }))
    if (reply.id !== id) throw new Error(`an answer to ${reply.id} instead of ${id}`)
    return reply
  }

  async stop() {
    const exit = once(this.child, 'exit')
    this.child.stdin.end()
    return (await exit)[0]
  }
}

let passed = 0
let failed = 0

function expect(what, found, wanted) {
  if (JSON.stringify(found) === JSON.stringify(wanted)) return void (passed += 1)
  failed += 1
  console.error(`FAILED ${what}\n  wanted ${JSON.stringify(wanted)}\n  found  ${JSON.stringify(found)}`)
}

function expectError(what, reply, part) {
  const text = reply.error ?? `no error but ${JSON.stringify(reply)}`
  expect(what, text.includes(part) ? part : text, part)
}

async function schnorr(peer) {
  const { sign, verify } = read('schnorr.json')
  for (const each of sign) {
    const { public_key } = await peer.ask('keygen', { secret_key: each.seckey })
    expect(`schnorr key: ${each.comment}`, public_key, each.pubkey)
    const { signature } = await peer.ask('sign_digest', { public_key, message: each.msg })
    expect(`schnorr sign: ${each.comment}`, signature, each.sig)
  }
  for (const each of verify) {
    const reply = await peer.ask('verify', { public_key: each.pubkey, message: each.msg, signature: each.sig })
    // On the wire a key has 33 bytes; the consensus rule alone knows another form.
    const isUncompressed = each.pubkey.length === 130
    expect(`schnorr verify: ${each.comment}`, reply.valid, each.valid && !isUncompressed)
  }
}

async function keyAggregation(peer) {
  for (const each of read('keyagg.json').cases) {
    const reply = await peer.ask('aggregate', { keys: each.pubkeys_in })
    if (new Set(each.pubkeys_in).size !== each.pubkeys_in.length) {
      expectError(`keyagg: ${each.comment}`, reply, 'occurs twice')
      continue
    }
    expect(`keyagg order: ${each.comment}`, reply.keys, each.pubkeys_sorted)
    expect(`keyagg coefficients: ${each.comment}`, reply.coefficients, each.coefficients_by_sorted_index)
    expect(`keyagg: ${each.comment}`, reply.aggregate_key, each.aggregate_pubkey)
  }
}

async function session(peer, name, each) {
  const what = `${name}, ${each.comment}`
  const taproot = each.taproot?.merkle_root ?? false
  const keys = each.pubkeys_in
  const group = await peer.ask('aggregate', { keys, taproot })
  expect(`${what}: aggregate key`, group.aggregate_key, each.aggregate_pubkey)
  expect(`${what}: challenge key`, group.challenge_key, each.challenge_key)
  if (each.taproot) {
    expect(`${what}: tweak`, group.tweak, each.taproot.tweak)
    expect(`${what}: commitment`, group.commitment, each.taproot.commitment)
    expect(`${what}: script`, group.script_pubkey, each.taproot.script_pubkey)
  }

  const nonces = each.pubnonces_by_sorted_index.map(pair => pair.join(''))
  const round = { keys, taproot, message: each.msg, nonces }
  const partials = []
  for (const [index, secret_key] of each.seckeys_by_sorted_index.entries()) {
    const { public_key } = await peer.ask('keygen', { secret_key })
    expect(`${what}: key ${index}`, public_key, each.pubkeys_sorted[index])
    const secret_nonces = each.secnonces_by_sorted_index[index]
    const drawn = await peer.ask('nonce', { public_key, keys, taproot, secret_nonces })
    expect(`${what}: public nonce ${index}`, drawn.public_nonce, nonces[index])
    const signed = await peer.ask('sign', { nonce_id: drawn.nonce_id, ...round })
    expect(`${what}: partial ${index}`, signed.partial_signature, each.partial_sigs_by_sorted_index[index])
    const again = await peer.ask('nonce', { public_key, keys, taproot, secret_nonces })
    const aggregate_nonce = each.aggnonce.join('')
    const alike = await peer.ask('sign', {
      nonce_id: again.nonce_id, keys, taproot, message: each.msg, aggregate_nonce,
    })
    expect(`${what}: partial ${index} over the sum`, alike.partial_signature, signed.partial_signature)
    const checked = await peer.ask('verify_partial', { ...round, public_key, ...signed })
    expect(`${what}: partial ${index} verifies`, checked.valid, true)
    partials.push(signed.partial_signature)
  }
  for (const negative of each.negative_partials) {
    const public_key = each.pubkeys_sorted[negative.signer]
    // Two nonces that change places leave their sum as it is, and each signer with the other's.
    const order = [...nonces]
    const from = negative.nonce_of ?? negative.signer
    order[negative.signer] = nonces[from]
    order[from] = nonces[negative.signer]
    const partial_signature = negative.partial_sig
    const reply = await peer.ask('verify_partial', { ...round, nonces: order, public_key, partial_signature })
    expect(`${what}: ${negative.comment}`, reply.valid, false)
  }
  const combined = await peer.ask('combine', { ...round, partial_signatures: partials })
  expect(`${what}: signature`, combined.signature, each.sig)
  expect(`${what}: signature is valid`, combined.valid, each.final_valid)
  const verified = await peer.ask('verify', { public_key: each.challenge_key, message: each.msg, signature: each.sig })
  expect(`${what}: signature verifies`, verified.valid, each.final_valid)
}

async function addresses(peer) {
  // A taproot address is a function of the commitment alone: it has the commitment as payload.
  const livenet = await peer.ask('aggregate', { keys: [KEY_A, KEY_B], taproot: true })
  expect('address: livenet', livenet.address.slice(0, 7), 'lotus_J')
  const testnet = await peer.ask('aggregate', { keys: [KEY_A, KEY_B], taproot: true, network: 'testnet' })
  expect('address: testnet', testnet.address.slice(0, 7), 'lotusTJ')
  expect('address: same commitment', testnet.commitment, livenet.commitment)
  const plain = await peer.ask('aggregate', { keys: [KEY_A, KEY_B] })
  expect('address: plain', plain.address.slice(0, 6), 'lotus_')
  expectError('address: network', await peer.ask('aggregate', { keys: [KEY_A], network: 'x' }), 'network')
}

const KEY_A = '02a22b5f8b8d99052bb0632d2b7596bc6ee846c0a971a347875cc5c76b9e9ed826'
const KEY_B = '03807d594cd8e338a31a374f1fe9ad60f3a0343a143845fae5a39efea002a6127e'
const MESSAGE = '2e7178410264d492069e4102b5ec6499ecb82690eded9475ae6b8aca0238afe8'

/** Three processes, one signer each, with nonces of their own, as between strangers. */
async function freshSession(taproot) {
  const what = `fresh session, taproot ${taproot}`
  const peers = [new Peer(), new Peer(), new Peer()]
  const signers = []
  for (const peer of peers) signers.push({ peer, ...(await peer.ask('keygen')) })
  const keys = signers.map(each => each.public_key)
  signers.sort((a, b) => (a.public_key < b.public_key ? -1 : 1))
  for (const each of signers) {
    Object.assign(each, await each.peer.ask('nonce', { public_key: each.public_key, keys, taproot }))
  }
  const nonces = signers.map(each => each.public_nonce)
  expect(`${what}: nonces differ`, new Set(nonces).size, 3)
  const round = { keys, taproot, message: MESSAGE, nonces }
  for (const each of signers) {
    Object.assign(each, await each.peer.ask('sign', { nonce_id: each.nonce_id, ...round }))
    const other = signers[(signers.indexOf(each) + 1) % 3].peer
    const { public_key, partial_signature } = each
    const seen = await other.ask('verify_partial', { ...round, public_key, partial_signature })
    expect(`${what}: partial verifies elsewhere`, seen.valid, true)
  }
  const combined = await peers[0].ask('combine', {
    ...round, partial_signatures: signers.map(each => each.partial_signature),
  })
  expect(`${what}: valid`, combined.valid, true)
  for (const peer of peers) expect(`${what}: ends cleanly`, await peer.stop(), 0)
}

async function refusals() {
  const peer = new Peer()
  expectError('not JSON', await peer.line('{'), 'JSON')
  expectError('not an object', await peer.line('[]'), 'not a JSON object')
  expectError('unknown operation', await peer.ask('toString'), 'not known')
  expectError('no keys', await peer.ask('aggregate', { keys: [] }), 'empty')
  expectError('upper case', await peer.ask('aggregate', { keys: [KEY_A.toUpperCase()] }), 'lower-case hex')
  expectError('short key', await peer.ask('aggregate', { keys: [KEY_A.slice(2)] }), '32 bytes instead of 33')
  expectError('prefix', await peer.ask('aggregate', { keys: ['04' + KEY_A.slice(2)] }), 'prefix')
  expectError('off the curve', await peer.ask('aggregate', { keys: ['02' + '00'.repeat(31) + '05'] }), 'curve')
  expectError('x too large', await peer.ask('aggregate', { keys: ['02' + 'ff'.repeat(32)] }), 'field prime')
  expectError('root', await peer.ask('aggregate', { keys: [KEY_A], taproot: '00' }), '1 bytes instead of 32')
  expectError('secret key zero', await peer.ask('keygen', { secret_key: '00'.repeat(32) }), 'zero')
  expectError('secret key too large', await peer.ask('keygen', { secret_key: 'ff'.repeat(32) }), 'group order')
  expectError('unknown signer', await peer.ask('sign_digest', { public_key: KEY_A, message: MESSAGE }), 'no secret key')

  const { public_key } = await peer.ask('keygen')
  const alone = { public_key, keys: [public_key] }
  expectError('nonces from outside', await peer.ask('nonce', { ...alone, secret_nonces: [MESSAGE, MESSAGE] }), 'without')
  expectError('stranger', await peer.ask('nonce', { public_key, keys: [KEY_A] }), 'not among')

  const draw = async extra => peer.ask('nonce', { ...alone, ...extra })
  const sign = async (drawn, change) =>
    peer.ask('sign', {
      nonce_id: drawn.nonce_id, keys: [public_key], message: MESSAGE, nonces: [drawn.public_nonce], ...change,
    })
  const first = await draw()
  const signed = await sign(first)
  expect('signs once', signed.partial_signature?.length, 64)
  expectError('signs once only', await sign(first), 'used already')
  expectError('unknown nonce', await sign({ nonce_id: 'nonce-99' }), 'unknown')

  const dropped = await draw()
  expect('forgets', (await peer.ask('forget', { nonce_id: dropped.nonce_id })).error, undefined)
  expectError('forgotten nonce', await sign(dropped), 'unknown')
  const summed = await draw()
  expectError('no nonces', await sign(summed, { nonces: undefined }), 'aggregate_nonce')

  const other = await draw()
  expectError('nonce of another signer', await sign(other, { nonces: [first.public_nonce] }), 'not the nonce')
  expectError('an error uses a nonce up', await sign(other), 'used already')
  expectError('other keys', await sign(await draw(), { keys: [public_key, KEY_A] }), 'other keys')
  expectError('other root', await sign(await draw(), { taproot: true }), 'other keys or another root')
  expectError('other message', await sign(await draw({ message: '11'.repeat(32) })), 'another message')

  const round = { keys: [public_key], message: MESSAGE, nonces: [first.public_nonce], public_key }
  const high = await peer.ask('verify_partial', { ...round, partial_signature: 'ff'.repeat(32) })
  expect('partial signature too large', high.valid, false)
  expectError('partial too short', await peer.ask('verify_partial', { ...round, partial_signature: '00' }), '1 bytes')
  const combined = await peer.ask('combine', { ...round, partial_signatures: [signed.partial_signature] })
  expect('one signer', combined.valid, true)
  const forged = combined.signature.slice(0, 126) + (combined.signature.endsWith('00') ? '01' : '00')
  const group = await peer.ask('aggregate', { keys: [public_key] })
  const verdict = await peer.ask('verify', { public_key: group.aggregate_key, message: MESSAGE, signature: forged })
  expect('forged signature', verdict.valid, false)
  expect('ends cleanly', await peer.stop(), 0)
}

const peer = new Peer('--allow-nonces-from-vectors')
await schnorr(peer)
await keyAggregation(peer)
for (const name of ['musig2_sessions', 'musig2_taproot_sessions', 'musig2_taproot_parity_matrix']) {
  for (const each of read(`${name}.json`).cases) await session(peer, name, each)
}
await addresses(peer)
await peer.stop()
await freshSession(false)
await freshSession(true)
await freshSession(MESSAGE)
await refusals()
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
