import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { ALERT_CASES, promtoolTests } from "../kits/alert-cases.ts";
import { expressionOf, UPSTREAM_PANELS } from "../kits/upstream-panels.ts";
import { eventually } from "./causeway-process.ts";
import { type PrometheusPrograms, prometheusPrograms, RealPrometheus } from "./real-prometheus.ts";
import { WatchedMesh } from "./watched-mesh.ts";

const run = promisify(execFile);
const deploy = join(import.meta.dirname, "..", "..", "..", "deploy");
const RULES = join(deploy, "alerts", "rules.yaml");
/** Only where an API server is read: a mesh of folders has none. */
const OF_API_SERVERS = ["Silence of API servers", "Lists and failures", "Remote clusters", "Writes", "Who writes"];

const holds = (what: string, check: () => Promise<void>): Promise<number> =>
  eventually(what, 45_000, () => check().then(() => true));

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets: readonly { readonly expr: string }[];
}

suite("Dashboards and alerts, by a real Prometheus", () => {
  const folder = mkdtempSync(join(tmpdir(), "causeway-alerts-"));
  let programs: PrometheusPrograms;
  let mesh: WatchedMesh;
  let prometheus: RealPrometheus;

  before(async function () {
    this.timeout(240_000);
    const found = await prometheusPrograms();
    if (typeof found === "string") {
      console.log(`    skipped: ${found}`);
      this.skip();
    }
    programs = found;
    mesh = await WatchedMesh.start(folder);
    const rules = join(folder, "rules.yaml");
    // The same conditions, told within seconds.
    writeFileSync(rules, readFileSync(RULES, "utf8").replaceAll(/\bfor: \w+/g, "for: 2s"));
    prometheus = await RealPrometheus.start(programs, folder, mesh.targets, rules);
  });
  after(async () => {
    await prometheus?.close();
    await mesh?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("each alert fires when it should, and not when it should not, by promtool", async () => {
    await run(programs.promtool, ["check", "rules", RULES]);
    const tests = join(folder, "cases.yaml");
    writeFileSync(tests, JSON.stringify(promtoolTests(RULES, ALERT_CASES)));
    await run(programs.promtool, ["test", "rules", tests]);
  }).timeout(60_000);

  test("both control planes are scraped, and every rule evaluates without an error", async () => {
    await holds("both are up", async () => {
      const targets = await prometheus.targets();
      assert.deepEqual(
        targets.map(({ health, lastError }) => health + lastError),
        ["up", "up"],
      );
      assert.deepEqual(await prometheus.failedRules(), []);
    });
  }).timeout(60_000);

  test("every panel of the dashboards has something to draw", async () => {
    const panels = ["control-plane", "peering"].flatMap(panelsOf);
    assert.ok(panels.length > 30);
    let replicas = 1;
    await holds("all panels have data", async () => {
      mesh.share("west", (replicas = replicas === 1 ? 2 : 1));
      const empty: string[] = [];
      for (const panel of panels) if (!(await hasData(panel))) empty.push(panel.title);
      assert.deepEqual(empty, []);
    });
  }).timeout(60_000);

  test("every panel of Istio's own dashboard that means something here has something to draw", async () => {
    let replicas = 1;
    await holds("all panels have data", async () => {
      mesh.share("west", (replicas = replicas === 1 ? 2 : 1));
      const empty: string[] = [];
      for (const [title, lines] of Object.entries(UPSTREAM_PANELS)) {
        const targets = lines.map((asked) => ({ expr: expressionOf(asked) }));
        if (!(await hasData({ targets }))) empty.push(title);
      }
      assert.deepEqual(empty, []);
    });
  }).timeout(60_000);

  test("a peer that stops is told of by the alert for it, and nothing else of links is", async () => {
    const firing = async (): Promise<readonly string[]> => {
      const found = await prometheus.query('ALERTS{alertname=~"CausewayPeer.*",alertstate="firing"}');
      return found.map(({ metric }) => `${metric["alertname"]} ${metric["source"]} ${metric["peer"]}`).sort();
    };
    assert.deepEqual(await firing(), []);
    await mesh.stop("west");
    const links = ["CausewayPeerDisconnected east west", "CausewayPeerDisconnectedLong east west"];
    await holds("it fires", async () => assert.deepEqual(await firing(), links));
  }).timeout(60_000);

  const panelsOf = (name: string): readonly Panel[] => {
    const { panels } = JSON.parse(readFileSync(join(deploy, "dashboards", `${name}.json`), "utf8")) as {
      readonly panels: readonly Panel[];
    };
    return panels.filter(({ type, title }) => type !== "row" && !OF_API_SERVERS.includes(title));
  };

  /** True if any of its lines has a number; each must be an expression that evaluates. */
  async function hasData({ targets }: Pick<Panel, "targets">): Promise<boolean> {
    const results = await Promise.all(
      targets.map(({ expr }) => prometheus.query(expr.replaceAll("$__rate_interval", "30s").replaceAll("$job", ".*"))),
    );
    return results.some((samples) => samples.some(({ value }) => value[1] !== "NaN"));
  }
});
