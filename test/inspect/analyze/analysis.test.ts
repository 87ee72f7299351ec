import assert from "node:assert/strict";
import { test } from "mocha";
import { analyze } from "../../../src/inspect/analyze/analysis.ts";
import { ANALYSIS_CODES } from "../../../src/inspect/analyze/codes.ts";
import type { Finding } from "../../../src/inspect/finding.ts";
import { clustersOf, sections } from "./documented-examples.ts";
import { factsOfClusters } from "./facts-of-clusters.ts";

const options = { systemNamespace: "istio-system" };

const analyzed = async (example: string, as: "wrong" | "right"): Promise<readonly Finding[]> =>
  analyze(await factsOfClusters(clustersOf(example, as)), options);

const lineOf = ({ code, level, cluster, object, field, evidence }: Finding): string =>
  `${level} ${code} ${cluster ?? "all"} ${object} ${field}: ${evidence}`;

/** No manifest shows these; they have tests of their own. */
const WITHOUT_EXAMPLE: readonly string[] = ["CWY2010", "CWY2900"];

test("every code has a section in the documentation, with its level and its title, and no section is of another", () => {
  const documented = sections.map(({ code, title, level }) => [code, title, level]);
  const codes = Object.entries(ANALYSIS_CODES).map(([code, { title, level }]) => [code, title, level]);
  assert.deepEqual(documented, codes);
  const without = sections.filter(({ example }) => example === undefined).map(({ code }) => code);
  assert.deepEqual(without, WITHOUT_EXAMPLE);
});

for (const { code, title, example } of sections) {
  if (example === undefined) continue;
  test(`${code}, ${title}: the example of its section has it, and mended has nothing`, async () => {
    const found = await analyzed(example, "wrong");
    assert.ok(
      found.some((finding) => finding.code === code),
      `${code} is not among ${found.map(lineOf).join("\n")}`,
    );
    const mended = (await analyzed(example, "right")).filter(
      (finding) => finding.level !== "info" || finding.code === code,
    );
    assert.deepEqual(mended.map(lineOf), []);
  });
}
