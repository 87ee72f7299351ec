import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { type Dashboard, dashboardPicture, type Panel, type Series } from "./kits/dashboard-picture.ts";

const folder = join(import.meta.dirname, "..", "..", "deploy", "dashboards");
const SPAN = { from: 1_000_000_000, to: 1_000_000_060, stepSeconds: 1 };
const CAPTION = "made up";

const drawn = (dashboard: Dashboard, answerTo: (expression: string) => readonly Series[]): string =>
  dashboardPicture(dashboard, answerTo, SPAN, CAPTION);
const sections = (page: string): readonly string[] => page.match(/<section .*?<\/section>/g) ?? [];
const seriesOf = (...values: readonly (readonly [at: number, value: string])[]): Series => ({
  metric: { peer: "west", source: "east" },
  values: values.map(([at, value]) => [SPAN.from + at, value]),
});
const panel = (more: Partial<Panel> = {}): Panel => ({
  type: "timeseries",
  title: "Lag",
  gridPos: { x: 0, y: 0, w: 12, h: 8 },
  fieldConfig: { defaults: { unit: "s" } },
  targets: [{ expr: "lag", legendFormat: "{{source}} of {{peer}}{{none}}" }],
  ...more,
});
const alone = (panels: Panel): Dashboard => ({ title: "One", description: "A panel", panels: [panels] });

for (const name of ["control-plane", "peering"]) {
  const dashboard = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as Dashboard;

  test(`each panel of the dashboard ${name} has its place and its title in the picture, and shows what each of its expressions gave`, () => {
    const found = sections(drawn(dashboard, () => [seriesOf([0, "1"], [1, "2"])]));
    assert.equal(found.length, dashboard.panels.length);
    const places = new Set(found.map((section) => /style="([^"]+)"/.exec(section)![1]));
    assert.equal(places.size, found.length);
    dashboard.panels.forEach(({ title, type, targets, gridPos: { x, y } }, at) => {
      assert.ok(found[at]!.includes(`>${title.replaceAll("'", "&#39;")}</h${type === "row" ? 2 : 3}>`), title);
      assert.ok(found[at]!.includes(`left:${x * 45.5}px;top:${y * 28}px;`), title);
      assert.equal(found[at]!.split('class="line"').length - 1, targets?.length ?? 0, title);
    });
  });

  test(`a panel of the dashboard ${name} whose expressions give nothing says so`, () => {
    const found = sections(drawn(dashboard, () => [seriesOf([0, "NaN"])])).filter((each) => each.includes("<h3>"));
    assert.ok(found.length > 10);
    for (const section of found) assert.match(section, /<\/h3><p class="empty">No data<\/p><\/section>$/);
  });
}

test("a line has the name that its legend makes of labels, the unit of its panel, and gaps where there was nothing", () => {
  const page = drawn(alone(panel()), () => [seriesOf([0, "0.1"], [1, "0.3"], [9, "0.2"])]);
  assert.match(page, /<\/i>east of west<\/li>/);
  for (const tick of ["0 ms", "100 ms", "200 ms", "300 ms"]) assert.ok(page.includes(`>${tick}<`), tick);
  const line = /class="line" stroke="#\w+" d="([^"]+)"/.exec(page)![1]!;
  assert.equal(line.replaceAll(/[\d. ]+/g, "_"), "M_h_L_M_h_");
});

test("what others wrote is text in the picture, and nothing in it is asked of anybody", () => {
  const hostile = panel({ title: '<img src="//x">', targets: [{ expr: "lag", legendFormat: "<b>{{peer}}" }] });
  const page = drawn(alone(hostile), () => [{ ...seriesOf([0, "1"]), metric: { peer: "<script>" } }]);
  assert.doesNotMatch(page, /<(img|b|script|link)\b|url\(|@import/);
  assert.ok(page.includes("&#60;b&#62;&#60;script&#62;"));
});

test("more names than there is room for are counted", () => {
  const many = Array.from({ length: 40 }, () => seriesOf([0, "1"]));
  const page = drawn(alone(panel()), () => many);
  const names = page.split("</i>").length - 1;
  assert.ok(names > 4 && names < 40);
  assert.ok(page.includes(`<li>and ${40 - names} more</li>`));
});

test("a panel or a unit that cannot be drawn is not drawn as something else", () => {
  assert.throws(() => drawn(alone(panel({ type: "gauge" })), () => []), /Lag: a panel of type gauge/);
  const unit = { defaults: { unit: "celsius" } };
  assert.throws(() => drawn(alone(panel({ fieldConfig: unit })), () => [seriesOf([0, "1"])]), /unit celsius/);
});
