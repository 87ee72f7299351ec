import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { parse } from "yaml";
import { ALERT_CASES } from "./kits/alert-cases.ts";
import { documentedMetrics } from "./kits/documented-metrics.ts";
import { namedIn } from "./kits/promql.ts";

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly labels: { readonly severity: string };
      readonly annotations: { readonly summary: string; readonly runbook_url: string };
    }[];
  }[];
}

const root = join(import.meta.dirname, "..", "..");
const rules = (parse(readFileSync(join(root, "deploy", "alerts", "rules.yaml"), "utf8")) as Rules).groups.flatMap(
  (group) => group.rules,
);
const page = readFileSync(join(root, "docs", "alerts.md"), "utf8");
/** That a scrape may add; one that it does not is empty. */
const TARGET_LABELS = ["cluster", "namespace", "job", "instance"];
/** Of Prometheus and of the kubelet. */
const FOREIGN = /^(up|container_\w+|process_\w+|nodejs_\w+)$/;

test("each alert has a section that says what it means, what it costs and what to do", () => {
  const sections = new Map(page.split("\n## ").map((section) => [section.split("\n", 1)[0]!, section]));
  assert.ok(rules.length > 30);
  assert.deepEqual(
    [...sections.keys()].slice(1),
    rules.map(({ alert }) => alert),
  );
  for (const { alert, annotations, labels } of rules) {
    assert.equal(annotations.runbook_url, `docs/alerts.md#${alert.toLowerCase()}`);
    assert.match(annotations.summary, /^\S.*\.$/);
    assert.match(labels.severity, /^(warning|critical)$/);
    const section = sections.get(alert)!;
    for (const part of ["**Impact.**", "```sh\n", "**What to do.**"]) assert.ok(section.includes(part), alert + part);
    assert.ok(section.toLowerCase().includes(`${labels.severity}, `), alert);
  }
});

test("each alert asks for metrics and labels that there are, and shows labels that its result has", () => {
  const documented = documentedMetrics();
  const base = (name: string): string => (documented.has(name) ? name : name.replace(/_(bucket|sum|count)$/, ""));
  const wrong = rules.flatMap(({ alert, expr }) => {
    const { metrics, labels } = namedIn(expr);
    const own = metrics.filter((name) => !FOREIGN.test(name));
    const known = new Set([...TARGET_LABELS, "le", ...own.flatMap((name) => documented.get(base(name))?.labels ?? [])]);
    if (metrics.some((name) => name.startsWith("container_")))
      for (const label of ["namespace", "pod", "container"]) known.add(label);
    return [
      ...own.filter((name) => !documented.has(base(name))).map((name) => `${alert}: no metric ${name}`),
      ...labels.filter((label) => !known.has(label)).map((label) => `${alert}: no label ${label}`),
    ];
  });
  assert.deepEqual(wrong, []);
  const unseen = rules.flatMap(({ alert, expr, annotations }) => {
    const kept = /\bby \(([^)]*)\)/.exec(expr)?.[1]?.split(/,\s*/);
    const shown = Array.from(annotations.summary.matchAll(/\$labels\.(\w+)/g), ([, label]) => label!);
    return shown.filter((label) => kept !== undefined && !kept.includes(label)).map((label) => `${alert}: ${label}`);
  });
  assert.deepEqual(unseen, []);
});

test("each alert has a case in which it fires, and one in which it does not, for promtool", () => {
  assert.deepEqual(
    ALERT_CASES.map(({ alert }) => alert),
    rules.map(({ alert }) => alert),
  );
});
