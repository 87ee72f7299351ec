import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, networkId } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { exportsTo } from "../../src/registry/model/granted.ts";
import { object, service } from "../registry/mesh.ts";
import { facts, peered, type PeeredMesh } from "../registry/peers.ts";
import { cart, cartPod } from "../registry/two-networks.ts";
import { explained, reader } from "./explained.ts";

const HOST = "cart.shop.mesh.internal";
const labelled = (labels: object): KubeObject => cart("10.1.0.1", {}, { labels });
const SHARED = { "solo.io/service-scope": "global" };
const namespace = (labels: object): KubeObject =>
  object("v1", "Namespace", { name: "shop", namespace: undefined, labels });
const grant = (spec: object): KubeObject =>
  object("peering.causeway.dev/v1alpha1", "PeerGrant", { name: "west", namespace: "istio-system" }, { spec });
const sharing = (mesh: PeeredMesh, over: Parameters<typeof explained>[2] = {}) =>
  explained(mesh.registry, HOST, over).sharing;

/** Why nobody is told of a Service: only its own cluster can see it. */
const untold: readonly {
  readonly what: string;
  readonly objects: readonly KubeObject[];
  readonly expected: readonly [reason: string, object: string, field: string, fix: RegExp, message: RegExp];
}[] = [
  {
    what: "a Service that nothing shares",
    objects: [labelled({})],
    expected: [
      "not exported",
      "Service shop/cart",
      "metadata.labels[solo.io/service-scope]",
      /kubectl --context east -n shop label service cart solo\.io\/service-scope=global/,
      /neither it, nor Namespace shop, nor a rule of the mesh config/,
    ],
  },
  {
    what: "one that keeps to its cluster in a namespace that is shared",
    objects: [namespace(SHARED), labelled({ "solo.io/service-scope": "cluster" })],
    expected: [
      "not exported",
      "Service shop/cart",
      "metadata.labels[solo.io/service-scope]",
      /label service cart/,
      /the label solo\.io\/service-scope of Service shop\/cart keeps it in its own cluster/,
    ],
  },
  {
    what: "a label whose value is mistyped",
    objects: [labelled({ "solo.io/service-scope": "Globl" })],
    expected: [
      "not exported",
      "Service shop/cart",
      "metadata.labels[solo.io/service-scope]",
      /label service cart/,
      /the value "Globl", which nobody knows and which shares nothing; was global meant\?/,
    ],
  },
  {
    what: "a label whose name is mistyped",
    objects: [labelled({ "solo.io/servicescope": "global" })],
    expected: [
      "not exported",
      "Service shop/cart",
      "metadata.labels[solo.io/servicescope]",
      /label service cart solo\.io\/service-scope=global/,
      /has the label solo\.io\/servicescope, which means nothing/,
    ],
  },
  {
    what: "a mistyped label of the namespace",
    objects: [namespace({ "solo.io/service-scope": "globall" }), labelled({})],
    expected: [
      "not exported",
      "Namespace shop",
      "metadata.labels[solo.io/service-scope]",
      /label namespace shop solo\.io\/service-scope=global/,
      /was global meant\?/,
    ],
  },
  {
    what: "a headless Service",
    objects: [cart("None", {}, { labels: SHARED })],
    expected: [
      "headless",
      "Service shop/cart",
      "spec.clusterIP",
      /a cluster IP cannot be given later/,
      /HeadlessNotExported/,
    ],
  },
  {
    what: "an ExternalName",
    objects: [cart("", { type: "ExternalName", externalName: "a.example" }, { labels: SHARED })],
    expected: ["ExternalName", "Service shop/cart", "spec.type", /externalName names/, /only renames another host/],
  },
  {
    what: "a name that is mistyped",
    objects: [service("carts", "10.1.0.2", {}, { labels: SHARED })],
    expected: ["absent", "Service shop/cart", "", /a Service shop\/cart there/, /was carts meant\?/],
  },
];

for (const { what, objects, expected } of untold)
  test(`the exporter says why peers are not told of ${what}`, () => {
    const { cause, readers, hosts } = sharing(peered([], objects), { readers: [reader("west")] });
    const [reason, object, field, fix, message] = expected;
    assert.deepEqual([cause?.reason, cause?.object, cause?.cluster, cause?.field], [reason, object, "east", field]);
    assert.match(cause!.fix, fix);
    assert.match(cause!.message, message);
    assert.deepEqual([readers, hosts], [[], []]);
  });

const OBJECTS = [labelled(SHARED), cartPod("a", "10.0.0.1")];

test("the exporter says whom it tells, and what each has acknowledged", () => {
  const mesh = peered(["north"], OBJECTS);
  const behind = { ...reader("south"), acknowledged: false };
  const { cause, scope, saidBy, hosts, ready, readers } = sharing(mesh, { readers: [reader("west"), behind] });
  assert.deepEqual(
    [cause, scope, saidBy, hosts, ready],
    [undefined, "global", "label solo.io/service-scope of Service shop/cart", [HOST], 1],
  );
  assert.deepEqual(
    readers.map(({ cluster, state }) => [cluster, state]),
    [
      ["north", "not connected"],
      ["south", "under way"],
      ["west", "acknowledged"],
    ],
  );
  const [north] = readers;
  assert.deepEqual([north?.cause?.reason, north?.cause?.cluster], ["no link", "north"]);
  assert.match(north!.cause!.fix, /create one in cluster north that leads to east/);
});

test("of a peer's replicas the one that is behind counts, in whatever order they connected", () => {
  const behind = { ...reader("west"), acknowledged: false };
  for (const readers of [
    [behind, reader("west")],
    [reader("west"), behind],
  ])
    assert.deepEqual(
      sharing(peered([], OBJECTS), { readers }).readers.map(({ state }) => state),
      ["under way"],
    );
});

test("what a grant withholds names the grant, and the line that would take it in", () => {
  const mesh = peered([], [...OBJECTS, grant({ cluster: "west", export: { namespaces: ["bank"] } })]);
  const granted = [{ by: "PeerGrant" as const, scopes: [{ namespaces: ["bank"], services: undefined }] }];
  const [west] = sharing(mesh, { readers: [reader("west", granted)] }).readers;
  assert.deepEqual(
    [west?.state, west?.cause?.reason, west?.cause?.object, west?.cause?.field],
    ["withheld", "export denied", "PeerGrant istio-system/west", "spec.export"],
  );
  assert.match(west!.cause!.fix, /export: \{namespaces: \[shop\], services: \[cart\]\}.*edit peergrant west/);
});

test("what a Workspace withholds says so, and that it is mended where the trust manager is", () => {
  const labels = { "trust.causeway.dev/bound": "true" };
  const bound = (name: string, cluster: string): KubeObject =>
    object(
      "peering.causeway.dev/v1alpha1",
      "PeerGrant",
      { name, namespace: "istio-system", labels },
      { spec: { cluster, export: { namespaces: ["bank"] }, import: {} } },
    );
  const grants = [
    bound("a-bound-for-the-rest", "*"),
    bound("bound-west", "west"),
    grant({ cluster: "west", export: {} }),
  ];
  const mesh = peered([], [...OBJECTS, ...grants]);
  const granted = exportsTo(
    { cluster: clusterId("west"), trustDomain: "cluster.local" },
    Array.from(mesh.registry.peerGrants.entries(), ([, each]) => each),
  );
  const [west] = sharing(mesh, { readers: [reader("west", granted)] }).readers;
  assert.deepEqual(
    [west?.state, west?.cause?.reason, west?.cause?.object, west?.cause?.field],
    ["withheld", "export denied", "PeerGrant istio-system/bound-west", "spec.export"],
  );
  assert.match(west!.cause!.message, /not told of Service shop\/cart: no Workspace that limits what it may read/);
  assert.match(
    west!.cause!.fix,
    /where the trust manager is.* take in namespace shop of cluster east and a namespace of cluster west.*workspaces\.md/,
  );
});

test("what is for a segment only is withheld from peers that are in another", () => {
  const mesh = peered(["west"], [labelled({ "solo.io/service-scope": "segment" }), cartPod("a", "10.0.0.1")]);
  mesh.learn(facts("west", { segment: "prod", domain: "prod.example", network: networkId("net-west") }));
  const [west] = sharing(mesh, { readers: [reader("west")] }).readers;
  assert.deepEqual(
    [west?.state, west?.cause?.reason, west?.cause?.object],
    ["withheld", "segment differs", "Service shop/cart"],
  );
  assert.match(west!.cause!.fix, /solo\.io\/service-scope=global/);
});

test("a peer that was refused is named with the reason that it was given", () => {
  const refused = [{ cluster: "west", reason: "NotListed", message: "no Gateway leads to cluster west" }];
  const [west] = sharing(peered([], OBJECTS), { refused }).readers;
  assert.deepEqual([west?.state, west?.cause?.reason], ["refused", "refused: NotListed"]);
  assert.match(west!.cause!.message, /may not: no Gateway leads to cluster west\./);
});
