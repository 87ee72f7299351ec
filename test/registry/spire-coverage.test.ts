import assert from "node:assert/strict";
import { test } from "mocha";
import { pod } from "./mesh.ts";
import { captured, namespace, spiffeId, spireMesh } from "./spire-mesh.ts";

const AMBIENT = { podSelector: { matchLabels: { "istio.io/dataplane-mode": "ambient" } } };
const names = (mesh: ReturnType<typeof spireMesh>): readonly string[] =>
  Array.from(mesh.uncovered.entries(), ([, { role, namespace, name }]) => `${role} ${namespace}/${name}`).sort();

test("captured pods, gateways and ztunnels that no ClusterSPIFFEID selects are named; other pods are not", () => {
  const mesh = spireMesh(
    [
      spiffeId("istio-ambient-reg", AMBIENT),
      captured("known", { "istio.io/dataplane-mode": "ambient" }),
      // Captured since its namespace is, so guide 002's selector passes it by.
      captured("cart"),
      pod("outside", "10.0.0.9"),
      pod("entry", "10.0.0.8", { "gateway.networking.k8s.io/gateway-name": "waypoint" }),
      pod("ztunnel", "10.0.0.7", { app: "ztunnel" }),
    ],
    { ztunnels: ["shop/ztunnel"] },
  );
  assert.deepEqual(names(mesh), ["captured shop/cart", "gateway shop/entry", "ztunnel shop/ztunnel"]);
  mesh.apply(
    spiffeId("by-namespace", { namespaceSelector: { matchLabels: { team: "shop" } } }),
    namespace("shop", { team: "shop" }),
  );
  assert.deepEqual(names(mesh), []);
  mesh.remove(spiffeId("by-namespace"));
  assert.equal(names(mesh).length, 3);
});

test("a pod that is selected under another identity than the mesh's is told which one, and why that does not do", () => {
  const mesh = spireMesh([
    captured("cart"),
    spiffeId("by-name", { spiffeIDTemplate: "spiffe://{{ .TrustDomain }}/pods/{{ .PodMeta.Name }}" }),
    spiffeId("foreign", {
      spiffeIDTemplate: "spiffe://example.org/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}",
    }),
    spiffeId("for-admins", { admin: true }),
    spiffeId("for-authorities", { downstream: true }),
  ]);
  const [, found] = [...mesh.uncovered.entries()][0]!;
  assert.equal(found.spiffeId, "spiffe://cluster.local/ns/shop/sa/cart");
  const why = new Map(found.selectedBy.map(({ name, why }) => [name, why]));
  assert.equal(why.get("by-name"), "it gives spiffe://cluster.local/pods/cart");
  assert.match(why.get("foreign")!, /is not of trust domain cluster\.local/);
  assert.match(why.get("for-admins")!, /spec\.admin is true/);
  assert.match(why.get("for-authorities")!, /spec\.downstream is true/);
  mesh.apply(spiffeId("right"));
  assert.equal(mesh.uncovered.size, 0);
});

test("a template that only SPIRE's controller can fill in accuses nobody", () => {
  const mesh = spireMesh([captured("cart"), spiffeId("clever", { spiffeIDTemplate: "{{ if true }}x{{ end }}" })]);
  assert.equal(mesh.uncovered.size, 0);
});

test("selectors that nobody but SPIRE's agents can judge are told where we are to judge them", () => {
  const images = { workloadSelectorTemplates: ["k8s:ns:{{ .PodMeta.Namespace }}", "k8s:container-image:cart:1"] };
  const mesh = spireMesh([captured("cart"), spiffeId("by-image", images)]);
  const [, found] = [...mesh.uncovered.entries()][0]!;
  assert.match(
    found.selectedBy[0]!.why,
    /the selector k8s:container-image:cart:1, which only SPIRE's own agents can judge/,
  );
  mesh.apply(spiffeId("by-image", { workloadSelectorTemplates: ["k8s:pod-label:app:cart"] }));
  assert.equal(mesh.uncovered.size, 0);
});
