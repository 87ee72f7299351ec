import assert from "node:assert/strict";
import { test } from "mocha";
import { FieldError } from "../../src/registry/kube/fields.ts";
import { requireRegistrable } from "../../src/registry/kube/cluster-spiffe-id.ts";
import { builtinSpiffeIds } from "../../src/registry/wanted/builtin-spiffe-ids.ts";
import { podInIds, podOfOwnEntry } from "../../src/registry/wanted/spire-entries.ts";
import { object, pod } from "./mesh.ts";
import { captured, namespace, readSpiffeId, spireMesh } from "./spire-mesh.ts";

test("a selected pod is to have one entry: its mesh identity, for this very pod on its node", () => {
  const mesh = spireMesh([captured("cart", { app: "cart" })], {
    templates: [readSpiffeId("carts", { podSelector: { matchLabels: { app: "cart" } }, ttl: "1h30m" })],
  });
  const [entry, ...others] = mesh.of("cart")!.entries;
  assert.deepEqual(others, []);
  const { id, ...rest } = entry!;
  assert.match(id, /^causeway\.east-spire\.uid-cart\.[0-9a-f]{16}$/);
  assert.equal(podOfOwnEntry("east-spire", id), podInIds("uid-cart"));
  assert.deepEqual(rest, {
    spiffeId: "spiffe://cluster.local/ns/shop/sa/cart",
    node: "n1",
    selectors: ["k8s:pod-uid:uid-cart"],
    x509SvidTtlSeconds: 5400,
    federatesWith: [],
    dnsNames: [],
    hint: "",
  });
});

test("who is not selected, has no node yet, or has ended, has no entry", () => {
  const templates = [
    readSpiffeId("carts", { podSelector: { matchLabels: { app: "cart" } } }),
    readSpiffeId("of-paid-namespaces", { namespaceSelector: { matchLabels: { paid: "true" } } }),
  ];
  const ended = { ...pod("done", "10.0.0.9", { app: "cart" }), status: { phase: "Succeeded" } };
  const mesh = spireMesh([captured("cart", { app: "web" }), pod("new", "", { app: "cart" }, { nodeName: "" }), ended], {
    templates,
  });
  assert.equal(mesh.entries.size, 0);
  mesh.apply(namespace("shop", { paid: "true" }));
  assert.equal(mesh.of("cart")?.entries.length, 1);
  assert.equal(mesh.entries.size, 1);
});

test("templates for selectors, DNS names, federation and hints are filled in, sorted and held once", () => {
  const mesh = spireMesh([captured("cart", { app: "cart" })], {
    templates: [
      readSpiffeId("all", {
        workloadSelectorTemplates: [
          "k8s:ns:{{ .PodMeta.Namespace }}",
          "k8s:container-name:{{ .PodMeta.Labels.app }}",
          "k8s:ns:shop",
        ],
        dnsNameTemplates: ["{{ .PodMeta.Name }}.{{ .PodMeta.Namespace }}.{{ .ClusterDomain }}"],
        federatesWith: ["west.example", "north.example", "west.example"],
        hint: "internal",
      }),
    ],
  });
  const [entry] = mesh.of("cart")!.entries;
  assert.deepEqual(entry!.selectors, ["k8s:container-name:cart", "k8s:ns:shop", "k8s:pod-uid:uid-cart"]);
  assert.deepEqual(entry!.dnsNames, ["cart.shop.cluster.local"]);
  assert.deepEqual(entry!.federatesWith, ["north.example", "west.example"]);
  assert.equal(entry!.hint, "internal");
});

test("two templates that SPIRE would take for one make one entry; others make one each; a fallback none beside them", () => {
  const mesh = spireMesh([captured("cart")], {
    templates: [
      readSpiffeId("a", { ttl: "1h" }),
      readSpiffeId("b", { ttl: "2h" }),
      readSpiffeId("c", { spiffeIDTemplate: "spiffe://{{ .TrustDomain }}/db/{{ .PodMeta.Name }}" }),
      readSpiffeId("d", { spiffeIDTemplate: "spiffe://{{ .TrustDomain }}/rest", fallback: true }),
    ],
  });
  const entries = mesh.of("cart")!.entries;
  assert.deepEqual(entries.map(({ spiffeId, x509SvidTtlSeconds }) => `${spiffeId} ${x509SvidTtlSeconds}`).sort(), [
    "spiffe://cluster.local/db/cart 0",
    "spiffe://cluster.local/ns/shop/sa/cart 3600",
  ]);
  mesh.register(readSpiffeId("d", { fallback: true }));
  mesh.graph.flush();
  assert.equal(mesh.of("cart")!.entries.length, 1);
});

test("a template that gives no identity for a pod is a trouble of that pod, which names the field", () => {
  const because: readonly (readonly [string, RegExp])[] = [
    ["spiffe://other.example/ns/a/sa/b", /which is not of trust domain cluster\.local/],
    ["spiffe://{{ .TrustDomain }}/", /which is no SPIFFE ID/],
    ["spiffe://{{ .TrustDomain }}/a//b", /which is no SPIFFE ID/],
    ["spiffe://{{ .TrustDomain }}/a b", /which is no SPIFFE ID/],
    ["spiffe://{{ .TrustDomain }}/spire/server", /SPIRE's own/],
    ["spiffe://{{ .TrustDomain }}/{{ .PodMeta.Labels.team }}", /the pod has no label team/],
    ["spiffe://{{ .TrustDomain }}/{{ range . }}", /uses {{ range \. }}/],
  ];
  for (const [spiffeIDTemplate, why] of because) {
    const mesh = spireMesh([captured("cart")], { templates: [readSpiffeId("odd", { spiffeIDTemplate })] });
    const { entries, troubles } = mesh.of("cart")!;
    assert.deepEqual(entries, []);
    assert.equal(troubles[0]?.field, "spec.spiffeIDTemplate");
    assert.match(troubles[0].message, why);
  }
});

test("an entry of another cluster, or of anybody else, is not recognised as ours", () => {
  const mine = "causeway.east.4f1a2b3c-0000-4000-8000-000000000000.0123456789abcdef";
  assert.equal(podOfOwnEntry("east", mine), "4f1a2b3c-0000-4000-8000-000000000000");
  for (const [cluster, id] of [
    ["west", mine],
    ["east.1", mine],
    ["east", mine.replace("causeway", "controller")],
    ["east", `${mine}.more`],
    ["east", "causeway.east.uid"],
    ["east", "4f1a2b3c-0000-4000-8000-000000000000"],
    ["east", ""],
  ] as const)
    assert.equal(podOfOwnEntry(cluster, id), undefined, `${cluster} ${id}`);
  // A name with dots must not make ids that look like another cluster's.
  const dotted = spireMesh([captured("cart")], { templates: [readSpiffeId("all")] }).of("cart")!.entries[0]!.id;
  assert.equal(podOfOwnEntry("east", dotted), undefined);
});

test("what is not done here is refused with the field and the fix", () => {
  const refused: readonly (readonly [object, string, RegExp])[] = [
    [{ admin: true }, "spec.admin", /make that entry there/],
    [{ downstream: true }, "spec.downstream", /make that entry there/],
    [{ autoPopulateDNSNames: true }, "spec.autoPopulateDNSNames", /dnsNameTemplates/],
    [{ jwtTtl: "5m" }, "spec.jwtTtl", /remove it/],
    [{ className: "blue" }, "spec.className", /remove it/],
    [{ spiffeIDTemplate: "{{ .PodMeta.Annotations }}" }, "spec.spiffeIDTemplate", /use \.TrustDomain/],
    [{ dnsNameTemplates: ["x", "{{ if }}"] }, "spec.dnsNameTemplates[1]", /use \.TrustDomain/],
    [
      { workloadSelectorTemplates: ["{{ .NodeSpec.PodCIDR }}"] },
      "spec.workloadSelectorTemplates[0]",
      /use \.TrustDomain/,
    ],
  ];
  for (const [spec, field, fix] of refused)
    assert.throws(
      () => requireRegistrable(readSpiffeId("odd", spec)),
      (thrown) => thrown instanceof FieldError && thrown.field === field && fix.test(thrown.message),
      field,
    );
  requireRegistrable(readSpiffeId("plain", { ttl: "1h", federatesWith: ["west.example"], hint: "x", jwtTtl: "0s" }));
});

test("a ClusterSPIFFEID that cannot be read is one problem that names the field", () => {
  const wrong: readonly (readonly [object, string])[] = [
    [{ spiffeIDTemplate: "" }, "spec.spiffeIDTemplate"],
    [{ spiffeIDTemplate: "x".repeat(2049) }, "spec.spiffeIDTemplate"],
    [{ ttl: "soon" }, "spec.ttl"],
    [{ federatesWith: ["West"] }, "spec.federatesWith[0]"],
    [
      { podSelector: { matchExpressions: [{ key: "a", operator: "Like" }] } },
      "spec.podSelector.matchExpressions[0].operator",
    ],
  ];
  for (const [spec, field] of wrong)
    assert.throws(
      () => readSpiffeId("odd", spec),
      (thrown) => thrown instanceof FieldError && thrown.field === field,
      field,
    );
});

test("the built-in templates reach guide 002's pods, every gateway, and pods of captured namespaces", () => {
  const templates = builtinSpiffeIds();
  templates.forEach(requireRegistrable);
  assert.deepEqual(
    templates.slice(0, 3).map(({ id }) => id.name),
    ["istio-ztunnel-reg", "istio-waypoint-reg", "istio-ambient-reg"],
  );
  const mesh = spireMesh(
    [
      namespace("bank", { "istio.io/dataplane-mode": "ambient" }),
      pod("ztunnel", "10.0.0.1", { app: "ztunnel" }),
      pod("waypoint", "10.0.0.2", { "istio.io/gateway-name": "waypoint" }),
      pod("gateway", "10.0.0.3", { "gateway.networking.k8s.io/gateway-name": "east-west" }),
      pod("labelled", "10.0.0.4", { "istio.io/dataplane-mode": "ambient" }),
      pod("other", "10.0.0.5"),
      object("v1", "Pod", { name: "in", namespace: "bank", uid: "u1" }, { spec: { nodeName: "n1" } }),
      object(
        "v1",
        "Pod",
        { name: "out", namespace: "bank", uid: "u2", labels: { "istio.io/dataplane-mode": "none" } },
        { spec: { nodeName: "n1" } },
      ),
    ],
    { templates },
  );
  const registered = [...mesh.entries.entries()].map(([key, { entries }]) => `${key} ${entries.length}`);
  assert.deepEqual(registered.sort(), [
    "east/bank/in 1",
    "east/shop/gateway 1",
    "east/shop/labelled 1",
    "east/shop/waypoint 1",
    "east/shop/ztunnel 1",
  ]);
});
