// The first hour: a wallet in JavaScript signs a message together with a node of somebody else's.
//
//   node sign.mjs ADDRESS KEY [FILE]
//
// ADDRESS is where that node listens, such as /ip4/…/tcp/…/ws/p2p/…, and KEY is its signing key; both are what
// `nelumbo node` prints. FILE keeps this wallet's keys and records; without, they are gone when the program ends.
import { FileJournal, MemoryJournal, load, start } from "nelumbo/libp2p";

const [address, other, file] = process.argv.slice(2);
const journal = file ? new FileJournal(file) : new MemoryJournal();
const wallet = await start({ network: "regtest", bootstrap: [address], journal });
console.log(`this wallet signs for ${wallet.key}`);

// What others ask for is shown, and joined when it is what was agreed on: to join is to approve.
wallet.on((event) => {
  if (event.type === "session-announced") console.log(`asked to sign: ${event.summary.line}`);
});

await wallet.reached(other);
const message = "aa".repeat(32);
const keys = [wallet.key, other];
const session = await wallet.create({
  suite: "lotus",
  keys,
  items: [{ type: "message", message }],
  details: { description: "our first signature" },
  allow: ["opaque"], // A bare message: nobody can say what it does.
});
console.log(`asked for session ${session}`);

const [signature] = await wallet.completed(session);
const { call } = await load();
const { challenge_key: key } = call({ type: "aggregate", suite: "lotus", keys });
const { is_valid: isValid } = call({ type: "verify", suite: "lotus", key, message, signature });
console.log(`signed by both: ${signature}, ${isValid ? "valid" : "NOT VALID"} under ${key}`);
await wallet.stop();
process.exit(isValid ? 0 : 1);
