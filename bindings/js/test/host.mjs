// The host on js-libp2p without a core, for the contract of hosts (tests/tests/contract): what it is asked to do comes
// as one output of a machine in each line of standard input, and what it tells goes as inputs to standard output.
//
//   node host.mjs '{"bootstrap":[…],"listen":[…],"identity":…}'     all of them may be missing
//
// The first line that it writes has its name, its identity and where it listens. It ends with its standard input.
import { createInterface } from "node:readline";
import "../src/polyfill.js";
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from "@libp2p/crypto/keys";
import { load } from "../src/index.js";
import { Network } from "../src/network.js";

const { bootstrap, listen, identity } = JSON.parse(process.argv[2]);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const privateKey = identity
  ? privateKeyFromProtobuf(Uint8Array.from(Buffer.from(identity, "hex")))
  : await generateKeyPair("Ed25519");
const options = { network: "regtest", bootstrap, listen, log: (text) => console.error(text) };
const { call } = await load();
const network = await Network.start({ ...options, privateKey, call });
const listening = network.libp2p.getMultiaddrs().map((address) => `${address}`.replace(/\/p2p\/[^/]*$/, ""));
say({ peer: network.peer, identity: Buffer.from(privateKeyToProtobuf(privateKey)).toString("hex"), listening });
network.listen(say);
for await (const line of createInterface({ input: process.stdin })) network.perform(JSON.parse(line));
process.exit();
