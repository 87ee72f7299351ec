import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { documentedMetrics } from "./kits/documented-metrics.ts";
import { namedIn } from "./kits/promql.ts";
import { expressionOf, PANELS_OF_OTHERS, UPSTREAM_PANELS } from "./kits/upstream-panels.ts";

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly Panel[];
}

const folder = join(import.meta.dirname, "..", "..", "deploy", "dashboards");
const dashboards = readdirSync(folder).map((name) => ({
  name,
  dashboard: JSON.parse(readFileSync(join(folder, name), "utf8")) as Dashboard,
}));
const drawn = ({ panels }: Dashboard): readonly Panel[] => panels.filter(({ type }) => type !== "row");

const documented = documentedMetrics();
/** Of a histogram, what an expression can ask for. */
const baseOf = (series: string): string | undefined =>
  [series, series.replace(/_(bucket|sum|count)$/, "")].find((name) => documented.has(name));
/** Each scrape adds them; `le` is a histogram's. */
const ADDED = new Set(["instance", "job", "le"]);

test("each panel of the dashboards asks only for metrics and labels that there are", () => {
  const unknown = dashboards.flatMap(({ name, dashboard }) =>
    drawn(dashboard).flatMap(({ title, targets }) =>
      targets!.flatMap(({ expr }) => unknownIn(`${name} ${title}`, expr)),
    ),
  );
  assert.deepEqual(unknown, []);
});

test("a metric or a label that there is not is found", () => {
  assert.deepEqual(unknownIn("x", "sum(rate(pilot_xds_pushs[5m])) by (type)"), [
    "x: no metric pilot_xds_pushs",
    "x: no label type",
  ]);
  assert.deepEqual(unknownIn("x", 'sum by (kind) (pilot_xds_pushes{type="wds"})'), ["x: no label kind"]);
  assert.deepEqual(unknownIn("x", "max by (source, peer) (abs(peer_lag_seconds)) > 30 or vector(0)"), []);
  assert.throws(() => namedIn("sum(rate(pilot_xds_pushes[5m])"), /a bracket stays open/);
  assert.throws(() => namedIn("sum(pilot_xds_pushes) by type)"), /closes nothing/);
  assert.throws(() => namedIn("pilot_xds_pushes ; 1"), /has no place/);
});

test("a dashboard needs nothing but a data source that the reader picks", () => {
  assert.deepEqual(dashboards.map(({ name }) => name).toSorted(), ["control-plane.json", "peering.json"]);
  for (const { name, dashboard } of dashboards) {
    const { templating, schemaVersion, panels } = dashboard;
    assert.ok(schemaVersion >= 39, name);
    assert.ok(
      templating.list.some((variable) => variable.name === "datasource" && variable.type === "datasource"),
      name,
    );
    // What Grafana has built in.
    assert.deepEqual([...new Set(panels.map(({ type }) => type))].toSorted(), ["row", "timeseries"]);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    for (const { title, description, datasource, targets } of drawn(dashboard)) {
      assert.ok(description, `${name}: ${title} says what it shows`);
      for (const each of [datasource!, ...targets!.map((target) => target.datasource)])
        assert.equal(each.uid, "${datasource}");
    }
  }
});

test("the peering dashboard shows every metric of links", () => {
  const { dashboard } = dashboards.find(({ name }) => name === "peering.json")!;
  const asked = new Set(
    drawn(dashboard).flatMap(({ targets }) => targets!.flatMap(({ expr }) => namedIn(expr).metrics.map(baseOf))),
  );
  const ofPeering = [...documented.keys()].filter((name) => /^(peer|global)_/.test(name));
  assert.ok(ofPeering.length > 15);
  assert.deepEqual(
    ofPeering.filter((name) => !asked.has(name)),
    [],
  );
});

test("Istio's own dashboard of the control plane finds the metrics and labels of its panels", () => {
  assert.equal(Object.keys(UPSTREAM_PANELS).length + Object.keys(PANELS_OF_OTHERS).length, 13);
  const lines = Object.entries(UPSTREAM_PANELS).flatMap(([panel, asked]) => asked.map((each) => ({ panel, each })));
  assert.deepEqual(
    lines.flatMap(({ panel, each }) => unknownIn(panel, expressionOf(each))),
    [],
  );
});

test("the kubelet's metrics of our pods are found by the names that Istio's dashboard looks for", () => {
  const template = readFileSync(join(folder, "..", "charts", "causeway", "templates", "deployment.yaml"), "utf8");
  assert.match(template, /^ +- name: discovery$/m);
  // Pods are called after their Deployment.
  const helpers = readFileSync(join(folder, "..", "charts", "causeway", "templates", "_values.tpl"), "utf8");
  assert.match(helpers, /define "causeway\.name" -\}\}\nistiod/);
});

function unknownIn(where: string, expression: string): readonly string[] {
  const { metrics, labels } = namedIn(expression);
  const of = metrics.filter((name) => !/^(process|nodejs)_/.test(name));
  const known = new Set([...ADDED, ...of.flatMap((name) => documented.get(baseOf(name) ?? "")?.labels ?? [])]);
  return [
    ...of.filter((name) => baseOf(name) === undefined).map((name) => `${where}: no metric ${name}`),
    ...labels.filter((label) => !known.has(label)).map((label) => `${where}: no label ${label}`),
  ];
}
