/** The pictures of the dashboards in docs/images: a mesh for a minute, a real Prometheus that reads it, Debian's Chromium. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as passed } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { type Dashboard, dashboardPicture, PICTURE_WIDTH, type Series } from "../kits/dashboard-picture.ts";
import type { Span } from "../kits/line-chart.ts";
import { eventually } from "./causeway-process.ts";
import { debianChromium, openBrowser, screenshot } from "./operators-browser.ts";
import { type PrometheusPrograms, prometheusPrograms, RealPrometheus } from "./real-prometheus.ts";
import { WatchedMesh } from "./watched-mesh.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const DASHBOARDS = join(ROOT, "deploy", "dashboards");
const RATE = "10s";
const SECONDS = 66;
const AWAY = { from: 22, to: 36 };
const IMAGE_BYTES_MAX = 256_000;
const CAPTION =
  `Drawn by a test from the dashboard's JSON, not by Grafana. The numbers are those of a real Prometheus: two control planes, each ` +
  `with one client, in one process for ${SECONDS} s; services change all the time, and west stops and comes back. Rates are over ${RATE}; ` +
  `no API server is read, so what is only of API servers has no data.`;

const programs = await prometheusPrograms();
const chromium = await debianChromium();
if (typeof programs === "string") throw new Error(programs);
if (chromium !== true) throw new Error(chromium.missing);
const folder = mkdtempSync(join(tmpdir(), "causeway-pictures-"));
try {
  await takePictures(programs);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);

async function takePictures(found: PrometheusPrograms): Promise<void> {
  const mesh = await WatchedMesh.start(folder);
  const prometheus = await RealPrometheus.start(
    found,
    folder,
    mesh.targets,
    join(ROOT, "deploy", "alerts", "rules.yaml"),
  );
  try {
    await eventually("both are peers, as Prometheus sees it", 30_000, async () => {
      return (await prometheus.query("peer_connection_state == 1")).length === 2;
    });
    const span = await someActivity(mesh);
    await using browser = await openBrowser();
    for (const name of ["control-plane", "peering"]) {
      const page = join(folder, `${name}.html`);
      writeFileSync(page, await pageOf(name, prometheus, span));
      const image = join(ROOT, "docs", "images", `dashboard-${name}.png`);
      await screenshot(browser, pathToFileURL(page).href, image, { viewport: { width: PICTURE_WIDTH, height: 900 } });
      const { size } = statSync(image);
      if (size >= IMAGE_BYTES_MAX) throw new Error(`${image} has ${size} bytes; ${IMAGE_BYTES_MAX} are the most`);
    }
  } finally {
    await prometheus.close();
    await mesh.close();
  }
}

/** Services of both change; one of the two is away for some of the time. */
async function someActivity(mesh: WatchedMesh): Promise<Span> {
  const from = Math.floor(Date.now() / 1_000);
  for (let second = 0; second < SECONDS; second++) {
    if (second === AWAY.from) await mesh.stop("west");
    if (second === AWAY.to) await mesh.regain("west");
    const who = second % 3 === 0 ? "east" : "west";
    if (second % 2 === 0 && mesh.planes.has(who)) mesh.share(who, 1 + (Math.floor(second / 9) % 4));
    await passed(1_000);
  }
  return { from, to: Math.floor(Date.now() / 1_000), stepSeconds: 1 };
}

async function pageOf(name: string, prometheus: RealPrometheus, span: Span): Promise<string> {
  const dashboard = JSON.parse(readFileSync(join(DASHBOARDS, `${name}.json`), "utf8")) as Dashboard;
  const answers = new Map<string, readonly Series[]>();
  for (const { expr } of dashboard.panels.flatMap(({ targets }) => targets ?? [])) {
    const asked = expr.replaceAll("$__rate_interval", RATE).replaceAll("$job", ".*");
    answers.set(expr, await prometheus.queryRange(asked, span));
  }
  return dashboardPicture(dashboard, (expression) => answers.get(expression)!, span, CAPTION);
}
