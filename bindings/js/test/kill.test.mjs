// The tab is killed at each step of a session: while a change of its journal is on its way to the disk, and when that is
// there but nobody has been told. Opened again, it signs with the same key, or nobody has heard of the session. No nonce
// is shown by two lives.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { random32 } from "../src/index.js";
import { ask, befriend, browse, connected, session, signed } from "./browser.mjs";
import { end, native } from "./native.mjs";

let a, b, chromium, devtools;
/** At which moment the tab has died, and the nonces that each of its lives has shown. */
let died;
const lives = [];

before(async () => {
  // A node that is started anew more than five times a minute is taken for one that floods.
  const config = "[limits]\npresences-per-key.burst = 1000\n";
  a = await native("a", { config });
  b = await native("b", { bootstrap: a.address, config });
  chromium = await browse({ hear });
  // Runs in each tab before the wallet does.
  await chromium.browser.addInitScript(instrument);
  devtools = await chromium.browser.browser().newBrowserCDPSession();
});
after(async () => {
  await chromium?.close();
  await end();
});

/** What a tab says while it waits for the answer. It is a process of its own, and killed as the system kills one. */
async function hear(path, said) {
  if (path === "/nonces") JSON.parse(said).forEach((nonce) => lives.at(-1).add(nonce));
  if (path !== "/die") return;
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  for (const { id } of processInfo.filter(({ type }) => type === "renderer")) process.kill(id, "SIGKILL");
  died = said;
}

/** Dies at write `dieAt.write` of the journal, counted from when that was set, before or after it is durable. */
function instrument() {
  const say = (path, what) => {
    // Nothing else runs in the tab before the answer is there.
    const request = new XMLHttpRequest();
    request.open("POST", path, false);
    request.send(what);
  };
  const isDue = (moment) => window.dieAt?.write === 0 && window.dieAt.moment === moment;
  const { transaction } = IDBDatabase.prototype;
  IDBDatabase.prototype.transaction = function (name, mode, ...rest) {
    const begun = transaction.call(this, name, mode, ...rest);
    if (mode !== "readwrite" || !window.dieAt) return begun;
    window.dieAt.write -= 1;
    // Before the journal's own handler.
    if (isDue("after")) begun.addEventListener("complete", () => say("/die", "after"));
    return begun;
  };
  // Before it is durable the transaction stays open for a while, in which nobody must hear of what it has.
  const hold = (store, times) => {
    if (times === 0) return say("/die", "before");
    store.count().onsuccess = () => hold(store, times - 1);
  };
  for (const change of ["put", "delete"]) {
    const original = IDBObjectStore.prototype[change];
    IDBObjectStore.prototype[change] = function (...what) {
      if (isDue("before")) hold(this, 200);
      return original.apply(this, what);
    };
  }
  // A message that brings one nonce ends with it: one byte for how many, two points, and the author's signature.
  const nonceOf = ({ bytes }) => /01(0[23].{64}0[23].{64}).{128}$/.exec(bytes)?.[1];
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...rest) => {
    const { exports } = await instantiate.apply(WebAssembly, rest);
    const shown = new Set();
    const nelumbo_machine_poll = (machine, out) => {
      const status = exports.nelumbo_machine_poll(machine, out);
      const [data, length] = new Uint32Array(exports.memory.buffer, out, 2);
      const outputs = JSON.parse(new TextDecoder().decode(new Uint8Array(exports.memory.buffer, data, length)));
      const sent = outputs.filter(({ type }) => type === "send").map(nonceOf);
      const nonces = sent.filter((nonce) => nonce && !shown.has(nonce));
      nonces.forEach((nonce) => shown.add(nonce));
      if (nonces.length > 0) say("/nonces", JSON.stringify(nonces));
      return status;
    };
    return { exports: { ...exports, nelumbo_machine_poll } };
  };
}

async function open() {
  lives.push(new Set());
  const page = await chromium.open({ bootstrap: [a.address] });
  await page.waitForSelector("body[data-ready]");
  return page;
}

const isAsked = ({ events }, message) =>
  events.some((event) => event.event === "session-announced" && JSON.stringify(event).includes(message));

/** A session of three, at one of whose writes the tab dies, if there are as many; whether it did. */
async function sign(begin, write, moment) {
  const message = Buffer.from(random32()).toString("hex");
  died = undefined;
  let page = await open();
  const own = await page.textContent("#key");
  await connected(page, { a, b });
  await page.evaluate((at) => (window.dieAt = at), { write, moment });
  const crashed = new Promise((resolve) => page.once("crash", resolve));
  const approve = (page) => session(page, "announced", message).locator(".approve").click();
  const finish = async (page) => {
    if (begin !== ask) await Promise.race([approve(page), signed(page, [a.key, b.key, own], message)]);
    await signed(page, [a.key, b.key, own], message);
  };
  const going = begin(page, message)
    .then(() => finish(page))
    .catch((error) => died ?? Promise.reject(error));
  await Promise.race([crashed, going]);
  await page.close();
  if (!died) return false;
  page = await open();
  assert.equal(await page.textContent("#key"), own);
  await connected(page, { a, b });
  const isKnown = (await page.locator("li.session").filter({ hasText: message }).count()) > 0;
  if (begin === ask && !isKnown) assert.ok(![a, b].some((node) => isAsked(node, message)), "told before it was durable");
  else await finish(page);
  await page.close();
  return true;
}

async function killAtEach(begin) {
  const first = lives.length;
  let writes = 0;
  while (await sign(begin, writes + 1, "before")) {
    writes += 1;
    await sign(begin, writes, "after");
  }
  const shown = lives.slice(first).flatMap((life) => [...life]);
  assert.equal(new Set(shown).size, shown.length, "two lives have shown one nonce");
  // Its nonces, that they are spent, and the signature, which may come with the latter.
  assert.ok(writes >= 2 && shown.length > writes, `${writes} writes, ${shown.length} nonces`);
}

test("the tab that asks is killed", async () => {
  const page = await open();
  await befriend(page, { a, b });
  await page.close();
  await killAtEach(ask);
});

test("the tab that is asked is killed", async () => {
  await killAtEach(async (page, message) => {
    a.ask("create", b.key, await page.textContent("#key"), "--message", message);
  });
});
