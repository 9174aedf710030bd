// A session as a sequence diagram: a lane for each signer, time downwards, a band for each phase.

const SVG = "http://www.w3.org/2000/svg";
const ROW = 26;
const TOP = 46;
const LEFT = 78;

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const SAID = {
  "session-created": "created",
  "session-announced": "announced",
  "session-approved": "approved",
  "attempt-started": "attempt begins",
  "attempt-lapsed": "waits for people",
  "attempt-failed": "attempt failed",
  "session-completed": "signed",
  "should-broadcast": "our turn to broadcast",
  "coordinator-failed": "coordinator failed over",
  "broadcast-claimed": "broadcast, it is said",
  "session-aborted": "aborted",
  "session-expired": "expired",
  "payment-broadcast": "broadcast",
  "payment-confirmed": "confirmed",
};

/** Whose lane an event is drawn on; none for what concerns all. */
const laneOf = ({ event, signer, creator, coordinator, by }, own) => {
  if (event === "session-approved") return own;
  if (["signer-joined", "signer-busy", "signer-misbehaved", "signer-awaited"].includes(event)) return signer;
  if (event === "session-announced") return creator;
  return coordinator ?? by;
};

function label(step) {
  if (step.event === "phase-changed") return step.phase.replaceAll("-", " ");
  if (step.event === "signer-joined") return "joined";
  return SAID[step.event] ?? step.event.replaceAll("-", " ");
}

/** The diagram of a session whose details are known, with what has happened in it; keys may have names. */
export function diagram(session, course, nameOf) {
  const frame = document.createElement("div");
  frame.className = "sequence scroll";
  if (!session) return frame;
  const lanes = session.signers.map(({ key, own }) => ({ key, name: own ? "you" : (nameOf(key) ?? `${key.slice(2, 8)}…`) }));
  const own = session.signers.find((signer) => signer.own)?.key;
  // An end is told by an event of its own.
  const ends = ["complete", "aborted", "expired"];
  const steps = course.filter(({ event, phase }) => event !== "phase-changed" || !ends.includes(phase)).slice(-24);
  if (steps.length === 0) return frame;
  const gap = Math.max(64, Math.min(120, 520 / lanes.length));
  const [width, height] = [LEFT + gap * lanes.length + 150, TOP + ROW * steps.length + 10];
  const x = (lane) => LEFT + gap * (lane + 0.5);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  const first = steps[0].time;
  svg.append(draw("title", {}, steps.map((step) => `${step.time - first} ms: ${label(step)}`).join("; ")));
  for (const [lane, { key, name }] of lanes.entries()) {
    svg.append(draw("line", { class: "lane", x1: x(lane), x2: x(lane), y1: TOP - 12, y2: height - 6 }));
    const head = draw(
      "text",
      { class: name === "you" ? "own" : "name", x: x(lane), y: 20, "text-anchor": "middle" },
      name,
    );
    head.append(draw("title", {}, key));
    svg.append(head);
  }
  const last = lanes.length - 1;
  for (const [row, step] of steps.entries()) {
    const y = TOP + ROW * row + 6;
    svg.append(
      draw("text", { class: "time", x: LEFT - 12, y: y + 4, "text-anchor": "end" }, `${step.time - first} ms`),
    );
    const lane = lanes.findIndex(({ key }) => key === laneOf(step, own));
    const isEnd = ["session-completed", "session-aborted", "session-expired", "attempt-failed"].includes(step.event);
    if (lane >= 0) {
      const kind = step.event === "signer-misbehaved" ? "bad" : "dot";
      svg.append(draw("circle", { class: kind, cx: x(lane), cy: y, r: 5 }));
    } else {
      const kind = step.event === "session-completed" ? "band good" : isEnd ? "band bad" : "band";
      svg.append(
        draw("rect", { class: kind, x: x(0) - 14, y: y - 5, width: x(last) - x(0) + 28, height: 10, rx: 5 }),
      );
    }
    svg.append(draw("text", { class: "said", x: x(last) + 24, y: y + 4 }, label(step)));
  }
  frame.append(svg);
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", `Course of session ${session.session.slice(0, 10)}`);
  return frame;
}
