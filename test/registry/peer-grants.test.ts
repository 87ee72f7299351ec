import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { inScope, matchesPattern } from "../../src/registry/model/peer-grant.ts";
import { exportsTo, importsFrom, takesIn } from "../../src/peering/grants.ts";
import { clusterId } from "../../src/names.ts";
import { corrupted } from "./corrupted.ts";
import { object, testMesh, type TestMesh } from "./mesh.ts";

const grant = (name: string, spec: unknown, metadata: object = {}): KubeObject =>
  object("peering.causeway.dev/v1alpha1", "PeerGrant", { name, namespace: "istio-system", ...metadata }, { spec });
const grants = ({ registry }: TestMesh) =>
  [...registry.peerGrants.entries()].map(([, { id, ...grant }]) => ({ name: id.name, ...grant }));
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
      cluster: "bank",
      trustDomain: undefined,
      exports: { namespaces: ["shop", "web-*"], services: ["cart*"] },
      imports: undefined,
    },
    {
      name: "vendor",
      cluster: undefined,
      trustDomain: "vendor.example",
      exports: { namespaces: [], services: undefined },
      imports: { namespaces: ["*"], services: undefined },
    },
  ]);
});

test("a grant that cannot be read grants nothing, and one that could be stays as it was", () => {
  const mesh = testMesh([grant("bank", { cluster: "bank", exports: { namespaces: ["shop"] } })]);
  const nothing = { namespaces: [], services: undefined };
  const doubtful = { name: "bank", cluster: "bank", trustDomain: undefined, exports: nothing, imports: nothing };
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

const bank = { cluster: clusterId("bank"), trustDomain: "bank.example" };
const limits = grant("bank", {
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

test("no single field of a PeerGrant that turns to garbage grants more, whether it was whole before or not", () => {
  assert.equal(letThrough(testMesh([])), "export");
  assert.equal(letThrough(testMesh([limits])), undefined);
  let tried = 0;
  for (const [field, bad] of corrupted(limits)) {
    if (isElsewhere(field)) continue;
    tried++;
    assert.equal(letThrough(testMesh([bad])), undefined, field);
    const mesh = testMesh([limits]);
    mesh.apply(bad);
    assert.equal(letThrough(mesh), undefined, `${field}, after it was whole`);
  }
  assert.ok(tried > 100);
});
