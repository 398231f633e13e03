// Every page that is given, on a desktop and a phone, light and dark, and printed:
//   node pages.mjs OUT FILE.html...
// Prints what went wrong as JSON; pictures and PDFs lie in OUT.
import { pathToFileURL } from "node:url";
import { basename, join } from "node:path";
import { openBrowser, openPage, overflow } from "./watch.mjs";

const [out, ...files] = process.argv.slice(2);
const browser = await openBrowser();
const found = {};
for (const file of files) {
  const faults = [];
  const name = basename(file, ".html");
  const url = pathToFileURL(file).href;
  for (const width of [1280, 390]) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await openPage(browser, url, width, faults, { colorScheme });
      await page.goto(url);
      const wide = await overflow(page);
      if (wide > 0) faults.push(`${width} px: ${wide} px wider than the screen`);
      await page.screenshot({ path: join(out, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      if (width === 1280 && colorScheme === "dark") {
        await page.pdf({ path: join(out, `${name}.pdf`), format: "A4" });
      }
      await page.context().close();
    }
  }
  found[name] = faults;
}
await browser.close();
console.log(JSON.stringify(found));
