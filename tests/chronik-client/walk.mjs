// A client of Chronik walks through everything that a chain of one's own answers.
//
//   node walk.mjs 019|028 URL
//
// Prints the number of things that were as they should be; the first that is not ends it.

import assert from 'node:assert/strict'

const [, , version, url] = process.argv
const { ChronikClient } = await import(`chronik-client-${version}`)
const chronik = new ChronikClient([url])
let checks = 0

function same(found, expected) {
    assert.deepEqual(found, expected)
    checks += 1
}

async function refused(call, text) {
    await assert.rejects(call, error => String(error.message).includes(text) || assert.fail(`${error.message}: ${text}`))
    checks += 1
}

async function control(path, body) {
    const headers = { 'Content-Type': 'application/json' }
    const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
    assert.equal(answer.status, 200, await answer.clone().text())
    return answer.json()
}

// The faucet's own script: what it has of a block, and of its change.
const { blocks } = await control('/mine', {})
const block = await chronik.block(blocks[0])
const coinbase = block.txs[0]
same([coinbase.isCoinbase, coinbase.network, coinbase.outputs.length], [true, 'XPI', 2])
same(coinbase.outputs[1].value, '260000000')
const payload = coinbase.outputs[1].outputScript.slice(6, 46)
const script = chronik.script('p2pkh', payload)

const info = await chronik.blockchainInfo()
same([info.tipHash, info.tipHeight], [blocks[0], block.blockInfo.height])
same((await chronik.block(info.tipHeight)).blockInfo.hash, blocks[0])
same((await chronik.blocks(0, info.tipHeight)).length, info.tipHeight + 1)
same((await chronik.blocks(0, 0))[0].hash, '106050de32db2a668422cc34aa0f96d739d4189b8e5d6e763deeca527bba9c9f')
await refused(chronik.blocks(0, 500), 'Page size too large')
await refused(chronik.block('ff'.repeat(32)), 'Block not found')

// Told of what happens, in any order.
const told = []
let wake = () => {}
const ws = chronik.ws({ onMessage: message => { told.push(message); wake() } })
await ws.waitForOpen()
ws.subscribe('p2pkh', payload)
async function hear(wanted) {
    const deadline = Date.now() + 30_000
    while (!told.some(wanted)) {
        assert.ok(Date.now() < deadline, `nobody told: ${wanted}: ${JSON.stringify(told.slice(-5))}`)
        await new Promise(resolve => { wake = resolve; setTimeout(resolve, 1_000) })
    }
    checks += 1
}
// A subscription is no answer, so blocks are mined until one is told.
while (!told.some(message => message.type === 'BlockConnected')) {
    await control('/mine', {})
    await new Promise(resolve => setTimeout(resolve, 50))
}

const funding = await control('/fund', { address: process.argv[4], amount: 5_000_000 })
await hear(message => message.type === 'AddedToMempool' && message.txid === funding.txid)
await hear(message => message.type === 'Confirmed' && message.txid === funding.txid)
const tx = await chronik.tx(funding.txid)
same([tx.outputs[0].value, tx.block.height, tx.network, tx.isCoinbase], ['5000000', funding.height, 'XPI', false])
same(tx.inputs[0].outputScript, `76a914${payload}88ac`)
const spent = tx.inputs[0].prevOut
same((await chronik.tx(spent.txid)).outputs[spent.outIdx].spentBy.txid, funding.txid)
await refused(chronik.tx('00'.repeat(32)), 'Txid not found')

const states = await chronik.validateUtxos([
    { txid: funding.txid, outIdx: 0 },
    spent,
    { txid: '00'.repeat(32), outIdx: 0 },
    { txid: funding.txid, outIdx: 77 },
])
same(states.map(state => state.state), ['UNSPENT', 'SPENT', 'NO_SUCH_TX', 'NO_SUCH_OUTPUT'])

const history = await script.history(0, 3)
same([history.txs.length, history.numPages > 10], [3, true])
same((await script.history(1, 3)).txs.some(other => history.txs.some(tx => tx.txid === other.txid)), false)
await refused(script.history(0, 201), 'Page size too large')
const utxos = await script.utxos()
same(utxos.length, 1)
same(utxos[0].outputScript, `76a914${payload}88ac`)
same(utxos[0].utxos.some(utxo => utxo.outpoint.txid === funding.txid && utxo.outpoint.outIdx === 1), true)
await refused(chronik.script('p2pkh', '00').utxos(), 'Invalid script payload')

// Back to waiting, and sent once more.
const raw = new Uint8Array(await (await fetch(`${url}/raw-tx/${funding.txid}`)).arrayBuffer())
await refused(chronik.broadcastTx(raw), 'Bitcoind rejected tx: Transaction already in block chain')
await control('/reorganize', { depth: 1, orphans: 'pending' })
await hear(message => message.type === 'Reorg' && message.txid === funding.txid)
await hear(message => message.type === 'BlockDisconnected')
same((await chronik.tx(funding.txid)).block, undefined)
same((await chronik.broadcastTx(raw)).txid, funding.txid)
const broken = raw.slice()
broken[50] ^= 1
broken[36] ^= 1
await refused(chronik.broadcastTx(broken), 'bad-txns-inputs-missingorspent')
await refused(chronik.broadcastTxs([raw]), 'txn-already-in-mempool')
await refused(chronik.broadcastTx(new Uint8Array(3)), 'Invalid tx encoding')

ws.close()
console.log(checks)
process.exit(0)
