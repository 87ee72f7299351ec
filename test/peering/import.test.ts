import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { clusterId, networkId, type ServiceName, type WorkloadUid } from "../../src/names.ts";
import type { FederatedService } from "../../src/registry/model/federated-service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { ADDRESS_TYPE, FSDS_TYPE, type Resource, SGDS_TYPE, type TypeUrl } from "../../src/xds/resource.ts";
import { encodeWorkload } from "../../src/xds/types/address.ts";
import { encodeClusterFacts } from "../../src/xds/types/cluster-facts.ts";
import { encodeFederatedService } from "../../src/xds/types/federated-service.ts";
import { decodeDeltaResponse, toResource } from "../../src/xds/wire.ts";
import { factsOf, gatewayOf, LinkLab, serviceOf, WEST } from "./link-lab.ts";

const good = serviceOf("payments");
const record = (service: FederatedService): Resource => encodeFederatedService(service, 0);

const bodyOf = ({ record }: Resource): Uint8Array => decodeDeltaResponse(record).resources[0]!.body;
/** The same bytes under another name. */
const under = (name: string, resource: Resource): Resource => toResource(FSDS_TYPE, name, bodyOf(resource));

const forged: readonly (readonly [string, Resource, RegExp, string])[] = [
  ["our own cluster's", record(serviceOf("x", { cluster: clusterId("east") })), /cluster east/, "cluster"],
  ["a name that its content has not", under("west/bank/other", record(serviceOf("x"))), /of west\/bank\/x/, "name"],
  ["bytes that are no record", toResource(FSDS_TYPE, "west/bank/x", new Uint8Array([255])), /./, "unreadable"],
  [
    "an identity of our trust domain",
    record(serviceOf("x", { identities: ["spiffe://cluster.local/ns/bank/sa/x"] })),
    /identity spiffe:\/\/cluster\.local\/ns\/bank\/sa\/x: it says trust domain cluster\.local/,
    "trust-domain",
  ],
  [
    "a waypoint of another trust domain",
    record(serviceOf("x", { waypoint: { namespace: "bank", name: "w", identity: "spiffe://other/ns/bank/sa/w" } })),
    /trust domain other/,
    "trust-domain",
  ],
  [
    "an identity that is no service account's",
    record(serviceOf("x", { identities: ["spiffe://west.local/machine/7"] })),
    /is not a service account's/,
    "trust-domain",
  ],
];

for (const [what, resource, why, reason] of forged)
  test(`a record with ${what} is refused with the reason, and all others count (fault 14)`, async () => {
    const lab = await LinkLab.linked();
    lab.call.connected();
    lab.call.say(FSDS_TYPE, [resource]);
    lab.call.sayAll([good]);
    await lab.pass(0);
    assert.deepEqual(lab.services, ["west/bank/payments 1"]);
    assert.equal(lab.status.state, "live");
    assert.match(lab.status.message, why);
    assert.ok(["ResourceRejected", "IdentityMismatch"].includes(lab.status.reason!));
    assert.equal(lab.metric("peer_denied_total", `,reason=${reason}`), 1);
    assert.ok(
      lab.call.answers.every(({ rejection }) => rejection === undefined),
      "a NACK would take the good ones, too",
    );
  });

test("who asks where a service of a peer is learns why it was refused, until it is taken or gone", async () => {
  const lab = await LinkLab.live([good]);
  const denied = () => Array.from(lab.sources.denied.entries(), ([name, { reason }]) => `${name} ${reason}`);
  const stranger = { identities: ["spiffe://cluster.local/ns/bank/sa/x"] };
  lab.call.say(FSDS_TYPE, [
    record(serviceOf("x", stranger)),
    record(serviceOf("y", stranger)),
    under("north/bank/z", record(good)),
  ]);
  await lab.pass(0);
  assert.deepEqual(denied().sort(), ["west/bank/x trust-domain", "west/bank/y trust-domain"]);
  await lab.pass(5_000);
  assert.equal(lab.metric("peer_records_denied"), 3);
  lab.call.say(FSDS_TYPE, [record(serviceOf("x"))], ["west/bank/y", "north/bank/z"]);
  await lab.pass(5_000);
  assert.deepEqual(denied(), []);
  assert.equal(lab.metric("peer_records_denied"), 0);
});

test("a record that may not be there does not replace the good one before it, and is asked for again later", async () => {
  const lab = await LinkLab.live([good]);
  lab.call.say(FSDS_TYPE, [record({ ...good, ready: 0, identities: ["spiffe://cluster.local/ns/bank/sa/x"] })]);
  await lab.pass(0);
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  assert.equal(lab.status.reason, "ResourceRejected");
  lab.call.say(FSDS_TYPE, [record({ ...good, ready: 0 })]);
  await lab.pass(0);
  assert.deepEqual([lab.services, lab.status.reason], [["west/bank/payments 0"], undefined]);
});

test("a peer that says another network, cluster or trust domain of itself than its Gateway is not believed", async () => {
  for (const wrong of [{ network: networkId("east-net") }, { trustDomain: "cluster.local" }]) {
    const lab = await LinkLab.linked();
    lab.call.connected();
    lab.call.sayAll([good], "1", factsOf(wrong));
    await lab.pass(0);
    assert.equal(lab.sources.facts.get(WEST), undefined);
    assert.equal(lab.status.reason, "ResourceRejected");
    assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  }
  const lab = await LinkLab.linked();
  lab.call.connected();
  lab.call.say(SGDS_TYPE, [encodeClusterFacts(factsOf({ cluster: clusterId("north") }))]);
  lab.call.sayAll([good], "1", undefined);
  await lab.pass(0);
  assert.equal(lab.status.reason, "IdentityMismatch");
  assert.equal(lab.sources.facts.get(clusterId("north")), undefined);
});

test("once the Gateway is corrected, what was refused is asked for and taken; what is wrong now goes", async () => {
  const lab = await LinkLab.linked();
  lab.call.connected();
  lab.call.sayAll([good], "1", factsOf({ network: networkId("blue") }));
  await lab.pass(0);
  assert.equal(lab.sources.facts.get(WEST), undefined);
  lab.link(gatewayOf({ network: networkId("blue") }));
  await lab.pass(0);
  assert.deepEqual(lab.call.held(SGDS_TYPE), []);
  lab.call.connected();
  lab.call.sayAll([good], "1", factsOf({ network: networkId("blue") }));
  await lab.pass(0);
  assert.equal(lab.sources.facts.get(WEST)?.network, "blue");
  lab.link(gatewayOf({ network: networkId("blue"), trustDomain: "west.example" }));
  await lab.pass(0);
  assert.deepEqual([lab.services, lab.sources.facts.get(WEST)], [[], undefined]);
});

test("a grant bounds what a peer may feed, and one that is widened has the rest asked for", async () => {
  const lab = new LinkLab();
  const grant = (namespaces: readonly string[]) => ({
    ...{ bound: false, cluster: WEST, trustDomain: undefined, exports: undefined },
    imports: { namespaces, services: undefined },
  });
  lab.grants = [grant(["bank"])];
  lab.link(gatewayOf());
  lab.graph.flush();
  await lab.peers.start();
  lab.peers.dial();
  await lab.pass(0);
  lab.call.connected();
  const shop = serviceOf("cart", { namespace: "shop", identities: [] });
  lab.call.sayAll([good, shop]);
  await lab.pass(0);
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  assert.match(lab.status.message, /west\/shop\/cart is refused: no PeerGrant has west import service cart/);
  lab.grants = [grant(["*"])];
  lab.peers.recheck();
  assert.deepEqual(lab.call.held(FSDS_TYPE), ["west/bank/payments"]);
  lab.call.connected();
  lab.call.sayAll([good, shop]);
  await lab.pass(0);
  assert.deepEqual(lab.services, ["west/bank/payments 1", "west/shop/cart 1"]);
  lab.grants = [grant(["shop"])];
  lab.peers.recheck();
  await lab.pass(0);
  assert.deepEqual(lab.services, ["west/shop/cart 1"]);
});

test("a bound keeps from a peer what a grant gives it, and says that a Workspace does", async () => {
  const lab = new LinkLab();
  const scope = (...namespaces: readonly string[]) => ({ namespaces, services: undefined });
  const grant = { bound: false, cluster: WEST, trustDomain: undefined, exports: undefined, imports: scope("*") };
  lab.grants = [grant, { ...grant, bound: true, imports: scope("bank", "vault") }];
  lab.link(gatewayOf());
  lab.graph.flush();
  await lab.peers.start();
  lab.peers.dial();
  await lab.pass(0);
  lab.call.connected();
  lab.call.sayAll([good, serviceOf("cart", { namespace: "shop", identities: [] })]);
  await lab.pass(0);
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  assert.match(
    lab.status.message,
    /west\/shop\/cart is refused: no Workspace has west import service cart of namespace shop/,
  );
});

test("a peer over its quota is capped and marked", async () => {
  const lab = await LinkLab.linked({ quota: { recordsMax: 3 } });
  lab.call.connected();
  lab.call.sayAll(["a", "b", "c", "d"].map((name) => serviceOf(name)));
  await lab.pass(0);
  assert.equal(lab.services.length, 2, "and what it says of itself");
  assert.equal(lab.status.reason, "ResourceRejected");
  assert.match(lab.status.message, /3 records are held of this peer; 1 more are refused/);
  assert.equal(lab.metric("peer_denied_total", ",reason=quota"), 2);
});

test("a peer that sends faster than its quota is made to wait", async () => {
  const lab = await LinkLab.linked({ quota: { bytesPerSecond: 5_056, burstBytes: 20_000 } });
  lab.call.connected();
  lab.call.sayAll([good]);
  assert.equal(lab.call.paused, false);
  lab.call.say(FSDS_TYPE, [record({ ...good, ready: 0 })]);
  assert.equal(lab.call.paused, true);
  await lab.pass(501);
  assert.equal(lab.call.paused, false);
  assert.deepEqual(lab.services, ["west/bank/payments 0"]);
});

test("a peer that says next to nothing, again and again, is made to wait, also of what nobody asked for", async () => {
  for (const typeUrl of [FSDS_TYPE, "type.example/unknown" as TypeUrl]) {
    const lab = await LinkLab.live([good]);
    for (let said = 0; said < 40_000 && !lab.call.paused; said++)
      lab.call.receiver.received({ typeUrl, nonce: "", resources: [], removed: [] }, 10);
    assert.equal(lab.call.paused, true);
  }
  const lab = await LinkLab.live([good]);
  const removed = Array.from({ length: 140_000 }, (_, at) => `${at}`);
  lab.call.receiver.received({ typeUrl: FSDS_TYPE, nonce: "", resources: [], removed }, 1_000_000);
  assert.equal(lab.call.paused, true);
});

test("a pod with an address of this machine or its link is refused, and such a node is no door", async () => {
  const lab = await LinkLab.live([good]);
  const claims = ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0"];
  const pods = claims.map((ip, at) =>
    encodeWorkload({ ...pod, uid: `west//Pod/bank/p${at}` as WorkloadUid, addresses: [ip] }),
  );
  const node = (ip: string) =>
    ({ serviceType: "nodeport", host: { kind: "ip", ip }, hbonePort: 6443, identity: GATEWAY }) as const;
  lab.call.say(ADDRESS_TYPE, [...pods, encodeWorkload(pod)]);
  lab.call.say(SGDS_TYPE, [encodeClusterFacts(factsOf({ doors: [...claims, "192.0.2.7"].map(node) }))]);
  await lab.pass(0);
  assert.deepEqual(
    [...lab.sources.workloads.entries()].map(([, { addresses }]) => addresses),
    [["10.1.0.5"]],
  );
  assert.equal(lab.metric("peer_denied_total", ",reason=address"), 4);
  assert.match(lab.status.message, /has the address 127\.0\.0\.1, this machine itself, which no pod of a peer has/);
  assert.deepEqual(
    lab.sources.facts.get(WEST)?.doors.map(({ host }) => host),
    [{ kind: "ip", ip: "192.0.2.7" }],
  );
});

test("names and versions without end are not kept, not even as what was refused", async () => {
  const lab = await LinkLab.live([good]);
  const body = bodyOf(record(serviceOf("x")));
  const long = "x".repeat(5_000);
  const resources = [
    { name: "west/bank/x", version: long, body },
    { name: `west/bank/${long}`, version: "1", body },
  ];
  lab.call.receiver.received({ typeUrl: FSDS_TYPE, nonce: "1", resources, removed: [] }, 11_000);
  await lab.pass(0);
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  assert.match(
    lab.status.message,
    /west\/bank\/x is refused: its version has 5000 characters; 256 is the most; 1 more/,
  );
  assert.deepEqual(
    Array.from(lab.sources.denied.entries(), ([name]) => name.length),
    ["west/bank/x".length, 1_024],
  );
});

const GATEWAY = "spiffe://west.local/ns/istio-eastwest/sa/istio-eastwest";
const pod: Workload = {
  ...{ uid: "west//Pod/bank/p" as WorkloadUid, name: "p", namespace: "bank", cluster: WEST, hostname: "" },
  ...{ network: networkId("west-net"), addresses: ["10.1.0.5"], tunnel: "hbone", nativeTunnel: false },
  ...{ trustDomain: "west.local", serviceAccount: "p", node: "n", canonicalName: "", canonicalRevision: "" },
  ...{ workloadName: "p", healthy: true, hostNetwork: false, locality: undefined, services: [], waypoint: undefined },
  ...{ networkGateway: undefined, applicationTunnel: undefined, policies: [], capacity: undefined },
};

test("a peer's workloads come without our policies, and behind no name but global ones of its own domain", async () => {
  const lab = await LinkLab.live([good]);
  const services = ["bank/payments.bank.mesh.internal", "bank/payments.bank.svc.cluster.local"].map((service) => ({
    service: service as ServiceName,
    ports: [],
  }));
  lab.call.say(ADDRESS_TYPE, [encodeWorkload({ ...pod, services, policies: ["istio-system/deny" as never] })]);
  await lab.pass(0);
  const taken = lab.sources.workloads.get(pod.uid)!;
  assert.deepEqual(
    taken.services.map(({ service }) => service),
    ["bank/payments.bank.mesh.internal"],
  );
  assert.deepEqual(taken.policies, []);
  lab.call.say(SGDS_TYPE, [encodeClusterFacts(factsOf({ domain: "west.example" }))]);
  await lab.pass(0);
  assert.deepEqual(lab.sources.workloads.get(pod.uid)!.services, []);
});

test("a workload of another cluster, network or trust domain is refused", async () => {
  for (const [wrong, reason] of [
    [{ cluster: clusterId("east") }, "cluster"],
    [{ uid: "east//Pod/bank/p" as WorkloadUid }, "name"],
    [{ network: networkId("east-net") }, "network"],
    [{ trustDomain: "cluster.local" }, "trust-domain"],
  ] as const) {
    const lab = await LinkLab.live([good]);
    lab.call.say(ADDRESS_TYPE, [encodeWorkload({ ...pod, ...wrong })]);
    await lab.pass(0);
    assert.deepEqual([...lab.sources.workloads.entries()], []);
    assert.equal(lab.metric("peer_denied_total", `,reason=${reason}`), 1, reason);
  }
});

test("whatever bytes a peer sends, under whatever name, what is good stays and the link lives", async () => {
  const lab = await LinkLab.live([good]);
  fc.assert(
    fc.property(
      fc.constantFrom(SGDS_TYPE, FSDS_TYPE, ADDRESS_TYPE),
      fc.oneof(fc.string(), fc.constantFrom("west", "west/bank/payments", "east/bank/payments", "__proto__")),
      fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.constant(bodyOf(record(good)))),
      fc.array(fc.string({ maxLength: 8 }), { maxLength: 3 }),
      (typeUrl, name, body, removed) => {
        lab.call.say(typeUrl, [toResource(typeUrl, name, body)], removed);
        lab.graph.flush();
        const services = [...lab.sources.federated.entries()];
        assert.deepEqual(services, [["west/bank/payments", good]]);
        assert.deepEqual([lab.call.closed, lab.status.state], [false, "live"]);
      },
    ),
    { numRuns: 500 },
  );
});
