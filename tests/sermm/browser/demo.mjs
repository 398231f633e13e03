// Drives the page of `sermm demo` as its users do:
//   node demo.mjs URL FOLDER OUT [WORDS]
// FOLDER has clip.wav, long.wav, damaged.wav and large.wav; WORDS are those of the clip, for a model
// that reads. Prints what was seen as JSON; pictures lie in OUT.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openBrowser, openPage, overflow } from "./watch.mjs";

const [url, folder, out, words = ""] = process.argv.slice(2);
const file = (name) => join(folder, name);
const faults = [];
const seen = { faults, steps: {} };
const browser = await openBrowser();
const LONGEST_MS = 900_000; // where other work has the machine

// Chooses a file, and waits until the page has it or refuses it.
async function send(page, what, taken = true) {
  const clear = page.getByLabel("Clear");
  if (await clear.count()) await clear.first().click();
  const uploaded = taken && page.waitForResponse((answer) => answer.url().includes("/upload?"));
  await page.locator("input[type=file]").first().setInputFiles(what);
  if (taken) {
    await uploaded;
    await clear.first().waitFor();
  } else await page.getByTestId("toast-body").waitFor();
  await page.waitForTimeout(300);
}

// Presses the button, waits for the answer, and notes what stands there.
async function judge(page, name) {
  const before = Date.now();
  // every sign of work gone again, once there was one
  await page.evaluate(() => {
    const signs = () => [...document.querySelectorAll("[data-testid=status-tracker]")];
    const idle = () => signs().every((one) => one.classList.contains("hide"));
    window.judged = new Promise((resolve) => {
      let busy = false;
      const watch = new MutationObserver(() => {
        if (!idle()) busy = true;
        else if (busy) resolve(watch.disconnect());
      });
      watch.observe(document.body, { subtree: true, childList: true, attributes: true });
    });
  });
  await page.getByRole("button", { name: "Judge" }).click();
  await page.evaluate(() => window.judged);
  const seconds = (Date.now() - before) / 1000;
  await page.waitForTimeout(800);
  const shares = await page.locator("[data-testid$=confidence-set]").allInnerTexts();
  const told = page.locator("p[role=status], p[role=alert], [data-testid=toast-body]");
  seen.steps[name] = {
    seconds,
    shares: Object.fromEntries(shares.map((text) => text.split(/\s+/).filter(Boolean))),
    told: (await told.allInnerTexts()).join(" | "),
    rows: await page.locator(".timeline tbody tr").count(),
    drawn: await page.locator(".picture svg:visible").count(),
    cut: await page.evaluate(() => {
      const boxes = [...document.querySelectorAll(".picture")];
      return Math.max(0, ...boxes.map((box) => box.scrollWidth - box.clientWidth));
    }),
    wide: await overflow(page),
  };
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
}

for (const [width, colorScheme] of [[1280, "light"], [390, "dark"]]) {
  const page = await openPage(browser, url, width, faults, { colorScheme });
  page.setDefaultTimeout(LONGEST_MS);
  await page.goto(url);
  await page.getByRole("button", { name: "Judge" }).waitFor();
  const fill = async (text) => {
    const box = page.getByLabel("Words");
    if (await box.isVisible()) await box.fill(text);
  };
  await send(page, file("clip.wav"));
  await fill(words);
  await judge(page, `clip-${width}`);
  await fill(words ? words.split(" ").slice(1).join(" ") : "");
  await judge(page, `again-${width}`);
  await send(page, file("damaged.wav"));
  await judge(page, `damaged-${width}`);
  await page.getByLabel("windows of 4 s").check();
  await send(page, file("long.wav"));
  await fill(words ? readFileSync(file("long.txt"), "utf-8") : "");
  await judge(page, `long-${width}`);
  await page.getByLabel("whole").check();
  await fill(words);
  const buffer = readFileSync(file("clip.wav"));
  await send(page, { name: "../../../../tmp/evil.wav", mimeType: "audio/wav", buffer });
  await judge(page, `named-${width}`);
  await send(page, file("large.wav"), false);
  await judge(page, `large-${width}`);
  await page.context().close();
}

// Many at once, each in a browser of his own: what each is told.
const USERS = 20;
const pages = await Promise.all(
  Array.from({ length: USERS }, async () => {
    const page = await openPage(browser, url, 1280, faults);
    page.setDefaultTimeout(LONGEST_MS);
    await page.goto(url);
    await page.getByRole("button", { name: "Judge" }).waitFor();
    if (words) await page.getByLabel("Words").fill(words);
    await send(page, file("clip.wav"));
    return page;
  }),
);
const began = Date.now();
const told = await Promise.all(
  pages.map(async (page) => {
    await page.getByRole("button", { name: "Judge" }).click();
    const bars = page.locator("[data-testid$=confidence-set]");
    await bars.first().waitFor();
    return [(Date.now() - began) / 1000, (await bars.allInnerTexts()).join(" ")];
  }),
);
seen.users = { seconds: told.map(([seconds]) => seconds), answers: told.map(([, text]) => text) };
await browser.close();
console.log(JSON.stringify(seen, null, 1));
