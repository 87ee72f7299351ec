import assert from "node:assert/strict";
import fc from "fast-check";
import { join } from "node:path";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import { analyze } from "../../../src/inspect/analyze/analysis.ts";
import { codeOfProblem } from "../../../src/inspect/analyze/problem-codes.ts";
import type { ClusterFacts } from "../../../src/inspect/cluster-facts.ts";
import { readClusterFolder } from "../../../src/inspect/cluster-folders.ts";
import { FUZZ_MS, fuzzing } from "../../kits/fuzz.ts";
import { clustersOf, sections } from "./documented-examples.ts";
import { factsOfClusters } from "./facts-of-clusters.ts";

const options = { systemNamespace: "istio-system" };
const root = join(import.meta.dirname, "..", "..", "..", "..");

/** An object with one of its fields, however deep, in place of which is anything. */
function corrupted(value: unknown, path: readonly number[], instead: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined || typeof value !== "object" || value === null) return instead;
  const keys = Object.keys(value);
  if (keys.length === 0) return instead;
  const key = keys[first % keys.length]!;
  const inner = corrupted((value as Record<string, unknown>)[key], rest, instead);
  return Array.isArray(value)
    ? value.map((item, at) => (String(at) === key ? inner : item))
    : { ...value, [key]: inner };
}

const mapped = (facts: ClusterFacts, to: (objects: readonly KubeObject[]) => readonly KubeObject[]): ClusterFacts => ({
  ...facts,
  kinds: new Map(
    [...facts.kinds].map(([kind, known]) => [kind, "objects" in known ? { objects: to(known.objects) } : known]),
  ),
});

test("whatever a field of an object holds, an analysis does not throw", async function () {
  this.timeout(FUZZ_MS);
  const examples = sections.flatMap(({ example }) => (example === undefined ? [] : [example]));
  const all = await Promise.all(examples.map((example) => factsOfClusters(clustersOf(example, "right"))));
  const step = fc.tuple(
    fc.nat(all.length - 1),
    fc.nat(20),
    fc.array(fc.nat(6), { minLength: 1, maxLength: 5 }),
    fc.oneof(
      fc.constantFrom<unknown>(null, undefined, 0, -1, "", [], {}, true, "__proto__"),
      fc.jsonValue({ maxDepth: 2 }),
    ),
  );
  fc.assert(
    fc.property(step, ([which, at, path, instead]) => {
      let seen = 0;
      const facts = all[which]!.map((one) =>
        mapped(one, (objects) =>
          objects.map((object) => {
            if (seen++ !== at) return object;
            // Readers of files and API servers see to it that objects have metadata, as maps of text, and a name.
            const { metadata, apiVersion, kind, ...rest } = object;
            return { ...(corrupted(rest, path, instead) as object), apiVersion, kind, metadata } as KubeObject;
          }),
        ),
      );
      assert.ok(Array.isArray(analyze(facts, options)));
    }),
    fuzzing(60),
  );
});

test("what is found, and its order, does not depend on the order of clusters and objects", async () => {
  const section = sections.find(({ code }) => code === "CWY2401")!;
  const facts = await factsOfClusters(clustersOf(section.example!, "wrong"));
  const found = analyze(facts, options);
  assert.ok(found.length > 1);
  const turned = facts.toReversed().map((one) => mapped(one, (objects) => objects.toReversed()));
  assert.deepEqual(analyze(turned, options), found);
});

test("the examples of this repository have nothing that ought to be mended", async () => {
  for (const clusters of [["shop"], ["bank", "edge", "vendor"]]) {
    const facts = await Promise.all(
      clusters.map((name) => readClusterFolder({ cluster: name, folder: join(root, "examples", name) })),
    );
    const found = analyze(facts.flat(), options).filter(({ level }) => level !== "info");
    assert.deepEqual(found, []);
  }
});

test("a kind that could not be read is said, and what nobody has a code for is said as that", async () => {
  const [facts] = await factsOfClusters([
    { name: "east", text: "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}" },
  ]);
  const kinds = new Map([
    ...facts!.kinds,
    ["gateways.gateway.networking.k8s.io", { why: "forbidden", absent: false }] as const,
  ]);
  const found = analyze([{ ...facts!, kinds }], options);
  assert.deepEqual(
    found.map(({ code, object, evidence }) => [code, object, evidence]),
    [
      [
        "CWY2010",
        "gateways.gateway.networking.k8s.io",
        "they could not be read, so nothing is said of them: forbidden",
      ],
    ],
  );
  const problem = {
    object: "Service shop/cart",
    origin: "",
    field: "",
    message: "It is odd.",
    severity: "warning",
  } as const;
  assert.equal(codeOfProblem("something new", problem), "CWY2900");
});
