import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { causeway, envoy } from "../../proto/gen/mesh.js";
import { MeshError } from "../../src/errors.ts";
import { clusterId, networkId, podUid, policyName, serviceName } from "../../src/names.ts";
import type { FederatedService } from "../../src/registry/model/federated-service.ts";
import type { ClusterFacts } from "../../src/registry/model/peer.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { FSDS_TYPE, SGDS_TYPE, type Resource } from "../../src/xds/resource.ts";
import { decodeWorkload, encodeWorkload } from "../../src/xds/types/address.ts";
import { decodeClusterFacts, encodeClusterFacts } from "../../src/xds/types/cluster-facts.ts";
import { decodeFederatedService, encodeFederatedService } from "../../src/xds/types/federated-service.ts";
import { toReadable } from "../../src/xds/types/readable.ts";
import { decodeSnapshotEnd, isSnapshotEnd, snapshotEnd } from "../../src/xds/types/snapshot-end.ts";
import { FUZZ_MS, fuzzing } from "../kits/fuzz.ts";

/** The body as a client takes it out of the record. */
function bodyOf({ record }: Resource): Uint8Array {
  const [resource] = envoy.service.discovery.v3.DeltaDiscoveryResponse.decode(record).resources;
  return resource!.resource!.value!;
}

const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/);
const cluster = name.map(clusterId);
const text = fc.stringMatching(/^[ -~]{0,40}$/);
const keyPart = fc.stringMatching(/^[a-z0-9.-]{0,20}$/);
const port = fc.integer({ min: 1, max: 65535 });
const identity = fc.tuple(name, name, name).map(([td, ns, sa]) => `spiffe://${td}.example/ns/${ns}/sa/${sa}`);
const attributes = fc
  .uniqueArray(fc.tuple(name, text), { maxLength: 4, selector: ([key]) => key })
  .map((entries) => entries.sort(([a], [b]) => (a < b ? -1 : 1)));
const ms = fc.nat({ max: 2 ** 45 });

const federatedServices: fc.Arbitrary<FederatedService> = fc.record({
  cluster,
  namespace: name,
  name,
  scope: fc.constantFrom("global" as const, "segment" as const),
  segment: keyPart,
  ports: fc.uniqueArray(fc.record({ number: port, name: keyPart, protocol: text, targetPort: fc.nat(65535) }), {
    maxLength: 4,
    selector: ({ number }) => number,
  }),
  ready: fc.nat(100_000),
  total: fc.integer({ min: 100_000, max: 200_000 }),
  identities: fc.array(identity, { maxLength: 3 }),
  localities: fc.array(fc.record({ region: text, zone: text, ready: fc.constant(0) }), { maxLength: 3 }),
  waypoint: fc.option(fc.record({ namespace: name, name, identity }), { nil: undefined }),
  waypointPolicy: fc.constantFrom("once" as const, "source" as const, "destination" as const, "both" as const),
  takeover: fc.boolean(),
  distribution: fc.option(fc.constantFrom("PreferNetwork", "Any"), { nil: undefined }),
  labels: attributes,
  annotations: attributes,
  createdMs: ms,
});

const host = fc.oneof(
  fc.ipV4().map((ip) => ({ kind: "ip" as const, ip })),
  name.map((label) => ({ kind: "hostname" as const, hostname: `${label}.elb.example` })),
);
const digest = fc.stringMatching(/^[0-9a-f]{64}$/);
const facts: fc.Arbitrary<ClusterFacts> = fc.record({
  cluster,
  network: keyPart.map(networkId),
  trustDomain: name,
  segment: keyPart,
  domain: name,
  aliasesDigest: fc.oneof(fc.constant(""), digest),
  doors: fc.array(
    fc.record({
      serviceType: fc.constantFrom("loadbalancer" as const, "nodeport" as const),
      host,
      hbonePort: port,
      identity,
    }),
    { maxLength: 3 },
  ),
  version: text,
  features: fc.array(keyPart, { maxLength: 3 }),
  roots: fc.array(fc.record({ sha256: digest, notAfterMs: ms }), { maxLength: 3 }),
});

const gateway = fc.oneof(
  fc.record({
    destination: fc.record({
      kind: fc.constant("address" as const),
      address: fc.record({ network: keyPart.map(networkId), ip: fc.ipV4() }),
    }),
    hbonePort: port,
  }),
);
const workloads: fc.Arbitrary<Workload> = fc
  .record({
    cluster,
    name,
    namespace: name,
    network: keyPart.map(networkId),
    addresses: fc.array(fc.oneof(fc.ipV4(), fc.constantFrom("fd00::1", "2001:db8::")), { maxLength: 3 }),
    tunnel: fc.constantFrom("none" as const, "hbone" as const),
    trustDomain: fc.constantFrom("cluster.local", "td.example"),
    healthy: fc.boolean(),
    nativeTunnel: fc.boolean(),
    hostNetwork: fc.boolean(),
    locality: fc.option(fc.record({ region: text, zone: text, subzone: text }), { nil: undefined }),
    networkGateway: fc.option(gateway, { nil: undefined }),
    waypoint: fc.option(gateway, { nil: undefined }),
    applicationTunnel: fc.option(fc.record({ protocol: fc.constant("proxy" as const), port }), { nil: undefined }),
    capacity: fc.option(fc.nat(10), { nil: undefined }),
  })
  .map((some) => ({
    ...some,
    uid: podUid(some.cluster, some.namespace, some.name),
    hostname: "",
    serviceAccount: "web",
    node: "n1",
    canonicalName: some.name,
    canonicalRevision: "latest",
    workloadName: some.name,
    services: [
      { service: serviceName("a", "a.a.mesh.internal"), ports: [{ servicePort: 80, targetPort: 0 }] },
      { service: serviceName("b", "b.b.mesh.internal"), ports: [] },
    ],
    policies: [policyName("a", "allow")],
  }));

test("a peer reads of a shared service, of a cluster and of a workload what was written", () => {
  fc.assert(
    fc.property(federatedServices, ms, (service, changedMs) => {
      const body = bodyOf(encodeFederatedService(service, changedMs));
      assert.deepEqual(decodeFederatedService(body), structuredClone({ service, changedMs }));
    }),
  );
  fc.assert(
    fc.property(facts, (value) =>
      assert.deepEqual(decodeClusterFacts(bodyOf(encodeClusterFacts(value))), structuredClone(value)),
    ),
  );
  fc.assert(
    fc.property(workloads, (value) =>
      assert.deepEqual(decodeWorkload(bodyOf(encodeWorkload(value))), structuredClone(value)),
    ),
  );
});

const [service] = fc.sample(federatedServices, { numRuns: 1, seed: 7 });
const [cartFacts] = fc.sample(facts, { numRuns: 1, seed: 7 });
const [pod] = fc.sample(workloads, { numRuns: 1, seed: 7 });

test("when a record was written is no part of its version, and all else is", () => {
  const at = (value: FederatedService, changedMs: number) => encodeFederatedService(value, changedMs);
  assert.equal(at(service!, 1).version, at(service!, 2).version);
  assert.notDeepEqual(at(service!, 1).record, at(service!, 2).record);
  assert.notEqual(at(service!, 1).version, at({ ...service!, total: service!.total + 1 }, 1).version);
});

test("a marker carries the epoch in its name and in its body, and the digest of what it ends", () => {
  const marker = snapshotEnd("7f3a", 1_790_000_000_000, "00ff");
  assert.equal(marker.name, "__synced__/7f3a");
  assert.ok(isSnapshotEnd(marker.name) && !isSnapshotEnd("east/shop/cart"));
  assert.deepEqual(decodeSnapshotEnd(bodyOf(marker)), {
    epoch: "7f3a",
    serverTimeMs: 1_790_000_000_000,
    digest: "00ff",
  });
});

test("debug pages show peers' resources with names instead of numbers", () => {
  const shown = toReadable(FSDS_TYPE, bodyOf(encodeFederatedService({ ...service!, scope: "segment" }, 5)));
  assert.deepEqual(
    (({ scope, name, changedMs }: Record<string, unknown>) => ({ scope, name, changedMs }))(shown as never),
    {
      scope: "SEGMENT",
      name: service!.name,
      changedMs: 5,
    },
  );
  assert.equal(
    (toReadable(SGDS_TYPE, bodyOf(encodeClusterFacts(cartFacts!))) as ClusterFacts).domain,
    cartFacts!.domain,
  );
});

const wire = causeway.peering;
const raw = (change: causeway.peering.FederatedService.$Properties): Uint8Array =>
  wire.FederatedService.encode({ cluster: "east", namespace: "shop", name: "cart", scope: 1, ...change }).finish();
const refusedServices: readonly [string, Uint8Array, RegExp][] = [
  ["no scope", raw({ scope: 0 }), /^scope is 0; known are global, segment$/],
  ["a scope of the future", raw({ scope: 9 as causeway.peering.Scope }), /^scope is 9/],
  ["a cluster with a slash", raw({ cluster: "a/b" }), /^cluster is "a\/b"/],
  ["no cluster", raw({ cluster: "" }), /^cluster is ""/],
  ["a namespace that climbs", raw({ namespace: "shop/other" }), /^namespace is "shop\/other"/],
  ["a name with a newline", raw({ name: "cart\n" }), /^name is "cart\\n"/],
  ["a name that is two", raw({ name: "www.google" }), /^name is "www.google"; it must be a DNS label/],
  ["a namespace that is two", raw({ namespace: "svc.cluster" }), /^namespace is "svc.cluster"; it must be a DNS label/],
  ["port 0", raw({ ports: [{ number: 0 }] }), /^ports\[0\].number is 0/],
  ["port 65536", raw({ ports: [{ number: 65536 }] }), /^ports\[0\].number is 65536/],
  ["a port twice", raw({ ports: [{ number: 80 }, { number: 80 }] }), /^ports is 80; it is there twice/],
  ["too many ports", raw({ ports: Array.from({ length: 513 }, (_, at) => ({ number: at + 1 })) }), /^ports has 513/],
  ["more ready than there are", raw({ ready: 2, total: 1 }), /^ready is 2; a whole number from 0 to 1/],
  ["an identity that is none", raw({ identities: ["cart"] }), /^identities\[0\] is "cart"/],
  ["an identity that climbs", raw({ identities: ["spiffe://td//ns"] }), /^identities\[0\]/],
  ["a waypoint without identity", raw({ waypoint: { namespace: "a", name: "b" } }), /^waypoint.identity is ""/],
  ["a megabyte", raw({ distribution: "x".repeat(1e6) }), /^FederatedService has \d+ bytes; 262144 is the most/],
  ["a long distribution", raw({ distribution: "x".repeat(300) }), /^distribution has 300 characters/],
  ["a label of a page", raw({ labels: { app: "x".repeat(5000) } }), /^labels.app has 5000 characters/],
  ["bytes that are none", Uint8Array.of(0x0a, 0xff), /^the bytes are no FederatedService$/],
];
for (const [what, body, message] of refusedServices)
  test(`a shared service with ${what} is refused by the name of the field`, () => {
    assert.throws(
      () => decodeFederatedService(body),
      (error) => error instanceof MeshError && error.code === "invalid" && message.test(error.message),
    );
  });

test("what a peer could not read is not encoded: it shows at home", () => {
  assert.throws(
    () => encodeFederatedService({ ...service!, identities: ["nobody"] }, 1),
    /^MeshError: identities\[0\]/,
  );
  assert.throws(() => encodeClusterFacts({ ...cartFacts!, trustDomain: "UPPER" }), /^MeshError: trust_domain/);
});

test("a service in a peer's WDS is refused: peers tell each other of workloads only", () => {
  assert.throws(() => decodeWorkload(Uint8Array.of(0x12, 0)), /holds no workload/);
});

const decoders: readonly [string, (body: Uint8Array) => unknown, Uint8Array][] = [
  ["a shared service", decodeFederatedService, bodyOf(encodeFederatedService(service!, 1))],
  ["the facts of a cluster", decodeClusterFacts, bodyOf(encodeClusterFacts(cartFacts!))],
  ["a workload", decodeWorkload, bodyOf(encodeWorkload(pod!))],
  ["a marker", decodeSnapshotEnd, bodyOf(snapshotEnd("7f3a", 1))],
];
for (const [what, decode, whole] of decoders)
  test(`whatever bytes come as ${what}, they are read or refused in words`, () => {
    const change = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }));
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
        const body = Uint8Array.from(whole);
        for (const [at, byte] of changes) body[at] = byte;
        return body;
      }),
      fc.nat(whole.length).map((length) => whole.subarray(0, length)),
    );
    fc.assert(
      fc.property(bodies, (body) => {
        try {
          decode(body);
        } catch (thrown) {
          assert.ok(thrown instanceof MeshError && thrown.code === "invalid", String(thrown));
        }
      }),
      fuzzing(3_000) as fc.Parameters<[Uint8Array]>,
    );
  }).timeout(FUZZ_MS);
