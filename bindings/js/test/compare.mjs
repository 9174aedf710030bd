// Plays the calls that standard input has, as `fuzz/examples/calls.rs` prints them, and compares what they give with
// what they gave in Rust. Ends with the first difference.
import { createInterface } from "node:readline";
import { NelumboError, load } from "../src/index.js";

const { Machine, Signer, callText } = await load();
const unhex = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const time = (text) => Number(text.replace("inf", "Infinity"));
const known = new Map();

function play(what, of, [first, second, third], times) {
  const [mono, wall] = times.map(time);
  const it = known.get(of);
  switch (what) {
    case "call":
      return callText(first);
    case "machine":
      known.set(of, new Machine(JSON.parse(first), unhex(second), unhex(third), mono, wall));
      return "null";
    case "signer":
      known.set(of, new Signer(unhex(first), unhex(second)));
      return "null";
    case "handle":
      return it.handleText(mono, wall, first) ?? "null";
    case "command":
      return `${it.commandText(mono, wall, first)}`;
    case "deadline":
      return it.deadline() ?? null;
    default:
      return it[`${what}Text`](first);
  }
}

let [scripts, calls] = [0, 0];
for await (const line of createInterface({ input: process.stdin })) {
  const [what, of, texts, times, gave] = JSON.parse(line);
  if (what === "end") {
    for (const it of known.values()) it.free();
    known.clear();
    scripts += 1;
    continue;
  }
  calls += 1;
  let here;
  try {
    here = play(what, of, texts, times);
  } catch (error) {
    if (!(error instanceof NelumboError)) throw error;
    here = error.text;
  }
  if (here !== (what === "deadline" ? JSON.parse(gave) : gave)) {
    console.log(`script ${scripts + 1}: ${line}\nbut here: ${here}`);
    process.exit(1);
  }
}
console.log(`${scripts} scripts, ${calls} calls, no difference`);
