// A peer on the Lotus wallet SDK: one JSON object per line on standard input, one answer per line on standard output.
//
//   node peer.mjs [--allow-nonces-from-vectors]
//
// Every request has an `op` and may have an `id`; the answer repeats the `id` and holds either the result or `error`.
// Byte strings are lower-case hex: keys 33 bytes, messages 32, signatures 64, partial signatures 32, public nonces 66
// (two points). `keys` may come in any order; `nonces` and `partial_signatures` are in the order of the sorted keys.
// `taproot` is false or absent (plain), true (key path, no scripts) or the 32-byte root of a script tree.
//
//   info             {}                                             -> package, version, node
//   verify           public_key, message, signature                 -> valid
//   aggregate        keys, taproot?, network?                       -> aggregate_key, coefficients, address, …
//   keygen           secret_key?                                    -> public_key
//   sign_digest      public_key, message                            -> signature           (one signer alone)
//   nonce            public_key, keys, taproot?, message?           -> nonce_id, public_nonce
//   sign             nonce_id, keys, taproot?, message, nonces or aggregate_nonce  -> partial_signature
//   forget           nonce_id                                       -> (nothing)
//   verify_partial   public_key, keys, taproot?, message, nonces, partial_signature  -> valid
//   combine          keys, taproot?, message, nonces, partial_signatures             -> signature, valid
//
// Secret keys and secret nonces stay in this process. A nonce is bound to its signer, keys and root, and to the message
// where one was given; `sign` takes it away before anything else, so that it signs at most once, also after an error.
// For test vectors only: with the flag, `nonce` takes `secret_nonces`.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import {
  RequestError, aggregation, combine, describe, drawNonce, nonceFromVector, secretKey, signDigest, signPartially, verify,
  verifyPartial,
} from './lotus.mjs'

const takesNoncesFromVectors = process.argv.slice(2).includes('--allow-nonces-from-vectors')
const secrets = new Map()
const nonces = new Map()
let noncesDrawn = 0

function secretOf(publicKey) {
  const secret = secrets.get(publicKey)
  if (!secret) throw new RequestError('public_key: no secret key for it here')
  return secret
}

/** What a nonce is bound to when it is drawn; the same again when it signs. */
const binding = group => [group.sorted.join(), group.challengeKey.toString()].join()

function drawFor(request, group) {
  const secret = secretOf(request.public_key)
  if (request.secret_nonces === undefined) return { secret, drawn: drawNonce(secret, group, request.message) }
  if (!takesNoncesFromVectors) throw new RequestError('secret_nonces: not taken without --allow-nonces-from-vectors')
  return { secret, drawn: nonceFromVector(request.secret_nonces) }
}

const operations = {
  info: () => ({
    package: 'xpi-ts',
    version: createRequire(import.meta.url)('./node_modules/xpi-ts/package.json').version,
    node: process.version,
  }),
  verify,
  aggregate: request => describe(aggregation(request), request.network),
  keygen: request => {
    const secret = secretKey(request.secret_key)
    const publicKey = secret.publicKey.toString()
    secrets.set(publicKey, secret)
    return { public_key: publicKey }
  },
  sign_digest: request => signDigest(secretOf(request.public_key), request),
  nonce: request => {
    const group = aggregation(request)
    if (!group.sorted.includes(request.public_key)) throw new RequestError('public_key: not among the keys')
    const { secret, drawn } = drawFor(request, group)
    const id = `nonce-${(noncesDrawn += 1)}`
    nonces.set(id, { secret, drawn, boundTo: binding(group), message: request.message })
    return { nonce_id: id, public_nonce: drawn.publicNonce }
  },
  sign: request => {
    const held = nonces.get(request.nonce_id)
    nonces.delete(request.nonce_id)
    if (!held) throw new RequestError('nonce_id: unknown, or used already')
    const group = aggregation(request)
    if (held.boundTo !== binding(group)) throw new RequestError('nonce_id: drawn for other keys or another root')
    if (held.message !== undefined && held.message !== request.message) {
      throw new RequestError('nonce_id: drawn for another message')
    }
    return signPartially(held.secret, held.drawn, group, request)
  },
  forget: request => void nonces.delete(request.nonce_id),
  verify_partial: request => verifyPartial(aggregation(request), request),
  combine: request => combine(aggregation(request), request),
}

function answer(line) {
  let id = null
  try {
    const request = JSON.parse(line)
    if (request === null || typeof request !== 'object' || Array.isArray(request)) {
      throw new RequestError('not a JSON object')
    }
    id = request.id ?? null
    if (!Object.hasOwn(operations, request.op)) throw new RequestError(`op: ${request.op} is not known`)
    return { id, ...operations[request.op](request) }
  } catch (error) {
    return { id, error: error.message }
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (line.trim() !== '') process.stdout.write(JSON.stringify(answer(line)) + '\n')
}
