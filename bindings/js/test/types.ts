// What the types promise: `tsc` takes what is right here, and refuses the lines behind `@ts-expect-error`.
import { FileJournal, load, random32, start } from "nelumbo/libp2p";
import type { Command, Event, Input, Output } from "nelumbo";

const core = await load();
const machine = new core.Machine({ network: "regtest", peer: "AAAA" }, random32(), random32(), 0, Date.now());
machine.handle(0, Date.now(), [{ type: "tick" }, { type: "persisted", sequence: 1 }]);
for (const output of machine.poll()) if (output.type === "send") output.bytes satisfies string;
const { is_valid: isValid } = core.call({ type: "verify", suite: "lotus", key: "02", message: "", signature: "" });
isValid satisfies boolean;
const join: Command = { type: "join", session: "00", allow: ["opaque"] };
machine.command(0, 0, join) satisfies number;
export const asked = (event: Event) => (event.type === "session-announced" ? event.summary.warnings : []);
export const kinds: [Input["type"], Output["type"]] = ["found", "lookup"];

const node = await start({ network: "mainnet", journal: new FileJournal("x"), bootstrap: [], policy: { rules: [] } });
const session = await node.create({ suite: "bip340", keys: [node.key], items: [{ type: "message", message: "00" }] });
(await node.completed(session))[0] satisfies string | undefined;

// @ts-expect-error: no such network
await start({ network: "moon" });
// @ts-expect-error: no such input
machine.handle(0, 0, [{ type: "tock" }]);
// @ts-expect-error: a session has keys
await node.create({ suite: "lotus", items: [] });
// @ts-expect-error: what is unusual has names
node.join(session, ["odd"]);
// @ts-expect-error: `aggregate` has no field `signature`
core.call({ type: "aggregate", suite: "lotus", keys: [] }).signature;
