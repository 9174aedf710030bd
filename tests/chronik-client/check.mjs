// Asks a ledger of ours through `chronik-client` of npm, as a Lotus wallet would.
//
//   node check.mjs PACKAGE URL PAYLOAD GOOD CHEAP RIVAL
//
// PACKAGE is one of package.json; PAYLOAD the hash of the key whose coins GOOD spends; CHEAP spends them too, for a fee
// that is too low, and RIVAL as well. Prints `N passed`; the first thing that is not as it should be is an error.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const [name, url, payload, good, cheap, rival] = process.argv.slice(2)
// Required rather than imported: the packages are CommonJS.
const { ChronikClient } = createRequire(import.meta.url)(name)
const client = new ChronikClient([url])
let passed = 0

async function check(what, test) {
  try {
    await test()
  } catch (error) {
    error.message = `${what}: ${error.message}`
    throw error
  }
  passed += 1
}

/** What only a ledger of one's own can do. */
async function command(path, body) {
  const headers = { 'Content-Type': 'application/json' }
  const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  assert.equal(response.status, 200, await response.text())
}

/** The messages of the socket, in whatever order they come. */
const messages = []
let wake = () => {}
const socket = client.ws({
  onMessage: message => {
    messages.push(message)
    wake()
  }
})

async function message(type, key, value) {
  const timeout = setTimeout(() => wake(new Error(`no ${type} within 20 seconds: ${JSON.stringify(messages)}`)), 20_000)
  for (;;) {
    const index = messages.findIndex(each => each.type === type && (value === undefined || each[key] === value))
    if (index >= 0) {
      clearTimeout(timeout)
      return messages.splice(index, 1)[0]
    }
    const error = await new Promise(resolve => (wake = resolve))
    if (error) throw error
  }
}

const script = client.script('p2pkh', payload)
let tip, txid, coin

await check('the tip', async () => {
  tip = await client.blockchainInfo()
  assert.match(tip.tipHash, /^[0-9a-f]{64}$/)
  assert(tip.tipHeight > 100)
})
await check('a block by height and by hash', async () => {
  const block = await client.block(tip.tipHeight)
  assert.equal(block.blockInfo.hash, tip.tipHash)
  assert.equal(Number(block.blockInfo.numTxs), block.txs.length)
  assert.deepEqual(await client.block(tip.tipHash), block)
  assert.equal((await client.block(tip.tipHeight - 1)).blockInfo.hash, block.blockInfo.prevHash)
})
await check('blocks', async () => {
  const blocks = await client.blocks(0, 9)
  assert.deepEqual(blocks.map(block => block.height), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})
await check('a coin', async () => {
  const [{ outputScript, utxos }] = await script.utxos()
  assert.equal(outputScript, `76a914${payload}88ac`)
  assert.equal(utxos.length, 1)
  coin = utxos[0]
  assert.equal(coin.value, '5000000')
  assert.equal(coin.blockHeight, tip.tipHeight)
  assert.equal(coin.network, 'XPI')
  assert.equal(coin.isCoinbase, false)
})
await check('a coinbase', async () => {
  const { txs } = await client.block(3)
  assert.equal(txs[0].isCoinbase ?? true, true)
  assert.equal(txs[0].inputs[0].prevOut.outIdx, 0xffffffff)
  assert.equal(txs[0].block.height, 3)
})
await check('a fee that is too low', async () => {
  await assert.rejects(client.broadcastTx(cheap), /min relay fee not met/)
})
await check('a subscription', async () => {
  await socket.waitForOpen()
  socket.subscribe('p2pkh', payload)
  // No answer says that a subscription is there: a block over the socket does.
  await command('/mine', { count: 1 })
  for (let tries = 0; !messages.some(each => each.type === 'BlockConnected'); tries += 1) {
    assert(tries < 100, 'no block is told')
    await new Promise(resolve => setTimeout(resolve, 100))
    if (tries % 10 === 9) await command('/mine', { count: 1 })
  }
  messages.length = 0
})
await check('a broadcast', async () => {
  txid = (await client.broadcastTx(good)).txid
  assert.match(txid, /^[0-9a-f]{64}$/)
  await message('AddedToMempool', 'txid', txid)
})
await check('the same broadcast again', async () => {
  assert.equal((await client.broadcastTx(good)).txid, txid)
})
await check('a rival', async () => {
  await assert.rejects(client.broadcastTx(rival), /txn-mempool-conflict/)
})
await check('a transaction that waits', async () => {
  const tx = await client.tx(txid)
  assert.equal(tx.txid, txid)
  assert.equal(tx.block, undefined)
  assert.equal(tx.network, 'XPI')
  assert.equal(tx.inputs[0].prevOut.txid, coin.outpoint.txid)
  assert.equal(tx.inputs[0].value, '5000000')
  assert.equal(tx.inputs[0].outputScript, `76a914${payload}88ac`)
  assert.equal(Number(tx.size ?? good.length / 2), good.length / 2)
})
await check('what spends the coin', async () => {
  const before = await client.tx(coin.outpoint.txid)
  assert.deepEqual(before.outputs[coin.outpoint.outIdx].spentBy, { txid, outIdx: 0 })
})
await check('the states of outputs', async () => {
  const unknown = '11'.repeat(32)
  const states = await client.validateUtxos([
    coin.outpoint,
    { txid, outIdx: 1 },
    { txid, outIdx: 99 },
    { txid: unknown, outIdx: 0 }
  ])
  assert.deepEqual(states.map(({ state }) => state), ['SPENT', 'UNSPENT', 'NO_SUCH_OUTPUT', 'NO_SUCH_TX'])
  assert.deepEqual(states.map(({ isConfirmed }) => isConfirmed), [true, false, false, false])
})
await check('a block with it', async () => {
  await command('/mine', { count: 1 })
  await message('Confirmed', 'txid', txid)
  const { blockHash } = await message('BlockConnected')
  const { block } = await client.tx(txid)
  assert.equal(block.hash, blockHash)
  assert.equal((await client.blockchainInfo()).tipHash, blockHash)
})
await check('pages of the history', async () => {
  const { txs, numPages } = await script.history()
  assert.equal(numPages, 1)
  assert.deepEqual(txs.map(tx => tx.txid), [txid, coin.outpoint.txid])
  const second = await script.history(1, 1)
  assert.equal(second.numPages, 2)
  assert.deepEqual(second.txs.map(tx => tx.txid), [coin.outpoint.txid])
  await assert.rejects(script.history(0, 201), /page-size-too-large/)
})
await check('a reorganisation of six blocks', async () => {
  await command('/mine', { count: 5 })
  messages.length = 0
  await command('/reorganize', { depth: 6, orphans: 'pending' })
  await message('Reorg', 'txid', txid)
  await message('BlockDisconnected')
  assert.equal((await client.tx(txid)).block, undefined)
  await command('/mine', { count: 1 })
  await message('Confirmed', 'txid', txid)
})
await check('what is not there, and what cannot be', async () => {
  await assert.rejects(client.tx('22'.repeat(32)), /tx-not-found/)
  await assert.rejects(client.block(1_000_000), /block-not-found/)
  await assert.rejects(client.script('p2pkh', '00').utxos(), /invalid-script-payload-length/)
})
socket.close()
console.log(`${passed} passed`)
