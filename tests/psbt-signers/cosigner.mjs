// One signer of a MuSig2 group over PSBTs (BIP373), by `@scure/btc-signer` of npm.
//
//   node cosigner.mjs SECRET
//
// SECRET is its key in hexadecimal. Prints its public key, then for each PSBT in base64 on a line of standard input the
// same with what it adds: its nonces, or, once all nonces are there, its partial signatures. Each of the group's
// outputs is one of Taproot without scripts whose internal key is the aggregate.

import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { base64, hex } from '@scure/base'
import { Transaction } from '@scure/btc-signer'
import {
  IndividualPubkey, Session, keyAggregate, keyAggExport, nonceAggregate, nonceGen,
} from '@scure/btc-signer/musig2.js'

const secret = hex.decode(process.argv[2])
const own = IndividualPubkey(secret)
const nonces = new Map()
/** BIP340. */
function taggedHash(tag, bytes) {
  const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
  const prefix = sha256(tag)
  return new Uint8Array(sha256(prefix, prefix, bytes))
}

const same = (one, other) => hex.encode(one) === hex.encode(other)

function add(transaction) {
  const inputs = Array.from({ length: transaction.inputsLength }, (_, index) => transaction.getInput(index))
  const scripts = inputs.map(input => input.witnessUtxo.script)
  const amounts = inputs.map(input => input.witnessUtxo.amount)
  for (const [index, input] of inputs.entries()) {
    for (const [aggregate, keys] of input.musig2ParticipantPubkeys ?? []) {
      const tweak = taggedHash('TapTweak', keyAggExport(keyAggregate(keys)))
      const key = keyAggregate(keys, [tweak], [true]).aggPublicKey.toBytes(true)
      if (!same(aggregate.subarray(1), input.tapInternalKey) || !same(key.subarray(1), scripts[index].subarray(2))) {
        throw new Error(`input ${index} is not the group's`)
      }
      const slot = { participantPubkey: own, aggregatePubkey: key }
      const message = transaction.preimageWitnessV1(index, scripts, input.sighashType ?? 0, amounts)
      const given = keys.map(participant => (input.musig2PubNonce ?? [])
        .find(([found]) => same(found.participantPubkey, participant) && same(found.aggregatePubkey, key))?.[1])
      if (!nonces.has(index)) {
        const nonce = nonceGen(own, secret, key.subarray(1), message)
        nonces.set(index, nonce)
        transaction.updateInput(index, { musig2PubNonce: [[slot, nonce.public]] })
      } else if (given.every(Boolean)) {
        const session = new Session(nonceAggregate(given), keys, message, [tweak], [true])
        // Signing wipes the secret nonce: it cannot be used again.
        const partial = session.sign(nonces.get(index).secret, secret)
        transaction.updateInput(index, { musig2PartialSig: [[slot, partial]] })
      }
    }
  }
}

console.log(hex.encode(own))
for await (const line of createInterface({ input: process.stdin })) {
  const transaction = Transaction.fromPSBT(base64.decode(line.trim()))
  add(transaction)
  console.log(base64.encode(transaction.toPSBT()))
}
