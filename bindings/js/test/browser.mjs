// The example page in headless Chromium, for tests: a server of its files, and tabs.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { chromium } from "playwright-core";
import { load } from "../src/index.js";
import { scratch } from "./native.mjs";

const root = new URL("../", import.meta.url);
const files = {
  "/": ["example/page/index.html", "text/html"],
  "/wallet.js": ["example/page/wallet.js", "text/javascript"],
  "/nelumbo.js": ["dist/nelumbo.js", "text/javascript"],
  "/nelumbo.wasm": ["dist/nelumbo.wasm", "application/wasm"],
};

const quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"];

/** Serves the page, and starts a browser. What is posted is given to `hear`, by its path; the answer waits for it. */
export async function browse({ hear, args = [] } = {}) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://x");
    if (request.method === "POST") {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      await hear(pathname, `${Buffer.concat(chunks)}`);
      return response.end();
    }
    const [path, type] = files[pathname] ?? [];
    if (!path) return response.writeHead(404).end();
    // As strict as a wallet should be: nothing from elsewhere, and no code but the files above.
    const code = "script-src 'self' 'wasm-unsafe-eval'; style-src 'unsafe-inline'";
    const policy = `default-src 'none'; ${code}; connect-src 'self' ws: wss:`;
    response.writeHead(200, { "content-type": type, "content-security-policy": policy });
    response.end(await readFile(new URL(path, root)));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launchPersistentContext(scratch("profile"), {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [...quiet, ...args],
  });
  return {
    browser,
    /** A tab with the wallet. `what` is the address's query: lists of `bootstrap` and `relay`. */
    async open(what) {
      const page = await browser.newPage();
      page.setDefaultTimeout(60_000);
      page.faults = [];
      page.on("pageerror", (error) => page.faults.push(String(error)));
      const query = new URLSearchParams(Object.entries(what).flatMap(([name, all]) => all.map((one) => [name, one])));
      await page.goto(`http://127.0.0.1:${server.address().port}/?${query}`);
      return page;
    },
    async close() {
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Where the page shows a session in this phase. */
export const session = (page, phase, text) =>
  page.locator(`li.session[data-phase="${phase}"]`).filter({ hasText: text }).first();

/** Waits for a session's signature, which has to be valid. */
export async function signed(page, keys, message) {
  const signature = await session(page, "complete", message).locator(".signature").textContent();
  const { call } = await load();
  const { challenge_key: key } = call({ type: "aggregate", suite: "lotus", keys });
  if (!call({ type: "verify", suite: "lotus", key, message, signature }).is_valid) throw new Error("it is not valid");
}

/** Makes contacts of nodes. */
export async function befriend(page, nodes) {
  for (const [name, { key }] of Object.entries(nodes)) {
    await page.fill("#contact [name=name]", name);
    await page.fill("#contact [name=key]", key);
    await page.click("#contact button");
  }
}

/** Waits until that many contacts are connected. */
export const connected = (page, nodes) =>
  page.locator("#state").filter({ hasText: `${Object.keys(nodes).length} contacts connected` }).waitFor();

/** Asks all contacts to sign. */
export async function ask(page, message) {
  await page.fill("#ask [name=message]", message);
  await page.fill("#ask [name=description]", "<b>a test</b>");
  await page.click("#ask button");
}
