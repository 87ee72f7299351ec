import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface DocumentedMetric {
  readonly type: string;
  readonly labels: readonly string[];
}

/** Every metric of the table in docs/operations.md, by name. */
export function documentedMetrics(): ReadonlyMap<string, DocumentedMetric> {
  const page = readFileSync(join(import.meta.dirname, "..", "..", "..", "docs", "operations.md"), "utf8");
  const section = page.slice(page.indexOf("\n## Metrics\n"), page.indexOf("Of istiod's metrics these are not here"));
  return new Map(
    Array.from(section.matchAll(/^\| `([a-z_0-9]+)` \| (\w+) \|([^|]*)\|/gm), ([, name, type, labels]) => [
      name!,
      { type: type!, labels: Array.from(labels!.matchAll(/`(\w+)`/g), ([, label]) => label!) },
    ]),
  );
}

/** One metric as it was scraped. */
export interface ScrapedMetric {
  readonly type: string;
  /** Names of the labels of its series, sorted, `le` left out; undefined if it has no series yet. */
  readonly labels: readonly string[] | undefined;
}

/** What a scrape in the text format has, by name. */
export function scrapedMetrics(text: string): ReadonlyMap<string, ScrapedMetric> {
  const types = Array.from(text.matchAll(/^# TYPE (\w+) (\w+)$/gm), ([, name, type]) => [name!, type!] as const);
  return new Map(types.map(([name, type]) => [name, { type, labels: labelsOf(text, name, type) }]));
}

function labelsOf(text: string, name: string, type: string): readonly string[] | undefined {
  const series = type === "histogram" ? `${name}_count` : name;
  const found = new RegExp(`^${series}(?:\\{(.*)\\})? `, "m").exec(text);
  if (found === null) return undefined;
  return Array.from((found[1] ?? "").matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g), ([, label]) => label!).sort();
}
