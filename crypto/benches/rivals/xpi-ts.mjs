// xpi-ts, answering the benchmark's questions: reads `OPERATION SIGNERS TIMES`, answers with nanoseconds.
//
// The package is the one that the tests sign together with: `npm --prefix tests/xpi-ts ci` installs it.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(new URL('../../../tests/xpi-ts/package.json', import.meta.url))
const sdk = require('xpi-ts/lib/bitcore')
const { BN, PrivateKey, PublicKey, Schnorr } = sdk

const message = sdk.BufferUtil.from('03'.repeat(32), 'hex')

function session(signers) {
  const secrets = Array.from({ length: signers }, (_, at) => new PrivateKey(new BN(1000003 * (at + 1))))
  const context = sdk.muSig2KeyAgg(secrets.map(each => each.publicKey))
  const sorted = context.pubkeys.map(String)
  secrets.sort((a, b) => sorted.indexOf(String(a.publicKey)) - sorted.indexOf(String(b.publicKey)))
  const draw = at => {
    const entropy = sdk.BufferUtil.from((at + 1).toString(16).padStart(64, '0'), 'hex')
    return sdk.muSig2NonceGen(secrets[at], context.aggregatedPubKey, message, entropy)
  }
  const drawn = secrets.map((_, at) => draw(at))
  const nonces = drawn.map(each => each.publicNonces)
  const aggregate = sdk.muSig2NonceAgg(nonces)
  const sign = (nonce, at) => sdk.muSig2PartialSign(nonce, secrets[at], context, at, aggregate, message)
  const partials = drawn.map(sign)
  const signature = sdk.muSig2SigAgg(partials, aggregate, message, context.aggregatedPubKey)
  const encoded = secrets.map(each => each.publicKey.toBuffer())
  const check = valid => {
    if (!valid) throw new Error('an honest signature does not verify')
  }
  return {
    final: () => check(Schnorr.verify(message, signature, context.aggregatedPubKey, 'big')),
    partial: () =>
      check(sdk.muSig2PartialSigVerify(partials[0], nonces[0], context.pubkeys[0], context, 0, aggregate, message)),
    aggregate: () => sdk.muSig2KeyAgg(encoded.map(each => PublicKey.fromBuffer(each))),
    nonce: () => draw(0),
    // Nothing but a benchmark signs twice with a nonce.
    sign: () => sign(drawn[0], 0),
  }
}

const sessions = new Map()
for await (const line of createInterface({ input: process.stdin })) {
  const [operation, signers, times] = line.split(' ')
  if (operation === 'hello') {
    console.log(0)
    continue
  }
  if (!sessions.has(signers)) sessions.set(signers, session(Number(signers)))
  const once = sessions.get(signers)[operation]
  if (!once) {
    console.log('-')
    continue
  }
  // Time on the processor, like everyone else; the collector of garbage runs on it too.
  const start = process.cpuUsage()
  for (let time = 0; time < Number(times); time += 1) once()
  const { user, system } = process.cpuUsage(start)
  console.log(String((user + system) * 1000))
}
