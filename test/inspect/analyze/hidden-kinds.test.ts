import assert from "node:assert/strict";
import { test } from "mocha";
import { analyze } from "../../../src/inspect/analyze/analysis.ts";
import { type ClusterFacts, kindName } from "../../../src/inspect/cluster-facts.ts";
import { FACT_KINDS } from "../../../src/inspect/facts-kinds.ts";
import type { Finding } from "../../../src/inspect/finding.ts";
import { clustersOf, sections } from "./documented-examples.ts";
import { factsOfClusters } from "./facts-of-clusters.ts";

const DENIED = 'GET /x at https://127.0.0.1 was answered with 403 Forbidden: User "eve" cannot list resource "x"';
const analyzed = (all: readonly ClusterFacts[]): readonly Finding[] =>
  analyze(all, { systemNamespace: "istio-system" });
const named = ({ code, cluster = "all", object }: Finding): string => `${code} ${cluster} ${object}`;
const hiding = (facts: ClusterFacts, ...names: readonly string[]): ClusterFacts => {
  const hidden = names.map((name) => [name, { why: DENIED, absent: false }] as const);
  return { ...facts, kinds: new Map([...facts.kinds, ...hidden]) };
};
const unread = (facts: ClusterFacts): ClusterFacts => ({ ...facts, kinds: new Map(), unread: "it does not answer" });

for (const { code, example } of sections) {
  if (example === undefined) continue;
  test(`${code}: what the mended example hides, a kind or a cluster, makes nothing in it look wrong`, async () => {
    const all = await factsOfClusters(clustersOf(example, "right"));
    const known = new Set(analyzed(all).map(named));
    const wrong: string[] = [];
    for (const [at, facts] of all.entries()) {
      const views = [...facts.kinds.keys()].map((kind) => [kind, hiding(facts, kind)] as const);
      for (const [what, view] of [...views, ["everything", hiding(facts, ...facts.kinds.keys())] as const])
        for (const finding of analyzed(all.with(at, view)))
          if (!known.has(named(finding)) && finding.code !== "CWY2010")
            wrong.push(`${named(finding)} without ${what} of ${facts.cluster}: ${finding.evidence}`);
      for (const finding of analyzed(all.with(at, unread(facts))))
        if (!known.has(named(finding)))
          wrong.push(`${named(finding)} with ${facts.cluster} unread: ${finding.evidence}`);
    }
    assert.deepEqual(wrong, []);
  });
}

test("kinds that may not be listed are one finding that names each, and whose right it is", async () => {
  const [east] = await factsOfClusters([
    { name: "east", text: "{apiVersion: v1, kind: Namespace, metadata: {name: x}}" },
  ]);
  const facts = hiding({ ...east!, context: "east" }, ...FACT_KINDS.map(kindName));
  const [finding, ...others] = analyzed([facts]);
  assert.deepEqual([finding!.code, others], ["CWY2010", []]);
  assert.match(
    finding!.evidence,
    /^eve may not list authorizationpolicies\.security\.istio\.io, .*, services, .*: nothing/,
  );
  assert.match(finding!.fix, /^give eve a ClusterRole with the verb list .*; kubectl --context east auth can-i --list/);
});
