// The page of one node: asks its API, follows its events, and approves or declines in place. Everything from outside
// becomes text by textContent, never markup.
import { diagram } from "./sequence.js";

const place = (id) => document.getElementById(id);
const short = (text) => (text.length > 20 ? `${text.slice(0, 10)}…${text.slice(-6)}` : text);

/** An element with these attributes and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") element.addEventListener("click", value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

let token = sessionStorage.getItem("token");
/** What sessions have done, by id, in the order of its happening. */
const courses = new Map();
/** The summary of each request that waits, by id. */
const shown = new Map();
/** Contacts and groups, and what each group has. */
let names = { contacts: {}, groups: {} };
const balances = new Map();
let newest = 0;
let isStale = true;

class Refusal extends Error {
  constructor(status, { problem, remedy, kind }) {
    super(`${problem}; ${remedy}`);
    Object.assign(this, { status, kind });
  }
}

async function ask(path, method = "GET", body = undefined) {
  const headers = { authorization: `Bearer ${token}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const result = await answer.json();
  if (!answer.ok) throw new Refusal(answer.status, result.error);
  return result;
}

// --- What is shown ----------------------------------------------------------------------------------------------------

function facts(list, rows) {
  list.replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, ...[value].flat())]));
}

function code(text) {
  const copy = make(
    "button",
    { type: "button", class: "copy", title: "Copy", "aria-label": `Copy ${short(text)}` },
    "copy",
  );
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "copied";
    setTimeout(() => (copy.textContent = "copy"), 1200);
  });
  return [make("code", { title: text }, short(text)), copy];
}

const ago = (time) => {
  const seconds = Math.max(0, Math.round((Date.now() - time) / 1000));
  const [count, unit] =
    seconds < 120
      ? [seconds, "second"]
      : seconds < 7200
        ? [Math.round(seconds / 60), "minute"]
        : [Math.round(seconds / 3600), "hour"];
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
};
const until = (time) => (time < Date.now() ? "expired" : `expires in ${ago(2 * Date.now() - time)}`);

function showNode(stats) {
  const state = stats.reachability.state;
  facts(place("facts"), [
    ["Signing key", code(stats.key)],
    ["Peer", code(stats.peer)],
    [
      "Reachable",
      [make("span", { class: `chip ${state}` }, state.replace("-", " ")), ` ${stats.reachability.reason}`],
    ],
    [
      "Addresses",
      stats.addresses.length
        ? stats.addresses.flatMap((at) => [make("code", { class: "line" }, at)])
        : "none that others can use",
    ],
    [
      "Connected",
      `${stats.peers.connected} peers; ${stats.peers.graylisted + stats.peers.blacklisted} not listened to`,
    ],
    ["DHT", `${stats.dht.state}, ${stats.dht.mode}, ${stats.dht.routing_table_size} peers in its table`],
    ["Running for", ago(stats.started)],
  ]);
  const refused = Object.entries(stats.refusals).flatMap(([layer, reasons]) =>
    Object.entries(reasons).map(([reason, count]) => [`${layer}: ${reason}`, String(count)]),
  );
  facts(place("refusals"), refused.length ? refused : [["Nothing", "so far"]]);
}

function showPeers(peers) {
  const head = ["Peer", "Address", "Path", "Round trip", "Standing"].map((name) =>
    make("th", { scope: "col" }, name),
  );
  const rows = peers.map((peer) =>
    make(
      "tr",
      {},
      make("td", {}, ...code(peer.peer)),
      make("td", {}, make("code", {}, peer.address.replace(/\/p2p\/\w+$/, ""))),
      make("td", {}, peer.relayed ? "relayed" : peer.outbound ? "direct, outbound" : "direct, inbound"),
      make("td", {}, peer.round_trip_ms === null ? "—" : `${peer.round_trip_ms} ms`),
      make("td", {}, make("span", { class: `chip ${peer.standing}` }, peer.standing)),
    ),
  );
  const empty = [make("tr", {}, make("td", { colspan: "5" }, "Nobody is connected."))];
  place("peers").replaceChildren(
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...(rows.length ? rows : empty)),
  );
}

/** What the contact is called that has this key, if one has. */
const nameOf = (key) => Object.entries(names.contacts).find(([, known]) => known === key)?.[0];
const called = (key) => nameOf(key) ?? short(key);

const amount = (satoshi) => `${(satoshi / 1e6).toLocaleString("en", { maximumFractionDigits: 6 })} XPI`;

function money(balance, suite) {
  if (balance?.problem) return make("p", { class: "quiet" }, suite === "bip340" ? "" : balance.problem);
  if (!balance) return make("p", { class: "quiet" }, "…");
  const waits = balance.total - balance.spendable;
  const parts = [];
  if (balance.unconfirmed) parts.push(`${amount(balance.unconfirmed)} not confirmed yet`);
  if (waits) parts.push(`${amount(waits)} not spendable yet`);
  return make(
    "p",
    { class: "balance" },
    make("b", {}, amount(balance.spendable)),
    parts.length ? make("span", { class: "quiet" }, ` ${parts.join("; ")}`) : "",
  );
}

function showNames(own) {
  const groups = Object.entries(names.groups).map(([name, group]) =>
    make(
      "article",
      { class: "card", "data-group": name },
      make("h3", {}, name, make("span", { class: "chip" }, group.suite)),
      money(balances.get(name), group.suite),
      make("p", { class: "quiet" }, group.keys.map((key) => (key === own ? "you" : called(key))).join(", ")),
      make("p", {}, "paid at ", ...code(group.address)),
    ),
  );
  const none = make("p", { class: "quiet" }, "No group yet: nelumbo group create makes one.");
  place("groups").replaceChildren(...(groups.length ? groups : [none]));
  facts(
    place("contacts"),
    Object.entries(names.contacts).map(([name, key]) => [name, code(key)]),
  );
}

/** Servers of the chain are asked now and then, each group on its own: one that is slow holds up nothing. */
async function askBalances() {
  for (const [name, { suite }] of Object.entries(names.groups)) {
    if (suite !== "lotus") continue;
    ask(`/v1/groups/${encodeURIComponent(name)}/balance`)
      .catch((error) => ({ problem: error.message }))
      .then((balance) => {
        balances.set(name, balance);
        isStale = true;
      });
  }
}

/** What is there of pools: the section is for nodes that take part in some. */
function showPools(pools) {
  place("pools").hidden = pools.length === 0;
  const card = (pool) => {
    const people = pool.taking_part ?? pool.participants;
    const rows = [["phase", `${pool.phase.replaceAll("-", " ")}: ${pool.done} of ${people} have done their part`]];
    if (pool.until) rows.push(["until", until(pool.until).replace("expires", "it ends")]);
    rows.push(["otherwise", pool.otherwise]);
    rows.push(["costs", `${amount(pool.burn)} burned, ${amount(pool.max_fees)} of fees at most`]);
    if (pool.settlement) rows.push(["settlement", code(pool.settlement)]);
    if (pool.blamed.length) rows.push(["kept away by", pool.blamed.map(called).join(", ")]);
    const list = make("dl", {});
    facts(list, rows);
    const head = make("h3", {}, amount(pool.denomination), " ", make("span", { class: "chip" }, pool.phase));
    return make("article", { class: "card", "data-pool": pool.pool }, head, list);
  };
  place("pools").querySelector(".cards").replaceChildren(...pools.map(card));
}

const RISKY = new Set(["UNUSUAL", "WARNING"]);

/** The cards of requests that wait, by session: one that is being decided stays as it is when another goes. */
const waitingCards = new Map();

function showRequests(requests) {
  const cards = requests.map(({ session, creator, signer_count, expires }) => {
    if (waitingCards.has(session)) return waitingCards.get(session);
    const { unusual, rows } = shown.get(session) ?? { unusual: [], rows: [["loading", "…"]] };
    const list = make("dl", {});
    for (const [name, value] of rows) {
      list.append(
        make("dt", { class: RISKY.has(name) ? "risk" : undefined }, name),
        make("dd", { class: RISKY.has(name) ? "risk" : undefined }, value),
      );
    }
    const approve = make("button", { type: "button", class: "approve" }, "Approve");
    approve.addEventListener("click", () => decide(session, unusual, approve));
    const decline = make(
      "button",
      { type: "button", click: () => change(`/v1/sessions/${session}/abort`) },
      "Decline",
    );
    const card = make(
      "article",
      { class: "card", "data-session": session, "aria-label": `Request ${short(session)}` },
      make("h3", {}, ...code(session)),
      make("p", { class: "quiet" }, `asked by ${called(creator)} of ${signer_count} signers; ${until(expires)}`),
      list,
      make("div", { class: "buttons" }, approve, decline),
    );
    waitingCards.set(session, card);
    return card;
  });
  for (const [session, card] of waitingCards) if (!cards.includes(card)) waitingCards.delete(session);
  place("requests").replaceChildren(
    ...(cards.length ? cards : [make("p", { class: "quiet" }, "Nothing. Requests appear here as they come.")]),
  );
}

/** What is unusual is approved by a second click that names it. */
function decide(session, unusual, button) {
  if (unusual.length && !button.dataset.sure) {
    button.dataset.sure = "yes";
    button.classList.add("sure");
    button.textContent = `Approve although ${unusual.join(", ")}`;
    return;
  }
  change(`/v1/sessions/${session}/join`, { allow: unusual });
}

async function change(path, body = {}) {
  try {
    say("");
    await ask(path, "POST", body);
  } catch (error) {
    say(error.message);
  }
  isStale = true;
}

/** Where a session stands, in words. */
function describe({ phase, joined_count, signer_count, attempt, expires }) {
  const ends = { complete: "signed", aborted: "aborted", expired: "expired" };
  if (ends[phase]) return `${ends[phase]} in attempt ${attempt}, of ${signer_count} signers`;
  return `${joined_count} of ${signer_count} signers take part, attempt ${attempt}; ${until(expires)}`;
}

/** What has become of a session's payment, as far as it was told since the page was opened. */
function confirmation(session) {
  const last = (courses.get(session) ?? []).findLast(({ event }) => event.startsWith("payment-"));
  if (!last) return "";
  const kind = last.event.slice("payment-".length);
  const text = kind === "confirmed" ? `confirmed in block ${last.height.toLocaleString("en")}` : kind;
  return make("span", { class: `chip ${kind === "rejected" ? "blacklisted" : kind === "confirmed" ? "good" : ""}` }, text);
}

function showSessions(sessions, details) {
  const cards = sessions
    .filter(({ phase }) => phase !== "announced")
    .map((head) => {
      const known = details.get(head.session);
      const signatures = known?.signatures ?? [];
      return make(
        "article",
        { class: "card", "data-session": head.session, "data-phase": head.phase },
        make(
          "h3",
          {},
          ...code(head.session),
          make("span", { class: `chip ${head.phase}` }, head.phase.replaceAll("-", " ")),
        ),
        make("p", { class: "quiet" }, describe(head)),
        diagram(known, courses.get(head.session) ?? [], nameOf),
        ...signatures.map((signature) => make("p", { class: "signature" }, "signature ", ...code(signature))),
        known?.final_transaction &&
          make("p", {}, "transaction ", ...code(known.final_transaction.txid), " ", confirmation(head.session)),
      );
    });
  place("sessions").replaceChildren(...(cards.length ? cards : [make("p", { class: "quiet" }, "None yet.")]));
}

function note(entry) {
  newest = entry.number;
  const { event, ...fields } = entry.event;
  if (fields.session) {
    const course = courses.get(fields.session) ?? [];
    course.push({ time: entry.time, event, ...fields });
    courses.set(fields.session, course.slice(-200));
  }
  const text = Object.entries(fields)
    .map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(" ");
  const time = new Date(entry.time).toLocaleTimeString();
  place("log").prepend(make("li", {}, make("time", {}, time), make("b", {}, ` ${event} `), text.slice(0, 400)));
  while (place("log").children.length > 200) place("log").lastChild.remove();
  if (event.startsWith("payment-")) askBalances();
  isStale = true;
}

function say(text) {
  place("said").textContent = text;
}

// --- The way there ----------------------------------------------------------------------------------------------------

async function refresh() {
  isStale = false;
  const paths = ["/v1/stats", "/v1/peers", "/v1/sessions", "/v1/contacts"];
  // A node without pools says so, which is nothing to tell here.
  const pools = ask("/v1/pools/own").catch(() => ({ own: [] }));
  const [stats, { peers }, { sessions }, known] = await Promise.all(paths.map((path) => ask(path)));
  const isFirst = Object.keys(known.groups).some((name) => !(name in names.groups));
  names = known;
  if (isFirst) askBalances();
  const waiting = sessions.filter(({ phase }) => phase === "announced");
  const others = sessions
    .filter(({ phase }) => phase !== "announced")
    .reverse()
    .slice(0, 20);
  for (const { session } of waiting) {
    if (!shown.has(session)) shown.set(session, await ask(`/v1/sessions/${session}/summary`));
  }
  const details = new Map();
  for (const { session } of others) details.set(session, await ask(`/v1/sessions/${session}`));
  showNode(stats);
  showPeers(peers);
  showNames(stats.key);
  showPools((await pools).own);
  // A button that is about to be pressed stays where it is.
  const state = JSON.stringify(waiting.map(({ session }) => [session, shown.get(session)]));
  if (place("requests").dataset.state !== state) {
    place("requests").dataset.state = state;
    showRequests(waiting);
  }
  showSessions(others, details);
}

/** Follows events until the connection ends. */
async function follow() {
  const headers = { authorization: `Bearer ${token}`, "last-event-id": String(newest) };
  const answer = await fetch("/v1/events", { headers });
  if (!answer.ok) throw new Refusal(answer.status, (await answer.json()).error);
  connected(true);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const field = (name) =>
        part
          .split("\n")
          .filter((line) => line.startsWith(`${name}:`))
          .map((line) => line.slice(name.length + 1).trim())
          .join("\n");
      if (field("event") === "entry") note(JSON.parse(field("data")));
      else if (field("event") === "missed") say("Some events were missed; what is shown is up to date.");
    }
  }
}

function connected(is) {
  place("link").textContent = is ? "live" : "connection lost, trying again";
  place("link").className = is ? "chip good" : "chip blacklisted";
}

async function live() {
  for (;;) {
    try {
      await follow();
    } catch (error) {
      if (error instanceof Refusal && [401, 403].includes(error.status)) return leave(error.message);
    }
    connected(false);
    // A node that was started again counts from the beginning.
    newest = 0;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function watch() {
  for (;;) {
    if (isStale) {
      try {
        await refresh();
      } catch (error) {
        if (error instanceof Refusal) say(error.message);
        isStale = true;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

let isRunning = false;
async function enter() {
  try {
    await ask("/v1/stats");
  } catch (error) {
    return leave(error.message);
  }
  sessionStorage.setItem("token", token);
  place("enter").hidden = true;
  place("node").hidden = place("leave").hidden = false;
  live();
  if (!isRunning) watch();
  isRunning = true;
  setInterval(() => (isStale = true), 5000);
  setInterval(askBalances, 60_000);
}

function leave(problem = "") {
  sessionStorage.removeItem("token");
  token = null;
  place("node").hidden = place("leave").hidden = true;
  place("enter").hidden = false;
  place("refused").textContent = problem;
  place("token").focus();
}

place("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  token = place("token").value.trim();
  enter();
});
place("leave").addEventListener("click", () => {
  leave();
  location.reload();
});
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  token = given;
  history.replaceState(null, "", location.pathname);
}
token ? enter() : leave();
