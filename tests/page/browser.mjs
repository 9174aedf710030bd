// A browser that does what it is told, one line of JSON after the other on standard input, and says when it is done.
//
//   {"do":"open","url":…}                      a page
//   {"do":"fill","selector":…,"text":…}        text into a field
//   {"do":"click","selector":…}                a click
//   {"do":"press","key":…}                     a key, where the focus is
//   {"do":"wait","selector":…,"text":…}        until an element holds the text
//   {"do":"count","selector":…}                how many there are
//   {"do":"picture","file":…,"width":…,"height":…,"scheme":"light"|"dark"}
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const PATIENCE = 60_000;
const quiet = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const browser = await chromium.launch({ executablePath: process.argv[2], args: quiet });
const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
page.setDefaultTimeout(PATIENCE);
/** What went wrong in the page, and what it asked of others than its node. */
const faults = [];
let own = "";
page.on("pageerror", (error) => faults.push(String(error)));
page.on(
  "console",
  (message) =>
    message.type() === "error" && !/Failed to load resource|ERR_/.test(message.text()) && faults.push(message.text()),
);
page.on(
  "request",
  (request) => !request.url().startsWith(own) && !request.url().startsWith("data:") && faults.push(request.url()),
);

const actions = {
  async open({ url }) {
    own = new URL(url).origin;
    await page.goto(url);
  },
  fill: ({ selector, text }) => page.fill(selector, text),
  click: ({ selector }) => page.click(selector),
  press: ({ key }) => page.keyboard.press(key),
  wait: ({ selector, text }) => page.locator(selector).filter({ hasText: text }).first().waitFor(),
  count: ({ selector }) => page.locator(selector).count(),
  async picture({ file, width, height, scheme }) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme });
    await page.evaluate(() => scrollTo(0, 0));
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    await page.screenshot({ path: file });
    return overflow;
  },
  faults: () => faults,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: action, ...what } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ done: (await actions[action](what)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ failed: `${action}: ${error.message.split("\n")[0]}; ${faults.join("; ")}` }));
  }
}
await browser.close();
