import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { FACT_KINDS } from "../../src/inspect/facts-kinds.ts";
import { type ClusterFacts, kindName } from "../../src/inspect/cluster-facts.ts";
import { ImaginedMesh } from "../../src/linking/imagined-mesh.ts";
import { remoteGateway } from "../../src/linking/gateways.ts";
import { namesSeenIn } from "../../src/linking/names-seen.ts";
import { sideOf, type Side } from "../../src/linking/side.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { clusterId } from "../../src/names.ts";
import { PEER_QUOTA } from "../../src/peering/allowance.ts";
import { ExportLogs } from "../../src/peering/export.ts";
import { PEER_TYPES, PeerImport } from "../../src/peering/import.ts";
import { targetOf } from "../../src/peering/peer.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { exportsTo, importsFrom } from "../../src/registry/model/granted.ts";
import type { PeerGateway } from "../../src/registry/model/peer.ts";
import { Registry } from "../../src/registry/registry.ts";
import { decodeDeltaResponse } from "../../src/xds/wire.ts";
import { TestHost } from "../kits/test-host.ts";
import { status } from "../registry/peers.ts";

const SYSTEM = "istio-system";

interface Words {
  readonly segment: string | undefined;
  readonly pattern: string;
  readonly services: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly scope: string;
    readonly takeover: boolean;
    readonly pods: number;
  }[];
  readonly grants: readonly {
    readonly cluster: string;
    readonly bound: boolean;
    readonly export: object | undefined;
    readonly import: object | undefined;
  }[];
}

const NAMESPACES = ["shop", "bank"];
const NAMES = ["cart", "books", "api"];
const scopes = fc.option(
  fc.record({
    namespaces: fc.subarray(["shop", "bank", "b*"]),
    services: fc.option(fc.subarray(["cart", "api", "*o*"]), { nil: undefined }),
  }),
  { nil: undefined },
);
const words: fc.Arbitrary<Words> = fc.record({
  segment: fc.option(fc.constantFrom("prod", "test"), { nil: undefined }),
  pattern: fc.constantFrom("{service}.api.example", "{service}.{namespace}.api.example"),
  services: fc.uniqueArray(
    fc.record({
      namespace: fc.constantFrom(...NAMESPACES),
      name: fc.constantFrom(...NAMES),
      scope: fc.constantFrom("global", "global", "segment", "cluster"),
      takeover: fc.boolean(),
      pods: fc.nat(2),
    }),
    { selector: ({ namespace, name }) => `${namespace}/${name}`, maxLength: 5 },
  ),
  grants: fc.array(
    fc.record({
      cluster: fc.constantFrom("east", "west", "north"),
      bound: fc.boolean(),
      export: scopes,
      import: scopes,
    }),
    { maxLength: 4 },
  ),
});

/** All that one cluster has, but for Gateways that lead to others. */
function objectsOf(cluster: string, { segment, pattern, services, grants }: Words): readonly KubeObject[] {
  const object = (apiVersion: string, kind: string, metadata: object, more: object = {}): KubeObject =>
    ({
      apiVersion,
      kind,
      metadata: { uid: `${kind}-${JSON.stringify(metadata)}`, ...metadata },
      ...more,
    }) as KubeObject;
  const network = { "topology.istio.io/network": `net-${cluster}` };
  const labels = { ...network, ...(segment !== undefined && { "admin.solo.io/segment": segment }) };
  return [
    object("v1", "Namespace", { name: SYSTEM, labels }),
    object(
      "admin.solo.io/v1alpha1",
      "Segment",
      { name: "prod", namespace: SYSTEM },
      { spec: { domain: "prod.example", aliases: [{ pattern }] } },
    ),
    ...services.flatMap(({ namespace, name, scope, takeover, pods }, at) => [
      object(
        "v1",
        "Service",
        { namespace, name, labels: { "solo.io/service-scope": scope, "solo.io/service-takeover": `${takeover}` } },
        { spec: { clusterIP: `10.96.0.${at + 1}`, ports: [{ port: 80, name: "http" }], selector: { app: name } } },
      ),
      ...Array.from({ length: pods }, (_, pod) =>
        object(
          "v1",
          "Pod",
          { namespace, name: `${name}-${pod}`, labels: { app: name } },
          {
            spec: { serviceAccountName: name, nodeName: "n1", containers: [] },
            status: {
              ...{ phase: "Running", podIP: `10.0.${at}.${pod + 1}` },
              conditions: [{ type: "Ready", status: "True" }],
            },
          },
        ),
      ),
    ]),
    ...grants.map(({ cluster: peer, bound, export: exports, import: imports }, at) =>
      object(
        "peering.causeway.dev/v1alpha1",
        "PeerGrant",
        { name: `g${at}`, namespace: SYSTEM, labels: bound ? { "trust.causeway.dev/bound": "true" } : {} },
        { spec: { cluster: peer, ...(exports && { export: exports }), ...(imports && { import: imports }) } },
      ),
    ),
  ];
}

const gatewayTo = (peer: string) =>
  remoteGateway({ cluster: peer, network: `net-${peer}`, addresses: [`192.0.2.${peer.length}`] });

function side(cluster: string, objects: readonly KubeObject[]): Side {
  const kinds = new Map(
    FACT_KINDS.map((type) => [kindName(type), { objects: objects.filter(({ kind }) => kind === type.kind) }]),
  );
  const facts: ClusterFacts = {
    ...{ cluster: "", source: cluster, context: cluster, readAt: 0, kinds, planes: [] },
    measured: { clockSkewMs: undefined, rights: undefined },
  };
  return sideOf(facts, { system: SYSTEM, cluster });
}

/** A control plane's registry, with the logs that its peers read: what they are told is encoded, sent and checked. */
class Plane {
  readonly graph = new Graph();
  readonly host = new TestHost();
  readonly registry: Registry;
  readonly logs: ExportLogs;

  constructor(
    readonly cluster: string,
    objects: readonly KubeObject[],
  ) {
    const mesh = { trustDomain: "cluster.local", rootNamespace: SYSTEM, clusterDomain: "cluster.local" };
    this.registry = new Registry(this.graph, { mesh, localCluster: clusterId(cluster) });
    this.logs = new ExportLogs(this.graph, this.host.clock, this.registry.exports, () => {});
    const intake = this.registry.intake(clusterId(cluster));
    for (const object of objects) intake.set(object, "");
    this.graph.flush();
  }

  get grants() {
    return Array.from(this.registry.peerGrants.entries(), ([, grant]) => grant);
  }

  /** As a link does it: by logs within what is granted, and record by record past the rules. */
  hear(peer: Plane, gateway: PeerGateway, types: readonly (typeof PEER_TYPES)[number][]): void {
    const target = targetOf(gateway)!;
    const rules = { target, granted: importsFrom(target, this.grants) };
    const options = { intake: this.registry.peers, quota: PEER_QUOTA, onDenied: () => {}, onService: () => {} };
    const taken = new PeerImport(this.host.clock, options, rules);
    const reader = { cluster: clusterId(this.cluster), trustDomain: "cluster.local" };
    const segment = peer.registry.peers.facts.get(reader.cluster)?.segment;
    const lease = peer.logs.lease({ granted: exportsTo(reader, peer.grants), segment });
    for (const type of types) {
      const log = lease.logs.get(type)!;
      const resources = [...log.names()].flatMap((name) => decodeDeltaResponse(log.get(name)!.record).resources);
      taken.take(type, resources, []);
    }
    this.registry.peers.statuses.set(target.cluster, status(target.cluster));
    taken.show();
    this.graph.flush();
  }
}

/** What callers would find, and what was refused. */
const seenIn = (registry: Registry): unknown => ({
  names: Array.from(namesSeenIn({ registry }), ([key, { ends }]) => [key, [...ends].sort()]).sort(),
  denied: Array.from(registry.peers.denied.entries(), ([key, { reason }]) => [key, reason]).sort(),
  problems: Array.from(registry.problems.entries(), ([key]) => key).sort(),
});

test("what a forecast says of links is what control planes do that are linked by logs, bytes and rules", () => {
  fc.assert(
    fc.property(words, words, fc.boolean(), (east, west, mutual) => {
      const objects = { east: objectsOf("east", east), west: objectsOf("west", west) };
      const sides = { east: side("east", objects.east), west: side("west", objects.west) };
      const mesh = new ImaginedMesh([sides.east, sides.west]);
      mesh.change([
        { side: sides.east, come: [gatewayTo("west")], go: [] },
        { side: sides.west, come: mutual ? [gatewayTo("east")] : [], go: [] },
      ]);
      const planes = {
        east: new Plane("east", [...objects.east, gatewayTo("west") as unknown as KubeObject]),
        west: new Plane("west", mutual ? [...objects.west, gatewayTo("east") as unknown as KubeObject] : objects.west),
      };
      const links = [[planes.east, planes.west] as const, ...(mutual ? [[planes.west, planes.east] as const] : [])].map(
        ([from, to]) => [from, to, [...from.registry.peerGateways.entries()][0]![1]] as const,
      );
      // Each knows what the other says of itself before it tells it of services, as links settle to.
      for (const [from, to, gateway] of links) from.hear(to, gateway, PEER_TYPES.slice(0, 1));
      for (const [from, to, gateway] of links) from.hear(to, gateway, PEER_TYPES);
      for (const name of ["east", "west"] as const)
        assert.deepEqual(seenIn(mesh.site(sides[name])!.registry), seenIn(planes[name].registry), name);
    }),
    { numRuns: 60 },
  );
});

test("a Gateway that goes takes with it all that was heard over it", () => {
  const objects = objectsOf("west", { segment: undefined, pattern: "x.example", services: [], grants: [] });
  const shared = objectsOf("east", {
    ...{ segment: undefined, pattern: "x.example", grants: [] },
    services: [{ namespace: "shop", name: "cart", scope: "global", takeover: false, pods: 1 }],
  });
  const gateway = gatewayTo("east") as unknown as KubeObject;
  const west = side("west", [...objects, gateway]);
  const mesh = new ImaginedMesh([side("east", shared), west]);
  const names = (): readonly string[] => [...namesSeenIn(mesh.site(west)!).keys()];
  assert.deepEqual(names(), ["shop/cart.shop.mesh.internal"]);
  mesh.change([{ side: west, come: [], go: [gateway] }]);
  assert.deepEqual(names(), []);
});
