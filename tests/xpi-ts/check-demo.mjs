// Judges what `nelumbo demo --json` printed: exactly one JSON object, complete, and signed as the Lotus chain demands.
//
//   node check-demo.mjs FILE [THE OPTIONS THAT THE DEMO WAS GIVEN]
//
// One line per fault; exit status 1 when there is one. A signature of another suite is checked for its form only: the
// tests have libsecp256k1 judge those.

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { aggregation, describe, verify } from './lotus.mjs'

const faults = []
const check = (holds, fault) => void (holds || faults.push(fault))

function read(file) {
  const text = readFileSync(file, 'utf8')
  try {
    return JSON.parse(text)
  } catch (error) {
    console.error(`not exactly one JSON value: ${error.message}\n${text.slice(0, 500)}`)
    process.exit(1)
  }
}

const { values: asked, positionals } = parseArgs({
  options: { suite: { type: 'string', default: 'lotus' }, signers: { type: 'string', default: '3' } },
  allowPositionals: true,
  strict: false,
})
const demo = read(positionals[0])
const isHex = (value, length) => typeof value === 'string' && new RegExp(`^[0-9a-f]{${2 * length}}$`).test(value)

check(demo !== null && typeof demo === 'object' && !Array.isArray(demo), 'not an object')
check(demo.suite === asked.suite, `suite: ${demo.suite} instead of ${asked.suite}`)
check(typeof demo.message === 'string' && /^([0-9a-f]{2})*$/.test(demo.message), 'message: not hex')
check(isHex(demo.aggregate_key, 33), 'aggregate_key: not 33 bytes in hex')
check(isHex(demo.signature, 64), 'signature: not 64 bytes in hex')
check(demo.verified === true, `verified: ${demo.verified}`)
check(demo.signers === Number(asked.signers), `signers: ${demo.signers} instead of ${asked.signers}`)
check(typeof demo.elapsed_ms === 'number' && demo.elapsed_ms > 0, `elapsed_ms: ${demo.elapsed_ms}`)
check(demo.phases_ms !== null && typeof demo.phases_ms === 'object', 'phases_ms: not an object')

const keys = Array.isArray(demo.public_keys) ? demo.public_keys : []
check(keys.length === demo.signers, `public_keys: ${keys.length} keys for ${demo.signers} signers`)
check(keys.every(key => isHex(key, 33)), 'public_keys: not 33 bytes in hex each')
check(keys.every((key, at) => at === 0 || keys[at - 1] < key), 'public_keys: not strictly ascending')
check(keys.includes(demo.coordinator), 'coordinator: not one of the keys')

if (faults.length === 0 && demo.suite === 'lotus') {
  const group = describe(aggregation({ keys }))
  check(group.aggregate_key === demo.aggregate_key, `aggregate_key: xpi-ts computes ${group.aggregate_key}`)
  check(isHex(demo.message, 32), 'message: not 32 bytes, as the Lotus suite signs')
  const { valid } = verify({ ...demo, public_key: demo.aggregate_key })
  check(valid, 'signature: xpi-ts does not accept it')
}

for (const fault of faults) console.error(fault)
process.exitCode = faults.length === 0 ? 0 : 1
