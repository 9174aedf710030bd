// Native nodes for tests: the program `nelumbo`, whose place NELUMBO says.
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const program = process.env.NELUMBO;
if (!program) throw new Error("NELUMBO is to name the program `nelumbo`");
const folder = mkdtempSync(join(tmpdir(), "nelumbo-js-"));
const passphrase = join(folder, "passphrase");
writeFileSync(passphrase, "some secret words\n", { mode: 0o600 });
const running = [];

/** A folder that is gone with the nodes. */
export const scratch = (name) => join(folder, name);

const LOOPBACK = "/ip4/127.0.0.1/tcp/0/ws";

/** A node. It joins what it is asked for when `joins`; `config` is more for its config.toml. */
export async function native(name, { bootstrap, joins = true, preset = "full", listen = LOOPBACK, config = "" } = {}) {
  const data = join(folder, name);
  const init = ["node", "init", "--json", "--data", data, "--network", "regtest", "--preset", preset];
  init.push("--listen", listen, "--passphrase-file", passphrase);
  if (bootstrap) init.push("--bootstrap", bootstrap);
  const { key, peer } = JSON.parse(execFileSync(program, init, { encoding: "utf8" }));
  appendFileSync(join(data, "config.toml"), config);
  const child = spawn(program, ["node", "--data", data, "--passphrase-file", passphrase, "--json"], {
    stdio: ["ignore", "pipe", process.env.NELUMBO_LOUD ? "inherit" : "ignore"],
  });
  running.push(child);
  const events = [];
  const ask = (...words) => execFileSync(program, [...words, "--data", data], { encoding: "utf8" });
  const address = await new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`${name} has ended: ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { event } = JSON.parse(line);
      events.push(event);
      if (event.event === "listening") resolve(event.address);
      if (event.event === "session-announced" && joins) {
        spawn(program, ["join", event.session, "--allow", "opaque", "--data", data], { stdio: "ignore" });
      }
    });
  });
  return { key, peer, address, events, ask };
}

/** Ends all nodes. */
export async function end() {
  const gone = running.map((child) => child.exitCode !== null || new Promise((resolve) => child.once("exit", resolve)));
  for (const child of running) child.kill("SIGTERM");
  await Promise.all(gone);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** Waits until something holds. */
export async function until(what, holds, patienceMs = 60_000) {
  const began = performance.now();
  while (!(await holds())) {
    if (performance.now() - began > patienceMs) throw new Error(`not in ${patienceMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
