import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import { suite, suiteSetup, suiteTeardown, test } from "mocha";
import type { BrowserContextOptions } from "playwright-core";
import type { DemoCluster } from "../../src/demo/clusters.ts";
import { DemoMesh } from "../../src/demo/mesh.ts";
import type { Explanation } from "../../src/explain/answer.ts";
import { DRAIN_UNTIL } from "../../src/registry/kube/peering-annotations.ts";
import type { Topology } from "../../src/topology/topology.ts";
import { eventually } from "./causeway-process.ts";
import { skipWithout } from "./machine.ts";
import { type Browser, debianChromium, openBrowser, screenshot, type WatchedPage } from "./operators-browser.ts";
import { HOSTILE, hostileTopology, largeTopology } from "./operators-topology-made-up.ts";

const IMAGES = join(import.meta.dirname, "..", "..", "..", "docs", "images");
const IMAGE_BYTES_MAX = 200_000;
const DESK = { viewport: { width: 1120, height: 800 } } as const;
const SOON_MS = 20_000;
/** A shared host, and a pod that calls it from `edge`. */
const HOST = "converter.tools.mesh.internal";
const QUESTION = `/topology/service?host=${HOST}&from=assistant%2Fchatbot`;

let state: string;
let mesh: DemoMesh | undefined;
let browser: Browser | undefined;

const base = (cluster: DemoCluster = "edge"): string =>
  `http://127.0.0.1:${mesh!.planes.get(cluster)!.admin.adminPort}`;
const ask = async <T>(page: string): Promise<T> => (await (await fetch(`${base()}/debug/${page}`)).json()) as T;
const never = new AbortController().signal;

/** A window at a page that has something to show. With `topology` it is told that, and not what the control plane knows. */
async function opened(
  path = "/topology",
  options: BrowserContextOptions = {},
  topology?: Topology,
): Promise<WatchedPage> {
  const watched = await browser!.open({ viewport: { width: 1280, height: 900 }, ...options });
  if (topology !== undefined)
    await watched.page.route("**/debug/topologyz*", (route) => route.fulfill({ json: topology }));
  await watched.page.goto(base() + path);
  await watched.page
    .locator(path.startsWith("/topology/service") ? "#answer .answer" : "#clusters-table tbody tr")
    .first()
    .waitFor();
  return watched;
}

/** By hand, as clusters that are folders are drained; undefined takes it back. */
async function drainBank(until: string | undefined): Promise<void> {
  const file = join(state, "edge", "links", "bank.yaml");
  const before = (await readFile(file, "utf8")).replace(/^ +\S+drain-until: .*\n/m, "");
  const annotation = until === undefined ? "" : `    ${DRAIN_UNTIL}: ${until}\n`;
  await writeFile(
    file,
    before.replace("  annotations:\n", (line) => line + annotation),
  );
}

const sound = ({ faults, strangers }: WatchedPage): void => assert.deepEqual([faults, strangers], [[], []]);

/** The texts of a table, row by row. */
const tableOf = ({ evaluate }: WatchedPage, id: string): Promise<readonly (readonly string[])[]> =>
  evaluate(
    `[...document.querySelectorAll("#${id} tbody tr")].map((row) => [...row.children].map((cell) => cell.innerText.replace(/\\s+/g, " ").trim()))`,
  );

suite("the topology page in Debian's Chromium", () => {
  suiteSetup(async function () {
    this.timeout(400_000);
    skipWithout(this, "the topology page", await debianChromium());
    state = await mkdtemp(join(tmpdir(), "causeway-topology-"));
    mesh = new DemoMesh({
      options: { state, xdsPort: "0", adminPort: "0", healthPort: "0", log_output_level: "none" },
    });
    [, browser] = await Promise.all([mesh.start(never), openBrowser()]);
    await eventually("every link of edge is live", 60_000, async () => {
      const { links } = await ask<Topology>("topologyz");
      return links.length === 4 && links.every((link) => link.state === "live");
    });
  });
  suiteTeardown(async () => {
    await browser?.[Symbol.asyncDispose]();
    await mesh?.close();
    if (mesh !== undefined) await rm(state, { recursive: true, force: true });
  });

  test("it says of clusters, links, services and certificates what the debug pages say", async () => {
    await using watched = await opened();
    const peers = await ask<readonly { cluster: string; state: string; network: string; services: number }[]>("peerz");
    const rows = await tableOf(watched, "clusters-table");
    assert.equal(peers.length, 2);
    for (const { cluster, state, network, services } of peers) {
      const row = rows.find(([name]) => name === cluster)!;
      assert.match(row[1]!, new RegExp(`^. ?${state} for `));
      assert.match(row[2]!, /^. ?live for /);
      assert.deepEqual([row[4], row[5]!.split(" ")[0]], [`${services}`, network]);
    }
    const { hosts } = await ask<{ hosts: readonly string[] }>("explain");
    const services = await tableOf(watched, "services-table");
    assert.deepEqual(
      services.map(([text]) => text!.split(" ")[1]),
      hosts,
    );
    const { signer } = await ask<{ signer: { chain: readonly { subject: string; not_after: string }[] } }>("certz");
    const [authority] = await tableOf(watched, "certificates-table");
    assert.match(authority![0]!, new RegExp(`^${signer.chain[0]!.subject} `));
    assert.equal(authority![2], `${signer.chain[0]!.not_after.slice(0, 16).replace("T", " ")}Z`);
    sound(watched);
  }).timeout(60_000);

  test("it follows a peer that stops and comes back, by itself; focus, selection and scroll stay where they are", async () => {
    await using watched = await opened("/topology", { viewport: { width: 1280, height: 500 } });
    const { page, evaluate } = watched;
    const vendor = page.locator('#clusters-table tr[data-key="vendor"]');
    await page.locator("#cluster-filter").focus();
    await evaluate(
      `scrollTo(0, 150), getSelection().selectAllChildren(document.querySelector('tr[data-key="bank"] th'))`,
    );
    const kept = () => evaluate<unknown[]>("[document.activeElement.id, scrollY, String(getSelection()).trim()]");
    const before = await kept();
    await mesh!.stopPlane("vendor");
    await vendor.locator("td").first().filter({ hasText: "stale" }).waitFor({ timeout: SOON_MS });
    assert.match(await vendor.innerText(), /does not read this control plane/);
    assert.match((await page.locator("#announcer").textContent()) ?? "", /vendor \(we read\): stale/);
    assert.deepEqual(await kept(), before);
    await mesh!.startPlane("vendor", never);
    await vendor.locator("td").first().filter({ hasText: "live" }).waitFor({ timeout: SOON_MS });
    await vendor.locator("td").nth(1).filter({ hasText: "live" }).waitFor({ timeout: SOON_MS });
    assert.deepEqual(await kept(), before);
    sound(watched);
  }).timeout(90_000);

  test("a peer that is drained is seen to be in the picture, its row and its details, and what of it is spared, until it is over", async () => {
    await using watched = await opened();
    const { page } = watched;
    const cell = (section: string, key: string) => page.locator(`#${section}-table tr[data-key="${key}"]`);
    const ends = new Date(Date.now() + 3_600_000).toISOString();
    const shown = `${ends.slice(0, 10)} ${ends.slice(11, 16)}Z`;
    assert.equal(await page.locator("#drains").isVisible(), false);
    await drainBank(ends);
    const box = page.locator(".box", { hasText: `drained until ${shown.slice(11)}` });
    await box.waitFor({ timeout: SOON_MS });
    assert.match(await box.innerText(), /^bank/);
    assert.match(await cell("clusters", "bank").innerText(), new RegExp(`Drained until ${shown}\\.`));
    const services = new Map((await tableOf(watched, "services-table")).map(([name, shares]) => [name!, shares!]));
    const sharesOf = (host: string) => [...services].find(([name]) => name.includes(host))?.[1];
    assert.equal(sharesOf(HOST), `bank 1/1 (drained until ${shown}) vendor 2/2`);
    assert.equal(sharesOf("agent.accounts"), `bank 3/3 (spared, to be drained until ${shown})`, "nobody else has it");
    const [[what, state, until, , meaning] = []] = await tableOf(watched, "drains-table");
    assert.deepEqual(
      [what, state, until],
      [`all of peer bank Gateway istio-eastwest/istio-remote-peer-bank`, "■ drained", shown],
    );
    assert.match(meaning!, /^Peer bank is drained here until .*; 1 of them keeps its calls, as no other has\.$/);
    assert.match((await page.locator("#announcer").textContent()) ?? "", /drain of Gateway \S+: drained/);
    await box.click();
    assert.match(
      await page.locator("#details-body").innerText(),
      new RegExp(`Calls from here\\s+drained until ${shown}`),
    );
    await drainBank(undefined);
    await page.locator("#drains").waitFor({ state: "hidden", timeout: SOON_MS });
    assert.equal(await page.locator(".box", { hasText: "drained" }).count(), 0);
    assert.match((await page.locator("#announcer").textContent()) ?? "", /drain of Gateway \S+: over/);
    sound(watched);
  }).timeout(60_000);

  test("it says when the control plane does not answer, and how old what it shows is, until it answers again", async () => {
    await using watched = await opened();
    const { page } = watched;
    await page.route("**/debug/topologyz*", (route) => route.abort("connectionrefused"));
    await page.locator("#lost").waitFor({ timeout: SOON_MS });
    assert.match(
      await page.locator("#lost").innerText(),
      /^The control plane does not answer: .*What is shown is what it said last\./,
    );
    assert.match(await page.locator("#freshness").innerText(), /No answer/);
    await page
      .locator("#age")
      .filter({ hasText: /^[1-9]\d* s old$/ })
      .waitFor({ timeout: SOON_MS });
    assert.equal((await tableOf(watched, "clusters-table")).length, 3);
    await page.unrouteAll();
    await page.locator("#freshness").filter({ hasText: "Live" }).waitFor({ timeout: SOON_MS });
    assert.equal(await page.locator("#lost").isVisible(), false);
    assert.deepEqual(watched.strangers, []);
    // The browser itself says what it could not load, and nothing else went wrong.
    assert.deepEqual(
      watched.faults.filter((fault) => !fault.includes("ERR_CONNECTION_REFUSED")),
      [],
    );
  }).timeout(90_000);

  test("the keyboard alone reaches everything: skip link, picture, a cluster and back, filter, a service", async () => {
    await using watched = await opened();
    const { page, evaluate } = watched;
    const focused = () =>
      evaluate<string>("(document.activeElement.innerText || document.activeElement.id).split('\\n')[0].trim()");
    const visible = () => evaluate<string>("getComputedStyle(document.activeElement).outlineStyle");
    const press = (key: string) => page.keyboard.press(key);
    await press("Tab");
    assert.equal(await focused(), "Skip to the mesh");
    const stops: string[] = [];
    while (!stops.includes("cluster-filter") && stops.length < 40) {
      await press("Tab");
      assert.notEqual(await visible(), "none", await focused());
      stops.push(await focused());
    }
    assert.deepEqual(
      stops.filter((stop) => /^(edge|bank|vendor)/.test(stop)),
      ["edge"],
      "the picture is one stop",
    );
    await press("Shift+Tab");
    assert.match(await focused(), /^edge/);
    await press("ArrowLeft");
    assert.match(await focused(), /^bank/);
    await press("End");
    assert.match(await focused(), /^vendor/);
    await press("Enter");
    await page.locator("#details-title").filter({ hasText: "Cluster vendor" }).waitFor();
    assert.match(await page.locator("#details-body").innerText(), /May read/);
    assert.equal(new URL(page.url()).hash, "#cluster=vendor");
    await press("Escape");
    assert.equal(await page.locator("#details").isVisible(), false);
    assert.match(await focused(), /^vendor/);
    await page.locator("#service-filter").focus();
    await page.keyboard.type("convert");
    await page.locator("#services-count").filter({ hasText: /^1$/ }).waitFor({ timeout: SOON_MS });
    await press("Tab");
    await press("Enter");
    await page.locator("#answer .answer").waitFor({ timeout: SOON_MS });
    assert.equal(new URL(page.url()).searchParams.get("host"), HOST);
    sound(watched);
  }).timeout(60_000);

  test("a service's page says what explain says, to a question that was typed", async () => {
    await using watched = await opened("/topology");
    const { page } = watched;
    await page.goto(`${base()}/topology/service`);
    await page.locator("#known-hosts a").first().waitFor();
    await page.locator("#host").fill(HOST);
    await page.locator("#from").fill("assistant/chatbot");
    await page.keyboard.press("Enter");
    await page.locator("#answer .answer").waitFor({ timeout: SOON_MS });
    const said = await ask<Explanation>(`explain?host=${HOST}&from=assistant/chatbot`);
    const text = await page.locator("#answer").innerText();
    for (const expected of [
      said.answer,
      said.waypoint.rule,
      said.caller!.identity,
      ...said.name.addresses,
      ...said.name.identities,
    ])
      assert.ok(text.includes(expected), expected);
    for (const { cluster } of said.contributions) assert.ok(text.includes(cluster));
    sound(watched);
  }).timeout(60_000);

  test("nothing scrolls sideways in 320 pixels, in the largest mesh or with the longest names either", async () => {
    const narrow = { viewport: { width: 320, height: 700 } };
    const wide = "document.documentElement.scrollWidth";
    const long = `${"x".repeat(200)}.`;
    const stretched = JSON.parse(JSON.stringify(hostileTopology()).replaceAll("<img", `${long}<img`)) as Topology;
    for (const topology of [undefined, largeTopology(), stretched]) {
      await using watched = await opened("/topology", narrow, topology);
      assert.equal(await watched.evaluate(wide), 320, topology?.cluster);
      sound(watched);
    }
    await using service = await opened(QUESTION, narrow);
    assert.equal(await service.evaluate(wide), 320);
  }).timeout(60_000);

  test("roles, labels and contrasts pass axe's rules of WCAG 2.2 AA, light and dark, whatever is shown", async () => {
    const judge = (
      rules: readonly string[],
    ) => `axe.run(document, { runOnly: ${JSON.stringify(rules)} }).then(({ violations, passes }) => ({
      wrong: violations.map(({ id, nodes }) => id + ": " + nodes.slice(0, 3).map(({ failureSummary }) => failureSummary).join("; ")),
      contrasts: passes.find(({ id }) => id === "color-contrast")?.nodes.length ?? 0,
    }))`;
    const all = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];
    const evil = `/topology#cluster=${encodeURIComponent(HOSTILE[0])}`;
    const cases = [
      ["light", all, "/topology#cluster=bank"],
      ["light", all, evil, hostileTopology()],
      ["light", all, QUESTION],
      ["dark", ["color-contrast"], evil, hostileTopology()],
      ["dark", ["color-contrast"], QUESTION],
    ] as const;
    for (const [colorScheme, rules, path, topology] of cases) {
      await using watched = await opened(path, { colorScheme }, topology);
      await watched.evaluate(axe.source);
      const { wrong, contrasts } = await watched.evaluate<{ wrong: string[]; contrasts: number }>(judge(rules));
      assert.deepEqual(wrong, [], `${colorScheme} ${path}`);
      assert.ok(contrasts > 20, `${contrasts} contrasts of ${path}`);
    }
  }).timeout(90_000);

  test("no state is told by colour alone, nothing moves for who asked for that, and forced colours keep the picture", async () => {
    await using watched = await opened(
      "/topology",
      { reducedMotion: "reduce", forcedColors: "active" },
      largeTopology(),
    );
    const marks = await watched.evaluate<string[]>(
      `[...document.querySelectorAll("tbody .mark, .box .mark")].map((mark) => mark.innerText.replace(/\\s+/g, " "))`,
    );
    assert.ok(marks.length > 1_000);
    assert.deepEqual(
      marks.filter((mark) => !/^\S ?[a-z]+$/.test(mark)),
      [],
    );
    assert.equal(await watched.evaluate("document.getAnimations().length"), 0);
    assert.ok(
      await watched.evaluate<boolean>(
        `[...document.querySelectorAll(".edge")].every((edge) => getComputedStyle(edge).stroke !== "none")`,
      ),
    );
    sound(watched);
  }).timeout(60_000);

  test("with five hundred peers the page stays quick; the picture has those that need attention and says so; the filter finds one", async () => {
    const startedAt = performance.now();
    await using watched = await opened("/topology", {}, largeTopology());
    const { page } = watched;
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < 8_000, `${tookMs} ms, and a loaded machine's start of a window is in it`);
    assert.equal((await tableOf(watched, "clusters-table")).length, 501);
    assert.equal(await page.locator(".box").count(), 21);
    assert.match(
      await page.locator("#graph-note").innerText(),
      /^20 of 500 other clusters, those that need attention first/,
    );
    const shown = (await page.locator(".box").allInnerTexts()).join();
    for (const late of ["peer-049", "peer-099", "peer-499"]) assert.ok(shown.includes(late), late);
    await page.locator("#only-attention").check();
    assert.equal(await page.locator("#clusters-count").innerText(), "11 of 501");
    await page.locator("#only-attention").uncheck();
    await page.locator("#cluster-filter").fill("peer-123");
    assert.deepEqual(
      (await tableOf(watched, "clusters-table")).map(([name]) => name),
      ["peer-123"],
    );
    const patched =
      await watched.evaluate<number>(`(() => { const from = performance.now(); const box = document.querySelector("#cluster-filter");
      box.value = ""; box.dispatchEvent(new Event("input")); document.body.offsetHeight; return performance.now() - from; })()`);
    assert.ok(patched < 2_000, `${patched} ms`);
    sound(watched);
  }).timeout(60_000);

  test("what others call themselves is text, wherever it stands", async () => {
    await using watched = await opened(`/topology#cluster=${encodeURIComponent(HOSTILE[0])}`, {}, hostileTopology());
    const { evaluate, page } = watched;
    const text = await page.locator("main").innerText();
    for (const name of HOSTILE) assert.ok(text.includes(name.replace(/\s+/g, " ")), name);
    assert.equal(await page.locator("#details-title").innerText(), `Cluster ${HOSTILE[0]}`);
    assert.equal(
      await evaluate("document.querySelectorAll('main img, main script, main iframe, main svg svg').length"),
      0,
    );
    assert.deepEqual(
      await evaluate(`[...document.links].map(({ protocol }) => protocol).filter((protocol) => protocol !== "http:")`),
      [],
    );
    await page.goto(`${base()}/topology/service?host=${encodeURIComponent(HOSTILE[0])}`);
    await page.locator("#refusal, #answer .answer").filter({ visible: true }).first().waitFor({ timeout: SOON_MS });
    assert.equal(await page.locator("#host").inputValue(), HOSTILE[0]);
    assert.equal(await page.locator("main img").count(), 0);
    assert.equal(await evaluate("window.harmed ?? 'unharmed'"), "unharmed");
    assert.deepEqual(watched.strangers, []);
  }).timeout(60_000);

  test("the pictures in docs can be taken again, and are small", async () => {
    const folder = process.env["UPDATE"] === "1" ? IMAGES : state;
    const shots = [
      ["light", "/topology", { ...DESK, colorScheme: "light" }],
      ["dark", "/topology#cluster=bank", { ...DESK, colorScheme: "dark" }],
      ["narrow", "/topology", { viewport: { width: 320, height: 800 } }],
      ["service", QUESTION, { ...DESK, colorScheme: "light" }],
    ] as const;
    for (const [name, path, options] of shots) {
      const file = join(folder, `topology-${name}.png`);
      await screenshot(browser!, base() + path, file, options, name === "service" ? 1_150 : undefined);
      assert.ok((await stat(file)).size < IMAGE_BYTES_MAX, file);
    }
  }).timeout(60_000);
});
