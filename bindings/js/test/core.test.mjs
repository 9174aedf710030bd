// The core as WebAssembly: what it gives is what every language gives, and what is wrong is an error.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { NelumboError, load, random32 } from "../src/index.js";

const same = (name) => new URL(`../../same/${name}`, import.meta.url);
const unhex = (text) => Uint8Array.from(Buffer.from(text, "hex"));

/** What a call gives: text as it is, nothing as `null`, an error as its JSON. */
function play({ Machine, Signer, callText }, known, step) {
  const { do: what, name, text, mono_ms: mono, wall_ms: wall } = step;
  const it = known.get(name);
  switch (what) {
    case "call":
      return callText(text);
    case "machine":
      it?.free();
      known.set(name, new Machine(JSON.parse(text), unhex(step.secret), unhex(step.seed), mono, wall));
      return "null";
    case "signer":
      known.set(name, new Signer(unhex(step.secret), unhex(step.seed)));
      return JSON.parse(callText(JSON.stringify({ type: "public-key", secret: step.secret }))).key;
    case "handle":
      return it.handleText(mono, wall, text) ?? "null";
    case "command":
      return `${it.commandText(mono, wall, text)}`;
    case "deadline":
      return `${it.deadline() ?? null}`;
    default:
      return it[`${what}Text`](text);
  }
}

test("the shared script gives the same outputs as in Rust", async () => {
  const core = await load();
  const known = new Map();
  let outputs = "";
  for (const line of (await readFile(same("script.jsonl"), "utf8")).trimEnd().split("\n")) {
    try {
      outputs += play(core, known, JSON.parse(line));
    } catch (error) {
      if (!(error instanceof NelumboError)) throw error;
      outputs += error.text;
    }
    outputs += "\n";
  }
  if (process.env.NELUMBO_OUTPUTS) await writeFile(process.env.NELUMBO_OUTPUTS, outputs);
  const hash = createHash("sha256").update(outputs).digest("hex");
  assert.equal(hash, (await readFile(same("outputs.sha256"), "utf8")).trim());
});

test("what is wrong has a code, and a machine that was freed says so", async () => {
  const { Machine, call } = await load();
  const params = { network: "regtest", peer: "AAAA" };
  const made = (...rest) => () => new Machine(params, ...rest);
  assert.throws(made(new Uint8Array(31), random32(), 0, 0), { code: "bad-argument" });
  assert.throws(made("secret", random32(), 0, 0), { code: "bad-argument" });
  assert.throws(made(new Uint8Array(32), random32(), 0, 0), { code: "bad-secret" });
  assert.throws(made(random32(), random32(), NaN, 0), { code: "bad-time" });
  assert.throws(() => call({ type: "nothing" }), { code: "bad-json" });
  const machine = new Machine(params, random32(), random32(), 0, 1.8e12);
  assert.throws(() => machine.command(0, 1.8e12, { type: "withdraw" }), { code: "nothing-offered" });
  assert.equal(typeof machine.deadline(), "number");
  machine.free();
  assert.throws(() => machine.poll(), TypeError);
  assert.equal(machine.deadline(), undefined);
  machine.free();
});

const module = () => readFile(new URL("../src/nelumbo.wasm", import.meta.url)).then((bytes) => WebAssembly.compile(bytes));

/** An instance whose exports are looked at and changed on their way. */
async function loadWith(change) {
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...rest) => ({ exports: change({ ...(await instantiate(...rest)).exports }) });
  try {
    return await load(await module());
  } finally {
    WebAssembly.instantiate = instantiate;
  }
}

const make = ({ Machine }) => new Machine({ network: "regtest", peer: "AAAA" }, random32(), random32(), 0, 1.8e12);

test("a fault of the library poisons everything of that instance, and of no other", async () => {
  const trap = () => {
    // What a failed assertion does.
    throw new WebAssembly.RuntimeError("unreachable");
  };
  const broken = await loadWith((exports) => ({ ...exports, nelumbo_machine_view: trap }));
  const [machine, other] = [make(broken), make(await load())];
  assert.ok(machine.poll().length > 0);
  assert.throws(() => machine.view(), { code: "poisoned" });
  assert.throws(() => machine.poll(), { code: "poisoned" });
  assert.throws(() => broken.call({ type: "version" }), { code: "poisoned" });
  assert.ok(other.poll().length > 0 && other.view().key);
});

test("calls give back the memory that they take", async () => {
  let memory;
  const core = await loadWith((exports) => ((memory = exports.memory), exports));
  const machine = make(core);
  const spin = (from, count) => {
    for (let n = from; n < from + count; n++) {
      machine.handle(n, 1.8e12 + n, [{ type: "tick" }]);
      machine.poll();
      machine.view();
    }
  };
  spin(0, 500);
  const before = memory.buffer.byteLength;
  spin(500, 5_000);
  assert.equal(memory.buffer.byteLength, before);
});

test("the module is at most 620 KB, gzipped", async () => {
  const size = gzipSync(await readFile(new URL("../src/nelumbo.wasm", import.meta.url)), { level: 9 }).length;
  assert.ok(size <= 620_000, `${size} bytes`);
});
