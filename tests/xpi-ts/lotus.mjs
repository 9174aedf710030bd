// The Lotus wallet SDK behind functions that take and give plain values: hex in, hex out, keys in any order.
//
// Everything cryptographic is done by xpi-ts. This file adds what a peer must check and the SDK does not: exact
// lengths and lower-case hex, x below the field prime, scalars below the group order, no duplicate keys.

import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const sdk = require('xpi-ts/lib/bitcore')
const { BN, Point, PrivateKey, PublicKey, Schnorr, Signature } = sdk

const FIELD_PRIME = BN.fromString('fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f', 'hex')
const NO_SCRIPT_TREE = '00'.repeat(32)

/** A fault of the request, with a text for whoever sent it. */
export class RequestError extends Error {}

function bytes(hex, length, name) {
  if (typeof hex !== 'string' || !/^(?:[0-9a-f]{2})*$/.test(hex)) {
    throw new RequestError(`${name}: not a string of lower-case hex`)
  }
  if (hex.length !== 2 * length) throw new RequestError(`${name}: ${hex.length / 2} bytes instead of ${length}`)
  return sdk.BufferUtil.from(hex, 'hex')
}

function list(value, name) {
  if (!Array.isArray(value) || value.length === 0) throw new RequestError(`${name}: not a list, or an empty one`)
  return value
}

function point(hex, name) {
  const encoded = bytes(hex, 33, name)
  if (encoded[0] !== 2 && encoded[0] !== 3) throw new RequestError(`${name}: the prefix is neither 02 nor 03`)
  const x = BN.fromBuffer(encoded.slice(1))
  if (!x.lt(FIELD_PRIME)) throw new RequestError(`${name}: x is not below the field prime`)
  try {
    return Point.fromX(encoded[0] === 3, x)
  } catch {
    throw new RequestError(`${name}: not on the curve`)
  }
}

function scalar(hex, name) {
  const value = BN.fromBuffer(bytes(hex, 32, name))
  if (!value.lt(Point.getN())) throw new RequestError(`${name}: not below the group order`)
  return value
}

const scalarHex = value => value.toBuffer({ size: 32 }).toString('hex')
const pointHex = value => Point.pointToCompressed(value).toString('hex')
const nonceHex = ([first, second]) => pointHex(first) + pointHex(second)

function publicNonce(hex, name) {
  bytes(hex, 66, name)
  return [point(hex.slice(0, 66), name), point(hex.slice(66), name)]
}

function network(name = 'livenet') {
  if (!['livenet', 'testnet', 'regtest'].includes(name)) throw new RequestError(`network: ${name} is not known`)
  return name
}

/** `false` or absent: plain. `true`: key path only. A root in hex: key path of an output with a script tree. */
function merkleRoot(taproot) {
  if (taproot === undefined || taproot === null || taproot === false) return undefined
  return bytes(taproot === true ? NO_SCRIPT_TREE : taproot, 32, 'taproot')
}

/** What every signer derives from the keys and the root alone, and never takes from another signer. */
export function aggregation({ keys, taproot }) {
  const points = list(keys, 'keys').map((key, at) => point(key, `keys[${at}]`))
  if (new Set(keys).size !== keys.length) throw new RequestError('keys: a key occurs twice')
  const context = sdk.muSig2KeyAgg(points.map(each => new PublicKey(each)))
  const sorted = context.pubkeys.map(String)
  const root = merkleRoot(taproot)
  if (!root) return { context, sorted, challengeKey: context.aggregatedPubKey }
  const tweak = sdk.calculateTapTweak(context.aggregatedPubKey, root)
  if (!BN.fromBuffer(tweak).lt(Point.getN())) throw new RequestError('taproot: the tweak is not below the group order')
  return { context, sorted, root, tweak, challengeKey: sdk.tweakPublicKey(context.aggregatedPubKey, root) }
}

/** The aggregate key, its coefficients in the order of the sorted keys, and the address that pays to it. */
export function describe(group, on) {
  const { context, sorted, root, tweak, challengeKey } = group
  const description = {
    keys: sorted,
    aggregate_key: context.aggregatedPubKey.toString(),
    coefficients: sorted.map(key => scalarHex(context.keyAggCoeff.get(key).umod(Point.getN()))),
    challenge_key: challengeKey.toString(),
  }
  if (!root) {
    return { ...description, address: sdk.Address.fromPublicKey(challengeKey, network(on)).toXAddress() }
  }
  return {
    ...description,
    merkle_root: root.toString('hex'),
    tweak: tweak.toString('hex'),
    commitment: challengeKey.toString(),
    script_pubkey: sdk.Script.buildTaprootOut(challengeKey).toBuffer().toString('hex'),
    address: sdk.Address.fromTaprootCommitment(challengeKey, network(on)).toXAddress(),
  }
}

/** Lotus Schnorr verification. A key or signature that cannot be one is an invalid signature, not a fault. */
export function verify({ public_key, message, signature }) {
  const digest = bytes(message, 32, 'message')
  try {
    const key = new PublicKey(point(public_key, 'public_key'))
    const parsed = Signature.fromSchnorr(bytes(signature, 64, 'signature'))
    return { valid: Schnorr.verify(digest, parsed, key, 'big') }
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    return { valid: false, reason: error.message }
  }
}

export function secretKey(hex) {
  if (hex === undefined) return new PrivateKey()
  const value = scalar(hex, 'secret_key')
  if (value.isZero()) throw new RequestError('secret_key: zero')
  return new PrivateKey(value)
}

/** A single signer's Lotus Schnorr signature of a digest. */
export function signDigest(secret, { message }) {
  const signature = Schnorr.sign(bytes(message, 32, 'message'), secret, 'big')
  return { signature: signature.toDER('schnorr').toString('hex') }
}

/** A pair of nonces from fresh entropy. `message` may be unknown yet. */
export function drawNonce(secret, group, message) {
  const digest = message === undefined ? undefined : bytes(message, 32, 'message')
  const entropy = sdk.BufferUtil.from(randomBytes(32))
  const nonce = sdk.muSig2NonceGen(secret, group.challengeKey, digest, entropy)
  return { nonce, publicNonce: nonceHex(nonce.publicNonces) }
}

/** Nonces that came from outside, for test vectors. Never for a key that holds anything. */
export function nonceFromVector(secretNonces) {
  const secrets = list(secretNonces, 'secret_nonces').map((each, at) => scalar(each, `secret_nonces[${at}]`))
  if (secrets.length !== 2) throw new RequestError('secret_nonces: not two')
  const publicNonces = secrets.map(each => Point.getG().mul(each))
  return { nonce: { secretNonces: secrets, publicNonces }, publicNonce: nonceHex(publicNonces) }
}

/** The nonces of a round in the order of the sorted keys, and their sum. */
function round(group, nonces) {
  if (list(nonces, 'nonces').length !== group.sorted.length) throw new RequestError('nonces: not one per key')
  const each = nonces.map((nonce, at) => publicNonce(nonce, `nonces[${at}]`))
  return { each, aggregate: sdk.muSig2NonceAgg(each) }
}

/** The sum of all public nonces, where that is all a signer is told. */
function aggregateNonce(hex) {
  const [R1, R2] = publicNonce(hex, 'aggregate_nonce')
  return { R1, R2 }
}

/** Index among the sorted keys: it decides who adds the tweak. */
function sortedIndex(group, key) {
  const index = group.sorted.indexOf(key)
  if (index < 0) throw new RequestError(`${key} is not among the keys`)
  return index
}

/** With `nonces` the signer sees that its own is among them; `aggregate_nonce` it has to believe. */
export function signPartially(secret, drawn, group, { message, nonces, aggregate_nonce }) {
  const digest = bytes(message, 32, 'message')
  const index = sortedIndex(group, secret.publicKey.toString())
  const aggregate = nonces === undefined ? aggregateNonce(aggregate_nonce) : round(group, nonces).aggregate
  if (nonces !== undefined && nonces[index] !== drawn.publicNonce) {
    throw new RequestError(`nonces[${index}]: not the nonce of this signer`)
  }
  const partial = group.root
    ? sdk.signTaprootKeyPathWithMuSig2(drawn.nonce, secret, group.context, index, aggregate, digest, group.tweak)
    : sdk.muSig2PartialSign(drawn.nonce, secret, group.context, index, aggregate, digest)
  return { partial_signature: scalarHex(partial) }
}

export function verifyPartial(group, { message, nonces, public_key, partial_signature }) {
  const digest = bytes(message, 32, 'message')
  const index = sortedIndex(group, public_key)
  const { each, aggregate } = round(group, nonces)
  // The SDK reduces a partial signature first, so that two encodings would pass: refused here.
  const value = BN.fromBuffer(bytes(partial_signature, 32, 'partial_signature'))
  if (!value.lt(Point.getN())) return { valid: false, reason: 'partial_signature: not below the group order' }
  const key = group.context.pubkeys[index]
  return {
    valid: group.root
      ? sdk.verifyTaprootKeyPathMuSigPartial(
          value, each[index], key, group.context, index, aggregate, digest, group.tweak)
      : sdk.muSig2PartialSigVerify(value, each[index], key, group.context, index, aggregate, digest),
  }
}

/** The sum of all partial signatures as one signature, and whether the challenge key accepts it. */
export function combine(group, { message, nonces, partial_signatures }) {
  const digest = bytes(message, 32, 'message')
  const { aggregate } = round(group, nonces)
  const partials = list(partial_signatures, 'partial_signatures')
    .map((each, at) => scalar(each, `partial_signatures[${at}]`))
  if (partials.length !== group.sorted.length) throw new RequestError('partial_signatures: not one per key')
  const signature = sdk.muSig2SigAgg(partials, aggregate, digest, group.challengeKey)
  return {
    signature: signature.toDER('schnorr').toString('hex'),
    valid: Schnorr.verify(digest, signature, group.challengeKey, 'big'),
  }
}
