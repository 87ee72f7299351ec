import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { boundsOf } from "../../src/manager/tenancy/governance.ts";
import { planTrust } from "../../src/manager/plan/plan.ts";
import { TrustObjectBook } from "../../src/manager/plan/trust-object-book.ts";
import { clusterId } from "../../src/names.ts";
import { inScope } from "../../src/registry/model/peer-grant.ts";
import { objectsIn, trustObject } from "../kits/trust-objects.ts";
import { corrupted } from "../registry/corrupted.ts";

const planOf = (...books: readonly (readonly KubeObject[])[]) => {
  const book = new TrustObjectBook();
  for (const objects of books) for (const object of objects) book.set(object, "");
  return planTrust(book.objects);
};

test("the objects that workspaces.md shows can be read, and bound what the page says", () => {
  const page = readFileSync(join(import.meta.dirname, "..", "..", "..", "docs", "workspaces.md"), "utf8");
  const [block] = page.match(/(?:^ {4}.*\n)+/m) ?? [];
  const objects = objectsIn(block!.replaceAll(/^ {4}/gm, ""));
  const clusters = ["edge", "bank", "vendor"].map((name) => trustObject("KubernetesCluster", `trustusbank-${name}`));
  const { judgements, workspaces, settings, ...plan } = planOf(clusters, objects);
  assert.deepEqual(
    judgements.map(({ id: { kind }, state }) => `${kind} ${state}`),
    [...clusters.map(() => "KubernetesCluster ACCEPTED"), "Workspace ACCEPTED", "WorkspaceSettings ACCEPTED"],
  );
  const bounds = boundsOf(clusterId("trustusbank-vendor"), plan.clusters.keys(), workspaces, settings);
  const exports = [{ namespaces: ["external-attacker", "trustusbank-*"], services: undefined }];
  const imports = [{ namespaces: ["trustusbank-*"], services: undefined }];
  assert.deepEqual(bounds, [
    { cluster: "trustusbank-bank", exports, imports },
    { cluster: "trustusbank-edge", exports, imports },
    { cluster: undefined, exports: [], imports: [] },
  ]);
});

const whole = [
  ...["east", "west"].map((name) => trustObject("KubernetesCluster", name)),
  trustObject("Workspace", "bank", { workloadClusters: [{ name: "east", namespaces: [{ name: "bank" }] }] }),
  trustObject("Workspace", "shops", { workloadClusters: [{ name: "west", namespaces: [{ name: "shop-*" }] }] }),
  trustObject("WorkspaceSettings", "bank", {
    exportTo: [{ workspaces: [{ name: "shops" }], resources: [{ kind: "SERVICE", name: "api", cluster: "east" }] }],
  }),
  trustObject("WorkspaceSettings", "shops", {
    importFrom: [{ workspaces: [{ name: "bank" }], resources: [{ name: "a*", namespace: "bank" }] }],
  }),
];

/** What east may tell west of some services, and west east. */
function shared(...books: readonly (readonly KubeObject[])[]): readonly string[] {
  const { clusters, workspaces, settings } = planOf(...books);
  const bounds = boundsOf(clusterId("east"), clusters.keys(), workspaces, settings);
  if (bounds === undefined) return ["everything"];
  return bounds.flatMap(({ exports, imports }) =>
    ["bank/api", "bank/atm", "bank/vault", "shop-eu/cart", "vault/api"].flatMap((service) => {
      const [namespace, name] = service.split("/");
      const takesIn = (scopes: typeof exports) => scopes.some((each) => inScope(each, namespace!, name!));
      return [...(takesIn(exports) ? [`out ${service}`] : []), ...(takesIn(imports) ? [`in ${service}`] : [])];
    }),
  );
}

for (const object of whole.slice(2))
  test(`no single field of ${object.kind} ${object.metadata.name} that turns to garbage shares more, whether it was whole before or not`, () => {
    assert.deepEqual(shared(whole), ["out bank/api"]);
    const others = whole.filter((each) => each !== object);
    let tried = 0;
    for (const [field, bad] of corrupted(object)) {
      // What it is called says whose it is, and what kind it is nobody can guess.
      if (/^(kind|apiVersion|metadata) = |^metadata\.(namespace|name) = /.test(field)) continue;
      tried++;
      for (const said of [shared(others, [bad]), shared(whole, [bad])])
        assert.deepEqual(
          said.filter((each) => each !== "out bank/api"),
          [],
          field,
        );
    }
    assert.ok(tried > 40, `${tried}`);
  });
