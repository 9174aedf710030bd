// One network: a native node, a wallet on js-libp2p, a process of Python, and a wallet whose key is in xpi-ts, the Lotus
// wallet SDK. They sign together; under BIP340, of which that SDK knows nothing, without it.
//
// Needs NELUMBO, the program; PYTHON, which has the package; `bindings/js/build.sh`, and `npm ci` in `tests/xpi-ts`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { load, random32, start } from "../../bindings/js/src/libp2p.js";
import { end, native, until } from "../../bindings/js/test/native.mjs";
import { aggregation, drawNonce, secretKey, signPartially } from "../xpi-ts/lotus.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const log = process.env.NELUMBO_LOUD ? (text) => console.error(text) : undefined;

const LOOPBACK = "/ip4/127.0.0.1/tcp/0/ws";
let nelumbo, node, wallet, python, sdk;
before(async () => {
  nelumbo = await load();
  node = await native("node");
  const options = { network: "regtest", bootstrap: [node.address], listen: [LOOPBACK], log };
  const begin = (more) => start({ ...options, ...more });
  [wallet, sdk, python] = await Promise.all([begin(), begin({ signer: sdkSigner() }), startPython()]);
  for (const joins of [wallet, sdk]) {
    joins.on((event) => event.type === "session-announced" && joins.join(event.session, ["opaque"]));
  }
});
after(async () => {
  python?.child.kill();
  await Promise.all([wallet?.stop(), sdk?.stop()]);
  await end();
});

/** A key whose nonces and partial signatures xpi-ts makes. Statements are none of its business. */
function sdkSigner() {
  const bytes = random32();
  const [secret, statements] = [secretKey(hex(bytes)), new nelumbo.Signer(bytes, random32())];
  const open = new Map();
  const answers = {
    single: (request) => statements.answer(request),
    nonces({ slot, definition: { keys, items } }) {
      const [group, [{ message }], place] = [aggregation({ keys }), items, JSON.stringify(slot)];
      // The same answer when it is asked again.
      if (!open.has(place)) open.set(place, { group, message, drawn: drawNonce(secret, group, message) });
      return { type: "nonces", slot, nonces: [open.get(place).drawn.publicNonce] };
    },
    partials({ slot, nonces: [nonces] }) {
      const { group, message, drawn } = open.get(JSON.stringify(slot));
      // A nonce signs once.
      open.delete(JSON.stringify(slot));
      const { partial_signature: partial } = signPartially(secret, drawn, group, { message, nonces });
      return { type: "partials", slot, partials: [partial] };
    },
    forget: ({ slot }) => void open.delete(JSON.stringify(slot)),
    "forget-all": () => open.clear(),
  };
  return { key: secret.publicKey.toString(), answer: async (request) => answers[request.type](request) };
}

async function startPython() {
  const [program, host] = [path("signer.py"), path("../../bindings/js/test/host.mjs")];
  const words = [program, process.execPath, host, node.address];
  const child = spawn(process.env.PYTHON ?? "python3", words, { stdio: ["ignore", "pipe", "inherit"] });
  const lines = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  await until("Python says its key", () => lines.length > 0 || child.exitCode !== null);
  return { child, key: lines.shift(), signatures: lines };
}

/** One asks, all sign, and all have one signature, which is valid. */
async function sign(suite, creator, keys) {
  const message = hex(random32());
  const session = await creator.create({ suite, keys, items: [{ type: "message", message }], allow: ["opaque"] });
  const [signature] = await creator.completed(session);
  const { challenge_key: key } = nelumbo.call({ type: "aggregate", suite, keys });
  assert.ok(nelumbo.call({ type: "verify", suite, key, message, signature }).is_valid);
  const isSigned = (event) => event.event === "session-completed" && event.signatures[0] === signature;
  await until("Python has it", () => python.signatures.includes(signature));
  await until("the native node has it", () => node.events.some(isSigned));
}

test("four sign for Lotus, whoever asks", async () => {
  const keys = [node.key, wallet.key, python.key, sdk.key];
  await sign("lotus", wallet, keys);
  await sign("lotus", sdk, keys);
});

test("those sign for BIP340 who know it", async () => {
  await sign("bip340", wallet, [node.key, wallet.key, python.key]);
});
