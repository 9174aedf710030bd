// A wallet of several, in a page: contacts, approval that shows what is signed, and what happens meanwhile.
//
// The address has what a real wallet would know by itself: ?bootstrap=ADDRESS&network=regtest. What comes from others is
// shown as text, never as markup.
import { IndexedDbJournal, start } from "./nelumbo.js";

const query = new URLSearchParams(location.search);
const at = (id) => document.getElementById(id);
const element = (tag, text, className) => Object.assign(document.createElement(tag), { textContent: text, className: className ?? "" });
const contacts = new Map(JSON.parse(localStorage.getItem("contacts") ?? "[]"));

let wallet;
try {
  wallet = await start({
    network: query.get("network") ?? "regtest",
    bootstrap: query.getAll("bootstrap"),
    relays: query.getAll("relay"),
    journal: new IndexedDbJournal("wallet"),
    log: (text) => console.debug(text),
  });
} catch (error) {
  at("state").textContent = error.message;
  throw error;
}
wallet.closed.then((error) => (at("state").textContent = `stopped: ${error?.message ?? "as it was asked to"}`));
at("key").textContent = wallet.key;

const nameOf = (key) => (key === wallet.key ? "this wallet" : (contacts.get(key) ?? `${key.slice(0, 10)}…`));

function showContacts(view) {
  const reached = new Set(view.signers.filter(({ is_connected: is }) => is).map(({ key }) => key));
  const rows = [...contacts].map(([key, name]) => {
    const row = element("li", `${name}: ${reached.has(key) ? "connected" : "away"} `);
    row.append(element("code", key));
    return row;
  });
  at("contacts").replaceChildren(...rows);
  at("state").textContent = `${view.connected.length} peers, ${rows.filter((row) => row.textContent.includes(": connected")).length} contacts connected`;
}

function showSession({ id, phase, attempt, approval, definition, joined, signatures }) {
  const row = element("li", "", "session");
  row.dataset.session = id;
  row.dataset.phase = phase;
  row.append(element("strong", `${phase}, attempt ${attempt}`), element("div", approval?.line ?? "no account of it", "line"));
  for (const warning of approval?.warnings ?? []) row.append(element("div", warning, "warning"));
  if (approval?.description) row.append(element("div", `“${approval.description}”, says ${nameOf(definition.keys[definition.creator])}`));
  const state = definition.keys.map((key, place) => `${nameOf(key)} ${joined[place] ? "✓" : "…"}`);
  if (joined.length > 0) row.append(element("div", state.join(", ")));
  for (const signature of signatures) row.append(element("code", signature, "signature"));
  if (phase === "announced") {
    const [approve, decline] = [element("button", "Approve", "approve"), element("button", "Decline", "decline")];
    // What is shown is what is approved: all that is unusual about it stands above, by its meaning.
    approve.onclick = () => tryTo(() => wallet.join(id, approval.unusual));
    decline.onclick = () => tryTo(() => wallet.decline(id));
    row.append(approve, decline);
  }
  return row;
}

function show() {
  const view = wallet.view();
  showContacts(view);
  at("sessions").replaceChildren(...view.sessions.map(showSession));
}

function tryTo(act) {
  try {
    act();
  } catch (error) {
    at("state").textContent = error.message;
  }
}

at("contact").onsubmit = (event) => {
  event.preventDefault();
  const { name, key } = Object.fromEntries(new FormData(event.target));
  contacts.set(key, name);
  localStorage.setItem("contacts", JSON.stringify([...contacts]));
  event.target.reset();
  show();
};

at("ask").onsubmit = (event) => {
  event.preventDefault();
  const { message, description } = Object.fromEntries(new FormData(event.target));
  const keys = [wallet.key, ...contacts.keys()];
  const session = { suite: "lotus", keys, items: [{ type: "message", message }], details: { description }, allow: ["opaque"] };
  tryTo(() => void wallet.create(session));
};

wallet.on((event) => {
  const { type, session, phase, attempt } = event;
  if (session) at("log").append(element("li", [type, phase, attempt && `attempt ${attempt}`, session.slice(0, 8)].filter(Boolean).join(" ")));
  show();
});
show();
document.body.dataset.ready = "yes";
