import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { exportsTo, importsFrom, takesIn } from "../../src/registry/model/granted.ts";
import { inScope, matchesPattern } from "../../src/registry/model/peer-grant.ts";
import { clusterId } from "../../src/names.ts";
import { corrupted } from "./corrupted.ts";
import { object, testMesh, type TestMesh } from "./mesh.ts";

const grant = (name: string, spec: unknown, metadata: object = {}): KubeObject =>
  object("peering.causeway.dev/v1alpha1", "PeerGrant", { name, namespace: "istio-system", ...metadata }, { spec });
const grants = ({ registry }: TestMesh) =>
  [...registry.peerGrants.entries()].map(([, { id, ...grant }]) => ({ name: id.name, ...grant }));
const bank = { cluster: clusterId("bank"), trustDomain: "bank.example" };
const NOTHING = { namespaces: [], services: undefined };
const problems = ({ registry }: TestMesh) =>
  [...registry.problems.entries()].map(([, { message }]) => message).join("\n");

test("a PeerGrant says what a peer may take and bring; what it leaves out it does not limit", () => {
  const mesh = testMesh([
    grant("bank", { cluster: "bank", export: { namespaces: ["shop", "web-*"], services: ["cart*"] } }),
    grant("vendor", { trustDomain: "vendor.example", import: {}, export: { namespaces: [] } }),
  ]);
  assert.deepEqual(grants(mesh), [
    {
      name: "bank",
      bound: false,
      cluster: "bank",
      trustDomain: undefined,
      exports: { namespaces: ["shop", "web-*"], services: ["cart*"] },
      imports: undefined,
    },
    {
      name: "vendor",
      bound: false,
      cluster: undefined,
      trustDomain: "vendor.example",
      exports: { namespaces: [], services: undefined },
      imports: { namespaces: ["*"], services: undefined },
    },
  ]);
});

test("a grant that cannot be read grants nothing, and one that could be stays as it was", () => {
  const mesh = testMesh([grant("bank", { cluster: "bank", exports: { namespaces: ["shop"] } })]);
  const doubtful = {
    name: "bank",
    bound: false,
    cluster: "bank",
    trustDomain: undefined,
    exports: NOTHING,
    imports: NOTHING,
  };
  assert.deepEqual(grants(mesh), [doubtful]);
  assert.match(problems(mesh), /spec has the unknown field "exports"; there are cluster, trustDomain, export, import/);
  const good = { cluster: "bank", export: { namespaces: ["shop"] } };
  mesh.apply(grant("bank", good));
  const read = { ...doubtful, exports: { namespaces: ["shop"], services: undefined }, imports: undefined };
  assert.deepEqual(grants(mesh), [read]);
  mesh.apply(grant("bank", { ...good, export: { namespaces: ["Sh op"] } }));
  assert.deepEqual(grants(mesh), [read]);
  assert.match(problems(mesh), /spec.export.namespaces\[0\] is "Sh op"; give a name, or a pattern as shop-\*/);
});

test("a grant that names nobody, or that is elsewhere than in the system namespace, is a problem", () => {
  const mesh = testMesh([grant("nobody", {}), grant("away", { cluster: "bank" }, { namespace: "shop" })]);
  assert.match(problems(mesh), /spec names nobody; give the peer's cluster, or its trustDomain/);
  assert.match(problems(mesh), /PeerGrant shop\/away has no effect: only those in namespace istio-system count/);
  assert.deepEqual(
    grants(mesh).map(({ name }) => name),
    ["nobody"],
  );
});

const BOUND = { labels: { "trust.causeway.dev/bound": "true" } };

test("a bound is a grant with a label, and may be for whoever has none of its own; a grant may not", () => {
  const mesh = testMesh([
    grant("bank", { cluster: "bank", export: {} }, BOUND),
    grant("others", { cluster: "*", export: { namespaces: [] } }, BOUND),
    grant("no-bound", { cluster: "bank" }, { labels: { "trust.causeway.dev/bound": "false" } }),
  ]);
  assert.deepEqual(problems(mesh), "");
  assert.deepEqual(
    grants(mesh).map(({ name, bound, cluster }) => [name, bound, cluster]),
    [
      ["bank", true, "bank"],
      ["others", true, undefined],
      ["no-bound", false, "bank"],
    ],
  );
  mesh.apply(grant("star", { cluster: "*", export: {} }));
  assert.match(problems(mesh), /spec\.cluster is "\*", which only a bound may be for; name the peer's cluster/);
});

test("a bound that never could be read grants nothing, also where nobody can tell whether it is one", () => {
  for (const [metadata, bound] of [
    [BOUND, true],
    [{ labels: { "trust.causeway.dev/bound": "yes" } }, "unknown"],
    [{ labels: "trust.causeway.dev/bound=true" }, "unknown"],
    [{}, false],
  ] as const) {
    const mesh = testMesh([
      grant("all", { cluster: "bank", export: {} }),
      grant("bad", { cluster: "bank", exports: {} }, metadata),
    ]);
    assert.deepEqual(
      grants(mesh).find(({ name }) => name === "bad"),
      { ...{ name: "bad", bound, cluster: "bank", trustDomain: undefined }, ...{ exports: NOTHING, imports: NOTHING } },
    );
    const all = [...mesh.registry.peerGrants.entries()].map(([, each]) => each);
    assert.equal(takesIn(exportsTo(bank, all), "shop", "cart"), bound === false);
  }
  const mesh = testMesh([grant("bad", { cluster: "bank" }, { labels: { "trust.causeway.dev/bound": "yes" } })]);
  assert.match(
    problems(mesh),
    /metadata\.labels\[trust\.causeway\.dev\/bound\] is "yes"; use true or false, or remove it/,
  );
});

test("a star stands for any text, and patterns of many stars are as fast as others", () => {
  for (const [pattern, text, fits] of [
    ["shop", "shop", true],
    ["shop", "shops", false],
    ["*", "", true],
    ["shop-*", "shop-eu", true],
    ["shop-*", "shop", false],
    ["*-eu", "shop-eu", true],
    ["a*b*a", "aba", true],
    ["a*a", "a", false],
    ["a*b*b", "ab", false],
    ["*a*b*", "xxaxxbxx", true],
    ["*b*a*", "ab", false],
  ] as const)
    assert.equal(matchesPattern(pattern, text), fits, `${pattern} ${text}`);
  assert.equal(matchesPattern(`${"*a".repeat(100)}*b`, "a".repeat(253)), false);
  assert.equal(inScope({ namespaces: ["s*"], services: ["cart"] }, "shop", "cart"), true);
  assert.equal(inScope({ namespaces: ["s*"], services: ["cart"] }, "shop", "pay"), false);
  assert.equal(inScope({ namespaces: [], services: undefined }, "shop", "cart"), false);
});

const limit = grant("bank", {
  cluster: "bank",
  trustDomain: "bank.example",
  export: { namespaces: ["shop", "web-*"], services: ["cart"] },
  import: { namespaces: ["partners"], services: ["api"] },
});
/** What the peer may not have, and the grant keeps from it: undefined if it keeps all of it. */
function letThrough({ registry }: TestMesh): string | undefined {
  const all = [...registry.peerGrants.entries()].map(([, grant]) => grant);
  const [outgoing, incoming] = [exportsTo(bank, all), importsFrom(bank, all)];
  if (takesIn(outgoing, "vault", "cart") || takesIn(outgoing, "shop", "keys")) return "export";
  return takesIn(incoming, "shop", "api") || takesIn(incoming, "partners", "cart") ? "import" : undefined;
}
/** Where an object is cannot be guessed. */
const isElsewhere = (field: string): boolean => /^metadata = |^metadata\.(namespace|name) = /.test(field);

const all = grant("all", { cluster: "bank", export: {}, import: {} });

for (const [what, others, limits] of [
  ["PeerGrant", [], limit],
  ["bound", [all], { ...limit, metadata: { ...limit.metadata, ...BOUND } }],
] as const)
  test(`no single field of a ${what} that turns to garbage grants more, whether it was whole before or not`, () => {
    assert.equal(letThrough(testMesh(others)), "export");
    assert.equal(letThrough(testMesh([...others, limits])), undefined);
    let tried = 0;
    for (const [field, bad] of corrupted(limits)) {
      if (isElsewhere(field)) continue;
      tried++;
      assert.equal(letThrough(testMesh([...others, bad])), undefined, field);
      const mesh = testMesh([...others, limits]);
      mesh.apply(bad);
      assert.equal(letThrough(mesh), undefined, `${field}, after it was whole`);
    }
    assert.ok(tried > 100);
  });
