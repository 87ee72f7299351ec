import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { networkId } from "../../src/names.ts";
import type { ExclusionReason } from "../../src/registry/global-candidate.ts";
import { object, serviceEntry } from "./mesh.ts";
import { facts, federated, peered, peerGateway, recordKey, status, type PeeredMesh } from "./peers.ts";
import { cart, cartPod, eastWest, system, unready } from "./two-networks.ts";

const HOST = "cart.shop.mesh.internal";
const SHARED = { labels: { "solo.io/service-scope": "global" } };

/** What each cluster adds: how many endpoints and how many ready, or why none. */
function seen(mesh: PeeredMesh, port?: number, host = HOST): Readonly<Record<string, string>> {
  return Object.fromEntries(
    mesh.registry.globalCandidates
      .of(host, port)
      .map(({ cluster, via, endpoints, healthy, excluded }) => [
        `${via} ${cluster}`,
        excluded?.reason ?? `${healthy} of ${endpoints}`,
      ]),
  );
}

test("each cluster says how many endpoints it has of a name", () => {
  const mesh = peered(
    ["west"],
    [cart("10.1.0.1", {}, SHARED), cartPod("a", "10.0.0.1"), unready(cartPod("b", "10.0.0.2"))],
  );
  mesh.hear(federated("west"));
  mesh.applyTo(
    "north",
    system("net3"),
    eastWest("net3", ["198.51.100.1"]),
    cart("10.3.0.1", {}, SHARED),
    cartPod("n", "10.9.0.1"),
  );
  assert.deepEqual(seen(mesh), { "local east": "1 of 2", "peer west": "3 of 4", "secret north": "1 of 1" });
  assert.deepEqual(mesh.registry.globalCandidates.hosts(), [`shop/${HOST}`]);
});

const segment = (name: string, domain: string): KubeObject =>
  object("admin.solo.io/v1alpha1", "Segment", { name, namespace: "istio-system" }, { spec: { domain } });

/** Why a peer adds nothing; each changes one thing of a mesh where it adds three endpoints. */
const peers: readonly (readonly [ExclusionReason, RegExp, (mesh: PeeredMesh) => void, number?])[] = [
  [
    "not exported",
    /label it solo\.io\/service-scope.*that cluster to explain/,
    (mesh) => mesh.unhear(federated("west")),
  ],
  ["no ready pods", /4 endpoints, and none is ready/, (mesh) => mesh.hear(federated("west", { ready: 0 }))],
  [
    "withdrawn",
    /west has withdrawn Service shop\/cart.*held until 1970-01-01T00:01:06Z for those that are under way/,
    (mesh) => mesh.hear(federated("west", { ready: 0, withdrawnUntilMs: 65_001 })),
  ],
  ["port mismatch", /has the ports 80, and not 8080/, () => undefined, 8080],
  [
    "never synced",
    /has not said yet.*Connection refused/,
    (mesh) => {
      mesh.unhear(federated("west"));
      mesh.report(status("west", { state: "connecting", everSynced: false, message: "Connection refused." }));
    },
  ],
  ["peer stale", /is removed/, (mesh) => mesh.report(status("west", { state: "stale", staleness: "remove" }))],
  ["peer stale", /mend the link/, (mesh) => mesh.report(status("west", { state: "stale", staleness: "unhealthy" }))],
  [
    "segment differs",
    /only for segment prod, and this cluster is in none/,
    (mesh) => {
      mesh.apply(segment("prod", "prod.example"));
      mesh.learn(facts("west", { segment: "prod", domain: "prod.example" }));
      mesh.hear(federated("west", { scope: "segment", segment: "prod" }));
    },
  ],
  [
    "other name",
    /as cart\.shop\.prod\.example, and not as/,
    (mesh) => {
      mesh.apply(segment("prod", "prod.example"));
      mesh.learn(facts("west", { segment: "prod", domain: "prod.example" }));
    },
  ],
  [
    "reserved domain",
    /not that cluster's to have/,
    (mesh) => mesh.learn(facts("west", { domain: "svc.cluster.local" })),
  ],
  [
    "SAN refused",
    /outside of trust domain cluster\.local/,
    (mesh) => mesh.hear(federated("west", { identities: ["spiffe://other.example/ns/shop/sa/cart"] })),
  ],
  [
    "no door",
    /has no way into network "net-west"/,
    (mesh) =>
      mesh.apply(
        peerGateway("west", { annotations: { "peering.solo.io/preferred-data-plane-service-type": "nodeport" } }),
      ),
  ],
  [
    "network mismatch",
    /on our own network "net1"/,
    (mesh) => {
      mesh.apply(peerGateway("west", { network: "net1" }));
      mesh.learn(facts("west", { network: networkId("net9") }));
    },
  ],
  [
    "no link",
    /Gateway istio-eastwest\/istio-remote-peer-west has no address/,
    (mesh) => mesh.apply(peerGateway("west", { addresses: [] })),
  ],
  [
    "import denied",
    /is not believed: no PeerGrant has it\./,
    (mesh) => {
      mesh.unhear(federated("west"));
      mesh.registry.peers.denied.set(recordKey("west"), { reason: "namespace", message: "no PeerGrant has it" });
      mesh.graph.flush();
    },
  ],
  [
    "name taken",
    /belongs to ServiceEntry east\/shop\/mine here/,
    (mesh) => {
      const spec = { hosts: [HOST], ports: [{ number: 80, name: "http" }], resolution: "STATIC" };
      mesh.apply(serviceEntry("mine", spec, { creationTimestamp: "1970-01-01T00:00:00Z" }));
    },
  ],
];
for (const [reason, message, change, port] of peers)
  test(`a peer that adds nothing to a name says why: ${reason} (${message.source.slice(0, 30)})`, () => {
    const mesh = peered();
    mesh.hear(federated("west"));
    assert.equal(seen(mesh)["peer west"], "3 of 4");
    change(mesh);
    assert.equal(seen(mesh, port)["peer west"], reason);
    const [, found] = mesh.registry.globalCandidates.of(HOST, port);
    assert.match(found?.excluded?.message ?? "", message);
  });

/** Why a cluster that is read itself adds nothing, our own or another. */
const own: readonly (readonly [ExclusionReason, readonly KubeObject[]])[] = [
  ["absent", []],
  ["not exported", [cart("10.1.0.1", {}, {})]],
  ["headless", [cart("None", {}, SHARED)]],
  ["ExternalName", [cart("", { type: "ExternalName" }, SHARED)]],
  ["no ready pods", [cart("10.1.0.1", {}, SHARED)]],
  ["no ready pods", [cart("10.1.0.1", {}, SHARED), unready(cartPod("a", "10.0.0.1"))]],
];
for (const [reason, objects] of own)
  test(`of ${objects.length} objects a cluster adds nothing to a name, and says why: ${reason}`, () => {
    const here = peered([], objects);
    assert.equal(seen(here)["local east"], reason);
    const there = peered([]);
    there.applyTo("north", system("net3"), eastWest("net3", ["198.51.100.1"]), ...objects);
    assert.equal(seen(there)["secret north"], reason);
  });

test("a cluster behind a remote secret says so if nothing leads to it, or if it is a peer, too", () => {
  const mesh = peered([]);
  mesh.applyTo("west", system("net-west"), cart("10.3.0.1", {}, SHARED), cartPod("n", "10.9.0.1"));
  assert.equal(seen(mesh)["secret west"], "no door");
  mesh.apply(peerGateway("west"));
  mesh.learn(facts("west"));
  mesh.report(status("west"));
  mesh.hear(federated("west"));
  assert.deepEqual(seen(mesh), { "local east": "absent", "peer west": "3 of 4", "secret west": "shadowed" });
});

test("a name that nobody has is asked for by its parts", () => {
  const mesh = peered(["west"], [cart("10.1.0.1", {}, {})]);
  assert.deepEqual(seen(mesh), { "local east": "not exported", "peer west": "not exported" });
});
