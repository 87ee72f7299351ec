import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { object, service, testMesh, type TestMesh } from "./mesh.ts";

const GLOBAL = { labels: { "solo.io/service-scope": "global" } };
const home = (labels: object = {}): KubeObject =>
  object("v1", "Namespace", { namespace: undefined, name: "istio-system", labels });
const shop = (labels: object = {}): KubeObject =>
  object("v1", "Namespace", { namespace: undefined, name: "shop", labels });
const segment = (name: string, spec: object, metadata: object = {}): KubeObject =>
  object("admin.solo.io/v1alpha1", "Segment", { name, namespace: "istio-system", ...metadata }, { spec });
const inSegment = (name: string): KubeObject => home({ "admin.solo.io/segment": name });

/** Scope, hosts and takeover of each shared service, by name. */
const sharedIn = ({ registry }: TestMesh): Record<string, string> =>
  Object.fromEntries(
    [...registry.shared.entries()].map(([key, { scope, hosts, takeover }]) => [
      key,
      [scope, ...hosts.map(({ host }) => host), ...(takeover ? ["takeover"] : [])].join(" "),
    ]),
  );
const problemsIn = ({ registry }: TestMesh): readonly string[] =>
  [...registry.problems.entries()].map(([, { message }]) => message).sort();

test("a Service is shared by what it says itself, else by its namespace, else by a rule of the mesh config", () => {
  const label = (text: string) => ({ labels: { "solo.io/service-scope": text } });
  const mesh = testMesh([
    shop(label("global").labels),
    service("a", "10.1.0.1"),
    service("b", "10.1.0.2", {}, label("cluster")),
    service("c", "10.1.0.3", {}, label("segment")),
    service("d", "10.1.0.4", {}, label("global-only")),
    service("e", "10.1.0.5", {}, { labels: { "istio.io/global": "false" } }),
    service("f", "10.1.0.6", {}, label("galaxy")),
    service("g", "10.1.0.7", {}, { namespace: "other", labels: { "istio.io/global": "true" } }),
    service("h", "10.1.0.8", {}, { namespace: "other", labels: { by: "rule" } }),
  ]);
  const withoutRule = {
    "east/shop/a": "global a.shop.mesh.internal",
    "east/shop/c": "segment c.shop.mesh.internal",
    "east/shop/d": "global d.shop.mesh.internal takeover",
    "east/other/g": "global g.other.mesh.internal",
  };
  assert.deepEqual(sharedIn(mesh), withoutRule);
  const serviceSelector = { matchLabels: { pairs: [["by", "rule"]] as const }, expressions: [] };
  mesh.registry.meshConfig.set("mesh", { serviceScopeConfigs: [{ serviceSelector, scope: "global" }] });
  mesh.graph.flush();
  assert.deepEqual(sharedIn(mesh), { ...withoutRule, "east/other/h": "global h.other.mesh.internal" });
  assert.ok(problemsIn(mesh).some((message) => message.includes('is "galaxy"')));
});

test("a segment's domain replaces mesh.internal, for as long as there is one that the label names", () => {
  const mesh = testMesh([inSegment("blue"), service("cart", "10.1.0.1", {}, GLOBAL)]);
  const host = () => mesh.registry.shared.get("east/shop/cart" as never)?.hosts[0]?.host;
  assert.equal(host(), "cart.shop.mesh.internal");
  assert.match(problemsIn(mesh).join(), /names Segment blue, of which there is none that counts in istio-system/);
  mesh.apply(segment("blue", { domain: "Blue.Example" }));
  assert.equal(host(), "cart.shop.blue.example");
  assert.deepEqual(problemsIn(mesh), []);
  mesh.apply(home());
  assert.equal(host(), "cart.shop.mesh.internal");
});

test("a Segment that cannot be read any more stays as it was: a typing error must not rename what others call", () => {
  const mesh = testMesh([
    inSegment("blue"),
    segment("blue", { domain: "blue.example" }),
    service("cart", "10.1.0.1", {}, GLOBAL),
  ]);
  mesh.apply(segment("blue", { domain: "blue.example", aliases: [{ pattern: "{servize}.example" }] }));
  assert.deepEqual(sharedIn(mesh), { "east/shop/cart": "global cart.shop.blue.example" });
  assert.match(problemsIn(mesh).join(), /spec.aliases\[0\].pattern has "\{servize\}"; there are \{service\}/);
});

test("domains that are kept, or that another segment has, are refused; of two the older stays", () => {
  const at = (hour: string) => ({ creationTimestamp: `2026-01-01T${hour}:00:00Z` });
  const mesh = testMesh([
    inSegment("new"),
    segment("old", { domain: "corp.example" }, at("01")),
    segment("new", { domain: "eu.corp.example" }, at("02")),
    segment("short", { domain: "example" }, at("03")),
    segment("same", { domain: "corp.example" }, at("04")),
    segment("local", { domain: "svc.cluster.local" }),
    segment("away", { domain: "away.example" }, { namespace: "shop" }),
    service("cart", "10.1.0.1", {}, GLOBAL),
  ]);
  const problems = problemsIn(mesh);
  for (const name of ["new", "short", "same"])
    assert.ok(
      problems.some((text) => text.startsWith(`Segment istio-system/${name} `) && text.includes("older Segment old")),
    );
  assert.ok(
    problems.some((text) => text.startsWith("Segment istio-system/local ") && text.includes("kept for names within")),
  );
  assert.ok(problems.some((text) => text.startsWith("Segment shop/away ") && text.includes("move it there")));
  assert.equal(problems.length, 6);
  mesh.remove(segment("old", {}), segment("short", {}), segment("same", {}));
  assert.deepEqual(sharedIn(mesh), { "east/shop/cart": "global cart.shop.eu.corp.example" });
});

test("aliases of all four kinds are added while the service has what they ask for", () => {
  const mesh = testMesh([
    inSegment("blue"),
    segment("blue", {
      domain: "blue.example",
      aliases: [
        { pattern: "{service}-{namespace}.alias.example" },
        { pattern: "{labels['app.example/tier']}.{service}.example", selector: { matchLabels: { public: "yes" } } },
        { pattern: '{annotations["example.com/dns"]}.example' },
      ],
    }),
  ]);
  const cart = (labels: object, annotations: object = {}) =>
    service("cart", "10.1.0.1", {}, { labels: { ...GLOBAL.labels, ...labels }, annotations });
  mesh.apply(cart({}));
  assert.deepEqual(sharedIn(mesh), { "east/shop/cart": "global cart.shop.blue.example cart-shop.alias.example" });
  assert.match(
    problemsIn(mesh).join(),
    /pattern \{annotations\["example.com\/dns"\]\}.example of its segment: it needs the annotation/,
  );
  mesh.apply(cart({ public: "yes", "app.example/tier": "Gold" }, { "example.com/dns": "basket.eu" }));
  assert.deepEqual(sharedIn(mesh), {
    "east/shop/cart": "global cart.shop.blue.example cart-shop.alias.example gold.cart.example basket.eu.example",
  });
  assert.deepEqual(problemsIn(mesh), []);
});

test("an alias that two services make is the older one's, and a global name is nobody's alias", () => {
  const at = (hour: string) => ({ ...GLOBAL, creationTimestamp: `2026-01-01T${hour}:00:00Z` });
  const mesh = testMesh([
    inSegment("blue"),
    segment("blue", {
      domain: "blue.example",
      aliases: [{ pattern: "{service}.alias.example" }, { pattern: "{labels['as']}.shop.blue.example" }],
    }),
    service("cart", "10.1.0.1", {}, at("02")),
    service("cart", "10.1.0.2", {}, { ...at("01"), namespace: "other", labels: { ...GLOBAL.labels, as: "cart" } }),
  ]);
  assert.deepEqual(sharedIn(mesh), {
    "east/other/cart": "global cart.other.blue.example cart.alias.example",
    "east/shop/cart": "global cart.shop.blue.example",
  });
  const problems = problemsIn(mesh).join("\n");
  assert.match(problems, /Service shop\/cart does not have the alias cart.alias.example: .* other\/cart has it/);
  assert.match(problems, /Service other\/cart does not have the alias cart.shop.blue.example: .* shop\/cart has it/);
  mesh.remove(service("cart", "", {}, { namespace: "other" }));
  assert.deepEqual(sharedIn(mesh), { "east/shop/cart": "global cart.shop.blue.example cart.alias.example" });
});

test("aliases in the cluster's own domain, or in another segment's, are refused", () => {
  const mesh = testMesh([
    inSegment("blue"),
    segment("red", { domain: "red.example" }),
    segment("blue", {
      domain: "blue.example",
      aliases: [{ pattern: "{service}.other.svc.cluster.local" }, { pattern: "{service}.{namespace}.red.example" }],
    }),
    service("cart", "10.1.0.1", {}, GLOBAL),
  ]);
  assert.deepEqual(sharedIn(mesh), { "east/shop/cart": "global cart.shop.blue.example" });
  assert.match(problemsIn(mesh).join("\n"), /but cluster.local is reserved[^]*but red.example is reserved/);
});

test("what has no address to stand for it, or renames a host, is not shared, and says so", () => {
  const mesh = testMesh([
    service("db", "None", {}, GLOBAL),
    service("ext", "", { type: "ExternalName", externalName: "x.example" }, GLOBAL),
  ]);
  assert.deepEqual(sharedIn(mesh), {});
  const problems = problemsIn(mesh).join("\n");
  assert.match(problems, /Service shop\/db is headless, .*HeadlessNotExported/);
  assert.match(problems, /Service shop\/ext is an ExternalName/);
});

test("only a Service takes over its name, unless namespaces may; one that is not shared takes over nothing", () => {
  const take = { "solo.io/service-takeover": "true" };
  const objects = [
    shop({ ...GLOBAL.labels, ...take }),
    service("a", "10.1.0.1", {}, { labels: take }),
    service("b", "10.1.0.2"),
    service("c", "10.1.0.3", {}, { labels: { "solo.io/service-takeover": "false" } }),
    service("d", "10.1.0.4", {}, { namespace: "other", labels: take }),
  ];
  const mesh = testMesh(objects);
  const takers = (of: TestMesh) =>
    [...of.registry.shared.entries()].filter(([, { takeover }]) => takeover).map(([key]) => key);
  assert.deepEqual(takers(mesh), ["east/shop/a"]);
  const problems = problemsIn(mesh).join("\n");
  assert.match(problems, /namespace shop takes over no name/);
  assert.match(problems, /Service other\/d takes over its name, but is not shared/);
  assert.deepEqual(takers(testMesh(objects, { namespaceTakeover: true })), ["east/shop/a", "east/shop/b"]);
});
