import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { clusterId, type ClusterId } from "../../src/names.ts";
import { peerGrantObjects } from "../../src/plane/bound-grants.ts";
import { exportsTo, importsFrom, takesIn } from "../../src/registry/model/granted.ts";
import { inScope } from "../../src/registry/model/peer-grant.ts";
import type { Bound, RelayedScope } from "../../src/relay/messages.ts";
import { FUZZ_MS, fuzzing } from "../kits/fuzz.ts";
import { testMesh } from "../registry/mesh.ts";

const SYSTEM = "istio-system";
const bound = (cluster: string | undefined, exports: readonly RelayedScope[], imports = exports): Bound => ({
  cluster: cluster === undefined ? undefined : clusterId(cluster),
  exports,
  imports,
});
const scope = (namespaces: readonly string[], services?: readonly string[]): RelayedScope => ({ namespaces, services });

/** What a control plane that reads the objects has a peer read and bring, of a service. */
function decisions(bounds: readonly Bound[] | undefined): (peer: string, namespace: string, name: string) => string {
  const { registry } = testMesh(peerGrantObjects(bounds, SYSTEM));
  assert.deepEqual([...registry.problems.entries()], []);
  const grants = Array.from(registry.peerGrants.entries(), ([, grant]) => grant);
  return (cluster, namespace, name) => {
    const peer = { cluster: clusterId(cluster), trustDomain: "cluster.local" };
    return [exportsTo(peer, grants), importsFrom(peer, grants)]
      .map((granted) => (takesIn(granted, namespace, name) ? "yes" : "no"))
      .join();
  };
}

test("a bound becomes a PeerGrant in the system namespace, with the labels by which it is known, and a name of its own", () => {
  const [others, east] = peerGrantObjects(
    [bound("east", [scope(["shop-*"], ["cart"])], []), bound(undefined, [])],
    SYSTEM,
  );
  assert.deepEqual(east, {
    apiVersion: "peering.causeway.dev/v1alpha1",
    kind: "PeerGrant",
    metadata: {
      name: "workspace-bound.east.0",
      namespace: SYSTEM,
      labels: { "trust.causeway.dev/bound": "true", "app.kubernetes.io/managed-by": "causeway" },
    },
    spec: { cluster: "east", export: { namespaces: ["shop-*"], services: ["cart"] }, import: { namespaces: [] } },
  });
  assert.deepEqual(
    [others?.metadata.name, others?.spec],
    ["workspace-bound.0", { cluster: "*", export: { namespaces: [] }, import: { namespaces: [] } }],
  );
});

test("no bounds are no objects, and a list without any keeps everybody out", () => {
  assert.deepEqual(peerGrantObjects(undefined, SYSTEM), []);
  assert.equal(decisions(undefined)("east", "shop", "cart"), "yes,yes");
  assert.equal(decisions([])("east", "shop", "cart"), "no,no");
  const eastAlone = decisions([bound("east", [scope(["shop"])])]);
  assert.deepEqual([eastAlone("east", "shop", "cart"), eastAlone("west", "shop", "cart")], ["yes,yes", "no,no"]);
});

test("clusters of any name have objects of their own, whose names an API server takes", () => {
  const names = [
    "east",
    "East",
    "EAST",
    "e.a",
    "e..a",
    "e-a",
    "e_a",
    `e${"a".repeat(127)}`,
    `e${"a".repeat(126)}b`,
    "0",
  ];
  const objects = peerGrantObjects(
    names.map((name) => bound(name, [scope(["shop"])])),
    SYSTEM,
  );
  const made = objects.map(({ metadata }) => metadata.name);
  assert.equal(new Set(made).size, names.length + 1);
  for (const name of made)
    assert.match(name, /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/);
  const may = decisions(names.map((name) => bound(name, [scope([name.length > 100 ? "long" : "short"])])));
  assert.deepEqual(
    names.map((name) => may(name, "long", "cart")),
    names.map((name) => (name.length > 100 ? "yes,yes" : "no,no")),
  );
});

test("more patterns than a PeerGrant may list are spread over several, and all of them count", () => {
  const many = Array.from({ length: 2_500 }, (_, at) => `n${at}`);
  const bounds = [bound("east", [scope(many, ["cart", ...many])], [scope(["shop"])])];
  assert.equal(peerGrantObjects(bounds, SYSTEM).length, 10);
  const may = decisions(bounds);
  for (const [namespace, name, expected] of [
    ["n0", "cart", "yes,no"],
    ["n2499", "n2499", "yes,no"],
    ["n2500", "cart", "no,no"],
    ["n1000", "pay", "no,no"],
    ["shop", "cart", "no,yes"],
  ] as const)
    assert.equal(may("east", namespace, name), expected, `${namespace}/${name}`);
});

const words = fc.constantFrom("a", "b", "ab", "a*", "*b", "*");
const scopes = fc.array(
  fc.record({
    namespaces: fc.array(words, { maxLength: 3 }),
    services: fc.option(fc.array(words, { maxLength: 2 }), { nil: undefined }),
  }),
  { maxLength: 3 },
);
const boundsOf = fc.uniqueArray(
  fc.record({
    cluster: fc.constantFrom<(ClusterId | undefined)[]>(clusterId("east"), clusterId("west"), undefined),
    exports: scopes,
    imports: scopes,
  }),
  { selector: ({ cluster }) => cluster ?? "" },
);

test("whatever is bound, a control plane that reads the objects decides as the bounds say", () => {
  fc.assert(
    fc.property(boundsOf, (bounds) => {
      const may = decisions(bounds);
      for (const cluster of ["east", "west", "north"])
        for (const namespace of ["a", "b", "ab", "ba"])
          for (const name of ["a", "b", "c"]) {
            const own =
              bounds.find((each) => each.cluster === cluster) ?? bounds.find((each) => each.cluster === undefined);
            const said = (all: readonly RelayedScope[] = []) =>
              all.some((each) => inScope(each, namespace, name)) ? "yes" : "no";
            assert.equal(may(cluster, namespace, name), `${said(own?.exports)},${said(own?.imports)}`);
          }
    }),
    fuzzing(100) as fc.Parameters<[readonly Bound[]]>,
  );
}).timeout(FUZZ_MS);
