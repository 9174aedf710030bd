// The example page in headless Chromium with two native nodes: it asks, it is asked, a second tab is refused, and after
// the tab was killed in the middle of a session it signs that one with the same key.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { load, random32 } from "../src/index.js";
import { end, native, scratch, until } from "./native.mjs";

const root = new URL("../", import.meta.url);
const files = {
  "/": ["example/page/index.html", "text/html"],
  "/wallet.js": ["example/page/wallet.js", "text/javascript"],
  "/nelumbo.js": ["dist/nelumbo.js", "text/javascript"],
  "/nelumbo.wasm": ["dist/nelumbo.wasm", "application/wasm"],
};
const server = createServer(async (request, response) => {
  const [path, type] = files[new URL(request.url, "http://x").pathname] ?? [];
  if (!path) return response.writeHead(404).end();
  // As strict as a wallet should be: nothing from elsewhere, and no code but the files above.
  const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:";
  response.writeHead(200, { "content-type": type, "content-security-policy": policy });
  response.end(await readFile(new URL(path, root)));
});

let a, b, browser, address;
before(async () => {
  // People at the native nodes approve when the test says so, but for `b`, which always does.
  a = await native("a", { joins: false });
  b = await native("b", { bootstrap: a.address });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${server.address().port}/?bootstrap=${encodeURIComponent(a.address)}`;
  browser = await chromium.launchPersistentContext(scratch("profile"), {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"],
  });
});
after(async () => {
  await browser?.close();
  server.close();
  await end();
});

async function open() {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  await page.goto(address);
  return page;
}

const fresh = () => Buffer.from(random32()).toString("hex");
const session = (page, phase, text) => page.locator(`li.session[data-phase="${phase}"]`).filter({ hasText: text }).first();

async function isValid(keys, message, signature) {
  const { call } = await load();
  const { challenge_key: key } = call({ type: "aggregate", suite: "lotus", keys });
  return call({ type: "verify", suite: "lotus", key, message, signature }).is_valid;
}

async function ask(page, message) {
  await page.fill("#ask [name=message]", message);
  await page.fill("#ask [name=description]", "<b>a test</b>");
  await page.click("#ask button");
}

test("a page signs with two native nodes", async () => {
  let page = await open();
  await page.waitForSelector("body[data-ready]");
  const own = await page.textContent("#key");
  const keys = [a.key, b.key, own];
  for (const [name, { key }] of [["Alice", a], ["Bob", b]]) {
    await page.fill("#contact [name=name]", name);
    await page.fill("#contact [name=key]", key);
    await page.click("#contact button");
  }
  await page.locator("#state").filter({ hasText: "2 contacts connected" }).waitFor();

  // It is asked: what is shown is what is approved.
  const first = fresh();
  a.ask("create", b.key, own, "--message", first);
  const asked = session(page, "announced", first);
  await asked.waitFor();
  assert.match(await asked.textContent(), /UNUSUAL \(opaque\).*bare message/s);
  await asked.locator(".approve").click();
  const signature = await session(page, "complete", first).locator(".signature").textContent();
  assert.ok(await isValid(keys, first, signature));

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
  const request = () => a.events.find((event) => event.event === "session-announced" && JSON.stringify(event).includes(third));
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
  const later = await session(page, "complete", third).locator(".signature").textContent();
  assert.ok(await isValid(keys, third, later));

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
