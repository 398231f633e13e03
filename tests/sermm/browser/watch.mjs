// A Chromium that notes what no page of sermm may do: console errors, failed scripts, and requests
// to any other place than its own. PLAYWRIGHT is a folder with node_modules/playwright-core,
// CHROMIUM the browser.
import { createRequire } from "node:module";

const { chromium } = createRequire(`${process.env.PLAYWRIGHT}/x.js`)("playwright-core");

export async function openBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
}

// A page of this size; what it did wrong is added to `faults`.
export async function openPage(browser, own, width, faults, options = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, ...options });
  const page = await context.newPage();
  const note = (what) => faults.push(`${width} px: ${what}`);
  page.on("console", (message) => {
    if (message.type() === "error") note(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => note(`script: ${error.message}`));
  page.on("request", (request) => {
    const inside = [own, "data:", "blob:"].some((start) => request.url().startsWith(start));
    if (!inside) note(`request: ${request.url()}`);
  });
  page.on("requestfailed", (request) => {
    const reason = request.failure().errorText;
    if (reason !== "net::ERR_ABORTED") note(`failed: ${request.url()} ${reason}`);
  });
  return page;
}

// How far the page is wider than the screen; 0 where nothing scrolls sideways.
export async function overflow(page) {
  return page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
}
