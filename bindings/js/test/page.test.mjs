// The example page in headless Chromium with two native nodes: it asks, it is asked, a second tab is refused, and after
// the tab was killed in the middle of a session it signs that one with the same key.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { random32 } from "../src/index.js";
import { ask, befriend, browse, connected, session, signed } from "./browser.mjs";
import { end, native, until } from "./native.mjs";

let a, b, chromium;
before(async () => {
  // People at the native nodes approve when the test says so, but for `b`, which always does.
  a = await native("a", { joins: false });
  b = await native("b", { bootstrap: a.address });
  chromium = await browse();
});
after(async () => {
  await chromium?.close();
  await end();
});

const open = () => chromium.open({ bootstrap: [a.address] });
const fresh = () => Buffer.from(random32()).toString("hex");

test("a page signs with two native nodes", async () => {
  let page = await open();
  await page.waitForSelector("body[data-ready]");
  const own = await page.textContent("#key");
  const keys = [a.key, b.key, own];
  await befriend(page, { Alice: a, Bob: b });
  await connected(page, { a, b });

  // It is asked: what is shown is what is approved.
  const first = fresh();
  a.ask("create", b.key, own, "--message", first);
  const asked = session(page, "announced", first);
  await asked.waitFor();
  assert.match(await asked.textContent(), /UNUSUAL \(opaque\).*bare message/s);
  await asked.locator(".approve").click();
  await signed(page, keys, first);

  // It declines.
  const second = fresh();
  a.ask("create", b.key, own, "--message", second);
  await session(page, "announced", second).locator(".decline").click();
  await session(page, "aborted", second).waitFor();

  // It asks; before Alice approves, the tab is killed, and so whatever was in its memory.
  const third = fresh();
  await ask(page, third);
  await session(page, "nonce-exchange", third).waitFor();
  assert.ok(await session(page, "nonce-exchange", third).locator("b").count() === 0, "what others say is text");
  const isRequest = (event) => event.event === "session-announced" && JSON.stringify(event).includes(third);
  const request = () => a.events.find(isRequest);
  await until("Alice is asked", request);
  assert.deepEqual(page.faults, []);
  const crashed = new Promise((resolve) => page.once("crash", resolve));
  void page.goto("chrome://crash").catch(() => {});
  await crashed;
  await page.close();
  page = await open();
  await page.waitForSelector("body[data-ready]");
  assert.equal(await page.textContent("#key"), own, "the key was kept");
  a.ask("join", request().session, "--allow", "opaque");
  await signed(page, keys, third);

  // A second tab has the same journal, and is told so.
  const other = await open();
  await other.locator("#state").filter({ hasText: "journal-in-use" }).waitFor();
  await other.close();
  assert.deepEqual(page.faults, []);

  // Once the first is closed, it is the second's turn.
  await page.close();
  const last = await open();
  await last.waitForSelector("body[data-ready]");
  assert.equal(await last.textContent("#key"), own);
  await last.close();
});
