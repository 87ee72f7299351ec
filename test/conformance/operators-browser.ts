import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { debianPackage } from "./debian-package.ts";
import type { Missing } from "./machine.ts";

const CHROMIUM = "/usr/bin/chromium";
const START_MS = 30_000;

/** Without these Chromium calls its maker at every start, which a machine without a way out pays for. */
const QUIET = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb"],
];

/** A page, and all that went wrong on it or left this machine. */
export interface WatchedPage extends AsyncDisposable {
  readonly page: Page;
  /** Errors of scripts, of the console and of requests, as they came; none on a page that works. */
  readonly faults: string[];
  /** Hosts other than this machine that it asked, or tried to. */
  readonly strangers: string[];
  /** The value of an expression, or of its promise, as JSON can carry it. No policy of the page keeps it from running. */
  evaluate<T>(expression: string): Promise<T>;
}

export interface Browser extends AsyncDisposable {
  /** A window of its own: nothing of another is known there. */
  open(options?: BrowserContextOptions): Promise<WatchedPage>;
}

/** Debian's own Chromium, installed if we may. */
export const debianChromium = (): Promise<true | Missing> => debianPackage(CHROMIUM, "chromium", "fonts-dejavu-core");

/** Headless, with an empty profile; close it. */
export async function openBrowser(): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET, timeout: START_MS });
  return {
    open: async (options = {}) => watched(await browser.newContext(options)),
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

async function watched(context: BrowserContext): Promise<WatchedPage> {
  const faults: string[] = [];
  const strangers: string[] = [];
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("request", (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol !== "data:" && hostname !== "127.0.0.1") strangers.push(request.url());
  });
  const tools = await context.newCDPSession(page);
  const evaluate = async <T>(expression: string): Promise<T> => {
    const options = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await tools.send("Runtime.evaluate", options);
    if (exceptionDetails !== undefined)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value as T;
  };
  return { page, faults, strangers, evaluate, [Symbol.asyncDispose]: () => context.close() };
}

/** A picture of a page of this machine, as PNG: for docs, and to see what a test saw. It ends where the page does, or after `heightMax`. */
export async function screenshot(
  browser: Browser,
  url: string,
  path: string,
  options: BrowserContextOptions = {},
  heightMax = 4_000,
): Promise<void> {
  await using opened = await browser.open({ viewport: { width: 1280, height: 900 }, ...options });
  const { page, evaluate } = opened;
  await page.goto(url, { waitUntil: "networkidle" });
  const [width, height] = await evaluate<[number, number]>("[innerWidth, document.documentElement.scrollHeight]");
  await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width, height: Math.min(height, heightMax) } });
}
