// A node on js-libp2p for the laboratory, by the package in bindings/js after `npm ci` and `build.sh` there.
//
//   node peer.mjs ADDRESS        of a relay, over WebSocket
//
// Prints what happens as `nelumbo node --json` does, one event a line. On standard input, one JSON object a line:
// {"create": KEY} asks the signer with this key for a signature, {"join": SESSION} approves one; the answer is the
// event `done`. Ends with its standard input.
import { createInterface } from "node:readline";
import { start } from "../../bindings/js/src/libp2p.js";

const [relay] = process.argv.slice(2);
const say = (event, more) => console.log(JSON.stringify({ event: { ...more, event } }));
const log = process.env.LOG ? console.error : undefined;
const node = await start({ network: "regtest", bootstrap: [relay], relays: [relay], log });
node.on((event) => say(event.type, event));
say("started", { key: node.key, peer: node.peer });

let asked = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const { create, join } = JSON.parse(line);
  if (join) {
    node.join(join, ["opaque"]);
    say("done");
    continue;
  }
  const message = (++asked).toString(16).padStart(64, "0");
  const details = { description: "asked by JavaScript" };
  const items = [{ type: "message", message }];
  const session = await node.create({ suite: "lotus", keys: [node.key, create], items, details, allow: ["opaque"] });
  say("done", { session });
}
await node.stop();
process.exit(0);
