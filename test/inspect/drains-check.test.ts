import assert from "node:assert/strict";
import { test } from "mocha";
import type { ClusterFacts } from "../../src/inspect/cluster-facts.ts";
import { drainsCheck } from "../../src/inspect/check/drains-check.ts";
import { reducedObject } from "../../src/inspect/reduced-object.ts";
import type { KubeObject } from "../../src/kube/object.ts";

const NOW = Date.parse("2026-11-22T02:30:00Z");
const DRAIN = "peering.causeway.dev/drain-until";
const at = (minutes: number): string => new Date(NOW + minutes * 60_000).toISOString().replace(".000Z", "Z");

const cart = (until: string, managedFields?: unknown): KubeObject => ({
  ...{ apiVersion: "v1", kind: "Service" },
  metadata: { name: "cart", namespace: "shop", annotations: { [DRAIN]: until }, managedFields },
});

function facts(objects: readonly KubeObject[], state?: string): ClusterFacts {
  const drains = [{ object: "Service shop/cart", until: "", state }];
  const pages = new Map(state === undefined ? [] : [["drainz", { body: { drains, services: [] } }] as const]);
  return {
    ...{ cluster: "east", source: "context east", context: "east", readAt: NOW },
    kinds: new Map([
      ["services", { objects: objects.map(reducedObject) }],
      ["gateways.gateway.networking.k8s.io", { objects: [] }],
    ]),
    planes: [{ pod: "istio-system/istiod-1", pages }],
    measured: { clockSkewMs: 0, rights: undefined },
  };
}

test("what is drained, is to be and is not, or was, is each said with its own code, the time and what to do", () => {
  const cases: readonly (readonly [string, string | undefined, string, RegExp])[] = [
    [at(10), "drained", "warning CWY1701", /is drained until 2026-11-22T02:40:00Z: under its global names/],
    [at(10), "leaving", "warning CWY1701", /is drained until/],
    [at(10), "spared", "warning CWY1702", /and keeps its calls, as no peer that is not drained has a ready endpoint$/],
    ["soon", "unreadable", "warning CWY1703", /until "soon", which is no time, so nothing is drained$/],
    [at(25 * 60), "far", "warning CWY1704", /more than 24 hours ahead/],
    [at(-10), "ended", "info CWY1705", /ended at 2026-11-22T02:20:00Z, and its annotation is left$/],
    [at(-1), "drained", "info CWY1705", /ended at/],
    [at(-10), "drained", "warning CWY1706", /which is over, and is drained still: the clock of the control plane/],
    [at(10), undefined, "info CWY1707", /no control plane says whether it is$/],
    [at(10), "ended", "info CWY1707", /the control plane says "ended", as its clock is another$/],
  ];
  for (const [until, state, expected, evidence] of cases) {
    const [finding] = drainsCheck(facts([cart(until)], state)).findings;
    assert.equal(`${finding!.level} ${finding!.code}`, expected);
    assert.match(finding!.evidence, evidence);
    assert.deepEqual([finding!.object, finding!.field], ["Service shop/cart", `metadata.annotations[${DRAIN}]`]);
    if (expected !== "info CWY1707")
      assert.match(finding!.fix, /drill stop --context east --service shop\/cart|annotate/);
  }
});

test("who wrote the annotation is the last program that the API server noted for it, and all other notes are left out", () => {
  const noted = (manager: string, minutes: number, annotations: object) => ({
    ...{ manager, operation: "Update", time: at(minutes), apiVersion: "v1", fieldsType: "FieldsV1" },
    fieldsV1: { "f:metadata": { "f:annotations": annotations } },
  });
  const field = { [`f:${DRAIN}`]: {} };
  const managedFields = [
    noted("kubectl-annotate", -20, field),
    noted("causeway-link", -5, { ...field, "f:other": {} }),
    noted("helm", -1, { "f:other": {} }),
    "nonsense",
  ];
  const read = facts([cart(at(10), managedFields)], "drained");
  const [finding] = drainsCheck(read).findings;
  assert.match(finding!.evidence, /; written by causeway-link at 2026-11-22T02:25:00Z$/);
  const kept = reducedObject(cart(at(10), managedFields)).metadata["managedFields"];
  assert.deepEqual(
    (kept as { manager: string; fieldsV1: unknown }[]).map(({ manager, fieldsV1 }) => [manager, fieldsV1]),
    ["kubectl-annotate", "causeway-link"].map((manager) => [manager, { "f:metadata": { "f:annotations": field } }]),
  );
  const { metadata } = cart(at(10), managedFields);
  const bare = reducedObject({ ...cart(at(10)), metadata: { ...metadata, annotations: {} } });
  assert.equal(bare.metadata["managedFields"], undefined);
});

test("what may not be listed is not said to be undrained", () => {
  const hidden = facts([]);
  const kinds = new Map([...hidden.kinds, ["services", { why: "services may not be listed", absent: false }] as const]);
  const outcome = drainsCheck({ ...hidden, kinds });
  assert.equal(outcome.level, "info");
  assert.match(outcome.summary, /whether any are drained is not known: services may not be listed/);
  assert.deepEqual(
    drainsCheck(facts([])).findings.map(({ code, level }) => [code, level]),
    [["CWY1700", "ok"]],
  );
});
