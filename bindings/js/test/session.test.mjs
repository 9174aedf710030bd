// Sessions with native nodes over WebSocket, created by either side; a node that is gone and comes back; a key that is
// somewhere else.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { FileJournal, load, random32, start } from "../src/libp2p.js";
import { end, native, scratch, until } from "./native.mjs";

let a, b;
before(async () => {
  a = await native("a");
  b = await native("b", { bootstrap: a.address });
});
after(end);

const log = process.env.NELUMBO_LOUD ? (text) => console.error(text) : undefined;
const begin = (options) => start({ network: "regtest", bootstrap: [a.address], log, ...options });
const joins = (node) => node.on((event) => event.type === "session-announced" && node.join(event.session, ["opaque"]));
const ask = (node, keys, message, suite = "lotus") =>
  node.create({ suite, keys, items: [{ type: "message", message }], allow: ["opaque"] });
const fresh = () => Buffer.from(random32()).toString("hex");

async function isValid(keys, message, signature, suite = "lotus") {
  const { call } = await load();
  const { challenge_key: key } = call({ type: "aggregate", suite, keys });
  return call({ type: "verify", suite, key, message, signature }).is_valid;
}

test("three sign what this one asks for, and what a native node asks for, both suites", async () => {
  const node = await begin();
  joins(node);
  const keys = [a.key, b.key, node.key];
  await Promise.all([node.reached(a.key), node.reached(b.key)]);
  for (const suite of ["lotus", "bip340"]) {
    const message = fresh();
    const [signature] = await node.completed(await ask(node, keys, message, suite));
    assert.ok(await isValid(keys, message, signature, suite));
  }
  // Warm: everyone is connected, and everything has been used once.
  const times = [];
  for (let n = 0; n < 5; n++) {
    const [began, message] = [performance.now(), fresh()];
    await node.completed(await ask(node, keys, message));
    times.push(Math.round(performance.now() - began));
  }
  console.log(`five sessions of three, warm, with people who type \`join\`: ${times.join(", ")} ms`);
  const message = fresh();
  const done = new Promise((resolve) => node.on((event) => event.type === "session-completed" && resolve(event)));
  a.ask("create", b.key, node.key, "--message", message);
  assert.ok(await isValid(keys, message, (await done).signatures[0]));
  await node.stop();
  assert.equal(await node.closed, undefined);
});

test("a node that is gone in the middle of a session signs it when it is back", async () => {
  const path = scratch("journal");
  const first = await begin({ journal: new FileJournal(path) });
  await Promise.all([first.reached(a.key), first.reached(b.key)]);
  await assert.rejects(begin({ journal: new FileJournal(path) }), { code: "journal-in-use" });
  const [keys, message] = [[a.key, b.key, first.key], fresh()];
  const session = await ask(first, keys, message);
  await first.stop();
  const second = await begin({ journal: new FileJournal(path) });
  assert.deepEqual([second.key, second.peer], [first.key, first.peer]);
  const [signature] = await second.completed(session);
  assert.ok(await isValid(keys, message, signature));
  await second.stop();
});

test("the key may be somewhere else, and its owner says no", async () => {
  const { Signer, call } = await load();
  const secret = random32();
  const { key } = call({ type: "public-key", secret: Buffer.from(secret).toString("hex") });
  const device = new Signer(secret, random32());
  const shown = [];
  let isWilling = true;
  const signer = {
    key,
    async answer(request) {
      const approval = device.describe(request);
      if (approval) shown.push(approval.line);
      if (approval && !isWilling && request.type === "nonces") {
        return { type: "no-nonces", slot: request.slot, error: "declined" };
      }
      return device.answer(request);
    },
  };
  const node = await begin({ signer });
  assert.equal(node.key, key);
  await node.reached(a.key);
  const message = fresh();
  const [signature] = await node.completed(await ask(node, [a.key, key], message));
  assert.ok(await isValid([a.key, key], message, signature));
  assert.ok(shown.some((line) => line.includes(message)) && shown.some((line) => line.includes("delegation")), `${shown}`);
  isWilling = false;
  const session = await ask(node, [a.key, key], fresh());
  await until("the session fails", () => node.view().sessions.find(({ id }) => id === session)?.phase !== "nonce-exchange");
  assert.equal(node.view().sessions.find(({ id }) => id === session).signatures.length, 0);
  await node.stop();
});

test("the first hour: the example signs with a native node", async () => {
  // In the gate it lies beside the package as npm has installed it from its file.
  const example = process.env.NELUMBO_EXAMPLE ?? new URL("../example/sign.mjs", import.meta.url).pathname;
  const child = spawn(process.execPath, [example, a.address, a.key], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  const code = await new Promise((resolve) => child.once("exit", resolve));
  assert.equal(code, 0, said);
  assert.match(said, /signed by both: [0-9a-f]{128}, valid under 0[23][0-9a-f]{64}/);
});
