// Other ways from a page to native nodes than a WebSocket on loopback: one with TLS, and relays in either direction.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { random32 } from "../src/index.js";
import { ask, befriend, browse, session, signed } from "./browser.mjs";
import { end, native, scratch } from "./native.mjs";

const [key, certificate] = [scratch("tls.key"), scratch("tls.pem")];
let chromium;
before(async () => {
  const make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x"];
  execFileSync("openssl", [...make, "-keyout", key, "-out", certificate], { stdio: "ignore" });
  // Chromium believes this one key, whatever its certificate says.
  const spki = createPublicKey(readFileSync(certificate)).export({ type: "spki", format: "der" });
  const hash = createHash("sha256").update(spki).digest("base64");
  chromium = await browse({ args: [`--ignore-certificate-errors-spki-list=${hash}`] });
});
after(async () => {
  await chromium?.close();
  await end();
});

/** A page signs with these nodes what `begin` brings about; gives how its first node is connected to it then. */
async function sign(query, nodes, begin = ask) {
  const page = await chromium.open(query);
  try {
    await page.waitForSelector("body[data-ready]");
    const own = await page.textContent("#key");
    await befriend(page, nodes);
    const message = Buffer.from(random32()).toString("hex");
    await begin(page, message, own);
    const [first, ...others] = Object.values(nodes);
    await signed(page, [own, ...[first, ...others].map(({ key }) => key)], message);
    assert.deepEqual(page.faults, []);
    return JSON.parse(first.ask("peers", "--json")).peers.find(({ keys }) => keys.includes(own));
  } finally {
    // The next test has other contacts.
    await page.evaluate(() => localStorage.clear());
    await page.close();
  }
}

test("a page signs over WebSockets with TLS", async () => {
  const config = `[network]\nwebsocket-certificate = "${certificate}"\nwebsocket-key = "${key}"\n`;
  const b = await native("b");
  const a = await native("a", { bootstrap: b.address, listen: "/ip4/127.0.0.1/tcp/0/wss", config });
  const { address, outbound } = await sign({ bootstrap: [a.address] }, { a, b });
  assert.match(address, /\/wss$/);
  assert.ok(!outbound);
});

test("a page signs through a relay with a node that nobody reaches otherwise", async () => {
  const relay = await native("relay", { preset: "relay" });
  const [bootstrap, listen] = [relay.address, `${relay.address}/p2p-circuit`];
  const hidden = await native("hidden", { bootstrap, preset: "wallet", listen });
  const { relayed, outbound } = await sign({ bootstrap: [relay.address] }, { hidden });
  assert.ok(relayed && !outbound);
});

test("a page is reached through its relay by a node that it cannot dial itself", async () => {
  const relay = await native("other-relay", { preset: "relay" });
  const caller = await native("caller", { bootstrap: relay.address, preset: "wallet", listen: "/ip4/127.0.0.1/tcp/0" });
  const begin = async (page, message, own) => {
    caller.ask("create", own, "--message", message);
    await session(page, "announced", message).locator(".approve").click();
  };
  const { relayed, outbound } = await sign({ bootstrap: [relay.address], relay: [relay.address] }, { caller }, begin);
  assert.ok(relayed && outbound);
});
